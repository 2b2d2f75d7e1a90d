"""The world at a criterion's bound: the null of a bar such as P(2-year survival > 0.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import TrialError, plural
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.truth.averages import AveragedCurve, root_of
from sitewise.trial.truth.benchmark import Benchmark
from sitewise.trial.truth.changes import require_hazards
from sitewise.trial.truth.true_values import benchmark_values, log_ratio_to_benchmark, no_true_value, of_curve
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
FARTHEST = 16.0
"""How far, on the log hazard scale, a world at the bound is looked for."""


def shift_to_bound(truth: Truth, criterion: Criterion, /, *, benchmark: Benchmark | None = None) -> Truth:
    """Return the truth with hazards multiplied, in each row, so that a criterion's estimand is exactly at its bound.

    Where the criterion compares with a control arm, it is the effect that is changed: the arms' ratio. Else the hazards of all
    patients are multiplied by one number a row.

    Parameters
    ----------
    truth : Truth
        What is true.
    criterion : Criterion
        Whose bound.
    benchmark : Benchmark, optional
        That a single arm is held against.

    Raises
    ------
    TrialError
        When no multiple of the hazards brings the estimand to the bound.
    """
    bound, estimand = criterion.bound, criterion.estimand
    if criterion.predictive or not np.isfinite(bound):
        raise TrialError(f"Criterion '{criterion.name}' is predictive and has no bound.")
    if estimand == "hazard_ratio":
        reason = no_true_value(truth, criterion, benchmark=benchmark)
        if reason:
            raise TrialError(
                f"Criterion '{criterion.name}' has no world at its bound. {reason} State what is true where the treatment does "
                "not work: a [[scenario]] with null = true."
            )
        if benchmark is None:
            return _with_log_ratio(truth, np.full(truth.rows, np.log(bound)))
        return _moved(truth, criterion, np.log(bound) - log_ratio_to_benchmark(truth, benchmark))
    if criterion.against != "control":
        require_hazards(truth, "A world at a bound multiplies hazards")
    curve = AveragedCurve.of(truth, arm="experimental", group=criterion.group)
    if criterion.against == "control":
        control = AveragedCurve.of(truth, arm="control", group=criterion.group)

        def difference(added: Floats, rows: Rows) -> Floats:
            own = of_curve(curve, criterion, rows=rows, effect_shift=added)
            return np.asarray(own - of_curve(control, criterion, rows=rows, effect_shift=added) - bound)

        added = _solved(difference, -truth.effect.log_hazard_ratio, criterion)
        return _with_log_ratio(truth, truth.effect.log_hazard_ratio + added)
    target = np.full(truth.rows, bound)
    if criterion.against == "benchmark":
        target = target + benchmark_values(truth, criterion, benchmark)

    def apart(added: Floats, rows: Rows) -> Floats:
        if estimand == "median":
            return curve.survival([bound], rows=rows, shift=added)[:, 0] - 0.5
        return np.asarray(of_curve(curve, criterion, rows=rows, shift=added) - target[rows])

    return _moved(truth, criterion, _solved(apart, np.zeros(truth.rows), criterion))


def _solved(function: Callable[[Floats, Rows], Floats], centre: Floats, criterion: Criterion) -> Floats:
    found = root_of(function, centre, falling=True, farthest=FARTHEST)
    if np.isnan(found).any():
        raise TrialError(
            f"Criterion '{criterion.name}' ({criterion.sentence}): in {plural(int(np.isnan(found).sum()), 'row', 'rows')} of "
            f"{found.size} no multiple of the hazards brings the estimand to its bound. State what is true where the treatment "
            "does not work: a [[scenario]] with null = true."
        )
    return found


def _with_log_ratio(truth: Truth, log_ratio: Floats) -> Truth:
    return replace(truth, effect=replace(truth.effect, log_hazard_ratio=log_ratio))


def _moved(truth: Truth, criterion: Criterion, added: Floats) -> Truth:
    told = criterion.sentence.replace(" above ", " is ").replace(" below ", " is ")
    note = f"Hazards are multiplied, row by row, so that {told}."
    return replace(truth, index=truth.index + added[:, None], notes=(*truth.notes, note))
