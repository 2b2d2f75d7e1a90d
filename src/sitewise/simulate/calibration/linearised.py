"""The posterior when statistics are linear in the parameters: a normal likelihood read off a pool of simulated cohorts.

The fitted statistics are regressed on the parameters over the pool: coefficients B and residual covariance S. With the prior,
which is normal, the posterior is normal with precision P + B' S^-1 B (a synthetic likelihood, Wood 2010, Nature 466:1102,
whose mean is linear over the pool). The regression does not depend on what proposed the parameters, so that no draw is lost to
weights, however many parameters there are; the price is the linearity, over the width of the pool.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, log_expit

from sitewise.simulate.calibration.conditions import LEAST_DEGREES, NEARLY_ALL, Conditions
from sitewise.simulate.calibration.pool import Pool, complete, draw_pool, tempered
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats

FIRST_ROUNDS = (30, 31)
"""Numbers of the pools of :func:`linear_start`, apart from those of the posterior."""
FIRST_SIZE = 1000
FIRST_WIDTH = 4.0
MANY = 10
"""Draws proposed for one that is kept."""
NEWTON_STEPS = 12


def linear_posterior(problem: Problem, pool: Pool, /) -> tuple[Floats, Floats]:
    """Return mean (p,) and covariance (p, p) of the parameters given the published numbers, by the linear model of the module.

    Where fewer cohorts are complete than the regression has coefficients it says nothing: the pool's own centre and spread.
    """
    prior, kept = problem.parameters, complete(problem, pool)
    if kept.sum() < len(prior) + 1 + LEAST_DEGREES:
        return pool.centre, pool.covariance
    theta, statistics = pool.theta[kept], pool.statistics[kept][:, problem.fitted]
    design = np.column_stack([np.ones(len(theta)), (theta - prior.mean) / prior.sd])
    coefficients = np.linalg.lstsq(design, statistics, rcond=None)[0]
    left = statistics - design @ coefficients
    weight = problem.weight(left * np.sqrt(len(theta) / (len(theta) - design.shape[1])), ridge=0.0)
    slope = coefficients[1:].T
    covariance = np.linalg.inv(np.eye(len(prior)) + slope.T @ weight @ slope)
    mean = covariance @ (slope.T @ weight @ (problem.published[problem.fitted] - coefficients[0]))
    return prior.mean + prior.sd * mean, covariance * np.outer(prior.sd, prior.sd)


def linear_start(problem: Problem, /, *, seed: int, workers: int = 1) -> tuple[Floats, Floats]:
    """Return where to begin looking for parameters, shape (p,), and derivatives of all statistics there, shape (K, p).

    They come from two rounds of the linear model, the first over the prior.

    The first round finds hazard ratios and times. How characteristics depend on each other shows in products of correlations
    and effects, which are linear only once the effects are known: in the second.
    """
    prior = problem.parameters
    centre, covariance = prior.mean, np.diag(prior.sd**2)
    for round_ in FIRST_ROUNDS:
        pool = draw_pool(problem, None, centre, covariance, seed=seed, size=FIRST_SIZE, round_=round_, workers=workers)
        mean, own = linear_posterior(problem, pool)
        centre, covariance = tempered(problem, mean, own, FIRST_WIDTH)
    statistics = np.where(np.isfinite(pool.statistics), pool.statistics, np.nanmean(pool.statistics, axis=0))
    design = np.column_stack([np.ones(len(pool.theta)), (pool.theta - prior.mean) / prior.sd])
    slope = np.linalg.lstsq(design, statistics, rcond=None)[0][1:].T / prior.sd
    return mean, np.asarray(slope)


def linear_draws(problem: Problem, pool: Pool, draws: int, /, *, seed: int) -> tuple[Floats, float]:
    """Return draws of the parameters under the linear model, shape (draws, p), and their effective number."""
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(FIRST_ROUNDS[0],)))
    mean, covariance = linear_posterior(problem, pool)
    theta = mean + stream.standard_normal((MANY * draws, len(mean))) @ np.linalg.cholesky(covariance).T
    log_weight = log_chance(problem, pool)(theta)
    weight = np.exp(log_weight - log_weight.max())
    effective = min(float(draws), float(weight.sum() ** 2 / np.sum(weight**2)))
    return np.asarray(theta[stream.choice(len(theta), size=draws, p=weight / weight.sum())]), effective


def conditioned_posterior(problem: Problem, pool: Pool, /) -> tuple[Floats, Floats]:
    """Return mean and covariance as :func:`linear_posterior` does, given that the paper's conditions are met, too."""
    return Conditions.fitted(problem, pool).moments(*linear_posterior(problem, pool))


def chance_of_conditions(problem: Problem, pool: Pool, /) -> float:
    """Return how likely a cohort with the published numbers meets the conditions, at their conditioned mean."""
    conditions = Conditions.fitted(problem, pool)
    return float(np.exp(conditions.log_chance(conditions.moments(*linear_posterior(problem, pool))[0])))


def log_chance(problem: Problem, pool: Pool, /) -> Callable[[Floats], Floats]:
    """Return the log chance of parameter rows (M, p): that a cohort has all statistics, and then meets the conditions."""
    of_use, conditions = log_chance_of_use(problem, pool), Conditions.fitted(problem, pool)
    return lambda asked: of_use(asked) + conditions.log_chance(asked)


def log_chance_of_use(problem: Problem, pool: Pool, /) -> Callable[[Floats], Floats]:
    """Return the log probability, of parameter rows (M, p), that a cohort has all statistics.

    By logistic regression over a pool's parameters, with a weak ridge. The normal likelihood is that of statistics given that;
    a paper that has them all is more likely where most cohorts do.
    """
    kept = complete(problem, pool)
    if kept.mean() > NEARLY_ALL:
        return lambda asked: np.zeros(len(asked))
    prior = problem.parameters

    def design(rows: Floats) -> Floats:
        return np.column_stack([np.ones(len(rows)), (rows - prior.mean) / prior.sd])

    own, coefficients = design(pool.theta), np.zeros(pool.theta.shape[1] + 1)
    for _ in range(NEWTON_STEPS):
        chance = expit(own @ coefficients)
        information = (own * (chance * (1 - chance))[:, None]).T @ own + np.eye(own.shape[1])
        coefficients = coefficients + np.linalg.solve(information, own.T @ (kept - chance) - coefficients)
    return lambda asked: np.asarray(log_expit(design(asked) @ coefficients))
