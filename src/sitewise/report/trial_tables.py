"""Tables of an assessed design, as they are written to files."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sitewise.report.trial_drift import DriftSweep
from sitewise.report.trial_values import nominal
from sitewise.report.trial_words import threshold_words
from sitewise.trial.assessment import Assessment
from sitewise.trial.operating.size import Solution

FORECAST = {"forecast_counts": "counts", "forecast_milestones": "milestones", "forecast_sites": "site_totals"}
"""Tables of the forecast by the names of their files."""


def tables_of(
    found: Assessment, /, *, sweep: DriftSweep | None = None, solution: Solution | None = None
) -> dict[str, pd.DataFrame]:
    """Return the tables that there are, by the names of their files without ``.csv``."""
    tables = {
        "operating_characteristics": found.characteristics,
        "type_one_error": type_one_error(found),
        "thresholds": thresholds(found),
        "example_trials": found.traces,
        "size_curve": found.curve,
        **{name: getattr(found.forecast, attribute) for name, attribute in FORECAST.items()},
        "agreement": found.agreement,
        "drift_sweep": sweep.table if sweep is not None else pd.DataFrame(),
        "solution": solution.tried if solution is not None else pd.DataFrame(),
    }
    always = ("operating_characteristics", "type_one_error", "thresholds", "example_trials")
    return {name: table for name, table in tables.items() if name in always or len(table)}


def type_one_error(found: Assessment, /) -> pd.DataFrame:
    """Return type I errors with the nominal one, and the share of successes where trials obey the futility rules too."""
    table = found.thresholds.errors.copy()
    success = found.characteristics[found.characteristics["quantity"] == "success"].set_index("scenario")
    own = table["set"] != "validation"
    table["nominal"] = nominal(found)
    for column, name in {"with_futility": "value", "with_futility_mcse": "mcse"}.items():
        table[column] = np.where(own, success[name].reindex(table["scenario"]).to_numpy(), np.nan)
    return table


def thresholds(found: Assessment, /) -> pd.DataFrame:
    """Return the threshold of each criterion at each look where it counts, with the limits of calibrated ones."""
    design, calibrated = found.design, found.thresholds.found
    rows = []
    for place, item in enumerate(design.criterion):
        limits = calibrated is not None and design.calibration is not None and item.name in design.calibration.names
        for number, look in enumerate(design.look):
            value = found.thresholds.values[number, place]
            if np.isnan(value):
                continue
            rows.append(
                {
                    "criterion": item.name,
                    "role": item.role,
                    "look": look.name,
                    "statement": item.sentence,
                    "threshold": float(value),
                    "lower": float(calibrated.threshold_low[number]) if limits and calibrated is not None else np.nan,
                    "upper": float(calibrated.threshold_high[number]) if limits and calibrated is not None else np.nan,
                    "origin": threshold_words(found, item),
                }
            )
    return pd.DataFrame(rows)
