"""Are posteriors of shapes that differ between patients calibrated, and is an effect that changes found? ``make verify`` runs it.

Part one, simulation-based calibration: truths from the prior, cohorts of 120 patients at 6 sites with the shape on ECOG and by site, fits
by NUTS; PIT values of every quantity against uniformity, Holm-corrected. As a planted fault, one analysis has a prior of the sites'
shapes that is six times as narrow.
Part two, recovery: cohorts of 200 patients whose hazard ratio of ECOG grows from 0.7 at a month to 2.6 at two years; how often 95 %
intervals hold what is true, how often they exclude a constant ratio, and how often they do so when the ratio is constant.
Writes ``benchmarks/results/shape_regression.{csv,md}``.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from calibrated_by_nuts import calibrated
from provenance import provenance
from pseudo_papers import markdown

import sitewise as sw

RESULTS = Path(__file__).parent / "results"
ENGINE = sw.Nuts(draws=400, tune=400, chains=2, cores=2, retry=False)
FORMULA, SHAPE = "Surv(time, event) ~ ecog + (1 | site)", "ecog + (1 | site)"
FIRST, LAST = 1.0, 24.0
RATIO_FIRST, RATIO_LAST = 0.7, 2.6
COVERED = (0.88, 0.99)
"""Shares of intervals that hold the truth between which 95 % is believed, with some 100 cohorts."""


def cohort_of(ecog: np.ndarray, site: np.ndarray, log_time: np.ndarray, rng: np.random.Generator) -> sw.Cohort:
    """Return patients who are watched for 6 to 40 months."""
    time_to_event, last = np.exp(log_time), rng.uniform(6, 40, ecog.size)
    event = (time_to_event <= last).astype(int)
    frame = pd.DataFrame({"time": np.minimum(time_to_event, last), "event": event, "site": site, "ecog": ecog.astype(str)})
    return sw.Cohort.from_frame(frame, time="time", event="event", site="site", covariates=["ecog"])


def calibration(replicates: int) -> pd.DataFrame:
    """Return a row a model: does simulation-based calibration pass?"""
    rng = np.random.default_rng(1)
    ecog, site = np.arange(120) % 2, (np.arange(120) // 2) % 6
    cohort = cohort_of(ecog, site, np.log(12 * rng.standard_exponential(120)), rng)
    rows = []
    for metric in ("hazard-ratio", "time-ratio"):
        spec = sw.ModelSpec.from_formula(FORMULA, shape=SHAPE, metric=metric).resolve(cohort)
        rows.append(calibrated(f"Weibull, {metric}", "pass", spec, spec, cohort, replicates, ENGINE))
    spec = sw.ModelSpec.from_formula(FORMULA, shape=SHAPE).resolve(cohort)
    narrow = replace(spec, resolution=replace(spec.resolved, site_shape_sd=sw.Prior("HalfNormal", sigma=0.05)))
    rows.append(calibrated("Weibull, sites' shapes too narrow", "fail", spec, narrow, cohort, replicates, ENGINE))
    return pd.DataFrame(rows)


def recovery(cohorts: int) -> pd.DataFrame:
    """Return a row a truth: coverage of intervals, and how often a change is seen; one resolution, and one compilation, for all."""
    rows, spec = [], sw.ModelSpec.from_formula(FORMULA, shape="ecog")
    for name, first, last in (("changes", RATIO_FIRST, RATIO_LAST), ("constant", 1.6, 1.6)):
        held, seen = np.zeros(3), 0
        log_scale, shape = np.log(14.0), 1.1
        steeper = np.log(last / first) / np.log(LAST / FIRST)
        other = shape + steeper
        effect = np.log(first) - np.log(other / shape) - steeper * (np.log(FIRST) - log_scale)
        for seed in range(cohorts):
            rng = np.random.default_rng([23, seed])
            ecog, site = np.arange(200) % 2, (np.arange(200) // 2) % 5
            own = np.where(ecog > 0, other, shape)
            eta = effect * ecog + 0.3 * rng.standard_normal(5)[site]
            cohort = cohort_of(ecog, site, log_scale + (np.log(rng.standard_exponential(200)) - eta) / own, rng)
            spec = spec.resolve(cohort)
            fit = sw.fit(spec, cohort, engine=ENGINE, seed=seed)
            ratios = sw.hazard_ratio_over_time(fit, term="ecog[1]", times=[FIRST, LAST])
            draws = np.stack([*np.log(ratios.to_numpy().reshape(-1, 2).T), fit.posterior["log_shape_ratio"].to_numpy().ravel()])
            low, high = np.quantile(draws, [0.025, 0.975], axis=1)
            truth = np.array([np.log(first), np.log(last), np.log(other / shape)])
            held += (low <= truth) & (truth <= high)
            seen += int(not low[2] <= 0 <= high[2])
        shares = held / cohorts
        rows.append(
            {
                "the hazard ratio": name,
                f"held at {FIRST:g} month": f"{shares[0]:.2f}",
                f"held at {LAST:g} months": f"{shares[1]:.2f}",
                "ratio of shapes held": f"{shares[2]:.2f}",
                "a change is seen": f"{seen / cohorts:.2f}",
                "cohorts": cohorts,
            }
        )
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> int:
    """Run both parts and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--cohorts", type=int, default=100)
    arguments = parser.parse_args()
    second = recovery(arguments.cohorts)
    first = calibration(arguments.replicates)
    RESULTS.mkdir(exist_ok=True)
    pd.concat([first, second]).to_csv(RESULTS / "shape_regression.csv", index=False)
    command = f"python benchmarks/shape_regression.py --replicates {arguments.replicates} --cohorts {arguments.cohorts}"
    parts = "\n\n".join("\n".join(markdown(table, {})) for table in (first, second))
    text = f"# Shapes that differ between patients: calibration and recovery\n\n{__doc__}\n{provenance(command)}\n\n{parts}\n"
    (RESULTS / "shape_regression.md").write_text(text, encoding="utf-8")
    held = second.filter(like="held").astype(float).to_numpy()
    covered = bool(((held >= COVERED[0]) & (held <= COVERED[1])).all())
    return 0 if covered and bool((first["wanted"] == first["found"]).all()) else 1


if __name__ == "__main__":
    sys.exit(main())
