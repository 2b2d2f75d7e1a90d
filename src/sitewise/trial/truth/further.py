"""Further experimental arms of a truth: their effects, and what is true of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import TrialError, plural
from sitewise.trial.plan.arms import Arms, FurtherArm
from sitewise.trial.truth.changes import taken
from sitewise.trial.truth.stated import ROWS
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
BRANCH = 11
"""Branch of the seed for the effects of further arms."""


def with_further_arms(truth: Truth, arms: Sequence[FurtherArm], /, *, seed: int = 0) -> Truth:
    """Return the same world with effects of further experimental arms, each drawn on its own.

    A truth of one row gets 1000 equal ones where an arm's effect is uncertain.
    """
    if not arms:
        return truth
    if truth.rows == 1 and any(arm.sd > 0 for arm in arms):
        truth = taken(truth, np.zeros(ROWS, dtype=np.int64))
    drawn = []
    for place, arm in enumerate(arms):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(BRANCH, place)))
        drawn.append(np.log(arm.hazard_ratio) + arm.sd * rng.standard_normal(truth.rows))
    return with_ratios(truth, (truth.effect.log_hazard_ratio, *drawn))


def check_further(truth: Truth, arms: Arms, /) -> None:
    """Refuse a truth that has not the effects of all arms of a design, or of more: a :class:`TrialError`."""
    if len(truth.effect.further) != len(arms.further):
        raise TrialError(
            f"The design has {plural(len(arms.further), 'further arm', 'further arms')}, and the truth has effects of "
            f"{len(truth.effect.further)}. Give it those of the design with sitewise.trial.truth.with_further_arms."
        )


def with_ratios(truth: Truth, ratios: Sequence[Floats], /) -> Truth:
    """Return the same world with other log hazard ratios of the experimental arms against control, the first one first."""
    return replace(truth, effect=replace(truth.effect, log_hazard_ratio=ratios[0], further=tuple(ratios[1:])))


def ratios_of(truth: Truth, /) -> tuple[Floats, ...]:
    """Return the log hazard ratios of the experimental arms against control, the first one first, each of shape (R,)."""
    return (truth.effect.log_hazard_ratio, *truth.effect.further)


def alike(truth: Truth, /) -> Truth:
    """Return the same world with the first experimental arm's effect in all experimental arms."""
    return with_ratios(truth, (truth.effect.log_hazard_ratio,) * len(ratios_of(truth)))


def truth_of_arm(truth: Truth, code: int, /) -> Truth:
    """Return the truth whose experimental arm is a further arm of this one, and whose other is the one the cohort describes.

    That other arm is control; or, where the cohort describes the first experimental arm, that arm, of which the further arm's
    hazard is exp(w(t) (beta_a - beta_1)) times, w the share of the effect that acts at t. A site's own effect is the same in
    both and cancels.

    Parameters
    ----------
    truth : Truth
        Of several arms.
    code : int
        The further arm's: 2 and following.

    Raises
    ------
    TrialError
        When there is no such arm.
    """
    effect = truth.effect
    if not 2 <= code < 2 + len(effect.further):
        known = plural(len(effect.further), "further arm", "further arms")
        raise TrialError(f"The truth has {known}; there is none with code {code}.")
    own = effect.further[code - 2]
    if truth.cohort_arm == "control":
        return replace(truth, effect=replace(effect, log_hazard_ratio=own, further=()))
    apart = replace(effect, log_hazard_ratio=own - effect.log_hazard_ratio, site_sd=0.0, further=())
    return replace(truth, cohort_arm="control", effect=apart)
