"""Checks that several kinds of entry share: where a number stands, and p values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from sitewise.problems import Problems, nearest, plural

LONGEST_QUOTE = 20
"""Words of a quotation: enough to find the place."""
SLACK = 1e-9
"""Room for the rounding of the arithmetic itself."""


def check_place(where: str, place: str, quotes: Iterable[str], problems: Problems) -> None:
    """Every number says where it stands and in which words, briefly."""
    if not place.strip():
        problems.add(f"{where} where", "is empty", "Name the table, figure or section.")
    if not any(quote.strip() for quote in quotes):
        problems.add(f"{where} quote", "is empty", "Quote the words that hold the number.")
    for quote in quotes:
        if len(quote.split()) > LONGEST_QUOTE:
            problems.add(f"{where} quote", f"has {len(quote.split())} words", f"Quote at most {LONGEST_QUOTE}.")


def check_p_range(place: str, p: float | None, below: float | None, problems: Problems) -> bool:
    """Note p values that are none, or given twice; return whether all is well."""
    before = len(problems.found)
    if p is not None and not 0 <= p <= 1:
        problems.add(f"{place} p", f"must be between 0 and 1; it is {p:g}")
    if below is not None and not 0 < below <= 1:
        problems.add(f"{place} p_below", f"must be above 0 and at most 1; it is {below:g}")
    if p is not None and below is not None:
        problems.add(place, "p and p_below are both given", "The paper prints one of them.")
    return len(problems.found) == before


class Grouped(Protocol):
    """An entry about a group of patients."""

    @property
    def group(self) -> Mapping[str, Sequence[str]]:
        """Levels that define it."""
        ...

    @property
    def count_favourable(self) -> int | None:
        """Number of favourable factors that defines it instead."""
        ...


def check_group(
    where: str,
    item: Grouped,
    levels: Mapping[str, Collection[str]],
    declared: Sequence[str],
    factors: int,
    problems: Problems,
) -> None:
    """Note a group that cannot be told from the characteristics of the file."""
    for name, chosen in item.group.items():
        if name not in declared:
            problems.add(f"{where} group", f"'{name}' is no characteristic with levels", nearest(name, declared))
        for label in chosen if name in levels else ():
            if label not in levels[name]:
                problems.add(f"{where} group", f"'{label}' is no level of {name}", nearest(label, levels[name]))
    if item.count_favourable is not None and not 0 <= item.count_favourable <= factors:
        known = plural(factors, "characteristic", "characteristics")
        what = f"is {item.count_favourable}; this file has {known} with favourable levels"
        problems.add(f"{where} count_favourable", what)
    if item.count_favourable is not None and item.group:
        problems.add(where, "group and count_favourable are both given", "One of them defines the group.")
