"""Recursive numerical integration over the looks of a trial.

Z of look k given Z of look k - 1 is normal with known mean and variance, so the density of Z among the trials that go on is an
integral over that of the look before (Armitage, McPherson & Rowe 1969, JRSS A 132:235; Jennison & Turnbull 2000, Group
Sequential Methods, chapter 19). The integral is taken here by Gauss-Legendre panels that are narrow against every normal
density in it, so that its error is that of rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from sitewise.problems import TrialError
from sitewise.trial.sequential.recursion_kernels import (
    MOST_PANELS,
    POINTS,
    REACH,
    WEIGHTS,
    panels_between,
    step,
    upper_quantile,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Continuation:
    """The z statistic among the trials that have stopped at no look so far.

    Parameters
    ----------
    information : float
        Of the last look; 0 before the first.
    nodes : ndarray, shape (Q,)
        Values of z.
    mass : ndarray, shape (Q,)
        Density of z times the weight of each node when the drift is ``reference``; its sum is the probability to go on.
    reference : float
        Mean of z at information 1, for ``mass``; other drifts weight the nodes by their likelihood ratio.
    """

    information: float
    nodes: Floats
    mass: Floats
    reference: float

    @classmethod
    def start(cls, reference: float = 0.0, /) -> Continuation:
        """Return the state before the first look."""
        return cls(0.0, np.zeros(1), np.ones(1), reference)

    def masses(self, drift: Floats) -> Floats:
        """Return the mass of each node, (..., Q), under each drift, (...)."""
        drift = np.asarray(drift, dtype=float)[..., None]
        score = np.sqrt(self.information) * self.nodes
        tilt = (drift - self.reference) * score - 0.5 * (drift**2 - self.reference**2) * self.information
        return np.asarray(self.mass * np.exp(tilt))

    def _standardised(self, information: float, bound: float, drift: Floats) -> Floats:
        added = information - self.information
        ahead = np.sqrt(self.information) * self.nodes + np.asarray(drift, dtype=float)[..., None] * added
        return np.asarray((bound * np.sqrt(information) - ahead) / np.sqrt(added))

    def above(self, information: float, bound: float, /, *, drift: ArrayLike) -> Floats:
        """Return the probability to have gone on so far and to have z above ``bound`` at ``information``, (...)."""
        drift = np.asarray(drift, dtype=float)
        return np.asarray((self.masses(drift) * ndtr(-self._standardised(information, bound, drift))).sum(axis=-1))

    def below(self, information: float, bound: float, /, *, drift: ArrayLike) -> Floats:
        """Return the probability to have gone on so far and to have z below ``bound`` at ``information``, (...)."""
        drift = np.asarray(drift, dtype=float)
        return np.asarray((self.masses(drift) * ndtr(self._standardised(information, bound, drift))).sum(axis=-1))

    def upper_bound(self, information: float, probability: float, /, *, drift: float = 0.0) -> float:
        """Return the bound above which z lies with ``probability``: infinite for 0, minus infinity when less is left."""
        return self._bound(information, probability, drift, 1.0)

    def lower_bound(self, information: float, probability: float, /, *, drift: float) -> float:
        """Return the bound below which z lies with ``probability``: minus infinity for 0, infinite when less is left."""
        return -self._bound(information, probability, drift, -1.0)

    def _bound(self, information: float, probability: float, drift: float, side: float) -> float:
        if probability <= 0:
            return np.inf
        masses = self.masses(np.asarray(drift))
        if masses.sum() <= probability:
            return -np.inf
        # The lower tail is the upper one of the mirrored statistic.
        return float(upper_quantile(side * self.nodes, masses, self.information, information, side * drift, probability))

    def next(
        self, information: float, /, *, lower: float, upper: float, following: float | None, means: Floats
    ) -> Continuation:
        """Return the state after a look at which trials outside ``lower`` to ``upper`` stop.

        Parameters
        ----------
        information : float
            Of the look.
        lower, upper : float
            Bounds of z; either may be infinite.
        following : float, optional
            Information of the look after it.
        means : ndarray
            Means of z at this look under the drifts that will be asked for: the grid covers them all.
        """
        added = information - self.information
        least = min(added, following - information) if following is not None else added
        low, high = max(lower, float(means.min()) - REACH), min(upper, float(means.max()) + REACH)
        if not low < high:
            return Continuation(information, np.zeros(0), np.zeros(0), self.reference)
        panels = panels_between(low, high, information, least)
        if panels > MOST_PANELS:
            raise too_close(information)
        nodes, mass = step(
            self.nodes, self.mass, self.information, information, self.reference, low, high, panels, POINTS, WEIGHTS
        )
        return Continuation(information, nodes, mass, self.reference)


def too_close(information: float) -> TrialError:
    """Return the error of looks that are too close to be integrated over."""
    return TrialError(
        f"Two looks are too close: at information {information:g} one adds less than a thousandth. Join them into one."
    )
