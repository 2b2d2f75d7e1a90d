"""Survival of groups beside its truth: what a fit says of each group of a simulated cohort, and what is true of its members."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.estimands import Group, Population, SiteTreatment, survival
from sitewise.models.fitted import Fitted
from sitewise.simulate import SyntheticCohort, Truth
from sitewise.simulate.covariates import labelled
from sitewise.studies.drawn_cohorts import DrawnCohort
from sitewise.studies.replication.sources import SimulatedArrays

MEASURE = "measure"
TRUTH, PATIENTS, EVENTS = "truth", "patients", "events"


@dataclass(frozen=True)
class Measured:
    """An estimand: survival of each group at a time, and beside it what is true and how many patients and events there were."""

    groups: Population
    sites: SiteTreatment
    time: float

    def __call__(self, fit: Fitted) -> xr.DataArray:
        """Return draws, dims (chain, draw, group, measure); all measures but survival are the same in every draw."""
        groups = Made(tuple(self.groups.groups(fit.cohort)))
        values = survival(fit, groups=groups, sites=self.sites, times=[self.time]).isel({names.TIME: 0}, drop=True)
        event = fit.cohort.event
        everyone = np.ones(event.size, dtype=bool)
        members = [everyone if group.rows is None else group.rows for group in groups.made]
        constants = {
            TRUTH: self._truth(fit.cohort, groups),
            PATIENTS: [rows.sum() for rows in members],
            EVENTS: [event[rows].sum() for rows in members],
        }
        parts = [values.drop_vars([name for name in values.coords if name not in values.dims])]
        parts += [xr.zeros_like(parts[0]) + xr.DataArray(known, dims=names.GROUP) for known in constants.values()]
        return xr.concat(parts, pd.Index([names.SURVIVAL, *constants], name=MEASURE))

    def _truth(self, cohort: Cohort, groups: Made) -> list[float]:
        if isinstance(cohort, DrawnCohort) and cohort.truth is not None:
            found = survival(cohort.truth, groups=groups, sites=self.sites, times=[self.time])
            return [float(value) for value in found.to_numpy().ravel()]
        assert isinstance(cohort, SyntheticCohort)
        true = Truth.of(cohort).survival([self.time], groups=groups, sites=self.sites)
        return [float(value) for value in true.to_numpy().ravel()]


@dataclass(frozen=True)
class Made:
    """Groups that were made already."""

    made: tuple[Group, ...]

    def groups(self, cohort: Cohort) -> list[Group]:
        """Return the groups."""
        return list(self.made)


@dataclass(frozen=True, eq=False)
class ScenarioCohorts(SimulatedArrays):
    """Simulated arrays whose patients are put into a table without validating it a thousand times."""

    @cached_property
    def _first(self) -> SyntheticCohort:
        return self.cohorts.cohort(int(np.argmax(self.cohorts.event.any(axis=1))))

    def cohort(self, number: int) -> SyntheticCohort:
        """Return the patients of a replicate."""
        many, first = self.cohorts, self._first
        scenario = many.scenario
        covariates: dict[str, Any] = {
            item.name: labelled(many.covariates[item.name][number], item.levels) for item in scenario.categorical
        }
        covariates |= {item.name: many.covariates[item.name][number] for item in scenario.numeric}
        return replace(
            first,
            time=many.time[number].copy(),
            event=many.event[number].astype(float),
            site=pd.Series(labelled(many.site[number], scenario.sites.labels)),
            covariates=pd.DataFrame(covariates)[list(first.covariates.columns)],
            number=many.first + number,
            site_effects=many.site_effects[number].copy(),
            warnings=(),
            notes=(),
        )
