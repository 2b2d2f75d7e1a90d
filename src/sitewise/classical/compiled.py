"""How the kernels of this area are compiled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with numba and keep the machine code on disk, where there is a disk to write to; it runs beside other threads."""
    try:
        return numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    except RuntimeError:
        return numba.njit(error_model="numpy", nogil=True)(function)


def over_rows(work: Callable[[int, int], None], rows: int, workers: int) -> None:
    """Do ``work(start, stop)`` for all rows in as many threads; each row is worked on alone, so results do not depend on them."""
    if workers <= 1 or rows < 2 * workers:
        work(0, rows)
        return
    edges = [rows * number // workers for number in range(workers + 1)]
    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(work, edges[:-1], edges[1:]))
