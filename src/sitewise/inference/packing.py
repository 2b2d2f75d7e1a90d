"""From a resolved spec and a cohort's arrays to the kernel's array, and from the kernel's points back to parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.linalg import helmert
from scipy.special import expit

from sitewise import names
from sitewise.families import (
    Exponential,
    Family,
    Gamma,
    GeneralisedGamma,
    Gompertz,
    LogLogistic,
    LogNormal,
    MixtureCure,
    MSpline,
    PiecewiseExponential,
    Weibull,
)
from sitewise.families.hazard_level import HazardLevel
from sitewise.families.hazard_splines import Basis
from sitewise.inference.prior_codes import POSITIVE, REAL, SUPPORTS, encode, encoded
from sitewise.models.baseline import means_minus_reference, median_minus_scale
from sitewise.models.labels import dimensions_of, labels_of
from sitewise.models.model_data import ModelData, slope_rows
from sitewise.models.site_effects import FixedSites, RandomSites
from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]

POINT = "point"
"""Name under which nutpie stores the kernel's points."""

FAMILY_CODES: dict[type[Family], int] = {
    Weibull: 0,
    Exponential: 1,
    LogNormal: 2,
    LogLogistic: 3,
    Gamma: 4,
    GeneralisedGamma: 5,
    Gompertz: 6,
    PiecewiseExponential: 7,
    MSpline: 7,
}
"""Families that :mod:`sitewise.inference.family_terms` knows; with cure, that of the uncured."""
CONSTANT = 1e-10
"""A column whose sd is less than this share of its largest value is constant."""
BASELINES = {"log_median": 0, "log_scale": 1, "log_scale_at_means": 2}


def is_compiled(spec: ModelSpec) -> bool:
    """Return whether the fast engine has this spec's family, and a place for its sites and for the prior of its baseline."""
    return type(spec.family) in (Weibull, Exponential) and _has_places(spec)


def _has_places(spec: ModelSpec) -> bool:
    """Return whether the compiled functions have a place for a spec's site effects, its one shape and its baseline's prior."""
    resolution = spec.resolved
    fixed = resolution.site_effects
    known_sites = fixed is None or (fixed.dist == "ZeroSumNormal" and set(fixed.values) == {"sigma"})
    plain = (not isinstance(spec.sites, RandomSites) or spec.sites.is_plain) and not spec.groupings
    located = resolution.baseline == "log_scale_at_means" or "mu" in resolution.baseline_prior.values
    return known_sites and plain and located and not spec.shape_differs


def _uncured(family: Family) -> Family:
    return family.uncured if isinstance(family, MixtureCure) else family


