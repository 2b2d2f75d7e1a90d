r"""Numeric characteristics: median, mean, sd, quartiles and range together, and the spread that a hazard ratio tells of.

For any n numbers with range R: :math:`sd \le (R/2) \sqrt{n/(n-1)}` (Popoviciu 1935) and :math:`sd \ge R / \sqrt{2 (n-1)}`
(two at the ends and all others in the middle); half of them are at the median or above, so the mean is between (least +
median) / 2 and (median + largest) / 2 (Hozo, Djulbegovic and Hozo 2005); and :math:`|mean - median| \le sd \sqrt{(n-1)/n}`
(Hotelling and Solomons 1932).

The information of a Cox model on a numeric covariate is the sum over events of its variance among those at risk, about
:math:`D \, sd^2`, so that :math:`sd \approx 1 / (SE \sqrt D)`: a guide. It is compared with the sd that range or quartiles
would have under a normal distribution (Wan et al. 2014), whose range is on average :math:`\int 1 - \Phi(x)^n - (1 -
\Phi(x))^n dx` sd.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from sitewise.evidence.audit_deaths import plausible_events
from sitewise.evidence.audit_findings import Finding, Implied, Severity, whole
from sitewise.evidence.audit_intervals import Interval, printed
from sitewise.evidence.audit_rows import Row, numeric_digits
from sitewise.evidence.entries import Continuous
from sitewise.evidence.schema import Evidence

CHECK = "numeric"
OFF = 1.15
"""Ratio of two guesses at a spread from which on they disagree."""


def expected_range(patients: int) -> float:
    """Return the average range of normal numbers, in sd."""
    x = np.linspace(-12, 12, 48_001)
    return float(np.trapezoid(1 - ndtr(x) ** patients - ndtr(-x) ** patients, x))


def check_numeric(evidence: Evidence, rows: Sequence[Row]) -> Iterator[Finding | Implied]:
    """Yield what the summaries of each numeric characteristic say about each other, and about its spread."""
    for item in evidence.continuous:
        yield from _moments(item, evidence.source.patients)
        yield from _spread(evidence, item, rows)


def _finding(item: Continuous, severity: Severity, sentence: str, places: str = "") -> Finding:
    return Finding(severity, CHECK, f"{item.label}: {sentence}", places or item.where, (item.name,))


def _moments(item: Continuous, patients: int) -> Iterator[Finding]:
    digits = numeric_digits(item)
    boxes = {
        name: printed(value, digits)
        for name, value in (("median", item.median), ("mean", item.mean), ("sd", item.sd))
        if value is not None
    }
    median, mean, sd = boxes.get("median"), boxes.get("mean"), boxes.get("sd")
    if item.range is not None and patients > 1:
        low, high = (printed(value, digits) for value in item.range)
        width = high - low
        if sd is not None:
            most, least = (
                width.upper / 2 * math.sqrt(patients / (patients - 1)),
                max(width.lower, 0) / math.sqrt(2 * (patients - 1)),
            )
            if not sd.meets(Interval(least, most)):
                sentence = (
                    f"a range of {item.range[0]:g} to {item.range[1]:g} allows an sd of {least:.3g} to {most:.3g}; "
                    f"{item.sd:g} is printed."
                )
                yield _finding(item, "error", sentence + " Check both; it may be a standard error.")
        if mean is not None:
            middle = median if median is not None else Interval(low.lower, high.upper)
            allowed = Interval((low.lower + middle.lower) / 2, (high.upper + middle.upper) / 2)
            if not mean.meets(allowed):
                sentence = (
                    f"median and range allow a mean of {allowed.lower:.4g} to {allowed.upper:.4g}; {item.mean:g} is printed. "
                    "Check them."
                )
                yield _finding(item, "error", sentence)
    if median is not None and mean is not None and sd is not None and patients > 1:
        gap = max((mean - median).lower, (median - mean).lower)
        if gap > sd.upper * math.sqrt((patients - 1) / patients):
            sentence = (
                f"mean {item.mean:g} and median {item.median:g} are further apart than the sd {item.sd:g}, which no numbers "
                "are. Check them."
            )
            yield _finding(item, "error", sentence)
    if item.quartiles is not None and sd is not None:
        width = printed(item.quartiles[1], digits) - printed(item.quartiles[0], digits)
        if sd.upper < width.lower / (2 * math.sqrt(2)):
            sentence = (
                f"quartiles {item.quartiles[0]:g} and {item.quartiles[1]:g} need an sd of "
                f"{width.lower / (2 * math.sqrt(2)):.3g} "
                f"or more; {item.sd:g} is printed. Check both; it may be a standard error."
            )
            yield _finding(item, "warning", sentence)


def _spread(evidence: Evidence, item: Continuous, rows: Sequence[Row]) -> Iterator[Finding | Implied]:
    """Compare the spread that the interval of a hazard ratio tells of with that of the summaries."""
    digits, patients = numeric_digits(item), evidence.source.patients
    guesses: list[tuple[str, Interval]] = []
    if item.sd is not None:
        guesses.append(("the sd", printed(item.sd, digits)))
    if item.range is not None and patients > 1:
        width = printed(item.range[1], digits) - printed(item.range[0], digits)
        guesses.append(("the range", width.scaled(1 / expected_range(patients))))
    if item.quartiles is not None:
        width = printed(item.quartiles[1], digits) - printed(item.quartiles[0], digits)
        guesses.append(("the quartiles", width.scaled(1 / (2 * float(ndtri(0.75))))))
    for row in rows:
        if row.term.covariate != item.name or row.term.level or row.model.adjusted:
            continue
        bounds = plausible_events(evidence, row.model.endpoint, rows)
        if row.standard_error.lower <= 0 or not math.isfinite(row.standard_error.upper):
            continue
        if not 1 <= bounds.least <= bounds.most:
            continue  # no event is certain, or the events contradict each other, which is a finding of its own
        implied = row.standard_error.inverse() * Interval(bounds.least, bounds.most).root().inverse()
        yield Implied(
            f"sd of {item.name}",
            guide=1 / (row.middle * math.sqrt((bounds.least + bounds.most) / 2)),
            how=f"interval of {row.label}, {whole(bounds.least, bounds.most)} events",
            place=row.model.where,
            about=row.about,
        )
        wrong = [(name, guess) for name, guess in guesses if _apart(guess, implied)]
        if wrong:
            shown = " and ".join(f"{name} {guess.lower:.3g} to {guess.upper:.3g}" for name, guess in wrong)
            sentence = (
                f"those at risk when events happen have an sd of about {implied.lower:.3g} to {implied.upper:.3g}, as the "
                f"interval of the hazard ratio tells ({whole(bounds.least, bounds.most)} events); from {shown}. The "
                "distribution is not normal, those at risk change, or a number is wrong: do not take the spread from these "
                "summaries alone."
            )
            yield _finding(item, "note", sentence, f"{item.where}; {row.model.where}")


def _apart(one: Interval, other: Interval) -> bool:
    """Return whether two intervals do not meet and their middles differ by more than the guess can be off."""
    ratio = (one.lower + one.upper) / (other.lower + other.upper)
    return not one.meets(other) and max(ratio, 1 / ratio) > OFF
