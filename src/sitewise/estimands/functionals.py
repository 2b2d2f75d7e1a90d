"""The estimands of the averaged curve, one function each; what they share is in :mod:`sitewise.estimands.curves`."""

from __future__ import annotations

import xarray as xr
from numpy.typing import ArrayLike

from sitewise import names
from sitewise.estimands.curves import group_curves
from sitewise.estimands.populations import Population
from sitewise.estimands.sites import SiteTreatment
from sitewise.models.fitted import Fitted
from sitewise.problems import SpecError, nearest


def survival(
    fit: Fitted,
    /,
    *,
    groups: Population,
    sites: SiteTreatment,
    times: ArrayLike,
    bootstrap_seed: int | None = None,
) -> xr.DataArray:
    """Return posterior draws of survival at ``times``, dims (chain, draw, group, time); see :func:`group_curves`."""
    return group_curves(fit, groups, sites=sites, bootstrap_seed=bootstrap_seed).survival(times)


def cumulative_hazard(
    fit: Fitted,
    /,
    *,
    groups: Population,
    sites: SiteTreatment,
    times: ArrayLike,
    bootstrap_seed: int | None = None,
) -> xr.DataArray:
    """Return draws of the cumulative hazard of the averaged curve, dims (chain, draw, group, time)."""
    return group_curves(fit, groups, sites=sites, bootstrap_seed=bootstrap_seed).cumulative_hazard(times)


def hazard(
    fit: Fitted,
    /,
    *,
    groups: Population,
    sites: SiteTreatment,
    times: ArrayLike,
    bootstrap_seed: int | None = None,
) -> xr.DataArray:
    """Return draws of the hazard of the averaged curve, dims (chain, draw, group, time)."""
    return group_curves(fit, groups, sites=sites, bootstrap_seed=bootstrap_seed).hazard(times)


def quantile(
    fit: Fitted,
    /,
    *,
    groups: Population,
    sites: SiteTreatment,
    level: float,
    bootstrap_seed: int | None = None,
) -> xr.DataArray:
    """Return draws of the time by which a share ``level`` has had the event, dims (chain, draw, group)."""
    return group_curves(fit, groups, sites=sites, bootstrap_seed=bootstrap_seed).quantile(level)


def median_survival(
    fit: Fitted, /, *, groups: Population, sites: SiteTreatment, bootstrap_seed: int | None = None
) -> xr.DataArray:
    """Return draws of the median of the averaged curve, dims (chain, draw, group)."""
    return group_curves(fit, groups, sites=sites, bootstrap_seed=bootstrap_seed).quantile(0.5)


def rmst(
    fit: Fitted,
    /,
    *,
    groups: Population,
    sites: SiteTreatment,
    horizon: float,
    bootstrap_seed: int | None = None,
) -> xr.DataArray:
    """Return draws of the restricted mean survival time up to ``horizon``, dims (chain, draw, group)."""
    return group_curves(fit, groups, sites=sites, bootstrap_seed=bootstrap_seed).rmst(horizon)


def marginal_hazard_ratio(
    fit: Fitted, /, *, groups: Population, reference: str, sites: SiteTreatment, times: ArrayLike
) -> xr.DataArray:
    """Return draws of each group's hazard over that of group ``reference``, dims (chain, draw, group, time).

    Averaged over members or sites the ratio moves towards 1 in time although every conditional ratio is constant.
    """
    values = hazard(fit, groups=groups, sites=sites, times=times)
    labels = list(values[names.GROUP].to_numpy())
    if reference not in labels:
        raise SpecError(f"There is no group '{reference}'. {nearest(reference, labels)}")
    ratio = values / values.sel({names.GROUP: reference}, drop=True)
    return ratio.rename("marginal_hazard_ratio").assign_attrs(**values.attrs, reference=reference)
