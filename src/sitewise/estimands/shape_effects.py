"""Effects on the shape: hazard ratios that change as time goes on, and the shapes of sites.

See :mod:`sitewise.models.shape_regression` for the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from sitewise import names
from sitewise.estimands.draws import index_draws
from sitewise.estimands.shape_draws import shape_draws
from sitewise.families import Weibull
from sitewise.models.fitted import Fitted
from sitewise.problems import SpecError, listed, nearest

Floats = NDArray[np.float64]


def hazard_ratio_over_time(fit: Fitted, /, *, term: str, times: ArrayLike) -> xr.DataArray:
    """Return draws of the hazard ratio of one column at times, given site, dims (chain, draw, time).

    Of Weibull times in the hazard-ratio metric whose shape differs, exp(beta) (k_1 / k_0) (t / lambda)^(k_1 - k_0), with the
    shapes of the reference patient, k_0, and of somebody with one unit more of the column and all else equal, k_1; both at an
    average site. lambda is the reference patient's scale, and t and it are counted from the guarantee time. It follows from
    h(t) = k t^(k - 1) lambda^-k exp(eta).

    Parameters
    ----------
    fit : Fitted
        A fit with ``shape=...``.
    term : str
        A design column of the formula or of the shape, such as ``ecog[>=1]``.
    times : array_like, shape (T,)
        Times after the guarantee time, in the cohort's unit.

    Raises
    ------
    SpecError
        When the shape does not differ, the family is not Weibull, the metric is not that of hazard ratios, the column is not in
        the model, or a time is not after the guarantee time.
    """
    spec, resolution = fit.spec, fit.spec.resolved
    if not spec.shape_differs:
        raise SpecError("Hazard ratios are constant in this model: use hazard_ratios, or fit with shape='...'.")
    if type(spec.family) is not Weibull or spec.metric != names.HAZARD_RATIO:
        raise SpecError(
            "Hazard ratios over time are those of Weibull times in the hazard-ratio metric, not of "
            f"{spec.family.name} times in {spec.metric}s. Use marginal_hazard_ratio at chosen times."
        )
    known = list(dict.fromkeys((*resolution.columns, *resolution.shape_columns)))
    if term not in known:
        raise SpecError(f"There is no column '{term}'. {nearest(term, known)} Columns: {listed(known)}.")
    moments = np.atleast_1d(np.asarray(times, dtype=float))
    if moments.ndim != 1 or not np.isfinite(moments).all() or (moments <= spec.guarantee_time).any():
        raise SpecError(f"Times must be a list of finite numbers after {spec.guarantee_time:g}, where hazards begin.")
    draws, shapes = index_draws(fit), shape_draws(fit)
    effect, log_ratio = np.zeros(draws.size), np.zeros(draws.size)
    if term in resolution.columns:
        effect = draws.coefficients[:, resolution.columns.index(term)]
    if term in resolution.shape_columns:
        log_ratio = shapes.coefficients[:, resolution.shape_columns.index(term)]
    rise = draws.shape[0] * np.expm1(log_ratio)
    since = np.log(moments - spec.guarantee_time) - draws.log_scale[:, None]
    values = np.exp((effect + log_ratio)[:, None] + rise[:, None] * since)
    return _wrap(fit, values, "hazard_ratio", {names.TIME: moments}).assign_attrs(term=term, time_unit=fit.cohort.time_unit)


def shape_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the ratios of shapes by column of the shape, dims (chain, draw, shape_term).

    Raises
    ------
    SpecError
        When no covariates are on the shape.
    """
    columns = fit.spec.resolved.shape_columns
    if not columns:
        raise SpecError("No covariates are on the shape: it is the same for all patients of a site. Fit with shape='...'.")
    return _wrap(fit, np.exp(shape_draws(fit).coefficients), "shape_ratio", {names.SHAPE_TERM: list(columns)})


def site_shapes(fit: Fitted, /) -> xr.DataArray:
    """Return draws of each site's shape, of the reference patient, dims (chain, draw, site).

    Raises
    ------
    SpecError
        When the shape does not differ by site.
    """
    if not fit.spec.shape_sites:
        raise SpecError("The shape is the same at all sites. Fit with shape='(1 | site)'.")
    values = index_draws(fit).shape[0][:, None] * np.exp(shape_draws(fit).site)
    return _wrap(fit, values, "site_shape", {names.SITE: list(fit.spec.resolved.site_labels)})


def _wrap(fit: Fitted, values: Floats, name: str, labels: dict[str, Any]) -> xr.DataArray:
    chains, draws = fit.posterior.sizes[names.CHAIN], fit.posterior.sizes[names.DRAW]
    coords = {names.CHAIN: np.arange(chains), names.DRAW: np.arange(draws), **labels}
    return xr.DataArray(values.reshape(chains, draws, *values.shape[1:]), dims=tuple(coords), coords=coords, name=name)
