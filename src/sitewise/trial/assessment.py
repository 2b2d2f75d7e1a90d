"""`assess`: what a design is worth, from one call: truths, trials, thresholds, characteristics, agreement, other sizes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from sitewise.inference.engine import Report, silent
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import Analysis
from sitewise.trial.analysis.dispatch import analysis_of
from sitewise.trial.campaign.results import TrialResults
from sitewise.trial.campaign.run import run_campaign
from sitewise.trial.campaign.worlds import World, null_worlds, worlds_of
from sitewise.trial.forecast import Forecast, forecast
from sitewise.trial.operating.by_arm import refuse_true_nulls
from sitewise.trial.operating.calibrated import Thresholds, thresholds_for
from sitewise.trial.operating.ceiling import success_ceiling
from sitewise.trial.operating.characteristics import operating_characteristics
from sitewise.trial.operating.decisions import Decisions, Outcome, decide
from sitewise.trial.operating.size import Evaluate, Vary, resized
from sitewise.trial.operating.traces import example_trials
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.sources import Cohorts, cohorts_of

VALIDATION = 1
"""Added to the seed for the trials that say what calibrated thresholds are worth."""
CURVE = (0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2)
"""Sizes of the curve of assurance, as shares of the planned one."""
CURVE_TRIALS = 500
FORECAST_TRIALS = 1000


@dataclass(frozen=True, eq=False)
class Assessment:
    """What a design is worth.

    Parameters
    ----------
    design : TrialDesign
        The design.
    cohorts : Cohorts
        What is true, and the cohorts that the analysis uses.
    results : TrialResults
        Every trial at every look, in every scenario.
    thresholds : Thresholds
        Stated or calibrated, with type I errors.
    decisions : Decisions
        Where and how trials end.
    characteristics : DataFrame
        Of :func:`sitewise.trial.operating.operating_characteristics`.
    traces : DataFrame
        Example trials, look by look.
    ceiling : float
        Probability of success of a trial without end, in the planned scenario; not a number where it is not known.
    curve : DataFrame
        ``sites_differ, patients, success, mcse, ceiling``: probability of success by size, with the truth's spread of sites
        and without; the ceiling is of no end of patients.
    forecast : Forecast
        Patients, events and looks over calendar time.
    agreement : DataFrame
        The fast analyses beside NUTS on some trials; empty where none was asked.
    flags : tuple of str
        What a reader has to know before believing anything.
    seconds : dict of str to float
        Where the time went.
    """

    design: TrialDesign
    cohorts: Cohorts
    results: TrialResults
    thresholds: Thresholds
    decisions: Decisions
    characteristics: pd.DataFrame
    traces: pd.DataFrame
    ceiling: float
    curve: pd.DataFrame
    forecast: Forecast
    agreement: pd.DataFrame
    flags: tuple[str, ...]
    seconds: dict[str, float]


def assess(
    design: TrialDesign,
    /,
    *,
    folder: str | Path = ".",
    workers: int = 1,
    executor: Executor | None = None,
    keep: str | Path | None = None,
    curve: bool = True,
    report: Report = silent,
) -> Assessment:
    """Return what a design is worth.

    Parameters
    ----------
    design : TrialDesign
        As :func:`sitewise.trial.read_design` reads it.
    folder : str or Path
        Where relative paths of the design begin.
    workers : int
        Threads, where no executor is given; results do not depend on their number.
    executor : Executor, optional
        Any ``concurrent.futures.Executor``.
    keep : str or Path, optional
        Folder for finished blocks of trials, from which an assessment that was interrupted, or of more trials, goes on.
    curve : bool
        Whether to simulate other sizes as well.
    report : callable
        Told the progress.

    Raises
    ------
    TrialError
        When the design cannot be simulated, with what to change.
    """
    clock = _Clock()
    report("Reading what is taken as true")
    cohorts = cohorts_of(design, folder=Path(folder), report=report)
    worlds = worlds_of(design, cohorts.truth, benchmark=cohorts.benchmark)
    refuse_true_nulls(design, worlds)
    analysis = analysis_for(design, cohorts)
    clock.took("truth")
    run = _Runner(analysis, workers, executor, report)
    kept = Path(keep) if keep is not None else None
    size, seed = design.simulation.trials, design.simulation.seed
    results = run(design, worlds, trials=size, seed=seed, keep=kept / "trials" if kept else None)
    clock.took("trials")
    validation = None
    if design.calibration is not None and design.calibration.method == "simulated":
        report("Simulating other trials to see what the calibrated thresholds are worth")
        other = kept / "validation" if kept else None
        validation = run(design, null_worlds(worlds), trials=size, seed=seed + VALIDATION, keep=other)
        clock.took("validation")
    thresholds = thresholds_for(results, validation=validation)
    decisions = decide(results, thresholds=thresholds.values)
    report("Forecasting patients and events")
    ahead = forecast(
        cohorts.truth,
        arms=design.arms,
        accrual=design.accrual,
        follow_up=design.follow_up,
        looks=design.look,
        trials=FORECAST_TRIALS,
        seed=seed,
    )
    clock.took("forecast")
    sizes = success_by_size(design, cohorts, run, thresholds=thresholds) if curve else pd.DataFrame()
    clock.took("other sizes")
    beside = _agreement(design, worlds[0], analysis, cohorts, thresholds, report)
    clock.took("agreement")
    return Assessment(
        design,
        cohorts,
        results,
        thresholds,
        decisions,
        operating_characteristics(results, decisions=decisions),
        example_trials(results, decisions),
        success_ceiling(design, worlds[0], thresholds=thresholds.values, benchmark=cohorts.benchmark),
        sizes,
        ahead,
        beside,
        cohorts.flags(design),
        clock.seconds,
    )


def analysis_for(design: TrialDesign, cohorts: Cohorts, /) -> Analysis:
    """Return the analysis of a design, with the cohorts that it uses."""
    return analysis_of(
        design.analysis,
        randomised=design.arms.randomised,
        groups=cohorts.truth.groups,
        sites=design.accrual.sites,
        time_unit=design.time_unit,
        benchmark=cohorts.benchmark,
        history=cohorts.history,
        borrowing=cohorts.borrows,
        borrow_to=design.borrowing.arm if design.borrowing is not None else "experimental",
    )


@dataclass(frozen=True, eq=False)
class _Runner:
    """Runs campaigns with the same analysis, workers and reporter."""

    analysis: Analysis
    workers: int
    executor: Executor | None
    report: Report

    def __call__(
        self, design: TrialDesign, worlds: Sequence[World], *, trials: int, seed: int, keep: Path | None = None
    ) -> TrialResults:
        return run_campaign(
            design,
            worlds,
            analysis=self.analysis,
            trials=trials,
            seed=seed,
            workers=self.workers,
            executor=self.executor,
            folder=keep,
            report=self.report,
        )


def success_by_size(
    design: TrialDesign,
    cohorts: Cohorts,
    run: _Runner,
    /,
    *,
    thresholds: Thresholds,
    vary: Vary = "patients",
    factors: Sequence[float] = CURVE,
) -> pd.DataFrame:
    """Return the probability of success by size, with the truth's spread of sites and without; impossible sizes are left out.

    Returns
    -------
    DataFrame
        ``sites_differ, patients, success, mcse, ceiling``.
    """
    trials, seed = min(design.simulation.trials, CURVE_TRIALS), design.simulation.seed
    rows = []
    values = dict.fromkeys(max(len(design.look) + 4, round(factor * design.arms.patients)) for factor in factors)
    for differ in (True, False):
        truth = cohorts.truth if differ else cohorts.truth.with_site_sd(0.0)
        for value in values:
            try:
                own = resized(design, vary, value)
            except TrialError as error:  # a cap of sites, a close, or looks that such a size cannot have
                reasons = "; ".join(f"{item.where}: {item.what}" for item in error.problems) or str(error)
                run.report(f"{value} patients are left out: {reasons}")
                continue
            world = worlds_of(own, truth, benchmark=cohorts.benchmark)[0]
            run.report(f"{value} patients, sites {'as in the truth' if differ else 'alike'}")
            found = replace(run, report=silent)(own, [world], trials=trials, seed=seed)
            success = decide(found, thresholds=thresholds.values).outcome[0] == Outcome.SUCCESS
            ceiling = success_ceiling(own, world, thresholds=thresholds.values, benchmark=cohorts.benchmark)
            share = float(success.mean())
            rows.append((differ, value, share, float(np.sqrt(share * (1 - share) / trials)), ceiling))
    return pd.DataFrame(rows, columns=["sites_differ", "patients", "success", "mcse", "ceiling"])


def evaluator(found: Assessment, /, *, workers: int = 1, executor: Executor | None = None) -> Evaluate:
    """Return what simulates other sizes of an assessed design, for :func:`sitewise.trial.operating.size.smallest_size`.

    The planned scenario, the design's thresholds, and its number of trials.
    """
    base = found.design

    def evaluate(design: TrialDesign) -> tuple[float, float, float]:
        cohorts = found.cohorts
        run = _Runner(analysis_for(design, cohorts), workers, executor, silent)
        world = worlds_of(design, cohorts.truth, benchmark=cohorts.benchmark)[0]
        results = run(design, [world], trials=base.simulation.trials, seed=base.simulation.seed)
        success = decide(results, thresholds=found.thresholds.values).outcome[0] == Outcome.SUCCESS
        share = float(success.mean())
        mcse = float(np.sqrt(share * (1 - share) / success.size))
        return share, mcse, success_ceiling(design, world, thresholds=found.thresholds.values, benchmark=cohorts.benchmark)

    return evaluate


def _agreement(
    design: TrialDesign, world: World, analysis: Analysis, cohorts: Cohorts, thresholds: Thresholds, report: Report
) -> pd.DataFrame:
    if design.simulation.nuts_trials == 0:
        return pd.DataFrame()
    from sitewise.trial.agreement import agreement_of

    return agreement_of(design, world, analysis, thresholds=thresholds.values, benchmark=cohorts.benchmark, report=report)


class _Clock:
    """Where the time goes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def took(self, what: str) -> None:
        """Note the time since the last call."""
        now = time.perf_counter()
        self.seconds[what] = now - self._last
        self._last = now
