"""Times at which survival is summed to its area: Gauss-Legendre nodes in a power of time."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

Array = Any

NODES = 256
SMOOTH = 4.0
"""Time is integrated as a power of a variable in which even the steepest start of a curve is this smooth."""


@cache
def legendre(nodes: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes in (0, 1) and weights of Gauss-Legendre quadrature; made when first needed, which can take half a second."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return 0.5 * (places + 1), 0.5 * weights


def power_nodes(horizon: Array, power: Array) -> tuple[Array, Array]:
    """Return log times and weights, (..., Q), of the integral to ``horizon`` of what is smooth in time to the 1 / ``power``."""
    share, weights = legendre()
    exponent = np.asarray(power, dtype=float)[..., None]
    until = np.asarray(horizon, dtype=float)[..., None]
    return np.log(until) + exponent * np.log(share), until * weights * exponent * share ** (exponent - 1)
