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

    criterion: str | tuple[str, ...]
    """Name of the success criterion whose threshold is found; of several arms a list of names: they share the threshold."""
    alpha: float = 0.025
    """Largest type I error, one-sided, over all null scenarios: with several arms, of the trial's success as ``arms.success``
    says, which with any is the family-wise error."""
    method: Literal["simulated", "spending"] = "simulated"
    """simulated: the smallest threshold that holds alpha in every null scenario. spending: the thresholds that equal bounds of
    a spending function, which hold alpha where the estimate is normal and its prior is flat; the simulation then shows what
    they come to."""
    shape: Literal["constant", "obrien-fleming"] = "constant"
    """Of simulated: how thresholds go over looks: all equal, or as an O'Brien-Fleming bound, whose normal quantile is in
    proportion to the inverse root of the information."""
    spending: Literal["obrien-fleming", "pocock", "power", "gamma"] = "obrien-fleming"
    """Of spending: the function: Lan & DeMets's two, Kim & DeMets's power, Hwang, Shih & De Cani's gamma."""
    parameter: float = 3.0
    """Of power: the exponent; of gamma: gamma."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The calibration")
        if not 0 < self.alpha < 1:
            problems.add("alpha", f"must be inside (0, 1); it is {self.alpha:g}")
        if not self.names or len(set(self.names)) < len(self.names):
            problems.add("criterion", "must be a name, or several different ones")
        if self.spending == "power" and self.parameter <= 0:
            problems.add("parameter", f"must be positive for the power function; it is {self.parameter:g}")
        problems.raise_if_any(TrialError, "The calibration")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the criteria that share the threshold."""
        return (self.criterion,) if isinstance(self.criterion, str) else self.criterion


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
