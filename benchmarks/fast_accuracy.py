"""Is the fast engine right? `NestedLaplace` against long NUTS on varied cohorts; ``make verify`` runs it.

Cohorts of many kinds (``varied_cohorts.py``) are computed by both engines, each with at least 20,000 effective draws for every
scalar, and means, sds and 95 % limits are compared in posterior sds. NUTS samples standardised site effects by nutpie, the same
posterior whatever the spec's centring, in as many batches of chains as it takes. Both sides have Monte Carlo error, which is
estimated for each comparison, so that what lies beyond a bar can be held against what chance alone puts there: sampling goes on
until every error is at most a third of its bar (resolved), or NUTS has drawn 200,000, as where a tail is so heavy that no number
of draws resolves its sd.

Then a thousand cohorts of KROG 20-04's size, from truths drawn at random, at the engine's defaults: how often its verdict is ok.
Writes ``benchmarks/results/fast_accuracy.{csv,md}``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes are the parallelism

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats
from processes import in_processes
from provenance import provenance
from scipy import stats
from varied_cohorts import krog_size_cohort, varied_cohort
from weighted_statistics import LOWER, UPPER, WeightedStatistics, scalars

import sitewise as sw
from sitewise.inference.engine import silent
from sitewise.inference.verdict import diagnose
from sitewise.models.model_data import ModelData
from sitewise.models.resolve import prepare
from sitewise.problems import SitewiseError

RESULTS = Path(__file__).parent / "results"
BARS = {"mean": 0.05, "sd": 0.03, "lower": 0.08, "upper": 0.08}
TITLES = {
    "mean": "mean, difference in sds",
    "sd": "sd, ratio - 1",
    "lower": "2.5 % point, difference in sds",
    "upper": "97.5 % point, difference in sds",
}
WANTED_OK = 0.99
EFFECTIVE, IMPORTANCE = 20_000, 60_000
"""Effective draws wanted of every scalar on both sides, and of the weights: more, since they are cheap."""
MISSES_BY_CHANCE = 0.999
"""Probability that as many misses as are let pass, or fewer, come from Monte Carlo error alone."""
RESOLVED = 3.0
"""A comparison is resolved where its Monte Carlo error is at most its bar over this; sampling goes on until all are, or too long."""
MOST_WEIGHTED, MOST_SAMPLED = 1_000_000, 200_000
"""Draws at which each side stops trying."""
BATCH = sw.Nuts(draws=5000, tune=1500, chains=4, cores=1, target_accept=0.95, retry=False)


def fast_side(spec: sw.ModelSpec, data: ModelData, *, share: float) -> tuple[WeightedStatistics, dict]:
    """Return statistics of weighted draws, as many as it takes, and what to say of the runs."""
    default = sw.NestedLaplace().run(spec, data, seed=1, progress=False, report=silent)
    draws = int(IMPORTANCE * share * 1.3)
    while True:
        found = sw.NestedLaplace(draws=draws).run(spec, data, seed=2, progress=False, report=silent)
        draws = found.settings["draws"]
        statistics = WeightedStatistics(scalars(found.weighted), found.weighted["log_weight"].to_numpy().ravel())
        worst = min(found.verdict["importance_ess"].value / IMPORTANCE, statistics.ess.min() / EFFECTIVE) / share
        of_bar = max(float(statistics.error[name].max()) / (bar / (1.5 * RESOLVED)) for name, bar in BARS.items())
        worst = min(worst, of_bar**-2 / share)
        if worst >= 1 or draws >= MOST_WEIGHTED:
            break
        draws = min(int(draws * max(1.15 / worst, 1.5)), MOST_WEIGHTED)
    resampled = scalars(found.posterior)[1].mean(axis=(1, 2))
    return statistics, {
        "verdict": default.verdict.level,
        "sentence": default.verdict.sentence,
        "verdict_long": found.verdict.level,
        "pareto_k": found.verdict["pareto_k"].value,
        "importance_ess": found.verdict["importance_ess"].value,
        "fast_ess": statistics.ess.min(),
        "fast_draws": draws,
        "resampled": float(np.abs((resampled - statistics.mean) / statistics.sd).max()),
    }


def slow_side(spec: sw.ModelSpec, data: ModelData, *, share: float, seed: int) -> tuple[np.ndarray, dict]:
    """Return draws of NUTS, shape (scalar, chain, draw), as many as it takes, and what to say of them."""
    engine = replace(BATCH, draws=max(int(BATCH.draws * share), 200), tune=max(int(BATCH.tune * share), 500))
    parts: list[np.ndarray] = []
    divergences, wanted = 0, 1
    while True:
        for _ in range(wanted):
            found = engine.run(spec, data, seed=1000 * seed + len(parts), progress=False, report=silent)
            divergences += int(found.sample_stats["diverging"].sum())
            parts.append(scalars(found.posterior)[1])
        draws = np.concatenate(parts, axis=1)
        found = diagnose(draws)
        worst = found["ess_bulk"].min() / EFFECTIVE / share
        # Errors fall with the root of the number of draws; for moments of heavy tails slower, which the last line bounds.
        worst = min(worst, share_of_bar(draws, share) ** -2)
        size = draws.shape[1] * draws.shape[2]
        if worst >= 1 or size >= MOST_SAMPLED * share:
            break
        wanted = int(np.ceil(len(parts) * min(1.1 / worst - 1, 4.0, MOST_SAMPLED * share / size - 1)))
    return draws, {
        "nuts_ess": found["ess_bulk"].min(),
        "nuts_tail_ess": found["ess_tail"].min(),
        "nuts_draws": size,
        "r_hat": found["r_hat"].max(),
        "divergences": divergences,
    }


def share_of_bar(draws: np.ndarray, share: float) -> float:
    """Return the largest Monte Carlo error over what is wanted of it, a third of its bar."""
    found = errors_of(draws)
    return max(float(found[name].max()) / (bar / RESOLVED) for name, bar in BARS.items()) * np.sqrt(share)


def errors_of(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Return Monte Carlo errors of the statistics of draws (scalar, chain, draw), in posterior sds."""
    sd = draws.std(axis=(1, 2), ddof=1)
    return {
        "mean": array_stats.mcse(draws, method="mean") / sd,
        "sd": array_stats.mcse(draws, method="sd") / sd,
        "lower": array_stats.mcse(draws, method="quantile", prob=LOWER) / sd,
        "upper": array_stats.mcse(draws, method="quantile", prob=UPPER) / sd,
    }


