"""One row of simulation-based calibration by NUTS, for the tables of models that only NUTS knows."""

from __future__ import annotations

import time

import sitewise as sw


def calibrated(
    name: str, wanted: str, spec: sw.ModelSpec, analysis: sw.ModelSpec, cohort: sw.Cohort, replicates: int, engine: sw.Nuts
) -> dict[str, object]:
    """Return the row of one model: whether cohorts of ``spec`` are calibrated under ``analysis``, and whether they should be."""
    started = time.perf_counter()
    found = sw.sbc(spec, cohort, replicates=replicates, engine=engine, analysis=analysis, seed=7)
    worst = found.tests.sort_values("p_holm").iloc[0]
    row = {
        "what": name,
        "wanted": wanted,
        "found": "pass" if found.passed else "fail",
        "smallest p (Holm)": f"{worst['p_holm']:.2g}",
        "of": worst["quantity"],
        "quantities": len(found.tests),
        "replicates": replicates,
        "not fitted": found.not_fitted,
        "seconds": round(time.perf_counter() - started),
    }
    print(row, flush=True)
    return row
