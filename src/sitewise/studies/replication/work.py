"""What a process does with a few replicates: fit each, summarise, and make rows of what came out, failures included."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.inference import Engine, NestedLaplace
from sitewise.inference.densities import log_likelihood_of_draws
from sitewise.inference.engine import silent
from sitewise.inference.nested_laplace.engine import non_centred
from sitewise.inference.packing import as_dataset, column_scales, unpack_arrays
from sitewise.inference.verdict import Verdict
from sitewise.models.spec import ModelSpec
from sitewise.problems import SitewiseError
from sitewise.studies.replication.quantities import (
    LOG_LIKELIHOOD,
    Summaries,
    estimand_values,
    probability_below,
    quantities,
    summarised,
)
from sitewise.studies.replication.sources import Item, Source

Floats = NDArray[np.float64]
FIT, TIE = 0, 1
"""Branches of a replicate's seed."""
NEGLIGIBLE = 1e-12
"""Draws with weights below this are dropped: a site spread of hundreds, of no weight, would still cost estimands memory."""


@dataclass(frozen=True, eq=False)
class Job:
    """Replicates ``start`` to ``stop`` of a source, and how to fit and summarise them."""

    source: Source
    engine: Engine
    summaries: Summaries
    seed: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Weighted:
    """Draws with weights, whatever the engine: variables by name, shapes (S,) or (S, terms or sites)."""

    variables: dict[str, Floats]
    weights: Floats
    verdict: Verdict
    log_marginal_likelihood: float


@dataclass(frozen=True, eq=False)
class LightFit:
    """What estimands need of a fit."""

    posterior: xr.Dataset
    spec: ModelSpec
    cohort: Cohort
    seed: int


def branch(seed: int, number: int, which: int) -> np.random.SeedSequence:
    """Return the random stream of one replicate: it depends on the seed and the replicate's number only."""
    return np.random.SeedSequence(seed, spawn_key=(number, which))


def seed_of(seed: int, number: int) -> int:
    """Return the engine's seed for one replicate."""
    return int(branch(seed, number, FIT).generate_state(1, np.uint64)[0])


def do(job: Job) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of estimates and of fits of a job's replicates."""
    estimates, fits = [], []
    for item in job.source.items(job.start, job.stop):
        rows, fit = one(item, job)
        fits.append(fit)
        if rows is not None:
            estimates.append(rows)
    return pd.concat(estimates, ignore_index=True) if estimates else pd.DataFrame(), pd.DataFrame(fits)


def one(item: Item, job: Job) -> tuple[pd.DataFrame | None, dict[str, Any]]:
    """Fit one replicate; return its estimates, or None, and what is to be said of the fit."""
    fit: dict[str, Any] = {"replicate": item.number, "label": item.label, "status": "ok", "message": item.problem}
    started = time.perf_counter()
    if item.data is None:
        return None, {**fit, "status": "refused"}
    fit["events"] = int(item.data.event.sum())
    try:
        found = draw(item, job)
        labels, values = quantities(item.spec, found.variables, job.summaries)
        if job.summaries.estimands:
            more = estimand_values(_light(item, found, job.source), job.summaries)
            labels, values = labels + more[0], np.hstack([values, more[1]])
    except (SitewiseError, FloatingPointError, np.linalg.LinAlgError) as error:
        return None, {**fit, "status": "failed", "message": f"{type(error).__name__}: {error}"}
    table = {"replicate": item.number, "quantity": labels, **summarised(values, found.weights, job.summaries.prob)}
    if item.truth is not None:
        own = {name: item.truth[name] for name in found.variables if name in item.truth}
        truth = quantities(item.spec, own, job.summaries)
        known = dict(zip(truth[0], truth[1][0], strict=True))
        true = np.array([known.get(label, np.nan) for label in labels])
        rng = np.random.default_rng(branch(job.seed, item.number, TIE))
        table |= {"truth": true, "pit": probability_below(values, found.weights, true, rng)}
    verdict = found.verdict
    fit |= {
        "verdict": verdict.level,
        "message": "" if verdict.level == "ok" else verdict.sentence,
        **{check.name: check.value for check in verdict.checks},
        "retried": verdict.retried,
        "log_marginal_likelihood": found.log_marginal_likelihood,
        "seconds": time.perf_counter() - started,
    }
    return pd.DataFrame(table), fit


def draw(item: Item, job: Job) -> Weighted:
    """Return weighted draws of one replicate: the fast engine's own, or any other engine's with equal weights."""
    spec, data = item.spec, item.data
    assert data is not None
    seed = seed_of(job.seed, item.number)
    if isinstance(job.engine, NestedLaplace) and not job.engine.fallback:
        found = job.engine.weighted(spec, data, seed=seed)
        counts = found.weights > NEGLIGIBLE
        variables = unpack_arrays(non_centred(spec), column_scales(data), found.points[counts])
        if job.summaries.products:
            variables[LOG_LIKELIHOOD] = found.log_likelihood[counts]
        return Weighted(variables, found.weights[counts], found.verdict, found.log_marginal_likelihood)
    draws = job.engine.run(spec, data, seed=seed, progress=False, report=silent)
    posterior = draws.posterior
    size = posterior.sizes[names.CHAIN] * posterior.sizes[names.DRAW]
    variables = {
        str(name): values.transpose(names.CHAIN, names.DRAW, ...).to_numpy().reshape(size, *values.shape[2:])
        for name, values in posterior.data_vars.items()
    }
    if job.summaries.products:
        variables[LOG_LIKELIHOOD] = log_likelihood_of_draws(spec, variables, data).sum(axis=-1)
    marginal = np.nan if draws.weighted is None else draws.weighted.attrs["log_marginal_likelihood"]
    return Weighted(variables, np.full(size, 1 / size), draws.verdict, float(marginal))


def _light(item: Item, found: Weighted, source: Source) -> LightFit:
    """Return draws and cohort as estimands read them; the weights are applied to what they make of the draws."""
    spec = item.spec
    content = {name: values[None] for name, values in found.variables.items() if name != LOG_LIKELIHOOD}
    return LightFit(as_dataset(spec, content), non_centred(spec), source.cohort(item.number), 0)
