"""Log likelihood and log prior of posterior draws, stored with every fit.

The log likelihood uses the same family formulas as the PyMC graph, in NumPy; the log prior evaluates the very PyMC
distributions that the graph was built from.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.families.metric import log_likelihood
from sitewise.inference.prior_codes import POSITIVE, REAL, encode
from sitewise.models import student_t
from sitewise.models.correlation import lkj_log_density, slopes_log_density
from sitewise.models.groupings import of_grouping
from sitewise.models.model_data import OPTIONAL, ModelData, slope_rows
from sitewise.models.priors import Prior
from sitewise.models.shape_regression import shape_of_patients
from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]
ONE_AT_A_TIME = threading.RLock()
"""Held while PyTensor makes or calls a function: it keeps its storage between calls, and threads would share it."""


def coefficient_name(spec: ModelSpec) -> str:
    """Return the posterior variable that holds the coefficients, by the spec's metric."""
    return names.LOG_HAZARD_RATIO if spec.metric == names.HAZARD_RATIO else names.LOG_TIME_RATIO


def shape_draws(spec: ModelSpec, posterior: xr.Dataset) -> tuple[Floats, ...]:
    """Return the shape parameters' draws, each (chain, draw)."""
    return tuple(posterior[item.name].transpose(names.CHAIN, names.DRAW).to_numpy() for item in spec.family.shape_parameters)


def linear_predictor(spec: ModelSpec, posterior: xr.Dataset, data: ModelData) -> Floats:
    """Return each patient's linear predictor relative to the covariate means, shape (chain, draw, patient)."""
    return predictor_of_draws(spec, arrays_of(posterior), data)


def arrays_of(posterior: xr.Dataset) -> dict[str, Floats]:
    """Return a posterior's variables by name, shapes (chain, draw) or (chain, draw, terms or sites)."""
    return {
        str(name): values.transpose(names.CHAIN, names.DRAW, ...).to_numpy() for name, values in posterior.data_vars.items()
    }


def predictor_of_draws(spec: ModelSpec, variables: Mapping[str, Floats], data: ModelData) -> Floats:
    """Return each patient's linear predictor relative to the covariate means, shape (..., n).

    ``variables`` are the posterior's, by name, shapes (...) or (..., terms or sites).
    """
    predictor = np.zeros((*variables[names.LOG_SCALE_AT_MEANS].shape, data.log_time.size))
    if spec.resolved.columns:
        predictor += variables[coefficient_name(spec)] @ data.covariates.T
    if spec.has_sites:
        predictor += variables[names.SITE_EFFECT][..., data.site]
    if data.grouping is not None:
        for name, position in zip(spec.groupings, data.grouping.T, strict=True):
            predictor += variables[of_grouping(names.GROUPING_EFFECT, name)][..., position]
    if spec.resolved.slope_columns:
        predictor += (variables[names.SITE_SLOPE][..., data.site, :] * slope_rows(spec, data)).sum(axis=-1)
    return predictor


def log_likelihood_of_draws(spec: ModelSpec, variables: Mapping[str, Floats], data: ModelData) -> Floats:
    """Return each patient's (weighted) log likelihood under each draw, at their site's effect in it, shape (..., n).

    Parameters
    ----------
    spec : ModelSpec
        Resolved.
    variables : mapping of str to ndarray, shape (...) or (..., terms or sites)
        Draws of the posterior's variables, by name.
    data : ModelData
        The patients' arrays.
    """
    values = log_likelihood(
        spec.family,
        spec.metric,
        log_time=data.log_time,
        event=data.event,
        **{name: getattr(data, name) for name in OPTIONAL},
        linear_predictor=predictor_of_draws(spec, variables, data),
        log_scale=variables[names.LOG_SCALE_AT_MEANS][..., None],
        shape=shape_of_patients(spec, variables, data),
    )
    return np.asarray(values)


def pointwise_log_likelihood(spec: ModelSpec, posterior: xr.Dataset, data: ModelData) -> xr.Dataset:
    """Return each patient's log likelihood, variable ``survival_time``, dims (chain, draw, patient)."""
    values = log_likelihood_of_draws(spec, arrays_of(posterior), data)
    return xr.Dataset({names.SURVIVAL_TIME: ((names.CHAIN, names.DRAW, names.PATIENT), values)})


