"""What success means with several experimental arms: of each arm by its own criteria, of the trial by any or all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import TrialError, listed
from sitewise.trial.campaign.worlds import World
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.design import TrialDesign

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def criteria_of_arms(design: TrialDesign, role: Literal["success", "futility"], /) -> list[list[int]]:
    """Return the positions of each experimental arm's criteria of a role, arms in the order of their codes."""
    return [
        [place for place, item in enumerate(design.criterion) if item.role == role and item.arm == name]
        for name in design.arms.names[1:]
    ]


def success_of_arms(design: TrialDesign, probability: Floats, thresholds: Floats, /) -> Flags:
    """Return whether all success criteria of an arm that count at a look hold there, shape (..., L, E) of E experimental arms.

    Parameters
    ----------
    design : TrialDesign
        The design.
    probability : ndarray, shape (..., L, C)
        Of each criterion's statement.
    thresholds : ndarray, shape (L, C)
        Not a number where a criterion does not count.
    """
    arms = criteria_of_arms(design, "success")
    found = np.zeros((*probability.shape[:-1], len(arms)), dtype=bool)
    for look, needed in enumerate(thresholds):
        for arm, places in enumerate(arms):
            own = [place for place in places if not np.isnan(needed[place])]
            if own:
                found[..., look, arm] = (probability[..., look, own] > needed[own]).all(axis=-1)
    return found


def of_trial(design: TrialDesign, of_arms: Flags, /) -> Flags:
    """Return whether the trial is a success by the successes of its experimental arms, which are the last axis."""
    together: Any = np.any if design.arms.success == "any" else np.all
    return np.asarray(together(of_arms, axis=-1))


def success_true(design: TrialDesign, true_values: Floats, /) -> Floats:
    """Return whether success is right in each truth, (R,): 1, 0, or not a number where it is not known.

    It is right where the success criteria of an arm (with ``arms.success = "all"``, of every arm) are true, by the true
    estimands (R, C).
    """
    holds = {}
    for place, item in enumerate(design.criterion):
        if item.role == "success":
            holds[place] = true_of(item, true_values[:, place])
    return success_where(design, holds)


def refuse_true_nulls(design: TrialDesign, worlds: Sequence[World], /) -> None:
    """Refuse scenarios that are called a null and in all of whose truths success is right.

    Raises
    ------
    TrialError
        Naming them: their successes would be called type I errors.
    """
    wrong = [world.name for world in worlds if world.null and (success_true(design, world.true_values) == 1).all()]
    if wrong:
        raise TrialError(
            f"Scenario {listed(wrong)} is called a null, but what success says is true in it: its successes are no errors. "
            "Give it hazard_ratio = 1.0, or at_bound with the name of a criterion; or leave null out."
        )


def true_of(criterion: Criterion, values: Floats, /) -> Floats:
    """Return whether a criterion's statement is true at true values, (R,): 1, 0, or not a number where there is no value."""
    holds = values < criterion.bound if criterion.wants_less else values > criterion.bound
    return np.where(np.isnan(values), np.nan, holds)


def success_where(design: TrialDesign, holds: Mapping[int, Floats], /) -> Floats:
    """Return where the trial is a success, (R,), by where each success criterion that counts holds (1, 0, or unknown)."""
    arms = []
    for places in criteria_of_arms(design, "success"):
        own = [holds[place] for place in places if place in holds]
        arms.append(np.min(own, axis=0) if own else np.zeros_like(next(iter(holds.values()))))
    return np.asarray(np.max(arms, axis=0) if design.arms.success == "any" else np.min(arms, axis=0))
