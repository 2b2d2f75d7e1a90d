"""`Trials`: many simulated trials as arrays, with all that will happen to their patients: fixed once, whatever the looks."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Trials:
    """M trials of at most N patients at J sites; patients stand in the order in which they come.

    Parameters
    ----------
    number : ndarray of int, shape (M,)
        Number of each trial: its random numbers depend on the seed and on this only.
    row : ndarray of int, shape (M,)
        Row of the truth.
    enrolled : ndarray, shape (M, N)
        Calendar time of enrolment, ascending; infinite for patients who never come.
    time : ndarray, shape (M, N)
        Time from enrolment to the event, were there no end of follow-up; infinite for the cured.
    leaves : ndarray, shape (M, N)
        Time from enrolment to dropout or to the end of the patient's own follow-up.
    arm : ndarray of int, shape (M, N)
        0 control, 1 experimental, 2 and following the further arms of the design.
    site, profile : ndarray of int, shape (M, N)
        Site, and position of the patient's profile in the truth.
    site_effect : ndarray, shape (M, J)
        True effects of the sites on the index.
    """

    number: NDArray[np.int64]
    row: NDArray[np.int64]
    enrolled: Floats
    time: Floats
    leaves: Floats
    arm: NDArray[np.int8]
    site: Codes
    profile: Codes
    site_effect: Floats

    def __len__(self) -> int:
        return int(self.number.size)

    def some(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice, /) -> Self:
        """Return some of the trials."""
        return replace(self, **{item.name: getattr(self, item.name)[rows] for item in fields(self)})

    @property
    def observed(self) -> Floats:
        """Time from enrolment until nothing more is learnt of a patient, were the trial never closed, shape (M, N)."""
        return np.minimum(self.time, self.leaves)

    @property
    def event_calendar(self) -> Floats:
        """Calendar time of each patient's event, infinite where none will be seen, shape (M, N)."""
        return np.where(self.time <= self.leaves, self.enrolled + self.time, np.inf)
