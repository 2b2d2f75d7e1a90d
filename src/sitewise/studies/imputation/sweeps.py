"""Data augmentation: chains that alternate between the parameters and the missing values (Tanner & Wong 1987, JASA 82:528).

One sweep of a chain draws the survival model's parameters given its completed cohort (the fast engine's weighted draws, one of
which is taken by its weight), then each covariate regression's, then the missing values of each covariate from

    p(x | covariates before it) x p(later covariates | x) x p(time, event | x, parameters).

Levels are drawn from this distribution by enumeration. A number is chosen among its present value and fresh draws of its
regression by what they are worth in the other factors: iterated sampling importance resampling, which leaves the distribution
as it is for any number of candidates (Andrieu, Lee & Vihola 2018, Bernoulli 24:842). So the chain's target is the posterior of
one joint model (the one of Bartlett et al. 2015, SMMR 24:462, with covariates modelled one after another), and no distribution
of missing values contradicts another.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.inference.densities import coefficient_name, log_likelihood_of_draws
from sitewise.inference.engine import Report
from sitewise.inference.nested_laplace.engine import non_centred
from sitewise.inference.nested_laplace.weighting import weighted_draws
from sitewise.inference.packing import column_scales, unpack_arrays
from sitewise.models import ModelSpec
from sitewise.models.model_data import ModelData
from sitewise.models.resolve import prepare, resolved_design
from sitewise.studies.imputation.regressions import Parameters, Regression
from sitewise.studies.imputation.variables import Variable

Floats = NDArray[np.float64]
DRAWS, MORE_DRAWS = 200, 2000
"""Weighted draws of which one is taken, and as many where fewer than :data:`FEWEST` of the first count."""
FEWEST = 50.0
CANDIDATES = 12
"""For a missing number: its present value and eleven fresh ones."""


@dataclass(frozen=True, eq=False)
class Chains:
    """What the chains came to.

    Parameters
    ----------
    values : dict of str to ndarray, shape (M, n)
        Completed values of each incomplete covariate at the last sweep.
    trace : ndarray, shape (M, sweeps, Q)
        Coefficients, and means of imputed values or shares of levels, after each sweep.
    quantities : tuple of str
        Names of the Q.
    importance_ess : float
        Smallest effective number of the weighted draws of which one was taken.
    """

    values: dict[str, Floats]
    trace: Floats
    quantities: tuple[str, ...]
    importance_ess: float


class Sampler:
    """The chains' state and the steps that change it."""

    def __init__(
        self,
        spec: ModelSpec,
        cohort: Cohort,
        *,
        variables: Sequence[Variable],
        regressions: Sequence[Regression],
        streams: Sequence[np.random.Generator],
        workers: int,
    ):
        self.spec, self.streams, self.workers = spec, streams, workers
        self.variables = {item.name: item for item in variables}
        self.regressions = {item.target.name: item for item in regressions}
        self.site = cohort.site_index
        self.template = prepare(spec, cohort)
        self.design = resolved_design(spec, cohort)
        self.means = np.asarray(spec.resolved.means)
        self.values = {item.name: self._start(item) for item in variables}
        everybody = np.arange(len(cohort))
        self.rows = self._design_rows(everybody, {}, 1)[:, :, 0] if spec.terms else np.empty((len(streams), len(cohort), 0))
        self.parameters: dict[str, Parameters | None] = dict.fromkeys(self.regressions)
        self.survival: list[dict[str, Floats]] = []
        self.importance_ess = np.inf

    def _start(self, variable: Variable) -> Floats:
        """Return values whose missing ones are drawn from those observed, a row a chain: the chains begin apart."""
        start = np.tile(variable.values, (len(self.streams), 1))
        observed = variable.values[~variable.missing]
        for own, stream in zip(start, self.streams, strict=True):
            own[variable.missing] = stream.choice(observed, int(variable.missing.sum()))
        return start

    def sweep(self) -> None:
        """Change everything once."""
        self.draw_survival()
        for name, regression in self.regressions.items():
            rows = regression.rows([self.values[item.name] for item in regression.given], self.site)
            self.parameters[name] = regression.draw(rows, self.values[name], self.parameters[name], self.streams)
        for regression in self.regressions.values():
            self.draw_values(regression)

    def draw_survival(self) -> None:
        """Draw the survival model's parameters in every chain."""

        def one(place: int) -> tuple[dict[str, Floats], float]:
            data, stream = self._data(place), self.streams[place]
            found = weighted_draws(self.spec, data, draws=DRAWS, rng=stream)
            if not found.importance_ess > FEWEST:
                found = weighted_draws(self.spec, data, draws=MORE_DRAWS, rng=stream)
            chosen = stream.choice(found.weights.size, p=found.weights / found.weights.sum())
            drawn = unpack_arrays(non_centred(self.spec), column_scales(data), found.points[[chosen]])
            return drawn, found.importance_ess

        with ThreadPoolExecutor(self.workers) as pool:
            found = list(pool.map(one, range(len(self.streams))))
        self.survival = [drawn for drawn, _ in found]
        self.importance_ess = min(self.importance_ess, *(size for _, size in found))

    def draw_values(self, regression: Regression) -> None:
        """Draw the missing values of one covariate in every chain."""
        target = regression.target
        lacking = np.flatnonzero(target.missing)
        given = [self.values[item.name][:, lacking] for item in regression.given]
        own_rows = regression.rows(given, self.site[lacking])
        known = self._known(target.name)
        shape = (len(self.streams), lacking.size)
        if target.levels:
            log_weight = np.broadcast_to(regression.log_probabilities(own_rows, known), (*shape, len(target.levels))).copy()
            candidates = np.broadcast_to(np.arange(len(target.levels), dtype=float), log_weight.shape)
        else:
            fresh = regression.fresh(
                np.broadcast_to(own_rows, (*shape, own_rows.shape[-1])), known, CANDIDATES - 1, self.streams
            )
            candidates = np.concatenate([self.values[target.name][:, lacking, None], fresh], axis=-1)
            log_weight = np.zeros(candidates.shape)
        for later in self.regressions.values():
            if target.name in [item.name for item in later.given]:
                log_weight += self._worth_to(later, target.name, lacking, candidates)
        in_model = target.name in self.spec.variables
        if in_model:
            rows = self._design_rows(lacking, {target.name: candidates}, candidates.shape[-1])
            log_weight += self._likelihood(lacking, rows)
        weight = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True))
        share = weight.cumsum(axis=-1)
        chance = np.stack([stream.random(lacking.size) for stream in self.streams])
        chosen = (share < (chance * share[..., -1])[..., None]).sum(axis=-1)[..., None]
        self.values[target.name][:, lacking] = np.take_along_axis(candidates, chosen, axis=-1)[..., 0]
        if in_model:
            self.rows[:, lacking] = np.take_along_axis(rows, chosen[..., None], axis=2)[:, :, 0]

    def _known(self, name: str) -> Parameters:
        found = self.parameters[name]
        assert found is not None
        return found

    def _worth_to(self, later: Regression, name: str, lacking: NDArray[np.int64], candidates: Floats) -> Floats:
        """Return the log density of a later covariate's values at each candidate, (M, m, C)."""
        count = candidates.shape[-1]

        def repeated(other: str) -> Floats:
            if other == name:
                return candidates.reshape(len(candidates), -1)
            return np.repeat(self.values[other][:, lacking], count, axis=1)

        rows = later.rows([repeated(item.name) for item in later.given], np.repeat(self.site[lacking], count))
        found = later.log_density(rows, repeated(later.target.name), self._known(later.target.name))
        return found.reshape(candidates.shape)

    def _likelihood(self, lacking: NDArray[np.int64], rows: Floats) -> Floats:
        """Return the log likelihood of patients at each candidate's design row, (M, m, C)."""
        count = rows.shape[2]
        patients = self.template.some(np.repeat(lacking, count))
        found = []
        with np.errstate(over="ignore"):  # a candidate may have no likelihood at all
            for drawn, own in zip(self.survival, rows, strict=True):
                data = replace(patients, covariates=own.reshape(-1, own.shape[-1]) - self.means)
                found.append(log_likelihood_of_draws(self.spec, drawn, data)[0])
        return np.stack(found).reshape(rows.shape[:3])

    def _design_rows(self, patients: NDArray[np.int64], candidates: dict[str, Floats], count: int) -> Floats:
        """Return the design rows of some patients in every chain, with ``count`` values of some covariates, (M, m, C, p)."""
        table = {}
        for name in self.spec.variables:
            own = np.repeat(self.values[name][:, patients], count, axis=1)
            table[name] = self.variables[name].column(candidates.get(name, own).ravel())
        rows = self.design.rows(pd.DataFrame(table))
        return rows.reshape(len(self.streams), patients.size, count, -1)

    def _data(self, place: int) -> ModelData:
        return replace(self.template, covariates=self.rows[place] - self.means)

    def told(self) -> dict[str, Floats]:
        """Return what is followed over sweeps, each (M,): coefficients, and means or shares of what is imputed."""
        found = {}
        name = coefficient_name(self.spec)
        for place, column in enumerate(self.spec.resolved.columns):
            found[column] = np.array([drawn[name][0, place] for drawn in self.survival])
        for item in self.spec.family.shape_parameters:
            found[item.name] = np.log([drawn[item.name][0] for drawn in self.survival])
        if names.SITE_SD in self.survival[0]:
            found[names.SITE_SD] = np.array([drawn[names.SITE_SD][0] for drawn in self.survival])
        for regression in self.regressions.values():
            target = regression.target
            own = self.values[target.name][:, target.missing]
            if target.levels:
                shares = {f"share of {target.name} = {level}": (own == k) for k, level in enumerate(target.levels) if k}
                found |= {label: np.asarray(chosen.mean(axis=1)) for label, chosen in shares.items()}
            else:
                found[f"mean of {target.name}"] = target.score(own).mean(axis=1)
        return found


def run_chains(sampler: Sampler, sweeps: int, report: Report) -> Chains:
    """Return the chains after a number of sweeps."""
    trace = []
    for number in range(sweeps):
        report(f"Imputing: sweep {number + 1} of {sweeps} of {len(sampler.streams)} chains")
        sampler.sweep()
        told = sampler.told()
        trace.append(np.stack(list(told.values()), axis=-1))
    values = {name: sampler.values[name] for name in sampler.regressions}
    return Chains(values, np.stack(trace, axis=1), tuple(told), float(sampler.importance_ess))
