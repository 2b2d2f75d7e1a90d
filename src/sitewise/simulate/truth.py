"""What is true: survival, medians and restricted means of groups under a scenario, by quadrature.

Written apart from the estimands of a fit, which are judged against it. Sites are named as there: ``Observed()``, ``Average()``,
``Marginal()``, ``New()``, or anything with such a ``label``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtri

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.problems import Problems, ScenarioError, listed
from sitewise.simulate.cohorts import SyntheticCohort, effect
from sitewise.simulate.parts import Floats
from sitewise.simulate.people import population
from sitewise.simulate.scenario import Scenario

NODES = np.linspace(-8.5, 8.5, 201)
WEIGHTS = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()
"""Trapezoidal rule for a standard normal site effect: exact to rounding for integrands this smooth."""


class SiteLabel(Protocol):
    """A site treatment by its label."""

    @property
    def label(self) -> str:
        """``observed``, ``observed:LABEL``, ``average``, ``marginal`` or ``new``."""
        ...


class Members(Protocol):
    """A group of people: what the truth needs of it."""

    @property
    def label(self) -> str:
        """Name."""
        ...

    @property
    def people(self) -> pd.DataFrame:
        """Covariates, a row a member."""
        ...

    @property
    def weights(self) -> Floats:
        """Weights of the average, shape (m,)."""
        ...


class Groups(Protocol):
    """Names groups of people of a cohort, such as :class:`sitewise.RiskGroups`."""

    def groups(self, cohort: Cohort) -> Sequence[Members]:
        """Return the groups."""
        ...


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of some people under a scenario; make it with :meth:`of`.

    Parameters
    ----------
    scenario : Scenario
        The truth.
    people : Cohort
        Whose groups are meant: a synthetic cohort's patients, or the scenario's population.
    site_effects : ndarray, shape (J,), or None
        Log hazard ratios of sites that exist; None for a population whose sites are drawn.
    site_shares : ndarray, shape (J,), or None
        Share of the people at each site, whatever their covariates; None when the people have sites of their own.
    """

    scenario: Scenario
    people: Cohort
    site_effects: Floats | None
    site_shares: Floats | None = None

    @classmethod
    def of(cls, subject: Scenario | SyntheticCohort, /) -> Self:
        """Return the truth of a scenario's population, or of a synthetic cohort's own patients and sites.

        Raises
        ------
        ScenarioError
            When a cohort does not know its scenario.
        """
        if isinstance(subject, Scenario):
            fixed = subject.sites.log_hazard_ratios
            shares = np.asarray(subject.sites.shares)
            return cls(
                subject, population(subject), None if fixed is None else np.asarray(fixed), None if fixed is None else shares
            )
        if subject.scenario is None:
            raise ScenarioError("This cohort does not know the scenario that it came from.")
        return cls(subject.scenario, subject, subject.site_effects)

    def survival(self, times: Sequence[float], /, *, groups: Groups, sites: SiteLabel) -> pd.DataFrame:
        """Return true survival: a row a group, a column a time."""
        curves = self._curves(groups, sites)
        return pd.DataFrame({time: {name: curve.survival(time) for name, curve in curves.items()} for time in times})

    def median_survival(self, *, groups: Groups, sites: SiteLabel) -> pd.Series:
        """Return the true median of each group's averaged curve, in the scenario's time unit."""
        return pd.Series({name: curve.median() for name, curve in self._curves(groups, sites).items()})

    def rmst(self, *, groups: Groups, sites: SiteLabel, horizon: float) -> pd.Series:
        """Return the true area under each group's averaged curve up to the horizon, in the scenario's time unit."""
        return pd.Series({name: curve.rmst(horizon) for name, curve in self._curves(groups, sites).items()})

    def estimands(
        self,
        *,
        groups: Groups,
        sites: Sequence[SiteLabel],
        times: Sequence[float],
        rmst_horizon: float,
        prob: float = 0.95,
    ) -> pd.DataFrame:
        """Return every true value by group and site treatment.

        Returns
        -------
        DataFrame
            ``group, sites, estimand, horizon, true_value, lower, upper``. For ``new`` the true value is a distribution over
            sites: ``true_value`` is its median, ``lower`` and ``upper`` hold ``prob`` of it; elsewhere they are empty.
        """
        wanted: list[tuple[str, float, Callable[[_Curve], float]]] = [(names.MEDIAN_SURVIVAL, float("nan"), _Curve.median)]
        wanted += [(names.SURVIVAL, time, _at(time)) for time in times]
        wanted.append((names.RMST, rmst_horizon, lambda curve: curve.rmst(rmst_horizon)))
        rows = []
        for treatment in sites:
            spread = self._site_sd(treatment) * float(ndtri(0.5 + prob / 2)) if treatment.label == names.NEW else None
            for group, curve in self._curves(groups, treatment).items():
                for estimand, horizon, value in wanted:
                    ends = [float("nan")] * 2 if spread is None else sorted(value(curve.moved(by)) for by in (-spread, spread))
                    rows.append((group, treatment.label, estimand, horizon, value(curve), *ends))
        columns = ["group", "sites", "estimand", "horizon", "true_value", "lower", "upper"]
        return pd.DataFrame(rows, columns=columns)

    def _curves(self, groups: Groups, sites: SiteLabel) -> dict[str, _Curve]:
        return {group.label: self._curve(group, sites) for group in groups.groups(self.people)}

    def _curve(self, group: Members, sites: SiteLabel) -> _Curve:
        multiplier = self.log_hazard_ratio(group.people)
        weights = np.asarray(group.weights, dtype=float)
        weights = weights / weights.sum()
        if sites.label == names.MARGINAL:
            sd = self._site_sd(sites)
            multiplier, weights = np.add.outer(multiplier, sd * NODES).ravel(), np.outer(weights, WEIGHTS).ravel()
        elif sites.label == names.OBSERVED:
            multiplier, weights = self._at_own_sites(group, multiplier, weights)
        elif sites.label.startswith(f"{names.OBSERVED}:"):
            multiplier = multiplier + self._effects()[self._position(sites.label.split(":", 1)[1])]
        elif sites.label not in (names.AVERAGE, names.NEW):
            raise ScenarioError(f"There is no site treatment '{sites.label}'.")
        kinds, which = np.unique(multiplier, return_inverse=True)
        return _Curve(self.scenario, kinds, np.bincount(which, weights=weights))

    def log_hazard_ratio(self, people: pd.DataFrame) -> Floats:
        """Return people's true log hazard ratios against the reference patient at the same site, shape (n,).

        Raises
        ------
        ScenarioError
            When people lack a covariate of the scenario, or have a level that it does not know.
        """
        problems = Problems()
        for covariate in self.scenario.covariates:
            if covariate.name not in people.columns:
                problems.add(
                    f"covariate '{covariate.name}'", "is missing", "What is true depends on every covariate of the scenario."
                )
        problems.raise_if_any(ScenarioError, "The group")
        total = np.zeros(len(people))
        for item in self.scenario.categorical:
            codes = np.asarray(pd.Categorical(people[item.name].astype(str), categories=list(item.levels)).codes)
            if (codes < 0).any():
                unknown = sorted(set(people[item.name].astype(str)) - set(item.levels))
                problems.add(f"covariate '{item.name}'", f"has levels that the scenario lacks: {listed(unknown)}")
            total += effect(item, codes)
        problems.raise_if_any(ScenarioError, "The group")
        for numeric in self.scenario.numeric:
            total += effect(numeric, people[numeric.name].to_numpy(dtype=float))
        return total

    def _effects(self) -> Floats:
        if self.site_effects is None:
            raise ScenarioError(
                "The scenario's sites are drawn anew for each cohort, so that none is observed.",
            )
        return self.site_effects

    def _position(self, label: str) -> int:
        labels = self.scenario.sites.labels
        if label not in labels:
            raise ScenarioError(f"There is no site '{label}'.")
        return labels.index(label)

    def _at_own_sites(self, group: Members, multiplier: Floats, weights: Floats) -> tuple[Floats, Floats]:
        effects = self._effects()
        own = getattr(group, "site", None)
        if own is not None:
            order = [self._position(label) for label in self.people.site_labels]
            return multiplier + effects[order][own], weights
        if self.site_shares is None:
            raise ScenarioError(f"Group '{group.label}' is of people without a site of their own.")
        return np.add.outer(multiplier, effects).ravel(), np.outer(weights, self.site_shares).ravel()

    def _site_sd(self, sites: SiteLabel) -> float:
        if self.scenario.sites.sd is None:
            raise ScenarioError(f"Sites with stated effects have no distribution: '{sites.label}' means nothing here.")
        return self.scenario.sites.sd


