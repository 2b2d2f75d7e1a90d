"""`simulate` and `simulate_many`: cohorts of a scenario, one by one or thousands as arrays.

Each cohort has a random stream of its own, spawned from the seed by the cohort's number, and draws in a fixed order: site
effects, latent covariates, sites, events, censoring. So a cohort depends on the scenario, the seed and its number only, not on
how many are made at a time; and scenarios that differ in their numbers share their random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.cohort.synthetic import SYNTHETIC
from sitewise.families import Weibull
from sitewise.problems import ScenarioError
from sitewise.simulate.covariates import column, correlate, labelled, site_sizes
from sitewise.simulate.parts import Categorical, Floats, Numeric
from sitewise.simulate.scenario import Scenario

CHUNK = 1 << 14
"""Patients worked on at a time: their arrays stay in the processor's cache."""


@dataclass(frozen=True, eq=False, repr=False)
class SyntheticCohort(Cohort):
    """A cohort that was simulated, with what is true of it.

    Parameters
    ----------
    scenario : Scenario
        What it was simulated from.
    seed, number : int
        Which of the scenario's cohorts it is.
    site_effects : ndarray, shape (J,)
        The sites' true log hazard ratios against an average site, in the order of the scenario's sites.
    """

    scenario: Scenario | None = None
    seed: int = 0
    number: int = 0
    site_effects: Floats | None = None


@dataclass(frozen=True, eq=False)
class SimulatedCohorts:
    """Many cohorts of one scenario as arrays: m cohorts, n patients, J sites.

    Parameters
    ----------
    scenario : Scenario
        What they were simulated from.
    seed, first : int
        The seed, and the number of the first cohort.
    time : ndarray, shape (m, n)
        Event or censoring time in the scenario's unit.
    event : ndarray of bool, shape (m, n)
        Whether the time is an event.
    site : ndarray of int, shape (m, n)
        Position of the patient's site in the scenario's labels.
    covariates : mapping of str to ndarray, shape (m, n)
        Level numbers (int8) of categorical covariates, values of numeric ones.
    site_effects : ndarray, shape (m, J)
        True log hazard ratios of the sites.
    """

    scenario: Scenario
    seed: int
    first: int
    time: Floats
    event: NDArray[np.bool_]
    site: NDArray[np.int64]
    covariates: Mapping[str, NDArray[Any]]
    site_effects: Floats

    def __len__(self) -> int:
        return int(self.time.shape[0])

    def table(self, position: int) -> pd.DataFrame:
        """Return the table of the cohort at ``position``: cohort, patient, site, time, event, covariates, synthetic."""
        scenario = self.scenario
        number = self.first + range(len(self))[position]
        columns: dict[str, Any] = {
            "cohort": number,
            "patient": np.arange(1, self.time.shape[1] + 1),
            "site": labelled(self.site[position], scenario.sites.labels),
            "time": self.time[position],
            "event": self.event[position].astype(np.int8),
        }
        for item in scenario.categorical:
            columns[item.name] = labelled(self.covariates[item.name][position], item.levels)
        columns |= {item.name: self.covariates[item.name][position] for item in scenario.numeric}
        return pd.DataFrame({**columns, SYNTHETIC: True})

    def frame(self) -> pd.DataFrame:
        """Return all cohorts below one another, columns as in :meth:`table`."""
        return pd.concat([self.table(position) for position in range(len(self))], ignore_index=True)

    def cohort(self, position: int) -> SyntheticCohort:
        """Return the cohort at ``position`` with its truth, validated like any patient table.

        Raises
        ------
        CohortError
            When it cannot be analysed: a small cohort may have no events. The arrays are there all the same.
        """
        scenario = self.scenario
        number = self.first + range(len(self))[position]
        read = Cohort.from_frame(
            self.table(position).drop(columns=["cohort", SYNTHETIC]),
            time="time",
            event="event",
            site="site",
            id="patient",
            time_unit=scenario.time_unit,
            levels={item.name: item.levels for item in scenario.categorical},
            source=f"one synthetic cohort simulated from {scenario.id} (seed {self.seed}, cohort {number}): not real patients",
        )
        found = {item.name: getattr(read, item.name) for item in fields(Cohort)}
        return SyntheticCohort(
            **{**found, SYNTHETIC: True},
            scenario=scenario,
            seed=self.seed,
            number=number,
            site_effects=self.site_effects[position].copy(),
        )


def simulate(scenario: Scenario, seed: int) -> SyntheticCohort:
    """Return one synthetic cohort with its truth: cohort 0 of this seed.

    Parameters
    ----------
    scenario : Scenario
        What is true.
    seed : int
        Seed; the same seed gives the same cohort.

    Returns
    -------
    SyntheticCohort
        A :class:`Cohort` that also knows its scenario and site effects; ``Truth.of(cohort)`` tells its true survival.
    """
    return simulate_many(scenario, 1, seed=seed).cohort(0)