def compare(number: int, seed: int, share: float, most_patients: int) -> tuple[list[dict], dict]:
    """Return a row a scalar and a row of the cohort; a failure of the fast engine, of whatever kind, is a row too."""
    started = time.perf_counter()
    made = varied_cohort(number, seed, most_patients)
    spec, data = made.spec, prepare(made.spec, made.cohort)
    told = {
        "cohort": number,
        "patients": len(made.cohort),
        "sites": len(spec.resolved.site_labels),
        "columns": len(spec.resolved.columns),
        "events": int(made.cohort.event.sum()),
        "special": ", ".join(made.special),
    }
    try:
        fast, of_fast = fast_side(spec, data, share=share)
    except Exception as error:
        return [], {**told, "verdict": "error", "sentence": f"{type(error).__name__}: {error}"}
    middle = time.perf_counter()
    non_centred = replace(spec, sites=replace(spec.sites, centred=False))
    draws, of_slow = slow_side(non_centred, data, share=share, seed=number + 1)
    mean, sd = draws.mean(axis=(1, 2)), draws.std(axis=(1, 2), ddof=1)
    lower, upper = np.quantile(draws, [LOWER, UPPER], axis=(1, 2))
    error = errors_of(draws)
    difference = {
        "mean": (fast.mean - mean) / sd,
        "sd": fast.sd / sd - 1,
        "lower": (fast.lower - lower) / sd,
        "upper": (fast.upper - upper) / sd,
    }
    rows = []
    for place, label in enumerate(fast.labels):
        row = {"cohort": number, "scalar": label, "mean_nuts": mean[place], "sd_nuts": sd[place]}
        for name in BARS:
            row |= {name: difference[name][place], f"{name}_mcse": np.hypot(error[name][place], fast.error[name][place])}
        rows.append(row)
    spent = {"fast_seconds": middle - started, "nuts_seconds": time.perf_counter() - middle}
    return rows, {**told, **of_fast, **of_slow, **spent}


