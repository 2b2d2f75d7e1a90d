"""The verdict on a calibration: which published numbers the process misses, what is prior-driven, whether it converged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sitewise.problems import plural
from sitewise.report.calibration_results import CalibrationResults
from sitewise.report.calibration_words import shown_names
from sitewise.report.page_parts import number, percent
from sitewise.simulate.calibration.derived import EVENTS

CLOSE, FAR = 1.5, 3.0
"""Sampling sds of one cohort within which a number counts as reproduced, and beyond which the process is not the paper's."""
USUAL, RARE = 0.95, 0.99
"""Shares of the process's own cohorts nearer than the paper, above which its joint distance is odd, or too large."""
LEAST_MET = 0.05
"""Share of cohorts that must meet a printed condition."""
FEW_DRAWS = 100
WIDE = 0.25
"""Share of all patients that the interval of deaths may span before a paper is called sparse."""


@dataclass(frozen=True)
class CalibrationVerdict:
    """What to think of a calibration.

    Parameters
    ----------
    level : str
        ``ok``, ``warn`` or ``fail``.
    sentence : str
        In one sentence or three.
    beyond, unmet : tuple of str
        Fitted targets and contrasts beyond 1.5 sd, conditions that hardly any cohort meets.
    prior_driven : tuple of str
        Parameters that the paper hardly informs; what concerns sites is not among them, it is never identified.
    sparse : bool
        Whether the paper says so little that the answers are wide.
    """

    level: str
    sentence: str
    beyond: tuple[str, ...]
    unmet: tuple[str, ...]
    prior_driven: tuple[str, ...]
    sparse: bool


def calibration_verdict(results: CalibrationResults, /) -> CalibrationVerdict:
    """Return the verdict on a calibration, from its tables."""
    fitted, contrasts = results.fitted, results.contrasts
    far = _beyond(fitted, "target", CLOSE) + _beyond(contrasts, "contrast", CLOSE, "contrast ")
    conditions = results.targets[
        results.targets["kind"].isin(["beyond_last", "upper_beyond_last"]) & (results.targets["status"] == "fit")
    ]
    unmet = tuple(str(row.target) for row in conditions.itertuples() if float(str(row.reproduced)) < LEAST_MET)
    table = results.parameters[(results.parameters["of"] == "process") & results.parameters["identified"].astype(bool)]
    driven = tuple(table.loc[table["prior_driven"].astype(bool), "parameter"])
    moments, effective = results.calibration.moments, results.calibration.posterior.effective
    sparse = is_sparse(results)
    share = results.distance_percentile
    failing = bool(_beyond(fitted, "target", FAR)) or share > RARE
    doubtful = bool(far or unmet) or share > USUAL or effective < FEW_DRAWS
    sentence = (
        f"{_within(fitted)} within {CLOSE:g} sd of one cohort"
        + (f" (beyond: {shown_names(far)})" if far else "")
        + (f"; hardly any cohort meets {shown_names(unmet)}" if unmet else "")
        + f". Jointly {percent(1 - share)} % of its own cohorts lie further from its mean than the paper."
        + f" {_driven(driven, len(table))}"
        + (" The paper says little: its deaths are not known to within a quarter of its patients." if sparse else "")
        + (" Moments converged." if moments.converged else " Moments did not converge to the last digit: see the largest z.")
        + (
            f" The posterior stands on {effective:.0f} effective draws: a larger pool is advised."
            if effective < FEW_DRAWS
            else ""
        )
    )
    level = "fail" if failing else "warn" if doubtful else "ok"
    return CalibrationVerdict(level, sentence, far, unmet, driven, sparse)


def is_sparse(results: CalibrationResults, /) -> bool:
    """Return whether the number of deaths is uncertain by more than a quarter of all patients."""
    row = results.parameter(EVENTS)
    if row is None:
        return True
    low, high = (min(max(float(row[key]), 0.0), results.patients) for key in ("lower", "upper"))
    return bool(high - low > WIDE * results.patients)


def _beyond(table: pd.DataFrame, name: str, limit: float, prefix: str = "") -> tuple[str, ...]:
    away = table["z"].to_numpy(dtype=float)
    order = np.argsort(-np.abs(away))
    return tuple(
        f"{prefix}{table.iloc[place][name]} (z {number(float(away[place]), 1)})" for place in order if abs(away[place]) > limit
    )


def _within(fitted: pd.DataFrame) -> str:
    count = int((fitted["z"].abs() <= CLOSE).sum())
    return f"The process reproduces {count} of {plural(len(fitted), 'fitted number', 'fitted numbers')}"


def _driven(driven: tuple[str, ...], count: int) -> str:
    if not driven:
        return "No parameter is prior-driven."
    return f"{len(driven)} of {plural(count, 'parameter', 'parameters')} prior-driven: {shown_names(driven)}."
