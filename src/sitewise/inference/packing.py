"""From a resolved spec and a cohort's arrays to the kernel's array, and from the kernel's points back to parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.linalg import helmert

from sitewise import names
from sitewise.families import Exponential, Weibull
from sitewise.models.baseline import means_minus_reference, median_minus_scale
from sitewise.models.model_data import ModelData, slope_rows
from sitewise.models.priors import Prior
from sitewise.models.site_effects import FixedSites, RandomSites
from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]

POINT = "point"
"""Name under which nutpie stores the kernel's points."""

REAL_CODES = {
    "Normal": (0, ("mu", "sigma")),
    "StudentT": (1, ("nu", "mu", "sigma")),
    "Cauchy": (2, ("alpha", "beta")),
    "Laplace": (3, ("mu", "b")),
}
POSITIVE_CODES = {
    "HalfNormal": (4, ("sigma",)),
    "LogNormal": (5, ("mu", "sigma")),
    "HalfStudentT": (6, ("nu", "sigma")),
    "Exponential": (7, ("lam",)),
    "Gamma": (8, ("alpha", "beta")),
    "InverseGamma": (9, ("alpha", "beta")),
    "HalfCauchy": (10, ("beta",)),
}
"""PyMC distributions that the kernel knows, with its code and the parameters it takes; others go through the graph."""
REAL, POSITIVE = frozenset(REAL_CODES), frozenset(POSITIVE_CODES)
DIMENSIONS: dict[str, tuple[str, ...]] = {
    names.LOG_HAZARD_RATIO: (names.TERM,),
    names.LOG_TIME_RATIO: (names.TERM,),
    names.SITE_EFFECT: (names.SITE,),
    names.SITE_EFFECT_STANDARDISED: (names.SITE,),
    names.SITE_SLOPE_SD: (names.SLOPE,),
    names.SITE_SLOPE: (names.SITE, names.SLOPE),
    names.SITE_SLOPE_STANDARDISED: (names.SITE, names.SLOPE),
    names.LOG_SHAPE_RATIO: (names.SHAPE_TERM,),
    names.SITE_LOG_SHAPE: (names.SITE,),
    names.SITE_LOG_SHAPE_STANDARDISED: (names.SITE,),
}
"""The dimensions of the variables that are not one number a draw."""
CONSTANT = 1e-10
"""A column whose sd is less than this share of its largest value is constant."""
BASELINES = {"log_median": 0, "log_scale": 1, "log_scale_at_means": 2}


@lru_cache(maxsize=4096)
def encode(prior: Prior, known: frozenset[str]) -> tuple[float, ...] | None:
    """Return a prior as code, a, b, c; None when it is not among the ``known`` ones, or the kernel cannot take it.

    Kept, because thousands of fits have the same few priors.
    """
    if prior.dist not in known:
        return None
    code, parameters = {**REAL_CODES, **POSITIVE_CODES}[prior.dist]
    values = prior.values
    if set(parameters) != set(values):
        return None
    location = "alpha" if prior.dist == "Cauchy" else "mu"
    if any(value <= 0 for name, value in values.items() if name != location):
        return None  # the graph says what is wrong
    numbers = [values[name] for name in parameters]
    return (float(code), *numbers, *[0.0] * (3 - len(numbers)))


class UnknownPriorError(ValueError):
    """The compiled functions have no formula of a prior."""


def is_compiled(spec: ModelSpec) -> bool:
    """Return whether the kernel has this spec's family, of one shape, and a place for its priors of baseline and sites."""
    resolution = spec.resolved
    fixed = resolution.site_effects
    known_sites = fixed is None or (fixed.dist == "ZeroSumNormal" and set(fixed.values) == {"sigma"})
    located = resolution.baseline == "log_scale_at_means" or "mu" in resolution.baseline_prior.values
    return type(spec.family) in (Weibull, Exponential) and known_sites and located and not spec.shape_differs


def kernel_reads(spec: ModelSpec) -> bool:
    """Return whether the kernel has this spec's family and priors."""
    resolution = spec.resolved
    encoded = [encode(prior, POSITIVE) for prior in resolution.shape]
    encoded += [encode(prior, REAL) for prior in resolution.coefficients]
    encoded.append(encode(resolution.baseline_prior, REAL))
    if resolution.site_sd is not None:
        encoded.append(encode(resolution.site_sd, POSITIVE))
    encoded += [encode(prior, POSITIVE) for prior in resolution.site_slope_sd]
    return is_compiled(spec) and None not in encoded


