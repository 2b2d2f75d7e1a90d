"""The conjugate analysis: a normal prior of the log hazard ratio, its estimate and standard error, and borrowing of an arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy.special import logsumexp, ndtr

from sitewise.classical.ordering import Ordered
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import Analysed, Floats
from sitewise.trial.analysis.answers import Answer, Comparator, assembled, members
from sitewise.trial.analysis.cox import cox_log_hazard_ratio
from sitewise.trial.analysis.kaplan_meier import curve_answer
from sitewise.trial.analysis.log_rank import compare_arms
from sitewise.trial.analysis.one_sample import CONTROL, EXPERIMENTAL, against_benchmark, arm_log_hazards
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.analysis import NormalPrior
from sitewise.trial.plan.criteria import ALL, Criterion


class NormalMixture(Protocol):
    """Mixtures of normal distributions, one a trial; :class:`sitewise.trial.borrowing.mixture.Mixture` is one."""

    @property
    def weights(self) -> Floats:
        """Weights, shape (M, K)."""
        ...

    @property
    def means(self) -> Floats:
        """Means, shape (M, K)."""
        ...

    @property
    def sds(self) -> Floats:
        """Standard deviations, shape (M, K)."""
        ...


class Borrows(Protocol):
    """A way in which an arm borrows the cohort."""

    def posterior(self, estimates: Floats, se: Floats, /) -> NormalMixture:
        """Return the posterior of the arm's log hazard against the cohort's, of M trials.

        Parameters
        ----------
        estimates, se : ndarray, shape (M,)
            log(O / E) of the arm and 1 / sqrt(O); NaN where it has no events.
        """
        ...


@dataclass(frozen=True, eq=False)
class LogHazardRatio:
    """Posteriors of the log hazard ratio in M trials: mixtures of K normal distributions.

    Parameters
    ----------
    weights, means, sds : ndarray, shape (M, K)
        NaN where a trial has no estimate.
    more : dict of str to ndarray, shape (M,)
        ``information``, ``observed`` and ``expected`` of what was estimated without borrowing.
    """

    weights: Floats
    means: Floats
    sds: Floats
    more: dict[str, Floats]

    @property
    def mean(self) -> Floats:
        """Posterior means, shape (M,)."""
        return np.asarray((self.weights * self.means).sum(axis=1))

    @property
    def sd(self) -> Floats:
        """Posterior standard deviations, shape (M,)."""
        spread = self.sds**2 + (self.means - self.mean[:, None]) ** 2
        return np.asarray(np.sqrt((self.weights * spread).sum(axis=1)))

    def probability_below(self, bound: float, /) -> Floats:
        """Return the posterior probabilities of a log hazard ratio below a bound, shape (M,)."""
        return np.asarray((self.weights * ndtr((bound - self.means) / self.sds)).sum(axis=1))

    def under(self, prior: NormalPrior | None, /) -> LogHazardRatio:
        """Return the posterior with a normal prior in place of the flat one.

        Every component is multiplied by the prior: it moves by precision, and its weight is multiplied by
        N(prior mean; mean, sd^2 + prior sd^2), the integral of the product.
        """
        if prior is None:
            return self
        precision = self.sds**-2.0 + prior.sd**-2.0
        means = (self.means * self.sds**-2.0 + prior.mean * prior.sd**-2.0) / precision
        weights = self.weights
        if weights.shape[1] > 1:
            variance = self.sds**2 + prior.sd**2
            with np.errstate(divide="ignore"):  # components of no weight stay so
                logs = np.log(weights) - 0.5 * (np.log(variance) + (self.means - prior.mean) ** 2 / variance)
            weights = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
        return LogHazardRatio(weights, means, precision**-0.5, self.more)


@dataclass(frozen=True)
class Conjugate:
    """A normal prior of the log hazard ratio and a normal likelihood: Peto's (O - E) / V with standard error 1 / sqrt(V).

    Peto's estimate is biased where arms are of unequal size and the ratio is far from 1
    (:attr:`~sitewise.trial.analysis.log_rank.ArmsCompared.log_hazard_ratio`); there the estimate of Cox regression and its
    standard error can stand in its place.

    A single arm's log hazard ratio is log(O / E) against the benchmark, with standard error sqrt(1 / O + sd^2) or, where the
    benchmark is treated as known, 1 / sqrt(O). Where an arm of a randomised trial borrows, the arms' log hazards against that
    cohort take the place of the log-rank comparison (strata of sites are then not adjusted for; risk groups are, by the
    cohort), the borrowing arm's gets its mixture posterior, and the treatment prior is applied to their difference.
    Survival, restricted means and medians are by Kaplan-Meier with flat priors and borrow nothing. A hazard ratio of a risk
    group is that of its patients only.

    Parameters
    ----------
    adjust : tuple of {"site", "risk_group"}
        What makes the strata.
    treatment : NormalPrior, optional
        Prior of the log hazard ratio; absent: flat.
    benchmark : Comparator, optional
        The cohort that an arm is held against.
    borrowing : Borrows, optional
        How an arm borrows a cohort.
    borrow_to : {"experimental", "control"}
        Which arm.
    history : Comparator, optional
        The cohort that it borrows; absent: the benchmark.
    randomised : bool
        Whether there is a control arm.
    estimate : {"log-rank", "cox"}
        What the likelihood of a randomised trial without borrowing is made of.

    Raises
    ------
    TrialError
        When a single arm borrows, which would be held against the same cohort, or borrowing has no benchmark.
    """

    adjust: tuple[str, ...] = ("site", "risk_group")
    treatment: NormalPrior | None = None
    benchmark: Comparator | None = None
    borrowing: Borrows | None = None
    borrow_to: Literal["experimental", "control"] = "experimental"
    history: Comparator | None = None
    randomised: bool = True
    estimate: Literal["log-rank", "cox"] = "log-rank"

    def __post_init__(self) -> None:
        if self.borrow_to not in ("experimental", "control"):
            raise TrialError(f"borrow_to is {self.borrow_to!r}; it can be 'experimental' or 'control'.")
        if self.estimate not in ("log-rank", "cox"):
            raise TrialError(f"estimate is {self.estimate!r}; it can be 'log-rank' or 'cox'.")
        if self.borrowing is not None and not self.randomised:
            raise TrialError("A single arm cannot borrow the cohort that it is held against. Leave out the borrowing.")
        if self.borrowing is not None and self.history is None and self.benchmark is None:
            raise TrialError(
                "An arm that borrows needs the cohort as history or benchmark. Give it, or leave out the borrowing."
            )

    @property
    def name(self) -> str:
        """Name in files and tables."""
        return "conjugate"

    def analyse(self, seen: Snapshot, criteria: Sequence[Criterion], /, *, seed: int = 0, look: int = 0) -> Analysed:
        """Analyse trials at one look; ``seed`` and ``look`` have no influence.

        A trial is NOT_ESTIMABLE where the data say nothing of a statement, whatever the prior: no event with both arms at
        risk in one stratum; an arm without events where it is alone, in a trial that borrows, or in one fitted by Cox; no
        events before the time asked for, or a time beyond the last that was observed.

        Raises
        ------
        TrialError
            When a criterion is about a group that the trial does not have, or needs a benchmark and there is none.
        """
        ordered = Ordered.of(seen.time, seen.event)
        known: dict[str, LogHazardRatio] = {}

        def answer(criterion: Criterion) -> Answer:
            if criterion.estimand != "hazard_ratio":
                return curve_answer(seen, ordered, criterion=criterion, benchmark=self.benchmark)
            if criterion.group not in known:
                known[criterion.group] = self.log_hazard_ratio(seen, ordered, group=criterion.group)
            posterior = known[criterion.group]
            below = posterior.probability_below(float(np.log(criterion.bound)))
            return Answer(below if criterion.wants_less else 1 - below, posterior.mean, posterior.sd, posterior.more)

        return assembled(seen, criteria, answer=answer)

    def log_hazard_ratio(self, seen: Snapshot, ordered: Ordered, /, *, group: str = ALL) -> LogHazardRatio:
        """Return the posteriors of the log hazard ratio.

        Parameters
        ----------
        seen : Snapshot
            M trials.
        ordered : Ordered
            Their patients by time.
        group : str
            Risk group; by default everybody.
        """
        if self.borrowing is not None:
            return self._borrowed(seen, group, borrowing=self.borrowing)
        if self.randomised and self.estimate == "cox":
            adjust = self.adjust if group == ALL else tuple(item for item in self.adjust if item != "risk_group")
            estimate, se = cox_log_hazard_ratio(seen, adjust=adjust, include=members(seen, group))
            flat = _normal(estimate, se, more={"information": np.nan_to_num(se**-2.0)})
        elif self.randomised:
            arms = compare_arms(seen, ordered, adjust=self.adjust, include=members(seen, group))
            flat = _normal(arms.log_hazard_ratio, arms.standard_error, more=arms.more)
        else:
            arm = against_benchmark(seen, self.benchmark, group=group)
            flat = _normal(arm.log_hazard_ratio, arm.standard_error, more=arm.more)
        return flat.under(self.treatment)

    def _borrowed(self, seen: Snapshot, group: str, /, *, borrowing: Borrows) -> LogHazardRatio:
        """Return the posterior where one arm has a mixture posterior and the other a flat prior, then the treatment prior.

        With the borrowing arm's log hazard psi and the log hazard ratio delta independent a priori this is exact: the other
        arm's log hazard is a shift of psi by delta, so that a flat prior of it times the prior of delta is their joint prior.
        """
        cohort = self.benchmark if self.history is None else self.history
        estimates, se = arm_log_hazards(seen, cohort, group=group)
        to, other, sign = (EXPERIMENTAL, CONTROL, 1.0) if self.borrow_to == "experimental" else (CONTROL, EXPERIMENTAL, -1.0)
        arm = borrowing.posterior(estimates[:, to], se[:, to])
        information = np.nan_to_num((se**2).sum(axis=1) ** -1.0)
        events = {
            "observed": members(seen, group, arm=1) & seen.event,
            "observed_control": members(seen, group, arm=0) & seen.event,
        }
        more = {"information": information} | {name: mask.sum(axis=1).astype(np.float64) for name, mask in events.items()}
        difference = sign * (arm.means - estimates[:, other, None])
        return LogHazardRatio(arm.weights, difference, np.hypot(arm.sds, se[:, other, None]), more).under(self.treatment)


def _normal(estimate: Floats, se: Floats, /, *, more: dict[str, Floats]) -> LogHazardRatio:
    return LogHazardRatio(np.ones((estimate.size, 1)), estimate[:, None], se[:, None], more)
