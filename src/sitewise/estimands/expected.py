"""Events that the model expects of the cohort's own patients: against what was seen, by site or early on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sitewise.estimands.draws import index_draws
from sitewise.estimands.shape_draws import index_factor, shape_draws
from sitewise.models.fitted import Fitted, completed_fits
from sitewise.models.model_data import slope_rows
from sitewise.models.resolve import prepare
from sitewise.models.shape_regression import log_shape_ratios
from sitewise.problems import SpecError

Floats = NDArray[np.float64]


def expected_events(fit: Fitted, /, times: ArrayLike, *, own_sites: bool = False) -> Floats:
    """Return each patient's posterior mean cumulative hazard from their entry to a time, at an average site or their own.

    Its sum over patients is the number of events that the model expects by then of patients who are all followed to it.

    Parameters
    ----------
    fit : Fitted
        A fit.
    times : array_like, shape (n,) or scalar
        Time for each patient, or one for all, in the cohort's unit.
    own_sites : bool
        Whether patients are at their own sites, and in their own further groups; default average ones.

    Returns
    -------
    ndarray, shape (n,)
    """
    if completed_fits(fit):
        each = [expected_events(own, times, own_sites=own_sites) for own in completed_fits(fit)]
        return np.asarray(np.mean(each, axis=0))
    cohort = fit.cohort
    until = np.broadcast_to(np.asarray(times, dtype=float), cohort.time.shape)
    if not np.isfinite(until).all() or (until < 0).any():
        raise SpecError("Times must be finite numbers that are zero or positive.")
    draws, data = index_draws(fit), prepare(fit.spec, cohort)
    predictor = draws.coefficients @ data.covariates.T
    if own_sites and fit.spec.has_sites:
        predictor = predictor + draws.site_effect[:, data.site]
        for place, distance in enumerate(slope_rows(fit.spec, data).T):
            predictor += draws.site_slope[:, data.site, place] * distance
    if own_sites and data.grouping is not None:
        for effect, position in zip(draws.grouping_effects, data.grouping.T, strict=True):
            predictor = predictor + effect[:, position]
    scale, shape = draws.columns()
    if fit.spec.shape_differs:
        shapes = shape_draws(fit)
        by_site = shapes.site if own_sites and fit.spec.shape_sites else None
        log_ratio = np.broadcast_to(
            log_shape_ratios(shapes.coefficients, by_site, data.shape_covariates, data.site), predictor.shape
        )
        predictor = predictor * index_factor(draws, log_ratio, stretched=shapes.stretched)
        shape = (shape[0] * np.exp(log_ratio), *shape[1:])

    def hazard(when: Floats) -> Floats:
        since = when - fit.spec.guarantee_time
        log_time = np.log(np.where(since > 0, since, 1.0))
        each = draws.family.log_cumulative_hazard_of(predictor, log_time[None], scale, shape)
        return np.where(since > 0, np.exp(each).mean(axis=0), 0.0)

    return np.maximum(hazard(until) - hazard(cohort.entry), 0.0)
