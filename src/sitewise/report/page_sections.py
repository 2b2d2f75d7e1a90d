"""The sections of the report below its first screen, each made from tables that were computed elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from sitewise import names
from sitewise.report.analysis import Analysis
from sitewise.report.page_parts import (
    Section,
    Table,
    duration,
    enumerated,
    number,
    percent,
    percent_span,
    pictures_of,
    probability,
    rows_of,
    span,
    times_span,
)
from sitewise.report.shapes import shape_sentences, shape_tables

LABELS = {names.MEDIAN_SURVIVAL: "median", names.SURVIVAL: "S", names.RMST: "RMST"}
Tables = Mapping[str, pd.DataFrame]


def groups_section(analysis: Analysis, tables: Tables, pictures: Mapping[str, Path]) -> Section:
    """Return risk groups: counts, raw Kaplan-Meier beside the model, and the overlay."""
    cohort, unit = analysis.fit.cohort, analysis.fit.cohort.time_unit
    counts = {row.group: row for row in rows_of(tables["groups"])}
    own = tables["estimands"][tables["estimands"]["sites"] == analysis.headline.label]
    head = ["Group", "n", "events", "sites", f"person-{unit}", "median: Kaplan-Meier", "median: model"]
    rows, survival = [], []
    for group in analysis.curves[analysis.headline.label].groups:
        if group.rows is None:
            continue
        count = counts[group.label]
        known = (count.km_median, count.km_lower, count.km_upper)
        raw_median, raw_low, raw_high = (math.inf if math.isnan(value) else value for value in known)
        raw = times_span(raw_median, raw_low, raw_high, group.last_time)
        if cohort.lower is not None:  # no limits
            raw = duration(raw_median) if raw_median < math.inf else "not reached"
        mine = own[own["group"] == group.label]
        median = mine[mine["estimand"] == names.MEDIAN_SURVIVAL].iloc[0]
        reached = bool(median["prob_not_reached"] <= 0.5)
        rows.append(
            [
                *(group.label, str(count.n), str(count.events), str(count.sites_represented), number(count.person_time, 0)),
                raw,
                times_span(median["median"], median["lower"], median["upper"], group.last_time, reached=reached),
            ]
        )
        curve = cohort.kaplan_meier(group.rows, prob=analysis.prob)
        for time in analysis.milestones:
            at = mine[(mine["estimand"] == names.SURVIVAL) & (mine["horizon"] == time)].iloc[0]
            low, high = curve.limits_at([time])
            estimate = float(curve.at([time])[0])
            raw = percent_span(estimate, float(low[0]), float(high[0])) if curve.has_limits else f"{percent(estimate)} %"
            model = percent_span(at["median"], at["lower"], at["upper"]) + _mark(at)
            survival.append([group.label, f"{time:g} {unit}", raw, model])
    notes = [f"{row.group}: {row.note}." for row in rows_of(tables["groups"]) if row.note]
    by_time = Table(["Group", "survival at", "Kaplan-Meier", "model"], survival, _footnote(survival))
    tables_shown = [Table(head, rows), by_time]
    return Section(
        "groups",
        "Risk groups: raw and modelled",
        []
        if not rows
        else [
            f"Intervals of {100 * analysis.prob:g} %. Kaplan-Meier is what the group's own patients say alone; the model lends "
            "strength across groups and sites.",
            *notes,
        ],
        tables_shown if rows else [],
        pictures_of(pictures, survival="Survival by group: posterior curves with bands over Kaplan-Meier steps"),
    )


def populations_section(analysis: Analysis, tables: Tables) -> Section:
    """Return medians and survival under each treatment of sites, side by side."""
    unit = analysis.fit.cohort.time_unit
    meaning = {
        names.OBSERVED: "observed: these patients, each at their own site",
        names.AVERAGE: "average: at a site with effect zero" + (" and average slopes" if analysis.fit.spec.slopes else "")
        if analysis.fit.spec.has_sites
        else "average: the model has no site effects",
        names.MARGINAL: "marginal: averaged over a population of sites",
        names.NEW: "new: at one site not seen yet (prediction)",
    }
    time = analysis.milestones[(len(analysis.milestones) - 1) // 2]
    last = {group.label: group.last_time for group in analysis.curves[analysis.headline.label].groups}
    rows = []
    for row in rows_of(tables["estimands"]):
        if row.estimand != names.MEDIAN_SURVIVAL:
            continue
        same = tables["estimands"]
        same = same[(same["group"] == row.group) & (same["sites"] == row.sites)]
        at = same[(same["estimand"] == names.SURVIVAL) & (same["horizon"] == time)].iloc[0]
        area = same[same["estimand"] == names.RMST].iloc[0]
        median = times_span(row.median, row.lower, row.upper, last[row.group], reached=row.prob_not_reached <= 0.5)
        cells = [str(row.group), row.sites, median, percent_span(at["median"], at["lower"], at["upper"]) + _mark(at)]
        rows.append([*cells, span(area["median"], area["lower"], area["upper"], digits=1) + _mark(area)])
    head = ["Group", "sites", f"median, {unit}", f"S({time:g})", f"RMST({analysis.horizon:g}), {unit}"]
    used = [meaning[item.label] for item in analysis.treatments]
    return Section(
        "populations",
        "Averages over sites: which sites are meant",
        ["; ".join(used)[:1].upper() + "; ".join(used)[1:] + "."],
        [Table(head, rows, _footnote(rows))],
    )


def _mark(row: pd.Series) -> str:
    """Return the mark of a number beyond follow-up, as on the first screen and in the terminal."""
    return "*" if row["extrapolated"] else ""


def _footnote(rows: Sequence[Sequence[str]]) -> str:
    """Return what the mark means, where a number has it; the first two cells of a row are names."""
    return "* Beyond a group's follow-up." if any(cell.endswith("*") for row in rows for cell in row[2:]) else ""


def contrasts_section(analysis: Analysis, tables: Tables) -> Section | None:
    """Return differences and ratios between groups that exclude each other, under the headline treatment."""
    table = tables["contrasts"]
    chosen = table[table["sites"] == analysis.headline.label] if len(table) else table
    if chosen.empty:
        return None
    rows = []
    for row in rows_of(chosen):
        ratio = row.scale == "ratio"
        if ratio != (row.estimand == names.MEDIAN_SURVIVAL):
            continue  # medians as ratios, survival and restricted means as differences; contrasts.csv has all
        label = LABELS[row.estimand] + ("" if math.isnan(row.horizon) else f"({row.horizon:g})")
        what = f"ratio of {label}s" if ratio else f"difference of {label}"
        points = row.estimand == names.SURVIVAL
        scale = 100 if points else 1
        digits = 2 if ratio else 0 if points else 1
        value = span(scale * row.median, scale * row.lower, scale * row.upper, digits=digits) + (" points" if points else "")
        value += "*" if row.extrapolated else ""
        rows.append([f"{row.group} against {row.reference_group}", what, value, probability(row.prob_above_null)])
    head = ["Comparison", "of", f"posterior median ({100 * analysis.prob:g} %)", "P(first is better)"]
    shown = Table(head, rows, _footnote(rows))
    return Section("contrasts", "Comparisons", ["All scales and site treatments: contrasts.csv."], [shown])


def effects_section(analysis: Analysis, tables: Tables, pictures: Mapping[str, Path]) -> Section | None:
    """Return hazard and time ratios of the covariates, given site."""
    table = tables["coefficients"]
    if table.empty:
        return None
    hazard, time = (table[table["metric"] == metric] for metric in (names.LOG_HAZARD_RATIO, names.LOG_TIME_RATIO))
    ratios = {name: own for name, own in (("hazard ratio", hazard), ("time ratio", time)) if len(own)}
    chance = "P(higher hazard)" if analysis.has_hazard_ratios else "P(longer times)"
    cells = [[span(row.ratio, row.ratio_lower, row.ratio_upper) for row in rows_of(own)] for own in ratios.values()]
    first = next(iter(ratios.values()))
    rows = [
        [str(row.term), *spans, probability(row.prob_above_zero)] for row, *spans in zip(rows_of(first), *cells, strict=True)
    ]
    slopes = analysis.fit.spec.slopes
    differ = (
        [f"Effects of {enumerated(slopes)} differ between sites: here they are those at an average site."] if slopes else []
    )
    return Section(
        "effects",
        "Effects of covariates",
        [
            "Against the reference level (or per unit), for patients at the same site with the other covariates equal. "
            + _said_of_ratios(analysis),
            *differ,
            *shape_sentences(analysis),
        ],
        [Table(["Term", *ratios, chance], rows), *shape_tables(analysis)],
        pictures_of(
            pictures,
            effects="Hazard ratios and time ratios with intervals",
            hazard_ratio_over_time="Hazard ratios that change as time goes on",
        ),
    )


def _said_of_ratios(analysis: Analysis) -> str:
    """Return what the family makes of the two kinds of ratios."""
    family = analysis.fit.spec.family
    if analysis.fit.spec.shape_differs:
        return ""
    if not analysis.has_hazard_ratios:
        return f"Under the {family.name} family hazard ratios change as time goes on, time ratios not."
    if not analysis.has_time_ratios:
        cure = " They are of all such patients' hazard, those who are cured among them." if not family.index_closed else ""
        return f"Under the {family.name} family effects multiply the hazard and are no ratios of times.{cure}"
    return "Time ratios are the same effects on the time scale."


def follow_up_section(analysis: Analysis) -> Section:
    """Return the follow-up."""
    cohort = analysis.fit.cohort
    found = cohort.follow_up(prob=analysis.prob)
    reverse = times_span(found["reverse_kaplan_meier_median"], found["lower"], found["upper"], found["maximum"])
    rows = [
        ["median follow-up, reverse Kaplan-Meier", reverse],
        ["median observed time", duration(found["observed_median"])],
        ["shortest and longest time", f"{duration(float(cohort.time.min()))} to {duration(found['maximum'])}"],
        [f"person-{cohort.time_unit}", number(cohort.person_time, 0)],
    ]
    return Section("follow-up", "Follow-up", [], [Table(["", cohort.time_unit], rows)])
