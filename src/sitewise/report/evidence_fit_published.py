"""The paper's own numbers beside what the stack says of the same quantity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.evidence.entries import Survival
from sitewise.names import ALL_PATIENTS
from sitewise.studies.evidence_fit import EvidenceFit

COLUMNS = (
    "quantity of entry adjusted horizon published published_lower published_upper not_reached mean median lower upper inside"
)


def published(fit: EvidenceFit, coefficients: pd.DataFrame, estimands: pd.DataFrame, /) -> pd.DataFrame:
    """Return hazard ratios, medians and milestone survival of the paper beside the stack's.

    Returns
    -------
    DataFrame
        ``quantity`` (``hazard_ratio``, ``median_survival``, ``survival``), ``of`` (term or group), ``entry`` (its id in the
        evidence), ``adjusted, horizon, published, published_lower, published_upper, not_reached`` (the paper says so),
        ``mean, median, lower, upper`` of the stack (first site treatment), ``inside``: whether the stack's interval holds the
        published number. Only what the model and its groups are about.
    """
    rows = [*_ratios(fit, coefficients), *_times(fit, estimands)]
    return pd.DataFrame(rows, columns=COLUMNS.split())


def _ratios(fit: EvidenceFit, coefficients: pd.DataFrame) -> Iterator[dict[str, Any]]:
    own = coefficients[coefficients["metric"] == names.LOG_HAZARD_RATIO].set_index("term")
    levels = fit.suggested.levels
    for name in fit.spec.variables:
        for model, term in fit.suggested.terms(name, fit.evidence, fit.endpoint):
            labels = [label for label, members in levels.get(name, {}).items() if set(members) == set(term.level)]
            column = f"{name}[{labels[0]}]" if labels else name
            if column not in own.index or (term.level and not labels):
                continue
            first = next(iter(levels[name].values())) if labels else ()
            if term.reference and not set(term.reference) <= set(first):
                continue  # a ratio against other levels
            row = own.loc[column]
            yield {
                "quantity": "hazard_ratio",
                "of": column,
                "entry": model.id,
                "adjusted": model.adjusted,
                "horizon": np.nan,
                "published": term.hazard_ratio,
                "published_lower": term.lower,
                "published_upper": term.upper,
                "not_reached": False,
                "mean": np.exp(row["mean"]),
                "median": row["ratio"],
                "lower": row["ratio_lower"],
                "upper": row["ratio_upper"],
                "inside": bool(row["ratio_lower"] <= term.hazard_ratio <= row["ratio_upper"]),
            }


def group_of_entry(item: Survival, fit: EvidenceFit, /) -> str | None:
    """Return the label of the fit's group that an entry is about, or None where the fit has none."""
    levels = fit.suggested.levels
    found = None
    if item.count_favourable is not None:
        matching = [label for label in fit.group_names if label.startswith(f"{item.count_favourable} of ")]
        found = matching[0] if matching and matching[0].endswith(" favourable") else None
    elif not item.group:
        found = ALL_PATIENTS
    elif len(item.group) == 1:
        name, members = next(iter(item.group.items()))
        labels = [label for label, own in levels.get(name, {}).items() if set(own) == set(members)]
        found = f"{name} = {labels[0]}" if labels else None
    return found if found in fit.group_names else None


def _times(fit: EvidenceFit, estimands: pd.DataFrame) -> Iterator[dict[str, Any]]:
    first = estimands[estimands["sites"] == fit.sites[0].label]
    for item in fit.evidence.survival:
        group = group_of_entry(item, fit)
        if item.endpoint != fit.endpoint or group is None:
            continue
        own = first[first["group"] == group]
        if item.median is not None:
            own = own[own["estimand"] == names.MEDIAN_SURVIVAL]
        else:
            own = own[(own["estimand"] == names.SURVIVAL) & (own["horizon"] == item.time)]
        if own.empty:
            continue
        row = own.iloc[0]
        told = item.median if item.median is not None else item.survival
        value = float(told) if isinstance(told, int | float) else np.nan
        upper = float(item.upper) if isinstance(item.upper, int | float) else np.nan
        yield {
            "quantity": names.MEDIAN_SURVIVAL if item.median is not None else names.SURVIVAL,
            "of": group,
            "entry": item.id,
            "adjusted": False,
            "horizon": np.nan if item.time is None else item.time,
            "published": value,
            "published_lower": np.nan if item.lower is None else item.lower,
            "published_upper": upper,
            "not_reached": told == "not reached",
            "mean": row["mean"],
            "median": row["median"],
            "lower": row["lower"],
            "upper": row["upper"],
            "inside": bool(row["lower"] <= value <= row["upper"])
            if np.isfinite(value)
            else bool(row["prob_not_reached"] > 0.025),
        }
