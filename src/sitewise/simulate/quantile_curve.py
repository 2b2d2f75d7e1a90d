"""A distribution known by some of its quantiles: a monotone curve through them over normal scores.

Between the points the value is a shape-preserving cubic function (Fritsch & Carlson 1980, SIAM J Numer Anal 17:238) of the
normal score of the share, so that a normal distribution is a straight line; beyond the first and the last point it stays
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEPS = 4001


@dataclass(frozen=True)
class QuantileCurve:
    """The curve through some quantiles.

    Parameters
    ----------
    points : tuple of (float, float)
        Shares inside (0, 1) and the values below which they lie, both increasing.
    """

    points: tuple[tuple[float, float], ...]

    @cached_property
    def _curve(self) -> Any:
        from scipy.interpolate import PchipInterpolator
        from scipy.special import ndtri

        shares, values = (np.array(column) for column in zip(*self.points, strict=True))
        return PchipInterpolator(ndtri(shares), values)

    def of_scores(self, score: Floats) -> Floats:
        """Return values at normal scores, of the same shape."""
        return np.asarray(self._curve(np.clip(score, self._curve.x[0], self._curve.x[-1])))

    def quantile(self, share: Floats) -> Floats:
        """Return the values below which the given shares lie, of the same shape."""
        from scipy.special import ndtri

        return self.of_scores(np.asarray(ndtri(share), dtype=float))

    def share_below(self, value: float) -> float:
        """Return the share below a value."""
        from scipy.special import ndtr

        if value <= self.points[0][1]:
            return 0.0
        if value > self.points[-1][1]:
            return 1.0
        scores = np.linspace(self._curve.x[0], self._curve.x[-1], STEPS)
        return float(ndtr(np.interp(value, self._curve(scores), scores)))
