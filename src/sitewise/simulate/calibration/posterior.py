"""Posterior over data-generating parameters from pools of simulated cohorts, by three approximations.

Parameters are proposed from the prior times a power of the likelihood, as the moment fit and then a first pool have it: wide
where the paper speaks, the prior itself where it is silent. Each proposal makes one cohort of n patients, because that is what
the paper is. Numbers of deaths and joint counts of the cohort itself are carried along: they belong to the paper's patients,
not to the population. They are moved on a scale on which they cannot leave what is possible.

``abc``: approximate Bayesian computation. The parameters are regressed on the statistics (the fitted values are the learned
summaries: Fearnhead & Prangle 2012, J R Stat Soc B 74:419), the nearest proposals are kept with an Epanechnikov kernel, a
local-linear regression moves them to the published statistics (Beaumont, Zhang & Balding 2002, Genetics 162:2025), and
importance weights prior / proposal turn the proposal into the prior. It assumes little, but with some twenty parameters and
thirty numbers it leaves few effective draws, and its intervals are then too narrow.

``curved``: what the statistics say is normal around a quadratic function of the parameters, with a covariance that depends on
them too, read off a pool near the posterior (:mod:`sitewise.simulate.calibration.curved`).

``linear``: statistics are normal around a linear function of the parameters, with one covariance
(:mod:`sitewise.simulate.calibration.linearised`).

``auto``, the default, tries them in this order: ``curved`` answers where the first leaves too few effective draws, ``linear``
where the pool is too small for curves, or what it shows cannot be believed. `Posterior.method` says which answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import EvidenceError
from sitewise.simulate.calibration.curved import carries_curves, curved_draws, curved_model
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.elliptical_slice import effective_draws
from sitewise.simulate.calibration.linearised import counts_at, linear_draws, linear_posterior, usable
from sitewise.simulate.calibration.moments import MomentFit
from sitewise.simulate.calibration.pool import STAGE, Pool, draw_pool, tempered
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats

FIRST, WIDE = (0.15, 4.0), (0.2, 2.5)
"""Share of the cohorts of the first two rounds, and by what the likelihood's precision is divided for their proposals: those of
ABC, which the second is for, must be wider than the posterior."""
CURVED, LINEAR = 1.5, 1.2
"""The same divisor of the last rounds, for the models of the statistics: a line holds best near the posterior."""
CENTRING = 0.3
"""Share of the last rounds' cohorts that say where the others go: curves want to be centred well."""
KEPT = 0.3
"""Share of proposals that are kept."""
LEAST_KEPT = 200
LARGE_POOL = 100_000
"""The largest pool that is worth asking for."""
LINEAR_DRAWS = 1000
Method = Literal["auto", "curved", "linear", "abc"]
LEAST_EFFECTIVE = 500.0
"""Effective draws below which the next method answers."""
Report = Callable[[str], None]


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


def posterior_of(problem: Problem, derived: Derived, pool: Pool, /, *, kept: float = KEPT) -> Posterior:
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
    left = response - local[0] - centred[chosen] @ local[1:]
    # Residuals of a regression with many coefficients are smaller than what they stand for.
    effective = kernel.sum() ** 2 / np.sum(kernel**2)
    adjusted = local[0] + left * np.sqrt(effective / max(effective - len(local), 0.1 * effective))
    width = theta.shape[1]
    weight = kernel * _prior_over_proposal(problem, pool, adjusted[:, :width])
    weight = weight / weight.sum()
    counts = derived.counts(adjusted[:, width:])
    return Posterior(adjusted[:, :width], counts, weight, float(chosen.mean()), float(1 / np.sum(weight**2)))


