"""From a raw table to a :class:`Cohort`: every check, gathered and raised once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import warnings_found
from sitewise.cohort.columns import (
    Recode,
    apply_recode,
    is_number_column,
    is_two_valued,
    looks_like_numbers_with_typos,
    read_event,
    read_levels,
    read_number,
    rows_where,
)
from sitewise.cohort.levels import labels, natural_order
from sitewise.cohort.table import Cohort, Columns
from sitewise.problems import CohortError, Problems, listed, nearest

Floats = NDArray[np.float64]


def read_cohort(
    frame: pd.DataFrame,
    *,
    columns: Columns,
    event_level: object | None,
    time_unit: str,
    covariates: Sequence[str] | None,
    recode: Mapping[str, Recode],
    levels: Mapping[str, Sequence[object]],
    reference: Mapping[str, object],
    missing: Literal["refuse", "drop"],
    zero_times: float | Literal["refuse"],
    min_sites: int,
    source: str,
) -> Cohort:
    """Validate a table; see :meth:`Cohort.from_frame`, whose arguments these are."""
    problems, notes = Problems(), []
    frame = frame.reset_index(drop=True)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    _check_header(frame, columns, covariates, recode, levels, reference, problems)
    if frame.empty:
        problems.add("", "the table has no rows")
        problems.raise_if_any(CohortError, "The cohort")

    special = {name for name in vars(columns).values() if name}
    read = {
        field: read_number(frame, name, problems)
        for field, name in (("time", columns.time), ("entry", columns.entry), ("weights", columns.weights))
        if name and name in frame.columns
    }
    if columns.event in frame.columns:
        read["event"] = read_event(frame, columns.event, event_level, problems)
    site = labels(frame[columns.site]) if columns.site and columns.site in frame.columns else None
    patient = labels(frame[columns.id]) if columns.id and columns.id in frame.columns else None
    table, category_notes = _read_covariates(frame, special, covariates, recode, levels, reference, problems)
    notes += category_notes

    incomplete = _find_missing(frame, columns, read, site, patient, table if covariates is not None else None)
    keep = np.ones(len(frame), dtype=bool)
    for name, rows in incomplete.items():
        if missing == "drop":
            keep &= ~rows
        else:
            problems.add(
                f"column '{name}'",
                f"{rows.sum()} value(s) are missing",
                "Complete them, or drop these rows with missing = 'drop'.",
                rows_where(rows),
            )
    if not keep.all():
        by_column = ", ".join(f"{name}: {rows.sum()}" for name, rows in incomplete.items())
        notes.append(
            f"{(~keep).sum()} of {len(frame)} rows dropped for missing values ({by_column}), as missing = 'drop' asked."
        )
        if not keep.any():
            problems.add("", "every row has a missing value", "Complete the table, or use fewer columns.")

    notes += _check_times(columns, read, keep, zero_times, problems)
    if patient is not None and columns.id:
        _check_ids(columns.id, patient, keep, problems)
    if site is not None and columns.site and site[keep].nunique() < min_sites:
        problems.add(
            f"column '{columns.site}'",
            f"has {site[keep].nunique()} site; a site effect needs at least {min_sites}",
            f"Remove the site term, such as (1 | {columns.site}), from the model.",
        )
    if "event" in read and keep.any() and not np.nansum(read["event"][keep]) and not problems.found:
        problems.add(
            f"column '{columns.event}'",
            "has no events among the rows used",
            "Check event_level; without events nothing can be estimated.",
        )
    if covariates is not None:
        for name in table.columns:
            _check_varies(name, table[name][keep], problems)
    problems.raise_if_any(CohortError, "The cohort")

    table = table[keep].reset_index(drop=True)
    event = read["event"][keep]
    time = read["time"][keep]
    site_column = None
    if site is not None:
        text = site[keep].reset_index(drop=True)
        site_column = pd.Series(pd.Categorical(text, categories=list(natural_order(text))), name=columns.site)
    found = warnings_found.implausible_times(time, time_unit)
    found += warnings_found.sparse_levels(table, event.astype(bool))
    found += warnings_found.lone_sites(site_column) if site_column is not None else []
    if covariates is not None:
        found += warnings_found.few_valued_numbers(table)
    return Cohort(
        time=time,
        event=event,
        entry=read["entry"][keep] if "entry" in read else np.zeros(time.size),
        weights=read["weights"][keep] if "weights" in read else np.ones(time.size),
        site=site_column,
        id=_patient_labels(patient, keep),
        covariates=table,
        columns=columns,
        time_unit=time_unit,
        warnings=tuple(found),
        notes=tuple(notes),
        source=source,
        rows_read=len(frame),
        rows_dropped=int((~keep).sum()),
    )


def covariate_problems(name: str, values: pd.Series, problems: Problems) -> None:
    """Add the problems of one covariate that a model uses: missing values, or no variation."""
    missing = values.isna().to_numpy()
    if missing.any():
        problems.add(
            f"column '{name}'",
            f"{missing.sum()} value(s) are missing",
            f"Complete them, or read the cohort with covariates=[..., '{name}'] and missing='drop'.",
            rows_where(missing),
        )
    _check_varies(name, values, problems)


def _check_varies(name: str, values: pd.Series, problems: Problems) -> None:
    distinct = values.dropna().unique()
    if len(distinct) == 1:
        problems.add(
            f"column '{name}'",
            f"is constant ('{distinct[0]}' in every row used), so its effect cannot be estimated",
            "Remove it from the model.",
        )


def _check_header(
    frame: pd.DataFrame,
    columns: Columns,
    covariates: Sequence[str] | None,
    recode: Mapping[str, Recode],
    levels: Mapping[str, Sequence[object]],
    reference: Mapping[str, object],
    problems: Problems,
) -> None:
    """Every column named must exist, once, and no special column may serve twice."""
    known = list(frame.columns)
    repeated = natural_order(name for name in known if known.count(name) > 1)
    if repeated:
        problems.add("", f"columns {listed(repeated)} occur more than once", "Rename them.")
        problems.raise_if_any(CohortError, "The cohort")
    for role, name in vars(columns).items():
        if name and name not in known:
            problems.add(f"column '{name}'", f"does not exist ({role})", nearest(name, known))
    used = [name for name in vars(columns).values() if name]
    for name in natural_order(name for name in used if used.count(name) > 1):
        roles = [role for role, value in vars(columns).items() if value == name]
        problems.add(f"column '{name}'", f"is used as {' and as '.join(roles)}", "Name a column for each.")
    for name in covariates or ():
        if name not in known and name not in recode:
            problems.add(f"column '{name}'", "does not exist (covariate)", nearest(name, [*known, *recode]))
    available = {*known, *recode}
    for option, mapping in (("levels", levels), ("reference", reference)):
        for name in mapping:
            if name not in available:
                problems.add(f"{option} of '{name}'", "there is no such column", nearest(name, available))


def _read_covariates(
    frame: pd.DataFrame,
    special: set[str],
    covariates: Sequence[str] | None,
    recode: Mapping[str, Recode],
    levels: Mapping[str, Sequence[object]],
    reference: Mapping[str, object],
    problems: Problems,
) -> tuple[pd.DataFrame, list[str]]:
    """Return the covariates as numbers or categories, and notes on what was read as what."""
    wanted = list(covariates) if covariates is not None else [*recode, *frame.columns]
    read: dict[str, pd.Series] = {}
    notes = []
    for name in dict.fromkeys(wanted):
        if name in recode:
            recoded = apply_recode(frame, name, recode[name], problems)
            if recoded is not None:
                order = levels.get(name, list(recoded.cat.categories))
                read[name] = read_levels(name, recoded, order, reference.get(name), problems)
            continue
        if name not in frame.columns or (covariates is None and name in special):
            continue
        values = frame[name]
        declared = name in levels or name in reference
        two_valued = is_number_column(values) and is_two_valued(values)
        if not declared and looks_like_numbers_with_typos(values):
            read[name] = pd.Series(read_number(frame, name, problems), index=frame.index, name=name)
        elif declared or two_valued or not is_number_column(values):
            read[name] = read_levels(name, values, levels.get(name), reference.get(name), problems)
            if two_valued and not declared:
                shown = list(read[name].cat.categories)
                notes.append(f"{name} has two values and is read as categories; reference level '{shown[0]}'.")
        else:
            read[name] = pd.Series(read_number(frame, name, problems), index=frame.index, name=name)
    return pd.DataFrame(read, index=frame.index), notes


def _find_missing(
    frame: pd.DataFrame,
    columns: Columns,
    read: Mapping[str, Floats],
    site: pd.Series | None,
    patient: pd.Series | None,
    table: pd.DataFrame | None,
) -> dict[str, NDArray[np.bool_]]:
    """Return, for each used column with missing values, which rows lack it."""
    checked = {name: frame[name] for field in read if (name := getattr(columns, field))}
    if site is not None and columns.site:
        checked[columns.site] = site
    if patient is not None and columns.id:
        checked[columns.id] = patient
    lacking = {name: values.isna().to_numpy() for name, values in checked.items()}
    if table is not None:
        # A recoded value outside every level is reported as such, not as missing.
        lacking |= {
            name: (frame[name] if name in frame.columns else table[name]).isna().to_numpy() for name in table.columns
        }
    return {name: rows for name, rows in lacking.items() if rows.any()}


def _check_times(
    columns: Columns,
    read: dict[str, Floats],
    keep: NDArray[np.bool_],
    zero_times: float | Literal["refuse"],
    problems: Problems,
) -> list[str]:
    """Check times, entries and weights; replace zero times where asked and say how many."""
    notes = []
    if "time" in read:
        time = read["time"]
        where = f"column '{columns.time}'"
        negative = keep & (time < 0)
        if negative.any():
            problems.add(where, f"{negative.sum()} time(s) are negative", "Correct these rows.", rows_where(negative))
        zero = keep & (time == 0)
        if zero.any() and zero_times == "refuse":
            problems.add(
                where,
                f"{zero.sum()} time(s) are zero, which a Weibull time cannot be",
                "Correct them, or set zero_times to a small positive time such as half the shortest unit.",
                rows_where(zero),
            )
        elif zero_times != "refuse" and not (math.isfinite(zero_times) and zero_times > 0):
            problems.add("zero_times", f"is {zero_times}; it must be a positive time or 'refuse'")
        elif zero.any() and zero_times != "refuse":
            read["time"] = np.where(zero, zero_times, time)
            notes.append(f"{zero.sum()} time(s) of zero were set to {zero_times:g}, as zero_times asked.")
    if "entry" in read and "time" in read:
        entry = read["entry"]
        where = f"column '{columns.entry}'"
        negative = keep & (entry < 0)
        if negative.any():
            problems.add(
                where,
                f"{negative.sum()} entry time(s) are negative",
                "Correct these rows.",
                rows_where(negative),
            )
        late = keep & (entry >= read["time"])
        if late.any():
            problems.add(
                where,
                f"{late.sum()} entry time(s) are at or after the follow-up time",
                "A patient must enter before the end of their follow-up; correct or remove these rows.",
                rows_where(late),
            )
    if "weights" in read:
        bad = keep & (read["weights"] <= 0)
        if bad.any():
            problems.add(
                f"column '{columns.weights}'",
                f"{bad.sum()} weight(s) are zero or negative",
                "Weights must be positive; remove rows that should not count.",
                rows_where(bad),
            )
    return notes


def _check_ids(name: str, patient: pd.Series, keep: NDArray[np.bool_], problems: Problems) -> None:
    repeated = patient.duplicated(keep=False).to_numpy() & patient.notna().to_numpy() & keep
    if repeated.any():
        problems.add(
            f"column '{name}'",
            f"{patient[repeated].nunique()} patient label(s) occur more than once: {listed(patient[repeated].unique(), 3)}",
            "Each row must be one patient; merge or relabel these rows.",
            rows_where(repeated),
        )


def _patient_labels(patient: pd.Series | None, keep: NDArray[np.bool_]) -> pd.Series:
    if patient is None:
        return pd.Series([str(row + 1) for row in np.flatnonzero(keep)], name="patient")
    return patient[keep].reset_index(drop=True)
