"""An effect that is estimated with a normal error and has a normal prior: what rules are made of on this level.

For a log hazard ratio the information is the inverse of the squared standard error of its estimate: a quarter of the events
with equal arms (Schoenfeld 1981, Biometrika 68:316). Of one arm's log hazard under an exponential model it is the events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from sitewise.problems import TrialError
from sitewise.records import Record, positive, tidied

Floats = NDArray[np.float64]
Benefit = Literal["less", "greater"]
"""Whether an effect below the margin is a benefit (a log hazard ratio, a log hazard), or one above it."""


@dataclass(frozen=True)
class NormalPrior(Record):
    """A normal prior of the effect.

    Parameters
    ----------
    mean, sd : float
        On the scale of the effect: of a log hazard ratio, not of the hazard ratio.
    """

    mean: float
    """Mean, on the scale of the effect."""
    sd: float
    """Standard deviation; positive."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The normal prior")
        positive(problems, sd=self.sd)
        problems.raise_if_any(TrialError, "The normal prior")

    def updated(self, estimate: float, /, *, information: float) -> NormalPrior:
        """Return the posterior after an estimate (Spiegelhalter, Abrams & Myles 2004, section 3.6.2)."""
        if not 0 <= information < np.inf:
            raise TrialError(f"Information must be a number that is not negative; it is {information:g}.")
        precision = self.sd**-2 + information
        return NormalPrior((self.mean * self.sd**-2 + estimate * information) / precision, precision**-0.5)


@dataclass(frozen=True)
class PosteriorRule(Record):
    """Success when the posterior probability of a benefit beyond the margin is above a threshold.

    Parameters
    ----------
    threshold : float
        Between 0 and 1.
    prior : NormalPrior, optional
        The analysis prior; flat when absent.
    margin : float
        Effect that has to be beaten, on the scale of the effect: the log of a hazard ratio.
    """

    threshold: float
    """Posterior probability above which the trial succeeds."""
    prior: NormalPrior | None = None
    """Analysis prior; flat when absent."""
    margin: float = 0.0
    """Effect that has to be beaten, on the scale of the effect."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The rule")
        if not 0 < self.threshold < 1:
            problems.add("threshold", f"must lie between 0 and 1; it is {self.threshold:g}")
        problems.raise_if_any(TrialError, "The rule")

    def z_bound(self, information: ArrayLike, /, *, benefit: Benefit = "less") -> Floats:
        """Return the z statistic against the margin, benefit counted positive, above which the rule holds, (...).

        With precision P = 1 / sd^2 + I the posterior probability of d > 0 is Phi((m / sd^2 + z sqrt(I)) / sqrt(P)), m and d
        counted from the margin, so that the bound is (z(threshold) sqrt(P) - m / sd^2) / sqrt(I) (Zhou & Ji 2024, New England
        Journal of Statistics in Data Science 2:136).
        """
        information, sign = positive_information(information), sign_of(benefit)
        quantile = float(ndtri(self.threshold))
        if self.prior is None:
            return np.full(information.shape, quantile)
        weight = self.prior.sd**-2
        ahead = sign * (self.prior.mean - self.margin)
        return np.asarray((quantile * np.sqrt(weight + information) - ahead * weight) / np.sqrt(information))


@dataclass(frozen=True)
class ZRule(Record):
    """Success when the z statistic against the margin is above a bound.

    Parameters
    ----------
    bound : float
        One-sided: 1.96 for an alpha of 0.025.
    margin : float
        Effect under the null hypothesis, on the scale of the effect.
    """

    bound: float
    """One-sided bound of z, benefit counted positive."""
    margin: float = 0.0
    """Effect under the null hypothesis, on the scale of the effect."""

    def __post_init__(self) -> None:
        tidied(self, TrialError, "The rule").raise_if_any(TrialError, "The rule")

    def z_bound(self, information: ArrayLike, /, *, benefit: Benefit = "less") -> Floats:
        """Return the bound at each information, (...)."""
        sign_of(benefit)
        return np.full(positive_information(information).shape, self.bound)


def sign_of(benefit: Benefit) -> float:
    """Return what turns an effect into a benefit: -1 or 1."""
    if benefit not in ("less", "greater"):
        raise TrialError(f"benefit is {benefit!r}. It can be 'less' or 'greater'.")
    return 1.0 if benefit == "greater" else -1.0


def positive_information(information: ArrayLike) -> Floats:
    """Return information as numbers; what is not positive is refused, what is missing stays so."""
    values = np.asarray(information, dtype=float)
    if np.any(values <= 0) or np.any(np.isinf(values)):
        raise TrialError("Information must be positive and finite: an analysis without an event has none.")
    return values


def log_hazard_ratio_information(events: ArrayLike, /, *, allocation: float = 1.0) -> Floats:
    """Return the information about a log hazard ratio: events r / (1 + r)^2 (Schoenfeld 1981, Biometrika 68:316).

    Parameters
    ----------
    events : array-like, shape (...)
        Events of both arms together.
    allocation : float
        Patients of one arm to one of the other, r.
    """
    if not 0 < allocation < np.inf:
        raise TrialError(f"The allocation ratio must be a positive number; it is {allocation:g}.")
    counts = np.asarray(events, dtype=float)
    if np.any(counts < 0):
        raise TrialError("Events cannot be negative.")
    return cast(Floats, np.asarray(counts * allocation / (1 + allocation) ** 2))
