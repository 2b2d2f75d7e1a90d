"""Random numbers of trials: in blocks of fixed size, a stream for each purpose.

A trial's numbers depend on the seed and its own number only, never on workers or on how many trials are made. Patients' numbers
are drawn patient by patient over the block, so that trials of 100 and of 200 patients share their first 100 patients, and
scenarios that differ in their numbers share all of them: differences between designs are then seen with little noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BLOCK = 256
"""Trials whose numbers are drawn together; another value gives other trials."""
TRIALS = 7
"""Branch of the seed for the trials themselves; analyses have others."""


class Purpose(IntEnum):
    """What random numbers are for."""

    WORLD = 0
    SITE_RATE = 1
    SITE_EFFECT = 2
    SITE_TREATMENT_EFFECT = 3
    ARRIVAL = 4
    ARRIVAL_SITE = 5
    PROFILE = 6
    ALLOCATION = 7
    EVENT = 8
    DROPOUT = 9
    CURE = 10


@dataclass(frozen=True)
class Streams:
    """The random numbers of one block of trials.

    Parameters
    ----------
    seed : int
        Of the campaign.
    block : int
        Number of the block: trials ``block * BLOCK`` and following.
    """

    seed: int
    block: int

    def of(self, purpose: Purpose) -> np.random.Generator:
        """Return the stream for a purpose."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(TRIALS, self.block, purpose))))

    def uniform(self, purpose: Purpose, size: int) -> Floats:
        """Return uniform numbers, shape (BLOCK, size): the first columns are the same for any size."""
        return np.ascontiguousarray(self.of(purpose).random((size, BLOCK)).T)

    def exponential(self, purpose: Purpose, size: int) -> Floats:
        """Return standard exponential numbers, shape (BLOCK, size)."""
        return np.ascontiguousarray(self.of(purpose).standard_exponential((size, BLOCK)).T)

    def normal(self, purpose: Purpose, size: int) -> Floats:
        """Return standard normal numbers, shape (BLOCK, size)."""
        return np.ascontiguousarray(self.of(purpose).standard_normal((size, BLOCK)).T)

    def gamma(self, purpose: Purpose, shape: float, size: int) -> Floats:
        """Return Gamma numbers of mean 1, shape (BLOCK, size)."""
        return np.ascontiguousarray(self.of(purpose).standard_gamma(shape, (size, BLOCK)).T) / shape
