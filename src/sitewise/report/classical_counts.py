"""Sections of the classical page that count: Table 1, patterns of first failure, toxicity."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from sitewise.names import ALL_PATIENTS
from sitewise.report.classical_words import NONE, p_text
from sitewise.report.page_parts import Section, Table, duration, rows_of
from sitewise.studies.classical_analysis import ClassicalTables
from sitewise.studies.classical_analysis.counts import MISSING
from sitewise.studies.classical_analysis.plan import RISK_GROUP, SITE

MOST_GROUPS = 8
"""Groups that a table has columns for; the files have all."""


def counts_section(tables: ClassicalTables) -> Section:
    """Return Table 1: characteristics of all patients, of each group, and the tests between the groups."""
    table = tables.table_one
    groups = [name for name in dict.fromkeys(table["group"]) if name != ALL_PATIENTS]
    shown = [ALL_PATIENTS, *groups] if len(groups) <= MOST_GROUPS else [ALL_PATIENTS]
    published = _published_counts(tables)
    tests = {row.characteristic: row for row in rows_of(tables.tests[tables.tests["table"] == "table one"])}
    head = ["Characteristic", *("all" if name == ALL_PATIENTS else str(name) for name in shown)]
    head += ["published"] if published else []
    head += [f"p, by {tables.plan.compared_by}"] if tests else []
    rows = []
    for (label, name), same in table.groupby(["label", "characteristic"], sort=False):
        for place, (level, cells) in enumerate(same.groupby("level", sort=False)):
            by_group = {row.group: row for row in rows_of(cells)}
            row = [f"{label!s}: {level!s}" if level else f"{label!s}: median (range)"]
            row += [_cell(by_group.get(group)) for group in shown]
            row += [published.get((str(name), str(level)), "")] if published else []
            row += [_test(tests.get(name)) if place == 0 else ""] if tests else []
            rows.append(row)
    sentences = [_compared(tables, len(groups), len(shown) > 1)]
    return Section(
        "table-one", "Table 1: characteristics", [text for text in sentences if text], [Table(head, rows, _sparse(tables))]
    )


def _compared(tables: ClassicalTables, groups: int, shown: bool) -> str:
    by = {SITE: "sites", RISK_GROUP: "risk groups"}.get(tables.plan.compared_by, tables.plan.compared_by)
    if not tables.plan.compared_by:
        return ""
    text = f"Compared between the {groups} {by if by in ('sites', 'risk groups') else 'levels of ' + by}: "
    text += "levels by Pearson's chi-square test without continuity correction, numbers by the Kruskal-Wallis test."
    return text if shown else f"{text} The counts of each stand in table_one.csv."


def _sparse(tables: ClassicalTables) -> str:
    exact = tables.tests["exact_p"].notna().any() if len(tables.tests) else False
    note = "Percentages are of patients whose value is recorded."
    return note + (
        " * an expected count is below 5: Fisher's or a Monte Carlo p value instead; tests.csv has both." if exact else ""
    )


def _cell(row: Any) -> str:
    if row is None:
        return NONE
    if row.level == MISSING:
        return str(int(row.n))
    if row.level == "":
        if not row.n:
            return NONE
        return f"{duration(row.median)} ({duration(row.minimum)}–{duration(row.maximum)})"
    return f"{int(row.n)} ({row.percent:.0f} %)" if math.isfinite(row.percent) else str(int(row.n))


def _test(row: Any) -> str:
    if row is None:
        return ""
    if math.isfinite(row.exact_p):
        return f"{p_text(row.exact_p)} *"
    return p_text(row.p)


def _published_counts(tables: ClassicalTables) -> dict[tuple[str, str], str]:
    evidence = tables.plan.evidence
    if evidence is None:
        return {}
    found = {(item.name, level): str(count) for item in evidence.categorical for level, count in item.levels.items()}
    for item in evidence.continuous:
        if item.median is not None:
            ends = f" ({item.range[0]:g}–{item.range[1]:g})" if item.range is not None else ""
            found[(item.name, "")] = f"{item.median:g}{ends}"
    return found


def failures_section(tables: ClassicalTables) -> Section | None:
    """Return the patterns of first failure; None when they are not recorded."""
    if tables.failures is None:
        return None
    published = {}
    if tables.published is not None:
        for row in rows_of(tables.published):
            if str(row.number).startswith("first failure, "):
                pattern, _, what = str(row.number).removeprefix("first failure, ").partition(": ")
                published[pattern] = f"{row.published}{' %' if what.startswith('%') else ''}"
    rows = []
    for row in rows_of(tables.failures):
        share = "" if math.isnan(row.percent_of_failures) else f"{row.percent_of_failures:.0f} %"
        name = {"none": "no failure recorded", "failure": "any failure"}.get(row.pattern, row.pattern)
        name = f"{name} only" if row.counted == "only" and row.pattern in _kinds(tables.failures) else name
        beside = [published.get(row.pattern, "") if row.counted != "only" else ""] if published else []
        rows.append([name, str(row.n), share, f"{row.percent_of_patients:.0f} %", *beside])
    head = ["First failure", "n", "of failures", "of patients", *(["published"] if published else [])]
    remarks = [text for text in dict.fromkeys(tables.failures["remark"]) if text]
    return Section("failures", "Patterns of failure", [], [Table(head, rows, "; ".join(remarks) + "." if remarks else "")])


def _kinds(failures: pd.DataFrame) -> set[str]:
    return set(failures[failures["counted"] == "with"]["pattern"])


def toxicity_section(tables: ClassicalTables) -> Section | None:
    """Return toxicity by grade; None when no column was named."""
    table = tables.toxicity
    if table is None:
        return None
    groups = list(dict.fromkeys(table["group"]))
    shown = groups if len(groups) <= MOST_GROUPS + 1 else [ALL_PATIENTS]
    tests = {row.characteristic: row for row in rows_of(tables.tests[tables.tests["table"] == "toxicity"])}
    rows = []
    for name, grades in table.groupby("toxicity", sort=False):
        for place, (grade, cells) in enumerate(grades.groupby("grade", sort=False)):
            by_group = {row.group: row for row in rows_of(cells)}
            counts = [f"{int(by_group[group].n)}" + _percent(by_group[group].percent) for group in shown]
            rows.append([f"{name}: {grade}", *counts, _test(tests.get(name)) if place == 0 else ""])
    head = ["Toxicity", *("all" if name == ALL_PATIENTS else str(name) for name in shown)]
    return Section("toxicity", "Toxicity", [], [Table([*head, f"p, by {tables.plan.compared_by}" if tests else ""], rows)])


def _percent(value: float) -> str:
    return f" ({value:.0f} %)" if math.isfinite(value) else ""
