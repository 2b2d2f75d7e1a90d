"""Checks that several kinds of entry share: where a number stands, and p values."""

from __future__ import annotations

from collections.abc import Iterable

from sitewise.problems import Problems

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
