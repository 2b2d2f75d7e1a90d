"""Sizes of groups: printed, counted from one characteristic, or bounded by the counts of several."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sitewise.evidence.audit_findings import Finding, Implied, whole
from sitewise.evidence.checks_shared import Grouped
from sitewise.evidence.entries import Categorical
from sitewise.evidence.schema import Evidence

CHECK = "groups"
MOST_CHARACTERISTICS = 10
"""Above it the cells of the cross table, 2 to this power, are too many to bound a group's size."""

Key = int | frozenset[tuple[str, frozenset[str]]]
"""What makes a group: a number of favourable factors, or levels of characteristics; the empty set is all patients."""
EVERYONE: Key = frozenset()


class Grouping(Grouped, Protocol):
    """An entry about a group, with a name."""

    @property
    def id(self) -> str:
        """Short name."""
        ...


def group_of(item: Grouped) -> Key:
    """Return what makes the group of an entry."""
    if item.count_favourable is not None:
        return item.count_favourable
    return frozenset((name, frozenset(levels)) for name, levels in item.group.items())


def described(key: Key) -> str:
    """Return a group in words."""
    if isinstance(key, int):
        return f"patients with {key} favourable factor{'' if key == 1 else 's'}"
    if not key:
        return "all patients"
    return "patients with " + " and ".join(f"{name} {' or '.join(sorted(levels))}" for name, levels in sorted(key, key=str))


def describe(item: Grouped) -> str:
    """Return the group of an entry in words."""
    return described(group_of(item))


def size_bounds(evidence: Evidence, key: Key) -> tuple[int, int]:
    """Return the least and largest size of a group: as printed with its events or curve, else as counted."""
    for item in evidence.events:
        if group_of(item) == key and item.patients is not None:
            return item.patients, item.patients
    for curve in evidence.curve:
        if group_of(curve) == key and key != EVERYONE and curve.at_risk and curve.at_risk_times[0] == 0:
            return curve.at_risk[0], curve.at_risk[0]
    return counted_bounds(evidence, key)


def counted_bounds(evidence: Evidence, key: Key) -> tuple[int, int]:
    """Return the least and largest size that Table 1 and cross tables allow.

    The patients of every combination of the characteristics are unknown numbers, zero or more; the counts of each
    characteristic and of each cross table are sums of them, and so is the group. Its least and largest size are linear
    programs: without cross tables the bounds of Fréchet (1935), max(0, a + b - n) and min(a, b) for two. A group whose
    survival is published has a patient or more.
    """
    patients = evidence.source.patients
    if key == EVERYONE:
        return patients, patients
    chosen = _chosen(evidence, key)
    if chosen is None or len(chosen) > MOST_CHARACTERISTICS:
        return 0, patients
    if len(chosen) == 1 and not isinstance(key, int):
        ((item, levels),) = chosen
        found = sum(item.levels.get(level, 0) for level in levels)
        return found, found
    cells = np.array(list(itertools.product((0.0, 1.0), repeat=len(chosen))))
    rows, low, high = [np.ones(len(cells))], [float(patients)], [float(patients)]
    for position, (item, levels) in enumerate(chosen):
        count = sum(item.levels.get(level, 0) for level in levels)
        unknown = patients - sum(item.levels.values())
        rows.append(cells[:, position])
        low.append(count)
        high.append(count + max(unknown, 0))
    for first, second in itertools.permutations(range(len(chosen)), 2):
        joint = _joint_count(evidence, chosen[first], chosen[second])
        if joint is not None:
            rows.append(cells[:, first] * cells[:, second])
            low.append(joint)
            high.append(joint)
    favourable = cells.sum(axis=1)
    if isinstance(key, int):
        for count in {item.count_favourable for item in evidence.survival if item.count_favourable is not None}:
            rows.append((favourable == count).astype(float))
            low.append(1.0)
            high.append(float(patients))
    wanted = (favourable == (key if isinstance(key, int) else len(chosen))).astype(float)
    return _extremes(wanted, np.array(rows), low, high) or (0, patients)


def _extremes(
    wanted: NDArray[np.float64], rows: NDArray[np.float64], low: Sequence[float], high: Sequence[float]
) -> tuple[int, int] | None:
    from scipy.optimize import Bounds, LinearConstraint, milp

    ends = []
    for sign in (1, -1):
        found = milp(
            sign * wanted,
            constraints=LinearConstraint(rows, np.array(low, float), np.array(high, float)),
            integrality=np.ones(len(wanted), dtype=int),
            bounds=Bounds(0, np.inf),
        )
        if found.status != 0:
            return None
        ends.append(round(sign * found.fun))
    return ends[0], ends[1]


