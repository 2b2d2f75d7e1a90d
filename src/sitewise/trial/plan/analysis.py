"""How the trial's data are analysed: the method, what it adjusts for, and the analysis prior, which is not the design prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sitewise.problems import TrialError
from sitewise.records import Record, positive, tidied


@dataclass(frozen=True)
class NormalPrior(Record):
    """A normal prior."""

    mean: float = 0.0
    """Mean."""
    sd: float = 1.0
    """Standard deviation."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The prior")
        positive(problems, sd=self.sd)
        problems.raise_if_any(TrialError, "The prior")


@dataclass(frozen=True)
class MedianPrior(Record):
    """A prior of the median survival of the reference patient (first risk group, control arm) at an average site."""

    median: float
    """Prior median, in the trial's unit of time."""
    log_sd: float = 1.5
    """Standard deviation of its log."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The prior of median survival")
        positive(problems, median=self.median, log_sd=self.log_sd)
        problems.raise_if_any(TrialError, "The prior of median survival")


@dataclass(frozen=True)
class AnalysisPlan(Record):
    """How a trial is analysed at each look.

    The priors here are the analysis's own. What is taken as true (the design prior) stands in ``[truth]``.
    """

    method: Literal["hierarchical", "conjugate", "log-rank", "cox"] = "hierarchical"
    """hierarchical: the Weibull model with random sites, by the nested-Laplace engine. conjugate: a normal prior and the log
    hazard ratio's estimate and standard error (for survival and restricted means the Kaplan-Meier ones). log-rank, cox: the
    classical test; its probability is one minus the one-sided p value."""
    adjust: tuple[Literal["site", "risk_group"], ...] = ("site", "risk_group")
    """Random effects of sites and coefficients of risk groups (hierarchical); strata (log-rank, conjugate); strata of
    sites and coefficients of risk groups (cox)."""
    estimate: Literal["cox", "log-rank"] = "cox"
    """Of conjugate: the log hazard ratio's estimate: Cox's, or the log-rank's (O - E) / V, which is biased where the effect is
    large and the allocation unequal."""
    treatment: NormalPrior = NormalPrior(0.0, 1.0)
    """Prior of the log hazard ratio of the treatment; not of the classical methods."""
    risk_groups: NormalPrior = NormalPrior(0.0, 1.0)
    """Prior of each risk group's log hazard ratio against the first; of the hierarchical method."""
    site_sd: float = 0.5
    """Scale of the half-normal prior of the sd of sites; of the hierarchical method."""
    shape: NormalPrior = NormalPrior(0.0, 0.5)
    """Prior of the log of the Weibull shape; of the hierarchical method."""
    median_survival: MedianPrior | None = None
    """Prior of the baseline; absent: located at each look's own person-time over events, with sd 1.5 of the log."""
    treatment_by_site: bool = False
    """Whether the treatment's effect differs by site in the model, with a half-normal prior of scale ``site_sd`` of its sd;
    of the hierarchical method."""
    draws: int = 500
    """Weighted draws of a fit of the hierarchical method."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The analysis")
        positive(problems, site_sd=self.site_sd)
        if self.draws < 100:
            problems.add("draws", f"must be at least 100; it is {self.draws}")
        if self.treatment_by_site and self.method != "hierarchical":
            problems.add("treatment_by_site", f"has no meaning with method = '{self.method}'")
        if self.treatment_by_site and "site" not in self.adjust:
            problems.add("treatment_by_site", "needs 'site' in adjust")
        problems.raise_if_any(TrialError, "The analysis")
