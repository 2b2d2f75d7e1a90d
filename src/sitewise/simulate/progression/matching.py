"""Progression that reproduces a paper, given reconstructed survival: failures, medians and Cox rows as printed.

The random numbers behind a cohort's progression are its state. First whole new states are proposed and the first that meets
every printed number is taken: a draw from the process given the numbers. Where none does, the numbers of a few patients are
proposed anew, and the change is taken with probability min(1, exp(-(new cost - old cost) / temperature)), at falling
temperatures: because proposals come from the process itself, this is a Metropolis chain on process times
exp(-cost / temperature). Survival is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.latent import LatentDeath
from sitewise.simulate.progression.pool import STAGE, Process
from sitewise.simulate.progression.process import Chance, Recorded, recorded

WHOLE = 60
"""Whole states that are tried before parts are changed."""
STEPS = 3000
HOT, COLD = 20.0, 5e-4
"""Temperatures, in the units of the cost: the sum of all misses and their squares, each in tolerances."""
LARGEST_PART = 0.3
"""Of the patients whose numbers are proposed anew at once."""
LEAST_TOLERANCE = 0.01
SOFT = 4.0
"""How much more a soft number may be missed."""


@dataclass(frozen=True, eq=False)
class _State:
    """A state of some cohorts: random numbers, and the cost of what they miss."""

    chance: Chance
    cost: Floats

    def put(self, places: NDArray[np.intp], other: _State, taken: NDArray[np.bool_]) -> None:
        """Take over the states of another set, of the cohorts at some places, where they are taken."""
        for name in ("censored", "normal", "visit"):
            getattr(self.chance, name)[places[taken]] = getattr(other.chance, name)[taken]
        self.cost[places[taken]] = other.cost[taken]


def rows_of(cohorts: Cohorts, rows: NDArray[np.intp]) -> Cohorts:
    """Return some of the cohorts."""
    return Cohorts(
        cohorts.time[rows],
        cohorts.event[rows],
        {name: values[rows] for name, values in cohorts.factors.items()},
        {name: values[rows] for name, values in cohorts.measures.items()},
        cohorts.site[rows],
    )


def matched(
    process: Process, theta: Floats, phi: Floats, cohorts: Cohorts, /, *, seed: int, whole: int = WHOLE, steps: int = STEPS
) -> Recorded:
    """Return progression of cohorts that meets what is printed, as nearly as was found.

    Parameters
    ----------
    process : Process
        What is simulated.
    theta, phi : ndarray, shapes (R, p), (R, 4)
        Parameters of survival and progression.
    cohorts : Cohorts
        R cohorts.
    seed : int
        Seed.
    whole, steps : int
        Whole states tried, then changes of parts.
    """
    death = LatentDeath.of(process.problem, theta, cohorts)
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STAGE, 1 << 29)))
    size = cohorts.time.shape
    tolerance = np.array([_tolerance(process, place) for place in range(len(process.targets.targets))])
    used = np.array([target.status in ("fit", "soft") for target in process.targets.targets])

    def state_of(places: NDArray[np.intp], chance: Chance) -> _State:
        own = rows_of(cohorts, places)
        part = LatentDeath(death.score[places], death.death[places], death.effect[places])
        off = process.targets.misses(own, recorded(process.schedule, phi[places], own, part, chance))
        miss = (off / tolerance)[:, used]
        return _State(chance, (miss + miss**2).sum(axis=1))

    everyone = np.arange(size[0])
    state = state_of(everyone, Chance.draw(stream, *size))
    for _ in range(whole):
        places = np.flatnonzero(state.cost > 0)
        if not places.size:
            break
        proposed = state_of(places, Chance.draw(stream, places.size, size[1]))
        state.put(places, proposed, proposed.cost < state.cost[places])
    for temperature in np.geomspace(HOT, COLD, steps):
        places = np.flatnonzero(state.cost > 0)
        if not places.size:
            break
        share = np.exp(stream.uniform(np.log(1 / size[1]), np.log(LARGEST_PART), (places.size, 1)))
        chosen = stream.random((places.size, size[1])) < share
        current = Chance(state.chance.censored[places], state.chance.normal[places], state.chance.visit[places])
        proposed = state_of(places, current.where(chosen, Chance.draw(stream, places.size, size[1])))
        rise = (proposed.cost - state.cost[places]) / temperature
        state.put(places, proposed, stream.random(places.size) < np.exp(-np.maximum(rise, 0.0)))
    return recorded(process.schedule, phi, cohorts, death, state.chance)


def _tolerance(process: Process, place: int) -> float:
    """Return the size of a miss that counts as one: a patient, a hundredth of a curve or logarithm, or the rounding box."""
    target = process.targets.targets[place]
    softer = SOFT if target.status == "soft" else 1.0
    if target.kind in ("events", "at_risk"):
        return softer
    return softer * (LEAST_TOLERANCE if target.rounds_time else max(LEAST_TOLERANCE, target.rounding))
