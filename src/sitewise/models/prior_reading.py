"""Priors and joint priors from plain data: study files and saved fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sitewise.models.joint_priors import JointPrior
from sitewise.models.prior import Prior
from sitewise.models.shrinkage import R2D2, RegularisedHorseshoe
from sitewise.models.term_laws import Exchangeable, Monotone
from sitewise.problems import SpecError, nearest

LAWS: dict[str, Any] = {kind.__name__: kind for kind in (Monotone, RegularisedHorseshoe, R2D2, Exchangeable)}
"""Laws by the name that ``dist`` gives them in a study file."""


def read_prior(data: Mapping[str, Any], where: str = "prior") -> Any:
    """Return what ``to_dict`` of a :class:`Prior`, a law or a :class:`JointPrior` wrote, or a study file says.

    Raises
    ------
    SpecError
        When a law lacks a parameter, or has an unknown one.
    """
    if "law" in data:
        kept = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return JointPrior(**{**kept, "law": read_prior(data["law"])})
    kind = LAWS.get(str(data.get("dist")))
    if kind is None:
        return Prior.from_dict(data, where)
    known = [item.name for item in fields(kind)]
    options = {key: value for key, value in data.items() if key != "dist"}
    for key in options:
        if key not in known:
            raise SpecError(f"{where}: {kind.__name__} has no parameter '{key}'. {nearest(key, known)}")
    if kind is RegularisedHorseshoe and "expected_nonzero" not in options:
        raise SpecError(f"{where}: say how many coefficients you expect to matter, expected_nonzero = 3.")
    made = {
        key: Prior.from_dict(value, f"{where}.{key}") if isinstance(value, Mapping) else value for key, value in options.items()
    }
    for key in ("total", "sd"):
        if key in made and not isinstance(made[key], Prior):
            raise SpecError(f'{where}: {key} must be a table such as {{ dist = "HalfNormal", sigma = 1 }}.')
    return kind(**made)
