r"""What a median follow-up can be a median of, and what the shortest and longest follow-up say.

The Kaplan-Meier curves S of deaths and G of being censored multiply to the share under observation: S(t) G(t) = (number
observed beyond t) / n, exactly. After d deaths S is at most 1 - d/n, so that at most n (1 - S(t)) have died by t. Let m be
the median follow-up.

* ``observed``, the median of all observed times: S(t) >= S(t) G(t) >= 1/2 before m, so the median survival is not before m
  (but for the tie in which exactly half have died, and nobody left, before m). At most n/2 are left after m, so at most
  n (1 - S(m)) + n/2 die.
* ``reverse-kaplan-meier``: G(m) <= 1/2, so n S(m) / 2 or fewer are left after m, and at most n (1 - S(m) / 2) die.
* ``alive-only``, the median of those alive: the deaths are all others, n - 1 or fewer.

A definition whose most deaths are fewer than the hazard ratios need, or that contradicts the median survival, is ruled out.
Only that is proven; of the others nothing is said but the deaths that constant rates would give, as a guide. With median
survival M and constant rates log(2) / M of dying and c of being censored, deaths are the share of dying in both rates: m / M
where m is the median of observed times (of all or, which is the same then, of those alive), and m / (m + M) where c = log(2)
/ m.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sitewise.evidence.audit_curves import Limits
from sitewise.evidence.audit_deaths import EventBounds, plausible_events
from sitewise.evidence.audit_findings import Finding, Implied, share
from sitewise.evidence.audit_groups import EVERYONE, Key, describe
from sitewise.evidence.audit_intervals import printed
from sitewise.evidence.audit_rows import Row
from sitewise.evidence.checks_shared import SLACK
from sitewise.evidence.entries import FollowUp
from sitewise.evidence.schema import Evidence

CHECK = "follow-up"
RARE = 0.01
"""Chance of an early gap in the times from which on it is worth a finding."""
ROUNDING = 1e-3
"""Room when a bound on a number of patients is cut to a whole number: a curve just above a half counts as a half."""
Definition = Literal["observed", "reverse-kaplan-meier", "alive-only"]
WORDS: dict[Definition, str] = {
    "observed": "observed times of all",
    "reverse-kaplan-meier": "reverse Kaplan-Meier",
    "alive-only": "times of those alive",
}


@dataclass(frozen=True)
class Reading:
    """A median follow-up under one definition."""

    definition: Definition
    most: int
    """Deaths, at most."""
    guide: float | None
    """Deaths under constant rates."""
    against: str
    """Why it cannot be; empty where it can."""


def readings(evidence: Evidence, item: FollowUp, own: Limits, deaths: EventBounds) -> tuple[Reading, ...]:
    """Return what each definition allows."""
    patients, at = evidence.source.patients, printed(item.median, item.digits)
    alive = own.at_least(at.upper)
    median = own.median()
    middle = (median.lower + median.upper) / 2 if math.isfinite(median.upper) and median.lower > 0 else None
    found = []
    for definition in get_args(Definition):
        shares = {"observed": 1.5 - alive, "reverse-kaplan-meier": 1 - alive / 2, "alive-only": 1 - 1 / patients}
        most = min(deaths.most, math.floor(patients * min(shares[definition], 1.0) + ROUNDING))
        against = ""
        if definition == "observed" and own.at_most_before(at.lower) < 0.5 + SLACK:
            against = (
                f"half are still under observation before {at.lower:g}, so half are alive, yet the median survival is earlier"
            )
        elif most < deaths.least <= deaths.most:
            against = f"at most {most} could have died, and {deaths.why_least} needs {deaths.least} deaths"
        guide = None
        if middle is not None:
            rate = item.median / (item.median + middle) if definition == "reverse-kaplan-meier" else item.median / middle
            guide = patients * rate if rate <= 1 else None
        found.append(Reading(definition, most, guide, against))
    return tuple(found)


def check_follow_up(
    evidence: Evidence, rows: Sequence[Row], curves: Mapping[tuple[str, Key], Limits]
) -> Iterator[Finding | Implied]:
    """Yield the definitions that cannot be, and what the shortest and longest follow-up say."""
    own = curves.get(("os", EVERYONE), Limits())
    deaths = plausible_events(evidence, "os", rows)
    for item in evidence.follow_up:
        all_readings = readings(evidence, item, own, deaths)
        for reading in all_readings:
            yield Implied(
                f"deaths, if follow-up is {WORDS[reading.definition]}",
                deaths.least,
                reading.most,
                reading.guide,
                (f"ruled out: {reading.against}; " if reading.against else "") + "constant rates of dying and of censoring",
                item.where,
                ("follow_up",),
            )
        yield from _definitions(evidence, item, all_readings, deaths)
        yield from _shortest(evidence, item, own)
        yield from _longest(evidence, item)


def _definitions(evidence: Evidence, item: FollowUp, all_readings: Sequence[Reading], deaths: EventBounds) -> Iterator[Finding]:
    unit = evidence.source.time_unit
    used = item.reading if item.definition == "unstated" else item.definition
    for reading in all_readings:
        if reading.definition == used and reading.against:
            sentence = (
                f"The median follow-up of {item.median:g} {unit} cannot be that of {WORDS[reading.definition]}, as it is "
                f"{'read' if item.definition == 'unstated' else 'stated'}: {reading.against}. Decide what it is a median of."
            )
            yield Finding("warning", CHECK, sentence, item.where, ("follow_up",))
    if item.definition != "unstated":
        return
    verdicts = []
    for reading in all_readings:
        verdict = f"ruled out, {reading.against}" if reading.against else f"not ruled out, at most {reading.most} deaths"
        if reading.guide is not None and not reading.against:
            few = f", fewer than the {deaths.least} that are needed" if reading.guide < deaths.least else ""
            verdict += f" (about {reading.guide:.0f} if rates were constant{few})"
        verdicts.append(f"{WORDS[reading.definition]}, {verdict}")
    read = f" Read as the median of {WORDS[used]}." if used else ""
    listed = "; ".join(f"({number}) {verdict}" for number, verdict in enumerate(verdicts, start=1))
    sentence = f"What {item.median:g} {unit} is the median of is not stated: {listed}.{read}"
    yield Finding("note", CHECK, sentence, item.where, ("follow_up",))


def _shortest(evidence: Evidence, item: FollowUp, own: Limits) -> Iterator[Finding]:
    """Say how likely an early gap is: with a constant death rate 2^(-n t / M) that all n are there at t, or less."""
    used = item.reading if item.definition == "unstated" else item.definition
    if item.range is None or used == "alive-only":
        return
    first, median = printed(item.range[0], item.digits), own.median()
    if first.lower <= 0 or not math.isfinite(median.upper):
        return
    chance = 0.5 ** (evidence.source.patients * first.lower / median.upper)
    if chance < RARE:
        unit = evidence.source.time_unit
        sentence = (
            f"The shortest follow-up is {item.range[0]:g} {unit}: nobody died or left before. With a constant death rate and "
            f"this median survival the chance of that is {share(chance)} or less. A guarantee time or an inclusion rule that "
            "the paper may not state: look for it, and do not let a model of the times start at zero without it."
        )
        yield Finding("note", CHECK, sentence, item.where, ("follow_up",))


def _longest(evidence: Evidence, item: FollowUp) -> Iterator[Finding]:
    if item.range is None:
        return
    last, unit = printed(item.range[1], item.digits).upper, evidence.source.time_unit
    for other in evidence.survival:
        time = other.time if other.time is not None else other.median
        if isinstance(time, float | int) and time > last + SLACK:
            sentence = (
                f"{other.endpoint} of {describe(other)} is given at {time:g} {unit}, after the longest follow-up of "
                f"{item.range[1]:g}. Check both, or whose follow-up the range is."
            )
            yield Finding("warning", CHECK, sentence, f"{other.where}; {item.where}", (other.id, "follow_up"))
