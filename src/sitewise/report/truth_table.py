"""Truth beside estimate for a synthetic cohort that knows its scenario."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.estimands import Observed, SiteTreatment
from sitewise.models import RandomSites
from sitewise.report.analysis import Analysis
from sitewise.simulate import SyntheticCohort, Truth

COLUMNS = ["group", "sites", "estimand", "horizon", "true_value", "median", "lower", "upper", "inside"]
NEEDS_SPREAD = (names.MARGINAL, names.NEW)


def truth_table(analysis: Analysis, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Return the true values of groups and coefficients beside their estimates, or None for patients.

    Returns
    -------
    DataFrame or None
        ``group, sites, estimand, horizon, true_value, median, lower, upper, inside``. For a coefficient ``group`` is the term,
        and ``sites`` and ``horizon`` are empty. New sites have no single true value and are left out.
    """
    cohort = analysis.fit.cohort
    if not isinstance(cohort, SyntheticCohort) or cohort.scenario is None:
        return None
    drawn = cohort.scenario.sites.sd is not None
    sites = [item for item in analysis.treatments if item.label != names.NEW and (drawn or item.label not in NEEDS_SPREAD)]
    wanted = {item.name for item in cohort.scenario.covariates}
    if any(wanted - set(group.people.columns) for group in analysis.population.groups(cohort)):
        sites = []  # profiles of some covariates only: what is true of them depends on the others
    # Without site effects a model's "average" is of these patients at whatever sites they are.
    at_own = not analysis.fit.spec.has_sites and all(group.site is not None for group in analysis.population.groups(cohort))
    asked: list[SiteTreatment] = [Observed()] if at_own and sites else list(sites)
    truth = Truth.of(cohort).estimands(
        groups=analysis.population, sites=asked, times=analysis.milestones, rmst_horizon=analysis.horizon, prob=analysis.prob
    )
    keys = ["group", "sites", "estimand", "horizon"]
    if at_own:
        truth["sites"] = names.AVERAGE
    estimates = tables["estimands"][[*keys, "median", "lower", "upper"]]
    found = truth[[*keys, "true_value"]].merge(estimates, on=keys, how="left")
    found = pd.concat([found, _coefficients(analysis, cohort, tables)], ignore_index=True)
    found["inside"] = found["true_value"].between(found["lower"], found["upper"])
    return found[COLUMNS]


def _coefficients(analysis: Analysis, cohort: SyntheticCohort, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the scenario's log hazard ratios of single terms, and shape and site spread where they mean the same."""
    scenario = cohort.scenario
    omitted = (
        {item.name for item in cohort.scenario.covariates} - set(analysis.fit.spec.variables) if cohort.scenario else set()
    )
    if scenario is None or omitted:  # without some covariates coefficients and shape are other quantities
        return pd.DataFrame(columns=COLUMNS[:-1])
    effects = scenario.log_hazard_ratios({item.name: cohort.levels(item.name)[0] for item in scenario.categorical})
    rows = {term: ("log hazard ratio", value) for term, value in effects.items()}
    table = tables["coefficients"]
    table = table[table["metric"] == names.LOG_HAZARD_RATIO].set_index("term")
    made = [(term, *rows[term], *table.loc[term, ["median", "lower", "upper"]]) for term in table.index if term in rows]
    parameters = tables["parameters"].set_index("parameter")
    spec = analysis.fit.spec
    if (
        spec.family.name == scenario.baseline.family
        and analysis.has_hazard_ratios
        and spec.guarantee_time == scenario.baseline.guarantee_time
    ):
        for name, value in scenario.baseline.parameters.items():
            made.append((name, "parameter", value, *parameters.loc[name, ["median", "lower", "upper"]]))
    has_spread = names.SITE_SD_LOG_HAZARD_RATIO in parameters.index
    if isinstance(spec.sites, RandomSites) and scenario.sites.sd is not None and has_spread:
        shown = parameters.loc[names.SITE_SD_LOG_HAZARD_RATIO, ["median", "lower", "upper"]]
        made.append((names.SITE_SD_LOG_HAZARD_RATIO, "parameter", scenario.sites.sd, *shown))
    frame = pd.DataFrame(made, columns=["group", "estimand", "true_value", "median", "lower", "upper"])
    return frame.assign(sites="", horizon=np.nan)
