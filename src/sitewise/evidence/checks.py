"""What the numbers of a published summary must be, alone and to each other.

Only what cannot be is refused here: counts that do not add up, a hazard ratio outside its interval, a p value that its own
interval contradicts beyond rounding. What is merely odd is a matter for an audit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sitewise.evidence.checks_of_counts import check_counts
from sitewise.evidence.checks_of_groups import check_curve, check_events, check_failures, check_joint
from sitewise.evidence.checks_of_models import check_model
from sitewise.evidence.checks_shared import check_group, check_p_range, check_place
from sitewise.evidence.entries import Ambiguity, Categorical, Comparison, Continuous, FollowUp, Source, Survival
from sitewise.evidence.schema import SCHEMA_VERSION
from sitewise.problems import Problems, nearest

RESERVED = "patients"
"""The word by which counts refer to all patients."""
DOI = re.compile(r"10\.\d{4,9}/\S+")


def check_parts(
    parts: Mapping[str, Any],
    declared: Mapping[str, Sequence[str]],
    problems: Problems,
    *,
    patients: int | None,
    factors: int,
    uncertain: Collection[str],
) -> None:
    """Note everything wrong with the parts of a summary.

    Parameters
    ----------
    parts : mapping
        ``source`` (or None) and lists of the records of each kind that could be read.
    declared : mapping of str to sequence of str
        Names and ids of each kind in the file, readable or not, so that one broken entry is one problem.
    problems : Problems
        Receives what is found.
    patients : int or None
        Number of patients, where it can be read.
    factors : int
        Characteristics of the file that name favourable levels.
    uncertain : collection of str
        Counts of which a part could not be read: nothing is said of what their parts add up to.
    """
    source: Source | None = parts["source"]
    if source is not None:
        _check_source(source, problems)
    entries = [(kind, name) for kind, names in declared.items() for name in names]
    kinds_of: dict[str, list[str]] = {}
    for kind, name in entries:
        if kind != "ambiguity":  # an ambiguity may be called like the entry that it is about
            kinds_of.setdefault(name, []).append(kind)
        if name == RESERVED or not name.strip():
            problems.add(kind, f"no entry may be called '{name}'")
    ambiguities = Counter(name for kind, name in entries if kind == "ambiguity")
    for name, kinds in [*kinds_of.items(), *((name, ["ambiguity"] * times) for name, times in ambiguities.items())]:
        if len(kinds) > 1:
            places = " and ".join(dict.fromkeys(kinds))
            problems.add(f"{places} ({name})", f"is given {len(kinds)} times", "Give each entry a name or id of its own.")
    levels = {item.name: tuple(item.levels) for item in parts["categorical"]}
    known = [*declared["categorical"], *declared["continuous"]]
    for item in parts["categorical"]:
        _check_categorical(item, patients, problems)
    for item in parts["continuous"]:
        _check_continuous(item, problems)
    for item in parts["model"]:
        check_model(item, levels, known, declared, problems)
    for item in parts["survival"]:
        _check_survival(item, levels, declared["categorical"], factors, problems)
    for item in parts["comparison"]:
        _check_comparison(item, declared["survival"], problems)
    for item in parts["follow_up"]:
        _check_follow_up(item, problems)
    named, sized = declared["categorical"], {item.name: item.levels for item in parts["categorical"]}
    for item in parts["events"]:
        check_events(item, sized, named, factors, patients, problems)
    for item in parts["joint"]:
        check_joint(item, sized, named, patients, problems)
    for item in parts["curve"]:
        check_curve(item, sized, named, factors, patients, problems)
    for item in parts["failures"]:
        check_failures(item, declared["count"], problems)
    check_counts(parts["count"], patients, declared["count"], problems, uncertain=uncertain)
    everything = [*kinds_of, "source", "follow_up"]
    for item in parts["ambiguity"]:
        _check_ambiguity(item, everything, problems)


def _check_source(item: Source, problems: Problems) -> None:
    check_place("source", item.where, item.quote, problems)
    for name in ("patients", "sites"):
        if getattr(item, name) < 1:
            problems.add(f"source {name}", f"must be at least 1; it is {getattr(item, name)}")
    if not DOI.fullmatch(item.doi):
        problems.add("source doi", f"'{item.doi}' is no digital object identifier", "It begins with 10. and has a slash.")
    if not item.licence:
        problems.add("source licence", "is empty", "State the licence under which the numbers are used.")


def _check_categorical(item: Categorical, patients: int | None, problems: Problems) -> None:
    where = f"categorical ({item.name})"
    check_place(where, item.where, item.quote, problems)
    if len(item.levels) < 2:
        problems.add(f"{where} levels", "must be two or more")
    for level, count in item.levels.items():
        if count < 0:
            problems.add(f"{where} levels", f"'{level}' has a negative count ({count})")
    total = item.total if item.total is not None else patients
    found = sum(item.levels.values())
    if total is not None and found != total:
        whole = f"the {total} patients" if item.total is None else f"total = {total}"
        problems.add(f"{where} levels", f"add up to {found}, not to {whole}", "Check the counts, or state the total.")
    for level in item.favourable:
        if level not in item.levels:
            problems.add(f"{where} favourable", f"'{level}' is no level", nearest(level, item.levels))


def _check_continuous(item: Continuous, problems: Problems) -> None:
    where = f"continuous ({item.name})"
    check_place(where, item.where, item.quote, problems)
    if all(value is None for value in (item.median, item.mean, item.quartiles, item.range)):
        problems.add(where, "has no number", "Give a median, mean, quartiles or range.")
    if item.sd is not None and item.sd <= 0:
        problems.add(f"{where} sd", f"must be positive; it is {item.sd:g}")
    _check_inside(where, item.range, {"median": item.median, "mean": item.mean}, "range", problems)
    _check_inside(where, item.quartiles, {"median": item.median}, "quartiles", problems)


def _check_inside(
    where: str, ends: tuple[float, float] | None, values: Mapping[str, float | None], name: str, problems: Problems
) -> None:
    if ends is None:
        return
    if ends[0] > ends[1]:
        problems.add(f"{where} {name}", f"is reversed: {ends[0]:g} to {ends[1]:g}")
        return
    for what, value in values.items():
        if value is not None and not ends[0] <= value <= ends[1]:
            problems.add(f"{where} {what}", f"{value:g} is outside the {name} {ends[0]:g} to {ends[1]:g}")


def _check_survival(
    item: Survival, levels: Mapping[str, Sequence[str]], declared: Sequence[str], factors: int, problems: Problems
) -> None:
    where = f"survival ({item.id})"
    check_place(where, item.where, item.quote, problems)
    if (item.median is None) == (item.survival is None) or (item.time is None) != (item.survival is None):
        problems.add(where, "must hold either a median or survival at a time")
    if isinstance(item.median, float) and item.median <= 0:
        problems.add(f"{where} median", f"must be positive; it is {item.median:g}")
    if item.time is not None and item.time <= 0:
        problems.add(f"{where} time", f"must be positive; it is {item.time:g}")
    if item.survival is not None and not 0 <= item.survival <= 1:
        problems.add(f"{where} survival", f"must be a share between 0 and 1; it is {item.survival:g}", "40 % is 0.40.")
    value = item.survival if item.survival is not None else item.median
    if not 0 < item.prob < 1:
        problems.add(f"{where} prob", f"must be between 0 and 1; it is {item.prob:g}")
    if item.upper == "not reached" and item.median is None:
        problems.add(f"{where} upper", "is 'not reached', which only a median's limit can be")
    upper = item.upper if isinstance(item.upper, float) else None
    for name, share in (("lower", item.lower), ("upper", upper)):
        if share is not None and not 0 <= share <= (1 if item.survival is not None else float("inf")):
            problems.add(f"{where} {name}", f"must be {'a share' if item.survival is not None else 'a time'}; it is {share:g}")
    if item.lower is not None and upper is not None and item.lower > upper:
        problems.add(where, f"the interval is reversed: {item.lower:g} to {upper:g}")
        return
    for name, limit, wrong in (("lower", item.lower, 1), ("upper", upper, -1)):
        if limit is not None and isinstance(value, float) and (limit - value) * wrong > 0:
            problems.add(f"{where} {name}", f"{limit:g} is on the wrong side of {value:g}")
    check_group(where, item, levels, declared, factors, problems)


def _check_comparison(item: Comparison, survival: Sequence[str], problems: Problems) -> None:
    where = f"comparison ({item.id})"
    check_place(where, item.where, item.quote, problems)
    check_p_range(where, item.p, item.p_below, problems)
    if item.p is None and item.p_below is None:
        problems.add(where, "has no p value")
    if len(item.between) < 2:
        problems.add(f"{where} between", "must name two survival entries or more")
    for name in item.between:
        if name not in survival:
            problems.add(f"{where} between", f"'{name}' is no survival entry", nearest(name, survival))


def _check_follow_up(item: FollowUp, problems: Problems) -> None:
    check_place("follow_up", item.where, item.quote, problems)
    if item.median <= 0:
        problems.add("follow_up median", f"must be positive; it is {item.median:g}")
    if item.range is not None and item.range[0] < 0:
        problems.add("follow_up range", f"must be zero or positive; it begins at {item.range[0]:g}")
    _check_inside("follow_up", item.range, {"median": item.median}, "range", problems)
    _check_inside("follow_up", item.quartiles, {"median": item.median}, "quartiles", problems)
    if item.definition == "unstated" and item.reading is None:
        problems.add("follow_up reading", "is missing", "Where the definition is unstated, say how the median is read.")


def _check_ambiguity(item: Ambiguity, everything: Sequence[str], problems: Problems) -> None:
    where = f"ambiguity ({item.id})"
    if not item.about:
        problems.add(f"{where} about", "must name an entry or more")
    for name in item.about:
        if name not in everything:
            problems.add(f"{where} about", f"'{name}' is no entry of this file", nearest(name, everything))
    if len(item.readings) < 2:
        problems.add(f"{where} readings", "must be two or more")


def check_version(version: object, problems: Problems) -> None:
    """Note a schema version that this program does not know."""
    if version is None:
        problems.add("schema_version", "is missing", f"Write schema_version = {SCHEMA_VERSION}.")
    elif type(version) is not int or version != SCHEMA_VERSION:
        problems.add("schema_version", f"is {version!r}; this version reads {SCHEMA_VERSION}")
