"""What a classical analysis hides: sentences for the first screen, and the section with the hierarchical model beside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sitewise.estimands.summary import limits
from sitewise.inference.prior import prior_quantiles
from sitewise.models.priors import LOG_RATIO_BETWEEN_SITES
from sitewise.names import ALL_PATIENTS
from sitewise.problems import plural
from sitewise.report.classical_words import comparison, median_text, p_sentence, p_text, ratio_text
from sitewise.report.doubts import early_events
from sitewise.report.page_parts import Section, Table, pictures_of, probability, rows_of, span, times_span
from sitewise.studies.classical_analysis import ClassicalTables
from sitewise.studies.classical_analysis.cox_table import MULTIVARIATE, UNIVARIATE
from sitewise.studies.classical_analysis.hidden import BesideTheModel
from sitewise.studies.classical_analysis.outcomes import OS
from sitewise.studies.classical_analysis.plan import RISK_GROUP, SITE

ENOUGH_PER_VARIABLE = 10.0
"""Events per coefficient below which a Cox model is usually called overfitted (Peduzzi 1995, J Clin Epidemiol 48:1503)."""
SMALL_GROUP, FEW_EVENTS = 20, 10
WIDE = 2.0


def hidden_things(tables: ClassicalTables) -> list[str]:
    """Return what should be kept in mind when the tables are read, the gravest first."""
    return [*_sites(tables), *_per_variable(tables), *_selection(tables), *_groups(tables), *_wide(tables), *_sparse(tables)]


def _sites(tables: ClassicalTables) -> list[str]:
    cohort = tables.cohort
    if len(cohort.site_labels) < 2:
        return []
    counts = cohort.counts_by_site()
    sizes = f"{int(counts['n'].min())} to {int(counts['n'].max())} patients"
    test = tables.log_rank[(tables.log_rank["endpoint"] == OS) & (tables.log_rank["partition"] == SITE)]
    p = float(test["p"].iloc[0]) if len(test) else math.nan
    tested = f"; a log-rank test between them ({p_sentence(p)}) has little power" if math.isfinite(p) else ""
    return [f"{len(counts)} sites of {sizes} are analysed as if they were one: no table here knows of them{tested}."]


def _per_variable(tables: ClassicalTables) -> list[str]:
    cox = tables.cox[(tables.cox["endpoint"] == OS) & (tables.cox["model"] == MULTIVARIATE)]
    if cox.empty or not cox["model_columns"].iloc[0]:
        return []
    events, columns = int(cox["model_events"].iloc[0]), int(cox["model_columns"].iloc[0])
    each = events / columns
    few = " Below ten, hazard ratios run away from 1 and intervals are too narrow." if each < ENOUGH_PER_VARIABLE else ""
    what = plural(columns, "coefficient", "coefficients")
    return [f"The multivariate model has {events} events for {what}: {each:.1f} per variable.{few}"]


def _selection(tables: ClassicalTables) -> list[str]:
    cox = tables.cox[(tables.cox["endpoint"] == OS) & (tables.cox["model"] == UNIVARIATE)]
    tried = cox.drop_duplicates("covariate")
    if len(tried) < 2 or not tried["entered"].any():
        return []
    return [
        f"{int(tried['entered'].sum())} of {len(tried)} covariates entered because of their p value in these same patients: "
        "the multivariate intervals and p values take them as if they had been chosen beforehand."
    ]


def _groups(tables: ClassicalTables) -> list[str]:
    survival = tables.survival
    rows = survival[(survival["endpoint"] == OS) & survival["partition"].isin([RISK_GROUP, ALL_PATIENTS])]
    found = []
    for row in rows_of(rows):
        small = row.partition == RISK_GROUP and (row.n < SMALL_GROUP or row.events < FEW_EVENTS)
        open_ended = not math.isfinite(row.upper) and row.events > 0
        if not small and not open_ended:
            continue
        size = f"{row.n} patients with {plural(row.events, 'event', 'events')}"
        name = "All patients" if row.partition == ALL_PATIENTS else row.group
        end = (
            "; its upper limit is not reached, which says how little is known"
            if open_ended and math.isfinite(row.median)
            else ""
        )
        found.append(f"{name}: {size}, median {median_text(row.median, lower=row.lower, upper=row.upper)}{end}.")
    return found


def _wide(tables: ClassicalTables) -> list[str]:
    cox = tables.cox[(tables.cox["endpoint"] == OS) & tables.cox["model"].isin([UNIVARIATE, MULTIVARIATE])]
    cox = cox[np.isfinite(cox["hazard_ratio"].astype(float)) & (cox["level"] != "")]
    open_ = cox[(cox["p"] >= 0.05) & ((cox["lower"] < 1 / WIDE) | (cox["upper"] > WIDE))]
    if open_.empty:
        return []
    return [
        f"{len(open_)} of {len(cox)} comparisons without significance still allow a hazard that is halved or doubled: not "
        "significant does not mean alike."
    ]


def _sparse(tables: ClassicalTables) -> list[str]:
    sparse = tables.tests[tables.tests["cells_below_5"].fillna(0).astype(float) > 0] if len(tables.tests) else tables.tests
    if not len(sparse):
        return []
    return [f"{len(sparse)} chi-square tests rest on expected counts below 5; read their exact p values instead."]


def hides_section(tables: ClassicalTables, beside: BesideTheModel | None, pictures: Mapping[str, Path]) -> Section:
    """Return the section: without a fit what to do for one, with it the model beside Cox and Kaplan-Meier."""
    title = "What the classical analysis hides"
    if beside is None:
        said = (
            "Run the command with --fit to see the hierarchical model of the same patients beside: hazard ratios given site, "
        )
        said += "probabilities instead of p values, medians of small groups with limits, the spread between sites."
        return Section("hides", title, [said])
    percent = f"{100 * tables.plan.prob:g} %"
    return Section(
        "hides",
        title,
        _about(tables, beside),
        [
            Table(
                ["Comparison", "n (events)", f"Cox ({percent})", "p", f"hierarchical model ({percent})", "P(higher hazard)"],
                _effects(tables, beside),
                "n (events) of the level; the model's ratios are given site, shrunken by the prior Normal(0, 1) on log ratios.",
            ),
            Table(
                ["Group", "n (events)", "median: Kaplan-Meier", "median: model", "P(median beyond follow-up)"],
                _medians(beside),
                f"In {tables.cohort.time_unit}; the model's of the group's patients at their own sites, Weibull assumed.",
            ),
            *_spread(tables, beside),
        ],
        pictures_of(
            pictures,
            cox_and_model="Hazard ratios of the Cox model beside those of the hierarchical model",
            model_survival="Survival by group: posterior curves with bands over Kaplan-Meier steps",
        ),
    )


def _about(tables: ClassicalTables, beside: BesideTheModel) -> list[str]:
    fit = beside.fit
    sites = "random site effects" if fit.spec.has_sites else "no site effects, since there is one site"
    left = (
        f" {plural(beside.patients_left_out, 'patient', 'patients')} without all covariates left out."
        if beside.patients_left_out
        else ""
    )
    found = [
        f"Weibull model with {sites} and default priors, of the multivariate model's covariates and the factors of the risk "
        f"groups, {len(fit.cohort)} patients.{left} Verdict {fit.verdict.sentence}"
    ]
    return [*found, *early_events(fit)]


def _effects(tables: ClassicalTables, beside: BesideTheModel) -> list[list[str]]:
    rows = []
    for row in rows_of(beside.effects):
        known = isinstance(row.reference, str)
        label = comparison(row, tables) if known else f"{tables.plan.covariate(row.covariate).label} {row.level}"
        rows.append(
            [
                label,
                f"{int(row.n)} ({int(row.events)})" if known else "",
                ratio_text(row.cox_hazard_ratio, row.cox_lower, row.cox_upper) if known else "not in the model",
                p_text(row.cox_p) if known else "",
                ratio_text(row.hazard_ratio, row.lower, row.upper),
                probability(row.prob_above_one),
            ]
        )
    return rows


def _medians(beside: BesideTheModel) -> list[list[str]]:
    rows = []
    for row in rows_of(beside.medians):
        raw = [
            value if math.isfinite(value) else math.inf
            for value in (row.kaplan_meier_median, row.kaplan_meier_lower, row.kaplan_meier_upper)
        ]
        model = times_span(row.median, row.lower, row.upper, row.last_time, reached=row.prob_not_reached <= 0.5)
        size = f"{row.n} ({row.events})"
        rows.append(
            [row.group, size, times_span(raw[0], raw[1], raw[2], row.last_time), model, probability(row.prob_not_reached)]
        )
    return rows


def _spread(tables: ClassicalTables, beside: BesideTheModel) -> list[Table]:
    if beside.site_ratio is None or beside.site_models is None:
        return []
    ratio = beside.site_ratio.iloc[0]
    rows = [["median hazard ratio between two sites", "1 (assumed)", span(ratio["median"], ratio["lower"], ratio["upper"])]]
    prior = beside.fit.spec.resolved.site_sd
    note = ""
    if prior is not None:
        ends = prior_quantiles(prior, (0.5, *limits(tables.plan.prob)))
        own = span(*(math.exp(LOG_RATIO_BETWEEN_SITES * end) for end in ends))
        note = f"Prior of the sites' sd of log hazard ratios: {prior}, which alone gives {own}."
    found = [Table(["Spread between sites", "classical", "model"], rows, note)]
    coefficients = beside.site_models[beside.site_models["estimand"] == "log_hazard_ratio"]
    kinds = list(dict.fromkeys(coefficients["site_model"]))
    if len(coefficients):
        cells = []
        for term, same in coefficients.groupby("group", sort=False):
            by_kind = {row.site_model: row for row in rows_of(same)}
            shown = [
                ratio_text(*(math.exp(getattr(by_kind[kind], key)) for key in ("median", "lower", "upper"))) for kind in kinds
            ]
            cells.append([str(term), *shown])
        found.append(Table(["Hazard ratio if sites are", *_kinds(kinds)], cells))
    return found


def _kinds(kinds: list[str]) -> list[str]:
    meaning = {"random": "of a common distribution", "none": "all alike", "fixed": "unrelated"}
    return [meaning.get(kind, kind) for kind in kinds]
