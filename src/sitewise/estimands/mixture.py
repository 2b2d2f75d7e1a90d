"""A population's survival in one draw, as a mixture over log hazards, or over what stands for them.

Members differ by their linear predictor, sites by their effect, and both multiply the hazard, so the averaged survival is
S(t) = sum_j m_j exp(-H0(t) exp(g_j)). Of log-normal and log-logistic times they move the standardised log time instead, the
index, and S(t) = sum_j m_j G(index(t) + g_j); "log hazard" then reads "index" in what follows.

A few distinct members are the points g_j themselves, exactly. Many, or a normal distribution of sites, become masses on a
uniform grid (:mod:`sitewise.estimands.grid`), where the distribution of sites is a convolution. Where effects of covariates
differ between sites, each member's log hazard is normal over sites with an sd of its own (:mod:`sitewise.estimands.normals`).
Tests hold all of them against adaptive quadrature.

Every further estimand is then cheap: one pass over some hundred points a draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sitewise.estimands.grid import MARGIN, POINTS, STEP, deposit, normal_kernel, normal_reach
from sitewise.estimands.members import Members
from sitewise.estimands.mixture_kernels import add_means, solve_level
from sitewise.estimands.normals import normal_masses
from sitewise.estimands.standards import index_of, survival_at
from sitewise.estimands.student_t_masses import student_t_kernel, student_t_reach
from sitewise.families.base import EXTREME_VALUE

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
BLOCKS = 12
"""Draws are convolved in blocks of similar site sd, so that a few draws with wide sites do not widen the grid of all."""
FEW_MEMBERS = 64
"""Up to this many distinct members the mixture's points are the members; more are spread over a grid."""
LARGEST_ARRAY = 4_000_000


