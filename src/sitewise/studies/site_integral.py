"""The likelihood of a site's patients with the site's own effect integrated out.

Given a draw, a site's effect b multiplies the hazards of all its patients, so that their likelihood is proportional to
exp(D b - L exp(b)): D counts the events, L sums the cumulative hazards at an average site. A sum of conditional log likelihoods
at some b would not be the log predictive density of a new site, whose effect nobody knows. A patient whose event is only known
to lie in an interval, over which the cumulative hazard grows by h, brings a factor 1 - exp(-h exp(b)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import wrightomega

Floats = NDArray[np.float64]
NODES = tuple(2**power + 1 for power in range(6, 13))
"""Numbers of nodes: a draw takes the first at which the step is small enough."""
STEP = 0.39
"""Largest step in b. exp(-L exp(b)) is bounded where |Im b| < pi / 2, so the rule errs by about exp(-pi^2 / step), 1e-11, times
a factor that grows with events and sd: errors up to 5e-10 were found, with 1 to 2 events and sds of 6 to 10."""
FALLEN = 36.0
"""Log density below the mode's at which the rule ends: exp(-36) is 2e-16."""
STEPS = 6
SMALLEST_SD, LARGEST = 1e-12, 1e300
LARGEST_EXPONENT, LARGEST_LOG = 709.0, 1e12
MOST_NODES = NODES[-1]
MODE_STEPS = 100
BLOCK = 2**17
"""Numbers held at once in one array where there are intervals: 1 MB."""


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


