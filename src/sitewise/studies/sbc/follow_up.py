"""How long each patient would be watched: censoring times for simulated cohorts, like those of a cohort."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.cohort.kaplan_meier import kaplan_meier

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Potential censoring times of a cohort's patients.

    A censored patient keeps their own time. For one with an event it is known only to lie beyond: it is drawn from the reverse
    Kaplan-Meier curve (Schemper & Smith 1996, Control Clin Trials 17:343), given that. Where the curve has no mass beyond, and
    where nobody was censored, it is the longest time of the cohort, or the patient's own.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Observed times.
    event : ndarray of bool, shape (n,)
        Whether they are events.
    step, share : ndarray, shape (m,)
        Times at which the reverse Kaplan-Meier curve falls, and its value after each.
    visit, gap : ndarray, shape (n,)
        A time at which the patient was examined, and the time between two such; a gap of zero where event times are exact. A
        patient whose event lay in an interval is taken to be examined at its ends and as regularly before and after.
    """

    time: Floats
    event: NDArray[np.bool_]
    step: Floats
    share: Floats
    visit: Floats
    gap: Floats

    @classmethod
    def of(cls, cohort: Cohort) -> FollowUp:
        """Return the follow-up of a cohort."""
        event = cohort.event > 0
        curve = kaplan_meier(cohort.time, ~event)
        lower = cohort.time if cohort.lower is None else cohort.lower
        step, share = np.asarray(curve.time, dtype=float), np.asarray(curve.survival, dtype=float)
        return cls(cohort.time, event, step, share, lower, cohort.time - lower)

    def some(self, rows: NDArray[np.int64]) -> FollowUp:
        """Return the follow-up of the patients at these positions, from the curve of all."""
        own = {name: getattr(self, name)[rows] for name in ("time", "event", "visit", "gap")}
        return replace(self, **own)

    def last_visit(self, time: Floats) -> Floats:
        """Return the time of each patient's last examination before a time; the time itself where event times are exact."""
        gap = np.where(self.gap > 0, self.gap, 1.0)
        return np.where(self.gap > 0, self.visit + gap * np.floor((time - self.visit) / gap), time)

    def draw(self, rng: np.random.Generator) -> Floats:
        """Return a censoring time for each patient, shape (n,)."""
        if not self.event.any():
            return self.time.copy()
        if self.step.size == 0:  # nobody was censored
            return np.full(self.time.size, float(self.time.max()))
        place = np.searchsorted(self.step, self.time, side="right") - 1
        at_risk = np.where(place >= 0, self.share[np.maximum(place, 0)], 1.0)
        goal = rng.random(self.time.size) * at_risk
        # The first step at which the curve is at or below the goal.
        first = np.searchsorted(-self.share, -goal, side="left")
        longest = float(self.time.max())
        drawn = np.where(first < self.step.size, self.step[np.minimum(first, self.step.size - 1)], longest)
        return np.where(self.event, np.maximum(drawn, self.time), self.time)
