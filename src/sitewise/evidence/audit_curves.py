"""What printed medians, milestones and curves say about a Kaplan-Meier curve: bounds at times, which must fit together.

A median M says that the curve is above a half before M and at a half or below from M on; survival s at t that the curve at t is
s; "not reached" that it stays above a half. The curve never rises, so what is at least L at a time is at least L
before, and what is at most U at a time is at most U after. All with the rounding of the print.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sitewise.evidence.audit_findings import Finding
from sitewise.evidence.audit_groups import EVERYONE, Key, describe, described, group_of, partitions, size_bounds
from sitewise.evidence.audit_intervals import Interval, printed
from sitewise.evidence.checks_shared import SLACK
from sitewise.evidence.entries import Survival
from sitewise.evidence.entries_of_counts import Curve
from sitewise.evidence.schema import Evidence

CHECK = "survival"
ABOVE_HALF = 0.5 + 1e-6
"""Before its median a curve is above a half, if only just: of two different medians of one curve, one is wrong."""
WITH_DEATH = ("pfs", "dfs", "rfs", "efs")
"""Endpoints of which death is one of the events, so that they are no later than death."""


@dataclass(frozen=True)
class Bound:
    """The curve is at least, or at most, ``share`` at ``time``; ``before``: just before it."""

    time: float
    share: float
    before: bool
    said: str
    item: Survival | Curve


@dataclass(frozen=True)
class Limits:
    """Bounds of one curve from below and from above."""

    low: tuple[Bound, ...] = ()
    high: tuple[Bound, ...] = ()

    def at_least(self, time: float) -> float:
        """Return a bound from below at a time."""
        return max(
            (item.share for item in self.low if item.time > time or (item.time == time and not item.before)), default=0.0
        )

    def at_most(self, time: float) -> float:
        """Return a bound from above at a time."""
        return min((item.share for item in self.high if item.time <= time), default=1.0)

    def at_most_before(self, time: float) -> float:
        """Return a bound from above just before a time."""
        return min((item.share for item in self.high if item.time < time), default=1.0)

    def median(self) -> Interval:
        """Return the times between which the median is: where the curve is still at a half or above, and below it or at it."""
        low = max((item.time for item in self.low if item.share >= 0.5), default=0.0)
        high = min((item.time for item in self.high if item.share <= 0.5), default=math.inf)
        return Interval(min(low, high), high)


def median_interval(item: Survival) -> Interval | None:
    """Return the times that are printed as a median; from any time on to infinity where it is not reached; None: no median."""
    if item.median is None:
        return None
    return Interval(math.inf, math.inf) if item.median == "not reached" else printed(item.median, item.digits)


def limits(evidence: Evidence) -> dict[tuple[str, Key], Limits]:
    """Return the bounds of the curve of each endpoint and group."""
    low: dict[tuple[str, Key], list[Bound]] = {}
    high: dict[tuple[str, Key], list[Bound]] = {}
    for item in evidence.survival:
        place = (item.endpoint, group_of(item))
        below, above = low.setdefault(place, []), high.setdefault(place, [])
        if item.median is not None and (times := median_interval(item)):
            said = f"median {item.median:g}" if isinstance(item.median, float) else "median not reached"
            below.append(Bound(times.lower, ABOVE_HALF, True, said, item))
            if math.isfinite(times.upper):
                above.append(Bound(times.upper, 0.5, False, said, item))
        elif item.time is not None and item.survival is not None:
            shares = printed(item.survival, item.digits + 2)
            said = f"survival {item.survival:g} at {item.time:g}"
            below.append(Bound(item.time, shares.lower, False, said, item))
            above.append(Bound(item.time, shares.upper, False, said, item))
    for curve in evidence.curve:
        place = (curve.endpoint, group_of(curve))
        below, above = low.setdefault(place, []), high.setdefault(place, [])
        for time, share in zip(curve.times, curve.survival, strict=False):
            said = f"{share:g} at {time:g} on the curve {curve.id}"
            below.append(Bound(time, share - curve.precision, False, said, curve))
            above.append(Bound(time, share + curve.precision, False, said, curve))
    return {place: Limits(tuple(low[place]), tuple(high[place])) for place in low}


def check_curves(evidence: Evidence, found: Mapping[tuple[str, Key], Limits]) -> Iterator[Finding]:
    """Yield what does not fit: numbers of one curve, of two endpoints, of parts and whole, and numbers at risk."""
    for (endpoint, key), own in found.items():
        yield from _one_curve(endpoint, key, own)
    for (endpoint, key), own in found.items():
        if endpoint in WITH_DEATH and (other := found.get(("os", key))):
            yield from _two_endpoints(endpoint, key, own, other)
    for endpoint in dict.fromkeys(endpoint for endpoint, _ in found):
        yield from _parts_and_whole(evidence, endpoint, {key: own for (name, key), own in found.items() if name == endpoint})
    for curve in evidence.curve:
        yield from _at_risk(evidence, curve, found[(curve.endpoint, group_of(curve))])


def _crossed(low: Limits, high: Limits) -> tuple[Bound, Bound] | None:
    """Return the worst pair in which a curve must be higher later than it may be sooner."""
    pairs = [
        (below.share - above.share, below, above)
        for below in low.low
        for above in high.high
        if (above.time < below.time if below.before else above.time <= below.time) and below.share > above.share + SLACK
    ]
    if not pairs:
        return None
    _, below, above = max(pairs, key=lambda pair: pair[0])
    return below, above


def _one_curve(endpoint: str, key: Key, own: Limits) -> Iterator[Finding]:
    if pair := _crossed(own, own):
        below, above = pair
        read_off = any(isinstance(bound.item, Curve) for bound in pair)
        sentence = f"{endpoint} of {described(key)}: {above.said} and {below.said} cannot both be, since a curve never rises."
        sentence += " Check both, and the precision of what was read off." if read_off else " Check both."
        yield Finding("warning" if read_off else "error", CHECK, sentence, *_sources(pair))


def _two_endpoints(endpoint: str, key: Key, own: Limits, survival: Limits) -> Iterator[Finding]:
    """Compare an endpoint of which death is an event with survival: its curve is below, but for censoring by chance."""
    if pair := _crossed(own, survival):
        below, above = pair
        sentence = (
            f"{described(key)[:1].upper()}{described(key)[1:]}: {below.said} of {endpoint} is above {above.said} of os, yet "
            f"every death is an event of {endpoint}. Check which endpoint each number belongs to."
        )
        yield Finding("warning", "endpoints", sentence, *_sources(pair))


def _parts_and_whole(evidence: Evidence, endpoint: str, own: Mapping[Key, Limits]) -> Iterator[Finding]:
    """Compare all with the groups: followed alike, the curve of all is the mean of the groups', weighted with their sizes."""
    everyone = own.get(EVERYONE)
    if everyone is None:
        return
    times = sorted({bound.time for part in own.values() for bound in (*part.low, *part.high) if math.isfinite(bound.time)})
    parts = {key: part for key, part in own.items() if key != EVERYONE}
    for name, keys in partitions(evidence, parts):
        worst: tuple[float, float, float, float] | None = None
        for time in times:
            low, high = _mixture(evidence, name, [(key, own[key]) for key in keys], time)
            gap = max(low - everyone.at_most(time), everyone.at_least(time) - high)
            if gap > SLACK and (worst is None or gap > worst[0]):
                worst = (gap, time, low, high)
        if worst is not None:
            _, time, low, high = worst
            items = [bound.item for key in (EVERYONE, *keys) for bound in (*own[key].low, *own[key].high)]
            place, about = _named(items)
            sentence = (
                f"{endpoint} at {time:g} of the groups by {name} makes {low:.2f} to {high:.2f} for all patients; for all, "
                f"{everyone.at_least(time):.2f} to {everyone.at_most(time):.2f} is printed. "
                "Under alike follow-up that cannot be: check the groups."
            )
            yield Finding("warning", CHECK, sentence, place, about)


