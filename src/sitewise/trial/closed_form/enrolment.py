"""Enrolment at a rate that is constant on pieces of calendar time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import not_negative, positive


@dataclass(frozen=True)
class Enrolment:
    """Expected enrolment from the start of the trial on.

    Parameters
    ----------
    rates : tuple of float
        Patients per unit of time on each piece; 0 is a pause.
    durations : tuple of float
        Length of each piece; enrolment ends after the last.

    Raises
    ------
    TrialError
        When the pieces do not match, a duration is not positive, a rate is negative or nobody is ever enrolled.
    """

    rates: tuple[float, ...]
    durations: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.durations) or not self.rates:
            raise TrialError(
                f"Enrolment has {len(self.rates)} rates and {len(self.durations)} durations. Give one duration for each rate."
            )
        for place, (rate, duration) in enumerate(zip(self.rates, self.durations, strict=True), start=1):
            not_negative(f"Enrolment rate {place}", rate)
            positive(f"Enrolment duration {place}", duration)
        if self.patients == 0:
            raise TrialError("Enrolment has no rate above 0, so nobody is ever enrolled.")

    @classmethod
    def uniform(cls, patients: float, *, duration: float) -> Enrolment:
        """Return enrolment of ``patients`` at one rate over ``duration``."""
        return cls((positive("patients", patients) / positive("duration", duration),), (float(duration),))

    @property
    def patients(self) -> float:
        """All patients that are ever enrolled."""
        return float(np.dot(self.rates, self.durations))

    @property
    def duration(self) -> float:
        """Time until enrolment ends."""
        return float(sum(self.durations))

    @property
    def changes(self) -> tuple[float, ...]:
        """Start, changes of rate, and end."""
        return (0.0, *(float(edge) for edge in np.cumsum(self.durations)))

    def rate(self, time: float) -> float:
        """Return the rate at calendar ``time``; 0 before the start and after the end."""
        place = int(np.searchsorted(self.changes, time, side="right")) - 1
        return float(self.rates[place]) if 0 <= place < len(self.rates) else 0.0

    def enrolled(self, time: float) -> float:
        """Return the expected number enrolled by calendar ``time``."""
        starts = self.changes[:-1]
        return float(
            sum(
                rate * min(max(time - start, 0.0), length)
                for rate, start, length in zip(self.rates, starts, self.durations, strict=True)
            )
        )

    def scaled(self, patients: float) -> Enrolment:
        """Return the same pattern over the same time with ``patients`` in all."""
        factor = positive("patients", patients) / self.patients
        return Enrolment(tuple(rate * factor for rate in self.rates), self.durations)

    def cut(self, time: float) -> Enrolment:
        """Return enrolment that stops at ``time``; a later time prolongs the last rate."""
        positive("time", time)
        rates, durations, left = [], [], float(time)
        for rate, duration in zip(self.rates, self.durations, strict=True):
            if left > 0:
                rates.append(rate)
                durations.append(min(duration, left))
                left -= duration
        if left > 0:
            durations[-1] += left
        return Enrolment(tuple(rates), tuple(durations))
