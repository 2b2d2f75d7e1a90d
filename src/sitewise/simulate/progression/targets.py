"""What a paper prints about progression, as statistics of one cohort, and the same of simulated cohorts.

Numbers of the progression-free endpoint are those of the survival's calibration (medians as survival at the printed time, Cox
rows, numbers of events); the number of failures is a count of its own, because a death without one is an event and no failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.classical import Ordered, kaplan_meier_at
from sitewise.evidence import Evidence
from sitewise.problems import EvidenceError, Problems
from sitewise.simulate.calibration.characteristics import Structure
from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.problem import SOFT_VARIANCE
from sitewise.simulate.calibration.statistics import Statistics
from sitewise.simulate.calibration.structure import FITTED, groups_of
from sitewise.simulate.calibration.targets import Target, label_of, targets_of
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.counts import FAILURES
from sitewise.simulate.progression.kinds import Kinds
from sitewise.simulate.progression.model import ProgressionModel
from sitewise.simulate.progression.process import Recorded

OF_SURVIVAL = ("follow_up_share", "log_shortest", "log_longest", "joint")
"""Kinds of target that belong to the cohort, whatever the endpoint: the survival's calibration has them."""
SET_ASIDE = "its status is conflict"
STRICT, NEGLIGIBLE = 1e-6, 1e-9
"""A curve that must be above a half misses by this much where it is a half; what is smaller than the latter is no miss."""


