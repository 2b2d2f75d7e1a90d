"""Counts of a cohort that the paper does not print: deaths, sizes of its groups, joint counts of its characteristics."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.statistics import Statistics, indicator
from sitewise.simulate.calibration.targets import Grouping
from sitewise.simulate.parts import Floats

EVENTS = "events"


@dataclass(frozen=True)
class Derived:
    """Counts what calibration infers about the paper's own patients.

    Parameters
    ----------
    statistics : Statistics
        Knows the groups.
    """

    statistics: Statistics

    @cached_property
    def groups(self) -> dict[str, Grouping]:
        """Groups whose sizes are counted, by the name of the quantity."""
        structure = self.statistics.structure
        favourable = [item for item in structure.factors if item.favourable]
        found: dict[str, Grouping] = {}
        if len(favourable) > 1:
            for count in range(len(favourable), -1, -1):
                found[f"patients with {count} of {len(favourable)} favourable"] = count
        for one, other in structure.pairs:
            pair = [item for item in structure.factors if item.name in (one, other)]
            if len(pair) == 2 and all(max(item.classes) == 1 or len(item.levels) == 2 for item in pair):
                for cell in itertools.product(*(self._classes(item.name) for item in pair)):
                    name = ", ".join(f"{item.name} {'|'.join(levels)}" for item, levels in zip(pair, cell, strict=True))
                    found[f"patients with {name}"] = {item.name: levels for item, levels in zip(pair, cell, strict=True)}
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the counts."""
        events = tuple(name.replace("patients with", "events with", 1) for name in self._with_events)
        return (EVENTS, *self.groups, *events)

    @property
    def _with_events(self) -> tuple[str, ...]:
        return tuple(name for name, group in self.groups.items() if isinstance(group, int))

    def __call__(self, cohorts: Cohorts) -> Floats:
        """Return the counts of each cohort, shape (R, d)."""
        members = {name: self.statistics.members(cohorts, group) for name, group in self.groups.items()}
        columns = [cohorts.event.sum(axis=1)]
        columns += [np.asarray(found).sum(axis=1) for found in members.values()]
        columns += [(cohorts.event & np.asarray(members[name])).sum(axis=1) for name in self._with_events]
        return np.column_stack(columns).astype(float)

    def _classes(self, name: str) -> tuple[tuple[str, ...], ...]:
        """Return the levels of a factor by effect, or one by one where it has no effects."""
        item = self.statistics.structure.factor(name)
        if max(item.classes) == 0:
            return tuple((level,) for level in item.levels)
        return tuple(
            tuple(level for level, own in zip(item.levels, item.classes, strict=True) if own == number)
            for number in range(max(item.classes) + 1)
        )


__all__ = ["EVENTS", "Derived", "indicator"]
