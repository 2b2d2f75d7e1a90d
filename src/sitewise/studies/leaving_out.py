"""Refits without some of the patients, by any engine: what leave-one-out and leave-one-site-out share.

The resolved spec is kept, and patients leave the arrays, not the table: priors, centring and columns stay what they were. So
a column may become constant, or a site lose all its patients; the posterior is proper all the same (the prior alone speaks of
such a coefficient), and the row says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.inference import Engine, FitResult, NestedLaplace
from sitewise.inference.engine import Report
from sitewise.models.model_data import ModelData
from sitewise.models.resolve import prepare
from sitewise.models.spec import ModelSpec
from sitewise.problems import SitewiseError, listed
from sitewise.studies.replication.quantities import Summaries
from sitewise.studies.replication.sources import GivenCohorts, Item
from sitewise.studies.replication.work import Job, Weighted, draw

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
Score = Callable[[int, Weighted], dict[str, Any]]
"""Makes columns of a row from the number of the part that was left out and the draws without it."""

REPORTS = 10
"""Lines of progress."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A cohort's arrays, and parts of it that are left out in turn.

    Parameters
    ----------
    spec : ModelSpec
        Resolved.
    cohort : Cohort
        All patients.
    data : ModelData
        Their arrays.
    rows : sequence of ndarray of bool, shape (n,)
        For each part which patients it has.
    """

    spec: ModelSpec
    cohort: Cohort
    data: ModelData
    rows: Sequence[Rows]

    @classmethod
    def of(cls, fitted: FitResult, rows: Sequence[Rows]) -> Parts:
        """Return parts of the patients of a fit."""
        return cls(fitted.spec, fitted.cohort, prepare(fitted.spec, fitted.cohort), rows)

    def left_out(self, number: int) -> ModelData:
        """Return the arrays of the patients of one part."""
        return self.data.some(self.rows[number])

    def others(self, number: int) -> ModelData:
        """Return the arrays of everybody else."""
        return self.data.some(~self.rows[number])


def refits(
    parts: Parts, score: Score, /, *, engine: Engine, seed: int, workers: int, what: str, report: Report
) -> pd.DataFrame:
    """Return a row a part: what ``score`` makes of the refit without it, ``verdict``, its numbers, ``status`` and ``note``.

    A refit that cannot be done is a row whose ``status`` is refused or failed and whose ``note`` says why.
    """
    source = GivenCohorts([parts.spec], [parts.cohort], [""])
    job = Job(source, engine, Summaries(), seed, 0, len(parts.rows))

    def one(number: int) -> dict[str, Any]:
        others = parts.others(number)
        problem = _problem(others, engine)
        if problem:
            return {"status": "refused", "note": problem}
        note = lost(parts.spec, parts.data, others)
        try:
            found = draw(Item(number, parts.spec, others), job)
            made = score(number, found)
        except (SitewiseError, FloatingPointError, np.linalg.LinAlgError) as error:
            return {"status": "failed", "note": f"{type(error).__name__}: {error}"}
        verdict = found.verdict
        checks = {f"refit_{check.name}": check.value for check in verdict.checks}
        notes = [note, "" if verdict.level == "ok" else f"Refit {verdict.sentence}"]
        return {**made, **checks, "verdict": verdict.level, "status": "ok", "note": " ".join(filter(None, notes))}

    rows = []
    count = len(parts.rows)
    with ThreadPoolExecutor(max(workers, 1)) as threads:
        each = threads.map(one, range(count)) if workers > 1 else map(one, range(count))
        for done, row in enumerate(each, start=1):
            rows.append(row)
            if done * REPORTS // count > (done - 1) * REPORTS // count:
                report(f"{done} of {count} refits, each without one {what}")
    return pd.DataFrame(rows)


def _problem(others: ModelData, engine: Engine) -> str:
    """Return why patients cannot be fitted, or nothing."""
    if others.log_time.size == 0:
        return "Nobody is left."
    if not others.event.any() and not isinstance(engine, NestedLaplace):
        return "Nobody else has an event, which this engine needs. Use engine=NestedLaplace(), which does not."
    return ""


def lost(spec: ModelSpec, data: ModelData, others: ModelData) -> str:
    """Return what nobody says anything about once patients have left, as sentences."""
    found = []
    if not others.event.any():
        found.append("Nobody else has an event: the prior says how long they live.")
    rows, left = data.covariates, others.covariates
    size = 1e-10 * np.abs(rows).max(axis=0, initial=0.0)
    constant = left.std(axis=0) <= size
    if constant.any():
        columns = [name for name, gone in zip(spec.resolved.columns, constant, strict=True) if gone]
        verb = "varies" if len(columns) == 1 else "vary"
        found.append(f"Nothing of {listed(columns)} {verb} among the others: the prior alone says what its effect is.")
    if _rank(left[:, ~constant]) < int((~constant).sum()):
        found.append("Among the others a term is a linear combination of others: the prior tells their effects apart.")
    return " ".join(found)


def _rank(rows: Floats) -> int:
    if not rows.shape[1]:
        return 0
    centred = rows - rows.mean(axis=0)
    return int(np.linalg.matrix_rank(centred / centred.std(axis=0), tol=1e-8 * np.sqrt(len(rows))))


def log_mean(log_values: Floats, found: Weighted) -> tuple[float, float]:
    """Return log of the weighted mean of exp(log_values), shape (S,), and its Monte Carlo error.

    The error is that of a ratio of means (delta method): sqrt(sum w^2 (v / mean - 1)^2) for draws with weights w, and
    sd / sqrt(ESS) for equally weighted ones.
    """
    largest = float(log_values.max())
    if not np.isfinite(largest):
        return -np.inf, np.nan
    values = np.exp(log_values - largest)
    mean = float(found.weights @ values)
    return largest + float(np.log(mean)), float(monte_carlo_error((values / mean)[:, None], found)[0])


def monte_carlo_error(values: Floats, found: Weighted) -> Floats:
    """Return the Monte Carlo errors of weighted means of the columns of ``values`` (S, m), shape (m,)."""
    weights = found.weights
    deviation = values - weights @ values
    if weights.max() > weights.min():
        return np.asarray(np.sqrt((weights**2) @ deviation**2))
    sd = deviation.std(axis=0)
    known = [check.value for check in found.verdict.checks if check.name == "importance_ess"]
    if known:  # resampled from weighted draws
        return np.asarray(sd / np.sqrt(known[0]))
    from arviz_stats.base import array_stats

    size = np.where(sd > 0, np.asarray(array_stats.ess(values.T[:, None, :], method="mean")), len(values))
    return np.asarray(sd / np.sqrt(size))
