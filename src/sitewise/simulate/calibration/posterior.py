"""Posterior over data-generating parameters by approximate Bayesian computation with learned summaries.

Parameters are proposed from the prior times a power of the likelihood, as the moment fit has it: wide where the paper speaks,
the prior itself where it is silent. Each proposal makes one cohort of n patients, because that is what the paper is. The
parameters are regressed on the statistics (the fitted values are the learned summaries: Fearnhead & Prangle 2012, J R Stat Soc
B 74:419), the nearest proposals are kept with an Epanechnikov kernel, a local-linear regression moves them to the published
statistics (Beaumont, Zhang & Balding 2002, Genetics 162:2025), and importance weights prior / proposal turn the proposal into
the prior. Numbers of deaths and joint counts of the cohort itself are carried along: they belong to the paper's patients, not
to the population. They are moved on a scale on which they cannot leave what is possible.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sitewise.problems import EvidenceError
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.moments import MomentFit
from sitewise.simulate.calibration.problem import CHUNK, Problem
from sitewise.simulate.calibration.statistics import inequalities_met
from sitewise.simulate.parts import Floats

STAGE = 1
WIDTHS = (4.0, 2.5)
"""By which the likelihood's precision is divided for the proposals of both rounds."""
FIRST_SHARE = 0.3
"""Of the cohorts that are simulated in the first round."""
KEPT = 0.3
"""Share of proposals that are kept."""
LEAST_KEPT = 200
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


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws.

    Parameters
    ----------
    theta : ndarray, shape (N, p)
        Adjusted parameters.
    derived : ndarray, shape (N, d)
        Adjusted counts; not whole numbers.
    weight : ndarray, shape (N,)
        Sum to 1.
    acceptance : float
        Share of proposals that were kept.
    effective : float
        Effective number of draws.
    """

    theta: Floats
    derived: Floats
    weight: Floats
    acceptance: float
    effective: float

    def mean_and_covariance(self) -> tuple[Floats, Floats]:
        """Return the weighted mean and covariance of the parameters."""
        mean = self.weight @ self.theta
        away = self.theta - mean
        return mean, (away * self.weight[:, None]).T @ away + 1e-10 * np.eye(len(mean))

    def resampled(self, count: int, *, seed: int) -> tuple[Floats, Floats]:
        """Return draws of equal weight by systematic resampling: parameters and counts."""
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STAGE, 1 << 30)))
        places = np.searchsorted(np.cumsum(self.weight), (np.arange(count) + stream.random()) / count)
        places = stream.permutation(np.minimum(places, len(self.weight) - 1))
        return self.theta[places], self.derived[places]


def draw_pool(
    problem: Problem,
    derived: Derived,
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
    """Return a pool of simulated cohorts; the same for any number of workers."""
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
        return theta, statistics, derived(cohorts)

    parts = []
    with ThreadPoolExecutor(workers) as threads:
        for part in threads.map(chunk, range(chunks)):
            parts.append(part)
            done += len(part[0])
            if len(parts) % 8 == 0:
                report(f"posterior: {done} of {size} cohorts")
    theta, statistics, counts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Pool(theta, statistics, counts, centre, covariance)


def posterior_of(problem: Problem, derived: Derived, pool: Pool, /, *, kept: float = KEPT) -> Posterior:
    """Return the posterior that a pool gives for the problem's published numbers.

    Raises
    ------
    EvidenceError
        When too few simulated cohorts meet the paper's conditions (medians that are not reached).
    """
    fitted = problem.fitted
    valid = np.isfinite(pool.statistics[:, fitted]).all(axis=1) & inequalities_met(pool.statistics, problem.targets)
    if valid.sum() < LEAST_KEPT:
        raise EvidenceError(
            f"Of {len(valid)} cohorts simulated near the published numbers {int(valid.sum())} have all of the paper's "
            'statistics and conditions ("not reached"): the numbers do not go together under this model. See the audit, set '
            'the status of one of them to "held_out", or give its group effects of its own (free).'
        )
    theta, statistics = pool.theta[valid], pool.statistics[valid][:, fitted]
    # Where a target's weight is less, noise of the missing variance is added: the likelihood is that of a vaguer number.
    factor = problem.variance_factor
    if (factor > 1).any():
        noise = np.random.default_rng(np.random.SeedSequence(len(theta))).standard_normal(statistics.shape)
        statistics = statistics + noise * statistics.std(axis=0) * np.sqrt(factor - 1)
    centred = (statistics - problem.published[fitted]) / statistics.std(axis=0)
    # Learned summaries: what the statistics say about the parameters, in units of what they leave open.
    coefficients = _regress(centred, theta, np.ones(len(theta)))
    summary = centred @ coefficients[1:]
    left = np.atleast_2d(np.cov(theta - summary, rowvar=False)) + 1e-12 * np.eye(theta.shape[1])
    distance = np.sqrt(np.einsum("ij,ij->i", summary @ np.linalg.inv(left), summary))
    count = min(max(LEAST_KEPT, int(kept * len(distance))), len(distance) - 1)
    radius = np.partition(distance, count)[count]
    chosen = distance < radius
    kernel = 1 - (distance[chosen] / radius) ** 2
    response = np.column_stack([theta, derived.free(pool.derived[valid])])[chosen]
    local = _regress(centred[chosen], response, kernel)
    adjusted = response - centred[chosen] @ local[1:]
    width = theta.shape[1]
    weight = kernel * _prior_over_proposal(problem, pool, adjusted[:, :width])
    weight = weight / weight.sum()
    counts = derived.counts(adjusted[:, width:])
    return Posterior(adjusted[:, :width], counts, weight, float(chosen.mean()), float(1 / np.sum(weight**2)))


def _prior_over_proposal(problem: Problem, pool: Pool, theta: Floats) -> Floats:
    """Return importance weights of adjusted draws; the largest are brought down to the 99.5 % point.

    Adjusted draws are a sample of the posterior under the proposal as a prior; weighting them afterwards leaves the regression,
    which would suffer from uneven weights, to the proposals as they are.
    """
    prior = problem.parameters
    away = np.linalg.solve(np.linalg.cholesky(pool.covariance), (theta - pool.centre).T)
    log_weight = 0.5 * np.sum(away**2, axis=0) - 0.5 * np.sum(((theta - prior.mean) / prior.sd) ** 2, axis=1)
    limit = np.quantile(log_weight, 0.995)
    return np.asarray(np.exp(np.minimum(log_weight, limit) - limit))


def _regress(predictors: Floats, responses: Floats, weight: Floats) -> Floats:
    """Return weighted least-squares coefficients with intercept, shape (1 + K, p); hardly any ridge."""
    design = np.column_stack([np.ones(len(predictors)), predictors])
    weighted = design * weight[:, None]
    gram = weighted.T @ design
    gram[np.diag_indices_from(gram)] += 1e-8 * np.trace(gram) / len(gram)
    return np.linalg.solve(gram, weighted.T @ responses)


def sample_posterior(
    problem: Problem,
    derived: Derived,
    moments: MomentFit,
    /,
    *,
    seed: int,
    size: int,
    workers: int = 1,
    report: Report = lambda message: None,
) -> Posterior:
    """Return the posterior in two rounds: the second proposes around the mean and covariance that the first one found.

    Parameters
    ----------
    problem, derived, moments
        What is calibrated, which counts are carried along, and where the search begins.
    seed : int
        Seed.
    size : int
        Cohorts to simulate in both rounds.
    workers : int
        Threads; the result does not depend on them.
    report : callable
        Told of the progress.
    """
    first = int(FIRST_SHARE * size)

    def drawn(centre: Floats, covariance: Floats, count: int, round_: int) -> Pool:
        return draw_pool(
            problem, derived, centre, covariance, seed=seed, size=count, round_=round_, workers=workers, report=report
        )

    proposal = tempered(problem, moments.theta, moments.covariance, WIDTHS[0])
    rough = posterior_of(problem, derived, drawn(*proposal, first, 0))
    centre, covariance = rough.mean_and_covariance()
    # A first round is noisy: where it found less spread than the Laplace approximation, the wider of the two is proposed from.
    spread = np.maximum(np.diag(covariance), 0.7 * np.diag(moments.covariance))
    stretch = np.sqrt(spread / np.diag(covariance))
    covariance = covariance * np.outer(stretch, stretch)
    return posterior_of(problem, derived, drawn(*tempered(problem, centre, covariance, WIDTHS[1]), size - first, 1))


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
