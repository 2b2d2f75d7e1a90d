"""The parts of a scenario: covariates and their dependence, event times, sites, censoring."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from sitewise.families import BASELINES, Family
from sitewise.problems import Problems, ScenarioError, listed, nearest, plural
from sitewise.records import Record, positive, tidied
from sitewise.simulate.quantile_curve import QuantileCurve

Floats = NDArray[np.float64]
MOST_LEVELS = 127
"""Level numbers are kept in a byte."""
ROUNDING = 1e-9
"""How far shares may miss a sum of 1."""


@dataclass(frozen=True)
class Categorical(Record):
    """A covariate with levels."""

    name: str
    """Column."""
    levels: tuple[str, ...]
    """Levels; the first is the reference. The latent normal variable is cut in this order."""
    shares: tuple[float, ...]
    """Share of patients at each level; sums to 1."""
    log_hazard_ratios: tuple[float, ...]
    """Log hazard ratios against the first level, whose own is 0."""

    def __post_init__(self) -> None:
        problems = tidied(self, ScenarioError, f"Covariate '{self.name}'")
        check_labels("levels", self.levels, problems)
        if not 2 <= len(self.levels) <= MOST_LEVELS:
            problems.add("levels", f"must be 2 to {MOST_LEVELS}; they are {len(self.levels)}")
        check_shares("shares", self.shares, len(self.levels), problems)
        if len(self.log_hazard_ratios) != len(self.levels) or self.log_hazard_ratios[:1] != (0.0,):
            what = f"must be {plural(len(self.levels), 'number', 'numbers')}, the first 0"
            problems.add("log_hazard_ratios", what, "The first level is the reference.")
        problems.raise_if_any(ScenarioError, f"Covariate '{self.name}'")


@dataclass(frozen=True)
class Numeric(Record):
    """A numeric covariate: normal (truncated at the bounds that it has), uniform between bounds, or with given quantiles."""

    name: str
    """Column."""
    log_hazard_ratio: float
    """Log hazard ratio per unit."""
    reference: float
    """Value of the reference patient."""
    distribution: Literal["normal", "uniform", "quantiles"] = "normal"
    """Marginal distribution."""
    mean: float | None = None
    """Mean of the normal distribution before truncation."""
    sd: float | None = None
    """Standard deviation of the normal distribution before truncation."""
    lower: float | None = None
    """Least value."""
    upper: float | None = None
    """Largest value."""
    quantiles: tuple[tuple[float, float], ...] = ()
    """Shares and the values below which they lie, both increasing; see :mod:`sitewise.simulate.quantile_curve`."""

    def __post_init__(self) -> None:
        problems = tidied(self, ScenarioError, f"Covariate '{self.name}'")
        rises = all(
            one < two for pair in zip(self.quantiles, self.quantiles[1:], strict=False) for one, two in zip(*pair, strict=True)
        )
        if self.distribution == "quantiles" and not (
            len(self.quantiles) > 1 and rises and all(0 < share < 1 for share, _ in self.quantiles)
        ):
            problems.add("quantiles", "needs two pairs of share and value or more, both increasing, with shares inside (0, 1)")
        if self.distribution == "normal" and (self.mean is None or self.sd is None):
            problems.add("", "a normal covariate needs mean and sd")
        if self.distribution == "uniform" and (self.lower is None or self.upper is None):
            problems.add("", "a uniform covariate needs lower and upper")
        if self.distribution == "uniform" and (self.mean is not None or self.sd is not None):
            problems.add("", "a uniform covariate has no mean and sd of its own", "Remove them.")
        positive(problems, sd=self.sd)
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            problems.add("lower", f"must be below upper; they are {self.lower:g} and {self.upper:g}")
        problems.raise_if_any(ScenarioError, f"Covariate '{self.name}'")

    def quantile(self, share: Floats) -> Floats:
        """Return the values below which the given shares of patients lie, of the same shape."""
        if self.distribution == "uniform" and self.lower is not None and self.upper is not None:
            return self.lower + share * (self.upper - self.lower)
        if self.distribution == "quantiles":
            return QuantileCurve(self.quantiles).quantile(share)
        from scipy.special import ndtr, ndtri

        mean, sd = float(self.mean or 0.0), float(self.sd or 1.0)
        low = -math.inf if self.lower is None else (self.lower - mean) / sd
        high = math.inf if self.upper is None else (self.upper - mean) / sd
        if low > 0:  # from the other side: probabilities near 1 have lost the digits that tell them apart
            return np.asarray(mean - sd * ndtri(ndtr(-low) - share * (ndtr(-low) - ndtr(-high))))
        return np.asarray(mean + sd * ndtri(ndtr(low) + share * (ndtr(high) - ndtr(low))))

    def share_below(self, value: float) -> float:
        """Return the share of patients below a value."""
        if self.distribution == "uniform" and self.lower is not None and self.upper is not None:
            return float(min(max((value - self.lower) / (self.upper - self.lower), 0.0), 1.0))
        if self.distribution == "quantiles":
            return QuantileCurve(self.quantiles).share_below(value)
        from scipy.stats import truncnorm

        mean, sd = float(self.mean or 0.0), float(self.sd or 1.0)
        low = -math.inf if self.lower is None else (self.lower - mean) / sd
        high = math.inf if self.upper is None else (self.upper - mean) / sd
        return float(truncnorm.cdf((value - mean) / sd, low, high))


@dataclass(frozen=True)
class Correlation(Record):
    """The correlation of two covariates' latent normal variables (Gaussian copula)."""

    between: tuple[str, str]
    """Names of two covariates."""
    latent: float
    """Correlation of their latent normal variables; positive when later levels (larger values) go together."""

    def __post_init__(self) -> None:
        problems = tidied(self, ScenarioError, "The correlation")
        if math.isfinite(self.latent) and not -1 < self.latent < 1:
            problems.add("", f"must be a number inside (-1, 1) between two covariates; it is {self.latent:g}")
        if self.between[0] == self.between[1]:
            problems.add("between", f"names '{self.between[0]}' twice", "Name two covariates.")
        problems.raise_if_any(ScenarioError, "The correlation")


