"""Where averaged survival curves reach a level, for all draws and groups at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEPS, CLOSE = 100, 1e-8
"""Most steps; a Newton step this short in log time is followed by one of the order of its square."""
LONGEST, LAST = 20.0, 700.0
"""Longest Newton step, and the log time beyond which a level counts as never reached."""


def solve(curve: Callable[[Floats], tuple[Floats, Floats]], level: float, start: Floats) -> Floats:
    """Return log times at which survival is ``level``; infinite where it never is.

    Newton steps for log(-log S), which is nearly straight in log time, with bisection where a step leaves the bracket, and
    longer and longer steps outwards until there is one.

    Parameters
    ----------
    curve : callable
        Gives survival and -dS / d log t at log times of the shape of ``start``.
    level : float
        In (0, 1).
    start : ndarray
        Log times to begin with.
    """
    aim = np.log(-np.log(level))
    point, low, high = start, np.full_like(start, -np.inf), np.full_like(start, np.inf)
    outward = np.ones_like(start)
    for _ in range(STEPS):
        survival, falling = curve(point)
        above = survival > level
        low, high = np.where(above, point, low), np.where(above, high, point)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            hazard = -np.log(survival)
            newton = point + (aim - np.log(hazard)) * survival * hazard / falling
            middle = 0.5 * (low + high)
        good = np.isfinite(newton) & (newton >= low) & (newton <= high) & (np.abs(newton - point) <= LONGEST)
        beyond = np.where(above, point + outward, point - outward)
        following = np.where(good, newton, np.where(np.isfinite(middle), middle, beyond))
        outward = np.where(good, outward, 2 * outward)
        moved, point = np.abs(following - point), np.minimum(following, LAST)
        if ((moved < CLOSE) | (point >= LAST)).all():
            break
    return np.where(point >= LAST, np.inf, point)
