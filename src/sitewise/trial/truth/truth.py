"""`Truth`: R joint draws of all that decides when a trial's patients have their events; one row is one possible world."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from sitewise.families import Family
from sitewise.problems import TrialError
from sitewise.trial.plan.truth import Effect

Floats = NDArray[np.float64]
CohortArm = Literal["experimental", "control"]


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
        Standard deviation of the log hazard ratio between sites.
    """

    log_hazard_ratio: Floats
    starts: Floats
    weights: Floats
    cured: float = 0.0
    site_sd: float = 0.0

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


@dataclass(frozen=True, eq=False)
class Truth:
    """R joint draws; a trial takes one row, draws its sites from that row's spread, and its patients from its case mix.

    The index is what covariates and sites add to (:attr:`sitewise.families.Family.standard`); for families of proportional
    hazards it is the log cumulative hazard, and ``site_sd`` is the standard deviation of log hazard ratios between sites.

    Parameters
    ----------
    family : Family
        Baseline.
    shape : tuple of ndarray, shape (R,)
        Its shape parameters.
    log_scale : ndarray, shape (R,)
        Of the reference profile at an average site, under the treatment of ``cohort_arm``.
    profiles : tuple of Profile
        Kinds of patients, K of them.
    index : ndarray, shape (R, K)
        What each profile adds to the index of the reference.
    shares : ndarray, shape (R, K)
        Case mix of the patients who come to the trial; rows sum to 1.
    site_sd : ndarray, shape (R,)
        Spread of the sites.
    cohort_arm : {"experimental", "control"}
        The arm that the baseline describes. The other arm is that divided, or multiplied, by the effect.
    effect : TrueEffect
        Of the experimental treatment against control.
    endpoint, time_unit : str
        What the event is, and the unit of all times.
    guarantee_time : float
        Time since enrolment before which nobody can have the event; 0 unless it was kept with a reason.
    follow_up : float
        Largest time that the cohort's patients were observed: later is extrapolated; infinite for a stated truth.
    source : str
        Where it comes from, in words.
    source_hash : str
        Identity of the cohort behind it, empty for a stated truth: the same cohort as analysis prior is flagged.
    notes : tuple of str
        What was done to the posterior, in sentences.
    """

    family: Family
    shape: tuple[Floats, ...]
    log_scale: Floats
    profiles: tuple[Profile, ...]
    index: Floats
    shares: Floats
    site_sd: Floats
    cohort_arm: CohortArm
    effect: TrueEffect
    endpoint: str = "OS"
    time_unit: str = "months"
    guarantee_time: float = 0.0
    follow_up: float = float("inf")
    source: str = "stated"
    source_hash: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rows, profiles = self.log_scale.size, len(self.profiles)
        if self.cohort_arm not in ("experimental", "control"):
            raise TrialError(
                f"cohort_arm is {self.cohort_arm!r}; say whose treatment the cohort's patients had: "
                "'experimental' or 'control'."
            )
        shapes = {"index": self.index.shape, "shares": self.shares.shape}
        wrong = [f"{name} {shape}" for name, shape in shapes.items() if shape != (rows, profiles)]
        wrong += [f"shape {item.shape}" for item in self.shape if item.shape != (rows,)]
        wrong += [f"site_sd {self.site_sd.shape}"] if self.site_sd.shape != (rows,) else []
        wrong += [] if self.effect.log_hazard_ratio.shape == (rows,) else ["effect.log_hazard_ratio"]
        if wrong:
            raise TrialError(f"A truth of {rows} rows and {profiles} profiles has arrays of other sizes: {', '.join(wrong)}.")
        if not np.allclose(self.shares.sum(axis=1), 1.0) or (self.shares < 0).any():
            raise TrialError("The case mix of a truth must have shares of zero or more that sum to 1 in each row.")
        if not (np.isfinite(self.log_scale).all() and np.isfinite(self.index).all() and (self.site_sd >= 0).all()):
            raise TrialError("A truth has numbers that are not finite, or a negative site spread.")

    @property
    def rows(self) -> int:
        """Number of draws R."""
        return int(self.log_scale.size)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the risk groups, in order of first appearance."""
        return tuple(dict.fromkeys(profile.group for profile in self.profiles))

    @property
    def group_of_profile(self) -> NDArray[np.int64]:
        """Position of each profile's group in :attr:`groups`, shape (K,)."""
        return np.array([self.groups.index(profile.group) for profile in self.profiles])

    def with_effect(self, effect: Effect, /, *, seed: int = 0) -> Self:
        """Return the same world under another effect."""
        return replace(self, effect=TrueEffect.drawn(effect, self.rows, rng=np.random.default_rng(seed)))

    def with_site_sd(self, site_sd: float, /) -> Self:
        """Return the same world with a stated spread of sites."""
        if site_sd < 0:
            raise TrialError(f"site_sd is {site_sd:g}; a standard deviation is zero or positive.")
        return replace(self, site_sd=np.full(self.rows, float(site_sd)))
