"""What calibration has to assume because no paper prints it; every output repeats it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sitewise.families import BASELINES
from sitewise.problems import ScenarioError, nearest
from sitewise.records import Record, positive, tidied
from sitewise.simulate.parts import check_shares


@dataclass(frozen=True)
class Assumptions(Record):
    """What the paper does not say."""

    family: str = "weibull"
    """Family of the baseline's survival times: weibull, exponential, log-normal, log-logistic or mixture-cure."""
    guarantee_time: float | Literal["estimated"] = "estimated"
    """Time before which nobody dies or leaves; estimated where the shortest follow-up is printed, else 0."""
    dependence: bool = True
    """Whether characteristics may depend on each other."""
    correlation_sd: float = 0.4
    """Prior sd of atanh of each latent correlation."""
    coefficient_sd: float = 1.0
    """Prior sd of log hazard ratios, per level or per sd of a numeric characteristic."""
    free: tuple[str, ...] = ()
    """Characteristics whose levels all have effects of their own, whatever the paper prints."""
    margins: Literal["exact", "sampled"] = "exact"
    """Whether every cohort has the printed counts, or patients are drawn one by one."""
    sites: int | None = None
    """Number of sites; default the paper's."""
    site_shares: tuple[float, ...] | None = None
    """Share of patients of each site; default: drawn anew for each cohort (Dirichlet)."""
    site_concentration: float = 5.0
    """Of the Dirichlet distribution from which site shares are drawn; the larger the more equal."""
    site_sd: float | None = None
    """Spread of the sites' log hazard ratios; default: drawn from HalfNormal(site_sd_scale) for each cohort."""
    site_sd_scale: float = 0.5
    """Scale of that HalfNormal."""

    def __post_init__(self) -> None:
        problems = tidied(self, ScenarioError, "The assumptions")
        if self.family not in BASELINES:
            problems.add("family", f"is '{self.family}'", nearest(self.family, BASELINES))
        if isinstance(self.guarantee_time, float) and self.guarantee_time < 0:
            problems.add("guarantee_time", f"must be zero or positive; it is {self.guarantee_time:g}")
        positive(
            problems,
            correlation_sd=self.correlation_sd,
            coefficient_sd=self.coefficient_sd,
            site_concentration=self.site_concentration,
            site_sd_scale=self.site_sd_scale,
        )
        if self.site_sd is not None and self.site_sd < 0:
            problems.add("site_sd", f"must be zero or positive; it is {self.site_sd:g}")
        if self.sites is not None and self.sites < 1:
            problems.add("sites", f"must be 1 or more; it is {self.sites}")
        if self.site_shares is not None:
            check_shares("site_shares", self.site_shares, self.sites or len(self.site_shares), problems)
        problems.raise_if_any(ScenarioError, "The assumptions")
