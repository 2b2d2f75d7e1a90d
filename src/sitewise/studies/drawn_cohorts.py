"""Cohorts of any size from a posterior: in each, one draw is the truth, and the patients are those of the fit drawn anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.inference import FitResult
from sitewise.models.fitted import Fitted
from sitewise.models.labels import dimensions_of, labels_of
from sitewise.models.model_data import ModelData
from sitewise.models.resolve import prepare
from sitewise.models.site_effects import FixedSites
from sitewise.models.spec import ModelSpec
from sitewise.models.student_t import degrees_of_freedom, unit_scale
from sitewise.problems import SpecError
from sitewise.studies.replication.sources import Item
from sitewise.studies.replication.work import LightFit, branch
from sitewise.studies.sbc.follow_up import FollowUp
from sitewise.studies.sbc.source import simulated

Floats = NDArray[np.float64]
DRAW = 3
"""Branch of a replicate's seed for its truth and patients; cohorts of all sizes share the truths."""
UNUSED = (
    names.SITE_EFFECT_STANDARDISED,
    names.SITE_SLOPE_STANDARDISED,
    names.SITE_LOG_SHAPE_STANDARDISED,
    names.LOG_MEDIAN_AT_MEANS,
)


@dataclass(frozen=True, eq=False, repr=False)
class DrawnCohort(Cohort):
    """A cohort whose truth is one posterior draw: ``truth`` is a fit of that draw alone, to these patients."""

    truth: Fitted | None = None


@dataclass(frozen=True, eq=False)
class DrawnCohorts:
    """Replicates drawn from a posterior.

    Each takes one draw as true, and ``patients`` patients of the fitted cohort with replacement (by their weights, which they
    then no longer have), with their covariates, entry and follow-up, and new times. They stay at their own sites, whose effects
    are the draw's; or with ``site_count`` they are spread evenly over new sites with effects from the draw's distribution.

    Parameters
    ----------
    fitted : FitResult
        The posterior and its patients.
    analysis : ModelSpec
        Resolved: the model that is fitted to the replicates.
    patients : int
        Patients of each replicate.
    replicates : int
        Number of replicates.
    seed : int
        A replicate depends on the seed and its number only.
    site_count : int, optional
        Number of new sites.
    """

    fitted: FitResult
    analysis: ModelSpec
    patients: int
    replicates: int
    seed: int
    site_count: int | None = None

    def __post_init__(self) -> None:
        if self.site_count is not None and self.fitted.spec.resolved.site_sd is None:
            kind = "fixed" if isinstance(self.fitted.spec.sites, FixedSites) else "no"
            raise SpecError(
                f"The fit has {kind} site effects, so no distribution from which new sites could come. Fit random sites, "
                "(1 | site), or leave the numbers of sites out."
            )

    def __len__(self) -> int:
        return self.replicates

    @cached_property
    def true_spec(self) -> ModelSpec:
        """The model that makes the times, with the sites of the replicates."""
        return self._at_sites(self.fitted.spec)

    @cached_property
    def fitted_spec(self) -> ModelSpec:
        """The model that is fitted, with the sites of the replicates."""
        return self._at_sites(self.analysis)

    @property
    def models(self) -> Sequence[ModelSpec]:
        """The one spec that is fitted."""
        return [self.fitted_spec]

    def _at_sites(self, spec: ModelSpec) -> ModelSpec:
        if self.site_count is None or not spec.has_sites:
            return spec
        labels = tuple(f"site {number + 1}" for number in range(self.site_count))
        return replace(spec, resolution=replace(spec.resolved, site_labels=labels))

    @cached_property
    def _arrays(self) -> tuple[ModelData, ModelData]:
        """The fitted cohort under the model that makes the times, and under the one that is fitted."""
        return prepare(self.fitted.spec, self.fitted.cohort), prepare(self.analysis, self.fitted.cohort)

    @cached_property
    def _follow_up(self) -> FollowUp:
        return FollowUp.of(self.fitted.cohort)

    def _made(self, number: int) -> tuple[dict[str, Floats], NDArray[np.int64], ModelData]:
        """Return a replicate's true parameters, its patients' rows in the fitted cohort, and arrays under the true model."""
        rng = np.random.default_rng(branch(self.seed, number, DRAW))
        posterior, weights = self.fitted.posterior, self.fitted.cohort.weights
        chain, draw = (int(rng.integers(posterior.sizes[dim])) for dim in (names.CHAIN, names.DRAW))
        truth = {
            str(name): np.asarray(values.isel({names.CHAIN: chain, names.DRAW: draw}).to_numpy())[None]
            for name, values in posterior.data_vars.items()
            if name not in UNUSED
        }
        rows = rng.choice(weights.size, self.patients, p=weights / weights.sum())
        data = replace(self._arrays[0].some(rows), weight=None)
        if self.site_count is not None:
            truth |= new_sites(self.fitted.spec, truth, self.site_count, rng)
            if names.SITE_SHAPE_SD in truth:
                truth[names.SITE_LOG_SHAPE] = truth[names.SITE_SHAPE_SD][:, None] * rng.standard_normal((1, self.site_count))
            data = replace(data, site=rng.permutation(np.arange(self.patients) % self.site_count))
        return truth, rows, simulated(self.true_spec, truth, data, self._follow_up.some(rows), rng)

    def items(self, start: int, stop: int) -> list[Item]:
        """Return the replicates' arrays under the model that is fitted; one without events has a reason instead."""
        found = []
        for number in range(start, stop):
            _, rows, made = self._made(number)
            site = made.site if self.site_count is not None and self.analysis.has_sites else self._arrays[1].site[rows]
            times = {name: getattr(made, name) for name in ("log_time", "event", "interval", "log_lower", "lower_known")}
            data = replace(self._arrays[1].some(rows), **times, weight=None, site=site)
            problem = "" if made.event.any() else "has no events"
            spec = self.fitted_spec
            found.append(Item(number, spec, None if problem else data, problem, label=f"drawn cohort {number}"))
        return found

    def cohort(self, number: int) -> DrawnCohort:
        """Return the patients of a replicate, with their truth."""
        truth, rows, made = self._made(number)
        old, spec = self.fitted.cohort, self.true_spec
        content: dict[str, Any] = {item.name: getattr(old, item.name) for item in fields(Cohort)}
        time = np.exp(made.log_time) + spec.guarantee_time
        content |= {
            "time": time,
            "lower": lower_ends(made, time, spec.guarantee_time),
            "event": made.event,
            "entry": old.entry[rows],
            "weights": np.ones(self.patients),
            "site": self._sites(rows, made),
            "id": pd.Series([str(row + 1) for row in range(self.patients)], name=old.id.name),
            "covariates": old.covariates.iloc[rows].reset_index(drop=True),
            "warnings": (),
            "notes": (),
            "source": f"one cohort drawn from a posterior (seed {self.seed}, number {number}): not real patients",
            "synthetic": True,
            "rows": (),
        }
        cohort = DrawnCohort(**content)
        return replace(cohort, truth=LightFit(one_draw(spec, truth), spec, cohort, self.seed))

    def _sites(self, rows: NDArray[np.int64], made: ModelData) -> pd.Series | None:
        old = self.fitted.cohort.site
        if old is None:
            return None
        if self.site_count is None:
            return old.iloc[rows].reset_index(drop=True)
        kind = pd.CategoricalDtype(list(self.true_spec.resolved.site_labels), ordered=old.cat.ordered)
        return pd.Series(pd.Categorical.from_codes(made.site, dtype=kind), name=old.name)

    def fingerprint(self) -> str:
        """Return what tells these replicates from others."""
        numbers = (self.patients, self.replicates, self.seed, self.site_count)
        known = (self.fitted.spec_hash, self.fitted.cohort.data_hash, self.fitted.seed, self.analysis.to_dict())
        return f"{known} {numbers}"


