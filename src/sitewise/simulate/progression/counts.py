"""Counts about the patients themselves that a paper need not print: failures, events, deaths without a recorded failure."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.process import Recorded

FAILURES, EVENTS, DEATHS, UNSEEN = (
    "failures",
    "progression-free survival events",
    "deaths without recorded failure",
    "progressions never recorded",
)
COUNTED = (FAILURES, EVENTS, DEATHS, UNSEEN)


def counted(cohorts: Cohorts, outcome: Recorded, /) -> Floats:
    """Return the counts of :data:`COUNTED` of each cohort, shape (R, 4).

    A progression is never recorded when it comes before death or the end of follow-up but no visit does after it.
    """
    unseen = (outcome.progression <= cohorts.time) & ~outcome.failure
    columns = (outcome.failure, outcome.event, cohorts.event & ~outcome.failure, unseen)
    return np.column_stack([column.sum(axis=1) for column in columns]).astype(float)


def unbounded(counts: Floats, patients: int, /) -> Floats:
    """Return counts as logits, shape (R, 3): failures of all patients, the other two of those without one.

    On this scale a regression can move them and they stay counts of these patients; events are failures and deaths
    without one.
    """
    failures, left = counts[:, 0], patients - counts[:, 0]
    columns = [logit((failures + 0.5) / (patients + 1))]
    columns += [logit((counts[:, place] + 0.5) / (left + 1)) for place in (2, 3)]
    return np.column_stack(columns)


def whole(logits: Floats, patients: int, /, *, failures: float | None = None) -> Floats:
    """Return the whole numbers that logits of :func:`unbounded` are nearest to, shape (R, 4); failures may be known."""
    own = (patients + 1) * expit(logits[:, 0]) - 0.5
    failed = np.rint(own if failures is None else np.full(len(own), failures))
    left = patients - failed
    deaths, unseen = (np.rint((left + 1) * expit(logits[:, place]) - 0.5) for place in (1, 2))
    return np.column_stack([failed, failed + deaths, deaths, unseen])
