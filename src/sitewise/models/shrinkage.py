"""Laws that shrink many coefficients: the regularised horseshoe and R2-D2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sitewise import names
from sitewise.models.joint_priors import Array, JointPrior, Law, Sampled, are_numbers
from sitewise.models.prior import Prior
from sitewise.problems import SpecError, listed

EXTREME_VALUE_VARIANCE = math.pi**2 / 6
"""Variance of the log of a standard exponential number: of log H0(T) + x'beta, in every proportional-hazards model."""


@dataclass(frozen=True)
class RegularisedHorseshoe(Law):
    """Many coefficients of which a few matter (Piironen & Vehtari 2017, Electron J Stat 11:5018).

    beta_j ~ Normal(0, (global scale x local scale_j)^2), cut at the slab: the variance v becomes v c^2 / (c^2 + v). The local
    scales are half-Cauchy(1), c^2 ~ InverseGamma(slab_df / 2, slab_df slab_scale^2 / 2), and the global scale is
    half-Cauchy(p0 / (D - p0) / sqrt(events)): theirs is p0 / (D - p0) sigma / sqrt(n), where sigma / sqrt(n) is the standard
    error of the coefficient of a column with variance one. The expected curvature of a censored log likelihood in a patient's
    x'beta is his expected cumulative hazard, which is his probability of an event; summed, sigma^2 / n is 1 / events. (In the
    time-ratio metric it is that over the shape squared; the scale is the one at shape 1.)

    Parameters
    ----------
    expected_nonzero : float
        How many of the D coefficients are expected to matter, p0.
    slab_scale, slab_df : float
        Coefficients that matter are about Student t with this scale and these degrees of freedom.
    """

    suits: ClassVar[str] = "coefficients"
    expected_nonzero: float
    slab_scale: float = 1.0
    slab_df: float = 4.0

    def __post_init__(self) -> None:
        numbers = (self.expected_nonzero, self.slab_scale, self.slab_df)
        if not (are_numbers(*numbers) and min(numbers) > 0):
            raise SpecError(f"All parameters of a RegularisedHorseshoe must be positive numbers; they are {listed(numbers)}.")

    def global_scale(self, joint: JointPrior) -> float:
        """Return the scale of the half-Cauchy prior of the global scale."""
        return self.expected_nonzero / (len(joint.columns) - self.expected_nonzero) / math.sqrt(joint.events)

    def sampled(self, joint: JointPrior) -> tuple[Sampled, ...]:
        """Return global scale, slab variance, local scales and standardised coefficients."""
        each = (names.SHRUNK, joint.columns)
        half = self.slab_df / 2
        slab = Prior("InverseGamma", alpha=half, beta=half * self.slab_scale**2)
        return (
            Sampled(names.GLOBAL_SCALE, Prior("HalfCauchy", beta=self.global_scale(joint)), positive=True),
            Sampled(names.SLAB_VARIANCE, slab, positive=True),
            Sampled(names.LOCAL_SCALE, Prior("HalfCauchy", beta=1.0), *each, positive=True),
            Sampled(names.STANDARDISED_COEFFICIENT, Prior("Normal", mu=0.0, sigma=1.0), *each),
        )

    def scales(self, sampled: tuple[Array, ...], xp: Any) -> Array:
        """Return the sds of the coefficients in their units, shape (..., columns)."""
        global_scale, slab, local, _ = sampled
        free = global_scale[..., None] * local
        slab = slab[..., None]
        return free * xp.sqrt(slab / (slab + free**2))

    def coefficients(self, joint: JointPrior, sampled: tuple[Array, ...], xp: Any) -> Array:
        """Return standardised coefficients times their sds."""
        return sampled[-1] * self.scales(sampled, xp) / np.asarray(joint.units)

    def derived(self, joint: JointPrior, sampled: tuple[Array, ...], xp: Any) -> dict[str, Array]:
        """Return the effective number of coefficients that are not shrunk away, their section 3.4.

        The sum over coefficients of 1 - 1 / (1 + events scale_j^2 var x_j).
        """
        told = joint.events * (self.scales(sampled, xp) * np.asarray(joint.spreads)) ** 2
        return {names.EFFECTIVE_NONZERO: (told / (1 + told)).sum(axis=-1)}


@dataclass(frozen=True)
class R2D2(Law):
    """A prior on the share of variance that all covariates explain together, divided among them.

    R^2 ~ Beta(mean x precision, (1 - mean) x precision), shares ~ Dirichlet(concentration, ...), and beta_j times the sd of its
    column ~ Normal(0, share_j x R^2 / (1 - R^2) x pi^2 / 6) (Zhang, Naughton, Bondell & Reich 2022, J Am Stat Assoc 117:862;
    with the normal kernel of Aguilar & Buerkner 2023, Electron J Stat 17:1711). pi^2 / 6 is the variance of log H0(T) given the
    predictor, whatever the baseline hazard. Given R^2 the prior mean of the predictor's variance is R^2 / (1 - R^2) x pi^2 / 6;
    columns count in sds of their own, 0/1 columns too, since that is what their part of the variance is.

    Parameters
    ----------
    mean, precision : float
        Of R^2; by default it is uniform.
    concentration : float
        Of the shares: below one a few coefficients have most, above one all have some.
    """

    suits: ClassVar[str] = "coefficients"
    mean: float = 0.5
    precision: float = 2.0
    concentration: float = 0.5

    def __post_init__(self) -> None:
        numbers = (self.mean, self.precision, self.concentration)
        if not (are_numbers(*numbers) and min(numbers) > 0 and self.mean < 1):
            raise SpecError(
                f"R2D2 needs a mean inside (0, 1), and a positive precision and concentration; they are {listed(numbers)}."
            )

    def sampled(self, joint: JointPrior) -> tuple[Sampled, ...]:
        """Return R^2, shares and standardised coefficients."""
        each = (names.SHRUNK, joint.columns)
        explained = Prior("Beta", alpha=self.mean * self.precision, beta=(1 - self.mean) * self.precision)
        return (
            Sampled(names.R_SQUARED, explained, positive=True),
            Sampled(names.VARIANCE_SHARE, Prior("Dirichlet", a=[self.concentration] * len(joint.columns)), *each),
            Sampled(names.STANDARDISED_COEFFICIENT, Prior("Normal", mu=0.0, sigma=1.0), *each),
        )

    def coefficients(self, joint: JointPrior, sampled: tuple[Array, ...], xp: Any) -> Array:
        """Return standardised coefficients times their sds."""
        explained, shares, standardised = sampled
        variance = EXTREME_VALUE_VARIANCE * explained / (1 - explained)
        sds = np.asarray(joint.units) * np.asarray(joint.spreads)
        return standardised * xp.sqrt(variance[..., None] * shares) / sds
