"""Targets: every published number as a statistic of one cohort, on a scale on which its sampling error is nearly normal.

Medians are survival probabilities at the printed time, hazard ratios and their standard errors are logarithms, ranges of
follow-up are logarithms, inequalities ("not reached") are conditions. Rounding is a box: of the time for medians, of the value
for the rest; a simulated statistic is read at a random place of the box, as the paper's was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtri

from sitewise.evidence import Evidence
from sitewise.evidence.checks_of_models import decimals
from sitewise.evidence.entries import FollowUp, Model, Status, Survival, Term
from sitewise.evidence.entries_of_counts import Curve
from sitewise.simulate.calibration.characteristics import Structure
from sitewise.simulate.calibration.structure import USED, group_of

Kind = Literal[
    "log_hazard_ratio",
    "log_standard_error",
    "survival",
    "survival_lower",
    "survival_upper",
    "log_width",
    "beyond_last",
    "upper_beyond_last",
    "follow_up_share",
    "log_shortest",
    "log_longest",
    "events",
    "at_risk",
    "joint",
]
LEAST_SHARE_OF_BOX = 0.2
"""Of half a rounding box: how near to 0 a shortest follow-up that is printed as 0 can be."""
LEAST_SHARE_OF_WIDTH = 0.1
"""Of the widest interval that rounded limits allow: how narrow it can be where they may be one number. One pair in fifty is
nearer, of limits one unit of the last digit apart, each evenly spread in its box."""
SURVIVAL = "os"
Grouping = dict[str, tuple[str, ...]] | int | None


@dataclass(frozen=True)
class Target:
    """One published number.

    Parameters
    ----------
    id : str
        The entry, and which number of it.
    kind : str
        Which statistic it is.
    value : float
        Published, on the statistic's scale.
    printed : str
        As a reader finds it in the paper.
    rounding : float
        Half the width of its rounding box, on the statistic's scale (for survival probabilities at a printed median: of time).
    status : str
        How it is used.
    where : str
        Place in the paper.
    time : float or None
        Time at which a curve is read.
    group : mapping, int or None
        Levels or number of favourable factors; None for all patients.
    model, term : int or None
        Position of a hazard ratio's model and row.
    definition : str
        Of follow-up.
    prob : float
        Of an interval.
    rounds_time : bool
        Whether the rounding box is of the time at which a curve is read.
    """

    id: str
    kind: Kind
    value: float
    printed: str
    rounding: float
    status: Status
    where: str
    time: float | None = None
    group: Grouping = None
    model: int | None = None
    term: int | None = None
    definition: str = ""
    prob: float = 0.95
    rounds_time: bool = False

    @property
    def inequality(self) -> bool:
        """Whether it is a condition instead of a number."""
        return self.kind in ("beyond_last", "upper_beyond_last")


def targets_of(evidence: Evidence, structure: Structure, /, *, endpoint: str = "os") -> tuple[Target, ...]:
    """Return every number of a paper that simulated cohorts are compared with."""
    found: list[Target] = []
    for place, model in enumerate(evidence.model):
        if model.endpoint == endpoint and any(term.status in USED for term in model.term):
            for row, term in enumerate(model.term):
                if term.status in USED:
                    found += _of_term(model, place, term, row)
    for item in evidence.survival:
        if item.endpoint == endpoint and item.status in USED:
            found += _of_survival(item, structure)
    for curve in evidence.curve:
        if curve.endpoint == endpoint and curve.status in USED:
            found += _of_curve(curve, structure)
    for entry in evidence.events:
        if entry.endpoint == endpoint and entry.status in USED:
            group, printed = _grouping(entry, structure), f"{entry.events} events"
            found.append(Target(entry.id, "events", entry.events, printed, 0.5, entry.status, entry.where, group=group))
    for number, follow in enumerate(evidence.follow_up):
        if follow.status in USED and (endpoint == SURVIVAL or definition_of(follow) == "reverse-kaplan-meier"):
            name = "follow_up" if number == 0 else f"follow_up {number + 1}"
            found += _of_follow_up(follow, name, of_survival=endpoint == SURVIVAL)
    for joint in evidence.joint:
        if joint.status in USED:
            for level, counts in joint.counts.items():
                for other, count in counts.items():
                    cell: Grouping = {joint.between[0]: (level,), joint.between[1]: (other,)}
                    name = f"{joint.id}: {level}, {other}"
                    found.append(Target(name, "joint", count, f"{count} patients", 0.5, joint.status, joint.where, group=cell))
    return tuple(found)


def _grouping(item: object, structure: Structure) -> Grouping:
    group = group_of(item, structure)
    return dict(group) if isinstance(group, dict) else group if isinstance(group, int) else None


def _of_term(model: Model, place: int, term: Term, row: int) -> Iterator[Target]:
    """Return the log hazard ratio and its log standard error: both lie in boxes that ratio and limits cut out together."""
    digits = term.digits
    if digits is None:
        digits = max(decimals(value) for item in model.term for value in (item.hazard_ratio, item.lower, item.upper))
    half = 0.5 * 10.0**-digits
    z = float(ndtri(0.5 + model.prob / 2))
    low, high = term.lower, term.upper
    ratio = term.hazard_ratio
    ends = [math.log(max(ratio - half, ratio / 2)), math.log(ratio + half)]
    if model.interval == "wald" and low > half:
        middle = [0.5 * math.log((low + sign * half) * (high + sign * half)) for sign in (-1, 1)]
        both = [max(ends[0], middle[0]), min(ends[1], middle[1])]
        ends = both if both[0] <= both[1] else ends
    name = f"{model.id}: {label_of(term)}"
    printed = f"{ratio:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
    value, box = 0.5 * (ends[0] + ends[1]), 0.5 * (ends[1] - ends[0])
    common = {"printed": printed, "status": term.status, "where": model.where, "model": place, "term": row}
    yield Target(f"{name}, log hazard ratio", "log_hazard_ratio", value, rounding=box, **common)  # type: ignore[arg-type]
    if low > half:
        widths = [math.log((high + sign * half) / (low - sign * half)) / (2 * z) for sign in (-1, 1)]
        logs = [math.log(max(width, LEAST_SHARE_OF_WIDTH * widths[1])) for width in widths]
        yield Target(
            f"{name}, log standard error",
            "log_standard_error",
            0.5 * (logs[0] + logs[1]),
            rounding=0.5 * (logs[1] - logs[0]),
            **common,  # type: ignore[arg-type]
        )


def label_of(term: Term) -> str:
    """Return a row in words: ``ecog[1|2]``, or the name of a numeric characteristic."""
    return f"{term.covariate}[{'|'.join(term.level)}]" if term.level else term.covariate


def _of_survival(item: Survival, structure: Structure) -> Iterator[Target]:
    group, half = _grouping(item, structure), 0.5 * 10.0**-item.digits
    common = {"status": item.status, "where": item.where, "group": group, "prob": item.prob}
    if item.survival is not None and item.time is not None:
        share = half / 100
        printed = f"S({item.time:g}) = {item.survival:g}"
        yield Target(item.id, "survival", item.survival, printed, share, time=item.time, **common)  # type: ignore[arg-type]
        if item.lower is not None and isinstance(item.upper, float) and item.upper > item.lower:
            width = math.log(item.upper - item.lower)
            box = 2 * share / (item.upper - item.lower)
            limits = f"{item.lower:g} to {item.upper:g}"
            yield Target(f"{item.id}, log width", "log_width", width, limits, box, time=item.time, **common)  # type: ignore[arg-type]
        return
    if item.median == "not reached":
        yield Target(item.id, "beyond_last", 0.5, "median not reached", 0.0, **common)  # type: ignore[arg-type]
    elif isinstance(item.median, float):
        printed = f"median {item.median:g}"
        yield Target(item.id, "survival", 0.5, printed, half, time=item.median, rounds_time=True, **common)  # type: ignore[arg-type]
    kinds: tuple[tuple[Kind, float | str | None], ...] = (("survival_lower", item.lower), ("survival_upper", item.upper))
    if item.upper == "not reached":
        name, printed = f"{item.id}, upper limit", "upper limit not reached"
        yield Target(name, "upper_beyond_last", 0.5, printed, 0.0, **common)  # type: ignore[arg-type]
    for kind, limit in kinds:
        if isinstance(limit, float):
            name, printed = f"{item.id}, {kind.removeprefix('survival_')} limit", f"limit {limit:g}"
            yield Target(name, kind, 0.5, printed, half, time=limit, rounds_time=True, **common)  # type: ignore[arg-type]


def _of_curve(item: Curve, structure: Structure) -> Iterator[Target]:
    group = _grouping(item, structure)
    for time, share in zip(item.times, item.survival, strict=True):
        if time > 0 and 0 < share < 1:
            name, printed = f"{item.id}: {time:g}", f"S({time:g}) = {share:g}"
            yield Target(name, "survival", share, printed, item.precision, item.status, item.where, time=time, group=group)
    for time, count in zip(item.at_risk_times, item.at_risk, strict=True):
        if time > 0:
            name, printed = f"{item.id}: at risk {time:g}", f"{count} at risk"
            yield Target(name, "at_risk", count, printed, 0.5, item.status, item.where, time=time, group=group)


def definition_of(item: FollowUp) -> str:
    """Return whose follow-up a paper's is, as stated or as it is read."""
    return item.definition if item.definition != "unstated" else item.reading or "observed"


