"""Other approximations beside the fast engine: Laplace, Pathfinder and INLA of pymc-extras. A part of ``bench_fast.py``.

    python benchmarks/fast_approximations.py COHORTS INLA_DRAWS NUTS_DRAWS

pymc-extras is no dependency of this project: put it on PYTHONPATH, or there is nothing to compare. Prints rows as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from fast_parts import SEED, TRUTH


def approximate(cohorts: int, draws: int, effective: int) -> list[dict[str, Any]]:
    """Return seconds and errors of approximations by pymc-extras, and of ours, against long NUTS; nothing where it is not installed.

    Its INLA integrates the standardised site effects out by Laplace and samples the rest by NUTS; being slow, it has one chain
    and one cohort.
    """
    if find_spec("pymc_extras") is None:
        return []
    import pymc_extras as pmx
    from pymc.model.transform.optimization import freeze_dims_and_data
    from pymc_extras.inference.INLA import fit_INLA
    from varied_cohorts import krog_size_cohort
    from weighted_statistics import scalars

    import sitewise as sw
    from sitewise.inference.engine import silent
    from sitewise.inference.verdict import diagnose
    from sitewise.models.graph import build
    from sitewise.models.resolve import prepare

    options: dict[str, Any] = {"random_seed": 1, "progressbar": False}
    rows = []
    for number in range(-1, cohorts):  # the first is not counted: it fills the caches
        made = krog_size_cohort(max(number, 0), SEED, **TRUTH)
        spec, data = made.spec, prepare(made.spec, made.cohort)

        def ours(spec: sw.ModelSpec = spec, data: Any = data) -> Any:
            return sw.NestedLaplace().run(spec, data, seed=1, progress=False, report=silent).posterior

        def laplace(spec: sw.ModelSpec = spec, data: Any = data) -> Any:
            return pmx.fit_laplace(model=build(spec, data), draws=4000, **options)["posterior"].to_dataset()

        def pathfinder(spec: sw.ModelSpec = spec, data: Any = data) -> Any:
            return pmx.fit_pathfinder(model=build(spec, data), num_draws=4000, parallel=False, **options)[
                "posterior"
            ].to_dataset()

        def inla(spec: sw.ModelSpec = spec, data: Any = data) -> Any:
            model = build(spec, data)
            dependent = model["site_effect"]  # it refuses deterministics of what it integrates out
            model.deterministics.remove(dependent)
            for names in (model.named_vars, model.named_vars_to_dims):
                names.pop(dependent.name)
            model = freeze_dims_and_data(model)
            latent, precision = model["site_effect_standardised"], np.eye(len(spec.resolved.site_labels))
            return fit_INLA(latent, precision, model=model, draws=draws, tune=200, chains=1, cores=1, **options)[
                "posterior"
            ].to_dataset()

        reference = sw.Nuts(draws=effective, cores=1).run(spec, data, seed=9, progress=False, report=silent).posterior
        truth = reference[["shape", "log_hazard_ratio", "site_sd"]]
        named = {"NestedLaplace()": ours, "fit_laplace": laplace, "fit_pathfinder": pathfinder}
        if number == 0 and draws:
            named["fit_INLA"] = inla
        for name, work in named.items():
            started = time.perf_counter()
            try:
                found = work()
            except Exception as error:
                print(f"{name} fails: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            spent = time.perf_counter() - started
            if number < 0:
                continue
            values = scalars(found[list(truth.data_vars)])[1]
            ess = float(diagnose(values)["ess_bulk"].min())
            labels, exact = scalars(truth)
            for label, own, other in zip(labels, values, exact, strict=True):
                rows.append(
                    {
                        "method": name,
                        "cohort": number,
                        "scalar": label,
                        "seconds": spent,
                        "ess": ess if name == "fit_INLA" else None,
                        "mean": float((own.mean() - other.mean()) / other.std()),
                        "sd": float(own.std() / other.std()),
                    }
                )
        print(f"approximations: cohort {number + 1} of {cohorts}", file=sys.stderr, flush=True)
    return rows


def table_of(rows: list[dict]) -> list[str]:
    """Return the table of other approximations."""
    if not rows:
        remark = "pymc-extras is not installed: its Laplace approximation, Pathfinder and INLA are not compared."
        print(remark)
        return ["", remark]
    frame = pd.DataFrame(rows)
    lines = [
        "",
        "Approximations by pymc-extras on the same graph, and ours, against long NUTS: seconds of a fit (theirs compile anew for every cohort; "
        "the first fit of the process is left out, save INLA's), and the largest errors over cohorts. `fit_INLA` is nested too: it integrates "
        "site effects out by Laplace and samples the rest by NUTS, one chain, with the effective draws named.",
        "",
        "| method | cohorts | s a fit | mean of site sd, in sds | sd of site sd, ratio | means of shape and coefficients, in sds | their sds, ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in frame.groupby("method", sort=False):
        seconds = own.groupby("cohort")["seconds"].first()
        of_sd = own["scalar"] == "site_sd"
        ess = "" if own["ess"].isna().all() else f" ({own['ess'].iloc[0]:.0f} effective draws)"
        lines.append(
            f"| {name}{ess} | {own['cohort'].nunique()} | {seconds.median():.3g} ({seconds.min():.3g} to {seconds.max():.3g}) | {own[of_sd]['mean'].abs().max():.2f} "
            f"| {own[of_sd]['sd'].min():.2f} to {own[of_sd]['sd'].max():.2f} | {own[~of_sd]['mean'].abs().max():.2f} "
            f"| {own[~of_sd]['sd'].min():.2f} to {own[~of_sd]['sd'].max():.2f} |"
        )
    return lines


if __name__ == "__main__":
    print("\n" + json.dumps(approximate(*map(int, sys.argv[1:]))))
