"""Does each check find its fault, and keep quiet without one? ``make verify`` runs it.

Cohorts of 200 patients at 8 sites with ECOG and Child-Pugh class, Weibull times (shape 1.2, log hazard ratios .6 and .5, sites with
an sd of .3), followed for 6 to 48 months, fitted by the right model with the default priors. A hundred as they are, and a hundred
with each of five planted faults: (1) log-normal times with an sd of .8; (2) sites with an sd of .6, and a model without sites;
(3) a rate of dropping out that goes with the 1.5th power of the hazard ratio; (4) a hazard ratio of ECOG of 4 in the first 8 months
and of 1/3 thereafter; (5) a prior of the log hazard ratio of ECOG with mean -1 and sd .25. Then, for what they are worth, two that
are harder to find: log-normal times with an sd of 1.2, and a hazard ratio that falls to 1/2 only. Each cohort is checked with 200
simulated ones, the default. Writes ``benchmarks/results/check_faults.{csv,md}``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # the processes are the parallelism

import numpy as np
import pandas as pd
from processes import in_processes
from provenance import provenance
from pseudo_papers import markdown
from scipy import stats

import sitewise as sw
from sitewise.problems import SitewiseError

RESULTS = Path(__file__).parent / "results"
FINDS = {
    "none": "",
    "log-normal times": "hazard over time",
    "sites ignored": "sites",
    "dropping out goes with risk": "censoring",
    "effect changes with time": "effects over time",
    "prior in conflict": "prior",
}
"""For each fault the check that is to find it."""
HARDER = {"log-normal times, sd 1.2": "hazard over time", "effect falls to 1/2": "effects over time"}
PATIENTS, SITES, CHANGE = 200, 8, 8.0
WANTED_FOUND, WANTED_QUIET = 0.8, 0.9


def made(fault: str, rng: np.random.Generator) -> pd.DataFrame:
    """Return a patient table."""
    site = rng.integers(SITES, size=PATIENTS)
    ecog, child_pugh = rng.integers(0, 2, PATIENTS), (rng.random(PATIENTS) < 0.3).astype(int)
    site_effect = rng.normal(0, 0.6 if fault == "sites ignored" else 0.3, SITES)[site]
    predictor = 0.6 * ecog + 0.5 * child_pugh + site_effect
    hazard = rng.standard_exponential(PATIENTS)
    if fault.startswith("log-normal times"):
        time = 12 * np.exp((1.2 if fault in HARDER else 0.8) * rng.standard_normal(PATIENTS) - predictor)
    elif fault.startswith("effect"):
        others = np.log(2) / 14 * np.exp(0.5 * child_pugh + site_effect)
        first, later = (
            others * np.where(ecog == 1, 4.0, 1.0),
            others * np.where(ecog == 1, 1 / 2 if fault in HARDER else 1 / 3, 1.0),
        )
        time = np.where(hazard < first * CHANGE, hazard / first, CHANGE + (hazard - first * CHANGE) / later)
    else:
        time = 14 * (hazard * np.exp(-predictor)) ** (1 / 1.2)
    end = rng.uniform(6, 48, PATIENTS)
    if fault == "dropping out goes with risk":
        end = np.minimum(end, rng.exponential(30 * np.exp(-1.5 * (predictor - site_effect))))
    return pd.DataFrame(
        {
            "time": np.minimum(time, end),
            "event": (time <= end).astype(int),
            "site": [f"site {number + 1}" for number in site],
            "ecog": ecog.astype(str),
            "child_pugh": np.where(child_pugh == 1, "B", "A"),
        }
    )


def one(fault: str, number: int, replicates: int) -> dict[str, object]:
    """Return the p-value of every check of one cohort."""
    rng = np.random.default_rng([[*FINDS, *HARDER].index(fault), number])
    cohort = sw.Cohort.from_frame(made(fault, rng), time="time", event="event", site="site", time_unit="months")
    priors = sw.Priors(terms={"ecog": sw.Prior("Normal", mu=-1.0, sigma=0.25)}) if fault == "prior in conflict" else sw.Priors()
    formula = "Surv(time, event) ~ ecog + child_pugh" + ("" if fault == "sites ignored" else " + (1 | site)")
    spec = sw.ModelSpec.from_formula(formula, priors=priors)
    row: dict[str, object] = {"fault": fault, "cohort": number}
    try:
        fit = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=1000), seed=number)
        found = sw.check(fit, replicates=replicates, seed=number, priors=False)
    except SitewiseError as error:
        return {**row, "failed": str(error)}
    return {**row, "failed": "", **dict(zip(found.table["check"], found.table["p_value"], strict=True))}


def main() -> int:
    """Check the cohorts with and without faults; write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cohorts", type=int, default=100)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    tasks = [(fault, number, asked.replicates) for fault in (*FINDS, *HARDER) for number in range(asked.cohorts)]
    table = pd.DataFrame(in_processes(one, tasks, asked.workers, "cohorts", 60))
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "check_faults.csv", index=False, float_format="%.6g")
    checks = [name for name in table.columns if name not in ("fault", "cohort", "failed")]
    rows = []
    for fault, group in table.groupby("fault", sort=False):
        shares = {name: (group[name] <= 0.05).mean() for name in checks}
        rows.append(
            {
                "fault": fault,
                "to be found by": {**FINDS, **HARDER}[str(fault)] or "none",
                **shares,
                "failed": int((group["failed"] != "").sum()),
            }
        )
    found = pd.DataFrame(rows)
    quiet = table[table["fault"] == "none"]
    uniform = {name: stats.kstest(quiet[name].dropna(), "uniform").pvalue for name in checks}
    missed = [row["fault"] for row in rows if FINDS.get(str(row["fault"])) and row[row["to be found by"]] < WANTED_FOUND]
    missed += [f"quiet: {name}" for name in checks if 1 - found.loc[0, name] < WANTED_QUIET]
    command = f"python benchmarks/check_faults.py --cohorts {asked.cohorts} --replicates {asked.replicates}"
    lines = ["# Checks and planted faults\n", __doc__, provenance(command), ""]
    lines += [f"Share of {asked.cohorts} cohorts in which a check speaks up (p at most .05):\n"]
    lines += markdown(found, dict.fromkeys(checks, ".2f"))
    lines += [
        f"\nWanted: its fault at least {WANTED_FOUND:.0%}, without any at most {1 - WANTED_QUIET:.0%}. Missed: {', '.join(missed) or 'none'}."
    ]
    lines += ["\nWithout a fault, p-values against the uniform distribution (Kolmogorov-Smirnov): "]
    lines[-1] += (
        ", ".join(f"{name} {value:.2f}" for name, value in uniform.items())
        + ". Those of `prior` are adjusted for the number of coefficients, and so too large; those of `hazard over time` to `sites` are calibrated by simulation."
    )
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "check_faults.md").write_text(text, encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