@dataclass(frozen=True, eq=False)
class ProgressionTargets:
    """Published numbers about progression.

    Parameters
    ----------
    evidence, structure
        The paper, and the characteristics that are simulated.
    targets : tuple of Target
        Numbers; that of failures, where there is one, is the last.
    kinds : Kinds or None
        Pattern of first failures.
    left_out : tuple of (str, str)
        Numbers that cannot be simulated or are set aside, with the reason.
    """

    evidence: Evidence
    structure: Structure
    targets: tuple[Target, ...]
    kinds: Kinds | None
    left_out: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, evidence: Evidence, structure: Structure, spec: ProgressionModel, problems: Problems, /) -> Self:
        """Return what a paper prints about progression, which can be nothing; what cannot be simulated goes to ``problems``."""
        kinds = None
        try:
            kinds = Kinds.of(evidence, endpoint=spec.endpoint, overlap=spec.overlap)
        except EvidenceError as error:
            problems.found += error.problems
        found, left_out, absent = [], list(_set_aside(evidence, spec.endpoint)), dict[str, list[str]]()
        for target in targets_of(evidence, structure, endpoint=spec.endpoint):
            if target.kind in OF_SURVIVAL:
                continue
            missing = _missing(target, evidence, structure)
            if missing:
                left_out.append((target.id, f"{missing} is not simulated: no number about overall survival refers to it"))
                if _is_fitted(target):
                    absent.setdefault(missing, []).append(target.id)
            else:
                found.append(target)
        if kinds is not None and kinds.status == "conflict":
            left_out.append((kinds.id, SET_ASIDE))
        elif kinds is not None:
            found.append(
                Target(
                    id=kinds.id,
                    kind="events",
                    value=kinds.total,
                    printed=kinds.printed,
                    rounding=0.5,
                    status=kinds.status,
                    where=kinds.where,
                    definition=FAILURES,
                )
            )
        if not problems.found and not any(map(_is_fitted, found)):
            for name, targets in absent.items():
                problems.add(
                    name,
                    "is not simulated, as no number about overall survival refers to it; nothing says when patients progress "
                    f"without {', '.join(targets)}",
                    f'Name it in the assumptions (free = ["{name}"]), or add a number about overall survival by it.',
                )
        return cls(evidence, structure, tuple(found), kinds, tuple(left_out))

    @property
    def nothing_to_fit(self) -> str:
        """Why no number says when patients progress; empty where one does."""
        if self.fitted.size:
            return ""
        aside = [(item.id, item.printed + ("" if item.inequality else f", status {item.status}")) for item in self.targets]
        printed = ", ".join(f"{name} ({reason})" for name, reason in (*aside, *self.left_out))
        return "the paper prints nothing that says when patients progress" + (f", only {printed}" if printed else "")

    @cached_property
    def published(self) -> Floats:
        """The targets' values, shape (K,)."""
        return np.array([target.value for target in self.targets])

    @cached_property
    def fitted(self) -> NDArray[np.intp]:
        """Positions of the targets that are fitted as numbers."""
        return np.array([place for place, item in enumerate(self.targets) if _is_fitted(item)], dtype=np.intp)

    @cached_property
    def variance_factor(self) -> Floats:
        """Of each fitted target: soft ones count with a quarter of the weight."""
        return np.array([SOFT_VARIANCE if self.targets[place].status == "soft" else 1.0 for place in self.fitted])

    @cached_property
    def _statistics(self) -> Statistics:
        return Statistics(self.evidence, self.structure, self.targets)

    @cached_property
    def effects_are_printed(self) -> bool:
        """Whether a fitted number compares patients, so that it says something about the share of the effects."""
        used = [self.targets[place] for place in self.fitted]
        return any(target.kind == "log_hazard_ratio" or target.group is not None for target in used)

    def __call__(self, cohorts: Cohorts, outcome: Recorded, rounding: Floats | None = None, /) -> Floats:
        """Return the statistics of cohorts with their progression, shape (R, K).

        Parameters
        ----------
        cohorts : Cohorts
            Survival and characteristics.
        outcome : Recorded
            Progression.
        rounding : ndarray, shape (R, K), optional
            Where in its rounding box each number lies, -1 to 1.
        """
        own = replace(cohorts, time=outcome.failure_time, event=outcome.event)
        found = self._statistics(own, rounding)
        for place, target in enumerate(self.targets):
            if target.definition == FAILURES:
                moved = 0.0 if rounding is None else rounding[:, place] * target.rounding
                found[:, place] = outcome.failure.sum(axis=1) + moved
        return found

    def misses(self, cohorts: Cohorts, outcome: Recorded, /) -> Floats:
        """Return by how much each number misses what is printed beyond rounding, shape (R, K); 0 where it does not.

        On the statistic's scale. A printed median is met where the curve is above a half at the low end of its rounding box and
        at or below it at the high end; a limit likewise.
        """
        found = self(cohorts, outcome)
        off = np.maximum(np.abs(found - self.published) - [target.rounding for target in self.targets], 0.0)
        own: Ordered | None = None
        for place, target in enumerate(self.targets):
            if target.inequality:
                off[:, place] = np.where(found[:, place] > target.value, 0.0, target.value + STRICT - found[:, place])
            elif target.rounds_time and target.time is not None:
                own = own or Ordered.of(outcome.failure_time, outcome.event)
                times = np.array([target.time - target.rounding, target.time + target.rounding])
                curve = kaplan_meier_at(own, times, include=self._statistics.members(cohorts, target.group))
                ends = curve.survival
                if target.kind != "survival":
                    lower, upper = curve.limits(target.prob)
                    ends = lower if target.kind == "survival_lower" else upper
                off[:, place] = np.maximum(np.maximum(target.value + STRICT - ends[:, 0], ends[:, 1] - target.value), 0.0)
        off[~np.isfinite(off)] = 1.0
        off[off < NEGLIGIBLE] = 0.0
        return np.asarray(off)

    def with_published(self, values: Floats, /) -> ProgressionTargets:
        """Return the numbers of another paper of the same form: the same statistics with other values."""
        pairs = zip(self.targets, values, strict=True)
        return replace(self, targets=tuple(replace(target, value=float(value)) for target, value in pairs))

    def table_left_out(self) -> pd.DataFrame:
        """Return the numbers that cannot be simulated or are set aside: ``target, reason``."""
        return pd.DataFrame(list(self.left_out), columns=["target", "reason"])


def _is_fitted(target: Target) -> bool:
    return target.status in FITTED and not target.inequality


def _set_aside(evidence: Evidence, endpoint: str) -> Iterator[tuple[str, str]]:
    """Return entries of an endpoint that no statistic is computed for, with the reason."""
    patterns = [item for item in evidence.failures if item.endpoint == endpoint]
    names = [item.id for item in (*groups_of(evidence, endpoint), *patterns) if item.status == "conflict"]
    models = [model for model in evidence.model if model.endpoint == endpoint]
    names += [f"{model.id}: {label_of(term)}" for model in models for term in model.term if term.status == "conflict"]
    yield from ((name, SET_ASIDE) for name in names)
    later = [item.id for item in patterns if item.status != "conflict"][1:]
    yield from ((name, "the first pattern of failures of an endpoint is used") for name in later)


def _missing(target: Target, evidence: Evidence, structure: Structure) -> str:
    """Return the name of a characteristic that a target needs and that is not simulated, or nothing."""
    names = set(target.group) if isinstance(target.group, dict) else set()
    if isinstance(target.group, int):
        names |= {item.name for item in evidence.categorical if item.favourable}
    if target.model is not None:
        names |= {term.covariate for term in evidence.model[target.model].term}
    return next((name for name in sorted(names) if name not in structure.names), "")
