"""Writing what the checks found: tables, pictures, a page, and what reproduces it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from sitewise.inference import FitResult
from sitewise.inference.engine import Report, silent
from sitewise.inference.result import installed_versions
from sitewise.report.checks_page import FAMILIES, SITES, SUBGROUPS, checks_page
from sitewise.report.json_files import write_json
from sitewise.studies.checking.result import Checks
from sitewise.studies.checking.sites_left_out import long_table
from sitewise.studies.family_comparison import FamilyComparison
from sitewise.studies.small_subgroups import SmallSubgroups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLES = {
    "checks": "table",
    "check_over_time": "over_time",
    "check_sites": "by_site",
    "check_risk": "by_risk",
    "check_drift": "drift",
    "check_curves": "curves",
    "check_site_curves": "site_curves",
    "check_shares": "shares",
    "check_prediction": "prediction",
    "check_leave_one_out": "leave_one_out",
    "check_contraction": "contraction",
    "check_sensitivity": "sensitivity",
    "check_prior_conflict": "conflict",
    "check_prior_weights": "mixture",
    "check_prior_curve": "prior_curve",
}
"""Files without ``.csv``, and what of the checks they hold."""
PICTURES = (
    "check_curves",
    "check_sites",
    "check_hazard",
    "check_log_log",
    "check_residuals",
    "check_prediction",
    "check_priors",
)
PAGE, ABOUT = "checks.html", "checks.json"


def write_checks(
    found: Checks,
    fitted: FitResult,
    folder: str | Path,
    /,
    *,
    seed: int,
    families: FamilyComparison | None = None,
    subgroups: SmallSubgroups | None = None,
    report: Report = silent,
) -> dict[str, Path]:
    """Write tables, pictures, ``checks.json`` and ``checks.html``; those of an earlier run go.

    Parameters
    ----------
    found : Checks
        What was found.
    fitted : FitResult
        The fit that was checked.
    folder : str or Path
        Made when missing.
    seed : int
        Of the checks.
    families : FamilyComparison, optional
        The same model under other families.
    subgroups : SmallSubgroups, optional
        What is known of small groups, and from whom.
    report : callable
        Told what is being done.
    """
    from sitewise.report.style import mark_synthetic, save, styled

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    earlier = [f"{name}.csv" for name in (*TABLES, SITES, *FAMILIES, *SUBGROUPS)]
    earlier += [f"{name}.{kind}" for name in (*PICTURES, SITES, FAMILIES[0], SUBGROUPS[0]) for kind in ("png", "svg")]
    for name in (*earlier, PAGE, ABOUT):
        (folder / name).unlink(missing_ok=True)
    report("Writing tables")
    written: dict[str, Path] = {}
    tables: dict[str, pd.DataFrame] = {name: getattr(found, attribute) for name, attribute in TABLES.items()}
    if found.left_out_sites is not None:
        tables[SITES] = long_table(found.left_out_sites)
    if families is not None:
        tables |= dict(zip(FAMILIES, (families.table, families.groups), strict=True))
    if subgroups is not None:
        tables |= dict(zip(SUBGROUPS, (subgroups.table, subgroups.priors), strict=True))
    for name, table in tables.items():
        if len(table.columns):
            written[f"{name}.csv"] = folder / f"{name}.csv"
            stated = table.assign(synthetic=True) if fitted.cohort.synthetic else table
            stated.to_csv(written[f"{name}.csv"], index=False, float_format="%.10g")
    report("Drawing pictures")
    for name, figure in _pictures(found, families, subgroups).items():
        with styled():
            if fitted.cohort.synthetic:
                mark_synthetic(figure)
            written |= {path.name: path for path in save(figure, folder, name)}
    about = {
        "schema_version": 1,
        "found": list(found.found),
        "checks": found.table.drop(columns="sentence").to_dict("records"),
        "replicates": found.replicates,
        "refitted": found.refitted,
        "notes": list(found.notes),
        "prob": found.prob,
        "seed": seed,
        "data_hash": fitted.cohort.data_hash,
        "spec_hash": fitted.spec_hash,
        "versions": installed_versions(),
    }
    written[ABOUT] = write_json(folder / ABOUT, about)
    written[PAGE] = folder / PAGE
    written[PAGE].write_text(checks_page(found, fitted, seed, written, families, subgroups), encoding="utf-8")
    return written


def _pictures(found: Checks, families: FamilyComparison | None, subgroups: SmallSubgroups | None) -> dict[str, Figure]:
    from sitewise.report import plot_checks
    from sitewise.report.plot_families import plot_families
    from sitewise.report.plot_left_out import plot_leave_one_site_out
    from sitewise.report.plot_subgroups import plot_small_subgroups

    made = {
        "check_curves": plot_checks.plot_check_curves(found.curves, found),
        "check_hazard": plot_checks.plot_check_hazard(found),
        "check_log_log": plot_checks.plot_check_log_log(found),
        "check_residuals": plot_checks.plot_check_residuals(found),
    }
    if len(found.site_curves):
        made["check_sites"] = plot_checks.plot_check_curves(found.site_curves, found, prefix="site ")
    if len(found.prediction):
        made["check_prediction"] = plot_checks.plot_check_prediction(found)
    if len(found.contraction):
        made["check_priors"] = plot_checks.plot_check_priors(found)
    if found.left_out_sites is not None:
        made[SITES] = plot_leave_one_site_out(found.left_out_sites)
    if families is not None:
        made[FAMILIES[0]] = plot_families(families)
    if subgroups is not None:
        made[SUBGROUPS[0]] = plot_small_subgroups(subgroups)
    return made
