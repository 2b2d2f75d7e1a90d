"""Work spread over processes, with a line now and then that says how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any


def in_processes(work: Callable[..., Any], tasks: Sequence[tuple], workers: int, what: str, every: int) -> list[Any]:
    """Return the results in the order of the tasks, and tell how far it is."""
    started = time.perf_counter()
    results: list[Any] = [None] * len(tasks)
    with ProcessPoolExecutor(workers) as processes:
        waiting = {processes.submit(work, *task): place for place, task in enumerate(tasks)}
        for done, future in enumerate(as_completed(waiting), start=1):
            results[waiting[future]] = future.result()
            if done % every == 0 or done == len(tasks):
                gone = time.perf_counter() - started
                left = gone / done * (len(tasks) - done)
                print(f"{what}: {done} of {len(tasks)}, {60 * done / gone:.3g} a minute, {left:.0f} s left", flush=True)
    return results
