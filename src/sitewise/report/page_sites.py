"""The section on sites: how much they differ, each of them, survival by site, and what their treatment changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sitewise import names
from sitewise.estimands.summary import limits
from sitewise.inference import FitResult
from sitewise.inference.prior import prior_quantiles
from sitewise.models import Prior, RandomSites
from sitewise.models.groupings import of_grouping
from sitewise.models.priors import log_ratio_per_sd
from sitewise.report.analysis import Analysis
from sitewise.report.page_parts import Section, Table, enumerated, percent_span, pictures_of, rows_of, span, times_span
from sitewise.report.page_slopes import slope_sentences, slope_spreads, slope_tables
from sitewise.report.shapes import shape_spread, site_shape_tables

Tables = Mapping[str, pd.DataFrame]


def sites_section(analysis: Analysis, tables: Tables, pictures: Mapping[str, Path]) -> Section | None:
    """Return the sites: spread, prior beside posterior; each site's estimate; survival by site."""
    fit = analysis.fit
    if not fit.spec.has_sites:
        return None
    made = []
    if fit.spec.resolved.site_sd is not None:
        made.append(_spread(analysis, tables, fit.spec.resolved.site_sd))
    rows = [
        [str(row.site), str(row.n), str(row.events), span(row.median, row.lower, row.upper), f"{row.rank_mean:.1f}"]
        for row in rows_of(told_sites(tables["sites"]))
    ]
    hazards = analysis.has_hazard_ratios
    against = f"log {'hazard' if hazards else 'time'} ratio against an average site" + (
        ", reference patient" if fit.spec.slopes else ""
    )
    made.append(Table(["Site", "n", "events", against, "mean rank (1: lowest hazard)"], rows))
    made += [*slope_tables(analysis, tables), *site_shape_tables(tables["sites"])]
    if analysis.site_models is not None:
        made.append(_site_models(analysis, analysis.site_models))
    return Section(
        "sites",
        "Sites",
        [
            "Differences between sites mix unmeasured case mix, chance and care; ranks are as uncertain as intervals.",
            *slope_sentences(analysis, tables),
            *grouping_sentences(fit),
        ],
        made,
        pictures_of(
            pictures,
            site_spread="Spread between sites: prior beside posterior",
            sites="Each site alone and with the others",
            site_slopes="Effects of covariates at each site beside those at an average site",
            survival_by_site="Survival by site: model over Kaplan-Meier steps",
        ),
    )


def grouping_sentences(fit: FitResult) -> list[str]:
    """Return at which labels of further groupings curves are."""
    if not fit.spec.groupings:
        return []
    return [
        f"Patients are grouped by {enumerated(fit.spec.groupings)} too, with a spread of its own. Survival is that of patients "
        "in an average group, whatever is said of sites."
    ]


