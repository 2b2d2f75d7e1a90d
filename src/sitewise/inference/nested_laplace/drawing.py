"""Weighted draws: hyperparameters from the grid, coefficients from a Student t, each site's effect from its own conditional.

The weight of a draw is the exact density of the model over the density that proposed it, so that every approximation made
before only costs efficiency, and the weights tell how much.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.inference.kernel import AT_MEANS_LOG_MEDIAN, LOG_2_PI, LOG_LOG_2, prior_log_density
from sitewise.inference.nested_laplace.conditional import (
    baseline_row,
    conditional,
    hyper_log_density,
    solve_upper,
)
from sitewise.inference.nested_laplace.exposure import exposures_at
from sitewise.inference.nested_laplace.grid import COLUMNS, ROWS
from sitewise.inference.nested_laplace.hazards import fill_hazards, sum_of
from sitewise.inference.nested_laplace.workspace import make_workspace

OUTSIDE_DEGREES = 3.0
OUTSIDE_WIDTH = 2.0
"""Of the t that proposes a few hyperparameters anywhere: degrees of freedom, and its scale in sds of the grid."""
CUT = 1e290
"""A site's hazard beyond this, or below its inverse where there are events, comes from log hazards that were cut."""
NEARLY = 2
"""Newton steps for the mode of a site's conditional: it need not be exact, only the same for density and draw."""
SPLIT_AT = 1.7
"""Distance from the mode, in sds of the curvature, at which the two halves of a site's conditional are made to agree."""


@compiled
def t_density(x):  # type: ignore[no-untyped-def]
    """Return the density of a standard Student t with three degrees of freedom."""
    return 2.0 / (math.pi * math.sqrt(OUTSIDE_DEGREES) * (1.0 + x * x / OUTSIDE_DEGREES) ** 2)


@compiled
def site_conditional(reach, events, hazard, halves):  # type: ignore[no-untyped-def]
    """Return the mode of exp(events reach z - hazard exp(reach z) - z^2 / 2), and fill the sds of its halves, left and right.

    With y = hazard reach^2 exp(reach z) the mode solves y + log y = log(hazard reach^2) + events reach^2 (Lambert's W), and
    1 + y is the curvature. Each half has the sd with which a normal falls as the density does at ``SPLIT_AT``.
    """
    square = reach * reach
    goal = math.log(hazard * square) + events * square
    y = goal - math.log(goal) if goal > 1.5 else math.exp(min(goal, 0.0)) / (1.0 + math.exp(min(goal, 0.0)))
    if y > 1e-12:
        for _ in range(NEARLY):
            y *= (1.0 + goal - math.log(y)) / (1.0 + y)
    else:  # next to nobody: the prior
        halves[:] = 1.0
        return events * reach - y / reach
    u = SPLIT_AT / math.sqrt(1.0 + y)
    x = abs(reach) * u
    if x < 1e-4:
        right, left = 0.5 * u * u, 0.5 * u * u
    else:
        grown = math.exp(x)
        right, left = (grown - 1.0 - x) / square, (1.0 / grown - 1.0 + x) / square
    if reach < 0.0:
        left, right = right, left
    halves[0] = u / math.sqrt(u * u + 2.0 * y * left)
    halves[1] = u / math.sqrt(u * u + 2.0 * y * right)
    return events * reach - y / reach


@compiled
def exact_log_prior(c, priors, shape, middle, row):  # type: ignore[no-untyped-def]
    """Return the log prior density of c = (coefficients, baseline); scratch ``row`` (q + 1,)."""
    baseline_row(shape, priors, row)
    about = middle
    total = 0.0
    for j in range(c.size):
        about += row[j] * c[j]
    for j in range(c.size - 1):
        prior = priors.coefficients[j]
        total += prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], c[j] / priors.column_sd[j])[0]
    prior = priors.baseline
    return total + prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], about)[0]


