"""From the words of TRIAL.toml to joint draws: the truth, and the cohorts of the analysis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sitewise.estimands import RiskGroups
from sitewise.inference import load
from sitewise.problems import SitewiseError, TrialError
from sitewise.simulate.packaged import PACKAGED as SCENARIOS
from sitewise.simulate.packaged import load_scenario
from sitewise.trial.plan.cohorts import BenchmarkPlan
from sitewise.trial.plan.truth import Effect, TruthPlan
from sitewise.trial.truth.benchmark import Benchmark
from sitewise.trial.truth.changes import (
    beside,
    thinned,
    with_bias,
    with_case_mix,
    with_discount,
    without_guarantee_time,
)
from sitewise.trial.truth.storage import PACKAGED
from sitewise.trial.truth.truth import Truth

MOST_ROWS = 2000
"""Rows of a fit that are kept: chosen at random where there are more."""
POSTERIOR = "posterior.nc"


def truth_of(plan: TruthPlan, /, *, folder: Path, time_unit: str, seed: int = 0, rows: int | None = None) -> Truth:
    """Return the truth that a record describes.

    Parameters
    ----------
    plan : TruthPlan
        The record.
    folder : Path
        Of the file that it stands in: relative paths are relative to it.
    time_unit : str
        The trial's unit of time.
    seed : int
        Of the draws of effect and bias, and of thinning.
    rows : int, optional
        Rows; default all draws, of a fit 2000 at most, and of a stated truth 1000 where the effect is uncertain, else one.

    Raises
    ------
    TrialError
        When a file is missing or is not what it is called, the time unit, the endpoint or a risk group is another.
    """
    if plan.point is not None:
        if plan.point.baseline.guarantee_time and plan.guarantee_time == "drop":
            raise TrialError(
                "The point states a guarantee_time. Leave it out, or say guarantee_time = 'keep' and in guarantee_reason why a "
                "trial's patients cannot have the event before it."
            )
        truth = Truth.point(
            plan.point,
            cohort_arm=plan.cohort_arm,
            effect=plan.effect,
            endpoint=plan.endpoint,
            time_unit=time_unit,
            rows=rows,
            seed=seed,
        )
    elif plan.scenario:
        truth = Truth.from_scenario(
            load_scenario(_scenario(plan.scenario, folder)),
            cohort_arm=plan.cohort_arm,
            effect=plan.effect,
            endpoint=plan.endpoint,
            rows=rows,
            seed=seed,
        )
        truth = _guarantee_time(truth, plan)
    elif plan.draws:
        truth = Truth.load(_draws(plan.draws, folder), cohort_arm=plan.cohort_arm, effect=plan.effect, seed=seed)
        truth = _guarantee_time(truth, plan)
        truth = thinned(truth, rows, seed=seed) if rows is not None else truth
    else:
        truth = _of_fit(plan, folder, seed, rows)
    _check(truth, plan, time_unit)
    if plan.risk_groups and not plan.fit:
        raise TrialError("risk_groups are of a fit; the draws, scenario or point given have risk groups of their own.")
    stated = bool(plan.scenario) or plan.point is not None
    if stated and plan.discount < 1:
        raise TrialError("discount is of a posterior; stated numbers have no covariance that could be divided.")
    truth = with_discount(truth, plan.discount)
    truth = with_case_mix(truth, plan.case_mix) if plan.case_mix else truth
    return with_bias(truth, plan.bias, seed=seed + 1).with_effect(plan.effect, seed=seed)


def cohort_truth(
    *,
    draws: str,
    fit: str,
    risk_groups: dict[str, tuple[str, ...]],
    folder: Path,
    time_unit: str,
    like: Truth,
    seed: int = 0,
) -> Truth:
    """Return the joint draws of a cohort of the analysis, a benchmark or a history: no bias, no discount, no effect.

    Parameters
    ----------
    draws, fit : str
        Of which one is given: joint draws, or a fit, as in a :class:`TruthPlan`.
    risk_groups : dict
        Favourable levels of covariates, of a fit.
    folder : Path
        Relative paths are relative to it.
    time_unit : str
        The trial's unit of time.
    like : Truth
        The trial's truth: its endpoint, whether a guarantee time is kept, and its case mix where the cohort has its risk groups
        (:func:`sitewise.trial.truth.changes.beside`).
    seed : int
        Of thinning.
    """
    plan = TruthPlan(
        cohort_arm="control",
        effect=Effect(1.0),
        endpoint=like.endpoint,
        draws=draws,
        fit=fit,
        risk_groups=risk_groups,
        guarantee_time="keep" if like.guarantee_time else "drop",
        guarantee_reason="as in the truth" if like.guarantee_time else "",
    )
    found = truth_of(plan, folder=folder, time_unit=time_unit, seed=seed)
    return beside(found, like) if set(like.groups) <= set(found.groups) else found


def benchmark_of(plan: BenchmarkPlan, /, *, like: Truth, folder: Path, time_unit: str, seed: int = 0) -> Benchmark:
    """Return the benchmark that a record describes; parameters are those of :func:`cohort_truth`."""
    cohort = cohort_truth(
        draws=plan.draws,
        fit=plan.fit,
        risk_groups=plan.risk_groups,
        folder=folder,
        time_unit=time_unit,
        like=like,
        seed=seed,
    )
    return Benchmark(cohort, known=plan.known)


def _of_fit(plan: TruthPlan, folder: Path, seed: int, rows: int | None) -> Truth:
    path = folder / plan.fit
    path = path / POSTERIOR if path.is_dir() else path
    if not path.is_file():
        raise TrialError(f"fit: there is no file {path}. Give the folder that 'sitewise fit' wrote, or its {POSTERIOR}.")
    try:
        fit = load(path)
    except SitewiseError as error:
        raise TrialError(f"fit: {error}") from error
    draws = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    return Truth.from_posterior(
        fit,
        cohort_arm=plan.cohort_arm,
        effect=plan.effect,
        groups=RiskGroups.count_favourable({name: list(levels) for name, levels in plan.risk_groups.items()})
        if plan.risk_groups
        else None,
        endpoint=plan.endpoint,
        guarantee_time=plan.guarantee_time,
        guarantee_reason=plan.guarantee_reason,
        rows=rows if rows is not None else min(draws, MOST_ROWS),
        seed=seed,
    )


def _guarantee_time(truth: Truth, plan: TruthPlan) -> Truth:
    """Drop the guarantee time that draws or a scenario still have, or say that it is gone."""
    if plan.guarantee_time == "drop":
        return without_guarantee_time(truth)
    if truth.guarantee_time == 0:
        raise TrialError(
            f"guarantee_time is 'keep', and there is none in the draws from {truth.source}. Make draws that have it: "
            "Truth.from_posterior(fit, ..., guarantee_time='keep', guarantee_reason='...').save(path)."
        )
    return replace(truth, notes=(*truth.notes, f"The guarantee time is kept: {plan.guarantee_reason.strip()}"))


def _draws(which: str, folder: Path) -> str | Path:
    if which in PACKAGED:
        return which
    path = folder / which
    return path if which.endswith(".nc") or path.is_file() else which


def _scenario(which: str, folder: Path) -> str | Path:
    return which if which in SCENARIOS or not which.endswith(".toml") else folder / which


def _check(truth: Truth, plan: TruthPlan, time_unit: str) -> None:
    if truth.time_unit != time_unit:
        raise TrialError(
            f"The trial counts time in {time_unit}, and {truth.source} in {truth.time_unit}. Use one unit: time_unit = "
            f"'{truth.time_unit}'."
        )
    if truth.endpoint != plan.endpoint:
        raise TrialError(
            f"The truth's endpoint is {plan.endpoint}, and {truth.source} is about {truth.endpoint}. A trial with another "
            "endpoint needs draws of its own."
        )
