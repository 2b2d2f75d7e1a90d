"""From a design's words to what is true, and to the cohorts that its analysis uses: read apart, and told apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sitewise.inference.engine import Report, silent
from sitewise.problems import TrialError, listed, nearest
from sitewise.trial.borrowing import (
    Commensurate,
    FixedPowerPrior,
    NoBorrowing,
    NormalisedPowerPrior,
    Pooled,
    RobustMap,
)
from sitewise.trial.borrowing.methods import Borrowing
from sitewise.trial.borrowing.mixture import Mixture
from sitewise.trial.borrowing.priors import borrowed
from sitewise.trial.plan.cohorts import BorrowingPlan
from sitewise.trial.plan.criteria import ALL
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.truth.benchmark import Benchmark
from sitewise.trial.truth.changes import restricted
from sitewise.trial.truth.further import with_further_arms
from sitewise.trial.truth.plan_truth import benchmark_of, cohort_truth, truth_of
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """A historical cohort that an arm borrows from, as its log hazard: N(0, sd^2) against its own curve.

    Parameters
    ----------
    method : record
        How.
    sd : float
        Standard deviation of the cohort's log hazard.
    """

    method: Borrowing
    sd: float

    def posterior(self, estimates: Floats, se: Floats, /) -> Mixture:
        """Return the posterior of the arm's log hazard against the cohort's in M trials; nothing where it has no events."""
        known = np.isfinite(estimates) & np.isfinite(se)
        found = borrowed(
            self.method,
            estimate=np.where(known, estimates, 0.0),
            se=np.where(known, se, 1.0),
            historical_sd=self.sd,
        )
        gone = np.where(known, 0.0, np.nan)[:, None]
        return replace(found, means=found.means + gone)


@dataclass(frozen=True, eq=False)
class Cohorts:
    """What is true, and the cohorts of the analysis.

    Parameters
    ----------
    truth : Truth
        The design prior.
    benchmark : Benchmark or None
        What a single arm is held against.
    history : Benchmark or None
        What an arm borrows from.
    borrows : History or None
        How it borrows.
    """

    truth: Truth
    benchmark: Benchmark | None = None
    history: Benchmark | None = None
    borrows: History | None = None

    def flags(self, design: TrialDesign, /) -> tuple[str, ...]:
        """Return what a reader has to know before believing any number, in sentences."""
        found = list(self.truth.notes)
        for role, cohort in {"benchmark": self.benchmark, "history that an arm borrows from": self.history}.items():
            if cohort is not None and cohort.cohort.source_hash and cohort.cohort.source_hash == self.truth.source_hash:
                found.append(
                    f"The same cohort is taken as true and serves the analysis as {role}: power and assurance are optimistic "
                    "if the cohort is. The type I error in the null scenarios stands beside every power."
                )
        if self.benchmark is not None and self.benchmark.known:
            found.append(
                "The benchmark is treated as known: its uncertainty is ignored, and the type I error is above nominal."
            )
        every = design.follow_up.assess_every
        averages = [item.name for item in design.criterion if item.estimand != "hazard_ratio" and not item.predictive]
        if every is not None and averages:
            found.append(
                f"Events are found at assessments, up to {every:g} {design.time_unit} after they happen, and the analysis "
                f"takes them as happening then: survival, means and medians come out later than they are ({listed(averages)})."
            )
        plan = design.calibration
        if plan is not None and (plan.method == "spending" or plan.shape == "obrien-fleming") and len(design.look) > 1:
            by_time = [name for name in plan.names if name in averages]
            if by_time:
                found.append(
                    f"The shape of the thresholds over looks takes shares of events for shares of information, which they are "
                    f"not for survival, means and medians ({listed(by_time)}): early looks can waste what they spend."
                )
        for item in design.criterion:
            if item.at is not None and item.at > self.truth.follow_up:
                found.append(
                    f"Criterion '{item.name}' is about time {item.at:g}, and the cohort was followed for "
                    f"{self.truth.follow_up:.3g} {design.time_unit}: what is true there is extrapolated."
                )
        return tuple(found)


def cohorts_of(design: TrialDesign, /, *, folder: Path = Path(), report: Report = silent) -> Cohorts:
    """Return what a design takes as true, and the cohorts that its analysis uses.

    Raises
    ------
    TrialError
        When a file is missing, or criteria and cohorts do not go together.
    """
    seed = design.simulation.seed
    truth = truth_of(design.truth, folder=folder, time_unit=design.time_unit, seed=seed)
    truth = with_further_arms(truth, design.arms.further, seed=seed)
    unknown = [name for name in design.arms.enrich if name not in truth.groups]
    if unknown:
        raise TrialError(f"arms.enrich names {listed(unknown)}, which the truth has not. {nearest(unknown[0], truth.groups)}")
    if design.arms.enrich:
        truth = restricted(truth, design.arms.enrich)
    for item in design.criterion:
        if item.group != ALL and item.group not in truth.groups:
            raise TrialError(
                f"Criterion '{item.name}' is about risk group '{item.group}', which the trial has not. "
                f"{nearest(item.group, truth.groups)}"
            )
    benchmark = None
    if design.benchmark is not None:
        benchmark = benchmark_of(design.benchmark, like=truth, folder=folder, time_unit=design.time_unit, seed=seed)
        if any(item.estimand == "hazard_ratio" and not item.predictive for item in design.criterion):
            _require_groups(benchmark, truth, "benchmark")
        _require_named_groups(benchmark, design)
    if design.borrowing is None:
        return Cohorts(truth, benchmark)
    history = _history(design.borrowing, design, truth, folder)
    _require_groups(history, truth, "borrowing")
    same = history.cohort.source_hash and history.cohort.source_hash == truth.source_hash
    if same and design.borrowing.arm != truth.cohort_arm:
        raise TrialError(
            f"borrowing.arm is '{design.borrowing.arm}', and the cohort's patients were treated as the {truth.cohort_arm} arm: "
            "they are no history of the other arm."
        )
    return Cohorts(truth, benchmark, history, History(method_of(design.borrowing), history.log_hazard_sd))


def _history(plan: BorrowingPlan, design: TrialDesign, truth: Truth, folder: Path) -> Benchmark:
    """Return the cohort that an arm borrows from, with the trial's risk groups."""
    cohort = cohort_truth(
        draws=plan.draws,
        fit=plan.fit,
        risk_groups=plan.risk_groups,
        folder=folder,
        time_unit=design.time_unit,
        like=truth,
        seed=design.simulation.seed,
    )
    return Benchmark(cohort)


