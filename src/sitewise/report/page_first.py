"""The first screen of the report: what was asked, the answer, how sure, what to doubt, what the data are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from sitewise import names
from sitewise.names import ALL_PATIENTS
from sitewise.problems import plural
from sitewise.report.analysis import Analysis
from sitewise.report.doubts import doubts
from sitewise.report.imputed import imputed_sentences
from sitewise.report.page_parts import (
    NOT_REACHED,
    duration,
    enumerated,
    number,
    percent,
    percent_span,
    probability,
    rows_of,
    times_parts,
)
from sitewise.simulate import SyntheticCohort

MOST_COMPARISONS = 3
CLEAR = 0.9
"""Probability from which a difference is called one."""
BEYOND = " (beyond follow-up)"
NOT_FOR_PATIENTS = "For groups of patients, not for decisions on single patients."


@dataclass(frozen=True)
class Answer:
    """The answer for one group.

    Parameters
    ----------
    group, size : str
        Its name, and its patients and events.
    sentence : str
        The answer in words.
    bars : tuple of Bar
        Survival at the milestones.
    """

    group: str
    size: str
    sentence: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Bar:
    """Survival at a milestone as a bar from 0 to 100 %: interval, median, marks of Kaplan-Meier and of the truth if known."""

    label: str
    text: str
    low: float
    width: float
    middle: float
    raw: float | None
    true: float | None


@dataclass(frozen=True)
class FirstScreen:
    """Everything on the first screen; see the module."""

    alarm: str
    banner: str
    question: str
    lead: str
    answers: tuple[Answer, ...]
    population: str
    sure: tuple[str, ...]
    doubt: tuple[str, ...]
    data: tuple[str, ...]
    caution: str


def first_screen(analysis: Analysis, tables: Mapping[str, pd.DataFrame], truth: pd.DataFrame | None) -> FirstScreen:
    """Return the first screen of an analysis, from its tables and what is true, where that is known."""
    return FirstScreen(
        alarm="The computation failed its checks: do not use these numbers." if analysis.fit.verdict.level == "fail" else "",
        banner=banner(analysis),
        question=question(analysis),
        lead=_lead(analysis),
        answers=tuple(_answers(analysis, tables, truth)),
        population=_population(analysis, truth is not None),
        sure=tuple(_sure(analysis, tables)),
        doubt=tuple(doubts(analysis, tables)),
        data=tuple(_data(analysis)),
        caution=f"{NOT_FOR_PATIENTS} Associations are not effects of treatment.",
    )


def banner(analysis: Analysis) -> str:
    """Return the sentence that must not be missed: synthetic data; empty for patients."""
    cohort = analysis.fit.cohort
    if isinstance(cohort, SyntheticCohort) and cohort.scenario is not None:
        papers = " not the paper's patients" if cohort.scenario.evidence else " not real patients"
        return f"Synthetic data: one simulated cohort,{papers}. Its truth is known and stands beside the estimates."
    return "Synthetic data: these patients were simulated, they are not real." if cohort.synthetic else ""


def question(analysis: Analysis) -> str:
    """Return what was asked, in a sentence."""
    if analysis.question:
        return analysis.question
    found = analysis.population.groups(analysis.fit.cohort)
    groups = [group.label for group in found]
    word, description = counted_factors(analysis)
    if description:
        return f"How long do patients survive, by the number of {word} factors ({description})?"
    partitions = list(dict.fromkeys(group.partition for group in found if group.partition))
    if partitions and ALL_PATIENTS in groups:
        return f"How long do patients survive, overall and by {enumerated(partitions)}?"
    return f"How long do patients survive: {enumerated(groups)}?"


def _lead(analysis: Analysis) -> str:
    """Return what the groups' names mean."""
    word, description = counted_factors(analysis)
    return f"{word.capitalize()}: {description}." if description else ""


def counted_factors(analysis: Analysis) -> tuple[str, str]:
    """Return whether favourable or unfavourable factors define the groups, and which; empty when groups are of another kind."""
    description = getattr(analysis.population, "description", "")
    partition = next((group.partition for group in analysis.population.groups(analysis.fit.cohort)), "")
    return (partition, description) if description else ("", "")


