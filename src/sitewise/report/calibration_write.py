"""Writing every file of a calibration."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sitewise.evidence import evidence_hash
from sitewise.problems import plural
from sitewise.report.calibration_page import render_calibration, settings
from sitewise.report.calibration_results import CalibrationResults
from sitewise.report.calibration_toml import scenario_toml
from sitewise.report.calibration_verdict import CalibrationVerdict, calibration_verdict
from sitewise.report.json_files import write_json
from sitewise.simulate.calibration.natural import NOT_IDENTIFIED
from sitewise.simulate.progression import all_misses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA_VERSION = 1
PICTURES = ("targets", "distance", "survival", "implied", "contraction")
SOMETIMES = (
    "sensitivity.csv",
    "reconstructed.csv",
    "reconstructed.json",
    "misses.csv",
    "progression.csv",
    "progression_targets.csv",
    *(f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")),
)
"""Files that not every calibration has."""
Report = Callable[[str], None]


def write_calibration(
    results: CalibrationResults, folder: str | Path, /, *, report: Report = lambda message: None
) -> dict[str, Path]:
    """Write tables, pictures, ``scenario.toml``, ``posterior.nc``, ``diagnostics.json`` and ``report.html`` into ``folder``.

    Parameters
    ----------
    results : CalibrationResults
        What to write.
    folder : str or Path
        Made when missing; files of the same name are replaced, those of an earlier run that this one does not make are removed.
    report : callable
        Told what is being done.

    Returns
    -------
    dict of str to Path
        The files written, by name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOMETIMES:
        (folder / name).unlink(missing_ok=True)
    verdict = calibration_verdict(results)
    written: dict[str, Path] = {}
    report("Writing tables")
    for name, table in _tables(results).items():
        written[name] = folder / name
        table.to_csv(written[name], index=False, float_format="%.10g")
    if results.reconstructed is not None:
        for path in results.reconstructed.save(folder / "reconstructed.csv"):
            written[path.name] = path
    written["scenario.toml"] = _text(folder / "scenario.toml", scenario_file(results))
    written["posterior.nc"] = _posterior(results, folder / "posterior.nc")
    report("Drawing pictures")
    drawn = write_pictures(results, folder)
    written |= {path.name: path for path in drawn}
    report("Writing the report")
    vector = {path.stem: path for path in drawn if path.suffix == ".svg"}
    written["report.html"] = _text(folder / "report.html", render_calibration(results, verdict, vector))
    written["diagnostics.json"] = write_json(folder / "diagnostics.json", diagnostics(results, verdict))
    return written


def _tables(results: CalibrationResults) -> dict[str, pd.DataFrame]:
    found = {"targets.csv": results.targets, "contrasts.csv": results.contrasts, "parameters.csv": results.parameters}
    if results.sensitivity is not None:
        found["sensitivity.csv"] = results.sensitivity
    if results.reconstructed is not None:
        found["misses.csv"] = all_misses(results.reconstructed)
    if results.progression is not None:
        found["progression.csv"] = results.progression.parameters(prob=results.prob)
        found["progression_targets.csv"] = results.progression.targets()
    return found


def _text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def scenario_file(results: CalibrationResults) -> str:
    """Return ``scenario.toml``: the calibrated process at its moment estimates, as one fixed truth."""
    problem = results.calibration.problem
    comment = (
        f"Calibrated to {problem.evidence.id} by sitewise {metadata.version('sitewise')}, seed {results.calibration.seed}.\n"
        f"Evidence {evidence_hash(problem.evidence)}.\n"
        "One process without its uncertainty, for sitewise simulate FILE; posterior.nc holds the uncertainty.\n"
        f"Assumed: {NOT_IDENTIFIED}."
    )
    return scenario_toml(results.calibration.scenario(), comment=comment)


