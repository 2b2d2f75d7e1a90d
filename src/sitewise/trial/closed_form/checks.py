"""Checks of the numbers that a formula is given; each returns the number or says what is wrong with it."""

from __future__ import annotations

import math

from sitewise.problems import TrialError


def finite(name: str, value: float) -> float:
    """Return ``value`` if it is a finite number."""
    number = float(value)
    if not math.isfinite(number):
        raise TrialError(f"{name} is {value}. Give a finite number.")
    return number


def positive(name: str, value: float) -> float:
    """Return ``value`` if it is above zero and finite."""
    if finite(name, value) <= 0:
        raise TrialError(f"{name} is {value}. Give a number above 0.")
    return float(value)


def not_negative(name: str, value: float) -> float:
    """Return ``value`` if it is zero or more and finite."""
    if finite(name, value) < 0:
        raise TrialError(f"{name} is {value}. Give 0 or more.")
    return float(value)


def longest(name: str, value: float) -> float:
    """Return ``value`` if it is above zero; infinity means that there is no limit."""
    if math.isnan(value) or value <= 0:
        raise TrialError(f"{name} is {value}. Give a number above 0, or math.inf for no limit.")
    return float(value)


def probability(name: str, value: float) -> float:
    """Return ``value`` if it lies strictly between 0 and 1."""
    if not 0 < float(value) < 1:
        raise TrialError(f"{name} is {value}. Give a number between 0 and 1, neither of them included.")
    return float(value)


def level(alpha: float) -> float:
    """Return a one-sided significance level; one half and more is refused, since such a test favours its own claim."""
    if not 0 < float(alpha) < 0.5:
        raise TrialError(f"alpha is {alpha}. Give the one-sided level, between 0 and 0.5 (for a two-sided test its half).")
    return float(alpha)
