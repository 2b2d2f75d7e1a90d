"""`Hierarchical`: each trial at a look is fitted by the Weibull model with random sites, in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.inference.nested_laplace.engine import NestedLaplace, non_centred
from sitewise.inference.nested_laplace.weighting import NoModeError, WeightedDraws
from sitewise.inference.packing import column_scales, unpack_arrays
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import FAILED, NOT_ESTIMABLE, OK, Analysed
from sitewise.trial.analysis.statements import (
    NOTHING,
    Against,
    Patients,
    Reference,
    TrialDraws,
    check_criteria,
    holds,
    moments,
    values,
)
from sitewise.trial.analysis.trial_model import RISK_GROUP, TrialModel
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.analysis import AnalysisPlan
from sitewise.trial.plan.criteria import Criterion

Floats = NDArray[np.float64]
BRANCH = 101
"""Branch of a trial's seed for the draws of this analysis: above the numbers that tell the streams of the trials themselves."""
LEVELS = {"ok": 0.0, "warn": 1.0, "fail": 2.0}
"""How ``more["verdict"]`` codes the verdict on a fit."""
MORE = ("importance_ess", "pareto_k", "site_sd_mean", "verdict")
NEGLIGIBLE = 1e-12
"""Draws with weights below this are dropped: they have site spreads of hundreds, and change nothing."""