def _chosen(evidence: Evidence, key: Key) -> list[tuple[Categorical, frozenset[str]]] | None:
    known = {item.name: item for item in evidence.categorical if item.counted == "patients"}
    if isinstance(key, int):
        return [(item, frozenset(item.favourable)) for item in known.values() if item.favourable]
    if any(name not in known for name, _ in key):
        return None
    return [(known[name], levels) for name, levels in sorted(key, key=str)]


def _joint_count(
    evidence: Evidence, first: tuple[Categorical, frozenset[str]], second: tuple[Categorical, frozenset[str]]
) -> int | None:
    for item in evidence.joint:
        if item.between == (first[0].name, second[0].name):
            cells = [item.counts.get(level, {}).get(other) for level in first[1] for other in second[1]]
            if all(cell is not None for cell in cells):
                return sum(cell for cell in cells if cell is not None)
    return None


def grouped(evidence: Evidence) -> dict[Key, list[Grouping]]:
    """Return the entries about each group of the file."""
    found: dict[Key, list[Grouping]] = {}
    items: tuple[Grouping, ...] = (*evidence.survival, *evidence.events, *evidence.curve)
    for item in items:
        found.setdefault(group_of(item), []).append(item)
    return found


def check_groups(evidence: Evidence) -> Iterator[Finding | Implied]:
    """Yield groups of nobody, sizes that are not printed, and printed ones that the counts of the file do not allow."""
    yield from _check_empty(evidence)
    unknown: list[tuple[Key, tuple[int, int]]] = []
    places: dict[str, None] = {}
    for key, items in grouped(evidence).items():
        counted, found = counted_bounds(evidence, key), size_bounds(evidence, key)
        place = "; ".join(dict.fromkeys(_where(item) for item in items))
        if found[0] == found[1] and not counted[0] <= found[0] <= counted[1]:
            sentence = (
                f"{described(key)[:1].upper()}{described(key)[1:]} are printed as {found[0]}; the counts of the file allow "
            )
            yield Finding("error", CHECK, sentence + f"{whole(*counted)}. Check both.", place, tuple(item.id for item in items))
        if found[0] != found[1]:
            unknown.append((key, found))
            places |= dict.fromkeys(_where(item) for item in items)
            yield Implied(described(key), *found, how="counts of the characteristics", place=place)
    if unknown:
        sizes = "; ".join(f"{described(key)} {whole(*found)}" for key, found in sorted(unknown, key=lambda item: str(item[0])))
        sentence = (
            f"Sizes of groups are not published. The counts of the file allow: {sizes}. Do not weight groups by guessed sizes."
        )
        about = tuple(item.id for key, _ in unknown for item in grouped(evidence)[key])
        yield Finding("note", CHECK, sentence, "; ".join(places), about)


def _check_empty(evidence: Evidence) -> Iterator[Finding]:
    """Yield numbers about levels that no patient has: neither a hazard ratio nor a curve of nobody can be printed."""
    counts = {item.name: item.levels for item in evidence.categorical if item.counted == "patients"}
    used: list[tuple[str, str, str, Sequence[str]]] = []
    for model in evidence.model:
        for term in model.term:
            used += [(model.id, model.where, term.covariate, own) for own in (term.level, term.reference) if own]
    survival: tuple[Grouping, ...] = (*evidence.survival, *evidence.curve)
    for item in survival:
        used += [(item.id, _where(item), name, levels) for name, levels in item.group.items()]
    for about, place, name, levels in used:
        if name in counts and not sum(counts[name].get(level, 0) for level in levels):
            sentence = (
                f"'{about}' is about {name} {' or '.join(levels)}, which no patient has by the counts of the file. Check both."
            )
            yield Finding("error", CHECK, sentence, place, (about, name))


def _where(item: object) -> str:
    return str(getattr(item, "where", ""))


def covariate_of(key: Key) -> str:
    """Return the one characteristic of a group, ``favourable factors`` for a number of them, or nothing for any other."""
    if isinstance(key, int):
        return "favourable factors"
    return next(iter(key))[0] if len(key) == 1 else ""


def levels_of(key: Key) -> frozenset[str]:
    """Return the levels of a group of one characteristic; the number of favourable factors as text."""
    if isinstance(key, int):
        return frozenset({str(key)})
    return next(iter(key))[1] if len(key) == 1 else frozenset()


def partitions(evidence: Evidence, keys: Mapping[Key, object]) -> Iterator[tuple[str, list[Key]]]:
    """Yield each characteristic with the disjoint groups that it makes among some."""
    by_name: dict[str, list[Key]] = {}
    for key in keys:
        if name := covariate_of(key):
            by_name.setdefault(name, []).append(key)
    for name, found in by_name.items():
        disjoint: list[Key] = []
        for key in sorted(found, key=lambda key: (len(levels_of(key)), str(key))):
            if not any(levels_of(key) & levels_of(other) for other in disjoint):
                disjoint.append(key)
        yield name, disjoint
