"""`Truth`: R joint draws of all that decides when a trial's patients have their events; one row is one possible world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sitewise.families import Family
from sitewise.problems import TrialError
from sitewise.trial.plan.truth import Bias, Effect, PointTruth
from sitewise.trial.truth.checks import check_truth
from sitewise.trial.truth.effects import Profile as Profile
from sitewise.trial.truth.effects import TrueEffect as TrueEffect

if TYPE_CHECKING:
    from sitewise.estimands import Population
    from sitewise.models.fitted import Fitted
    from sitewise.simulate import Scenario
    from sitewise.studies.evidence_fit import EvidenceFit

Floats = NDArray[np.float64]
CohortArm = Literal["experimental", "control"]


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
        Identity of the cohort, numbers or scenario behind it: the same one as analysis prior is flagged. Empty where unknown.
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
        check_truth(self)

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

    @property
    def sentence(self) -> str:
        """What is taken as true, in plain words."""
        from sitewise.trial.truth.sentences import truth_sentence

        return truth_sentence(self)

    def with_effect(self, effect: Effect, /, *, seed: int = 0) -> Self:
        """Return the same world under another effect of the first experimental arm."""
        drawn = TrueEffect.drawn(effect, self.rows, rng=np.random.default_rng(seed))
        return replace(self, effect=replace(drawn, further=self.effect.further))

    def with_site_sd(self, site_sd: float, /) -> Self:
        """Return the same world with a stated spread of sites."""
        if site_sd < 0:
            raise TrialError(f"site_sd is {site_sd:g}; a standard deviation is zero or positive.")
        return replace(self, site_sd=np.full(self.rows, float(site_sd)))

    def with_case_mix(self, case_mix: Mapping[str, float], /) -> Truth:
        """Return the same world with stated shares of the risk groups; groups that are not named do not come."""
        from sitewise.trial.truth.changes import with_case_mix

        return with_case_mix(self, case_mix)

    @classmethod
    def from_posterior(
        cls,
        fit: Fitted | EvidenceFit,
        /,
        *,
        cohort_arm: CohortArm,
        effect: Effect,
        groups: Population | None = None,
        case_mix: Mapping[str, float] | None = None,
        site_sd: float | None = None,
        endpoint: str = "OS",
        guarantee_time: Literal["drop", "keep"] = "drop",
        guarantee_reason: str = "",
        bias: Bias | None = None,
        discount: float = 1.0,
        rows: int | None = None,
        seed: int = 0,
    ) -> Truth:
        """Return joint draws from the posterior of a cohort.

        The effects of the cohort's own sites are left behind: a trial's sites are new ones, of which only the spread is known.
        ``log_scale`` is that of a patient at the covariate means (of families that have no other scale there, of the reference
        patient), and ``index`` what each profile adds to it.

        Parameters
        ----------
        fit : FitResult or EvidenceFit
            Of any engine; or the stacked fits of a paper's reconstructed cohorts, whose case mix then differs by row.
        cohort_arm : {"experimental", "control"}
            Which arm the cohort's patients are like: whose treatment they had.
        effect : Effect
            The experimental treatment's.
        groups : Population, optional
            Risk groups that divide the patients, such as ``RiskGroups.count_favourable``; default one group, ``everybody``, and
            of stacked fits their own.
        case_mix : mapping of str to float, optional
            Share of each risk group among those who come; default as in the cohort.
        site_sd : float, optional
            Spread of the sites' log hazards; needed where the fit has no random sites, stated instead of estimated elsewhere.
        endpoint : str
            What the event is.
        guarantee_time, guarantee_reason : str
            ``"drop"``: the baseline counts from enrolment. ``"keep"`` needs the reason why nobody can have the event before.
        bias : Bias, optional
            How the trial's patients differ from the cohort's, on the log hazard scale.
        discount : float
            Share of the cohort's information that is trusted: the posterior's covariance is divided by it.
        rows : int, optional
            Draws, taken at random; default all.
        seed : int
            Of thinning, bias and effect.

        Raises
        ------
        TrialError
            When the fit's verdict is fail, it has parts that a truth cannot hold (slopes, shapes, further groupings, Student-t
            sites), no spread of sites is known, or the groups do not divide the patients.
        """
        from sitewise.trial.truth.from_posterior import truth_from_posterior

        return truth_from_posterior(
            fit,
            cohort_arm=cohort_arm,
            effect=effect,
            groups=groups,
            case_mix=case_mix,
            site_sd=site_sd,
            endpoint=endpoint,
            guarantee_time=guarantee_time,
            guarantee_reason=guarantee_reason,
            bias=bias,
            discount=discount,
            rows=rows,
            seed=seed,
        )

    @classmethod
    def point(
        cls,
        point: PointTruth,
        /,
        *,
        cohort_arm: CohortArm,
        effect: Effect,
        endpoint: str = "OS",
        time_unit: str = "months",
        case_mix: Mapping[str, float] | None = None,
        rows: int | None = None,
        seed: int = 0,
    ) -> Truth:
        """Return the truth of stated numbers: 1000 rows where the effect is uncertain, else one.

        Raises
        ------
        TrialError
            When groups or sites have log hazard ratios and the baseline's hazards do not multiply.
        """
        from sitewise.trial.truth.stated import truth_of_point

        return truth_of_point(
            point,
            cohort_arm=cohort_arm,
            effect=effect,
            endpoint=endpoint,
            time_unit=time_unit,
            case_mix=case_mix,
            rows=rows,
            seed=seed,
        )

    @classmethod
    def from_scenario(
        cls,
        scenario: Scenario,
        /,
        *,
        cohort_arm: CohortArm,
        effect: Effect,
        endpoint: str = "OS",
        site_sd: float | None = None,
        case_mix: Mapping[str, float] | None = None,
        nodes: int = 8,
        rows: int | None = None,
        seed: int = 0,
    ) -> Truth:
        """Return the truth of a scenario's population: its combinations of levels with their shares are the profiles.

        Its favourable factors define the risk groups; a numeric covariate has ``nodes`` values. ``site_sd`` stands instead of
        the scenario's own spread of sites; ``rows`` are 1000 by default where the effect is uncertain, else one.

        Raises
        ------
        TrialError
            When the scenario's sites have no spread or its baseline's hazards do not multiply.
        """
        from sitewise.trial.truth.stated import truth_of_scenario

        return truth_of_scenario(
            scenario,
            cohort_arm=cohort_arm,
            effect=effect,
            endpoint=endpoint,
            site_sd=site_sd,
            case_mix=case_mix,
            nodes=nodes,
            rows=rows,
            seed=seed,
        )

    def save(self, path: str | Path, /) -> Path:
        """Write the cohort's part as NetCDF: neither the effect nor the arm, which belong to a trial."""
        from sitewise.trial.truth.storage import save_truth

        return save_truth(self, path)

    @classmethod
    def load(
        cls,
        which: str | Path,
        /,
        *,
        cohort_arm: CohortArm,
        effect: Effect,
        case_mix: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> Truth:
        """Read what :meth:`save` wrote, or packaged draws by their id (``krog-20-04``); else a :class:`TrialError`."""
        from sitewise.trial.truth.storage import load_truth

        return load_truth(which, cohort_arm=cohort_arm, effect=effect, case_mix=case_mix, seed=seed)
