"""The PyMC model of a resolved spec: a readable graph with named dims and the data in ``pm.Data``.

Sampling is done where the posterior is closest to independent: covariates centred at their means, the baseline as log
median survival at the means. The prior, which speaks of the reference patient, is carried there exactly: given the
coefficients and the shape the two differ by a shift, whose Jacobian is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from sitewise import names
from sitewise.families.metric import log_likelihood
from sitewise.models.baseline import means_minus_reference, median_minus_scale
from sitewise.models.joint_priors import Sampled
from sitewise.models.labels import labels_of
from sitewise.models.model_data import OPTIONAL, ModelData, data_arrays
from sitewise.models.prior_check import check_priors, distribution, parameters, variable
from sitewise.models.priors import Prior
from sitewise.models.shape_graph import log_shape
from sitewise.models.site_graph import grouping_predictor, site_predictor
from sitewise.models.spec import ModelSpec

SECOND = {"slope_covariates": names.SLOPE, "grouping_index": names.GROUPING, "shape_covariates": names.SHAPE_TERM}
"""The second dimension of arrays where it is not that of the terms."""


def build(spec: ModelSpec, data: ModelData) -> pm.Model:
    """Return the PyMC model of a resolved spec for one cohort's arrays."""
    check_priors(spec)
    resolution = spec.resolved
    coords: dict[str, Any] = {names.PATIENT: np.arange(data.log_time.size), **labels_of(spec)}
    if spec.groupings:
        coords[names.GROUPING] = list(spec.groupings)
    with pm.Model(coords=coords) as model:
        inputs = {
            key: pm.Data(key, value, dims=(names.PATIENT, SECOND.get(key, names.TERM))[: value.ndim])
            for key, value in data_arrays(spec, data).items()
        }
        shape = tuple(
            variable(item.name, prior) for item, prior in zip(spec.family.shape_parameters, resolution.shape, strict=True)
        )
        effect = _coefficients(spec)
        linear_predictor = pt.zeros_like(inputs["log_time"])
        if effect is not None:
            linear_predictor = inputs["covariates"] @ effect
        if spec.has_sites:
            linear_predictor = linear_predictor + site_predictor(spec, inputs)
        if spec.groupings:
            linear_predictor = linear_predictor + grouping_predictor(spec, inputs)
        log_scale_at_means = _baseline(spec, effect, shape)
        if spec.shape_differs:
            shape = (shape[0] * pt.exp(log_shape(spec, inputs)), *shape[1:])

        def log_density(log_time: Any, predictor: Any, log_scale: Any, event: Any, *rest: Any) -> Any:
            given = dict.fromkeys(OPTIONAL) | dict(zip(present, rest, strict=False))
            return log_likelihood(
                spec.family,
                spec.metric,
                log_time=log_time,
                event=event,
                **given,
                linear_predictor=predictor,
                log_scale=log_scale,
                shape=tuple(rest[len(present) :]),
                xp=pt,
            )

        present = [key for key in OPTIONAL if key in inputs]
        pm.CustomDist(
            names.SURVIVAL_TIME,
            linear_predictor,
            log_scale_at_means,
            inputs["event"],
            *(inputs[key] for key in present),
            *shape,
            logp=log_density,
            observed=inputs["log_time"],
            dims=names.PATIENT,
        )
    return model


def stored_variables(model: pm.Model) -> list[Any]:
    """Return the variables that a posterior keeps: all but the Cholesky factor, which the correlation matrix has in it."""
    return [item for item in [*model.free_RVs, *model.deterministics] if item.name != names.SITE_CORRELATION_CHOLESKY]


def _coefficients(spec: ModelSpec) -> Any | None:
    """Return the coefficient vector: one variable where all its priors are of one kind, else one a column or joint prior."""
    resolution = spec.resolved
    if not resolution.columns:
        return None
    name = names.LOG_HAZARD_RATIO if spec.metric == names.HAZARD_RATIO else names.LOG_TIME_RATIO
    alone = [prior for prior in resolution.coefficients if isinstance(prior, Prior)]
    kinds = {(prior.dist, tuple(prior.values)) for prior in alone}
    if len(alone) == len(resolution.columns) and len(kinds) == 1 and all(prior.scalar for prior in alone):
        stacked = {key: np.array([item.values[key] for item in alone]) for key in alone[0].values}
        return distribution(alone[0], name)(name, **stacked, dims=names.TERM)
    each: dict[str, Any] = {}
    for joint in resolution.joint_priors:
        sampled = {item.name: _sampled(item) for item in joint.sampled}
        together = joint.coefficients(sampled, pt)
        for kept, value in joint.derived(sampled, pt).items():
            pm.Deterministic(kept, value)
        each |= {column: together[place] for place, column in enumerate(joint.columns)}
    for column, prior in zip(resolution.columns, resolution.coefficients, strict=True):
        if isinstance(prior, Prior):
            each[column] = variable(f"{name}[{column}]", prior)
    return pm.Deterministic(name, pt.stack([each[column] for column in resolution.columns]), dims=names.TERM)


def _sampled(item: Sampled) -> Any:
    """Return a sampled variable of a joint prior, with its dimension."""
    if item.dim is None:
        return variable(item.name, item.prior)
    return variable(item.name, item.prior, dims=item.dim)


def _baseline(spec: ModelSpec, effect: Any | None, shape: tuple[Any, ...]) -> Any:
    """Return the log scale at the covariate means, with the prior carried over from where it speaks."""
    resolution = spec.resolved
    if resolution.baseline == names.LOG_SCALE_AT_MEANS:
        at_means = variable(names.LOG_SCALE_AT_MEANS, resolution.baseline_prior)
        return _record_reference(spec, at_means, effect, shape)
    if resolution.baseline == names.LOG_MEDIAN and not spec.family.scale_family:
        # The median is no shift of the scale: the one is drawn where its prior speaks, the other follows from it.
        log_median = variable(names.LOG_MEDIAN, resolution.baseline_prior)
        log_scale = pm.Deterministic(names.LOG_SCALE, spec.family.log_scale_at(log_median, shape, pt))
        return pm.Deterministic(names.LOG_SCALE_AT_MEANS, log_scale + means_minus_reference(spec, effect, shape))
    shift = means_minus_reference(spec, effect, shape)
    moved = parameters(resolution.baseline_prior)
    resolution.baseline_prior.shifted(0.0)  # refuses a prior that has no mu
    moved["mu"] = moved["mu"] + shift
    if resolution.baseline == names.LOG_SCALE:
        at_means = distribution(resolution.baseline_prior)(names.LOG_SCALE_AT_MEANS, **moved)
    else:
        log_median = distribution(resolution.baseline_prior)(names.LOG_MEDIAN_AT_MEANS, **moved)
        at_means = pm.Deterministic(names.LOG_SCALE_AT_MEANS, log_median - median_minus_scale(spec, shape, pt))
    return _record_reference(spec, at_means, effect, shape)


def _record_reference(spec: ModelSpec, at_means: Any, effect: Any | None, shape: tuple[Any, ...]) -> Any:
    pm.Deterministic(names.LOG_SCALE, at_means - means_minus_reference(spec, effect, shape))
    return at_means
