"""Leave one patient out: exact refits beside the usual approximation from the full fit (PSIS-LOO), to see where it is off."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.inference import Engine, FitResult, NestedLaplace
from sitewise.inference.densities import log_likelihood_of_draws
from sitewise.inference.engine import Report, silent
from sitewise.inference.verdict import pareto_k_bound
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError
from sitewise.studies.given import full_fit
from sitewise.studies.leaving_out import Parts, log_mean, refits
from sitewise.studies.replication.work import Weighted

Floats = NDArray[np.float64]
ENGINE = NestedLaplace(draws=1000)
CLEAR = 3.0
"""Monte Carlo errors by which the approximation must miss to be called off."""


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Log predictive densities of patients given the others, exact and approximate.

    Parameters
    ----------
    table : DataFrame
        A row a patient: ``patient, site`` (where there are sites), ``time, event, elpd`` (by the refit), ``elpd_mcse``,
        ``psis_elpd, psis_mcse, psis_pareto_k, difference`` (approximate minus exact), ``difference_mcse``, then of the refit
        ``verdict, refit_importance_ess, ..., status`` (ok, refused, failed) and ``note``. A patient's weight multiplies their
        log likelihood, in both.
    good_k : float
        Pareto k up to which the approximation vouches for itself.
    """

    table: pd.DataFrame
    good_k: float

    @property
    def totals(self) -> pd.DataFrame:
        """Sums over the patients whose refit was done: rows ``exact, psis, difference``, columns ``elpd, se, mcse, patients``.

        ``se`` is the standard error over patients, sqrt(n) times their sd (Vehtari, Gelman & Gabry 2017, Stat Comput 27:1413).
        """
        done = self.table[self.table["elpd"].notna()]
        kinds = {
            "exact": ("elpd", "elpd_mcse"),
            "psis": ("psis_elpd", "psis_mcse"),
            "difference": ("difference", "difference_mcse"),
        }
        count = len(done)
        rows = {
            kind: {
                "elpd": done[value].sum(skipna=False),
                "se": np.sqrt(count) * done[value].std(ddof=1, skipna=False),
                "mcse": np.sqrt((done[error] ** 2).sum(skipna=False)),
                "patients": count,
            }
            for kind, (value, error) in kinds.items()
        }
        return pd.DataFrame(rows).T.astype({"patients": int})

    @property
    def off(self) -> pd.DataFrame:
        """Patients for whom the approximation is off by more than three Monte Carlo errors, or does not vouch for itself."""
        missed = self.table["difference"].abs() > CLEAR * self.table["difference_mcse"]
        return self.table[missed | (self.table["psis_pareto_k"] > self.good_k)]

    def __repr__(self) -> str:
        exact, psis = self.totals.loc["exact"], self.totals.loc["psis"]
        return (
            f"<Leave-one-out over {len(self.table)} patients: elpd {exact['elpd']:.1f} (standard error {exact['se']:.1f}, "
            f"Monte Carlo error {exact['mcse']:.2f}); PSIS {psis['elpd']:.1f}, off for {len(self.off)}>"
        )


