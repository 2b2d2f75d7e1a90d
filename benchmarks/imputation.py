"""Missing covariates: how good are imputed analyses, beside complete cases? ``make verify`` runs it.

Cohorts of 150 patients at 5 hospitals with Weibull times (shape 1.3), a stage of two levels (log hazard ratio .9), a marker that goes
with it (.4 a unit) and age (.02 a year); priors of coefficients Normal(0, 2.5). Stage and marker have holes, about a quarter and a
third: completely at random, or at random given outcome and age (of patients above 62 who died within 9 months 70 and 91 % lack them,
of others 12 and 16 %). Each cohort is fitted without holes, by its complete cases, and imputed (20 completed cohorts, 10 sweeps). ``moved`` is the
mean difference of an estimate from that of the same patients without holes. The imputed analysis is judged: not moved by more than 4
Monte Carlo errors, and 95 % intervals that do not cover significantly less (binomial test at 0.001). Writes
``benchmarks/results/imputation.{csv,md}``.
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
PATIENTS, HOSPITALS, SHAPE = 150, 5, 1.3
TRUTH = {"stage[II]": 0.9, "marker": 0.4, "age": 0.02}
MECHANISMS = ("completely at random", "at random given outcome and age")
IMPUTATIONS, SWEEPS = 20, 10
ANALYSES = ("no holes", "complete cases", "imputed")
SPEC = sw.ModelSpec.from_formula(
    "Surv(months, died) ~ stage + marker + age + (1 | hospital)",
    priors=sw.Priors(coefficients=sw.Prior("Normal", mu=0.0, sigma=2.5)),
)
COLUMNS = {"time": "months", "event": "died", "site": "hospital", "covariates": ["stage", "marker", "age"]}


def patients(rng: np.random.Generator) -> pd.DataFrame:
    """Return a cohort without holes."""
    age = rng.normal(62, 9, PATIENTS)
    stage = rng.random(PATIENTS) < 1 / (1 + np.exp(0.4 - 0.03 * (age - 62)))
    marker = 0.8 * stage + rng.standard_normal(PATIENTS)
    hospital = np.concatenate([np.arange(HOSPITALS), rng.integers(0, HOSPITALS, PATIENTS - HOSPITALS)])
    effect = TRUTH["stage[II]"] * stage + TRUTH["marker"] * marker + TRUTH["age"] * (age - 62)
    effect = effect + rng.normal(0, 0.25, HOSPITALS)[hospital]
    event_time = 18 * (rng.standard_exponential(PATIENTS) * np.exp(-effect)) ** (1 / SHAPE)
    censored = rng.uniform(6, 48, PATIENTS)
    return pd.DataFrame(
        {
            "months": np.minimum(event_time, censored) + 1e-3,
            "died": (event_time <= censored).astype(int),
            "hospital": hospital + 1,
            "stage": np.where(stage, "II", "I"),
            "marker": marker,
            "age": age,
        }
    )


def with_holes(frame: pd.DataFrame, mechanism: str, rng: np.random.Generator) -> pd.DataFrame:
    """Return a cohort with holes in stage and marker."""
    early = ((frame["died"] == 1) & (frame["months"] < 9) & (frame["age"] > 62)).to_numpy()
    chance = 0.25 if mechanism == MECHANISMS[0] else np.where(early, 0.7, 0.12)
    holes = frame.copy()
    holes.loc[rng.random(len(frame)) < chance, "stage"] = None
    holes.loc[rng.random(len(frame)) < 1.3 * chance, "marker"] = np.nan
    return holes


def one(mechanism: str, number: int) -> list[dict[str, object]]:
    """Return the estimates of every analysis of one cohort."""
    rng = np.random.default_rng([MECHANISMS.index(mechanism), number])
    frame = patients(rng)
    holes = with_holes(frame, mechanism, rng)
    engine = sw.NestedLaplace(draws=1000)
    rows: list[dict[str, object]] = []
    for analysis in ANALYSES:
        missing = {"no holes": "refuse", "complete cases": "drop", "imputed": "keep"}[analysis]
        try:
            cohort = sw.Cohort.from_frame(frame if analysis == "no holes" else holes, missing=missing, **COLUMNS)
            if analysis == "imputed":
                found = sw.impute(SPEC, cohort, imputations=IMPUTATIONS, sweeps=SWEEPS, seed=number, workers=1)
                fit = sw.fit_imputed(found)
            else:
                fit = sw.fit(SPEC, cohort, engine=engine, seed=number)
        except SitewiseError as error:
            rows.append({"mechanism": mechanism, "cohort": number, "analysis": analysis, "message": str(error)})
            continue
        table = sw.summarise(sw.log_hazard_ratios(fit), diagnostics=())
        for term, row in table.iterrows():
            kept = {name: row[name] for name in ("mean", "lower", "upper")}
            rows.append({"mechanism": mechanism, "cohort": number, "analysis": analysis, "term": term, **kept, "message": ""})
    return rows


def summarised(found: pd.DataFrame) -> pd.DataFrame:
    """Return bias, error and coverage by mechanism, analysis and coefficient."""
    rows = []
    keys = ["mechanism", "term", "cohort"]
    plain = found[found["analysis"] == ANALYSES[0]][[*keys, "mean"]].rename(columns={"mean": "without_holes"})
    found = found.merge(plain, on=keys)
    for (mechanism, analysis, term), own in found.groupby(["mechanism", "analysis", "term"], sort=False):
        truth = TRUTH[str(term)]
        error = own["mean"] - truth
        moved = own["mean"] - own["without_holes"]
        covered = ((own["lower"] <= truth) & (truth <= own["upper"])).mean()
        count = len(own)
        rows.append(
            {
                "mechanism": mechanism,
                "analysis": analysis,
                "term": term,
                "cohorts": count,
                "bias": error.mean(),
                "bias_error": error.std() / np.sqrt(count),
                "moved": moved.mean(),
                "moved_error": moved.std() / np.sqrt(count),
                "rmse": np.sqrt((error**2).mean()),
                "coverage": covered,
                "coverage_error": np.sqrt(covered * (1 - covered) / count),
                "width": (own["upper"] - own["lower"]).mean(),
            }
        )
    return pd.DataFrame(rows)


def judged(table: pd.DataFrame) -> list[str]:
    """Return what is wrong with the imputed analysis."""
    wrong = []
    for row in table[table["analysis"] == "imputed"].itertuples():
        if abs(row.moved) > 4 * row.moved_error:
            wrong.append(f"{row.mechanism}, {row.term}: moved by {row.moved:.3f} +- {row.moved_error:.3f}")
        inside = round(row.coverage * row.cohorts)
        if stats.binomtest(inside, row.cohorts, 0.95, alternative="less").pvalue < 0.001:
            wrong.append(f"{row.mechanism}, {row.term}: coverage {row.coverage:.3f}")
    return wrong


def main() -> int:
    """Run, print and keep the tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=200, help="of each mechanism")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    jobs = [(mechanism, number) for mechanism in MECHANISMS for number in range(asked.cohorts)]
    found = pd.DataFrame([row for rows in in_processes(one, jobs, asked.workers, "imputation", 50) for row in rows])
    failed = found[found["message"] != ""]
    table = summarised(found[found["message"] == ""])
    wrong = judged(table) + [f"failed: {message}" for message in failed["message"].unique()]
    asked.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(asked.out / "imputation.csv", index=False, float_format="%.4g")
    shown = table[["mechanism", "analysis", "term", "bias", "bias_error", "moved", "moved_error", "rmse", "coverage", "width"]]
    lines = [
        "# Missing covariates",
        "",
        (__doc__ or "").strip(),
        "",
        provenance(f"python benchmarks/imputation.py --cohorts {asked.cohorts}"),
        "",
    ]
    lines += markdown(shown, dict.fromkeys(shown.columns[3:], ".3f"))
    lines += ["", "Verdict: " + ("; ".join(wrong) if wrong else "the imputed analysis passes.")]
    (asked.out / "imputation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