def _mixture(evidence: Evidence, name: str, parts: list[tuple[Key, Limits]], time: float) -> tuple[float, float]:
    sizes = [size_bounds(evidence, key) for key, _ in parts]
    lows, highs = [part.at_least(time) for _, part in parts], [part.at_most(time) for _, part in parts]
    patients = evidence.source.patients
    if all(low == high for low, high in sizes):
        weights = [low / patients for low, _ in sizes]
        rest = max(0.0, 1 - sum(weights))
        return (
            sum(weight * low for weight, low in zip(weights, lows, strict=True)),
            rest + sum(weight * high for weight, high in zip(weights, highs, strict=True)),
        )
    factors = sum(bool(item.favourable) for item in evidence.categorical)
    complete = name == "favourable factors" and len(parts) == factors + 1
    return (min(lows), max(highs)) if complete else (0.0, 1.0)


def _at_risk(evidence: Evidence, curve: Curve, own: Limits) -> Iterator[Finding]:
    """Compare numbers at risk just before t, which are n S(t-) G(t-), G the share not censored, with n S(t-)."""
    least, most = size_bounds(evidence, group_of(curve))
    for time, count in zip(curve.at_risk_times, curve.at_risk, strict=False):
        if count > most * own.at_most_before(time) + SLACK:
            sentence = (
                f"{curve.endpoint} of {describe(curve)}: {count} at risk at {time:g} are more than the share event-free allows "
                f"({own.at_most_before(time):.2f} of {most}). Check the numbers at risk and the curve."
            )
            yield Finding("warning", CHECK, sentence, curve.where, (curve.id,))
            return
    if curve.at_risk and curve.at_risk_times[0] == 0 and not least <= curve.at_risk[0] <= most:
        sentence = f"{curve.at_risk[0]} are at risk at time 0 of {describe(curve)}, which has {least} patients. Check both."
        yield Finding("warning", CHECK, sentence, curve.where, (curve.id,))


def _sources(pair: tuple[Bound, Bound]) -> tuple[str, tuple[str, ...]]:
    return _named([bound.item for bound in pair])


def _named(items: list[Survival | Curve]) -> tuple[str, tuple[str, ...]]:
    return "; ".join(dict.fromkeys(item.where for item in items)), tuple(dict.fromkeys(item.id for item in items))
