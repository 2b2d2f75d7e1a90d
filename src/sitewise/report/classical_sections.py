"""The sections of the classical page about survival: Kaplan-Meier, Cox models, follow-up, published numbers beside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sitewise.names import ALL_PATIENTS
from sitewise.report.classical_words import (
    NONE,
    comparison,
    cox_cells,
    median_text,
    p_text,
    published_models,
    ratio_text,
    survival_text,
)
from sitewise.report.page_parts import Section, Table, duration, number, pictures_of, rows_of
from sitewise.studies.classical_analysis import ClassicalTables
from sitewise.studies.classical_analysis.cox_table import AS_PUBLISHED, UNIVARIATE
from sitewise.studies.classical_analysis.plan import RISK_GROUP, SITE


def survival_section(tables: ClassicalTables, pictures: Mapping[str, Path]) -> Section:
    """Return Kaplan-Meier medians and milestones by group with log-rank tests, and the pictures."""
    unit = tables.cohort.time_unit
    published = _published_medians(tables)
    made = []
    for endpoint in tables.outcomes.endpoints:
        own = tables.survival[tables.survival["endpoint"] == endpoint.name]
        tests = tables.log_rank[tables.log_rank["endpoint"] == endpoint.name].set_index("partition")
        rows = []
        for place in own.index:
            row = own.loc[place]
            first = place == own.index[0] or own.loc[place - 1, "partition"] != row["partition"]
            label = _label(tables, str(row["partition"]))
            name = "All patients" if row["partition"] == ALL_PATIENTS else f"{label}: {row['group'].replace('|', ' or ')}"
            cells = [name, f"{row['n']} ({row['events']})", median_text(row["median"], lower=row["lower"], upper=row["upper"])]
            cells += [published.get((endpoint.name, str(row["partition"]), str(row["group"])), "")] if published else []
            cells += [survival_text(row, time) for time in tables.plan.times]
            p = float(tests.loc[row["partition"], "p"]) if first and row["partition"] in tests.index else math.nan
            rows.append([*cells, p_text(p) if math.isfinite(p) else ""])
        head = [endpoint.label, "n (events)", f"median, {unit}", *(["published"] if published else [])]
        made.append(Table([*head, *(f"at {time:g}, %" for time in tables.plan.times), "log-rank p"], rows))
    return Section(
        "survival",
        "Survival",
        [f"Kaplan-Meier with log-log limits of {100 * tables.plan.prob:g} %; sites and risk groups compared like covariates."],
        made,
        pictures_of(
            pictures,
            endpoints="Kaplan-Meier curves of all patients by endpoint",
            covariates="Overall survival by the covariates that entered the multivariate model",
            risk_groups="Overall survival by risk group",
        ),
    )


def _label(tables: ClassicalTables, partition: str) -> str:
    named = {SITE: "Site", RISK_GROUP: "Factors"}
    return named.get(partition) or tables.plan.covariate(partition).label if partition != ALL_PATIENTS else ""


def _published_medians(tables: ClassicalTables) -> dict[tuple[str, str, str], str]:
    evidence, found = tables.plan.evidence, {}
    for item in evidence.survival if evidence is not None else ():
        if item.median is None:
            continue
        text = item.median if isinstance(item.median, str) else f"{item.median:.{item.digits}f}"
        if item.count_favourable is not None:
            found[(item.endpoint, RISK_GROUP, f"{item.count_favourable} of {len(tables.plan.factors)} favourable")] = text
        elif not item.group:
            found[(item.endpoint, ALL_PATIENTS, ALL_PATIENTS)] = text
        elif len(item.group) == 1:
            name, levels = next(iter(item.group.items()))
            found[(item.endpoint, name, "|".join(levels))] = text
    return found


def cox_section(tables: ClassicalTables, pictures: Mapping[str, Path]) -> Section:
    """Return the Cox tables, published numbers beside where there are any, and why a row has no estimate."""
    digits = 3 if tables.plan.evidence is not None else 2
    made: list[Table] = []
    for endpoint in dict.fromkeys(tables.cox["endpoint"]):
        head, rows = cox_cells(tables, endpoint=endpoint, digits=digits)
        own = tables.cox[tables.cox["endpoint"] == endpoint]
        made.append(Table(head, rows, _remarks(tables, own)))
        beside = own[own["published_hazard_ratio"].notna()]
        if len(beside):
            made.append(
                Table(
                    ["Beside the paper", "model", "ours", "p", "published", "p", "hazard ratio off by", "rounded alike"],
                    _beside(tables, beside),
                )
            )
        for name in published_models(tables, endpoint):
            part = own[own["model"] == name]
            cells = [
                [comparison(row, tables), ratio_text(row.hazard_ratio, row.lower, row.upper, digits=digits), p_text(row.p)]
                for row in rows_of(part)
            ]
            made.append(Table([f"The paper's model '{name.removeprefix(AS_PUBLISHED)}'", "hazard ratio", "p"], cells))
    return Section(
        "cox",
        "Cox models",
        [
            "A covariate enters the multivariate model when the likelihood-ratio test of its univariate model, of all its "
            f"levels together, has p < {tables.plan.entry_p:g}. p values in the table are Wald's; "
            f"ties: {tables.plan.ties.capitalize()}."
        ],
        made,
        pictures_of(pictures, cox="Forest of univariate and multivariate hazard ratios, published ones beside"),
    )


def _remarks(tables: ClassicalTables, cox: pd.DataFrame) -> str:
    found: dict[str, str] = {}
    for row in rows_of(cox[cox["remark"] != ""]):
        label = comparison(row, tables)
        text = f"{label}: {row.remark}"
        found.setdefault(text, label)
    return ". ".join(found) + "." if found else ""


def _beside(tables: ClassicalTables, cox: pd.DataFrame) -> list[list[str]]:
    rows = []
    for row in rows_of(cox):
        known = isinstance(row.equal_when_rounded, bool)
        published = f"{row.published_hazard_ratio} ({row.published_lower}–{row.published_upper})"
        p = "" if pd.isna(row.published_p) else str(row.published_p)
        cells = [
            comparison(row, tables),
            row.model.removeprefix(AS_PUBLISHED),
            ratio_text(row.hazard_ratio, row.lower, row.upper, digits=3),
        ]
        off = row.hazard_ratio / float(row.published_hazard_ratio) - 1
        equal = ("yes" if row.equal_when_rounded else "no") if known else NONE
        rows.append([*cells, p_text(row.p), published, p, _signed(100 * off), equal])
    return rows


def _signed(percent: float) -> str:
    """Return a relative difference in percent with its sign; none for what rounds to zero."""
    text = number(percent, 1)
    return text if text == NONE else f"{'+' if float(text) > 0 else ''}{text} %"


def follow_up_section(tables: ClassicalTables) -> Section:
    """Return follow-up by each definition."""
    words = {
        "observed": "observed times of all patients",
        "reverse-kaplan-meier": "reverse Kaplan-Meier",
        "alive-only": "patients without event",
    }
    rows = [
        [words[row.definition], str(row.n), duration(row.median) if math.isfinite(row.median) else row.remark]
        for row in rows_of(tables.follow_up)
    ]
    first = tables.follow_up.iloc[0]
    note = (
        f"Shortest and longest time: {duration(first['shortest'])} and {duration(first['longest'])} {tables.cohort.time_unit}."
    )
    return Section("follow-up", "Follow-up", [], [Table(["Median follow-up of", "n", tables.cohort.time_unit], rows, note)])


def published_section(tables: ClassicalTables) -> Section | None:
    """Return the published numbers that differ or cannot be held against this table; None without a paper."""
    table, evidence = tables.published, tables.plan.evidence
    if table is None or evidence is None:
        return None
    known = table[table["equal_when_rounded"].notna()]
    equal = int(known["equal_when_rounded"].astype(bool).sum())
    models = {model.id for model in evidence.model}
    other = table[~table["entry"].isin(models)]
    shown = other[(other["endpoint"] != "") | ~other["equal_when_rounded"].eq(True)]
    rows = [[_named(row), str(row.published), str(row.ours_rounded) or NONE, _equal(row), row.remark] for row in rows_of(shown)]
    hidden = len(other) - len(shown)
    worst = _worst(tables)
    return Section(
        "published",
        f"Beside the numbers of {evidence.id}",
        [
            f"{evidence.source.authors}, {evidence.source.journal} ({evidence.source.year}), doi {evidence.source.doi}. "
            f"{equal} of {len(known)} published numbers that this table can be held against are equal when rounded alike; "
            f"{len(table) - len(known)} have none of ours. Hazard ratios stand under Cox models.{worst}",
        ],
        [Table(["Number", "published", "ours", "rounded alike", "remark"], rows, f"{hidden} equal counts are not shown.")],
    )


def _named(row: Any) -> str:
    """Return entry and number; a count's number names its entry itself."""
    return str(row.number) if str(row.number).startswith(str(row.entry)) else f"{row.entry}: {row.number}"


def _worst(tables: ClassicalTables) -> str:
    cox = tables.cox[(tables.cox["model"] != UNIVARIATE) & tables.cox["published_hazard_ratio"].notna()]
    cox = cox[cox["hazard_ratio"].notna()]
    if cox.empty:
        return ""
    off = (cox["hazard_ratio"] / cox["published_hazard_ratio"].astype(float) - 1).abs().max()
    return f" The multivariate hazard ratio farthest from the published one is off by {number(100 * float(off), 1)} %."


def _equal(row: Any) -> str:
    return (
        NONE
        if row.equal_when_rounded is None or pd.isna(row.equal_when_rounded)
        else ("yes" if row.equal_when_rounded else "no")
    )