def _posterior(results: CalibrationResults, path: Path) -> Path:
    """Write the draws as a DataTree with group ``posterior``, as ArviZ reads it."""
    import xarray as xr

    draws = results.calibration.to_dataset()
    # A slash in a name would be a group of the file.
    draws = draws.rename({str(name): str(name).replace("/", "_") for name in draws if "/" in str(name)})
    xr.DataTree.from_dict({"posterior": draws}).to_netcdf(path, engine="h5netcdf")
    return path


def write_pictures(results: CalibrationResults, folder: Path) -> list[Path]:
    """Draw every picture that the calibration has, as PNG and SVG."""
    from sitewise.report.calibration_curves import plot_fans
    from sitewise.report.calibration_forest import plot_distance, plot_targets
    from sitewise.report.calibration_implied import plot_contraction, plot_implied
    from sitewise.report.style import save, styled

    drawing: dict[str, Callable[[CalibrationResults], Figure | None]] = {
        "targets": plot_targets,
        "distance": plot_distance,
        "survival": plot_fans,
        "implied": plot_implied,
        "contraction": plot_contraction,
    }
    paths = []
    with styled():
        for name, draw in drawing.items():
            figure = draw(results)
            if figure is not None:
                paths += save(figure, folder, name)
    return paths


def diagnostics(results: CalibrationResults, verdict: CalibrationVerdict) -> dict[str, Any]:
    """Return ``diagnostics.json``: the verdict with the numbers behind it, and what reproduces the run."""
    calibration = results.calibration
    evidence = calibration.problem.evidence
    distance, own = results.distances
    middle, last = np.quantile(own, [0.5, 0.95])
    return {
        "schema_version": SCHEMA_VERSION,
        "prob": results.prob,
        "verdict": verdict.level,
        "sentence": verdict.sentence,
        "beyond": list(verdict.beyond),
        "unmet": list(verdict.unmet),
        "prior_driven": list(verdict.prior_driven),
        "sparse": verdict.sparse,
        "conflicts": list(results.conflicts["target"]),
        "audit": {severity: len(results.audit.of(severity)) for severity in ("error", "warning", "note")},
        "distance": {
            "published": distance,
            "percentile": results.distance_percentile,
            "simulated_median": float(middle),
            "simulated_95": float(last),
            "cohorts": len(own),
        },
        "moments": {
            "converged": calibration.moments.converged,
            "iterations": calibration.moments.iterations,
            "distance": calibration.moments.distance,
        },
        "posterior": {
            "method": calibration.posterior.method,
            "last_round_moved": calibration.posterior.moved,
            "effective_draws": calibration.posterior.effective,
            "acceptance": calibration.posterior.acceptance,
            "draws": len(calibration.draws[0]),
        },
        "progression": {
            "calibrated": results.progression is not None,
            "why_not": results.without_progression,
            "left_out": [{"target": target, "reason": reason} for target, reason in results.left_out_of_progression],
        },
        "not_identified": NOT_IDENTIFIED,
        "assumptions": settings(results),
        "seed": calibration.seed,
        "evidence": evidence.id,
        "evidence_hash": evidence_hash(evidence),
        "versions": {name: metadata.version(name) for name in ("sitewise", "numpy", "scipy", "pandas", "xarray", "numba")},
    }


def short_calibration(results: CalibrationResults, verdict: CalibrationVerdict) -> list[tuple[str, str]]:
    """Return the rows of the terminal's table: what is implied, and the numbers that fit worst."""
    from sitewise.report.calibration_implied import group_counts

    rows = [("Events", f"{results.events} of {plural(results.patients, 'patient', 'patients')}")]
    rows += [
        (name, f"{results.count_span(people)} patients, {results.count_span(deaths)} events")
        for name, people, deaths in group_counts(results)
    ]
    if results.without_progression:
        rows.append(("Progression", f"left out: {results.without_progression}"))
    rows += [("Progression", f"without {target}: {reason}") for target, reason in results.left_out_of_progression]
    known = results.fitted.assign(away=results.fitted["z"].abs()).nlargest(3, "away")
    rows += [(f"z {float(str(row.z)):+.1f}", f"{row.target} ({row.printed})") for row in known.itertuples()]
    return rows