def krog_size(number: int, seed: int) -> dict:
    """Return what the default engine says of one cohort of KROG's size."""
    made = krog_size_cohort(number, seed)
    try:
        found = sw.NestedLaplace().run(made.spec, prepare(made.spec, made.cohort), seed=1, progress=False, report=silent)
    except SitewiseError:
        return {
            "events": int(made.cohort.event.sum()),
            "verdict": "error",
            "retried": True,
            "share": np.nan,
            "pareto_k": np.nan,
        }
    return {
        "events": int(made.cohort.event.sum()),
        "verdict": found.verdict.level,
        "retried": found.verdict.retried,
        "share": found.verdict["importance_ess"].value / found.settings["draws"],
        "pareto_k": found.verdict["pareto_k"].value,
    }


def comparison_tables(rows: pd.DataFrame, cohorts: pd.DataFrame) -> tuple[list[str], bool]:
    """Return the tables of the first part, and whether there are no more misses than Monte Carlo error makes."""
    lines = [
        "| what | bar | comparisons | resolved | largest resolved | Monte Carlo error, median / largest | beyond the bar "
        "| expected from Monte Carlo error alone | sd of z | \\|z\\| > 3 (by chance) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    misses, expected = [], 0.0
    for name, bar in BARS.items():
        found, error = rows[name].abs(), rows[f"{name}_mcse"]
        resolved = error <= bar / RESOLVED
        z = rows[name] / error
        beyond_three = 2 * stats.norm.sf(3) * len(rows)
        by_chance = 2 * stats.norm.sf(bar / error).sum()
        expected += by_chance
        lines.append(
            f"| {TITLES[name]} | {bar:g} | {len(rows)} | {resolved.sum()} | {found[resolved].max():.3f} | {error.median():.4f} / {error.max():.4f} "
            f"| {(found > bar).sum()}, {(found > bar)[resolved].sum()} resolved "
            f"| {by_chance:.1f} | {z.std():.2f} | {(z.abs() > 3).sum()} ({beyond_three:.1f}) |"
        )
        misses += [(name, place) for place in rows.index[~(found <= bar)]]
    lines += [
        "\n| scalar | comparisons | " + " | ".join(f"largest: {title}" for title in TITLES.values()) + " |",
        "|---" * 6 + "|",
    ]
    kind = rows["scalar"].str.split("[").str[0].replace({"log_time_ratio": "coefficient", "log_hazard_ratio": "coefficient"})
    for label, group in rows.groupby(kind, sort=False):
        lines.append(f"| {label} | {len(group)} | " + " | ".join(f"{group[name].abs().max():.3f}" for name in BARS) + " |")
    allowed = int(stats.poisson.ppf(MISSES_BY_CHANCE, expected))
    lines += [
        f"\n## Every miss\n\n{len(misses)} comparisons are beyond their bar; {expected:.1f} are expected there from Monte Carlo error alone "
        f"(up to {allowed} with probability {MISSES_BY_CHANCE:g}, were they independent).\n"
    ]
    if misses:
        lines += [
            "| cohort | scalar | what | difference | its Monte Carlo error | z | verdict of the default fit |",
            "|---" * 7 + "|",
        ]
    verdict = cohorts.set_index("cohort")["verdict"]
    for name, place in misses:
        row = rows.loc[place]
        value, error = row[name], row[f"{name}_mcse"]
        lines.append(
            f"| {row.cohort} | {row.scalar} | {TITLES[name]} | {value:+.3f} | {error:.3f} | {value / error:+.1f} | {verdict[row.cohort]} |"
        )
    lines += [
        "\n## The cohorts\n",
        f"Verdict: at the default {sw.NestedLaplace().draws:,} draws / in the long run. Effective draws: worst scalar.\n",
        "| cohort | patients | sites | columns | events | special | verdict | importance ESS | fast: effective draws | NUTS: effective draws, bulk / tail "
        "| worst R-hat | divergences | s, fast / NUTS |",
        "|---" * 13 + "|",
    ]
    for row in cohorts.itertuples():
        start = f"| {row.cohort} | {row.patients} | {row.sites} | {row.columns} | {row.events} | {row.special} "
        if row.verdict == "error":
            lines.append(f"{start}| error: {row.sentence} |" + " |" * 6)
            continue
        lines.append(
            f"{start}| {row.verdict} / {row.verdict_long} | {row.importance_ess:,.0f} of {row.fast_draws:,.0f} | {row.fast_ess:,.0f} "
            f"| {row.nuts_ess:,.0f} / {row.nuts_tail_ess:,.0f} of {row.nuts_draws:,.0f} | {row.r_hat:.4f} | {row.divergences:.0f} "
            f"| {row.fast_seconds:.1f} / {row.nuts_seconds:.0f} |"
        )
    return lines, len(misses) <= allowed


def report(rows: pd.DataFrame, cohorts: pd.DataFrame, krog: pd.DataFrame, command: str, seconds: float) -> tuple[str, bool]:
    """Return the text of the results, and whether everything is as wanted."""
    lines = ["# Accuracy of the fast engine\n", __doc__.split("\n\n", 1)[1].rsplit("\n", 2)[0].strip() + "\n"]
    lines += [f"{provenance(command)} {seconds:.0f} s in all.\n"]
    good = True
    if len(cohorts):
        lines += [f"## Against long NUTS: {len(cohorts)} varied cohorts\n"]
        counts = cohorts["verdict"].value_counts()
        lines += ["Default fits: " + ", ".join(f"{counts[level]} {level}" for level in counts.index) + ". "]
        if len(rows):
            short = cohorts[(cohorts["fast_ess"] < EFFECTIVE) | (cohorts["nuts_ess"] < EFFECTIVE)]["cohort"].tolist()
            lines[-1] += (
                f"Fewer than {EFFECTIVE:,} effective draws on a side: {short or 'none'}. Resampled draws have means within "
                f"{cohorts['resampled'].max():.4f} sds of the weighted ones.\n"
            )
            tables, good = comparison_tables(rows, cohorts)
            lines += tables
        good &= "error" not in counts
    if len(krog):
        ok = float((krog["verdict"] == "ok").mean())
        good &= ok >= WANTED_OK
        lines += [
            f"\n## Verdicts at the defaults: {len(krog)} cohorts of 100 patients in 5 sites\n",
            f"Verdict ok: **{100 * ok:.1f} %** (wanted >= {100 * WANTED_OK:g} %); {int(krog['retried'].sum())} fits were tried twice. "
            f"Events per cohort: {krog['events'].min()} to {krog['events'].max()}.\n",
            "| | smallest | 1 % | 10 % | median | 90 % | 99 % | largest |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, title in (("share", "importance ESS / draws"), ("pareto_k", "Pareto k")):
            values = np.quantile(krog[name].dropna(), [0, 0.01, 0.1, 0.5, 0.9, 0.99, 1])
            lines.append(f"| {title} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    return "\n".join(lines) + "\n", good


def main() -> int:
    """Run both parts; exit with 1 when a comparison is beyond its bar or too few verdicts are ok."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cohorts", type=int, default=60, help="varied cohorts that are held against NUTS")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--krog", type=int, default=1000, help="cohorts of KROG's size at the defaults")
    parser.add_argument("--share", type=float, default=1.0, help="share of the 20,000 effective draws, for a quick look")
    parser.add_argument("--most-patients", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--no-write", action="store_true", help="print only")
    asked = parser.parse_args()
    started = time.perf_counter()
    tasks = [(asked.first + number, asked.seed, asked.share, asked.most_patients) for number in range(asked.cohorts)]
    found = in_processes(compare, tasks, asked.workers, "cohorts against NUTS", 1) if tasks else []
    tasks = [(number, asked.seed) for number in range(asked.krog)]
    krog = pd.DataFrame(in_processes(krog_size, tasks, asked.workers, "cohorts of KROG's size", 50) if tasks else [])
    rows = pd.DataFrame([row for own, _ in found for row in own])
    cohorts = pd.DataFrame([told for _, told in found])
    command = "python " + " ".join(["benchmarks/fast_accuracy.py", *sys.argv[1:]])
    text, good = report(rows, cohorts, krog, command, time.perf_counter() - started)
    print(text, f"\nall as wanted: {good}")
    if not asked.no_write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "fast_accuracy.md").write_text(text, encoding="utf-8")
        rows.to_csv(RESULTS / "fast_accuracy.csv", index=False, float_format="%.5g")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