def _answers(analysis: Analysis, tables: Mapping[str, pd.DataFrame], truth: pd.DataFrame | None) -> list[Answer]:
    cohort = analysis.fit.cohort
    own = tables["estimands"][tables["estimands"]["sites"] == analysis.headline.label]
    made = []
    for group in analysis.curves[analysis.headline.label].groups:
        rows = own[own["group"] == group.label]
        median = rows[rows["estimand"] == names.MEDIAN_SURVIVAL].iloc[0]
        reached = bool(median["prob_not_reached"] <= 0.5)
        parts = times_parts(median["median"], median["lower"], median["upper"], group.last_time, reached=reached)
        curve = cohort.kaplan_meier(group.rows, prob=analysis.prob) if group.rows is not None else None
        bars = []
        for row in rows_of(rows[rows["estimand"] == names.SURVIVAL]):
            raw = float(curve.at([row.horizon])[0]) if curve is not None else float("nan")
            low, width = 100 * row.lower, 100 * (row.upper - row.lower)
            text = percent_span(row.median, row.lower, row.upper)
            label = f"{row.horizon:g} {cohort.time_unit}{'*' if row.extrapolated else ''}"
            true = None if truth is None else _true(truth, analysis.headline.label, group.label, row.horizon)
            bars.append(Bar(label, text, low, width, 100 * row.median, None if raw != raw else 100 * raw, true))
        size = ""
        if group.rows is not None:
            events = int(cohort.event[group.rows].sum())
            size = f"{plural(group.rows.sum(), 'patient', 'patients')}, {plural(events, 'event', 'events')}"
        made.append(Answer(group.label, size, _sentence(analysis, rows, parts), tuple(bars)))
    return made


def _true(truth: pd.DataFrame, sites: str, group: str, time: float) -> float | None:
    """Return true survival in percent."""
    found = truth[(truth["sites"] == sites) & (truth["group"] == group) & (truth["estimand"] == names.SURVIVAL)]
    found = found[found["horizon"] == time]
    return 100 * float(found["true_value"].iloc[0]) if len(found) else None


def _sentence(analysis: Analysis, rows: pd.DataFrame, median: tuple[str, str, str]) -> str:
    """Return a group's answer in words: natural frequencies at the middle milestone, then the median.

    Where the group was not followed that long it is the last milestone to which it was; where there is none, the first one of
    all, and the answer says so.
    """
    unit = analysis.fit.cohort.time_unit
    milestones = rows[rows["estimand"] == names.SURVIVAL]
    place = (len(milestones) - 1) // 2
    while place > 0 and milestones["extrapolated"].iloc[place]:
        place -= 1
    row = milestones.iloc[place]
    found = (
        f"Of 100 such patients about {percent(row['median'])} ({percent(row['lower'])} to {percent(row['upper'])}) survive "
        f"{row['horizon']:g} {unit}{BEYOND if row['extrapolated'] else ''}."
    )
    middle, low, high = median
    if middle == NOT_REACHED:
        least = "" if low == NOT_REACHED else f" (from {low} {unit})"
        return f"{found} Median survival is not reached within follow-up{least}."
    return f"{found} Half survive {middle} {unit} ({low} to {high})."


def _population(analysis: Analysis, known: bool) -> str:
    groups = analysis.curves[analysis.headline.label].groups
    who = "these patients" if all(group.rows is not None for group in groups) else "such patients"
    average = " at an average site" if analysis.fit.spec.has_sites else ""
    where = who + {names.OBSERVED: ", each at their own site", names.AVERAGE: average}[analysis.headline.label]
    mark = "; * beyond a group's follow-up" if _any_extrapolated(analysis) else ""
    raw = ", diamond: Kaplan-Meier" if any(group.rows is not None for group in groups) else ""
    return (
        f"Posterior median and {100 * analysis.prob:g} % interval of the average over {where}. Bar: interval, line: "
        f"median{raw}{', green: the truth' if known else ''}{mark}."
    )


