"""The parts of a truth: kinds of patients, and draws of the treatment's effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.plan.truth import Effect

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """Patients who are alike.

    Parameters
    ----------
    label : str
        Their covariates in words.
    group : str
        Their risk group.
    """

    label: str
    group: str


@dataclass(frozen=True, eq=False)
class TrueEffect:
    """R draws of the treatment's effect, with its course in time.

    Parameters
    ----------
    log_hazard_ratio : ndarray, shape (R,)
        Experimental against control, where the effect is whole.
    starts, weights : ndarray, shape (B,)
        Times since enrolment at which pieces begin, the first 0, and the share of the log hazard ratio that acts in each.
    cured : float
        Share of patients whom the experimental treatment cures.
    site_sd : float
        Standard deviation of the log hazard ratio between sites; a site changes that of all experimental arms alike.
    further : tuple of ndarray, shape (R,)
        Log hazard ratios of further experimental arms against control, with the same course in time.
    """

    log_hazard_ratio: Floats
    starts: Floats
    weights: Floats
    cured: float = 0.0
    site_sd: float = 0.0
    further: tuple[Floats, ...] = ()

    @classmethod
    def drawn(cls, effect: Effect, rows: int, /, *, rng: np.random.Generator) -> Self:
        """Return draws of a described effect; without uncertainty all rows are equal."""
        starts, weights = effect.pieces
        standard = rng.standard_normal(rows)
        return cls(effect.log_mean + effect.log_sd * standard, starts, weights, effect.cured, effect.site_sd)

    @property
    def proportional(self) -> bool:
        """Whether one hazard ratio holds at all times."""
        return bool(self.starts.size == 1 and self.weights[0] == 1 and self.cured == 0)
