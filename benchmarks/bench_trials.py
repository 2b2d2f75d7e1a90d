"""Speed of simulated trials and of their analyses. Run by ``make bench``; writes ``benchmarks/results/trial_speed.md``.

Trials of 200 patients in 8 sites that open one after another with Poisson-gamma rates, two risk groups, blocks within site and risk
group, dropout, and a truth of 1000 rows; nothing is analysed. The bound is what the random numbers of the same trials alone cost,
drawn from the same streams. Threads share the blocks of trials as a campaign does. Rates are the median of several rounds, smallest
and largest beside it.

Then 10,000 trials with three looks each, simulated and analysed: by the hierarchical model with nested Laplace, and by the fast
analyses. Beside them what a user would write instead: the same looks one by one in lifelines' Cox regression, and in NUTS.
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

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
os.environ["NUMBA_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from provenance import provenance

import sitewise as sw
from sitewise.trial.analysis.agreement import agreement
from sitewise.trial.analysis.analysis import FAILED
from sitewise.trial.analysis.dispatch import analysis_of
from sitewise.trial.campaign import World, run_campaign
from sitewise.trial.conduct import look_times, simulate_trials, snapshot
from sitewise.trial.conduct.streams import BLOCK, Purpose, Streams
from sitewise.trial.plan import Accrual, Arms, Criterion, Dropout, FollowUp, Look, Trigger
from sitewise.trial.plan.analysis import AnalysisPlan
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth import Profile, TrueEffect, Truth

HERE = Path(__file__).parent
ROWS, SITES, PATIENTS, SEED = 1000, 8, 200, 1
WANTED = 20_000
"""Trials a second without analysis, on two cores."""
ARMS = Arms("randomised", PATIENTS)
ACCRUAL = Accrual(SITES, 0.6, rate_shape=1.5, open_every=1.0, ramp=3.0)
FOLLOW_UP = FollowUp(72.0, dropout=Dropout(0.1, by=24.0))
LOOKS = (Look("first", Trigger(events=50)), Look("second", Trigger(events=90)), Look("final", Trigger(events=130)))
TRIALS = 10_000
LIMITS = {"hierarchical": 120.0, "conjugate": 10.0, "cox": None, "log-rank": None}
"""Seconds for 10,000 trials with three looks, on two cores."""
PROPORTIONAL = Effect(hazard_ratio=0.7, sd=0.2)
EFFECTS = {
    "proportional": PROPORTIONAL,
    "delayed": Effect(hazard_ratio=0.7, sd=0.2, delay=3.0),
    "waning, 14 pieces": Effect(hazard_ratio=0.7, sd=0.2, wanes_from=6.0, wanes_until=24.0),
    "cure, and spread between sites": Effect(hazard_ratio=0.7, sd=0.2, cured=0.1, site_sd=0.2),
}
FAMILIES: dict[str, tuple[sw.families.Family, tuple[float, ...]]] = {
    "weibull": (sw.Weibull(), (1.2,)),
    "log-normal": (sw.LogNormal(), (1.2,)),
    "mixture-cure": (sw.MixtureCure(), (1.2, 0.2)),
    "m-spline": (sw.MSpline(knots=(4.0, 9.0, 15.0), unit=36.0), (0.5, *([0.3] * 6))),
}
Work = Callable[[int], object]
"""Does the block that begins with the trial of this number."""


def made_truth(effect: Effect, family: sw.families.Family, shape: tuple[float, ...]) -> Truth:
    """Return a truth of many rows with spread sites and two risk groups."""
    rng = np.random.default_rng(SEED)
    return Truth(
        family,
        tuple(value * np.exp(0.05 * rng.standard_normal(ROWS)) for value in shape),
        np.log(16.0) + 0.1 * rng.standard_normal(ROWS),
        (Profile("good", "good"), Profile("poor", "poor")),
        np.column_stack([np.zeros(ROWS), 0.6 + 0.2 * rng.standard_normal(ROWS)]),
        np.tile([0.4, 0.6], (ROWS, 1)),
        np.abs(0.3 * rng.standard_normal(ROWS)),
        "control",
        TrueEffect.drawn(effect, ROWS, rng=rng),
    )


def rates(work: Work, *, blocks: int, rounds: int, threads: int) -> list[float]:
    """Return trials a second of each round, after a block that compiles and warms."""
    work(0)
    found = []
    for _ in range(rounds):
        with ThreadPoolExecutor(threads) as pool:
            started = time.perf_counter()
            list(pool.map(work, range(0, blocks * BLOCK, BLOCK)))
            found.append(blocks * BLOCK / (time.perf_counter() - started))
    return found


def simulation_of(truth: Truth) -> Work:
    """Return what simulates a block."""

    def work(first: int) -> object:
        return simulate_trials(truth, arms=ARMS, accrual=ACCRUAL, follow_up=FOLLOW_UP, trials=BLOCK, first=first, seed=SEED)

    return work


def simulation_with_looks_of(truth: Truth) -> Work:
    """Return what simulates a block and takes what is known at each of its looks: what every analysis is given."""
    simulate, groups, of_profile = simulation_of(truth), truth.groups, truth.group_of_profile

    def work(first: int) -> object:
        trials = simulate(first)
        held = look_times(trials, LOOKS, close=FOLLOW_UP.close)
        return [snapshot(trials, held.calendar[:, place], group_of_profile=of_profile, groups=groups) for place in range(3)]

    return work


def random_numbers_only(first: int) -> object:
    """Draw the random numbers of a block with a proportional effect, and make nothing of them."""
    streams = Streams(SEED, first // BLOCK)
    uniform = (Purpose.ARRIVAL_SITE, Purpose.PROFILE, Purpose.ALLOCATION)
    exponential = (Purpose.ARRIVAL, Purpose.EVENT, Purpose.DROPOUT)
    drawn = [streams.uniform(Purpose.WORLD, 1), streams.normal(Purpose.SITE_EFFECT, SITES)]
    drawn += [streams.gamma(Purpose.SITE_RATE, 1.5, SITES)]
    drawn += [streams.uniform(purpose, PATIENTS) for purpose in uniform]
    return drawn + [streams.exponential(purpose, PATIENTS) for purpose in exponential]


def spread(values: list[float]) -> str:
    """Return median (smallest to largest)."""
    return f"{np.median(values):,.0f} ({np.min(values):,.0f} to {np.max(values):,.0f})"


def without_analysis(asked: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the lines of simulation alone, and what misses its target."""
    weibull = FAMILIES["weibull"]
    ways: dict[str, Work] = {"random numbers alone (the bound)": random_numbers_only}
    ways |= {f"Weibull, {name}": simulation_of(made_truth(effect, *weibull)) for name, effect in EFFECTS.items()}
    for name in list(FAMILIES)[1:]:
        ways[f"{name}, proportional"] = simulation_of(made_truth(PROPORTIONAL, *FAMILIES[name]))
    ways["Weibull, proportional, with 3 looks' snapshots"] = simulation_with_looks_of(made_truth(PROPORTIONAL, *weibull))
    columns = range(1, asked.threads + 1)
    lines = [
        f"## Without analysis: {PATIENTS} patients, {SITES} sites; trials a second\n",
        "| what | "
        + " | ".join(f"{threads} thread{'s' if threads > 1 else ''}" for threads in columns)
        + " | share of the bound |",
        "|---" * (asked.threads + 2) + "|",
    ]
    reached: dict[str, float] = {}
    for name, work in ways.items():
        found = [rates(work, blocks=asked.blocks, rounds=asked.rounds, threads=threads) for threads in columns]
        reached[name] = float(np.median(found[-1]))
        share = reached[name] / reached["random numbers alone (the bound)"]
        lines.append(f"| {name} | " + " | ".join(spread(each) for each in found) + f" | {share:.0%} |")
    lines.append(f"\nWanted: at least {WANTED:,} trials a second with a proportional effect, on {asked.threads} cores.")
    name = "Weibull, proportional"
    return lines, [name] if reached[name] < WANTED else []


