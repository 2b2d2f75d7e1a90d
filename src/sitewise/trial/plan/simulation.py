"""How many trials are simulated, and what is done with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sitewise.problems import TrialError
from sitewise.records import Record, tidied


@dataclass(frozen=True)
class SimulationPlan(Record):
    """Size and seed of the simulation."""

    trials: int = 1000
    """Trials of each scenario."""
    seed: int = 1
    """Seed of everything."""
    nuts_trials: int = 5
    """Trials whose analysis is repeated by NUTS, for the report of agreement; 0: none."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The simulation")
        if self.trials < 20:
            problems.add("trials", f"must be at least 20; it is {self.trials}")
        if self.seed < 0 or self.nuts_trials < 0:
            problems.add("seed, nuts_trials", "must be zero or positive")
        problems.raise_if_any(TrialError, "The simulation")


@dataclass(frozen=True)
class CalibrationPlan(Record):
    """A threshold that is found instead of stated, so that the type I error holds in every null scenario."""

    criterion: str
    """Name of the success criterion whose threshold is found."""
    alpha: float = 0.025
    """Largest type I error, one-sided, over all null scenarios."""
    shape: Literal["constant", "obrien-fleming"] = "constant"
    """How thresholds go over looks: all equal, or as an O'Brien-Fleming bound: the normal quantile in proportion to the
    inverse root of the information."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The calibration")
        if not 0 < self.alpha < 1:
            problems.add("alpha", f"must be inside (0, 1); it is {self.alpha:g}")
        problems.raise_if_any(TrialError, "The calibration")


@dataclass(frozen=True)
class Costs(Record):
    """What a trial costs, in any unit, for the expected total."""

    patient: float = 0.0
    """Of a patient."""
    site: float = 0.0
    """Of a site."""
    time: float = 0.0
    """Of a unit of time while the trial runs."""
    unit: str = "thousand euros"
    """Unit."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The costs")
        if min(self.patient, self.site, self.time) < 0:
            problems.add("patient, site, time", "must be zero or positive")
        problems.raise_if_any(TrialError, "The costs")
