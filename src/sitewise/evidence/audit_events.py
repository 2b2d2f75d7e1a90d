"""Numbers of events against what intervals of hazard ratios need and medians allow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from sitewise.evidence.audit_deaths import (
    EventBounds,
    Family,
    Least,
    endpoints,
    event_bounds,
    families,
    least_events,
    published_events,
)
from sitewise.evidence.audit_findings import Finding, Implied
from sitewise.evidence.audit_groups import EVERYONE, Key, describe, described, group_of, size_bounds
from sitewise.evidence.audit_rows import Row
from sitewise.evidence.schema import Evidence

CHECK = "events"
REMEDY = "Check both, whether these are the events of that model, and whether its interval is a Wald interval."


def check_events_of(evidence: Evidence, rows: Sequence[Row]) -> Iterator[Finding | Implied]:
    """Yield the bounds on events of each endpoint, and what contradicts them."""
    for endpoint in endpoints(evidence):
        yield from _of_endpoint(evidence, endpoint, [row for row in rows if row.model.endpoint == endpoint])


def _of_endpoint(evidence: Evidence, endpoint: str, rows: Sequence[Row]) -> Iterator[Finding | Implied]:
    yield from _all_patients(evidence, endpoint, event_bounds(evidence, endpoint, rows))
    yield from _not_reached(evidence, endpoint)
    groups: dict[str, Implied] = {}
    for family in families(rows):
        least = least_events(family.sizes, family.variances)
        if least is None:
            sentence = (
                f"The interval of {family.label} is narrower than {' and '.join(map(str, family.sizes))} patients allow even "
                "if all of them had the event. Check its limits and the counts, or state interval if it is no Wald interval."
            )
            yield Finding("error", CHECK, sentence, family.rows[0].model.where, family.rows[0].about)
            continue
        yield from _published_groups(evidence, endpoint, family, least)
        for levels, count, size in zip(family.groups, least.groups, family.sizes, strict=True):
            quantity = f"{endpoint} events, {family.rows[0].term.covariate} {' or '.join(levels)}"
            if quantity not in groups or count > (groups[quantity].least or 0):
                how = f"interval of {family.label}; size of the group"
                place = family.rows[0].model.where
                groups[quantity] = Implied(quantity, count, size, None, how, place, family.rows[0].about)
    yield from groups.values()


def _all_patients(evidence: Evidence, endpoint: str, bounds: EventBounds) -> Iterator[Finding | Implied]:
    place = "; ".join(part for part in (bounds.where_least, bounds.where_most) if part)
    why = f"{bounds.why_least[:1].upper()}{bounds.why_least[1:]} needs at least {bounds.least} {endpoint} events"
    if bounds.least > bounds.most:
        sentence = f"{why}; there can be at most {bounds.most}: {bounds.why_most}. Check both."
        yield Finding("error", CHECK, sentence, place, bounds.about)
        return
    known = published_events(evidence, endpoint)
    if bounds.least or bounds.most < evidence.source.patients:
        how = f"{bounds.why_least}; {bounds.why_most}"
        yield Implied(f"{endpoint} events", bounds.least, bounds.most, how=how, place=place, about=bounds.about)
        there = f"{known[0]} are printed" if known else "the number itself is not published"
        most = f"there can be at most {bounds.most}: {bounds.why_most}"
        yield Finding("note", CHECK, f"{why if bounds.least else endpoint}; {most}; {there}.", place, bounds.about)
    if known is not None and known[0] < bounds.least:
        sentence = f"{known[0]} {endpoint} events are printed; {bounds.why_least} needs at least {bounds.least}. {REMEDY}"
        yield Finding("error", CHECK, sentence, f"{known[1]}; {bounds.where_least}", _ids(evidence, endpoint))
    if known is not None and known[0] > bounds.most:
        sentence = (
            f"{known[0]} {endpoint} events are printed; there can be at most {bounds.most}: {bounds.why_most}. Check both."
        )
        yield Finding("error", CHECK, sentence, f"{known[1]}; {bounds.where_most}", _ids(evidence, endpoint))


def _published_groups(evidence: Evidence, endpoint: str, family: Family, least: Least) -> Iterator[Finding]:
    """Compare printed events of the groups of a family with 1/d0 + 1/dj, which is at most the squared standard error."""
    covariate = family.rows[0].term.covariate
    items = {group_of(item): item for item in evidence.events if item.endpoint == endpoint}
    keys: list[Key] = [frozenset({(covariate, frozenset(levels))}) for levels in family.groups]
    reference = items.get(keys[0])
    for row, key, variance in zip(family.rows, keys[1:], family.variances, strict=True):
        item = items.get(key)
        if item is None or reference is None:
            continue
        needed = 1 / max(reference.events, 1) + 1 / max(item.events, 1)
        if min(item.events, reference.events) == 0 or needed > variance:
            sentence = (
                f"{reference.events} {endpoint} events of {describe(reference)} and {item.events} of {describe(item)} are "
                "printed; "
                f"the standard error of their log hazard ratio would be at least {needed**0.5:.3g}, and the interval of "
                f"{row.label} gives {variance**0.5:.3g} at most. {REMEDY}"
            )
            places = f"{reference.where}; {item.where}; {row.model.where}"
            yield Finding("error", CHECK, sentence, places, (reference.id, item.id, *row.about))
            return
    for key, count in zip(keys, least.groups, strict=True):
        item = items.get(key)
        if item is not None and item.events < count:
            sentence = (
                f"{item.events} {endpoint} events are printed of {describe(item)}; the interval of {family.label} needs at "
                f"least {count}. {REMEDY}"
            )
            yield Finding("error", CHECK, sentence, f"{item.where}; {family.rows[0].model.where}", (item.id, covariate))


def _not_reached(evidence: Evidence, endpoint: str) -> Iterator[Finding]:
    """Compare printed events of a group with its median: after more than half of n events a curve is below a half."""
    for item, other in itertools.product(evidence.events, evidence.survival):
        if not item.endpoint == other.endpoint == endpoint or group_of(item) != group_of(other) or group_of(item) == EVERYONE:
            continue
        size = size_bounds(evidence, group_of(item))[1]
        if other.median == "not reached" and 2 * item.events > size:
            sentence = (
                f"{item.events} of the {size} {described(group_of(item))} had the event of {endpoint}, more than half, and "
                "yet the median is not reached. Check both."
            )
            yield Finding("error", CHECK, sentence, f"{item.where}; {other.where}", (item.id, other.id))


def _ids(evidence: Evidence, endpoint: str) -> tuple[str, ...]:
    return tuple(item.id for item in evidence.events if item.endpoint == endpoint)