def campaign_seconds(method: str, *, trials: int, threads: int) -> tuple[float, int, int]:
    """Return the seconds of a campaign, its analyses, and how many of these failed."""
    plan = AnalysisPlan(method=method)  # type: ignore[arg-type]
    truth = made_truth(PROPORTIONAL, *FAMILIES["weibull"])
    analysis = analysis_of(plan, randomised=True, groups=truth.groups, sites=SITES)
    design = TrialDesign.from_dict(
        {
            "id": "bench",
            "title": "bench",
            "truth": {
                "cohort_arm": "control",
                "effect": {"hazard_ratio": 0.7},
                "point": {"baseline": {"median": 12.0, "family": "exponential"}},
            },
            "arms": ARMS.to_dict(),
            "accrual": ACCRUAL.to_dict(),
            "follow_up": FOLLOW_UP.to_dict(),
            "look": [look.to_dict() for look in LOOKS],
            "criterion": [{"name": "superior", "estimand": "hazard_ratio", "below": 1.0}],
        }
    )
    world = World("planned", truth, true_values=np.exp(truth.effect.log_hazard_ratio)[:, None])
    run_campaign(design, [world], analysis=analysis, trials=20, seed=SEED)  # compiles and warms
    started = time.perf_counter()
    found = run_campaign(design, [world], analysis=analysis, trials=trials, seed=SEED, workers=threads)
    seconds = time.perf_counter() - started
    status = found.data["status"].to_numpy()
    return seconds, int((status >= 0).sum()), int((status == FAILED).sum())


