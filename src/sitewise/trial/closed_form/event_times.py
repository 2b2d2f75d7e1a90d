"""Times from a patient's entry to the event: piecewise exponential and Weibull."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import not_negative, positive, probability


class EventTimes(Protocol):
    """What the formulas need of a distribution of times since entry."""

    @property
    def changes(self) -> tuple[float, ...]:
        """Times at which the hazard jumps."""
        ...

    def cumulative_hazard(self, time: float) -> float:
        """Return -log S(time)."""
        ...

    def hazard(self, time: float) -> float:
        """Return the hazard at ``time``."""
        ...


def survival(times: EventTimes, time: float) -> float:
    """Return S(time) = exp(-cumulative hazard)."""
    return math.exp(-times.cumulative_hazard(time))


@dataclass(frozen=True)
class PiecewiseExponential:
    """Hazard that is constant on pieces of the time since entry.

    Parameters
    ----------
    hazards : tuple of float
        Events per unit of time on each piece, 0 or more; the last piece has no end.
    changes : tuple of float
        Times between the pieces, rising: one fewer than the hazards.
    """

    hazards: tuple[float, ...]
    changes: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.changes) != len(self.hazards) - 1:
            raise TrialError(
                f"{len(self.hazards)} hazards have {len(self.changes)} times of change. Give one fewer than the hazards."
            )
        for place, hazard in enumerate(self.hazards, start=1):
            not_negative(f"Hazard {place}", hazard)
        if not any(self.hazards):
            raise TrialError("All hazards are 0, so there is never an event.")
        if any(later <= earlier for earlier, later in zip((0.0, *self.changes), self.changes, strict=False)):
            raise TrialError(f"The times of change {self.changes} must be above 0 and rise.")

    @classmethod
    def of_median(cls, median: float) -> PiecewiseExponential:
        """Return the exponential distribution with this median."""
        return cls((math.log(2) / positive("median", median),))

    @classmethod
    def of_survival(cls, survival: float, *, at: float) -> PiecewiseExponential:
        """Return the exponential distribution with this survival at time ``at``."""
        return cls((-math.log(probability("survival", survival)) / positive("at", at),))

    def hazard(self, time: float) -> float:
        """Return the hazard of the piece in which ``time`` lies."""
        return float(self.hazards[int(np.searchsorted(self.changes, time, side="right"))])

    def cumulative_hazard(self, time: float) -> float:
        """Return the sum over the pieces of hazard times time spent there."""
        starts, ends = (0.0, *self.changes), (*self.changes, math.inf)
        pieces = zip(self.hazards, starts, ends, strict=True)
        return float(sum(hazard * (min(time, end) - start) for hazard, start, end in pieces if time > start))


@dataclass(frozen=True)
class WeibullTimes:
    """Weibull times: cumulative hazard (t / scale)^shape.

    Parameters
    ----------
    shape, scale : float
        Above 0; the scale in the unit of time.
    """

    shape: float
    scale: float

    def __post_init__(self) -> None:
        positive("shape", self.shape)
        positive("scale", self.scale)

    @classmethod
    def of_median(cls, median: float, *, shape: float) -> WeibullTimes:
        """Return the distribution with this median."""
        return cls(shape, positive("median", median) / math.log(2) ** (1 / positive("shape", shape)))

    @classmethod
    def of_survival(cls, survival: float, *, at: float, shape: float) -> WeibullTimes:
        """Return the distribution with this survival at time ``at``."""
        cumulative = -math.log(probability("survival", survival))
        return cls(shape, positive("at", at) / cumulative ** (1 / positive("shape", shape)))

    @property
    def changes(self) -> tuple[float, ...]:
        """None: the hazard is smooth."""
        return ()

    def hazard(self, time: float) -> float:
        """Return shape / scale (t / scale)^(shape - 1)."""
        return float(self.shape / self.scale * (time / self.scale) ** (self.shape - 1))

    def cumulative_hazard(self, time: float) -> float:
        """Return (t / scale)^shape."""
        return float((time / self.scale) ** self.shape)