@dataclass(frozen=True, eq=False)
class Block:
    """Some draws with as many points each.

    Parameters
    ----------
    rows : ndarray, shape (b,)
        Which draws.
    points : ndarray, shape (b, J)
        Log hazards.
    mass : ndarray, shape (b, G, J)
        Masses by draw and group; they sum to 1 over the points.
    """

    rows: Rows
    points: Floats
    mass: Floats

    def pieces(self, columns: int) -> Iterator[Block]:
        """Yield the block in pieces whose arrays of (draw, columns, points) stay small."""
        length = max(1, LARGEST_ARRAY // (self.points.shape[1] * max(1, columns)))
        for start in range(0, self.rows.size, length):
            part = slice(start, start + length)
            yield Block(self.rows[part], self.points[part], self.mass[part])


@dataclass(frozen=True, eq=False)
class Mixture:
    """Masses of groups over log hazards, for every draw.

    Parameters
    ----------
    blocks : tuple of Block
        Together, every draw once.
    lowest, highest : ndarray, shape (s, G)
        The members' smallest and largest log hazard.
    over_sites : bool
        Whether sites have been averaged over.
    standard : int
        What survival is of the index; see :attr:`sitewise.families.Family.standard`.
    tail : ndarray, shape (s,), optional
        The parameter of that distribution, where it has one.
    """

    blocks: tuple[Block, ...]
    lowest: Floats
    highest: Floats
    over_sites: bool = False
    standard: int = EXTREME_VALUE
    tail: Floats | None = None

    @property
    def draws(self) -> int:
        """Number of draws s."""
        return int(self.lowest.shape[0])

    @property
    def groups(self) -> int:
        """Number of groups G."""
        return int(self.lowest.shape[1])

    @property
    def _tail(self) -> Floats:
        return np.zeros(self.draws) if self.tail is None else self.tail

    def survival(self, index: Floats) -> Floats:
        """Return S at baseline log cumulative hazards (or indices), shape (s, T), as (s, G, T)."""
        mean = self._mean(index, density=False)
        # Interpolation errs absolutely, which is much in the far tail. The mean lies between the members' own values; averaged
        # over sites it is at least half the lowest of them, as half of the sites are better.
        tail = self._tail[:, None, None]
        worst = survival_at(self.standard, index[:, None, :] + self.highest[..., None], tail)
        best = survival_at(self.standard, index[:, None, :] + self.lowest[..., None], tail)
        return np.clip(mean, 0.5 * worst, 1.0) if self.over_sites else np.clip(mean, worst, best)

    def density(self, index: Floats) -> Floats:
        """Return the density in the index, -dS / d index, at baseline indices, shape (s, T), as (s, G, T)."""
        return np.maximum(self._mean(index, density=True), 0.0)

    def _mean(self, index: Floats, *, density: bool) -> Floats:
        """Return the mean over the mixture of survival, or of its density in the index."""
        result = np.empty((self.draws, self.groups, index.shape[1]))
        for block in self.blocks:
            add_means(self.standard, self._tail, block.rows, block.points, block.mass, index, density, result)
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
                each = values(piece.rows, piece.points)
                result[piece.rows] = np.einsum("sgj,sj->sg", piece.mass, each)
        return result

    def index_at(self, level: float) -> Floats:
        """Return the baseline log cumulative hazard (or index) at which S = ``level``, shape (s, G)."""
        result = np.empty((self.draws, self.groups))
        for block in self.blocks:
            for piece in block.pieces(self.groups):
                found = np.empty(piece.mass.shape[:2])
                tail = self._tail[piece.rows]
                target = index_of(self.standard, level, tail)
                solve_level(piece.points, piece.mass, level, target, self.standard, tail, found)
                result[piece.rows] = found
        return result


def make_mixture(
    groups: list[Members],
    coefficients: Floats,
    site_effect: Floats,
    site_sd: Floats | None = None,
    *,
    site_slope: Floats | None = None,
    site_slope_sd: Floats | None = None,
    site_correlation: Floats | None = None,
    degrees_of_freedom: Floats | None = None,
) -> Mixture:
    """Return the mixture of groups.

    Parameters
    ----------
    groups : list of Members
        The groups.
    coefficients, site_effect : ndarray, shapes (s, p) and (s, J)
        Draws.
    site_sd : ndarray, shape (s,), optional
        When given, average over a normal distribution of sites of this sd.
    site_slope : ndarray, shape (s, J, K), optional
        Draws of the sites' slopes, where there are any.
    site_slope_sd : ndarray, shape (s, K), optional
        With ``site_sd``: sds of the slopes of these sites, where there are any.
    site_correlation : ndarray, shape (s, 1 + K, 1 + K), optional
        With slopes: correlation matrices of a site's effect and slopes, where these are not independent.
    degrees_of_freedom : ndarray, shape (s,), optional
        With ``site_sd``: of Student's t, where it is the distribution of sites instead of a normal one.
    """
    if site_sd is not None and site_slope_sd is not None:
        sds = (site_sd, site_slope_sd) if site_correlation is None else (site_sd, site_slope_sd, site_correlation)
        return _of_normals(groups, (coefficients, site_effect), sds)
    if site_sd is not None:
        return _spread_over_sites(_on_grid(groups, coefficients, site_effect), site_sd, degrees_of_freedom)
    if sum(members.rows.shape[0] for members in groups) <= FEW_MEMBERS:
        return _exact(groups, coefficients, site_effect, site_slope)
    if site_slope is not None:
        return _of_normals(groups, (coefficients, site_effect, site_slope), ())
    return _on_grid(groups, coefficients, site_effect)


def _exact(groups: list[Members], coefficients: Floats, site_effect: Floats, site_slope: Floats | None) -> Mixture:
    """Return the mixture whose points are the members themselves."""
    draws = coefficients.shape[0]
    each = [members.log_hazards(coefficients, site_effect, site_slope) for members in groups]
    mass = np.zeros((draws, len(groups), sum(position.shape[1] for position in each)))
    start = 0
    for number, members in enumerate(groups):
        stop = start + members.rows.shape[0]
        mass[:, number, start:stop] = members.weights
        start = stop
    lowest = np.stack([position.min(axis=1) for position in each], axis=1)
    highest = np.stack([position.max(axis=1) for position in each], axis=1)
    return Mixture((Block(np.arange(draws), np.concatenate(each, axis=1), mass),), lowest, highest)


def _on_grid(groups: list[Members], coefficients: Floats, site_effect: Floats) -> Mixture:
    """Return the mixture on a uniform grid; draws are taken in pieces, so that memory does not grow with draws times people."""
    draws = coefficients.shape[0]
    largest = max(members.rows.shape[0] for members in groups)
    length = max(1, LARGEST_ARRAY // (POINTS * largest))
    pieces = [slice(start, min(start + length, draws)) for start in range(0, draws, length)]
    lowest, highest = np.empty((draws, len(groups))), np.empty((draws, len(groups)))
    for part in pieces:
        for number, members in enumerate(groups):
            position = members.log_hazards(coefficients[part], site_effect[part])
            lowest[part, number], highest[part, number] = position.min(axis=1), position.max(axis=1)
    offset = lowest.min(axis=1)
    size = int(np.ceil((highest.max(axis=1) - offset).max() / STEP)) + 2 * MARGIN + 1
    mass = np.empty((draws, len(groups), size))
    for part in pieces:
        for number, members in enumerate(groups):
            position = members.log_hazards(coefficients[part], site_effect[part]) - offset[part, None]
            weights = members.weights[part] if members.weights.ndim == 2 else members.weights
            mass[part, number] = deposit(MARGIN + position / STEP, weights, size)
    points = offset[:, None] + STEP * (np.arange(size) - MARGIN)
    return Mixture((Block(np.arange(draws), points, mass),), lowest, highest)


def _spread_over_sites(mixture: Mixture, site_sd: Floats, freedom: Floats | None) -> Mixture:
    """Return the mixture convolved, draw by draw, with a distribution of site effects of sd ``site_sd``, (s,).

    It is normal, or Student's t with ``freedom`` (s,).
    """
    whole = mixture.blocks[0]
    parts = np.array_split(np.argsort(site_sd), min(BLOCKS, site_sd.size))
    blocks = tuple(_convolve(whole, rows, site_sd[rows], None if freedom is None else freedom[rows]) for rows in parts)
    return Mixture(blocks, mixture.lowest, mixture.highest, over_sites=True)


def _convolve(whole: Block, rows: Rows, site_sd: Floats, freedom: Floats | None) -> Block:
    reach = normal_reach(float(site_sd.max())) if freedom is None else student_t_reach(float(site_sd.max()))
    size = whole.points.shape[1] + 2 * reach
    padded = fft.next_fast_len(size, real=True)
    shape = normal_kernel(site_sd, reach) if freedom is None else student_t_kernel(site_sd, freedom, reach)
    kernel = fft.rfft(shape, padded, axis=-1)[:, None, :]
    spectrum = fft.rfft(whole.mass[rows], padded, axis=-1) * kernel
    mass = np.asarray(fft.irfft(spectrum, padded, axis=-1))[..., :size]
    return Block(rows, whole.points[rows, :1] + STEP * (np.arange(size) - reach), mass)


def _of_normals(groups: list[Members], effects: tuple[Floats, ...], sds: tuple[Floats, ...]) -> Mixture:
    """Return the mixture of members whose log hazards are normal over sites, each with its own sd; 0 without ``sds``.

    ``effects`` and ``sds`` are what :meth:`Members.log_hazards` and :meth:`Members.sds_over_sites` take.
    """

    def normals(number: int, rows: Rows) -> tuple[Floats, Floats, Floats]:
        members = groups[number]
        mean = members.log_hazards(*(each[rows] for each in effects))
        sd = members.sds_over_sites(*(each[rows] for each in sds)) if sds else np.zeros_like(mean)
        return mean, sd, members.weights[rows] if members.weights.ndim == 2 else members.weights[None]

    length = max(1, LARGEST_ARRAY // (POINTS * max(members.rows.shape[0] for members in groups)))
    lowest, highest, blocks = normal_masses(normals, effects[0].shape[0], len(groups), length)
    return Mixture(tuple(Block(*each) for each in blocks), lowest, highest, over_sites=bool(sds))
