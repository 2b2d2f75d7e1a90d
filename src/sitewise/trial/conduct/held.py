"""When looks are held: the time of each trigger, and which looks there are in a trial at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.conduct.trials import Trials
from sitewise.trial.plan.looks import Look, Trigger

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Held:
    """Looks of M trials.

    Parameters
    ----------
    calendar : ndarray, shape (M, L)
        Calendar time of each look.
    held : ndarray of bool, shape (M, L)
        Whether the look is held: an interim look that would come with or after a later one is not. The last one always is.
    reached : ndarray of bool, shape (M, L)
        Whether what the look waits for came before the trial closed; a last look that was not reached is held at the close.
    """

    calendar: Floats
    held: Flags
    reached: Flags


def look_times(trials: Trials, looks: tuple[Look, ...], /, *, close: float) -> Held:
    """Return when the looks of trials are.

    Parameters
    ----------
    trials : Trials
        M trials.
    looks : tuple of Look
        In their order; the last is final.
    close : float
        Calendar time at which the trial ends whatever has happened.
    """
    events = np.sort(trials.event_calendar, axis=1)
    wanted = np.column_stack([_time(look.when, trials, events) for look in looks])
    reached = wanted <= close
    calendar = np.minimum(wanted, close)
    held = reached.copy()
    held[:, -1] = True
    earliest = calendar[:, -1].copy()
    for place in range(len(looks) - 2, -1, -1):
        held[:, place] &= calendar[:, place] < earliest
        earliest = np.where(held[:, place], calendar[:, place], earliest)
    return Held(calendar, held, reached)


def _time(trigger: Trigger, trials: Trials, events: Floats) -> Floats:
    """Return the calendar time at which a trigger comes, shape (M,); infinite where it never does."""
    if trigger.events is not None:
        return events[:, trigger.events - 1]
    if trigger.calendar is not None:
        return np.full(len(trials), trigger.calendar)
    if trigger.enrolled is not None:
        return trials.enrolled[:, trigger.enrolled - 1]
    if trigger.followed is not None:
        return trials.enrolled[:, trigger.followed.patients - 1] + trigger.followed.time
    several = np.array([_time(part, trials, events) for part in (*trigger.all, *trigger.any)])
    return np.asarray(several.max(axis=0) if trigger.all else several.min(axis=0))
