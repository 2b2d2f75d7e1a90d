"""Labels and their natural order: "2" before "10", "<65" before "65-74" before ">=75"."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

_BOUND = {"<": -1, "<=": -1, "≤": -1, "": 0, ">": 1, ">=": 1, "≥": 1}
_LEADING_BOUND = re.compile(r"^\s*(<=|>=|<|>|≤|≥|)\s*([+-]?\d+(?:\.\d+)?)")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")


def label(value: object) -> str:
    """Return the text of a label, the same for 1, 1.0, numpy integers, "1" and " 1 "."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value).strip()


def labels(values: pd.Series) -> pd.Series:
    """Return ``values`` as labels, missing values staying missing."""
    # Where equal values have equal labels, each distinct one is read once: a million rows have a handful of them. Objects of
    # several types do not: 1 == True.
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) != "string":
        return values.map(label, na_action="ignore").astype("object")
    codes, distinct = pd.factorize(values)
    text = np.array([*map(label, distinct), np.nan], dtype=object)  # code -1, missing, is the last
    return pd.Series(text[codes], index=values.index, name=values.name, dtype="object")


def natural_key(text: str) -> tuple[object, ...]:
    """Return the sort key of a label in natural order; numbers come before words."""
    bound = _LEADING_BOUND.match(text)
    # As in the expression a digit is what float reads: "³" is none, though it is one to str.isdigit.
    rest = tuple(
        (0, float(part), "") if part[0].isdecimal() else (1, 0.0, part.casefold()) for part in _NUMBER.split(text) if part
    )
    if bound:
        return (0, float(bound.group(2)), _BOUND[bound.group(1)], rest)
    return (1, 0.0, 0, rest)


def natural_order(values: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels in natural order."""
    return tuple(sorted(set(values), key=natural_key))
