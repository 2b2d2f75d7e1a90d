"""The likelihood of a site's patients with the site's own effect integrated out.

Given a draw, a site's effect b multiplies the hazards of all its patients, so that their likelihood is proportional to
exp(D b - L exp(b)): D counts the events, L sums the cumulative hazards at an average site. A sum of conditional log likelihoods
at some b would not be the log predictive density of a new site, whose effect nobody knows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import wrightomega

Floats = NDArray[np.float64]
NODES = tuple(2**power + 1 for power in range(6, 13))
"""Numbers of nodes: a draw takes the first at which the step is small enough."""
STEP = 0.39
"""Largest step in b. exp(-L exp(b)) is bounded where |Im b| < pi / 2, so the rule errs by exp(-pi^2 / step): 1e-11."""
FALLEN = 36.0
"""Log density below the mode's at which the rule ends: exp(-36) is 2e-16."""
STEPS = 6
SMALLEST_SD, LARGEST = 1e-12, 1e300


def log_site_integral(events: float, hazard: Floats, /, *, site_sd: Floats) -> Floats:
    """Return log of the integral of exp(D b - L exp(b)) over b ~ Normal(0, site_sd), draw by draw.

    The trapezoidal rule between the two points at which the integrand has fallen by exp(-36). The integrand is analytic and
    vanishes at both ends with all its derivatives, so that the rule's error falls exponentially with the number of nodes
    (Trefethen & Weideman 2014, SIAM Review 56:385); where the integrand is skewed, as with a site without events, it needs far
    fewer nodes than an adaptive Gauss-Hermite rule, whose weight is symmetric.

    Parameters
    ----------
    events : float
        Weighted events D of the site.
    hazard : ndarray, shape (S,)
        Weighted sum L of the patients' cumulative hazards (since entry) at an average site; zero or positive.
    site_sd : ndarray, shape (S,)
        Sd of the sites' log hazard ratios.

    Returns
    -------
    ndarray, shape (S,)
    """
    sd = np.maximum(site_sd, SMALLEST_SD)
    # In z = b / sd the log integrand is D sd z - L exp(sd z) - z^2 / 2. With y = L sd^2 exp(sd z) its mode solves
    # y + log y = log(L sd^2) + D sd^2 (Wright's omega), and its curvature there is 1 + y.
    with np.errstate(divide="ignore"):
        # A draw may be so far off that a hazard is infinite; the likelihood is then nothing either way.
        y = wrightomega(np.log(np.minimum(hazard, LARGEST)) + 2 * np.log(sd) + events * sd**2).real
    mode = events * sd - y / sd
    left, right = (_reach(side, sd, y) for side in (-1.0, 1.0))
    needed = (left + right) * sd / STEP
    area = np.empty_like(sd)
    for fewer, nodes in zip((0, *NODES), NODES, strict=False):
        rows = (needed > fewer) & ((needed <= nodes) | (nodes == NODES[-1]))
        step = (left[rows] + right[rows]) / (nodes - 1)
        distance = step[:, None] * np.arange(nodes) - left[rows, None]
        area[rows] = step * np.exp(-_fall(distance, sd[rows, None], y[rows, None])).sum(axis=1)
    top = events * sd * mode - y / sd**2 - 0.5 * mode**2
    return np.asarray(top + np.log(area / np.sqrt(2 * np.pi)))


def _fall(distance: Floats, sd: Floats, y: Floats) -> Floats:
    """Return how far the log integrand lies below its mode at a distance u: u^2 / 2 + y (exp(x) - 1 - x) / sd^2, x = sd u."""
    x = sd * distance
    # Where x is small the difference loses its digits, and the series has them.
    bend = np.where(np.abs(x) < 1e-4, 0.5 * distance**2 * (1 + x / 3), (np.expm1(x) - x) / sd**2)
    return np.asarray(0.5 * distance**2 + y * bend)


def _reach(side: float, sd: Floats, y: Floats) -> Floats:
    """Return the distance, on one side of the mode, at which the log integrand has fallen by ``FALLEN`` or a little more.

    The fall is convex and at least u^2 / 2, so Newton's method from the distance at which that is enough comes down to the root
    without passing it, however few its steps.
    """
    distance = np.full_like(sd, np.sqrt(2 * FALLEN))
    if side > 0:  # the fall is at least (1 + y) u^2 / 2 here, and exp(x) must stay a number
        distance = np.minimum(distance, np.sqrt(2 * FALLEN / (1 + y)))
    for _ in range(STEPS):
        u = side * distance
        slope = np.abs(u + y * np.expm1(sd * u) / sd)
        distance = distance - np.maximum(_fall(u, sd, y) - FALLEN, 0.0) / slope
    return np.asarray(distance)