def _site_kind(spec: ModelSpec) -> int:
    if isinstance(spec.sites, RandomSites):
        return 2 if spec.sites.centred else 1
    return 3 if isinstance(spec.sites, FixedSites) else 0


def column_scales(data: ModelData) -> Floats:
    """Return the sds of the design columns, by which the kernel's coefficients are multiplied; 1 for constant columns.

    A level may be missing in a simulated cohort, or when patients are left out. The sd of equal numbers is not always zero:
    their mean is rounded.
    """
    rows = data.covariates
    away = rows - rows.sum(axis=0) / len(rows)
    spread = np.sqrt(np.einsum("ij,ij->j", away, away) / len(rows))
    return np.where(spread > CONSTANT * np.abs(rows).max(axis=0, initial=0.0), spread, 1.0)


def slope_scales(spec: ModelSpec, data: ModelData) -> Floats:
    """Return the sds of the columns with random slopes, shape (slopes,)."""
    return column_scales(data)[list(spec.resolved.slope_columns)]


def sum_to_zero_basis(sites: int) -> Floats:
    """Return an orthonormal basis of the vectors that sum to zero, shape (sites, sites - 1)."""
    return np.ascontiguousarray(helmert(sites).T)


def pack(spec: ModelSpec, data: ModelData) -> tuple[Floats, int]:
    """Return the kernel's array for a spec that it reads, and the number of free parameters.

    Header: n, p, free site effects, sites, time-ratio metric, has a shape, kind of site effects, late entry, weights,
    baseline kind; from 10, 14 and 18 the priors of shape, site sd and baseline as (code, a, b, c); at 22 the sd of fixed
    sites; at 23 whether there are intervals; at 24 the number of slopes; last, the length of the whole. Then per coefficient
    (code, a, b, c, column sd, mean - reference), the patients' arrays, and the slopes' priors and columns.
    """
    resolution = spec.resolved
    n, p = data.covariates.shape
    sites = len(resolution.site_labels)
    kind = _site_kind(spec)
    free_effects = {0: 0, 1: sites, 2: sites, 3: sites - 1}[kind]
    header = np.zeros(32)
    header[:10] = [
        *(n, p, free_effects, sites, spec.metric == names.TIME_RATIO, bool(resolution.shape), kind),
        *(data.log_entry is not None, data.weight is not None, BASELINES[resolution.baseline]),
    ]
    header[10:14] = encoded(resolution.shape[0], POSITIVE) if resolution.shape else 0.0
    header[14:18] = encoded(resolution.site_sd, POSITIVE) if resolution.site_sd is not None else 0.0
    header[18:22] = encoded(resolution.baseline_prior, REAL)
    header[22] = resolution.site_effects.values["sigma"] if resolution.site_effects is not None else 0.0
    header[23] = data.interval is not None
    slopes = len(resolution.slope_columns)
    header[24] = slopes
    terms = np.zeros((p, 6))
    for row, prior in enumerate(resolution.coefficients):
        terms[row, :4] = encoded(prior, REAL)
    terms[:, 4] = column_scales(data)
    terms[:, 5] = np.asarray(resolution.means) - np.asarray(resolution.reference)
    parts = [header, terms, data.log_time, data.event, data.site]
    if data.log_entry is not None and data.entered_late is not None:
        parts += [data.log_entry, data.entered_late]
    if data.weight is not None:
        parts.append(data.weight)
    if data.interval is not None and data.log_lower is not None and data.lower_known is not None:
        parts += [data.interval, data.log_lower, data.lower_known]
    parts.append(data.covariates)
    if kind == 3:
        parts.append(sum_to_zero_basis(sites))
    parts += [np.array([encoded(prior, POSITIVE) for prior in resolution.site_slope_sd]), slope_rows(spec, data)]
    packed = np.concatenate([np.asarray(part, dtype=float).ravel() for part in parts])
    packed[31] = packed.size
    free = len(resolution.shape) + p + (resolution.site_sd is not None) + free_effects + slopes * (1 + sites) + 1
    return packed, free


def encoded(prior: Prior, known: frozenset[str]) -> tuple[float, ...]:
    """Return a prior as code, a, b, c.

    Raises
    ------
    UnknownPriorError
        When the kernel does not know it.
    """
    numbers = encode(prior, known)
    if numbers is None:
        raise UnknownPriorError(f"the kernel does not know the prior {prior}")
    return numbers


