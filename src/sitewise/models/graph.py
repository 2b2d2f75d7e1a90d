"""The PyMC model of a resolved spec: a readable graph with named dims and the data in ``pm.Data``.

Sampling is done where the posterior is closest to independent: covariates centred at their means, the baseline as log
median survival at the means. The prior, which speaks of the reference patient, is carried there exactly: given the
coefficients and the shape the two differ by a shift, whose Jacobian is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from sitewise import names
from sitewise.families.metric import log_likelihood
from sitewise.models.baseline import means_minus_reference, median_minus_scale
from sitewise.models.model_data import OPTIONAL, ModelData, data_arrays
from sitewise.models.prior_check import check_priors, distribution, parameters
from sitewise.models.priors import Prior
from sitewise.models.shape_regression import log_shape_ratios
from sitewise.models.site_effects import FixedSites, RandomSites
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError

SECOND = {"slope_covariates": names.SLOPE, "shape_covariates": names.SHAPE_TERM}
"""The second dimension of arrays where it is not that of the terms."""


def build(spec: ModelSpec, data: ModelData) -> pm.Model:
    """Return the PyMC model of a resolved spec for one cohort's arrays."""
    check_priors(spec)
    resolution = spec.resolved
    coords: dict[str, Any] = {names.PATIENT: np.arange(data.log_time.size)}
    if resolution.columns:
        coords[names.TERM] = list(resolution.columns)
    if spec.has_sites:
        coords[names.SITE] = list(resolution.site_labels)
    if resolution.slope_columns:
        coords[names.SLOPE] = list(resolution.slope_labels)
    if resolution.shape_columns:
        coords[names.SHAPE_TERM] = list(resolution.shape_columns)
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
        site_effect = _site_effects(spec)
        if site_effect is not None:
            linear_predictor = linear_predictor + site_effect[inputs["site_index"]]
        slopes = _site_slopes(spec)
        if slopes is not None:
            own = slopes[inputs["site_index"]] * inputs["slope_covariates"]
            linear_predictor = linear_predictor + own.sum(axis=1)
        log_scale_at_means = _baseline(spec, effect, shape)
        if spec.shape_differs:
            shape = (shape[0] * pt.exp(_log_shape_ratios(spec, inputs)), *shape[1:])

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


def variable(name: str, prior: Prior, **options: Any) -> Any:
    """Return a random variable of the current model with this prior."""
    try:
        return distribution(prior, name)(name, **parameters(prior), **options)
    except (TypeError, ValueError) as error:
        raise SpecError(f"The prior of {name}, {prior}, is not one that PyMC accepts: {error}") from error


def _coefficients(spec: ModelSpec) -> Any | None:
    """Return the coefficient vector: one variable where all its priors are of one kind, else one a column."""
    name = names.LOG_HAZARD_RATIO if spec.metric == names.HAZARD_RATIO else names.LOG_TIME_RATIO
    return _vector(name, names.TERM, spec.resolved.columns, spec.resolved.coefficients)


def _vector(name: str, dim: str, columns: Sequence[str], priors: Sequence[Prior]) -> Any | None:
    """Return a coefficient a column, or none without columns."""
    if not columns:
        return None
    kinds = {(prior.dist, tuple(prior.values)) for prior in priors}
    if len(kinds) == 1:
        stacked = {key: np.array([item.values[key] for item in priors]) for key in priors[0].values}
        return distribution(priors[0], name)(name, **stacked, dims=dim)
    each = [variable(f"{name}[{column}]", prior) for column, prior in zip(columns, priors, strict=True)]
    return pm.Deterministic(name, pt.stack(each), dims=dim)


def _log_shape_ratios(spec: ModelSpec, inputs: Mapping[str, Any]) -> Any:
    """Return what patients add to the log shape, by covariates and sites."""
    resolution = spec.resolved
    by_site = None
    coefficients = _vector(names.LOG_SHAPE_RATIO, names.SHAPE_TERM, resolution.shape_columns, resolution.shape_coefficients)
    if isinstance(spec.sites, RandomSites) and resolution.site_shape_sd is not None:
        sd = variable(names.SITE_SHAPE_SD, resolution.site_shape_sd)
        by_site = _of_sites(names.SITE_LOG_SHAPE, names.SITE_LOG_SHAPE_STANDARDISED, sd, spec.sites)
    return log_shape_ratios(coefficients, by_site, inputs.get("shape_covariates"), inputs.get("site_index"))


def _site_effects(spec: ModelSpec) -> Any | None:
    """Return the site effects: random (non-centred or centred), fixed with sum zero, or none."""
    resolution = spec.resolved
    if isinstance(spec.sites, RandomSites) and resolution.site_sd is not None:
        sd = variable(names.SITE_SD, resolution.site_sd)
        return _of_sites(names.SITE_EFFECT, names.SITE_EFFECT_STANDARDISED, sd, spec.sites)
    if isinstance(spec.sites, FixedSites) and resolution.site_effects is not None:
        return variable(names.SITE_EFFECT, resolution.site_effects, dims=names.SITE)
    return None


def _of_sites(name: str, standardised_name: str, sd: Any, sites: RandomSites) -> Any:
    """Return normal quantities of the sites with this sd, non-centred or centred as the sites are."""
    if sites.centred:
        return pm.Normal(name, 0.0, sd, dims=names.SITE)
    standardised = pm.Normal(standardised_name, 0.0, 1.0, dims=names.SITE)
    return pm.Deterministic(name, sd * standardised, dims=names.SITE)


def _site_slopes(spec: ModelSpec) -> Any | None:
    """Return the sites' slopes (sites, slopes), independent and non-centred or centred as the intercepts are; or none."""
    resolution = spec.resolved
    if not (isinstance(spec.sites, RandomSites) and resolution.slope_columns):
        return None
    priors = resolution.site_slope_sd
    stacked = {key: np.array([item.values[key] for item in priors]) for key in priors[0].values}
    sd = distribution(priors[0], names.SITE_SLOPE_SD)(names.SITE_SLOPE_SD, **stacked, dims=names.SLOPE)
    dims = (names.SITE, names.SLOPE)
    if spec.sites.centred:
        return pm.Normal(names.SITE_SLOPE, 0.0, sd, dims=dims)
    standardised = pm.Normal(names.SITE_SLOPE_STANDARDISED, 0.0, 1.0, dims=dims)
    return pm.Deterministic(names.SITE_SLOPE, sd * standardised, dims=dims)


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
