"""Whether a table says of itself that its patients were simulated: a column `synthetic` that is true in every row."""

from __future__ import annotations

from collections.abc import Container

import pandas as pd

SYNTHETIC = "synthetic"
"""The column that simulated tables carry."""
TRUE = ("true", "1", "1.0", "yes")


def is_synthetic(frame: pd.DataFrame, used: Container[str], /) -> tuple[bool, list[str]]:
    """Return whether all patients are synthetic, and a warning when only some are.

    A column of that name that the analysis itself uses (``used``) is a covariate and says nothing about the patients.
    """
    if SYNTHETIC not in frame.columns or SYNTHETIC in used:
        return False, []
    simulated = frame[SYNTHETIC].astype(str).str.lower().isin(TRUE)
    if simulated.all() or not simulated.any():
        return bool(simulated.all()), []
    return False, [
        f"{int(simulated.sum())} of {len(frame)} rows say that they are synthetic (column '{SYNTHETIC}'): real and simulated "
        "patients are mixed."
    ]
