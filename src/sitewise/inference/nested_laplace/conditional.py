"""The Laplace approximation at one value of the hyperparameters: mode, curvature, and the hyperparameters' log density.

Given the shape k and the site sd, the log density of coefficients and baseline ``c`` (q + 1,) and of standardised site effects
``z`` (J,) is concave. A site's effect meets the others only through c, so the Hessian is an arrow: one number a site, its
cross terms with c, and a small dense block. Newton's steps use the Schur complement: the cost is linear in cells and sites.

The sign of the predictor's effect on the log cumulative hazard, ``unit``, is 1 for hazard ratios and -k for time ratios.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.inference.kernel import (
    AT_MEANS_AS_IS,
    AT_MEANS_LOG_MEDIAN,
    LOG_2_PI,
    LOG_LOG_2,
    prior_log_density,
)
from sitewise.inference.nested_laplace.hazards import add_pairs, fill_hazards, sum_of, sum_of_products
from sitewise.inference.nested_laplace.priors import normal_stand_in

MOST_STEPS = 60
MOST_HALVINGS = 40
CONVERGED = 1e-4
"""Newton stops after a step whose predicted gain of log density is below this; what is left is of the order of its square."""


@compiled
def baseline_row(shape, priors, row):  # type: ignore[no-untyped-def]
    """Fill ``row`` (q + 1,) with the derivative, in c, of the quantity that the baseline's prior is about."""
    q = priors.distance.size
    factor = 0.0
    if priors.baseline_kind != AT_MEANS_AS_IS:
        factor = -1.0 if priors.time_ratio else 1.0 / shape
    for j in range(q):
        row[j] = factor * priors.distance[j]
    row[q] = 1.0


