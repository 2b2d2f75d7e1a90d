"""The likelihood of a site's patients with the site's own effect and its random slopes integrated out together.

Given a draw, the hazard of a patient is multiplied by exp(x), x = b + s d: effect b and slopes s are the site's, d are the
patient's distances from the reference patient. In z, which is standard normal, with (b / sd, s / slope sd) = z, or U z where
their correlation matrix is U U', the log integrand is concave, with second derivatives of at most -1 in every direction. The
integral is a sum over a lattice about its only mode.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.studies.site_integral import LARGEST_LOG, SMALLEST_SD, log_probability, mode_of_effect, slopes_of_probability
from sitewise.studies.slope_lattice import lattice_sums

Floats = NDArray[np.float64]
MOST_SLOPES = 3
ERRORS = {1: 1e-9, 2: 1e-7, 3: 1e-7}
"""Largest relative error of a sum over the whole lattice, by the number of slopes."""
FALLEN = {1: 27.0, 2: 22.0, 3: 23.0}
"""Log density below the mode's at which the sum ends: less than 3e-7 is beyond (a Gamma's tail), of a normal 3e-9."""
MOST_NODES = 3e7
"""Most for one draw in a box, of which a part counts. Where more are needed, steps are longer than they should be."""
BISECTIONS = 12
BLOCK = 2**17
"""Numbers held at once in one array: 1 MB, and as many again for each slope."""
NEWTON_STEPS, HALVINGS, NEAR = 100, 40, 1e-8
FAR = 1e8
"""Terms of the log integrand of which a sum has too few digits left; Laplace's approximation then has to do."""
LARGEST_CURVATURE, TINY = 1e12, 1e-300
SHARES = np.linspace(1, 0.1, 19)
STEEPEST = 0.36
"""A little more than the largest curvature of log(1 - exp(-exp(x))), max(-g') below."""


