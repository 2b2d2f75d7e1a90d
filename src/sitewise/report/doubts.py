"""What to doubt about a fit: sentences for the first screen, each with the numbers that give rise to it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from sitewise import names
from sitewise.estimands import expected_events
from sitewise.inference import FitResult
from sitewise.models import FixedSites, RandomSites
from sitewise.report.analysis import FEW_EVENTS, Analysis
from sitewise.report.page_parts import duration, enumerated, rows_of

FEW_SITES = 10
UNLIKELY = 0.01
"""Probability below which the absence of early events speaks against the model: its false alarms."""
CURE = "mixture-cure"
FREE_FORM = ("m-spline", "piecewise-exponential", CURE)
"""Families of which it is not the form of the curve that is assumed first of all."""


def doubts(analysis: Analysis, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return what should be doubted, the gravest first.

    Parameters
    ----------
    analysis : Analysis
        What is reported.
    tables : mapping of str to DataFrame
        Of :func:`sitewise.report.tables.all_tables`.
    """
    fit = analysis.fit
    found = []
    if fit.verdict.level != "ok":
        poor = sum(check.level != "ok" for check in fit.verdict.checks)
        missed = f"{poor} of {len(fit.verdict.checks)} checks of the computation not passed"
        found.append(f"Verdict {fit.verdict.level}: {missed}; what to do stands under Checks.")
    found += _poor_groups(tables["groups"])
    found += early_events(fit)
    found += _extrapolated(analysis, tables["estimands"])
    found += _sites(fit)
    found += [warning[:1].upper() + warning[1:] for warning in fit.cohort.warnings]
    if fit.spec.family.name not in FREE_FORM:
        found.append(
            f"The shape of the {fit.spec.family.name.capitalize()} curve is assumed; look at the model's lines beside the "
            "Kaplan-Meier steps."
        )
    elif fit.spec.family.name == CURE:
        found.append(
            "How many are cured is told by patients who were followed long after the last event; without them it is the prior."
        )
    return found


def early_events(fit: FitResult) -> list[str]:
    """Return a doubt when nobody had the event in a time in which the model expects some: an unstated guarantee time.

    With E events expected before the first one seen, none happens with probability exp(-E), which is uniform under a right
    model.
    """
    cohort = fit.cohort
    if not cohort.event.any():
        return []
    before = cohort.time if cohort.lower is None else cohort.lower  # nobody had the event before this
    first = float(before[cohort.event > 0].min())
    if first == 0:
        return []
    # Each patient counts once, whatever their weight: it is patients that have events.
    expected = float(expected_events(fit, [min(first, time) for time in cohort.time], own_sites=True).sum())
    if math.exp(-expected) >= UNLIKELY:
        return []
    return [
        f"Nobody had the event before {duration(first)} {cohort.time_unit}, where the model expects {expected:.1f} events "
        f"({_rare(math.exp(-expected))} by chance). Could anyone have had it before then? If not, state the time as "
        "guarantee_time: without it shape, hazard ratios and medians are biased."
    ]


def _poor_groups(groups: pd.DataFrame) -> list[str]:
    poor = [f"{row.group} ({row.events} of {row.n})" for row in rows_of(groups[groups["data_poor"]])]
    if not poor:
        return []
    return [f"Fewer than {FEW_EVENTS} events, so that the estimate leans on the model and its priors: {enumerated(poor)}."]


def _rare(probability: float) -> str:
    return "less than once in 10,000 times" if probability < 1e-4 else f"about once in {1 / probability:,.0f} times"


def _extrapolated(analysis: Analysis, estimands: pd.DataFrame) -> list[str]:
    chosen = estimands[(estimands["sites"] == analysis.headline.label) & estimands["extrapolated"]]
    groups = list(dict.fromkeys(chosen["group"].astype(str)))
    if not groups:
        return []
    medians = chosen[chosen["estimand"] == names.MEDIAN_SURVIVAL]["group"].astype(str).tolist()
    what = f" (the median of {enumerated(medians)} among them)" if medians else ""
    return [f"Beyond follow-up the model extrapolates: numbers of {enumerated(groups)} past the last observed time{what}."]


def _sites(fit: FitResult) -> list[str]:
    if not fit.spec.has_sites:
        several = len(fit.cohort.site_labels) > 1
        return ["The model ignores that patients come from different sites."] if several else []
    count = len(fit.spec.resolved.site_labels)
    if isinstance(fit.spec.sites, FixedSites):
        return [f"The {count} sites have effects of their own; nothing is said about other sites."]
    if isinstance(fit.spec.sites, RandomSites) and count < FEW_SITES:
        effects = ", and how much effects do between them" if fit.spec.slopes else ""
        return [
            f"{count} sites say little about how much sites differ{effects}: compare prior and posterior of the spread below."
        ]
    return []
