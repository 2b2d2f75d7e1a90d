"""The sum over a lattice that integrates a site's likelihood over its effect and slopes, compiled.

The lattice is walked along each axis from about the mode in both directions until the integrand, or its integral over the axes
before, has fallen and goes on falling: these integrals are log-concave too, so that nothing comes after. The normal factor has
fallen by F where one z is sqrt(2 F) from the mode, which bounds every walk.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled

LARGEST = 600.0
"""Log of a hazard above which it is taken to grow linearly, so that it stays a number and goes on growing."""
SHORT, CERTAIN = math.log(1e-3), math.log(40.0)
"""Logs of the hazards below which the series of log(1 - exp(-h)) has all digits, and above which it is nothing."""


@compiled
def lattice_sums(draws, tilt, axes, steps, log_hazard, along, log_within, along_within, weight, fallen, area):  # type: ignore[no-untyped-def]
    """Fill ``area`` (S,) with logs of the integrals over u of the integrands divided by their values at u = 0.

    Parameters
    ----------
    draws : ndarray of int
        Those for which to do it.
    tilt : ndarray, shape (S, n)
        Minus the gradients at u = 0 of that part of the log integrands which hazards and intervals do not make.
    axes, steps : ndarray, shape (S, n, n) and (S, n)
        z as a function of u, upper triangular; steps in u.
    log_hazard, along : ndarray, shape (S, patients) and (S, patients, n)
        Logs of the hazards at u = 0 and their derivatives, of which the first is the same for all patients.
    log_within, along_within, weight : ndarray, shape (S, M), (S, M, n) and (M,)
        The same of the intervals, and their weights.
    fallen : float
        Log integrand below that at u = 0 at which the sum ends.
    """
    n = tilt.shape[1]
    for draw in draws:
        constant = 0.0
        for i in range(log_hazard.shape[1]):
            constant -= math.exp(log_hazard[draw, i])
        for i in range(weight.size):
            constant += weight[i] * log_event(log_within[draw, i])
        hazards, intervals = (log_hazard[draw], along[draw]), (log_within[draw], along_within[draw], weight)
        site = (tilt[draw], axes[draw], steps[draw], hazards, intervals)
        own = (np.empty(weight.size), np.empty(weight.size), np.zeros(1, np.int64))
        area[draw] = log_sum(n - 1, np.zeros(n), site, constant, fallen, own)


@compiled
def log_sum(axis, u, site, constant, fallen, own):  # type: ignore[no-untyped-def]
    """Return the log integral over the axes up to this one, at places u on the others."""
    if axis == 0:
        return log_line_sum(u, site, constant, fallen, own)
    step = site[2][axis]
    low, high, _ = ends(axis, u, site[1], step, fallen)
    start = min(max(0, low), high)
    top, total, middle = -np.inf, 0.0, 0.0
    for side in (1, -1):
        place = start if side == 1 else start - 1
        before = middle
        while low <= place <= high:
            u[axis] = place * step
            value = log_sum(axis - 1, u, site, constant, fallen, own)
            if value > top:
                total = total * math.exp(top - value) + 1.0
                top = value
            else:
                total += math.exp(value - top)
            if place == start:
                middle = value
            elif not (value > before or value > -fallen):
                break
            before = value
            place += side
    u[axis] = 0.0
    return top + math.log(total * step)


@compiled
def ends(axis, u, axes, step, fallen):  # type: ignore[no-untyped-def]
    """Return the places along an axis between which the normal factor has not fallen too far, and z of place 0."""
    shift = 0.0
    for k in range(axis + 1, u.size):
        shift += axes[axis, k] * u[k]
    reach, unit = math.sqrt(2.0 * fallen), step * axes[axis, axis]
    low = math.ceil((-reach - shift) / unit)
    return low, max(low, math.floor((reach - shift) / unit)), shift


@compiled
def log_line_sum(u, site, constant, fallen, own):  # type: ignore[no-untyped-def]
    """Return the log integral over the first axis; about where it lies when all of it is below what counts."""
    tilt, axes, steps, (log_hazard, along), (log_within, along_within, weight) = site
    n = u.size
    low, high, shift = ends(0, u, axes, steps[0], fallen)
    constant += 0.5 * shift * shift
    for j in range(1, n):
        moved = 0.0
        for k in range(j, n):
            moved += axes[j, k] * u[k]
        constant += 0.5 * moved * moved + tilt[j] * u[j]
    top, hazard = -np.inf, 0.0
    for i in range(log_hazard.size):
        value = log_hazard[i]
        for k in range(1, n):
            value += along[i, k] * u[k]
        if value > top:
            hazard = hazard * math.exp(top - value) + 1.0
            top = value
        elif value > -np.inf:
            hazard += math.exp(value - top)
    log_total = top + math.log(hazard) if hazard > 0.0 else -np.inf
    for i in range(weight.size):
        value = log_within[i]
        for k in range(1, n):
            value += along_within[i, k] * u[k]
        own[0][i] = value
        own[1][i] = math.exp(value)
    rise = steps[0] * along[0, 0]
    line = (constant, steps[0] * (tilt[0] + axes[0, 0] * shift), 0.5 * (steps[0] * axes[0, 0]) ** 2, log_total, rise)

    place = min(max(own[2][0], low), high)  # the last line's top is near this one's
    lowest = fall(place, line, own, weight)
    for side in (1, -1):
        while low <= place + side <= high:
            value = fall(place + side, line, own, weight)
            if not value < lowest:
                break
            lowest = value
            place += side
    own[2][0] = place
    total = 1.0
    if lowest < fallen:
        for side in (1, -1):
            there = place + side
            while low <= there <= high:
                value = fall(there, line, own, weight)
                if not value < fallen:
                    break
                total += math.exp(lowest - value)
                there += side
    return math.log(total * steps[0]) - lowest


@compiled
def fall(place, line, own, weight):  # type: ignore[no-untyped-def]
    """Return how far the log integrand at a place of a line lies below that at u = 0."""
    constant, linear, square, log_total, rise = line
    x = rise * place
    value = constant + place * (linear + place * square)
    value += math.exp(log_total + x) if log_total + x < LARGEST else math.exp(LARGEST) * (1.0 + log_total + x - LARGEST)
    if weight.size == 0:
        return value
    growth, product = math.exp(x), 1.0
    for i in range(weight.size):
        log_hazard = own[0][i] + x
        if log_hazard < SHORT:
            value -= weight[i] * log_event(log_hazard)
        elif log_hazard < CERTAIN:
            hazard = own[1][i] * growth
            if not hazard < 50.0:  # one factor is no number
                hazard = math.exp(log_hazard)
            probability = 1.0 - math.exp(-hazard)
            if weight[i] == 1.0:  # one logarithm serves many
                product *= probability
                if product < 1e-280:
                    value -= math.log(product)
                    product = 1.0
            else:
                value -= weight[i] * math.log(probability)
    return value - math.log(product)


@compiled
def log_event(log_hazard):  # type: ignore[no-untyped-def]
    """Return log(1 - exp(-h)) of log h."""
    if log_hazard > CERTAIN:
        return 0.0
    hazard = math.exp(log_hazard)
    if log_hazard < SHORT:
        return log_hazard - 0.5 * hazard + hazard * hazard / 24.0
    return math.log(1.0 - math.exp(-hazard))
