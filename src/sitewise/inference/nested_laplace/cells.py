"""The likelihood of a cohort as sums over cells: patients of one site with one pattern of covariates.

Given the shape k, a Weibull log likelihood depends on a cell's patients through three sums only: the events sum(w d), the
exposure A(k) = sum(w (t^k - entry^k)), and sum(w d log t) over the whole cohort. With categorical covariates there are few
cells however many patients there are; with a numeric one nearly every patient is a cell of their own, and nothing is lost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled
from sitewise.inference.nested_laplace.intervals import Intervals, make_intervals
from sitewise.inference.packing import sum_to_zero_basis
from sitewise.models.model_data import ModelData, slope_rows
from sitewise.models.site_effects import FixedSites, RandomSites
from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]
FEW = 0.5
"""Cells are made where a sample of patients has at most this share of patterns."""
SAMPLE = 2000
MIX = -7046029254386353131
"""An odd number of 64 bits that spreads hashes (2^64 over the golden ratio, as a signed integer)."""


class Cells(NamedTuple):
    """What the compiled functions read of a cohort, as plain arrays.

    Parameters
    ----------
    columns : ndarray, shape (q, C)
        Design columns over cells, divided by their sds; with fixed site effects their sum-to-zero basis follows. Cells are
        sorted by site.
    site_start : ndarray of int, shape (J + 1,)
        Where the cells of each site begin: one "site" without random effects.
    site_events, column_events : ndarray, shapes (J,) and (q,)
        Weighted events of each site, and their sum times each column.
    log_time, sign_weight, start : ndarray, shapes (m,), (m,), (C + 1,)
        Log times and weights that make up the exposure of each cell, cell after cell; entries have negative weights. Log
        times are relative to ``middle``.
    single : bool
        Whether every cell is one log time, so that its exposure need not be made before its hazard.
    middle : float
        Log of the person-time per event, a point of reference that keeps powers of time near one.
    total_events, events_log_time : float
        Sums of w d and of w d log t over the cohort, the latter in the cohort's own unit.
    slope, site_slope_events : ndarray, shapes (C,) and (J,)
        The column with random slopes, as distance from the reference patient, and the sum of a site's weighted events times
        it; empty without slopes.
    intervals : Intervals
        Of patients whose event lies in an interval; the cells have them as censored at its lower end.
    """

    columns: Floats
    site_start: NDArray[np.int64]
    site_events: Floats
    column_events: Floats
    log_time: Floats
    sign_weight: Floats
    start: NDArray[np.int64]
    single: bool
    middle: float
    total_events: float
    events_log_time: float
    slope: Floats
    site_slope_events: Floats
    intervals: Intervals


def make_cells(spec: ModelSpec, data: ModelData, scales: Floats) -> Cells:
    """Return the cells of a cohort's arrays under a resolved spec; ``scales`` (p,) are its columns' sds."""
    rows = np.ascontiguousarray(data.covariates / scales)
    sites = len(spec.resolved.site_labels)
    random = isinstance(spec.sites, RandomSites)
    weight = np.ones(data.log_time.size) if data.weight is None else data.weight
    exact = weight * data.event
    cell, first = _numbered(rows, data.site if spec.has_sites else None)
    count = first.size
    # Half an event where there is none: simulated cohorts may have none, and their posterior is as good as any.
    rate = max(np.sum(exact), 0.5) / max(weight.sum(), 0.5)
    middle = float(np.log(np.mean(np.exp(data.log_time)) / rate))
    log_time, sign_weight, member = data.log_time, weight, cell
    if data.interval is not None and data.log_lower is not None and data.lower_known is not None:
        exact = exact * (1 - data.interval)
        log_time = np.where(data.interval * data.lower_known > 0, data.log_lower, log_time)
        sign_weight = np.where(data.interval > 0, weight * data.lower_known, weight)
    events = np.bincount(cell, weights=exact, minlength=count)
    if data.log_entry is not None and data.entered_late is not None:
        late = data.entered_late > 0
        log_time = np.concatenate([log_time, data.log_entry[late]])
        sign_weight = np.concatenate([sign_weight, -weight[late]])
        member = np.concatenate([cell, cell[late]])
    order = np.argsort(member, kind="stable")
    site = data.site[first] if random else np.zeros(count, dtype=np.int64)
    cell_rows = rows[first]
    if isinstance(spec.sites, FixedSites):
        cell_rows = np.hstack([cell_rows, sum_to_zero_basis(sites)[data.site[first]]])
    groups = sites if random else 1
    slope = slope_rows(spec, data)[first, 0] if spec.resolved.slope_columns else np.empty(0)
    tilted = events * slope if slope.size else slope
    return Cells(
        columns=np.ascontiguousarray(cell_rows.T),
        site_start=np.searchsorted(site, np.arange(groups + 1)).astype(np.int64),
        site_events=np.bincount(site, weights=events, minlength=groups),
        column_events=events @ cell_rows,
        log_time=np.ascontiguousarray(log_time[order] - middle),
        sign_weight=np.ascontiguousarray(sign_weight[order]),
        start=np.concatenate([[0], np.cumsum(np.bincount(member, minlength=count))]).astype(np.int64),
        single=bool(member.size == count),
        middle=middle,
        total_events=float(events.sum()),
        events_log_time=float(np.sum(exact * data.log_time)),
        slope=slope,
        site_slope_events=np.bincount(site, weights=tilted, minlength=groups) if slope.size else slope,
        intervals=make_intervals(data, cell, cell_rows, site, slope, middle, groups),
    )


@compiled
def number_patterns(rows, place, cell, first):  # type: ignore[no-untyped-def]
    """Give numbers to the distinct pairs of place and row, in the order in which they appear; return how many there are.

    ``cell`` (n,) gets each patient's number and ``first`` (n,) a patient of each. By a table of hashes with open addressing.
    """
    n, columns = rows.shape
    size = 8
    while size < 2 * n:
        size *= 2
    table = np.full(size, -1)
    count = 0
    for i in range(n):
        key = (place[i] + 1) * MIX
        for j in range(columns):
            key = (key ^ hash(rows[i, j])) * MIX
            key ^= key >> 29
        slot = key & (size - 1)
        while True:
            known = table[slot]
            if known < 0:
                table[slot] = count
                cell[i] = count
                first[count] = i
                count += 1
                break
            other = first[known]
            same = place[other] == place[i]
            for j in range(columns):
                same = same and rows[other, j] == rows[i, j]
            if same:
                cell[i] = known
                break
            slot = (slot + 1) & (size - 1)
    return count


def _numbered(rows: Floats, site: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cell of each patient, and a patient of each cell; cells are numbered by site first."""
    n = len(rows)
    place = np.zeros(n, dtype=np.int64) if site is None else site
    cell, first = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    step = max(n // SAMPLE, 1)
    sample = np.ascontiguousarray(rows[::step])
    nowhere = np.zeros(len(sample), dtype=np.int64)
    if rows.shape[1] and n > SAMPLE and number_patterns(sample, nowhere, cell, first) > FEW * len(sample):
        order = np.argsort(place, kind="stable")
        cell[order] = np.arange(n)
        return cell, order
    count = number_patterns(rows, place, cell, first)
    first = first[:count]
    order = np.argsort(place[first], kind="stable")
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    return rank[cell], first[order]
