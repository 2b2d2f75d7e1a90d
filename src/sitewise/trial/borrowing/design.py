"""A two-armed trial of which one arm borrows, in numbers of events, and how often it succeeds: exactly, by quadrature.

Scale and drift. Log hazards are measured from the truth of the trial's borrowing arm, which therefore stays at 0. The drift
is how far that arm lies above the cohort (log hazard ratio of the trial's arm against the cohort; 0 is the same), so a sweep
of the drift moves the *cohort* to minus the drift and leaves the trial alone: an analysis that does not use the cohort cannot
change. To move the trial and keep the cohort at 0 is the same, seen from the cohort, if vague parts of priors move too. The
cohort's estimate is taken as it stands: the drift is against what was observed, sampling error of the cohort included.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from sitewise.problems import Problems, TrialError
from sitewise.records import Record, positive, tidied
from sitewise.trial.borrowing.methods import Borrowing
from sitewise.trial.borrowing.mixture import Floats, Mixture, difference
from sitewise.trial.borrowing.priors import borrowed

ESTIMATES = 161
"""Values of the borrowing arm's estimate at which trials are analysed."""
REACH = 8.5
"""Standard errors from the truth beyond which no estimate falls."""


@dataclass(frozen=True)
class BorrowingDesign(Record):
    """Events of a trial with an experimental and a control arm, and the cohort that one of them borrows."""

    borrowed_arm: Literal["experimental", "control"]
    """The arm that the cohort describes."""
    borrowed_events: float
    """Events of that arm in the trial."""
    other_events: float
    """Events of the other arm."""
    historical_events: float
    """Events of the cohort: 1 / variance of its log hazard."""
    threshold: float = 0.975
    """The trial succeeds when the posterior probability of a hazard ratio below 1 is above it."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The borrowing design")
        positive(
            problems,
            borrowed_events=self.borrowed_events,
            other_events=self.other_events,
            historical_events=self.historical_events,
        )
        check_inside(problems, threshold=self.threshold)
        problems.raise_if_any(TrialError, "The borrowing design")

    @classmethod
    def allocated(
        cls,
        borrowed_arm: Literal["experimental", "control"],
        /,
        *,
        events: float,
        allocation: float,
        historical_events: float,
        threshold: float = 0.975,
    ) -> Self:
        """Return the design of a number of events of both arms together.

        Parameters
        ----------
        borrowed_arm : {"experimental", "control"}
            The arm that the cohort describes.
        events : float
            Events of both arms, split as the patients are: what equal hazards make of them (Schoenfeld 1981).
        allocation : float
            Patients of the experimental arm for one of the control arm.
        historical_events, threshold : float
            As in the design.
        """
        problems = Problems()
        positive(problems, events=events, allocation=allocation)
        problems.raise_if_any(TrialError, "The borrowing design")
        experimental = events * allocation / (1 + allocation)
        ours, theirs = experimental, events - experimental
        if borrowed_arm == "control":
            ours, theirs = theirs, ours
        return cls(borrowed_arm, ours, theirs, historical_events, threshold)


@dataclass(frozen=True, eq=False)
class Analysed:
    """Every trial that a design can give, at each drift, analysed by one way of borrowing.

    Parameters
    ----------
    design : BorrowingDesign
        What is analysed.
    posterior : Mixture
        Posteriors of the borrowing arm's log hazard, drifts by ``ESTIMATES`` estimates.
    weights : ndarray, shape (ESTIMATES,)
        Probability of each estimate.
    drifts : int
        Number of drifts.
    """

    design: BorrowingDesign
    posterior: Mixture
    weights: Floats
    drifts: int

    @classmethod
    def of(cls, design: BorrowingDesign, method: Borrowing, /, *, drift: ArrayLike) -> Self:
        """Analyse the trials of a design at drifts, a number or shape (D,)."""
        shifts = np.atleast_1d(np.asarray(drift, dtype=float))
        if shifts.ndim != 1 or not np.isfinite(shifts).all():
            raise TrialError("drift must be finite numbers in one list.")
        z = np.linspace(-REACH, REACH, ESTIMATES)
        # The trapezoidal rule converges geometrically for integrands that are smooth and die out at both ends.
        weights = np.exp(-0.5 * z * z)
        posterior = borrowed(
            method,
            estimate=np.tile(z * design.borrowed_events**-0.5, len(shifts)),
            se=design.borrowed_events**-0.5,
            historical_mean=np.repeat(-shifts, ESTIMATES),
            historical_sd=design.historical_events**-0.5,
        )
        return cls(design, posterior, weights / weights.sum(), len(shifts))

    @property
    def other_se(self) -> float:
        """Standard error of the other arm's log hazard."""
        return float(self.design.other_events**-0.5)

    @cached_property
    def with_other(self) -> Mixture:
        """Posterior of the borrowing arm's log hazard against another arm whose estimate is 0."""
        return difference(self.posterior, estimate=0.0, se=self.other_se)

    def expected(self, values: Floats, /) -> Floats:
        """Return the means over trials, shape (D,), of a quantity of each posterior."""
        # Not a matrix product, whose rounding differs from row to row: what does not move with drift must not, to the last bit.
        return np.asarray((values.reshape(self.drifts, ESTIMATES) * self.weights).sum(axis=1))

    def success(self, hazard_ratio: ArrayLike, /, *, threshold: float) -> Floats:
        """Return the probability of success at each drift and hazard ratio, shape (D, H).

        Given the borrowing arm's estimate, success is the other arm's estimate beyond a boundary: a quantile of the
        borrowing arm's posterior widened by the other arm's standard error. So one integral, over the former, is left.
        """
        ratios = np.atleast_1d(np.asarray(hazard_ratio, dtype=float))
        if not np.all((ratios > 0) & np.isfinite(ratios)):
            raise TrialError("hazard_ratio must be positive.")
        problems = Problems()
        check_inside(problems, threshold=threshold)
        problems.raise_if_any(TrialError, "The decision")
        experimental = self.design.borrowed_arm == "experimental"
        boundary = self.with_other.quantile(threshold if experimental else 1 - threshold)
        # The other arm's truth: the borrowing arm is at 0.
        truth = -np.log(ratios) if experimental else np.log(ratios)
        beyond = (truth - boundary[:, None]) / self.other_se
        chances = ndtr(beyond if experimental else -beyond)
        return np.stack([self.expected(column) for column in chances.T], axis=1)


def success_probability(
    design: BorrowingDesign,
    method: Borrowing,
    /,
    *,
    drift: ArrayLike,
    hazard_ratio: ArrayLike,
    threshold: float | None = None,
) -> Floats:
    """Return how often a design succeeds: power, or the type I error at hazard ratio 1.

    Parameters
    ----------
    design : BorrowingDesign
        Events and threshold.
    method : Borrowing
        How the cohort is used.
    drift : array-like, a number or shape (D,)
        Log hazard ratio of the trial's borrowing arm against the cohort.
    hazard_ratio : array-like, a number or shape (H,)
        True hazard ratio of the experimental arm against the control arm.
    threshold : float, optional
        In place of the design's.

    Returns
    -------
    ndarray, shape (D, H)
        Exact for normal estimates: a quadrature, not a simulation.
    """
    threshold = design.threshold if threshold is None else threshold
    return Analysed.of(design, method, drift=drift).success(hazard_ratio, threshold=threshold)


def check_inside(problems: Problems, **values: float) -> None:
    """Note every value that is not inside (0, 1)."""
    for name, value in values.items():
        if not 0 < value < 1:
            problems.add(name, f"must be inside (0, 1); it is {value:g}")
