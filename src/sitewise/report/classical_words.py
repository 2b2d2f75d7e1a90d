"""How the numbers of a classical analysis are written: p values, hazard ratios, medians, and the sentences about the data."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from sitewise.names import ALL_PATIENTS
from sitewise.problems import plural
from sitewise.report.page_parts import NOT_REACHED, duration, enumerated, percent, rows_of
from sitewise.studies.classical_analysis import ClassicalTables
from sitewise.studies.classical_analysis.cox_table import AS_PUBLISHED, MULTIVARIATE, UNIVARIATE
from sitewise.studies.classical_analysis.outcomes import LABELS, OS
from sitewise.studies.classical_analysis.plan import RISK_GROUP

NONE = "–"
SITES_NOT_IDENTIFIED = (
    "The sites are synthetic like the patients: where they are of a cohort made from a paper's numbers, sizes of sites and the "
    "spread between them are not identified by the paper."
)


def p_text(value: float) -> str:
    """Return a p value with three decimals, or as a bound."""
    if not math.isfinite(value):
        return NONE
    return "<0.001" if value < 0.001 else ">0.999" if value > 0.999 else f"{value:.3f}"


def p_sentence(value: float) -> str:
    """Return ``p = 0.040`` or ``p < 0.001``."""
    text = p_text(value)
    return f"p {text[0]} {text[1:]}" if text[0] in "<>" else f"p = {text}"


def ratio_text(value: float, lower: float, upper: float, *, digits: int = 2) -> str:
    """Return a hazard ratio with its interval, a dash where there is none."""
    if not math.isfinite(value):
        return NONE
    return f"{_short(value, digits)} ({_short(lower, digits)}–{_short(upper, digits)})"


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if value < 100 else f"{value:.3g}"


def median_text(median: float, /, *, lower: float, upper: float) -> str:
    """Return a Kaplan-Meier median with its limits; what is not reached says so."""
    parts = [duration(value) if math.isfinite(value) else NOT_REACHED for value in (median, lower, upper)]
    return NOT_REACHED if set(parts) == {NOT_REACHED} else f"{parts[0]} ({parts[1]} to {parts[2]})"


def survival_text(row: pd.Series, time: float) -> str:
    """Return survival at a milestone with its limits, in percent without the sign; a dash where nobody was followed to it."""
    value = row[f"survival_{time:g}"]
    if not math.isfinite(value):
        return NONE
    lower, upper = row[f"survival_lower_{time:g}"], row[f"survival_upper_{time:g}"]
    limits = f" ({percent(lower)}–{percent(upper)})" if math.isfinite(lower) else ""
    return f"{percent(value)}{limits}"


def comparison(row: Any, tables: ClassicalTables) -> str:
    """Return a row of a Cox table in words: the covariate, and level against reference."""
    item = tables.plan.covariate(row.covariate)
    if item.numeric:
        return f"{item.label}{f' ({item.unit})' if item.unit else ''}, per unit"
    return f"{item.label}: {words(row.level)} against {words(row.reference)}"


def words(levels: str) -> str:
    """Return a set of levels for readers: ``1 or 2``."""
    return enumerated(levels.split("|")).replace(" and ", " or ") if "|" in levels else levels


def cox_cells(tables: ClassicalTables, *, endpoint: str = OS, digits: int = 2) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the usual Cox table: univariate beside multivariate, a row a comparison."""
    cox = tables.cox[tables.cox["endpoint"] == endpoint]
    adjusted = {(row.covariate, row.level, row.reference): row for row in rows_of(cox[cox["model"] == MULTIVARIATE])}
    rows = []
    for row in rows_of(cox[cox["model"] == UNIVARIATE]):
        other: Any = adjusted.get((row.covariate, row.level, row.reference))
        cells = [comparison(row, tables), ratio_text(row.hazard_ratio, row.lower, row.upper, digits=digits), p_text(row.p)]
        if other is None:
            cells += ["", ""]
        else:
            cells += [ratio_text(other.hazard_ratio, other.lower, other.upper, digits=digits), p_text(other.p)]
        rows.append(cells)
    percent_ = f"{100 * tables.plan.prob:g} %"
    return [LABELS.get(endpoint, endpoint), f"univariate ({percent_})", "p", f"multivariate ({percent_})", "p"], rows


