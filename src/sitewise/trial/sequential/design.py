"""A group-sequential design: its bounds of efficacy and futility and the drift that gives it its power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from sitewise.problems import Problems, TrialError
from sitewise.trial.sequential.bounds import efficacy_bounds, increments
from sitewise.trial.sequential.crossing import (
    Crossing,
    checked_information,
    crossing_probabilities,
    drift_for_power,
    fixed_drift,
)
from sitewise.trial.sequential.recursion import Continuation
from sitewise.trial.sequential.spending import Spending

Floats = NDArray[np.float64]
NARROWEST = 1e-6
"""Room between the bounds of an interim look, in z, below which no trial really goes on."""


@dataclass(frozen=True, eq=False)
class GroupSequential:
    """A group-sequential design.

    Parameters
    ----------
    fractions : ndarray, shape (K,)
        Information of each look as a share of the last.
    efficacy, futility : ndarray, shape (K,)
        Bounds of z. With futility both are equal at the last look; without, futility is minus infinity.
    alpha, power : float
        One-sided error that was to be spent, and the power that was asked for.
    binding : bool
        Whether the efficacy bounds count on trials stopping for futility.
    drift : float
        Mean of z at the last look under which the design has its power.
    """

    fractions: Floats
    efficacy: Floats
    futility: Floats
    alpha: float
    power: float
    binding: bool
    drift: float

    @property
    def inflation_factor(self) -> float:
        """Information at the last look over that of a trial with one look and the same error and power."""
        return (self.drift / fixed_drift(alpha=self.alpha, power=self.power)) ** 2

    def crossing(self, *, drift: ArrayLike | None = None) -> Crossing:
        """Return the crossing probabilities under each drift, by default the design's; futility stops trials."""
        return crossing_probabilities(
            self.fractions, self.efficacy, drift=self.drift if drift is None else drift, futility=self.futility
        )

    def type_one_error(self, *, futility_obeyed: bool = False) -> float:
        """Return the type I error, by default when trials go on below the futility bounds, which is the larger one."""
        lower = self.futility if futility_obeyed else None
        return float(crossing_probabilities(self.fractions, self.efficacy, futility=lower).power)


def group_sequential(
    fractions: ArrayLike,
    /,
    *,
    efficacy: Spending,
    alpha: float,
    power: float,
    futility: Spending | None = None,
    binding: bool = False,
) -> GroupSequential:
    """Return the design whose bounds spend alpha, and 1 - power on futility if asked, and that has the power.

    Futility bounds are those below which z lies with the probability that the beta spending function gives to a look, under
    the drift of the design, so bounds and drift are solved for together; at the last look both bounds meet (Pampallona,
    Tsiatis & Kim 2001, Drug Information Journal 35:1113; Jennison & Turnbull 2000, section 7.3).

    Parameters
    ----------
    fractions : array-like, shape (K,)
        Information of each look as a share of the last, rising to 1.
    efficacy : Spending
        How alpha is spent.
    alpha, power : float
        One-sided type I error, and the power under the drift that is found.
    futility : Spending, optional
        How 1 - power is spent on futility.
    binding : bool
        Whether stopping for futility may lower the efficacy bounds. Not by default: then alpha holds whether or not the
        trial is stopped for futility.

    Raises
    ------
    TrialError
        When looks are out of order, probabilities impossible, or bounds of one look cross.
    """
    looks = checked_information(fractions)
    problems = Problems()
    if not np.isclose(looks[-1], 1.0, rtol=1e-12):
        problems.add("fractions", f"must end at 1; they end at {looks[-1]:g}")
    if not 0 < alpha < 0.5:
        problems.add("alpha", f"must lie between 0 and 0.5, being one-sided; it is {alpha:g}")
    elif not alpha < power < 1:
        problems.add("power", f"must lie between alpha and 1; it is {power:g}")
    if binding and futility is None:
        problems.add("binding", "is set, but there is no futility")
    problems.raise_if_any(TrialError, "The group-sequential design")
    spent = increments(efficacy, looks, total=alpha, planned=1.0)
    upper = efficacy_bounds(looks, spending=efficacy, alpha=alpha)
    if futility is None:
        drift = drift_for_power(looks, upper, power=power)
        return GroupSequential(looks, upper, np.full(looks.size, -np.inf), alpha, power, False, drift)
    lost = increments(futility, looks, total=1 - power, planned=1.0)

    def excess(drift: float) -> float:
        return _both(looks, None if binding else upper, spent, lost, drift)[2] - power

    # No test of this alpha has more power than the one with a single look, so its drift is never too large to start from.
    low = fixed_drift(alpha=alpha, power=power)
    high = 1.1 * low
    while excess(high) < 0:
        high *= 1.2
        if high > 20 * low:
            raise TrialError("No size of the trial gives the power with these futility bounds. Spend less beta early.")
    drift = float(brentq(excess, low, high, xtol=1e-12)) if excess(low) < 0 else low
    upper, lower, _ = _both(looks, None if binding else upper, spent, lost, drift)
    # Where the solution is a continuation region of no width, rounding leaves a little.
    crossed = np.flatnonzero(~(lower[:-1] < upper[:-1] - NARROWEST))
    if crossed.size or not np.all(np.isfinite(upper[-1:])):
        raise TrialError("The futility bounds reach the efficacy bounds before the last look. Spend less beta early.")
    return GroupSequential(looks, upper, lower, alpha, power, binding, drift)


def _both(looks: Floats, upper: Floats | None, spent: Floats, lost: Floats, drift: float) -> tuple[Floats, Floats, float]:
    """Return efficacy and futility bounds and the power when futility spends ``lost`` under a drift.

    Without ``upper``, efficacy is solved for among the trials that futility leaves.
    """
    above, below, power = np.full(looks.size, np.nan), np.full(looks.size, np.nan), 0.0
    state = Continuation.start()
    for look, information in enumerate(looks):
        last = look + 1 == looks.size
        above[look] = state.upper_bound(information, spent[look]) if upper is None else upper[look]
        below[look] = above[look] if last else min(state.lower_bound(information, lost[look], drift=drift), above[look])
        power += float(state.above(information, above[look], drift=drift))
        if not last:
            state = state.next(
                information,
                lower=below[look],
                upper=above[look],
                following=looks[look + 1],
                means=np.array([0.0, drift * np.sqrt(information)]),
            )
            if state.nodes.size == 0:
                break
    return above, below, power
