"""Sections of operating characteristics: by scenario, look, risk group and criterion; type I error; sensitivity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sitewise.report.page_parts import Section, Table, number, pictures_of, rows_of
from sitewise.report.trial_tables import type_one_error
from sitewise.report.trial_values import Value, Values, nominal, whole
from sitewise.report.trial_words import scenario_words
from sitewise.trial.assessment import Assessment
from sitewise.trial.campaign.worlds import NULL
from sitewise.trial.operating.decisions import Outcome

COUNTS = ("trials requested", "trials analysed", "trials failed", "trials not estimable")
ACCURACY = ("bias", "bias given success", "coverage")


def names_of(found: Assessment) -> list[tuple[str, str]]:
    """Return names of the scenarios, and how the page calls them."""
    return [
        (world.name, world.name + (" (null)" if world.null and world.name != NULL else "")) for world in found.results.worlds
    ]


def operating_section(found: Assessment, files: Mapping[str, Path], /) -> Section:
    """Return how trials end and what they take, by scenario, look, risk group and criterion."""
    values, design = Values.of(found), found.design
    sentences = [
        "Success is power where the truth is known, assurance where it is uncertain, and the type I error in a null scenario. "
        "In brackets: Monte Carlo standard errors. A trial whose deciding analysis failed is no success; where the data could "
        "not say (no events in an arm) there is no success and no futility. Both are counted.",
    ]
    return Section(
        "operating",
        "Operating characteristics by scenario",
        sentences,
        [
            _ways(found, values),
            _means(found, values),
            _by_look(found, values, [look.name for look in design.look]),
            _by_group(found, values),
            *_accuracy(found, values),
        ],
        pictures_of(files, **{"stopping.svg": "How trials end, by scenario and look"}),
    )


def _ways(found: Assessment, values: Values) -> Table:
    rows = []
    for name, shown in names_of(found):
        shares = [values(name, item).probability for item in ("success", "futility", "no decision")]
        rows.append([shown, *shares, *(whole(values(name, item).value) for item in COUNTS)])
    head = ["Scenario", "success", "futility", "no decision", "requested", "analysed", "failed", "not estimable"]
    return Table(head, rows, "The last four columns count trials.")


def _means(found: Assessment, values: Values) -> Table:
    quantities = [("patients", 1), ("events", 1), ("duration", 1)]
    head = ["Scenario, where trials end", "patients", "events", f"duration ({found.design.time_unit})"]
    costs = found.design.costs
    rows = []
    for name, shown in names_of(found):
        row = [shown, *(values(name, quantity).mean(digits) for quantity, digits in quantities)]
        rows.append([*row, *([values(name, "cost", costs.unit).mean(1)] if costs is not None else [])])
    return Table([*head, *([f"cost ({costs.unit})"] if costs is not None else [])], rows)


def _by_look(found: Assessment, values: Values, looks: list[str]) -> Table:
    data = found.results.data
    rows = []
    for place, (name, shown) in enumerate(names_of(found)):
        calendar = data["calendar"].isel(scenario=place).to_numpy()
        held = data["status"].isel(scenario=place).to_numpy() >= 0
        for number_of, look in enumerate(looks):
            dates = calendar[held[:, number_of], number_of]
            ends = np.quantile(dates, [0.5, 0.025, 0.975]) if dates.size else [math.nan] * 3
            row = [values(name, item, look).probability for item in ("success at look", "futility at look", "look held")]
            reached = values(name, "look reached", look).probability
            rows.append(
                [f"{shown}: {look}", *row, reached, f"{number(ends[0], 1)} ({number(ends[1], 1)} to {number(ends[2], 1)})"]
            )
    head = ["Scenario and look", "success", "futility", "held if not stopped before", "what it waits for came in time"]
    return Table(
        [*head, f"{found.design.time_unit} (95 % of trials)"],
        rows,
        "Success and futility: of all trials. A look is not held when it would come with a later one; what does not come is "
        "held at the close.",
    )


def _by_group(found: Assessment, values: Values) -> Table:
    groups = [str(name) for name in found.results.data["risk_group"].to_numpy()]
    rows = [
        [f"{shown}: {group}", *(values(name, f"{item} of group", group).mean() for item in ("patients", "events"))]
        for name, shown in names_of(found)
        for group in groups
    ]
    return Table(["Scenario and risk group, where trials end", "patients", "events"], rows)


def _accuracy(found: Assessment, values: Values) -> list[Table]:
    criteria = [item for item in found.design.criterion if not item.predictive]
    rows = []
    for name, shown in names_of(found):
        for item in criteria:
            bias, given, cover = (values(name, quantity, item.name) for quantity in ACCURACY)
            rows.append([f"{shown}: {item.name}", bias.mean(3), given.mean(3), cover.probability])
    note = (
        "Of the estimate at the look at which the trial ends, against the truth of each trial: log hazard ratio and log "
        "median, else the estimand itself. Trials that stop early for success overestimate. A dash: there is no one true "
        "value, or no trial."
    )
    head = ["Scenario and criterion", "bias", "bias given success", "coverage of estimate ± 1.96 sd"]
    return (
        [Table(head, rows, note)]
        if any(math.isfinite(values(n, "bias", c.name).value) for n, _ in names_of(found) for c in criteria)
        else []
    )


def type_one_section(found: Assessment, files: Mapping[str, Path], /) -> Section:
    """Return type I errors of the null scenarios."""
    aim, calibration = nominal(found), found.design.calibration
    told = (
        "The calibration aims at it"
        if calibration is not None
        else "It is one minus the stated threshold, which is what a flat prior and a single look have"
    )
    sentences = [
        f"The nominal level is {aim:.3g}, one-sided. {told}. The first column counts every success, whatever the futility "
        "rules say (futility is non-binding); the last one obeys them.",
    ]
    if (found.thresholds.errors["set"] == "calibration").any():
        sentences.append(
            "Trials that gave the thresholds hold the level by construction; only other trials (validation) say what the "
            "thresholds are worth."
        )
    rows = [
        [
            f"{row.scenario} ({row.set})",
            Value(float(row.type_one_error), float(row.standard_error), _size(found)).probability,
            f"{number(float(row.lower), 3)} to {number(float(row.upper), 3)}",
            f"{aim:.3g}",
            Value(float(row.with_futility), float(row.with_futility_mcse), _size(found)).probability,
        ]
        for row in rows_of(type_one_error(found))
    ]
    head = ["Null scenario (trials)", "type I error", "exact 95 % limits", "nominal", "if futility binds"]
    return Section(
        "type-one-error",
        "Type I error",
        sentences,
        [Table(head, rows)],
        pictures_of(files, **{"type_one_error.svg": "Type I errors of null scenarios against the nominal level"}),
    )


def _size(found: Assessment) -> int:
    return int(found.results.data.sizes["replicate"])


def sensitivity_section(found: Assessment, /) -> Section:
    """Return the scenarios against the planned one, trial by trial on the same random numbers."""
    success = found.decisions.outcome == Outcome.SUCCESS
    values, plans = Values.of(found), {item.name: item for item in found.design.scenario}
    base = found.results.worlds[0].name
    rows = []
    for place, (name, shown) in enumerate(names_of(found)):
        difference = success[place].astype(float) - success[0]
        error = float(difference.std(ddof=1) / np.sqrt(difference.size))
        changed = (
            scenario_words(
                plans[name],
            )
            if name in plans
            else ("as planned" if place == 0 else "no effect, or at the bound")
        )
        against = "–" if place == 0 else f"{number(float(difference.mean()), 3)} ({number(error, 3)})"
        row = [values(name, "success").probability, against, values(name, "patients").mean(), values(name, "duration").mean()]
        rows.append([shown, changed, *row])
    head = [
        "Scenario",
        "what is other",
        "success",
        f"difference to '{base}'",
        "patients",
        f"duration ({found.design.time_unit})",
    ]
    told = "Each trial of a scenario has the same random numbers as that of the planned one, so differences are paired."
    return Section("sensitivity", "Sensitivity: other scenarios", [told], [Table(head, rows)])
