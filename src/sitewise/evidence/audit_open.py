"""What the paper leaves open: ambiguities of the file, numbers that are set aside as conflicts, and hospitals without sizes."""

from __future__ import annotations

from collections.abc import Iterator

from sitewise.evidence.audit_findings import Finding
from sitewise.evidence.audit_rows import compared
from sitewise.evidence.schema import Evidence

HOSPITAL = frozenset(
    {"site", "sites", "hospital", "hospitals", "institution", "institutions", "centre", "centres", "center", "centers"}
)
"""Names of a characteristic that counts the patients of each hospital."""


def check_open(evidence: Evidence) -> Iterator[Finding]:
    """Yield the ambiguities with their readings, the conflicts, and what is not published of the hospitals."""
    places = where_of(evidence)
    for item in evidence.ambiguity:
        readings = " ".join(f"({number}) {reading}" for number, reading in enumerate(item.readings, start=1))
        place = "; ".join(dict.fromkeys(places[name] for name in item.about if places.get(name)))
        yield Finding(
            "note", "left open", f"{item.sentence} Read as: {readings} The first is used.", place, (item.id, *item.about)
        )
    margins = {item.name for item in evidence.categorical} | {item.name for item in evidence.continuous}
    for name, where in _conflicts(evidence):
        sentence = f"'{name}' is set aside as a conflict: calibration leaves it out and reports it."
        if name in margins:
            sentence = (
                f"'{name}' is marked as a conflict, but describes the patients: where a number is about it, it is simulated as "
                "it stands. Write what is to be simulated there, and the other reading into an [[ambiguity]]."
            )
        yield Finding("note", "conflict", sentence, where, (name,))
    sites = evidence.source.sites
    if sites > 1 and not any(item.name.lower() in HOSPITAL for item in evidence.categorical):
        sentence = (
            f"The patients of each of the {sites} hospitals and the spread between hospitals are not published: neither is "
            "identified by this paper. What a model says of them is its prior; label it as an assumption."
        )
        yield Finding("note", "sites", sentence, evidence.source.where, ("source",))


def where_of(evidence: Evidence) -> dict[str, str]:
    """Return where in the paper each entry of the file stands."""
    return {name: where for name, where, _ in _entries(evidence)}


def _conflicts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    yield from ((name, where) for name, where, status in _entries(evidence) if status == "conflict")
    for model in evidence.model:
        yield from ((f"{model.id}, {compared(term)}", model.where) for term in model.term if term.status == "conflict")


def _entries(evidence: Evidence) -> Iterator[tuple[str, str, str]]:
    """Yield name or id, place and status of each entry; a model's rows have their own status."""
    yield "source", evidence.source.where, ""
    for follow in evidence.follow_up:
        yield "follow_up", follow.where, follow.status
    for item in evidence.categorical:
        yield item.name, item.where, item.status
    for numeric in evidence.continuous:
        yield numeric.name, numeric.where, numeric.status
    for model in evidence.model:
        yield model.id, model.where, ""
    for survival in evidence.survival:
        yield survival.id, survival.where, survival.status
    for comparison in evidence.comparison:
        yield comparison.id, comparison.where, comparison.status
    for events in evidence.events:
        yield events.id, events.where, events.status
    for joint in evidence.joint:
        yield joint.id, joint.where, joint.status
    for curve in evidence.curve:
        yield curve.id, curve.where, curve.status
    counts = {count.id: count for count in evidence.count}
    for count in evidence.count:
        yield count.id, count.where, count.status
    for failures in evidence.failures:
        yield failures.id, counts[failures.total].where if failures.total in counts else "", failures.status
