"""What a report says of missing covariates: what was missing where, how it was completed, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sitewise.inference import FitResult
from sitewise.models.fitted import completed_fits
from sitewise.report.analysis import Analysis
from sitewise.report.page_parts import Section, Table, percent, probability, rows_of

if TYPE_CHECKING:
    from sitewise.studies.imputation import ImputedFit

Tables = Mapping[str, pd.DataFrame]


def imputed(fit: FitResult) -> ImputedFit | None:
    """Return a pooled fit as what it is, None for any other; imputation is loaded for the first only."""
    if not completed_fits(fit):
        return None
    from sitewise.studies.imputation import ImputedFit

    return fit if isinstance(fit, ImputedFit) else None


def with_imputation(analysis: Analysis, tables: Tables) -> dict[str, pd.DataFrame]:
    """Return an analysis's tables; of a pooled fit two more, and in the notes of groups how their sizes vary."""
    fit = imputed(analysis.fit)
    if fit is None:
        return dict(tables)
    notes = size_notes(analysis)
    groups = tables["groups"].copy()
    groups["note"] = [
        "; ".join(item for item in (row.note, notes.get(row.group, "")) if item) for row in rows_of(tables["groups"])
    ]
    more = {"missing": fit.imputations.missing, "imputation": imputation_table(fit)}
    return {**tables, "groups": groups, **more}


def imputation_table(fit: ImputedFit) -> pd.DataFrame:
    """Return ``quantity``, what missing values cost parameters, and how the chains went.

    Rows are parameters of the model, then shares and means of imputed values, which have drift and memory only.
    """
    cost = fit.missing_information.rename(columns={"parameter": "quantity"})
    went = fit.imputations.convergence
    others = went[~went["quantity"].isin(cost["quantity"])]
    return pd.concat([cost.merge(went, on="quantity", how="left"), others], ignore_index=True)


def size_notes(analysis: Analysis) -> dict[str, str]:
    """Return, for groups whose size differs between completed cohorts, how much."""
    sizes: dict[str, list[int]] = {}
    for own in completed_fits(analysis.fit):
        for group in analysis.population.groups(own.cohort):
            if group.rows is not None:
                sizes.setdefault(group.label, []).append(int(group.rows.sum()))
    return {
        label: f"{min(own)} to {max(own)} patients in the completed cohorts (mean {np.mean(own):.1f}); counts and Kaplan-Meier "
        "are of the first"
        for label, own in sizes.items()
        if min(own) < max(own)
    }


def imputed_sentences(fit: FitResult) -> list[str]:
    """Return what was missing and what was done about it; nothing for a fit of a complete cohort."""
    pooled = imputed(fit)
    return [pooled.sentence] if pooled is not None else []


def imputed_warnings(fit: FitResult) -> tuple[str, ...]:
    """Return what should worry about what is missing; nothing for a fit of a complete cohort."""
    pooled = imputed(fit)
    return pooled.imputations.warnings if pooled is not None else ()


def imputation_numbers(fit: FitResult) -> dict[str, Any]:
    """Return what ``diagnostics.json`` says of imputation; nothing for a fit of a complete cohort."""
    pooled = imputed(fit)
    if pooled is None:
        return {}
    found = pooled.imputations
    return {
        "imputation": {
            "sentence": found.sentence,
            "imputations": len(found),
            "sweeps": pooled.settings["sweeps"],
            "models": found.models.to_dict(orient="records"),
            "verdicts": [own.verdict.level for own in pooled.fits],
            "smallest_importance_ess_in_sweeps": found.chains.importance_ess,
            "warnings": list(found.warnings),
        }
    }


def missing_section(analysis: Analysis, tables: Tables) -> Section | None:
    """Return what was missing where, the models of incomplete covariates, and what the missing values cost."""
    fit = imputed(analysis.fit)
    if fit is None or not fit.imputations.incomplete:
        return None
    everywhere = tables["missing"][tables["missing"]["sites"] == "all"]
    models = fit.imputations.models.set_index("column")
    rows = []
    for row in rows_of(everywhere):
        tests = [probability(value) if np.isfinite(value) else "–" for value in (row.p_event, row.p_survival)]
        counts = f"{row.missing} of {row.n} ({percent(row.share)} %)"
        rows.append([row.column, counts, _worst_site(tables["missing"], row.column), *tests, models.loc[row.column, "model"]])
    cost = fit.missing_information
    costs = [
        [
            row.parameter,
            f"{row.mean:.3g}",
            f"{row.sd:.3g}",
            f"{percent(row.missing_information)} %",
            f"{row.mcse_mean / row.sd:.2f}",
        ]
        for row in rows_of(cost)
    ]
    return Section(
        "missing",
        "Missing covariates",
        [
            fit.sentence,
            *fit.imputations.warnings,
            "Tests compare patients without the value with the others: had the event or not (Fisher), and survival (log-rank). "
            "By site: missing.csv.",
            "Information missing is the share of a parameter's variance that lies between completed cohorts; the last column "
            "is the error that their finite number leaves in the mean, in posterior sds.",
        ],
        [
            Table(["Covariate", "missing", "most at site", "p: event", "p: survival", "model"], rows),
            Table(["Parameter", "mean", "sd", "information missing", "error / sd"], costs),
        ],
    )


def _worst_site(missing: pd.DataFrame, column: str) -> str:
    """Return the site with the largest share of missing values."""
    own = missing[(missing["column"] == column) & (missing["sites"] != "all")]
    if own.empty:
        return "–"
    row = own.iloc[int(own["share"].to_numpy().argmax())]
    return f"{row['sites']}: {row['missing']} of {row['n']}"
