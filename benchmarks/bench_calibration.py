"""Speed of calibration. Run by ``make bench``; writes ``benchmarks/results/calibration_speed.md``.

Simulated cohorts with the statistics that a paper prints of them, beside the same statistics by lifelines (what a user would loop over) and
beside the random numbers alone (no simulation can be faster); then the three steps that a user waits for. All in one run on one machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from provenance import provenance

import sitewise as sw
from sitewise.classical import Ordered, cox, kaplan_meier_at
from sitewise.simulate.calibration.calibrate import POOL, Calibration
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.moments import fit_moments
from sitewise.simulate.calibration.problem import CHUNK, Problem
from sitewise.simulate.calibration.rounds import sample_posterior

RESULTS = Path(__file__).parent / "results"
COVARIATES = ("ecog", "child_pugh", "primary", "interval")
TIMES = (6.0, 12.0, 16.0, 24.0, 46.0)
BATCHES = 40
BY_HAND = 20
WANTED = {"simulate": 20_000, "with statistics": 5_000, "moments": 10.0, "posterior": 20.0, "one": 60.0, "fifty": 600.0}
WORKERS = os.cpu_count() or 1


def rate(work: Callable[[int], object]) -> float:
    """Return cohorts a second over batches of ``CHUNK`` in threads; the best of three."""
    found = []
    for _ in range(3):
        started = time.perf_counter()
        with ThreadPoolExecutor(WORKERS) as threads:
            list(threads.map(work, range(BATCHES)))
        found.append(BATCHES * CHUNK / (time.perf_counter() - started))
    return max(found)


def summaries(problem: Problem, theta: np.ndarray) -> tuple[Callable[[int], object], ...]:
    """Return what is timed: random numbers alone, cohorts, cohorts with five Cox models and five Kaplan-Meier curves."""

    def random(batch: int) -> object:
        return problem.randomness(1, CHUNK, stage=9, first=batch)

    def cohorts(batch: int) -> object:
        return problem.generator(theta, problem.randomness(1, CHUNK, stage=9, first=batch))

    def statistics(batch: int) -> object:
        made = problem.generator(theta, problem.randomness(1, CHUNK, stage=9, first=batch))
        ordered = Ordered.of(made.time, made.event)
        columns = [(made.factors[name] > 0).astype(float)[..., None] for name in COVARIATES]
        fits = [cox(ordered, column) for column in columns] + [cox(ordered, np.concatenate(columns, axis=2))]
        groups = [None, *(problem.statistics.members(made, count) for count in (2, 1, 0)), made.factors["ecog"] == 0]
        times = np.broadcast_to(TIMES, (CHUNK, len(TIMES)))
        return fits, [kaplan_meier_at(ordered, times, include=group) for group in groups]

    return random, cohorts, statistics


def by_lifelines(problem: Problem, theta: np.ndarray) -> float:
    """Return cohorts a second of the same five models and five curves by lifelines, on one core times the number of cores."""
    from lifelines import CoxPHFitter, KaplanMeierFitter

    made = problem.generator(theta, problem.randomness(1, CHUNK, stage=9, first=0))
    import pandas as pd

    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in range(BY_HAND):
            table = pd.DataFrame({name: (made.factors[name][row] > 0).astype(float) for name in COVARIATES})
            table["time"], table["event"] = made.time[row], made.event[row]
            for names in ([name] for name in COVARIATES):
                CoxPHFitter().fit(table[[*names, "time", "event"]], "time", "event")
            CoxPHFitter().fit(table, "time", "event")
            count = (made.factors["ecog"][row] == 0).astype(int) + (made.factors["child_pugh"][row] == 0)
            for chosen in (np.ones(len(table), dtype=bool), count == 2, count == 1, count == 0, made.factors["ecog"][row] == 0):
                if chosen.any():
                    own = table[chosen]
                    KaplanMeierFitter().fit(own["time"], own["event"]).predict(list(TIMES))
    return WORKERS * BY_HAND / (time.perf_counter() - started)


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    """Return how long something takes, and what it gives."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reconstructions", type=int, default=50)
    asked = parser.parse_args()
    problem = Problem.of(sw.load_evidence("krog-20-04"))
    derived = Derived(problem.statistics)
    fit_moments(problem, seed=1, cohorts=20, iterations=2)  # compiles, or loads what is compiled
    took = {}
    took["moments"], moments = seconds(lambda: fit_moments(problem, seed=1, workers=WORKERS))
    took["posterior"], posterior = seconds(
        lambda: sample_posterior(problem, derived, moments, seed=1, size=POOL, workers=WORKERS)
    )
    print(f"moments {took['moments']:.1f} s, posterior {took['posterior']:.1f} s", flush=True)
    theta = np.broadcast_to(moments.theta, (CHUNK, len(moments.theta))).copy()
    works = summaries(problem, theta)
    works[2](0)
    rates = [rate(work) for work in works]
    print("cohorts a second:", [round(item) for item in rates], flush=True)
    hand = by_lifelines(problem, theta)
    calibration = Calibration(problem, moments, posterior, 1)
    calibration.reconstruct(1, seed=1, steps=1000)
    took["one"], _ = seconds(lambda: calibration.reconstruct(1, seed=1, workers=1))
    count = asked.reconstructions
    took["fifty"], made = seconds(lambda: calibration.reconstruct(count, seed=2, workers=WORKERS, report=print))
    limit = WANTED["fifty"] * count / 50
    good = (
        rates[1] >= WANTED["simulate"]
        and rates[2] >= WANTED["with statistics"]
        and all(took[name] <= WANTED[name] for name in ("moments", "posterior", "one"))
        and took["fifty"] <= limit
    )
    lines = [
        "# Speed of calibration\n",
        __doc__.split("\n\n", 1)[1].strip() + "\n",
        f"KROG 20-04: {problem.structure.patients} patients, {len(problem.targets)} targets, {len(problem.parameters)} parameters; {WORKERS} cores. "
        + provenance("python benchmarks/bench_calibration.py")
        + "\n",
        "| cohorts of 100 patients, a second | measured | target |",
        "|---|---|---|",
        f"| random numbers alone (the bound) | {rates[0]:,.0f} | |",
        f"| simulated (all characteristics of the paper) | {rates[1]:,.0f} | {WANTED['simulate']:,} |",
        f"| simulated, 5 Cox models and 5 Kaplan-Meier curves of each | {rates[2]:,.0f} | {WANTED['with statistics']:,} |",
        f"| those models and curves by lifelines, all cores | {hand:,.1f} | ({rates[2] / hand:,.0f} times slower) |",
        "",
        "| what a user waits for | seconds | target |",
        "|---|---|---|",
        f"| moments ({moments.iterations} steps, converged: {moments.converged}) | {took['moments']:.1f} | {WANTED['moments']:g} |",
        f"| posterior ({POOL:,} cohorts, {posterior.effective:.0f} effective draws) | {took['posterior']:.1f} | {WANTED['posterior']:g} |",
        f"| one reconstruction, one core | {took['one']:.1f} | {WANTED['one']:g} |",
        f"| {count} reconstructions ({len(made.misses()) / count:.1f} of {len(problem.fitted)} numbers not as printed, on average; all decimals counted) | {took['fifty']:.0f} | {limit:g} |",
        f"\n{'All targets are met.' if good else 'NOT all targets are met.'}",
    ]
    (RESULTS / "calibration_speed.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
