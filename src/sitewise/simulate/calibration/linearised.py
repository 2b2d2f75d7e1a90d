"""The posterior when statistics are linear in the parameters: a normal likelihood read off a pool of simulated cohorts.

The fitted statistics are regressed on the parameters over the pool: coefficients B and residual covariance S. With the prior,
which is normal, the posterior is normal with precision P + B' S^-1 B (a synthetic likelihood, Wood 2010, Nature 466:1102,
whose mean is linear over the pool). What is asked of the paper's own cohort is regressed on parameters and statistics
together. Neither regression depends on what proposed the parameters, so that no draw is lost to weights, however many
parameters there are; the price is the linearity, over the width of the pool.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_ndtr

from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.pool import Pool, draw_pool, tempered
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.calibration.statistics import inequalities_met
from sitewise.simulate.parts import Floats

FIRST_ROUNDS = (30, 31)
"""Numbers of the pools of :func:`linear_start`, apart from those of the posterior."""
FIRST_SIZE = 1000
FIRST_WIDTH = 4.0
CONDITIONED_DRAWS = 20_000
LEAST_DEGREES = 10
MANY = 10
"""Draws proposed for one that is kept, where conditions have to be met."""
NEAREST = 0.2
"""Share of a pool's cohorts whose residuals are those of counts."""
LOG_SQRT_2_PI = 0.5 * np.log(2 * np.pi)
NEARLY_ALL = 0.995
NEWTON_STEPS = 12


def complete(problem: Problem, pool: Pool) -> NDArray[np.bool_]:
    """Return which cohorts of a pool have all fitted statistics, shape (N,)."""
    return np.asarray(np.isfinite(pool.statistics[:, problem.fitted]).all(axis=1))


def usable(problem: Problem, pool: Pool) -> NDArray[np.bool_]:
    """Return which cohorts of a pool have all fitted statistics and meet the paper's conditions, shape (N,)."""
    return complete(problem, pool) & np.asarray(inequalities_met(pool.statistics, problem.targets))


def linear_posterior(problem: Problem, pool: Pool, /) -> tuple[Floats, Floats]:
    """Return mean (p,) and covariance (p, p) of the parameters given the published numbers, by the linear model of the module.

    Where fewer cohorts are usable than the regression has coefficients it says nothing: the pool's own centre and spread.
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


def linear_draws(problem: Problem, pool: Pool, draws: int, /, *, seed: int) -> Floats:
    """Return draws of the parameters under the linear model, shape (draws, p)."""
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(FIRST_ROUNDS[0],)))
    mean, covariance = linear_posterior(problem, pool)
    theta = mean + stream.standard_normal((MANY * draws, len(mean))) @ np.linalg.cholesky(covariance).T
    chance = np.exp(log_chance(problem, pool)(theta))
    return np.asarray(theta[stream.choice(len(theta), size=draws, p=chance / chance.sum())])


def conditioned_posterior(problem: Problem, pool: Pool, /) -> tuple[Floats, Floats]:
    """Return mean and covariance as :func:`linear_posterior` does, given that the paper's conditions are met, too."""
    if not has_conditions(problem):
        return linear_posterior(problem, pool)
    theta, chance = _chances(problem, pool)
    weight = chance / chance.sum()
    mean = weight @ theta
    away = theta - mean
    return mean, np.asarray((away * weight[:, None]).T @ away)


def chance_of_conditions(problem: Problem, pool: Pool, /) -> float:
    """Return the probability that conditions are met, given the published numbers alone: 1 where there are none."""
    return float(np.mean(_chances(problem, pool)[1])) if has_conditions(problem) else 1.0


def _chances(problem: Problem, pool: Pool) -> tuple[Floats, Floats]:
    """Return draws of the linear model's normal distribution, and the chance of each that conditions are met."""
    mean, covariance = linear_posterior(problem, pool)
    stream = np.random.default_rng(np.random.SeedSequence(len(pool.theta)))
    theta = mean + stream.standard_normal((CONDITIONED_DRAWS, len(mean))) @ np.linalg.cholesky(covariance).T
    return theta, np.exp(log_chance_of_conditions(problem, pool)(theta))


