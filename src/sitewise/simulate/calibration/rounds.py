"""The posterior over data-generating parameters from rounds of simulated cohorts, by one of three approximations.

Parameters are proposed from the prior times a power of the likelihood, as the moment fit and then a first pool have it: wide
where the paper speaks, the prior itself where it is silent. Each proposal makes one cohort of n patients, because that is what
the paper is. Numbers of deaths and joint counts of the cohort itself are carried along: they belong to the paper's patients,
not to the population. They are moved on a scale on which they cannot leave what is possible.

``abc``: approximate Bayesian computation with learned summaries (:mod:`sitewise.simulate.calibration.posterior`).

``curved``: what the statistics say is normal around a quadratic function of the parameters, with a covariance that depends on
them too, read off a pool near the posterior (:mod:`sitewise.simulate.calibration.curved`).

``linear``: statistics are normal around a linear function of the parameters, with one covariance
(:mod:`sitewise.simulate.calibration.linearised`).

``auto``, the default, tries them in this order: ``curved`` answers where the first leaves too few effective draws, ``linear``
where the pool is too small for curves, or what it shows cannot be believed. `Posterior.method` says which answered.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sitewise.problems import EvidenceError
from sitewise.simulate.calibration.counts import counts_at
from sitewise.simulate.calibration.curved import carries_curves, curved_draws, curved_model
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.elliptical_slice import effective_draws
from sitewise.simulate.calibration.linearised import (
    chance_of_conditions,
    conditioned_posterior,
    linear_draws,
)
from sitewise.simulate.calibration.moments import MomentFit
from sitewise.simulate.calibration.pool import Pool, complete, draw_pool, tempered, usable
from sitewise.simulate.calibration.posterior import (
    LEAST_KEPT,
    Method,
    Posterior,
    posterior_of,
    refuse_contradiction,
    refuse_few,
)
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats

FIRST, WIDE = (0.15, 4.0), (0.2, 2.5)
"""Share of the cohorts of the first two rounds, and by what the likelihood's precision is divided for their proposals: those of
ABC, which the second is for, must be wider than the posterior."""
LOOKING = 16_000
"""Cohorts of a pool beyond which the first two rounds do not grow: they say where to look, which more would not say better."""
CURVED, LINEAR = 1.5, 1.2
"""The same divisor of the last rounds, for the models of the statistics: a line holds best near the posterior."""
CENTRING = 0.3
"""Share of the last rounds' cohorts that say where the others go: curves want to be centred well."""
LINEAR_DRAWS = 1000
LEAST_EFFECTIVE = 500.0
"""Effective draws below which the next method answers."""
Report = Callable[[str], None]


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

    first, wide = (round(share * min(size, LOOKING)) for share, _ in (FIRST, WIDE))
    left = size - first - wide
    mean, covariance = conditioned_posterior(problem, drawn(moments.theta, moments.covariance, FIRST[1], first, 0))
    pool = drawn(mean, covariance, WIDE[1], wide + left if method == "abc" else wide, 1)
    if method == "abc" or (method == "auto" and usable(problem, pool).sum() >= LEAST_KEPT):
        found = posterior_of(problem, derived, pool, seed=seed)
        if method == "abc" or found.effective >= LEAST_EFFECTIVE:
            refuse_contradiction(chance_of_conditions(problem, pool))
            return found
        report(f"posterior: {found.effective:.0f} effective draws by ABC; a model of the statistics answers")
    before, covariance = conditioned_posterior(problem, pool)
    curved = method == "curved" or (method == "auto" and carries_curves(problem, left * complete(problem, pool).mean()))
    if curved:
        centring = drawn(before, covariance, CURVED, round(CENTRING * left), 2)
        before, covariance = conditioned_posterior(problem, centring)
        pool = centring.joined(drawn(before, covariance, CURVED, left - len(centring.theta), 3))
    else:
        pool = drawn(before, covariance, LINEAR, left, 2)
    refuse_contradiction(chance_of_conditions(problem, pool))
    refuse_few(usable(problem, pool))
    draws, effective = _curved(problem, pool, seed=seed) if curved else (None, 0.0)
    if draws is None and method == "curved":
        raise EvidenceError(
            f"A pool of {size} cohorts does not carry quadratic curves in {len(problem.parameters)} parameters that can be "
            'believed: give a larger one, or method "linear".'
        )
    answered: Method = "linear" if draws is None else "curved"
    if draws is None:
        draws, effective = linear_draws(problem, pool, LINEAR_DRAWS, seed=seed)
    counts = counts_at(problem, derived, pool, draws, seed=seed)
    even = np.full(len(draws), 1 / len(draws))
    moved = float(np.max(np.abs(draws.mean(axis=0) - before) / draws.std(axis=0)))
    return Posterior(draws, counts, even, float(complete(problem, pool).mean()), effective, answered, moved)


def _curved(problem: Problem, pool: Pool, *, seed: int) -> tuple[Floats | None, float]:
    """Return draws (N, p) of the curved model and their effective number, or None where it cannot answer."""
    model = curved_model(problem, pool)
    draws = None if model is None else curved_draws(problem, pool, model, seed=seed)
    if draws is None:
        return None, 0.0
    effective = effective_draws(draws)
    return (draws.reshape(-1, draws.shape[-1]), effective) if effective >= LEAST_EFFECTIVE else (None, effective)
