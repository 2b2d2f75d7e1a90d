"""The parameters of the distribution of sites that are reported: rows of ``parameters.csv``."""

from __future__ import annotations

from itertools import combinations

import xarray as xr

from sitewise import names
from sitewise.estimands import effect_metric, median_ratio, site_sd, site_slope_sd
from sitewise.estimands.effects import has_time_ratios
from sitewise.inference import FitResult
from sitewise.models import RandomSites
from sitewise.models.groupings import of_grouping


def site_parameters(fit: FitResult) -> dict[str, xr.DataArray]:
    """Return the draws of what random sites have, by name: spread in every metric, slopes, correlations, degrees of freedom.

    Of further groupings: the sd in the spec's metric.
    """
    groupings = {name: fit.posterior[name] for name in (of_grouping(names.GROUPING_SD, each) for each in fit.spec.groupings)}
    if not isinstance(fit.spec.sites, RandomSites):
        return groupings
    found = {names.SITE_SD: fit.posterior[names.SITE_SD]}
    if effect_metric(fit) == names.HAZARD_RATIO:
        found[names.SITE_SD_LOG_HAZARD_RATIO] = site_sd(fit)
    if has_time_ratios(fit):
        found[names.SITE_SD_LOG_TIME_RATIO] = site_sd(fit, metric=names.TIME_RATIO)
    ratio = median_ratio(fit)
    found[str(ratio.name)] = ratio
    found |= slope_parameters(fit)
    if fit.spec.resolved.site_degrees_of_freedom is not None:
        found[names.SITE_DEGREES_OF_FREEDOM] = fit.posterior[names.SITE_DEGREES_OF_FREEDOM]
    return found | groupings


def slope_parameters(fit: FitResult) -> dict[str, xr.DataArray]:
    """Return the draws of the sds of slopes, by their names in ``parameters.csv``: the spec's metric, then every metric."""
    if not fit.spec.resolved.slope_columns:
        return {}
    found = {names.SITE_SLOPE_SD: fit.posterior[names.SITE_SLOPE_SD]}
    if effect_metric(fit) == names.HAZARD_RATIO:
        found[f"{names.SITE_SLOPE_SD}_{names.LOG_HAZARD_RATIO}"] = site_slope_sd(fit)
    if has_time_ratios(fit):
        found[f"{names.SITE_SLOPE_SD}_{names.LOG_TIME_RATIO}"] = site_slope_sd(fit, metric=names.TIME_RATIO)
    labels = fit.spec.resolved.slope_labels
    return {
        f"{name}[{label}]": draws.isel({names.SLOPE: place}, drop=True)
        for place, label in enumerate(labels)
        for name, draws in found.items()
    } | site_correlations(fit)


def site_correlations(fit: FitResult) -> dict[str, xr.DataArray]:
    """Return draws of the correlations of a site's effect and slopes, each once, by their names in ``parameters.csv``."""
    if fit.spec.resolved.site_correlation is None:
        return {}
    matrix = fit.posterior[names.SITE_CORRELATION]
    return {
        f"{names.SITE_CORRELATION}[{one}, {other}]": matrix.sel({names.SITE_TERM: one, names.OTHER_SITE_TERM: other}, drop=True)
        for one, other in combinations(fit.spec.resolved.site_terms, 2)
    }
