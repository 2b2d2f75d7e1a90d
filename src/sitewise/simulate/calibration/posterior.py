"""Weighted draws of data-generating parameters, and how approximate Bayesian computation gets them from a pool.

The parameters of simulated cohorts are regressed on their statistics (the fitted values are the learned summaries: Fearnhead
& Prangle 2012, J R Stat Soc B 74:419), the nearest proposals are kept with an Epanechnikov kernel, a local-linear regression
moves them to the published statistics (Beaumont, Zhang & Balding 2002, Genetics 162:2025), and importance weights prior /
proposal turn the proposal into the prior. It assumes little, but with some twenty parameters and thirty numbers it leaves few
effective draws, and its intervals are then too narrow. Counts of the paper's own patients follow from parameters and numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import EvidenceError
from sitewise.simulate.calibration.counts import counts_at
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.pool import STAGE, Pool, away_from_published, usable
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats

KEPT = 0.3
"""Share of proposals that are kept."""
LEAST_KEPT = 200
LARGE_POOL = 100_000
"""The largest pool that is worth asking for."""
REMEDY = (
    'the numbers do not go together under this model. See the audit, set the status of one of them to "held_out", or give its '
    "group effects of its own (free)."
)
Method = Literal["auto", "curved", "linear", "abc"]


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
    method : str
        ``abc``, ``curved`` or ``linear``.
    moved : float
        By how many posterior sds the last round moved the mean, at most over parameters: the certificate of both models.
    """

    theta: Floats
    derived: Floats
    weight: Floats
    acceptance: float
    effective: float
    method: Method = "abc"
    moved: float = float("nan")

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


def posterior_of(problem: Problem, derived: Derived, pool: Pool, /, *, seed: int, kept: float = KEPT) -> Posterior:
    """Return the posterior that a pool gives for the problem's published numbers.

    Raises
    ------
    EvidenceError
        When too few simulated cohorts meet the paper's conditions (medians that are not reached).
    """
    fitted = problem.fitted
    valid = usable(problem, pool)
    refuse_few(valid)
    theta, statistics = pool.theta[valid], pool.statistics[valid][:, fitted]
    # Where a target's weight is less, noise of the missing variance is added: the likelihood is that of a vaguer number.
    factor = problem.variance_factor
    if (factor > 1).any():
        noise = np.random.default_rng(np.random.SeedSequence(len(theta))).standard_normal(statistics.shape)
        statistics = statistics + noise * statistics.std(axis=0) * np.sqrt(factor - 1)
    centred = away_from_published(problem, statistics)
    # Learned summaries: what the statistics say about the parameters, in units of what they leave open.
    coefficients = _regress(centred, theta, np.ones(len(theta)))
    summary = centred @ coefficients[1:]
    left = np.atleast_2d(np.cov(theta - summary, rowvar=False)) + 1e-12 * np.eye(theta.shape[1])
    distance = np.sqrt(np.einsum("ij,ij->i", summary @ np.linalg.inv(left), summary))
    count = min(max(LEAST_KEPT, int(kept * len(distance))), len(distance) - 1)
    radius = np.partition(distance, count)[count]
    chosen = distance < radius
    kernel = 1 - (distance[chosen] / radius) ** 2
    local = _regress(centred[chosen], theta[chosen], kernel)
    left = theta[chosen] - local[0] - centred[chosen] @ local[1:]
    # Residuals of a regression with many coefficients are smaller than what they stand for.
    effective = kernel.sum() ** 2 / np.sum(kernel**2)
    adjusted = local[0] + left * np.sqrt(effective / max(effective - len(local), 0.1 * effective))
    weight = kernel * _prior_over_proposal(problem, pool, adjusted)
    weight = weight / weight.sum()
    counts = counts_at(problem, derived, pool, adjusted, seed=seed)
    return Posterior(adjusted, counts, weight, float(chosen.mean()), float(1 / np.sum(weight**2)))


def refuse_few(usable_cohorts: NDArray[np.bool_]) -> None:
    """Refuse to go on with too few cohorts that have all statistics and meet the conditions.

    Raises
    ------
    EvidenceError
        That asks for a larger pool where that would do, and says that the numbers do not go together where it would not.
    """
    count, share = int(usable_cohorts.sum()), float(usable_cohorts.mean())
    if count >= LEAST_KEPT:
        return
    if share * LARGE_POOL >= LEAST_KEPT:
        wanted = int(np.ceil(3 * LEAST_KEPT / share / 1000) * 1000)
        raise EvidenceError(
            f"{count} of {len(usable_cohorts)} simulated cohorts have all of the paper's statistics and meet its conditions; "
            f"at least {LEAST_KEPT} are needed. Give a pool of {wanted} or more; where that is not plausible, see the audit."
        )
    raise EvidenceError(
        f"Of {len(usable_cohorts)} cohorts simulated near the published numbers {count} have all of the paper's statistics "
        f'and conditions ("not reached"): {REMEDY}'
    )


def refuse_contradiction(chance: float) -> None:
    """Refuse numbers that leave next to no chance that the paper's conditions are met.

    Raises
    ------
    EvidenceError
        That names what can be done.
    """
    if not chance * LARGE_POOL >= LEAST_KEPT:
        raise EvidenceError(
            f'A cohort that has the published numbers meets the paper\'s conditions ("not reached") with probability '
            f"{chance:.1g}: {REMEDY}"
        )


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
