"""Laws of the coefficients of one term: monotone effects, exchangeable levels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from sitewise import names
from sitewise.models.joint_priors import Array, JointPrior, Law, Sampled, are_numbers
from sitewise.models.prior import Prior
from sitewise.problems import SpecError


@dataclass(frozen=True)
class Monotone(Law):
    """The effect of a covariate whose levels have an order, ``mo(ecog)``: it goes one way only, up or down.

    The coefficient of the step to level l is total x increment_l, with increments ~ Dirichlet(concentration, ...), which are
    positive and sum to one (Buerkner & Charpentier 2020, Br J Math Stat Psychol 73:420). ``total`` is the effect of the highest
    level against the lowest; theirs is an average step, total / number of steps.

    Parameters
    ----------
    total : Prior
        Of the effect of the highest level against the lowest.
    concentration : float
        One: every division of the total among the steps is as likely; larger: steps are a priori more alike.
    """

    suits: ClassVar[str] = "a term mo(...)"
    total: Prior = field(default_factory=lambda: Prior("Normal", mu=0.0, sigma=1.0))
    concentration: float = 1.0

    def __post_init__(self) -> None:
        if not (are_numbers(self.concentration) and self.concentration > 0):
            raise SpecError(f"The concentration of a Monotone effect must be a positive number; it is {self.concentration!r}.")

    def sampled(self, joint: JointPrior) -> tuple[Sampled, ...]:
        """Return total and increments."""
        increments = Prior("Dirichlet", a=[self.concentration] * len(joint.columns))
        return (
            Sampled(joint.named(names.MONOTONE_TOTAL), self.total),
            Sampled(joint.named(names.MONOTONE_INCREMENT), increments, joint.named(names.STEP), joint.columns),
        )

    def coefficients(self, joint: JointPrior, sampled: tuple[Array, ...], xp: Any) -> Array:
        """Return total times increments."""
        total, increments = sampled
        return total[..., None] * increments


@dataclass(frozen=True)
class Exchangeable(Law):
    """The coefficients of one term as draws from one normal distribution: Normal(0, sd), sd estimated.

    For the levels of a category with many, which borrow from each other, or for a spline. Effects are against the reference
    level, which is not one of them.

    Parameters
    ----------
    sd : Prior
        Of the sd, per sd of a numeric column, and as it is on 0/1 columns.
    """

    suits: ClassVar[str] = "a term with several coefficients"
    sd: Prior = field(default_factory=lambda: Prior("HalfNormal", sigma=1.0))

    def sampled(self, joint: JointPrior) -> tuple[Sampled, ...]:
        """Return the sd and standardised coefficients."""
        standardised, dim = joint.named(names.STANDARDISED_COEFFICIENT), joint.named(names.EXCHANGEABLE)
        return (
            Sampled(joint.named(names.EXCHANGEABLE_SD), self.sd, positive=True),
            Sampled(standardised, Prior("Normal", mu=0.0, sigma=1.0), dim, joint.columns),
        )

    def coefficients(self, joint: JointPrior, sampled: tuple[Array, ...], xp: Any) -> Array:
        """Return standardised coefficients times the sd."""
        sd, standardised = sampled
        return sd[..., None] * standardised / np.asarray(joint.units)
