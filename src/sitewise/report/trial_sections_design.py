"""Sections about the design and its priors: what is done, what is taken as true, what the analysis believes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sitewise.problems import plural
from sitewise.report.page_parts import Section, Table, enumerated, number, pictures_of, rows_of
from sitewise.report.trial_tables import thresholds
from sitewise.report.trial_words import (
    METHODS,
    accrual_words,
    adjusted_words,
    analysis_priors,
    arms_words,
    borrowing_words,
    criterion_words,
    effect_words,
    follow_up_words,
    trigger_words,
)
from sitewise.trial.assessment import Assessment


def design_section(found: Assessment, /) -> Section:
    """Return arms, accrual, follow-up, looks and criteria."""
    design, unit = found.design, found.design.time_unit
    adjusted = adjusted_words(design.analysis)
    sentences = [
        f"{arms_words(design.arms)} of {plural(design.arms.patients, 'patient', 'patients')}.",
        *accrual_words(design.accrual, unit),
        follow_up_words(design.follow_up, unit),
        f"Analysis: {METHODS[design.analysis.method]}{f'; adjusted for {adjusted}' if adjusted else ''}.",
        *([borrowing_words(design.borrowing)] if design.borrowing is not None else []),
    ]
    looks = Table(["Look", "when"], [[look.name, trigger_words(look.when, unit)] for look in design.look])
    rows = [
        [str(row.criterion), _statement(found, str(row.criterion)), str(row.look), _needed(row), str(row.origin)]
        for row in rows_of(thresholds(found))
    ]
    note = (
        "Success at a look needs every success criterion that counts there; a trial that has none stops for futility when one "
        "futility criterion holds."
    )
    if design.arms.further:
        note = (
            "An arm succeeds at a look when every success criterion of it that counts there holds, and the trial when "
            f"{'any arm does' if design.arms.success == 'any' else 'every arm does'}; a trial that does not stops for futility "
            "when each arm has a futility criterion that holds."
        )
    return Section(
        "design",
        "The design",
        sentences,
        [looks, Table(["Criterion", "statement", "look", "probability needed", "threshold from"], rows, note)],
    )


def _statement(found: Assessment, name: str) -> str:
    return criterion_words(next(item for item in found.design.criterion if item.name == name))


def _needed(row: Any) -> str:
    side = "above" if row.role == "success" else "below"
    value, low, high = float(row.threshold), float(row.lower), float(row.upper)
    limits = f" (95 % limits {low:.4g} to {high:.4g})" if math.isfinite(low) else ""
    return f"{side} {value:.4g}{limits}"


def priors_section(found: Assessment, files: Mapping[str, Path], /) -> Section:
    """Return the design prior beside the analysis prior, and why they are as they are."""
    design, truth = found.design, found.cohorts.truth
    analysis = analysis_priors(design.analysis, design.time_unit)
    low, middle, high = np.quantile(truth.site_sd, [0.025, 0.5, 0.975])
    sites = f"sd of log hazards {number(middle)}" + (f" ({number(low)} to {number(high)})" if high > low else "")
    shares = truth.shares.mean(axis=0)
    groups = enumerated(
        [f"{name} {100 * shares[truth.group_of_profile == place].sum():.0f} %" for place, name in enumerate(truth.groups)]
    )
    count = plural(truth.rows, "joint draw", "joint draws") if truth.rows > 1 else "one stated truth"
    baseline = f"{truth.source}: {truth.family.name}, {count}; the cohort describes the {truth.cohort_arm} arm"
    bias = design.truth.bias
    rows = [
        ["treatment", effect_words(design.truth.effect, design.arms.further), analysis["treatment"]],
        ["baseline", f"{baseline}.", analysis["baseline"]],
        ["risk groups", f"{groups}.", analysis["risk groups"]],
        ["sites", f"New sites, {sites}.", analysis["sites"]],
        [
            "bias of the cohort",
            f"Mean {bias.mean:g}, sd {bias.sd:g} of the log hazard ratio. Reason: {bias.reason}"
            if bias.mean or bias.sd
            else "none",
            "not in the analysis",
        ],
        ["discount", f"{100 * design.truth.discount:g} % of the cohort's information is trusted", "not in the analysis"],
        ["cohorts", "as above", _cohorts(found)],
    ]
    note = "The design prior makes the trials; the analysis prior is all that the trial's own analysis knows beforehand."
    reasons = [[topic, text] for topic, text in design.justification.items()]
    return Section(
        "priors",
        "What is taken as true, and what the analysis believes",
        [*truth.notes, *([] if reasons else ["The design gives no justification of its priors, thresholds or accrual."])],
        [
            Table(["Of", "taken as true (design prior)", "analysis prior"], rows, note),
            *([Table(["Topic", "justification in the design's own words"], reasons)] if reasons else []),
        ],
        pictures_of(files, **{"truth.svg": "Distribution of the true effect, and success split by whether it is right"}),
    )


def _cohorts(found: Assessment) -> str:
    told = []
    if found.cohorts.benchmark is not None:
        known = "treated as known" if found.cohorts.benchmark.known else "with its uncertainty"
        told.append(f"benchmark: {found.cohorts.benchmark.cohort.source}, {known}")
    if found.design.borrowing is not None:
        told.append(borrowing_words(found.design.borrowing))
    return "; ".join(told) or "none"