def kernel_reads(spec: ModelSpec) -> bool:
    """Return whether the kernel has this spec's family and priors."""
    resolution = spec.resolved
    shape = zip(spec.family.shape_parameters, resolution.shape, strict=True)
    encoded = [encode(prior, SUPPORTS[item.support][1]) for item, prior in shape]
    encoded += [encode(prior, REAL) for prior in resolution.coefficients]
    encoded.append(encode(resolution.baseline_prior, REAL))
    if resolution.site_sd is not None:
        encoded.append(encode(resolution.site_sd, POSITIVE))
    encoded += [encode(prior, POSITIVE) for prior in resolution.site_slope_sd]
    return type(_uncured(spec.family)) in FAMILY_CODES and _has_places(spec) and None not in encoded


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

    Header: n, p, free site effects, sites, time-ratio metric, number of shape parameters, kind of site effects; at 9 the kind
    of baseline; from 14 and 18 the priors of site sd and baseline as (code, a, b, c); at 22 the sd of fixed sites; at 24 the
    number of slopes; from 25 the family, whether a share is cured, and pieces, splines and degree of a spline hazard; last, the
    length of the whole. Then per coefficient (code, a, b, c, column sd, mean - reference), the patients' times, sites and
    covariates, the slopes' priors and columns, per shape parameter (support, code, a, b, c), and the spline.
    """
    resolution = spec.resolved
    n, p = data.covariates.shape
    sites, slopes, kind = len(resolution.site_labels), len(resolution.slope_columns), _site_kind(spec)
    free_effects = {0: 0, 1: sites, 2: sites, 3: sites - 1}[kind]
    uncured = _uncured(spec.family)
    spline, unit = _spline(uncured)
    header = np.zeros(32)
    header[:7] = n, p, free_effects, sites, spec.metric == names.TIME_RATIO, len(resolution.shape), kind
    header[9] = BASELINES[resolution.baseline]
    header[14:18] = encoded(resolution.site_sd, POSITIVE) if resolution.site_sd is not None else 0.0
    header[18:22] = encoded(resolution.baseline_prior, REAL)
    header[22] = resolution.site_effects.values["sigma"] if resolution.site_effects is not None else 0.0
    header[24:27] = slopes, FAMILY_CODES[type(uncured)], isinstance(spec.family, MixtureCure)
    if spline is not None:
        header[27:30] = *spline.hazard.shape[:2], spline.hazard.shape[2] - 1
    terms = np.zeros((p, 6))
    for row, prior in enumerate(resolution.coefficients):
        terms[row, :4] = encoded(prior, REAL)
    terms[:, 4] = column_scales(data)
    terms[:, 5] = np.asarray(resolution.means) - np.asarray(resolution.reference)
    parts = [header, terms, _times(data), data.site, data.covariates]
    if kind == 3:
        parts.append(sum_to_zero_basis(sites))
    parts += [np.array([encoded(prior, POSITIVE) for prior in resolution.site_slope_sd]), slope_rows(spec, data)]
    for item, prior in zip(spec.family.shape_parameters, resolution.shape, strict=True):
        support, known = SUPPORTS[item.support]
        parts.append(np.array([support, *encoded(prior, known)]))
    parts.append(np.array([np.log(unit), 0.0 if spline is None else spline.last]))
    if spline is not None:
        parts += [spline.constant, spline.breaks, spline.cumulative]
    packed = np.concatenate([np.asarray(part, dtype=float).ravel() for part in parts])
    packed[31] = packed.size
    free = len(resolution.shape) + p + (resolution.site_sd is not None) + free_effects + slopes * (1 + sites) + 1
    return packed, free


def _times(data: ModelData) -> Floats:
    """Return log time, event, log entry, entered late, weight, interval, log lower and lower known in columns."""
    columns = [data.log_time, data.event, data.log_entry, data.entered_late, data.weight]
    columns += [data.interval, data.log_lower, data.lower_known]
    times = np.zeros((data.log_time.size, len(columns)))
    times[:, 4] = 1.0
    for place, values in enumerate(columns):
        if values is not None:
            times[:, place] = values
    return times


def _spline(family: Family) -> tuple[Basis | None, float]:
    """Return the splines of a family's hazard, and its unit of time; none, and one, of families that have no such thing."""
    unit = family.unit if isinstance(family, HazardLevel) else None
    return family.basis if isinstance(family, MSpline) else None, 1.0 if unit is None else unit


def centre(spec: ModelSpec, data: ModelData, free: int) -> Floats:
    """Return a point in the middle of things: no effects, shape 1, few cured, site sd 0.3, the scale of an exponential fit."""
    point = np.zeros(free)
    resolution = spec.resolved
    for place, item in enumerate(spec.family.shape_parameters):
        point[place] = -1.5 if item.support == "share" else 0.0
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
    content = {name: ((*sample, *dimensions_of(spec, name)), values) for name, values in variables.items()}
    chains, draws = variables[names.LOG_SCALE_AT_MEANS].shape
    coords: dict[str, Any] = {names.CHAIN: np.arange(chains), names.DRAW: np.arange(draws), **labels_of(spec)}
    return xr.Dataset(content, coords=coords)


def unpack_arrays(spec: ModelSpec, scales: Floats, points: Floats) -> dict[str, Floats]:
    """Return the graph's variables by name, shape (...) or (..., terms or sites), from points (..., free).

    ``scales`` are the sds of the design columns, by which the points' coefficients are multiplied.
    """
    resolution = spec.resolved
    result: dict[str, Floats] = {}
    place = 0
    shape: tuple[Floats, ...] = ()
    for place, item in enumerate(spec.family.shape_parameters):
        own = points[..., place]
        result[item.name] = {"positive": np.exp, "share": expit}.get(item.support, np.array)(own)
        shape = (*shape, result[item.name])
    place = len(shape)
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
    at_means, apart = points[..., -1], means_minus_reference(spec, coefficients, shape)
    if resolution.baseline == names.LOG_MEDIAN and not spec.family.scale_family:
        result[names.LOG_MEDIAN] = at_means
        at_means = spec.family.log_scale_at(at_means, shape) + apart
    elif resolution.baseline == names.LOG_MEDIAN:
        result[names.LOG_MEDIAN_AT_MEANS] = at_means
        at_means = at_means - median_minus_scale(spec, shape)
    result[names.LOG_SCALE_AT_MEANS] = at_means
    result[names.LOG_SCALE] = at_means - apart
    return result
