"""What a pseudo-paper hides, computed the same way of the real patients and of simulated ones, so that both can be compared.

`Hidden` stands where calibration has its own list of counts (`Derived`): it is carried along with every simulated cohort and moved
to the published numbers by the same regression, which makes its draws statements about the paper's own patients.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

import sitewise as sw
from sitewise.classical import Ordered, cox, kaplan_meier_at
from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.problem import Problem

Floats = NDArray[np.float64]
DEATHS, SIZES, JOINT, NUMERIC, EVENTS = (
    "events of all",
    "sizes of groups",
    "joint counts",
    "joint counts, numeric",
    "events by group",
)
CURVE, GROUP_CURVES, LEVEL_CURVES, REFITS = "curve of all", "curves of groups", "curves of levels", "refits (log HR)"
KINDS = (DEATHS, EVENTS, SIZES, JOINT, NUMERIC, CURVE, GROUP_CURVES, LEVEL_CURVES, REFITS)
COUNTS = (DEATHS, EVENTS, SIZES, JOINT, NUMERIC)
CURVES = (CURVE, GROUP_CURVES, LEVEL_CURVES)
ALL_AT, GROUPS_AT, LEVELS_AT = (0.1, 0.25, 0.4, 0.6, 0.75, 0.9), (0.2, 0.4, 0.6, 0.8), (0.25, 0.5, 0.75)
"""Quantiles of the observed times of those concerned, at which their curve is compared."""
FEWEST = 5
"""Patients of a group whose curve is compared."""
Members = Mapping[str, tuple[str, ...]] | int | None


def as_arrays(problem: Problem, cohort: sw.Cohort) -> Cohorts:
    """Return real patients in the form of simulated ones: one cohort."""
    factors = {
        item.name: np.array([[item.levels.index(str(level)) for level in cohort.covariates[item.name]]], dtype=np.int8)
        for item in problem.structure.factors
    }
    measures = {item.name: cohort.covariates[item.name].to_numpy(dtype=float)[None] for item in problem.structure.measures}
    event = cohort.event.astype(bool)[None]
    return Cohorts(cohort.time[None].copy(), event, factors, measures, np.zeros(event.shape, dtype=np.int64))


@dataclass(frozen=True)
class Hidden:
    """Hidden quantities of a data set.

    Parameters
    ----------
    problem : Problem
        The calibration problem of its pseudo-paper.
    real : Cohorts
        The real patients; they say only at which times curves are compared.
    """

    problem: Problem
    real: Cohorts

    @cached_property
    def labels(self) -> list[tuple[str, str]]:
        """Kind and name of each quantity."""
        return [(kind, name) for kind, name, _ in self._columns(self.real)]

    def __call__(self, cohorts: Cohorts) -> Floats:
        """Return the quantities of R cohorts, shape (R, d); NaN where one does not exist."""
        return np.column_stack([values for _, _, values in self._columns(cohorts)]).astype(float)

    def free(self, values: Floats) -> Floats:
        """Return quantities on scales without bounds: logits of counts and shares."""
        found = values.copy()
        patients = self.problem.structure.patients
        for place, (kind, _) in enumerate(self.labels):
            column = np.where(np.isfinite(found[:, place]), found[:, place], np.nanmean(found[:, place]))
            if kind in CURVES:
                column = logit((patients * column + 0.5) / (patients + 1))
            elif kind in COUNTS:
                column = logit((column + 0.5) / (self._most[place] + 1))
            found[:, place] = column
        return found

    def counts(self, free: Floats) -> Floats:
        """Return the quantities of :meth:`free` again."""
        found = free.copy()
        patients = self.problem.structure.patients
        for place, (kind, _) in enumerate(self.labels):
            if kind in CURVES:
                found[:, place] = np.clip((expit(found[:, place]) * (patients + 1) - 0.5) / patients, 0, 1)
            elif kind in COUNTS:
                most = self._most[place]
                found[:, place] = np.clip(expit(found[:, place]) * (most + 1) - 0.5, 0, most)
        return found

    def full_widths(self) -> Floats:
        """Return widths of the 90 % intervals that the patient table itself gives, shape (d,); a count is known."""
        z = float(ndtri(0.95))
        widths = dict.fromkeys(self.labels, 0.0)
        for kind, name, include, times in self._curves():
            lower, upper = kaplan_meier_at(Ordered.of(self.real.time, self.real.event), times, include=include).limits(0.9)
            for number, width in enumerate((upper - lower)[0]):
                widths[(kind, f"{name}, {number + 1}")] = float(width)
        for name, fits, rows in self._refits(self.real):
            for place, row in enumerate(rows):
                widths[(REFITS, f"{name}: {row}")] = float(2 * z * fits.standard_error[0, place])
        return np.array([widths[label] for label in self.labels])

    # What is computed -----------------------------------------------------------------------------------
    @cached_property
    def _most(self) -> Floats:
        """The largest that each count can be, by the printed counts alone."""
        patients = self.problem.structure.patients
        most = []
        for kind, name in self.labels:
            sizes = [self._size(part) for part in name.split(" & ")] if kind in (JOINT, NUMERIC, EVENTS) else [patients]
            most.append(float(min(sizes)))
        return np.array(most)

    def _size(self, part: str) -> int:
        for item in self.problem.structure.factors:
            for level, count in zip(item.levels, item.counts, strict=True):
                if part == f"{item.name} {level}":
                    return count
        return self.problem.structure.patients

    def _members(self, cohorts: Cohorts, group: Members) -> NDArray[np.bool_]:
        found = self.problem.statistics.members(cohorts, group)  # type: ignore[arg-type]
        return np.ones(cohorts.time.shape, dtype=bool) if found is None else found

    @cached_property
    def _groups(self) -> dict[str, Members]:
        favourable = [item for item in self.problem.structure.factors if item.favourable]
        return {f"{count} favourable": count for count in range(len(favourable), -1, -1)}

    @cached_property
    def _levels(self) -> dict[str, Members]:
        return {
            f"{item.name} {level}": {item.name: (level,)} for item in self.problem.structure.factors for level in item.levels
        }

    def _columns(self, cohorts: Cohorts) -> Iterator[tuple[str, str, Floats]]:
        structure = self.problem.structure
        yield DEATHS, "all", cohorts.event.sum(axis=1)
        for name, group in {**self._groups, **self._levels}.items():
            yield EVENTS, name, (cohorts.event & self._members(cohorts, group)).sum(axis=1)
        for name, group in list(self._groups.items())[:-1]:  # the last is what the others leave
            yield SIZES, name, self._members(cohorts, group).sum(axis=1)
        for one, other in itertools.combinations(structure.factors, 2):
            for level, another in itertools.product(one.levels[1:], other.levels[1:]):  # margins are printed
                cell = {one.name: (level,), other.name: (another,)}
                yield JOINT, f"{one.name} {level} & {other.name} {another}", self._members(cohorts, cell).sum(axis=1)
        for measure in structure.measures:
            above = cohorts.measures[measure.name] > measure.median
            for factor in structure.factors:
                for level in factor.levels[1:]:
                    both = above & self._members(cohorts, {factor.name: (level,)})
                    yield NUMERIC, f"{factor.name} {level} & {measure.name} above {measure.median:g}", both.sum(axis=1)
        ordered = Ordered.of(cohorts.time, cohorts.event)
        for kind, name, _, times in self._curves():
            group = None if kind == CURVE else {**self._groups, **self._levels}[name]
            include = self._members(cohorts, group)
            curve = kaplan_meier_at(ordered, times, include=include).survival
            for number in range(len(times)):
                yield kind, f"{name}, {number + 1}", np.where(include.any(axis=1), curve[:, number], np.nan)
        for name, fits, rows in self._refits(cohorts):
            for place, row in enumerate(rows):
                yield REFITS, f"{name}: {row}", np.where(fits.converged, fits.log_hazard_ratio[:, place], np.nan)

    def _curves(self) -> Iterator[tuple[str, str, NDArray[np.bool_], Floats]]:
        """Yield kind, name, real members and times of the curves that are compared."""
        real = self.real
        yield CURVE, "all", self._members(real, None), np.quantile(real.time[0], ALL_AT)
        for kind, groups, shares in ((GROUP_CURVES, self._groups, GROUPS_AT), (LEVEL_CURVES, self._levels, LEVELS_AT)):
            for name, group in groups.items():
                members = self._members(real, group)
                if members.sum() >= FEWEST:
                    yield kind, name, members, np.quantile(real.time[0][members[0]], shares)

    def _refits(self, cohorts: Cohorts) -> Iterator[tuple[str, object, list[str]]]:
        """Yield the adjusted model without each covariate in turn, where two or more are left."""
        structure = self.problem.structure
        columns: dict[str, list[tuple[str, Floats]]] = {}
        for item in structure.factors:
            columns[item.name] = [
                (f"{item.name} {level}", (cohorts.factors[item.name] == place).astype(float))
                for place, level in enumerate(item.levels)
                if place > 0
            ]
        for measure in structure.measures:
            columns[measure.name] = [(measure.name, cohorts.measures[measure.name])]
        if len(columns) < 3:
            return
        ordered = Ordered.of(cohorts.time, cohorts.event)
        for left_out in columns:
            rows = [row for name, found in columns.items() if name != left_out for row in found]
            fits = cox(ordered, np.stack([column for _, column in rows], axis=-1))
            yield f"without {left_out}", fits, [name for name, _ in rows]
