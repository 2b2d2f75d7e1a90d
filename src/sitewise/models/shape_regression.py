"""Shapes that differ between patients: covariates and sites on the log of the family's shape.

log k_i = log k + (z_i - z_ref)' alpha + kappa_j with the design row z_i of the shape's terms, that of the reference patient
z_ref, and a site's own log shape kappa_j ~ Normal(0, site_shape_sd). ``shape`` (k) and ``log_scale`` (log lambda) are those of
the reference patient at an average site, and everything else is as it is without.

In the hazard-ratio metric log H_i(t) = k_i (log t - log lambda) + eta_i for Weibull times: a coefficient is the log ratio of
cumulative hazards at t = lambda, the time at which the reference patient's cumulative hazard at an average site is 1, and the
hazard ratio of two patients is a power of time, of their shapes' difference: an effect that varies by log time (Anderson 1991,
Biometrics 47:281, regresses scale and shape of Weibull times in this way). In the time-ratio metric coefficients are log
ratios of the scale, and the shape says how log times spread around it. Patients with other shapes have no common baseline that
another scale would move, so that computation is centred at the reference patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise import names
from sitewise.models.coefficient_priors import unit
from sitewise.models.design import Design, make_design
from sitewise.models.priors import Prior
from sitewise.problems import Problems, nearest

if TYPE_CHECKING:
    from sitewise.models.model_data import ModelData
    from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]
DEFAULT_SHAPE_SD = 0.5
DEFAULT_SITE_SHAPE_SD = 0.3


def resolve_shape(spec: ModelSpec, covariates: pd.DataFrame, reference_patient: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a resolution that are about shapes, by name; none where shapes do not differ.

    Parameters
    ----------
    spec : ModelSpec
        Not yet resolved.
    covariates : DataFrame
        Of the cohort.
    reference_patient : mapping
        The reference patient's level or value of each covariate.
    """
    if not spec.shape_differs:
        return {}
    design = make_design(spec.shape_terms, spec.variables, covariates)
    told = spec.priors.shape_terms
    priors = [
        told.get(column) or told.get(term) or Prior("Normal", mu=0.0, sigma=DEFAULT_SHAPE_SD / unit(values))
        for column, term, values in zip(design.columns, design.term_of_column, design.matrix.T, strict=True)
    ]
    reference = design.rows(pd.DataFrame([dict(reference_patient)]))[0] if spec.shape_terms else np.empty(0)
    own = spec.priors.site_shape_sd or Prior("HalfNormal", sigma=DEFAULT_SITE_SHAPE_SD)
    return {
        "shape_columns": design.columns,
        "shape_reference": tuple(float(value) for value in reference),
        "shape_coefficients": tuple(priors),
        "site_shape_sd": own if spec.shape_sites else None,
    }


def check_shape_priors(spec: ModelSpec, covariates: pd.DataFrame, problems: Problems) -> None:
    """Add the problems of priors that belong to no part of the shape."""
    design = make_design(spec.shape_terms, spec.variables, covariates)
    known = dict.fromkeys((*design.columns, *design.term_of_column))
    for name in spec.priors.shape_terms:
        if name not in known:
            problems.add(f"prior 'shape_terms.{name}'", "belongs to no term of the shape", nearest(name, known))
    if spec.priors.site_shape_sd is not None and not spec.shape_sites:
        problems.add("prior 'site_shape_sd'", "the shape does not differ by site", "Add (1 | site) to shape, or remove it.")


def shape_distances(spec: ModelSpec, design: Design, people: pd.DataFrame | None = None) -> Floats:
    """Return z - z_ref of people, or of the patients of the design of the shape's terms, shape (n, q)."""
    rows = design.matrix if people is None else design.rows(people)
    return np.asarray(rows - np.asarray(spec.resolved.shape_reference))


def shape_of_patients(spec: ModelSpec, variables: Mapping[str, Floats], data: ModelData) -> tuple[Floats, ...]:
    """Return the family's shape parameters of each patient under draws, each (..., n), or (..., 1) where all have the same.

    Parameters
    ----------
    spec : ModelSpec
        Resolved.
    variables : mapping of str to ndarray, shape (...) or (..., columns or sites)
        Draws of the posterior's variables, by name.
    data : ModelData
        The patients' arrays.
    """
    shape = tuple(variables[item.name][..., None] for item in spec.family.shape_parameters)
    if not spec.shape_differs:
        return shape
    log_ratio = log_shape_ratios(
        variables.get(names.LOG_SHAPE_RATIO), variables.get(names.SITE_LOG_SHAPE), data.shape_covariates, data.site
    )
    return (shape[0] * np.exp(log_ratio), *shape[1:])


def log_shape_ratios(coefficients: Any, site_log_shape: Any, distances: Any, site: Any) -> Any:
    """Return what patients add to the log shape, (..., n), for NumPy and for PyTensor.

    Parameters
    ----------
    coefficients : array, shape (..., q), or None
        Of the columns of the shape.
    site_log_shape : array, shape (..., J), or None
        Log shapes of the sites against an average one.
    distances : array, shape (n, q), or None
        Rows of the shape's columns as distances from the reference patient.
    site : array of int, shape (n,)
        Each patient's site.
    """
    by_column = 0.0 if coefficients is None or distances is None else coefficients @ distances.T
    return by_column if site_log_shape is None else by_column + site_log_shape[..., site]
