"""Draws from the prior, and survival times of the cohort's patients under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.inference.densities import ONE_AT_A_TIME, arrays_of, linear_predictor, log_density
from sitewise.models.model_data import ModelData
from sitewise.models.priors import Prior
from sitewise.models.resolve import prepare
from sitewise.models.shape_regression import shape_of_patients
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError


def sample_prior(spec: ModelSpec, cohort: Cohort, /, *, draws: int = 1000, seed: int = 1) -> xr.DataTree:
    """Return prior draws of every parameter, and a survival time of every patient under each draw.

    Parameters
    ----------
    spec : ModelSpec
        Resolved, or resolved here on ``cohort``.
    cohort : Cohort
        Whose covariates and sites the simulated patients have.
    draws : int
        Number of prior draws.
    seed : int
        Seed.

    Returns
    -------
    DataTree
        ``prior`` (as the posterior, dims chain of size 1 and draw) and ``prior_predictive`` with ``survival_time``, dims
        (chain, draw, patient): uncensored times in the cohort's unit, guarantee time included.
    """
    if draws < 1:
        raise SpecError(f"draws is {draws}; at least one is needed.")
    spec = spec.resolve(cohort)
    data = prepare(spec, cohort)
    prior = prior_draws(spec, data, draws=draws, seed=seed)
    return xr.DataTree.from_dict({names.PRIOR: prior, names.PRIOR_PREDICTIVE: _simulate_times(spec, prior, data, seed)})


def prior_draws(spec: ModelSpec, data: ModelData, /, *, draws: int, seed: int) -> xr.Dataset:
    """Return draws of every parameter from the prior, by PyMC from the model's own graph; dims chain (of size 1), draw.

    Parameters
    ----------
    spec : ModelSpec
        Resolved.
    data : ModelData
        Arrays of a cohort under it; their times do not matter.
    draws, seed : int
        Number of draws, and the seed.
    """
    import pymc as pm
    from pytensor.compile.mode import Mode

    from sitewise.models.graph import build, stored_variables

    with ONE_AT_A_TIME:
        model = build(spec, data)
        wanted = stored_variables(model)
        drawn = pm.draw(wanted, draws=draws, random_seed=seed, mode=Mode(linker="py", optimizer=None))
    if draws == 1:  # PyMC then leaves the dimension out
        drawn = [np.asarray(values)[None] for values in drawn]
    coords: dict[str, Any] = {names.CHAIN: [0], names.DRAW: np.arange(draws)}
    coords |= {dim: list(labels) for dim, labels in model.coords.items() if dim != names.PATIENT and labels is not None}
    prior = xr.Dataset(
        {
            variable.name: (
                (names.CHAIN, names.DRAW, *model.named_vars_to_dims.get(variable.name, ())),
                np.asarray(values)[None],
            )
            for variable, values in zip(wanted, drawn, strict=True)
        },
        coords=coords,
    )
    return prior


def _simulate_times(spec: ModelSpec, prior: xr.Dataset, data: ModelData, seed: int) -> xr.Dataset:
    """Invert the survival function at uniform numbers: H(T) is standard exponential."""
    predictor = linear_predictor(spec, prior, data)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    log_hazard = np.log(rng.standard_exponential(predictor.shape))
    scale = prior[names.LOG_SCALE_AT_MEANS].to_numpy()[..., None]
    shape = shape_of_patients(spec, arrays_of(prior), data)
    if spec.metric == names.TIME_RATIO:
        log_time = spec.family.log_time(log_hazard, scale, shape) + predictor
    else:
        log_time = spec.family.log_time(log_hazard - predictor, scale, shape)
    with np.errstate(over="ignore"):  # under a prior with heavy tails a time may be beyond what a float holds: infinite
        times = spec.guarantee_time + np.exp(log_time)
    return xr.Dataset({names.SURVIVAL_TIME: ((names.CHAIN, names.DRAW, names.PATIENT), times)})


def density_grid(prior: Prior, values: np.ndarray) -> np.ndarray:
    """Return the density of a scalar prior at ``values``, for pictures of prior beside posterior."""
    return np.exp(log_density(prior, np.asarray(values, dtype=float)))


def prior_quantiles(prior: Prior, levels: Sequence[float], /) -> list[float]:
    """Return quantiles of a prior on a positive quantity, by integrating its density over all logs that a float can have."""
    grid = np.exp(np.linspace(-690.0, 690.0, 400_001))
    with np.errstate(all="ignore"):  # the ends of the range hold no mass, whatever the formula makes of them
        mass = np.nan_to_num(density_grid(prior, grid) * grid, nan=0.0, posinf=0.0)  # the density of the log
    below = np.concatenate([[0.0], np.cumsum((mass[1:] + mass[:-1]) / 2)])
    return [float(value) for value in np.interp(levels, below / below[-1], grid)]
