"""Restricted means of groups: the members' own averaged where they are formulas, else areas under the averaged curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise.estimands.draws import IndexDraws
from sitewise.estimands.mixture import Mixture

Floats = NDArray[np.float64]
NODES_AT_ONCE = 64
"""Nodes of an area under curves whose values are held at once."""


def restricted_means(mixture: Mixture, draws: IndexDraws, shift: Floats, beyond: float) -> Floats:
    """Return means of min(T, beyond) of groups, (s, G).

    Parameters
    ----------
    mixture : Mixture
        The groups' masses over the index.
    draws : IndexDraws
        The posterior.
    shift : ndarray, shape (s,)
        Added to every index of a draw.
    beyond : float
        Horizon, beyond the guarantee time.
    """
    if draws.family.mean_is_closed:

        def restricted_mean(rows: NDArray[np.int64], points: Floats) -> Floats:
            return np.asarray(draws.family.mean_until(beyond, points + shift[rows, None], *draws.columns(rows)))

        return mixture.expectation(restricted_mean)
    scale, shape = draws.columns()
    log_time, weights = draws.family.time_nodes(beyond, tuple(item[:, 0] for item in shape))
    log_time, weights = np.atleast_2d(log_time), np.atleast_2d(weights)
    area = np.zeros((mixture.draws, mixture.groups))
    for start in range(0, log_time.shape[1], NODES_AT_ONCE):
        part = slice(start, start + NODES_AT_ONCE)
        index = draws.family.index(log_time[:, part], scale, shape) + shift[:, None]
        area += np.einsum("sgt,st->sg", mixture.survival(index), np.broadcast_to(weights[:, part], index.shape))
    return area