def _require_groups(cohort: Benchmark, truth: Truth, table: str) -> None:
    """Refuse a cohort that has no like patients for some of the trial's: each is held against its own risk group."""
    lacking = [name for name in truth.groups if name not in cohort.cohort.groups]
    if lacking:
        raise TrialError(
            f"[{table}]: the trial has risk group {listed(lacking)}, and the cohort has {listed(cohort.cohort.groups)}. Each "
            "patient is compared with the cohort's of the same risk group: use the same names, or a cohort that has them all."
        )


def _require_named_groups(benchmark: Benchmark, design: TrialDesign) -> None:
    for item in design.criterion:
        if item.against == "benchmark" and item.group not in (ALL, *benchmark.cohort.groups):
            raise TrialError(
                f"Criterion '{item.name}' is about risk group '{item.group}', which the benchmark has not. "
                f"{nearest(item.group, benchmark.cohort.groups)}"
            )


def method_of(plan: BorrowingPlan, /) -> Borrowing:
    """Return the way of borrowing that a plan names."""
    match plan.method:
        case "none":
            return NoBorrowing()
        case "pooled":
            return Pooled()
        case "power-prior":
            return FixedPowerPrior(plan.power)
        case "normalised-power-prior":
            return NormalisedPowerPrior(plan.power_alpha, plan.power_beta)
        case "commensurate":
            return Commensurate(plan.between_sd)
        case _:
            return RobustMap(weight=plan.weight, vague_sd=plan.vague_sd, between_sd=plan.between_sd)