def _at(time: float) -> Callable[[_Curve], float]:
    return lambda curve: curve.survival(time)


@dataclass(frozen=True, eq=False)
class _Curve:
    """The averaged survival curve of people with given log hazard ratios and weights."""

    scenario: Scenario
    multiplier: Floats
    weights: Floats

    def moved(self, by: float) -> _Curve:
        return _Curve(self.scenario, self.multiplier + by, self.weights)

    def survival(self, time: float) -> float:
        baseline = self.scenario.baseline
        since = time - baseline.guarantee_time
        if since <= 0:
            return 1.0
        log_hazard = baseline.distribution.log_cumulative_hazard(np.log(since), baseline.log_scale, baseline.shape)
        return float(self.weights @ np.exp(-np.exp(log_hazard + self.multiplier)))

    def median(self) -> float:
        """Return the time at which the averaged curve is one half; members' own medians bracket it."""
        baseline = self.scenario.baseline
        ends = np.log(np.log(2)) - np.array([self.multiplier.max(), self.multiplier.min()])
        low, high = baseline.distribution.log_time(ends, baseline.log_scale, baseline.shape)
        start = baseline.guarantee_time
        if high - low < 1e-12:
            return float(start + np.exp(low))
        root = brentq(lambda log_time: self.survival(start + np.exp(log_time)) - 0.5, low - 1e-6, high + 1e-6, xtol=1e-13)
        return float(start + np.exp(root))

    def rmst(self, horizon: float) -> float:
        baseline = self.scenario.baseline
        since = horizon - baseline.guarantee_time
        if since <= 0:
            return float(horizon)
        areas = baseline.distribution.restricted_mean(since, self.multiplier, baseline.log_scale, baseline.shape)
        return float(baseline.guarantee_time + self.weights @ areas)
