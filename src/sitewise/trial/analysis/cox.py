"""Cox regression of the treatment, stratified by site, with coefficients of risk groups, of thousands of trials at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.classical import cox
from sitewise.classical.ordering import Ordered
from sitewise.trial.analysis.analysis import Analysed, Floats
from sitewise.trial.analysis.answers import Answer, Comparator, assembled, members, normal_answer
from sitewise.trial.analysis.kaplan_meier import curve_answer
from sitewise.trial.analysis.one_sample import one_sample_test
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.criteria import ALL, Criterion


def stratified(time: Floats, event: NDArray[np.bool_], /, *, stratum: NDArray[np.int16]) -> Ordered:
    """Return cohorts whose risk sets are those of a stratified analysis, each of shape (M, N).

    The partial likelihood knows times by their order only, and a patient counts from their entry to their time. So the strata
    are put one after the other on one axis of ranks, everybody entering as their stratum begins: at an event of a stratum
    those before it have left, those after it have not come.
    """
    order = np.lexsort((time, stratum), axis=1)
    of = np.take_along_axis(stratum, order, 1)
    sorted_time = np.take_along_axis(time, order, 1)
    begins = np.ones(time.shape, dtype=bool)
    begins[:, 1:] = of[:, 1:] != of[:, :-1]
    moves = begins.copy()
    moves[:, 1:] |= sorted_time[:, 1:] != sorted_time[:, :-1]
    rank = moves.cumsum(axis=1).astype(np.float64)
    entry = np.maximum.accumulate(np.where(begins, rank, 0.0), axis=1) - 1
    return Ordered(order, rank, np.take_along_axis(event, order, 1), entry)


def cox_log_hazard_ratio(
    seen: Snapshot, /, *, adjust: Sequence[str] = (), include: NDArray[np.bool_] | None = None
) -> tuple[Floats, Floats]:
    """Return the log hazard ratios of treatment and their standard errors, by partial likelihood with Efron's ties.

    A risk group without events has a coefficient of minus infinity, at which its patients drop out of the risk sets and the
    treatment's estimate is that without them: they are left out.

    Parameters
    ----------
    seen : Snapshot
        M trials.
    adjust : sequence of {"site", "risk_group"}
        site: strata. risk_group: a coefficient of each group but one.
    include : ndarray of bool, shape (M, N), optional
        Whose; by default all who are included.

    Returns
    -------
    estimate, se : ndarray, shape (M,)
        NaN where the likelihood has no maximum: an arm without events, groups that cannot be told from strata.
    """
    chosen = seen.included if include is None else include
    ordered = stratified(seen.time, seen.event, stratum=seen.site) if "site" in adjust else Ordered.of(seen.time, seen.event)
    groups = len(seen.groups) if "risk_group" in adjust else 1
    of = seen.group if groups > 1 else np.zeros_like(seen.group)
    eventful = np.stack([(seen.event & chosen & (of == code)).any(axis=1) for code in range(groups)], axis=1)
    estimate, se = np.full(len(seen), np.nan), np.full(len(seen), np.nan)
    for pattern in np.unique(eventful, axis=0):
        codes = np.flatnonzero(pattern)
        if not codes.size:
            continue
        rows = np.flatnonzero((eventful == pattern).all(axis=1))
        design = np.stack([seen.arm[rows], *(of[rows] == code for code in codes[1:])], axis=2).astype(np.float64)
        entry = ordered.entry[rows] if ordered.entry.size else ordered.entry
        some = Ordered(ordered.order[rows], ordered.time[rows], ordered.event[rows], entry)
        fits = cox(some, design, include=chosen[rows] & pattern[of[rows]])
        estimate[rows] = fits.log_hazard_ratio[:, 0]
        se[rows] = np.where(fits.converged, fits.standard_error[:, 0], np.nan)
    return estimate, se


@dataclass(frozen=True)
class Cox:
    """Cox regression; the probability of a statement is one minus the one-sided p value of its Wald test.

    A single arm's hazard ratio is tested by the one-sample log-rank test, and statements about survival, restricted means and
    medians by Kaplan-Meier. A hazard ratio of a risk group is estimated among its patients only.

    Parameters
    ----------
    adjust : tuple of {"site", "risk_group"}
        site: strata. risk_group: coefficients.
    benchmark : Comparator, optional
        What a single arm is held against.
    randomised : bool
        Whether there is a control arm.
    """

    adjust: tuple[str, ...] = ("site", "risk_group")
    benchmark: Comparator | None = None
    randomised: bool = True

    @property
    def name(self) -> str:
        """Name in files and tables."""
        return "cox"

    def analyse(self, seen: Snapshot, criteria: Sequence[Criterion], /, *, seed: int = 0, look: int = 0) -> Analysed:
        """Analyse trials at one look; ``seed`` and ``look`` have no influence.

        A trial is NOT_ESTIMABLE where a statement has no standard error: see :func:`cox_log_hazard_ratio` and
        :func:`~sitewise.trial.analysis.kaplan_meier.curve_answer`.

        Raises
        ------
        TrialError
            When a criterion is about a group that the trial does not have, or needs a benchmark and there is none.
        """
        ordered = Ordered.of(seen.time, seen.event)
        fitted: dict[str, tuple[Floats, Floats]] = {}

        def answer(criterion: Criterion) -> Answer:
            if criterion.estimand != "hazard_ratio":
                return curve_answer(seen, ordered, criterion=criterion, benchmark=self.benchmark)
            if not self.randomised:
                return one_sample_test(seen, criterion, benchmark=self.benchmark)
            group = criterion.group
            if group not in fitted:
                adjust = self.adjust if group == ALL else tuple(item for item in self.adjust if item != "risk_group")
                fitted[group] = cox_log_hazard_ratio(seen, adjust=adjust, include=members(seen, group))
            estimate, se = fitted[group]
            more = {"information": np.nan_to_num(se**-2.0)}
            return normal_answer(criterion, float(np.log(criterion.bound)), estimate=estimate, sd=se, more=more)

        return assembled(seen, criteria, answer=answer)