def log_site_integral_with_slopes(
    events: Floats,
    log_hazard: Floats,
    rows: Floats,
    log_within: Floats,
    weight: Floats,
    rows_within: Floats,
    /,
    *,
    site_sd: Floats,
    slope_sd: Floats,
    correlation: Floats | None = None,
) -> Floats:
    """Return log of the integral of a site's likelihood over its effect and slopes, draw by draw.

    The likelihood is prod_i exp(D_i x_i - L_i exp(x_i)) prod_j (1 - exp(-h_j exp(x_j)))^w_j with x = b + s d, the second
    product over patients with intervals; b ~ Normal(0, site_sd) and s_k ~ Normal(0, slope_sd_k). Relative errors are below 2e-9
    with one slope and 5e-7 with two or three, apart from rounding, as long as ``MOST_NODES`` suffice.

    Parameters
    ----------
    events : ndarray, shape (n,)
        Weighted events D whose times are exact.
    log_hazard : ndarray, shape (S, n)
        Logs of the weighted cumulative hazards L survived (to the lower end of an interval), since entry, at an average site.
    rows : ndarray, shape (n, m)
        Distances d from the reference patient of the columns with slopes, m of 1 to 3.
    log_within : ndarray, shape (S, M)
        Logs of the growths h of the cumulative hazard over each interval, at an average site.
    weight : ndarray, shape (M,)
        Weights w of the patients with intervals, positive.
    rows_within : ndarray, shape (M, m)
        Their rows of ``rows``.
    site_sd, slope_sd : ndarray, shape (S,) and (S, m)
        Sds over sites of the log hazard ratios.
    correlation : ndarray, shape (S, 1 + m, 1 + m), optional
        Correlation matrices of effect and slopes; default independent.

    Returns
    -------
    ndarray, shape (S,)
        -inf where an interval has no hazard.
    """
    distinct, group = np.unique(rows, axis=0, return_inverse=True)
    totals = [np.logaddexp.reduce(log_hazard[:, group.ravel() == place], axis=1) for place in range(len(distinct))]
    hazard = np.minimum(np.stack(totals, axis=1), LARGEST_LOG)
    impossible = np.isneginf(log_within).any(axis=1)
    within = np.where(impossible[:, None], 0.0, log_within)
    sds = np.maximum(np.column_stack([site_sd, slope_sd]), SMALLEST_SD)
    counts = events @ np.column_stack([np.ones(len(rows)), rows])
    factor = _upper_factor(correlation, sds.shape)
    value = np.empty(len(sds))
    size = max(1, BLOCK // (len(distinct) + weight.size))
    for start in range(0, len(sds), size):
        part = slice(start, start + size)
        sd, site_hazard, unit = sds[part], np.logaddexp.reduce(hazard[part], axis=1), sds[part, :, None] * factor[part]
        effect = mode_of_effect(float(counts[0]), site_hazard + 2 * np.log(sd[:, 0]), within[part], weight, sd[:, 0])
        site = Site(counts @ unit, hazard[part], _scaled(unit, distinct), within[part], _scaled(unit, rows_within), weight)
        value[part] = site.integral(effect / unit[:, 0, 0])
    return np.where(impossible, -np.inf, value)


def _scaled(unit: Floats, rows: Floats) -> Floats:
    """Return what a step of one in each z adds to the log hazards, shape (S, patients, 1 + m), given what it adds to (b, s)."""
    return np.asarray(np.column_stack([np.ones(len(rows)), rows]) @ unit)


def _upper_factor(correlation: Floats | None, shape: tuple[int, ...]) -> Floats:
    """Return U with R = U U', upper triangular, so that the first z moves the effect alone and thereby all patients alike.

    It is Cholesky's factor of R read backwards, shape (S, 1 + m, 1 + m).
    """
    if correlation is None:
        return np.broadcast_to(np.eye(shape[1]), (*shape, shape[1]))
    return np.linalg.cholesky(correlation[:, ::-1, ::-1])[:, ::-1, ::-1]


@dataclass(frozen=True, eq=False)
class Site:
    """The log integrand under some draws, counts z - sum L exp(x) + sum w log(1 - exp(-h exp(x))) - z z / 2 with x = row z."""

    counts: Floats
    log_hazard: Floats
    rows: Floats
    log_within: Floats
    rows_within: Floats
    weight: Floats

    def moved(self, z: Floats) -> tuple[Floats, Floats]:
        """Return the logs of L exp(x) and of h exp(x)."""
        return self.log_hazard + (self.rows @ z[..., None])[..., 0], self.log_within + (self.rows_within @ z[..., None])[..., 0]

    def log_density(self, z: Floats) -> Floats:
        """Return the log integrand, shape (S,)."""
        log_hazard, log_within = self.moved(z)
        with np.errstate(over="ignore"):
            lost = np.exp(log_hazard).sum(axis=1)
        return np.asarray(((self.counts - 0.5 * z) * z).sum(axis=1) - lost + log_probability(log_within) @ self.weight)

    def derivatives(self, z: Floats) -> tuple[Floats, Floats]:
        """Return the gradient and minus the second derivatives of the log integrand, these no larger than can be inverted."""
        log_hazard, log_within = self.moved(z)
        hazard, (slope, bend) = np.exp(log_hazard), slopes_of_probability(log_within)
        gradient = self.counts - z + _summed(self.weight * slope, self.rows_within) - _summed(hazard, self.rows)
        curvature = _products(hazard, self.rows) + _products(self.weight * bend, self.rows_within)
        most = np.maximum(np.trace(curvature, axis1=1, axis2=2), LARGEST_CURVATURE)
        return gradient, np.eye(z.shape[1]) + curvature * (LARGEST_CURVATURE / most)[:, None, None]

    def mode(self, effect: Floats) -> Floats:
        """Return about where the integrand is largest, by Newton's method from an effect without slopes."""
        z = np.column_stack([effect, np.zeros_like(self.counts[:, 1:])])
        value, done = self.log_density(z), np.zeros(len(z), dtype=bool)
        for _ in range(NEWTON_STEPS):
            gradient, curvature = self.derivatives(z)
            step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
            gain = (step * gradient).sum(axis=1)
            done |= gain < NEAR
            if done.all():
                break
            share = np.where(done, 0.0, 1.0)
            for _ in range(HALVINGS):
                new = self.log_density(z + share[:, None] * step)
                short = ~(new >= value + 0.1 * share * gain - 1e-12 * np.abs(value))
                if not short.any():
                    break
                share[short] *= 0.5
            done |= short
            z, value = np.where(short[:, None], z, z + share[:, None] * step), np.where(short, value, new)
        return z

    def integral(self, effect: Floats) -> Floats:
        """Return the log integrals, shape (S,)."""
        mode = self.mode(effect)
        size = mode.shape[1]
        _, curvature = self.derivatives(mode)
        factor = np.linalg.cholesky(curvature)
        # z = mode + axes u, with curvature 1 in u; upper triangular: the first axis moves b alone, and so all patients alike.
        axes = np.swapaxes(np.linalg.inv(factor), 1, 2)
        log_hazard, log_within = self.moved(mode)
        along, along_within = self.rows @ axes, self.rows_within @ axes
        steps = self.steps(log_hazard, log_within, along, along_within, axes)
        # The normal factor has fallen at these places of each axis, the integrand perhaps long before.
        places = np.sqrt(2 * FALLEN[size - 1]) * np.linalg.norm(factor, axis=1) / steps
        if (many := np.prod(2 * places, axis=1) > MOST_NODES).any():
            nodes = self.some(many).nodes(mode[many], axes[many] * steps[many][:, None, :], places[many])
            steps[many] *= np.maximum(np.prod(nodes, axis=1) / MOST_NODES, 1)[:, None] ** (1 / size)
        tilt = ((mode - self.counts)[:, None, :] @ axes)[:, 0, :]
        area = np.full(len(mode), 0.5 * size * np.log(2 * np.pi))
        near = np.abs(self.counts * mode).sum(axis=1) + 0.5 * (mode**2).sum(axis=1) + np.exp(log_hazard).sum(axis=1) < FAR
        site = (tilt, axes, steps, log_hazard, along, log_within, along_within, self.weight)
        lattice_sums(np.flatnonzero(near), *site, FALLEN[size - 1], area)
        scale = np.log(np.diagonal(axes, axis1=1, axis2=2)).sum(axis=1) - 0.5 * size * np.log(2 * np.pi)
        return np.asarray(self.log_density(mode) + area + scale)

    def some(self, draws: NDArray[np.bool_]) -> Site:
        """Return the integrand under some of the draws."""
        log_hazard, log_within = self.log_hazard[draws], self.log_within[draws]
        return Site(self.counts[draws], log_hazard, self.rows[draws], log_within, self.rows_within[draws], self.weight)

    def nodes(self, mode: Floats, units: Floats, most: Floats) -> Floats:
        """Return how many nodes (S, 1 + m), a unit apart, each axis through the mode has before the integrand has fallen."""
        end, count = self.log_density(mode) - FALLEN[most.shape[1] - 1], np.zeros_like(most)
        for axis, side in itertools.product(range(most.shape[1]), (-1, 1)):
            low, high = np.zeros_like(end), most[:, axis]
            for _ in range(BISECTIONS):
                middle = 0.5 * (low + high)
                inside = self.log_density(mode + side * middle[:, None] * units[..., axis]) > end
                low, high = np.where(inside, middle, low), np.where(inside, high, middle)
            count[:, axis] += high
        return count

    def steps(self, log_hazard: Floats, log_within: Floats, along: Floats, along_within: Floats, axes: Floats) -> Floats:
        """Return steps (S, 1 + m) along the axes t at which the lattice rule errs by less than ``ERRORS``.

        Let v = row t, a an angle with a |v| < pi / 2 for all patients, c = -log cos(a v), and r the chord of c between the
        smallest and the largest v: r >= c, and r = row e for some e. Since |1 - exp(-h)| <= (1 - exp(-Re h)) |h| / Re h, and
        1 - exp(-k h) <= k (1 - exp(-h)) where k > 1, the integrand at z + i a t is at most that at z - e times
        exp(sum r (D + w) + (a^2 t t + e e) / 2 - z e). It is log-concave, at least as much as its normal factor, so that
        E exp(-z e) <= exp(e e / 2 - e E z); and its gradient has mean zero, so that E z = E sum row (D + w g - Y), with
        Y = L exp(x) and g the slope of log(1 - exp(-exp)). Its integral along Im z = a t is thus at most exp(G) times that
        along the real z, G = a^2 t t / 2 + E sum r (Y + w (1 - g)), and the rule with step h errs by at most
        2 exp(G - 2 pi a / h) (Trefethen & Weideman 2014, SIAM Review 56:385, theorem 5.1), for the best a.

        With x0, Y0, g0 at the mode and n = 1 + m, integration by parts gives E sum (x - x0) (Y - Y0 + w (g0 - g)) < n. With
        q = n max r and R = sum r Y0 then E sum r Y <= R + (q + sqrt(q^2 + 16 q R)) / 4 by Jensen's inequality, and
        E sum r w (g0 - g) <= sqrt(q sum r w max(-g')).
        """
        size = axes.shape[1]
        needed = np.log(2 * size / ERRORS[size - 1])
        hazard, unlikely = np.exp(log_hazard), self.weight * (1 - slopes_of_probability(log_within)[0])
        everyone = np.concatenate([along, along_within], axis=1)
        low, high = everyone.min(axis=1), everyone.max(axis=1)
        widest = np.maximum(np.maximum(np.abs(low), np.abs(high)), TINY)
        angle = np.minimum(np.sqrt(2 * needed), 0.999 * 0.5 * np.pi / widest)[..., None] * SHARES
        at_low, at_high = (-np.log(np.cos(angle * end[..., None])) for end in (low, high))
        most = np.maximum(at_low, at_high)
        differ, gap = (high - low > 1e-6 * widest)[..., None], np.maximum(high - low, TINY)[..., None]
        slope = np.where(differ, (at_high - at_low) / gap, 0.0)
        level = np.where(differ, at_low - slope * low[..., None], most)

        def total(weight: Floats, moves: Floats) -> Floats:
            own = level * weight.sum(axis=1)[:, None, None] + slope * _summed(weight, moves)[..., None]
            return np.asarray(np.maximum(own, 0.0))

        spread = size * most
        growth = total(hazard, along)
        growth = growth + 0.25 * (spread + np.sqrt(spread * (spread + 16 * growth))) + total(unlikely, along_within)
        growth = growth + np.sqrt(STEEPEST * spread * total(np.broadcast_to(self.weight, unlikely.shape), along_within))
        growth = growth + 0.5 * angle**2 * (axes**2).sum(axis=1)[..., None]
        return np.asarray((2 * np.pi * angle / (growth + needed)).max(axis=-1))


def _summed(weight: Floats, rows: Floats) -> Floats:
    """Return sums over patients of weights (S, n) times rows (S, n, k)."""
    return np.asarray((weight[:, None, :] @ rows)[:, 0, :])


def _products(weight: Floats, rows: Floats) -> Floats:
    """Return sums over patients of weights (S, n) times the outer products of rows (S, n, k)."""
    return np.asarray(np.swapaxes(rows, 1, 2) @ (weight[..., None] * rows))
