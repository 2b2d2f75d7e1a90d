"""`report.html` of an evidence fit: what a paper implies under a model, and how unsure that is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sitewise import names
from sitewise.names import ALL_PATIENTS
from sitewise.problems import plural
from sitewise.report.evidence_fit_sections import sections
from sitewise.report.page import style_sheet, template
from sitewise.report.page_first import NOT_FOR_PATIENTS, Answer, Bar, FirstScreen
from sitewise.report.page_parts import NOT_REACHED, duration, percent, percent_span, probability, rows_of, span, times_parts
from sitewise.simulate.calibration.natural import NOT_IDENTIFIED, natural
from sitewise.studies.evidence_fit import EvidenceFit
from sitewise.studies.evidence_verdict import StackVerdict

CLOSE = 0.01
"""A miss below it is one of less than 1 % of a ratio, or of one percentage point."""
BENT = 0.5


def render(
    fit: EvidenceFit,
    tables: Mapping[str, pd.DataFrame],
    each: pd.DataFrame,
    verdict: StackVerdict,
    pictures: Mapping[str, Path],
    /,
    *,
    prob: float,
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    fit : EvidenceFit
        What is reported.
    tables : mapping of str to DataFrame
        Of :func:`sitewise.report.evidence_fit_tables.all_tables`.
    each : DataFrame
        Of :func:`sitewise.report.evidence_fit_tables.of_each_cohort`.
    verdict : StackVerdict
        On the stack.
    pictures : mapping of str to Path
        Files by name.
    prob : float
        Probability of the intervals.
    """
    return template("page.html.j2").render(
        first=first_screen(fit, tables, each, verdict, prob=prob),
        sections=sections(fit, tables, verdict, pictures, prob=prob),
        style=style_sheet(),
        version=fit.tree.attrs["sitewise"],
        verdict=verdict.level,
    )


def short_name(fit: EvidenceFit, /) -> str:
    """Return what a paper is called: its id as its title spells it, else the id."""
    words = re.split(r"[\W_]+", fit.evidence.id)
    found = re.search(r"[\W_]*".join(map(re.escape, words)), fit.evidence.source.title, re.IGNORECASE)
    return found[0] if found else fit.evidence.id


def question(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], /) -> str:
    """Return what is asked, with the sizes of the groups that exclude each other."""
    table = tables["groups"].set_index("group")["n"]
    counted = [label for label in fit.group_names if label.endswith(" favourable")]
    sizes = " / ".join(f"{table[label]:.0f}" for label in counted)
    among = f", with group sizes of about {sizes}" if counted else ""
    return f"What {short_name(fit)} implies{among}, and how unsure that is"


def banner(fit: EvidenceFit, /) -> str:
    """Return the sentence that must not be missed."""
    missed = misses_of_cohorts(fit, beyond=CLOSE).median()
    but = f", but for about {missed:.0f} of {numbers_fitted(fit)} numbers" if missed >= 1 else ""
    return (
        f"Not the paper's patients: {plural(len(fit.in_stack), 'synthetic cohort', 'synthetic cohorts')} whose tables equal "
        f"the paper's within {100 * CLOSE:g} %{but}. Sizes of sites and the spread between them are assumed, not identified by "
        "the paper."
    )


def first_screen(
    fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], each: pd.DataFrame, verdict: StackVerdict, /, *, prob: float
) -> FirstScreen:
    """Return the first screen."""
    treatment = fit.sites[0].label
    where = {names.OBSERVED: ", each at their own site"}.get(treatment, f" at {treatment} sites")
    return FirstScreen(
        alarm="Too few cohorts could be fitted: do not use these numbers." if verdict.level == "fail" else "",
        banner=banner(fit),
        question=question(fit, tables),
        lead=paragraph(fit, tables),
        answers=tuple(_answers(fit, tables, each)),
        population=(
            f"Median and {100 * prob:g} % interval of the stacked draws: the average over a group's patients{where}. Bar: "
            "interval, line: median, diamond: Kaplan-Meier, mean of the cohorts; * beyond the group's follow-up."
        ),
        sure=tuple(_sure(fit, tables, verdict)),
        doubt=tuple(_doubts(fit, tables, verdict)),
        data=tuple(_data(fit)),
        caution=f"{NOT_FOR_PATIENTS} Associations are not effects of treatment.",
    )


