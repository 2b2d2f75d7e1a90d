"""Leave one site out: how well the others predict a site that they have not seen, and how much each site moves the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.estimands import log_hazard_ratios, site_sd, summarise
from sitewise.inference import Engine, FitResult, NestedLaplace
from sitewise.inference.densities import coefficient_name
from sitewise.inference.engine import Report, silent
from sitewise.models.site_effects import FixedSites
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError
from sitewise.studies.given import full_fit
from sitewise.studies.leaving_out import Parts, log_mean, monte_carlo_error, refits
from sitewise.studies.predictive import (
    Variables,
    hazard_site_sd,
    log_likelihood_of_site,
    on_hazard_scale,
    require_one_shape,
    require_site_integral,
)
from sitewise.studies.replication.work import Weighted

Floats = NDArray[np.float64]
ENGINE = NestedLaplace(draws=2000)
SHIFT, SHIFT_ERROR = "shift ", "shift mcse "


@dataclass(frozen=True, eq=False)
class LeaveOneSiteOut:
    """What the sites say of each other.

    Parameters
    ----------
    table : DataFrame
        A row a site: ``site, patients, events`` (weighted counts stay counts), ``elpd`` (log predictive density of the site's
        patients together, given the others), ``elpd_mcse, elpd_per_patient``, ``shift X`` for each estimate X (posterior mean
        without the site minus that with it, in posterior sds of the full fit) and ``shift mcse X``, then of the refit
        ``verdict, refit_importance_ess, refit_pareto_k, ..., status`` (ok, refused, failed) and ``note``.
    full : DataFrame
        The full fit's ``mean, sd, mcse_mean`` of each estimate: ``log_hazard_ratio[TERM]``, ``site_sd_log_hazard_ratio``,
        ``shape``.
    """

    table: pd.DataFrame
    full: pd.DataFrame

    @property
    def elpd(self) -> float:
        """Sum over sites; not a number when a site could not be left out."""
        return float(self.table["elpd"].sum(skipna=False))

    @property
    def elpd_mcse(self) -> float:
        """Its Monte Carlo error."""
        return float(np.sqrt((self.table["elpd_mcse"] ** 2).sum(skipna=False)))

    @property
    def elpd_se(self) -> float:
        """Its standard error over sites, sqrt(J) times their sd: sites differ in size, and few sites say little of it."""
        return float(np.sqrt(len(self.table)) * self.table["elpd"].std(ddof=1, skipna=False))

    @property
    def shifts(self) -> pd.DataFrame:
        """The shifts in long form: ``site, quantity, shift, shift_mcse``."""
        parts = [
            pd.DataFrame(
                {
                    "site": self.table["site"],
                    "quantity": name,
                    "shift": self.table[SHIFT + name],
                    "shift_mcse": self.table[SHIFT_ERROR + name],
                }
            )
            for name in self.full.index
        ]
        return pd.concat(parts, ignore_index=True)

    def __repr__(self) -> str:
        return (
            f"<Leave-one-site-out over {len(self.table)} sites: elpd {self.elpd:.1f} "
            f"(standard error over sites {self.elpd_se:.1f}, Monte Carlo error {self.elpd_mcse:.2f})>"
        )


def leave_one_site_out(
    fitted: FitResult | ModelSpec,
    cohort: Cohort | None = None,
    /,
    *,
    engine: Engine = ENGINE,
    seed: int = 1,
    workers: int = 1,
    report: Report = silent,
) -> LeaveOneSiteOut:
    """Refit without each site, and predict its patients.

    The log predictive density of a site is the log of the mean, over the draws without it, of its patients' likelihood with the
    site's effect b ~ Normal(0, site_sd) integrated out inside each draw: a new site's effect is not known, and all its patients
    share it.

    Parameters
    ----------
    fitted : FitResult, or ModelSpec with a cohort
        The fit of all sites; or a spec, which is then fitted by ``engine``. Its priors and centring are kept in every refit.
    cohort : Cohort, optional
        The patients, when a spec was given.
    engine : Engine
        For the refits.
    seed : int
        Each refit has a random stream of its own.
    workers : int
        Threads.
    report : callable
        Told the progress.

    Returns
    -------
    LeaveOneSiteOut

    Raises
    ------
    SpecError
        With fixed site effects, which have no distribution from which a new site could come; with shapes that differ; without
        sites in the cohort.
    """
    spec = fitted.spec if isinstance(fitted, FitResult) else fitted
    if isinstance(spec.sites, FixedSites):
        raise SpecError(
            "Fixed site effects have no distribution from which a new site's effect could come, so that a site that is left "
            "out cannot be predicted. Use random sites, (1 | site), or no sites; or leave_one_out, for patients at known sites."
        )
    require_one_shape(spec)
    full = full_fit(fitted, cohort, engine=engine, seed=seed, report=report)
    require_site_integral(full.spec)
    if full.cohort.site is None:
        raise SpecError("The cohort was read without a site column, so that no site can be left out. Read it with site=...")
    index, labels = full.cohort.site_index, full.cohort.site_labels
    present = [position for position in range(len(labels)) if (index == position).any()]
    if len(present) < 2:
        raise SpecError("All patients are at one site: without it nobody is left.")
    parts = Parts.of(full, [index == position for position in present])
    estimates = _full_estimates(full)

    def score(number: int, found: Weighted) -> dict[str, Any]:
        patients = parts.left_out(number)
        elpd, error = log_mean(log_likelihood_of_site(parts.spec, found.variables, patients), found)
        row: dict[str, Any] = {"elpd": elpd, "elpd_mcse": error, "elpd_per_patient": elpd / patients.log_time.size}
        values = (
            np.array([estimate(parts.spec, found.variables, name) for name in estimates.index]).reshape(len(estimates), -1).T
        )
        errors = monte_carlo_error(values, found)
        sds = estimates["sd"].to_numpy()
        shift = (found.weights @ values - estimates["mean"].to_numpy()) / sds
        shift_error = np.hypot(errors, estimates["mcse_mean"].to_numpy()) / sds
        row |= {SHIFT + name: moved for name, moved in zip(estimates.index, shift, strict=True)}
        return row | {SHIFT_ERROR + name: size for name, size in zip(estimates.index, shift_error, strict=True)}

    rows = refits(parts, score, engine=engine, seed=seed, workers=workers, what="site", report=report)
    about = pd.DataFrame(
        {
            "site": [labels[position] for position in present],
            "patients": [int(chosen.sum()) for chosen in parts.rows],
            "events": [int(full.cohort.event[chosen].sum()) for chosen in parts.rows],
        }
    )
    wanted = [
        "elpd",
        "elpd_mcse",
        "elpd_per_patient",
        *(kind + name for kind in (SHIFT, SHIFT_ERROR) for name in estimates.index),
    ]
    wanted += [name for name in ("verdict", "refit_importance_ess", "refit_pareto_k") if name not in rows]
    rows = rows.reindex(columns=[*wanted, *(name for name in rows if name not in wanted)])
    return LeaveOneSiteOut(pd.concat([about, rows], axis=1), estimates)


def estimate(spec: ModelSpec, variables: Variables, name: str) -> Floats:
    """Return draws of one estimate, shape (S,): log hazard ratios and their sd over sites whatever the metric, or the shape."""
    if name == names.SITE_SD_LOG_HAZARD_RATIO:
        return hazard_site_sd(spec, variables)
    if name in variables:
        return variables[name]
    place = [_named(term) for term in spec.resolved.columns].index(name)
    return on_hazard_scale(spec, variables, variables[coefficient_name(spec)][:, place])


def _named(term: str) -> str:
    return f"{names.LOG_HAZARD_RATIO}[{term}]"


def _full_estimates(fitted: FitResult) -> pd.DataFrame:
    """Return mean, sd and Monte Carlo error of the estimates whose shifts are told, a row each."""
    draws: dict[str, xr.DataArray] = {}
    if fitted.spec.resolved.columns:
        effects = log_hazard_ratios(fitted)
        draws |= {_named(term): effects.sel({names.TERM: term}, drop=True) for term in fitted.spec.resolved.columns}
    if fitted.spec.resolved.site_sd is not None:
        draws[names.SITE_SD_LOG_HAZARD_RATIO] = site_sd(fitted)
    draws |= {item.name: fitted.posterior[item.name] for item in fitted.spec.family.shape_parameters}
    wanted = ["mean", "sd", "mcse_mean"]
    tables = [summarise(values, diagnostics=("mcse_mean",))[wanted].set_axis([name]) for name, values in draws.items()]
    return pd.concat(tables) if tables else pd.DataFrame(columns=wanted, dtype=float)
