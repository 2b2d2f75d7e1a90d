"""Where the cohorts of a campaign come from, a few at a time: given ones, or simulated ones as arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.models.model_data import ModelData
from sitewise.models.resolve import prepare, resolved_design
from sitewise.models.spec import ModelSpec
from sitewise.problems import SitewiseError, SpecError, listed
from sitewise.simulate.cohorts import SimulatedCohorts

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Item:
    """One fit to be done.

    Parameters
    ----------
    number : int
        Of the replicate, from 0.
    spec : ModelSpec
        Resolved.
    data : ModelData or None
        The cohort's arrays; None when it cannot be analysed.
    problem : str
        Why not.
    truth : mapping of str to ndarray
        True values of the posterior's variables, by name, where they are known; shapes (1,) or (1, terms or sites).
    label : str
        What tells this replicate from the others.
    """

    number: int
    spec: ModelSpec
    data: ModelData | None
    problem: str = ""
    truth: Mapping[str, Floats] | None = None
    label: str = ""


class Source(Protocol):
    """Gives the replicates of a campaign by number; the same number gives the same replicate in every process."""

    def __len__(self) -> int: ...

    def items(self, start: int, stop: int) -> list[Item]:
        """Return the replicates ``start`` to ``stop``."""
        ...

    def cohort(self, number: int) -> Cohort:
        """Return the patients of a replicate, for estimands that need them."""
        ...

    @property
    def models(self) -> Sequence[ModelSpec]:
        """The resolved specs that are fitted."""
        ...

    def fingerprint(self) -> str:
        """Return what tells this source from another, so that a campaign is not resumed with other cohorts."""
        ...


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _text(spec: ModelSpec) -> str:
    import json

    return json.dumps(spec.to_dict(), sort_keys=True)


@dataclass(frozen=True, eq=False)
class GivenCohorts:
    """Cohorts under one spec, or one cohort under several specs (``cohorts`` and ``specs`` of equal length)."""

    specs: Sequence[ModelSpec]
    cohorts: Sequence[Cohort]
    labels: Sequence[str]

    def __len__(self) -> int:
        return len(self.cohorts)

    def items(self, start: int, stop: int) -> list[Item]:
        """Return the replicates, each prepared; a cohort that the spec cannot take becomes an item with the reason."""
        found = []
        for number in range(start, stop):
            spec, cohort = self.specs[number], self.cohorts[number]
            try:
                found.append(Item(number, spec, prepare(spec, cohort), label=self.labels[number]))
            except SitewiseError as error:
                found.append(Item(number, spec, None, str(error), label=self.labels[number]))
        return found

    def cohort(self, number: int) -> Cohort:
        """Return the cohort given."""
        return self.cohorts[number]

    @property
    def models(self) -> Sequence[ModelSpec]:
        """The specs, each once."""
        return list({id(spec): spec for spec in self.specs}.values())

    def fingerprint(self) -> str:
        """Return the hash of specs and cohorts."""
        return _hash(*map(_text, self.specs), *(cohort.data_hash for cohort in self.cohorts))


@dataclass(frozen=True, eq=False)
class SimulatedArrays:
    """Simulated cohorts as arrays under one resolved spec: prepared a chunk at a time, without a table for each."""

    spec: ModelSpec
    cohorts: SimulatedCohorts

    def __len__(self) -> int:
        return len(self.cohorts)

    def items(self, start: int, stop: int) -> list[Item]:
        """Return the replicates; one without events, or with a patient who left before the guarantee time, has a reason."""
        cohorts, spec = self.cohorts, self.spec
        known = {label: place for place, label in enumerate(spec.resolved.site_labels)}
        lacking = [label for label in cohorts.scenario.sites.labels if spec.has_sites and label not in known]
        if lacking:
            raise SpecError(f"The spec was resolved without the sites {listed(lacking)}: resolve it on a cohort with all.")
        count, patients = stop - start, cohorts.time.shape[1]
        people: dict[str, Any] = {}
        for item in cohorts.scenario.categorical:
            codes = cohorts.covariates[item.name][start:stop].ravel().astype(np.int64)
            levels = spec.resolved.levels.get(item.name, item.levels)  # the spec may have another reference level
            people[item.name] = pd.Categorical(np.asarray(item.levels, dtype=object)[codes], categories=list(levels))
        people |= {item.name: cohorts.covariates[item.name][start:stop].ravel() for item in cohorts.scenario.numeric}
        lacking = [name for name in (*spec.variables, *spec.groupings) if name not in people or name in spec.groupings]
        if lacking:
            raise SpecError(f"The scenario has no covariates {listed(lacking)}, which the model uses.")
        design = resolved_design(spec, _People(pd.DataFrame(people)))  # type: ignore[arg-type]
        if design.columns != spec.resolved.columns:
            raise SpecError(f"The scenario gives the columns {listed(design.columns)}, not {listed(spec.resolved.columns)}.")
        rows = (design.matrix - np.asarray(spec.resolved.means)).reshape(count, patients, -1)
        site = np.array([known[label] if spec.has_sites else 0 for label in cohorts.scenario.sites.labels])
        found = []
        for place, number in enumerate(range(start, stop)):
            time, event = cohorts.time[number], cohorts.event[number].astype(float)
            problem = "" if event.any() else "has no events"
            if (time <= spec.guarantee_time).any():
                problem = f"has times at or before the guarantee time {spec.guarantee_time:g}"
            data = None
            if not problem:
                data = ModelData(
                    log_time=np.log(time - spec.guarantee_time),
                    event=event,
                    log_entry=None,
                    entered_late=None,
                    weight=None,
                    covariates=rows[place],
                    site=site[cohorts.site[number]] if spec.has_sites else np.zeros(patients, dtype=np.int64),
                    design=replace(design, matrix=design.matrix[:0]),
                )
            found.append(Item(number, spec, data, problem, label=f"cohort {cohorts.first + number}"))
        return found

    def cohort(self, number: int) -> Cohort:
        """Return the cohort with its table."""
        return self.cohorts.cohort(number)

    @property
    def models(self) -> Sequence[ModelSpec]:
        """The one spec."""
        return [self.spec]

    def fingerprint(self) -> str:
        """Return the hash of spec, scenario, seed and numbers of the cohorts."""
        cohorts = self.cohorts
        return _hash(_text(self.spec), cohorts.scenario.hash, str(cohorts.seed), str(cohorts.first), str(len(cohorts)))


@dataclass(frozen=True)
class _People:
    """What a design needs of a cohort."""

    covariates: pd.DataFrame