def _of_follow_up(item: FollowUp, name: str, *, of_survival: bool) -> Iterator[Target]:
    """Return what a follow-up says of the times of an endpoint.

    It is how long patients were watched for death. Times to another event end with it, so that only what is about the end of
    follow-up itself, in the sense of reverse Kaplan-Meier, holds for them, too.
    """
    definition = definition_of(item)
    half = 0.5 * 10.0**-item.digits
    common = {"status": item.status, "where": item.where, "definition": definition}
    beyond = [("median", 0.5, item.median)]
    beyond += [
        (f"quartile {place}", share, time)
        for place, share, time in zip((1, 3), (0.75, 0.25), item.quartiles or (), strict=False)
    ]
    for what, share, time in beyond:
        found = f"{name}: {what}"
        printed = f"{what} {time:g}"
        yield Target(found, "follow_up_share", share, printed, half, time=time, rounds_time=True, **common)  # type: ignore[arg-type]
    if item.range is not None and of_survival:
        shortest, longest = item.range
        for kind, value in (("log_shortest", shortest), ("log_longest", longest)):
            low, high = math.log(max(value - half, LEAST_SHARE_OF_BOX * half)), math.log(value + half)
            found, middle, box = f"{name}: {kind.removeprefix('log_')}", 0.5 * (low + high), 0.5 * (high - low)
            yield Target(found, kind, middle, f"{value:g}", box, **common)  # type: ignore[arg-type]
