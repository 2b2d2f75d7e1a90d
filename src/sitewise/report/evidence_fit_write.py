"""Writing every file of an evidence fit, and the short table that a terminal shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from sitewise import names
from sitewise.evidence import evidence_hash
from sitewise.inference.result import installed_versions
from sitewise.report.evidence_fit_page import render
from sitewise.report.evidence_fit_plots import write_pictures
from sitewise.report.evidence_fit_tables import all_tables, of_each_cohort
from sitewise.report.json_files import write_json
from sitewise.report.write import format_median
from sitewise.simulate.calibration.natural import NOT_IDENTIFIED
from sitewise.studies.evidence_fit import EvidenceFit
from sitewise.studies.evidence_verdict import StackVerdict, counts, judge

SCHEMA_VERSION = 1
Report = Callable[[str], None]


def write_evidence_fit(
    fit: EvidenceFit, folder: str | Path, /, *, prob: float = 0.95, report: Report = lambda message: None
) -> dict[str, Path]:
    """Write tables, pictures, ``report.html``, ``diagnostics.json``, the cohorts and the stacked draws into ``folder``.

    Parameters
    ----------
    fit : EvidenceFit
        What to write.
    folder : str or Path
        Made when missing; files of the same name are replaced.
    prob : float
        Probability of the intervals.
    report : callable
        Told what is being done.

    Returns
    -------
    dict of str to Path
        The files written, by name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report("Writing tables")
    each, verdict = of_each_cohort(fit, prob=prob), judge(fit)
    tables = all_tables(fit, each, prob=prob)
    written: dict[str, Path] = {}
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        table.assign(synthetic=True).to_csv(path, index=False, float_format="%.10g")
        written[path.name] = path
    report("Drawing pictures")
    (folder / "effects.png").unlink(missing_ok=True)
    (folder / "effects.svg").unlink(missing_ok=True)
    for path in write_pictures(fit, tables, each, folder, prob=prob):
        written[path.name] = path
    report("Writing the report, the cohorts and the draws")
    pictures = {path.stem: path for path in written.values() if path.suffix == ".svg"}
    path = folder / "report.html"
    path.write_text(render(fit, tables, each, verdict, pictures, prob=prob), encoding="utf-8")
    written[path.name] = path
    for path in fit.produced.save(folder / "cohorts.parquet"):
        written[path.name] = path
    written["posterior.nc"] = fit.save(folder / "posterior.nc")
    written["diagnostics.json"] = write_json(folder / "diagnostics.json", diagnostics(fit, verdict, prob=prob))
    return written


def diagnostics(fit: EvidenceFit, verdict: StackVerdict, /, *, prob: float) -> dict[str, Any]:
    """Return ``diagnostics.json``: the verdict, every number behind it, and what reproduces the run."""
    problem = fit.produced.problem
    return {
        "schema_version": SCHEMA_VERSION,
        "prob": prob,
        "verdict": verdict.level,
        "sentence": verdict.sentence,
        "checks": verdict.to_dict(),
        "cohorts": counts(fit.members),
        "left_out": [{"cohort": member.place, "reason": member.reason} for member in fit.members if not member.stacked],
        "engine": fit.engine,
        "engine_settings": dict(fit.settings),
        "seed": fit.seed,
        "seeds": [member.seed for member in fit.members],
        "guarantee_times": [member.guarantee_time for member in fit.members],
        "versions": installed_versions(),
        "evidence": fit.evidence.id,
        "evidence_hash": evidence_hash(fit.evidence),
        "doi": fit.evidence.source.doi,
        "product": fit.produced.product,
        "assumptions": problem.assumptions.to_dict(),
        "not_identified": NOT_IDENTIFIED,
        "spec": fit.spec.to_dict(),
        "covariates_are": fit.suggested.why,
        "synthetic": True,
    }


def terminal_rows(fit: EvidenceFit, folder: str | Path, /) -> list[list[str]]:
    """Return the rows of the terminal's table from the files written: group, n, events, medians and milestones."""
    blanks: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
    estimands = pd.read_csv(Path(folder) / "estimands.csv", **blanks)
    sizes = pd.read_csv(Path(folder) / "groups.csv", **blanks).set_index("group")
    printed = pd.read_csv(Path(folder) / "published.csv", **blanks)
    printed = printed[printed["quantity"] == names.MEDIAN_SURVIVAL].drop_duplicates("of").set_index("of")
    first = estimands[estimands["sites"] == fit.sites[0].label]
    rows = [["Group", "n", "events", "Paper's median", "Median survival", *(f"S({time:g})" for time in fit.times)]]
    for label in fit.group_names:
        own, size = first[first["group"] == label], sizes.loc[label]
        told = printed.loc[label] if label in printed.index else None
        said = "" if told is None else "not reached" if told["not_reached"] else f"{told['published']:g}"
        median = own[own["estimand"] == names.MEDIAN_SURVIVAL].iloc[0]
        cells = [label, _about(size, "n"), _about(size, "events"), said, format_median(median, float(size["last_time"]))]
        for row in own[own["estimand"] == names.SURVIVAL].itertuples():
            cells.append(f"{row.median:.2f}{'*' if row.extrapolated else ''}\n{row.lower:.2f}-{row.upper:.2f}")
        rows.append(cells)
    return rows


def _about(size: pd.Series, name: str) -> str:
    return f"{size[name]:.0f}\n{size[f'{name}_lower']:.0f}-{size[f'{name}_upper']:.0f}"
