"""The sections of an evidence fit's page below its first screen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sitewise import names
from sitewise.models import RandomSites
from sitewise.report.page_parts import (
    Section,
    Table,
    duration,
    number,
    percent,
    percent_span,
    pictures_of,
    rows_of,
    span,
    times_span,
)
from sitewise.studies.evidence_fit import EvidenceFit
from sitewise.studies.evidence_verdict import StackVerdict, counts

MOST_MISSES = 12


def sections(
    fit: EvidenceFit,
    tables: Mapping[str, pd.DataFrame],
    verdict: StackVerdict,
    pictures: Mapping[str, Path],
    /,
    *,
    prob: float,
) -> list[Section]:
    """Return the sections in order."""
    return [
        _survival(fit, tables, pictures, prob),
        _effects(fit, tables, pictures, prob),
        _sizes(fit, tables, pictures, prob),
        _hidden(fit, tables, pictures, prob),
        _sites(fit, tables, prob),
        _computation(fit, tables, verdict),
        _methods(fit),
    ]


def _survival(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], pictures: Mapping[str, Path], prob: float) -> Section:
    table, unit = tables["estimands"], fit.spec.resolved.time_unit
    own = table[table["sites"] == fit.sites[0].label]
    head = ["Group", f"median, {unit}", *(f"S({time:g})" for time in fit.times), f"RMST({fit.horizon:g}), {unit}"]
    rows = []
    for label in fit.group_names:
        mine = own[own["group"] == label]
        middle = mine[mine["estimand"] == names.MEDIAN_SURVIVAL].iloc[0]
        cells = [_median(fit, middle)]
        for row in rows_of(mine[mine["estimand"] == names.SURVIVAL]):
            cells.append(percent_span(row.median, row.lower, row.upper) + ("*" if row.extrapolated else ""))
        last = mine[mine["estimand"] == names.RMST].iloc[0]
        cells.append(span(last["median"], last["lower"], last["upper"], digits=1) + ("*" if last["extrapolated"] else ""))
        rows.append([label, *cells])
    note = f"Stacked median and {100 * prob:g} % interval; * beyond the group's follow-up. All: estimands.csv, survival.csv."
    shown = pictures_of(pictures, survival="Survival of each group: the stack's band, the cohorts' curves, the paper's numbers")
    text = [
        "The band is the model's; grey steps are Kaplan-Meier curves of the cohorts, which differ in all that the paper does "
        "not print. Where the paper's diamonds lie outside the band, the model's curve has another shape than the cohorts'."
    ]
    return Section("survival", "Survival by group", text, [Table(head, rows, note)], shown)


def _median(fit: EvidenceFit, row: pd.Series) -> str:
    last, reached = float(fit.follow_up[row["group"]]), bool(row["prob_not_reached"] <= 0.5)
    return times_span(row["median"], row["lower"], row["upper"], last, reached=reached)


def _effects(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], pictures: Mapping[str, Path], prob: float) -> Section:
    ratios = tables["coefficients"]
    if ratios.empty:
        return Section("effects", "Effects", ["The model has no covariates."])
    wide = {metric: ratios[ratios["metric"] == metric].set_index("term") for metric in ratios["metric"].unique()}
    published = tables["published"]
    rows = []
    for row in rows_of(ratios[ratios["metric"] == names.LOG_HAZARD_RATIO]):
        time = wide[names.LOG_TIME_RATIO].loc[row.term]
        told = published[(published["quantity"] == "hazard_ratio") & (published["of"] == row.term)]
        cells = dict.fromkeys((True, False), "–")
        for entry in rows_of(told.drop_duplicates("adjusted")):
            cells[entry.adjusted] = span(entry.published, entry.published_lower, entry.published_upper)
        rows.append(
            [
                row.term,
                span(row.ratio, row.ratio_lower, row.ratio_upper),
                span(time["ratio"], time["ratio_lower"], time["ratio_upper"]),
                cells[True],
                cells[False],
                f"{percent(row.share_between)} %",
            ]
        )
    head = ["Term", "hazard ratio", "time ratio", "the paper, adjusted", "the paper, unadjusted", "variance between cohorts"]
    note = f"Stacked median and {100 * prob:g} % interval, given site; the paper's are Cox models without sites."
    text = [
        f"Covariates: {fit.suggested.why}." if fit.spec.variables == fit.suggested.covariates else f"Model: {fit.spec.formula}."
    ]
    grouped = [f"{name} {label}" for name in fit.spec.variables for label in fit.suggested.levels.get(name, {}) if "|" in label]
    if grouped:
        text.append(f"Levels that the paper's rows do not tell apart are fitted as one: {', '.join(grouped)}.")
    shown = pictures_of(pictures, effects="Hazard ratios of stack and paper; variance within and between cohorts")
    return Section("effects", "Effects", text, [Table(head, rows, note)], shown)


def _sizes(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], pictures: Mapping[str, Path], prob: float) -> Section:
    rows = [
        [
            row.group,
            f"{number(row.n, 1)} ({row.n_lower:.0f} to {row.n_upper:.0f})",
            f"{number(row.events, 1)} ({row.events_lower:.0f} to {row.events_upper:.0f})",
            "not reached" if row.km_median != row.km_median else duration(row.km_median),
            duration(row.last_time),
        ]
        for row in rows_of(tables["groups"])
    ]
    unit = fit.spec.resolved.time_unit
    head = ["Group", "patients", "events", f"Kaplan-Meier median, {unit}", f"end of follow-up, {unit}"]
    note = f"Mean over cohorts and the range of {100 * prob:g} % of them; medians over cohorts. Each cohort: cohorts.csv."
    text = [
        "A paper that prints counts of single characteristics does not print how many patients have which of them together."
    ]
    shown = pictures_of(pictures, group_sizes="Patients and events of each group over the cohorts")
    return Section("sizes", "Sizes of the groups", text, [Table(head, rows, note)], shown)


def _hidden(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], pictures: Mapping[str, Path], prob: float) -> Section:
    estimands, ratios = tables["estimands"], tables["coefficients"]
    own = estimands[(estimands["sites"] == fit.sites[0].label)]
    rows = []
    for row in rows_of(own):
        what = {names.MEDIAN_SURVIVAL: "median", names.SURVIVAL: f"S({row.horizon:g})", names.RMST: f"RMST({row.horizon:g})"}
        digits = 2 if row.estimand == names.SURVIVAL else 1
        rows.append([f"{row.group}: {what[row.estimand]}", *_widths(row, digits)])
    for row in rows_of(ratios[ratios["metric"] == names.LOG_HAZARD_RATIO]):
        rows.append([f"{row.term}: log hazard ratio", *_widths(row, 2)])
    head = [
        "Quantity",
        "sd within",
        "sd between",
        "between, % of variance",
        "width, one cohort",
        "width, stack",
        "error of mean",
    ]
    note = (
        f"Width: of the {100 * prob:g} % interval, for one cohort the median over cohorts. sd within and between: roots of the "
        "two parts of the variance. Error of the mean: from the finite number of cohorts and draws."
    )
    text = [
        "The variance of the stacked draws is the mean of the cohorts' variances (within) plus the variance of the cohorts' "
        "means (between), exactly. Within is what one such cohort leaves open; between is what the paper's tables leave open "
        "about the cohort, which an analysis of one reconstructed cohort would not see."
    ]
    shown = pictures_of(pictures, variance="Share of variance between cohorts, by group and quantity")
    return Section("hidden", "What one cohort would hide", text, [Table(head, rows, note)], shown)


def _widths(row: object, digits: int) -> list[str]:
    values = {name: float(getattr(row, name)) for name in ("within_sd", "between_sd", "share_between", "one_cohort_width")}
    width = float(getattr(row, "upper")) - float(getattr(row, "lower"))  # noqa: B009 - a row's columns are its attributes
    return [
        number(values["within_sd"], digits),
        number(values["between_sd"], digits),
        percent(values["share_between"]),
        number(values["one_cohort_width"], digits),
        number(width, digits),
        number(float(getattr(row, "mcse_mean")), digits + 1),  # noqa: B009
    ]


def _sites(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], prob: float) -> Section:
    if not fit.spec.has_sites:
        return Section("sites", "Sites", ["The model has no sites: patients of all hospitals are taken as of one."])
    estimands, unit = tables["estimands"], fit.spec.resolved.time_unit
    rows = []
    for label in fit.group_names:
        for sites in dict.fromkeys(estimands["sites"]):
            own = estimands[(estimands["group"] == label) & (estimands["sites"] == sites)]
            half = own[own["estimand"] == names.MEDIAN_SURVIVAL].iloc[0]
            mean = own[own["estimand"] == names.RMST].iloc[0]
            rows.append([label, sites, _median(fit, half), span(mean["median"], mean["lower"], mean["upper"], digits=1)])
    text = [
        "Observed: a group's patients, each at their own site. Marginal: over the distribution of sites that the model "
        "assumes. Both rest on the assumed spread, the second more."
    ]
    if isinstance(fit.spec.sites, RandomSites):
        table = tables["parameters"]
        row = next(rows_of(table[table["parameter"] == names.SITE_SD_LOG_HAZARD_RATIO]))
        text.append(
            f"Spread between sites (sd of log hazard ratios) in the stack: {span(row.median, row.lower, row.upper)}. It is not "
            f"identified by the paper: this is its prior."
        )
    head = ["Group", "sites", f"median, {unit}", f"RMST({fit.horizon:g}), {unit}"]
    note = f"Stacked median and {100 * prob:g} % interval."
    return Section("sites", "Sites", text, [Table(head, rows, note)])


def _computation(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], verdict: StackVerdict) -> Section:
    found = counts(fit.members)
    text = [
        f"Verdict {verdict.sentence}",
        f"{found['in_stack']} of {found['asked']} cohorts are in the stack. Their own verdicts: {found['ok']} ok, "
        f"{found['warn']} warn, {found['fail']} fail, {found['not_fitted']} not fitted. A warning is usual: the draws of one "
        "fit are few by design, and pooled. A fit that fails after its repetition is left out and counted.",
    ]
    rows = [[check.name, check.level, check.sentence, check.where] for check in verdict.checks]
    made = [Table(["Check", "level", "finding", "worst"], rows)]
    left = tables["cohorts"]
    left = left[~left["in_stack"]]
    if len(left):
        made.append(Table(["Left out: cohort", "reason"], [[str(row.cohort), row.reason] for row in rows_of(left)]))
    misses = tables["misses"]
    if len(misses):
        table = misses.groupby(["target", "printed"], sort=False)["off"].agg(["size", "median", "max"]).reset_index()
        table = table.sort_values("size", ascending=False, kind="stable")
        shown = [
            [row.target, row.printed, str(row.size), f"{row.median:.2g}", f"{row.max:.2g}"]
            for row in rows_of(table.head(MOST_MISSES).set_axis(["target", "printed", "size", "median", "max"], axis=1))
        ]
        note = (
            f"{len(table)} numbers are missed by some cohort, each on its own scale; the most frequent here, all: misses.csv."
        )
        made.append(Table(["Number missed", "printed", "cohorts", "off by, median", "most"], shown, note))
    return Section("computation", "Cohorts and computation", text, made)


def _methods(fit: EvidenceFit) -> Section:
    resolved = fit.spec.resolved
    priors = [f"{column} ~ {prior}" for column, prior in zip(resolved.columns, resolved.coefficients, strict=True)]
    shapes = [f"shape ~ {prior}" for prior in resolved.shape]
    sites = [f"spread between sites ~ {resolved.site_sd}"] if resolved.site_sd is not None else []
    text = [
        f"Model of every cohort: {fit.spec.formula}, {fit.spec.family.name}, {fit.spec.metric}. Priors, the same in all: "
        f"{'; '.join([*shapes, f'{resolved.baseline} ~ {resolved.baseline_prior}', *priors, *sites])}. What they take from "
        "data (covariate means, person-time over events) was taken once, from all cohorts together.",
        "Cohorts: begun at draws from the posterior of the data-generating process given the paper, then changed until their "
        "own tables are the printed ones. Sites: spread and effects drawn from their prior, patients then placed by how "
        "probable their survival is at each site (swaps, Metropolis), sizes of sites kept.",
        "Stack: the same number of draws of every cohort, hence equal weight.",
        f"Engine {fit.engine}; seed {fit.seed}; evidence {fit.tree.attrs['evidence_hash'][:16]}; every seed and version: "
        "diagnostics.json.",
    ]
    return Section("methods", "Methods", text)
