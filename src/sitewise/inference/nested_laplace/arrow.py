"""Linear algebra of the arrow: a small dense block, and a site's own block that meets the others only through it."""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled


@compiled
def cholesky(matrix, factor):  # type: ignore[no-untyped-def]
    """Fill ``factor`` with the lower Cholesky factor and return the log determinant; not a number where there is none."""
    size = matrix.shape[0]
    total = 0.0
    for i in range(size):
        for j in range(i + 1):
            left = matrix[i, j]
            for k in range(j):
                left -= factor[i, k] * factor[j, k]
            if i == j:
                if not left > 0.0:
                    return np.nan
                factor[i, i] = math.sqrt(left)
                total += math.log(left)
            else:
                factor[i, j] = left / factor[j, j]
                factor[j, i] = 0.0
    return total


@compiled
def solve(factor, x):  # type: ignore[no-untyped-def]
    """Replace ``x`` by the solution of (L L') y = x."""
    for i in range(x.size):
        for j in range(i):
            x[i] -= factor[i, j] * x[j]
        x[i] /= factor[i, i]
    solve_upper(factor, x)


@compiled
def solve_upper(factor, x):  # type: ignore[no-untyped-def]
    """Replace ``x`` by the solution of L' y = x."""
    for i in range(x.size - 1, -1, -1):
        for j in range(i + 1, x.size):
            x[i] -= factor[j, i] * x[j]
        x[i] /= factor[i, i]


@compiled
def eliminate(gradient, hessian, cross, site_gradient, site_hessian, site_mixed, site_step):  # type: ignore[no-untyped-def]
    """Take the sites out of ``gradient`` and ``hessian`` (Schur complement); return the log determinant of their block.

    ``site_step`` (E,) becomes the inverse of the sites' block times their gradient. Arrays are passed one by one, here and
    below: the workspace has many, and copying it would take longer than the arithmetic of a few sites.
    """
    d, sites, effects = gradient.size, site_mixed.size, site_step.size
    sloping = effects > sites
    log_determinant = 0.0
    for site in range(min(sites, effects)):
        along = site_gradient[site] / site_hessian[site]
        log_determinant += math.log(site_hessian[site])
        if not sloping:
            site_step[site] = along
            for i in range(d):
                gradient[i] -= cross[site, i] * along
                row = cross[site, i] / site_hessian[site]
                for j in range(d):
                    hessian[i, j] -= row * cross[site, j]
            continue
        # With a slope: the intercept is taken out of the slope first.
        other = sites + site
        share = site_mixed[site] / site_hessian[site]
        left = site_hessian[other] - share * site_mixed[site]
        log_determinant += math.log(left)
        slope_step = (site_gradient[other] - share * site_gradient[site]) / left
        site_step[other] = slope_step
        site_step[site] = along - share * slope_step
        for i in range(d):
            gradient[i] -= cross[site, i] * site_step[site] + cross[other, i] * slope_step
            slope_row = (cross[other, i] - share * cross[site, i]) / left
            row = cross[site, i] / site_hessian[site] - share * slope_row
            for j in range(d):
                hessian[i, j] -= row * cross[site, j] + slope_row * cross[other, j]
    return log_determinant


@compiled
def substitute(step, cross, site_gradient, site_hessian, site_mixed, site_step):  # type: ignore[no-untyped-def]
    """Return the gain that steps of the sites promise, and correct ``site_step`` for ``step`` of the others."""
    sites, effects = site_mixed.size, site_step.size
    sloping = effects > sites
    gain = 0.0
    for site in range(min(sites, effects)):
        gain += site_gradient[site] * site_step[site]
        along = 0.0
        for i in range(step.size):
            along += cross[site, i] * step[i]
        along /= site_hessian[site]
        if sloping:
            other = sites + site
            gain += site_gradient[other] * site_step[other]
            share = site_mixed[site] / site_hessian[site]
            left = site_hessian[other] - share * site_mixed[site]
            slope_along = -along * site_mixed[site]
            for i in range(step.size):
                slope_along += cross[other, i] * step[i]
            slope_along /= left
            site_step[other] -= slope_along
            along -= share * slope_along
        site_step[site] -= along
    return gain
