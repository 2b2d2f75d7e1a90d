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


def check_p_range(place: str, p: float | None, below: float | None, problems: Problems) -> None:
    """Note p values that are none, or given twice."""
    for name, value in (("p", p), ("p_below", below)):
        if value is not None and not 0 <= value <= 1:
            problems.add(f"{place} {name}", f"must be between 0 and 1; it is {value:g}")
    if p is not None and below is not None:
        problems.add(place, "p and p_below are both given", "The paper prints one of them.")
