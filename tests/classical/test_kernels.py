"""The compiled parts by themselves: the likelihood away from its maximum, exponentials, order, the cache on disk."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys

import numba
import numpy as np
import pytest

from sitewise.classical import Ordered, cox_score_information
from sitewise.classical.compiled import over_rows
from sitewise.classical.exponentials import exponentials


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize("scale", [0.0, 0.7, 20.0, 60.0])
def test_likelihood_score_and_information_anywhere(book, ties, columns, scale):
    time, event, design = book.simulated(3, 40, columns, seed=11)
    include = np.random.default_rng(3).random(time.shape) < 0.85
    ordered = Ordered.of(time, event)
    beta = scale * np.random.default_rng(4).normal(size=columns)
    score, information = np.full(columns, np.nan), np.full((columns, columns), np.nan)
    for row, kept in enumerate(include):
        value = cox_score_information(
            ordered.order[row],
            ordered.time[row],
            ordered.event[row],
            design[row],
            kept,
            beta,
            ties == "efron",
            score,
            information,
        )
        data = (time[row, kept], event[row, kept], design[row, kept])
        assert value == pytest.approx(book.log_likelihood(beta, *data, ties=ties), rel=1e-12)
        np.testing.assert_allclose(score, book.score(beta, *data, ties=ties), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(information, book.information(beta, *data, ties=ties), rtol=1e-7, atol=1e-7)


def test_it_can_be_called_from_compiled_code_and_refuses_what_overflows(book):
    @numba.njit
    def call(order, time, event, design, include, beta):
        score, information = np.zeros(beta.size), np.zeros((beta.size, beta.size))
        return cox_score_information(order, time, event, design, include, beta, True, score, information)

    time, event, design = book.simulated(1, 40, 2)
    ordered, include = Ordered.of(time, event), np.ones(40, dtype=bool)
    cohort = (ordered.order[0], ordered.time[0], ordered.event[0], design[0], include)
    beta = np.array([0.3, -0.2])
    assert call(*cohort, beta) == pytest.approx(
        book.log_likelihood(beta, time[0], event[0], design[0], ties="efron"), rel=1e-12
    )
    assert call(*cohort, np.array([0.0, 1e5])) == -np.inf
    assert call(*cohort, np.array([0.0, np.nan])) == -np.inf


def test_exponentials_are_exact_to_the_last_place():
    x = np.concatenate([np.linspace(-699, 699, 200_001), np.linspace(-1, 1, 10_001), [0.0, 0.5 * np.log(2), -0.5 * np.log(2)]])
    out = np.empty(x.size)
    exponentials(x.copy(), out, x.size)
    truth = np.exp(x.astype(np.longdouble))
    assert (np.abs(out - truth) <= 1.5 * np.spacing(truth.astype(float))).all()
    assert out[np.flatnonzero(x == 0.0)] == pytest.approx(1.0, abs=0)


def test_ordered_sorts_each_cohort_and_refuses_what_has_no_order():
    ordered = Ordered.of([[3.0, 1.0, 1.0], [2.0, 5.0, 4.0]], [[1, 0, 1], [0, 0, 1]], [[0.0, 0.5, 0.2], [1.0, 1.0, 3.0]])
    np.testing.assert_array_equal(ordered.order, [[1, 2, 0], [0, 2, 1]])
    np.testing.assert_array_equal(ordered.time, [[1.0, 1.0, 3.0], [2.0, 4.0, 5.0]])
    np.testing.assert_array_equal(ordered.event, [[False, True, True], [False, True, False]])
    np.testing.assert_array_equal(ordered.entry, [[0.5, 0.2, 0.0], [1.0, 3.0, 1.0]])
    assert len(Ordered.of([2.0, 1.0], [1, 0])) == 1
    with pytest.raises(ValueError, match="same shape"):
        Ordered.of([1.0, 2.0], [True])
    with pytest.raises(ValueError, match="finite"):
        Ordered.of([1.0, np.nan], [True, False])
    with pytest.raises(ValueError, match="before time"):
        Ordered.of([1.0, 2.0], [True, False], [0.0, 2.0])


@pytest.mark.parametrize(("rows", "workers"), [(0, 1), (1, 2), (5, 2), (100, 3)])
def test_threads_share_all_rows(rows, workers):
    done = np.zeros(rows, dtype=int)

    def work(start, stop):
        done[start:stop] += 1

    over_rows(work, rows, workers)
    np.testing.assert_array_equal(done, 1)


def test_a_failing_thread_is_not_silent():
    def work(start, stop):
        raise RuntimeError(f"{start}")

    with pytest.raises(RuntimeError):
        over_rows(work, 10, 2)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from area.outer import outer
print(outer(1.0))
"""


def test_machine_code_on_disk_is_of_the_present_source_of_the_kernels_it_calls(tmp_path):
    """A kernel calls one of another file; numba by itself would go on with the old machine code after a change there."""
    area = tmp_path / "area"
    area.mkdir()
    (area / "__init__.py").write_text("")
    shutil.copy(inspect.getfile(over_rows), area / "compiled.py")
    (area / "outer.py").write_text(
        "from area.compiled import compiled\nfrom area.inner import inner\n\n\n@compiled\ndef outer(x):\n    return inner(x)\n"
    )
    found = []
    for answer in ("2.0", "2.0", "3.0"):
        (area / "inner.py").write_text(
            f"from area.compiled import compiled\n\n\n@compiled\ndef inner(x):\n    return {answer} * x\n"
        )
        # Without bytecode: Python tells a source by its second and size, which these may share, and would keep the old one.
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True, env=environment
        )
        found.append(float(run.stdout))
    assert found == [2.0, 2.0, 3.0]
    assert list((tmp_path / "cache").rglob("outer*.nbc")), "nothing was kept on disk"
