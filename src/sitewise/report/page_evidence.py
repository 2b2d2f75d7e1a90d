"""The sections on which trust rests: truth beside estimate, checks with the verdict, warnings, methods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sitewise import names
from sitewise.inference.verdict import THRESHOLDS
from sitewise.models import FixedSites, NoSites, RandomSites
from sitewise.report.analysis import Analysis
from sitewise.report.doubts import early_events
from sitewise.report.page_parts import Section, Table, embedded, number, percent_span, rows_of, span, times_span
from sitewise.report.slopes import measured_from
from sitewise.simulate import SyntheticCohort

HASH_SHOWN = 16
SITE_WORDS = {RandomSites: "random (a common normal distribution)", FixedSites: "fixed (sum to zero)", NoSites: "none"}
NO_SIGN = "The first event is not later than the model expects: no sign of an unstated guarantee time."


def truth_section(analysis: Analysis, truth: pd.DataFrame | None) -> Section | None:
    """Return truth beside estimate for a synthetic cohort."""
    if truth is None:
        return None
    unit = analysis.fit.cohort.time_unit
    chosen = truth[truth["sites"].isin([analysis.headline.label, ""])]
    last = {group.label: group.last_time for group in analysis.curves[analysis.headline.label].groups}
    rows = []
    for row in rows_of(chosen):
        if row.estimand == names.SURVIVAL:
            true, estimate = f"{100 * row.true_value:.0f} %", percent_span(row.median, row.lower, row.upper)
            what = f"S({row.horizon:g})"
        elif row.estimand == names.MEDIAN_SURVIVAL:
            true, what = f"{row.true_value:.1f}", f"median, {unit}"
            estimate = times_span(row.median, row.lower, row.upper, last[row.group], reached=row.median <= last[row.group])
        elif row.estimand == names.RMST:
            true, what = f"{row.true_value:.1f}", f"RMST({row.horizon:g}), {unit}"
            estimate = span(row.median, row.lower, row.upper, digits=1)
        else:
            true, what, estimate = number(row.true_value), row.estimand, span(row.median, row.lower, row.upper)
        rows.append([str(row.group), what, true, estimate, "yes" if row.inside else "no"])
    inside = int(chosen["inside"].sum())
    sentences = [
        "These patients were simulated, so what is true of them is known. One cohort proves little: over many such cohorts "
        f"{100 * analysis.prob:g} in 100 intervals should hold the truth; here {inside} of {len(chosen)} do, and they are not "
        "independent. All values: truth.csv.",
    ]
    head = ["Group or term", "what", "true", f"estimate ({100 * analysis.prob:g} %)", "inside"]
    return Section("truth", "Truth beside estimate", sentences, [Table(head, rows)])


def checks_section(analysis: Analysis, pictures: Mapping[str, Path]) -> Section:
    """Return the verdict with every number behind it."""
    verdict = analysis.fit.verdict
    rows = []
    for check in verdict.checks:
        threshold = THRESHOLDS[check.name]
        better = ">" if threshold.larger_is_better else "<"
        bound = f"{check.ok:g}" if threshold.inclusive else f"{better} {check.ok:g}"
        warn = f"{better} {check.warn:g}" if math.isfinite(check.warn) else "else"
        rows.append([threshold.title, f"{check.value:.4g}", bound, warn, check.level])
    early = early_events(analysis.fit) or [NO_SIGN]
    found = [embedded(pictures["chains"], "Ranks by chain and draws in order")] if "chains" in pictures else []
    table = Table(["Check of the computation", "value", "ok", "warn", "level"], rows)
    return Section("checks", "Checks", [f"Verdict {verdict.sentence}", *verdict.notes, *early], [table], found)


def warnings_section(analysis: Analysis) -> Section:
    """Return every warning and note."""
    cohort = analysis.fit.cohort
    found = [*analysis.fit.warnings, *(f"Note: {note}" for note in cohort.notes)]
    return Section("warnings", "Warnings and notes", found or ["None."])


def methods_section(analysis: Analysis) -> Section:
    """Return what reproduces the analysis: model, priors, engine, seed, versions, hashes."""
    fit = analysis.fit
    found = fit.spec.resolved
    model = [
        ["formula", fit.spec.formula],
        ["family and metric", f"{fit.spec.family.name}, {fit.spec.metric}"],
        ["guarantee time", f"{fit.spec.guarantee_time:g} {fit.cohort.time_unit}"],
        ["site effects", SITE_WORDS[type(fit.spec.sites)]],
        *([["random slopes", f"{', '.join(fit.spec.slopes)}, from {measured_from(fit)}"]] if fit.spec.slopes else []),
        *([["shape", fit.spec.shape_formula]] if fit.spec.shape_differs else []),
        ["intervals", f"{100 * analysis.prob:g} %, equal-tailed"],
        ["engine", f"{fit.engine}, " + ", ".join(f"{key} {value}" for key, value in fit.settings.items() if value is not None)],
        ["seed", str(fit.seed)],
        ["data hash", fit.cohort.data_hash[:HASH_SHOWN]],
        ["model hash", fit.spec_hash[:HASH_SHOWN]],
    ]
    cohort = fit.cohort
    if isinstance(cohort, SyntheticCohort) and cohort.scenario is not None:
        model.append(
            [
                "scenario",
                f"{cohort.scenario.id}, seed {cohort.seed}, cohort {cohort.number}, {cohort.scenario.hash[:HASH_SHOWN]}",
            ]
        )
    priors = [[item.name, str(prior)] for item, prior in zip(fit.spec.family.shape_parameters, found.shape, strict=True)]
    priors.append([found.baseline.replace("_", " ") + " of the reference patient", str(found.baseline_prior)])
    priors += [[str(term), str(prior)] for term, prior in zip(found.columns, found.coefficients, strict=True)]
    if found.site_sd is not None:
        priors.append(["site sd", str(found.site_sd)])
    slopes = zip(found.slope_labels, found.site_slope_sd, strict=True)
    priors += [[f"sd of slopes of {label}", str(prior)] for label, prior in slopes]
    shapes = zip(found.shape_columns, found.shape_coefficients, strict=True)
    priors += [[f"log ratio of shapes, {column}", str(prior)] for column, prior in shapes]
    if found.site_shape_sd is not None:
        priors.append(["sd of sites' log shapes", str(found.site_shape_sd)])
    versions = [[name, version] for name, version in fit.versions.items()]
    sentences = [
        "Bayesian survival model with effects of covariates and sites; groups' curves are averaged over their members inside "
        "each draw, then summarised. The first letters of SHA-256 hashes identify data and model; diagnostics.json has them "
        "whole.",
    ]
    return Section(
        "methods",
        "Methods",
        sentences,
        [Table(["Model", ""], model), Table(["Prior of", ""], priors), Table(["Version of", ""], versions)],
    )
