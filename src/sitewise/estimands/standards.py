"""Survival of one person as a function of the index, and back (:attr:`sitewise.families.Family.standard`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sitewise.families.base import EXTREME_VALUE, GAMMA, LOGISTIC
from sitewise.families.generalised_gamma import NORMAL_BELOW, standard_quantile

Floats = NDArray[np.float64]


def survival_at(standard: int, index: Floats, tail: Floats) -> Floats:
    """Return survival of one person at indices; ``tail`` is :meth:`sitewise.families.Family.tail`, and broadcasts."""
    if standard == EXTREME_VALUE:
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(-np.exp(index))
    if standard == GAMMA:
        q = np.where(np.abs(tail) < NORMAL_BELOW, NORMAL_BELOW, tail)
        alpha = 1 / q**2
        with np.errstate(over="ignore", under="ignore"):
            variable = alpha * np.exp(q * index)
        return np.asarray(np.where(q > 0, special.gammaincc(alpha, variable), special.gammainc(alpha, variable)))
    return np.asarray(special.expit(-index) if standard == LOGISTIC else special.ndtr(-index))


def index_of(standard: int, level: float, tail: Floats) -> Floats:
    """Return the index, shape (s,), at which one person's survival is ``level``."""
    log_hazard = float(np.log(-np.log(level)))
    if standard == GAMMA:
        return np.asarray(standard_quantile(log_hazard, tail))
    if standard == EXTREME_VALUE:
        return np.full(tail.shape, log_hazard)
    return np.full(tail.shape, float(-special.logit(level) if standard == LOGISTIC else -special.ndtri(level)))
