"""The Laplace approximation at one value of the hyperparameters: mode, curvature, and the hyperparameters' log density.

Given the shape k and the sds of the sites, the log density of coefficients and baseline ``c`` (q + 1,) and of standardised site
effects ``z`` (J,) is concave. A site's effect meets the others only through c, so the Hessian is an arrow: one number a site
(with random slopes, of which ``z`` has J more, a block of two), its cross terms with c, and a small dense block. Newton's steps
use the Schur complement: the cost is linear in cells and sites.

The sign of the predictor's effect on the log cumulative hazard, ``unit``, is 1 for hazard ratios and -k for time ratios.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled, inlined
from sitewise.families.base import LOG_LOG_2
from sitewise.inference.kernel import AT_MEANS_AS_IS, AT_MEANS_LOG_MEDIAN
from sitewise.inference.nested_laplace.arrow import cholesky, eliminate, solve, substitute
from sitewise.inference.nested_laplace.hazards import add_pairs, fill_hazards, sum_of, sum_of_products
from sitewise.inference.nested_laplace.intervals import add_intervals
from sitewise.inference.nested_laplace.priors import normal_stand_in
from sitewise.inference.prior_densities import LOG_2_PI, prior_log_density

MOST_STEPS = 60
MOST_HALVINGS = 40
CONVERGED = 1e-4
"""Newton stops after a step whose predicted gain of log density is below this; what is left is of the order of its square."""


@inlined
def baseline_row(shape, priors, row):  # type: ignore[no-untyped-def]
    """Fill ``row`` (q + 1,) with the derivative, in c, of the quantity that the baseline's prior is about."""
    q = priors.distance.size
    factor = 0.0
    if priors.baseline_kind != AT_MEANS_AS_IS:
        factor = -1.0 if priors.time_ratio else 1.0 / shape
    for j in range(q):
        row[j] = factor * priors.distance[j]
    row[q] = 1.0