def paragraph(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], /) -> str:
    """Return the honest paragraph: what was done, and how much of the uncertainty lies where."""
    table = tables["estimands"]
    own = table[(table["sites"] == fit.sites[0].label) & (table["estimand"] != names.RMST)]["share_between"].dropna()
    ratios = tables["coefficients"]
    effects = ratios[ratios["metric"] == names.LOG_HAZARD_RATIO]["share_between"].dropna()
    text = (
        f"The paper prints tables, not patients, and many cohorts have its tables. {len(fit.in_stack)} of them, drawn at "
        f"random, were each fitted with {fit.spec.formula}, and their draws put together. The intervals count what one cohort "
        f"of {fit.evidence.source.patients} leaves open, and what the tables leave open about the cohort. "
    )
    if len(fit.in_stack) < 2:
        return f"{text}With a single cohort the second cannot be seen."
    shares = f"{_range(own)} of the variance of survival" if len(own) else ""
    if len(effects):
        shares += f", {_range(effects)} of that of log hazard ratios"
    return f"{text}The second is {shares}: one reconstructed cohort, analysed as if it were the paper's, would hide it."


def _range(shares: pd.Series) -> str:
    least, most = percent(float(shares.min())), percent(float(shares.max()))
    return f"{least} %" if least == most else f"{least} to {most} %"


def _answers(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], each: pd.DataFrame) -> list[Answer]:
    unit, last = fit.spec.resolved.time_unit, fit.follow_up
    table, sizes = tables["estimands"], tables["groups"].set_index("group")
    made = []
    for label in fit.group_names:
        own = table[(table["sites"] == fit.sites[0].label) & (table["group"] == label)]
        median = own[own["estimand"] == names.MEDIAN_SURVIVAL].iloc[0]
        reached = bool(median["prob_not_reached"] <= 0.5)
        middle, low, high = times_parts(median["median"], median["lower"], median["upper"], last[label], reached=reached)
        milestones = own[own["estimand"] == names.SURVIVAL]
        at = milestones.iloc[(len(milestones) - 1) // 2]
        text = (
            f"Of 100 such patients about {percent(at['median'])} ({percent(at['lower'])} to {percent(at['upper'])}) survive "
            f"{at['horizon']:g} {unit}. "
        )
        if middle == NOT_REACHED:
            text += "Median survival is not reached within follow-up" + (
                "." if low == NOT_REACHED else f" (from {low} {unit})."
            )
        else:
            text += f"Half survive {middle} {unit} ({low} to {high})."
        told = _told(tables["published"], label, unit)
        bars = []
        for row in rows_of(milestones):
            # None where follow-up of the group ends before, in any cohort: the others would be a selection.
            raw = float(each.loc[each["group"] == label, str(float(row.horizon))].mean(skipna=False))
            mark = "*" if row.extrapolated else ""
            spread = percent_span(row.median, row.lower, row.upper)
            ends = (100 * row.lower, 100 * (row.upper - row.lower), 100 * row.median)
            bars.append(Bar(f"{row.horizon:g} {unit}{mark}", spread, *ends, None if raw != raw else 100 * raw, None))
        n, spread_of_n, events = (float(sizes.at[label, name]) for name in ("n", "n_sd", "events"))  # type: ignore[arg-type]
        size = f"{'about ' if spread_of_n > 0 else ''}{n:.0f} patients, about {events:.0f} events"
        made.append(Answer(label, size, f"{text}{told}", tuple(bars)))
    return made


def _told(published: pd.DataFrame, label: str, unit: str) -> str:
    """Return what the paper itself prints of a group, as a sentence; empty where nothing."""
    own = published[(published["of"] == label) & (published["quantity"] != "hazard_ratio")]
    parts = []
    for row in rows_of(own):
        if row.quantity == names.MEDIAN_SURVIVAL:
            parts.append("median not reached" if row.not_reached else f"median {row.published:g} {unit}")
        else:
            parts.append(f"{percent(row.published)} % at {row.horizon:g} {unit}")
    return f" The paper: {', '.join(parts)}." if parts else ""


def _sure(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], verdict: StackVerdict) -> list[str]:
    table, unit = tables["estimands"], fit.spec.resolved.time_unit
    own = table[(table["sites"] == fit.sites[0].label) & (table["estimand"] == names.MEDIAN_SURVIVAL)]
    ranges = []
    for row in rows_of(own[own["group"] != ALL_PATIENTS] if len(own) > 1 else own):
        _, low, high = times_parts(row.median, row.lower, row.upper, fit.follow_up[row.group])
        until = "beyond follow-up" if high == NOT_REACHED else high
        ranges.append(f"{until if low == NOT_REACHED else f'{low} to {until}'} ({row.group})")
    found = [f"Median survival, in {unit}, could be anywhere within {'; '.join(ranges)}."]
    ratios = tables["coefficients"]
    ratios = ratios[ratios["metric"] == names.LOG_HAZARD_RATIO]
    for row in rows_of(ratios):
        above = row.prob_above_zero >= 0.5
        sure = probability(row.prob_above_zero if above else 1 - row.prob_above_zero)
        ratio = span(row.ratio, row.ratio_lower, row.ratio_upper)
        found.append(f"Hazard ratio of {row.term}: {ratio}, {'above' if above else 'below'} 1 with probability {sure}.")
    found.append(f"Verdict {verdict.sentence}")
    return found


