"""Latent times of death and progression: normal scores of death given what was observed, and progression that depends on them.

The score of a patient's time to death T is z = Phi^-1(1 - S(T | characteristics)) with the survival of the calibrated process,
sites averaged over their prior: reconstructed patients' sites are drawn from it, whatever their outcome. It is standard normal
in that process. A death that was observed has its score; a patient who was censored at C has one beyond that of C, drawn from
the normal distribution cut there, so that nothing observed is changed and the joint law is the process's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import log_ndtr, ndtri, ndtri_exp

from sitewise.families import BASELINES
from sitewise.simulate.calibration.assumptions import Assumptions
from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.parameters import EFFECT, guarantee_times
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.model import ATANH_RHO, LOG_MEDIAN, LOG_SHAPE, NAMES, SHARE

NODES = 48
LOG_HAZARDS = np.linspace(-40.0, 12.0, 5201)
"""Grid of log cumulative hazards on which scores are tabulated; between its points they are nearly straight."""


@dataclass(frozen=True, eq=False)
class LatentDeath:
    """What is known of the normal scores of death of R cohorts.

    Parameters
    ----------
    score : ndarray, shape (R, n)
        Of the observed time: the score itself for a death, the least it can be for a censored patient.
    death : ndarray of bool, shape (R, n)
        Whether the time is a death.
    effect : ndarray, shape (R, n)
        Log hazard ratios of death against the mean patient.
    """

    score: Floats
    death: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    effect: Floats

    @classmethod
    def of(cls, problem: Problem, theta: Floats, cohorts: Cohorts) -> LatentDeath:
        """Return the scores of cohorts under the parameter rows, shape (R, p), that they come from."""
        values = problem.parameters.named(theta)
        generator, family = problem.generator, BASELINES[problem.assumptions.family]()
        shape = generator.shapes(values)
        log_scale = generator.log_medians(values) - family.log_time(np.log(np.log(2.0)), 0.0, shape)
        effect = generator.linear_predictor(values, cohorts.factors, cohorts.measures)
        tau = guarantee_times(values, problem.parameters, problem.assumptions)[:, None]
        after = cohorts.time > tau
        log_time = np.log(np.where(after, cohorts.time - tau, 1.0))
        with np.errstate(divide="ignore"):
            log_hazard = family.log_cumulative_hazard(log_time, log_scale[:, None], tuple(item[:, None] for item in shape))
        # Annealed times may come before the guarantee time of the draw; such a death counts as the earliest of n.
        early = np.where(cohorts.event, ndtri(0.5 / cohorts.time.shape[1]), -np.inf)
        score = np.where(after, scores(log_hazard + effect, problem.assumptions), early)
        return cls(score, cohorts.event, effect - mean_effect(problem, theta)[:, None])

    def complete(self, uniform: Floats) -> Floats:
        """Return the scores of all patients: those of the censored are drawn beyond their censoring with numbers on (0, 1)."""
        with np.errstate(divide="ignore"):
            beyond = -ndtri_exp(np.log(uniform) + _log_upper(self.score))
        return np.asarray(np.where(self.death, self.score, beyond))


def _log_upper(score: Floats) -> Floats:
    return np.asarray(log_ndtr(-score))


def scores(log_hazard: Floats, assumptions: Assumptions, /) -> Floats:
    """Return normal scores of times with given log cumulative hazards at an average site, sites averaged over their prior."""
    fixed = assumptions.site_sd
    table = _table(assumptions.site_sd_scale if fixed is None else fixed, fixed is None)
    return np.interp(log_hazard, LOG_HAZARDS, table)


@lru_cache(maxsize=8)
def _table(spread: float, spread_is_drawn: bool) -> Floats:
    """Return Phi^-1(1 - E exp(-H exp(b))) on the grid, with b of the sites' distribution by Gauss-Hermite quadrature.

    Where the spread itself is half-normal, b is the product of two normal variables and the scale.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    effect, weight = spread * nodes, weights
    if spread_is_drawn:
        effect, weight = (spread * np.outer(nodes, nodes)).ravel(), np.outer(weights, weights).ravel()
    dead, alive = np.zeros(LOG_HAZARDS.size), np.zeros(LOG_HAZARDS.size)
    for own, share in zip(effect, weight, strict=True):
        hazard = np.exp(np.minimum(LOG_HAZARDS + own, 700.0))
        dead -= share * np.expm1(-hazard)
        alive += share * np.exp(-hazard)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(dead < 0.5, ndtri(dead), -ndtri(np.maximum(alive, 1e-300))))


def mean_effect(problem: Problem, theta: Floats, /) -> Floats:
    """Return the mean log hazard ratio of the paper's patients, shape (R,), numeric characteristics at their medians."""
    values = problem.parameters.named(theta)
    mean = np.zeros(len(theta))
    for item in problem.structure.factors:
        shares = np.asarray(item.counts) / sum(item.counts)
        for number, name in enumerate(item.effects, start=1):
            mean += float(shares[np.asarray(item.classes) == number].sum()) * values[EFFECT + name]
    return mean


def progression_times(phi: Floats, death: Floats, effect: Floats, normal: Floats) -> Floats:
    """Return latent times to progression.

    Parameters
    ----------
    phi : ndarray, shape (R, 4)
        Parameter rows of :class:`~sitewise.simulate.progression.model.ProgressionModel`.
    death : ndarray, shape (R, n)
        Normal scores of death.
    effect : ndarray, shape (R, n)
        Log hazard ratios of death against the mean patient.
    normal : ndarray, shape (R, n)
        Standard normal: what of progression does not go with death.
    """
    values = {name: phi[:, place, None] for place, name in enumerate(NAMES)}
    rho = np.tanh(values[ATANH_RHO])
    score = rho * death + np.sqrt(1 - rho**2) * normal
    log_hazard = np.log(-_log_upper(score)) - values[SHARE] * effect
    return np.asarray(np.exp(values[LOG_MEDIAN] + (log_hazard - np.log(np.log(2.0))) / np.exp(values[LOG_SHAPE])))