@dataclass(frozen=True)
class Hierarchical:
    """The hierarchical Weibull model with random sites, by the nested-Laplace engine.

    Probabilities, means and sds are those of the engine's weighted draws. Estimands other than the hazard ratio are of the
    curve averaged over the enrolled patients' case mix (or of one risk group) and over a population of sites, in each draw.

    Parameters
    ----------
    plan : AnalysisPlan
        Of the hierarchical method.
    randomised : bool
        Whether there is a control arm.
    groups : tuple of str
        Risk groups, the reference first, as in the snapshots.
    sites : int
        Number of sites.
    time_unit : str
        Of the trial's times.
    benchmark : Benchmark, optional
        What a single arm is held against (:class:`sitewise.trial.truth.Benchmark`).

    Raises
    ------
    TrialError
        When the plan asks for what such trials do not have.
    """

    name: ClassVar[str] = "hierarchical"
    plan: AnalysisPlan
    _: KW_ONLY
    randomised: bool
    groups: tuple[str, ...]
    sites: int
    time_unit: str = "months"
    benchmark: Reference | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(self.groups))
        self.model  # noqa: B018 - the plan is checked at once, not in a worker

    @cached_property
    def model(self) -> TrialModel:
        """The resolved spec that every trial is fitted by."""
        return TrialModel.of(
            self.plan, randomised=self.randomised, groups=self.groups, sites=self.sites, time_unit=self.time_unit
        )

    def analyse(self, seen: Snapshot, criteria: Sequence[Criterion], /, *, seed: int, look: int) -> Analysed:
        """Analyse trials at one look; see :class:`sitewise.trial.analysis.Analysis`.

        Each trial's random numbers come from the seed, its number and the look, so that results do not depend on which trials
        are analysed together. ``more`` holds ``importance_ess``, ``pareto_k``, ``site_sd_mean`` and ``verdict`` (0 ok, 1 warn,
        2 fail). A trial without events is not estimable; one whose fit fails twice has failed.

        Raises
        ------
        TrialError
            When a criterion is about what the model has not, or the trials are of other sites or groups.
        """
        self.check(seen, criteria)
        against = [self.held_against(item) for item in criteria]
        shape = (len(seen), len(criteria))
        probability, estimate, sd = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
        status = np.full(len(seen), NOT_ESTIMABLE, dtype=np.int8)
        more = {name: np.full(len(seen), np.nan) for name in MORE}
        engine = NestedLaplace(draws=self.plan.draws)
        expected = self.expected(seen, criteria)
        events = (seen.event & seen.included).sum(axis=1)
        for row in map(int, np.flatnonzero(events > 0)):
            status[row] = FAILED
            if not self.positive(seen, row):
                continue
            data, unit = self.model.arrays(seen, row)
            stream = np.random.SeedSequence(seed, spawn_key=(int(seen.number[row]), look, BRANCH))
            try:
                found = engine.weighted(self.model.spec, data, seed=stream)
            except NoModeError:
                continue
            counts = found.weights > NEGLIGIBLE
            variables = unpack_arrays(non_centred(self.model.spec), column_scales(data), found.points[counts])
            weights = found.weights[counts] / found.weights[counts].sum()
            self._note(more, row, found, variables, weights)
            if found.verdict.level == "fail":
                continue
            status[row] = OK
            draws = TrialDraws.of(variables, self.model, groups=len(self.groups), unit=unit)
            patients = self.patients(seen, row, expected)
            for place, item in enumerate(criteria):
                if item.predictive:
                    continue
                own = values(item, draws, patients=patients, groups=self.groups)
                # Weights sum to one but for rounding, and a probability above one is none.
                probability[row, place] = min(float(weights @ holds(item, own, against[place])), 1.0)
                estimate[row, place], sd[row, place] = moments(own, weights, against[place])
        return Analysed(probability, estimate, sd, status, more)

    @staticmethod
    def _note(more: dict[str, Floats], row: int, found: WeightedDraws, variables: dict[str, Floats], weights: Floats) -> None:
        more["importance_ess"][row] = found.verdict["importance_ess"].value
        more["pareto_k"][row] = found.verdict["pareto_k"].value
        more["verdict"][row] = LEVELS[found.verdict.level]
        if names.SITE_SD in variables:
            more["site_sd_mean"][row] = weights @ variables[names.SITE_SD]

    def check(self, seen: Snapshot, criteria: Sequence[Criterion], /) -> None:
        """Check that the model has what trials and criteria are about.

        Raises
        ------
        TrialError
            When it has not.
        """
        if seen.groups != self.groups or seen.sites != self.sites:
            raise TrialError(
                f"The trials have {seen.sites} sites and the risk groups {list(seen.groups)}; the analysis was made for "
                f"{self.sites} and {list(self.groups)}."
            )
        check_criteria(
            criteria,
            randomised=self.randomised,
            groups=self.groups,
            adjusted=RISK_GROUP in self.plan.adjust,
            benchmark=self.benchmark is not None,
        )

    def held_against(self, criterion: Criterion, /) -> Against:
        """Return what a criterion is held against: draws of the benchmark's own estimand, its log hazard's sd, or nothing.

        Raises
        ------
        TrialError
            When the benchmark's draws are not numbers.
        """
        if criterion not in self._kept:
            self._kept[criterion] = self._held_against(criterion)
        return self._kept[criterion]

    @cached_property
    def _kept(self) -> dict[Criterion, Against]:
        """What was found before: campaigns ask the same of every chunk."""
        return {}

    def _held_against(self, criterion: Criterion) -> Against:
        if self.benchmark is None or criterion.predictive:
            return NOTHING
        if criterion.against == "benchmark":
            draws = np.sort(self.benchmark.draws(criterion))
            if not np.isfinite(draws).all():
                raise TrialError(
                    f"Criterion '{criterion.name}': the benchmark has draws that are no finite numbers. "
                    "Choose an earlier time, or a risk group that the cohort has."
                )
            return Against(draws=draws)
        if criterion.estimand == "hazard_ratio" and not self.randomised:
            return Against(log_hazard_sd=float(self.benchmark.log_hazard_sd))
        return NOTHING

    def expected(self, seen: Snapshot, criteria: Sequence[Criterion], /) -> Floats | None:
        """Return the benchmark's cumulative hazard of each patient at their follow-up, shape (M, N), if it is asked for."""
        asked = any(item.estimand == "hazard_ratio" and not item.predictive for item in criteria)
        if self.randomised or self.benchmark is None or not asked:
            return None
        return np.asarray(self.benchmark.cumulative_hazard(seen.time, seen.group))

    def positive(self, seen: Snapshot, row: int, /) -> bool:
        """Return whether all patients of a trial have been followed for some time, as the model needs."""
        return bool((seen.time[row][seen.included[row]] > 0).all())

    def patients(self, seen: Snapshot, row: int, expected: Floats | None, /) -> Patients:
        """Return the patients of one trial."""
        kept = seen.included[row]
        own = None if expected is None else expected[row, kept]
        return Patients(np.log(seen.time[row, kept]), seen.group[row, kept].astype(np.int64), own)
