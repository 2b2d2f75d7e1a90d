"""Counts of a cohort that the paper does not print: deaths, sizes of its groups, joint counts of its characteristics."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from sitewise.simulate.calibration.characteristics import Factor
from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.statistics import Statistics
from sitewise.simulate.calibration.targets import Grouping
from sitewise.simulate.parts import Floats

EVENTS = "events"
HALF = 0.5
"""Added to counts before a logarithm is taken: none of a kind has one, too."""


@dataclass(frozen=True)
class Table:
    """Groups that make up all patients: risk groups, or the cells of two characteristics.

    Parameters
    ----------
    groups : dict of str to Grouping
        By the name of the count.
    slope : tuple of float
        Where margins leave one number free: how much each count grows with the first one; else empty.
    at_least : tuple of float
        Counts when the first one is as small as margins allow.
    span : float
        How much larger the first one can be.
    """

    groups: dict[str, Grouping]
    slope: tuple[float, ...] = ()
    at_least: tuple[float, ...] = ()
    span: float = 0.0

    def free(self, counts: Floats) -> Floats:
        """Return counts (R, g) as numbers without bounds."""
        if self.slope:
            above = counts[:, :1] - self.at_least[0]
            return np.asarray(np.log(above + HALF) - np.log(self.span - above + HALF))
        return np.asarray(np.log(counts[:, 1:] + HALF) - np.log(counts[:, :1] + HALF))

    def counts(self, free: Floats, patients: int) -> Floats:
        """Return the counts again, shape (R, g); they add up, and none is negative."""
        if self.slope:
            above = np.clip((self.span + 2 * HALF) * expit(free[:, :1]) - HALF, 0.0, self.span)
            return np.asarray(self.at_least + above * np.asarray(self.slope))
        ratio = np.exp(np.column_stack([np.zeros(len(free)), free]))
        total = patients + HALF * ratio.shape[1]
        found = np.maximum(ratio / ratio.sum(axis=1, keepdims=True) * total - HALF, 0.0)
        return np.asarray(found / found.sum(axis=1, keepdims=True) * patients)


@dataclass(frozen=True)
class Derived:
    """Counts what calibration infers about the paper's own patients.

    Parameters
    ----------
    statistics : Statistics
        Knows the groups.
    exact : bool
        Whether every cohort has the printed counts of each characteristic.
    """

    statistics: Statistics
    exact: bool = True

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """Risk groups, and the cells of each pair of characteristics that may depend on each other."""
        structure = self.statistics.structure
        found = []
        favourable = [item for item in structure.factors if item.favourable]
        if len(favourable) > 1:
            most = len(favourable)
            groups: dict[str, Grouping] = {
                f"patients with {count} of {most} favourable": count for count in range(most, -1, -1)
            }
            shares = [self._with(item, item.favourable) for item in favourable]
            found.append(self._bounded(groups, (1, -2, 1), shares) if most == 2 else Table(groups))
        for one, other in structure.pairs:
            pair = [item for item in structure.factors if item.name in (one, other)]
            if len(pair) == 2 and all(max(item.classes) == 1 or len(item.levels) == 2 for item in pair):
                cells = list(itertools.product(*(classes_of(item) for item in pair)))
                named: dict[str, Grouping] = {}
                for cell in cells:
                    own = {item.name: levels for item, levels in zip(pair, cell, strict=True)}
                    label = ", ".join(f"{name} {'|'.join(levels)}" for name, levels in own.items())
                    named[f"patients with {label}"] = own
                shares = [self._with(item, classes_of(item)[0]) for item in pair]
                found.append(self._bounded(named, (1, -1, -1, 1), shares))
        return tuple(found)

    @cached_property
    def groups(self) -> dict[str, Grouping]:
        """Groups whose sizes are counted, by the name of the quantity."""
        return {name: group for table in self.tables for name, group in table.groups.items()}

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

    def free(self, counts: Floats) -> Floats:
        """Return counts (R, d) as numbers without bounds, shape (R, q): logits within what the margins allow, log ratios.

        On this scale a regression can move them without leaving what is possible. Events are logarithms: the squares of
        standard errors, which tell of them, go as 1 / events.
        """
        parts = [np.log(counts[:, :1] + HALF)]
        parts += [table.free(counts[:, start:stop]) for table, start, stop in self._places()]
        sizes, events = self._sizes_and_events(counts)
        parts.append(np.log(events + HALF) - np.log(sizes - events + HALF))
        return np.column_stack(parts)

    def counts(self, free: Floats) -> Floats:
        """Return the counts of :meth:`free` again, shape (R, d); not whole numbers."""
        patients = self.statistics.structure.patients
        parts = [np.clip(np.exp(free[:, :1]) - HALF, 0, patients)]
        start = 1
        for table in self.tables:
            width = 1 if table.slope else len(table.groups) - 1
            parts.append(table.counts(free[:, start : start + width], patients))
            start += width
        sizes = np.column_stack(parts)[:, 1 : 1 + len(self._with_events)]
        parts.append(np.clip(expit(free[:, start:]) * (sizes + 2 * HALF) - HALF, 0, sizes))
        return np.column_stack(parts)

    def _places(self) -> list[tuple[Table, int, int]]:
        ends = np.cumsum([1, *(len(table.groups) for table in self.tables)]).tolist()
        return list(zip(self.tables, ends[:-1], ends[1:], strict=True))

    def _sizes_and_events(self, counts: Floats) -> tuple[Floats, Floats]:
        width = len(self._with_events)  # the risk groups are the first table
        return counts[:, 1 : 1 + width], counts[:, counts.shape[1] - width :]

    def _with(self, item: Factor, levels: tuple[str, ...]) -> int:
        return sum(count for level, count in zip(item.levels, item.counts, strict=True) if level in levels)

    def _bounded(self, groups: dict[str, Grouping], slope: tuple[int, ...], margins: list[int]) -> Table:
        """Return a table of two characteristics; with exact margins one count determines the others."""
        if not self.exact:
            return Table(groups)
        patients, (one, other) = self.statistics.structure.patients, margins
        least = max(0, one + other - patients)
        first = (least, one - least, other - least, patients - one - other + least)
        at_least = first if len(slope) == 4 else (first[0], first[1] + first[2], first[3])
        return Table(groups, slope, at_least, float(min(one, other) - least))


def classes_of(item: Factor) -> tuple[tuple[str, ...], ...]:
    """Return the levels of a factor by effect, or one by one where it has no effects."""
    if max(item.classes) == 0:
        return tuple((level,) for level in item.levels)
    return tuple(
        tuple(level for level, own in zip(item.levels, item.classes, strict=True) if own == number)
        for number in range(max(item.classes) + 1)
    )


__all__ = ["EVENTS", "Derived", "Table", "classes_of"]
