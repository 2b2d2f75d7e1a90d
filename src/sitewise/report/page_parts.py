"""What a page is made of: sections with sentences, tables and pictures; and how numbers are written for readers."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Table:
    """A table of text; the first column names the row.

    Parameters
    ----------
    head : sequence of str
        Column names.
    rows : sequence of sequence of str
        Cells.
    note : str
        A sentence below it.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture inside the page.

    Parameters
    ----------
    source : str
        Data address that holds the file.
    alt : str
        What is to be seen, for those who do not see it.
    """

    source: str
    alt: str


@dataclass(frozen=True)
class Section:
    """A part of the page below the first screen.

    Parameters
    ----------
    id, title : str
        Anchor and heading.
    sentences : sequence of str
        A paragraph each.
    tables, pictures : sequence
        What follows them.
    """

    id: str
    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = field(default_factory=tuple)
    pictures: Sequence[Picture] = field(default_factory=tuple)


def rows_of(table: pd.DataFrame) -> Iterator[Any]:
    """Return the rows of a table with its columns as attributes; what a cell holds is the table's contract, not a type's."""
    return table.itertuples()


def embedded(path: Path, alt: str) -> Picture:
    """Return a picture file as part of the page; inside an image element an SVG can neither load nor run anything."""
    kind = {".svg": "image/svg+xml", ".png": "image/png"}[path.suffix]
    return Picture(f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}", alt)


def pictures_of(files: Mapping[str, Path], **wanted: str) -> list[Picture]:
    """Return those of the wanted pictures (name and what is to be seen) that were drawn."""
    return [embedded(files[name], alt) for name, alt in wanted.items() if name in files]


def number(value: float, digits: int = 2) -> str:
    """Return a number with this many decimals, and a dash when it does not exist."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def decimals(largest: float) -> int:
    """Return the decimals of numbers up to this size: two, and more for small ones, whose second digit should show."""
    return 2 if not 0 < largest < 0.1 else 1 - math.floor(math.log10(largest))


def span(value: float, low: float, high: float, *, digits: int = 2) -> str:
    """Return a number with its interval."""
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)})"


def times_span(value: float, low: float, high: float, last: float, *, reached: bool = True) -> str:
    """Return a time with its interval, "not reached" for what lies beyond the last observed time."""
    middle, *ends = times_parts(value, low, high, last, reached=reached)
    return middle if middle == ends[0] == ends[1] else f"{middle} ({ends[0]} to {ends[1]})"


def times_parts(value: float, low: float, high: float, last: float, *, reached: bool = True) -> tuple[str, str, str]:
    """Return a time and the ends of its interval; see :func:`times_span`."""
    ends = [duration(end) if math.isfinite(end) and end <= last else NOT_REACHED for end in (low, high)]
    return duration(value) if reached and math.isfinite(value) else NOT_REACHED, ends[0], ends[1]


def duration(value: float) -> str:
    """Return a time to about three digits."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def percent(value: float) -> str:
    """Return a share as a whole percentage; what is neither none nor all is not rounded to it."""
    if not math.isfinite(value):
        return "–"
    rounded = f"{100 * value:.0f}"
    if rounded == "0" and value > 0:
        return "<1"
    return ">99" if rounded == "100" and value < 1 else rounded


def percent_span(value: float, low: float, high: float) -> str:
    """Return a share with its interval, in percent; a dash when it does not exist."""
    if not math.isfinite(value):
        return "–"
    return f"{percent(value)} % ({percent(low)} to {percent(high)})"


def probability(value: float) -> str:
    """Return a probability; one that no draw contradicts is not certain."""
    return ">0.99" if value > 0.99 else "<0.01" if value < 0.01 else f"{value:.2f}"


def enumerated(items: Sequence[str]) -> str:
    """Return items as a phrase: one, two and three."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
