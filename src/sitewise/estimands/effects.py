"""Conditional effects: hazard and time ratios of covariates, site effects and slopes, their spread and ranks.

Log-normal and log-logistic times have time ratios only: their hazard ratios change as time goes on.

With random slopes the effects of covariates are those at an average site, and site effects, their spread and their ranks are
about the reference patient, from whom slopes are measured.

Where the shape differs between patients, ratios are those of the spec's metric only. A log hazard ratio is then the log ratio
of cumulative hazards at the reference patient's scale, t = lambda (:mod:`sitewise.models.shape_regression`), and constant in
time only where the shape is the same; a log time ratio is that of the scale.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import ndtr

from sitewise import names
from sitewise.estimands.draws import IndexDraws, index_draws
from sitewise.families.base import EXTREME_VALUE
from sitewise.models.fitted import Fitted
from sitewise.models.priors import LOG_RATIO_BETWEEN_SITES
from sitewise.models.student_t import log_ratio_between_sites
from sitewise.problems import SpecError


def log_hazard_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the log hazard ratios given site, dims (chain, draw, term)."""
    draws = _with_hazard_ratios(fit)
    return _wrap(draws, draws.coefficients, names.LOG_HAZARD_RATIO, term=list(fit.spec.resolved.columns))


def hazard_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the hazard ratios given site, dims (chain, draw, term)."""
    draws = log_hazard_ratios(fit)
    return draws.copy(data=np.exp(draws.to_numpy())).rename("hazard_ratio")


def log_time_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the log time ratios given site, phi = -beta / k draw by draw, dims (chain, draw, term)."""
    draws = _with_time_ratios(fit)
    values = _to_log_time_ratio(draws, draws.coefficients)
    return _wrap(draws, values, names.LOG_TIME_RATIO, term=list(fit.spec.resolved.columns))


def time_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the time ratios given site, dims (chain, draw, term)."""
    draws = log_time_ratios(fit)
    return draws.copy(data=np.exp(draws.to_numpy())).rename("time_ratio")


def effect_metric(fit: Fitted, /) -> str:
    """Return the metric in which a fit's effects are told first: hazard ratios where it has them, else time ratios."""
    if fit.spec.shape_differs:
        return fit.spec.metric
    return names.HAZARD_RATIO if fit.spec.family.standard == EXTREME_VALUE else names.TIME_RATIO


def has_time_ratios(fit: Fitted, /) -> bool:
    """Return whether a fit's effects are ratios of times, maybe of hazards too."""
    spec = fit.spec
    return spec.metric == names.TIME_RATIO if spec.shape_differs else names.TIME_RATIO in spec.family.metrics


def site_effects(fit: Fitted, /, *, metric: str = names.HAZARD_RATIO) -> xr.DataArray:
    """Return draws of each site's log hazard (or time) ratio against an average site, dims (chain, draw, site).

    With random slopes: that of the reference patient.
    """
    draws = _with_time_ratios(fit) if metric == names.TIME_RATIO else _with_hazard_ratios(fit)
    _require_sites(fit)
    values = _to_log_time_ratio(draws, draws.site_effect) if metric == names.TIME_RATIO else draws.site_effect
    return _wrap(draws, values, names.SITE_EFFECT, site=list(fit.spec.resolved.site_labels))


