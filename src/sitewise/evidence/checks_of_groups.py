"""Checks of what is counted in groups: events, cross tables, digitised curves with numbers at risk, patterns of failure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from sitewise.evidence.checks_shared import check_group, check_place
from sitewise.evidence.entries_of_counts import Curve, Events, Failures, Joint
from sitewise.problems import Problems, listed, nearest, plural


def check_events(
    item: Events,
    levels: Mapping[str, Mapping[str, int]],
    declared: Sequence[str],
    factors: int,
    patients: int | None,
    problems: Problems,
) -> None:
    """Note what is wrong with a number of events."""
    where = f"events ({item.id})"
    check_place(where, item.where, item.quote, problems)
    check_group(where, item, levels, declared, factors, problems)
    size = item.patients if item.patients is not None else patients
    if item.events < 0 or (size is not None and item.events > size):
        problems.add(f"{where} events", f"must be between 0 and the {size} patients; it is {item.events}")
    if item.patients is not None and patients is not None and not 0 < item.patients <= patients:
        problems.add(f"{where} patients", f"must be between 1 and the {patients} patients; it is {item.patients}")
    if len(item.group) == 1 and item.patients is not None:
        ((name, chosen),) = item.group.items()
        if name in levels and all(level in levels[name] for level in chosen):
            found = sum(levels[name][level] for level in chosen)
            if found != item.patients:
                problems.add(f"{where} patients", f"is {item.patients}; '{name}' counts {found} patients there")


def check_joint(
    item: Joint, levels: Mapping[str, Mapping[str, int]], declared: Sequence[str], patients: int | None, problems: Problems
) -> None:
    """Note what is wrong with a cross table: unknown levels, and sums that are not those of the characteristics."""
    where = f"joint ({item.id})"
    check_place(where, item.where, item.quote, problems)
    for name in item.between:
        if name not in declared:
            problems.add(f"{where} between", f"'{name}' is no characteristic with levels", nearest(name, declared))
    if item.between[0] == item.between[1]:
        problems.add(f"{where} between", f"names '{item.between[0]}' twice")
        return
    if any(name not in levels for name in item.between):
        return
    first, second = (levels[name] for name in item.between)
    for level, row in item.counts.items():
        if level not in first:
            problems.add(f"{where} counts", f"'{level}' is no level of {item.between[0]}", nearest(level, first))
        for other, count in row.items():
            if other not in second:
                problems.add(f"{where} counts", f"'{other}' is no level of {item.between[1]}", nearest(other, second))
            if count < 0:
                problems.add(f"{where} counts", f"{level}, {other} has a negative count ({count})")
    for level, known in first.items():
        row = item.counts.get(level, {})
        if set(row) == set(second) and sum(row.values()) != known and sum(second.values()) == (patients or 0):
            problems.add(f"{where} counts", f"of {level} add up to {sum(row.values())}, not to its {known}")
    if set(item.counts) == set(first):
        for other, known in second.items():
            column = [row.get(other) for row in item.counts.values()]
            found = [count for count in column if count is not None]
            if len(found) == len(column) and sum(found) != known and sum(first.values()) == (patients or 0):
                problems.add(f"{where} counts", f"of {other} add up to {sum(found)}, not to its {known}")


def check_curve(
    item: Curve,
    levels: Mapping[str, Mapping[str, int]],
    declared: Sequence[str],
    factors: int,
    patients: int | None,
    problems: Problems,
) -> None:
    """Note what is wrong with a digitised curve: it falls, and so do the numbers at risk."""
    where = f"curve ({item.id})"
    check_place(where, item.where, item.quote, problems)
    check_group(where, item, levels, declared, factors, problems)
    if not item.times and not item.at_risk:
        problems.add(where, "has neither points nor numbers at risk")
    for times, values, names in (
        (item.times, item.survival, ("times", "survival")),
        (item.at_risk_times, item.at_risk, ("at_risk_times", "at_risk")),
    ):
        if len(times) != len(values):
            problems.add(f"{where} {names[1]}", f"has {plural(len(values), 'number', 'numbers')} for {len(times)} times")
        if any(time < 0 for time in times) or any(later <= sooner for sooner, later in itertools.pairwise(times)):
            problems.add(f"{where} {names[0]}", "must be zero or positive and increase")
    if any(not 0 <= share <= 1 for share in item.survival):
        problems.add(f"{where} survival", "must be shares between 0 and 1", "40 % is 0.40.")
    if not 0 <= item.precision < 1:
        problems.add(f"{where} precision", f"must be a share below 1; it is {item.precision:g}")
    elif any(later > sooner + 2 * item.precision for sooner, later in itertools.pairwise(item.survival)):
        problems.add(f"{where} survival", "rises by more than its precision allows", "A Kaplan-Meier curve never rises.")
    if any(later > sooner for sooner, later in itertools.pairwise(item.at_risk)):
        problems.add(f"{where} at_risk", "rises", "Numbers at risk never rise.")
    if patients is not None and any(not 0 <= count <= patients for count in item.at_risk):
        problems.add(f"{where} at_risk", f"must be between 0 and the {patients} patients")


def check_failures(item: Failures, counts: Sequence[str], problems: Problems) -> None:
    """Note what is wrong with a pattern of failures."""
    where = f"failures ({item.id})"
    if not item.kinds:
        problems.add(f"{where} kinds", "must name a count or more")
    wrong = [name for name in (item.total, *item.kinds.values()) if name not in counts]
    if wrong:
        problems.add(where, f"{listed(wrong)} is no count of this file", nearest(wrong[0], counts))
