"""Checks of a patient table: header, options, missing values, times, patient labels, variation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.columns import Columns, Recode, correct, rows_where
from sitewise.cohort.levels import label, natural_order
from sitewise.problems import CohortError, Problems, listed, nearest, plural

if TYPE_CHECKING:
    from sitewise.cohort.table import Cohort

Floats = NDArray[np.float64]
RowNumbers = Callable[[NDArray[np.bool_]], list[int]]


def check_header(
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
        many = len(repeated) > 1
        problems.add(
            "",
            f"column{'s' if many else ''} {listed(repeated)} occur{'' if many else 's'} more than once",
            "Give each column a name of its own.",
        )
        problems.raise_if_any(CohortError, "The cohort")
    for role, name in columns.named.items():
        if name not in known:
            problems.add(f"column '{name}'", f"does not exist; it was named as {role}", nearest(name, known))
    used = list(columns.named.values())
    for name in natural_order(name for name in used if used.count(name) > 1):
        *roles, last = [role for role, value in columns.named.items() if value == name]
        problems.add(f"column '{name}'", f"is used as {', '.join(roles)} and {last}", "Name a column for each.")
    for name in covariates or ():
        if name not in known and name not in recode:
            problems.add(f"column '{name}'", "does not exist; it was named as covariate", nearest(name, [*known, *recode]))
        elif name in (columns.time, columns.event, columns.lower) and name not in recode:
            role = next(role for role, value in columns.named.items() if value == name)
            problems.add(f"column '{name}'", f"is the {role} and cannot be a covariate too", "Remove it from the model.")
    available = {*known, *recode}
    for option, mapping in (("levels", levels), ("reference", reference)):
        for name in mapping:
            if name not in available:
                problems.add(f"{option} of '{name}'", "there is no such column", nearest(name, available))


def check_options(missing: object, zero_times: object, problems: Problems) -> None:
    """Add a problem for each option that is none of its choices."""
    if missing not in ("refuse", "drop", "keep"):
        problems.add("missing", f"is {missing!r}", "It must be 'refuse', 'drop' or 'keep'.")
    if zero_times != "refuse" and not _is_positive(zero_times):
        problems.add("zero_times", f"is {zero_times!r}", "It must be 'refuse' or a small positive time.")


def _is_positive(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def find_missing(
    frame: pd.DataFrame,
    columns: Columns,
    read: Mapping[str, Floats],
    site: pd.Series | None,
    patient: pd.Series | None,
    recode: Mapping[str, Recode],
    covariates: Sequence[str],
) -> dict[str, NDArray[np.bool_]]:
    """Return, for each used column of the table with missing values, which rows lack it."""
    times = ("time", "lower") if columns.lower is not None else ()  # where missing says something: see `read_interval`
    used = [name for field in read if field not in times and (name := getattr(columns, field, None))]
    used += [columns.site] if site is not None and columns.site else []
    used += [columns.id] if patient is not None and columns.id else []
    used += [recode[name].column if name in recode else name for name in covariates]
    lacking = {name: frame[name].isna().to_numpy() for name in dict.fromkeys(used) if name in frame.columns}
    if times and "time" in read:
        lacking[columns.time] = np.isnan(read["time"])
    return {name: rows for name, rows in lacking.items() if rows.any()}


def check_times(
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
            problems.add(
                where,
                f"{plural(negative.sum(), 'time is', 'times are')} negative",
                correct(negative),
                rows_where(negative),
            )
        zero = keep & (time == 0)
        if zero.any() and zero_times == "refuse":
            problems.add(
                where,
                f"{plural(zero.sum(), 'time is', 'times are')} zero; survival times must be positive",
                f"{correct(zero)[:-1]}, or set zero_times to a small positive time, such as half the unit in which times "
                "were recorded.",
                rows_where(zero),
            )
        elif zero.any() and _is_positive(zero_times):
            read["time"] = np.where(zero, zero_times, time)
            changed = plural(zero.sum(), "time of zero was", "times of zero were")
            notes.append(f"{changed} set to {zero_times:g}, as zero_times asked.")
    if "entry" in read and "time" in read:
        entry = read["entry"]
        where = f"column '{columns.entry}'"
        negative = keep & (entry < 0)
        if negative.any():
            problems.add(
                where,
                f"{plural(negative.sum(), 'entry time is', 'entry times are')} negative",
                correct(negative),
                rows_where(negative),
            )
        if "lower" in read:
            early = keep & (read["lower"] > 0) & (read["lower"] < np.minimum(entry, read["time"]))
            if early.any():
                problems.add(
                    f"column '{columns.lower}'",
                    f"{plural(early.sum(), 'lower end is', 'lower ends are')} before the entry time",
                    "Patients enter without the event, so nothing before entry is observed. " + correct(early),
                    rows_where(early),
                )
            # Left-censored patients who entered late had their event after that.
            read["lower"] = np.where(read["lower"] == 0, np.minimum(entry, read["time"]), read["lower"])
        late = keep & (entry >= read["time"])
        if late.any():
            problems.add(
                where,
                f"{plural(late.sum(), 'entry time is', 'entry times are')} at or after the end of follow-up",
                f"Patients must enter before the end of their follow-up. {correct(late)}",
                rows_where(late),
            )
    if "weights" in read:
        bad = keep & (read["weights"] <= 0)
        if bad.any():
            problems.add(
                f"column '{columns.weights}'",
                f"{plural(bad.sum(), 'weight is', 'weights are')} zero or negative",
                "Weights must be positive; remove patients who should not count.",
                rows_where(bad),
            )
    return notes


def check_ids(name: str, patient: pd.Series, keep: NDArray[np.bool_], problems: Problems) -> None:
    """Add a problem when a patient label occurs in more than one row."""
    repeated = patient.duplicated(keep=False).to_numpy() & patient.notna().to_numpy() & keep
    if repeated.any():
        problems.add(
            f"column '{name}'",
            plural(patient[repeated].nunique(), "patient label occurs", "patient labels occur")
            + f" more than once: {listed(patient[repeated].unique(), 3)}",
            "Each row must be one patient; merge or relabel these rows.",
            rows_where(repeated),
        )


def covariate_problems(name: str, values: pd.Series, problems: Problems, rows: RowNumbers) -> None:
    """Add the problems of one covariate that a model uses: missing values, or no variation.

    ``rows`` turns a mask into the row numbers of the table that was read.
    """
    missing = values.isna().to_numpy()
    if missing.any():
        problems.add(
            f"column '{name}'",
            f"{plural(missing.sum(), 'value is', 'values are')} missing",
            f"Complete {'it' if missing.sum() == 1 else 'them'}, or read the cohort with covariates=[..., '{name}'] and "
            "missing='drop'. Or impute: docs/missing.md.",
            rows(missing),
        )
    check_varies(name, values, problems)


def require(covariates: pd.DataFrame, names: Sequence[str], rows: RowNumbers) -> None:
    """Check that covariates exist, vary and are complete; see :meth:`Cohort.require`."""
    problems = Problems()
    for name in names:
        if name in covariates.columns:
            covariate_problems(name, covariates[name], problems, rows)
        else:
            problems.add(f"column '{name}'", "does not exist", nearest(name, covariates.columns))
    problems.raise_if_any(CohortError, "The cohort")


def require_exact_times(cohort: Cohort, what: str) -> None:
    """Refuse, for ``what`` cannot take them, events that lie in an interval.

    Raises
    ------
    CohortError
        Naming the rows.
    """
    rows = cohort.table_rows(cohort.interval)
    problems = Problems()
    if rows:
        problems.add(
            f"columns '{cohort.columns.lower}' and '{cohort.columns.time}'",
            f"{plural(len(rows), 'event lies', 'events lie')} in an interval, which {what} cannot take",
            "Fit a model, which can (sw.fit, sitewise fit); one time for each event instead would bias the answer.",
            rows,
        )
    problems.raise_if_any(CohortError, "The cohort")


def check_varies(name: str, values: pd.Series, problems: Problems) -> None:
    """Add a problem when a covariate has one value only."""
    distinct = values.dropna().unique()
    if len(distinct) == 1:
        problems.add(
            f"column '{name}'",
            f"is constant ('{label(distinct[0])}' in every row used), so its effect cannot be estimated",
            "Remove it from the model.",
        )
