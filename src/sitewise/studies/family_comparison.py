"""What if it is not Weibull? The same model under every family: how well each predicts, and what each answers.

Families are compared by the expected log predictive density of a patient who is left out (PSIS-LOO), which is a density of the
same observed times under all of them. Stacking weights say how much each would contribute to the best mixture of their
predictions (Yao, Vehtari, Simpson & Gelman 2018, Bayesian Analysis 13:917); answers under the mixture stand beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.estimands import Average, Observed, Population, RiskGroups, group_curves, summarise
from sitewise.families import FAMILIES, Family
from sitewise.inference import Engine, FitResult, NestedLaplace, Nuts, fit
from sitewise.inference.engine import Report, silent
from sitewise.inference.nested_laplace.engine import require_known
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError
from sitewise.studies.given import spec_and_cohort
from sitewise.studies.leave_one_out import psis_loo

Floats = NDArray[np.float64]
FAST = NestedLaplace()
SLOW = Nuts(draws=500, tune=500)
STACKED = "stacked"
SMALL_DIFFERENCE = 4.0
"""Differences in log density below this say little, whatever their standard error (Sivula et al. 2020, arXiv 2008.10296)."""
MIXTURE_DRAWS = 4000


@dataclass(frozen=True, eq=False)
class FamilyComparison:
    """The same model under several families; see :func:`compare_families`.

    Parameters
    ----------
    table : DataFrame
        A row a family, the best first: ``family, metric, elpd`` (expected log predictive density of left-out patients, summed),
        ``se, difference`` (to the best), ``difference_se, weight`` (stacking), ``effective_parameters, worst_pareto_k, engine,
        verdict``.
    groups : DataFrame
        A row a family (``stacked`` among them), group and estimand: ``family, group, estimand`` (``median_survival``,
        ``survival``, ``rmst``), ``horizon, mean, sd, median, lower, upper``.
    good_k : float
        Pareto k up to which leaving patients out vouches for itself.
    notes : tuple of str
        What differs between the models besides the family.
    prob : float
        Probability of intervals.
    time_unit : str
        Unit of times.
    """

    table: pd.DataFrame
    groups: pd.DataFrame
    good_k: float
    notes: tuple[str, ...]
    prob: float
    time_unit: str

    @property
    def sentence(self) -> str:
        """What the comparison says."""
        best, *others = self.table.to_dict("records")
        apart = [str(row["family"]) for row in others if row["difference"] < -max(2 * row["difference_se"], SMALL_DIFFERENCE)]
        close = [str(row["family"]) for row in others if row["family"] not in apart]
        told = f"{best['family']} predicts best"
        told += f"; {_listed(close)} no worse beyond chance" if close else ""
        return told + (f"; {_listed(apart)} clearly worse." if apart else ".")

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.table)} families: {self.sentence}>"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def compare_families(
    fitted: FitResult | ModelSpec,
    cohort: Cohort | None = None,
    /,
    *,
    families: Sequence[Family] | None = None,
    groups: Population | None = None,
    times: Sequence[float] = (),
    rmst_horizon: float | None = None,
    prob: float = 0.95,
    engine: Engine | None = None,
    seed: int = 1,
    report: Report = silent,
) -> FamilyComparison:
    """Fit the same model under several families; compare their predictions of left-out patients and their answers.

    A family that lacks the spec's metric is fitted in its own, where priors of coefficients and sites are the defaults: a prior
    on log hazard ratios says nothing of log time ratios.

    Parameters
    ----------
    fitted : FitResult, or ModelSpec with a cohort
        The model; a fit stands for its own family.
    cohort : Cohort, optional
        The patients, when a spec was given.
    families : sequence of Family, optional
        Default all that can be fitted, each with its own defaults.
    groups : Population, optional
        Default ``all`` and each level of the model's categorical covariates.
    times : sequence of float
        Times of survival; medians are always told.
    rmst_horizon : float, optional
        Of restricted means; default the last time of the cohort.
    prob : float
        Probability of intervals.
    engine : Engine, optional
        Default the fast engine where it knows the model, else NUTS with 4 x 500 draws.
    seed : int
        Of every fit.
    report : callable
        Told the progress.

    Raises
    ------
    SpecError
        When fewer than two families are named, or a fit has too many draws for a log likelihood of every patient.
    """
    spec, patients = spec_and_cohort(fitted, cohort, engine=engine if engine is not None else SLOW)
    chosen = list(families) if families is not None else [kind() for kind in FAMILIES.values()]
    if len({family.name for family in chosen}) < 2:
        raise SpecError("A comparison needs at least two families.")
    fits: dict[str, FitResult] = {}
    notes: list[str] = []
    for family in chosen:
        own, note = with_family(spec, family)
        notes += [note] if note else []
        if isinstance(fitted, FitResult) and family.name == spec.family.name:
            fits[family.name] = fitted
            continue
        report(f"Fitting {family.name} times")
        own = own.resolve(patients)
        fits[family.name] = fit(own, patients, engine=engine if engine is not None else engine_for(own), seed=seed)
    report("Leaving patients out, by importance weights")
    table, good_k = _compared(fits)
    population = groups if groups is not None else RiskGroups.default(patients, spec.variables)
    horizon = float(patients.time.max()) if rmst_horizon is None else float(rmst_horizon)
    weights = dict(zip(table["family"], table["weight"], strict=True))
    answers = _answers(fits, weights, population, list(times), horizon, prob, seed)
    return FamilyComparison(table, answers, good_k, tuple(notes), prob, patients.time_unit)


def with_family(spec: ModelSpec, family: Family) -> tuple[ModelSpec, str]:
    """Return the unresolved spec under another family, and what else had to change; empty if nothing had."""
    priors, metric, note = spec.priors, spec.metric, ""
    if metric not in family.metrics:
        metric = min(family.metrics)
        told = [priors.coefficients, priors.site_sd, priors.site_effects, priors.grouping_sd]
        if priors.terms or any(prior is not None for prior in told):
            note = f"{family.name}: effects are {metric}s, so that priors of coefficients and sites are the defaults."
        priors = replace(priors, coefficients=None, terms={}, site_sd=None, site_effects=None, grouping_sd=None)
    if not family.shape_parameters:
        priors = replace(priors, shape=None)
    if spec.shape_differs and names.SHAPE not in {item.name for item in family.shape_parameters}:
        note += f" {family.name}: has no shape, so that none differs between patients."
        priors = replace(priors, shape_terms={}, site_shape_sd=None)
        spec = replace(spec, shape_terms=(), shape_sites=False)
    return replace(spec, family=family, metric=metric, priors=priors, resolution=None), note.strip()


def engine_for(spec: ModelSpec) -> Engine:
    """Return the fast engine where it knows a resolved spec, else NUTS."""
    try:
        require_known(spec)
    except SpecError:
        return SLOW
    return replace(FAST, fallback=True)


def _compared(fits: Mapping[str, FitResult]) -> tuple[pd.DataFrame, float]:
    """Return the table of families, the best first, and the largest good Pareto k."""
    from arviz_stats import compare

    found = {name: psis_loo(each) for name, each in fits.items()}
    weights = compare(found, method="stacking", round_to="none")["weight"]
    pointwise = {name: each.elpd_i.to_numpy().ravel() for name, each in found.items()}
    best = max(pointwise, key=lambda name: float(pointwise[name].sum()))
    rows = []
    for name, each in fits.items():
        own, away = pointwise[name], pointwise[name] - pointwise[best]
        rows.append(
            {
                "family": name,
                "metric": each.spec.metric,
                "elpd": own.sum(),
                "se": np.sqrt(own.size) * own.std(ddof=1),
                "difference": away.sum(),
                "difference_se": np.sqrt(own.size) * away.std(ddof=1),
                "weight": float(weights[name]),
                "effective_parameters": float(found[name].p),
                "worst_pareto_k": float(np.max(found[name].pareto_k)),
                "engine": each.engine,
                "verdict": each.verdict.level,
            }
        )
    table = pd.DataFrame(rows).sort_values("elpd", ascending=False, ignore_index=True)
    return table, float(min(each.good_k for each in found.values()))


def _answers(
    fits: Mapping[str, FitResult],
    weights: Mapping[str, float],
    population: Population,
    times: list[float],
    horizon: float,
    prob: float,
    seed: int,
) -> pd.DataFrame:
    draws: dict[tuple[str, float | None], dict[str, xr.DataArray]] = {}
    for name, each in fits.items():
        at_own = each.spec.has_sites and all(group.site is not None for group in population.groups(each.cohort))
        curves = group_curves(each, population, sites=Observed() if at_own else Average())
        draws.setdefault((names.MEDIAN_SURVIVAL, None), {})[name] = curves.quantile(0.5)
        for time in times:
            value = curves.survival([time]).isel({names.TIME: 0}, drop=True)
            draws.setdefault((names.SURVIVAL, float(time)), {})[name] = value
        draws.setdefault((names.RMST, horizon), {})[name] = curves.rmst(horizon)
    parts = []
    for (estimand, at), own in draws.items():
        for name, values in {**own, STACKED: _mixture(own, weights, seed)}.items():
            table = summarise(values, prob=prob, diagnostics=()).rename_axis("group").reset_index()
            parts.append(table.assign(family=name, estimand=estimand, horizon=float("nan") if at is None else at))
    columns = ["family", "group", "estimand", "horizon", "mean", "sd", "median", "lower", "upper"]
    return pd.concat(parts, ignore_index=True)[columns]


def _mixture(draws: Mapping[str, xr.DataArray], weights: Mapping[str, float], seed: int) -> xr.DataArray:
    """Return draws from the mixture of families by their weights, as one chain."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, values in draws.items():
        ordered = values.transpose(names.CHAIN, names.DRAW, names.GROUP).to_numpy()
        flat = ordered.reshape(-1, ordered.shape[-1])
        count = round(weights[name] * MIXTURE_DRAWS)
        parts.append(flat[rng.choice(len(flat), count, replace=count > len(flat))])
    mixed = np.concatenate(parts)[None]
    first = next(iter(draws.values()))
    return xr.DataArray(mixed, dims=(names.CHAIN, names.DRAW, names.GROUP), coords={names.GROUP: first[names.GROUP].to_numpy()})
