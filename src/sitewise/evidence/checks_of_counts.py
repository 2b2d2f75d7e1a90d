"""Checks of counts and percentages: each against its whole, and parts against what they are parts of."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from sitewise.evidence.checks_shared import SLACK, check_place
from sitewise.evidence.entries_of_counts import Count
from sitewise.problems import Problems, listed, nearest

MOST = 10**9
"""Above it nothing is a count of people or lesions."""
HALF_PERCENT = 0.5
"""Percentages are printed without decimals."""


def check_counts(
    items: Sequence[Count], patients: int | None, declared: Sequence[str], problems: Problems, *, uncertain: Collection[str]
) -> None:
    """Note what is wrong with counts and percentages and, unless uncertain, with sums of parts."""
    known = {item.id: item for item in items}
    bounds = {item.id: _bounds(item, known, patients) for item in items}
    for item in items:
        where = f"count ({item.id})"
        check_place(where, item.where, item.quote, problems)
        if item.count is None and item.percent is None:
            problems.add(where, "has no number", "Give count, percent or both.")
        if item.count is not None and not 0 <= item.count <= MOST:
            problems.add(f"{where} count", "must be a count: zero or more, and plausible")
            continue
        if item.percent is not None and not 0 <= item.percent <= 100:
            problems.add(f"{where} percent", f"must be between 0 and 100; it is {item.percent:g}")
            continue
        circular = [name for name in ("part_of", "of") if item.id in ancestors(item, known, by=name)]
        if circular:
            meant = "a part of itself" if circular[0] == "part_of" else "a percentage of itself"
            problems.add(f"{where} {circular[0]}", f"makes it {meant}")
            continue
        for name in ("of", "part_of"):
            other = getattr(item, name)
            if other and other != "patients" and other not in declared:
                problems.add(f"{where} {name}", f"'{other}' is no count", nearest(other, [*declared, "patients"]))
        whole = patients if item.of == "patients" else known[item.of].count if item.of in known else None
        if item.count is not None and item.percent is not None and whole:
            exact = 100 * item.count / whole
            if abs(exact - item.percent) > HALF_PERCENT + SLACK:
                problems.add(
                    f"{where} percent",
                    f"{item.percent:g} % is printed, {item.count} of {whole} are {exact:.1f} %",
                    "Check both.",
                )
        if item.counted == "patients" and patients is not None and item.count is not None and item.count > patients:
            problems.add(f"{where} count", f"{item.count} are more than the {patients} patients")
        if item.id not in uncertain:
            _check_sum(item, [child for child in items if child.part_of == item.id], bounds, problems)


def ancestors(item: Count, known: Mapping[str, Count], *, by: str = "part_of") -> list[str]:
    """Return the ids of what a count is a part of, or a percentage of (``by="of"``), upwards; a circle ends where it closes."""
    found: list[str] = []
    while (above := getattr(item, by)) in known and above not in found:
        found.append(above)
        item = known[above]
    return found


def _bounds(item: Count, known: Mapping[str, Count], patients: int | None) -> tuple[float, float] | None:
    """Return the least and largest count that what is printed allows."""
    if item.count is not None:
        return (item.count, item.count) if 0 <= item.count <= MOST else None
    whole = patients if item.of == "patients" else known[item.of].count if item.of in known else None
    if item.percent is None or whole is None or not 0 <= item.percent <= 100 or not 0 <= whole <= MOST:
        return None
    return (
        math.ceil((item.percent - HALF_PERCENT) * whole / 100 - SLACK),
        math.floor((item.percent + HALF_PERCENT) * whole / 100 + SLACK),
    )


def _check_sum(
    item: Count, parts: Sequence[Count], bounds: Mapping[str, tuple[float, float] | None], problems: Problems
) -> None:
    """Parts add up to the whole where they are exhaustive, and to no more than it unless they overlap."""
    own = bounds[item.id]
    if not parts or own is None:
        return
    ranges = [found for child in parts if (found := bounds[child.id]) is not None]
    least, most = sum(low for low, _ in ranges), sum(high for _, high in ranges)
    shown = f"{least:g}" if least == most else f"{least:g} to {most:g}"
    whole = f"{own[0]:g}" if own[0] == own[1] else f"{own[0]:g} to {own[1]:g}"
    names = listed(child.id for child in parts)
    where = f"count ({item.id})"
    if item.parts == "exhaustive" and len(ranges) == len(parts) and (most < own[0] or least > own[1]):
        problems.add(where, f"its parts add up to {shown}, not to {whole} ({names})")
    elif item.parts == "some" and least > own[1]:
        problems.add(where, f"its parts add up to {shown}, more than {whole} ({names})", 'Or state parts = "overlapping".')
    elif item.parts == "overlapping" and any(low > own[1] for low, _ in ranges):
        problems.add(where, f"one of its parts is larger than {whole} ({names})")
