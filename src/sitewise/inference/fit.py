"""`fit`: a spec, a cohort and an engine make a posterior."""

from __future__ import annotations

import time

import xarray as xr

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.inference.engine import Engine, Report, silent
from sitewise.inference.nuts import Nuts
from sitewise.inference.result import FitResult, installed_versions
from sitewise.models.resolve import prepare
from sitewise.models.spec import ModelSpec

MOST_POINTWISE = 40_000_000
"""Draws times patients up to which the log likelihood of each patient under each draw is kept with the fit (0.3 GB)."""


def fit(
    spec: ModelSpec,
    cohort: Cohort,
    /,
    *,
    engine: Engine | None = None,
    seed: int = 1,
    progress: bool = False,
    report: Report = silent,
) -> FitResult:
    """Return the posterior of a model given a cohort.

    Parameters
    ----------
    spec : ModelSpec
        The model; resolved on ``cohort`` when it is not resolved yet.
    cohort : Cohort
        The patients.
    engine : Engine
        How to compute; default :class:`Nuts`.
    seed : int
        Seed of the engine: the same seed gives the same draws, whatever the number of cores.
    progress : bool
        Show the sampler's progress bar.
    report : callable
        Called with a line before each stage that takes long.

    Returns
    -------
    FitResult
        With the log likelihood of each patient under each draw, up to 40 million numbers; beyond that the group is left out.

    Raises
    ------
    CohortError, SpecError
        Before any computation, when the cohort cannot be modelled as asked.
    """
    from sitewise.inference.densities import log_prior, pointwise_log_likelihood
    from sitewise.inference.storage import cohort_to_dataset, root_attributes

    engine = engine if engine is not None else Nuts()
    spec = spec.resolve(cohort)
    data = prepare(spec, cohort)
    draws = engine.run(spec, data, seed=seed, progress=progress, report=report)
    started = time.perf_counter()
    groups = {
        names.POSTERIOR: draws.posterior,
        names.SAMPLE_STATS: draws.sample_stats,
        names.LOG_PRIOR: log_prior(spec, draws.posterior),
        names.OBSERVED_DATA: xr.Dataset(
            {key: (names.PATIENT, getattr(cohort, key).copy()) for key in ("time", "event")},
            attrs={"time_unit": cohort.time_unit},
        ),
        names.CONSTANT_DATA: cohort_to_dataset(cohort),
    }
    if draws.posterior.sizes[names.CHAIN] * draws.posterior.sizes[names.DRAW] * len(cohort) <= MOST_POINTWISE:
        report("Log likelihood of every patient under every draw")
        groups[names.LOG_LIKELIHOOD] = pointwise_log_likelihood(spec, draws.posterior, data)
    else:
        report("Too many patients to keep the log likelihood of each under every draw: left out")
    if draws.weighted is not None:
        groups[names.WEIGHTED_POSTERIOR] = draws.weighted
    tree = xr.DataTree.from_dict(groups)
    result = FitResult(
        tree=tree,
        spec=draws.spec,
        cohort=cohort,
        verdict=draws.verdict,
        engine=draws.engine or engine.name,
        seed=seed,
        seconds={**draws.seconds, "densities": time.perf_counter() - started},
        settings=draws.settings,
        versions=installed_versions(),
    )
    tree.attrs.update(root_attributes(result))
    return result
