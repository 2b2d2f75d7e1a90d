"""Student-t distributions of sites as masses on the grid of log hazards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, kve

from sitewise.estimands.grid import ALIGNED_SD, MARGIN, STEP, normal_kernel
from sitewise.models.student_t import log_density, mixture_of_normals, unit_scale

Floats = NDArray[np.float64]

FARTHEST = 24.0
"""Log hazards kept on each side, however heavy the tails.

What lies beyond is put at the two ends. There survival is 1 - exp(u - 24), or as near to 0, so that this moves it by the mass
beyond times exp(|u| - 24), for baseline log cumulative hazards u: nothing where anybody looks.
"""
ALIASED = -27.0
"""Log of the characteristic function at 2 pi / step below which the trapezoidal rule over the density does: 2e-12."""


def student_t_reach(largest_sd: float) -> int:
    """Return how many grid points on each side a Student-t distribution of this sd needs: a little more than it has sds."""
    return int(np.ceil(max(FARTHEST, 8 * largest_sd) / STEP)) + MARGIN


def student_t_kernel(sd: Floats, freedom: Floats, reach: int) -> Floats:
    """Return the masses of Student's t with these sds and degrees of freedom, (s,), on the grid points -reach..reach.

    The trapezoidal rule on the grid itself where the distribution is wide against the step; where it is narrow, the mixture of
    normals, each spread as narrow normals are. Shape (s, 2 reach + 1).
    """
    points: Floats = STEP * np.arange(-reach, reach + 1, dtype=np.float64)
    kernel = np.zeros((sd.size, points.size))
    wide = _log_characteristic(2 * np.pi / STEP * sd * unit_scale(freedom), freedom) < ALIASED
    if wide.any():
        kernel[wide] = STEP * np.exp(log_density(points, sd[wide, None], freedom[wide, None]))
    narrow = np.flatnonzero(~wide)
    if narrow.size:
        sds, shares = mixture_of_normals(freedom[narrow])
        for node_sd, share in zip((sd[narrow, None] * sds).T, shares.T, strict=True):
            kernel[narrow] += share[:, None] * _normal_masses(node_sd, points)
    beyond = 0.5 * (1.0 - kernel.sum(axis=1))
    kernel[:, 0] += beyond
    kernel[:, -1] += beyond
    return kernel


def _log_characteristic(frequency: Floats, freedom: Floats) -> Floats:
    """Return the log of the characteristic function of Student's t with scale one (Hurst 1995), nan where it is near one.

    K_(nu / 2)(x) x^(nu / 2) / (Gamma(nu / 2) 2^(nu / 2 - 1)) with x = sqrt(nu) times the frequency. By Poisson's summation
    it is what the trapezoidal rule errs by.
    """
    half, x = 0.5 * freedom, np.sqrt(freedom) * frequency
    with np.errstate(all="ignore"):
        return np.asarray(np.log(kve(half, x)) - x + half * np.log(x) - gammaln(half) - (half - 1.0) * np.log(2.0))


def _normal_masses(sd: Floats, points: Floats) -> Floats:
    """Return masses of normals, (s, points), without what lies beyond the points."""
    masses = np.empty((sd.size, points.size))
    narrow = sd < ALIGNED_SD
    masses[narrow] = normal_kernel(sd[narrow], points.size // 2)
    wide = sd[~narrow][:, None]
    masses[~narrow] = STEP / (wide * np.sqrt(2 * np.pi)) * np.exp(-0.5 * (points / wide) ** 2)
    return masses
