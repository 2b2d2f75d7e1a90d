"""Survival of one person as a function of the index, and back (:attr:`sitewise.families.Family.standard`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sitewise.families.base import EXTREME_VALUE, LOGISTIC

Floats = NDArray[np.float64]


def survival_at(standard: int, index: Floats) -> Floats:
    """Return survival of one person at indices."""
    if standard == EXTREME_VALUE:
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(-np.exp(index))
    return np.asarray(special.expit(-index) if standard == LOGISTIC else special.ndtr(-index))


def index_of(standard: int, level: float) -> float:
    """Return the index at which one person's survival is ``level``."""
    if standard == EXTREME_VALUE:
        return float(np.log(-np.log(level)))
    return float(-special.logit(level) if standard == LOGISTIC else -special.ndtri(level))
