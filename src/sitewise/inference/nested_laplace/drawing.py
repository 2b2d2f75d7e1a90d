"""Weighted draws: hyperparameters from the grid, coefficients from a Student t, each site's effect from its own conditional.

The weight of a draw is the exact density of the model over the density that proposed it, so that every approximation made
before only costs efficiency, and the weights tell how much.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled, inlined
from sitewise.families.base import LOG_LOG_2
from sitewise.inference.kernel import AT_MEANS_LOG_MEDIAN
from sitewise.inference.nested_laplace.arrow import solve_upper
from sitewise.inference.nested_laplace.conditional import baseline_row, conditional, hyper_log_density
from sitewise.inference.nested_laplace.exposure import exposures_at
from sitewise.inference.nested_laplace.hazards import fill_hazards, sum_of
from sitewise.inference.nested_laplace.intervals import fill_log_within, log_probability, tilt_intervals
from sitewise.inference.nested_laplace.nodes import neighbour, node_at
from sitewise.inference.nested_laplace.searching import SHAPE_AXIS, SITE_AXIS, SLOPE_AXIS
from sitewise.inference.nested_laplace.site_drawing import effect_mode, site_conditional, slope_conditional
from sitewise.inference.nested_laplace.workspace import make_workspace
from sitewise.inference.prior_densities import LOG_2_PI, prior_log_density

OUTSIDE_DEGREES = 3.0
OUTSIDE_WIDTH = 2.0
"""Of the t that proposes a few hyperparameters anywhere: degrees of freedom, and its scale in sds of the grid."""
CUT = 1e290
"""A site's hazard beyond this, or below its inverse where there are events, comes from log hazards that were cut."""
UNIFORM, NORMAL, CHI_SQUARE = (0, 1, 3), (0, 1, -1), (1, 2, 3)
"""Columns of random numbers for the axes log shape, v and w (-1 is the last)."""
SYSTEMATIC = 2
"""The column of the uniform number with which systematic sampling begins."""


@compiled
def t_density(x):  # type: ignore[no-untyped-def]
    """Return the density of a standard Student t with three degrees of freedom."""
    return 2.0 / (math.pi * math.sqrt(OUTSIDE_DEGREES) * (1.0 + x * x / OUTSIDE_DEGREES) ** 2)


@inlined
def exact_log_prior(c, priors, shape, middle, row):  # type: ignore[no-untyped-def]
    """Return the log prior density of c = (coefficients, baseline); scratch ``row`` (q + 1,)."""
    baseline_row(shape, priors, row)
    about = middle
    total = 0.0
    for j in range(c.size):
        about += row[j] * c[j]
    several = priors.coefficients
    for j in range(c.size - 1):
        x = c[j] / priors.column_sd[j]
        total += prior_log_density(int(several[j, 0]), several[j, 1], several[j, 2], several[j, 3], x)[0]
    prior = priors.baseline
    return total + prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], about)[0]


@inlined
def log_of_diagonal(factor):  # type: ignore[no-untyped-def]
    """Return the log determinant of a Cholesky factor."""
    total = 0.0
    for k in range(factor.shape[0]):
        total += math.log(factor[k, k])
    return total


@compiled
def middle_and_width(grid, mass, active):  # type: ignore[no-untyped-def]
    """Return middle and scale, each (3,), of the wide t that proposes a few hyperparameters anywhere."""
    middle, width = np.zeros(3), np.ones(3)
    for axis in range(3):
        if active[axis]:
            place = grid.origin[axis] + grid.places[:, axis] * grid.step[axis]
            middle[axis] = (mass * place).sum()
            width[axis] = OUTSIDE_WIDTH * math.sqrt((mass * (place - middle[axis]) ** 2).sum() + grid.step[axis] ** 2 / 12)
    return middle, width


