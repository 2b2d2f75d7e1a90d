"""Spreading blocks over workers, keeping them on disk, going on after an interruption, and telling how it goes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sitewise.inference.engine import Report, silent
from sitewise.inference.result import installed_versions
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import Analysis
from sitewise.trial.campaign.block import Arrays, BlockJob, do_block, jobs_of
from sitewise.trial.campaign.results import TrialResults, results_of
from sitewise.trial.campaign.worlds import World
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.plan.simulation import SimulationPlan
from sitewise.trial.truth.further import ratios_of
from sitewise.trial.truth.truth import Truth

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

RECORD = "campaign.json"
EVERY = 1.0
"""Seconds between reports of progress."""
WAITING = 2
"""Blocks that wait for each worker: memory does not grow with the campaign but by what is kept of it."""


def run_campaign(
    design: TrialDesign,
    worlds: Sequence[World],
    /,
    *,
    analysis: Analysis,
    trials: int,
    seed: int,
    workers: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    report: Report = silent,
) -> TrialResults:
    """Simulate and analyse trials of a design in some worlds.

    Parameters
    ----------
    design : TrialDesign
        What is done.
    worlds : sequence of World
        What is true.
    analysis : Analysis
        How looks are analysed.
    trials : int
        Trials of each world.
    seed : int
        Seed; a trial depends on it and on its own number only.
    workers : int
        Threads; beside an executor, how many blocks it works on at once.
    executor : Executor, optional
        Any ``concurrent.futures.Executor``.
    folder : str or Path, optional
        Where finished blocks are kept: a campaign that was interrupted, or wants more trials, goes on from them. Another one's
        folder is refused.
    report : callable
        Told the progress.

    Returns
    -------
    TrialResults

    Raises
    ------
    TrialError
        When the folder holds another campaign.
    """
    jobs = [job for world in worlds for job in jobs_of(design, world, analysis, trials=trials, seed=seed)]
    each = len(jobs) // len(worlds)
    places = {id(job): number for number, job in enumerate(jobs)}
    path = Path(folder) if folder is not None else None
    if path is not None:
        _claim(path, fingerprint(design, worlds, analysis, seed=seed))
    files = [path / _name(number // each, job) if path is not None else None for number, job in enumerate(jobs)]
    done: dict[int, Arrays] = {}
    for number, file in enumerate(files):
        kept = _read(file)
        if kept is not None:
            done[number] = kept
    if done:
        report(f"{len(done)} of {len(jobs)} blocks are on disk already")
    left = [job for number, job in enumerate(jobs) if number not in done]
    total, finished, started = sum(job.stop - job.start for job in left), 0, time.perf_counter()
    told = started
    with _pool(executor, workers) as pool:
        for job, arrays in _in_turn(pool, left, WAITING * max(workers, 1)):
            number = places[id(job)]
            done[number] = arrays
            _write(files[number], arrays)
            finished += job.stop - job.start
            now = time.perf_counter()
            if now - told < EVERY and finished < total:
                continue
            told, rate = now, finished / (now - started)
            report(f"{finished} of {total} trials, {rate:.0f} a second, {(total - finished) / rate:.0f} s left")
    by_world = [[done[number] for number in range(place * each, (place + 1) * each)] for place in range(len(worlds))]
    return results_of(design, worlds, by_world, analysis=analysis.name, seed=seed)


def fingerprint(design: TrialDesign, worlds: Sequence[World], analysis: Analysis, *, seed: int) -> str:
    """Return what tells a campaign from others: version, design, truths, analysis and its cohorts, and seed.

    Not the number of trials, which is no part of what happens in any of them.
    """
    found = hashlib.sha256()
    one_trial = replace(design, simulation=SimulationPlan()).hash
    for text in (installed_versions().get("sitewise", ""), one_trial, analysis.name, str(seed)):
        found.update(text.encode())
    for world in worlds:
        found.update(f"{world.name} {world.null} {world.accrual_factor}".encode())
        _add(found, world.truth)
        found.update(np.ascontiguousarray(world.true_values).tobytes())
    for role in ("benchmark", "history"):
        cohort = getattr(analysis, role, None)
        if cohort is not None:
            found.update(f"{role} {cohort.known}".encode())
            _add(found, cohort.cohort)
    return found.hexdigest()


def _add(found: Hash, truth: Truth) -> None:
    """Add all that makes a truth to a hash."""
    found.update(f"{truth.family!r} {truth.profiles} {truth.cohort_arm} {truth.guarantee_time}".encode())
    effect = truth.effect
    found.update(f"{effect.cured} {effect.site_sd}".encode())
    arrays = (*truth.shape, truth.log_scale, truth.index, truth.shares, truth.site_sd)
    for array in (*arrays, *ratios_of(truth), effect.starts, effect.weights):
        found.update(np.ascontiguousarray(array).tobytes())


@contextmanager
def _pool(executor: Executor | None, workers: int) -> Iterator[Executor | None]:
    if executor is not None or workers <= 1:
        yield executor
    else:
        with ThreadPoolExecutor(workers) as threads:
            yield threads


def _in_turn(pool: Executor | None, jobs: Sequence[BlockJob], most: int) -> Iterator[tuple[BlockJob, Arrays]]:
    """Yield blocks as they are done, with at most ``most`` handed out."""
    if pool is None:
        for job in jobs:
            yield job, do_block(job)
        return
    running: dict[Future[Arrays], BlockJob] = {}
    for job in jobs:
        running[pool.submit(do_block, job)] = job
        if len(running) >= most:
            yield from _finished(running)
    while running:
        yield from _finished(running)


def _finished(running: dict[Future[Arrays], BlockJob]) -> Iterator[tuple[BlockJob, Arrays]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def _claim(folder: Path, mark: str) -> None:
    """Write down whose folder this is, or check that it is this campaign's."""
    path = folder / RECORD
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")).get("fingerprint") != mark:
            raise TrialError(
                f"{folder} holds the trials of another campaign: another design, truth, analysis or seed. "
                "Give an empty folder, or remove this one."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"fingerprint": mark}) + "\n", encoding="utf-8")


def _name(world: int, job: BlockJob) -> str:
    return f"block-{world:03d}-{job.start:07d}-{job.stop:07d}.npz"


def _write(file: Path | None, arrays: Arrays) -> None:
    """Write a block, whole or not at all."""
    if file is None:
        return
    unfinished = file.with_suffix(".part")
    with unfinished.open("wb") as opened:
        np.savez(opened, **arrays)  # type: ignore[arg-type]
    unfinished.replace(file)


def _read(file: Path | None) -> Arrays | None:
    if file is None or not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as opened:
        found: dict[str, NDArray[np.generic]] = {name: opened[name] for name in opened.files}
    return found
