"""Where a cohort enters the analysis: as the benchmark of a single arm, or as history that an arm borrows from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sitewise.problems import Problems, TrialError
from sitewise.records import Record, positive, tidied


def _check_source(record: BenchmarkPlan | BorrowingPlan, problems: Problems) -> None:
    given = [name for name in ("draws", "fit") if getattr(record, name)]
    if len(given) != 1:
        problems.add("", f"must have one of draws, fit; it has {', '.join(given) or 'none'}")


@dataclass(frozen=True)
class BenchmarkPlan(Record):
    """The cohort that a single arm is held against."""

    draws: str = ""
    """Joint draws: id of packaged ones (krog-20-04), or a file that Truth.save wrote."""
    fit: str = ""
    """Folder that `sitewise fit` wrote, or its posterior.nc."""
    risk_groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Favourable levels of covariates, whose number defines the risk groups of a fit."""
    known: bool = False
    """Whether it is treated as known: its uncertainty is ignored, and the type I error is above the nominal one."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The benchmark")
        _check_source(self, problems)
        problems.raise_if_any(TrialError, "The benchmark")


Method = Literal["none", "pooled", "power-prior", "normalised-power-prior", "commensurate", "robust-map"]


@dataclass(frozen=True)
class BorrowingPlan(Record):
    """What an arm borrows from a historical cohort, as a prior of the arm's log hazard against that cohort's."""

    arm: Literal["experimental", "control"]
    """The arm that borrows: the one whose treatment the cohort's patients had."""
    method: Method
    """How. With none the cohort is named and nothing is borrowed."""
    draws: str = ""
    """Joint draws: id of packaged ones (krog-20-04), or a file that Truth.save wrote."""
    fit: str = ""
    """Folder that `sitewise fit` wrote, or its posterior.nc."""
    risk_groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Favourable levels of covariates, whose number defines the risk groups of a fit."""
    power: float = 0.5
    """Of power-prior: the power of the cohort's likelihood, between 0 (none) and 1 (pooled)."""
    power_alpha: float = 1.0
    """Of normalised-power-prior: the power has a Beta(power_alpha, power_beta) prior."""
    power_beta: float = 1.0
    """See power_alpha."""
    between_sd: float = 0.3
    """Of robust-map: sd of the log hazard between the cohort and the trial. Of commensurate: scale of its half-normal prior."""
    weight: float = 0.8
    """Of robust-map: prior probability of the informative part."""
    vague_sd: float = 2.0
    """Of robust-map and none: sd of the vague part."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The borrowing")
        _check_source(self, problems)
        if not 0 <= self.power <= 1:
            problems.add("power", f"must be inside [0, 1]; it is {self.power:g}")
        if not 0 <= self.weight <= 1:
            problems.add("weight", f"must be inside [0, 1]; it is {self.weight:g}")
        positive(problems, power_alpha=self.power_alpha, power_beta=self.power_beta)
        positive(problems, between_sd=self.between_sd, vague_sd=self.vague_sd)
        problems.raise_if_any(TrialError, "The borrowing")
