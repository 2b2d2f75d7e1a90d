"""Log likelihoods of patients who were not fitted, under draws: at their known site, or together at a site not yet seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.families.metric import log_cumulative_hazard, log_hazard
from sitewise.inference.densities import coefficient_name
from sitewise.models.resolve import ModelData
from sitewise.models.spec import ModelSpec
from sitewise.studies.site_integral import log_site_integral

Floats = NDArray[np.float64]
Variables = dict[str, Floats]
"""Draws by name, shapes (S,) or (S, terms or sites)."""


def log_likelihood_of_site(spec: ModelSpec, variables: Variables, patients: ModelData) -> Floats:
    """Return the log likelihood of one site's patients under each draw, its effect integrated out, shape (S,).

    Parameters
    ----------
    spec : ModelSpec
        Resolved.
    variables : mapping of str to ndarray, shape (S,) or (S, terms)
        Draws; site effects among them are not used.
    patients : ModelData
        The site's patients; their ``site`` is not used.
    """
    scale = variables[names.LOG_SCALE_AT_MEANS][:, None]
    shape = tuple(variables[item.name][:, None] for item in spec.family.shape_parameters)
    predictor = np.zeros((scale.size, patients.log_time.size))
    if spec.resolved.columns:
        predictor += variables[coefficient_name(spec)] @ patients.covariates.T
    weight = np.ones(patients.log_time.size) if patients.weight is None else patients.weight
    where = (spec.family, spec.metric)
    hazard = np.exp(log_cumulative_hazard(*where, patients.log_time, predictor, scale, shape))
    if patients.log_entry is not None:
        before = np.exp(log_cumulative_hazard(*where, patients.log_entry, predictor, scale, shape))
        hazard = hazard - patients.entered_late * before
    total = np.maximum(hazard @ weight, 0.0)
    events = log_hazard(*where, patients.log_time, predictor, scale, shape) @ (weight * patients.event)
    if not spec.has_sites:
        return np.asarray(events - total)
    return np.asarray(
        events + log_site_integral(float(weight @ patients.event), total, site_sd=hazard_site_sd(spec, variables))
    )


def on_hazard_scale(spec: ModelSpec, variables: Variables, values: Floats) -> Floats:
    """Return draws (S,) of a coefficient or site effect of the spec's metric as a log hazard ratio."""
    if spec.metric == names.HAZARD_RATIO:
        return values
    shape = tuple(variables[item.name] for item in spec.family.shape_parameters)
    return np.asarray(spec.family.log_hazard_ratio(values, shape))


def hazard_site_sd(spec: ModelSpec, variables: Variables) -> Floats:
    """Return the sd of the sites' log hazard ratios, shape (S,), whatever the metric."""
    return np.abs(on_hazard_scale(spec, variables, variables[names.SITE_SD]))
