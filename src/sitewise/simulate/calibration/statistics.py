"""The statistics of simulated cohorts: what the paper would have printed of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sitewise.classical import Ordered, cox, kaplan_meier_at
from sitewise.evidence import Evidence
from sitewise.evidence.entries import Model
from sitewise.simulate.calibration.characteristics import Structure
from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.targets import Grouping, Target
from sitewise.simulate.parts import Floats

LEAST = 1e-3
"""Of a time whose logarithm is taken, and of the width of an interval."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Statistics:
    """Computes the statistics that belong to targets.

    Parameters
    ----------
    evidence, structure
        The paper and what is simulated of it.
    targets : tuple of Target
        K published numbers.
    ties : str
        ``breslow`` or ``efron``: how the Cox models treat tied times.
    """

    evidence: Evidence
    structure: Structure
    targets: tuple[Target, ...]
    ties: Literal["efron", "breslow"] = "efron"

    def __call__(self, cohorts: Cohorts, rounding: Floats | None = None, *, workers: int = 1) -> Floats:
        """Return the statistics of R cohorts, shape (R, K); NaN where one does not exist.

        Parameters
        ----------
        cohorts : Cohorts
            R cohorts.
        rounding : ndarray, shape (R, K), optional
            Where in its rounding box each number lies, -1 to 1; without: in the middle.
        workers : int
            Threads.
        """
        found = np.full((len(cohorts), len(self.targets)), np.nan)
        moved = np.zeros(found.shape) if rounding is None else rounding * [target.rounding for target in self.targets]
        ordered = Ordered.of(cohorts.time, cohorts.event)
        self._cox(found, cohorts, ordered, workers)
        for places in self._by_group().values():
            include = self.members(cohorts, self.targets[places[0]].group)
            self._curves(found, ordered, include, places, moved)
        for place, target in enumerate(self.targets):
            column = self._other(target, cohorts, ordered, moved[:, place])
            if column is not None:
                found[:, place] = column
        at_value = [not target.rounds_time for target in self.targets]
        found[:, at_value] += moved[:, at_value]
        return found

    def members(self, cohorts: Cohorts, group: Grouping) -> Mask | None:
        """Return who belongs to a group, shape (R, n); None for all."""
        if group is None:
            return None
        if isinstance(group, int):
            count = np.zeros(cohorts.time.shape, dtype=np.int64)
            for item in self.structure.factors:
                if item.favourable:
                    count += indicator(cohorts, self.structure, item.name, item.favourable)
            return np.asarray(count == group)
        found = np.ones(cohorts.time.shape, dtype=bool)
        for name, levels in group.items():
            found &= indicator(cohorts, self.structure, name, levels)
        return found

    def design(self, cohorts: Cohorts, model: Model) -> tuple[Floats, Mask | None]:
        """Return the columns of a model's rows, shape (R, n, p), and who is in the model.

        Patients at levels of a characteristic that none of the model's rows names, neither as level nor as reference, are left
        out, as in an analysis of the patients that the row compares.
        """
        columns = np.empty((*cohorts.time.shape, len(model.term)))
        include: Mask | None = None
        for place, term in enumerate(model.term):
            if term.covariate in cohorts.measures:
                columns[..., place] = cohorts.measures[term.covariate]
                continue
            columns[..., place] = indicator(cohorts, self.structure, term.covariate, term.level)
            own = [row for row in model.term if row.covariate == term.covariate]
            named = {level for row in own for level in (*row.level, *row.reference)}
            if not named >= set(self.structure.factor(term.covariate).levels):
                known = indicator(cohorts, self.structure, term.covariate, tuple(named))
                include = known if include is None else include & known
        return columns, include

    def _cox(self, found: Floats, cohorts: Cohorts, ordered: Ordered, workers: int) -> None:
        for number, model in enumerate(self.evidence.model):
            places = [place for place, target in enumerate(self.targets) if target.model == number]
            if not places:
                continue
            design, include = self.design(cohorts, model)
            fits = cox(ordered, design, ties=self.ties, include=include, workers=workers)
            for place in places:
                target = self.targets[place]
                if target.kind == "log_hazard_ratio":
                    found[:, place] = fits.log_hazard_ratio[:, target.term]
                else:
                    with np.errstate(divide="ignore", invalid="ignore"):
                        found[:, place] = np.log(fits.standard_error[:, target.term])
                found[~fits.converged, place] = np.nan

    def _by_group(self) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for place, target in enumerate(self.targets):
            if target.kind.startswith("survival") or target.kind in (
                "log_width",
                "beyond_last",
                "upper_beyond_last",
                "at_risk",
            ):
                groups.setdefault(repr(target.group), []).append(place)
        return groups

    def _curves(self, found: Floats, ordered: Ordered, include: Mask | None, places: Sequence[int], moved: Floats) -> None:
        """Read the Kaplan-Meier curve of one group at all times that its targets name."""
        times = np.empty((len(found), len(places)))
        for column, place in enumerate(places):
            target = self.targets[place]
            times[:, column] = np.inf if target.time is None else target.time + (moved[:, place] if target.rounds_time else 0.0)
        curve = kaplan_meier_at(ordered, times, include=include)
        for column, place in enumerate(places):
            target = self.targets[place]
            survival = curve.survival[:, column]
            if target.kind in ("survival", "beyond_last"):
                found[:, place] = survival
            elif target.kind == "at_risk":
                found[:, place] = curve.at_risk[:, column]
            else:
                lower, upper = (limit[:, column] for limit in curve.limits(target.prob))
                if target.kind == "log_width":
                    found[:, place] = np.log(np.maximum(upper - lower, LEAST))
                else:
                    found[:, place] = lower if target.kind == "survival_lower" else upper

    def _other(self, target: Target, cohorts: Cohorts, ordered: Ordered, moved: Floats) -> Floats | None:
        """Return a statistic that is neither of a Cox model nor of a curve."""
        if target.kind == "follow_up_share" and target.time is not None:
            return self._share_beyond(target, cohorts, ordered, target.time + moved)
        if target.kind in ("log_shortest", "log_longest"):
            return self._log_extreme(target, cohorts)
        if target.kind in ("events", "joint"):
            members = self.members(cohorts, target.group)
            chosen = cohorts.event if target.kind == "events" else np.ones(cohorts.time.shape, dtype=bool)
            return np.asarray((chosen if members is None else chosen & members).sum(axis=1), dtype=float)
        return None

    def _log_extreme(self, target: Target, cohorts: Cohorts) -> Floats:
        """Return the log of the shortest or longest time of all patients, or of those alive at its end; NaN where nobody is."""
        counted = ~cohorts.event if target.definition == "alive-only" else np.ones(cohorts.time.shape, dtype=bool)
        if target.kind == "log_shortest":
            found = np.where(counted, cohorts.time, np.inf).min(axis=1)
        else:
            found = np.where(counted, cohorts.time, -np.inf).max(axis=1)
        return np.where(np.isfinite(found), np.log(np.maximum(found, LEAST)), np.nan)

    def _share_beyond(self, target: Target, cohorts: Cohorts, ordered: Ordered, times: Floats) -> Floats:
        """Return the share followed longer than given times, in the sense of the follow-up's definition."""
        if target.definition == "reverse-kaplan-meier":
            reverse = Ordered.of(cohorts.time, ~cohorts.event)
            return np.asarray(kaplan_meier_at(reverse, times[:, None]).survival[:, 0])
        beyond = cohorts.time > times[:, None]
        if target.definition == "alive-only":
            alive = ~cohorts.event
            with np.errstate(invalid="ignore"):
                return np.asarray((beyond & alive).sum(axis=1) / alive.sum(axis=1))
        return np.asarray(beyond.mean(axis=1))


def indicator(cohorts: Cohorts, structure: Structure, name: str, levels: Sequence[str]) -> Mask:
    """Return who has one of the levels, shape (R, n)."""
    item = structure.factor(name)
    chosen = np.array([level in levels for level in item.levels])
    return np.asarray(chosen[cohorts.factors[name]])


def inequalities_met(statistics: Floats, targets: Sequence[Target]) -> Mask:
    """Return which cohorts meet every condition of status ``fit``, shape (R,)."""
    met = np.ones(len(statistics), dtype=bool)
    for place, target in enumerate(targets):
        if target.inequality and target.status == "fit":
            met &= statistics[:, place] > target.value
    return met
