"""The averaged survival curve of an arm's patients, row by row: over their kinds and a population of sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import elementwise

from sitewise.families import Weibull
from sitewise.families.base import EXTREME_VALUE
from sitewise.families.time_nodes import SMOOTH, legendre
from sitewise.problems import TrialError, nearest
from sitewise.simulate.true_curve import normal_rule
from sitewise.trial.plan.criteria import ALL
from sitewise.trial.truth.average_kernel import average_survival
from sitewise.trial.truth.hazards import Arm, cumulative_hazard, is_affected, with_cured
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
LARGEST = 2_000_000
"""Numbers of one array at most, where there is no compiled average."""
NODES, LATER_NODES = 48, 32
"""Of Gauss-Legendre quadrature over time: until the first change of the effect, and between changes."""
EARLY, LATE = 1e-9, 1e-200
"""Shares dead and alive at least where a log cumulative hazard is taken from an averaged curve."""
FARTHEST = 60.0
"""How far, in log time, a median is looked for."""


@dataclass(frozen=True, eq=False)
class AveragedCurve:
    """Survival of an arm's patients at new sites: make it with :meth:`of`.

    Parameters
    ----------
    truth : Truth
        What is true.
    arm : {"experimental", "control"}
        Whose patients.
    shares : ndarray, shape (R, K)
        Share of each profile in each row; not a number in rows without such patients.
    """

    truth: Truth
    arm: Arm
    shares: Floats

    @classmethod
    def of(cls, truth: Truth, /, *, arm: Arm, group: str = ALL) -> Self:
        """Return the curve of a risk group's patients, or of everybody's with ``group="all"``.

        Raises
        ------
        TrialError
            When there is no such group or arm.
        """
        is_affected(truth, arm)
        return cls(truth, arm, group_shares(truth, group))

    @cached_property
    def _sds(self) -> tuple[Floats, float]:
        """Sds of the sites' indices, (R,), and of their log hazard ratios of the treatment.

        An effect that multiplies hazards at all times makes one of the two: independent normal variables are added.
        """
        truth = self.truth
        own = truth.effect.site_sd if is_affected(truth, self.arm) else 0.0
        if truth.effect.starts.size == 1 and truth.family.standard == EXTREME_VALUE:
            return np.hypot(truth.site_sd, own * truth.effect.weights[0]), 0.0
        return truth.site_sd, own

    @cached_property
    def _site_rule(self) -> tuple[Floats, Floats]:
        return _rule(float(self._sds[0].max()))

    @cached_property
    def _effect_rule(self) -> tuple[Floats, Floats]:
        nodes, weights = _rule(self._sds[1])
        return self._sds[1] * nodes, weights

    def survival(
        self, times: ArrayLike, /, *, rows: Rows | None = None, shift: ArrayLike = 0.0, effect_shift: ArrayLike = 0.0
    ) -> Floats:
        """Return the averaged survival, shape (n, T).

        Parameters
        ----------
        times : array_like, shape (T,) or (n, T)
            Times since enrolment.
        rows : ndarray of int, shape (n,), optional
            Rows of the truth; default all.
        shift, effect_shift : array_like, shape (n,)
            Added to the index of all patients, and to the log hazard ratio of the experimental treatment.
        """
        rows = np.arange(self.truth.rows) if rows is None else rows
        moments = np.asarray(times, dtype=float)
        moments = np.broadcast_to(moments, (rows.size, moments.shape[-1]))
        lowered = np.broadcast_to(np.asarray(shift, dtype=float), rows.shape)
        stronger = np.broadcast_to(np.asarray(effect_shift, dtype=float), rows.shape)
        average = self._by_kernel if self.truth.family.standard == EXTREME_VALUE else self._by_arrays
        parts = (
            weight * average(moments, rows, lowered, stronger + node) for node, weight in zip(*self._effect_rule, strict=True)
        )
        return with_cured(self.truth, self.arm, sum(parts, np.zeros(moments.shape)))

    def log_hazard(self, times: ArrayLike, /) -> Floats:
        """Return log(-log S) of the averaged curve, shape (R, T); not a number where digits are lost: S near 1 or 0."""
        alive = self.survival(times)
        usable = (alive < 1 - EARLY) & (alive > LATE)
        return np.where(usable, np.log(-np.log(np.where(usable, alive, 0.5))), np.nan)

    def _by_kernel(self, times: Floats, rows: Rows, shift: Floats, effect: Floats) -> Floats:
        """Average where hazards multiply: log H of the reference patient, and sums of what is added to it."""
        hazard = cumulative_hazard(
            self.truth, times, arm=self.arm, added=np.zeros((1, 1)), effect_added=effect[:, None], rows=rows
        )
        with np.errstate(divide="ignore"):
            log_hazard = np.broadcast_to(np.log(hazard), times.shape)
        shares = self.shares[rows]
        found = average_survival(
            np.ascontiguousarray(log_hazard),
            np.ascontiguousarray(self.truth.index[rows] + shift[:, None]),
            np.ascontiguousarray(np.nan_to_num(shares)),
            self._sds[0][rows],
            *self._site_rule,
        )
        return np.where(np.isnan(shares[:, :1]), np.nan, found)

    def _by_arrays(self, times: Floats, rows: Rows, shift: Floats, effect: Floats) -> Floats:
        """Average where what is added is no log hazard: every patient's own curve."""
        nodes, weights = self._site_rule
        length = max(1, LARGEST // (nodes.size * self.shares.shape[1] * times.shape[1]))
        result = np.empty(times.shape)
        for start in range(0, rows.size, length):
            part = slice(start, start + length)
            sites = self._sds[0][rows[part], None] * nodes
            added = (self.truth.index[rows[part]] + shift[part, None])[:, :, None, None] + sites[:, None, :, None]
            alive = np.exp(
                -cumulative_hazard(
                    self.truth,
                    times[part, None, None, :],
                    arm=self.arm,
                    added=added,
                    effect_added=effect[part, None, None, None],
                    rows=rows[part],
                )
            )
            result[part] = np.einsum("nkqt,nk,q->nt", alive, self.shares[rows[part]], weights)
        return result

    def restricted_mean(
        self, horizon: float, /, *, rows: Rows | None = None, shift: ArrayLike = 0.0, effect_shift: ArrayLike = 0.0
    ) -> Floats:
        """Return the area under the averaged curve up to a horizon, shape (n,).

        By Gauss-Legendre quadrature between the times at which the effect changes; before the first of them in a power of
        time, in which a steep start is smooth.
        """
        rows = np.arange(self.truth.rows) if rows is None else rows
        start = self.truth.guarantee_time
        if horizon <= start:
            return np.full(rows.size, float(horizon))
        ends = [end for end in self._changes() if start < end < horizon] + [horizon]
        times, weights = _first_panel(self.truth, ends[0] - start, rows)
        times = start + times
        place, weight = legendre(LATER_NODES)
        for begin, end in pairwise(ends):
            times = np.hstack([times, np.tile(begin + (end - begin) * place, (rows.size, 1))])
            weights = np.hstack([weights, np.tile((end - begin) * weight, (rows.size, 1))])
        alive = self.survival(times, rows=rows, shift=shift, effect_shift=effect_shift)
        return start + np.asarray((alive * weights).sum(axis=1))

    def _changes(self) -> list[float]:
        """Return the times at which a hazard is not smooth: where pieces of the effect begin, and between them knots."""
        effect = self.truth.effect
        pieces = list(effect.starts[1:]) if is_affected(self.truth, self.arm) else []
        family: Any = getattr(self.truth.family, "uncured", self.truth.family)
        knots = [*getattr(family, "knots", ()), *([family.unit] if getattr(family, "unit", None) else [])]
        return sorted({*pieces, *(self.truth.guarantee_time + knot for knot in knots)}) if pieces else []

    def median(self) -> Floats:
        """Return the time at which the averaged curve is one half, shape (R,); infinite where it never is."""
        truth = self.truth

        def above(log_time: Floats, rows: Rows) -> Floats:
            with np.errstate(over="ignore"):
                times = truth.guarantee_time + np.exp(log_time)
            return self.survival(times[:, None], rows=rows)[:, 0] - 0.5

        centre = np.asarray(truth.family.log_median(truth.log_scale, truth.shape), dtype=float)
        root = root_of(above, centre, falling=True, farthest=FARTHEST)
        never = np.isnan(root) & ~np.isnan(self.shares[:, 0])
        with np.errstate(over="ignore"):
            return np.where(never, np.inf, truth.guarantee_time + np.exp(root))


def group_shares(truth: Truth, group: str, /) -> Floats:
    """Return each profile's share of a group's patients, shape (R, K); not a number in rows where the group is empty.

    Raises
    ------
    TrialError
        When there is no such group.
    """
    if group == ALL:
        return truth.shares
    if group not in truth.groups:
        raise TrialError(f"There is no risk group '{group}'. {nearest(group, (*truth.groups, ALL))}")
    own = np.where(truth.group_of_profile == truth.groups.index(group), truth.shares, 0.0)
    total = own.sum(axis=1, keepdims=True)
    return np.where(total > 0, own / np.where(total > 0, total, 1.0), np.nan)


def root_of(function: Callable[[Floats, Rows], Floats], centre: Floats, /, *, falling: bool, farthest: float) -> Floats:
    """Return the root of each row's monotone function, shape (R,); not a number where none is within reach.

    By Chandrupatla's method (1997, Adv Eng Softw 28:145), after a bracket has been found by doubling.

    Parameters
    ----------
    function : callable
        Takes places, (n,), and rows, (n,); returns values, (n,).
    centre : ndarray, shape (R,)
        Where to start.
    falling : bool
        Whether the functions fall.
    farthest : float
        How far to look.
    """
    sign = -1.0 if falling else 1.0
    rows = np.arange(centre.size)
    low, high = centre - 0.5, centre + 0.5
    for end, side in ((low, -1.0), (high, 1.0)):
        reach, open_ = 0.5, rows
        while open_.size and reach <= farthest:
            end[open_] = centre[open_] + side * reach
            short = ~(side * sign * function(end[open_], open_) >= 0)
            open_, reach = open_[short], reach * 2
    result = np.full(centre.size, np.nan)
    ends = (sign * function(low, rows) <= 0) & (sign * function(high, rows) >= 0)
    if ends.any():
        found = elementwise.find_root(function, (low[ends], high[ends]), args=(rows[ends],))
        result[ends] = np.where(found.success, found.x, np.nan)
    return result


def _rule(sd: float) -> tuple[Floats, Floats]:
    """Return nodes and weights of a standard normal variable, fine enough for survival with effects of this sd."""
    if sd == 0:
        return np.zeros(1), np.ones(1)
    nodes, weights = normal_rule(sd)
    kept = weights > 1e-11 * weights.max()
    return nodes[kept] / sd, weights[kept] / weights[kept].sum()


def _first_panel(truth: Truth, width: float, rows: Rows) -> tuple[Floats, Floats]:
    """Return times beyond the guarantee time and weights, (n, Q), until the first change."""
    shape = tuple(item[rows] for item in truth.shape)
    if isinstance(truth.family, Weibull):
        share, weight = legendre(NODES)
        least = np.minimum(shape[0], 1.0) if shape else np.ones(rows.size)
        power = (SMOOTH / least)[:, None]
        return width * share**power, width * weight * power * share ** (power - 1)
    log_time, weights = truth.family.time_nodes(np.full(rows.size, width), shape)  # type: ignore[arg-type]
    wanted = (rows.size, np.shape(log_time)[-1])
    return np.broadcast_to(np.exp(log_time), wanted), np.broadcast_to(weights, wanted)
