"""`Benchmark`: what a single arm is held against: a cohort's own curve, with its uncertainty or treated as known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
COARSE, FINE = 97, 4097
"""Times at which every draw's curve is computed, and those of the table between which log hazards are linear."""
EARLIEST, LATEST = 1e-4, 20.0
"""The table's ends, as multiples of the median over draws of the reference patient's median survival."""
EVENT_SHARES = (np.arange(10) + 0.5) / 10
"""Which of the events expected within follow-up the level of the benchmark is an average over."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """The cohort behind a comparison with one arm.

    Its curves are of patients at new sites: averaged over the members of a risk group and over sites inside each draw, as the
    trial's patients come from sites of its own. The point curve has, at each time, the mean over draws of the log cumulative
    hazard: under proportional hazards its level is the mean of the draws' log levels.

    Parameters
    ----------
    cohort : Truth
        Joint draws of the cohort's survival, with the trial's case mix; its effect is not used.
    known : bool
        Whether the benchmark is treated as known: its uncertainty is ignored, which inflates the type I error.
    """

    cohort: Truth
    known: bool = False

    def cumulative_hazard(self, time: ArrayLike, group: ArrayLike, /) -> Floats:
        """Return the cumulative hazard of the point curve, of the shape of ``time``.

        The table behind it is linear in log time between 4097 points, and beyond its ends goes on as a Weibull's curve does.

        Parameters
        ----------
        time : array_like
            Times since enrolment.
        group : array_like of int
            Positions of risk groups in ``cohort.groups``; of the same shape, or one that broadcasts to it.
        """
        from sitewise.trial.truth.average_kernel import interpolated

        moments = np.asarray(time, dtype=float)
        places = np.broadcast_to(np.asarray(group, dtype=np.int64), moments.shape)
        first, step, table = self._table
        found = interpolated(
            np.ascontiguousarray(moments).ravel(),
            np.ascontiguousarray(places).ravel(),
            self.cohort.guarantee_time,
            first,
            step,
            table,
        )
        return np.asarray(found).reshape(moments.shape)

    @property
    def log_hazard_sd(self) -> float:
        """Sd over draws of the level of the benchmark: how unsure its log hazard is; 0 where it is treated as known."""
        return 0.0 if self.known else float(np.nanstd(self.log_levels, ddof=1)) if self.cohort.rows > 1 else 0.0

    @cached_property
    def log_levels(self) -> Floats:
        """Log cumulative hazard of each draw against the point curve, shape (R,).

        The mean over the case mix, and over the times of the events that the cohort expects within its follow-up: where a
        trial's log hazard ratio is estimated.
        """
        log_time, draws = self._curves
        groups, shares = self.cohort.group_of_profile, self.cohort.shares.mean(axis=0)
        weights = np.array([shares[groups == place].sum() for place in range(len(self.cohort.groups))])
        apart = draws - np.nanmean(draws, axis=0)
        end = np.log(min(self.cohort.follow_up - self.cohort.guarantee_time, np.exp(log_time[-1])))
        levels = np.zeros(self.cohort.rows)
        for place, weight in enumerate(weights):
            point = np.nanmean(draws[:, place], axis=0)
            events = -np.expm1(-np.exp(point))
            within = np.interp(end, log_time, events)
            at = np.interp(EVENT_SHARES * within, events, log_time)
            own = np.stack([np.interp(at, log_time, row).mean() for row in apart[:, place]])
            levels += weight * np.nan_to_num(own)
        return levels

    def draws(self, criterion: Criterion, /) -> Floats:
        """Return the benchmark's own survival, restricted mean or median, shape (R,); its mean in every row where it is known.

        Raises
        ------
        TrialError
            When the criterion's group does not exist.
        """
        from sitewise.trial.truth.averages import AveragedCurve
        from sitewise.trial.truth.true_values import of_curve

        values = of_curve(AveragedCurve.of(self.cohort, arm=self.cohort.cohort_arm, group=criterion.group), criterion)
        return np.full(values.shape, np.nanmean(values)) if self.known else values

    @cached_property
    def _curves(self) -> tuple[Floats, Floats]:
        """Log times since the guarantee time, (P,), and log cumulative hazards of every draw and group, (R, G, P)."""
        from sitewise.trial.truth.averages import AveragedCurve

        cohort = self.cohort
        middle = float(np.median(cohort.family.log_median(cohort.log_scale, cohort.shape)))
        log_time = middle + np.linspace(np.log(EARLIEST), np.log(LATEST), COARSE)
        times = cohort.guarantee_time + np.exp(log_time)
        curves = [AveragedCurve.of(cohort, arm=cohort.cohort_arm, group=name) for name in cohort.groups]
        found = np.stack([curve.log_hazard(times) for curve in curves], axis=1)
        empty = np.stack([np.isnan(curve.shares[:, 0]) for curve in curves], axis=1)
        usable = (np.isfinite(found) | empty[:, :, None]).all(axis=(0, 1))
        return log_time[usable], found[:, :, usable]

    @cached_property
    def _table(self) -> tuple[float, float, Floats]:
        """First log time and step, and log cumulative hazards of the point curve of each group, (G, P)."""
        log_time, draws = self._curves
        point = np.nanmean(draws, axis=0)
        grid = np.linspace(log_time[0], log_time[-1], FINE)
        fine = CubicSpline(log_time, point, axis=1)(grid)
        return float(grid[0]), float(grid[1] - grid[0]), np.ascontiguousarray(fine)