def new_sites(spec: ModelSpec, truth: Mapping[str, Floats], count: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Return effects (1, J) and slopes (1, J, K) of new sites from their distribution under one draw."""
    freedom = degrees_of_freedom(spec, truth)
    if freedom is not None:
        standard = unit_scale(freedom)[:, None] * rng.standard_t(freedom[:, None], (1, count))
        return {names.SITE_EFFECT: truth[names.SITE_SD][:, None] * standard}
    standard = rng.standard_normal((1, count))
    found = {names.SITE_EFFECT: truth[names.SITE_SD][:, None] * standard}
    if names.SITE_SLOPE_SD in truth:
        slopes = rng.standard_normal((1, count, truth[names.SITE_SLOPE_SD].shape[-1]))
        if names.SITE_CORRELATION in truth:
            factor = np.linalg.cholesky(truth[names.SITE_CORRELATION])
            slopes = (np.concatenate([standard[..., None], slopes], axis=-1) @ np.swapaxes(factor, -1, -2))[..., 1:]
        found[names.SITE_SLOPE] = truth[names.SITE_SLOPE_SD][:, None] * slopes
    return found


def lower_ends(made: ModelData, time: Floats, guarantee_time: float) -> Floats | None:
    """Return the lower ends of intervals in the cohort's unit, equal to the times where these are exact; None without any."""
    if made.interval is None or made.log_lower is None or made.lower_known is None:
        return None
    lower = guarantee_time * (made.lower_known > 0) + made.lower_known * np.exp(made.log_lower)
    return np.where(made.interval > 0, lower, time)


def one_draw(spec: ModelSpec, truth: Mapping[str, Floats]) -> xr.Dataset:
    """Return true parameters, shapes (1,) or (1, terms or sites), as a posterior of one draw."""
    content = {name: ((names.CHAIN, names.DRAW, *dimensions_of(spec, name)), values[None]) for name, values in truth.items()}
    return xr.Dataset(content, coords={names.CHAIN: [0], names.DRAW: [0], **labels_of(spec)})
