"""What is taken as true, as records: the effect of the treatment, and how far the cohort is trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sitewise.problems import TrialError
from sitewise.records import Record, positive, tidied
from sitewise.simulate.parts import Baseline

Floats = NDArray[np.float64]
STEPS = 12
"""Pieces of a waning effect: of a log hazard ratio that falls linearly to zero."""


@dataclass(frozen=True)
class Published(Record):
    """A published hazard ratio with its interval, read as a normal distribution of its log."""

    hazard_ratio: float
    """Estimate."""
    lower: float
    """Lower limit."""
    upper: float
    """Upper limit."""
    prob: float = 0.95
    """Probability of the interval."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The published hazard ratio")
        positive(problems, hazard_ratio=self.hazard_ratio, lower=self.lower)
        if not self.lower < self.hazard_ratio < self.upper:
            problems.add("lower, upper", "must lie on either side of hazard_ratio")
        if not 0 < self.prob < 1:
            problems.add("prob", f"must be inside (0, 1); it is {self.prob:g}")
        problems.raise_if_any(TrialError, "The published hazard ratio")

    @property
    def log_sd(self) -> float:
        """Standard deviation of the log hazard ratio."""
        return float(np.log(self.upper / self.lower) / (2 * ndtri(0.5 + self.prob / 2)))


