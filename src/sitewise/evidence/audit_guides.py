r"""Guesses at the number of events from standard errors: guides, not bounds, each with the assumption that it rests on.

* One row alone: with a share p of the patients compared in the level, and the same share among those at risk at every event,
  the information is D p (1 - p), so that :math:`D = 1 / (SE^2 p (1 - p))` (Schoenfeld 1983). Risk sets change, so such
  numbers differ.
* Two rows or more against one reference: :math:`SE_j^2 = 1/d_0 + 1/d_j`, which is exact for constant hazards and is the bound
  of
  :mod:`sitewise.evidence.audit_deaths` otherwise. There is one unknown more than rows. It is found from groups that are
  followed alike: :math:`1 - d_j / n_j = (1 - d_0 / n_0)^{HR_j}`, which is proportional hazards at a common end of follow-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy.optimize import brentq

from sitewise.evidence.audit_deaths import Family, families
from sitewise.evidence.audit_findings import Finding, Implied, whole
from sitewise.evidence.audit_rows import Row
from sitewise.evidence.schema import Evidence

CHECK = "events"
WIDE = 1.25
"""Ratio of the largest to the smallest guess from which on they disagree."""


@dataclass(frozen=True)
class Solved:
    """Events of the reference and of each level, and the totals over all numbers of events that the group sizes admit."""

    events: tuple[float, ...]
    totals: tuple[float, float]


def naive_events(row: Row) -> float | None:
    """Return 1 / (SE^2 p (1 - p)), p the share of the level among the patients compared."""
    if row.sizes is None or not row.middle > 0:
        return None
    share = row.sizes[1] / sum(row.sizes)
    return 1 / (row.middle**2 * share * (1 - share))


def solve_levels(sizes: Sequence[int], variances: Sequence[float], ratios: Sequence[float]) -> Solved | None:
    """Return the events that 1/d0 + 1/dj = variance gives with groups followed alike; None where no numbers do."""
    least = max(
        1 / (value - 1 / size) if value > 1 / size else float("inf") for value, size in zip(variances, sizes[1:], strict=True)
    )

    def events(reference: float) -> list[float]:
        return [reference, *(1 / (value - 1 / reference) for value in variances)]

    def excess(reference: float) -> float:
        gone = reference / sizes[0]
        alike = sum(size * (1 - (1 - gone) ** ratio) for size, ratio in zip(sizes[1:], ratios, strict=True))
        return float(sum(events(reference)) - reference - alike)

    if not least < sizes[0]:
        return None
    grid = [least + (sizes[0] - least) * step / 400 for step in range(401)]
    totals = [sum(events(reference)) for reference in grid]
    if excess(least) * excess(sizes[0]) > 0:
        return None
    found = float(brentq(excess, least, sizes[0]))
    return Solved(tuple(events(found)), (min(totals), max(totals)))


def check_guides(evidence: Evidence, rows: Sequence[Row]) -> Iterator[Finding | Implied]:
    """Yield the guesses at numbers of events of rows that stand alone, and where they disagree."""
    for endpoint in dict.fromkeys(row.model.endpoint for row in rows):
        alone = [row for row in rows if row.model.endpoint == endpoint and not row.model.adjusted]
        found: list[tuple[float, Row]] = []
        for row in alone:
            guess = naive_events(row)
            if guess is None or row.sizes is None:
                continue
            compared = f"shares at risk stay as at baseline, {sum(row.sizes)} patients"
            yield Implied(
                f"{endpoint} events by {row.label}", guide=guess, how=compared, place=row.model.where, about=row.about
            )
            if sum(row.sizes) == evidence.source.patients:
                found.append((guess, row))
        if found and max(found, key=_guess)[0] > WIDE * min(found, key=_guess)[0]:
            (low, fewest), (high, largest) = min(found, key=_guess), max(found, key=_guess)
            sentence = (
                f"Taken one by one, rows that compare all patients suggest {low:.0f} (by {fewest.term.covariate}) to "
                f"{high:.0f} (by {largest.term.covariate}) events of {endpoint}. They assume that who "
                "is at risk stays as at baseline, which no cohort does: guides, not bounds. A simulation of "
                "all rows together tells whether one number of events fits them."
            )
            about = tuple(row.term.covariate for _, row in found)
            yield Finding("note", CHECK, sentence, fewest.model.where, about)
        for family in families(alone):
            if len(family.rows) > 1:
                yield from _levels(endpoint, family)


def _guess(item: tuple[float, Row]) -> float:
    return item[0]


def _levels(endpoint: str, family: Family) -> Iterator[Finding | Implied]:
    solved = solve_levels(family.sizes, [row.middle**2 for row in family.rows], [row.term.hazard_ratio for row in family.rows])
    covariate, place = family.rows[0].term.covariate, family.rows[0].model.where
    if solved is None:
        return
    names = [" or ".join(levels) for levels in family.groups]
    for name, count in zip(names, solved.events, strict=True):
        yield Implied(
            f"{endpoint} events, {covariate} {name}, by its rows",
            guide=count,
            how="groups followed alike, constant rates",
            place=place,
            about=family.rows[0].about,
        )
    counts = ", ".join(
        f"{count:.0f} of {size} with {name}" for name, count, size in zip(names, solved.events, family.sizes, strict=True)
    )
    low, high = (round(value) for value in solved.totals)
    sentence = (
        f"The rows of {covariate} alone suggest {sum(solved.events):.0f} events of {endpoint} ({counts}) if its groups were "
        f"followed alike; without that, one number short of an answer, {whole(low, high)}. A guide, not a bound."
    )
    yield Finding("note", CHECK, sentence, place, (covariate,))
