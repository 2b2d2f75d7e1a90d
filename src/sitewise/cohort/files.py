"""Reading patient tables from files, with messages for what is wrong with the file as a whole."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from sitewise.cohort.checks import check_header
from sitewise.cohort.columns import Columns
from sitewise.problems import CohortError, Problems

MISSING_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "<NA>")
"""Cells of a CSV file that are missing values. None is not among them: it is a level, as in ascites: None, Mild, Severe."""


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a patient table from a CSV or Parquet file, by its ending.

    Raises
    ------
    CohortError
        When the file is absent, empty, unreadable, or of another kind, and when a column name repeats.
    """
    path = Path(path)
    if not path.is_file():
        raise CohortError(f"There is no file {path}.")
    kind = path.suffix.lower()
    if kind not in {".csv", ".parquet"}:
        raise CohortError(f"{path.name}: give the patients as .csv or .parquet, not '{kind}'.")
    try:
        frame = _read_csv(path) if kind == ".csv" else pd.read_parquet(path)
    except CohortError:
        raise
    except UnicodeDecodeError as error:
        raise CohortError(f"{path.name} is not UTF-8 text. Save it as CSV in UTF-8.") from error
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        OSError,
        ValueError,
    ) as error:
        raise CohortError(f"{path.name} cannot be read as {kind[1:].upper()}: {error}") from error
    # Here, since who reads levels from a column needs it to be one column.
    check_header(frame, Columns("", ""), None, {}, {}, {}, Problems())
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    """Return a CSV file's table with its column names as they stand; pandas would number repeated ones."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = (row for row in csv.reader(stream) if row)
        header = next(rows, [])
        first = next(rows, header)
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise CohortError(f"{path.name} has one column, '{header[0]}': separate the columns by commas.")
    if len(first) > len(header):
        raise CohortError(f"{path.name}: the rows have more values than the header has names. Name every column.")
    frame = pd.read_csv(path, keep_default_na=False, na_values=list(MISSING_WORDS))
    repeated = {name for name in header if name and header.count(name) > 1}
    if repeated and len(header) == frame.shape[1]:
        names = zip(header, frame.columns, strict=True)
        frame.columns = pd.Index([name if name in repeated else read for name, read in names])
    return frame