def one_by_one(looks: int) -> dict[str, float]:
    """Return looks a second of lifelines' stratified Cox regression, and of NUTS, on one thread."""
    from lifelines import CoxPHFitter

    truth = made_truth(PROPORTIONAL, *FAMILIES["weibull"])
    trials = simulate_trials(truth, arms=ARMS, accrual=ACCRUAL, follow_up=FOLLOW_UP, trials=looks, seed=SEED)
    held = look_times(trials, LOOKS, close=FOLLOW_UP.close)
    seen = snapshot(trials, held.calendar[:, 1], group_of_profile=truth.group_of_profile, groups=truth.groups)
    started = time.perf_counter()
    for row in range(looks):
        chosen = seen.included[row]
        names = ("time", "event", "arm", "site", "group")
        table = pd.DataFrame({name: getattr(seen, name)[row][chosen].astype(float) for name in names})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            CoxPHFitter().fit(table, "time", "event", strata=["site", "group"])
    rates = {"lifelines, stratified Cox": looks / (time.perf_counter() - started)}
    plan = AnalysisPlan()
    hierarchical = analysis_of(plan, randomised=True, groups=truth.groups, sites=SITES)
    criterion = Criterion("superior", "hazard_ratio", below=1.0)
    found = agreement(seen, [criterion], analysis=hierarchical, seed=SEED, look=1, trials=looks)
    rates["NUTS (nutpie, 2 x 1500 draws)"] = 1.0 / float(found["seconds"].iloc[1:].mean())  # the first one compiles
    return rates


def with_analysis(asked: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the lines of simulation with analyses, and what misses its target."""
    lines = [
        f"\n## With analysis: {asked.trials:,} trials of {PATIENTS} patients, {SITES} sites, {len(LOOKS)} looks; {asked.threads} threads\n",
        "| analysis | seconds | looks a second | looks | failed | wanted |",
        "|---" * 6 + "|",
    ]
    missed, looks_a_second = [], {}
    for method, most in LIMITS.items():
        seconds, looks, failed = campaign_seconds(method, trials=asked.trials, threads=asked.threads)
        allowed = most * asked.trials / TRIALS if most else None
        told = f"at most {allowed:g} s" if allowed else ""
        looks_a_second[method] = looks / seconds
        lines.append(f"| {method} | {seconds:.1f} | {looks / seconds:,.0f} | {looks:,} | {failed} | {told} |")
        if allowed and seconds > allowed:
            missed.append(f"{method} analysis")
    others = one_by_one(20)
    lines += [
        "\n| instead, one look after another on one thread | looks a second | the campaign is faster by |",
        "|---|---|---|",
    ]
    for (name, rate), method in zip(others.items(), ("cox", "hierarchical"), strict=True):
        lines.append(f"| {name} | {rate:,.1f} | {looks_a_second[method] / rate:,.0f} ({method}) |")
    return lines, missed


def main() -> int:
    """Measure everything and write the table; exit with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--blocks", type=int, default=32, help=f"blocks of {BLOCK} trials in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds")
    parser.add_argument("--threads", type=int, default=2, help="most threads")
    parser.add_argument("--trials", type=int, default=TRIALS, help="trials that are analysed")
    parser.add_argument("--no-write", action="store_true", help="print only")
    asked = parser.parse_args()
    command = "python " + " ".join(["benchmarks/bench_trials.py", *sys.argv[1:]])
    lines = ["# Speed of simulated trials\n", __doc__.split("\n\n", 1)[1].strip() + "\n", provenance(command) + "\n"]
    missed: list[str] = []
    for part in (without_analysis, with_analysis):
        more, found = part(asked)
        lines += more
        missed += found
    lines += [f"\nTargets missed: {', '.join(missed) or 'none'}."]
    text = "\n".join(lines) + "\n"
    print(text)
    if not asked.no_write:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "trial_speed.md").write_text(text, encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
