"""Sections of assurance, size, borrowing, forecast, example trials and agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from sitewise.report.page_parts import Section, Table, duration, number, percent, pictures_of, rows_of
from sitewise.report.trial_drift import DriftSweep
from sitewise.report.trial_values import Value, Values, planned
from sitewise.trial.assessment import CURVE_TRIALS, Assessment
from sitewise.trial.operating.size import Solution

PARTS = {
    "success and true": "success, and the statement is true",
    "success and untrue": "success, and it is not true",
    "no success and true": "no success, though it is true",
    "no success and untrue": "no success, and it is not true",
}
DRIFTS = (-0.5, 0.0, 0.5)
SWEPT = {"type_i_error": 4, "power": 3, "bias": 3, "borrowed_events_elir": 1, "borrowed_events_moment": 1}
"""Quantities of the table of borrowing and their decimals."""


def assurance_section(found: Assessment, /) -> Section:
    """Return the probability of success with its ceiling, split by whether success is right."""
    values, scenario = Values.of(found), planned(found)
    rows = [["probability of success", values(scenario, "success").probability]]
    rows += [[told, values(scenario, name).probability] for name, told in PARTS.items()]
    rows.append(
        [
            "share of these trials' truths in which the success criteria are true",
            values(scenario, "success is right").probability,
        ]
    )
    if math.isfinite(found.ceiling):
        rows.append(["ceiling: what no number of patients exceeds", number(found.ceiling, 3)])
    known = math.isfinite(values(scenario, "success is right").value)
    told = (
        "A trial can only be expected to succeed where success is right, and against an uncertain benchmark only where it is "
        "so by far: the share of truths in which a trial without end would succeed is the ceiling of that probability."
        if known
        else "A success criterion has no one true number (hazards not proportional): success cannot be split by what is right."
    )
    return Section(
        "assurance",
        "Assurance, its ceiling and what it is made of",
        [told],
        [Table(["Planned scenario", "share of trials"], rows)],
    )


def size_section(found: Assessment, solution: Solution | None, files: Mapping[str, Path], /) -> Section:
    """Return the probability of success at other sizes, and the size that was looked for."""
    sentences = [
        "The same design with other numbers of patients; looks that wait for events or patients wait for as many in "
        "proportion. With the truth's spread of sites, and with sites that do not differ."
    ]
    tables, trials = [], min(found.design.simulation.trials, CURVE_TRIALS)
    if solution is not None:
        sentences.insert(0, solution.sentence)
        tried = [
            [f"{row.value:.0f} {solution.vary}", f"{number(row.success, 3)} ({number(row.mcse, 3)})"]
            for row in rows_of(solution.tried)
        ]
        tables.append(Table(["Size tried", "probability of success"], tried))
    if len(found.curve):
        rows = []
        for patients, own in found.curve.groupby("patients"):
            cells = {bool(row.sites_differ): Value(float(row.success), float(row.mcse), trials) for row in rows_of(own)}
            told = [cells[differ].probability if differ in cells else "–" for differ in (True, False)]
            rows.append([str(patients), *told, number(float(own["ceiling"].iloc[0]), 3)])
        tables.insert(0, Table(["Patients", "sites differ", "sites alike", "ceiling"], rows))
    else:
        sentences.append("Other sizes were not simulated.")
    pictures = pictures_of(files, **{"size_curve.svg": "Probability of success by number of patients"})
    return Section("size", "How large a trial", sentences, tables, pictures)


def borrowing_section(found: DriftSweep, files: Mapping[str, Path], /) -> Section:
    """Return what each way of borrowing buys and risks."""
    numbers = found.numbers
    rows = []
    for method in found.sweet_spots:
        own = found.table[found.table["method"] == method]
        for drift in DRIFTS:
            at = own[np.isclose(own["drift"], drift)].set_index("quantity")["value"]
            rows.append([f"{method}, drift {drift:g}", *(number(float(at[name]), digits) for name, digits in SWEPT.items())])
    spots = [
        [
            method + (" (planned)" if method == found.planned else ""),
            "; ".join(f"{low:.3f} to {high:.3f}" for low, high in spots) or "none",
        ]
        for method, spots in found.sweet_spots.items()
    ]
    sentences = [
        f"All ways of borrowing on this trial's mean numbers of events at its last look: {number(numbers.borrowed_events, 1)} "
        f"in the {numbers.borrowed_arm} arm, which borrows, {number(numbers.other_events, 1)} in the other, and "
        f"{number(numbers.historical_events, 1)} that the cohort is worth; one analysis, hazard ratio below 1 with probability "
        f"above {numbers.threshold:.4g}. Exact for normal estimates, with flat priors beside what is borrowed.",
        "Drift is the log hazard ratio of the trial's arm against the cohort. In the sweet spot the type I error is at most "
        f"{found.nominal:.3g} and the power, at hazard ratio {number(found.hazard_ratio)}, above that without borrowing.",
    ]
    if found.bound != 1:
        sentences.append(f"The design's own criterion is a hazard ratio below {found.bound:g}; the sweep is about 1.")
    return Section(
        "borrowing",
        "What borrowing buys and risks",
        sentences,
        [
            Table(["Method", "type I error", "power", "bias of log HR", "events borrowed (ELIR)", "by moments"], rows),
            Table(
                ["Method", f"sweet spot within drift {found.table['drift'].min():g} to {found.table['drift'].max():g}"], spots
            ),
        ],
        pictures_of(files, **{"drift_sweep.svg": "Type I error, power and events borrowed over drift"}),
    )


def forecast_section(found: Assessment, files: Mapping[str, Path], /) -> Section:
    """Return when patients, events and looks come."""
    ahead, unit = found.forecast, found.design.time_unit
    rows = [
        [
            str(row.milestone),
            Value(float(row.probability), float(row.probability_mcse), len(ahead)).probability,
            f"{_date(row.median)} ({_date(row.lower)} to {_date(row.upper)})",
            Value(float(row.held), float(row.held_mcse), len(ahead)).probability,
        ]
        for row in rows_of(ahead.milestones)
    ]
    sites = [
        [str(row.site), f"{number(row.median, 0)} ({number(row.lower, 0)} to {number(row.upper, 0)})", f"{percent(row.none)} %"]
        for row in rows_of(ahead.site_totals)
    ]
    interval = f"{100 * ahead.prob:g} % prediction interval"
    told = (
        f"{len(ahead)} ways in which the trial may go, if no rule stops it before it closes at {ahead.close:g} {unit}. "
        "Intervals are those of one future trial."
    )
    return Section(
        "forecast",
        "Forecast of patients, events and dates",
        [told],
        [
            Table(["Milestone", "comes before the close", f"{unit} ({interval})", "look is held"], rows),
            Table(["Site", f"patients by the close ({interval})", "enrols nobody"], sites),
        ],
        pictures_of(files, **{"forecast.svg": "Patients and events over calendar time, dates of looks, openings of sites"}),
    )


def _date(value: float) -> str:
    return duration(value) if math.isfinite(value) else "not before the close"


def traces_section(found: Assessment, files: Mapping[str, Path], /) -> Section:
    """Return example trials, look by look."""
    rows = [
        [
            f"trial {row.replicate}, {row.look}",
            number(row.calendar, 1),
            str(row.patients),
            str(row.events),
            str(row.criterion),
            f"{number(row.estimate, 3)} ({number(row.sd, 3)})" if math.isfinite(row.estimate) else "–",
            number(row.probability, 3),
            f"{row.threshold:.4g}",
            str(row.decision),
        ]
        for row in rows_of(found.traces)
    ]
    unit = found.design.time_unit
    head = ["Trial and look", unit, "patients", "events", "criterion", "estimate (sd)", "probability", "threshold", "decision"]
    told = (
        "One simulated trial of the planned scenario for each way of ending, the most frequent ways first: what a monitoring "
        "committee would have seen. Estimates of hazard ratios and medians are logs. A dash: a predictive criterion has no "
        "estimate of its own, or there was none."
    )
    pictures = pictures_of(files, **{"decision_traces.svg": "Probabilities over looks of example trials, with thresholds"})
    return Section("traces", "Example trials, look by look", [told], [Table(head, rows)], pictures)


CLASSICAL = "its probability is one minus a one-sided p value, without priors, and sites are strata at most"
DIFFERS = {
    "conjugate": "ratios are normal estimates, survival, means and medians Kaplan-Meier ones, and sites are strata at most",
    "cox": CLASSICAL,
    "log-rank": CLASSICAL,
}
"""How an analysis differs from the hierarchical model, by its method."""


def agreement_section(found: Assessment, /) -> Section:
    """Return how far the fast analysis agrees with NUTS."""
    table, title = found.agreement, "Agreement of the analysis with NUTS"
    if table.empty:
        why = table.attrs.get("refused", "simulation.nuts_trials is 0.")
        told = "No trial was analysed by NUTS as well, so nothing is known here of the error of the trial's analysis:"
        return Section("agreement", title, [f"{told} {why}"])
    rows = []
    for name, own in table.groupby("criterion", sort=False):
        clear = own[own["clear"]]
        apart = own["difference"].abs()
        rows.append(
            [
                str(name),
                str(len(own)),
                f"{int(own['agree'].sum())} ({percent(float(own['agree'].mean()))} %)",
                f"{int(clear['agree'].sum())} of {len(clear)}",
                f"{number(float(apart.mean()), 3)}; {number(float(apart.max()), 3)}",
                number(float(own["nuts_mcse"].mean()), 3),
            ]
        )
    head = [
        "Criterion",
        "comparisons",
        "decisions that agree",
        "of those clear of the threshold",
        "difference: mean; largest",
        "error of NUTS",
    ]
    differs = DIFFERS.get(found.design.analysis.method)
    told = (
        f"{percent(float(table['agree'].mean()))} % of decisions agree. {table['trial'].nunique()} trials were analysed as the "
        "design says and by NUTS (no-U-turn sampling of the hierarchical model): differences are "
        + (f"what the analysis '{found.results.analysis}' leaves out or adds" if differs else "the error of the fast engine")
        + (f" ({differs}; the hierarchical model has a Weibull curve and random sites). " if differs else ". ")
        + "They are of the probability that a criterion holds, decisions at thresholds that the design states; a comparison "
        "is clear where NUTS is more than 3.3 of its Monte Carlo standard errors away from the threshold."
    )
    return Section("agreement", title, [told, *_verdicts(table)], [Table(head, rows)])


def _verdicts(table: pd.DataFrame) -> list[str]:
    if "verdict" not in table:
        return []
    counted = table.drop_duplicates([name for name in ("trial", "look") if name in table])["verdict"].value_counts()
    return [f"Verdicts of NUTS: {', '.join(f'{count} {name}' for name, count in counted.items())}."]
