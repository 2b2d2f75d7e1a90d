"""The sites' part of the PyMC graph: effects and slopes, independent or correlated, normal or Student-t; further groupings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from sitewise import names
from sitewise.models.groupings import of_grouping
from sitewise.models.prior_check import distribution, parameters, variable
from sitewise.models.site_effects import RandomSites
from sitewise.models.spec import ModelSpec


def site_predictor(spec: ModelSpec, inputs: Mapping[str, Any]) -> Any:
    """Return what their site adds to the linear predictor of each patient; registers the sites' variables in the model."""
    resolution = spec.resolved
    index = inputs["site_index"]
    if not isinstance(spec.sites, RandomSites):
        assert resolution.site_effects is not None
        return variable(names.SITE_EFFECT, resolution.site_effects, dims=names.SITE)[index]
    assert resolution.site_sd is not None
    sd = variable(names.SITE_SD, resolution.site_sd)
    effect, standardised = _effects(spec, spec.sites, sd)
    if not resolution.slope_columns:
        return effect[index]
    slopes = _slopes(spec, spec.sites, standardised)
    return effect[index] + (slopes[index] * inputs["slope_covariates"]).sum(axis=1)


def _effects(spec: ModelSpec, sites: RandomSites, sd: Any) -> tuple[Any, Any]:
    """Return the site effects, and these in units of their sd: what is sampled, unless the sites are centred."""
    options: dict[str, Any] = {"mu": 0.0, "dims": names.SITE}
    kind, unit = pm.Normal, 1.0
    if sites.is_student_t:
        freedom = _degrees_of_freedom(spec, sites)
        kind, unit = pm.StudentT, pt.sqrt((freedom - 2.0) / freedom)
        options["nu"] = freedom
    if sites.centred:
        effect = kind(names.SITE_EFFECT, sigma=sd * unit, **options)
        return effect, effect / sd
    standardised = kind(names.SITE_EFFECT_STANDARDISED, sigma=unit, **options)
    return pm.Deterministic(names.SITE_EFFECT, sd * standardised, dims=names.SITE), standardised


def _degrees_of_freedom(spec: ModelSpec, sites: RandomSites) -> Any:
    """Return the degrees of freedom of Student-t sites: fixed, or two and a positive random number, so that there is an sd."""
    prior = spec.resolved.site_degrees_of_freedom
    if prior is None:
        return pt.constant(np.float64(sites.degrees_of_freedom))
    above = variable(names.SITE_DEGREES_OF_FREEDOM_ABOVE_2, prior)
    return pm.Deterministic(names.SITE_DEGREES_OF_FREEDOM, 2.0 + above)


def _slopes(spec: ModelSpec, sites: RandomSites, standardised: Any) -> Any:
    """Return the sites' slopes (sites, slopes), centred or not as the intercepts are.

    With a correlation matrix R = L L', whose first row of L is (1, 0, ..., 0), a site's standardised effect z_0 and slopes are
    L (z_0, z) with z standard normal: given z_0, the slopes are normal about L[1:, 0] z_0 with Cholesky factor L[1:, 1:].
    """
    resolution, dims = spec.resolved, (names.SITE, names.SLOPE)
    priors = resolution.site_slope_sd
    stacked = {key: np.array([item.values[key] for item in priors]) for key in priors[0].values}
    sd = distribution(priors[0], names.SITE_SLOPE_SD)(names.SITE_SLOPE_SD, **stacked, dims=names.SLOPE)
    if resolution.site_correlation is None:
        if sites.centred:
            return pm.Normal(names.SITE_SLOPE, 0.0, sd, dims=dims)
        own = pm.Normal(names.SITE_SLOPE_STANDARDISED, 0.0, 1.0, dims=dims)
        return pm.Deterministic(names.SITE_SLOPE, sd * own, dims=dims)
    size = len(resolution.site_terms)
    factor = pm.LKJCorr(names.SITE_CORRELATION_CHOLESKY, n=size, **parameters(resolution.site_correlation))
    pm.Deterministic(names.SITE_CORRELATION, factor @ factor.T, dims=(names.SITE_TERM, names.OTHER_SITE_TERM))
    mean, rest = standardised[:, None] * factor[1:, 0], factor[1:, 1:]
    if sites.centred:
        return pm.MvNormal(names.SITE_SLOPE, mu=sd * mean, chol=sd[:, None] * rest, dims=dims)
    own = pm.Normal(names.SITE_SLOPE_STANDARDISED, 0.0, 1.0, dims=dims)
    return pm.Deterministic(names.SITE_SLOPE, sd * (mean + own @ rest.T), dims=dims)


def grouping_predictor(spec: ModelSpec, inputs: Mapping[str, Any]) -> Any:
    """Return what their further groupings add to the linear predictor of each patient: independent intercepts, standardised."""
    prior, total = spec.resolved.grouping_sd, 0.0
    assert prior is not None
    for place, grouping in enumerate(spec.groupings):
        dims = of_grouping(names.LEVEL, grouping)
        sd = variable(of_grouping(names.GROUPING_SD, grouping), prior)
        standardised = pm.Normal(of_grouping(names.GROUPING_EFFECT_STANDARDISED, grouping), 0.0, 1.0, dims=dims)
        effect = pm.Deterministic(of_grouping(names.GROUPING_EFFECT, grouping), sd * standardised, dims=dims)
        total = total + effect[inputs["grouping_index"][:, place]]
    return total
