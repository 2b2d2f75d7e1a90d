"""What calibrated progression says, as tables: parameters against their priors, published numbers against reproduced ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from sitewise.simulate.calibration.calibrate import PRIOR_DRIVEN
from sitewise.simulate.calibration.products import Produced
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.kinds import UNSEEN, Kinds
from sitewise.simulate.progression.targets import ProgressionTargets

KIND = "share of first failures: "
COLUMNS = "parameter of mean sd median lower upper prior_mean prior_sd contraction prior_driven identified"
TARGET_COLUMNS = "target kind status where printed published reproduced sd z percentile rounding"
Pairs = Mapping[str, tuple[Floats, Floats, bool]]
"""Draws of each quantity, draws of its prior, and whether printed numbers identify it."""


def parameter_table(process: Pairs, cohort: Pairs, kinds: Kinds | None, *, prob: float) -> pd.DataFrame:
    """Return parameters of the process and counts of the paper's patients, each beside its prior, and the shares of kinds."""
    rows: list[tuple[object, ...]] = []
    for of, pairs in (("process", process), ("cohort", cohort)):
        for name, (own, prior, identified) in pairs.items():
            ends = np.quantile(own, [0.5, 0.5 - prob / 2, 0.5 + prob / 2])
            middle = (float(own.mean()), float(own.std(ddof=1)), *ends.tolist())
            rows.append((name, of, *_against(middle, float(prior.mean()), float(prior.std(ddof=1))), identified))
    if kinds is not None and len(kinds.labels) > 1:
        rows += _shares(kinds, prob)
    return pd.DataFrame(rows, columns=COLUMNS.split(" "))


def _against(middle: tuple[float, ...], prior_mean: float, prior_sd: float) -> tuple[object, ...]:
    contraction = 1 - middle[1] / prior_sd if prior_sd > 0 else np.nan
    return (*middle, prior_mean, prior_sd, contraction, bool(contraction < PRIOR_DRIVEN))


def _shares(kinds: Kinds, prob: float) -> Iterator[tuple[object, ...]]:
    """Yield the share of each kind: Dirichlet given the counts, so that one share is a beta variable."""
    whole, others = sum(kinds.counts), (len(kinds.labels) - 1) * UNSEEN
    before = stats.beta(UNSEEN, others)
    for label, count in zip(kinds.labels, kinds.counts, strict=True):
        own = stats.beta(count + UNSEEN, whole - count + others)
        ends = own.ppf([0.5, 0.5 - prob / 2, 0.5 + prob / 2])
        middle = (float(own.mean()), float(own.std()), *ends.tolist())
        yield (KIND + label, "process", *_against(middle, float(before.mean()), float(before.std())), True)


def target_table(targets: ProgressionTargets, statistics: Floats) -> pd.DataFrame:
    """Return published against reproduced, a row a number, from statistics of cohorts, shape (R, K)."""
    rows = []
    for place, target in enumerate(targets.targets):
        own = statistics[:, place]
        own = own[np.isfinite(own)]
        published = float(targets.published[place])
        mean, sd, z, percentile = float((own > target.value).mean()), np.nan, np.nan, np.nan
        if not target.inequality:
            mean, sd = float(own.mean()), float(own.std(ddof=1))
            z = (published - mean) / sd if sd > 0 else np.nan
            percentile = float((own < published).mean() + 0.5 * (own == published).mean())
        head = (target.id, target.definition or target.kind, target.status, target.where, target.printed, published)
        rows.append((*head, mean, sd, z, percentile, target.rounding))
    return pd.DataFrame(rows, columns=TARGET_COLUMNS.split(" "))


def all_misses(produced: Produced, /) -> pd.DataFrame:
    """Return every fitted number that a cohort does not reproduce to the decimals printed, of survival and of progression.

    Returns
    -------
    DataFrame
        ``cohort, target, printed, published, found, off`` as of :meth:`Produced.misses`, and ``part``: ``survival`` or
        ``progression``.
    """
    parts = {"survival": produced.misses()}
    if produced.progression is not None:
        parts["progression"] = produced.progression.misses()
    tables = [table.assign(part=name) for name, table in parts.items()]
    # An empty table has no types of its own; beside another it would spoil that one's.
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
