"""The univariate and multivariate Cox tables: which covariates enter, and the models as a paper has them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from sitewise.classical import Ordered
from sitewise.cohort import Cohort
from sitewise.evidence.entries import Model
from sitewise.studies.classical_analysis.by_group import ordered_of
from sitewise.studies.classical_analysis.cox_fits import CoxModel, Row, fit_model
from sitewise.studies.classical_analysis.outcomes import Endpoint, Outcomes
from sitewise.studies.classical_analysis.plan import ClassicalPlan, Contrast, Covariate

UNIVARIATE, MULTIVARIATE, AS_PUBLISHED = "univariate", "multivariate", "as published: "
COX = ["endpoint", "model", "covariate", "level", "reference", "n", "events", "hazard_ratio", "lower", "upper", "p", "entered"]
FURTHER = ["entry_p", "reference_n", "reference_events", "standard_error", "model_patients", "model_events"]
FURTHER += ["model_columns", "remark"]


def cox_table(cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> pd.DataFrame:
    """Return the Cox tables of each endpoint.

    A covariate enters the multivariate model when the likelihood-ratio p value of its univariate model, of all its levels
    together, is below ``plan.entry_p`` and it has a hazard ratio. Where the plan has a paper whose adjusted model has other
    covariates or levels than those that entered, that model follows, named ``as published: ID``.

    Returns
    -------
    DataFrame
        ``endpoint, model`` (``univariate``, ``multivariate``, ``as published: ID``), ``covariate, level, reference, n,
        events`` (at the level; of a number, in the model), ``hazard_ratio, lower, upper, p`` (Wald), ``entered, entry_p,
        reference_n, reference_events, standard_error, model_patients, model_events, model_columns, remark``. Where there is
        no estimate the numbers are empty and the remark says why.
    """
    rows: list[Row] = []
    for endpoint in outcomes.endpoints:
        if plan.cox_endpoints is None or endpoint.name in plan.cox_endpoints:
            rows += _of_endpoint(cohort, endpoint, plan)
    return pd.DataFrame(rows, columns=[*COX, *FURTHER]).astype({"entered": bool})


def entered(table: pd.DataFrame, endpoint: str) -> list[str]:
    """Return the covariates of an endpoint's multivariate model, in order."""
    rows = table[(table["endpoint"] == endpoint) & (table["model"] == MULTIVARIATE)]
    return [str(name) for name in dict.fromkeys(rows["covariate"])]


def published_contrasts(model: Model) -> tuple[Contrast, ...]:
    """Return the rows of a published model as contrasts."""
    return tuple(Contrast(term.level, term.reference) for term in model.term)


def model_of(model: Model, plan: ClassicalPlan) -> list[Covariate] | None:
    """Return a published model's covariates as this cohort has them; None when it lacks one."""
    known = {item.name: item for item in plan.covariates}
    found: dict[str, Covariate] = {}
    for term in model.term:
        if term.covariate not in known:
            return None
        item = known[term.covariate]
        own = tuple(Contrast(row.level, row.reference) for row in model.term if row.covariate == term.covariate)
        found[item.name] = Covariate(item.name, item.label, own, item.numeric, item.unit)
    usable = all(item.numeric != bool(item.contrasts[0].level) for item in found.values())
    one_reference = all(len({row.reference for row in item.contrasts}) == 1 for item in found.values())
    return list(found.values()) if usable and one_reference else None


def _of_endpoint(cohort: Cohort, endpoint: Endpoint, plan: ClassicalPlan) -> Iterator[Row]:
    ordered = ordered_of(cohort, endpoint)
    chosen: list[Covariate] = []
    for item in plan.modelled:
        model = fit_model(cohort, ordered, endpoint=endpoint, covariates=[item], plan=plan)
        enters = model.columns > 0 and math.isfinite(model.p) and model.p < plan.entry_p
        if enters:
            chosen.append(item)
        yield from _rows(model, endpoint, UNIVARIATE, entered=enters, entry_p=model.p)
    if chosen:
        yield from _multivariate(cohort, ordered, endpoint, chosen, plan, MULTIVARIATE)
    for published in plan.evidence.model if plan.evidence is not None else ():
        if not published.adjusted or published.endpoint != endpoint.name:
            continue
        theirs = model_of(published, plan)
        if theirs is not None and _key(theirs) != _key(chosen):
            yield from _multivariate(cohort, ordered, endpoint, theirs, plan, AS_PUBLISHED + published.id)


def _key(covariates: Sequence[Covariate]) -> set[tuple[str, frozenset[Contrast]]]:
    return {(item.name, frozenset(item.contrasts)) for item in covariates}


def _multivariate(
    cohort: Cohort, ordered: Ordered, endpoint: Endpoint, covariates: Sequence[Covariate], plan: ClassicalPlan, name: str
) -> Iterator[Row]:
    model = fit_model(cohort, ordered, endpoint=endpoint, covariates=covariates, plan=plan)
    yield from _rows(model, endpoint, name, entered=True, entry_p=math.nan)


def _rows(model: CoxModel, endpoint: Endpoint, name: str, *, entered: bool, entry_p: float) -> Iterator[Row]:
    for row in model.rows:
        yield {
            "endpoint": endpoint.name,
            "model": name,
            **row,
            "entered": entered,
            "entry_p": entry_p,
            "model_patients": model.patients,
            "model_events": model.events,
            "model_columns": model.columns,
        }
