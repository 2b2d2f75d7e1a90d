"""A calibration problem as the arrays that the annealing kernel reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sitewise.simulate.calibration.annealing import costs as kernel
from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.calibration.structure import FITTED
from sitewise.simulate.calibration.targets import Target
from sitewise.simulate.parts import Floats

KINDS = {
    "log_hazard_ratio": kernel.LOG_HAZARD_RATIO,
    "log_standard_error": kernel.LOG_STANDARD_ERROR,
    "survival_lower": kernel.MEDIAN_LOWER,
    "survival_upper": kernel.MEDIAN_UPPER,
    "log_width": kernel.LOG_WIDTH,
    "beyond_last": kernel.BEYOND_LAST,
    "upper_beyond_last": kernel.UPPER_BEYOND_LAST,
    "follow_up_share": kernel.FOLLOW_UP,
    "log_shortest": kernel.SHORTEST,
    "log_longest": kernel.LONGEST,
    "events": kernel.EVENTS,
    "at_risk": kernel.AT_RISK,
    "joint": kernel.JOINT,
}
DEFINITIONS = {
    "": kernel.OBSERVED,
    "observed": kernel.OBSERVED,
    "reverse-kaplan-meier": kernel.REVERSE,
    "alive-only": kernel.ALIVE,
}
OF_FOLLOW_UP = ("follow_up_share", "log_shortest", "log_longest")
LEAST_LOG = 0.0015
"""Tolerance of logarithms that are printed to more digits than that."""
LEAST_SHARE = 0.001
"""Tolerance of survival beyond its rounding box: small, so that Kaplan-Meier figures round to the printed ones."""
INSIDE = 0.98
"""Share of a rounding box that is aimed at: its edge belongs to the next printed number."""
WELL_INSIDE = 0.9
"""Of figures of follow-up, whose cost begins at the edge."""
SMALLEST = 1e-3


@dataclass(frozen=True, eq=False)
class Plan:
    """What stays the same for all cohorts of a problem: the kernel's tables and targets.

    Parameters
    ----------
    problem : Problem
        What is reconstructed.
    order : tuple of int
        Positions of the targets aimed at, in the kernel's order.
    blocks : ndarray, shape (b, 4)
        Sets of targets that are judged together.
    """

    problem: Problem
    order: tuple[int, ...]
    blocks: NDArray[np.int64]
    model_start: NDArray[np.int64]
    term_covariate: NDArray[np.int64]
    coefficient: Floats
    included: NDArray[np.bool_]
    term_of_covariate: NDArray[np.bool_]
    values: Floats
    groups: tuple[NDArray[Any], ...]

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Return the plan of a problem."""
        names = problem.structure.names
        widest = max([problem.structure.patients, *(len(item.levels) for item in problem.structure.factors)])
        targets = problem.targets
        aimed = [place for place, target in enumerate(targets) if target.status in FITTED]
        models = sorted({number for place in aimed if (number := targets[place].model) is not None})
        terms = [(number, row) for number in models for row in range(len(problem.evidence.model[number].term))]
        starts = np.cumsum([0, *(len(problem.evidence.model[number].term) for number in models)])
        published = {(item.model, item.term): item.value for item in targets if item.kind == "log_hazard_ratio"}
        rows = [problem.evidence.model[number].term[row] for number, row in terms]
        values = np.zeros((len(terms), widest))
        included = np.ones((max(len(models), 1), len(names), widest), dtype=bool)
        uses = np.zeros((max(len(models), 1), len(names)), dtype=bool)
        for place, ((number, _), term) in enumerate(zip(terms, rows, strict=True)):
            covariate, model = names.index(term.covariate), models.index(number)
            uses[model, covariate] = True
            if term.level:
                levels = problem.structure.factor(term.covariate).levels
                values[place, : len(levels)] = [level in term.level for level in levels]
                own = [item for item in problem.evidence.model[number].term if item.covariate == term.covariate]
                known = {level for item in own for level in (*item.level, *item.reference)}
                included[model, covariate, : len(levels)] = [level in known for level in levels]
        order, blocks = _ordered(targets, aimed, models)
        keys = list(dict.fromkeys(repr(targets[place].group) for place in order if targets[place].kind in OF_GROUPS))
        samples = {repr(target.group): target.group for target in targets}
        return cls(
            problem, tuple(order), blocks, starts.astype(np.int64),
            np.array([names.index(term.covariate) for term in rows], dtype=np.int64),
            np.array([published.get(key, 0.0) for key in terms]), included, uses, values,
            _groups(problem, [samples[key] for key in keys], widest),
        )  # fmt: skip

    def target_arrays(self, published: Floats) -> tuple[NDArray[Any], ...]:
        """Return kind, row, definition, low, high, value, half, tolerance, z of the targets aimed at."""
        targets = [self.problem.targets[place] for place in self.order]
        kinds = [_kind(target) for target in targets]
        low, high, tolerance = [], [], []
        for target, kind in zip(targets, kinds, strict=True):
            box = target.rounding * INSIDE
            middle = target.time if target.time is not None else 0.0
            if kind in (kernel.SHORTEST, kernel.LONGEST):
                ends = np.exp(target.value + np.array([-1.0, 1.0]) * target.rounding)
                middle, box = float(ends.mean()), float(ends[1] - ends[0]) / 2 * INSIDE
            still = kind in (kernel.SURVIVAL, kernel.LOG_WIDTH, kernel.AT_RISK)
            if target.kind in OF_FOLLOW_UP:
                box *= WELL_INSIDE
            low.append(middle if still else middle - box)
            high.append(middle if still else middle + box)
            tolerance.append(_tolerance(kind, target))
        return (
            np.array(kinds, dtype=np.int64),
            np.array([target.term or 0 for target in targets], dtype=np.int64),
            np.array([DEFINITIONS[target.definition] for target in targets], dtype=np.int64),
            np.array(low), np.array(high), published[list(self.order)],
            np.array([target.rounding * INSIDE for target in targets]), np.array(tolerance),
            ndtri(0.5 + np.array([target.prob for target in targets]) / 2),
        )  # fmt: skip

    def slots(self, cohorts: Cohorts, row: int) -> tuple[NDArray[np.bool_], Floats, Floats, Floats, Floats]:
        """Return which covariates are numeric, the ends between which each value may move, values and hazard ratios of terms.

        The least and largest value stay, and no value passes the median, so that what the paper prints of the characteristic
        holds.
        """
        names, measures = self.problem.structure.names, self.problem.structure.measures
        numeric = np.zeros(len(names), dtype=bool)
        low, high = np.zeros((len(names), self.values.shape[1])), np.zeros((len(names), self.values.shape[1]))
        values = self.values.copy()
        for measure in measures:
            place, own = names.index(measure.name), cohorts.measures[measure.name][row]
            numeric[place] = True
            for term in np.flatnonzero(self.term_covariate == place):
                values[term, : own.size] = own
            if measure.quantiles:
                ends = np.array([value for _, value in measure.quantiles])
                above = np.clip(np.searchsorted(ends, own, side="right"), 1, len(ends) - 1)
                low[place, : own.size], high[place, : own.size] = ends[above - 1], ends[above]
                for end in (int(own.argmin()), int(own.argmax())):
                    low[place, end] = high[place, end] = own[end]
            elif measure.sd is None and measure.lower is not None and measure.upper is not None:
                below = own < measure.median
                low[place, : own.size] = np.where(below, measure.lower, measure.median)
                high[place, : own.size] = np.where(below, measure.median, measure.upper)
                for end in (int(own.argmin()), int(own.argmax())):
                    low[place, end] = high[place, end] = own[end]
        return numeric, low, high, values, np.exp(self.coefficient[:, None] * values)