def leave_one_out(
    fitted: FitResult | ModelSpec,
    cohort: Cohort | None = None,
    /,
    *,
    engine: Engine = ENGINE,
    seed: int = 1,
    workers: int = 1,
    report: Report = silent,
) -> LeaveOneOut:
    """Refit without each patient, and predict them at their own site; beside it PSIS-LOO from the full fit.

    The prediction is conditional on the site's effect, of which the site's other patients tell; that of a site with one patient
    comes from the distribution of sites. For patients of a site not yet seen use :func:`leave_one_site_out`.

    Parameters
    ----------
    fitted : FitResult, or ModelSpec with a cohort
        The fit of all patients; or a spec, which is then fitted by ``engine``. Its priors and centring are kept in every refit.
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
    LeaveOneOut

    Raises
    ------
    SpecError
        When neither a fit nor a spec with a cohort is given, or the engine does not know the model.
    """
    full = full_fit(fitted, cohort, engine=engine, seed=seed, report=report)
    size = len(full.cohort)
    parts = Parts.of(full, [np.arange(size) == row for row in range(size)])

    def score(number: int, found: Weighted) -> dict[str, Any]:
        patient = parts.left_out(number)
        elpd, error = log_mean(log_likelihood_of_draws(parts.spec, found.variables, patient)[:, 0], found)
        return {"elpd": elpd, "elpd_mcse": error}

    rows = refits(parts, score, engine=engine, seed=seed, workers=workers, what="patient", report=report)
    about: dict[str, Any] = {"patient": full.cohort.id.to_numpy()}
    if full.cohort.site is not None:
        about["site"] = full.cohort.site.astype(str).to_numpy()
    about |= {"time": full.cohort.time, "event": full.cohort.event.astype(int)}
    approximate, good_k = psis_leave_one_out(full)
    exact = rows.reindex(columns=["elpd", "elpd_mcse"])
    compared = pd.DataFrame(
        {
            "difference": approximate["psis_elpd"] - exact["elpd"],
            "difference_mcse": np.hypot(approximate["psis_mcse"], exact["elpd_mcse"]),
        }
    )
    rest = rows.reindex(columns=list(dict.fromkeys(["verdict", *rows.columns.difference(exact.columns, sort=False)])))
    return LeaveOneOut(pd.concat([pd.DataFrame(about), exact, approximate, compared, rest], axis=1), good_k)


def psis_leave_one_out(fitted: FitResult) -> tuple[pd.DataFrame, float]:
    """Return PSIS-LOO of the full fit by arviz-stats: ``psis_elpd, psis_mcse, psis_pareto_k``, and the largest good k.

    The columns are empty where the fit has no pointwise log likelihood (too many draws times patients).
    """
    columns = ["psis_elpd", "psis_mcse", "psis_pareto_k"]
    sizes = fitted.posterior.sizes
    draws = sizes[names.CHAIN] * sizes[names.DRAW]
    if names.LOG_LIKELIHOOD not in fitted.tree.children:
        empty = pd.DataFrame(np.nan, index=range(len(fitted.cohort)), columns=columns)
        return empty, pareto_k_bound(draws)
    found, efficiency = psis_loo(fitted), _efficiency(fitted)
    order = (names.CHAIN, names.DRAW, names.PATIENT)
    values = fitted.tree[names.LOG_LIKELIHOOD][names.SURVIVAL_TIME].transpose(*order).to_numpy().reshape(draws, -1)
    weights = np.exp(found.log_weights.transpose(*order).to_numpy().reshape(draws, -1))
    weights = weights / weights.sum(axis=0)
    ratio = np.exp(values - found.elpd_i.to_numpy())
    error = np.sqrt(np.sum(weights**2 * (ratio - 1) ** 2, axis=0) / (1.0 if efficiency is None else efficiency))
    table = pd.DataFrame(
        dict(zip(columns, (found.elpd_i.to_numpy(), error, found.pareto_k.to_numpy()), strict=True)),
        index=range(values.shape[1]),
    )
    return table, float(found.good_k)


def psis_loo(fitted: FitResult) -> Any:
    """Return arviz-stats' PSIS-LOO of a fit, pointwise.

    Raises
    ------
    SpecError
        When the fit has no pointwise log likelihood (too many draws times patients).
    """
    if names.LOG_LIKELIHOOD not in fitted.tree.children:
        raise SpecError("The fit has too many draws for a log likelihood of every patient: fit with fewer draws.")
    import arviz_stats

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Estimated shape parameter of Pareto")  # the table says where
        return arviz_stats.loo(fitted.tree, pointwise=True, var_name=names.SURVIVAL_TIME, reff=_efficiency(fitted))


def _efficiency(fitted: FitResult) -> float | None:
    """Return effective draws over draws where draws were resampled from weighted ones; arviz-stats sees independent draws."""
    ess = fitted.posterior[names.LOG_SCALE_AT_MEANS].attrs.get(names.IMPORTANCE_ESS)
    sizes = fitted.posterior.sizes
    return None if ess is None else float(ess) / (sizes[names.CHAIN] * sizes[names.DRAW])
