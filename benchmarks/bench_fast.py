"""Speed of the fast engine. Run by ``make bench``; writes ``benchmarks/results/fast_speed.md``.

Everything on one core of one machine in one run. Small: cohorts of 100 patients in 5 sites with ECOG and Child-Pugh class, computed by
`weighted_draws` from their arrays, and by nutpie from the PyMC graph of the same spec, compiled once and given each cohort's data, as a
user would who has many; by nutpie from the project's own density too; and by the approximations of pymc-extras, where that is installed
(``--extras FOLDER`` for a folder outside the environment). Large: a million patients. Cold: whole processes of `sitewise fit`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
os.environ["NUMBA_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = "1"

import numba
import numpy as np
from cohorts import covariate_table, survival_times
from fast_approximations import table_of
from fast_parts import FORMULA, SEED, TRUTH
from provenance import provenance
from varied_cohorts import krog_size_cohort
from weighted_statistics import WeightedStatistics, scalars

import sitewise as sw
from sitewise.inference.engine import silent
from sitewise.inference.nested_laplace import weighting
from sitewise.inference.packing import unpack
from sitewise.inference.verdict import diagnose
from sitewise.models.graph import build
from sitewise.models.model_data import ModelData, data_arrays
from sitewise.models.resolve import prepare

HERE = Path(__file__).parent
CLI = Path(sys.executable).parent / "sitewise"
DRAWS = 340
STAGES = {
    "cells and priors": ("make_cells", "make_priors"),
    "grid": ("make_grid",),
    "draws": ("draw",),
    "Pareto smoothing and errors": ("pareto_smooth", "worst_error"),
}
WANTED = {"importance ESS": 250, "large": 5.0, "large, numeric": 60.0, "memory": 2.0}
FASTEST = {"fits a second": 300, "over nutpie at equal ESS": 30, "over nutpie, 4 x 1000": 100}
"""At least; of nutpie as its own defaults are."""
COLD = 3.0
"""Seconds of a cold process with all files but the report."""
NUTPIE = "nutpie, PyMC graph compiled once, 4 x ({} + 1000)"
OPTIONS = {"draws": 1000, "chains": 4, "cores": 1, "target_accept": 0.8, "save_warmup": False, "progress_bar": False}
"""Of nutpie: its own draws and target acceptance; its six chains are four here, which it is usually asked for."""


def spread(values: list[float] | np.ndarray, form: str = ".3g") -> str:
    """Return median (smallest to largest)."""
    return f"{np.median(values):{form}} ({np.min(values):{form}} to {np.max(values):{form}})"


def fast_fits(spec: sw.ModelSpec, cohorts: list[ModelData], runs: int, draws: int) -> tuple[list, list, list]:
    """Return the median seconds a fit on each cohort, the importance ESS of every fit, and the worst scalar's ESS on each cohort."""
    seconds, effective, worst = [], [], []
    for number, data in enumerate(cohorts):
        own = []
        for run in range(runs):
            rng = np.random.default_rng([number, run])
            started = time.perf_counter()
            found = weighting.weighted_draws(spec, data, draws=draws, rng=rng)
            own.append(time.perf_counter() - started)
            effective.append(found.importance_ess)
        seconds.append(float(np.median(own)))
        posterior = scalars(unpack(spec, data, found.points[None]))
        worst.append(float(WeightedStatistics(posterior, np.log(found.weights)).ess.min()))
    return seconds, effective, worst


