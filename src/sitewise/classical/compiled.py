"""How the kernels of this area are compiled and spread over threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with numba and keep the machine code on disk, where there is a disk to write to; it runs beside other threads.

    A function may call others that are compiled by this too, of its own area, the families and this one: see
    ``_of_this_source``.
    """
    return _compiled(function)


def compiled_for_rows(function: Callable[..., Any]) -> Any:
    """Compile as ``compiled`` does, with leave to fuse operations and to change the order of sums.

    For sums over long rows only: the compiler then works on several numbers at once. Results differ in the last digits from
    those of the loop as written; they are the same in every run.
    """
    return _compiled(function, fastmath={"reassoc", "contract"})


def inlined(function: Callable[..., Any]) -> Any:
    """Compile as ``compiled`` does, into its callers: for functions of large tuples, whose passing would cost more than a sum.

    Every array of a tuple is counted anew, with an atomic operation, when the tuple is passed.
    """
    return _compiled(function, inline="always")


def compiled_callback(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile as a C function, and keep the machine code as ``compiled`` does.

    As ``numba.cfunc``, which has no moment between finding its cache and using it at which the sources could be tied to it.
    """
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    try:
        made = CFunc(function, normalize_signature(signature), locals={}, options={"error_model": "numpy"})
        made.enable_caching()
    except RuntimeError:
        return numba.cfunc(signature, error_model="numpy")(function)
    if not _of_this_source(made, function):
        return numba.cfunc(signature, error_model="numpy")(function)
    made.compile()
    return made


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    settings = {"error_model": "numpy", "nogil": True, **options}
    try:
        kept = numba.njit(cache=True, **settings)(function)
    except RuntimeError:
        return numba.njit(**settings)(function)
    return kept if _of_this_source(kept, function) else numba.njit(**settings)(function)


@cache
def _source_of(folder: Path) -> str:
    """Return the hash of the sources of the area that a folder belongs to, of the families and of this one."""
    here = Path(__file__).parent
    area = next((parent for parent in (folder, *folder.parents) if parent.parent == here.parent), folder)
    files = sorted({*area.rglob("*.py"), *here.glob("*.py"), *(here.parent / "families").glob("*.py")})
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _of_this_source(kept: Any, function: Callable[..., Any]) -> bool:
    """Tie the machine code on disk to the sources it may hold; return False where this numba has no place for that.

    A kernel's machine code holds that of the kernels that it calls, but numba's stamp on it is of its own file only: after a
    change in another file the code before the change would go on being used. A kernel may call those of its own area, of
    the families and of this one.
    """
    file = getattr(getattr(kept, "_cache", None), "_cache_file", None)
    stamp = getattr(file, "_source_stamp", None)
    if file is None or stamp is None:
        return False
    file._source_stamp = (stamp, _source_of(Path(function.__code__.co_filename).parent))
    return True


def over_rows(work: Callable[[int, int], None], rows: int, workers: int) -> None:
    """Do ``work(start, stop)`` for all rows, in threads; rows are worked on alone, so results do not depend on their number."""
    if workers <= 1 or rows < 2 * workers:
        work(0, rows)
        return
    edges = [rows * number // workers for number in range(workers + 1)]
    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(work, edges[:-1], edges[1:]))
