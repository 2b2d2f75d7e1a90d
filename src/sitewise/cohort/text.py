"""A table as CSV text: what `DataFrame.to_csv` writes, several times as fast for a million rows, since identity rests on it."""

from __future__ import annotations

import csv
import io

import pandas as pd

SPECIAL = ',"\r\n'
"""What makes a cell need quotes."""


def csv_text(frame: pd.DataFrame, /) -> str:
    """Return the text of ``frame.to_csv(index=False, float_format="%.12g")``."""
    columns = [_text(frame[name]) for name in frame.columns]
    head = ",".join(_quoted(str(name)) for name in frame.columns)
    return "\n".join([head, *map(",".join, zip(*columns, strict=True))]) + "\n"


def _text(values: pd.Series) -> list[str]:
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_integer_dtype(values.dtype):
        return list(map(str, values.tolist()))
    if pd.api.types.is_float_dtype(values.dtype):
        return ["" if value != value else f"{value:.12g}" for value in values.tolist()]
    codes, distinct = pd.factorize(values)  # code -1, missing, is the last: an empty cell
    text = [*map(str, distinct.tolist()), ""]
    together = "".join(text)
    if any(sign in together for sign in SPECIAL):
        text = [*map(_quoted, text[:-1]), ""]
    return [text[code] for code in codes.tolist()]


def _quoted(value: str) -> str:
    """Return a cell with quotes where CSV needs them."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([value, ""])
    return buffer.getvalue()[:-1]
