"""Student's t distribution of site effects, by its sd: density, mixture of normals, median distance between two sites.

With nu degrees of freedom, above 2, and scale s the sd is s sqrt(nu / (nu - 2)). An effect is normal with sd s / sqrt(lambda)
given a precision lambda ~ Gamma(nu / 2, nu / 2), so that what is known for normal sites is averaged over lambda.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial.chebyshev import chebinterpolate, chebval
from numpy.typing import NDArray
from scipy.special import gammaln, lambertw, stdtr

from sitewise import names
from sitewise.models.site_effects import RandomSites

if TYPE_CHECKING:
    from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]
NODES = 96
FALLEN = 30.0
"""Log density of log lambda below its mode's at which the mixture ends: exp(-30) is 1e-13."""
DEGREE = 24


def degrees_of_freedom(spec: ModelSpec, variables: Mapping[str, Floats]) -> Floats | None:
    """Return the degrees of freedom of Student-t sites, of the shape of the draws of ``site_sd``; None of other sites."""
    if not (isinstance(spec.sites, RandomSites) and spec.sites.is_student_t):
        return None
    if spec.sites.degrees_of_freedom is None:
        return variables[names.SITE_DEGREES_OF_FREEDOM]
    return np.full(np.shape(variables[names.SITE_SD]), spec.sites.degrees_of_freedom)


def unit_scale(freedom: Floats) -> Floats:
    """Return the scale at which the sd is one."""
    return np.asarray(np.sqrt((freedom - 2.0) / freedom))


def log_density(values: Floats, sd: Floats, freedom: Floats) -> Floats:
    """Return the log density of Student's t about zero with this sd."""
    scale = sd * unit_scale(freedom)
    half = 0.5 * (freedom + 1.0)
    constant = gammaln(half) - gammaln(0.5 * freedom) - 0.5 * np.log(freedom * np.pi) - np.log(scale)
    return np.asarray(constant - half * np.log1p((values / scale) ** 2 / freedom))


def mixture_of_normals(freedom: Floats) -> tuple[Floats, Floats]:
    """Return sds (S, Q) and shares (S, Q) of normals whose mixture is Student's t with sd one and nu (S,).

    The trapezoidal rule over v = log lambda, whose density exp((v - exp(v)) nu / 2) is analytic where |Im v| < pi / 2, and has
    fallen by exp(-30) at y = exp(v) with y - log y = 1 + 60 / nu (Lambert's W).
    """
    level = -np.exp(-(1.0 + 2 * FALLEN / freedom))
    first, last = (np.log(-lambertw(level, branch).real) for branch in (0, -1))
    v = first[:, None] + (last - first)[:, None] * np.linspace(0.0, 1.0, NODES)
    share = np.exp(0.5 * freedom[:, None] * (v - np.exp(v) + 1.0))
    return unit_scale(freedom)[:, None] * np.exp(-0.5 * v), share / share.sum(axis=1, keepdims=True)


def log_ratio_between_sites(freedom: Floats) -> Floats:
    """Return the median of |b_1 - b_2| for two site effects with sd one, by degrees of freedom; 0.954 for normal sites.

    In scales of the distribution it is smooth in 1 / nu, and interpolated at Chebyshev nodes.
    """
    scales = chebval(4.0 / freedom - 1.0, _median_distances())
    return np.asarray(scales * unit_scale(freedom))


@cache
def _median_distances() -> Floats:
    """Return Chebyshev coefficients of the median distance in scales, as a function of 4 / nu - 1 from -1 to 1."""
    return np.asarray(chebinterpolate(np.vectorize(lambda x: _median_distance(4.0 / (x + 1.0))), DEGREE))


def _median_distance(freedom: float) -> float:
    """Return the median distance of two values from Student's t with scale one.

    It is the x at which E F(b + x) = 3/4 over b, with F the distribution function, by bisection. With b = sqrt(nu) sinh(y) the
    density of y is proportional to cosh(y)^-nu, so that the trapezoidal rule errs exponentially little.
    """
    end = np.arccosh(np.exp(FALLEN / freedom))
    y = np.linspace(-end, end, 401)
    b, share = np.sqrt(freedom) * np.sinh(y), np.cosh(y) ** -freedom
    low, high = 0.0, 4.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share @ stdtr(freedom, b + middle) < 0.75 * share.sum() else (low, middle)
    return 0.5 * (low + high)
