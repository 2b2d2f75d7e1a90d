"""Survival by group: Kaplan-Meier medians and milestones with limits, log-rank tests, follow-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sitewise.classical import Ordered, follow_up, kaplan_meier_at, kaplan_meier_median, log_rank
from sitewise.cohort import Cohort
from sitewise.problems import plural
from sitewise.studies.classical_analysis.outcomes import Endpoint, Outcomes
from sitewise.studies.classical_analysis.partitions import Mask, Partition, everyone, partitions
from sitewise.studies.classical_analysis.plan import ClassicalPlan

SURVIVAL = ["endpoint", "partition", "group", "n", "events", "median", "lower", "upper"]
LOG_RANK = ["endpoint", "partition", "groups", "patients", "events", "chi2", "degrees_of_freedom", "p", "remark"]
FOLLOW_UP = ["definition", "n", "median", "shortest", "longest", "remark"]
DEFINITIONS = ("observed", "reverse-kaplan-meier", "alive-only")


def ordered_of(cohort: Cohort, endpoint: Endpoint) -> Ordered:
    """Return an endpoint's times in order, with the cohort's delayed entries where there are any."""
    return Ordered.of(endpoint.time, endpoint.event, cohort.entry if cohort.late_entry else None)


def milestone_columns(times: Sequence[float]) -> list[str]:
    """Return the names of the columns of each milestone: survival, its limits, patients at risk."""
    return [f"{name}_{time:g}" for time in times for name in ("survival", "survival_lower", "survival_upper", "at_risk")]


def survival_table(cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> pd.DataFrame:
    """Return Kaplan-Meier medians and milestones of all patients and of each group, for each endpoint.

    Returns
    -------
    DataFrame
        ``endpoint, partition, group, n, events, median, lower, upper``, for each milestone t ``survival_t, survival_lower_t,
        survival_upper_t, at_risk_t`` (limits: log-log), then ``last_time, remark``. An empty median or limit was not reached,
        which the remark says; beyond the group's last time nothing is known and the milestone is empty.
    """
    rows = []
    for endpoint in outcomes.endpoints:
        ordered = ordered_of(cohort, endpoint)
        for partition in (everyone(cohort), *partitions(cohort, plan)):
            for group, members in partition.groups:
                rows.append(
                    {
                        "endpoint": endpoint.name,
                        "partition": partition.name,
                        "group": group,
                        **_curve(ordered, endpoint, members, plan),
                    }
                )
    return pd.DataFrame(rows, columns=[*SURVIVAL, *milestone_columns(plan.times), "last_time", "remark"])


def _curve(ordered: Ordered, endpoint: Endpoint, members: Mask, plan: ClassicalPlan) -> dict[str, Any]:
    include = members[None]
    medians = kaplan_meier_median(ordered, prob=plan.prob, include=include)
    middle, low, high = (float(value[0]) for value in (medians.median, medians.lower, medians.upper))
    last = float(endpoint.time[members].max())
    events = int(endpoint.event[members].sum())
    row: dict[str, Any] = {"n": int(members.sum()), "events": events, "last_time": last}
    row |= {
        name: value if math.isfinite(value) else math.nan for name, value in zip(SURVIVAL[5:], (middle, low, high), strict=True)
    }
    remarks = []
    if not events:
        remarks.append("no events: median and limits not reached")
    elif not math.isfinite(middle):
        remarks.append("median not reached" + ("" if math.isfinite(low) else ", nor its lower limit"))
    elif not math.isfinite(high):
        remarks.append("upper limit not reached" + ("" if math.isfinite(low) else ", nor the lower one"))
    at = kaplan_meier_at(ordered, plan.times, include=include)
    ends = at.limits(plan.prob)
    beyond, unlimited = [], []
    for place, time in enumerate(plan.times):
        row[f"at_risk_{time:g}"] = int(at.at_risk[0, place])
        if time > last and at.survival[0, place] > 0:
            beyond.append(f"{time:g}")
            continue
        share = float(at.survival[0, place])
        columns = milestone_columns([time])
        row[columns[0]] = share
        if 0 < share < 1:  # at 0 and 1 log-log limits do not exist, and the estimate is not certain for that
            row |= {columns[1]: float(ends[0][0, place]), columns[2]: float(ends[1][0, place])}
        else:
            unlimited.append(f"{time:g}")
    if unlimited:
        remarks.append(f"no limits of survival 0 or 1 at {', '.join(unlimited)}")
    if beyond:
        remarks.append(f"nobody followed to {', '.join(beyond)}")
    row["remark"] = "; ".join(remarks)
    return row


def log_rank_table(cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> pd.DataFrame:
    """Return a log-rank test of each grouping, for each endpoint.

    Returns
    -------
    DataFrame
        ``endpoint, partition, groups, patients, events, chi2, degrees_of_freedom, p, remark``.
    """
    rows = []
    for endpoint in outcomes.endpoints:
        ordered = ordered_of(cohort, endpoint)
        for partition in partitions(cohort, plan):
            rows.append({"endpoint": endpoint.name, "partition": partition.name, **_log_rank(ordered, endpoint, partition)})
    return pd.DataFrame(rows, columns=LOG_RANK)


def _log_rank(ordered: Ordered, endpoint: Endpoint, partition: Partition) -> dict[str, Any]:
    codes = partition.codes
    include = codes >= 0
    names = [name for name, _ in partition.groups]
    row: dict[str, Any] = {
        "groups": " / ".join(names),
        "patients": int(include.sum()),
        "events": int(endpoint.event[include].sum()),
        "remark": partition.remark,
    }
    if len(names) < 2:
        return {**row, "remark": "one group only: nothing to compare"}
    test = log_rank(ordered, np.maximum(codes, 0), groups=len(names), include=include[None])
    freedom = int(test.degrees_of_freedom[0])
    if freedom == 0:
        return {**row, "remark": "at no event are two groups at risk: nothing to compare"}
    remarks = [partition.remark] if partition.remark else []
    idle = len(names) - 1 - freedom
    if idle > 0:
        remarks.append(f"{plural(idle, 'group is', 'groups are')} at risk at no event and not compared")
    row |= {"chi2": float(test.chi2[0]), "degrees_of_freedom": freedom, "p": float(test.p[0])}
    return {**row, "remark": "; ".join(remarks)}


def follow_up_table(cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> pd.DataFrame:
    """Return the median follow-up by each definition, with the shortest and longest time of all patients."""
    endpoint = outcomes.endpoints[0]
    ordered = ordered_of(cohort, endpoint)
    rows = []
    for definition in DEFINITIONS:
        found = follow_up(ordered, definition=definition)  # type: ignore[arg-type]
        middle = float(found.median[0])
        n = int((~endpoint.event).sum()) if definition == "alive-only" else len(cohort)
        remark = "" if math.isfinite(middle) else "nobody is alive" if not n else "not reached"
        median = middle if math.isfinite(middle) else math.nan
        rows.append((definition, n, median, float(found.shortest[0]), float(found.longest[0]), remark))
    return pd.DataFrame(rows, columns=FOLLOW_UP)