OF_GROUPS = (
    "survival",
    "survival_lower",
    "survival_upper",
    "log_width",
    "beyond_last",
    "upper_beyond_last",
    "events",
    "at_risk",
    "joint",
)


def _ordered(targets: tuple[Target, ...], aimed: list[int], models: list[int]) -> tuple[list[int], NDArray[np.int64]]:
    order: list[int] = []
    blocks: list[tuple[int, int, int, int]] = []
    sets = [(0, place, [t for t in aimed if targets[t].model == number]) for place, number in enumerate(models)]
    groups: dict[str, list[int]] = {}
    for place in aimed:
        if targets[place].kind in OF_GROUPS:
            groups.setdefault(repr(targets[place].group), []).append(place)
    sets += [(1, number, places) for number, places in enumerate(groups.values())]
    sets.append((2, 0, [place for place in aimed if targets[place].kind in OF_FOLLOW_UP]))
    for what, number, places in sets:
        if places:
            blocks.append((what, number, len(order), len(order) + len(places)))
            order += places
    return order, np.array(blocks, dtype=np.int64)


def _groups(problem: Problem, groups: list[Any], widest: int) -> tuple[NDArray[Any], ...]:
    """Return tables of members by level, counts of favourable factors, which levels are favourable, what groups depend on."""
    names = problem.structure.names
    table = np.ones((max(len(groups), 1), len(names), widest), dtype=bool)
    count = np.full(max(len(groups), 1), -1, dtype=np.int64)
    favourable = np.zeros((len(names), widest), dtype=bool)
    uses = np.zeros((max(len(groups), 1), len(names)), dtype=bool)
    for item in problem.structure.factors:
        favourable[names.index(item.name), : len(item.levels)] = [level in item.favourable for level in item.levels]
    for number, group in enumerate(groups):
        if isinstance(group, int):
            count[number] = group
            uses[number] = favourable.any(axis=1)
        elif group is not None:
            for name, levels in group.items():
                own = problem.structure.factor(name).levels
                table[number, names.index(name), : len(own)] = [level in levels for level in own]
                uses[number, names.index(name)] = True
    members = np.full((len(uses), len(names) + 1), -1, dtype=np.int64)
    for number, used in enumerate(uses):
        members[number, : used.sum()] = np.flatnonzero(used)
    return table, count, favourable, members, uses


def _kind(target: Target) -> int:
    if target.kind == "survival":
        return kernel.MEDIAN if target.rounds_time else kernel.SURVIVAL
    return KINDS[target.kind]


def _tolerance(kind: int, target: Target) -> float:
    if kind in (kernel.LOG_HAZARD_RATIO, kernel.LOG_STANDARD_ERROR):
        return max(0.5 * target.rounding, LEAST_LOG)
    if kind in (kernel.FOLLOW_UP, kernel.SHORTEST, kernel.LONGEST):
        scale = float(np.exp(target.value)) if kind != kernel.FOLLOW_UP else 1.0
        return max(0.1 * target.rounding * scale, SMALLEST)
    if kind in (kernel.EVENTS, kernel.AT_RISK, kernel.JOINT):
        return 0.3
    return 0.05 if kind == kernel.LOG_WIDTH else LEAST_SHARE
