"""Published counts and summaries of characteristics, cross tables and first failures beside those of the table."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from sitewise.cohort import Cohort
from sitewise.evidence.audit_rows import numeric_digits
from sitewise.evidence.checks_of_models import decimals
from sitewise.evidence.entries import Continuous
from sitewise.evidence.entries_of_counts import Count, Failures
from sitewise.studies.classical_analysis.outcomes import Outcomes
from sitewise.studies.classical_analysis.partitions import has_level
from sitewise.studies.classical_analysis.plan import ClassicalPlan
from sitewise.studies.classical_analysis.published_line import Line, Place


def count_lines(cohort: Cohort, outcomes: Outcomes, failures: pd.DataFrame | None, plan: ClassicalPlan) -> Iterator[Line]:
    """Yield every published number that is a count or summary of what the table has a column for."""
    evidence = plan.evidence
    if evidence is None:
        return
    for item in evidence.continuous:
        yield from _numeric(item, cohort)
    for factor in evidence.categorical:
        place = Place(factor.name, "", factor.status, factor.where)
        has = factor.name in cohort.covariates.columns
        for level, count in factor.levels.items():
            ours = float(has_level(cohort, factor.name, [level]).sum()) if has else math.nan
            remark = "" if has else f"the table has no column {factor.name}"
            yield place.number(f"{factor.name} {level}: patients", count, ours, digits=0, remark=remark)
    for joint in evidence.joint:
        place = Place(joint.id, "", joint.status, joint.where)
        absent = [name for name in joint.between if name not in cohort.covariates.columns]
        remark = f"the table has no column {', '.join(absent)}" if absent else ""
        for level, row in joint.counts.items():
            for other, count in row.items():
                ours = math.nan
                if not absent:
                    pairs = zip(joint.between, (level, other), strict=True)
                    ours = float(np.all([has_level(cohort, name, [value]) for name, value in pairs], axis=0).sum())
                yield place.number(f"{level} and {other}: patients", count, ours, digits=0, remark=remark)
    counts = {item.id: item for item in evidence.count}
    for pattern in evidence.failures:
        yield from _failures(pattern, counts, failures, len(cohort))


def not_compared(plan: ClassicalPlan) -> list[str]:
    """Return the ids of published counts that no column of a table can be held against."""
    evidence = plan.evidence
    if evidence is None:
        return []
    used = {name for item in evidence.failures for name in (item.total, *item.kinds.values())}
    return [item.id for item in evidence.count if item.id not in used]


def _numeric(item: Continuous, cohort: Cohort) -> Iterator[Line]:
    place = Place(item.name, "", item.status, item.where)
    digits = numeric_digits(item)
    published = {"median": item.median, "mean": item.mean, "sd": item.sd}
    published |= dict(zip(("lower quartile", "upper quartile"), item.quartiles or (None, None), strict=True))
    published |= dict(zip(("least", "largest"), item.range or (None, None), strict=True))
    known = np.empty(0)
    remark = f"the table has no column {item.name}"
    if item.name in cohort.covariates.columns:
        values = cohort.covariates[item.name]
        if cohort.levels(item.name):
            remark = f"column {item.name} holds categories, not numbers"
        else:
            known, remark = values.dropna().to_numpy(dtype=float), ""
    ours = dict.fromkeys(published, math.nan)
    if known.size > 1:
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
        numbers = (middle, known.mean(), known.std(ddof=1), low, high, known.min(), known.max())
        ours = {name: float(value) for name, value in zip(published, numbers, strict=True)}
    for name, value in published.items():
        if value is not None:
            yield place.number(f"{item.name}: {name}", value, ours[name], digits=digits, remark=remark)


def _failures(item: Failures, counts: dict[str, Count], table: pd.DataFrame | None, patients: int) -> Iterator[Line]:
    wanted = {"failure": (item.total, "all"), **{kind: (name, "with") for kind, name in item.kinds.items()}}
    for pattern, (name, counted) in wanted.items():
        count = counts[name]
        place = Place(name, item.endpoint, item.status, count.where)
        ours, remark = math.nan, "the table has no column first_failure"
        if table is not None:
            rows = table[(table["pattern"] == pattern) & (table["counted"] == counted)]
            ours, remark = (float(rows["n"].iloc[0]), "") if len(rows) else (0.0, "no such kind in the table")
        if count.count is not None:
            yield place.number(f"first failure, {pattern}: patients", count.count, ours, digits=0, remark=remark)
        elif count.percent is not None and count.of == "patients":
            digits = decimals(count.percent)
            share = 100 * ours / patients
            yield place.number(f"first failure, {pattern}: % of patients", count.percent, share, digits=digits, remark=remark)