def _doubts(fit: EvidenceFit, tables: Mapping[str, pd.DataFrame], verdict: StackVerdict) -> list[str]:
    found = []
    missed = tables["published"]
    missed = missed[(~missed["inside"]) & (missed["quantity"] != "hazard_ratio")]
    for row in rows_of(missed):
        unit = fit.spec.resolved.time_unit
        if row.quantity == names.MEDIAN_SURVIVAL:
            told = "not reached" if row.not_reached else f"{row.published:g}"
            found.append(
                f"Median of {row.of}: the paper prints {told} {unit}, the model says {duration(row.median)} "
                f"({duration(row.lower)} to {duration(row.upper)}): its curve does not follow that of the cohorts."
            )
        else:
            found.append(
                f"Survival of {row.of} at {row.horizon:g} {unit}: the paper prints {percent(row.published)} %, the model says "
                f"{percent_span(row.median, row.lower, row.upper)}."
            )
    poor = [row.group for row in rows_of(tables["groups"]) if row.data_poor]
    if poor:
        found.append(f"Few events: {', '.join(poor)}; the estimate leans on the model and its priors.")
    counted, far = misses_of_cohorts(fit), misses_of_cohorts(fit, beyond=CLOSE)
    if counted.max() > 0:
        found.append(
            f"Of {numbers_fitted(fit)} numbers of the paper a cohort misses {counted.median():.0f} (most {counted.max()}) by "
            f"more than their rounding, {far.median():.0f} (most {far.max()}) by more than {100 * CLOSE:g} %: misses.csv."
        )
    found += _bent(fit)
    if fit.spec.has_sites:
        found.append(
            "Nothing in a paper's summary says how far hospitals differ: what is said of sites is prior, not evidence."
        )
    if verdict.level != "ok":
        found.append(f"Verdict {verdict.level}: see Cohorts and computation.")
    return found


def misses_of_cohorts(fit: EvidenceFit, /, *, beyond: float = 0.0) -> pd.Series:
    """Return how many printed numbers each cohort misses by more than ``beyond``, on the numbers' own scales."""
    misses = fit.produced.misses()
    counted = misses[misses["off"] > beyond].groupby("cohort").size()
    return counted.reindex(range(len(fit.members)), fill_value=0)


def _bent(fit: EvidenceFit) -> list[str]:
    """Return whether the cohorts' curves have another shape than the processes that they are of, in units of the stack's sd."""
    produced = fit.produced
    if produced.problem.assumptions.family != "weibull" or names.SHAPE not in fit.posterior:
        return []
    draws = fit.posterior[names.SHAPE].to_numpy()
    process = natural(produced.problem, produced.theta)[names.SHAPE][[member.place for member in fit.in_stack]]
    if abs(float(draws.mean() - process.mean())) <= BENT * float(draws.std()):
        return []
    return [
        f"The shape of the baseline is {draws.mean():.2f} in the fits and {process.mean():.2f} in the processes that the "
        "cohorts are of: making their tables equal the paper's bends their curves."
    ]


def numbers_fitted(fit: EvidenceFit, /) -> int:
    """Return how many printed numbers the cohorts are made to reproduce."""
    return sum(target.status in ("fit", "soft") for target in fit.produced.problem.targets)


def _data(fit: EvidenceFit) -> list[str]:
    source, assumptions = fit.evidence.source, fit.produced.problem.assumptions
    spread = assumptions.site_sd
    prior = f"HalfNormal({assumptions.site_sd_scale:g})" if spread is None else f"fixed at {spread:g}"
    found = [
        f"Published numbers of {source.authors.split(',')[0]} et al., {source.journal}, {source.year} (doi {source.doi}): "
        f"{source.patients} patients.",
        f"Assumed: {NOT_IDENTIFIED}; {fit.produced.problem.sites} sites, spread of log hazard ratios {prior}, patients placed "
        "at sites given how long they lived.",
    ]
    used = [member.guarantee_time for member in fit.in_stack]
    if max(used) > 0:
        unit = fit.spec.resolved.time_unit
        text = f"{min(used):.2f} to {max(used):.2f}" if max(used) > min(used) else f"{used[0]:.2f}"
        found.append(f"Nobody dies or leaves before a guarantee time: {text} {unit}, mean {fit.spec.guarantee_time:.2f}.")
    return found
