"""Integrals over pieces on which the integrand is smooth."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from scipy.integrate import quad

from sitewise.problems import TrialError

RELATIVE_ERROR = 1e-10
WORST_RELATIVE_ERROR = 1e-8
"""What is accepted: two digits better than the 1e-6 to which the integrals of trial design are promised."""
NOTHING = 1e-11
"""Patients or events that do not matter: what an integral that is 0, or cancels to 0, may be wrong by."""


def integral(function: Callable[[float], float], end: float, *, breaks: Iterable[float] = ()) -> float:
    """Return the integral of ``function`` from 0 to ``end``, piece by piece between ``breaks``.

    Parameters
    ----------
    function : callable
        Integrand of one number.
    end : float
        Upper limit, 0 or more.
    breaks : iterable of float
        Points where the integrand or its slope jumps; those outside (0, end) do not matter.

    Raises
    ------
    TrialError
        When the integral is not known to eight digits (or, near 0, to 1e-10).
    """
    edges = [0.0, *sorted({float(point) for point in breaks if 0 < point < end}), float(end)]
    total, doubt = 0.0, 0.0
    for lower, upper in pairwise(edges):
        if upper > lower:
            # With the full output scipy reports trouble by the error that it returns, which is looked at below.
            value, error, *_ = quad(function, lower, upper, epsabs=NOTHING, epsrel=RELATIVE_ERROR, limit=200, full_output=1)
            total, doubt = total + value, doubt + error
    if not doubt <= max(WORST_RELATIVE_ERROR * abs(total), 10 * NOTHING):
        raise TrialError(
            f"An integral up to {end:g} came out as {total:g} with a possible error of {doubt:g}, which is too much. "
            "Look at the hazards: a jump should be a boundary of a piece."
        )
    return total
