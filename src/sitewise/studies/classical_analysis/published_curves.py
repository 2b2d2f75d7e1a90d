"""Published medians, milestones, tests, follow-up, events and curves beside those of the table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sitewise.classical import Ordered, kaplan_meier_at, kaplan_meier_median, log_rank
from sitewise.classical import follow_up as follow_up_of
from sitewise.cohort import Cohort
from sitewise.evidence.checks_of_models import decimals
from sitewise.evidence.entries import Comparison, FollowUp, Survival
from sitewise.evidence.entries_of_counts import Curve, Events
from sitewise.evidence.schema import Evidence
from sitewise.studies.classical_analysis.by_group import ordered_of
from sitewise.studies.classical_analysis.outcomes import Endpoint, Outcomes
from sitewise.studies.classical_analysis.partitions import Mask, by_factors, group_label, has_level
from sitewise.studies.classical_analysis.plan import ClassicalPlan
from sitewise.studies.classical_analysis.published_line import NOT_REACHED, Line, Place


def curve_lines(cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> Iterator[Line]:
    """Yield every published number that is read off times: medians, milestones, p values, events, curves, follow-up."""
    evidence = plan.evidence
    if evidence is None:
        return
    for entry in evidence.survival:
        yield from _survival(entry, cohort, outcomes, plan)
    for test in evidence.comparison:
        yield from _comparison(test, evidence, cohort, outcomes, plan)
    for events in evidence.events:
        yield from _events(events, cohort, outcomes, plan)
    for curve in evidence.curve:
        yield from _curve(curve, cohort, outcomes, plan)
    for number, follow in enumerate(evidence.follow_up):
        yield from _follow_up(follow, "follow_up" if number == 0 else f"follow_up {number + 1}", cohort, outcomes.endpoints[0])


def group_members(item: Any, cohort: Cohort, plan: ClassicalPlan) -> tuple[Mask | None, str]:
    """Return who belongs to the group of a published entry, shape (n,), or None and why it cannot be found."""
    evidence = plan.evidence
    if item.count_favourable is not None and evidence is not None:
        factors = {entry.name: entry.favourable for entry in evidence.categorical if entry.favourable}
        names: Any = factors
        own = replace(plan, factors=factors, counted="favourable")
    else:
        names = item.group
    absent = [name for name in names if name not in cohort.covariates.columns]
    if absent:
        return None, f"the table has no column {', '.join(absent)}"
    if item.count_favourable is not None:
        groups = dict(by_factors(cohort, own).groups)
        members = groups.get(group_label(item.count_favourable, own), np.zeros(len(cohort), dtype=bool))
    else:
        members = np.ones(len(cohort), dtype=bool)
        for name, levels in item.group.items():
            members = members & has_level(cohort, name, levels)
    return (members, "") if members.any() else (None, "nobody in the table belongs to this group")


def _found(
    item: Any, cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan
) -> tuple[Endpoint | None, Ordered | None, Mask | None, str]:
    """Return endpoint, ordered times and members of an entry, or why they cannot be had."""
    endpoint = outcomes.endpoint(item.endpoint)
    if endpoint is None:
        return None, None, None, f"the table has no endpoint '{item.endpoint}'"
    members, remark = group_members(item, cohort, plan)
    return endpoint, ordered_of(cohort, endpoint), members, remark


def _survival(item: Survival, cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> Iterator[Line]:
    place = Place(item.id, item.endpoint, item.status, item.where)
    _, ordered, members, remark = _found(item, cohort, outcomes, plan)
    if item.median is not None:
        published: dict[str, Any] = {"median": item.median, "lower limit of the median": item.lower}
        published["upper limit of the median"] = item.upper
        ours = (math.nan, math.nan, math.nan)
        if ordered is not None and members is not None:
            found = kaplan_meier_median(ordered, prob=item.prob, include=members[None])
            ours = (float(found.median[0]), float(found.lower[0]), float(found.upper[0]))
        for (name, value), own in zip(published.items(), ours, strict=True):
            if value is not None:
                line = place.time(name, value, own, digits=item.digits)
                yield place.none(name, line.published, remark) if remark else line
    if item.survival is not None and item.time is not None:
        names = (f"survival at {item.time:g}, %", f"lower limit at {item.time:g}, %", f"upper limit at {item.time:g}, %")
        values = (item.survival, item.lower, item.upper) if item.median is None else (item.survival, None, None)
        shares = (math.nan, math.nan, math.nan)
        if ordered is not None and members is not None:
            at = kaplan_meier_at(ordered, [item.time], include=members[None])
            ends = at.limits(item.prob)
            shares = (float(at.survival[0, 0]), float(ends[0][0, 0]), float(ends[1][0, 0]))
        for name, share, own in zip(names, values, shares, strict=True):
            if isinstance(share, float | int):
                yield place.number(name, 100 * share, 100 * own, digits=item.digits, remark=remark)


def _comparison(
    item: Comparison, evidence: Evidence, cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan
) -> Iterator[Line]:
    entries = [entry for entry in evidence.survival if entry.id in item.between]
    endpoint_name = entries[0].endpoint if entries else ""
    place = Place(item.id, endpoint_name, item.status, item.where)
    p, remark = math.nan, ""
    if item.test != "log-rank":
        remark = f"the {item.test} test is not made here"
    else:
        found = [_found(entry, cohort, outcomes, plan) for entry in entries]
        remark = "; ".join(dict.fromkeys(why for *_, why in found if why))
        masks = [members for _, _, members, _ in found if members is not None]
        ordered = found[0][1] if found else None
        if not remark and ordered is not None and len(masks) > 1:
            codes = np.full(len(cohort), -1, dtype=np.int64)
            for number, members in enumerate(masks):
                codes[members] = number
            test = log_rank(ordered, np.maximum(codes, 0), groups=len(masks), include=(codes >= 0)[None])
            p = float(test.p[0])
    line = place.p_value(f"{item.test} test: p", item.p, item.p_below, p, digits=decimals(item.p))
    if line is not None:
        yield place.none(line.number, line.published, remark) if remark else line


def _events(item: Events, cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> Iterator[Line]:
    place = Place(item.id, item.endpoint, item.status, item.where)
    endpoint, _, members, remark = _found(item, cohort, outcomes, plan)
    known = endpoint is not None and members is not None
    events = float(endpoint.event[members].sum()) if known and endpoint is not None else math.nan
    yield place.number("events", item.events, events, digits=0, remark=remark)
    if item.patients is not None:
        patients = float(members.sum()) if members is not None else math.nan
        yield place.number("patients", item.patients, patients, digits=0, remark=remark)


def _curve(item: Curve, cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> Iterator[Line]:
    place = Place(item.id, item.endpoint, item.status, item.where)
    _, ordered, members, remark = _found(item, cohort, outcomes, plan)
    known = ordered is not None and members is not None
    for times, values, name in ((item.times, item.survival, "survival"), (item.at_risk_times, item.at_risk, "at risk")):
        if not times:
            continue
        ours = np.full(len(times), math.nan)
        if known and ordered is not None and members is not None:
            at = kaplan_meier_at(ordered, times, include=members[None])
            ours = at.survival[0] if name == "survival" else at.at_risk[0]
        half, digits = (item.precision, decimals(item.precision)) if name == "survival" else (None, 0)
        for time, published, own in zip(times, values, ours, strict=True):
            yield place.number(f"{name} at {time:g}", float(published), float(own), digits=digits, half=half, remark=remark)


def _follow_up(item: FollowUp, name: str, cohort: Cohort, endpoint: Endpoint) -> Iterator[Line]:
    place = Place(name, endpoint.name, item.status, item.where)
    definition = item.definition if item.definition != "unstated" else item.reading or "observed"
    remark = f"read as {definition}" if item.definition == "unstated" else ""
    ordered = ordered_of(cohort, endpoint)
    found = follow_up_of(ordered, definition=definition)
    if not math.isfinite(found.median[0]):
        yield place.none("median", f"{item.median:.{item.digits}f}", NOT_REACHED)
    else:
        yield place.number("median", item.median, float(found.median[0]), digits=item.digits, remark=remark)
    for part, share, value in zip(("lower", "upper"), (0.75, 0.25), item.quartiles or (), strict=False):
        ours = _quartile(ordered, endpoint, definition, share)
        yield place.number(f"{part} quartile", value, ours, digits=item.digits, remark=remark)
    ends = (("shortest", float(found.shortest[0])), ("longest", float(found.longest[0])))
    for (words, ours), value in zip(ends, item.range or (), strict=False):
        yield place.number(words, value, ours, digits=item.digits)


def _quartile(ordered: Ordered, endpoint: Endpoint, definition: str, share: float) -> float:
    if definition == "reverse-kaplan-meier":
        back = Ordered(ordered.order, ordered.time, ~ordered.event, ordered.entry)
        return float(kaplan_meier_median(back, share=share).median[0])
    times = endpoint.time[~endpoint.event] if definition == "alive-only" else endpoint.time
    return float(np.quantile(times, 1 - share)) if times.size else math.nan
