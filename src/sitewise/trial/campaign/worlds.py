"""Worlds of a campaign: the planned truth, nulls, and the other scenarios of the design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.plan.arms import EXPERIMENTAL
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.plan.scenarios import TrialScenario
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth.benchmark import Benchmark
from sitewise.trial.truth.bounds import shift_to_bound
from sitewise.trial.truth.changes import require_hazards, with_drift
from sitewise.trial.truth.further import alike, check_further, ratios_of, with_ratios
from sitewise.trial.truth.true_values import true_value
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
PLANNED, NULL = "planned", "null"


@dataclass(frozen=True, eq=False)
class World:
    """One scenario, ready to be simulated.

    Parameters
    ----------
    name : str
        Name.
    truth : Truth
        What is true in it.
    null : bool
        Whether success in it is a type I error.
    accrual_factor : float
        Multiplies the rates of all sites.
    true_values : ndarray, shape (R, C)
        True estimand of each criterion in each row; not a number where it has no one value (hazards that are not proportional).
    lasting_sd : ndarray, shape (C,)
        Part of the sd of each criterion's estimate that no further patient makes smaller: the benchmark's.
    """

    name: str
    truth: Truth
    null: bool = False
    accrual_factor: float = 1.0
    true_values: Floats = field(default_factory=lambda: np.empty((0, 0)))
    lasting_sd: Floats = field(default_factory=lambda: np.zeros(0))


def scenarios_of(design: TrialDesign) -> tuple[TrialScenario, ...]:
    """Return the planned scenario, a null, and those of the design; one of its own that is called planned stands first.

    Where the design names no null, one is added: no effect, in every experimental arm. Or the world at the bound of the first
    success criterion, where no effect is no null: success is not about a comparison, or right without an effect
    (non-inferiority), or the trial has only the arm that the cohort describes, which an effect does not touch.
    """
    own = tuple(item for item in design.scenario if item.name != PLANNED)
    first = tuple(item for item in design.scenario if item.name == PLANNED) or (TrialScenario(PLANNED),)
    if any(item.null for item in (*first, *own)):
        return (*first, *own)
    success = next(item for item in design.criterion if item.role == "success" and item.arm == EXPERIMENTAL)
    touched = design.arms.randomised or design.truth.cohort_arm == "control"
    if touched and _needs_an_effect(success):
        null = TrialScenario(NULL, null=True, hazard_ratio=1.0)
    else:
        null = TrialScenario(NULL, null=True, at_bound=success.name)
    return (*first, null, *own)


def _needs_an_effect(criterion: Criterion) -> bool:
    """Return whether a statement compares, and is untrue where there is nothing between those compared."""
    if criterion.estimand != "hazard_ratio" and criterion.against == "value":
        return False
    alike = 1.0 if criterion.estimand == "hazard_ratio" else 0.0
    return criterion.bound <= alike if criterion.wants_less else criterion.bound >= alike


def worlds_of(design: TrialDesign, truth: Truth, *, benchmark: Benchmark | None = None) -> tuple[World, ...]:
    """Return the worlds of a design under its truth.

    Raises
    ------
    TrialError
        When a scenario cannot be made of the truth.
    """
    return tuple(world_of(design, truth, item, benchmark=benchmark) for item in scenarios_of(design))


def world_of(design: TrialDesign, truth: Truth, scenario: TrialScenario, *, benchmark: Benchmark | None = None) -> World:
    """Return one scenario's world."""
    made = _with_stated(truth, design, scenario)
    if scenario.site_sd is not None:
        if scenario.site_sd > 0:
            require_hazards(made, "A spread of sites is of log hazards")
        made = made.with_site_sd(scenario.site_sd)
    made = with_drift(made, scenario.drift)
    if scenario.at_bound:
        criterion = next(item for item in design.criterion if item.name == scenario.at_bound)
        made = alike(shift_to_bound(alike(made), criterion, benchmark=benchmark))
    values = [_true(made, item, design.arms.names.index(item.arm), benchmark) for item in design.criterion]
    lasting = np.array([_lasting_sd(item, benchmark) for item in design.criterion])
    return World(scenario.name, made, scenario.null, scenario.accrual_factor, np.column_stack(values), lasting)


def _lasting_sd(criterion: Criterion, benchmark: Benchmark | None) -> float:
    if benchmark is None or benchmark.known or criterion.predictive:
        return 0.0
    if criterion.estimand == "hazard_ratio":
        return benchmark.log_hazard_sd
    return float(benchmark.draws(criterion).std()) if criterion.against == "benchmark" else 0.0


def _with_stated(truth: Truth, design: TrialDesign, scenario: TrialScenario) -> Truth:
    """Return the truth with the hazard ratios that a scenario states, of all experimental arms or one by one."""
    check_further(truth, design.arms)
    stated = [scenario.hazard_ratios.get(name, scenario.hazard_ratio) for name in design.arms.names[1:]]
    made = truth
    if stated[0] is not None:
        effect = replace(design.truth.effect, hazard_ratio=stated[0], sd=0.0, published=None)
        # Without any effect nothing is left of its course in time, its cure, and its spread between sites.
        nothing = all(value == 1.0 for value in stated)
        made = made.with_effect(Effect(hazard_ratio=1.0) if nothing else effect)
    ratios = [
        own if value is None else np.full(made.rows, np.log(value)) for own, value in zip(ratios_of(made), stated, strict=True)
    ]
    return with_ratios(made, ratios)


def _true(truth: Truth, criterion: Criterion, code: int, benchmark: Benchmark | None) -> Floats:
    if criterion.predictive:
        return np.full(truth.rows, np.nan)
    return true_value(truth, criterion, code=code, benchmark=benchmark)


def null_worlds(worlds: Sequence[World], /) -> tuple[World, ...]:
    """Return the worlds in which success is a type I error."""
    return tuple(world for world in worlds if world.null)
