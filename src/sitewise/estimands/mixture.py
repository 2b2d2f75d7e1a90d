"""A population's survival in one draw, as a mixture over log hazards.

Members differ by their linear predictor, sites by their effect, and both multiply the hazard, so the averaged survival is
S(t) = sum_j m_j exp(-H0(t) exp(g_j)). The masses m are kept on a uniform grid g of log hazards
(:mod:`sitewise.estimands.grid`), whatever the number of members and sites: members are spread over the grid, and a normal
distribution of sites is a convolution on it. tests/independent holds the result against adaptive quadrature.

The grid makes every further estimand cheap: survival at many times, medians and restricted means cost one pass over some
hundred grid points a draw, not over all members and quadrature nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sitewise.estimands.grid import MARGIN, POINTS, STEP, deposit, normal_kernel, normal_reach

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

BLOCKS = 12
"""Draws are convolved in blocks of similar site sd, so that a few draws with wide sites do not widen the grid of all."""
LARGEST_ARRAY = 4_000_000
"""Elements of the largest temporary array."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some draws on a common grid.

    Parameters
    ----------
    rows : ndarray, shape (b,)
        Which draws.
    offset : ndarray, shape (b,)
        Added to the grid, draw by draw.
    grid : ndarray, shape (J,)
        Log hazards relative to the offset.
    mass : ndarray, shape (b, G, J)
        Masses by draw and group; they sum to 1 over the grid.
    """

    rows: Rows
    offset: Floats
    grid: Floats
    mass: Floats

    def pieces(self, columns: int) -> Iterator[Block]:
        """Yield the block in pieces whose arrays of (draw, columns, grid) stay small."""
        length = max(1, LARGEST_ARRAY // (self.grid.size * max(1, columns)))
        for start in range(0, self.rows.size, length):
            part = slice(start, start + length)
            yield Block(self.rows[part], self.offset[part], self.grid, self.mass[part])


@dataclass(frozen=True, eq=False)
class Mixture:
    """Masses of groups over log hazards, for every draw.

    Parameters
    ----------
    blocks : tuple of Block
        Together, every draw once.
    draws, groups : int
        Numbers of draws s and of groups G.
    """

    blocks: tuple[Block, ...]
    draws: int
    groups: int

    def survival(self, log_cumulative_hazard: Floats) -> Floats:
        """Return S at baseline log cumulative hazards, shape (s, T), as (s, G, T)."""
        # Interpolation may leave the unit interval by its own error; survival may not.
        return np.clip(self._mean(log_cumulative_hazard, np.zeros_like), 0.0, 1.0)

    def density_factor(self, log_cumulative_hazard: Floats) -> Floats:
        """Return sum_j m_j exp(g_j) S_j, by which the baseline hazard is multiplied to give the density, (s, G, T)."""
        return np.maximum(self._mean(log_cumulative_hazard, lambda grid: grid), 0.0)

    def _mean(self, log_cumulative_hazard: Floats, log_weight: Callable[[Floats], Floats]) -> Floats:
        """Return the mean over the mixture of exp(log weight) exp(-H), weights being functions of the log hazard."""
        result = np.empty((self.draws, self.groups, log_cumulative_hazard.shape[1]))
        for block in self.blocks:
            factor = np.exp(block.grid)[:, None]
            for piece in block.pieces(log_cumulative_hazard.shape[1]):
                with np.errstate(over="ignore", under="ignore"):
                    baseline = np.exp(log_cumulative_hazard[piece.rows] + piece.offset[:, None])
                    each = np.exp(-baseline[:, None, :] * factor)
                    weight = np.exp(log_weight(piece.grid + piece.offset[:, None]))
                result[piece.rows] = (piece.mass * weight[:, None, :]) @ each
        return result

    def expectation(self, values: Callable[[Rows, Floats], Floats]) -> Floats:
        """Return the mean of a function of the log hazard, (s, G).

        Parameters
        ----------
        values : callable
            Takes the numbers of some draws, (b,), and log hazards, (b, J); returns values, (b, J).
        """
        result = np.empty((self.draws, self.groups))
        for block in self.blocks:
            for piece in block.pieces(1):
                each = values(piece.rows, piece.grid + piece.offset[:, None])
                result[piece.rows] = np.einsum("sgj,sj->sg", piece.mass, each)
        return result

    def log_cumulative_hazard_at(self, level: float) -> Floats:
        """Return the baseline log cumulative hazard at which S = ``level``, shape (s, G)."""
        result = np.empty((self.draws, self.groups))
        for block in self.blocks:
            for piece in block.pieces(self.groups):
                result[piece.rows] = _solve(piece, level) - piece.offset[:, None]
        return result


@dataclass(frozen=True, eq=False)
class Members:
    """The distinct people of a group.

    Parameters
    ----------
    rows : ndarray, shape (m, p)
        Design rows, centred at the covariate means.
    site : ndarray of int, shape (m,), or None
        Each one's site; None when the site effect is not part of the members' log hazards.
    weights : ndarray, shape (m,) or (s, m)
        Shares of the group, summing to 1; by draw under the Bayesian bootstrap.
    """

    rows: Floats
    site: Rows | None
    weights: Floats

    def log_hazards(self, coefficients: Floats, site_effect: Floats) -> Floats:
        """Return log hazards against the covariate means, (b, m), for coefficients (b, p) and site effects (b, J)."""
        own = coefficients @ self.rows.T
        return own if self.site is None else own + site_effect[:, self.site]


def make_mixture(groups: list[Members], coefficients: Floats, site_effect: Floats) -> Mixture:
    """Return the mixture of groups for coefficients, (s, p), and site effects, (s, J).

    Draws are taken in pieces, so that memory does not grow with draws times people.
    """
    draws = coefficients.shape[0]
    largest = max(members.rows.shape[0] for members in groups)
    length = max(1, LARGEST_ARRAY // (POINTS * largest))
    pieces = [slice(start, min(start + length, draws)) for start in range(0, draws, length)]
    lowest, highest = np.full(draws, np.inf), np.full(draws, -np.inf)
    for part in pieces:
        for members in groups:
            position = members.log_hazards(coefficients[part], site_effect[part])
            lowest[part] = np.minimum(lowest[part], position.min(axis=1))
            highest[part] = np.maximum(highest[part], position.max(axis=1))
    size = int(np.ceil((highest - lowest).max() / STEP)) + 2 * MARGIN + 1
    mass = np.empty((draws, len(groups), size))
    for part in pieces:
        for number, members in enumerate(groups):
            position = members.log_hazards(coefficients[part], site_effect[part]) - lowest[part, None]
            weights = members.weights[part] if members.weights.ndim == 2 else members.weights
            mass[part, number] = deposit(MARGIN + position / STEP, weights, size)
    grid = np.asarray(STEP * (np.arange(size) - MARGIN), dtype=float)
    return Mixture((Block(np.arange(draws), lowest, grid, mass),), draws, len(groups))


def spread_over_sites(mixture: Mixture, site_sd: Floats) -> Mixture:
    """Return the mixture convolved, draw by draw, with a normal distribution of site effects of sd ``site_sd``, (s,)."""
    whole = mixture.blocks[0]
    parts = np.array_split(np.argsort(site_sd), min(BLOCKS, site_sd.size))
    blocks = tuple(_convolve(whole, rows, site_sd[rows]) for rows in parts)
    return Mixture(blocks, mixture.draws, mixture.groups)


def _convolve(whole: Block, rows: Rows, site_sd: Floats) -> Block:
    reach = normal_reach(float(site_sd.max()))
    size = whole.grid.size + 2 * reach
    padded = fft.next_fast_len(size, real=True)
    kernel = fft.rfft(normal_kernel(site_sd, reach), padded, axis=-1)[:, None, :]
    spectrum = fft.rfft(whole.mass[rows], padded, axis=-1) * kernel
    mass = np.asarray(fft.irfft(spectrum, padded, axis=-1))[..., :size]
    return Block(rows, whole.offset[rows], whole.grid[0] + STEP * (np.arange(size) - reach), mass)


def _solve(block: Block, level: float) -> Floats:
    """Return u at which the block's S(u) = ``level``, shape (b, G), relative to the block's offset.

    Newton steps on u = log H0 for log(-log S), which is u plus a constant for a single hazard and nearly straight for a
    mixture, with bisection wherever a step leaves the bracket.
    """
    target = np.log(-np.log(level))
    point = target - block.mass @ block.grid
    low = np.full(point.shape, target - block.grid[-1] - 1.0)
    high = np.full(point.shape, target - block.grid[0] + 1.0)
    for _ in range(80):
        with np.errstate(all="ignore"):
            hazard = np.exp(point[..., None] + block.grid)
            surviving = block.mass * np.exp(-hazard)
            value = surviving.sum(axis=-1)
            slope = np.where(surviving != 0, surviving * hazard, 0.0).sum(axis=-1)
            cumulative = -np.log(value)
            proposed = point + (target - np.log(cumulative)) * value * cumulative / slope
        above = value > level
        low, high = np.where(above, point, low), np.where(above, high, point)
        inside = (proposed > low) & (proposed < high) & np.isfinite(proposed)
        proposed = np.where(inside, proposed, 0.5 * (low + high))
        moved = float(np.max(np.abs(proposed - point), initial=0.0))
        point = proposed
        if moved < 1e-8:  # the next Newton step would be of the order of its square
            break
    return np.asarray(point)
