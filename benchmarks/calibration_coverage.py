"""Are calibration's intervals honest? Coverage over simulated papers; ``make verify`` runs it.

A truth is drawn, from the posterior that KROG 20-04 gives or from the prior; ONE cohort of its size is simulated and summarised as the
paper summarises its own; the summary alone is calibrated, moments and posterior, as `calibrate` does it; the 90 % intervals are held
against the truth. Priors are those of the KROG calibration throughout. Papers that could not have been printed (a number that does not
exist) are drawn anew: a rule about data only.

Only over truths drawn from the prior do exact intervals cover 90 %. Truths nearer to its mean are covered more often, since the prior draws
intervals to them. Beside each coverage stands what exact normal posteriors of the same widths would have for the same truths: with c the
posterior's share of the prior's variance and t the truth in prior sds from its mean, (truth - mean) / sd is Normal(sqrt(c) t, 1 - c).

Moments take few steps and are means of fewer cohorts than by default, since they only say where the posterior is looked for. Size of the
pool, and the default, stand below.
Writes ``benchmarks/results/calibration_coverage.{csv,md}``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes are the parallelism

import numpy as np
import pandas as pd
from provenance import provenance
from scipy import stats

import sitewise as sw
from sitewise.problems import EvidenceError
from sitewise.simulate.calibration import calibrate
from sitewise.simulate.calibration.calibrate import POOL
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.moments import fit_moments
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.calibration.rounds import sample_posterior
from sitewise.simulate.calibration.statistics import inequalities_met

RESULTS = Path(__file__).parent / "results"
PROB = 0.9
BAND, POOLED_BAND = (0.86, 0.94), (0.88, 0.92)
STAGE = 8
TRIES = 50
STEPS = 3
SEEN = 1000
"""Papers of each kind that were looked at while the method was developed: those with higher numbers are shown by themselves."""
NAMED = {
    "log_median_at_means": "log scale (log median at the means)",
    "log_shape": "log shape",
    "events": "deaths of the cohort",
}
COLUMNS = ["source", "paper", "quantity", "truth", "lower", "median", "upper", "pit"]
SECONDS = "seconds"
JUDGED = "log_hazard_ratio ", "log_shape", "log_median_at_means", "events"


@cache
def paper() -> tuple[Problem, Derived, np.ndarray]:
    """Return the KROG problem, its counts and draws from its posterior."""
    calibration = calibrate(sw.load_evidence("krog-20-04"), seed=1, workers=1)
    return calibration.problem, calibration.derived, calibration.draws[0]


def one_paper(task: tuple[str, int, int, int]) -> list[tuple]:
    """Return rows (source, paper, quantity, truth, lower, median, upper, pit) of one simulated paper."""
    source, number, pool, cohorts = task
    problem, derived, draws = paper()
    started = time.perf_counter()
    stream = np.random.default_rng(np.random.SeedSequence(20, spawn_key=(number, len(source))))
    for attempt in range(TRIES):
        if source == "posterior":
            theta = draws[stream.integers(len(draws))]
        else:
            theta = problem.parameters.mean + problem.parameters.sd * stream.standard_normal(len(problem.parameters))
        simulated, found = problem.simulate(theta, problem.randomness(1000 + number, 1, stage=STAGE, first=attempt))
        if np.isfinite(found[0, problem.fitted]).all() and inequalities_met(found, problem.targets)[0]:
            break
    else:
        return [(source, number, "no paper", np.nan, np.nan, np.nan, np.nan, np.nan)]
    own = problem.with_published(np.where(np.isfinite(found[0]), found[0], problem.published))
    truth = np.concatenate([theta, derived(simulated)[0]])
    try:
        moments = fit_moments(own, seed=number, cohorts=cohorts, iterations=STEPS)
        posterior = sample_posterior(own, derived, moments, seed=number, size=pool)
    except EvidenceError as error:
        return [(source, number, f"refused: {str(error)[:60]}", np.nan, np.nan, np.nan, np.nan, np.nan)]
    values = np.column_stack([posterior.theta, posterior.derived])
    rows = []
    for place, name in enumerate((*problem.parameters.names, *derived.names)):
        order = np.argsort(values[:, place])
        share = np.cumsum(posterior.weight[order])
        low, middle, high = np.interp([0.5 - PROB / 2, 0.5, 0.5 + PROB / 2], share, values[order, place])
        rows.append(
            (source, number, name, truth[place], low, middle, high, float(posterior.weight @ (values[:, place] < truth[place])))
        )
    rows.append((source, number, "last round moved", posterior.moved, np.nan, np.nan, np.nan, np.nan))
    rows.append((source, number, SECONDS, time.perf_counter() - started, np.nan, np.nan, np.nan, np.nan))
    rows.append((source, number, f"answered: {posterior.method}", posterior.effective, np.nan, np.nan, np.nan, np.nan))
    return rows


def so_far(rows: list[tuple]) -> str:
    """Return the coverage of hazard ratios, and of the other judged quantities, in rows."""
    found = []
    for source in ("posterior", "prior"):
        for chosen in (lambda name: name.startswith(JUDGED[0]), lambda name: name in JUDGED[1:]):
            inside = [low <= truth <= high for own, _, name, truth, low, _, high, _ in rows if own == source and chosen(name)]
            found.append(f"{np.mean(inside):.3f}" if inside else "-")
    return "hazard ratios and others: posterior {} {}, prior {} {}".format(*found)


def run(papers: int, pool: int, cohorts: int, workers: int, kept: Path | None) -> pd.DataFrame:
    """Return the rows of all papers; those in the file are not calibrated again, and it is left with all of them."""
    if kept is not None and kept.exists():
        before = pd.read_csv(kept)
        done_before = set(zip(before.source, before.paper, strict=True))
    else:
        before, done_before = pd.DataFrame(columns=COLUMNS), set()
        if kept is not None:
            before.to_csv(kept, index=False)
    tasks = [(source, number, pool, cohorts) for number in range(papers) for source in ("posterior", "prior")]
    tasks = [task for task in tasks if task[:2] not in done_before]
    started, rows = time.perf_counter(), []
    with ProcessPoolExecutor(workers) as processes:
        for done, own in enumerate(processes.map(one_paper, tasks), start=1):
            rows += own
            if kept is not None:
                pd.DataFrame(own, columns=COLUMNS).to_csv(kept, mode="a", header=False, index=False)
            if done % 50 == 0:
                gone = time.perf_counter() - started
                print(
                    f"{done} of {len(tasks)} papers, {gone:.0f} s, {gone / done * (len(tasks) - done):.0f} s left; {so_far(rows)}",
                    flush=True,
                )
    found = pd.concat([before[before.paper < papers], pd.DataFrame(rows, columns=COLUMNS)], ignore_index=True)
    return found.astype(dict.fromkeys(COLUMNS[3:], float))


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return coverage, width and bias of each quantity."""
    finite = rows[rows.lower.notna()].copy()
    finite["inside"] = (finite.truth >= finite.lower) & (finite.truth <= finite.upper)
    finite["width"] = finite.upper - finite.lower
    finite["error"] = finite["median"] - finite.truth
    finite["exact"] = exact_coverage(finite)
    grouped = finite.groupby(["source", "quantity"], sort=False)
    found = grouped.agg(
        papers=("inside", "size"),
        coverage=("inside", "mean"),
        exact=("exact", "mean"),
        median_width=("width", "median"),
        median_error=("error", "median"),
    )
    found["p_uniform"] = grouped["pit"].apply(lambda pit: float(stats.kstest(pit, "uniform").pvalue))
    return found.reset_index()


