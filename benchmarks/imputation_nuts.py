"""Imputed fits against NUTS on the joint model of survival and covariates. ``make verify`` runs it.

One cohort of ``benchmarks/imputation.py`` for each mechanism. The joint model is written anew in PyMC: the stage is summed out, each
missing marker is a parameter, hospitals have random effects in survival and normal effects in the regressions of stage and
marker. 400 completed cohorts (15 sweeps) are held against 4 chains of 2,000 draws: differences of means in Monte Carlo errors of both, and
ratios of sds. The script fails when a mean differs by more than 4 errors, or an sd by more than 12 %. Writes
``benchmarks/results/imputation_nuts.{csv,md}``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats
from imputation import COLUMNS, MECHANISMS, SPEC, patients, with_holes
from provenance import provenance
from pseudo_papers import markdown

import sitewise as sw
from sitewise.models.spec import Resolution

RESULTS = Path(__file__).parent / "results"
IMPUTATIONS, SWEEPS = 400, 15
MOST_ERRORS, MOST_RATIO = 4.0, 0.12
NAMES = ("stage[II]", "marker", "age", "shape", "site_sd")


def by_nuts(holes: pd.DataFrame, resolved: Resolution, seed: int) -> dict[str, np.ndarray]:
    """Return draws, (chain, draw), of the joint posterior."""
    import pymc as pm
    import pytensor.tensor as pt

    site = holes["hospital"].to_numpy() - 1
    sites = int(site.max()) + 1
    age, marker = holes["age"].to_numpy(), holes["marker"].to_numpy()
    old = (age - age.mean()) / age.std(ddof=1)
    known = ~np.isnan(marker)
    middle, spread = marker[known].mean(), marker[known].std(ddof=1)
    log_time, died = np.log(holes["months"].to_numpy()), holes["died"].to_numpy()
    at_stage, at_marker, at_age = resolved.reference
    with pm.Model() as model:
        prior = resolved.baseline_prior.values
        log_median = pm.Normal("log_median", prior["mu"], prior["sigma"])
        shape = pm.LogNormal("shape", 0.0, 0.5)
        ratios = pm.Normal("ratios", 0.0, 2.5, shape=3)
        site_sd = pm.HalfNormal("site_sd", 0.5)
        hospital = site_sd * pm.Normal("hospital", 0.0, 1.0, shape=sites)
        of_stage = pm.Normal("of_stage", 0.0, 2.5, shape=2)
        stage_site = pm.Normal("stage_site", 0.0, 0.5, shape=sites)
        of_marker = pm.Normal("of_marker", 0.0, 2.5, shape=3)
        marker_site = pm.Normal("marker_site", 0.0, 0.5, shape=sites)
        variance = pm.InverseGamma("variance", 1.0, 0.5)
        missing = pm.Flat("missing", shape=int((~known).sum()))
        score = pt.set_subtensor(pt.as_tensor(np.where(known, (marker - middle) / spread, 0.0))[~known], missing)
        logit = of_stage[0] + of_stage[1] * old + stage_site[site]

        def of_patients(stage: float) -> pt.TensorVariable:
            mean = of_marker[0] + of_marker[1] * old + of_marker[2] * stage + marker_site[site]
            predictor = ratios[0] * (stage - at_stage) + ratios[1] * (middle + spread * score - at_marker)
            log_hazard = (
                np.log(np.log(2)) + shape * (log_time - log_median) + predictor + ratios[2] * (age - at_age) + hospital[site]
            )
            survival = died * (log_hazard + pt.log(shape) - log_time) - pt.exp(log_hazard)
            regression = -0.5 * (score - mean) ** 2 / variance - 0.5 * pt.log(variance)
            return survival + regression - pt.softplus(-logit if stage else logit)

        first, second = of_patients(0.0), of_patients(1.0)
        stage = holes["stage"]
        either = pt.logaddexp(first, second)
        joint = pt.where(stage.isna().to_numpy(), either, pt.where((stage == "II").to_numpy(), second, first))
        pm.Potential("joint", joint.sum())
        found = pm.sample(
            2000, tune=1500, chains=4, cores=2, target_accept=0.95, random_seed=seed, progressbar=False, nuts_sampler="nutpie"
        )
    assert model is not None
    posterior = found.posterior
    draws = {name: posterior["ratios"].to_numpy()[..., place] for place, name in enumerate(NAMES[:3])}
    return draws | {name: posterior[name].to_numpy() for name in NAMES[3:]}


def compared(mechanism: str) -> pd.DataFrame:
    """Return means and sds of both, a row a parameter."""
    rng = np.random.default_rng([MECHANISMS.index(mechanism), 7])
    holes = with_holes(patients(rng), mechanism, rng)
    cohort = sw.Cohort.from_frame(holes, missing="keep", **COLUMNS)
    fit = sw.fit_imputed(sw.impute(SPEC, cohort, imputations=IMPUTATIONS, sweeps=SWEEPS, seed=1))
    assert fit.imputations.incomplete == ("stage", "marker")
    exact = by_nuts(holes, fit.spec.resolved, 1)
    table = fit.missing_information.set_index("parameter")
    rows = []
    for name in NAMES:
        error = float(array_stats.mcse(exact[name], method="mean"))
        mean, own = exact[name].mean(), table.loc[name]
        rows.append(
            {
                "mechanism": mechanism,
                "parameter": name,
                "mean by NUTS": mean,
                "mean imputed": own["mean"],
                "errors apart": (own["mean"] - mean) / np.hypot(error, own["mcse_mean"]),
                "sd by NUTS": exact[name].std(),
                "sd imputed": own["sd"],
                "missing information": own["missing_information"],
            }
        )
    return pd.DataFrame(rows)


def main() -> int:
    """Run, print and keep the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    table = pd.concat([compared(mechanism) for mechanism in MECHANISMS], ignore_index=True)
    apart = (table["errors apart"].abs() > MOST_ERRORS) | ((table["sd imputed"] / table["sd by NUTS"] - 1).abs() > MOST_RATIO)
    wrong = [f"{row.mechanism}, {row.parameter}" for row in table[apart].itertuples()]
    asked.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(asked.out / "imputation_nuts.csv", index=False, float_format="%.5g")
    lines = [
        "# Imputation against NUTS",
        "",
        (__doc__ or "").strip(),
        "",
        provenance("python benchmarks/imputation_nuts.py"),
        "",
    ]
    lines += markdown(table, dict.fromkeys(table.columns[2:], ".3f"))
    lines += ["", "Verdict: " + (f"differs: {'; '.join(wrong)}." if wrong else "the same posterior.")]
    (asked.out / "imputation_nuts.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