def _any_extrapolated(analysis: Analysis) -> bool:
    groups = analysis.curves[analysis.headline.label].groups
    return any(time > group.last_time for group in groups for time in analysis.milestones)


def _sure(analysis: Analysis, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    fit = analysis.fit
    own = tables["estimands"][tables["estimands"]["sites"] == analysis.headline.label]
    medians = own[own["estimand"] == names.MEDIAN_SURVIVAL]
    last = {group.label: group.last_time for group in analysis.curves[analysis.headline.label].groups}
    ranges = []
    for row in rows_of(medians):
        _, low, high = times_parts(row.median, row.lower, row.upper, last[row.group])
        until = "beyond follow-up" if high == NOT_REACHED else high
        ranges.append(f"{until if low == NOT_REACHED else f'{low} to {until}'} ({row.group})")
    found = [f"Median survival, in {fit.cohort.time_unit}, could be anywhere within {enumerated(ranges)}."]
    found += _compared(analysis, tables["contrasts"])
    checked = (
        "Every check of the computation passed." if fit.verdict.level == "ok" else "Not all checks of the computation passed."
    )
    found.append(checked)
    return found


def _compared(analysis: Analysis, contrasts: pd.DataFrame) -> list[str]:
    """Return, for the groups that exclude each other, how surely the first lives longer than the last."""
    chosen = contrasts[
        (contrasts["sites"] == analysis.headline.label)
        & (contrasts["estimand"] == names.RMST)
        & (contrasts["scale"] == "difference")
    ]
    if chosen.empty:
        return []
    unit, made = analysis.fit.cohort.time_unit, []
    for pair in rows_of(chosen):
        longer = pair.prob_above_null >= 0.5
        first, second = (pair.group, pair.reference_group) if longer else (pair.reference_group, pair.group)
        sure = pair.prob_above_null if longer else 1 - pair.prob_above_null
        sign = 1 if longer else -1
        low, high = sorted((sign * pair.lower, sign * pair.upper))
        by = f"{number(abs(pair.median), 1)} of the first {pair.horizon:g} {unit} ({number(low, 1)} to {number(high, 1)})"
        by += f" on average{BEYOND if pair.extrapolated else ''}, probability {probability(sure)}"
        if sure >= CLEAR:
            made.append(f"{first} outlive {second} by {by}.")
        else:
            made.append(f"No clear difference: {first} may outlive {second} by {by}.")
    return made[:MOST_COMPARISONS] + (["More comparisons stand below."] if len(made) > MOST_COMPARISONS else [])


def _data(analysis: Analysis) -> list[str]:
    cohort = analysis.fit.cohort
    follow = cohort.follow_up(prob=analysis.prob)
    sites = f" at {plural(len(cohort.site_labels), 'site', 'sites')}" if cohort.site is not None else ""
    reverse = follow["reverse_kaplan_meier_median"]
    median = f"{duration(reverse)} {cohort.time_unit}" if reverse < float("inf") else "not reached"
    found = [
        f"{cohort.source[:1].upper()}{cohort.source[1:]}.",
        f"{len(cohort)} patients{sites}, {plural(int(cohort.event.sum()), 'event', 'events')}; median follow-up (reverse "
        f"Kaplan-Meier) {median}, longest {duration(follow['maximum'])} {cohort.time_unit}.",
    ]
    if cohort.lower is not None:
        within = int(cohort.interval.sum())
        found.append(
            f"{plural(within, 'event is', 'events are')} only known to lie in an interval, {int(cohort.event.sum()) - within} "
            "exactly. "
            "Kaplan-Meier then stands for Turnbull's estimate, without limits."
        )
    if isinstance(cohort, SyntheticCohort) and cohort.scenario is not None:
        assumed = "; ".join(cohort.scenario.all_assumptions)
        found += [f"Assumed: {assumed}."] if assumed else []
    if cohort.rows_dropped:
        found.append(f"{cohort.rows_dropped} of {cohort.rows_read} rows were left out for missing values.")
    return found + imputed_sentences(analysis.fit)
