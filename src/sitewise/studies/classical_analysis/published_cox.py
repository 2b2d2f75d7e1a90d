"""Published hazard ratios beside those of the Cox tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sitewise.evidence.audit_rows import digits_of
from sitewise.evidence.checks_of_models import decimals
from sitewise.evidence.entries import Model, Term
from sitewise.studies.classical_analysis.cox_fits import wald
from sitewise.studies.classical_analysis.cox_table import AS_PUBLISHED, MULTIVARIATE, UNIVARIATE, entered, model_of
from sitewise.studies.classical_analysis.plan import ClassicalPlan, Contrast
from sitewise.studies.classical_analysis.published_line import Line, Place

BESIDE = ["published_hazard_ratio", "published_lower", "published_upper", "published_p", "equal_when_rounded"]


@dataclass(frozen=True)
class Match:
    """A published row and the row of the Cox table that is the same comparison; ``row`` is None where there is none."""

    model: Model
    term: Term
    row: int | None
    remark: str = ""


def matches(table: pd.DataFrame, plan: ClassicalPlan) -> list[Match]:
    """Return every published row of a Cox model with its place in the table, or why it has none."""
    found = []
    for model in plan.evidence.model if plan.evidence is not None else ():
        name, remark = _name_of(model, table, plan)
        for term in model.term:
            level, reference = Contrast(term.level, term.reference).names
            same = (table["endpoint"] == model.endpoint) & (table["model"] == name) & (table["covariate"] == term.covariate)
            same &= (table["level"] == level) & (table["reference"] == reference)
            if same.any():
                found.append(Match(model, term, int(table.index[same][0])))
            else:
                found.append(Match(model, term, None, remark or _absent(term, plan)))
    return found


def _name_of(model: Model, table: pd.DataFrame, plan: ClassicalPlan) -> tuple[str, str]:
    """Return which model of the table a published one is, and why it is none."""
    if not (table["endpoint"] == model.endpoint).any():
        return "", f"the table has no endpoint '{model.endpoint}'"
    if not model.adjusted:
        return UNIVARIATE, ""
    own = AS_PUBLISHED + model.id
    if (table["model"] == own).any():
        return own, ""
    theirs = model_of(model, plan)
    if theirs is None:
        missing = [term.covariate for term in model.term if term.covariate not in {item.name for item in plan.covariates}]
        return "", f"the table has no column {', '.join(missing)}" if missing else "its comparisons are none of this table"
    same = {item.name for item in theirs} == set(entered(table, model.endpoint))
    return (MULTIVARIATE, "") if same else ("", "its covariates are none of this table's models")


def _absent(term: Term, plan: ClassicalPlan) -> str:
    if term.covariate not in {item.name for item in plan.covariates}:
        return f"the table has no column {term.covariate}"
    return "this comparison is not made here"


def cox_lines(table: pd.DataFrame, plan: ClassicalPlan) -> Iterator[Line]:
    """Yield hazard ratio, limits and p value of every published row."""
    for match in matches(table, plan):
        yield from _lines(match, table)


def beside(table: pd.DataFrame, plan: ClassicalPlan) -> pd.DataFrame:
    """Return the Cox table with the published numbers, and whether hazard ratio, limits and p all round to them."""
    table = table.assign(**{name: pd.Series(pd.NA, index=table.index, dtype="object") for name in BESIDE})
    for match in matches(table, plan):
        if match.row is None:
            continue
        lines = list(_lines(match, table))
        for name, line in zip(BESIDE, lines, strict=False):
            table.loc[match.row, name] = line.published
        known = [line.equal for line in lines if line.equal is not None]
        if known:
            table.loc[match.row, BESIDE[-1]] = all(known)
    return table


def _lines(match: Match, table: pd.DataFrame) -> Iterator[Line]:
    model, term = match.model, match.term
    place = Place(model.id, model.endpoint, term.status, model.where)
    digits = digits_of(model, term)
    name = label(term)
    ours = dict.fromkeys(("hazard_ratio", "lower", "upper", "p"), math.nan)
    remark = match.remark
    if match.row is not None:
        row: Any = table.loc[match.row]
        if math.isfinite(row["hazard_ratio"]):
            ours |= wald(math.log(row["hazard_ratio"]), float(row["standard_error"]), model.prob)
        else:
            remark = str(row["remark"])
    note = remark or ("published limits: profile likelihood; ours: Wald" if model.interval == "profile" else "")
    published = {"hazard_ratio": term.hazard_ratio, "lower": term.lower, "upper": term.upper}
    for key, value in published.items():
        said = remark if key == "hazard_ratio" else note
        yield place.number(f"{name}: {WORDS[key]}", value, ours[key], digits=digits, remark=said)
    p_digits = term.p_digits if term.p_digits is not None else decimals(term.p)
    line = place.p_value(f"{name}: p", term.p, term.p_below, ours["p"], digits=p_digits)
    if line is not None:
        yield line if line.equal is not None or not remark else place.none(line.number, line.published, remark)


WORDS = {"hazard_ratio": "hazard ratio", "lower": "lower limit", "upper": "upper limit"}


def label(term: Term) -> str:
    """Return a row in words: ``ecog 1|2 against 0``, or ``age per unit``."""
    level, reference = Contrast(term.level, term.reference).names
    return f"{term.covariate} {level} against {reference}" if level else f"{term.covariate} per unit"
