"""Are posteriors under joint priors calibrated, and what do they buy? ``make verify`` runs it.

Part one, simulation-based calibration: truths from each prior, cohorts of 120 patients from the truths, fits by NUTS; PIT values of every
quantity against uniformity, Holm-corrected. As a planted fault, one analysis takes a monotone effect for a plain categorical one.
Part two, error: 200 patients, 30 covariates of which 3 matter (log hazard ratios 0.8, -0.6, 0.4), and a grade of five levels whose effect
rises; root mean squared error of coefficients, and of the effects of levels against the lowest, beside the default priors.
Writes ``benchmarks/results/joint_priors.{csv,md}``.
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
ENGINE = sw.Nuts(draws=500, tune=500, chains=2, cores=2, retry=False, target_accept=0.98)
GRADE = np.array([0.0, 0.1, 0.6, 0.7, 1.0])
EFFECTS = np.array([0.8, -0.6, 0.4])


def simulated(covariates: pd.DataFrame, predictor: np.ndarray, rng: np.random.Generator) -> sw.Cohort:
    """Return Weibull times of shape 1.2, some 30 % of them censored."""
    time = 15 * (rng.standard_exponential(len(covariates)) / np.exp(predictor)) ** (1 / 1.2)
    last = rng.uniform(8, 40, len(covariates))
    frame = covariates.assign(time=np.minimum(time, last), event=(time <= last).astype(int))
    return sw.Cohort.from_frame(frame, time="time", event="event", covariates=list(covariates))


def calibration(replicates: int) -> list[dict[str, object]]:
    """Return a row a prior: does simulation-based calibration pass?"""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "grade": np.arange(120) % 4,
            "centre": np.array(list("abcde"))[np.arange(120) % 5],
            **{f"x{number}": rng.standard_normal(120) for number in range(4)},
        }
    )
    cohort = simulated(table, np.zeros(120), rng)
    many = ("centre", *(f"x{number}" for number in range(4)))
    models = {
        "monotone": (("mo(grade)", "x0"), sw.Priors()),
        "horseshoe": (many, sw.Priors(coefficients=sw.RegularisedHorseshoe(expected_nonzero=2))),
        "R2-D2": (many, sw.Priors(coefficients=sw.R2D2())),
        "exchangeable": (many, sw.Priors(terms={"centre": sw.Exchangeable()})),
    }
    rows = []
    for name, (terms, priors) in models.items():
        spec = sw.ModelSpec(terms=terms, sites=sw.NoSites(), priors=priors).resolve(cohort)
        rows.append(calibrated(name, "pass", spec, spec, cohort, replicates, ENGINE))
    monotone = sw.ModelSpec(terms=("mo(grade)", "x0"), sites=sw.NoSites()).resolve(cohort)
    plain = tuple(
        sw.Prior("Normal", mu=0, sigma=1) if prior in monotone.resolved.joint_priors else prior
        for prior in monotone.resolved.coefficients
    )
    wrong = replace(monotone, resolution=replace(monotone.resolved, coefficients=plain))
    rows.append(calibrated("monotone, taken for plain steps", "fail", monotone, wrong, cohort, replicates, ENGINE))
    return rows


def errors(cohorts: int) -> pd.DataFrame:
    """Return root mean squared errors over cohorts, a row a prior."""
    squared: dict[str, list[float]] = {}
    for seed in range(cohorts):
        rng = np.random.default_rng([11, seed])
        names = [f"x{number}" for number in range(30)]
        table = pd.DataFrame(rng.standard_normal((200, 30)), columns=names)
        cohort = simulated(table, table[names[:3]].to_numpy() @ EFFECTS, rng)
        truth = np.concatenate([EFFECTS, np.zeros(27)])
        laws = {"Normal(0, 1)": None, "horseshoe": sw.RegularisedHorseshoe(expected_nonzero=3), "R2-D2": sw.R2D2()}
        for label, law in laws.items():
            spec = sw.ModelSpec(terms=tuple(names), sites=sw.NoSites(), priors=sw.Priors(coefficients=law))
            mean = (
                sw.fit(spec, cohort, engine=ENGINE, seed=seed).posterior["log_hazard_ratio"].mean(("chain", "draw")).to_numpy()
            )
            squared.setdefault(f"30 covariates, those that matter: {label}", []).append(float(((mean - truth)[:3] ** 2).mean()))
            squared.setdefault(f"30 covariates, the null ones: {label}", []).append(float(((mean - truth)[3:] ** 2).mean()))
        grade = np.arange(100) % 5
        cohort = simulated(pd.DataFrame({"grade": grade.astype(str)}), GRADE[grade], rng)
        for label, term in {"categorical": "grade", "monotone": "mo(grade)"}.items():
            spec = sw.ModelSpec(terms=(term,), sites=sw.NoSites())
            mean = (
                sw.fit(spec, cohort, engine=ENGINE, seed=seed).posterior["log_hazard_ratio"].mean(("chain", "draw")).to_numpy()
            )
            levels = np.cumsum(mean) if label == "monotone" else mean
            squared.setdefault(f"100 patients, five grades: {label}", []).append(float(((levels - GRADE[1:]) ** 2).mean()))
    return pd.DataFrame(
        {
            "what": list(squared),
            "root mean squared error": [f"{np.sqrt(np.mean(values)):.3f}" for values in squared.values()],
            "its standard error": [
                f"{np.std(values, ddof=1) / np.sqrt(len(values)) / (2 * np.sqrt(np.mean(values))):.3f}"
                for values in squared.values()
            ],
            "cohorts": cohorts,
        }
    )


def main() -> int:
    """Run both parts and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--cohorts", type=int, default=40)
    arguments = parser.parse_args()
    first = pd.DataFrame(calibration(arguments.replicates))
    second = errors(arguments.cohorts)
    RESULTS.mkdir(exist_ok=True)
    pd.concat([first, second]).to_csv(RESULTS / "joint_priors.csv", index=False)
    command = f"python benchmarks/joint_priors.py --replicates {arguments.replicates} --cohorts {arguments.cohorts}"
    parts = "\n\n".join("\n".join(markdown(table, {})) for table in (first, second))
    text = f"# Joint priors: calibration and error\n\n{__doc__}\n{provenance(command)}\n\n{parts}\n"
    (RESULTS / "joint_priors.md").write_text(text, encoding="utf-8")
    print(second.to_string())
    return 0 if bool((first["wanted"] == first["found"]).all()) else 1


if __name__ == "__main__":
    sys.exit(main())
