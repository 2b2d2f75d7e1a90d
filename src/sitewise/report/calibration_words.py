"""Targets in words: under which heading they stand, by which name, what is printed and what the process gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sitewise.report.calibration_results import CalibrationResults
from sitewise.report.page_parts import number
from sitewise.simulate.calibration.targets import Target, label_of

ALONE, ADJUSTED = "one at a time", "adjusted for each other"
RATIOS, WIDTHS = "Hazard ratios", "Standard errors of log hazard ratios"
HEADINGS: Mapping[str, str] = {
    "survival": "Survival",
    "survival_lower": "Survival",
    "survival_upper": "Survival",
    "log_width": "Survival",
    "beyond_last": "Survival",
    "upper_beyond_last": "Survival",
    "follow_up_share": "Follow-up",
    "log_shortest": "Follow-up",
    "log_longest": "Follow-up",
    "events": "Counts",
    "at_risk": "Counts",
    "joint": "Counts",
}
CONTRASTS = "Contrasts: log hazard ratio alone minus adjusted"
METHODS: Mapping[str, str] = {
    "abc": "approximate Bayesian computation with summaries learned by regression",
    "curved": "summaries learned by regression are normal around a quadratic function of the parameters, with a covariance "
    "that changes with them",
    "linear": "their numbers are normal around a linear function of the parameters, with one covariance",
}
"""How the posterior came about, by the method that answered."""
LOGARITHMS = ("log_hazard_ratio", "log_standard_error", "log_shortest", "log_longest", "log_width")


def heading(results: CalibrationResults, target: Target | None, kind: str) -> str:
    """Return the heading under which a target stands; a kind without one of its own is its own heading."""
    if kind in ("log_hazard_ratio", "log_standard_error"):
        evidence = results.calibration.problem.evidence
        adjusted = target is not None and target.model is not None and evidence.model[target.model].adjusted
        return f"{RATIOS if kind == 'log_hazard_ratio' else WIDTHS}, {ADJUSTED if adjusted else ALONE}"
    return HEADINGS.get(kind, kind.replace("_", " ").capitalize())


def label(results: CalibrationResults, target: Target | None, name: str) -> str:
    """Return a target's name under its heading."""
    if target is not None and target.model is not None and target.term is not None:
        return label_of(results.calibration.problem.evidence.model[target.model].term[target.term])
    return name


def by_heading(results: CalibrationResults) -> dict[str, list[tuple[str, Any]]]:
    """Return all targets with a name and their row of the table, by heading; names that come twice say their model."""
    targets = {item.id: item for item in results.calibration.problem.targets}
    found: dict[str, list[tuple[str, Any]]] = {}
    for row in results.targets.itertuples():
        target = targets.get(str(row.target))
        where = heading(results, target, str(row.kind))
        found.setdefault(where, []).append((label(results, target, str(row.target)), row))
    for rows in found.values():
        names = [name for name, _ in rows]
        rows[:] = [(name if names.count(name) == 1 else str(row.target).split(", log ")[0], row) for name, row in rows]
    return found


def value(kind: str, published: float) -> str:
    """Return a statistic on the scale on which papers print it."""
    shown = math.exp(published) if kind in LOGARITHMS else published
    if kind in ("events", "at_risk", "joint"):
        return number(shown, 1)
    if kind == "log_standard_error":
        return number(shown, 3)
    return number(shown, 1 if kind in ("log_shortest", "log_longest") else 2)


def statistic(target: Target | None, kind: str) -> str:
    """Return what is compared where it is not the printed number itself: survival at a printed median."""
    if target is None or target.time is None:
        return ""
    if kind == "survival":
        return f"S({target.time:g}) = "
    return f"share beyond {target.time:g} = " if kind == "follow_up_share" else ""


def reproduced(results: CalibrationResults, row: Any) -> str:
    """Return what the process gives in the mean, on the scale on which papers print it."""
    target = next((item for item in results.calibration.problem.targets if item.id == row.target), None)
    if row.kind in ("beyond_last", "upper_beyond_last"):
        return f"so in {100 * row.reproduced:.0f} % of cohorts"
    return f"{statistic(target, str(row.kind))}{value(str(row.kind), row.reproduced)}"


def shown_names(items: Sequence[str], most: int = 3) -> str:
    """Return a few names, and how many more."""
    more = len(items) - most
    return "; ".join(items[:most]) + (f"; and {more} more" if more > 0 else "")
