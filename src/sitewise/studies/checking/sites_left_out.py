"""Each site left out in turn, as a part of the checks of a fit: how well the other sites predict it, and what it moves."""

from __future__ import annotations

import pandas as pd

from sitewise.inference import FitResult, NestedLaplace
from sitewise.inference.engine import Report
from sitewise.inference.nested_laplace.engine import require_known
from sitewise.models.site_effects import RandomSites
from sitewise.problems import SpecError
from sitewise.studies.leave_one_site_out import LeaveOneSiteOut, leave_one_site_out

ENGINE = NestedLaplace(draws=1000)
FEWEST, MOST = 3, 60
"""Numbers of sites that are left out in turn."""


def sites_left_out(fitted: FitResult, *, seed: int, workers: int, report: Report) -> tuple[LeaveOneSiteOut | None, str]:
    """Return what the sites say of each other, or None and why; of models with random sites that the fast engine knows."""
    if not isinstance(fitted.spec.sites, RandomSites):
        return None, ""
    sites = len(fitted.cohort.site_labels)
    if not FEWEST <= sites <= MOST:
        return None, f"There are {sites} sites: leaving each out is for {FEWEST} to {MOST} here; use leave_one_site_out."
    try:
        require_known(fitted.spec)
    except SpecError:
        return None, "Sites were not left out: that takes refits by the fast engine, which does not know this model."
    report("Leaving each site out")
    try:
        return leave_one_site_out(fitted, engine=ENGINE, seed=seed, workers=workers), ""
    except SpecError as error:
        return None, f"Sites were not left out: {str(error).rstrip('.')}."


def told_of_sites(found: LeaveOneSiteOut) -> str:
    """Return a sentence: which site the others predict worst, and which estimate a site moves most."""
    table = found.table.dropna(subset=["elpd"])
    if table.empty:
        return "No site could be left out."
    worst = min(table.to_dict("records"), key=lambda row: float(row["elpd_per_patient"]))
    sentence = (
        f"Of {len(found.table)} sites, each predicted by the others, site {worst['site']} is predicted worst "
        f"({worst['elpd_per_patient']:.2f} per patient; all: {found.elpd / found.table['patients'].sum():.2f})"
    )
    moved = found.shifts.dropna(subset=["shift"])
    if moved.empty:
        return f"{sentence}."
    most = max(moved.to_dict("records"), key=lambda row: abs(float(row["shift"])))
    return (
        f"{sentence}. What moves most: {most['quantity']}, by {most['shift']:+.2f} posterior sds without site {most['site']}."
    )


def long_table(found: LeaveOneSiteOut) -> pd.DataFrame:
    """Return a row a site and estimate: the site's prediction, and how far the estimate moves without it."""
    own = found.table[["site", "patients", "events", "elpd", "elpd_mcse", "elpd_per_patient", "status"]]
    return own.merge(found.shifts, on="site", how="left")