@compiled
def derivatives(shape, site_sd, cells, priors, c, z, work):  # type: ignore[no-untyped-def]
    """Return the log density of (c, z) given the hyperparameters, and fill its derivatives in the workspace.

    ``gradient`` and ``hessian`` (of minus the log density) are in c; ``site_gradient``, ``site_hessian`` and ``cross`` in z,
    which is empty without random sites. The exposures in the workspace are of this shape.
    """
    gradient, hessian, row, hazard = work.gradient, work.hessian, work.row, work.hazard
    q = c.size - 1
    unit = -shape if priors.time_ratio else 1.0
    shift = LOG_LOG_2 if priors.baseline_kind == AT_MEANS_LOG_MEDIAN else 0.0
    baseline_row(shape, priors, row)
    about = cells.middle
    for j in range(q + 1):
        about += row[j] * c[j]
    value, slope, precision = normal_stand_in(priors.baseline, about)
    for i in range(q + 1):
        gradient[i] = slope * row[i]
        for j in range(q + 1):
            hessian[i, j] = precision * row[i] * row[j]
    for j in range(q):
        sd = priors.column_sd[j]
        density, slope, precision = normal_stand_in(priors.coefficients[j], c[j] / sd)
        value += density
        gradient[j] += slope / sd
        hessian[j, j] += precision / (sd * sd)

    base = shift - shape * c[q]
    reach = unit * site_sd
    sites = z.size
    effects, products, pairs = work.effects, work.products, work.pairs
    for site in range(sites):
        effects[site] = reach * z[site]
    columns, site_start = cells.columns, cells.site_start
    fill_hazards(
        shape, base, unit, c, effects, columns, site_start, cells.log_time, cells.sign_weight,
        work.exposure, hazard, work.x, work.power,
    )  # fmt: skip
    value += base * cells.total_events
    for k in range(q):
        value += unit * c[k] * cells.column_events[k]

    # Sums over cells: of hazards by site, times columns, and times pairs of columns; the derivatives are linear in these.
    total = 0.0
    products[:] = 0.0
    for site in range(sites):
        start, stop = site_start[site], site_start[site + 1]
        of_site = sum_of(hazard, start, stop)
        total += of_site
        for k in range(q):
            along = sum_of_products(hazard, columns[k], start, stop)
            products[k] += along
            work.cross[site, k] = reach * unit * along
        work.cross[site, q] = -reach * shape * of_site
        value += cells.site_events[site] * effects[site] - 0.5 * z[site] * z[site] - 0.5 * LOG_2_PI
        work.site_gradient[site] = reach * (cells.site_events[site] - of_site) - z[site]
        work.site_hessian[site] = 1.0 + reach * reach * of_site
    if sites == 0:
        total = sum_of(hazard, 0, hazard.size)
        for k in range(q):
            products[k] = sum_of_products(hazard, columns[k], 0, hazard.size)
    value -= total
    pairs[:] = 0.0
    add_pairs(hazard, columns, pairs, work.x)
    for k in range(q):
        gradient[k] += unit * (cells.column_events[k] - products[k])
        hessian[q, k] -= unit * shape * products[k]
        for j in range(k + 1):
            hessian[k, j] += unit * unit * pairs[k, j]
    gradient[q] -= shape * (cells.total_events - total)
    hessian[q, q] += shape * shape * total
    for i in range(q + 1):
        for j in range(i):
            hessian[j, i] = hessian[i, j]
    log_times = shape * (cells.events_log_time - cells.middle * cells.total_events) - cells.events_log_time
    return value + cells.total_events * math.log(shape) + log_times


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
def conditional(shape, site_sd, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Move (c, z) to their mode given the hyperparameters; return the log density with (c, z) integrated out by Laplace.

    ``factor`` gets the Cholesky factor of the precision of c with z integrated out. The hyperparameters' own prior is not
    included. Not a number where Newton's method finds no mode.
    """
    d, sites = c.size, z.size
    gradient, hessian, step, old = work.gradient, work.hessian, work.step, work.old
    site_gradient, site_hessian, cross = work.site_gradient, work.site_hessian, work.cross
    site_step, site_old = work.site_step, work.site_old
    last = -np.inf
    halvings = 0
    log_determinant = np.nan
    for _ in range(MOST_STEPS + MOST_HALVINGS):
        value = derivatives(shape, site_sd, cells, priors, c, z, work)
        if not value >= last - 1e-9 * max(1.0, abs(last)):  # went down, or left the numbers: half the step
            halvings += 1
            if halvings > MOST_HALVINGS or last == -np.inf:
                return np.nan
            for i in range(d):
                step[i] *= 0.5
                c[i] = old[i] + step[i]
            for site in range(sites):
                site_step[site] *= 0.5
                z[site] = site_old[site] + site_step[site]
            continue
        last = value
        log_determinant = 0.0
        for site in range(sites):
            log_determinant += math.log(site_hessian[site])
            for i in range(d):
                along = cross[site, i] / site_hessian[site]
                gradient[i] -= along * site_gradient[site]
                for j in range(d):
                    hessian[i, j] -= along * cross[site, j]
        log_determinant += cholesky(hessian, factor)
        if not math.isfinite(log_determinant):
            return np.nan
        for i in range(d):
            step[i] = gradient[i]
        solve(factor, step)
        gain = 0.0
        for i in range(d):
            gain += gradient[i] * step[i]
            old[i] = c[i]
            c[i] += step[i]
        for site in range(sites):
            left = site_gradient[site]
            gain += left * left / site_hessian[site]
            for i in range(d):
                left -= cross[site, i] * step[i]
            site_step[site] = left / site_hessian[site]
            site_old[site] = z[site]
            z[site] += site_step[site]
        if gain < CONVERGED:
            return value + 0.5 * gain - 0.5 * log_determinant + 0.5 * (d + sites) * LOG_2_PI
    return np.nan


@compiled
def hyper_log_density(shape, site_sd, priors):  # type: ignore[no-untyped-def]
    """Return the log prior density of (log shape, site sd), as far as the spec has them."""
    total = 0.0
    if priors.has_shape:
        prior = priors.shape
        total += prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], shape)[0] + math.log(shape)
    if priors.random_sites:
        prior = priors.site_sd
        total += prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], site_sd)[0]
    return total
