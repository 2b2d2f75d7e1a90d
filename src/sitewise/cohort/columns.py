"""Reading single columns: numbers, events and levels, each with the problems found in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.levels import label, labels, natural_order
from sitewise.problems import CohortError, Problems, listed, nearest, plural


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


@dataclass(frozen=True)
class Columns:
    """The names under which the table's special columns are known (in a formula, and in messages).

    With interval censoring ``time`` is the column of the upper ends, ``lower`` that of the lower ones, and ``event`` is empty.
    """

    time: str
    event: str
    site: str | None = None
    entry: str | None = None
    weights: str | None = None
    id: str | None = None
    lower: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """Names by role, as the user gave them."""
        roles = {"time": "upper"} if self.lower is not None else {}
        return {roles.get(role, role): name for role, name in vars(self).items() if name}


def named_columns(time: str | None, event: str | None, lower: str | None, upper: str | None, **others: str | None) -> Columns:
    """Return the columns of a table with time and event, or with lower and upper ends.

    Raises
    ------
    CohortError
        When neither pair, or both, are named.
    """
    if time is not None and event is not None and lower is None and upper is None:
        return Columns(time, event, **others)
    if lower is not None and upper is not None and time is None and event is None:
        return Columns(upper, "", lower=lower, **others)
    problems = Problems()
    given = {"time": time, "event": event, "lower": lower, "upper": upper}
    named = [f"{role} = '{name}'" for role, name in given.items() if name is not None]
    problems.add(
        "columns",
        f"named are {', '.join(named)}" if named else "no times are named",
        "Name time and event, or lower and upper for times that are known to lie in an interval.",
    )
    problems.raise_if_any(CohortError, "The cohort")
    raise AssertionError("unreachable")


def rows_where(mask: NDArray[np.bool_]) -> list[int]:
    """Return the row numbers, from 1, at which ``mask`` is true."""
    return [int(row) + 1 for row in np.flatnonzero(mask)]


def correct(mask: NDArray[np.bool_]) -> str:
    """Return the remedy for the rows at which ``mask`` is true."""
    return "Correct this row." if mask.sum() == 1 else "Correct these rows."


def read_number(frame: pd.DataFrame, column: str, problems: Problems) -> NDArray[np.float64]:
    """Return a column as floats; what is no number, and infinities, are problems and come back as missing."""
    values = frame[column]
    if not (is_number_column(values) or is_text_column(values)):
        problems.add(
            f"column '{column}'",
            f"holds {'dates' if is_date_column(values) else f'values of type {values.dtype}'}, not numbers",
            "Give numbers, such as the time since the start of follow-up.",
        )
        return np.full(len(frame), np.nan)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    unreadable = np.isnan(numbers) & values.notna().to_numpy()
    if unreadable.any():
        problems.add(
            f"column '{column}'",
            plural(unreadable.sum(), "value is not a number: ", "values are not numbers: ")
            + listed(values[unreadable].unique(), 3),
            "Write numbers only, with a point as the decimal mark.",
            rows_where(unreadable),
        )
    infinite = np.isinf(numbers)
    if infinite.any():
        problems.add(
            f"column '{column}'",
            f"{plural(infinite.sum(), 'value is', 'values are')} infinite",
            correct(infinite),
            rows_where(infinite),
        )
    return np.where(infinite, np.nan, numbers)


def _are_booleans(values: pd.Series) -> bool:
    """Return whether all values that are there are true or false."""
    known = values.dropna()
    if known.empty or pd.api.types.is_bool_dtype(known):
        return True
    return values.dtype == object and bool(known.map(lambda value: isinstance(value, bool | np.bool_)).all())


def read_event(
    frame: pd.DataFrame, column: str, event_level: object | None, problems: Problems, *, remedy: str = ""
) -> NDArray[np.float64]:
    """Return 1 for the event, 0 for censored, missing where the column is missing.

    Booleans are read as they are. Otherwise ``event_level`` (default 1) names the value that is the event and exactly
    one other value may stand for "censored". ``remedy`` says what to do where the event level is unknown or wrong and there is
    no ``event_level`` to set.
    """
    values = frame[column]
    missing = values.isna().to_numpy()
    if event_level in (None, 1, True) and _are_booleans(values):
        return np.where(missing, np.nan, values.fillna(False).astype(bool).to_numpy(dtype=float))
    text = labels(values)
    distinct = natural_order(text.dropna())
    wanted = label(1 if event_level is None else event_level)
    if len(distinct) > 2:
        problems.add(
            f"column '{column}'",
            f"has {len(distinct)} values ({listed(distinct, 3)}); an event column has two",
            "Recode it to event and censored; competing events are not modelled.",
        )
    elif event_level is None and not set(distinct) <= {"0", "1"}:
        problems.add(
            f"column '{column}'",
            f"holds {listed(distinct)}, which does not say which value is the event",
            remedy or f"Set {' or '.join(f'event_level = {value!r}' for value in distinct)}.",
        )
    elif wanted not in distinct and event_level is not None and distinct:
        problems.add(
            f"column '{column}'",
            f"no row has the event level '{wanted}'; the column holds {listed(distinct)}",
            remedy or "Set event_level to the value that marks the event.",
        )
    return np.where(missing, np.nan, (text == wanted).to_numpy(dtype=float))


def blank_to_missing(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a copy in which text that is empty, or blanks only, is missing."""
    made = {name: values.mask(values.map(_is_blank).astype(bool)) for name, values in frame.items() if _may_be_blank(values)}
    return frame.assign(**{str(name): values for name, values in made.items()}) if made else frame


