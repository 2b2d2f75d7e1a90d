"""Does simulation-based calibration pass what is right and find what is wrong? ``make verify`` runs it.

The model of the founding example (Weibull, ECOG and Child-Pugh, random sites) on one simulated cohort of 100 patients at 5 sites:
1,000 truths from its own prior, by the fast engine on two threads. Once as it is, which must pass; and with three planted faults, each
of which must fail: (1) draws of the Laplace approximation with half its variance and without importance weights; (2) the sd of the
coefficients' prior doubled in the analysis only; (3) the log survival of censored patients dropped from the likelihood.
Writes ``benchmarks/results/sbc_faults.{csv,md}``.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the threads are the parallelism

import numpy as np
import pandas as pd
from provenance import provenance
from pseudo_papers import markdown

import sitewise as sw
from sitewise.inference import NestedLaplace
from sitewise.inference.nested_laplace.weighting import WeightedDraws, weighted_draws
from sitewise.models import ModelSpec, Prior
from sitewise.models.model_data import ModelData
from sitewise.studies.sbc import Calibration, sbc

RESULTS = Path(__file__).parent / "results"
FORMULA = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"


@dataclass(frozen=True)
class Unweighted(NestedLaplace):
    """The fault: half the Laplace variance of coefficients and baseline, and all weights equal."""

    def weighted(self, spec: ModelSpec, data: ModelData, *, seed: int | np.random.SeedSequence) -> WeightedDraws:
        """Return draws that pretend to be from the posterior."""
        found = weighted_draws(spec, data, draws=self.draws, rng=np.random.default_rng(seed), spread=math.sqrt(0.5))
        return replace(found, weights=np.full(self.draws, 1 / self.draws))


@dataclass(frozen=True)
class Uncensored(NestedLaplace):
    """The fault: patients without an event say nothing."""

    def weighted(self, spec: ModelSpec, data: ModelData, *, seed: int | np.random.SeedSequence) -> WeightedDraws:
        """Return the posterior of the patients with an event."""
        return super().weighted(spec, replace(data, weight=data.event), seed=seed)


def doubled(spec: ModelSpec) -> ModelSpec:
    """Return the resolved spec with the sd of the coefficients' prior doubled."""
    wider = tuple(
        Prior("Normal", mu=prior.values["mu"], sigma=2 * prior.values["sigma"]) for prior in spec.resolved.coefficients
    )
    return replace(spec, resolution=replace(spec.resolved, coefficients=wider))


def main() -> int:
    """Run the right analysis and the three wrong ones; write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    scenario = sw.load_scenario("krog-20-04")
    cohort = sw.simulate_many(scenario, 1, seed=2004).cohort(0)
    spec = sw.ModelSpec.from_formula(FORMULA, guarantee_time=scenario.baseline.guarantee_time).resolve(cohort)
    sbc(spec, cohort, replicates=20)  # compiles, imports
    asked = {"replicates": arguments.replicates, "workers": arguments.workers, "seed": 1}
    runs: dict[str, Callable[[], Calibration]] = {
        "as it is": lambda: sbc(spec, cohort, **asked),
        "half the Laplace variance, no weights": lambda: sbc(spec, cohort, engine=Unweighted(draws=1000), **asked),
        "prior sd doubled in the analysis": lambda: sbc(spec, cohort, analysis=doubled(spec), **asked),
        "censored patients dropped": lambda: sbc(spec, cohort, engine=Uncensored(draws=1000), **asked),
    }
    rows, tables = [], []
    for name, make in runs.items():
        started = time.perf_counter()
        found = make()
        seconds = time.perf_counter() - started
        worst = found.tests.sort_values("p_holm").iloc[0]
        fits = found.replicates.fits
        rows.append(
            {
                "analysis": name,
                "wanted": "pass" if name == "as it is" else "fail",
                "found": "pass" if found.passed else "fail",
                "seconds": round(seconds, 1),
                "smallest p (Holm)": f"{worst['p_holm']:.2g}",
                "of": worst["quantity"],
                "quantities that fail": f"{(found.tests['p_holm'] <= found.alpha).sum()} of {len(found.tests)}",
                "not fitted": found.not_fitted,
                "median importance ESS": round(float(fits["importance_ess"].median())),
            }
        )
        tables.append(found.tests.assign(analysis=name))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    RESULTS.mkdir(exist_ok=True)
    pd.concat(tables).to_csv(RESULTS / "sbc_faults.csv", index=False, float_format="%.6g")
    command = f"python benchmarks/sbc_faults.py --replicates {arguments.replicates} --workers {arguments.workers}"
    text = f"# Simulation-based calibration, and planted faults\n\n{__doc__}\n{provenance(command)}\n\n{chr(10).join(markdown(table, {}))}\n"
    (RESULTS / "sbc_faults.md").write_text(text, encoding="utf-8")
    as_wanted = bool((table["wanted"] == table["found"]).all())
    print(f"all as wanted: {as_wanted}")
    return 0 if as_wanted else 1


if __name__ == "__main__":
    sys.exit(main())
