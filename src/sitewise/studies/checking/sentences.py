"""What each check says, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

HIGHER, LOWER = "more", "fewer"


def sentence(row: Any, about: Mapping[str, pd.DataFrame]) -> str:
    """Return the sentence of a row of the table of checks: what was found, where it is largest, and what to do.

    Parameters
    ----------
    row : named tuple
        ``check, statistic, p_value, found``.
    about : mapping of str to DataFrame
        The tables behind: ``over_time, by_site, by_risk, drift, conflict``.
    """
    told = _FOUND[row.check](about, row.statistic) if row.found else _QUIET[row.check]
    return f"{told} (p = {row.p_value:.3g})"


def _largest(table: pd.DataFrame, name: str) -> str:
    worst = table.iloc[int(np.argmax(np.abs(table["difference"] / table["expected"].clip(lower=0.5) ** 0.5)))]
    way = HIGHER if worst["difference"] > 0 else LOWER
    return f"{worst[name]} ({worst['events']:.4g} events, {worst['expected']:.3g} expected: {way})"


def _when(about: Mapping[str, pd.DataFrame]) -> str:
    table = about["over_time"]
    if not len(table):
        return ""
    worst = table.iloc[int(np.argmax(np.abs(table["difference"])))]
    way = HIGHER if worst["difference"] > 0 else LOWER
    return f"by {worst['time']:.3g} there were {abs(worst['difference']):.1f} events {way} than expected"


def _drifting(about: Mapping[str, pd.DataFrame]) -> str:
    table = about["drift"]
    worst = table.iloc[int(np.argmax(np.abs(table["drift"])))]
    way = "rises" if worst["drift"] > 0 else "falls"
    return f"the log hazard ratio of {worst['coefficient']} {way} as time goes on"


def _clashing(about: Mapping[str, pd.DataFrame]) -> str:
    table = about["conflict"]
    worst = table.iloc[int(np.argmin(table["p_value"]))]
    own = f"{worst['estimate']:.2f} +- {worst['error']:.2f}"
    return f"{worst['coefficient']}: the data alone say {own}, the prior is {worst['prior']}"


_FOUND = {
    "hazard over time": lambda about, statistic: (
        f"The hazard does not run as the family says: {_when(about)}. Look for a guarantee time, another family, or cured "
        "patients"
    ),
    "effects over time": lambda about, statistic: (
        f"Effects do not stay as they are: {_drifting(about)}. A constant ratio is an average over follow-up"
    ),
    "predicted risk": lambda about, statistic: (
        f"Patients of some predicted risk fare otherwise than predicted; most so group {_largest(about['by_risk'], 'group')} "
        "of increasing risk. Look for an interaction, or a numeric effect that bends"
    ),
    "sites": lambda about, statistic: (
        f"Sites differ more than the model says; most so {_largest(about['by_site'], 'site')}. Add (1 | site), or what tells "
        "the sites apart"
    ),
    "censoring": lambda about, statistic: (
        f"Patients with a higher predicted risk are censored {'sooner' if statistic > 0 else 'later'} than others. If "
        "covariates are why, the model takes care of it; if patients are lost because of how they do, no model of these data "
        "can"
    ),
    "prior": lambda about, statistic: f"A prior is at odds with the data: {_clashing(about)}",
}
_QUIET = {
    "hazard over time": "Events come when the family says they should",
    "effects over time": "No effect is seen to change with time",
    "predicted risk": "Patients fare as predicted at every predicted risk",
    "sites": "Sites differ no more than the model says",
    "censoring": "Censoring is not seen to go with predicted risk; with what nobody recorded it may",
    "prior": "The data's own estimates are such as the priors expect",
}
