"""Cohorts that reproduce a paper: exact counts, and Cox tables, Kaplan-Meier figures and follow-up equal to the printed ones.

Each begins as a cohort simulated at a draw from the posterior and is annealed: characteristics, sites and outcomes are swapped
between patients, times and events moved, until its own statistics are the published ones. Moves are judged by the process of
that draw as well, so that a cohort stays one that the process could have made: in everything that the paper does not say the
cohorts differ as much as such cohorts do.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sitewise.simulate.calibration.annealing import anneal
from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.calibration.reconstruct_arrays import Plan
from sitewise.simulate.calibration.reconstruct_process import ProcessOfRow
from sitewise.simulate.parts import Floats

STAGE = 2
STEPS = 3_000_000
HOT, COLD = 1000.0, 0.1
"""Temperatures in units of squared tolerances: at first a target may be missed by ten tolerances, at last by none."""
SHORTEST = 1e-3
GAP = 1e-6
"""Least distance of two times, and of a time from the guarantee time, as a share of the longest."""
BEYOND = 1.25
"""How much longer than the longest simulated time a time may become, where the paper does not print the longest."""
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Reconstructed cohorts.

    Parameters
    ----------
    cohorts : Cohorts
        R cohorts.
    statistics : ndarray, shape (R, K)
        Their statistics, computed anew by full fits.
    draw : ndarray, shape (R,)
        Which posterior draw each began at.
    cost : ndarray, shape (R,)
        What annealing left, in squared tolerances.
    """

    cohorts: Cohorts
    statistics: Floats
    draw: np.ndarray[tuple[int], np.dtype[np.intp]]
    cost: Floats


def reconstruct_cohorts(
    problem: Problem,
    theta: Floats,
    /,
    *,
    seed: int,
    steps: int = STEPS,
    hot: float = HOT,
    cold: float = COLD,
    workers: int = 1,
    report: Report = lambda message: None,
) -> Reconstruction:
    """Return one cohort a parameter row, annealed until it reproduces the paper.

    Parameters
    ----------
    problem : Problem
        The paper.
    theta : ndarray, shape (R, p)
        Posterior draws.
    seed : int
        Seed; the result does not depend on the number of workers.
    steps : int
        Moves tried for each cohort.
    workers : int
        Threads.
    report : callable
        Told of each cohort.
    """
    plan = Plan.of(problem)
    random = problem.randomness(seed, len(theta), stage=STAGE)
    cohorts = problem.generator(theta, random)
    seeds = np.random.SeedSequence(seed, spawn_key=(STAGE, 1 << 30)).spawn(len(theta))
    cost = np.empty(len(theta))

    def one(row: int) -> int:
        process = ProcessOfRow.of(problem, theta, random, cohorts, row, plan.values.shape[1])
        cost[row] = _anneal_row(plan, process, cohorts, row, seeds[row], steps, hot, cold)
        return row

    with ThreadPoolExecutor(workers) as threads:
        for done, row in enumerate(threads.map(one, range(len(theta))), start=1):
            report(f"reconstruction: {done} of {len(theta)} cohorts, {cost[row]:.1f} squared tolerances left")
    return Reconstruction(cohorts, problem.statistics(cohorts), np.arange(len(theta)), cost)


def _anneal_row(
    plan: Plan,
    process: ProcessOfRow,
    cohorts: Cohorts,
    row: int,
    seed: np.random.SeedSequence,
    steps: int,
    hot: float,
    cold: float,
) -> float:
    """Anneal one cohort in place and return what is left of its cost."""
    structure = plan.problem.structure
    order = np.argsort(cohorts.time[row], kind="stable")
    time, event = cohorts.time[row][order].copy(), cohorts.event[row][order].copy()
    numeric = {measure.name for measure in structure.measures}
    codes = np.empty((structure.patients, len(structure.names)), dtype=np.int64)
    for place, name in enumerate(structure.names):
        codes[:, place] = np.arange(structure.patients) if name in numeric else cohorts.factors[name][row]
    codes = codes[order]
    is_numeric, slot_low, slot_high, values, ratios = plan.slots(cohorts, row)
    kind, term, definition, low, high, value, half, tolerance, z = plan.target_arrays(plan.problem.published)
    shortest, longest = _ends(plan, time)
    shortest = max(shortest, process.start + GAP * (longest - process.start))
    site, frailty, effect = cohorts.site[row][order].copy(), process.frailty[order].copy(), process.effect.copy()
    np.clip(time, shortest, longest, out=time)
    _separate(time)
    cost = anneal(
        np.random.Generator(np.random.PCG64(seed)), steps, hot, cold, codes, time, event, shortest, longest,
        plan.model_start, plan.term_covariate, values, ratios, plan.included, plan.term_of_covariate, is_numeric, slot_low,
        slot_high, plan.coefficient, *plan.groups, plan.blocks, kind, term, definition, low, high, value, half, tolerance, z,
        site, frailty, effect, process.slope, process.pairs, process.start, process.grid, process.tables,
    )  # fmt: skip
    cohorts.site[row] = site
    cohorts.time[row], cohorts.event[row] = time, event
    for place, name in enumerate(structure.names):
        if name in numeric:
            terms = np.flatnonzero(plan.term_covariate == place)
            own = values[terms[0], : structure.patients] if terms.size else cohorts.measures[name][row]
            cohorts.measures[name][row] = own[codes[:, place]]
        else:
            cohorts.factors[name][row] = codes[:, place]
    return float(cost.sum())


def _ends(plan: Plan, time: Floats) -> tuple[float, float]:
    """Return the least and largest time that the printed range of all patients allows."""
    low, high = SHORTEST, float(time.max()) * BEYOND
    for target in plan.problem.targets:
        of_all = target.kind in ("log_shortest", "log_longest") and target.definition != "alive-only"
        if of_all and target.status in ("fit", "soft"):
            if target.kind == "log_shortest":
                low = max(float(np.exp(target.value - target.rounding)), SHORTEST)
            else:
                high = float(np.exp(target.value + target.rounding))
    return low, high


def _separate(time: Floats) -> None:
    """Move equal times apart, in place: clipping to the printed range makes ties, which no model here expects."""
    gap = GAP * (time[-1] - time[0])
    for place in range(1, time.size):
        time[place] = max(time[place], time[place - 1] + gap)
    over = time[-1] - max(time[-1] - gap * time.size, 0.0)
    if over > 0 and time[-1] > time[0]:
        time[:] = np.minimum(time, time[-1])
