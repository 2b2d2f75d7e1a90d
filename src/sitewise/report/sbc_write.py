"""Writing what simulation-based calibration found: tables, pictures, a page, and what reproduces it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import pandas as pd

from sitewise.cohort import Cohort
from sitewise.inference.engine import Report, silent
from sitewise.inference.result import installed_versions
from sitewise.models import ModelSpec
from sitewise.report.json_files import write_json
from sitewise.report.page_first import NOT_FOR_PATIENTS
from sitewise.report.page_parts import Section, Table, embedded, rows_of
from sitewise.studies.sbc import Calibration

SOMETIMES = ("coverage_by_size.csv", "coverage_by_size.png", "coverage_by_size.svg")
SHOWN_PROB = 0.9
OF_SITES = ("site_effect", "site_slope[")
"""Beginnings of the quantities that are about single sites."""


def write_sbc(
    found: Calibration,
    folder: str | Path,
    /,
    *,
    spec: ModelSpec,
    cohort: Cohort,
    seed: int,
    by_size: pd.DataFrame | None = None,
    report: Report = silent,
) -> dict[str, Path]:
    """Write ``tests.csv``, ``coverage.csv``, ``estimates.parquet``, ``fits.csv``, pictures, ``sbc.json`` and ``report.html``.

    Parameters
    ----------
    found : Calibration
        What was found.
    folder : str or Path
        Made when missing.
    spec, cohort, seed
        Of the calibration.
    by_size : DataFrame, optional
        Of :func:`sitewise.studies.sbc.coverage`.
    report : callable
        Told what is being done.
    """
    from sitewise.report.plot_sbc import plot_coverage, plot_ecdf
    from sitewise.report.style import save, styled

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOMETIMES:
        (folder / name).unlink(missing_ok=True)
    report("Writing tables")
    written: dict[str, Path] = {}
    tables = {"tests": found.tests, "coverage": found.coverage, "fits": found.replicates.fits}
    if by_size is not None:
        tables["coverage_by_size"] = by_size
    for name, table in tables.items():
        written[f"{name}.csv"] = folder / f"{name}.csv"
        table.to_csv(written[f"{name}.csv"], index=False, float_format="%.10g")
    written["estimates.parquet"] = folder / "estimates.parquet"
    found.replicates.estimates.to_parquet(written["estimates.parquet"], index=False)
    report("Drawing pictures")
    with styled():
        figures = {"ecdf": plot_ecdf(found)}
        if by_size is not None:
            figures["coverage_by_size"] = plot_coverage(by_size)
        for name, figure in figures.items():
            written |= {path.name: path for path in save(figure, folder, name)}
    about = {
        "schema_version": 1,
        "around": found.around,
        "passed": found.passed,
        "sentence": found.sentence,
        "alpha": found.alpha,
        "replicates": len(found.replicates.fits),
        "verdicts": found.replicates.fits.get("verdict", pd.Series(dtype=str)).value_counts().to_dict(),
        "engine": repr(found.replicates.job.engine),
        "seed": seed,
        "data_hash": cohort.data_hash,
        "spec": spec.to_dict(),
        "versions": installed_versions(),
    }
    written["sbc.json"] = write_json(folder / "sbc.json", about)
    written["report.html"] = folder / "report.html"
    written["report.html"].write_text(_page(found, spec, cohort, seed, by_size, written), encoding="utf-8")
    return written


def _page(
    found: Calibration,
    spec: ModelSpec,
    cohort: Cohort,
    seed: int,
    by_size: pd.DataFrame | None,
    files: Mapping[str, Path],
) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("sitewise.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    style = (resources.files("sitewise.report") / "templates" / "page.css").read_text(encoding="utf-8")
    fits = found.replicates.fits
    verdicts = fits.get("verdict", pd.Series(dtype=str)).value_counts()
    counts = ", ".join(f"{count} {name}" for name, count in verdicts.items())
    return environment.get_template("study.html.j2").render(
        title="Are these posteriors right when the truth is known?",
        alarm="" if found.passed else "Calibration fails: do not trust this model's computation.",
        caution=NOT_FOR_PATIENTS,
        answers=[
            ("Finding", found.sentence),
            (
                "What was done",
                f"{len(fits)} truths from the {found.around}; each simulated, fitted, and looked for in its posterior.",
            ),
            ("Fits", f"Verdicts: {counts}. {found.not_fitted} not fitted."),
        ],
        sections=[
            _ecdf_section(found, files),
            _coverage_section(found),
            *([] if by_size is None else [_size_section(by_size, files)]),
            _methods_section(found, spec, cohort, seed),
        ],
        style=style,
        version=installed_versions().get("sitewise", ""),
    )


def _ecdf_section(found: Calibration, files: Mapping[str, Path]) -> Section:
    rows = [
        [str(row.quantity), *(f"{value:.3f}" for value in (row.p, row.p_folded, row.p_holm, row.mean, row.sd_ratio))]
        for row in rows_of(found.tests)
    ]
    head = ["Quantity", "p", "p, folded", "p, Holm", "mean PIT (0.5)", "sd / uniform (1)"]
    sentences = [
        "The PIT value of a quantity is the posterior probability below its truth. Over many truths from the prior these are "
        "uniform if the computation is right. Shown is their distribution function minus the uniform one, with a band that "
        "holds the whole of it in 99 of 100 calibrated cases, the smallest p first. (The test's p values end at one half.)",
        "sd / uniform above 1: posteriors are too narrow; below 1: too wide.",
    ]
    return Section(
        "uniform", "PIT values", sentences, [Table(head, rows)], [embedded(files["ecdf.svg"], "ECDFs of PIT values")]
    )


def _coverage_section(found: Calibration) -> Section:
    own = found.coverage[found.coverage["prob"] == SHOWN_PROB]
    rows = [[str(row.quantity), f"{row.coverage:.3f}", f"{row.mcse:.3f}"] for row in rows_of(own)]
    told = f"Share of {100 * SHOWN_PROB:g} % intervals that hold the truth, and its Monte Carlo error. More in coverage.csv."
    return Section("coverage", "Coverage", [told], [Table(["Quantity", "coverage", "Monte Carlo error"], rows)])


def _size_section(table: pd.DataFrame, files: Mapping[str, Path]) -> Section:
    keys = ["patients", "sites", "quantity"]
    rows = [
        [
            f"{row.patients} patients, {row.sites} sites: {row.quantity}",
            *(f"{value:.3f}" for value in (row.truth, row.bias, row.rmse, row.coverage, row.width)),
        ]
        for row in table[~table["quantity"].str.startswith(OF_SITES)].sort_values(keys).pipe(rows_of)
    ]
    told = "When a scenario is the truth, instead of draws from the prior, the prior pulls: bias and coverage by size."
    head = ["Size and quantity", "truth", "bias", "root mean square error", "coverage", "width"]
    picture = embedded(files["coverage_by_size.svg"], "Coverage and bias by numbers of patients and sites")
    return Section("size", "By number of patients and sites", [told], [Table(head, rows)], [picture])


def _methods_section(found: Calibration, spec: ModelSpec, cohort: Cohort, seed: int) -> Section:
    rows = [
        ["formula", spec.formula],
        ["family and metric", f"{spec.family.name}, {spec.metric}"],
        ["patients", f"{len(cohort)} of {cohort.source}"],
        ["engine", repr(found.replicates.job.engine)],
        ["seed", str(seed)],
        ["data hash", cohort.data_hash[:16]],
        *([name, version] for name, version in installed_versions().items()),
    ]
    sentences = [
        "Parameters are drawn by PyMC from the model's own graph, times by inverting the cumulative hazard. A patient's "
        "follow-up is their own or, after an event, drawn from the reverse Kaplan-Meier curve beyond it. Uniformity by "
        "arviz-stats' test for continuous PIT values, of the values and of abs(2 PIT - 1), corrected by Holm at "
        f"{found.alpha:g} over all quantities.",
    ]
    return Section("methods", "Methods", sentences, [Table(["What", "value"], rows)])
