"""The characteristics of a paper's patients as they are simulated: levels with exact counts, numbers between their ends."""

from __future__ import annotations

from dataclasses import dataclass


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
    """A numeric characteristic: normal, truncated at the range that is printed.

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
    """

    name: str
    median: float
    sd: float | None
    guess: float
    lower: float | None = None
    upper: float | None = None
    has_effect: bool = True

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
