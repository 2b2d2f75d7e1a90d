"""What is simulated for a paper: characteristics with exact counts, which levels have effects of their own, what depends.

Only characteristics that a number to be compared refers to are simulated. Two levels share an effect when no row, group or
curve of the paper tells them apart; the levels that no row names share the reference's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import ndtri

from sitewise.evidence import Evidence
from sitewise.evidence.entries import Categorical, Continuous, Survival, Term
from sitewise.evidence.entries_of_counts import Curve, Events
from sitewise.problems import EvidenceError, Problems
from sitewise.simulate.calibration.characteristics import Factor, Measure, Structure, truncated

USED = ("fit", "soft", "held_out")
"""Statuses whose numbers are computed from simulated cohorts."""
NOT_REPORTED = "not reported"
"""Level of patients whom the counts of a characteristic leave out; no model that has the characteristic has them."""
FITTED = ("fit", "soft")
"""Statuses that parameters exist for: a number that is only held out has none of its own."""


def structure_of(
    evidence: Evidence, /, *, endpoint: str = "os", free: Sequence[str] = (), dependence: bool = True
) -> Structure:
    """Return what is simulated for a paper.

    Parameters
    ----------
    evidence : Evidence
        The paper's numbers.
    endpoint : str
        Whose numbers.
    free : sequence of str
        Characteristics whose levels all have effects of their own, whatever the paper prints.
    dependence : bool
        Whether characteristics may depend on each other.

    Raises
    ------
    EvidenceError
        When a number refers to a characteristic that cannot be simulated: counts of more than all patients, a numeric one
        without median, mean or range.
    """
    problems = Problems()
    used = set(free) | set(_used(evidence, endpoint))
    factors, measures = [], []
    for item in evidence.categorical:
        if item.name not in used:
            continue
        if sum(item.levels.values()) > evidence.source.patients:
            problems.add(
                f"categorical ({item.name})",
                f"counts {sum(item.levels.values())} of {evidence.source.patients} patients, so that it cannot be simulated",
            )
            continue
        factors.append(_factor(item, evidence, endpoint, all_free=item.name in free))
    for numeric in evidence.continuous:
        if numeric.name in used:
            measure = _measure(numeric, evidence.source.patients, used_in_models=numeric.name in _in_models(evidence, endpoint))
            if measure is None:
                problems.add(f"continuous ({numeric.name})", "needs a median, a mean or a range to be simulated")
            else:
                measures.append(measure)
    problems.raise_if_any(EvidenceError, evidence.id)
    names = [*(item.name for item in measures), *(item.name for item in factors)]
    pairs = tuple(pair for pair in _pairs(evidence, endpoint) if all(name in names for name in pair)) if dependence else ()
    return Structure(evidence.source.patients, tuple(measures), tuple(factors), pairs)


def groups_of(evidence: Evidence, endpoint: str) -> Iterator[Survival | Events | Curve]:
    """Return the entries of an endpoint that are about groups of patients."""
    entries: tuple[Survival | Events | Curve, ...] = (*evidence.survival, *evidence.events, *evidence.curve)
    yield from (item for item in entries if item.endpoint == endpoint)


def terms_of(evidence: Evidence, endpoint: str) -> Iterator[Term]:
    """Return the rows of the endpoint's models that are fitted, adjusted models first."""
    for model in sorted(evidence.model, key=lambda model: not model.adjusted):
        if model.endpoint == endpoint:
            yield from (term for term in model.term if term.status in FITTED)


def _used(evidence: Evidence, endpoint: str) -> Iterator[str]:
    yield from _in_models(evidence, endpoint)
    for item in groups_of(evidence, endpoint):
        if item.status in USED:
            yield from item.group
            if item.count_favourable is not None:
                yield from (entry.name for entry in evidence.categorical if entry.favourable)
    for joint in evidence.joint:
        if joint.status in USED:
            yield from joint.between


def _in_models(evidence: Evidence, endpoint: str) -> set[str]:
    """Return the covariates of models of which a row is used; the others of such a model are needed to fit it."""
    return {
        term.covariate
        for model in evidence.model
        if model.endpoint == endpoint and any(term.status in USED for term in model.term)
        for term in model.term
    }