def site_ranks(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the sites' ranks by hazard (of the reference patient), 1 the best, dims (chain, draw, site)."""
    draws = index_draws(fit)
    _require_sites(fit)
    ranks = draws.site_effect.argsort(axis=-1).argsort(axis=-1) + 1.0
    return _wrap(draws, ranks, "site_rank", site=list(fit.spec.resolved.site_labels))


def site_sd(fit: Fitted, /, *, metric: str = names.HAZARD_RATIO) -> xr.DataArray:
    """Return draws of the sd of the sites' log hazard (or time) ratios, dims (chain, draw).

    With random slopes it is about the reference patient: other patients differ more between sites.
    """
    draws = _with_time_ratios(fit) if metric == names.TIME_RATIO else _with_hazard_ratios(fit)
    if draws.site_sd is None:
        raise SpecError("The model has no random site effects, so no site spread.")
    values = draws.site_sd
    if metric == names.TIME_RATIO:
        values = np.abs(_to_log_time_ratio(draws, values[:, None])[:, 0])
    name = names.SITE_SD_LOG_TIME_RATIO if metric == names.TIME_RATIO else names.SITE_SD_LOG_HAZARD_RATIO
    return _wrap(draws, values, name)


def median_hazard_ratio(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the median hazard ratio between two sites, exp(0.954 sd) of normal ones, dims (chain, draw).

    Larsen & Merlo 2005, Am J Epidemiol 161:81: the median over pairs of sites of the higher over the lower hazard; with
    random slopes of the reference patient's. Of Student-t sites the number depends on the degrees of freedom
    (:func:`sitewise.models.student_t.log_ratio_between_sites`).
    """
    spread = site_sd(fit)
    ratio = np.exp(_log_ratio_of_sd(fit) * spread.to_numpy())
    return spread.copy(data=ratio).rename(names.MEDIAN_HAZARD_RATIO)


def median_time_ratio(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the median time ratio (longer over shorter) between two sites, exp(0.954 sd), dims (chain, draw).

    Of Student-t sites as for :func:`median_hazard_ratio`.
    """
    spread = site_sd(fit, metric=names.TIME_RATIO)
    ratio = np.exp(_log_ratio_of_sd(fit) * spread.to_numpy())
    return spread.copy(data=ratio).rename(names.MEDIAN_TIME_RATIO)


def _log_ratio_of_sd(fit: Fitted) -> float | np.ndarray:
    """Return the log of the median ratio between two sites in units of their sd: a number, or draws (chain, draw)."""
    draws = index_draws(fit)
    if draws.degrees_of_freedom is None:
        return LOG_RATIO_BETWEEN_SITES
    return log_ratio_between_sites(draws.degrees_of_freedom).reshape(draws.chains, draws.draws)


def median_ratio(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the median ratio between two sites: of hazards where a fit has hazard ratios, else of times."""
    return median_hazard_ratio(fit) if effect_metric(fit) == names.HAZARD_RATIO else median_time_ratio(fit)


def site_slopes(fit: Fitted, /) -> xr.DataArray:
    """Return draws of what each site adds to the log hazard ratios with random slopes, dims (chain, draw, site, slope)."""
    draws = _with_slopes(fit)
    return _wrap(draws, draws.site_slope, names.SITE_SLOPE, **_by_site(fit))


def site_log_hazard_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the log hazard ratios with random slopes at each site: the average's plus the site's slope.

    Dims (chain, draw, site, slope).
    """
    draws = _with_slopes(fit)
    average = draws.coefficients[:, list(fit.spec.resolved.slope_columns)]
    return _wrap(draws, average[:, None] + draws.site_slope, "site_log_hazard_ratio", **_by_site(fit))


def site_slope_sd(fit: Fitted, /, *, metric: str = names.HAZARD_RATIO) -> xr.DataArray:
    """Return draws of the sds of the log hazard (or time) ratios with random slopes, dims (chain, draw, slope)."""
    draws = _with_slopes(fit, metric)
    values = draws.site_slope_sd
    if metric == names.TIME_RATIO:
        values = np.abs(_to_log_time_ratio(draws, values))
    return _wrap(draws, values, names.SITE_SLOPE_SD, slope=list(fit.spec.resolved.slope_labels))


def new_site_log_hazard_ratios(fit: Fitted, /, *, seed: int | None = None) -> xr.DataArray:
    """Return draws of the log hazard ratios with random slopes at one new site a draw, dims (chain, draw, slope).

    The sites are those of ``New(seed)``.
    """
    draws = _with_slopes(fit)
    _, slopes = draws.new_site(fit.seed if seed is None else seed)
    average = draws.coefficients[:, list(fit.spec.resolved.slope_columns)]
    return _wrap(draws, average + slopes, "new_site_log_hazard_ratio", slope=list(fit.spec.resolved.slope_labels))


def prob_other_side_at_new_site(fit: Fitted, /) -> xr.DataArray:
    """Return the probability that an effect at a new site is on the other side of zero than at an average site, dims (slope).

    Within a draw Phi(-|beta| / sd); the mean over draws.
    """
    draws = _with_slopes(fit)
    average = np.abs(draws.coefficients[:, list(fit.spec.resolved.slope_columns)])
    with np.errstate(divide="ignore"):
        values = ndtr(-average / draws.site_slope_sd).mean(axis=0)
    return xr.DataArray(values, dims=names.SLOPE, coords={names.SLOPE: list(fit.spec.resolved.slope_labels)})


def _by_site(fit: Fitted) -> dict[str, list[str]]:
    return {names.SITE: list(fit.spec.resolved.site_labels), names.SLOPE: list(fit.spec.resolved.slope_labels)}


def _with_slopes(fit: Fitted, metric: str = names.HAZARD_RATIO) -> IndexDraws:
    if not index_draws(fit).has_slopes:
        raise SpecError("The model has no random slopes: effects of covariates are the same at all sites.")
    return _with_time_ratios(fit) if metric == names.TIME_RATIO else _with_hazard_ratios(fit)


def _with_time_ratios(fit: Fitted) -> IndexDraws:
    if fit.spec.shape_differs and fit.spec.metric != names.TIME_RATIO:
        raise SpecError(
            "Where the shape differs between patients, effects on the hazard are no ratios of times: fit with "
            "metric='time-ratio', or compare medians of groups."
        )
    return index_draws(fit)


def _with_hazard_ratios(fit: Fitted) -> IndexDraws:
    draws = index_draws(fit)
    if fit.spec.shape_differs and fit.spec.metric != names.HAZARD_RATIO:
        raise SpecError(
            "Where the shape differs between patients, effects on the scale are no ratios of hazards: use time ratios "
            "(log_time_ratios, metric='time-ratio'), fit with metric='hazard-ratio', or take marginal_hazard_ratio at chosen "
            "times."
        )
    if not draws.hazards_add:
        raise SpecError(
            f"Under the {fit.spec.family.name} family hazard ratios change as time goes on: use time ratios (log_time_ratios, "
            "metric='time-ratio'), or marginal_hazard_ratio at chosen times."
        )
    return draws


def _require_sites(fit: Fitted) -> None:
    if not fit.spec.has_sites:
        raise SpecError("The model has no site effects.")


def _to_log_time_ratio(draws: IndexDraws, log_hazard_ratio: np.ndarray) -> np.ndarray:
    """Return log time ratios, dividing by the log hazard ratio of a unit log time ratio."""
    columns = tuple(item[:, None] for item in draws.shape)
    return np.asarray(log_hazard_ratio / draws.family.log_index_ratio(np.ones((draws.size, 1)), columns))


def _wrap(draws: IndexDraws, values: np.ndarray, name: str, **labels: list[str]) -> xr.DataArray:
    """Return draws (s, ...) with dims chain, draw and those named, in order."""
    shaped = values.reshape(draws.chains, draws.draws, *values.shape[1:])
    coords = {names.CHAIN: np.arange(draws.chains), names.DRAW: np.arange(draws.draws), **labels}
    return xr.DataArray(shaped, dims=tuple(coords), coords=coords, name=name, attrs=draws.attributes)
