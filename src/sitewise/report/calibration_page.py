"""The report of a calibration: its sections below the first screen, and the page as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from sitewise.evidence import evidence_hash
from sitewise.problems import plural
from sitewise.report.calibration_curves import groups_not_shown
from sitewise.report.calibration_first import calibration_screen
from sitewise.report.calibration_implied import tables_not_shown
from sitewise.report.calibration_progression import progression_section
from sitewise.report.calibration_results import CalibrationResults
from sitewise.report.calibration_verdict import CLOSE, CalibrationVerdict
from sitewise.report.calibration_words import METHODS, by_heading, reproduced
from sitewise.report.page import style_sheet, template
from sitewise.report.page_parts import Section, Table, number, pictures_of, rows_of, span
from sitewise.simulate.calibration.natural import NOT_IDENTIFIED
from sitewise.simulate.progression import all_misses


def render_calibration(results: CalibrationResults, verdict: CalibrationVerdict, pictures: Mapping[str, Path]) -> str:
    """Return the report as HTML: self-contained, escaped, without scripts.

    Parameters
    ----------
    results : CalibrationResults
        What is reported.
    verdict : CalibrationVerdict
        Of the same results.
    pictures : mapping of str to Path
        Files by name.
    """
    chosen = [
        _targets(results, pictures),
        _survival(results, pictures),
        _implied(results, pictures),
        _parameters(pictures),
        _sensitivity(results),
        _contradictions(results),
        progression_section(results),
        _reconstructed(results),
        _numbers(results),
        _methods(results, verdict),
    ]
    return template("calibration.html.j2").render(
        first=calibration_screen(results, verdict),
        sections=[item for item in chosen if item is not None],
        style=style_sheet("calibration.css"),
        version=metadata.version("sitewise"),
        verdict=verdict.level,
    )


def _targets(results: CalibrationResults, pictures: Mapping[str, Path]) -> Section:
    sentences = [
        "A z is the distance of the printed number from what the process gives in the mean, in sampling standard deviations of "
        "one cohort of this size: a paper is one cohort, so z between -2 and 2 are usual. The left-out z (ring) compares the "
        "number with what all other entries of the paper predict of it, the uncertainty of the parameters included; with it "
        "are left out the other points of its curve, or the hazard ratios of all rows like it.",
        "A median is compared as survival at the printed time. Contrasts have little sampling error and say how the "
        "characteristics go together; single hazard ratios do not.",
        f"The joint distance counts all fitted numbers at once; {_distance_words(results)}",
    ]
    drawn = pictures_of(
        pictures,
        targets="Every published number beside what the process gives, in sampling standard deviations of one cohort",
        distance="Joint distance of the paper among distances of the process's own cohorts",
    )
    return Section("targets", "Published against reproduced", sentences, (), drawn)


def _numbers(results: CalibrationResults) -> Section:
    """Return the tables behind the pictures."""
    rows = [
        [name, title, str(row.printed), reproduced(results, row), number(row.z, 1), number(row.left_out_z, 1), str(row.status)]
        for title, block in by_heading(results).items()
        for name, row in block
    ]
    head = ["Number", "kind", "printed", "the process gives", "z", "left-out z", "use"]
    tables = [Table(head, rows, "Where each number stands in the paper, and all columns: targets.csv.")]
    if len(results.contrasts):
        contrasts = [
            [row.contrast, number(row.published), f"{number(row.reproduced)} (sd {number(row.sd)})", number(row.z, 1)]
            for row in rows_of(results.contrasts)
        ]
        tables.append(Table(["Log hazard ratio alone minus adjusted", "published", "the process gives", "z"], contrasts))
    counts, process = [], []
    for row in rows_of(results.parameters):
        if row.of == "cohort":
            name = str(row.parameter)
            counts.append([name, results.count_span(name), number(row.sd, 1), number(row.contraction), row.note])
        else:
            interval = span(row.median, row.lower, row.upper) if np.isfinite(row.median) else number(row.mean)
            prior = f"{number(row.prior_mean)} (sd {number(row.prior_sd)})"
            process.append([str(row.parameter), interval, prior, number(row.contraction), row.note])
    prob = f"{100 * results.prob:g} %"
    note = "Whole patients, none below 0 or above all; parameters.csv keeps the numbers as they were computed."
    tables.append(Table(["The paper's own patients", f"mean ({prob})", "sd", "contraction", "note"], counts, note))
    tables.append(Table(["Parameter", f"median ({prob})", "prior mean", "contraction", "note"], process))
    return Section("numbers", "Every number", ("The tables behind the pictures.",), tables)


def _distance_words(results: CalibrationResults) -> str:
    distance, own = results.distances
    middle, last = np.quantile(own, [0.5, 0.95])
    return (
        f"the paper's is {distance:.1f}, that of the process's own cohorts has median {middle:.1f} and 95 % point {last:.1f}. "
        "A distance well below the median is usual for numbers that the process was fitted to."
    )


def _survival(results: CalibrationResults, pictures: Mapping[str, Path]) -> Section:
    sentences = [
        "Line: survival under the process, averaged over a group's members. Shades: Kaplan-Meier curves of one cohort of this "
        "size, which is what a paper prints; they end where three quarters of cohorts have nobody left under observation.",
        groups_not_shown(results),
    ]
    drawn = pictures_of(pictures, survival="Survival by group with the published medians and milestones over it")
    return Section("survival", "Survival by group", [item for item in sentences if item], (), drawn)


def _implied(results: CalibrationResults, pictures: Mapping[str, Path]) -> Section | None:
    sentences = [
        "The paper does not print these counts. The widths of its intervals say how many had the event, and its unadjusted and "
        "adjusted hazard ratios together say how its characteristics go together.",
        tables_not_shown(results),
    ]
    drawn = pictures_of(pictures, implied="Implied group sizes and cross tables of characteristics")
    said = [item for item in sentences if item]
    return Section("implied", "What the paper does not print", said, (), drawn) if drawn else None


def _parameters(pictures: Mapping[str, Path]) -> Section:
    sentences = [
        "Contraction is 1 - posterior sd / prior sd: near 1 the paper decides, below 0.3 the prior does. Sites are never "
        "identified: the spread between them and their sizes are what was assumed beforehand.",
    ]
    drawn = pictures_of(pictures, contraction="How much the paper narrows each parameter and count")
    return Section("parameters", "How much the paper says", sentences, (), drawn)


def _sensitivity(results: CalibrationResults) -> Section | None:
    table = results.sensitivity
    if table is None:
        return None
    medians = [name for name in table.columns if name.startswith("median ")]
    effects = [name for name in table.columns if name.startswith("log_hazard_ratio ")]
    rows, ratios, refused = [], [], []
    for _, row in table.iterrows():
        if row["refused"]:
            refused.append([str(row["variant"]), str(row["refused"])])
            continue
        percentile = f"{number(row['distance'], 1)} ({100 * row['distance_percentile']:.0f} %)"
        events = f"{row['events_mean']:.0f} (sd {row['events_sd']:.1f})"
        worst = f"{row['worst_target']}: {number(row['worst_z'], 1)}"
        contrast = f"{row['worst_contrast']}: {number(row['worst_contrast_z'], 1)}" if row["worst_contrast"] else "–"
        # Each median with survival at the milestone: the two tell a curve's middle and its tail.
        groups = [
            f"{row[name]:.0f}; {100 * row[name.replace('median', 'survival', 1)]:.0f} %" if np.isfinite(row[name]) else "–"
            for name in medians
        ]
        rows.append([row["variant"], percentile, events, worst, contrast, *groups])
        ratios.append([row["variant"], *(number(row[name]) for name in effects)])
    horizon = f"{results.horizon:.3g} {results.unit}"
    head = ["Variant", "distance (own cohorts nearer)", "events", "largest z", "largest contrast z"]
    head += [f"{name.removeprefix('median ')}: median; S({results.horizon:.3g})" for name in medians]
    sentences = [
        "The same numbers calibrated under other assumptions, one change at a time. Where variants reproduce the paper equally "
        f"well, the paper does not decide between them. Medians in {results.unit}, survival at {horizon}, of the process.",
        "The spread between sites is not identified: its variants show what it would change, and no fit decides between them.",
    ]
    tables = [Table(head, rows, "All columns: sensitivity.csv.")]
    if effects and ratios:
        tables.append(Table(["Log hazard ratios", *(name.removeprefix("log_hazard_ratio ") for name in effects)], ratios))
    if refused:
        tables.append(Table(["Refused", "why"], refused))
    return Section("sensitivity", "Other assumptions", sentences, tables)


def _contradictions(results: CalibrationResults) -> Section:
    sentences = []
    tables = []
    if len(results.conflicts):
        rows = [
            [row.target, row.where, str(row.printed), reproduced(results, row), number(row.z, 1)]
            for row in rows_of(results.conflicts)
        ]
        sentences.append(
            "Numbers with status conflict take no part in the calibration and are averaged into nothing; beside each stands "
            "what the process, calibrated to all others, expects."
        )
        tables.append(Table(["Set aside", "where", "printed", "the process gives", "z"], rows))
    found = [item for severity in ("error", "warning", "note") for item in results.audit.of(severity)]
    if found:
        sentences.append("What the audit of the paper's numbers found, before anything was fitted.")
        tables.append(
            Table(
                ["Audit", "check", "finding", "where"],
                [[item.severity, item.check, item.sentence, item.place] for item in found],
            )
        )
    return Section("contradictions", "Contradictions and what is open", sentences or ["None was found."], tables)


def _reconstructed(results: CalibrationResults) -> Section | None:
    made = results.reconstructed
    if made is None:
        return None
    misses = all_misses(made)
    each = [[str(place), str(int((misses["cohort"] == place).sum()))] for place in range(len(made))]
    rows = [
        [str(row.cohort), str(row.target), str(row.printed), number(row.published, 3), number(row.found, 3)]
        for row in rows_of(misses)
    ]
    sentences = [
        f"{plural(len(made), 'cohort', 'cohorts')} whose tables and curves are the printed ones, each from another draw of the "
        "posterior: reconstructed.csv. They are synthetic. Every number that misses the printed decimals stands below.",
    ]
    tables = [Table(["Cohort", "numbers that miss"], each)]
    if rows:
        tables.append(Table(["Cohort", "number", "printed", "on its scale", "found"], rows, "On the scale of targets.csv."))
    return Section("reconstructed", "Reconstructed cohorts", sentences, tables)


def _methods(results: CalibrationResults, verdict: CalibrationVerdict) -> Section:
    calibration = results.calibration
    rows: list[list[str]] = [[name.replace("_", " "), _shown(value)] for name, value in settings(results).items()]
    rows += [
        ["seed", str(calibration.seed)],
        [
            "moments",
            f"{calibration.moments.iterations} steps, {'converged' if calibration.moments.converged else 'not converged'}",
        ],
        [
            "posterior",
            f"{calibration.posterior.method}: {calibration.posterior.effective:.0f} effective draws, "
            f"{100 * calibration.posterior.acceptance:.0f} % of the pool used",
        ],
        ["evidence hash", evidence_hash(calibration.problem.evidence)],
        ["not identified", NOT_IDENTIFIED],
    ]
    sentences = [
        f"Verdict {verdict.level}: {verdict.sentence}",
        "Parameters are those under which the expected numbers of simulated cohorts are the printed ones (method of simulated "
        f"moments); their posterior is from cohorts simulated near the paper ({METHODS[calibration.posterior.method]}). The "
        "likelihood is that of one cohort of this size; printed intervals are numbers like others.",
        f"A number counts as reproduced within {CLOSE:g} sampling sd of one cohort.",
    ]
    return Section("methods", "Methods", sentences, [Table(["Setting", ""], rows)])


def settings(results: CalibrationResults) -> dict[str, Any]:
    """Return every assumption with its value, defaults included, and the endpoint."""
    chosen = results.calibration.problem.assumptions
    return {"endpoint": results.endpoint, **{name: getattr(chosen, name) for name in type(chosen).__dataclass_fields__}}


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "not stated" if value is None else str(value)
