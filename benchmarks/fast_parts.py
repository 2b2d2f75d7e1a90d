"""Parts of ``bench_fast.py`` that need a process of their own; each prints what it found as JSON on its last line.

python benchmarks/fast_parts.py count | large PATIENTS SITES NUMERIC | imports TABLE FOLDER | approximate COHORTS DRAWS NUTS
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FORMULA = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"
TRUTH = {"shape": 0.9, "scale": 30.0, "ecog": 0.6, "child_pugh": 0.9, "site_sd": 0.3}
"""The cohorts whose speed is measured differ by chance, not by their truth."""
SEED = 5


def count(draws: int = 340) -> dict[str, int]:
    """Return how often one fit of 100 patients takes exponentials and logarithms, counted where its functions run uncompiled."""
    import numba

    numba.config.DISABLE_JIT = True
    numba.cfunc = lambda *_, **__: lambda function: function  # nutpie's, which stay out of this
    from varied_cohorts import krog_size_cohort

    import sitewise.inference.nested_laplace.exposure as exposure
    import sitewise.inference.nested_laplace.hazards as hazards
    import sitewise.inference.nested_laplace.weighting as weighting
    from sitewise.models.resolve import prepare

    made = krog_size_cohort(0, SEED, **TRUTH)
    data = prepare(made.spec, made.cohort)
    counts: Counter[str] = Counter()

    def counting(name: str, function: Callable[..., float]) -> Callable[..., float]:
        def counted(*values: float) -> float:
            counts[name] += 1
            return function(*values)

        return counted

    for name, kind in (("exp", "exp"), ("expm1", "exp"), ("sinh", "exp"), ("cosh", "exp"), ("log", "log"), ("log1p", "log")):
        setattr(math, name, counting(kind, getattr(math, name)))
    in_rows = hazards.exponentials

    def counted_rows(x: np.ndarray, out: np.ndarray, n: int) -> None:
        counts["in rows"] += n
        in_rows(x, out, n)

    hazards.exponentials = exposure.exponentials = counted_rows
    found = weighting.weighted_draws(made.spec, data, draws=draws, rng=np.random.default_rng(1))
    return {**counts, "nodes": found.nodes}


def large(patients: int, sites: int, numeric: bool) -> dict[str, Any]:
    """Return seconds and peak memory of a large cohort: three categorical covariates, and a numeric one where asked."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"site": rng.integers(0, sites, patients)})
    frame["site"] = ("site " + frame["site"].astype(str).str.zfill(3)).astype("category")
    levels = [rng.integers(0, size, patients) for size in (2, 3, 4)]
    predictor = rng.normal(0.0, 0.3, sites)[frame["site"].cat.codes]
    for number, level in enumerate(levels):
        frame[f"x{number + 1}"] = pd.Categorical.from_codes(level, list("abcd")[: level.max() + 1])
        predictor += np.array([0.0, 0.3, -0.2, 0.5])[level]
    covariates = ["x1", "x2", "x3"]
    if numeric:
        frame["age"] = rng.normal(60.0, 10.0, patients).round(1)
        predictor += 0.02 * (frame["age"].to_numpy() - 60)
        covariates.append("age")
    time_ = 20.0 * (rng.standard_exponential(patients) * np.exp(-predictor)) ** (1 / 1.1)
    censored = rng.uniform(5.0, 60.0, patients)
    frame["time"], frame["event"] = np.maximum(np.minimum(time_, censored), 1e-3), (time_ <= censored).astype(int)
    del predictor, time_, censored, levels
    import sitewise as sw

    started = time.perf_counter()
    cohort = sw.Cohort.from_frame(frame, time="time", event="event", site="site", covariates=covariates)
    read = time.perf_counter()
    before = _peak()
    spec = sw.ModelSpec.from_formula(f"Surv(time, event) ~ {' + '.join(covariates)} + (1 | site)")
    reading, read = read - started, time.perf_counter()
    fit = sw.fit(spec, cohort, engine=sw.NestedLaplace())
    return {
        "numeric": numeric,
        "patients": patients,
        "sites": sites,
        "from_frame": reading,
        "fit": time.perf_counter() - read,
        "stages": dict(fit.seconds),
        "peak_before": before,
        "peak": _peak(),
        "verdict": fit.verdict.level,
        "importance_ess": fit.verdict["importance_ess"].value,
    }


def _peak() -> float:
    """Return the largest memory that this process has held, in GB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage goes on counting what the parent held
        return float(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e9
    unit = 1.0 if sys.platform == "darwin" else 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def imports(table: str, folder: str) -> dict[str, Any]:
    """Return which of the libraries that the fast engine does without `sitewise fit` has loaded all the same."""
    from sitewise.cli import main

    found = {}
    for more in (["--no-report"], []):
        command = ["fit", table, "--engine", "nested-laplace", "--model", FORMULA, "--out", folder, *more]
        sys.argv = ["sitewise", *command]
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise
        found[" ".join(more) or "with report"] = [name for name in ("pymc", "pytensor", "nutpie") if name in sys.modules]
    return found


PARTS: dict[str, Callable[..., Any]] = {"count": count, "large": large, "imports": imports}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    which, *given = sys.argv[1:]
    print("\n" + json.dumps(PARTS[which](*(int(value) if value.isdigit() else value for value in given))))
