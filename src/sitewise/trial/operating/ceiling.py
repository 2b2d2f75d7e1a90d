"""The ceiling of a design: the probability of success of a trial that is so large that it leaves nothing unknown of itself.

What is true must be beyond the bound, and no trial resolves how unsure a benchmark is: against an uncertain one the truth has
to be far enough beyond that even a known experimental arm would convince.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sitewise.trial.campaign.worlds import World
from sitewise.trial.operating.by_arm import success_where, true_of
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.truth.benchmark import Benchmark
from sitewise.trial.truth.changes import rows_of

Floats = NDArray[np.float64]


def success_ceiling(design: TrialDesign, world: World, /, *, thresholds: Floats, benchmark: Benchmark | None = None) -> float:
    """Return the share of truths in which a trial without end would succeed at one of its looks.

    Parameters
    ----------
    design : TrialDesign
        With several experimental arms success is of any or of all, as ``arms.success`` says.
    world : World
        What is true, with true values.
    thresholds : ndarray, shape (L, C)
        Of each look and criterion; not a number where a criterion does not count.
    benchmark : Benchmark, optional
        Of a single arm. Its level is taken as normal and the treatment's prior as flat.

    Returns
    -------
    float
        Not a number where some estimand has no one true value, or the truth is not made of the benchmark's draws.
    """
    seen: dict[tuple[float, ...], Floats] = {}
    for needed in thresholds:
        holds: dict[int, Floats] = {}
        for place, item in enumerate(design.criterion):
            if item.role != "success" or np.isnan(needed[place]):
                continue
            true = world.true_values[:, place]
            if benchmark is None or (item.estimand != "hazard_ratio" and item.against != "benchmark"):
                holds[place] = true_of(item, true)
            else:
                holds[place] = _against_benchmark(item, world, true, float(needed[place]), benchmark)
        if holds and tuple(needed) not in seen:
            seen[tuple(needed)] = success_where(design, holds)
    # Where no criterion counts at any look, nothing succeeds.
    return float(np.mean(np.max(list(seen.values()), axis=0))) if seen else 0.0


def _against_benchmark(item: Criterion, world: World, true: Floats, threshold: float, benchmark: Benchmark) -> Floats:
    """Return whether a criterion against a benchmark would hold in each row, were the experimental arm known, shape (R,)."""
    rows = rows_of(world.truth, benchmark.cohort)
    if rows is None:
        return np.full(true.size, np.nan)
    sign = 1.0 if item.wants_less else -1.0
    if item.estimand == "hazard_ratio":
        # The analysis knows the benchmark's middle; in this row of the truth the benchmark itself lies apart from it.
        seen = np.log(true) + benchmark.log_levels[rows]
        beyond = sign * (np.log(item.bound) - seen) - ndtri(threshold) * benchmark.log_hazard_sd
        return np.where(np.isnan(seen), np.nan, beyond > 0)
    draws = benchmark.draws(item)
    actual = Benchmark(benchmark.cohort).draws(item)[rows]
    own = true + actual
    shares = (sign * (item.bound - (own[:, None] - draws[None, :])) > 0).mean(axis=1)
    return np.where(np.isnan(own), np.nan, shares > threshold)