def centre(spec: ModelSpec, data: ModelData, free: int) -> Floats:
    """Return a point in the middle of things: no effects, shape 1, site sd 0.3, the scale of an exponential fit."""
    point = np.zeros(free)
    resolution = spec.resolved
    weight = 1.0 if data.weight is None else data.weight
    if resolution.site_sd is not None:
        place = len(resolution.shape) + len(resolution.columns)
        point[place] = np.log(0.3)
        place += 1 + len(resolution.site_labels)
        for number, scale in enumerate(slope_scales(spec, data)):
            point[place + number] = np.log(0.3 / scale)
    log_scale = np.log(np.sum(weight * np.exp(data.log_time)) / np.sum(weight * data.event))
    point[-1] = log_scale + (np.log(np.log(2)) if resolution.baseline == "log_median" else 0.0)
    return point


def unpack(spec: ModelSpec, data: ModelData, points: Floats) -> xr.Dataset:
    """Return the graph's variables from the kernel's points, shape (chain, draw, free): the inverse of its transforms."""
    return as_dataset(spec, unpack_arrays(spec, column_scales(data), points))


def as_dataset(spec: ModelSpec, variables: Mapping[str, Floats]) -> xr.Dataset:
    """Return variables by name, shapes (chain, draw) or (chain, draw, terms or sites), with dims and labels."""
    sample = (names.CHAIN, names.DRAW)
    content = {name: ((*sample, *DIMENSIONS.get(name, ())), values) for name, values in variables.items()}
    chains, draws = variables[names.LOG_SCALE_AT_MEANS].shape
    coords: dict[str, Any] = {names.CHAIN: np.arange(chains), names.DRAW: np.arange(draws)}
    if spec.resolved.columns:
        coords[names.TERM] = list(spec.resolved.columns)
    if spec.has_sites:
        coords[names.SITE] = list(spec.resolved.site_labels)
    if spec.resolved.slope_columns:
        coords[names.SLOPE] = list(spec.resolved.slope_labels)
    if spec.resolved.shape_columns:
        coords[names.SHAPE_TERM] = list(spec.resolved.shape_columns)
    return xr.Dataset(content, coords=coords)


def unpack_arrays(spec: ModelSpec, scales: Floats, points: Floats) -> dict[str, Floats]:
    """Return the graph's variables by name, shape (...) or (..., terms or sites), from points (..., free).

    ``scales`` are the sds of the design columns, by which the points' coefficients are multiplied.
    """
    resolution = spec.resolved
    result: dict[str, Floats] = {}
    place = 0
    shape: tuple[Floats, ...] = ()
    if resolution.shape:
        shape, place = (np.exp(points[..., 0]),), 1
        result[names.SHAPE] = shape[0]
    coefficients = None
    if resolution.columns:
        count = len(resolution.columns)
        coefficients = points[..., place : place + count] / scales
        place += count
        result[names.LOG_HAZARD_RATIO if spec.metric == names.HAZARD_RATIO else names.LOG_TIME_RATIO] = coefficients
    if resolution.site_sd is not None:
        site_sd = np.exp(points[..., place])
        sites = len(resolution.site_labels)
        effects = points[..., place + 1 : place + 1 + sites]
        place += 1 + sites
        result[names.SITE_SD] = site_sd
        if isinstance(spec.sites, RandomSites) and not spec.sites.centred:
            result[names.SITE_EFFECT_STANDARDISED] = effects
            effects = effects * site_sd[..., None]
        result[names.SITE_EFFECT] = effects
        slopes = len(resolution.slope_columns)
        if slopes:
            slope_sd = np.exp(points[..., place : place + slopes])
            own = points[..., place + slopes : -1].reshape(*points.shape[:-1], sites, slopes)
            result[names.SITE_SLOPE_SD] = slope_sd
            if isinstance(spec.sites, RandomSites) and not spec.sites.centred:
                result[names.SITE_SLOPE_STANDARDISED] = own
                own = own * slope_sd[..., None, :]
            result[names.SITE_SLOPE] = own
    elif spec.has_sites:
        result[names.SITE_EFFECT] = points[..., place:-1] @ sum_to_zero_basis(len(resolution.site_labels)).T
    at_means = points[..., -1]
    if resolution.baseline == "log_median":
        result[names.LOG_MEDIAN_AT_MEANS] = at_means
        at_means = at_means - median_minus_scale(spec, shape)
    result[names.LOG_SCALE_AT_MEANS] = at_means
    result[names.LOG_SCALE] = at_means - means_minus_reference(spec, coefficients, shape)
    return result