def stages(spec: sw.ModelSpec, cohorts: list[ModelData], runs: int) -> dict[str, float]:
    """Return the mean seconds that each stage of a fit takes, by a clock around the functions that `weighted_draws` calls."""
    spent: dict[str, float] = defaultdict(float)
    kept = {name: getattr(weighting, name) for names in STAGES.values() for name in names}

    def clocked(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            started = time.perf_counter()
            result = function(*given)
            spent[stage] += time.perf_counter() - started
            return result

        return timed

    for stage, names in STAGES.items():
        for name in names:
            setattr(weighting, name, clocked(stage, kept[name]))
    total = 0.0
    for run, data in itertools.product(range(runs), cohorts):
        rng = np.random.default_rng(run)
        started = time.perf_counter()
        weighting.weighted_draws(spec, data, draws=DRAWS, rng=rng)
        total += time.perf_counter() - started
    for name, function in kept.items():
        setattr(weighting, name, function)
    spent["random numbers and the rest"] = total - sum(spent.values())
    return {stage: seconds / (runs * len(cohorts)) for stage, seconds in spent.items()}


@numba.njit(error_model="numpy")
def _sum(x: np.ndarray, logarithms: bool) -> float:
    total = 0.0
    for value in x:
        total += math.log(value) if logarithms else math.exp(value)
    return total


def nanoseconds(*, logarithms: bool) -> float:
    """Return the nanoseconds that an exponential or a logarithm takes in a compiled loop that sums them; the best of 30."""
    x, best = np.random.default_rng(1).uniform(0.1, 3.0, 20_000), np.inf
    for _ in range(31):
        started = time.perf_counter()
        _sum(x, logarithms)
        best = min(best, time.perf_counter() - started)
    return 1e9 * best / x.size


def nanoseconds_in_rows() -> float:
    """Return the nanoseconds of an exponential where several are taken at once; the best of 30."""
    from sitewise.classical.exponentials import exponentials

    values, out = np.linspace(-3, 3, 512), np.empty(512)
    best = np.inf
    for _ in range(30):
        started = time.perf_counter()
        for _ in range(200):
            exponentials(values.copy(), out, 512)
        best = min(best, (time.perf_counter() - started) / 200 / 512)
    return 1e9 * best


def worst_ess(posterior: Any) -> float:
    """Return the worst bulk ESS over everything that is compared in ``fast_accuracy.py``."""
    return float(diagnose(scalars(posterior)[1])["ess_bulk"].min())


def by_nutpie(spec: sw.ModelSpec, cohorts: list[ModelData], tunes: tuple[int, ...], runs: int) -> tuple[dict, float]:
    """Return (seconds, worst ESS, seconds over ours) of four chains of 1000 draws on each cohort, by way, and those of compiling.

    Each cohort's fits by the fast engine, of which the median counts, run just before: the machine may be faster at one time
    than at another.
    """
    import nutpie

    from sitewise.inference.nuts import _stored_variables

    started = time.perf_counter()
    model = build(spec, cohorts[0])
    compiled = nutpie.compile_pymc_model(model, var_names=_stored_variables(model))
    compile_seconds = time.perf_counter() - started
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for number, data in enumerate([cohorts[0], *cohorts]):  # the first once more, to begin warm
        ours = fast_fits(spec, [data], runs, DRAWS)[0][0]
        for tune in tunes:
            started = time.perf_counter()
            tree = nutpie.sample(
                compiled.with_data(**data_arrays(spec, data)),
                **{**OPTIONS, "tune": tune, "seed": number},
            )
            seconds = time.perf_counter() - started
            name = NUTPIE.format(tune)
            found[name].append((seconds, worst_ess(tree["posterior"].to_dataset()), seconds / ours))
        own = sw.Nuts(cores=1, retry=False).run(spec, data, seed=number, progress=False, report=silent)
        name, seconds = "nutpie, our density: `Nuts()`, 4 x (1000 + 1000)", own.seconds["sample"]
        found[name].append((seconds, worst_ess(own.posterior), seconds / ours))
        print(f"nutpie: {number} of {len(cohorts)} cohorts", flush=True)
    return {name: values[1:] for name, values in found.items()}, compile_seconds


def part(program: str, *command: object, extras: Path | None = None) -> Any:
    """Return what a program prints that needs a process of its own."""
    environment = {**os.environ, **({"PYTHONPATH": str(extras)} if extras else {})}
    print("part:", program, *command, flush=True)
    words = [sys.executable, str(HERE / program), *map(str, command)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return json.loads(done.stdout.strip().rsplit("\n", 1)[-1])


def small(asked: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the lines of the small cohorts and what misses its target."""
    made = [krog_size_cohort(number, SEED, **TRUTH) for number in range(asked.cohorts)]
    spec = made[0].spec
    cohorts = [prepare(spec, item.cohort) for item in made]
    fast_fits(spec, cohorts[:1], 2, DRAWS)
    seconds, effective, worst = fast_fits(spec, cohorts, asked.runs, DRAWS)
    seconds_4000, effective_4000, worst_4000 = fast_fits(spec, cohorts, max(asked.runs // 4, 1), 4000)
    spent = stages(spec, cohorts, asked.runs)
    counted = part("fast_parts.py", "count")
    exp_time, log_time, row_time = nanoseconds(logarithms=False), nanoseconds(logarithms=True), nanoseconds_in_rows()
    bound = 1e-6 * (counted["exp"] * exp_time + counted["log"] * log_time + counted["in rows"] * row_time)
    fit = float(np.median(seconds))
    lines = [
        f"## Small: {asked.cohorts} cohorts of 100 patients, 5 sites, ECOG + Child-Pugh\n",
        f"**{1 / fit:.0f} fits a second** ({1 / max(seconds):.0f} to {1 / min(seconds):.0f} over cohorts) of {DRAWS} weighted draws, from the arrays of a cohort. "
        f"Importance ESS {spread(effective, '.0f')}, {np.mean(np.array(effective) < WANTED['importance ESS']):.1%} of fits below {WANTED['importance ESS']}. "
        f"With 4000 draws: {spread([1e3 * value for value in seconds_4000])} ms, ESS {spread(effective_4000, '.0f')}.\n",
        "| stage of a fit | ms (mean) |\n|---|---|",
        *(f"| {stage} | {1e3 * spent[stage]:.3f} |" for stage in (*STAGES, "random numbers and the rest")),
        f"| whole fit, mean; median without clocks inside | {1e3 * sum(spent.values()):.3f}; {1e3 * fit:.3f} |",
        f"\nThe bound by arithmetic: {counted['in rows']:,} exponentials in rows ({row_time:.1f} ns each), {counted['exp']:,} single ones ({exp_time:.1f} ns) and "
        f"{counted['log']:,} logarithms ({log_time:.1f} ns) take {bound:.2f} ms, {bound / 1e3 / fit:.0%} of a fit. Counted on the first cohort ({counted['nodes']} nodes of the "
        "grid) by running the same functions uncompiled with counters in their place; the time of one is that in a compiled loop over many.\n",
        f"| way | cohorts | s a fit | ESS of the worst scalar | time over ours at the same ESS | time over ours with {DRAWS} draws |",
        "|---|---|---|---|---|---|",
    ]
    tunes = (400, 1000)
    found, compile_seconds = by_nutpie(spec, cohorts[: asked.nutpie], tunes, asked.runs)
    more = float(np.median(seconds_4000))
    slope = (more - fit) / (np.median(worst_4000) - np.median(worst))  # a fit takes a fixed time and a time for each draw
    ways = {
        f"`weighted_draws`, {DRAWS} draws": (seconds, worst, np.array(seconds) / fit),
        "`weighted_draws`, 4000 draws": (seconds_4000, worst_4000, np.array(seconds_4000) / fit),
        **{name: tuple(zip(*values, strict=True)) for name, values in found.items()},
    }
    ratios = {}
    for name, (own, ess, over_ours) in ways.items():
        ratio = float(np.median(over_ours))
        same = 1 + slope / fit * (float(np.median(ess)) - np.median(worst))
        ratios[name] = ratio / same, ratio
        lines.append(
            f"| {name} | {len(own)} | {spread(own)} | {spread(ess, '.0f')} | {ratios[name][0]:.1f} | {ratios[name][1]:.1f} |"
        )
    lines.append(
        f"\nnutpie has its own defaults (400 warm-up draws, target acceptance {OPTIONS['target_accept']:g}), four chains one after the other, and in the second row 1000 warm-up "
        f"draws; compiling its graph, once, took {compile_seconds:.1f} s and is not counted. Ratios are medians over cohorts of its seconds over those of our {asked.runs} "
        "fits of the same cohort just before. `Nuts()` has the package's (1000 warm-up draws, target acceptance 0.95)."
    )
    missed = ["importance ESS"] if np.median(effective) < WANTED["importance ESS"] else []
    reached = dict(zip(FASTEST, (1 / fit, *ratios[NUTPIE.format(tunes[0])]), strict=True))
    missed += [name for name, wanted in FASTEST.items() if reached[name] < wanted]
    if asked.approximate:
        found = part("fast_approximations.py", asked.approximate, asked.inla_draws, asked.nuts_draws, extras=asked.extras)
        lines += table_of(found)
    return lines, missed


def large(patients: int) -> tuple[list[str], list[str]]:
    """Return the lines of the large cohorts and what misses its target."""
    lines = [
        f"\n## Large: {patients:,} patients, 3 categorical covariates\n",
        "| cohort | `Cohort.from_frame`, s | `fit`, s | wanted | peak memory before / after, GB | verdict | importance ESS |",
        "|---" * 7 + "|",
    ]
    missed = []
    for numeric, name in enumerate(("large", "large, numeric")):
        got = part("fast_parts.py", "large", patients, min(200, patients // 100), numeric)
        lines.append(
            f"| {got['sites']} sites{', a numeric covariate besides' if numeric else ''} | {got['from_frame']:.2f} | {got['fit']:.2f} | <= {WANTED[name]:g} "
            f"| {got['peak_before']:.2f} / {got['peak']:.2f} | {got['verdict']} | {got['importance_ess']:.0f} |"
        )
        missed += [name] if got["fit"] > WANTED[name] else []
        missed += ["memory"] if got["peak"] > WANTED["memory"] and not numeric else []
    return lines, missed


def cold(runs: int) -> tuple[list[str], list[str]]:
    """Return the lines of whole processes of `sitewise fit`, after one that fills the caches, and what misses its target."""
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        table, out, rng = Path(folder) / "patients.csv", Path(folder) / "out", np.random.default_rng(7)
        survival_times(covariate_table(100, rng), rng).to_csv(table, index=False)
        # As after an installation: Python may keep its bytecode, which the first of the processes then writes.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        command = [str(CLI), "fit", str(table), "--engine", "nested-laplace", "--model", FORMULA, "--out", str(out)]
        for run in range(runs + 1):
            for name, more in (("tables and draws only (`--no-report`)", ["--no-report"]), ("with pictures and report", [])):
                started = time.perf_counter()
                subprocess.run([*command, *more], check=True, capture_output=True, env=environment)
                if run:
                    seconds[name].append(time.perf_counter() - started)
        loaded = part("fast_parts.py", "imports", table, out)
    lines = [f"\n## Cold: processes of `sitewise fit --engine nested-laplace`, {runs} after one\n", "| what | s |\n|---|---|"]
    lines += [f"| {name} | {spread(values, '.2f')} |" for name, values in seconds.items()]
    told = "; ".join(f"{name}: {', '.join(names) or 'none'}" for name, names in loaded.items())
    missed = ["PyMC is imported"] if any(loaded.values()) else []
    missed += ["cold"] if np.median(next(iter(seconds.values()))) > COLD else []
    return [*lines, f"\nWanted without report: <= {COLD:g} s. Loaded of PyMC, PyTensor and nutpie: {told}."], missed


def main() -> int:
    """Measure everything and write the tables; exit with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cohorts", type=int, default=20, help="small cohorts")
    parser.add_argument("--runs", type=int, default=40, help="fits of each")
    parser.add_argument("--nutpie", type=int, default=10, help="of them by nutpie")
    parser.add_argument("--approximate", type=int, default=3, help="of them by pymc-extras")
    parser.add_argument(
        "--inla-draws", type=int, default=300, help="draws of its INLA, which takes about 0.2 s each; 0: not at all"
    )
    parser.add_argument(
        "--nuts-draws", type=int, default=10_000, help="draws a chain of the NUTS that approximations are held against"
    )
    parser.add_argument("--extras", type=Path, help="folder that holds pymc_extras, if it is not in the environment")
    parser.add_argument("--patients", type=int, default=1_000_000, help="of the large cohorts; 0: none")
    parser.add_argument("--cold", type=int, default=5, help="cold processes; 0: none")
    parser.add_argument("--no-write", action="store_true", help="print only")
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # one core, for the processes that this one starts too
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    told = ["FOLDER" if asked.extras is not None and word == str(asked.extras) else word for word in sys.argv[1:]]
    command = "python " + " ".join(["benchmarks/bench_fast.py", *told])
    lines = ["# Speed of the fast engine\n", __doc__.split("\n\n", 1)[1].strip() + "\n", provenance(command) + "\n"]
    more, missed = small(asked)
    lines += more
    for wanted, work in ((asked.patients, large), (asked.cold, cold)):
        if wanted:
            more, found = work(wanted)
            lines += more
            missed += found
    lines += [f"\nTargets missed: {', '.join(missed) or 'none'}."]
    text = "\n".join(lines) + "\n"
    print(text)
    if not asked.no_write:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "fast_speed.md").write_text(text, encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
