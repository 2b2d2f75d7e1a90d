"""Reading single columns: numbers, events and levels, each with the problems found in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.levels import label, labels, natural_order
from sitewise.problems import Problems, listed, nearest


@dataclass(frozen=True)
class Recode:
    """A new covariate made from a column by naming which values belong to which level.

    Parameters
    ----------
    column : str
        The column read.
    levels : mapping of str to sequence
        For each new level the values of ``column`` that belong to it, in the order in which levels are shown.
    """

    column: str
    levels: Mapping[str, Sequence[object]]


def rows_where(mask: NDArray[np.bool_]) -> list[int]:
    """Return the row numbers, from 1, at which ``mask`` is true."""
    return [int(row) + 1 for row in np.flatnonzero(mask)]


def read_number(frame: pd.DataFrame, column: str, problems: Problems) -> NDArray[np.float64]:
    """Return a column as floats; text that is no number and infinities are problems and come back as missing."""
    values = frame[column]
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    unreadable = np.isnan(numbers) & values.notna().to_numpy()
    if unreadable.any():
        problems.add(
            f"column '{column}'",
            f"{unreadable.sum()} value(s) are not numbers: {listed(values[unreadable].unique(), 3)}",
            "Write numbers only, with a point as the decimal mark.",
            rows_where(unreadable),
        )
    infinite = np.isinf(numbers)
    if infinite.any():
        problems.add(
            f"column '{column}'",
            f"{infinite.sum()} value(s) are infinite",
            "Correct these rows.",
            rows_where(infinite),
        )
    return np.where(infinite, np.nan, numbers)


def read_event(frame: pd.DataFrame, column: str, event_level: object | None, problems: Problems) -> NDArray[np.float64]:
    """Return 1 for the event, 0 for censored, missing where the column is missing.

    Booleans are read as they are. Otherwise ``event_level`` (default 1) names the value that is the event and exactly
    one other value may stand for "censored".
    """
    values = frame[column]
    missing = values.isna().to_numpy()
    if values.dropna().map(lambda value: isinstance(value, bool | np.bool_)).all() and event_level in (
        None,
        1,
        True,
    ):
        return np.where(missing, np.nan, values.fillna(False).astype(bool).to_numpy(dtype=float))
    text = labels(values)
    distinct = natural_order(text.dropna())
    wanted = label(1 if event_level is None else event_level)
    if event_level is None and not set(distinct) <= {"0", "1"}:
        problems.add(
            f"column '{column}'",
            f"values {listed(distinct)} do not say which one is the event",
            f"Set event_level, for example event_level={distinct[-1]!r}.",
        )
    elif wanted not in distinct and event_level is not None:
        problems.add(
            f"column '{column}'",
            f"no row has the event level '{wanted}'; its values are {listed(distinct)}",
            "Set event_level to the value that marks the event.",
        )
    elif len(distinct) > 2:
        problems.add(
            f"column '{column}'",
            f"has {len(distinct)} values ({listed(distinct)}); an event column has two",
            "Recode it to event and censored; competing events are not modelled.",
        )
    return np.where(missing, np.nan, (text == wanted).to_numpy(dtype=float))


def is_number_column(values: pd.Series) -> bool:
    """Return whether a column holds numbers (booleans are categories)."""
    return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)


def is_two_valued(values: pd.Series) -> bool:
    """Return whether a numeric column holds exactly two distinct whole numbers, such as 0/1 or 1/2."""
    distinct = values.dropna().unique()
    return len(distinct) == 2 and all(float(value).is_integer() for value in distinct)


def looks_like_numbers_with_typos(values: pd.Series) -> bool:
    """Return whether a text column holds mostly numbers of many values, so that the rest must be slips of the pen."""
    if is_number_column(values) or isinstance(values.dtype, pd.CategoricalDtype):
        return False
    present = values.dropna()
    readable = pd.to_numeric(present, errors="coerce").notna()
    return bool(present.nunique() > 10 and readable.mean() > 0.5)


def read_levels(
    name: str,
    values: pd.Series,
    levels: Sequence[object] | None,
    reference: object | None,
    problems: Problems,
) -> pd.Series:
    """Return a column as ordered-by-reference categories of labels.

    The reference level comes first, as treatment coding wants it; the others follow in natural order, in the order of
    a categorical column's own categories, or as given by ``levels``.
    """
    text = labels(values)
    present = natural_order(text.dropna())
    if levels is not None:
        order = tuple(label(level) for level in levels)
        unlisted = [level for level in present if level not in order]
        if unlisted:
            rows = rows_where(text.isin(unlisted).to_numpy())
            problems.add(
                f"column '{name}'",
                f"values {listed(unlisted)} are not among the levels {listed(order)}",
                "Add the level or correct these rows.",
                rows,
            )
    elif isinstance(values.dtype, pd.CategoricalDtype):
        order = tuple(label(level) for level in values.cat.categories if label(level) in present)
    else:
        order = present
    if reference is not None:
        first = label(reference)
        if first in order:
            order = (first, *(level for level in order if level != first))
        else:
            problems.add(
                f"column '{name}'",
                f"the reference level '{first}' does not occur; levels are {listed(order)}",
                nearest(first, order),
            )
    return pd.Series(pd.Categorical(text, categories=list(order)), index=values.index, name=name)


def apply_recode(frame: pd.DataFrame, name: str, recode: Recode, problems: Problems) -> pd.Series | None:
    """Return the recoded column, or None when the column it reads does not exist."""
    if recode.column not in frame.columns:
        problems.add(
            f"recode of '{name}'",
            f"column '{recode.column}' does not exist",
            nearest(recode.column, map(str, frame.columns)),
        )
        return None
    mapping: dict[str, str] = {}
    for level, members in recode.levels.items():
        for member in members:
            if label(member) in mapping:
                problems.add(
                    f"recode of '{name}'",
                    f"value '{label(member)}' belongs to both '{mapping[label(member)]}' and '{label(level)}'",
                    "List each value once.",
                )
            mapping[label(member)] = label(level)
    text = labels(frame[recode.column])
    unlisted = text.notna() & ~text.isin(mapping)
    if unlisted.any():
        problems.add(
            f"recode of '{name}'",
            f"values {listed(natural_order(text[unlisted]))} of column '{recode.column}' belong to no level",
            "Add them to a level.",
            rows_where(unlisted.to_numpy()),
        )
    order = [label(level) for level in recode.levels]
    return pd.Series(pd.Categorical(text.map(mapping), categories=order), index=frame.index, name=name)
