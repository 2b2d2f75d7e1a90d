"""A site's own effects given everything else: proposals that follow their conditional closely.

Given coefficients and hyperparameters a site's effect has the density exp(events reach z - hazard exp(reach z) - z^2 / 2). Its
mode is known in closed form, and each side of it gets a normal of its own. A slope comes first, from its conditional with the
effect taken out by Laplace.
"""

from __future__ import annotations

import math

from sitewise.classical.compiled import compiled
from sitewise.inference.interval_terms import interval_terms
from sitewise.inference.nested_laplace.intervals import events_and_hazard, log_probability, tilt_intervals

NEARLY = 2
"""Newton steps for the mode of a site's conditional: it need not be exact, only the same for density and draw."""
SPLIT_AT = 1.7
"""Distance from the mode, in sds of the curvature, at which the two halves of a site's conditional are made to agree."""
ALIKE = 4
"""Times that intervals are replaced by events and hazards at the mode of a site's conditional so far."""
SLOPE_STEPS, LONGEST_STEP = 6, 2.0
"""Newton steps for the mode of a slope, each no longer than this many prior sds."""
NARROWEST, WIDEST = 0.4, 2.5
"""Bounds of a half's sd, in sds of the curvature."""


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
def effect_mode(reach, events, hazard, first, last, intervals, log_within, halves):  # type: ignore[no-untyped-def]
    """Return the mode of a site's effect, and fill the sds of its halves; rows ``first`` to ``last`` are its intervals."""
    if last == first:
        return site_conditional(reach, events, hazard, halves)
    middle = 0.0
    for _ in range(ALIKE):
        more, further = events_and_hazard(reach * middle, first, last, intervals, log_within)
        middle = site_conditional(reach, events + more, hazard + further, halves)
    return middle


@compiled
def slope_profile(z, site, reach, slope_reach, cells, work, halves):  # type: ignore[no-untyped-def]
    """Return log density, slope and curvature of a standardised slope ``z``, the site's effect taken out by Laplace."""
    intervals, within = cells.intervals, work.tilted_within
    first, last = intervals.site_start[site], intervals.site_start[site + 1]
    hazard, once, twice = 0.0, 0.0, 0.0
    for i in range(cells.site_start[site], cells.site_start[site + 1]):
        tilt = cells.slope[i]
        own = work.hazard[i] * math.exp(slope_reach * z * tilt) if tilt != 0.0 else work.hazard[i]
        hazard += own
        once += own * tilt
        twice += own * tilt * tilt
    tilt_intervals(slope_reach * z, first, last, intervals, work.log_within, within)
    events, slope_events = cells.site_events[site], cells.site_slope_events[site]
    effect = effect_mode(reach, events, hazard, first, last, intervals, within, halves)
    grown = math.exp(reach * effect)
    hazard, once, twice = hazard * grown, once * grown, twice * grown
    value = events * reach * effect + slope_events * slope_reach * z - hazard - 0.5 * effect * effect - 0.5 * z * z
    value += log_probability(reach * effect, first, last, intervals, within)
    for i in range(first, last):
        _, slope, bend = interval_terms(within[i] + reach * effect)
        tilt, weight = intervals.slope[i], intervals.weight[i]
        slope_events += weight * slope * tilt
        hazard += weight * bend
        once += weight * bend * tilt
        twice += weight * bend * tilt * tilt
        slope_events += weight * bend * tilt  # taken off again with ``once``
    curvature = 1.0 + reach * reach * hazard
    mixed = reach * slope_reach * once
    value -= 0.5 * math.log(curvature)
    return value, slope_reach * (slope_events - once) - z, 1.0 + slope_reach * slope_reach * twice - mixed * mixed / curvature


@compiled
def slope_conditional(site, reach, slope_reach, cells, work, halves):  # type: ignore[no-untyped-def]
    """Return the mode of a site's standardised slope, near enough, and fill the sds of its halves, left and right."""
    z = 0.0
    for _ in range(SLOPE_STEPS):
        _, slope, curvature = slope_profile(z, site, reach, slope_reach, cells, work, halves)
        z += min(max(slope / curvature, -LONGEST_STEP), LONGEST_STEP)
    top, _, curvature = slope_profile(z, site, reach, slope_reach, cells, work, halves)
    sd = 1.0 / math.sqrt(curvature)
    u = SPLIT_AT * sd
    left, _, _ = slope_profile(z - u, site, reach, slope_reach, cells, work, halves)
    right, _, _ = slope_profile(z + u, site, reach, slope_reach, cells, work, halves)
    for side in range(2):
        fallen = max(top - (left if side == 0 else right), 1e-3)
        halves[side] = min(max(u / math.sqrt(2.0 * fallen), NARROWEST * sd), WIDEST * sd)
    return z