def data_sentence(tables: ClassicalTables) -> str:
    """Return what the data are: source, patients, sites, events of each endpoint, follow-up."""
    cohort = tables.cohort
    sites = f" at {plural(len(cohort.site_labels), 'site', 'sites')}" if cohort.site is not None else ""
    events = enumerated(
        [f"{int(item.event.sum())} events of {LABELS[item.name].lower()}" for item in tables.outcomes.endpoints]
    )
    source = cohort.source[:1].upper() + cohort.source[1:]
    return f"{source}: {len(cohort)} patients{sites}, {events}."


def notes_of(tables: ClassicalTables) -> tuple[str, ...]:
    """Return what was done, left out or should worry; what rests on a prior does not concern an analysis without one."""
    warnings = (warning for warning in tables.cohort.warnings if "prior" not in warning)
    return (*tables.cohort.notes, *warnings, *tables.notes, *notes_of_sites(tables))


def notes_of_sites(tables: ClassicalTables) -> tuple[str, ...]:
    """Return what to know of synthetic sites, which nearly every table compares by default; nothing of real ones."""
    return (SITES_NOT_IDENTIFIED,) if tables.cohort.synthetic and len(tables.cohort.site_labels) > 1 else ()


def answers(tables: ClassicalTables) -> list[tuple[str, str]]:
    """Return what a paper's abstract would say, a heading and a sentence each: survival of all, by risk group, factors."""
    unit = tables.cohort.time_unit
    found = []
    for item in tables.outcomes.endpoints:
        row = _row(tables.survival, item.name, ALL_PATIENTS)
        at = [f"{survival_text(row, time)} % at {time:g}" for time in tables.plan.times]
        at = [text for text in at if not text.startswith(NONE)]
        median = f"Median {_median(row)} {unit}" if math.isfinite(row["median"]) else "Median not reached"
        found.append((item.label, f"{median}; {', '.join(at)} {unit}." if at else f"{median}."))
    survival = tables.survival
    groups = survival[(survival["endpoint"] == OS) & (survival["partition"] == RISK_GROUP)]
    if len(groups):
        test = tables.log_rank[(tables.log_rank["endpoint"] == OS) & (tables.log_rank["partition"] == RISK_GROUP)]
        medians = "; ".join(
            f"{row.group} (n = {row.n}) {median_text(row.median, lower=row.lower, upper=row.upper)}" for row in rows_of(groups)
        )
        p = float(test["p"].iloc[0]) if len(test) else math.nan
        tested = f"; log-rank {p_sentence(p)}" if math.isfinite(p) else ""
        found.append((f"By number of {tables.plan.counted} factors", f"Median in {unit}: {medians}{tested}."))
    found.append(("Factors", _factors(tables)))
    return found


def _factors(tables: ClassicalTables) -> str:
    cox = tables.cox[(tables.cox["endpoint"] == OS) & (tables.cox["model"] == MULTIVARIATE)]
    if cox.empty:
        return f"No covariate had p < {tables.plan.entry_p:g} in a univariate model, so there is no multivariate one."
    firm = cox[cox["p"] < 0.05]
    entered = enumerated([tables.plan.covariate(name).label for name in dict.fromkeys(cox["covariate"])])
    if firm.empty:
        return f"Entered at p < {tables.plan.entry_p:g}: {entered}. None has p < 0.05 in the multivariate model."
    shown = [
        f"{comparison(row, tables)} {ratio_text(row.hazard_ratio, row.lower, row.upper)}, {p_sentence(row.p)}"
        for row in rows_of(firm)
    ]
    return f"Entered at p < {tables.plan.entry_p:g}: {entered}. With p < 0.05 in the multivariate model: {'; '.join(shown)}."


def _median(row: pd.Series) -> str:
    return median_text(row["median"], lower=row["lower"], upper=row["upper"])


def _row(survival: pd.DataFrame, endpoint: str, partition: str) -> pd.Series:
    return survival[(survival["endpoint"] == endpoint) & (survival["partition"] == partition)].iloc[0]


def published_models(tables: ClassicalTables, endpoint: str) -> list[str]:
    """Return the models of a paper that are shown beside the table's own multivariate model."""
    own = tables.cox[tables.cox["endpoint"] == endpoint]["model"]
    return [str(name) for name in dict.fromkeys(own) if str(name).startswith(AS_PUBLISHED)]