def _may_be_blank(values: pd.Series) -> bool:
    return is_text_column(values) and not isinstance(values.dtype, pd.CategoricalDtype)


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def is_number_column(values: pd.Series) -> bool:
    """Return whether a column holds numbers (booleans are categories)."""
    kinds = pd.api.types
    no_number = kinds.is_bool_dtype(values.dtype) or kinds.is_complex_dtype(values.dtype)
    return kinds.is_numeric_dtype(values.dtype) and not no_number


def is_text_column(values: pd.Series) -> bool:
    """Return whether a column holds text, or a mixture of text and numbers, or categories of them."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return is_text_column(dtype.categories.to_series()) or is_number_column(dtype.categories.to_series())
    kinds = (pd.api.types.is_object_dtype, pd.api.types.is_string_dtype)
    return any(kind(dtype) for kind in kinds) and not is_date_column(values)


def is_date_column(values: pd.Series) -> bool:
    """Return whether a column holds dates, times of the day or differences of them."""
    kind = pd.api.types.infer_dtype(values, skipna=True)
    return kind in {"datetime", "datetime64", "date", "time", "timedelta", "timedelta64", "period", "interval"}


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
        order = tuple(dict.fromkeys(label(level) for level in levels))
        if len(order) < len(levels):
            problems.add(f"levels of '{name}'", "a level is listed twice", "List each level once.")
        unlisted = [level for level in present if level not in order]
        if unlisted:
            rows = text.isin(unlisted).to_numpy()
            problems.add(
                f"column '{name}'",
                f"{_values(unlisted)} not among the levels {listed(order)}",
                f"Add {'them' if len(unlisted) > 1 else 'it'} to the levels, or c{correct(rows)[1:]}",
                rows_where(rows),
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
                f"the reference level '{first}' does not occur; the levels are {listed(order)}",
                "Choose one of these.",
            )
    known = text.where(text.isin(order))
    return pd.Series(pd.Categorical(known, categories=list(order)), index=values.index, name=name)


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
        values, source = natural_order(text[unlisted]), f"column '{recode.column}'"
        many = len(values) > 1
        problems.add(
            f"recode of '{name}'",
            f"value{'s' if many else ''} {listed(values)} of {source} belong{'' if many else 's'} to no level",
            f"Add {'them' if many else 'it'} to a level, or c{correct(unlisted.to_numpy())[1:]}",
            rows_where(unlisted.to_numpy()),
        )
    order = [label(level) for level in recode.levels]
    return pd.Series(pd.Categorical(text.map(mapping), categories=order), index=frame.index, name=name)


def _values(labels: Sequence[str]) -> str:
    return f"value{'s' if len(labels) > 1 else ''} {listed(labels)} {'are' if len(labels) > 1 else 'is'}"