def told_sites(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of sites with the columns of log time ratios in place of empty ones of log hazard ratios."""
    if "log_time_ratio_median" not in table:
        return table
    return table.assign(**{name: table[f"log_time_ratio_{name}"] for name in ("median", "lower", "upper")})


def _site_models(analysis: Analysis, table: pd.DataFrame) -> Table:
    """Return the answers under random, no and fixed site effects, a column each."""
    last = {group.label: group.last_time for group in analysis.curves[analysis.headline.label].groups}
    kinds = list(dict.fromkeys(table["site_model"]))
    rows = []
    for _, same in table.groupby(["group", "estimand", "horizon"], sort=False, dropna=False):
        by_kind = {row.site_model: row for row in rows_of(same)}
        first = by_kind[kinds[0]]
        labels = {names.MEDIAN_SURVIVAL: "median", names.SURVIVAL: f"S({first.horizon:g})"}
        cells = [_cell(by_kind[kind], last) for kind in kinds]
        rows.append(
            [
                f"{first.group}: {labels.get(first.estimand, 'hazard ratio' if analysis.has_hazard_ratios else 'time ratio')}",
                *cells,
            ]
        )
    verdicts = table.drop_duplicates("site_model").set_index("site_model")["verdict"]
    bad = [f"{kind}: verdict {level}" for kind, level in verdicts.items() if level != "ok"]
    common = "of a common distribution"
    common += " with and without slopes" if analysis.fit.spec.slopes else ""
    note = f"The same model with site effects {common}, without any, and unrelated to each other."
    return Table(["If sites are treated as", *kinds], rows, note + (f" ({'; '.join(bad)})" if bad else ""))


def _cell(row: Any, last: Mapping[str, float]) -> str:
    if row.estimand == names.MEDIAN_SURVIVAL:
        return times_span(row.median, row.lower, row.upper, last[row.group], reached=row.median <= last[row.group])
    if row.estimand == names.SURVIVAL:
        return percent_span(row.median, row.lower, row.upper)
    return span(*(math.exp(value) for value in (row.median, row.lower, row.upper)))


def _spread(analysis: Analysis, tables: Tables, prior: Prior) -> Table:
    """Return the spread between sites, prior beside posterior, also as the median hazard ratio between two sites."""
    fit = analysis.fit
    low, high = limits(analysis.prob)
    parameters = {row.parameter: row for row in rows_of(tables["parameters"])}
    ends = prior_quantiles(prior, (0.5, low, high))
    after = parameters[names.SITE_SD]
    told = "hazard" if analysis.has_hazard_ratios else "time"
    ratio = parameters[names.MEDIAN_HAZARD_RATIO if analysis.has_hazard_ratios else names.MEDIAN_TIME_RATIO]
    metric = "log hazard ratios" if fit.spec.metric == names.HAZARD_RATIO else "log time ratios"
    same = metric == f"log {told} ratios"  # the prior is about the ratio that is told
    per_sd = log_ratio_per_sd(fit.spec.sites)
    ratio_before = span(*(math.exp(per_sd * end) for end in ends)) if same and per_sd is not None else "–"
    rows = [
        [f"sd of {metric}", span(*ends), span(after.median, after.lower, after.upper)],
        [f"median {told} ratio between two sites", ratio_before, span(ratio.median, ratio.lower, ratio.upper)],
    ]
    rows += [*slope_spreads(analysis, tables), *shape_spread(analysis)]
    for name in fit.spec.groupings:
        assert fit.spec.resolved.grouping_sd is not None
        own = parameters[of_grouping(names.GROUPING_SD, name)]
        before = span(*prior_quantiles(fit.spec.resolved.grouping_sd, (0.5, low, high)))
        rows.append([f"sd of {metric} between groups of {name}", before, span(own.median, own.lower, own.upper)])
    slopes = dict(zip(fit.spec.resolved.slope_labels, fit.spec.resolved.site_slope_sd, strict=True))
    others = {
        "of correlations": fit.spec.resolved.site_correlation,
        "of degrees of freedom above 2": fit.spec.resolved.site_degrees_of_freedom,
        "between groups": fit.spec.resolved.grouping_sd,
    }
    further = [f"{words} {own}" for words, own in others.items() if own is not None]
    priors = "; ".join([str(prior), *(f"of {label} {own}" for label, own in slopes.items()), *further])
    note = f"Prior: {priors}.{student_t_note(fit)}"
    return Table(["Spread between sites", "prior", "posterior"], rows, note)


def student_t_note(fit: FitResult) -> str:
    """Return what is assumed of the tails, where sites have a Student-t distribution."""
    sites = fit.spec.sites
    if not (isinstance(sites, RandomSites) and sites.is_student_t):
        return ""
    known = sites.degrees_of_freedom
    freedom = "degrees of freedom that are estimated" if known is None else f"{known:g} degrees of freedom"
    return (
        f" Sites have a Student-t distribution with {freedom}, which expects a few far from the others; the sd is that of the "
        "distribution, not its scale."
    )