def log_prior(spec: ModelSpec, posterior: xr.Dataset) -> xr.Dataset:
    """Return the log prior density of each parameter at the draws, in the parameters' own space.

    The baseline's density is that of the quantity which its prior is about (by default log median survival of the
    reference patient); it differs from the sampled one by a shift only. Of joint priors it is the density of what is sampled
    (scales, shares, standardised coefficients); coefficients with a prior of their own then have the graph's names.
    """
    resolution = spec.resolved
    sample = (names.CHAIN, names.DRAW)
    result: dict[str, Any] = {}

    def store(name: str, prior: Prior, values: Floats, *dims: str) -> None:
        result[name] = ((*sample, *dims), log_density(prior, values))

    shape = shape_draws(spec, posterior)
    for item, prior, values in zip(spec.family.shape_parameters, resolution.shape, shape, strict=True):
        store(item.name, prior, values)
    if resolution.baseline == names.LOG_SCALE_AT_MEANS:
        baseline = posterior[names.LOG_SCALE_AT_MEANS].transpose(*sample).to_numpy()
    else:
        baseline = posterior[names.LOG_SCALE].transpose(*sample).to_numpy()
        if resolution.baseline == names.LOG_MEDIAN:
            baseline = spec.family.log_median(baseline, shape)
    store(resolution.baseline, resolution.baseline_prior, baseline)
    if resolution.columns:
        effect = posterior[coefficient_name(spec)].transpose(*sample, names.TERM).to_numpy()
        alone = {place: prior for place, prior in enumerate(resolution.coefficients) if isinstance(prior, Prior)}
        if len(alone) == len(resolution.columns):
            densities = [log_density(prior, effect[..., place]) for place, prior in alone.items()]
            result[coefficient_name(spec)] = ((*sample, names.TERM), np.stack(densities, axis=-1))
        else:
            for place, prior in alone.items():
                store(f"{coefficient_name(spec)}[{resolution.columns[place]}]", prior, effect[..., place])
    for joint in resolution.joint_priors:
        for part in joint.sampled:
            values = posterior[part.name].transpose(*sample, ...).to_numpy()
            if part.prior.dist == "Dirichlet":  # of all its numbers together
                result[part.name] = (sample, dirichlet_log_density(part.prior.values["a"], values))
            else:
                store(part.name, part.prior, values, *([part.dim] if part.dim else []))
    if resolution.site_degrees_of_freedom is not None:
        above = posterior[names.SITE_DEGREES_OF_FREEDOM_ABOVE_2].transpose(*sample).to_numpy()
        store(names.SITE_DEGREES_OF_FREEDOM_ABOVE_2, resolution.site_degrees_of_freedom, above)
    if resolution.site_sd is not None:
        site_sd = posterior[names.SITE_SD].transpose(*sample).to_numpy()
        store(names.SITE_SD, resolution.site_sd, site_sd)
        effects = posterior[names.SITE_EFFECT].transpose(*sample, names.SITE).to_numpy()
        freedom = student_t.degrees_of_freedom(spec, arrays_of(posterior))
        if freedom is None:
            density = _normal_log_density(effects, site_sd[..., None])
        else:
            density = student_t.log_density(effects, site_sd[..., None], freedom[..., None])
        result[names.SITE_EFFECT] = ((*sample, names.SITE), density)
    if resolution.slope_columns:
        slope_sd = posterior[names.SITE_SLOPE_SD].transpose(*sample, names.SLOPE).to_numpy()
        densities = [log_density(prior, slope_sd[..., index]) for index, prior in enumerate(resolution.site_slope_sd)]
        result[names.SITE_SLOPE_SD] = ((*sample, names.SLOPE), np.stack(densities, axis=-1))
        slopes = posterior[names.SITE_SLOPE].transpose(*sample, names.SITE, names.SLOPE).to_numpy()
        density = _normal_log_density(slopes, slope_sd[..., None, :])
        if resolution.site_correlation is not None:
            correlation = (
                posterior[names.SITE_CORRELATION].transpose(*sample, names.SITE_TERM, names.OTHER_SITE_TERM).to_numpy()
            )
            eta = resolution.site_correlation.values["eta"]
            result[names.SITE_CORRELATION] = (sample, lkj_log_density(eta, correlation))
            density = slopes_log_density(effects / site_sd[..., None], slopes, slope_sd, correlation)
        result[names.SITE_SLOPE] = ((*sample, names.SITE, names.SLOPE), density)
    if resolution.shape_columns:
        own = posterior[names.LOG_SHAPE_RATIO].transpose(*sample, names.SHAPE_TERM).to_numpy()
        densities = [log_density(prior, own[..., index]) for index, prior in enumerate(resolution.shape_coefficients)]
        result[names.LOG_SHAPE_RATIO] = ((*sample, names.SHAPE_TERM), np.stack(densities, axis=-1))
    if resolution.site_shape_sd is not None:
        shape_sd = posterior[names.SITE_SHAPE_SD].transpose(*sample).to_numpy()
        store(names.SITE_SHAPE_SD, resolution.site_shape_sd, shape_sd)
        by_site = posterior[names.SITE_LOG_SHAPE].transpose(*sample, names.SITE).to_numpy()
        result[names.SITE_LOG_SHAPE] = ((*sample, names.SITE), _normal_log_density(by_site, shape_sd[..., None]))
    for name in spec.groupings:
        assert resolution.grouping_sd is not None
        level, variable = of_grouping(names.LEVEL, name), of_grouping(names.GROUPING_EFFECT, name)
        sd = posterior[of_grouping(names.GROUPING_SD, name)].transpose(*sample).to_numpy()
        store(of_grouping(names.GROUPING_SD, name), resolution.grouping_sd, sd)
        values = posterior[variable].transpose(*sample, level).to_numpy()
        result[variable] = ((*sample, level), _normal_log_density(values, sd[..., None]))
    if resolution.site_effects is not None:
        effects = posterior[names.SITE_EFFECT].transpose(*sample, names.SITE).to_numpy()
        result[names.SITE_EFFECT] = (sample, zero_sum_normal_log_density(resolution.site_effects.values["sigma"], effects))
    return xr.Dataset(result, coords={key: posterior.coords[key] for key in posterior.coords if key != names.PATIENT})