def refuse_few(usable_cohorts: NDArray[np.bool_]) -> None:
    """Refuse to go on with too few cohorts that have all statistics and meet the conditions, with the remedy.

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
        'and conditions ("not reached"): the numbers do not go together under this model. See the audit, set the status of '
        'one of them to "held_out", or give its group effects of its own (free).'
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


def sample_posterior(
    problem: Problem,
    derived: Derived,
    moments: MomentFit,
    /,
    *,
    seed: int,
    size: int,
    method: Method = "auto",
    workers: int = 1,
    report: Report = lambda message: None,
) -> Posterior:
    """Return the posterior in rounds: each proposes around what a linear model finds in the one before.

    Parameters
    ----------
    problem, derived, moments
        What is calibrated, which counts are carried along, and where the search begins.
    seed : int
        Seed.
    size : int
        Cohorts to simulate in all rounds.
    method : str
        ``auto``, ``abc``, ``curved`` or ``linear``; see the module.
    workers : int
        Threads; the result does not depend on them.
    report : callable
        Told of the progress.

    Returns
    -------
    Posterior
        4,000 draws of equal weight by ``curved``, 1,000 by ``linear``; by ``abc`` as many weighted ones as proposals were kept.

    Raises
    ------
    EvidenceError
        When too few simulated cohorts have the paper's statistics and meet its conditions, and when ``curved`` is asked for
        with a pool that does not carry curves.
    """

    def drawn(mean: Floats, covariance: Floats, width: float, count: int, round_: int) -> Pool:
        centre, spread = tempered(problem, mean, covariance, width)
        return draw_pool(problem, derived, centre, spread, seed=seed, size=count, round_=round_, workers=workers, report=report)

    first, wide = round(FIRST[0] * size), round(WIDE[0] * size)
    left = size - first - wide
    mean, covariance = linear_posterior(problem, drawn(moments.theta, moments.covariance, FIRST[1], first, 0))
    pool = drawn(mean, covariance, WIDE[1], wide + left if method == "abc" else wide, 1)
    if method == "abc" or (method == "auto" and usable(problem, pool).sum() >= LEAST_KEPT):
        found = posterior_of(problem, derived, pool)
        if method == "abc" or found.effective >= LEAST_EFFECTIVE:
            return found
        report(f"posterior: {found.effective:.0f} effective draws by ABC; a model of the statistics answers")
    before, covariance = linear_posterior(problem, pool)
    curved = method == "curved" or (method == "auto" and carries_curves(problem, left * usable(problem, pool).mean()))
    if curved:
        centring = drawn(before, covariance, CURVED, round(CENTRING * left), 2)
        before, covariance = linear_posterior(problem, centring)
        pool = centring.joined(drawn(before, covariance, CURVED, left - len(centring.theta), 3))
    else:
        pool = drawn(before, covariance, LINEAR, left, 2)
    refuse_few(usable(problem, pool))
    draws, effective = _curved(problem, pool, seed=seed) if curved else (None, 0.0)
    if draws is None and method == "curved":
        raise EvidenceError(
            f"A pool of {size} cohorts does not carry quadratic curves in {len(problem.parameters)} parameters that can be "
            'believed: give a larger one, or method "linear".'
        )
    answered: Method = "linear" if draws is None else "curved"
    if draws is None:
        draws, effective = linear_draws(problem, pool, LINEAR_DRAWS, seed=seed), float(LINEAR_DRAWS)
    counts = counts_at(problem, derived, pool, draws, seed=seed)
    even = np.full(len(draws), 1 / len(draws))
    moved = float(np.max(np.abs(draws.mean(axis=0) - before) / draws.std(axis=0)))
    return Posterior(draws, counts, even, float(usable(problem, pool).mean()), effective, answered, moved)


def _curved(problem: Problem, pool: Pool, *, seed: int) -> tuple[Floats | None, float]:
    """Return draws (N, p) of the curved model and their effective number, or None where it cannot answer."""
    model = curved_model(problem, pool)
    draws = None if model is None else curved_draws(problem, pool, model, seed=seed)
    if draws is None:
        return None, 0.0
    effective = effective_draws(draws)
    return (draws.reshape(-1, draws.shape[-1]), effective) if effective >= LEAST_EFFECTIVE else (None, effective)
