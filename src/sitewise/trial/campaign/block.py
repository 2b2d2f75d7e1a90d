"""One block of one world's trials: simulated, looked at, analysed; nothing is decided here.

Thresholds come later and are applied to what is kept, so that they can be calibrated, or changed, without a new analysis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.analysis.analysis import Analysis
from sitewise.trial.campaign.comparisons import analysed
from sitewise.trial.campaign.imputed import IMPUTED, Imputer
from sitewise.trial.campaign.worlds import World
from sitewise.trial.conduct.held import look_times
from sitewise.trial.conduct.simulate import simulate_trials
from sitewise.trial.conduct.snapshot import Snapshot, snapshot
from sitewise.trial.conduct.streams import BLOCK
from sitewise.trial.plan.design import TrialDesign

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[np.generic]]
NOT_HELD = -1
"""Status of a look that a trial does not have."""


@dataclass(frozen=True, eq=False)
class BlockJob:
    """Trials ``start`` to ``stop`` of a world, within one block of random numbers.

    Parameters
    ----------
    design : TrialDesign
        What is done.
    world : World
        What is true.
    analysis : Analysis
        How looks are analysed.
    seed : int
        Of the campaign.
    start, stop : int
        Numbers of the trials.
    """

    design: TrialDesign
    world: World
    analysis: Analysis
    seed: int
    start: int
    stop: int


def do_block(job: BlockJob) -> Arrays:
    """Return what is kept of a block's trials, each array with the trials first: see ``campaign/results``."""
    design, world = job.design, job.world
    groups, group_of_profile = world.truth.groups, world.truth.group_of_profile
    trials = simulate_trials(
        world.truth,
        arms=design.arms,
        accrual=design.accrual,
        follow_up=design.follow_up,
        trials=job.stop - job.start,
        first=job.start,
        seed=job.seed,
        accrual_factor=world.accrual_factor,
    )
    looks = look_times(trials, design.look, close=design.follow_up.close)
    size, count, criteria = len(trials), len(design.look), len(design.criterion)
    kept: Arrays = {
        "row": trials.row,
        "true_value": world.true_values[trials.row],
        "calendar": looks.calendar,
        "reached": looks.reached,
        "status": np.full((size, count), NOT_HELD, np.int8),
    }
    for name in ("probability", "estimate", "sd"):
        kept[name] = np.full((size, count, criteria), np.nan)
    arms = len(design.arms.names)
    counted = {"patients": (), "events": (), "patients_of_arm": (arms,), "events_of_arm": (arms,), "of_group": (2, len(groups))}
    for name, dims in counted.items():
        kept[name] = np.zeros((size, count, *dims), np.int32)
    imputer = Imputer.of(design, job.analysis, groups=groups)
    if imputer is not None:
        shape = (size, len(imputer.looks), imputer.sets, len(imputer.criteria))
        kept[IMPUTED] = np.full(shape, np.nan, np.float32)
    for place in range(count):
        rows = np.flatnonzero(looks.held[:, place])
        if rows.size == 0:
            continue
        seen = snapshot(trials.some(rows), looks.calendar[rows, place], group_of_profile=group_of_profile, groups=groups)
        found = analysed(design, job.analysis, seen, seed=job.seed, look=place)
        kept["status"][rows, place] = found.status
        for name in ("probability", "estimate", "sd"):
            kept[name][rows, place] = getattr(found, name)
        for name, values in _counts(seen, arms).items():
            kept[name][rows, place] = values
        if imputer is not None and place in imputer.looks:
            kept[IMPUTED][rows, imputer.looks.index(place)] = imputer.probabilities(seen, seed=job.seed, look=place)
    return kept


def _counts(seen: Snapshot, arms: int) -> Arrays:
    patients_of_arm, events_of_arm = (
        np.stack([(who & (seen.arm == arm)).sum(axis=1) for arm in range(arms)], axis=-1) for who in (seen.entered, seen.event)
    )
    per_group = [
        [(seen.entered & (seen.group == group)).sum(axis=1), (seen.event & (seen.group == group)).sum(axis=1)]
        for group in range(len(seen.groups))
    ]
    of_group = np.transpose(np.array(per_group), (2, 1, 0))
    return {
        "patients": seen.patients,
        "events": seen.events,
        "patients_of_arm": patients_of_arm,
        "events_of_arm": events_of_arm,
        "of_group": of_group,
    }


def jobs_of(design: TrialDesign, world: World, analysis: Analysis, *, trials: int, seed: int) -> list[BlockJob]:
    """Return the blocks of a world's trials."""
    edges = range(0, trials, BLOCK)
    return [BlockJob(design, world, analysis, seed, start, min(start + BLOCK, trials)) for start in edges]