def _factor(item: Categorical, evidence: Evidence, endpoint: str, *, all_free: bool) -> Factor:
    missing = evidence.source.patients - sum(item.levels.values())
    counts = {**item.levels, **({NOT_REPORTED: missing} if missing > 0 else {})}
    levels = [level for level, count in counts.items() if count > 0]
    terms = [term for term in terms_of(evidence, endpoint) if term.covariate == item.name]
    reference = terms[0].reference if terms else tuple(item.favourable) or (levels[0],)
    named = {level for term in terms for level in (*term.level, *term.reference)}
    groups = [
        tuple(entry.group[item.name])
        for entry in groups_of(evidence, endpoint)
        if entry.status == "fit" and item.name in entry.group
    ]
    if not terms and any(
        entry.count_favourable is not None and entry.status == "fit" for entry in groups_of(evidence, endpoint)
    ):
        groups.append(item.favourable)
    if all_free:
        groups += [(level,) for level in levels]
    split = {level for group in groups for level in group}

    def signature(level: str) -> tuple[object, ...]:
        seen: tuple[object, ...] = tuple((level in term.level, level in term.reference) for term in terms)
        return (*seen, *(level in group for group in groups))

    base = next((level for level in levels if level in reference), levels[0])
    known: dict[tuple[object, ...], int] = {signature(base): 0}
    classes: dict[str, int] = {}
    for level in levels:
        if level not in named and level not in split:
            classes[level] = 0 if not split or terms else known.setdefault(signature(level), len(known))
        else:
            classes[level] = known.setdefault(signature(level), len(known))
    ordered = [*(level for level in levels if classes[level] == 0), *(level for level in levels if classes[level] != 0)]
    numbers = {number: position for position, number in enumerate(dict.fromkeys(classes[level] for level in ordered))}
    return Factor(
        item.name,
        tuple(ordered),
        tuple(counts[level] for level in ordered),
        tuple(numbers[classes[level]] for level in ordered),
        item.favourable,
    )


NORMAL_QUARTILE = 1.349
RANGE_IN_SD = 4.5
"""Of a sample of some hundred from a normal distribution the range is about five sds, of flatter ones four."""


def _measure(item: Continuous, patients: int, *, used_in_models: bool) -> Measure | None:
    middle = item.median if item.median is not None else item.mean
    if middle is None and item.quartiles is not None:
        middle = sum(item.quartiles) / 2
    if middle is None and item.range is not None:
        middle = sum(item.range) / 2
    if middle is None:
        return None
    lower, upper = item.range if item.range is not None and item.range[1] > item.range[0] else (None, None)
    if item.quartiles is not None:
        points = _quantiles(middle, item.quartiles, lower, upper, patients)
        if points:
            guess = (item.quartiles[1] - item.quartiles[0]) / NORMAL_QUARTILE
            return Measure(item.name, middle, guess, guess, lower, upper, used_in_models, points)
    if item.sd is not None:
        sd = _before_truncation(item.sd, middle, lower, upper)
        return Measure(item.name, middle, sd, sd, lower, upper, used_in_models)
    width = upper - lower if lower is not None and upper is not None else 0.0
    guess = width / RANGE_IN_SD if width else max(abs(middle) / 5, 1.0)
    return Measure(item.name, middle, None, guess, lower, upper, used_in_models)


def _quantiles(
    median: float, quartiles: tuple[float, float], lower: float | None, upper: float | None, patients: int
) -> tuple[tuple[float, float], ...]:
    """Return the points of a distribution with these quartiles; ends not printed are those of a normal sample."""
    first, last = 0.5 / patients, 1 - 0.5 / patients
    reach = -2 * float(ndtri(first)) / NORMAL_QUARTILE
    low = lower if lower is not None else median - reach * (median - quartiles[0])
    high = upper if upper is not None else median + reach * (quartiles[1] - median)
    values = (low, quartiles[0], median, quartiles[1], high)
    if patients < 5 or any(one >= two for one, two in itertools.pairwise(values)):
        return ()
    return tuple(zip((first, 0.25, 0.5, 0.75, last), values, strict=True))


def _before_truncation(sd: float, median: float, lower: float | None, upper: float | None) -> float:
    """Return the sd that a normal distribution needs so that it has the printed one and median within its range."""
    if lower is None or upper is None or not lower < median < upper:
        return sd
    tried = sd * np.geomspace(1.0, 20.0, 40)
    shares = np.linspace(0.0, 1.0, 401)[1:-1]
    found = []
    for own in tried:
        measure = Measure("", median, float(own), float(own), lower, upper)
        found.append(float(truncated(measure, np.array([own]), shares[None, :]).std()))
    return float(tried[int(np.argmin(np.abs(np.array(found) - sd)))])


def _pairs(evidence: Evidence, endpoint: str) -> Iterator[tuple[str, str]]:
    """Return pairs that adjusted models, joint groups or cross tables say something about, in the evidence's order."""
    order = [*(item.name for item in evidence.continuous), *(item.name for item in evidence.categorical)]
    wanted: set[frozenset[str]] = set()
    together: list[Sequence[str]] = [
        [term.covariate for term in model.term if term.status in FITTED]
        for model in evidence.model
        if model.endpoint == endpoint
    ]
    together += [joint.between for joint in evidence.joint if joint.status in USED]
    for item in groups_of(evidence, endpoint):
        if item.status in USED:
            together.append(list(item.group))
            if item.count_favourable is not None:
                together.append([entry.name for entry in evidence.categorical if entry.favourable])
    for names in together:
        wanted |= {frozenset(pair) for pair in itertools.combinations(dict.fromkeys(names), 2)}
    yield from (pair for pair in itertools.combinations(order, 2) if frozenset(pair) in wanted)


def group_of(item: object, structure: Structure) -> Mapping[str, tuple[str, ...]] | int | None:
    """Return the group of an entry: levels by characteristic, a count of favourable factors, or None for all patients."""
    count = getattr(item, "count_favourable", None)
    if count is not None:
        return int(count)
    group: Mapping[str, tuple[str, ...]] = getattr(item, "group", {})
    return group or None
