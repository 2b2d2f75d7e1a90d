"""From a raw table to a :class:`Cohort`: every check, gathered and raised once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import warnings_found
from sitewise.cohort.checks import check_header, check_ids, check_options, check_times, check_varies, find_missing
from sitewise.cohort.columns import (
    Columns,
    Recode,
    apply_recode,
    blank_to_missing,
    is_number_column,
    is_two_valued,
    looks_like_numbers_with_typos,
    read_event,
    read_levels,
    read_number,
    rows_where,
)
from sitewise.cohort.intervals import read_interval
from sitewise.cohort.levels import label, labels, natural_order
from sitewise.cohort.synthetic import SYNTHETIC, is_synthetic
from sitewise.cohort.table import Cohort
from sitewise.problems import CohortError, Problems, listed, plural


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
    missing: Literal["refuse", "drop", "keep"],
    zero_times: float | Literal["refuse"],
    min_sites: int,
    source: str,
) -> Cohort:
    """Validate a table; see :meth:`Cohort.from_frame`, whose arguments these are."""
    problems, notes = Problems(), []
    frame = frame.reset_index(drop=True)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    if frame.empty:
        problems.add("", "the table has no rows", "Give a table with a row for each patient.")
        problems.raise_if_any(CohortError, "The cohort")
    check_header(frame, columns, covariates, recode, levels, reference, problems)
    frame = blank_to_missing(frame)
    check_options(missing, zero_times, problems)

    special = set(columns.named.values())
    numbers = {"time": columns.time, "entry": columns.entry, "weights": columns.weights}
    if columns.lower is not None:
        del numbers["time"]
    read = {field: read_number(frame, name, problems) for field, name in numbers.items() if name and name in frame.columns}
    if columns.lower is not None and {columns.time, columns.lower} <= set(frame.columns):
        read |= read_interval(frame, columns, problems)
    if event_level is not None and columns.lower is not None:
        problems.add("event_level", "belongs to an event column", "Remove it: lower and upper say what is an event.")
    if columns.event in frame.columns and list(vars(columns).values()).count(columns.event) == 1:
        read["event"] = read_event(frame, columns.event, event_level, problems)
    site = labels(frame[columns.site]) if columns.site and columns.site in frame.columns else None
    patient = labels(frame[columns.id]) if columns.id and columns.id in frame.columns else None
    synthetic, mixed = is_synthetic(frame, {*special, *(covariates or ()), *recode})
    if synthetic:
        frame = frame.drop(columns=SYNTHETIC)
    table, category_notes = _read_covariates(frame, special, covariates, recode, levels, reference, problems)
    notes += category_notes

    checked = [] if covariates is None else [str(name) for name in table.columns]
    incomplete = find_missing(frame, columns, read, site, patient, recode, checked)
    keep = np.ones(len(frame), dtype=bool)
    for name, rows in incomplete.items():
        if missing == "drop":
            keep &= ~rows
        elif missing == "keep" and name not in special:
            notes.append(f"{plural(rows.sum(), 'value', 'values')} of {name} missing, and kept.")
        else:
            problems.add(
                f"column '{name}'",
                f"{plural(rows.sum(), 'value is', 'values are')} missing",
                f"Complete {'it' if rows.sum() == 1 else 'them'}, or drop such rows with missing = 'drop'."
                + ("" if name in special else " Or impute: docs/missing.md."),
                rows_where(rows),
            )
    if not keep.all():
        by_column = ", ".join(f"{name}: {rows.sum()}" for name, rows in incomplete.items())
        notes.append(
            f"{(~keep).sum()} of {len(frame)} rows dropped for missing values ({by_column}), as missing = 'drop' asked."
        )
    if not keep.any():
        problems.add("", "every row has a missing value", "Complete the table, or use fewer columns.")
        problems.raise_if_any(CohortError, "The cohort")

    notes += check_times(columns, read, keep, zero_times, problems)
    if patient is not None and columns.id:
        check_ids(columns.id, patient, keep, problems)
    if site is not None and columns.site and 0 < site[keep].nunique() < min_sites:
        problems.add(
            f"column '{columns.site}'",
            f"names {plural(site[keep].nunique(), 'site', 'sites')} ({listed(natural_order(site[keep].dropna()))}); a site "
            f"effect needs at least {min_sites}",
            f"Remove the site term, such as (1 | {columns.site}), from the model.",
        )
    if "event" in read and not np.nansum(read["event"][keep]) and not problems.found:
        problems.add(
            f"column '{columns.event or columns.time}'",
            "has no events among the rows used",
            "Check event_level; without events nothing can be estimated."
            if columns.lower is None
            else "Give the upper ends of some events; without events nothing can be estimated.",
        )
    table, level_notes = _without_empty_levels(table, keep, reference, problems)
    notes += level_notes
    for name in checked:
        if not problems.about(f"column '{name}'"):
            check_varies(name, table[name][keep], problems)
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
    found += mixed
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
        synthetic=synthetic,
        rows_read=len(frame),
        rows_dropped=int((~keep).sum()),
        rows=tuple(rows_where(keep)),
        lower=_lower_ends(read, keep),
    )


def _lower_ends(read: Mapping[str, NDArray[np.float64]], keep: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return the lower ends, equal to the time where that is exact or censored; None when no event lies in an interval."""
    if "lower" not in read:
        return None
    time = read["time"][keep]
    lower = np.where(read["within"][keep] > 0, read["lower"][keep], time)
    return lower if (lower < time).any() else None


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


def _without_empty_levels(
    table: pd.DataFrame, keep: NDArray[np.bool_], reference: Mapping[str, object], problems: Problems
) -> tuple[pd.DataFrame, list[str]]:
    """Return the covariates without levels that no row used has, and a note of each; such a reference is a problem."""
    notes = []
    for name in table.columns:
        if not isinstance(table[name].dtype, pd.CategoricalDtype) or problems.about(f"column '{name}'"):
            continue
        present = set(table[name][keep].dropna())
        empty = [level for level in table[name].cat.categories if level not in present]
        if name in reference and label(reference[name]) in empty:
            what = f"no row used has the reference level '{label(reference[name])}'"
            problems.add(f"column '{name}'", what, f"Choose one of {listed(natural_order(present))}.")
        elif empty:
            table = table.assign(**{name: table[name].cat.remove_categories(empty)})
            levels = f"level{'s' if len(empty) > 1 else ''} {listed(empty)} of {name}"
            notes.append(f"No row used has {levels}: left out.")
    return table, notes


def _patient_labels(patient: pd.Series | None, keep: NDArray[np.bool_]) -> pd.Series:
    if patient is None:
        return pd.Series([str(row + 1) for row in np.flatnonzero(keep)], name="patient")
    return patient[keep].reset_index(drop=True)