def exact_coverage(rows: pd.DataFrame) -> pd.Series:
    """Return the chance that the interval of an exact normal posterior holds each parameter's truth; NaN for counts."""
    parameters, point = paper()[0].parameters, stats.norm.ppf(0.5 + PROB / 2)
    mean, sd = (
        rows.quantity.map(dict(zip(parameters.names, values, strict=True))).astype(float)
        for values in (parameters.mean, parameters.sd)
    )
    share = (((rows.upper - rows.lower) / (2 * point) / sd) ** 2).clip(upper=0.999)
    shift, spread = np.sqrt(share) * (rows.truth - mean) / sd, np.sqrt(1 - share)
    return pd.Series(stats.norm.cdf((point - shift) / spread) - stats.norm.cdf((-point - shift) / spread), index=rows.index)


def judged(found: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are judged: log hazard ratios, shape, scale, deaths."""
    return found[found.quantity.str.startswith(JUDGED[0]) | found.quantity.isin(JUDGED[1:])]


def named(quantity: str) -> str:
    """Return a quantity's name in a table of the page, where a bar would begin a column."""
    return NAMED.get(quantity, quantity).replace("|", "\\|")


def line(item: tuple, /, *, bold: bool = False) -> str:
    """Return a row of the page's tables."""
    name = f"**{named(item.quantity)}**" if bold else named(item.quantity)
    exact = f"{item.exact:.3f}" if np.isfinite(item.exact) else ""
    return f"| {name} | {item.coverage:.3f} | {exact} | {item.median_width:.3g} | {item.median_error:+.2g} | {item.p_uniform:.2f} |"


def write(rows: pd.DataFrame, found: pd.DataFrame, command: str, seconds: float, pool: int, cohorts: int) -> bool:
    """Write both files; return whether every judged figure is inside its band."""
    found.to_csv(RESULTS / "calibration_coverage.csv", index=False, float_format="%.4f")
    good, lines = True, []
    for source in ("posterior", "prior"):
        own, papers = judged(found[found.source == source]), rows[rows.source == source]
        pooled = float(np.average(own.coverage, weights=own.papers))
        refused = papers.quantity.str.startswith(("refused", "no paper")).sum()
        inside = own.coverage.between(*BAND).sum()
        good &= bool(inside == len(own) and POOLED_BAND[0] <= pooled <= POOLED_BAND[1])
        moved = papers[papers.quantity == "last round moved"].truth.median()
        answered = papers[papers.quantity.str.startswith("answered")]
        methods = ", ".join(f"{name.split()[-1]} {count}" for name, count in answered.quantity.value_counts().items())
        effective = answered.truth.median()
        lines += [
            f"\n## Truths drawn from the {'calibrated posterior' if source == 'posterior' else 'prior'}\n",
            f"{papers.paper.nunique()} papers, {refused} refused. Pooled coverage of the judged quantities {pooled:.3f} (wanted .88 to .92); "
            f"{inside} of {len(own)} between .86 and .94. The last round moved a mean by {moved:.2f} posterior sds at most (median). "
            f"Papers by the method that answered: {methods}; {effective:.0f} effective draws (median).\n",
            "| quantity | coverage of 90 % intervals | of exact ones | median width | median error | p (PIT uniform) |",
            "|---|---|---|---|---|---|",
        ]
        rest = found[(found.source == source) & ~found.quantity.isin(own.quantity)]
        lines += [line(item, bold=True) for item in own.itertuples()] + [line(item) for item in rest.itertuples()]
    half = stats.norm.ppf(0.975) * np.sqrt(PROB * (1 - PROB) / rows.groupby("source").paper.nunique().min())
    both = judged(found).groupby("quantity", sort=False).coverage.mean()
    lines += [
        "\n## Both together\n",
        f"Over the papers of both kinds the judged quantities are covered {both.min():.3f} to {both.max():.3f} each, {both.mean():.3f} pooled.",
    ]
    fresh = judged(table(rows[rows.paper >= SEEN]))
    if len(fresh):
        covered = fresh.pivot(index="quantity", columns="source", values="coverage").loc[fresh.quantity.unique()]
        pooled = " and ".join(f"{covered[source].mean():.3f} ({source} truths)" for source in covered)
        lines += [
            f"\n## Papers from number {SEEN} on\n",
            f"The method was developed with a view to the papers before. Over the {rows.paper.nunique() - SEEN} of each kind after them the "
            f"pooled coverage is {pooled}.\n",
            "| quantity | posterior truths | prior truths |",
            "|---|---|---|",
            *(f"| {named(name)} | {row.posterior:.3f} | {row.prior:.3f} |" for name, row in covered.iterrows()),
        ]
    head = [
        "# Coverage of calibration over simulated papers\n",
        __doc__.split("\n\n", 1)[1].strip() + "\n",
        f"Pool {pool} cohorts (default {POOL}), moments of {cohorts}; {seconds:.0f} s in all. Quantities in bold are judged; binomial 95 % band of one kind's papers around .90: {PROB - half:.3f} to {PROB + half:.3f}.",
        "Numbers of the prior's truths are wider: its papers have hazard ratios of up to e^3 and from hardly any deaths to all.\n",
        provenance(command),
    ]
    (RESULTS / "calibration_coverage.md").write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    return good


def main() -> int:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--papers", type=int, default=1000)
    parser.add_argument("--pool", type=int, default=POOL)
    parser.add_argument("--cohorts", type=int, default=100)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument(
        "--kept", type=Path, help="Rows of finished papers, so that a study that was stopped goes on: of one code only."
    )
    asked = parser.parse_args()
    rows = run(asked.papers, asked.pool, asked.cohorts, asked.workers, asked.kept)
    seconds = float(rows[rows.quantity == SECONDS].truth.sum()) / asked.workers
    found = table(rows)
    command = f"python benchmarks/calibration_coverage.py --papers {asked.papers} --pool {asked.pool} --cohorts {asked.cohorts}"
    good = write(rows, found, command, seconds, asked.pool, asked.cohorts)
    print(judged(found).round(3).to_string(), f"\nall inside their bands: {good}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
