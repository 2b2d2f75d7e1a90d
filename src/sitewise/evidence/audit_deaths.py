r"""How many events the standard errors of hazard ratios need, in all and in each group compared.

In a Cox model let :math:`p_{tj}` be the share of group j among those at risk at the t-th event, each weighted with its fitted
hazard. The information on the log hazard ratios is :math:`I = \sum_t (diag(p_t) - p_t p_t')`, and at the estimate the score
is zero: :math:`\sum_t p_{tj} = d_j`, the events of group j (Cox 1972). Since :math:`diag(p) - pp'` is concave in p, Jensen's
inequality gives :math:`I \le D (diag(q) - qq')` with :math:`q_j = d_j / D`, whose inverse has the diagonal :math:`1/d_0 +
1/d_j`. So

.. math:: SE_j^2 \ge 1/d_0 + 1/d_j \quad\text{and, since } d_0 + d_j \le D, \quad D \ge 4 / SE_j^2 .

It is a bound, not an approximation. Adjusting for other covariates only raises the variance; the ways to treat ties (Breslow,
Efron) keep the terms of the sum at most those of one binary draw. It does not hold for robust (sandwich) standard errors, or
for weighted patients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sitewise.evidence.audit_groups import EVERYONE, described, group_of, partitions, size_bounds
from sitewise.evidence.audit_rows import Row, numeric_digits
from sitewise.evidence.checks_shared import SLACK
from sitewise.evidence.schema import Evidence


@dataclass(frozen=True)
class Family:
    """Rows of one model that compare levels of one covariate with the same reference."""

    rows: tuple[Row, ...]
    sizes: tuple[int, ...]
    """Patients with the reference, then with the levels of each row."""

    @property
    def variances(self) -> tuple[float, ...]:
        """Largest squared standard error that the print of each row allows."""
        return tuple(row.standard_error.upper**2 for row in self.rows)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Levels of each group, the reference first."""
        return (self.rows[0].term.reference, *(row.term.level for row in self.rows))

    @property
    def label(self) -> str:
        """Rows in words."""
        term = self.rows[0].term
        adjusted = ", adjusted" if self.rows[0].model.adjusted else ""
        levels = ", ".join(" or ".join(row.term.level) for row in self.rows)
        return f"{term.covariate} ({levels} against {' or '.join(term.reference)}{adjusted})"


@dataclass(frozen=True)
class Least:
    """Fewest events that standard errors allow: in all, and in each group when every other group may lose all its patients."""

    total: int
    groups: tuple[int, ...]


