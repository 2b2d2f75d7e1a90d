"""Scan visits: when a patient's progression is seen, as opposed to when it happens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import ScenarioError, nearest
from sitewise.records import Record, positive, tidied
from sitewise.simulate.parts import Floats

DAYS = {"days": 1.0, "weeks": 7.0, "months": 30.4375, "years": 365.25}
"""Length of each unit of time; a month is a twelfth of 365.25 days."""
LATEST = 1e9
"""Visits are counted no further; no patient is followed as long."""
CANDIDATES = 3
"""Visits of which one is the first after a progression: the scheduled one before it, the one after it and the next."""


@dataclass(frozen=True)
class ScanSchedule(Record):
    """When patients are examined: dates after time zero, then at equal distances for as long as they are followed.

    The default is the schedule that KROG 20-04 states (2 weeks, 2 months, then every 3 months); of another paper it is an
    assumption.
    """

    first: tuple[float, ...] = (0.46, 2.0)
    """Dates of the first visits."""
    every: float = 3.0
    """Distance of later visits."""
    jitter: float = 1.0
    """How far visits stray from their dates: 0 none, 1 as far as half the way to the nearer neighbouring date, uniformly."""
    time_unit: str = "months"
    """Unit of the dates."""

    def __post_init__(self) -> None:
        problems = tidied(self, ScenarioError, "The scan schedule")
        positive(problems, every=self.every)
        if not self.first:
            problems.add("first", "must name at least one visit", "With equal distances it is that of 'every'.")
        elif self.first[0] <= 0 or any(one >= other for one, other in zip(self.first, self.first[1:], strict=False)):
            problems.add("first", f"must be positive and rise; it is {', '.join(f'{date:g}' for date in self.first)}")
        if not 0 <= self.jitter <= 1:
            problems.add("jitter", f"must lie between 0 and 1; it is {self.jitter:g}", "Beyond 1 visits would change places.")
        if self.time_unit not in DAYS:
            problems.add("time_unit", f"is '{self.time_unit}'", nearest(self.time_unit, DAYS))
        problems.raise_if_any(ScenarioError, "The scan schedule")

    def in_unit(self, unit: str, /) -> ScanSchedule:
        """Return the same schedule in another unit of time: days, weeks, months or years."""
        if unit not in DAYS:
            raise ScenarioError(f"Times are in '{unit}', which the scan schedule cannot be turned into. {nearest(unit, DAYS)}")
        factor = DAYS[self.time_unit] / DAYS[unit]
        return ScanSchedule(tuple(factor * date for date in self.first), factor * self.every, self.jitter, unit)

    def dates(self, number: NDArray[np.int64], /) -> Floats:
        """Return the dates of visits by their number, 1 the first; time zero and before it is 0."""
        known = np.array([0.0, *self.first])
        place = np.clip(number, 0, len(self.first))
        return np.asarray(known[place] + np.maximum(number - len(self.first), 0) * self.every)

    def first_seen(self, progression: Floats, position: Floats) -> Floats:
        """Return the first visit at or after each progression.

        Parameters
        ----------
        progression : ndarray, any shape
            Times; infinite ones are never seen.
        position : ndarray, that shape and 3
            Uniform on (-1, 1): where the visits around the progression lie between the ends that ``jitter`` allows.
        """
        known = np.array(self.first)
        finite = np.where(np.isfinite(progression), progression, known[-1])
        late = len(known) + np.ceil((np.minimum(finite, LATEST) - known[-1]) / self.every)
        due = np.where(finite <= known[-1], 1 + np.searchsorted(known, finite), np.maximum(late, len(known) + 1)).astype(
            np.int64
        )
        found = np.full(progression.shape, np.inf)
        for step in range(CANDIDATES - 1, -1, -1):
            number = due - 1 + step
            date = self.dates(number)
            stray = 0.5 * self.jitter * np.minimum(date - self.dates(number - 1), self.dates(number + 1) - date)
            visit = date + stray * position[..., step]
            found = np.where((visit >= finite) & (number >= 1), visit, found)
        return np.asarray(np.where(np.isfinite(progression), found, np.inf))

    def longest_gap(self) -> float:
        """Return the most that can pass between two visits, or before the first."""
        gap = np.diff(self.dates(np.arange(len(self.first) + 5)))  # far enough for two neighbours at the later distance
        stray = np.concatenate([[0.0], 0.5 * self.jitter * np.minimum(gap[:-1], gap[1:])])
        return float((gap[:-1] + stray[:-1] + stray[1:]).max())

    def sentence(self) -> str:
        """Return the schedule in words."""
        dates = ", ".join(f"{date:g}" for date in self.first)
        stray = f", straying by up to {50 * self.jitter:g} % of the distance to the nearer neighbour" if self.jitter else ""
        return f"scan visits at {dates} and every {self.every:g} {self.time_unit}{stray}"
