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
from scipy.special import ndtri

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.cohort.levels import labels
from sitewise.problems import Problems, ScenarioError, listed, nearest
from sitewise.simulate.cohorts import SyntheticCohort, effect
from sitewise.simulate.parts import Floats
from sitewise.simulate.people import Cuts, population
from sitewise.simulate.scenario import Scenario
from sitewise.simulate.true_curve import TrueCurve, normal_rule

OTHER_NODES = 27
SAME_SHARE = 1e-6


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
    again : Cohort or None
        The population with other nodes, where it has numeric covariates: a group that cuts one of them where integration does
        not stop has another share there, and is refused.
    """

    scenario: Scenario
    people: Cohort
    site_effects: Floats | None
    site_shares: Floats | None = None
    again: Cohort | None = None

    @classmethod
    def of(cls, subject: Scenario | SyntheticCohort, /, *, cuts: Cuts | None = None) -> Self:
        """Return the truth of a scenario's population, or of a synthetic cohort's own patients and sites.

        Parameters
        ----------
        subject : Scenario or SyntheticCohort
            Whose truth.
        cuts : mapping of str to sequence of float, optional
            For a scenario, the values at which groups cut a numeric covariate, such as ``{"age": [70]}``.

        Raises
        ------
        ScenarioError
            When a cohort does not know its scenario.
        """
        if isinstance(subject, Scenario):
            fixed = subject.sites.log_hazard_ratios
            shares = np.asarray(subject.sites.shares)
            effects = None if fixed is None else np.asarray(fixed)
            again = population(subject, cuts=cuts, nodes=OTHER_NODES) if subject.numeric else None
            return cls(subject, population(subject, cuts=cuts), effects, None if fixed is None else shares, again)
        if not isinstance(subject, SyntheticCohort) or subject.scenario is None:
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
        wanted: list[tuple[str, float, Callable[[TrueCurve], float]]] = [
            (names.MEDIAN_SURVIVAL, float("nan"), TrueCurve.median)
        ]
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

    def _curves(self, groups: Groups, sites: SiteLabel) -> dict[str, TrueCurve]:
        found = groups.groups(self.people)
        if self.again is not None:
            shares = {group.label: float(np.sum(group.weights)) for group in groups.groups(self.again)}
            for group in found:
                if abs(float(np.sum(group.weights)) - shares.get(group.label, 0.0)) > SAME_SHARE:
                    raise ScenarioError(
                        f"Group '{group.label}' cuts a numeric covariate, where its share cannot be integrated. Name the "
                        'values at which it does: Truth.of(scenario, cuts={"age": [70]}).'
                    )
        return {group.label: self._curve(group, sites) for group in found}

    def _curve(self, group: Members, sites: SiteLabel) -> TrueCurve:
        multiplier = self.log_hazard_ratio(group.people)
        weights = np.asarray(group.weights, dtype=float)
        weights = weights / weights.sum()
        if sites.label == names.MARGINAL:
            nodes, shares = normal_rule(self._site_sd(sites))
            multiplier, weights = np.add.outer(multiplier, nodes).ravel(), np.outer(weights, shares).ravel()
        elif sites.label == names.OBSERVED:
            multiplier, weights = self._at_own_sites(group, multiplier, weights)
        elif sites.label.startswith(f"{names.OBSERVED}:"):
            multiplier = multiplier + self._effects()[self._position(sites.label.split(":", 1)[1])]
        elif sites.label == names.NEW:
            self._site_sd(sites)  # a new site is drawn, its median site is the average one
        elif sites.label != names.AVERAGE:
            raise ScenarioError(f"There is no site treatment '{sites.label}'.")
        kinds, which = np.unique(multiplier, return_inverse=True)
        return TrueCurve(self.scenario, kinds, np.bincount(which, weights=weights))

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
            own = labels(people[item.name])
            unknown = [level for level in dict.fromkeys(own.fillna("missing")) if level not in item.levels]
            if unknown:
                problems.add(f"covariate '{item.name}'", f"has levels that the scenario lacks: {listed(unknown)}")
            else:
                position = {level: number for number, level in enumerate(item.levels)}
                total += effect(item, own.map(position).to_numpy(dtype=int))
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
        known = self.scenario.sites.labels
        if label not in known:
            raise ScenarioError(f"There is no site '{label}'. {nearest(label, known)}")
        return known.index(label)

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


def _at(time: float) -> Callable[[TrueCurve], float]:
    return lambda curve: curve.survival(time)