def counts_at(problem: Problem, derived: Derived, pool: Pool, theta: Floats, /, *, seed: int) -> Floats:
    """Return draws of the cohort's counts (draws, d), one at each parameter row (draws, p), given the published numbers.

    They are predicted at the parameters and the published statistics; what the regression leaves is drawn from the residuals of
    the cohorts whose statistics are nearest to the published ones.
    """
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(FIRST_ROUNDS[1],)))
    draws, kept = len(theta), usable(problem, pool)
    mean = linear_posterior(problem, pool)[0]
    away = _away(problem, pool, kept)
    from_mean, asked_from_mean = ((rows - mean) / problem.parameters.sd for rows in (pool.theta[kept], theta))
    # Counts are curves in parameters and statistics: the pool is wide, and its mean cohort has more or fewer deaths than the
    # paper's. Without squares, deaths of simulated papers came out one too high on average.
    design = np.column_stack([np.ones(len(away)), from_mean, from_mean**2, away, away**2])
    asked = np.column_stack([np.ones(draws), asked_from_mean, asked_from_mean**2, np.zeros((draws, 2 * away.shape[1]))])
    free = derived.free(pool.derived[kept])
    gram = design.T @ design
    gram[np.diag_indices_from(gram)] += 1e-6 * np.trace(gram) / len(gram)
    coefficients = np.linalg.solve(gram, design.T @ free)
    left = (free - design @ coefficients) * np.sqrt(len(design) / max(len(design) - design.shape[1], LEAST_DEGREES))
    # Far from the published numbers residuals are larger, there for lack of fit.
    distance = np.einsum("nk,kl,nl->n", away, np.linalg.pinv(np.atleast_2d(np.cov(away, rowvar=False))), away)
    near = np.flatnonzero(distance <= np.quantile(distance, NEAREST))
    return derived.counts(asked @ coefficients + left[stream.choice(near, size=draws)])


def has_conditions(problem: Problem, /) -> bool:
    """Return whether the paper prints an inequality ("not reached") that is fitted."""
    return any(target.inequality and target.status == "fit" for target in problem.targets)


def log_chance(problem: Problem, pool: Pool, /) -> Callable[[Floats], Floats]:
    """Return the log probability, of parameter rows (M, p), that a cohort is usable: the sum of the two below."""
    use, conditions = log_chance_of_use(problem, pool), log_chance_of_conditions(problem, pool)
    return lambda asked: use(asked) + conditions(asked)


def log_chance_of_use(problem: Problem, pool: Pool, /) -> Callable[[Floats], Floats]:
    """Return the log probability, of parameter rows (M, p), that a cohort has all statistics.

    By logistic regression over a pool's parameters, with a weak ridge. The normal likelihood is that of statistics given that;
    a paper that has them all is more likely where most cohorts do.
    """
    kept = complete(problem, pool)
    if kept.mean() > NEARLY_ALL:
        return lambda asked: np.zeros(len(asked))
    own, coefficients = _standardised(problem, pool.theta), np.zeros(pool.theta.shape[1] + 1)
    for _ in range(NEWTON_STEPS):
        chance = expit(own @ coefficients)
        information = (own * (chance * (1 - chance))[:, None]).T @ own + np.eye(own.shape[1])
        coefficients = coefficients + np.linalg.solve(information, own.T @ (kept - chance) - coefficients)
    return lambda asked: np.asarray(log_expit(_standardised(problem, asked) @ coefficients))


def log_chance_of_conditions(problem: Problem, pool: Pool, /) -> Callable[[Floats], Floats]:
    """Return the log probability, of parameter rows (M, p), that a cohort with the published statistics meets the conditions.

    By probit regression on parameters and statistics over the complete cohorts, with a weak ridge: a condition ("not reached")
    is that a number which is not printed lies above a limit, and that number is as normal around a linear function as the
    printed ones. Cohorts that do not meet the conditions are thereby not lost to the model of the statistics, which would be
    left with hardly one in ten where a paper prints several medians that are not reached, and with statistics that are cut off.
    """
    if not has_conditions(problem):
        return lambda asked: np.zeros(len(asked))
    kept = complete(problem, pool)
    own = np.column_stack([_standardised(problem, pool.theta[kept]), _away(problem, pool, kept)])
    sign = np.where(inequalities_met(pool.statistics[kept], problem.targets), 1.0, -1.0)
    coefficients = np.zeros(own.shape[1])
    for _ in range(NEWTON_STEPS):
        index = own @ coefficients
        log_density, log_met, log_not = -0.5 * index**2 - LOG_SQRT_2_PI, log_ndtr(index), log_ndtr(-index)
        score = sign * np.exp(log_density - np.where(sign > 0, log_met, log_not))
        information = (own * np.exp(2 * log_density - log_met - log_not)[:, None]).T @ own + np.eye(own.shape[1])
        coefficients = coefficients + np.linalg.solve(information, own.T @ score - coefficients)
    at_published = coefficients[: 1 + len(problem.parameters)]
    return lambda asked: np.asarray(log_ndtr(_standardised(problem, asked) @ at_published))


def _standardised(problem: Problem, rows: Floats) -> Floats:
    """Return a one and the parameters in prior sds from the prior's mean, shape (M, 1 + p)."""
    return np.column_stack([np.ones(len(rows)), (rows - problem.parameters.mean) / problem.parameters.sd])


def _away(problem: Problem, pool: Pool, kept: NDArray[np.bool_]) -> Floats:
    """Return the statistics of the kept cohorts less the published ones, in sds."""
    statistics = pool.statistics[kept][:, problem.fitted]
    return np.asarray((statistics - problem.published[problem.fitted]) / statistics.std(axis=0))
