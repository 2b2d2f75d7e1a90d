"""From latent progression to what is recorded: visits, failures, progression-free survival.

A failure is recorded at the first visit at or after the progression, if the patient is alive and followed then; death or the
end of follow-up before that visit leaves it unrecorded. Progression-free survival ends at the recorded failure or at death.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.latent import LatentDeath, progression_times
from sitewise.simulate.progression.schedule import CANDIDATES, ScanSchedule

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Chance:
    """Random numbers of the progression of R cohorts.

    Parameters
    ----------
    censored : ndarray, shape (R, n)
        Uniform on (0, 1): where beyond their censoring the censored would die.
    normal : ndarray, shape (R, n)
        Standard normal: progression apart from death.
    visit : ndarray, shape (R, n, 3)
        Uniform on (-1, 1): how the visits around the progression stray.
    """

    censored: Floats
    normal: Floats
    visit: Floats

    @classmethod
    def draw(cls, stream: np.random.Generator, rows: int, patients: int) -> Self:
        """Draw the random numbers of some cohorts."""
        size = (rows, patients)
        uniform = 1.0 - stream.random(size)  # on (0, 1], so that its logarithm exists
        return cls(uniform, stream.standard_normal(size), stream.uniform(-1.0, 1.0, (*size, CANDIDATES)))

    def where(self, chosen: Mask, other: Chance, /) -> Chance:
        """Return these numbers with those of another set for the chosen patients, shape (R, n)."""
        return Chance(
            np.where(chosen, other.censored, self.censored),
            np.where(chosen, other.normal, self.normal),
            np.where(chosen[..., None], other.visit, self.visit),
        )


@dataclass(frozen=True, eq=False)
class Recorded:
    """Progression as it was and as it was recorded, each of shape (R, n).

    Parameters
    ----------
    progression : ndarray
        Latent times to progression; beyond death for those who never had one.
    failure_time : ndarray
        First recorded failure, or death or end of follow-up without one.
    failure : ndarray of bool
        Whether a failure was recorded.
    event : ndarray of bool
        Whether a failure was recorded or the patient died: the event of progression-free survival, whose time is
        ``failure_time``.
    """

    progression: Floats
    failure_time: Floats
    failure: Mask
    event: Mask


def recorded(schedule: ScanSchedule | None, phi: Floats, cohorts: Cohorts, death: LatentDeath, chance: Chance, /) -> Recorded:
    """Return the progression of cohorts whose survival is given.

    Parameters
    ----------
    schedule : ScanSchedule or None
        Visits in the cohorts' unit of time; None: seen when it happens.
    phi : ndarray, shape (R, 4)
        Parameters.
    cohorts : Cohorts
        Survival and characteristics; nothing of them is changed.
    death : LatentDeath
        Their scores.
    chance : Chance
        Random numbers.
    """
    progression = progression_times(phi, death.complete(chance.censored), death.effect, chance.normal)
    seen = progression if schedule is None else schedule.first_seen(progression, chance.visit)
    # Who dies on the day of a visit is not examined; whose follow-up ends with a visit is.
    failure = np.where(cohorts.event, seen < cohorts.time, seen <= cohorts.time)
    return Recorded(progression, np.where(failure, seen, cohorts.time), failure, failure | cohorts.event)
