"""Checks of hazard ratios: the levels compared, and what ratio, interval and p value must be to each other.

A Wald interval is symmetric on the log scale, so that the ratio is the geometric mean of its limits and p follows from both;
all three are printed to some digits, which leaves a box of possible values (interval arithmetic over the rounding).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

from scipy.special import ndtr, ndtri

from sitewise.evidence.checks_shared import SLACK, check_p_range, check_place
from sitewise.evidence.entries import Model, Term
from sitewise.problems import Problems, listed, nearest

MOST_DIGITS = 10


def check_model(
    item: Model,
    levels: Mapping[str, Sequence[str]],
    known: Sequence[str],
    declared: Mapping[str, Sequence[str]],
    problems: Problems,
) -> None:
    """Note what is wrong with a table of hazard ratios."""
    where = f"model ({item.id})"
    if not item.where.strip():
        problems.add(f"{where} where", "is empty", "Name the table, figure or section.")
    if not item.term:
        problems.add(f"{where} term", "is missing", "Give a row or more.")
    if not 0 < item.prob < 1:
        problems.add(f"{where} prob", f"must be between 0 and 1; it is {item.prob:g}")
        return
    rows = [(term.covariate, term.level, term.reference) for term in item.term]
    digits = max((decimals(value) for term in item.term for value in (term.hazard_ratio, term.lower, term.upper)), default=0)
    for number, term in enumerate(item.term, start=1):
        place = f"{where} term {number} ({term.covariate})"
        if rows.index(rows[number - 1]) < number - 1:
            problems.add(place, "compares the same levels as a row above")
        check_place(place, "in the model", term.quote, problems)
        if term.covariate not in known:
            problems.add(place, "is no characteristic of this file", nearest(term.covariate, known))
        elif term.covariate in declared["categorical"]:
            _check_levels(place, term, levels.get(term.covariate), problems)
        elif term.level or term.reference:
            problems.add(place, "is numeric and has no levels", "Remove level and reference.")
        _check_hazard_ratio(place, item, term, digits, problems)


def decimals(value: float | None) -> int:
    """Return the decimals that a printed number has."""
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent if value else 0
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _check_levels(place: str, term: Term, levels: Sequence[str] | None, problems: Problems) -> None:
    for name in ("level", "reference"):
        chosen = getattr(term, name)
        if not chosen:
            problems.add(f"{place} {name}", "is missing", "Say which levels are compared, as the paper prints the row.")
        for label in chosen:
            if levels is not None and label not in levels:
                problems.add(f"{place} {name}", f"'{label}' is no level of {term.covariate}", nearest(label, levels))
    both = set(term.level) & set(term.reference)
    if both:
        problems.add(place, f"{listed(sorted(both))} is on both sides of the comparison")


def _check_hazard_ratio(place: str, model: Model, term: Term, found_digits: int, problems: Problems) -> None:
    ratio, low, high = term.hazard_ratio, term.lower, term.upper
    digits = term.digits if term.digits is not None else found_digits
    for name, stated, has in (("digits", digits, found_digits), ("p_digits", term.p_digits, decimals(term.p))):
        if stated is not None and not 0 <= stated <= MOST_DIGITS:
            problems.add(f"{place} {name}", f"must be between 0 and {MOST_DIGITS}; it is {stated}")
            return
        if stated is not None and stated < has:
            problems.add(f"{place} {name}", f"is {stated}, but a number has {has} decimals")
            return
    half = 0.5 * 10.0**-digits + SLACK
    if ratio <= 0 or high <= 0 or low < 0:
        problems.add(place, "hazard ratio and limits must be positive")
        return
    if low > high:
        problems.add(place, f"the interval is reversed: {low:g} to {high:g}")
        return
    if not low <= ratio <= high:
        problems.add(f"{place} hazard_ratio", f"{ratio:g} is outside its interval {low:g} to {high:g}")
        return
    if not check_p_range(place, term.p, term.p_below, problems) or model.interval != "wald" or low <= half:
        return
    middle = [math.sqrt((low + sign * half) * (high + sign * half)) for sign in (-1, 1)]
    if not middle[0] - half <= ratio <= middle[1] + half:
        problems.add(
            f"{place} hazard_ratio",
            f"{ratio:g} is not in the middle of its interval: {low:g} to {high:g} belongs to "
            f"{math.sqrt(low * high):.{digits}f}",
            'Check the numbers (and digits, the decimals printed), or state interval = "profile".',
        )
        return
    z = float(ndtri(0.5 + model.prob / 2))
    widths = [math.log((high + half) / (low - half)), math.log(max(high - half, low + half) / (low + half))]
    effects = [abs(math.log(max(ratio + sign * half, SLACK))) for sign in (-1, 1)]
    nearest_null = 0.0 if (ratio - half) <= 1 <= (ratio + half) else min(effects)
    largest = 2 * float(ndtr(-nearest_null * 2 * z / widths[0]))
    least = 2 * float(ndtr(-max(effects) * 2 * z / widths[1])) if widths[1] > 0 else 0.0
    p_half = 0.5 * 10.0 ** -(decimals(term.p) if term.p_digits is None else term.p_digits) + SLACK
    if term.p is not None and not least - p_half <= term.p <= largest + p_half:
        expected = f"{least:.3g}" if f"{least:.3g}" == f"{largest:.3g}" else f"{least:.3g} to {largest:.3g}"
        problems.add(
            f"{place} p", f"{term.p:g} does not belong to its interval, which gives p = {expected}", "Check the digits."
        )
    if term.p_below is not None and least > term.p_below:
        problems.add(f"{place} p_below", f"{term.p_below:g} does not belong to its interval, which gives p = {least:.3g}")
