"""Spending functions: how much of an error has been spent when a share of the information has been seen.

All are one-sided: ``total`` is the error of one bound. The same functions spend alpha on efficacy and beta on futility.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from sitewise.problems import TrialError
from sitewise.records import Record, positive, tidied

Floats = NDArray[np.float64]
E_LESS_ONE = float(np.expm1(1.0))


@runtime_checkable
class Spending(Protocol):
    """Anything that says how much of an error is spent by an information fraction."""

    def cumulative(self, fraction: ArrayLike, /, *, total: float) -> Floats:
        """Return what is spent up to each information fraction."""
        ...


def _shares(fraction: ArrayLike, total: float) -> Floats:
    """Return fractions as numbers; beyond the planned information nothing more is spent."""
    shares = np.asarray(fraction, dtype=float)
    if not np.all(shares > 0):
        raise TrialError("Information fractions must be positive numbers.")
    if not 0 < total < 1:
        raise TrialError(f"The error to be spent must lie between 0 and 1; it is {total:g}.")
    return cast(Floats, np.minimum(shares, 1.0))


@dataclass(frozen=True)
class OBrienFlemingSpending(Record):
    """Spending that approximates O'Brien & Fleming bounds: 2 - 2 Phi(z(total / 2) / sqrt(t)).

    Lan & DeMets 1983 (Biometrika 70:659), in the one-sided form in which each bound spends its own error.
    """

    def cumulative(self, fraction: ArrayLike, /, *, total: float) -> Floats:
        """Return what is spent up to each information fraction, in (0, total]."""
        shares = _shares(fraction, total)
        return np.asarray(2 * ndtr(ndtri(total / 2) / np.sqrt(shares)))


@dataclass(frozen=True)
class PocockSpending(Record):
    """Spending that approximates Pocock bounds: total log(1 + (e - 1) t) (Lan & DeMets 1983, Biometrika 70:659)."""

    def cumulative(self, fraction: ArrayLike, /, *, total: float) -> Floats:
        """Return what is spent up to each information fraction, in (0, total]."""
        return np.asarray(total * np.log1p(E_LESS_ONE * _shares(fraction, total)))


@dataclass(frozen=True)
class PowerSpending(Record):
    """Spending by a power of the information fraction: total t^exponent (Kim & DeMets 1987, Biometrika 74:149).

    Parameters
    ----------
    exponent : float
        Positive; 1 spends evenly, 3 is close to O'Brien & Fleming.
    """

    exponent: float = 3.0
    """Power of the information fraction: 1 spends evenly, 3 is close to O'Brien and Fleming."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The power spending function")
        positive(problems, exponent=self.exponent)
        problems.raise_if_any(TrialError, "The power spending function")

    def cumulative(self, fraction: ArrayLike, /, *, total: float) -> Floats:
        """Return what is spent up to each information fraction, in (0, total]."""
        return np.asarray(total * _shares(fraction, total) ** self.exponent)


@dataclass(frozen=True)
class GammaSpending(Record):
    """Spending of one parameter: total (1 - exp(-gamma t)) / (1 - exp(-gamma)); evenly when gamma is 0.

    Hwang, Shih & De Cani 1990 (Statistics in Medicine 9:1439).

    Parameters
    ----------
    gamma : float
        Any number: -4 is close to O'Brien & Fleming, 1 to Pocock.
    """

    gamma: float = -4.0
    """Shape: -4 is close to O'Brien and Fleming, 1 to Pocock, 0 spends evenly."""

    def __post_init__(self) -> None:
        tidied(self, TrialError, "The gamma spending function").raise_if_any(TrialError, "The gamma spending function")

    def cumulative(self, fraction: ArrayLike, /, *, total: float) -> Floats:
        """Return what is spent up to each information fraction, in (0, total]."""
        shares = _shares(fraction, total)
        if self.gamma == 0:
            return np.asarray(total * shares)
        # Both differences are written so that neither overflows, whatever the sign of gamma.
        if self.gamma > 0:
            return np.asarray(total * np.expm1(-self.gamma * shares) / np.expm1(-self.gamma))
        grown = np.exp(-self.gamma * (shares - 1.0)) - np.exp(self.gamma)
        return np.asarray(total * grown / -np.expm1(self.gamma))


@dataclass(frozen=True)
class StatedSpending(Record):
    """What is spent up to each look, stated look by look.

    Parameters
    ----------
    spent : tuple of float
        Cumulative error at each look: not falling, between 0 and 1. The last is the error of the whole trial. A look at which
        nothing is added has no bound.
    """

    spent: tuple[float, ...]
    """Cumulative error at each look; the last is the error of the whole trial."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The stated spending")
        values = np.array((0.0, *self.spent))
        if not self.spent:
            problems.add("spent", "is empty", "State the cumulative error of each look.")
        elif np.any(np.diff(values) < 0):
            problems.add("spent", f"falls: {list(self.spent)}", "It is cumulative: each look at least the one before.")
        elif not 0 < values[-1] < 1:
            problems.add("spent", f"must end between 0 and 1; it ends at {values[-1]:g}")
        problems.raise_if_any(TrialError, "The stated spending")

    def cumulative(self, fraction: ArrayLike, /, *, total: float) -> Floats:
        """Return the stated errors; there must be one to each fraction, and the last must be ``total``."""
        shares = _shares(fraction, total)
        if shares.shape != (len(self.spent),):
            raise TrialError(
                f"The stated spending has {len(self.spent)} looks and the design {shares.size}. State one error for each look."
            )
        if not np.isclose(self.spent[-1], total, rtol=1e-9, atol=0):
            raise TrialError(
                f"The stated spending ends at {self.spent[-1]:g}, but the error of the bound is {total:g}. Make them equal."
            )
        return np.array(self.spent)
