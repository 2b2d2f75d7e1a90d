"""`Analysis`: a fit with the groups, times and probability that its tables and pictures are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.warnings_found import YEARS_PER_UNIT
from sitewise.estimands import (
    Average,
    BySite,
    GroupCurves,
    Marginal,
    New,
    Observed,
    Population,
    RiskGroups,
    SiteTreatment,
    effect_metric,
    group_curves,
)
from sitewise.estimands.averages import MixtureAverages
from sitewise.estimands.effects import has_time_ratios
from sitewise.estimands.pooled import OfCompleted
from sitewise.inference import FitResult
from sitewise.models import FixedSites, RandomSites
from sitewise.models.fitted import completed_fits
from sitewise.names import ALL_PATIENTS, HAZARD_RATIO

MILESTONES_IN_YEARS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
CURVE_POINTS = 41
EARLY_POINTS = 10
FEW_EVENTS = 10


@dataclass(frozen=True, eq=False)
class Analysis:
    """What is reported of a fit.

    Parameters
    ----------
    fit : FitResult
        The fit.
    groups : Population, optional
        Risk groups; default all patients and each level of each categorical covariate in the model.
    times : tuple of float, optional
        Milestones at which survival is reported; default half a year, 1, 2, 3, 5, 10 years within follow-up.
    rmst_horizon : float, optional
        Horizon of the restricted mean; default the last milestone.
    prob : float
        Probability of intervals.
    margins : mapping of str to float
        By estimand, the difference that would matter (``survival``, ``median_survival``, ``rmst``).
    question : str
        What is asked, for the report's first line; default made of the groups.
    site_models : DataFrame, optional
        Of :func:`sitewise.studies.site_models`: the answers under other treatments of sites.
    """

    fit: FitResult
    groups: Population | None = None
    times: tuple[float, ...] = ()
    rmst_horizon: float | None = None
    prob: float = 0.95
    margins: Mapping[str, float] = field(default_factory=dict)
    question: str = ""
    site_models: pd.DataFrame | None = None

    @cached_property
    def population(self) -> Population:
        """The groups reported."""
        chosen = self.groups if self.groups is not None else RiskGroups.default(self.fit.cohort, self.fit.spec.variables)
        completed = completed_fits(self.fit)
        return OfCompleted(chosen, self.fit.cohort, completed[0].cohort) if completed else chosen

    @cached_property
    def milestones(self) -> tuple[float, ...]:
        """Times at which survival is reported."""
        return tuple(sorted(self.times)) if self.times else default_milestones(self.fit)

    @property
    def horizon(self) -> float:
        """Horizon of the restricted mean."""
        return self.rmst_horizon if self.rmst_horizon is not None else self.milestones[-1]

    @cached_property
    def curve_times(self) -> NDArray[np.float64]:
        """Times of the curves: an even grid over follow-up, denser where survival begins to fall, and the milestones."""
        last, start = float(self.fit.cohort.time.max()), self.fit.spec.guarantee_time
        grid = np.linspace(0.0, last, CURVE_POINTS)
        early = start + grid[3] * np.linspace(0.0, 1.0, EARLY_POINTS) ** 2
        return np.unique(np.concatenate([grid, early[early <= last], self.milestones]))

    @cached_property
    def treatments(self) -> tuple[SiteTreatment, ...]:
        """Site treatments that the model admits, for every group; hypothetical people are at no observed site."""
        if self.fit.spec.has_sites and any(group.site is None for group in self.population.groups(self.fit.cohort)):
            return (Average(), Marginal(), New()) if isinstance(self.fit.spec.sites, RandomSites) else (Average(),)
        if isinstance(self.fit.spec.sites, RandomSites):
            return (Observed(), Average(), Marginal(), New())
        if isinstance(self.fit.spec.sites, FixedSites):
            return (Observed(), Average())
        return (Average(),)

    @property
    def has_hazard_ratios(self) -> bool:
        """Whether the family has hazard ratios that do not change as time goes on."""
        return effect_metric(self.fit) == HAZARD_RATIO

    @property
    def has_time_ratios(self) -> bool:
        """Whether effects are also ratios of times."""
        return has_time_ratios(self.fit)

    @property
    def headline(self) -> SiteTreatment:
        """The treatment of the main picture: the patients at their own sites where the model has sites."""
        return self.treatments[0]

    @cached_property
    def curves(self) -> dict[str, GroupCurves]:
        """Averaged curves by the label of the site treatment."""
        return {sites.label: group_curves(self.fit, self.population, sites=sites) for sites in self.treatments}

    @cached_property
    def own_site_curves(self) -> GroupCurves:
        """Curves of each site's own patients at their site."""
        return group_curves(self.fit, BySite(), sites=Observed())

    @cached_property
    def site_curves(self) -> dict[str, GroupCurves]:
        """Curves of all patients at each observed site in turn."""
        everyone = RiskGroups(((ALL_PATIENTS, "", lambda people: np.ones(len(people), dtype=bool)),))
        at_average = group_curves(self.fit, everyone, sites=Average())
        effects = at_average.draws.site_effect
        treatments = [Observed(label) for label in self.fit.spec.resolved.site_labels]
        if not isinstance(at_average.averages, MixtureAverages) or at_average.draws.has_slopes:
            return {sites.label: group_curves(self.fit, everyone, sites=sites) for sites in treatments}
        # Sites differ by a shift of the log hazard only: one mixture serves them all.
        return {
            sites.label: replace(at_average, sites=sites, averages=replace(at_average.averages, shift=effects[:, position]))
            for position, sites in enumerate(treatments)
        }


def default_milestones(fit: FitResult) -> tuple[float, ...]:
    """Return usual milestones within follow-up, or the quarters of follow-up in an unknown unit."""
    last = float(fit.cohort.time.max())
    years = YEARS_PER_UNIT.get(fit.cohort.time_unit)
    usual = [float(f"{milestone / years:.4g}") for milestone in MILESTONES_IN_YEARS] if years else []
    within = tuple(time for time in usual if time <= last)
    return within or tuple(float(f"{last * share:.3g}") for share in (0.25, 0.5, 0.75))
