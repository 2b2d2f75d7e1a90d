"""The rows of hazard ratios as an audit reads them: standard errors from limits, sizes of the groups compared, labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from sitewise.evidence.audit_findings import Finding, Implied
from sitewise.evidence.audit_intervals import Interval, printed
from sitewise.evidence.checks_of_models import decimals
from sitewise.evidence.entries import Continuous, Model, Term
from sitewise.evidence.schema import Evidence

CHECK = "hazard ratios"


@dataclass(frozen=True)
class Row:
    """A row of a Cox model with a Wald interval, as intervals of what its printed numbers can be."""

    model: Model
    term: Term
    ratio: Interval
    """Hazard ratio."""
    standard_error: Interval
    """Of the log hazard ratio; its upper end is infinite where the lower limit is printed as zero."""
    sizes: tuple[int, int] | None
    """Patients with a reference level and with a level; None for a numeric covariate."""

    @property
    def label(self) -> str:
        """Row in words."""
        return compared(self.term)

    @property
    def middle(self) -> float:
        """Standard error of the numbers as printed."""
        return standard_error(self.model, self.term)

    @property
    def about(self) -> tuple[str, ...]:
        """Model and covariate."""
        return (self.model.id, self.term.covariate)


def compared(term: Term) -> str:
    """Return a row in words: level against reference."""
    if not term.level:
        return f"{term.covariate} (per unit)"
    return f"{term.covariate} ({' or '.join(term.level)} against {' or '.join(term.reference)})"


def standard_error(model: Model, term: Term) -> float:
    """Return the standard error of the log hazard ratio, (log upper - log lower) / (2 z); a Wald interval is built so."""
    if term.lower <= 0:
        return math.inf
    return math.log(term.upper / term.lower) / (2 * float(ndtri(0.5 + model.prob / 2)))


def digits_of(model: Model, term: Term) -> int:
    """Return the decimals of a row: as stated, else the most that a number of the model has."""
    if term.digits is not None:
        return term.digits
    return max(decimals(value) for row in model.term for value in (row.hazard_ratio, row.lower, row.upper))


def numeric_digits(item: Continuous) -> int:
    """Return the decimals of a numeric characteristic: as stated, else the most that one of its numbers has."""
    values = [item.median, item.mean, item.sd, *(item.quartiles or ()), *(item.range or ())]
    return item.digits if item.digits is not None else max(decimals(value) for value in values)


def wald_rows(evidence: Evidence) -> tuple[Row, ...]:
    """Return the rows whose intervals are Wald intervals of positive width."""
    found = []
    for model in evidence.model:
        for term in model.term if model.interval == "wald" else ():
            digits = digits_of(model, term)
            low, high = printed(term.lower, digits), printed(term.upper, digits)
            z = float(ndtri(0.5 + model.prob / 2))
            width = Interval(max(high.lower, low.upper, 1e-12), max(high.upper, 1e-12)).log() - low.log()
            error = Interval(max(width.lower, 0.0), width.upper).scaled(1 / (2 * z))
            found.append(Row(model, term, printed(term.hazard_ratio, digits), error, _sizes(evidence, term)))
    return tuple(found)


def _sizes(evidence: Evidence, term: Term) -> tuple[int, int] | None:
    counts = {item.name: item.levels for item in evidence.categorical if item.counted == "patients"}.get(term.covariate)
    if counts is None or not term.level:
        return None
    sizes = tuple(sum(counts.get(name, 0) for name in names) for names in (term.reference, term.level))
    return (sizes[0], sizes[1]) if min(sizes) > 0 else None


def check_rows(evidence: Evidence, rows: Sequence[Row]) -> Iterator[Finding | Implied]:
    """Say how many rows have their hazard ratio in the middle of the interval and the p value that follows from it.

    A Wald interval is exp(b -+ z s), so its geometric mean is the hazard ratio exp(b), and p = 2 Phi(-|b| / s). What no
    rounding explains is refused when a summary is read; here it is counted how well the printed numbers agree as they stand.
    """
    off_middle: list[tuple[float, Row]] = []
    off_p: list[tuple[float, Row]] = []
    agree_middle = agree_p = 0
    for row in rows:
        term, digits = row.term, digits_of(row.model, row.term)
        if not 0 < row.middle < math.inf:
            continue
        gap = abs(math.sqrt(term.lower * term.upper) - term.hazard_ratio)
        off_middle.append((gap, row))
        agree_middle += gap <= 10.0**-digits
        p = 2 * float(ndtr(-abs(math.log(term.hazard_ratio)) / row.middle))
        if term.p is not None:
            p_digits = decimals(term.p) if term.p_digits is None else term.p_digits
            off_p.append((abs(p - term.p), row))
            agree_p += abs(p - term.p) <= 10.0**-p_digits
        elif term.p_below is not None:
            off_p.append((max(p - term.p_below, 0.0), row))
            agree_p += p < term.p_below
        yield Implied(
            f"standard error of the log hazard ratio, {row.label}{', adjusted' if row.model.adjusted else ''}",
            row.standard_error.lower,
            row.standard_error.upper,
            row.middle,
            "width of the Wald interval",
            row.model.where,
            row.about,
            "standard error",
        )
    if not off_middle:
        return
    gap, worst = max(off_middle, key=lambda item: item[0])
    places = "; ".join(dict.fromkeys(row.model.where for row in rows))
    sentence = (
        f"{agree_middle} of {len(off_middle)} hazard ratios are the geometric mean of their limits within a unit of the last "
        f"decimal; the largest gap is {gap:.2g} ({worst.label})."
    )
    if off_p:
        gap, worst = max(off_p, key=lambda item: item[0])
        sentence += (
            f" {agree_p} of {len(off_p)} p values are those of the interval within a unit of the last decimal;"
            f" the largest gap is {gap:.2g} ({worst.label})."
        )
    sentence += f" The limits give standard errors: {2 * len(off_middle)} usable numbers, not {len(off_middle)}."
    yield Finding("note", CHECK, sentence, places, tuple(dict.fromkeys(row.model.id for row in rows)))
