"""The characteristics of a paper's patients as they are simulated: levels with exact counts, numbers between their ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Factor:
    """A characteristic with levels.

    Parameters
    ----------
    name : str
        Its name in the evidence.
    levels : tuple of str
        Levels that a patient has, the reference class first.
    counts : tuple of int
        Patients at each level.
    classes : tuple of int
        Which effect each level has; 0 is the reference.
    favourable : tuple of str
        Levels that count as favourable.
    """

    name: str
    levels: tuple[str, ...]
    counts: tuple[int, ...]
    classes: tuple[int, ...]
    favourable: tuple[str, ...] = ()

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the effects: the levels of each class but the reference."""
        return tuple(
            f"{self.name}[{'|'.join(level for level, own in zip(self.levels, self.classes, strict=True) if own == number)}]"
            for number in range(1, max(self.classes) + 1)
        )


@dataclass(frozen=True)
class Measure:
    """A numeric characteristic: through its printed quantiles; without quartiles normal, truncated at the printed range.

    Parameters
    ----------
    name : str
        Its name in the evidence.
    median : float
        Its median (or mean, where only that is printed).
    sd : float or None
        Spread before truncation; None when it is a parameter.
    guess : float
        A first guess at the spread.
    lower, upper : float or None
        Range.
    has_effect : bool
        Whether a model has it.
    quantiles : tuple of (float, float)
        Shares and values, where quartiles are printed; the spread is then no parameter.
    """

    name: str
    median: float
    sd: float | None
    guess: float
    lower: float | None = None
    upper: float | None = None
    has_effect: bool = True
    quantiles: tuple[tuple[float, float], ...] = ()

    @property
    def effects(self) -> tuple[str, ...]:
        """The name of its effect, per unit."""
        return (self.name,) if self.has_effect else ()


@dataclass(frozen=True)
class Structure:
    """What is simulated.

    Parameters
    ----------
    patients : int
        Patients of a cohort.
    measures, factors : tuple
        Characteristics; numeric ones first, the order of the latent variables.
    pairs : tuple of (str, str)
        Characteristics whose dependence is a parameter.
    """

    patients: int
    measures: tuple[Measure, ...]
    factors: tuple[Factor, ...]
    pairs: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the characteristics in the order of the latent variables."""
        return (*(item.name for item in self.measures), *(item.name for item in self.factors))

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of all effects: factors', then measures'."""
        return (
            *(name for item in self.factors for name in item.effects),
            *(name for measure in self.measures for name in measure.effects),
        )

    def factor(self, name: str) -> Factor:
        """Return a factor by its name."""
        return next(item for item in self.factors if item.name == name)


FIRST_SD = 20.0
"""How far, in its own sds, the mean of a truncated normal distribution is looked for."""


def truncated(item: Measure, sd: Floats, share: Floats) -> Floats:
    """Return the values below which shares (R, n) of a normal distribution with sds (R,), truncated at the range, lie."""
    mean, spread = means_of(item, sd)[:, None], sd[:, None]
    # Shares are counted from the end of the normal distribution that is nearer: the other end has no digits left for them.
    sign = np.where(mean < item.median, -1.0, 1.0)
    ends = (-np.inf if item.lower is None else item.lower, np.inf if item.upper is None else item.upper)
    low, high = (ndtr(sign * (end - mean) / spread) for end in ends)
    found = mean + sign * spread * ndtri(low + share * (high - low))
    return np.asarray(np.clip(found, *ends))


def means_of(item: Measure, sd: Floats) -> Floats:
    """Return the means before truncation that give the printed median, shape (R,), by bisection."""
    if item.lower is None or item.upper is None:
        return np.full(len(sd), item.median)
    low, high = item.median - FIRST_SD * sd, item.median + FIRST_SD * sd
    for _ in range(60):
        mean = 0.5 * (low + high)
        sign = np.where(mean < item.median, -1.0, 1.0)
        below, at, above = (ndtr(sign * (end - mean) / sd) for end in (item.lower, item.median, item.upper))
        share = (at - below) / np.where(above == below, np.inf, above - below)
        low, high = np.where(share > 0.5, mean, low), np.where(share > 0.5, high, mean)
    return 0.5 * (low + high)
