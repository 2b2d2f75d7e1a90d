"""Families by their names and options, as study files and saved fits tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sitewise.families import FAMILIES, Family
from sitewise.problems import SpecError, listed, nearest


def family_by_name(name: str, options: Mapping[str, Any] | None = None) -> Family:
    """Return the family of that name, made with these options.

    Raises
    ------
    SpecError
        When there is no such family or option.
    """
    if name not in FAMILIES:
        raise SpecError(f"There is no family '{name}'. {nearest(name, FAMILIES)} Known: {listed(FAMILIES)}.")
    given = dict(options or {})
    kind: Any = FAMILIES[name]
    known = {item.name for item in fields(kind)}
    for option in given:
        if option not in known:
            raise SpecError(f"The {name} family has no option '{option}'. {nearest(option, known)}")
    if isinstance(given.get("uncured"), Mapping):
        inner = dict(given["uncured"])
        given["uncured"] = family_by_name(str(inner.pop("name", "weibull")), inner)
    elif isinstance(given.get("uncured"), str):
        given["uncured"] = family_by_name(given["uncured"])
    try:
        made: Family = kind(**given)
    except (TypeError, ValueError) as error:
        raise SpecError(f"The options of the {name} family, {given}, are not of the right kind: {error}") from error
    return made