def _normal_log_density(values: Floats, sd: Floats) -> Floats:
    return np.asarray(-0.5 * (values / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi))


def log_density(prior: Prior, values: Floats) -> Floats:
    """Return the log density of a scalar prior at ``values``: by the kernel's formula, or PyMC's where it has none."""
    encoded = encode(prior, REAL | POSITIVE)
    if encoded is None:
        return _log_density_by_pymc(prior, values)
    from sitewise.inference.prior_densities import prior_log_densities

    flat = prior_log_densities(int(encoded[0]), *encoded[1:], np.ascontiguousarray(values, dtype=float).ravel())
    return np.asarray(flat).reshape(values.shape)


def dirichlet_log_density(concentrations: Sequence[float], shares: Floats) -> Floats:
    """Return the log density of shares (..., K) that sum to one, over K - 1 of them."""
    a = np.asarray(concentrations)
    constant = math.lgamma(a.sum()) - sum(map(math.lgamma, a))
    return np.asarray(constant + np.sum((a - 1) * np.log(shares), axis=-1))


def zero_sum_normal_log_density(sigma: float, effects: Floats) -> Floats:
    """Return the log density of effects (..., J) that sum to zero: a normal on the J - 1 dimensions of that plane."""
    free = effects.shape[-1] - 1
    return np.asarray(-0.5 * np.sum((effects / sigma) ** 2, axis=-1) - free * (np.log(sigma) + 0.5 * np.log(2 * np.pi)))


def _log_density_by_pymc(prior: Prior, values: Floats) -> Floats:
    with ONE_AT_A_TIME:
        found = _density_by_pymc(prior)(np.asarray(values, dtype=float).ravel())
    return np.asarray(found, dtype=float).reshape(values.shape)


@lru_cache(maxsize=256)
def _density_by_pymc(prior: Prior) -> Callable[[Floats], Any]:
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode

    from sitewise.models.prior_check import distribution, parameters

    point = pt.tensor(dtype="float64", shape=(None,))
    graph = pm.logp(distribution(prior).dist(**parameters(prior)), point)
    # A handful of operations: interpreting them is faster than compiling them.
    made: Callable[[Floats], Any] = pytensor.function([point], graph, mode=Mode(linker="py", optimizer=None))
    return made
