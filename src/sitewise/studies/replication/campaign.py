"""Spreading chunks of work over an executor, keeping them on disk, resuming, and telling how it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd

from sitewise.inference.engine import Report
from sitewise.problems import SitewiseError
from sitewise.studies.replication.work import Job, do

Tables = tuple[pd.DataFrame, pd.DataFrame]
RECORD = "campaign.json"
WAITING = 2
"""Chunks that wait for a worker each: the memory of a campaign does not grow with its length."""


def run(
    job: Job, *, chunk: int, workers: int, executor: Executor | None, folder: Path | None, fingerprint: str, report: Report
) -> Tables:
    """Do all replicates of a job, in chunks; chunks that are on disk are read instead.

    Raises
    ------
    SitewiseError
        When the folder holds the chunks of another campaign.
    """
    edges = [(start, min(start + chunk, job.stop)) for start in range(job.start, job.stop, chunk)]
    if folder is not None:
        _claim(folder, fingerprint, chunk)
    done: dict[int, Tables] = {}
    for start, _ in edges:
        kept = _read(folder, start)
        if kept is not None:
            done[start] = kept
    if done:
        report(f"{len(done)} of {len(edges)} chunks are on disk already")
    left = [edge for edge in edges if edge[0] not in done]
    started, finished = time.perf_counter(), 0
    with _pool(executor, workers) as pool:
        for start, tables in _in_turn(pool, job, left, WAITING * max(workers, 1)):
            done[start] = tables
            _write(folder, start, tables)
            finished += 1
            spent = time.perf_counter() - started
            fitted = sum(stop - begin for begin, stop in left[:finished])
            remaining = spent / finished * (len(left) - finished)
            report(f"{fitted} of {job.stop - job.start} fits, {fitted / spent:.0f} a second, {remaining:.0f} s left")
    in_order = [done[start] for start, _ in edges]
    parts = [tables[0] for tables in in_order if len(tables[0])]
    estimates = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return estimates, pd.concat([tables[1] for tables in in_order], ignore_index=True)


@contextmanager
def _pool(executor: Executor | None, workers: int) -> Iterator[Executor | None]:
    """Yield the user's executor, threads (the compiled engine lets them run side by side), or None for this thread."""
    if executor is not None or workers <= 1:
        yield executor
    else:
        with ThreadPoolExecutor(workers) as threads:
            yield threads


def _in_turn(pool: Executor | None, job: Job, edges: list[tuple[int, int]], most: int) -> Iterator[tuple[int, Tables]]:
    """Yield chunks as they are done, with at most ``most`` handed out."""
    jobs = iter([replace(job, start=start, stop=stop) for start, stop in edges])
    if pool is None:
        for own in jobs:
            yield own.start, do(own)
        return
    running: dict[Future[Tables], int] = {}
    for own in jobs:
        running[pool.submit(do, own)] = own.start
        if len(running) >= most:
            yield from _finished(running)
    while running:
        yield from _finished(running)


def _finished(running: dict[Future[Tables], int]) -> Iterator[tuple[int, Tables]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def _claim(folder: Path, fingerprint: str, chunk: int) -> None:
    """Write down whose folder this is, or check that it is this campaign's."""
    record = {"fingerprint": fingerprint, "chunk": chunk}
    path = folder / RECORD
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != record:
            raise SitewiseError(
                f"{folder} holds another campaign: other cohorts, model, engine, seed, summaries or size of chunks. "
                "Give an empty folder, or remove this one."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")


def _paths(folder: Path, start: int) -> tuple[Path, Path]:
    return folder / f"estimates-{start:07d}.parquet", folder / f"fits-{start:07d}.parquet"


def _write(folder: Path | None, start: int, tables: Tables) -> None:
    """Write a chunk; the table of fits comes last, whole or not at all, so that a chunk with it is complete."""
    if folder is None:
        return
    estimates, fits = _paths(folder, start)
    tables[0].to_parquet(estimates)
    unfinished = fits.with_suffix(".part")
    tables[1].to_parquet(unfinished)
    unfinished.replace(fits)


def _read(folder: Path | None, start: int) -> Tables | None:
    if folder is None or not _paths(folder, start)[1].is_file():
        return None
    estimates, fits = _paths(folder, start)
    return pd.read_parquet(estimates), pd.read_parquet(fits)
