"""What the classical analysis hides: the hierarchical model of the same patients and comparisons beside it.

The model has the covariates of the multivariate Cox table with the same levels against the same reference, the factors of the
risk groups, and random site effects where there are two sites or more; priors are the defaults.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.cohort.levels import labels
from sitewise.estimands import (
    Average,
    Observed,
    RiskGroups,
    group_curves,
    hazard_ratios,
    median_hazard_ratio,
    prob_above,
    summarise,
)
from sitewise.inference import FitResult, Nuts, fit
from sitewise.models import ModelSpec
from sitewise.names import ALL_PATIENTS
from sitewise.problems import StudyError
from sitewise.studies.classical_analysis.cox_fits import members
from sitewise.studies.classical_analysis.cox_table import MULTIVARIATE, entered
from sitewise.studies.classical_analysis.outcomes import OS
from sitewise.studies.classical_analysis.partitions import Mask, by_factors
from sitewise.studies.classical_analysis.plan import RISK_GROUP, Contrast, Covariate
from sitewise.studies.classical_analysis.tables import ClassicalTables
from sitewise.studies.site_models import site_models

EFFECTS = ["covariate", "level", "reference", "n", "events", "reference_n", "reference_events"]
EFFECTS += ["cox_hazard_ratio", "cox_lower", "cox_upper", "cox_p", "hazard_ratio", "lower", "upper", "prob_above_one", "remark"]
GROUPS = ["group", "n", "events", "kaplan_meier_median", "kaplan_meier_lower", "kaplan_meier_upper"]
GROUPS += ["median", "lower", "upper", "prob_not_reached", "last_time"]
TIME, EVENT, ENTRY, SITE_OF = "time_of_patient", "event_of_patient", "entry_of_patient", "site_of_patient"
"""Columns of the model's table; a covariate may be called time or site."""
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class BesideTheModel:
    """The hierarchical model beside the classical tables; made by :func:`beside_the_model`.

    Parameters
    ----------
    fit : FitResult
        The model.
    groups : RiskGroups
        The risk groups, or all patients.
    effects : DataFrame
        ``covariate, level, reference, n, events, reference_n, reference_events, cox_hazard_ratio, cox_lower, cox_upper, cox_p,
        hazard_ratio`` (posterior median), ``lower, upper, prob_above_one, remark``.
    medians : DataFrame
        ``group, n, events, kaplan_meier_median, kaplan_meier_lower, kaplan_meier_upper, median, lower, upper, prob_not_reached,
        last_time``: posterior medians of each group at its own sites beside Kaplan-Meier.
    site_ratio : DataFrame or None
        Median hazard ratio between two sites: ``mean, sd, median, lower, upper``; None without site effects.
    site_models : DataFrame or None
        Of :func:`sitewise.studies.site_models`; None without site effects.
    patients_left_out : int
        Patients of the cohort who are not in the model.
    """

    fit: FitResult
    groups: RiskGroups
    effects: pd.DataFrame
    medians: pd.DataFrame
    site_ratio: pd.DataFrame | None
    site_models: pd.DataFrame | None
    patients_left_out: int


