"""The shape's part of the PyMC graph, where it differs between patients: coefficients, and sites that are normal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from sitewise import names
from sitewise.models.prior_check import distribution, variable
from sitewise.models.shape_regression import log_shape_ratios
from sitewise.models.site_effects import RandomSites
from sitewise.models.spec import ModelSpec


def log_shape(spec: ModelSpec, inputs: Mapping[str, Any]) -> Any:
    """Return what each patient adds to the log shape; registers the variables of the shape in the model."""
    coefficients, by_site = _coefficients(spec), _of_sites(spec)
    return log_shape_ratios(coefficients, by_site, inputs.get("shape_covariates"), inputs.get("site_index"))


def _coefficients(spec: ModelSpec) -> Any | None:
    """Return the coefficients of the shape: one variable where all priors are of one kind, else one a column."""
    columns, priors = spec.resolved.shape_columns, spec.resolved.shape_coefficients
    if not columns:
        return None
    name = names.LOG_SHAPE_RATIO
    if len({(prior.dist, tuple(prior.values)) for prior in priors}) == 1 and all(prior.scalar for prior in priors):
        stacked = {key: np.array([item.values[key] for item in priors]) for key in priors[0].values}
        return distribution(priors[0], name)(name, **stacked, dims=names.SHAPE_TERM)
    each = [variable(f"{name}[{column}]", prior) for column, prior in zip(columns, priors, strict=True)]
    return pm.Deterministic(name, pt.stack(each), dims=names.SHAPE_TERM)


def _of_sites(spec: ModelSpec) -> Any | None:
    """Return the sites' log shapes, non-centred or centred as their effects are."""
    if spec.resolved.site_shape_sd is None:
        return None
    sd = variable(names.SITE_SHAPE_SD, spec.resolved.site_shape_sd)
    if isinstance(spec.sites, RandomSites) and spec.sites.centred:
        return pm.Normal(names.SITE_LOG_SHAPE, 0.0, sd, dims=names.SITE)
    standardised = pm.Normal(names.SITE_LOG_SHAPE_STANDARDISED, 0.0, 1.0, dims=names.SITE)
    return pm.Deterministic(names.SITE_LOG_SHAPE, sd * standardised, dims=names.SITE)
