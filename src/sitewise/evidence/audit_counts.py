"""Counts of the text against each other: overlapping parts, kinds of first failure, lesions of patients, events."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sitewise.evidence.audit_curves import WITH_DEATH
from sitewise.evidence.audit_findings import Finding, Implied, Severity, whole
from sitewise.evidence.audit_groups import EVERYONE, group_of
from sitewise.evidence.checks_of_counts import HALF_PERCENT
from sitewise.evidence.checks_shared import SLACK
from sitewise.evidence.entries_of_counts import Count, Failures
from sitewise.evidence.schema import Evidence

CHECK = "counts"


def count_bounds(evidence: Evidence) -> dict[str, tuple[int, int]]:
    """Return the least and largest number that each count can be: as printed, or all that round to its percentage."""
    known = {item.id: item for item in evidence.count}
    found: dict[str, tuple[int, int]] = {}
    for item in evidence.count:
        if item.count is not None:
            found[item.id] = (item.count, item.count)
    for item in evidence.count:
        total = evidence.source.patients if item.of == "patients" else known[item.of].count if item.of in known else None
        if item.count is None and item.percent is not None and total is not None:
            low = math.ceil((item.percent - HALF_PERCENT) * total / 100 - SLACK)
            found[item.id] = (max(low, 0), math.floor((item.percent + HALF_PERCENT) * total / 100 + SLACK))
    return found


def check_counts_of_text(evidence: Evidence) -> Iterator[Finding | Implied]:
    """Yield what counts of the text say about each other."""
    bounds = count_bounds(evidence)
    kinds = {frozenset(item.kinds.values()) for item in evidence.failures}
    for item in evidence.count:
        parts = [part for part in evidence.count if part.part_of == item.id and part.id in bounds]
        if item.id in bounds and item.parts != "some" and frozenset(part.id for part in parts) not in kinds:
            yield from _overlap(item, parts, bounds)
    for failures in evidence.failures:
        yield from _failures(evidence, failures, bounds)
    yield from _lesions(evidence)


def _overlap(item: Count, parts: list[Count], bounds: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
    least, most = sum(bounds[part.id][0] for part in parts), bounds[item.id][1]
    if not parts or least <= most:
        return
    bases = _denominators(parts)
    severity: Severity = "warning" if bases or item.parts == "exhaustive" else "note"
    known = "They are said to overlap" if item.parts == "overlapping" else "They are said to be all of it"
    sentence = (
        f"The parts of '{item.label}' add up to {least}, {least - most} more than the {most}: {_listed(parts, bounds)}. "
        f"{known}: {least - most} or more are counted twice, or a count is wrong{bases}."
    )
    yield Finding(severity, CHECK, sentence, _places([item, *parts]), _ids([item, *parts]))


def _denominators(parts: list[Count]) -> str:
    """Return a remark where percentages that stand side by side are of different wholes."""
    bases = {part.of for part in parts if part.percent is not None}
    if len(bases) < 2:
        return ""
    shown = ", ".join(
        f"{part.percent:g} % of {'all patients' if part.of == 'patients' else part.of}"
        for part in parts
        if part.percent is not None
    )
    return f"; mind that their percentages have different denominators ({shown})"


def _failures(evidence: Evidence, item: Failures, bounds: Mapping[str, tuple[int, int]]) -> Iterator[Finding | Implied]:
    """Compare all failures with their kinds: a first failure is of one kind, unless two came at once."""
    known = {entry.id: entry for entry in evidence.count}
    parts = [known[name] for name in item.kinds.values() if name in known]
    if item.total not in bounds or any(part.id not in bounds for part in parts):
        return
    total, patients = known[item.total], evidence.source.patients
    low, high = bounds[item.total]
    least, most = (sum(bounds[part.id][end] for part in parts) for end in (0, 1))
    place, about = _places([total, *parts]), (item.id, *_ids([total, *parts]))
    if least > high:
        sentence = (
            f"The kinds of first failure add up to {least} ({_listed(parts, bounds)}), {least - high} more than the {high} of "
            f"'{total.label}': {least - high} or more had two kinds at once, or a count is wrong{_denominators(parts)}. "
            "Decide which."
        )
        yield Finding("warning", "first failures", sentence, place, about)
    elif most < low:
        sentence = (
            f"The kinds of first failure add up to {most} ({_listed(parts, bounds)}), {low - most} fewer than the {low} of "
            f"'{total.label}': the kind of the others is not printed{_denominators(parts)}. Look for it."
        )
        yield Finding("note", "first failures", sentence, place, about)
    yield Implied(
        f"{item.endpoint} events, if failure or death",
        low,
        patients,
        how="every failure is one; one a patient",
        place=total.where,
        about=about,
    )
    yield Implied(
        "deaths without a failure before", 0, patients - low, how="patients without a failure", place=total.where, about=about
    )
    for events in evidence.events:
        if events.endpoint == item.endpoint and group_of(events) == EVERYONE and events.events < low:
            sentence = (
                f"{events.events} events of {item.endpoint} are printed, fewer than the {low} of '{total.label}'. "
                "Decide whether these are different events, or which count is wrong."
            )
            yield Finding("warning", "first failures", sentence, f"{events.where}; {total.where}", (events.id, item.total))
    if not any(events.endpoint == item.endpoint and group_of(events) == EVERYONE for events in evidence.events):
        sentence = (
            f"If failures and deaths are the events of {item.endpoint}, there are {whole(low, patients)} of them, and "
            f"{whole(0, patients - low)} deaths without a failure before; the number itself is not published."
        )
        yield Finding("note", "first failures", sentence, total.where, about)


def _lesions(evidence: Evidence) -> Iterator[Finding]:
    """Compare patients by number of lesions with the number of lesions, where a label names what a count counts."""
    for count in evidence.count:
        if count.counted == "patients" or count.part_of or count.count is None:
            continue
        for item in evidence.categorical:
            if count.counted.lower() not in item.label.lower() or not all(level.isdecimal() for level in item.levels):
                continue
            found = sum(int(level) * patients for level, patients in item.levels.items())
            sums = " + ".join(f"{level} x {patients}" for level, patients in item.levels.items())
            if found != count.count:
                sentence = (
                    f"'{item.label}' makes {sums} = {found} {count.counted}; {count.count} are printed. Decide which is right."
                )
                yield Finding("warning", CHECK, sentence, f"{item.where}; {count.where}", (item.name, count.id))


def check_endpoint_counts(evidence: Evidence) -> Iterator[Finding]:
    """Every death is an event of progression-free survival: there are no more deaths than such events in a group."""
    for item in evidence.events:
        for other in evidence.events:
            same = group_of(item) == group_of(other) and item.patients == other.patients
            if same and item.endpoint == "os" and other.endpoint in WITH_DEATH and item.events > other.events:
                sentence = (
                    f"{item.events} deaths are more than the {other.events} events of {other.endpoint} in the same "
                    "patients, of which every death is one. Check both, and the definition of the endpoint."
                )
                yield Finding("warning", "endpoints", sentence, f"{item.where}; {other.where}", (item.id, other.id))


def _listed(parts: list[Count], bounds: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{part.label} {whole(*bounds[part.id])}" for part in parts)


def _places(items: list[Count]) -> str:
    return "; ".join(dict.fromkeys(item.where for item in items))


def _ids(items: list[Count]) -> tuple[str, ...]:
    return tuple(item.id for item in items)