@compiled
def draw(  # type: ignore[no-untyped-def]
    cells,
    priors,
    grid,
    degrees,
    spread,
    outside,
    uniforms,
    normals,
    chi_squares,
    site_uniforms,
    start,
    stop,
    points,
    densities,
    log_weights,
):
    """Fill ``points`` (S, free), in the order of the kernel's point, ``densities`` (S, 2) and ``log_weights`` (S,).

    ``densities`` are the log density as the kernel has it, and the log likelihood. ``spread`` multiplies the sds of the
    coefficients' proposal.

    ``uniforms`` (S, 3), ``normals`` (S, 2 + q + 1 + J), ``chi_squares`` (S, 3) and ``site_uniforms`` (S, J) are standard random
    numbers. Draws ``start`` to ``stop`` are made. The first ``outside`` draws take their hyperparameters from a wide t, the
    others from the grid by systematic sampling. Site effects are standardised.
    """
    draws = points.shape[0]
    d = cells.columns.shape[0] + 1
    q = d - 1
    sites = cells.site_start.size - 1 if priors.random_sites else 0
    highest = grid.log_mass.max()
    mass = np.exp(grid.log_mass - highest)
    mass /= mass.sum()
    cumulative = np.cumsum(mass)
    half_row = ROWS // 2
    # Middle and spread of the grid, for the draws from outside.
    x_of = grid.log_shape_mode + (grid.row - half_row) * grid.log_shape_step
    v_of = grid.v_first + (grid.column + 0.5) * grid.v_step
    x_middle, v_middle = (mass * x_of).sum(), (mass * v_of).sum()
    x_wide = OUTSIDE_WIDTH * math.sqrt((mass * (x_of - x_middle) ** 2).sum() + grid.log_shape_step**2 / 12)
    v_wide = OUTSIDE_WIDTH * math.sqrt((mass * (v_of - v_middle) ** 2).sum() + grid.v_step**2 / 12)
    cell_area = 1.0
    if priors.has_shape:
        cell_area *= grid.log_shape_step
    if priors.random_sites:
        cell_area *= grid.v_step
    share_outside = outside / draws
    log_c_constant = math.lgamma(0.5 * (degrees + d)) - math.lgamma(0.5 * degrees) - 0.5 * d * math.log(math.pi * degrees)

    count = cells.columns.shape[1]
    work = make_workspace(cells, sites, cells.single)
    no_effects = np.empty(0)
    c, z, factor, mode, deviation, row = np.empty(d), np.zeros(sites), np.zeros((d, d)), np.empty(d), np.empty(d), np.empty(d)
    halves = np.empty(2)
    position = 0
    for s in range(start, stop):
        # Hyperparameters.
        x, v = grid.log_shape_mode, 0.0
        index = 0
        if s < outside:
            if priors.has_shape:
                x = x_middle + x_wide * normals[s, 0] * math.sqrt(OUTSIDE_DEGREES / chi_squares[s, 1])
            if priors.random_sites:
                v = abs(v_middle + v_wide * normals[s, 1] * math.sqrt(OUTSIDE_DEGREES / chi_squares[s, 2]))
            i = half_row
            if priors.has_shape:
                i += math.floor((x - grid.log_shape_mode) / grid.log_shape_step + 0.5)
            j = math.floor((v - grid.v_first) / grid.v_step) if priors.random_sites else 0
            index = grid.node[i, j] if 0 <= i < ROWS and 0 <= j < COLUMNS else -1
        else:
            goal = (s - outside + uniforms[0, 2]) / (draws - outside)
            while position < cumulative.size - 1 and cumulative[position] < goal:
                position += 1
            index = position
            if priors.has_shape:
                x = x_of[index] + (uniforms[s, 0] - 0.5) * grid.log_shape_step
            if priors.random_sites:
                v = v_of[index] + (uniforms[s, 1] - 0.5) * grid.v_step
        shape, site_sd = math.exp(x), grid.sd_unit * math.sinh(v)
        exposures_at(shape, cells, grid.exposure, work)
        proposal = (1.0 - share_outside) * mass[index] / cell_area if index >= 0 else 0.0
        if outside > 0:
            wide = share_outside
            if priors.has_shape:
                wide *= t_density((x - x_middle) / x_wide) / x_wide
            if priors.random_sites:
                wide *= (t_density((v - v_middle) / v_wide) + t_density((-v - v_middle) / v_wide)) / v_wide
            proposal += wide
        log_proposal = math.log(proposal)

        # Coefficients and baseline, around the mode at this point: the node's, moved along the grid's own slope.
        if index >= 0:
            i, j = grid.row[index], grid.column[index]
            mode[:] = grid.c[index]
            factor[:] = grid.factor[index]
            for axis in range(2):
                before_i, before_j, after_i, after_j = i, j, i, j
                if axis == 0:
                    before_i, after_i = i - 1, i + 1
                    off = (x - x_of[index]) / grid.log_shape_step
                    if not priors.has_shape:
                        continue
                else:
                    before_j, after_j = j - 1, j + 1
                    off = (v - v_of[index]) / grid.v_step
                    if not priors.random_sites:
                        continue
                before = grid.node[before_i, before_j] if before_i >= 0 and before_j >= 0 else -1
                after = grid.node[after_i, after_j] if after_i < ROWS and after_j < COLUMNS else -1
                span = (1.0 if before >= 0 else 0.0) + (1.0 if after >= 0 else 0.0)
                if span > 0:
                    low, high = before if before >= 0 else index, after if after >= 0 else index
                    for k in range(d):
                        mode[k] += off * (grid.c[high, k] - grid.c[low, k]) / span
        else:
            z[:] = 0.0
            mode[:] = grid.c[0]
            found = conditional(shape, site_sd, cells, priors, mode, z, factor, work)
            if math.isnan(found):
                # Given up: a weight of zero, and numbers, so that weighted sums over draws remain numbers.
                log_weights[s] = -np.inf
                densities[s] = 0.0
                points[s] = 0.0
                continue
        square = 0.0
        stretch = math.sqrt(degrees / chi_squares[s, 0])
        for k in range(d):
            deviation[k] = stretch * normals[s, 2 + k]
            square += deviation[k] * deviation[k]
            deviation[k] *= spread
            log_proposal += math.log(factor[k, k] / spread)
        log_proposal += log_c_constant - 0.5 * (degrees + d) * math.log1p(square / degrees)
        solve_upper(factor, deviation)
        for k in range(d):
            c[k] = mode[k] + deviation[k]

        # The density, and the site effects from their own conditionals.
        prior = exact_log_prior(c, priors, shape, cells.middle, row) + hyper_log_density(shape, site_sd, priors)
        if priors.random_sites:
            prior += math.log(grid.sd_unit * math.cosh(v))
        unit = -shape if priors.time_ratio else 1.0
        base = (LOG_LOG_2 if priors.baseline_kind == AT_MEANS_LOG_MEDIAN else 0.0) - shape * c[q]
        value = cells.total_events * (math.log(shape) + base) - cells.events_log_time
        value += shape * (cells.events_log_time - cells.middle * cells.total_events)
        for k in range(q):
            value += unit * c[k] * cells.column_events[k]
        fill_hazards(
            shape, base, unit, c, no_effects, cells.columns, cells.site_start, cells.log_time, cells.sign_weight,
            work.exposure, work.hazard, work.x, work.power,
        )  # fmt: skip
        reach = unit * site_sd
        if not priors.random_sites:
            value -= sum_of(work.hazard, 0, count)
        for site in range(sites):
            events = cells.site_events[site]
            hazard = sum_of(work.hazard, cells.site_start[site], cells.site_start[site + 1])
            if hazard > CUT or (events > 0.0 and hazard < 1.0 / CUT):  # log hazards were cut: the sum is not what it should be
                value = np.nan
            middle = site_conditional(reach, events, hazard, halves)
            right = site_uniforms[s, site] * (halves[0] + halves[1]) > halves[0]
            normal = abs(normals[s, 2 + d + site])
            effect = middle + (halves[1] if right else -halves[0]) * normal
            log_proposal += math.log(2.0 / (halves[0] + halves[1])) - 0.5 * normal * normal - 0.5 * LOG_2_PI
            if hazard > 0.0:  # else there is nobody, and the exponential may be infinite
                value += events * reach * effect - hazard * math.exp(reach * effect)
            prior -= 0.5 * effect * effect + 0.5 * LOG_2_PI
            z[site] = effect
        # Beyond what a float holds: a site spread, or a hazard, from the far tail of the wide t.
        if math.isnan(value + prior - log_proposal):
            log_weights[s] = -np.inf
            densities[s] = -np.inf
            points[s] = 0.0
            continue
        log_weights[s] = value + prior - log_proposal
        densities[s, 0], densities[s, 1] = value + prior, value
        if priors.random_sites:  # the kernel's coordinate is the log of the site sd
            densities[s, 0] += math.log(math.tanh(v))

        place = 0
        if priors.has_shape:
            points[s, 0] = x
            place = 1
        for k in range(q):
            points[s, place + k] = c[k]
        place += q
        if priors.random_sites:
            points[s, place] = math.log(site_sd)
            for site in range(sites):
                points[s, place + 1 + site] = z[site]
            place += 1 + sites
        points[s, place] = c[q] + cells.middle