@compiled
def mode_near(point, index, places, node, origin, step, c, active, axes, mode):  # type: ignore[no-untyped-def]
    """Fill ``mode`` (d,) with the mode of a node, moved to a point of its cell along the grid's own slope."""
    mode[:] = c[index]
    for axis in range(axes):
        if not active[axis]:
            continue
        before, after = neighbour(node, places[index], axis, -1), neighbour(node, places[index], axis, 1)
        span = (1.0 if before >= 0 else 0.0) + (1.0 if after >= 0 else 0.0)
        if span > 0:
            off = ((point[axis] - origin[axis]) / step[axis] - places[index, axis]) / span
            low, high = before if before >= 0 else index, after if after >= 0 else index
            for k in range(mode.size):
                mode[k] += off * (c[high, k] - c[low, k])


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

    ``uniforms`` (S, 3), ``normals`` (S, 2 + q + 1 + E), ``chi_squares`` (S, 3) and ``site_uniforms`` (S, E) are standard random
    numbers for E effects of sites; with slopes all but the last have a column more. Draws ``start`` to ``stop`` are made. The
    first ``outside`` draws take their hyperparameters from a wide t, the others from the grid by systematic sampling. Site
    effects are standardised.
    """
    draws, d = points.shape[0], cells.columns.shape[0] + 1
    q = d - 1
    sites = cells.site_start.size - 1 if priors.random_sites else 0
    effects = 2 * sites if priors.random_slopes else sites
    active = (priors.has_shape, priors.random_sites, priors.random_slopes)
    mass = np.exp(grid.log_mass - grid.log_mass.max())
    mass /= mass.sum()
    cumulative = np.cumsum(mass)
    wide_middle, wide = middle_and_width(grid, mass, active)
    axes, cell_size = 3 if priors.random_slopes else 2, 1.0
    for axis in range(3):
        cell_size *= grid.step[axis] if active[axis] else 1.0
    share_outside = outside / draws
    log_c_constant = math.lgamma(0.5 * (degrees + d)) - math.lgamma(0.5 * degrees)
    log_c_constant -= 0.5 * d * math.log(math.pi * degrees) + d * math.log(spread)

    count = cells.columns.shape[1]
    work = make_workspace(cells, effects, cells.single)
    no_effects, no_slope, intervals = np.empty(0), np.empty(0), cells.intervals
    c, z, factor, mode, deviation, row = np.empty(d), np.zeros(effects), np.zeros((d, d)), np.empty(d), np.empty(d), np.empty(d)
    halves, point = np.empty(2), np.zeros(3)
    has_intervals = intervals.weight.size > 0
    position, last_index, log_determinant = 0, -1, 0.0
    for s in range(start, stop):
        # Hyperparameters.
        index = 0
        if s < outside:
            for axis in range(axes):
                if active[axis]:
                    t = normals[s, NORMAL[axis]] * math.sqrt(OUTSIDE_DEGREES / chi_squares[s, CHI_SQUARE[axis]])
                    point[axis] = wide_middle[axis] + wide[axis] * t
                    point[axis] = point[axis] if axis == SHAPE_AXIS else abs(point[axis])
            cell = (point - grid.origin) / grid.step + 0.5
            index = -1
            if np.abs(cell).max() < 1e6:
                i, j = math.floor(cell[SHAPE_AXIS]), math.floor(cell[SITE_AXIS])
                index = node_at(grid.node, math.floor(cell[SLOPE_AXIS]), i, j)
        else:
            goal = (s - outside + uniforms[0, SYSTEMATIC]) / (draws - outside)
            while position < cumulative.size - 1 and cumulative[position] < goal:
                position += 1
            index = position
            for axis in range(axes):
                if active[axis]:
                    off = uniforms[s, UNIFORM[axis]] - 0.5
                    point[axis] = grid.origin[axis] + (grid.places[index, axis] + off) * grid.step[axis]
        shape = math.exp(point[SHAPE_AXIS]) if priors.has_shape else 1.0
        site_sd = grid.units[0] * math.sinh(point[SITE_AXIS])
        slope_sd = grid.units[1] * math.sinh(point[SLOPE_AXIS]) if priors.random_slopes else 0.0
        exposures_at(shape, cells, grid.exposure, work)
        proposal = (1.0 - share_outside) * mass[index] / cell_size if index >= 0 else 0.0
        if outside > 0:
            anywhere = share_outside
            for axis in range(axes):
                if active[axis]:
                    here = t_density((point[axis] - wide_middle[axis]) / wide[axis])
                    if axis != SHAPE_AXIS:
                        here += t_density((-point[axis] - wide_middle[axis]) / wide[axis])
                    anywhere *= here / wide[axis]
            proposal += anywhere
        log_proposal = math.log(proposal)

        # Coefficients and baseline, around the mode at this point.
        if index >= 0:
            if index != last_index:  # draws from the grid come node by node
                factor[:] = grid.factor[index]
                last_index = index
                log_determinant = log_of_diagonal(factor)
            mode_near(point, index, grid.places, grid.node, grid.origin, grid.step, grid.c, active, axes, mode)
        else:
            z[:] = 0.0
            mode[:] = grid.c[0]
            found = conditional(shape, site_sd, slope_sd, cells, priors, mode, z, factor, work)
            if math.isnan(found):
                # Given up: a weight of zero, and numbers, so that weighted sums over draws remain numbers.
                log_weights[s] = -np.inf
                densities[s] = 0.0
                points[s] = 0.0
                continue
            log_determinant = log_of_diagonal(factor)
            last_index = -1
        square = 0.0
        stretch = math.sqrt(degrees / chi_squares[s, 0])
        for k in range(d):
            deviation[k] = stretch * normals[s, 2 + k]
            square += deviation[k] * deviation[k]
            deviation[k] *= spread
        log_proposal += log_determinant + log_c_constant - 0.5 * (degrees + d) * math.log1p(square / degrees)
        solve_upper(factor, deviation)
        for k in range(d):
            c[k] = mode[k] + deviation[k]

        # The density, and the site effects from their own conditionals.
        prior = exact_log_prior(c, priors, shape, cells.middle, row) + hyper_log_density(shape, site_sd, slope_sd, priors)
        if priors.random_sites:
            prior += math.log(grid.units[0] * math.cosh(point[SITE_AXIS]))
        if priors.random_slopes:
            prior += math.log(grid.units[1] * math.cosh(point[SLOPE_AXIS]))
        unit = -shape if priors.time_ratio else 1.0
        base = (LOG_LOG_2 if priors.baseline_kind == AT_MEANS_LOG_MEDIAN else 0.0) - shape * c[q]
        value = cells.total_events * (math.log(shape) + base) - cells.events_log_time
        value += shape * (cells.events_log_time - cells.middle * cells.total_events)
        for k in range(q):
            value += unit * c[k] * cells.column_events[k]
        fill_hazards(
            shape, base, unit, c, no_effects, no_slope, cells.columns, cells.site_start, cells.log_time, cells.sign_weight,
            work.exposure, work.hazard, work.x, work.power,
        )  # fmt: skip
        reach, slope_reach = unit * site_sd, unit * slope_sd
        if has_intervals:
            fill_log_within(shape, base, unit, c, intervals, work)
        if not priors.random_sites:
            value -= sum_of(work.hazard, 0, count)
            if has_intervals:
                value += log_probability(0.0, 0, intervals.weight.size, intervals, work.log_within)
        for site in range(sites):
            events, within = cells.site_events[site], work.log_within
            first, last = 0, 0
            if has_intervals:
                first, last = intervals.site_start[site], intervals.site_start[site + 1]
            if priors.random_slopes:
                middle = slope_conditional(site, reach, slope_reach, cells, work, halves)
                right = site_uniforms[s, sites + site] * (halves[0] + halves[1]) > halves[0]
                normal = abs(normals[s, 2 + d + sites + site])
                own = middle + (halves[1] if right else -halves[0]) * normal
                log_proposal += math.log(2.0 / (halves[0] + halves[1])) - 0.5 * normal * normal - 0.5 * LOG_2_PI
                for i in range(cells.site_start[site], cells.site_start[site + 1]):
                    work.hazard[i] *= math.exp(slope_reach * own * cells.slope[i])
                tilt_intervals(slope_reach * own, first, last, intervals, work.log_within, work.tilted_within)
                within = work.tilted_within
                value += cells.site_slope_events[site] * slope_reach * own
                prior -= 0.5 * own * own + 0.5 * LOG_2_PI
                z[sites + site] = own
            hazard = sum_of(work.hazard, cells.site_start[site], cells.site_start[site + 1])
            if hazard > CUT or (events > 0.0 and hazard < 1.0 / CUT):  # log hazards were cut: the sum is not what it should be
                value = np.nan
            if last > first:
                middle = effect_mode(reach, events, hazard, first, last, intervals, within, halves)
            else:
                middle = site_conditional(reach, events, hazard, halves)
            right = site_uniforms[s, site] * (halves[0] + halves[1]) > halves[0]
            normal = abs(normals[s, 2 + d + site])
            effect = middle + (halves[1] if right else -halves[0]) * normal
            log_proposal += math.log(2.0 / (halves[0] + halves[1])) - 0.5 * normal * normal - 0.5 * LOG_2_PI
            if hazard > 0.0:  # else there is nobody, and the exponential may be infinite
                value += events * reach * effect - hazard * math.exp(reach * effect)
            if last > first:
                value += log_probability(reach * effect, first, last, intervals, within)
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
        if priors.random_sites:  # the kernel's coordinates are the logs of the sds
            densities[s, 0] += math.log(math.tanh(point[SITE_AXIS]))
        if priors.random_slopes:
            densities[s, 0] += math.log(math.tanh(point[SLOPE_AXIS]))

        place = 0
        if priors.has_shape:
            points[s, 0] = point[SHAPE_AXIS]
            place = 1
        for k in range(q):
            points[s, place + k] = c[k]
        place += q
        for kind in range(effects // max(sites, 1)):
            points[s, place] = math.log(slope_sd if kind == 1 else site_sd)
            for site in range(sites):
                points[s, place + 1 + site] = z[kind * sites + site]
            place += 1 + sites
        points[s, place] = c[q] + cells.middle
