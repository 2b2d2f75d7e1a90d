"""`Snapshot`: what is known of many trials at one look. Analyses see this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.conduct.trials import Trials

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """M trials of at most N patients at one look.

    Parameters
    ----------
    number : ndarray of int, shape (M,)
        Numbers of the trials.
    calendar : ndarray, shape (M,)
        Calendar time of the look.
    included : ndarray of bool, shape (M, N)
        Who has been enrolled, and watched for some time.
    time : ndarray, shape (M, N)
        Time since enrolment to the event or to the last that is known; 0 where not included.
    event : ndarray of bool, shape (M, N)
        Whether the time is an event.
    ended : ndarray of bool, shape (M, N)
        Whether nothing more will be learnt of the patient: event, dropout, or the end of their own follow-up.
    enrolled : ndarray, shape (M, N)
        Calendar time of enrolment.
    arm : ndarray of int, shape (M, N)
        0 control, 1 experimental, 2 and following the further arms of the design; analyses compare two, see :meth:`versus`.
    site, group : ndarray of int, shape (M, N)
        Site, and position of the risk group in ``groups``.
    sites : int
        Number of sites J.
    groups : tuple of str
        Risk groups.
    """

    number: NDArray[np.int64]
    calendar: Floats
    included: NDArray[np.bool_]
    time: Floats
    event: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    enrolled: Floats
    arm: NDArray[np.int8]
    site: NDArray[np.int16]
    group: NDArray[np.int16]
    sites: int
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return int(self.number.size)

    def some(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice, /) -> Self:
        """Return some of the trials."""
        shared = ("sites", "groups")
        return replace(self, **{item.name: getattr(self, item.name)[rows] for item in fields(self) if item.name not in shared})

    def versus(self, arm: int, /) -> Self:
        """Return what is known of one experimental arm, then 1, and of control; nobody of the other arms is in it."""
        own = (self.arm == 0) | (self.arm == arm)
        return replace(
            self,
            included=self.included & own,
            time=np.where(own, self.time, 0.0),
            event=self.event & own,
            ended=self.ended & own,
            enrolled=np.where(own, self.enrolled, np.inf),
            arm=(self.arm == arm).astype(np.int8),
        )

    @property
    def entered(self) -> NDArray[np.bool_]:
        """Who has been enrolled, the patient of this very moment too, shape (M, N)."""
        return self.enrolled <= self.calendar[:, None]

    @property
    def patients(self) -> NDArray[np.int64]:
        """Patients enrolled, shape (M,)."""
        return self.entered.sum(axis=1)

    @property
    def events(self) -> NDArray[np.int64]:
        """Events seen, shape (M,)."""
        return self.event.sum(axis=1)


def snapshot(trials: Trials, calendar: Floats, /, *, group_of_profile: NDArray[np.int64], groups: tuple[str, ...]) -> Snapshot:
    """Return what is known of trials at calendar times, shape (M,).

    Parameters
    ----------
    trials : Trials
        With all that will happen.
    calendar : ndarray, shape (M,)
        Times of the look.
    group_of_profile : ndarray of int, shape (K,)
        Risk group of each profile.
    groups : tuple of str
        Names of the risk groups.
    """
    watched = calendar[:, None] - trials.enrolled
    included = watched > 0
    known = np.where(included, watched, 0.0)
    observed = trials.observed
    # Compared as calendar times, of which a look's own is one: of 1.7 + 3.1 - 1.7 one cannot say whether 3.1 is reached.
    ended = included & (trials.enrolled + observed <= calendar[:, None])
    time = np.where(ended, observed, known)
    return Snapshot(
        number=trials.number,
        calendar=calendar,
        included=included,
        time=time,
        event=ended & (trials.time <= trials.leaves),
        ended=ended,
        enrolled=trials.enrolled,
        arm=trials.arm,
        site=trials.site,
        group=group_of_profile.astype(np.int16)[trials.profile],
        sites=trials.site_effect.shape[1],
        groups=groups,
    )
