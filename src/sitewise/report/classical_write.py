"""Writing every file of a classical analysis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from sitewise.inference.result import installed_versions
from sitewise.report.classical_page import render_classical
from sitewise.report.classical_words import notes_of_sites
from sitewise.report.json_files import write_json
from sitewise.studies.classical_analysis import ClassicalTables
from sitewise.studies.classical_analysis.hidden import BesideTheModel

DRAWN = ("endpoints", "covariates", "risk_groups", "cox", "cox_and_model", "model_survival")
TABLES = ("failures", "toxicity", "published", "model_effects", "model_medians", "model_sites")
SOMETIMES = (*(f"{name}.csv" for name in TABLES), *(f"{name}.{kind}" for name in DRAWN for kind in ("png", "svg")))
"""Files that not every analysis has."""
Report = Callable[[str], None]


def write_classical(
    tables: ClassicalTables,
    folder: str | Path,
    /,
    *,
    beside: BesideTheModel | None = None,
    question: str = "",
    report: Report = lambda message: None,
) -> dict[str, Path]:
    """Write the tables of a classical analysis, its pictures, ``analysis.json`` and ``report.html`` into ``folder``.

    Parameters
    ----------
    tables : ClassicalTables
        Of :func:`sitewise.studies.classical_analysis.classical_tables`.
    folder : str or Path
        Made when missing; files of the same name are replaced, and those that only an earlier run made are removed.
    beside : BesideTheModel, optional
        The hierarchical model of the same patients.
    question : str
        What is asked, for the page's first line.
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
    written: dict[str, Path] = {}
    report("Writing tables")
    for name, table in {**tables.all(), **_of_model(beside)}.items():
        path = folder / f"{name}.csv"
        stated = table.assign(synthetic=True) if tables.cohort.synthetic else table
        stated.to_csv(path, index=False, float_format="%.10g")
        written[path.name] = path
    report("Drawing pictures")
    for path in draw_all(tables, folder, beside):
        written[path.name] = path
    report("Writing the report")
    pictures = {path.stem: path for path in written.values() if path.suffix == ".svg"}
    path = folder / "report.html"
    path.write_text(render_classical(tables, pictures, beside=beside, question=question), encoding="utf-8")
    written[path.name] = path
    written["analysis.json"] = write_json(folder / "analysis.json", described(tables, beside))
    return written


def _of_model(beside: BesideTheModel | None) -> dict[str, pd.DataFrame]:
    if beside is None:
        return {}
    found = {"model_effects": beside.effects, "model_medians": beside.medians, "model_sites": beside.site_models}
    return {name: table for name, table in found.items() if table is not None}


def draw_all(tables: ClassicalTables, folder: Path, beside: BesideTheModel | None) -> list[Path]:
    """Draw every picture that the analysis has, as PNG and SVG."""
    from sitewise.report.analysis import Analysis
    from sitewise.report.classical_forest import plot_beside, plot_cox
    from sitewise.report.classical_plots import plot_covariates, plot_endpoints, plot_risk_groups
    from sitewise.report.plot_survival import plot_survival
    from sitewise.report.style import mark_synthetic, save, styled

    paths = []
    with styled():
        figures = {
            "endpoints": plot_endpoints(tables),
            "covariates": plot_covariates(tables),
            "risk_groups": plot_risk_groups(tables),
            "cox": plot_cox(tables),
        }
        if beside is not None:
            figures["cox_and_model"] = plot_beside(tables, beside)
            times = tuple(time for time in tables.plan.times if time <= float(beside.fit.cohort.time.max()))
            figures["model_survival"] = plot_survival(Analysis(beside.fit, beside.groups, times=times, prob=tables.plan.prob))
        for name, figure in figures.items():
            if figure is not None:
                if tables.cohort.synthetic:
                    mark_synthetic(figure)
                paths += save(figure, folder, name)
    return paths


def described(tables: ClassicalTables, beside: BesideTheModel | None = None) -> dict[str, Any]:
    """Return what ``analysis.json`` holds: settings, versions, the data's hash, notes."""
    from sitewise.evidence import evidence_hash

    plan, cohort = tables.plan, tables.cohort
    content: dict[str, Any] = {
        "schema_version": 1,
        "ties": plan.ties,
        "entry_p": plan.entry_p,
        "entry_test": "likelihood-ratio test of all levels of the covariate together",
        "prob": plan.prob,
        "times": list(plan.times),
        "compared_by": plan.compared_by,
        "factors": {name: list(levels) for name, levels in plan.factors.items()},
        "counted": plan.counted,
        "covariates": {item.name: [list(row.names) for row in item.contrasts] for item in plan.covariates},
        "seed": plan.seed,
        "evidence": None if plan.evidence is None else plan.evidence.id,
        "evidence_hash": None if plan.evidence is None else evidence_hash(plan.evidence),
        "versions": installed_versions(),
        "data_hash": cohort.data_hash,
        "data": {
            "source": cohort.source,
            "synthetic": cohort.synthetic,
            "patients": len(cohort),
            "events": {item.name: int(item.event.sum()) for item in tables.outcomes.endpoints},
            "rows_read": cohort.rows_read,
            "rows_dropped": cohort.rows_dropped,
            "time_unit": cohort.time_unit,
        },
        "notes": [*cohort.notes, *tables.notes, *notes_of_sites(tables)],
        "warnings": list(cohort.warnings),
    }
    if beside is not None:
        content["model"] = {
            "formula": beside.fit.spec.formula,
            "family": beside.fit.spec.family.name,
            "guarantee_time": beside.fit.spec.guarantee_time,
            "seed": beside.fit.seed,
            "verdict": beside.fit.verdict.level,
            "sentence": beside.fit.verdict.sentence,
            "patients_left_out": beside.patients_left_out,
        }
    return content