@dataclass(frozen=True)
class Baseline(Record):
    """Event times of the reference patient at an average site."""

    median: float
    """Time after guarantee_time by which half of reference patients at an average site have had the event."""
    family: str = "weibull"
    """Family of distributions."""
    parameters: dict[str, float] = field(default_factory=dict)
    """The family's shape parameters."""
    guarantee_time: float = 0.0
    """Nobody has the event before it."""

    def __post_init__(self) -> None:
        problems = tidied(self, ScenarioError, "The baseline")
        positive(problems, median=self.median)
        if self.guarantee_time < 0:
            problems.add("guarantee_time", f"must be zero or positive; it is {self.guarantee_time:g}")
        if self.family not in BASELINES:
            problems.add("family", f"is '{self.family}'", nearest(self.family, BASELINES))
        else:
            wanted = {item.name for item in BASELINES[self.family]().shape_parameters}
            if set(self.parameters) != wanted:
                given = listed(self.parameters) or "none"
                problems.add("parameters", f"of {self.family} must be {listed(wanted) or 'none'}; given: {given}")
            positive(problems, **self.parameters)
            if self.parameters.get("cured", 0.0) >= 0.5:
                problems.add("parameters cured", "must be below 0.5", "The median of the reference patient must exist.")
        problems.raise_if_any(ScenarioError, "The baseline")

    @property
    def distribution(self) -> Family:
        """The family."""
        return BASELINES[self.family]()

    @property
    def shape(self) -> tuple[float, ...]:
        """The shape parameters in the family's order."""
        return tuple(self.parameters[item.name] for item in self.distribution.shape_parameters)

    @property
    def log_scale(self) -> float:
        """Log of the scale that gives the median: families are scale families, so log median = log scale + a constant."""
        return math.log(self.median) - float(self.distribution.log_time(math.log(math.log(2)), 0.0, self.shape))


