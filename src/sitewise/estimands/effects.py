"""Conditional effects: hazard and time ratios of covariates, site effects, their spread and ranks."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sitewise import names
from sitewise.estimands.draws import HazardDraws, hazard_draws
from sitewise.models.fitted import Fitted
from sitewise.models.priors import LOG_RATIO_BETWEEN_SITES
from sitewise.problems import SpecError


def log_hazard_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the log hazard ratios given site, dims (chain, draw, term)."""
    draws = hazard_draws(fit)
    return _wrap(draws, draws.coefficients, names.LOG_HAZARD_RATIO, names.TERM, list(fit.spec.resolved.columns))


def hazard_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the hazard ratios given site, dims (chain, draw, term)."""
    draws = log_hazard_ratios(fit)
    return draws.copy(data=np.exp(draws.to_numpy())).rename("hazard_ratio")


def log_time_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the log time ratios given site, phi = -beta / k draw by draw, dims (chain, draw, term)."""
    draws = hazard_draws(fit)
    values = _to_log_time_ratio(draws, draws.coefficients)
    return _wrap(draws, values, names.LOG_TIME_RATIO, names.TERM, list(fit.spec.resolved.columns))


def time_ratios(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the time ratios given site, dims (chain, draw, term)."""
    draws = log_time_ratios(fit)
    return draws.copy(data=np.exp(draws.to_numpy())).rename("time_ratio")


def site_effects(fit: Fitted, /) -> xr.DataArray:
    """Return draws of each site's log hazard ratio against an average site, dims (chain, draw, site)."""
    draws = hazard_draws(fit)
    _require_sites(fit)
    return _wrap(draws, draws.site_effect, names.SITE_EFFECT, names.SITE, list(fit.spec.resolved.site_labels))


def site_ranks(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the sites' ranks by hazard, 1 the lowest, dims (chain, draw, site)."""
    effects = site_effects(fit)
    ranks = effects.argsort(axis=-1).argsort(axis=-1) + 1
    return effects.copy(data=ranks.to_numpy().astype(float)).rename("site_rank")


def site_sd(fit: Fitted, /, *, metric: str = names.HAZARD_RATIO) -> xr.DataArray:
    """Return draws of the sd of the sites' log hazard (or time) ratios, dims (chain, draw)."""
    draws = hazard_draws(fit)
    if draws.site_sd is None:
        raise SpecError("The model has no random site effects, so no site spread.")
    values = draws.site_sd
    if metric == names.TIME_RATIO:
        values = np.abs(_to_log_time_ratio(draws, values[:, None])[:, 0])
    name = names.SITE_SD_LOG_TIME_RATIO if metric == names.TIME_RATIO else names.SITE_SD_LOG_HAZARD_RATIO
    return _wrap(draws, values, name)


def median_hazard_ratio(fit: Fitted, /) -> xr.DataArray:
    """Return draws of the median hazard ratio between two sites, exp(0.954 sd), dims (chain, draw).

    Larsen & Merlo 2005, Am J Epidemiol 161:81: the median over pairs of sites of the higher over the lower hazard.
    """
    spread = site_sd(fit)
    ratio = np.exp(LOG_RATIO_BETWEEN_SITES * spread.to_numpy())
    return spread.copy(data=ratio).rename(names.MEDIAN_HAZARD_RATIO)


def _require_sites(fit: Fitted) -> None:
    if not fit.spec.has_sites:
        raise SpecError("The model has no site effects.")


def _to_log_time_ratio(draws: HazardDraws, log_hazard_ratio: np.ndarray) -> np.ndarray:
    """Return log time ratios, dividing by the log hazard ratio of a unit log time ratio."""
    columns = tuple(item[:, None] for item in draws.shape)
    return np.asarray(log_hazard_ratio / draws.family.log_hazard_ratio(np.ones((draws.size, 1)), columns))


def _wrap(
    draws: HazardDraws, values: np.ndarray, name: str, dim: str | None = None, labels: list[str] | None = None
) -> xr.DataArray:
    shaped = values.reshape(draws.chains, draws.draws, *values.shape[1:])
    coords: dict[str, object] = {
        names.CHAIN: np.arange(draws.chains),
        names.DRAW: np.arange(draws.draws),
    }
    dims: tuple[str, ...] = (names.CHAIN, names.DRAW)
    if dim is not None:
        dims, coords[dim] = (*dims, dim), labels
    return xr.DataArray(shaped, dims=dims, coords=coords, name=name, attrs=draws.attributes)
