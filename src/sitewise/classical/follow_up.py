"""Length of follow-up of many cohorts at once, by the definitions that papers use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sitewise.classical.kaplan_meier import kaplan_meier_median
from sitewise.classical.ordering import Floats, Ordered

Definition = Literal["observed", "reverse-kaplan-meier", "alive-only"]


@dataclass(frozen=True, eq=False)
class FollowUpOf:
    """Follow-up of R cohorts.

    Parameters
    ----------
    median, shortest, longest : ndarray, shape (R,)
        Times; the shortest and longest are of all patients of the group, whatever the definition. NaN where there is nobody,
        and an infinite median where the reverse Kaplan-Meier curve does not fall to a half.
    """

    median: Floats
    shortest: Floats
    longest: Floats


def follow_up(ordered: Ordered, /, *, definition: Definition = "observed", include: ArrayLike | None = None) -> FollowUpOf:
    """Return follow-up.

    Parameters
    ----------
    ordered : Ordered
        R cohorts of n patients.
    definition : {"observed", "reverse-kaplan-meier", "alive-only"}
        What the median is of: everyone's observed times; the Kaplan-Meier estimate with events and censorings exchanged, which
        treats death as the end of an unknown follow-up (Schemper & Smith 1996, Control Clin Trials 17:343); or the times of
        patients without event.
    include : array-like of bool, shape (R, n), optional
        The group.
    """
    chosen = np.take_along_axis(ordered.included(include), ordered.order, 1)
    shown = np.where(chosen, ordered.time, np.nan)
    nobody = ~chosen.any(axis=1)
    shortest = np.where(nobody, np.nan, np.where(chosen, ordered.time, np.inf).min(axis=1, initial=np.inf))
    longest = np.where(nobody, np.nan, np.where(chosen, ordered.time, -np.inf).max(axis=1, initial=-np.inf))
    if definition == "reverse-kaplan-meier":
        # Who dies when another's follow-up ends is still at risk of that end, as in R's survfit(Surv(t, 1 - d)).
        back = Ordered(ordered.order, ordered.time, ~ordered.event, ordered.entry)
        return FollowUpOf(kaplan_meier_median(back, include=include).median, shortest, longest)
    if definition == "alive-only":
        shown = np.where(ordered.event, np.nan, shown)
    elif definition != "observed":
        raise ValueError(f"definition is '{definition}'; it can be 'observed', 'reverse-kaplan-meier' or 'alive-only'.")
    empty = np.isnan(shown).all(axis=1)
    median = np.full(len(ordered), np.nan)
    if (~empty).any():
        median[~empty] = np.nanmedian(shown[~empty], axis=1)
    return FollowUpOf(median, shortest, longest)