def families(rows: Sequence[Row]) -> tuple[Family, ...]:
    """Return rows of groups together where they share model, covariate and reference."""
    found: dict[tuple[str, str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        if row.sizes is not None and math.isfinite(row.standard_error.upper):
            found.setdefault((row.model.id, row.term.covariate, row.term.reference), []).append(row)
    result = []
    for together in found.values():
        levels = [level for row in together for level in row.term.level]
        parts = [together] if len(levels) == len(set(levels)) else [[row] for row in together]
        for part in parts:
            sizes = [row.sizes for row in part if row.sizes is not None]
            result.append(Family(tuple(part), (sizes[0][0], *(size[1] for size in sizes))))
    return tuple(result)


def least_events(sizes: Sequence[int], variances: Sequence[float]) -> Least | None:
    """Return the fewest events with 1/d0 + 1/dj at most each variance and no group losing more than its size.

    All numbers of events of the reference are tried, each with the fewest of every other group that go with it. None: there
    are no such numbers, not even all patients.
    """
    totals: list[int] = []
    least = [size + 1 for size in sizes]
    for reference in range(1, sizes[0] + 1):
        room = [variance - 1 / reference for variance in variances]
        if min(room) <= 0:
            continue
        others = [math.ceil(1 / value - SLACK) for value in room]
        if all(count <= size for count, size in zip(others, sizes[1:], strict=True)):
            totals.append(reference + sum(others))
            least = [min(pair) for pair in zip(least, [reference, *others], strict=True)]
    return Least(min(totals), tuple(least)) if totals else None


def least_by_range(row: Row, width: float) -> int:
    """Return the fewest events for a numeric covariate that spans ``width``.

    A variance of numbers inside a range is at most a quarter of its square (Popoviciu 1935), so that the information is at most
    D width^2 / 4.
    """
    return math.ceil(4 / (row.standard_error.upper * width) ** 2 - SLACK)


def most_events(evidence: Evidence, endpoint: str) -> tuple[int, str, str]:
    """Return a bound on the events of all patients from above, its reason and its place.

    A Kaplan-Meier curve is at most 1 - d/n after d events among n patients, because each factor 1 - 1/r has r at most n. A
    median that is not reached says that the curve stays at a half or above, so that at most half of the group had the event.
    Where a curve gives s at t and r at risk, at most n (1 - s) had it before and r after.
    """
    patients = evidence.source.patients
    found = [(patients, f"the {patients} patients", evidence.source.where)]
    spared = {group_of(item): item for item in evidence.survival if item.endpoint == endpoint and item.median == "not reached"}
    if EVERYONE in spared:
        item = spared[EVERYONE]
        found.append((patients // 2, f"half of the {patients} patients, since the median is not reached", item.where))
    for _, keys in partitions(evidence, spared):
        sizes = [size_bounds(evidence, key)[0] for key in keys]
        groups = " and of ".join(described(key) for key in keys)
        said = f"all others and half of {groups}, whose median is not reached"
        where = "; ".join(dict.fromkeys(spared[key].where for key in keys))
        found.append((patients - sum(size - size // 2 for size in sizes), said, where))
    for curve in evidence.curve:
        if curve.endpoint == endpoint and group_of(curve) == EVERYONE:
            for time, count in zip(curve.at_risk_times, curve.at_risk, strict=True):
                left = [share for at, share in zip(curve.times, curve.survival, strict=True) if at >= time]
                least = max(left, default=0.0) - curve.precision
                most = math.floor(patients * min(1 - least, 1) + SLACK) + count
                found.append((most, f"those at risk at {time:g} and the deaths before that the curve shows", curve.where))
    return min(found, key=lambda item: item[0])


def endpoints(evidence: Evidence) -> tuple[str, ...]:
    """Return the endpoints of the file, in its order."""
    found = [item.endpoint for item in evidence.model] + [item.endpoint for item in evidence.survival]
    found += [item.endpoint for item in evidence.events] + [item.endpoint for item in evidence.curve]
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class EventBounds:
    """Fewest and most events of an endpoint among all patients, and why."""

    least: int
    why_least: str
    where_least: str
    most: int
    why_most: str
    where_most: str
    about: tuple[str, ...] = ()


def event_bounds(evidence: Evidence, endpoint: str, rows: Sequence[Row]) -> EventBounds:
    """Return the fewest and most events of an endpoint that hazard ratios and medians allow."""
    found: list[tuple[int, str, str, tuple[str, ...]]] = [(0, "no hazard ratio", "", ())]
    own = [row for row in rows if row.model.endpoint == endpoint]
    for family in families(own):
        if least := least_events(family.sizes, family.variances):
            found.append((least.total, f"the interval of {family.label}", family.rows[0].model.where, family.rows[0].about))
    spans = {item.name: item.range for item in evidence.continuous}
    spans_digits = {item.name: numeric_digits(item) for item in evidence.continuous}
    for row in own:
        ends = spans.get(row.term.covariate)
        if row.sizes is None and not row.term.level and ends and ends[1] > ends[0] and math.isfinite(row.standard_error.upper):
            width = ends[1] - ends[0] + 10.0 ** -spans_digits[row.term.covariate]
            least_numeric = least_by_range(row, width)
            found.append((least_numeric, f"the interval of {row.label}", row.model.where, row.about))
    least_total, why, where, about = max(found, key=lambda item: item[0])
    most, why_most, where_most = most_events(evidence, endpoint)
    return EventBounds(least_total, why, where, most, why_most, where_most, about)


def published_events(evidence: Evidence, endpoint: str) -> tuple[int, str] | None:
    """Return the printed number of events of all patients and its place: as such, or of groups that are all patients."""
    items = {group_of(item): item for item in evidence.events if item.endpoint == endpoint}
    if EVERYONE in items:
        return items[EVERYONE].events, items[EVERYONE].where
    for _, keys in partitions(evidence, items):
        sizes = [size_bounds(evidence, key) for key in keys]
        if sum(low for low, _ in sizes) == evidence.source.patients and all(low == high for low, high in sizes):
            return sum(items[key].events for key in keys), "; ".join(dict.fromkeys(items[key].where for key in keys))
    return None


def plausible_events(evidence: Evidence, endpoint: str, rows: Sequence[Row]) -> EventBounds:
    """Return the bounds on events, or the printed number where it is within them."""
    bounds, printed = event_bounds(evidence, endpoint, rows), published_events(evidence, endpoint)
    if printed is None or not bounds.least <= printed[0] <= bounds.most:
        return bounds
    said = f"the {printed[0]} that are printed"
    return EventBounds(printed[0], said, printed[1], printed[0], said, printed[1])
