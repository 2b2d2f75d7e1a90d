"""Writing what a trial's design is worth: tables, every trial, pictures, a page, and what makes it again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sitewise.inference.engine import Report, silent
from sitewise.inference.result import installed_versions
from sitewise.report.json_files import write_json
from sitewise.report.trial_drift import DriftSweep, swept
from sitewise.report.trial_page import trial_page
from sitewise.report.trial_tables import FORECAST, tables_of
from sitewise.report.trial_values import nominal, synthetic
from sitewise.trial.assessment import Assessment
from sitewise.trial.operating.size import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = ("size_curve", "forecast", "stopping", "decision_traces", "type_one_error", "drift_sweep", "truth")
SOMETIMES = (
    *(f"{name}.csv" for name in ("size_curve", "agreement", "drift_sweep", "solution", *FORECAST)),
    *(f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")),
)
"""Files that an earlier run may have left and this one need not write."""


def write_assessment(
    found: Assessment,
    folder: str | Path,
    /,
    *,
    solution: Solution | None = None,
    source: str = "",
    report: Report = silent,
) -> dict[str, Path]:
    """Write tables, ``trials.nc``, ``design.json``, pictures and ``report.html``; docs/trial-files.md has their columns.

    Parameters
    ----------
    found : Assessment
        What the design is worth.
    folder : str or Path
        Made when missing; files that an earlier run wrote here and this one does not are removed.
    solution : Solution, optional
        The size that was looked for.
    source : str
        Name of the design's file.
    report : callable
        Told what is being done.

    Returns
    -------
    dict of str to Path
        Paths of what was written, by file name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOMETIMES:
        (folder / name).unlink(missing_ok=True)
    report("Writing tables")
    sweep = swept(found)
    written: dict[str, Path] = {}
    for name, table in tables_of(found, sweep=sweep, solution=solution).items():
        written[f"{name}.csv"] = folder / f"{name}.csv"
        table.to_csv(written[f"{name}.csv"], index=False, float_format="%.10g")
    report("Writing every trial")
    written["trials.nc"] = _trials(found, folder / "trials.nc")
    written["design.json"] = write_json(folder / "design.json", _about(found, solution, sweep, source))
    report("Drawing pictures")
    written |= _pictures(found, folder, solution, sweep)
    report("Writing the page")
    written["report.html"] = folder / "report.html"
    page = trial_page(found, written, solution=solution, sweep=sweep, source=source)
    written["report.html"].write_text(page, encoding="utf-8")
    return written


def _trials(found: Assessment, path: Path) -> Path:
    """Write the dataset with what made it, and how each trial ended."""
    results, decisions = found.results, found.decisions
    data = results.data.assign(
        outcome=(("scenario", "replicate"), decisions.outcome.astype("int8")),
        stop=(("scenario", "replicate"), decisions.stop.astype("int8")),
        threshold=(("look", "criterion"), decisions.thresholds),
    )
    data["outcome"].attrs["meaning"] = "0 no decision, 1 success, 2 futility, 3 analysis failed"
    data["stop"].attrs["meaning"] = "position of the look at which the trial ends"
    data = data.assign_attrs(
        title=found.design.title,
        truth=found.cohorts.truth.source,
        truth_hash=found.cohorts.truth.source_hash,
        versions=json.dumps(installed_versions()),
    )
    return replace(results, data=data).save(path)


def _about(found: Assessment, solution: Solution | None, sweep: DriftSweep | None, source: str) -> dict[str, Any]:
    design, cohorts = found.design, found.cohorts
    others = {"benchmark": cohorts.benchmark, "history": cohorts.history}
    return {
        "schema_version": 1,
        "source": source,
        "design": design.to_dict(),
        "design_hash": design.hash,
        "truth": {
            "source": cohorts.truth.source,
            "source_hash": cohorts.truth.source_hash,
            "cohort_arm": cohorts.truth.cohort_arm,
            "rows": cohorts.truth.rows,
            "synthetic": synthetic(found),
            "notes": list(cohorts.truth.notes),
        },
        "cohorts": {
            name: {"source": cohort.cohort.source, "source_hash": cohort.cohort.source_hash}
            for name, cohort in others.items()
            if cohort is not None
        },
        "analysis": found.results.analysis,
        "nominal_type_one_error": nominal(found),
        "solution": None
        if solution is None
        else {
            "vary": solution.vary,
            "target": solution.target,
            "value": solution.value,
            "success": solution.success,
            "mcse": solution.mcse,
            "ceiling": solution.ceiling,
            "sentence": solution.sentence,
        },
        "sweet_spots": None if sweep is None else {name: list(spots) for name, spots in sweep.sweet_spots.items()},
        "flags": list(found.flags),
        "seed": design.simulation.seed,
        "trials": int(found.results.data.sizes["replicate"]),
        "seconds": dict(found.seconds),
        "versions": installed_versions(),
    }


def _pictures(found: Assessment, folder: Path, solution: Solution | None, sweep: DriftSweep | None) -> dict[str, Path]:
    from sitewise.report.plot_trial_borrowing import plot_borrowing
    from sitewise.report.plot_trial_forecast import plot_forecast
    from sitewise.report.plot_trial_size import plot_size
    from sitewise.report.plot_trial_stops import plot_stops, plot_type_one
    from sitewise.report.plot_trial_traces import plot_traces
    from sitewise.report.plot_trial_truth import plot_truth
    from sitewise.report.style import mark_synthetic, save, styled

    written: dict[str, Path] = {}
    with styled():
        figures: dict[str, Figure] = {
            "forecast": plot_forecast(found),
            "stopping": plot_stops(found),
            "decision_traces": plot_traces(found),
            "truth": plot_truth(found),
        }
        if len(found.curve):
            figures["size_curve"] = plot_size(found, solution)
        if len(found.thresholds.errors):
            figures["type_one_error"] = plot_type_one(found)
        if sweep is not None:
            figures["drift_sweep"] = plot_borrowing(sweep)
        for name, figure in figures.items():
            if synthetic(found):
                mark_synthetic(figure)
            written |= {path.name: path for path in save(figure, folder, name)}
    return written
