"""Ways of borrowing a historical cohort for one arm of a trial: described, not done."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sitewise.problems import Problems, TrialError
from sitewise.records import Record, positive, tidied


def _share(problems: Problems, **values: float) -> None:
    for name, value in values.items():
        if math.isfinite(value) and not 0 <= value <= 1:
            problems.add(name, f"must be 0 to 1; it is {value:g}")


@dataclass(frozen=True)
class NoBorrowing(Record):
    """The cohort is not used: a flat prior, or a vague normal one."""

    sd: float | None = None
    """Standard deviation of the prior of the arm's log hazard; flat if none is given."""
    mean: float = 0.0
    """Mean of that prior, on the scale of the trial's estimates: it does not follow the cohort."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "No borrowing")
        positive(problems, sd=self.sd)
        problems.raise_if_any(TrialError, "No borrowing")


@dataclass(frozen=True)
class Pooled(Record):
    """The cohort's patients count as the trial's own."""


@dataclass(frozen=True)
class FixedPowerPrior(Record):
    """The cohort's likelihood to a stated power, after a flat prior (Ibrahim & Chen 2000)."""

    power: float
    """Share of the cohort's information that is used: 0 is none, 1 is all."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The fixed power prior")
        _share(problems, power=self.power)
        problems.raise_if_any(TrialError, "The fixed power prior")


@dataclass(frozen=True)
class NormalisedPowerPrior(Record):
    """The cohort's likelihood to an unknown power with a beta prior, normalised given the power (Duan, Ye & Smith 2006)."""

    alpha: float = 1.0
    """First parameter of the beta distribution of the power."""
    beta: float = 1.0
    """Second parameter of the beta distribution of the power."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The normalised power prior")
        positive(problems, alpha=self.alpha, beta=self.beta)
        problems.raise_if_any(TrialError, "The normalised power prior")


@dataclass(frozen=True)
class Commensurate(Record):
    """The arm's log hazard is normal about the cohort's, with a half-normal standard deviation (after Hobbs et al. 2011)."""

    scale: float
    """Scale of the half-normal distribution: about .32 of its mass lies above."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The commensurate prior")
        positive(problems, scale=self.scale)
        problems.raise_if_any(TrialError, "The commensurate prior")


@dataclass(frozen=True)
class SpikeAndSlab(Record):
    """The arm's log hazard is normal about the cohort's, its precision a high value or uniform (Hobbs et al. 2012)."""

    spike_probability: float
    """Prior probability that arm and cohort are nearly the same."""
    spike_precision: float
    """Precision (1 / variance) of the arm about the cohort if so."""
    slab_precision: tuple[float, float]
    """Least and largest precision otherwise, uniform between."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The spike and slab")
        _share(problems, spike_probability=self.spike_probability)
        positive(problems, spike_precision=self.spike_precision)
        low, high = self.slab_precision
        if not 0 < low < high:
            problems.add("slab_precision", f"must be two positive numbers, the first smaller; they are {low:g} and {high:g}")
        elif self.spike_precision < high:
            problems.add("spike_precision", f"must not be below the slab's largest, {high:g}; it is {self.spike_precision:g}")
        problems.raise_if_any(TrialError, "The spike and slab")


@dataclass(frozen=True)
class RobustMap(Record):
    """The cohort's predictive distribution, mixed with a vague one in case it does not apply (Schmidli et al. 2014)."""

    weight: float
    """Prior probability that the cohort applies."""
    vague_sd: float
    """Standard deviation of the vague part; 1 is the information of one event."""
    between_sd: float = 0.0
    """Standard deviation between the cohort's log hazard and the arm's, if the cohort applies."""
    vague_mean: float | None = None
    """Mean of the vague part on the scale of the trial's estimates; the cohort's own if none is given."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The robust prior")
        _share(problems, weight=self.weight)
        positive(problems, vague_sd=self.vague_sd)
        if self.between_sd < 0:
            problems.add("between_sd", f"must be zero or positive; it is {self.between_sd:g}")
        problems.raise_if_any(TrialError, "The robust prior")


type Borrowing = NoBorrowing | Pooled | FixedPowerPrior | NormalisedPowerPrior | Commensurate | SpikeAndSlab | RobustMap
