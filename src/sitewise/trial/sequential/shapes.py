"""How the thresholds of a posterior probability go over the looks of a trial, with one number left to calibrate.

Each shape turns its number, the ``scalar``, into a threshold for each look, rising with the scalar; and it turns a posterior
probability at a look into the scalar at which it would just be the threshold. A trial succeeds at some look if and only if the
largest of those is above the scalar, which makes calibration a matter of order statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sitewise.problems import TrialError
from sitewise.records import Record, positive, tidied
from sitewise.trial.sequential.spending import (
    GammaSpending,
    OBrienFlemingSpending,
    PocockSpending,
    PowerSpending,
    StatedSpending,
)

Floats = NDArray[np.float64]


@runtime_checkable
class ThresholdShape(Protocol):
    """Thresholds over looks with one free number."""

    def thresholds(self, scalar: float, fractions: Floats, /) -> Floats:
        """Return the threshold of each look, (L,), between 0 and 1; ``fractions`` are those of information, (L,)."""
        ...

    def scalars(self, probability: Floats, fractions: Floats, /) -> Floats:
        """Return the scalar at which each probability, (..., L), is the threshold of its look."""
        ...


@dataclass(frozen=True)
class ConstantThreshold(Record):
    """The same threshold at every look; the scalar is the threshold."""

    def thresholds(self, scalar: float, fractions: Floats, /) -> Floats:
        """Return the scalar at every look."""
        return np.full(fractions.shape, min(max(scalar, 0.0), 1.0))

    def scalars(self, probability: Floats, fractions: Floats, /) -> Floats:
        """Return the probabilities."""
        return np.asarray(probability, dtype=float)


@dataclass(frozen=True)
class WangTsiatisThreshold(Record):
    """Thresholds Phi(C t^(exponent - 1/2)): of a flat prior they are the bounds of Wang & Tsiatis 1987 (Biometrics 43:193).

    Parameters
    ----------
    exponent : float
        0 as O'Brien & Fleming, 1/2 as Pocock: constant.
    """

    exponent: float = 0.0
    """0 for thresholds like O'Brien and Fleming's, 1/2 for constant ones."""

    def __post_init__(self) -> None:
        tidied(self, TrialError, "The thresholds").raise_if_any(TrialError, "The thresholds")

    def thresholds(self, scalar: float, fractions: Floats, /) -> Floats:
        """Return Phi(scalar t^(exponent - 1/2))."""
        return np.asarray(ndtr(scalar * fractions ** (self.exponent - 0.5)))

    def scalars(self, probability: Floats, fractions: Floats, /) -> Floats:
        """Return Phi^-1(probability) t^(1/2 - exponent)."""
        return np.asarray(ndtri(probability) * fractions ** (0.5 - self.exponent))


@dataclass(frozen=True)
class PowerThreshold(Record):
    """Thresholds 1 - lambda t^exponent, falling over the looks (Zhou, Lee & Yuan 2017, Statistics in Medicine 36:3302).

    Parameters
    ----------
    exponent : float
        Positive; 0 would be constant.
    """

    exponent: float = 1.0
    """Power of the information fraction by which the room below 1 grows."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The thresholds")
        positive(problems, exponent=self.exponent)
        problems.raise_if_any(TrialError, "The thresholds")

    def thresholds(self, scalar: float, fractions: Floats, /) -> Floats:
        """Return 1 - lambda t^exponent with lambda = -scalar."""
        return _below_one(scalar, fractions**self.exponent)

    def scalars(self, probability: Floats, fractions: Floats, /) -> Floats:
        """Return -(1 - probability) / t^exponent."""
        return np.asarray(-(1.0 - probability) / fractions**self.exponent)


@dataclass(frozen=True)
class SpentThreshold(Record):
    """Thresholds 1 - lambda s(t) with s the share of an error that a spending function has spent.

    Parameters
    ----------
    spending : record
        A spending function.
    total : float
        Error whose spending gives the shares; O'Brien-Fleming-like shares depend on it.
    """

    spending: OBrienFlemingSpending | PocockSpending | PowerSpending | GammaSpending | StatedSpending = field(
        default_factory=OBrienFlemingSpending
    )
    """Spending function that gives the shares."""
    total: float = 0.025
    """Error whose spending gives the shares."""

    def __post_init__(self) -> None:
        if not 0 < self.total < 1:
            raise TrialError(f"The error to be spent must lie between 0 and 1; it is {self.total:g}.")

    def _shares(self, fractions: Floats) -> Floats:
        shares = self.spending.cumulative(fractions, total=self.total) / self.total
        if not np.all(shares > 0):
            raise TrialError("A look at which nothing has been spent has no threshold of this shape: leave it out of `looks`.")
        return np.asarray(shares)

    def thresholds(self, scalar: float, fractions: Floats, /) -> Floats:
        """Return 1 - lambda s(t) with lambda = -scalar."""
        return _below_one(scalar, self._shares(fractions))

    def scalars(self, probability: Floats, fractions: Floats, /) -> Floats:
        """Return -(1 - probability) / s(t)."""
        return np.asarray(-(1.0 - probability) / self._shares(fractions))


def _below_one(scalar: float, room: Floats) -> Floats:
    return np.asarray(np.clip(1.0 + scalar * room, 0.0, 1.0))
