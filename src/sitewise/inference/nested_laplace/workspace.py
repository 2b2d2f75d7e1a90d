"""Arrays that the inner functions write into, made once for a fit: making them anew would be a third of its time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitewise.classical.compiled import compiled

Floats = NDArray[np.float64]
CHUNK = 512
"""Numbers worked on at a time: they stay in the cache."""


class Workspace(NamedTuple):
    """Scratch of one thread, for C cells, q columns and J random sites.

    ``exposure`` (C,), or empty where every cell is one log time and its power is taken with its hazard, and ``hazard`` (C,);
    ``gradient, step, old, row`` (q + 1,) and ``hessian`` (q + 1, q + 1) of coefficients and baseline; ``products`` (q,) and
    ``pairs`` (q, q), sums over cells; ``effects, site_gradient, site_hessian, site_step, site_old`` (E,) and ``cross``
    (E, q + 1) of the sites' E effects, which are J, or first J effects and then J slopes; ``site_mixed`` (J,) between the two;
    ``x, power`` (CHUNK,) for exponentials; ``last_sds`` (2,), of the site effects and slopes at hand; ``tilted`` (C,) hazards
    times the column with slopes; ``log_span, log_within, tilted_within`` (M,) of the intervals, and the shape of the first,
    ``span_shape`` (1,).
    """

    exposure: Floats
    hazard: Floats
    gradient: Floats
    step: Floats
    old: Floats
    row: Floats
    hessian: Floats
    products: Floats
    pairs: Floats
    effects: Floats
    site_gradient: Floats
    site_hessian: Floats
    site_step: Floats
    site_old: Floats
    cross: Floats
    x: Floats
    power: Floats
    last_sds: Floats
    site_mixed: Floats
    tilted: Floats
    log_span: Floats
    log_within: Floats
    tilted_within: Floats
    span_shape: Floats


@compiled
def make_workspace(cells, effects, single):  # type: ignore[no-untyped-def]
    """Return scratch for these cells and numbers of effects; with ``single``, exposures are not kept."""
    q, count = cells.columns.shape
    d = q + 1
    return Workspace(
        np.empty(0 if single else count),
        np.empty(count),
        np.empty(d),
        np.empty(d),
        np.empty(d),
        np.empty(d),
        np.empty((d, d)),
        np.empty(q),
        np.empty((q, q)),
        np.zeros(effects),
        np.empty(effects),
        np.empty(effects),
        np.zeros(effects),
        np.empty(effects),
        np.empty((effects, d)),
        np.empty(CHUNK),
        np.empty(CHUNK),
        np.ones(2),
        np.empty(cells.site_start.size - 1),
        np.empty(cells.slope.size),
        np.empty(cells.intervals.weight.size),
        np.empty(cells.intervals.weight.size),
        np.empty(cells.intervals.weight.size),
        np.full(1, -1.0),
    )
