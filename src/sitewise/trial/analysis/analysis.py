"""What an analysis is: from snapshots of many trials to the probabilities of statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.criteria import Criterion

Floats = NDArray[np.float64]
OK, NOT_ESTIMABLE, FAILED = 0, 1, 2
"""Status of the analysis of one trial: done; the data cannot say (no events in an arm); the method did not succeed."""


@dataclass(frozen=True, eq=False)
class Analysed:
    """What was found of M trials and C criteria.

    Parameters
    ----------
    probability : ndarray, shape (M, C)
        Posterior probability of each criterion's statement, or for a classical test one minus the one-sided p value; not a
        number where it could not be had. Predictive criteria are not filled here.
    estimate, sd : ndarray, shape (M, C)
        Of the criterion's estimand: log hazard ratio, survival, restricted mean or log median, or the difference asked for.
    status : ndarray of int, shape (M,)
        OK; NOT_ESTIMABLE where the data say nothing of one statement or more; FAILED where the method did not succeed.
    more : dict of str to ndarray, shape (M,)
        Further numbers of the method: ``information``, ``importance_ess``, ...
    """

    probability: Floats
    estimate: Floats
    sd: Floats
    status: NDArray[np.int8]
    more: dict[str, Floats] = field(default_factory=dict)


class Analysis(Protocol):
    """A method; frozen, and the same in every process."""

    @property
    def name(self) -> str:
        """Name in files and tables."""
        ...

    def analyse(self, seen: Snapshot, criteria: Sequence[Criterion], /, *, seed: int, look: int) -> Analysed:
        """Analyse trials at one look.

        Parameters
        ----------
        seen : Snapshot
            M trials.
        criteria : sequence of Criterion
            What is asked.
        seed : int
            Of the campaign; random numbers may depend on it, the trial's number and the look only.
        look : int
            Position of the look.
        """
        ...
