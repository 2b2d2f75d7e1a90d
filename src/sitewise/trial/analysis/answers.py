"""What the fast analyses share: whom a criterion is about, and answers in the form of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from sitewise.problems import TrialError, listed
from sitewise.trial.analysis.analysis import NOT_ESTIMABLE, OK, Analysed, Floats
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.criteria import ALL, Criterion


class Comparator(Protocol):
    """What a single arm is held against; :class:`sitewise.trial.truth.benchmark.Benchmark` is one."""

    @property
    def known(self) -> bool:
        """Whether its uncertainty is ignored."""
        ...

    @property
    def log_hazard_sd(self) -> float:
        """Standard deviation of the log of its hazard."""
        ...

    def cumulative_hazard(self, time: Floats, group: NDArray[np.int16], /) -> Floats:
        """Return the mean cumulative hazard at times since enrolment, of patients of risk groups; all of shape (M, N)."""
        ...

    def draws(self, criterion: Criterion, /) -> Floats:
        """Return draws of the criterion's estimand in the benchmark, shape (R,)."""
        ...


@dataclass(frozen=True, eq=False)
class Answer:
    """What M trials say of one criterion; NaN where they cannot.

    Parameters
    ----------
    probability, estimate, sd : ndarray, shape (M,)
        As in :class:`Analysed`.
    more : dict of str to ndarray, shape (M,)
        Further numbers.
    """

    probability: Floats
    estimate: Floats
    sd: Floats
    more: dict[str, Floats]


def members(seen: Snapshot, group: str, /, *, arm: int | None = None) -> NDArray[np.bool_]:
    """Return who is included, of a risk group and of an arm, shape (M, N).

    Raises
    ------
    TrialError
        When the trial has no such group.
    """
    chosen = seen.included if arm is None else seen.included & (seen.arm == arm)
    if group == ALL:
        return chosen
    if group not in seen.groups:
        raise TrialError(f"A criterion is about the risk group '{group}'. The trial has: {listed(seen.groups)}.")
    found: NDArray[np.bool_] = chosen & (seen.group == seen.groups.index(group))
    return found


def strata(seen: Snapshot, adjust: Sequence[str], /) -> tuple[NDArray[np.int64], int]:
    """Return a code for each combination of site and risk group, as far as adjusted for, and the number of codes."""
    codes, count = np.zeros(seen.time.shape, dtype=np.int64), 1
    if "site" in adjust:
        codes, count = codes * seen.sites + seen.site, count * seen.sites
    if "risk_group" in adjust:
        codes, count = codes * len(seen.groups) + seen.group, count * len(seen.groups)
    return codes, count


def standardised(distance: ArrayLike, sd: ArrayLike, /) -> Floats:
    """Return a distance in standard deviations; NaN where the standard deviation is zero or no number."""
    distance, sd = np.broadcast_arrays(np.asarray(distance, dtype=float), np.asarray(sd, dtype=float))
    out = np.full(distance.shape, np.nan)
    np.divide(distance, sd, out=out, where=(sd > 0) & np.isfinite(sd))
    return out


def normal_answer(
    criterion: Criterion, bound: float, /, *, estimate: Floats, sd: Floats, more: dict[str, Floats] | None = None
) -> Answer:
    """Return the answer where the estimand, or a rising function of it, is normal given the data.

    Parameters
    ----------
    criterion : Criterion
        What is asked.
    bound : float
        Its bound on the scale of the estimate.
    estimate, sd : ndarray, shape (M,)
        Mean and standard deviation.
    more : dict, optional
        Further numbers.
    """
    below = ndtr(standardised(bound - estimate, sd))
    return Answer(below if criterion.wants_less else 1 - below, estimate, sd, more or {})


def assembled(
    seen: Snapshot, criteria: Sequence[Criterion], /, *, answer: Callable[[Criterion], Answer], more_of: str = "hazard_ratio"
) -> Analysed:
    """Return the answers to all criteria.

    A trial whose data cannot answer one of them is NOT_ESTIMABLE; its other answers are kept. Predictive criteria are NaN and
    of no consequence for the status.

    Parameters
    ----------
    seen : Snapshot
        M trials.
    criteria : sequence of Criterion
        What is asked.
    answer : callable
        Gives the answer to one criterion.
    more_of : str
        Estimand of the first criterion whose further numbers are kept.
    """
    shape = (len(seen), len(criteria))
    probability, estimate, sd = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    status = np.full(len(seen), OK, dtype=np.int8)
    more: dict[str, Floats] = {}
    for column, criterion in enumerate(criteria):
        if criterion.predictive:
            continue
        found = answer(criterion)
        probability[:, column], estimate[:, column], sd[:, column] = found.probability, found.estimate, found.sd
        status[np.isnan(found.probability)] = NOT_ESTIMABLE
        if criterion.estimand == more_of and not more:
            more = found.more
    return Analysed(probability, estimate, sd, status, more)
