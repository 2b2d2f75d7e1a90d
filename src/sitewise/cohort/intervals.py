"""Reading two columns that say between which times an event happened."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.columns import Columns, correct, read_number, rows_where
from sitewise.problems import Problems, plural

Floats = NDArray[np.float64]


def read_interval(frame: pd.DataFrame, columns: Columns, problems: Problems) -> dict[str, Floats]:
    """Return ``time``, ``event``, ``lower`` and ``within`` (1 where the event lies in an interval), each (n,).

    The ends are read as in R's ``Surv(type = "interval2")``: equal for an exact time, upper missing or infinite for right
    censoring, lower missing or zero for left censoring. Where both are missing so is the time.
    """
    lower = read_number(frame, str(columns.lower), problems)
    upper = _read_upper(frame, columns.time, problems)
    nothing = np.isnan(lower) & np.isinf(upper)
    event = np.isfinite(upper)
    lower = np.where(np.isnan(lower), 0.0, lower)
    negative = lower < 0
    if negative.any():
        problems.add(
            f"column '{columns.lower}'",
            f"{plural(negative.sum(), 'lower end is', 'lower ends are')} negative",
            correct(negative),
            rows_where(negative),
        )
    reversed_ends = event & (lower > upper)
    if reversed_ends.any():
        problems.add(
            f"columns '{columns.lower}' and '{columns.time}'",
            f"{plural(reversed_ends.sum(), 'lower end is', 'lower ends are')} after the upper end",
            correct(reversed_ends),
            rows_where(reversed_ends),
        )
    time = np.where(nothing, np.nan, np.where(event, upper, lower))
    return {
        "time": time,
        "event": np.where(nothing, np.nan, event.astype(float)),
        "lower": lower,
        "within": (event & (lower < upper)).astype(float),
    }


def _read_upper(frame: pd.DataFrame, column: str, problems: Problems) -> Floats:
    """Return the upper ends, infinite where there is none."""
    values = frame[column]
    infinite = values.isin([np.inf, "Inf", "inf", "+Inf", "Infinity"]).to_numpy()
    read = read_number(frame.assign(**{column: values.mask(infinite)}), column, problems)
    return np.where(np.isnan(read), np.inf, read)
