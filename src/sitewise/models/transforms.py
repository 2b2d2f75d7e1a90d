"""Calls inside formulas that Sitewise adds or watches over: monotone steps ``mo(ecog)``, and where splines end.

A monotone effect of a covariate with ordered levels has a column for each step from one level to the next, 1 where the level is
at least the upper one (a thermometer). What makes its coefficients monotone is their joint prior
(:class:`sitewise.models.term_laws.Monotone`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.levels import label, labels, natural_order
from sitewise.problems import Problems, SpecError, listed

Floats = NDArray[np.float64]
MOST_LEVELS = 12
"""Distinct numbers up to which a column of whole numbers has levels."""
SPLINES = ("bs", "cr", "tp")
"""Calls of formulae that mean something only between the smallest and the largest value that they were given first."""
_MONOTONE = re.compile(r"^mo\(.*\)$")
_HAS_BOUND = (">", "≥", "<", "≤")


class MonotoneSteps:
    """``mo(ecog)``: a column for each step between neighbouring levels, in formulae's way of a call with a memory.

    The order is that of a categorical column's levels, or of whole numbers; ``mo(grade, "poor", "fair", "good")`` gives
    another one.
    """

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.levels: tuple[str, ...] = ()

    def __call__(self, values: pd.Series, *order: object) -> Floats:
        """Return the thermometer of ``values``, shape (n, levels - 1)."""
        if not self.levels:
            self.levels = _levels(values, tuple(map(label, order)))
        positions = labels(values.astype(object)).map({level: place for place, level in enumerate(self.levels)})
        if positions.isna().any():
            raise ValueError(f"mo() was fitted with the levels {listed(self.levels)} only")
        return np.asarray(positions.to_numpy(dtype=int)[:, None] >= np.arange(1, len(self.levels)), dtype=float)

    @property
    def steps(self) -> list[str]:
        """The label of each column: the level from which on it is 1."""
        return [level if level.startswith(_HAS_BOUND) else f">={level}" for level in self.levels[1:]]


def _levels(values: pd.Series, order: tuple[str, ...]) -> tuple[str, ...]:
    """Return the levels from the lowest to the highest."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        known = tuple(map(str, values.cat.categories))
    else:
        numbers = np.unique(np.asarray(values, dtype=float))
        if numbers.size > MOST_LEVELS or not (numbers == np.round(numbers)).all():
            raise ValueError(
                f"mo({values.name}) needs levels, and the column has {numbers.size} different numbers; it takes categories, or "
                f"at most {MOST_LEVELS} whole numbers. Cut it into levels, or write bs({values.name}, df=4)"
            )
        known = tuple(map(label, numbers))
    if order:
        if sorted(order) != sorted(known):
            raise ValueError(f"mo({values.name}) lists {listed(order)}, but the levels are {listed(known)}")
        return order
    natural = natural_order(known)
    if known != natural and known[1:] == tuple(level for level in natural if level != known[0]):
        quoted = ", ".join(f'"{level}"' for level in natural)
        raise ValueError(
            f"mo({values.name}) needs levels from lowest to highest, and the reference level {known[0]} was put first: write "
            f"them in order, such as mo({values.name}, {quoted})"
        )
    return known


def is_monotone(term: str) -> bool:
    """Return whether a term is a monotone effect."""
    return _MONOTONE.match(term) is not None


def labels_of(name: str, term: Any) -> list[str]:
    """Return the names of a term's columns: formulae's, and ``mo(ecog)[>=1]`` of monotone steps.

    Raises
    ------
    SpecError
        When a monotone effect is part of an interaction.
    """
    steps = [component for component in term.components if _calls(component, "mo")]
    if not steps:
        return list(term.labels)
    if len(term.components) > 1:
        raise SpecError(f"{name}: a monotone effect cannot be part of an interaction. Use the covariate itself there.")
    return [f"{name}[{step}]" for step in steps[0].call.stateful_transform.steps]


def _calls(component: Any, callee: str) -> bool:
    return getattr(getattr(component, "call", None), "callee", None) == callee


def stepped_columns(terms: Any) -> set[str]:
    """Return the columns inside monotone effects: only their values have a meaning, and none between."""
    components = [component for term in terms.values() for component in getattr(term, "components", ())]
    calls = [call for component in components for call in _inner_calls(getattr(component, "call", None))]
    return {name for call in calls if call.callee == "mo" for name in _variables(call)}


def check_ranges(terms: Any, trained: pd.DataFrame, people: pd.DataFrame, problems: Problems) -> None:
    """Add a problem for each numeric column that lies outside of what its spline, or its monotone steps, learnt from.

    Parameters
    ----------
    terms : mapping of str to formulae's term
        Of the design.
    trained, people : DataFrame
        Covariates of the cohort that was fitted, and of those who are asked about.
    """
    said: set[str] = set()
    for name, (callee, lower, upper) in _bounds(terms, trained):
        if name in said or name not in people.columns:
            continue
        values = np.asarray(people[name], dtype=float)
        if callee == "mo":
            bad = ~np.isin(values, trained[name])
            what = f"has values that the cohort did not have, and mo({name}) knows no step to them"
            remedy = f"Values: {listed([label(one) for one in np.unique(trained[name])])}."
        else:
            bad = (values < lower) | (values > upper)
            what = f"is outside {lower:g} to {upper:g}, where {callee}({name}) was fitted; a spline says nothing beyond"
            remedy = "Ask about people inside, or use a term that is meant to go on, such as a straight line."
        if bad.any():
            said.add(name)
            problems.add(f"column '{name}'", what, remedy, np.flatnonzero(bad) + 1)


def _bounds(terms: Any, trained: pd.DataFrame) -> Iterator[tuple[str, tuple[str, float, float]]]:
    """Yield each numeric column inside a spline or monotone steps, with the call and the ends of what it learnt from."""
    for term in terms.values():
        for component in getattr(term, "components", ()):
            for call in _inner_calls(getattr(component, "call", None)):
                for name in _variables(call):
                    if not pd.api.types.is_numeric_dtype(trained[name]):
                        continue
                    lower, upper = float(trained[name].min()), float(trained[name].max())
                    if getattr(call.args[0], "name", None) == name:  # its bounds are in the column's own unit
                        given = {key: item.value for key, item in call.kwargs.items() if hasattr(item, "value")}
                        lower, upper = given.get("lower_bound", lower), given.get("upper_bound", upper)
                    yield name, (call.callee, lower, upper)


def _inner_calls(node: Any) -> Iterator[Any]:
    """Yield the splines and monotone steps at or inside a node of formulae's tree of a call."""
    if getattr(node, "callee", None) in (*SPLINES, "mo"):
        yield node
    for child in getattr(node, "args", ()):
        yield from _inner_calls(child)


def _variables(node: Any) -> list[str]:
    """Return the columns inside a node of formulae's tree."""
    from formulae.terms.call_resolver import LazyVariable

    if isinstance(node, LazyVariable):
        return [str(node.name)]
    return [name for child in getattr(node, "args", ()) for name in _variables(child)]