def simulate_many(scenario: Scenario, cohorts: int, /, *, seed: int, first: int = 0) -> SimulatedCohorts:
    """Return many cohorts as arrays.

    Parameters
    ----------
    scenario : Scenario
        What is true.
    cohorts : int
        How many.
    seed : int
        Seed of all of them.
    first : int
        Number of the first: cohorts 100 to 199 are the same whether made alone or with those before them.

    Returns
    -------
    SimulatedCohorts

    Raises
    ------
    ScenarioError
        When a number is out of range.
    """
    if cohorts < 1 or first < 0 or seed < 0:
        raise ScenarioError(f"cohorts must be at least 1, first and seed at least 0; they are {cohorts}, {first} and {seed}.")
    made = _Arrays.empty(scenario, cohorts)
    step = max(1, CHUNK // scenario.patients)
    for start in range(0, cohorts, step):
        _fill(made.rows(start, min(start + step, cohorts)), scenario, seed, first + start)
    return SimulatedCohorts(scenario, seed, first, made.time, made.event, made.site, made.covariates, made.site_effects)


@dataclass(frozen=True, eq=False)
class _Arrays:
    """Room for m cohorts, or a view of some of them."""

    time: Floats
    event: NDArray[np.bool_]
    site: NDArray[np.int64]
    covariates: dict[str, NDArray[Any]]
    site_effects: Floats

    @classmethod
    def empty(cls, scenario: Scenario, cohorts: int) -> Self:
        size = (cohorts, scenario.patients)
        kinds = {item.name: float if isinstance(item, Numeric) else np.int8 for item in scenario.covariates}
        return cls(
            np.empty(size),
            np.empty(size, dtype=bool),
            np.empty(size, dtype=np.int64),
            {name: np.empty(size, dtype=kind) for name, kind in kinds.items()},
            np.empty((cohorts, len(scenario.sites.labels))),
        )

    def rows(self, start: int, stop: int) -> _Arrays:
        covariates = {name: values[start:stop] for name, values in self.covariates.items()}
        return _Arrays(
            self.time[start:stop], self.event[start:stop], self.site[start:stop], covariates, self.site_effects[start:stop]
        )


def _fill(made: _Arrays, scenario: Scenario, seed: int, first: int) -> None:
    """Simulate the cohorts from number ``first`` into the arrays."""
    exact = scenario.margins == "exact"
    log_hazard, log_follow_up = _draw(made, scenario, seed, first, exact)
    log_hazard -= np.take_along_axis(made.site_effects, made.site, axis=1)
    for item in scenario.covariates:
        log_hazard -= effect(item, made.covariates[item.name])
    baseline, censoring = scenario.baseline, scenario.censoring
    log_time = baseline.distribution.log_time(log_hazard, baseline.log_scale, baseline.shape)
    time = baseline.guarantee_time + np.exp(log_time)
    end = np.full(time.shape, np.inf) if censoring.administrative is None else np.full(time.shape, censoring.administrative)
    if log_follow_up is not None and censoring.scale is not None:
        own = Weibull().log_time(log_follow_up, np.log(censoring.scale), (censoring.shape,))
        np.minimum(end, censoring.start + np.exp(own), out=end)
    np.less_equal(time, end, out=made.event)
    np.minimum(time, end, out=made.time)


def _draw(made: _Arrays, scenario: Scenario, seed: int, first: int, exact: bool) -> tuple[Floats, Floats | None]:
    """Draw sites, site effects and covariates; return log standard exponentials of events and of censoring."""
    cohorts, patients = made.time.shape
    sites, covariates = scenario.sites, scenario.covariates
    latent = np.empty((cohorts, len(covariates), patients))
    hazard = np.empty((cohorts, patients))
    follow_up = np.empty((cohorts, patients)) if scenario.censoring.scale is not None else None
    if sites.log_hazard_ratios is not None:
        made.site_effects[:] = sites.log_hazard_ratios
    if exact:
        made.site[:] = np.repeat(np.arange(len(sites.labels)), site_sizes(scenario, patients))
    for row in range(cohorts):
        stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(first + row,))))
        if sites.sd is not None:
            made.site_effects[row] = sites.sd * stream.standard_normal(len(sites.labels))
        stream.standard_normal(out=latent[row])
        if not exact:
            made.site[row] = np.searchsorted(np.cumsum(sites.shares)[:-1], stream.random(patients), side="right")
        stream.standard_exponential(out=hazard[row])
        if follow_up is not None:
            stream.standard_exponential(out=follow_up[row])
    if covariates:
        correlate(latent, scenario.latent_correlation)
    for position, item in enumerate(covariates):
        made.covariates[item.name][:] = column(item, latent[:, position], exact=exact)
    log_follow_up = None if follow_up is None else np.log(follow_up, out=follow_up)
    return np.log(hazard, out=hazard), log_follow_up


def effect(covariate: Categorical | Numeric, values: NDArray[Any]) -> Floats:
    """Return the log hazard ratios of level numbers or values against the reference patient, of the same shape."""
    if isinstance(covariate, Categorical):
        return np.asarray(np.asarray(covariate.log_hazard_ratios)[values])
    return np.asarray(covariate.log_hazard_ratio * (values - covariate.reference))