@dataclass(frozen=True)
class Effect(Record):
    """The hazard ratio of the experimental treatment against control: a number, or a distribution of its log.

    Exactly one of ``hazard_ratio`` and ``published`` is given; ``sd`` makes a distribution around the former.
    """

    hazard_ratio: float | None = None
    """Hazard ratio, or with sd the median of its distribution."""
    sd: float = 0.0
    """Standard deviation of the log hazard ratio around ``hazard_ratio``; 0: it is known."""
    published: Published | None = None
    """A published estimate."""
    source: str = ""
    """Where the numbers come from."""
    delay: float = 0.0
    """Time since enrolment before which the hazards are equal."""
    wanes_from: float | None = None
    """Time since enrolment from which the log hazard ratio falls linearly to zero; absent: never."""
    wanes_until: float | None = None
    """Time by which it has fallen to zero."""
    cured: float = 0.0
    """Share of patients whom the experimental treatment cures: they never have the event."""
    site_sd: float = 0.0
    """Standard deviation of the log hazard ratio between sites."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The effect")
        if (self.hazard_ratio is None) == (self.published is None):
            problems.add("", "give either hazard_ratio or published")
        positive(problems, hazard_ratio=self.hazard_ratio)
        for name in ("sd", "delay", "site_sd"):
            if getattr(self, name) < 0:
                problems.add(name, f"must be zero or positive; it is {getattr(self, name):g}")
        if self.published is not None and self.sd:
            problems.add("sd", "is given beside published, which has its own", "Remove it.")
        if not 0 <= self.cured < 1:
            problems.add("cured", f"must be inside [0, 1); it is {self.cured:g}")
        if (self.wanes_from is None) != (self.wanes_until is None):
            problems.add("wanes_from, wanes_until", "must be given together")
        elif self.wanes_from is not None and not self.delay <= self.wanes_from < (self.wanes_until or 0.0):
            problems.add("wanes_until", "must be after wanes_from, and that not before delay")
        problems.raise_if_any(TrialError, "The effect")

    @property
    def log_mean(self) -> float:
        """Mean of the log hazard ratio."""
        value = self.published.hazard_ratio if self.published is not None else self.hazard_ratio
        assert value is not None
        return float(np.log(value))

    @property
    def log_sd(self) -> float:
        """Standard deviation of the log hazard ratio."""
        return self.published.log_sd if self.published is not None else self.sd

    @property
    def pieces(self) -> tuple[Floats, Floats]:
        """Times since enrolment at which pieces begin, the first 0, and the share of the log hazard ratio in each, (B,)."""
        starts, weights = [0.0], [0.0 if self.delay > 0 else 1.0]
        if self.delay > 0:
            starts.append(self.delay)
            weights.append(1.0)
        if self.wanes_from is not None and self.wanes_until is not None:
            edges = np.linspace(self.wanes_from, self.wanes_until, STEPS + 1)
            middle = 1 - (np.arange(STEPS) + 0.5) / STEPS
            if edges[0] == starts[-1]:
                starts, weights = starts[:-1], weights[:-1]
            starts += list(edges)
            weights += [*middle, 0.0]
        return np.array(starts), np.array(weights)

    @property
    def proportional(self) -> bool:
        """Whether one hazard ratio holds at all times."""
        return self.pieces[0].size == 1 and self.cured == 0


@dataclass(frozen=True)
class Bias(Record):
    """How the trial's patients differ from the cohort's beyond what is measured, on the log hazard scale, in every arm."""

    mean: float = 0.0
    """Mean of the log hazard ratio of a trial's patient against a like one of the cohort."""
    sd: float = 0.0
    """Its standard deviation."""
    reason: str = ""
    """Why."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The bias")
        if self.sd < 0:
            problems.add("sd", f"must be zero or positive; it is {self.sd:g}")
        if (self.mean or self.sd) and not self.reason.strip():
            problems.add("reason", "is missing", "Say why the trial's patients should differ from the cohort's.")
        problems.raise_if_any(TrialError, "The bias")


@dataclass(frozen=True)
class PointGroup(Record):
    """A risk group of a stated truth."""

    name: str
    """Name."""
    share: float
    """Share of patients."""
    log_hazard_ratio: float = 0.0
    """Log hazard ratio against the reference."""

    def __post_init__(self) -> None:
        tidied(self, TrialError, f"Risk group '{self.name}'").raise_if_any(TrialError, f"Risk group '{self.name}'")


@dataclass(frozen=True)
class PointTruth(Record):
    """A truth that is stated instead of estimated."""

    baseline: Baseline
    """When the event happens to the reference patient at an average site."""
    site_sd: float = 0.0
    """Standard deviation of the sites' log hazard ratios."""
    group: tuple[PointGroup, ...] = (PointGroup("everybody", 1.0),)
    """Risk groups."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The stated truth")
        if self.site_sd < 0:
            problems.add("site_sd", f"must be zero or positive; it is {self.site_sd:g}")
        names = [item.name for item in self.group]
        if len(set(names)) < len(names):
            problems.add("group", "names a group twice")
        if any(item.share <= 0 for item in self.group) or abs(sum(item.share for item in self.group) - 1) > 1e-9:
            problems.add("group", "must have positive shares with sum 1")
        problems.raise_if_any(TrialError, "The stated truth")


@dataclass(frozen=True)
class TruthPlan(Record):
    """What is true, in the file's words: one of draws, fit, scenario and point; the design prior, never the analysis prior."""

    cohort_arm: Literal["experimental", "control"]
    """Which arm of the trial the cohort's patients are like: whose treatment they had."""
    effect: Effect
    """The treatment's effect."""
    endpoint: str = "OS"
    """The event: OS or PFS, or any other that the cohort is about."""
    draws: str = ""
    """Joint draws: id of packaged ones (krog-20-04), or a file that Truth.save wrote."""
    fit: str = ""
    """Folder that `sitewise fit` wrote, or its posterior.nc."""
    scenario: str = ""
    """Id of a packaged scenario, or a scenario's .toml file: a truth without uncertainty."""
    point: PointTruth | None = None
    """Numbers."""
    risk_groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Favourable levels of covariates, whose number defines the risk groups of a fit."""
    case_mix: dict[str, float] = field(default_factory=dict)
    """Share of each risk group among the patients who come; absent: as in the cohort."""
    guarantee_time: Literal["drop", "keep"] = "drop"
    """What becomes of a time before which the cohort could lose nobody: drop it (a trial's patients can die from enrolment on),
    or keep it, which needs a reason."""
    guarantee_reason: str = ""
    """Why a trial's patients cannot die before the guarantee time."""
    bias: Bias = Bias()
    """How the trial's patients differ from the cohort's."""
    discount: float = 1.0
    """Share of the cohort's information that is trusted: the posterior's covariance is divided by it."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The truth")
        given = [name for name in ("draws", "fit", "scenario", "point") if getattr(self, name)]
        if len(given) != 1:
            problems.add("", f"must have one of draws, fit, scenario, point; it has {', '.join(given) or 'none'}")
        if not 0 < self.discount <= 1:
            problems.add("discount", f"must be inside (0, 1]; it is {self.discount:g}")
        if self.guarantee_time == "keep" and not self.guarantee_reason.strip():
            problems.add(
                "guarantee_reason", "is missing", "Say why a trial's patients cannot die before that time, or drop it."
            )
        if self.case_mix and (min(self.case_mix.values()) < 0 or abs(sum(self.case_mix.values()) - 1) > 1e-9):
            problems.add("case_mix", "must have shares of zero or more with sum 1")
        if self.effect.cured and self.cohort_arm == "experimental":
            problems.add(
                "effect cured",
                "cannot be told from a cohort of the experimental arm: its curve has those whom the treatment cures in it",
                "Fit the cohort with a mixture-cure family, and leave cured out.",
            )
        problems.raise_if_any(TrialError, "The truth")
