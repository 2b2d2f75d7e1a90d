"""Intervals of numbers, and the interval that a printed number stands for.

A number printed with d decimals stands for every number that rounds to it: x - 0.5 10^-d to x + 0.5 10^-d. Functions of
intervals return an interval that holds every value the function can take (Moore, Interval Analysis, 1966); it can be wider than
need be where one number enters twice, never narrower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sitewise.evidence.checks_shared import SLACK


@dataclass(frozen=True)
class Interval:
    """All numbers from ``lower`` to ``upper``."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            raise ValueError(f"An interval goes from the smaller to the larger number; it is {self.lower} to {self.upper}.")

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.lower + other.lower, self.upper + other.upper)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.lower - other.upper, self.upper - other.lower)

    def __mul__(self, other: Interval) -> Interval:
        products = [a * b for a in (self.lower, self.upper) for b in (other.lower, other.upper)]
        return Interval(min(products), max(products))

    def scaled(self, factor: float) -> Interval:
        """Return the interval times a number."""
        return self * Interval(factor, factor)

    def inverse(self) -> Interval:
        """Return one over an interval of positive numbers; one over zero is infinite."""
        if self.lower < 0 or self.upper == 0:
            raise ValueError(f"The inverse needs positive numbers; the interval is {self.lower} to {self.upper}.")
        return Interval(1 / self.upper, 1 / self.lower if self.lower > 0 else math.inf)

    def log(self) -> Interval:
        """Return the logarithm; what is zero or below has none, and counts as minus infinity."""
        return Interval(*(math.log(value) if value > 0 else -math.inf for value in (self.lower, self.upper)))

    def exp(self) -> Interval:
        """Return the exponential."""
        return Interval(math.exp(self.lower), math.exp(self.upper))

    def root(self) -> Interval:
        """Return the square root; of what is below zero, that of zero."""
        return Interval(math.sqrt(max(self.lower, 0.0)), math.sqrt(max(self.upper, 0.0)))

    def square(self) -> Interval:
        """Return the square."""
        ends = (self.lower**2, self.upper**2)
        return Interval(0.0 if self.lower <= 0 <= self.upper else min(ends), max(ends))

    def holds(self, value: float) -> bool:
        """Return whether a number is inside, but for the rounding of the arithmetic."""
        return self.lower - SLACK <= value <= self.upper + SLACK

    def meets(self, other: Interval) -> bool:
        """Return whether some number is in both."""
        return self.lower <= other.upper + SLACK and other.lower <= self.upper + SLACK

    def below(self, other: Interval) -> bool:
        """Return whether every number is below every number of the other."""
        return self.upper < other.lower - SLACK


def printed(value: float, digits: int) -> Interval:
    """Return the numbers that are printed as ``value`` with ``digits`` decimals."""
    half = 0.5 * 10.0**-digits
    return Interval(value - half, value + half)