def log_site_integral_with_intervals(
    events: float, log_hazard: Floats, log_within: Floats, weight: Floats, /, *, site_sd: Floats
) -> Floats:
    """Return log of the integral of exp(D b - L exp(b)) prod_i (1 - exp(-h_i exp(b)))^w_i over b ~ Normal(0, site_sd).

    The trapezoidal rule as in :func:`log_site_integral`, with the step of :func:`_log_step`. Its relative error is below
    1e-11, apart from rounding, as long as ``MOST_NODES`` suffice, that is for sds up to about 15 with 100 intervals.

    Parameters
    ----------
    events : float
        Weighted events D whose times are exact.
    log_hazard : ndarray, shape (S,)
        Log of the weighted sum L of the cumulative hazards that the patients survived (to the lower end of an interval), since
        entry, at an average site. Draws may be so far off that only the log is a number.
    log_within : ndarray, shape (S, M)
        Log of the growth h of the cumulative hazard over each interval, at an average site.
    weight : ndarray, shape (M,)
        Weights w of the patients with intervals.
    site_sd : ndarray, shape (S,)
        Sd of the sites' log hazard ratios.

    Returns
    -------
    ndarray, shape (S,)
        -inf where an interval of positive weight has no hazard.
    """
    log_within, weight = log_within[:, weight > 0], weight[weight > 0]
    impossible = np.isneginf(log_within).any(axis=1)
    log_within = np.where(impossible[:, None], 0.0, log_within)
    sd = np.maximum(site_sd, SMALLEST_SD)
    value = np.empty_like(sd)
    rows = max(1, BLOCK // max(1, weight.size))
    for start in range(0, sd.size, rows):
        part = slice(start, start + rows)
        value[part] = _integrate(events, log_hazard[part], log_within[part], weight, sd[part])
    return np.where(impossible, -np.inf, value)


def _integrate(events: float, log_hazard: Floats, log_within: Floats, weight: Floats, sd: Floats) -> Floats:
    """Return the log integrals of one block of draws."""
    log_hazard = np.minimum(log_hazard, LARGEST_LOG) + 2 * np.log(sd)
    b = mode_of_effect(events, log_hazard, log_within, weight, sd)
    y = np.exp(log_hazard + b)
    within = Within(log_within + b[:, None], weight)
    left, right = (_reach(side, sd, y, within) for side in (-1.0, 1.0))
    needed = (left + right) * np.exp(np.log(sd) - _log_step(events + weight.sum(), b, sd))
    # Draws are taken together by rounded numbers of nodes.
    nodes = np.minimum(np.ceil(2 ** (np.ceil(4 * np.log2(needed + 1)) / 4)) + 1, MOST_NODES).astype(int)
    area = np.empty_like(sd)
    for count in np.unique(nodes):
        chosen = np.flatnonzero(nodes == count)
        for rows in np.split(chosen, range(max(1, BLOCK // count), chosen.size, max(1, BLOCK // count))):
            step = (left[rows] + right[rows]) / (count - 1)
            distance = step[:, None] * np.arange(count) - left[rows, None]
            own = sd[rows, None]
            fall = _fall(distance, own, y[rows, None]) + within.some(rows).fall(own * distance)
            area[rows] = step * np.exp(-fall).sum(axis=1)
    top = events * b - y / sd**2 + log_probability(within.log_hazard) @ weight - 0.5 * (b / sd) ** 2
    return np.asarray(top + np.log(area / np.sqrt(2 * np.pi)))


def _log_step(counted: float, mode: Floats, sd: Floats) -> Floats:
    """Return log of a step in b at which the rule errs by less than 1e-11, relatively.

    Let N be ``counted``, events and intervals together, and c = -log cos a for an angle a < pi / 2. Since |1 - exp(-z)| is at
    most (1 - exp(-Re z)) |z| / Re z, the integrand at b + c + i a is at most exp(c N + (a^2 - c^2 - 2 b c) / (2 sd^2)) times
    that at b. The integrand is log-concave, at least as much as its normal factor, so that b has a mean within sd of its mode
    m and E exp(t b) <= exp(t E b + t^2 sd^2 / 2). With t = -c / sd^2 the integral along Im b = a is at most exp(c K) times
    that along the real line, K = N - m / sd^2 + 1 / sd + 1 / sd^2, and the rule with step s errs by at most
    2 exp(c K - 2 pi a / s) for the best a (Trefethen & Weideman 2014, theorem 5.1). A strip of half-width pi / 2 alone would
    not do: (1 - exp(-exp(b)))^w rises the more steeply the larger w is. 1 / s^2 = 8 + 1.57 K keeps it below 1e-11 for all K.
    """
    bound = np.maximum(counted - mode / sd**2, 0.0) + 1 / sd + 1 / sd**2
    return np.asarray(-0.5 * np.log(8 + 1.57 * bound))


def mode_of_effect(events: float, log_hazard: Floats, log_within: Floats, weight: Floats, sd: Floats) -> Floats:
    """Return the effect b at which the integrand is largest, by Newton's method kept between bounds.

    It solves sd^2 (D + sum of w g) - y - b = 0 with y = L sd^2 exp(b), of which ``log_hazard`` is the log at b = 0. The slopes
    g of the intervals' log probabilities lie between 0 and 1, and with either the root is known (Wright's omega).
    """
    ends = [n * sd**2 - wrightomega(log_hazard + n * sd**2).real for n in (events, events + weight.sum())]
    margin = 1e-3 * sd  # a root at an end must not be missed by rounding
    low, high = ends[0] - margin, ends[1] + margin
    b, last = 0.5 * (low + high), high - low
    found = np.zeros(sd.size, dtype=bool)
    for _ in range(MODE_STEPS):
        slope, bend = slopes_of_probability(log_within + b[:, None])
        y, pull = np.exp(log_hazard + b), sd**2 * (events + slope @ weight)
        curvature = 1 + y + sd**2 * (bend @ weight)
        step = (pull - y - b) / curvature
        low, high = np.where(step > 0, b, low), np.where(step > 0, high, b)
        astray = (b + step < low) | (b + step > high) | (np.abs(step) > 0.5 * np.abs(last))
        last = np.where(astray, 0.5 * (low + high) - b, step)
        b = np.where(found, b, b + last)
        found |= np.abs(last) < 1e-10 * sd / np.sqrt(curvature) + 1e-14 * (pull + y + np.abs(b)) / curvature
        if found.all():
            break
    return np.asarray(b)


@dataclass(frozen=True, eq=False)
class Within:
    """Patients with events in intervals, at the mode: logs of their cumulative hazards over these (S, M), weights (M,)."""

    log_hazard: Floats
    weight: Floats

    def some(self, rows: NDArray[np.int64]) -> Within:
        """Return some of the draws."""
        return Within(self.log_hazard[rows], self.weight)

    def fall(self, x: Floats) -> Floats:
        """Return by how much, at effects (S, K) above the mode's, the log probabilities lie below their tangents."""
        total = np.zeros_like(x)
        for log_hazard, weight in zip(self.log_hazard.T[..., None], self.weight, strict=True):  # one by one: memory
            slope, _ = slopes_of_probability(log_hazard)
            total += weight * ((log_probability(log_hazard) - log_probability(log_hazard + x)) + slope * x)
        return total

    def slope(self, x: Floats) -> Floats:
        """Return the derivative of :meth:`fall` at effects (S, 1)."""
        at_mode, there = (slopes_of_probability(place)[0] for place in (self.log_hazard, self.log_hazard + x))
        return (at_mode - there) @ self.weight[:, None]


def log_probability(log_hazard: Floats) -> Floats:
    """Return log(1 - exp(-h)), the log probability of an event while the cumulative hazard grows by h."""
    with np.errstate(divide="ignore"):
        large = np.log(-np.expm1(-np.exp(np.minimum(log_hazard, LARGEST_EXPONENT))))
    return np.where(log_hazard < -37, log_hazard, large)


def slopes_of_probability(log_hazard: Floats) -> tuple[Floats, Floats]:
    """Return the first derivative and minus the second of :func:`log_probability` with respect to log h."""
    h = np.exp(np.clip(log_hazard, -37.0, 6.5))
    slope = h / np.expm1(h)
    return slope, np.maximum(slope * (h + slope - 1), 0.0)


def _fall(distance: Floats, sd: Floats, y: Floats) -> Floats:
    """Return how far the log integrand lies below its mode at a distance u: u^2 / 2 + y (exp(x) - 1 - x) / sd^2, x = sd u."""
    x = sd * distance
    # Where x is small the difference loses its digits, and the series has them.
    growth = np.expm1(np.minimum(x, LARGEST_EXPONENT))
    bend = np.where(np.abs(x) < 1e-4, 0.5 * distance**2 * (1 + x / 3), (growth - x) / sd**2)
    return np.asarray(0.5 * distance**2 + y * bend)


def _reach(side: float, sd: Floats, y: Floats, within: Within | None = None) -> Floats:
    """Return the distance, on one side of the mode, at which the log integrand has fallen by ``FALLEN`` or a little more.

    The fall is convex and at least u^2 / 2, so Newton's method from the distance at which that is enough comes down to the root
    without passing it, however few its steps.
    """
    distance = np.full_like(sd, np.sqrt(2 * FALLEN))
    if side > 0:  # the fall is at least (1 + y) u^2 / 2 here, and exp(x) must stay a number
        distance = np.minimum(distance, np.sqrt(2 * FALLEN / (1 + y)))
    for _ in range(STEPS):
        u = side * distance
        fall = _fall(u, sd, y)
        with np.errstate(over="ignore"):  # an infinite slope is a step of nothing
            slope = u + y * np.expm1(np.minimum(sd * u, LARGEST_EXPONENT)) / sd
        if within is not None:
            x = (sd * u)[:, None]
            fall, slope = fall + within.fall(x)[:, 0], slope + sd * within.slope(x)[:, 0]
        distance = distance - np.maximum(fall - FALLEN, 0.0) / np.abs(slope)
    return np.asarray(distance)
