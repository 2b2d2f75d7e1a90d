"""Patients whose event lies in an interval: as if censored at its lower end, times the probability of an event within.

The first factor is an exposure like any other and is in the cells. The second is 1 - exp(-D) with D the cumulative hazard
between the ends; D = exp(linear predictor) x (upper^k - lower^k), so that its log is linear in everything but the shape. Rows
of one cell with the same ends are one row.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled
from sitewise.inference.interval_terms import interval_terms
from sitewise.models.model_data import ModelData

Floats = NDArray[np.float64]


class Intervals(NamedTuple):
    """Rows of patients who share a cell and an interval, sorted by site.

    Parameters
    ----------
    columns : ndarray, shape (q, M)
        Design columns, as those of the cells.
    site_start : ndarray of int, shape (J + 1,)
        Where the rows of each site begin.
    log_upper, log_length, weight : ndarray, shape (M,)
        Log of the upper end relative to the cells' ``middle``; log of upper over lower end, infinite with left censoring; the
        weights of the patients.
    slope : ndarray, shape (M,)
        The column with random slopes; empty without.
    """

    columns: Floats
    site_start: NDArray[np.int64]
    log_upper: Floats
    log_length: Floats
    weight: Floats
    slope: Floats


def make_intervals(
    data: ModelData,
    cell: NDArray[np.int64],
    cell_rows: Floats,
    cell_site: NDArray[np.int64],
    cell_slope: Floats,
    middle: float,
    groups: int,
) -> Intervals:
    """Return the rows of a cohort's interval-censored patients.

    Parameters
    ----------
    data : ModelData
        The cohort's arrays.
    cell : ndarray of int, shape (n,)
        Each patient's cell.
    cell_rows, cell_site : ndarray, shapes (C, q) and (C,)
        Design row and site of each cell; cells are sorted by site.
    cell_slope : ndarray, shape (C,) or (0,)
        The column with random slopes over cells.
    middle : float
        Log time to which times are relative.
    groups : int
        Number of sites.
    """
    if data.interval is None or data.log_lower is None or data.lower_known is None:
        nothing = np.empty(0)
        return Intervals(np.empty((cell_rows.shape[1], 0)), np.zeros(groups + 1, np.int64), nothing, nothing, nothing, nothing)
    chosen = np.flatnonzero(data.interval)
    own = cell[chosen]
    upper = data.log_time[chosen] - middle
    length = np.where(data.lower_known[chosen] > 0, data.log_time[chosen] - data.log_lower[chosen], np.inf)
    weight = np.ones(chosen.size) if data.weight is None else data.weight[chosen]
    order = np.lexsort((length, upper, own))
    own, upper, length, weight = own[order], upper[order], length[order], weight[order]
    new = np.ones(own.size, dtype=bool)
    new[1:] = (own[1:] != own[:-1]) | (upper[1:] != upper[:-1]) | (length[1:] != length[:-1])
    first = np.flatnonzero(new)
    return Intervals(
        columns=np.ascontiguousarray(cell_rows[own[first]].T),
        site_start=np.searchsorted(cell_site[own[first]], np.arange(groups + 1)).astype(np.int64),
        log_upper=upper[first],
        log_length=length[first],
        weight=np.add.reduceat(weight, first) if first.size else weight,
        slope=cell_slope[own[first]] if cell_slope.size else cell_slope,
    )


@compiled
def fill_log_within(shape, base, unit, c, intervals, work):  # type: ignore[no-untyped-def]
    """Fill ``work.log_within`` (M,) with log D at site effects of zero; what depends on the shape alone is kept."""
    span, log_within = work.log_span, work.log_within
    if work.span_shape[0] != shape:
        for i in range(span.size):
            within = shape * intervals.log_length[i]
            span[i] = shape * intervals.log_upper[i]
            if within < 40.0:  # else all of the hazard is within
                span[i] += math.log(-math.expm1(-within))
        work.span_shape[0] = shape
    for i in range(span.size):
        log_within[i] = base + span[i]
    for k in range(c.size - 1):
        own, slope = intervals.columns[k], unit * c[k]
        for i in range(span.size):
            log_within[i] += slope * own[i]


@compiled
def add_intervals(shape, base, unit, reach, slope_reach, c, z, intervals, work):  # type: ignore[no-untyped-def]
    """Return the log probabilities of events within the intervals, and add their derivatives to those in the workspace.

    ``work.gradient`` and the lower triangle of ``work.hessian`` in c, ``site_gradient``, ``site_hessian``, ``site_mixed`` and
    ``cross`` in z, as in ``conditional.derivatives``; ``work.effects`` are the sites' effects and slopes.
    """
    gradient, hessian, cross = work.gradient, work.hessian, work.cross
    q, sites = c.size - 1, intervals.site_start.size - 1
    sloping = intervals.slope.size > 0
    fill_log_within(shape, base, unit, c, intervals, work)
    value = 0.0
    for site in range(sites):
        effect = work.effects[site] if z.size > 0 else 0.0
        slopes, bends, tilted_slopes, tilted_bends, twice = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(intervals.site_start[site], intervals.site_start[site + 1]):
            weight = intervals.weight[i]
            tilt = intervals.slope[i] if sloping else 0.0
            own_effect = effect + tilt * work.effects[sites + site] if sloping else effect
            log_probability, slope, bend = interval_terms(work.log_within[i] + own_effect)
            value += weight * log_probability
            slope *= weight
            bend *= weight
            slopes += slope
            bends += bend
            tilted_slopes += tilt * slope
            tilted_bends += tilt * bend
            twice += tilt * tilt * bend
            for k in range(q):
                own = intervals.columns[k, i]
                along = bend * own
                gradient[k] += unit * slope * own
                hessian[q, k] -= unit * shape * along
                for j in range(k + 1):
                    hessian[k, j] += unit * unit * along * intervals.columns[j, i]
                if z.size > 0:
                    cross[site, k] += reach * unit * along
                if sloping:
                    cross[sites + site, k] += slope_reach * unit * tilt * along
        gradient[q] -= shape * slopes
        hessian[q, q] += shape * shape * bends
        if z.size > 0:
            cross[site, q] -= reach * shape * bends
            work.site_gradient[site] += reach * slopes
            work.site_hessian[site] += reach * reach * bends
        if sloping:
            cross[sites + site, q] -= slope_reach * shape * tilted_bends
            work.site_gradient[sites + site] += slope_reach * tilted_slopes
            work.site_hessian[sites + site] += slope_reach * slope_reach * twice
            work.site_mixed[site] += reach * slope_reach * tilted_bends
    return value


@compiled
def tilt_intervals(slope_effect, start, stop, intervals, log_within, tilted):  # type: ignore[no-untyped-def]
    """Fill ``tilted`` (M,) from ``start`` to ``stop`` with log D at a site's slope."""
    for i in range(start, stop):
        tilted[i] = log_within[i] + (slope_effect * intervals.slope[i] if intervals.slope.size > 0 else 0.0)


@compiled
def events_and_hazard(effect, start, stop, intervals, log_within):  # type: ignore[no-untyped-def]
    """Return events E and hazard L: E b - L exp(b) has slope and bend of the rows' log probability at b = ``effect``.

    A site's own conditional then has the form that it has without intervals.
    """
    events, hazard = 0.0, 0.0
    for i in range(start, stop):
        _, slope, bend = interval_terms(log_within[i] + effect)
        events += intervals.weight[i] * (slope + bend)
        hazard += intervals.weight[i] * bend
    return events, hazard * math.exp(-effect)


@compiled
def log_probability(effect, start, stop, intervals, log_within):  # type: ignore[no-untyped-def]
    """Return the log probability of the rows ``start`` to ``stop`` at a site effect."""
    total = 0.0
    for i in range(start, stop):
        total += intervals.weight[i] * interval_terms(log_within[i] + effect)[0]
    return total
