"""Effects of sites after interim data: integrated out of the likelihood, and drawn given it.

The effect of a site, given a row of the truth, has one dimension: its density is taken on an even grid that is moved and
narrowed until its spacing is no wider than the density's standard deviation. The sum over an even grid is then exact to about
exp(-2 pi^2) for a density that is near normal (Trefethen & Weideman 2014, SIAM Review 56:385).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
LogLikelihood = Callable[[Codes, Floats], Floats]
"""Of draws (B,) and site effects (B, J, Q): the log likelihood of each site's patients (B, J, Q)."""
NODES, WIDTH = 25, 6.0
"""Points of a grid, and the standard deviations on either side that it covers: half a standard deviation apart."""
FINE = 61
"""Points of the grid that effects are drawn from: a fifth of a standard deviation apart."""
ROUNDS = 6


@dataclass(frozen=True, eq=False)
class SiteEffects:
    """Where the effects of sites are, given each draw.

    Parameters
    ----------
    log_marginal : ndarray, shape (D,)
        Log likelihood of all patients with the site effects integrated out.
    mean, sd : ndarray, shape (D, J)
        Of each effect.
    """

    log_marginal: Floats
    mean: Floats
    sd: Floats


def _grid(centre: Floats, half: Floats, nodes: int) -> Floats:
    return centre[..., None] + half[..., None] * np.linspace(-1.0, 1.0, nodes)


def _weights(log_likelihood: LogLikelihood, draws: Codes, at: Floats, site_sd: Floats) -> tuple[Floats, Floats]:
    """Return each point's density over the largest, and the log of the largest, of draws whose sites differ."""
    scale = site_sd[:, None, None]
    prior = -0.5 * (at / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))
    log_density = log_likelihood(draws, at) + prior
    top = log_density.max(axis=2)
    with np.errstate(invalid="ignore"):
        weight = np.where(np.isneginf(top)[..., None], 1.0, np.exp(log_density - top[..., None]))
    return weight, top


def integrated(log_likelihood: LogLikelihood, site_sd: Floats, /, *, sites: int) -> SiteEffects:
    """Return the likelihood with site effects integrated out, and where the effects are.

    Parameters
    ----------
    log_likelihood : callable
        See :data:`LogLikelihood`.
    site_sd : ndarray, shape (D,)
        Spread of the sites in each draw; where it is zero effects are zero.
    sites : int
        Number of sites J.
    """
    total = np.empty(site_sd.size)
    mean, sd = np.zeros((site_sd.size, sites)), np.zeros((site_sd.size, sites))
    same = np.flatnonzero(site_sd == 0)
    if same.size:
        total[same] = log_likelihood(same, np.zeros((same.size, sites, 1)))[..., 0].sum(axis=1)
    left = np.flatnonzero(site_sd > 0)
    half = np.zeros_like(mean)
    half[left] = WIDTH * site_sd[left, None]
    for _ in range(ROUNDS):
        if not left.size:
            break
        at = _grid(mean[left], half[left], NODES)
        weight, top = _weights(log_likelihood, left, at, site_sd[left])
        spacing = 2 * half[left] / (NODES - 1)
        mass = weight.sum(axis=2)
        centre = (weight * at).sum(axis=2) / mass
        spread = np.sqrt(np.maximum((weight * (at - centre[..., None]) ** 2).sum(axis=2) / mass, 0.0))
        total[left] = (top + np.log(mass * spacing)).sum(axis=1)
        coarse = (spread < spacing) & ~np.isneginf(top)
        mean[left], sd[left] = centre, spread
        half[left] = WIDTH * np.maximum(spread, spacing / 2)
        left = left[coarse.any(axis=1)]
    return SiteEffects(total, mean, sd)


def drawn(
    log_likelihood: LogLikelihood,
    site_sd: Floats,
    found: SiteEffects,
    chosen: Codes,
    /,
    *,
    seen: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Floats:
    """Return site effects given chosen draws, shape (M, J).

    Parameters
    ----------
    log_likelihood, site_sd
        As in :func:`integrated`.
    found : SiteEffects
        What that returned.
    chosen : ndarray of int, shape (M,)
        Draws.
    seen : ndarray of bool, shape (J,)
        Whether a site has patients; the others' effects are of new sites.
    rng : Generator
        Random numbers.
    """
    effects = site_sd[chosen, None] * rng.standard_normal((chosen.size, seen.size))
    draws, place = np.unique(chosen, return_inverse=True)
    differ = site_sd[draws] > 0
    if not seen.any() or not differ.any():
        return effects
    at = _grid(found.mean[draws], WIDTH * found.sd[draws], FINE)
    weight = np.ones(at.shape)
    weight[differ], _ = _weights(log_likelihood, draws[differ], at[differ], site_sd[draws[differ]])
    cumulative = np.cumsum(weight, axis=2)
    for site in np.flatnonzero(seen):
        levels = cumulative[place, site, :]
        wanted = rng.random(chosen.size) * levels[:, -1]
        node = np.minimum((levels <= wanted[:, None]).sum(axis=1), FINE - 1)
        spacing = 2 * WIDTH * found.sd[chosen, site] / (FINE - 1)
        own = at[place, site, node] + spacing * (rng.random(chosen.size) - 0.5)
        effects[:, site] = np.where(site_sd[chosen] > 0, own, 0.0)
    return effects
