"""How much the answers lean on the prior of the site spread (and of the coefficients): the same fit over a grid of priors.

With few sites the data say little of the spread between them. The grid tells how far each risk group's survival moves when
another person's prior is put in, and the marginal likelihood whether the data object to any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.estimands import Average, Observed, Population, RiskGroups, SiteTreatment, log_hazard_ratios, survival
from sitewise.inference import Engine, FitResult, NestedLaplace
from sitewise.inference.engine import Report, silent
from sitewise.inference.nested_laplace.engine import RETRY_FACTOR
from sitewise.inference.prior import prior_quantiles
from sitewise.models.priors import Prior, log_ratio_per_sd
from sitewise.models.spec import ModelSpec
from sitewise.studies.given import spec_and_cohort
from sitewise.studies.prior_grid import GridPoint, prior_grid
from sitewise.studies.replication import Replicates, Summaries, replicate
from sitewise.studies.replication.quantities import Estimand

ENGINE = NestedLaplace(draws=2000)
EFFECT = "effect"
"""Log hazard ratios among the estimands: the posterior has them under their own name where the metric is that of hazards."""


@dataclass(frozen=True, eq=False)
class PriorSensitivity:
    """What each prior of the grid leads to.

    Parameters
    ----------
    priors : DataFrame
        A row a prior: ``prior`` (label), ``reference`` (whether it is the spec's own), ``site_sd_prior`` (in words),
        ``coefficient_factor``; prior and posterior of the site sd in the spec's metric, ``site_sd_prior_median``,
        ``site_sd_prior_95, site_sd_median, site_sd_lower, site_sd_upper``; the median hazard (or time) ratio between two sites,
        exp(0.954 sd), at the prior's median and 95 % point and at the posterior's median, ``median_ratio_prior_median``,
        ``median_ratio_prior_95, median_ratio_median``; ``log_marginal_likelihood, log_marginal_likelihood_mcse``,
        ``log_bayes_factor`` (against the spec's own priors) and ``log_bayes_factor_mcse``; ``verdict, status, message``.
    estimates : DataFrame
        A row a prior and quantity: ``prior, estimand`` (``survival``, ``log_hazard_ratio``), ``group`` (a term for
        coefficients), ``horizon, mean, sd, median, lower, upper``, and ``shift``: mean minus that under the spec's own priors,
        in posterior sds under those, with its Monte Carlo error ``shift_mcse`` (of the fast engine).
    sites : str
        Site treatment of survival.
    metric : str
        The spec's metric, in which the priors live: hazard or time ratios.
    time_unit : str
        Unit of ``horizon``.
    replicates : Replicates
        The fits; ``replicates.fit(number)`` does one again with its draws.
    """

    priors: pd.DataFrame
    estimates: pd.DataFrame
    sites: str
    metric: str
    time_unit: str
    replicates: Replicates

    @property
    def largest_shift(self) -> float:
        """Largest shift of an estimate over the grid, in posterior sds."""
        return float(self.estimates["shift"].abs().max())

    def __repr__(self) -> str:
        return f"<Prior sensitivity over {len(self.priors)} priors: largest shift {self.largest_shift:.2f} posterior sds>"


def prior_sensitivity(
    fitted: FitResult | ModelSpec,
    cohort: Cohort | None = None,
    /,
    *,
    times: Sequence[float],
    groups: Population | None = None,
    sites: SiteTreatment | None = None,
    site_sd: Mapping[str, Prior] | None = None,
    coefficient_factors: Sequence[float] = (1.0,),
    engine: Engine = ENGINE,
    prob: float = 0.95,
    seed: int = 1,
    workers: int = 1,
    report: Report = silent,
) -> PriorSensitivity:
    """Fit one cohort under a grid of priors, all else (centring, priors located by the data) held.

    Parameters
    ----------
    fitted : FitResult, or ModelSpec with a cohort
        The model, whose own priors are the reference; a fit lends its spec and cohort, its draws are not used.
    cohort : Cohort, optional
        The patients, when a spec was given.
    times : sequence of float
        Times of the groups' survival.
    groups : Population, optional
        Default ``all`` and each level of the model's categorical covariates.
    sites : SiteTreatment, optional
        Of survival. Default: each member at their own site where the model has sites, else an average site.
    site_sd : mapping of str to Prior, optional
        Labelled priors of the site sd, in the spec's metric. Default half-normal with sigma .1, .25, .5, 1 and 2, where the
        sites are random. The spec's own prior is put first if it is not among them.
    coefficient_factors : sequence of float
        Factors of the scale of every coefficient's prior, combined with each prior of the site sd; 1 is always done.
    engine : Engine
        For all fits, the reference too. Only the fast engine gives marginal likelihoods.
    prob : float
        Probability of intervals.
    seed : int
        Each fit has a random stream of its own.
    workers : int
        Threads.
    report : callable
        Told the progress.

    Raises
    ------
    SpecError
        When the model has no random sites to give a prior to, a prior is not one that the engine knows, or a factor is not
        positive.
    """
    spec, cohort = spec_and_cohort(fitted, cohort, engine=engine)
    grid = prior_grid(spec, site_sd=site_sd, coefficient_factors=coefficient_factors)
    groups = groups if groups is not None else RiskGroups.default(cohort, list(spec.resolved.levels))
    sites = sites if sites is not None else (Observed() if spec.has_sites else Average())
    times = tuple(float(time) for time in times)
    estimands: dict[str, Estimand] = {names.SURVIVAL: partial(survival, groups=groups, sites=sites, times=list(times))}
    if spec.resolved.columns:
        estimands[EFFECT] = log_hazard_ratios
    found = replicate(
        {point.label: point.spec for point in grid},
        cohort,
        engine=engine,
        summaries=Summaries(estimands=estimands, prob=prob),
        seed=seed,
        workers=workers,
        report=report,
    )
    labels = [group.label for group in groups.groups(cohort)]
    known = {f"{names.SURVIVAL}[{group}, {time}]": (names.SURVIVAL, group, time) for group in labels for time in times}
    known |= {f"{EFFECT}[{term}]": (names.LOG_HAZARD_RATIO, term, float("nan")) for term in spec.resolved.columns}
    priors, estimates = _priors(grid, found), _estimates(grid, found, known)
    return PriorSensitivity(priors, estimates, sites.label, spec.metric, cohort.time_unit, found)


def _priors(grid: Sequence[GridPoint], found: Replicates) -> pd.DataFrame:
    """Return the table of priors."""
    fits = found.fits.set_index("replicate").to_dict("index")
    spreads: dict[Any, dict[Any, Any]] = {}
    if len(found.estimates):
        spread = found.estimates[found.estimates["quantity"] == names.SITE_SD]
        spreads = spread.set_index("replicate").to_dict("index")
    rows = []
    for number, point in enumerate(grid):
        prior, fit = point.spec.resolved.site_sd, fits[number]
        row: dict[str, Any] = {"prior": point.label, "reference": point.reference}
        row |= {"site_sd_prior": "" if prior is None else str(prior), "coefficient_factor": point.factor}
        if prior is not None:
            median, high = prior_quantiles(prior, [0.5, 0.95])
            posterior = [spreads.get(number, {}).get(name, np.nan) for name in ("median", "lower", "upper")]
            row |= {"site_sd_prior_median": median, "site_sd_prior_95": high}
            row |= dict(zip(("site_sd_median", "site_sd_lower", "site_sd_upper"), posterior, strict=True))
            per_sd = log_ratio_per_sd(point.spec.sites)
            for name, value in {"prior_median": median, "prior_95": high, "median": posterior[0]}.items():
                row[f"median_ratio_{name}"] = np.nan if per_sd is None else np.exp(per_sd * value)
        row["log_marginal_likelihood"] = fit.get("log_marginal_likelihood", np.nan)
        row["log_marginal_likelihood_mcse"] = _error(found, fit)
        rows.append(row | {name: fit.get(name, "") for name in ("verdict", "status", "message")})
    table = pd.DataFrame(rows)
    value, error = (table.pop(f"log_marginal_likelihood{name}") for name in ("", "_mcse"))
    own = int(np.flatnonzero(table["reference"])[0])
    place = table.columns.tolist().index("verdict")
    table.insert(place, "log_marginal_likelihood", value)
    table.insert(place + 1, "log_marginal_likelihood_mcse", error)
    table.insert(place + 2, "log_bayes_factor", value - value.iloc[own])
    table.insert(place + 3, "log_bayes_factor_mcse", np.where(table["reference"], 0.0, np.hypot(error, error.iloc[own])))
    return table


def _error(found: Replicates, fit: Mapping[Any, Any]) -> float:
    """Return the Monte Carlo error of a log marginal likelihood, sqrt(1 / ESS - 1 / S): the relative error of a mean weight."""
    engine, size = found.job.engine, float(fit.get("importance_ess", np.nan))
    if not (isinstance(engine, NestedLaplace) and size > 0):
        return float("nan")
    draws = engine.draws * (RETRY_FACTOR if fit["retried"] else 1)
    return float(np.sqrt(max(1 / size - 1 / draws, 0.0)))


def _estimates(grid: Sequence[GridPoint], found: Replicates, known: Mapping[str, tuple[str, str, float]]) -> pd.DataFrame:
    """Return the rows of survival and coefficients, with their shifts from those under the reference."""
    columns = ["prior", "estimand", "group", "horizon", "mean", "sd", "median", "lower", "upper", "shift", "shift_mcse"]
    if not len(found.estimates):
        return pd.DataFrame(columns=columns)
    chosen = found.estimates[found.estimates["quantity"].isin(known)].reset_index(drop=True)
    about = pd.DataFrame([known[name] for name in chosen["quantity"]], columns=["estimand", "group", "horizon"])
    table = pd.concat([chosen, about], axis=1).assign(prior=[grid[number].label for number in chosen["replicate"]])
    own = next(number for number, point in enumerate(grid) if point.reference)
    reference = chosen[chosen["replicate"] == own].set_index("quantity")
    mean, sd = (chosen["quantity"].map(reference[name]) for name in ("mean", "sd"))
    size = found.fits.set_index("replicate").reindex(columns=["importance_ess"])["importance_ess"]
    errors = np.hypot(table["sd"] / np.sqrt(table["replicate"].map(size)), sd / np.sqrt(size.loc[own]))
    errors = errors.where(table["replicate"] != own, 0.0)
    return table.assign(shift=(table["mean"] - mean) / sd, shift_mcse=errors / sd)[columns]
