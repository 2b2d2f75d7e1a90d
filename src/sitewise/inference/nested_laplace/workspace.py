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
    ``pairs`` (q, q), sums over cells; ``effects, site_gradient, site_hessian, site_step, site_old`` (J,) and ``cross``
    (J, q + 1) of the sites; ``x, power`` (CHUNK,) for exponentials; ``last_site_sd`` (1,), of the site effects at hand.
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
    last_site_sd: Floats


@compiled
def make_workspace(cells, sites, single):  # type: ignore[no-untyped-def]
    """Return scratch for these cells; with ``single``, exposures are not kept."""
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
        np.zeros(sites),
        np.empty(sites),
        np.empty(sites),
        np.zeros(sites),
        np.empty(sites),
        np.empty((sites, d)),
        np.empty(CHUNK),
        np.empty(CHUNK),
        np.ones(1),
    )
