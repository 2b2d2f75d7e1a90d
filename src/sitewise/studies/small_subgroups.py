"""What is known of small groups, and from whom: the group alone, everybody alike, and the model between the two.

A hierarchical model lends a small group what is known of the other groups and sites. How much it lends is said in events: the
group's own events times the ratio of two variances of the log cumulative hazard at a time, that of the group fitted alone over
that under the model. What exceeds the group's own events is borrowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.estimands import Average, Observed, Population, RiskGroups, SiteTreatment, survival
from sitewise.estimands.populations import Group
from sitewise.inference import Engine, FitResult, NestedLaplace
from sitewise.inference.engine import Report, silent
from sitewise.models.model_data import ModelData
from sitewise.models.resolve import prepare
from sitewise.models.site_effects import NoSites
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError, plural
from sitewise.studies.given import full_fit
from sitewise.studies.prior_grid import with_priors, with_spread
from sitewise.studies.replication import Summaries, replicate

Floats = NDArray[np.float64]
ENGINE = NestedLaplace(draws=4000)
SCEPTICAL, OPTIMISTIC = 0.5, 2.0
"""Factors of the scales of priors: groups and sites much alike, or very different."""
MOSTLY = 0.5
"""Share of borrowed information from which an answer is said to lean on the model."""
MOVED = 0.03
"""Movement of survival under other priors from which it is called sensitive to them."""


@dataclass(frozen=True, eq=False)
class SmallSubgroups:
    """Answers for each group side by side; see :func:`small_subgroups`.

    Parameters
    ----------
    table : DataFrame
        A row a group: ``group, n, events``; survival at the time, raw (``raw, raw_lower, raw_upper``: Kaplan-Meier with log-log
        limits, or Turnbull without) and posterior median and limits of three models: ``alone`` (no pooling: fitted to the group
        only), ``model`` (partial pooling), ``together`` (complete pooling: one curve for everybody), each with ``_lower,
        _upper``; ``effective_information`` (in events) with its Monte Carlo error ``effective_information_mcse``,
        ``borrowed``; smallest and largest posterior median under the other priors, ``least, most``; ``sentence``.
    priors : DataFrame
        A row a group and prior: ``group, prior, median, lower, upper, verdict``.
    time : float
        Time of survival.
    time_unit : str
        Its unit.
    sites : str
        Site treatment of the model's answer.
    prob : float
        Probability of intervals.
    """

    table: pd.DataFrame
    priors: pd.DataFrame
    time: float
    time_unit: str
    sites: str
    prob: float

    def __repr__(self) -> str:
        return f"<Small subgroups: {len(self.table)} groups at {self.time:g} {self.time_unit}>"


def small_subgroups(
    fitted: FitResult | ModelSpec,
    cohort: Cohort | None = None,
    /,
    *,
    time: float,
    groups: Population | None = None,
    sites: SiteTreatment | None = None,
    engine: Engine = ENGINE,
    prob: float = 0.95,
    seed: int = 1,
    workers: int = 1,
    report: Report = silent,
) -> SmallSubgroups:
    """Return raw, unpooled, partially and completely pooled survival of every risk group, and what each borrows.

    The unpooled and the completely pooled model have the fit's family, guarantee time and priors of shape and baseline, and
    neither covariates nor sites; their data-located prior is located by everybody.

    Parameters
    ----------
    fitted : FitResult, or ModelSpec with a cohort
        The model.
    cohort : Cohort, optional
        The patients, when a spec was given.
    time : float
        Time of survival, and of the log cumulative hazard whose variances are compared.
    groups : Population, optional
        Groups of the cohort's patients; default ``all`` and each level of the model's categorical covariates.
    sites : SiteTreatment, optional
        Of the model's answer. Default: each member at their own site where the model has sites, else an average site.
    engine : Engine
        For all fits but the one that is given.
    prob : float
        Probability of intervals.
    seed, workers, report
        As in :func:`sitewise.replicate`.

    Raises
    ------
    SpecError
        When the time is not within the model's time, or the groups are of other people than the cohort's.
    """
    full = full_fit(fitted, cohort, engine=engine, seed=seed, report=report)
    spec, cohort = full.spec, full.cohort
    if not spec.guarantee_time < time < float("inf"):
        raise SpecError(f"time is {time:g}; it must be a time after the guarantee time {spec.guarantee_time:g}.")
    groups = groups if groups is not None else RiskGroups.default(cohort, list(spec.resolved.levels))
    sites = sites if sites is not None else (Observed() if spec.has_sites else Average())
    made = groups.groups(cohort)
    if any(group.rows is None for group in made):
        raise SpecError("Small subgroups are groups of the cohort's patients: use RiskGroups or BySite, not profiles.")
    whole = survival(full, groups=groups, sites=sites, times=[time]).isel({names.TIME: 0}, drop=True)
    size = float(whole.attrs.get(names.IMPORTANCE_ESS, whole.sizes[names.CHAIN] * whole.sizes[names.DRAW]))
    pooled = without_effects(spec).resolve(cohort)
    data = prepare(pooled, cohort)
    report("One curve for everybody, and each group alone")
    everybody = _log_hazards(pooled, data, time, engine, seed)
    rows = []
    moved = _under_other_priors(full, groups, sites, time, engine, prob, seed, workers, report)
    for number, group in enumerate(made):
        assert group.rows is not None
        own = whole.isel({names.GROUP: number}).to_numpy().ravel()
        alone = _log_hazards(pooled, data.some(group.rows), time, engine, seed + 1 + number)
        rows.append(_row(group, cohort, time, own, alone, everybody, moved, size, prob))
    table = pd.DataFrame(rows)
    table["sentence"] = [_sentence(row, time, cohort.time_unit) for row in rows]
    return SmallSubgroups(table, moved, time, cohort.time_unit, sites.label, prob)


def without_effects(spec: ModelSpec) -> ModelSpec:
    """Return a spec without covariates and sites, unresolved, with the same baseline and priors of it."""
    priors = replace(spec.priors.without_sites(), coefficients=None, terms={}, grouping_sd=None, shape_terms={})
    spec = replace(spec, shape_terms=(), shape_sites=False)
    return replace(spec, terms=(), sites=NoSites(), priors=priors, group=None, groupings=(), resolution=None)


def _log_hazards(spec: ModelSpec, data: ModelData, time: float, engine: Engine, seed: int) -> Floats:
    """Return draws of the log cumulative hazard at a time, shape (S,), of a model without covariates and sites."""
    posterior = engine.run(spec, data, seed=seed, progress=False, report=silent).posterior
    shape = tuple(posterior[item.name].to_numpy().ravel() for item in spec.family.shape_parameters)
    log_time = float(np.log(time - spec.guarantee_time))
    scale = posterior[names.LOG_SCALE].to_numpy().ravel()
    return np.asarray(spec.family.log_cumulative_hazard(log_time, scale, shape)) + np.zeros_like(scale)


def _under_other_priors(
    full: FitResult,
    groups: Population,
    sites: SiteTreatment,
    time: float,
    engine: Engine,
    prob: float,
    seed: int,
    workers: int,
    report: Report,
) -> pd.DataFrame:
    """Return survival of the groups under sceptical, own and optimistic priors of spread and coefficients."""
    spec = full.spec
    specs: dict[str, ModelSpec] = {"as specified": spec}
    for word, factor in (("sceptical", SCEPTICAL), ("optimistic", OPTIMISTIC)):
        if spec.resolved.site_sd is not None:
            specs[f"{word} site spread"] = with_spread(spec, factor)
        if spec.resolved.columns:
            specs[f"{word} coefficients"] = with_priors(spec, coefficient_factor=factor)
    summaries = Summaries(estimands={names.SURVIVAL: partial(survival, groups=groups, sites=sites, times=[time])}, prob=prob)
    found = replicate(specs, full.cohort, engine=engine, summaries=summaries, seed=seed, workers=workers, report=report)
    fits = found.fits.set_index("replicate")
    labels = {f"{names.SURVIVAL}[{group.label}, {float(time)}]": group.label for group in groups.groups(full.cohort)}
    chosen = found.estimates[found.estimates["quantity"].isin(labels)]
    named = list(specs)
    return pd.DataFrame(
        {
            "group": chosen["quantity"].map(labels).to_numpy(),
            "prior": [named[number] for number in chosen["replicate"]],
            **{name: chosen[name].to_numpy() for name in ("median", "lower", "upper")},
            "verdict": fits["verdict"].reindex(chosen["replicate"]).to_numpy(),
        }
    )


def _row(
    group: Group,
    cohort: Cohort,
    time: float,
    model: Floats,
    alone: Floats,
    everybody: Floats,
    moved: pd.DataFrame,
    size: float,
    prob: float,
) -> dict[str, Any]:
    assert group.rows is not None
    levels = [0.5, 0.5 - prob / 2, 0.5 + prob / 2]
    curve = cohort.kaplan_meier(group.rows, prob=prob)
    limits = [float(limit[0]) for limit in curve.limits_at([time])]
    events = float(np.sum(cohort.weights[group.rows] * cohort.event[group.rows]))
    row: dict[str, Any] = {"group": group.label, "n": int(group.rows.sum()), "events": events}
    row |= dict(zip(("raw", "raw_lower", "raw_upper"), (float(curve.at([time])[0]), *limits), strict=True))
    answers = {"alone": np.exp(-np.exp(alone)), "model": model, "together": np.exp(-np.exp(everybody))}
    for name, draws in answers.items():
        row |= dict(zip((name, f"{name}_lower", f"{name}_upper"), map(float, np.quantile(draws, levels)), strict=True))
    log_hazard = np.log(-np.log(np.clip(model, 1e-300, 1 - 1e-16)))
    information = events * float(np.var(alone) / np.var(log_hazard))
    # A variance of S independent draws has a relative error of sqrt(2 / S), for tails like a normal's.
    error = information * float(np.sqrt(2 / size + 2 / alone.size))
    own = moved[moved["group"] == group.label]["median"]
    return {
        **row,
        "effective_information": information,
        "effective_information_mcse": error,
        "borrowed": information - events,
        "least": float(own.min()),
        "most": float(own.max()),
    }


def _sentence(row: Mapping[str, Any], time: float, unit: str) -> str:
    """Return what is known of a group, from whom, and how firmly, in words."""

    def share(name: str) -> str:
        return f"{100 * row[name]:.0f} % ({100 * row[f'{name}_lower']:.0f} to {100 * row[f'{name}_upper']:.0f})"

    events, information = row["events"], row["effective_information"]
    said = (
        f"{row['group']}: {plural(row['n'], 'patient', 'patients')} with {plural(round(events), 'event', 'events')}. Survival "
        f"at {time:g} {unit} is {share('model')}; the group alone says {share('alone')}, everybody together "
        f"{share('together')}. "
    )
    if events == 0:
        said += "Without an event of its own the group's answer rests on other patients and on priors. "
    elif row["borrowed"] <= row["effective_information_mcse"]:
        said += f"The model is no surer of it than the group's own {plural(round(events), 'event', 'events')} make it. "
    else:
        said += (
            f"The model is as sure of it as {information:.0f} events would make it: {round(events)} of its own and "
            f"{row['borrowed']:.0f} borrowed from other patients. "
        )
        if row["borrowed"] > MOSTLY * information:
            said += "More than half is borrowed, so that it stands and falls with the model. "
    low, high = 100 * row["least"], 100 * row["most"]
    if high - low > 100 * MOVED:
        return said + f"Under sceptical and optimistic priors it moves from {low:.0f} to {high:.0f} %."
    return said + f"Sceptical and optimistic priors hardly move it ({low:.0f} to {high:.0f} %)."
