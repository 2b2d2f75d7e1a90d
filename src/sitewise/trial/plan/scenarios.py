"""Worlds in which the same trial is run: the planned one, nulls, and what could be otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field

from sitewise.problems import TrialError
from sitewise.records import Record, positive, tidied


@dataclass(frozen=True)
class TrialScenario(Record):
    """The planned truth with the changes given."""

    name: str
    """Name in tables."""
    null: bool = False
    """Whether success here is a type I error."""
    hazard_ratio: float | None = None
    """Treatment effect of every experimental arm, known; absent: as planned. 1 is no effect."""
    hazard_ratios: dict[str, float] = field(default_factory=dict)
    """Treatment effects by arm, known, such as { "B" = 1.0 }; of arms that are not named, ``hazard_ratio`` or as planned."""
    at_bound: str = ""
    """Name of a criterion: hazards are multiplied, in each row of the truth, so that its estimand is exactly at its bound.
    With several experimental arms it is one of the first, and all have the same effect."""
    site_sd: float | None = None
    """Spread of the sites' log hazards; absent: as planned."""
    drift: float = 0.0
    """Log hazard ratio of the trial's patients, in every arm, against like patients of the cohort."""
    accrual_factor: float = 1.0
    """Multiplies the rates of all sites."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, f"Scenario '{self.name}'")
        positive(problems, hazard_ratio=self.hazard_ratio, accrual_factor=self.accrual_factor)
        wrong = [f"{name} {value:g}" for name, value in self.hazard_ratios.items() if value <= 0]
        if wrong:
            problems.add("hazard_ratios", f"must be positive; {', '.join(wrong)} is not")
        if self.site_sd is not None and self.site_sd < 0:
            problems.add("site_sd", f"must be zero or positive; it is {self.site_sd:g}")
        problems.raise_if_any(TrialError, f"Scenario '{self.name}'")