@inlined
def derivatives(shape, site_sd, slope_sd, cells, priors, c, z, work):  # type: ignore[no-untyped-def]
    """Return the log density of (c, z) given the hyperparameters, and fill its derivatives in the workspace.

    ``gradient`` and ``hessian`` (of minus the log density) are in c; ``site_gradient``, ``site_hessian``, ``site_mixed`` and
    ``cross`` in z, which is empty without random sites. The exposures in the workspace are of this shape.
    """
    gradient, hessian, row, hazard = work.gradient, work.hessian, work.row, work.hazard
    q = c.size - 1
    unit = -shape if priors.time_ratio else 1.0
    shift = LOG_LOG_2 if priors.baseline_kind == AT_MEANS_LOG_MEDIAN else 0.0
    baseline_row(shape, priors, row)
    about = cells.middle
    for j in range(q + 1):
        about += row[j] * c[j]
    prior, several = priors.baseline, priors.coefficients  # rows are not taken out: each would be counted, which takes long
    value, slope, precision = normal_stand_in(int(prior[0]), prior[1], prior[2], prior[3], about)
    for i in range(q + 1):
        gradient[i] = slope * row[i]
        for j in range(q + 1):
            hessian[i, j] = precision * row[i] * row[j]
    for j in range(q):
        sd = priors.column_sd[j]
        code, x = int(several[j, 0]), c[j] / sd
        density, slope, precision = normal_stand_in(code, several[j, 1], several[j, 2], several[j, 3], x)
        value += density
        gradient[j] += slope / sd
        hessian[j, j] += precision / (sd * sd)

    base = shift - shape * c[q]
    reach, slope_reach = unit * site_sd, unit * slope_sd
    sites = cells.site_start.size - 1 if z.size > 0 else 0
    effects, products, pairs = work.effects, work.products, work.pairs
    for place in range(z.size):
        effects[place] = (reach if place < sites else slope_reach) * z[place]
    columns, site_start = cells.columns, cells.site_start
    fill_hazards(
        shape, base, unit, c, effects, cells.slope, columns, site_start, cells.log_time, cells.sign_weight,
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
    if cells.slope.size > 0:
        value += add_slopes(shape, unit, reach, slope_reach, cells, z, work)
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
    if cells.intervals.weight.size > 0:
        value += add_intervals(shape, base, unit, reach, slope_reach, c, z, cells.intervals, work)
    for i in range(q + 1):
        for j in range(i):
            hessian[j, i] = hessian[i, j]
    log_times = shape * (cells.events_log_time - cells.middle * cells.total_events) - cells.events_log_time
    return value + cells.total_events * math.log(shape) + log_times


@compiled
def add_slopes(shape, unit, reach, slope_reach, cells, z, work):  # type: ignore[no-untyped-def]
    """Return what slopes add to the log density beyond their part in the hazards, and fill their derivatives."""
    sites, q = cells.site_start.size - 1, cells.columns.shape[0]
    tilted, hazard, slope = work.tilted, work.hazard, cells.slope
    for i in range(hazard.size):
        tilted[i] = hazard[i] * slope[i]
    value = 0.0
    for site in range(sites):
        start, stop, own = cells.site_start[site], cells.site_start[site + 1], sites + site
        of_site = sum_of(tilted, start, stop)
        for k in range(q):
            work.cross[own, k] = slope_reach * unit * sum_of_products(tilted, cells.columns[k], start, stop)
        work.cross[own, q] = -slope_reach * shape * of_site
        events = cells.site_slope_events[site]
        value += events * slope_reach * z[own] - 0.5 * z[own] * z[own] - 0.5 * LOG_2_PI
        work.site_gradient[own] = slope_reach * (events - of_site) - z[own]
        work.site_hessian[own] = 1.0 + slope_reach * slope_reach * sum_of_products(tilted, slope, start, stop)
        work.site_mixed[site] = reach * slope_reach * of_site
    return value


@inlined
def conditional(shape, site_sd, slope_sd, cells, priors, c, z, factor, work):  # type: ignore[no-untyped-def]
    """Move (c, z) to their mode given the hyperparameters; return the log density with (c, z) integrated out by Laplace.

    ``factor`` gets the Cholesky factor of the precision of c with z integrated out. The hyperparameters' own prior is not
    included. Not a number where Newton's method finds no mode.
    """
    d = c.size
    gradient, hessian, step, old = work.gradient, work.hessian, work.step, work.old
    site_gradient, site_hessian, site_mixed = work.site_gradient, work.site_hessian, work.site_mixed
    site_step, site_old, cross = work.site_step, work.site_old, work.cross
    last = -np.inf
    halvings = 0
    for _ in range(MOST_STEPS + MOST_HALVINGS):
        value = derivatives(shape, site_sd, slope_sd, cells, priors, c, z, work)
        if not value >= last - 1e-9 * max(1.0, abs(last)):  # went down, or left the numbers: half the step
            halvings += 1
            if halvings > MOST_HALVINGS or last == -np.inf:
                return np.nan
            for i in range(d):
                step[i] *= 0.5
                c[i] = old[i] + step[i]
            for place in range(z.size):
                site_step[place] *= 0.5
                z[place] = site_old[place] + site_step[place]
            continue
        last = value
        log_determinant = eliminate(gradient, hessian, cross, site_gradient, site_hessian, site_mixed, site_step)
        log_determinant += cholesky(hessian, factor)
        if not math.isfinite(log_determinant):
            return np.nan
        for i in range(d):
            step[i] = gradient[i]
        solve(factor, step)
        gain = substitute(step, cross, site_gradient, site_hessian, site_mixed, site_step)
        for i in range(d):
            gain += gradient[i] * step[i]
            old[i] = c[i]
            c[i] += step[i]
        for place in range(z.size):
            site_old[place] = z[place]
            z[place] += site_step[place]
        if gain < CONVERGED:
            return value + 0.5 * gain - 0.5 * log_determinant + 0.5 * (d + z.size) * LOG_2_PI
    return np.nan


@inlined
def hyper_log_density(shape, site_sd, slope_sd, priors):  # type: ignore[no-untyped-def]
    """Return the log prior density of (log shape, site sd, sd of slopes), as far as the spec has them."""
    total = 0.0
    if priors.has_shape:
        prior = priors.shape
        total += prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], shape)[0] + math.log(shape)
    if priors.random_sites:
        prior = priors.site_sd
        total += prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], site_sd)[0]
    if priors.random_slopes:
        prior = priors.site_slope_sd
        total += prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], slope_sd)[0]
    return total