@dataclass(frozen=True)
class Sites(Record):
    """Sites: how many patients each has, and how their hazards differ."""

    labels: tuple[str, ...]
    """Names of the sites."""
    shares: tuple[float, ...]
    """Share of patients of each site; sums to 1."""
    sd: float | None = None
    """Standard deviation of the sites' log hazard ratios against an average site, drawn anew for every cohort."""
    log_hazard_ratios: tuple[float, ...] | None = None
    """The sites' log hazard ratios against an average site, the same in every cohort; instead of sd."""
    assumed: str = ""
    """What no published number supports about the sites, as a phrase."""

    def __post_init__(self) -> None:
        problems = tidied(self, ScenarioError, "The table of sites")
        check_labels("labels", self.labels, problems)
        if not self.labels:
            problems.add("labels", "must name one site or more")
        else:
            check_shares("shares", self.shares, len(self.labels), problems)
        if (self.sd is None) == (self.log_hazard_ratios is None):
            problems.add("", "give either sd or log_hazard_ratios", "sd = 0 means that sites do not differ.")
        if self.sd is not None and self.sd < 0:
            problems.add("sd", f"must be zero or positive; it is {self.sd:g}")
        if self.log_hazard_ratios is not None and len(self.log_hazard_ratios) != len(self.labels):
            problems.add("log_hazard_ratios", f"must be {plural(len(self.labels), 'number', 'numbers')}, one a site")
        problems.raise_if_any(ScenarioError, "The table of sites")

    @classmethod
    def equal(cls, count: int, /, *, sd: float) -> Self:
        """Return ``count`` sites of equal size, called ``site 1`` and so on."""
        return cls(tuple(f"site {number + 1}" for number in range(count)), (1 / max(count, 1),) * count, sd)


@dataclass(frozen=True)
class Censoring(Record):
    """End of follow-up, independent of everything: ``start`` plus a Weibull time, or ``administrative`` if that is sooner."""

    shape: float | None = None
    """Shape of the Weibull time."""
    scale: float | None = None
    """Scale of the Weibull time."""
    start: float = 0.0
    """Nobody is censored before it."""
    administrative: float | None = None
    """Time at which everyone's follow-up ends."""

    def __post_init__(self) -> None:
        problems = tidied(self, ScenarioError, "The censoring")
        if (self.shape is None) != (self.scale is None):
            problems.add("", "give shape and scale together")
        positive(problems, shape=self.shape, scale=self.scale, administrative=self.administrative)
        if self.start < 0:
            problems.add("start", f"must be zero or positive; it is {self.start:g}")
        problems.raise_if_any(ScenarioError, "The censoring")


def check_shares(name: str, shares: tuple[float, ...], count: int, problems: Problems) -> None:
    """Note shares that are not ``count`` positive numbers with sum 1."""
    if not all(map(math.isfinite, shares)):
        return  # said already
    if len(shares) != count or any(not 0 < share <= 1 for share in shares) or abs(sum(shares) - 1) > ROUNDING:
        given = ", ".join(f"{share:g}" for share in shares) or "none"
        wanted = plural(count, "positive number", "positive numbers")
        problems.add(name, f"must be {wanted} with sum 1; they are {given} with sum {sum(shares):.12g}")


def check_labels(name: str, labels: tuple[str, ...], problems: Problems) -> None:
    """Note labels that are given twice, empty, or have blanks around them, which tables of patients lose."""
    for label in dict.fromkeys(labels):
        if labels.count(label) > 1:
            problems.add(name, f"'{label}' is given {labels.count(label)} times")
        if not label or label != label.strip():
            problems.add(name, f"'{label}' is empty or has blanks around it")
