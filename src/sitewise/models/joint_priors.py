"""Joint priors of several coefficients: what they are made of, and one with its columns and numbers.

A law (:mod:`sitewise.models.shrinkage`, :mod:`sitewise.models.term_laws`) says what is sampled, each variable with a prior of
its own, and how the coefficients follow from that. The second is written once for NumPy (draws) and PyTensor (the graph), so
that the graph, the stored log prior and prior draws are one thing. Densities are over the *sampled* variables: the coefficients
are functions of these, and have no density of their own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from sitewise.models.prior import Prior
from sitewise.problems import listed

Array = Any


@dataclass(frozen=True)
class Sampled:
    """A sampled variable: its name, its prior (of each of its numbers, or of all together), its dimension with labels."""

    name: str
    prior: Prior
    dim: str | None = None
    labels: tuple[str, ...] = ()
    positive: bool = False


class Law(ABC):
    """What a joint prior is, before it knows its columns; subclasses are frozen dataclasses."""

    suits: ClassVar[str]
    """Where in ``Priors`` it can stand."""

    @abstractmethod
    def sampled(self, joint: JointPrior) -> tuple[Sampled, ...]:
        """Return what is sampled."""

    @abstractmethod
    def coefficients(self, joint: JointPrior, sampled: tuple[Array, ...], xp: Any) -> Array:
        """Return the coefficients as their columns are written (..., columns), from the sampled variables in order."""

    def derived(self, joint: JointPrior, sampled: tuple[Array, ...], xp: Any) -> dict[str, Array]:
        """Return what else is worth keeping of each draw, by name; nothing unless a law says so."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"dist": ..., parameters}``, the form of ``study.toml``."""
        plain = {key: value.to_dict() if isinstance(value, Prior) else value for key, value in self._parameters().items()}
        return {"dist": type(self).__name__} | plain

    def _parameters(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]

    def __str__(self) -> str:
        inside = [
            f"{key}={value}" if isinstance(value, Prior) else f"{key}={value:.4g}" for key, value in self._parameters().items()
        ]
        return f"{type(self).__name__}({', '.join(inside)})"


@dataclass(frozen=True)
class JointPrior:
    """A law with its columns and the numbers that it takes from a cohort.

    Parameters
    ----------
    law : Monotone, RegularisedHorseshoe, R2D2 or Exchangeable
        The law.
    columns : tuple of str
        Design columns, in order.
    units : tuple of float
        What a coefficient is divided by: the law speaks of a coefficient times this.
    spreads : tuple of float
        The sds of the columns in these units.
    events : float
        Weighted number of events: the information about a coefficient per unit of variance of its column, since the
        expected curvature of a censored log likelihood in x'beta is the expected number of events.
    term : str
        The term, of a law of one term; else empty.
    """

    law: Law
    columns: tuple[str, ...]
    units: tuple[float, ...]
    spreads: tuple[float, ...]
    events: float
    term: str = ""

    @property
    def dist(self) -> str:
        """The law's name; no distribution of PyMC has it."""
        return type(self.law).__name__

    @property
    def sampled(self) -> tuple[Sampled, ...]:
        """What is sampled."""
        return self.law.sampled(self)

    def coefficients(self, variables: Mapping[str, Array], xp: Any = np) -> Array:
        """Return the coefficients (..., columns) from the sampled variables by name."""
        return self.law.coefficients(self, tuple(variables[item.name] for item in self.sampled), xp)

    def derived(self, variables: Mapping[str, Array], xp: Any = np) -> dict[str, Array]:
        """Return what else is worth keeping of each draw, by name."""
        return self.law.derived(self, tuple(variables[item.name] for item in self.sampled), xp)

    def named(self, name: str) -> str:
        """Return the name of a variable or dimension, with the term where the law is of one."""
        return f"{name}[{self.term}]" if self.term else name

    def __str__(self) -> str:
        return f"{self.law}, jointly of {listed(self.columns)}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; the inverse of :func:`sitewise.models.prior_reading.read_prior`."""
        kept = {item.name: getattr(self, item.name) for item in fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()} | {
            "law": self.law.to_dict()
        }


def are_numbers(*values: object) -> bool:
    """Return whether all values are finite numbers; true and false are none."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in values)
