"""What is true of a criterion's estimand, in each row of a truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sitewise.families.base import EXTREME_VALUE
from sitewise.problems import TrialError
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.truth.averages import AveragedCurve
from sitewise.trial.truth.benchmark import Benchmark
from sitewise.trial.truth.changes import rows_of, taken
from sitewise.trial.truth.further import ratios_of, truth_of_arm
from sitewise.trial.truth.hazards import Arm
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
SAME = 1e-9
"""How far log hazard ratios of profiles may differ in a row and still be one number."""


def true_value(
    truth: Truth, criterion: Criterion, /, *, arm: Arm = "experimental", code: int = 1, benchmark: Benchmark | None = None
) -> Floats:
    """Return the true estimand of each row, shape (R,).

    Survival, restricted means and medians are of the averaged curve: over the case mix of the group and over new sites inside
    each row. With ``against="control"`` they are differences from the control arm of the row, with ``against="benchmark"``
    from the benchmark: from the same row's where its joint draws are those behind the truth, else from its mean.

    Parameters
    ----------
    truth : Truth
        What is true.
    criterion : Criterion
        Whose estimand.
    arm : {"experimental", "control"}
        Whose survival, restricted mean or median.
    code : int
        Which experimental arm: 1 the first, 2 and following the further ones.
    benchmark : Benchmark, optional
        Of a single-arm trial: its hazard ratio is against the benchmark's patients of the same risk group and site.

    Returns
    -------
    ndarray, shape (R,)
        Not a number where there is no such value; :func:`no_true_value` says why. A median that is never reached is infinite.

    Raises
    ------
    TrialError
        When the criterion's group does not exist, it has no estimand of its own (predictive), or it is against a benchmark and
        none is given.
    """
    if criterion.predictive:
        raise TrialError(f"Criterion '{criterion.name}' is predictive: it is about other criteria and has no true value.")
    if criterion.estimand == "hazard_ratio":
        if no_true_value(truth, criterion, benchmark=benchmark):
            return np.full(truth.rows, np.nan)
        if benchmark is None:
            return np.exp(ratios_of(truth)[code - 1])
        return np.exp(log_ratio_to_benchmark(truth, benchmark))
    whose = truth_of_arm(truth, code) if arm == "experimental" and code > 1 else truth
    own = of_curve(AveragedCurve.of(whose, arm=arm, group=criterion.group), criterion)
    if criterion.against == "control":
        return own - of_curve(AveragedCurve.of(truth, arm="control", group=criterion.group), criterion)
    if criterion.against == "benchmark":
        return own - benchmark_values(truth, criterion, benchmark)
    return own


def no_true_value(truth: Truth, criterion: Criterion, /, *, benchmark: Benchmark | None = None) -> str:
    """Return why a criterion has no true value in any row; empty where it has."""
    if criterion.estimand != "hazard_ratio":
        return ""
    affected = benchmark is None or truth.cohort_arm == "control"
    if affected and not truth.effect.proportional:
        return (
            "The hazards are not proportional (delay, waning or cure), so that no one hazard ratio is true. Compare survival "
            "or restricted means instead."
        )
    if benchmark is None:
        return ""
    if truth.family.standard != EXTREME_VALUE:
        return f"Hazards of the {truth.family.name} distribution do not stand in one ratio to the benchmark's."
    if _apart(truth, benchmark.cohort) is None:
        return (
            "The benchmark's joint draws are not those behind the truth, so that their hazards do not stand in one ratio at "
            "all times. Compare survival or restricted means instead."
        )
    return ""


def of_curve(
    curve: AveragedCurve,
    criterion: Criterion,
    /,
    *,
    rows: Rows | None = None,
    shift: ArrayLike = 0.0,
    effect_shift: ArrayLike = 0.0,
) -> Floats:
    """Return survival, restricted mean or median of a curve, shape (n,); medians of all rows without shifts only."""
    if criterion.estimand == "median":
        return curve.median()
    if criterion.at is None:
        raise TrialError(f"Criterion '{criterion.name}' has no time 'at'.")
    if criterion.estimand == "survival":
        return curve.survival([criterion.at], rows=rows, shift=shift, effect_shift=effect_shift)[:, 0]
    return curve.restricted_mean(criterion.at, rows=rows, shift=shift, effect_shift=effect_shift)


def benchmark_values(truth: Truth, criterion: Criterion, benchmark: Benchmark | None, /) -> Floats:
    """Return the benchmark's own survival or restricted mean in each row of a truth, shape (R,)."""
    if benchmark is None:
        raise TrialError(f"Criterion '{criterion.name}' is against a benchmark, and none is given.")
    cohort, rows = benchmark.cohort, rows_of(truth, benchmark.cohort)
    own = of_curve(AveragedCurve.of(cohort, arm=cohort.cohort_arm, group=criterion.group), criterion)
    return np.full(truth.rows, np.nanmean(own)) if rows is None else own[rows]


def log_ratio_to_benchmark(truth: Truth, benchmark: Benchmark, /) -> Floats:
    """Return the log hazard ratio of the experimental arm against the benchmark's like patients in each row, shape (R,)."""
    apart = _apart(truth, benchmark.cohort)
    assert apart is not None
    effect = truth.effect.log_hazard_ratio if truth.cohort_arm == "control" else 0.0
    return np.asarray(effect + apart)


def _apart(truth: Truth, cohort: Truth) -> Floats | None:
    """Return by how much the log hazards of a truth's patients differ from those of like patients of a cohort, (R,).

    None where that is no one number a row: other draws, other patients, or not the same difference for all of them.
    """
    rows = rows_of(truth, cohort)
    if rows is None or not set(truth.profiles) <= set(cohort.profiles):
        return None
    columns = [cohort.profiles.index(item) for item in truth.profiles]
    apart = truth.index - taken(cohort, rows).index[:, columns]
    return apart.mean(axis=1) if np.ptp(apart, axis=1).max() < SAME else None
