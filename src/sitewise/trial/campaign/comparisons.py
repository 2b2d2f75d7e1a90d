"""Every experimental arm against the one control arm: its own patients, its own criteria, its own random numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sitewise.trial.analysis.analysis import OK, Analysed, Analysis
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.design import TrialDesign


def comparisons(design: TrialDesign, seen: Snapshot, /, *, look: int) -> Iterator[tuple[list[int], Snapshot, int]]:
    """Yield, for each experimental arm, its criteria's positions, its patients and those of control, and its number of a look.

    An analysis draws its random numbers by the number of the look: the first arm's are as if there were no other.
    """
    if not design.arms.further:
        yield list(range(len(design.criterion))), seen, look
        return
    for code, name in enumerate(design.arms.names[1:], start=1):
        own = [place for place, item in enumerate(design.criterion) if item.arm == name]
        yield own, seen.versus(code), look + (code - 1) * len(design.look)


def analysed(design: TrialDesign, analysis: Analysis, seen: Snapshot, /, *, seed: int, look: int) -> Analysed:
    """Return what a look shows of every criterion; its analysis has failed where that of one arm has."""
    shape = (len(seen), len(design.criterion))
    unknown = np.full(shape, np.nan)
    found = Analysed(unknown.copy(), unknown.copy(), unknown, np.full(len(seen), OK, np.int8))
    for places, pair, number in comparisons(design, seen, look=look):
        own = analysis.analyse(pair, [design.criterion[place] for place in places], seed=seed, look=number)
        for name in ("probability", "estimate", "sd"):
            getattr(found, name)[:, places] = getattr(own, name)
        np.maximum(found.status, own.status, out=found.status)
    return found
