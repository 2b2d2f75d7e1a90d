"""Speed. Run by ``make bench``; writes ``benchmarks/results/speed.md``.

Each figure is a median over runs in one session on one machine, whole processes where the user waits for one. Beside it stands
what a user would do instead (the same model written by hand in PyMC and sampled by nutpie, without tables or pictures).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cohorts import covariate_table, survival_times
from provenance import provenance

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
FORMULA = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"
TARGETS = {"cold fit": 15.0, "demo": 60.0, "warm refit": 0.3, "help": 0.3}
LEAST_PATIENTS = 1.0
"""Million simulated patients a second on one core."""


def timed(command: list[str]) -> float:
    """Return the seconds that a whole process takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=HERE.parent)
    return time.perf_counter() - started


def cold_fits(table: Path, folder: Path, runs: int) -> tuple[list[float], list[dict[str, float]], list[float]]:
    """Return process times and stages of `sitewise fit`, and process times of the bare PyMC program, run in turn."""
    ours, stages, bare = [], [], []
    fit = [str(BIN / "sitewise"), "fit", str(table), "--model", FORMULA, "--out", str(folder)]
    other = [sys.executable, str(HERE / "bare_pymc.py"), str(table)]
    for run in range(runs + 1):
        ours.append(timed(fit))
        stages.append(json.loads((folder / "diagnostics.json").read_text())["seconds"])
        bare.append(timed(other))
        print(
            f"cold run {run}{' (warms the caches, not counted)' if run == 0 else ''}: {ours[-1]:.1f} s, bare {bare[-1]:.1f} s",
            flush=True,
        )
    return ours[1:], stages[1:], bare[1:]


def warm_refits(runs: int) -> list[float]:
    """Return the seconds of `fit` on new data with the model compiled: 4 chains x 1000 draws, densities and verdict included."""
    import sitewise as sw

    rng = np.random.default_rng(1)
    spec = sw.ModelSpec.from_formula(FORMULA)
    seconds = []
    for run in range(runs + 1):
        data = survival_times(covariate_table(100, rng), rng)
        cohort = sw.Cohort.from_frame(data, time="time", event="event", site="site", covariates=["ecog", "child_pugh"])
        spec = spec.resolve(cohort)
        started = time.perf_counter()
        sw.fit(spec, cohort, seed=run)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def simulator(runs: int) -> tuple[list[float], list[float]]:
    """Return million patients a second of `simulate_many` (100-patient cohorts, one core), and of drawing its random numbers alone."""
    import sitewise as sw

    scenario = sw.load_scenario("krog-20-04")
    cohorts = 10_000
    ours, bound = [], []
    for _ in range(runs + 1):
        started = time.process_time()
        sw.simulate_many(scenario, cohorts, seed=1)
        ours.append(cohorts * scenario.patients / (time.process_time() - started) / 1e6)
        started = time.process_time()
        for number in range(cohorts):
            stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(1, spawn_key=(number,))))
            stream.standard_normal(5 + 4 * scenario.patients)
            stream.standard_exponential(2 * scenario.patients)
        bound.append(cohorts * scenario.patients / (time.process_time() - started) / 1e6)
    return ours[1:], bound[1:]


def main() -> int:
    """Measure everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        rng = np.random.default_rng(7)
        table = folder / "patients.csv"
        survival_times(covariate_table(100, rng), rng).to_csv(table, index=False)
        cold, stages, bare = cold_fits(table, folder / "out", options.runs)
        demos = [timed([str(BIN / "sitewise"), "demo", "--out", str(folder / "demo")]) for _ in range(options.runs)]
        helps = [timed([str(BIN / "sitewise"), "--help"]) for _ in range(4 * options.runs)]
    warm = warm_refits(6 * options.runs)
    simulated, bound = simulator(options.runs)

    middle = {key: statistics.median(stage[key] for stage in stages) for key in stages[0]}
    rest = statistics.median(cold) - sum(middle.values())
    named = {"import": middle["import"] + rest, **{key: middle[key] for key in middle if key != "import"}}
    ratios = [ours / other for ours, other in zip(cold, bare, strict=True)]
    rows = [
        ("cold `sitewise fit`, 100 patients, process start to files", cold, TARGETS["cold fit"]),
        ("bare PyMC + nutpie program, no tables or pictures", bare, None),
        ("`sitewise demo`, simulation to report", demos, TARGETS["demo"]),
        ("warm refit, 4 chains x (1000 + 1000)", warm, TARGETS["warm refit"]),
        ("`sitewise --help`", helps, TARGETS["help"]),
    ]
    lines = [
        "# Speed",
        "",
        f"{provenance('make bench')} {os.cpu_count()} cores.",
        "",
        "| what | median s | min | max | target |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {statistics.median(s):.2f} | {min(s):.2f} | {max(s):.2f} | {'' if t is None else f'<= {t:g}'} |"
            for name, s, t in rows
        ),
        "",
        f"Cold fit over the bare program, run in turn: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}).",
        "",
        f"Simulator, 100-patient cohorts of krog-20-04 on one core: {statistics.median(simulated):.1f} million patients a second "
        f"({min(simulated):.1f} to {max(simulated):.1f}; target >= {LEAST_PATIENTS:g}). Drawing its random numbers alone, the bound: "
        f"{statistics.median(bound):.1f} million.",
        "",
        "Where the cold fit's time goes (medians; import: the interpreter, every library, reading the table, and all that is not named):",
        "",
        "| stage | s |",
        "|---|---|",
        *(f"| {key} | {value:.2f} |" for key, value in named.items()),
        "",
    ]
    text = "\n".join(lines)
    print(text)
    if not options.no_write:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "speed.md").write_text(text, encoding="utf-8")
    missed = [name for name, seconds, target in rows if target is not None and statistics.median(seconds) > target]
    if statistics.median(simulated) < LEAST_PATIENTS:
        missed.append("simulator")
    for name in missed:
        print(f"TARGET MISSED: {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