def beside_the_model(
    tables: ClassicalTables,
    /,
    *,
    guarantee_time: float = 0.0,
    seed: int = 1,
    engine: Nuts | None = None,
    report: Report = lambda message: None,
) -> BesideTheModel:
    """Fit the hierarchical model to what the multivariate Cox table compares.

    Parameters
    ----------
    tables : ClassicalTables
        The classical analysis.
    guarantee_time : float
        Time before which no event can happen, such as one that the inclusion rules imply.
    seed : int
        Seed of the sampler.
    engine : Nuts, optional
        Default 4 chains of 1000 draws, and of 500 for the other treatments of sites.
    report : callable
        Told what is being done.

    Raises
    ------
    StudyError
        When too few patients remain.
    """
    cohort, kept = grouped_cohort(tables)
    right = [_quoted(str(name)) for name in cohort.covariates.columns] or ["1"]
    sites = [f"(1 | {_quoted(str(cohort.columns.site))})"] if cohort.site is not None and len(cohort.site_labels) > 1 else []
    formula = f"Surv({cohort.columns.time}, {cohort.columns.event}) ~ {' + '.join([*right, *sites])}"
    report("Fitting the hierarchical model")
    prob = tables.plan.prob
    spec = ModelSpec.from_formula(formula, guarantee_time=guarantee_time)
    posterior = fit(spec, cohort, engine=engine or Nuts(), seed=seed, report=report)
    groups = risk_groups(tables, kept)
    compared, ratio = None, None
    if posterior.spec.has_sites:
        report("Fitting without site effects, and with fixed ones")
        times = [time for time in tables.plan.times if time <= float(cohort.time.max())] or [float(np.median(cohort.time))]
        middle = times[(len(times) - 1) // 2]
        compared = site_models(posterior, groups=groups, times=[middle], prob=prob, engine=engine)
        ratio = summarise(median_hazard_ratio(posterior), prob=prob, diagnostics=())
    left_out = int((~kept).sum())
    return BesideTheModel(
        posterior, groups, _effects(tables, posterior), _medians(tables, posterior, groups), ratio, compared, left_out
    )


def grouped_cohort(tables: ClassicalTables, /) -> tuple[Cohort, Mask]:
    """Return the patients of the model with the Cox table's sets of levels as levels, and who they are, shape (n,)."""
    cohort, plan = tables.cohort, tables.plan
    wanted = [plan.covariate(name) for name in entered(tables.cox, OS)]
    wanted += [item for item in plan.covariates if item.name in plan.factors and item.name not in {one.name for one in wanted}]
    wanted = [item if item.contrasts else _all_levels(cohort, item) for item in wanted]
    kept, _ = members(cohort, wanted)
    if kept.sum() < 2:
        raise StudyError("Fewer than two patients have all covariates of the multivariate model: there is nothing to fit.")
    columns = {TIME: cohort.time[kept], EVENT: cohort.event[kept].astype(int), ENTRY: cohort.entry[kept]}
    table = pd.DataFrame(columns)
    levels = {}
    for item in wanted:
        values = cohort.covariates[item.name][kept].reset_index(drop=True)
        if item.numeric:
            table[item.name] = values
            continue
        name_of = {level: "|".join(one) for one in item.classes for level in one}
        table[item.name] = labels(values).map(name_of)
        present = set(table[item.name])
        levels[item.name] = ["|".join(one) for one in item.classes if "|".join(one) in present]
    varying = [item.name for item in wanted if table[item.name].nunique() > 1]
    if cohort.site is not None:
        table[SITE_OF] = cohort.site[kept].astype(str).to_numpy()
    made = Cohort.from_frame(
        table,
        time=TIME,
        event=EVENT,
        entry=ENTRY if cohort.late_entry else None,
        site=SITE_OF if cohort.site is not None else None,
        covariates=varying,
        levels={name: order for name, order in levels.items() if name in varying},
        time_unit=cohort.time_unit,
        source=cohort.source,
    )
    return made, kept


def risk_groups(tables: ClassicalTables, kept: Mask, /) -> RiskGroups:
    """Return the risk groups of the classical tables among the patients of the model, or all of them as one group."""
    if not tables.plan.factors:
        return RiskGroups(((ALL_PATIENTS, "", lambda people: np.ones(len(people), dtype=bool)),))
    partition = by_factors(tables.cohort, tables.plan)
    description = ", ".join(f"{name} {' or '.join(levels)}" for name, levels in tables.plan.factors.items())

    def rule(belongs: Mask) -> Callable[[pd.DataFrame], Mask]:
        return lambda people: belongs

    rules = [(name, tables.plan.counted, rule(belongs[kept])) for name, belongs in partition.groups if belongs[kept].any()]
    return RiskGroups(tuple(rules), description)


def _all_levels(cohort: Cohort, item: Covariate) -> Covariate:
    levels = cohort.levels(item.name)
    contrasts = tuple(Contrast((level,), (levels[0],)) for level in levels[1:])
    return Covariate(item.name, item.label, contrasts, item.numeric, item.unit)


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"


def _effects(tables: ClassicalTables, posterior: FitResult) -> pd.DataFrame:
    """Return posterior hazard ratios beside the rows of the multivariate Cox table, matched by covariate and level."""
    rows = []
    if posterior.spec.resolved.columns:
        draws = hazard_ratios(posterior)
        table = summarise(draws, prob=tables.plan.prob, diagnostics=())
        above = prob_above(draws, 1.0).to_numpy()
        cox = tables.cox[(tables.cox["endpoint"] == OS) & (tables.cox["model"] == MULTIVARIATE)]
        for place, term in enumerate(posterior.spec.resolved.columns):
            name, level = _parts(term)
            own = cox[(cox["covariate"] == name) & (cox["level"] == level)]
            row: dict[str, object] = {"covariate": name, "level": level}
            if len(own):
                found = own.iloc[0]
                row |= {key: found[key] for key in EFFECTS[2:7]}
                row |= {f"cox_{key}": found[key] for key in ("hazard_ratio", "lower", "upper", "p")}
                row["remark"] = found["remark"]
            else:
                row["remark"] = "not in the multivariate Cox table; a factor of the risk groups"
            estimate = table.iloc[place]
            row |= {"hazard_ratio": estimate["median"], "lower": estimate["lower"], "upper": estimate["upper"]}
            rows.append({**row, "prob_above_one": float(above[place])})
    return pd.DataFrame(rows, columns=EFFECTS)


def _parts(term: str) -> tuple[str, str]:
    """Return covariate and level of a term as formulae names it: ``ecog[1|2]``."""
    if term.endswith("]") and "[" in term:
        name, _, level = term[:-1].partition("[")
        return name.strip("`"), level
    return term.strip("`"), ""


def _medians(tables: ClassicalTables, posterior: FitResult, groups: RiskGroups) -> pd.DataFrame:
    curves = group_curves(posterior, groups, sites=Observed() if posterior.spec.has_sites else Average())
    draws = curves.quantile(0.5)
    table = summarise(draws, prob=tables.plan.prob, diagnostics=())
    survival = tables.survival[
        (tables.survival["endpoint"] == OS) & tables.survival["partition"].isin([RISK_GROUP, names.ALL_PATIENTS])
    ]
    rows = []
    for group in curves.groups:
        beyond = float((draws.sel({names.GROUP: group.label}) > group.last_time).mean())
        known = survival[survival["group"] == group.label].iloc[0]
        estimate: Any = table.loc[group.label]
        raw: Sequence[float] = [float(known[key]) for key in ("median", "lower", "upper")]
        rows.append(
            {
                "group": group.label,
                "n": int(known["n"]),
                "events": int(known["events"]),
                **dict(zip(GROUPS[3:6], raw, strict=True)),
                **{
                    key: float(estimate[key]) if math.isfinite(estimate[key]) else math.nan
                    for key in ("median", "lower", "upper")
                },
                "prob_not_reached": beyond,
                "last_time": group.last_time,
            }
        )
    return pd.DataFrame(rows, columns=GROUPS)
