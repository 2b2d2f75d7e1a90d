"""Pools of simulated cohorts: parameters proposed from a normal distribution, one cohort each, its statistics and counts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.problem import CHUNK, Problem
from sitewise.simulate.calibration.statistics import inequalities_met
from sitewise.simulate.parts import Floats

STAGE = 1
NEAREST = 0.8
"""Share of a pool's cohorts that say what holds at the published numbers: those with the nearest ones."""
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Pool:
    """Simulated pairs of parameters and statistics.

    Parameters
    ----------
    theta : ndarray, shape (N, p)
        Parameters, drawn from Normal(centre, covariance).
    statistics : ndarray, shape (N, K)
        Of one cohort each.
    derived : ndarray, shape (N, d)
        Counts of that cohort.
    centre, covariance : ndarray, shape (p,), (p, p)
        Of the normal distribution that proposed them.
    """

    theta: Floats
    statistics: Floats
    derived: Floats
    centre: Floats
    covariance: Floats

    def joined(self, other: Pool, /) -> Pool:
        """Return the cohorts of both, for regressions, which do not ask what proposed them; the proposal is the other's."""
        rows = (self.theta, other.theta), (self.statistics, other.statistics), (self.derived, other.derived)
        theta, statistics, derived = (np.concatenate(pair) for pair in rows)
        return Pool(theta, statistics, derived, other.centre, other.covariance)


def draw_pool(
    problem: Problem,
    derived: Derived | None,
    centre: Floats,
    covariance: Floats,
    /,
    *,
    seed: int,
    size: int,
    round_: int = 0,
    workers: int = 1,
    report: Report = lambda message: None,
) -> Pool:
    """Return a pool of simulated cohorts; the same for any number of workers.

    Parameters
    ----------
    problem : Problem
        What is simulated.
    derived : Derived or None
        Which counts are carried along.
    centre, covariance : ndarray, shape (p,), (p, p)
        Of the normal distribution that proposes.
    seed, round_ : int
        Seed, and which pool of it.
    size : int
        Cohorts.
    workers : int
        Threads.
    report : callable
        Told of the progress.
    """
    factor = np.linalg.cholesky(covariance)
    prior = problem.parameters
    chunks = -(-size // CHUNK)
    done = 0

    def chunk(number: int) -> tuple[Floats, Floats, Floats]:
        count = min(CHUNK, size - number * CHUNK)
        stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(STAGE, round_, number, 0))))
        standard = stream.standard_normal((count, len(prior)))
        theta = centre + standard @ factor.T
        random = problem.randomness(seed, count, stage=STAGE + 10 * round_, first=number)
        cohorts, statistics = problem.simulate(theta, random)
        return theta, statistics, derived(cohorts) if derived is not None else np.empty((count, 0))

    parts = []
    with ThreadPoolExecutor(workers) as threads:
        for part in threads.map(chunk, range(chunks)):
            parts.append(part)
            done += len(part[0])
            if len(parts) % 8 == 0:
                report(f"posterior: {done} of {size} cohorts")
    theta, statistics, counts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Pool(theta, statistics, counts, centre, covariance)


def complete(problem: Problem, pool: Pool, /) -> NDArray[np.bool_]:
    """Return which cohorts of a pool have all fitted statistics, shape (N,)."""
    return np.asarray(np.isfinite(pool.statistics[:, problem.fitted]).all(axis=1))


def usable(problem: Problem, pool: Pool, /) -> NDArray[np.bool_]:
    """Return which cohorts of a pool have all fitted statistics and meet the paper's conditions, shape (N,)."""
    return complete(problem, pool) & np.asarray(inequalities_met(pool.statistics, problem.targets))


def away_from_published(problem: Problem, statistics: Floats, /) -> Floats:
    """Return fitted statistics (N, K) less the published ones, in their sds over the cohorts; 0 where none varies.

    What is the same in every cohort says nothing; a constant beside the intercept of a regression would take its place.
    """
    varies = np.ptp(statistics, axis=0) > 0  # the sd of equal numbers may be that of their sum's rounding
    sd = np.where(varies, statistics.std(axis=0), 1.0)
    return np.asarray((statistics - problem.published[problem.fitted]) / sd * varies)


def nearness(away: Floats, /) -> Floats:
    """Return how much cohorts count for what holds at the published numbers, shape (N,): 0 beyond the nearest, up to 1.

    An Epanechnikov kernel of the distance of their statistics less the published ones, ``away`` (N, k), by the covariance.
    """
    if not away.shape[1]:
        return np.ones(len(away))
    precision = np.linalg.pinv(np.atleast_2d(np.cov(away, rowvar=False)))
    distance = np.einsum("nk,kl,nl->n", away, precision, away)
    return np.asarray(np.maximum(1 - distance / max(float(np.quantile(distance, NEAREST)), np.finfo(float).tiny), 0.0))


def tempered(problem: Problem, mean: Floats, covariance: Floats, width: float) -> tuple[Floats, Floats]:
    """Return mean and covariance of the prior times the likelihood to the power 1 / width.

    In coordinates in which the prior is standard normal a posterior with precision I + L and mean m comes from a likelihood
    with precision L; its power has precision L / width. Where the paper says nothing L is 0 and the proposal is the prior, so
    that parameters it is silent about cost no effective draws. Directions in which the posterior seems wider than the prior
    (by sampling error) count as silent.
    """
    prior = problem.parameters
    values, vectors = np.linalg.eigh(covariance / np.outer(prior.sd, prior.sd))
    precision = np.maximum(1 / np.maximum(values, 1e-12) - 1, 0.0)
    centre = vectors.T @ ((mean - prior.mean) / prior.sd)
    centre = centre * ((1 + precision) * (precision > 0) / width) / (1 + precision / width)
    spread = vectors * np.sqrt(1 / (1 + precision / width))
    found = (spread @ spread.T) * np.outer(prior.sd, prior.sd)
    return np.asarray(prior.mean + prior.sd * (vectors @ centre)), np.asarray(0.5 * (found + found.T))
