"""What a truth says, in plain words."""

from __future__ import annotations

import math

import numpy as np

from sitewise.problems import plural
from sitewise.trial.truth.truth import TrueEffect, Truth

ENDPOINTS = {"OS": "Overall survival", "PFS": "Progression-free survival"}


def truth_sentence(truth: Truth, /) -> str:
    """Return what is taken as true: the event, its source, which arm the cohort describes, groups, sites and the effect."""
    groups = len(truth.groups)
    draws = "without uncertainty" if truth.rows == 1 else f"in {truth.rows} joint draws"
    other = "control" if truth.cohort_arm == "experimental" else "experimental"
    how = "divided" if truth.cohort_arm == "experimental" else "multiplied"
    what = ENDPOINTS.get(truth.endpoint, truth.endpoint)
    reach = (
        f" Patients behind it were followed for {truth.follow_up:.3g} {truth.time_unit}; later times are extrapolated."
        if math.isfinite(truth.follow_up)
        else ""
    )
    parts = [
        f"{what} from {truth.source}, {draws}: it describes patients who have the {truth.cohort_arm} treatment; hazards in "
        f"the {other} arm are these {how} by the hazard ratio.",
        f"{plural(groups, 'risk group', 'risk groups')} ({_groups(truth)}) and {_sites(truth)}.",
        f"{effect_sentence(truth.effect)}{reach}",
        *((f"Nobody has the event before {truth.guarantee_time:.3g} {truth.time_unit}.",) if truth.guarantee_time else ()),
        *truth.notes,
    ]
    return " ".join(parts)


def effect_sentence(effect: TrueEffect, /) -> str:
    """Return what the treatment does, in words."""
    low, middle, high = np.exp(np.quantile(effect.log_hazard_ratio, [0.025, 0.5, 0.975]))
    known = np.ptp(effect.log_hazard_ratio) == 0
    text = f"The hazard ratio of the experimental treatment is {middle:.3g}"
    text += "" if known else f" (median; 95 % of draws {low:.3g} to {high:.3g})"
    if effect.site_sd:
        text += f", its log with sd {effect.site_sd:g} between sites"
    if effect.starts.size > 1:
        text += f", with its share of {', '.join(f'{item:.3g}' for item in effect.weights)} acting from times "
        text += ", ".join(f"{item:.3g}" for item in effect.starts)
    if effect.cured:
        text += f"; it cures {100 * effect.cured:.3g} % of patients"
    if effect.further:
        others = ", ".join(f"{np.exp(np.median(item)):.3g}" for item in effect.further)
        text += f"; those of further experimental arms, with the same course in time, are {others} (medians)"
    return text + "."


def _groups(truth: Truth) -> str:
    places = truth.group_of_profile
    mean = truth.shares.mean(axis=0)
    return ", ".join(f"{name} {100 * mean[places == place].sum():.0f} %" for place, name in enumerate(truth.groups))


def _sites(truth: Truth) -> str:
    low, middle, high = np.quantile(truth.site_sd, [0.025, 0.5, 0.975])
    if high == 0:
        return "sites that do not differ"
    between = "" if low == high else f" (95 % of draws {low:.2g} to {high:.2g})"
    return f"new sites whose effects have sd {middle:.2g}{between}"
