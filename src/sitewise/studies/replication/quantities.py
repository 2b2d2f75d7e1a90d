"""What is kept of each posterior: its parameters, functions of the reference patient's curve, and estimands of choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.models.fitted import Fitted
from sitewise.models.labels import dimensions_of, labels_of
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError

Floats = NDArray[np.float64]
Estimand = Callable[[Fitted], xr.DataArray]
"""Makes draws (chain, draw, ...) of a fit: ``functools.partial(sw.survival, groups=..., sites=sw.Marginal(), times=[24])``."""

LOG_LIKELIHOOD = "log_likelihood"
MEDIAN, AVERAGE_PATIENT = "median", "reference patient, average site"
SKIPPED = (
    names.SITE_EFFECT_STANDARDISED,
    names.SITE_SLOPE_STANDARDISED,
    names.SITE_LOG_SHAPE_STANDARDISED,
    names.SITE_DEGREES_OF_FREEDOM_ABOVE_2,
    names.STANDARDISED_COEFFICIENT,
    names.GROUPING_EFFECT_STANDARDISED,
    names.LOG_MEDIAN_AT_MEANS,
)
"""Beginnings of the names of what is not kept."""


@dataclass(frozen=True)
class Summaries:
    """What to keep of each fit, chosen in advance so that memory does not grow with the draws.

    Parameters
    ----------
    times : tuple of float
        Times at which to keep survival of the reference patient at an average site.
    horizon : float, optional
        Horizon of the restricted mean of the same patient.
    estimands : mapping of str to callable, optional
        Further quantities: functions of a fit that return draws; importable ones (no lambda) reach other processes too.
    products : bool
        Whether to keep the size of each coefficient, its product with the site sd, and the log likelihood: they show faults
        which parameters hide.
    prob : float
        Probability of the equal-tailed intervals.
    """

    times: tuple[float, ...] = ()
    horizon: float | None = None
    estimands: Mapping[str, Estimand] = field(default_factory=dict)
    products: bool = False
    prob: float = 0.95

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", tuple(float(time) for time in self.times))
        if not 0 < self.prob < 1:
            raise SpecError(f"prob is {self.prob}; an interval needs a probability inside (0, 1).")
        if any(time <= 0 for time in self.times) or (self.horizon is not None and self.horizon <= 0):
            raise SpecError("Times and horizon of summaries must be positive.")


def quantities(spec: ModelSpec, variables: Mapping[str, Floats], summaries: Summaries) -> tuple[list[str], Floats]:
    """Return names and values (S, m) of what is kept of draws.

    Parameters
    ----------
    spec : ModelSpec
        Resolved.
    variables : mapping of str to ndarray, shape (S,) or (S, terms or sites)
        The posterior's variables, as :func:`sitewise.inference.packing.unpack_arrays` makes them; ``log_likelihood`` besides,
        if it is to be kept.
    summaries : Summaries
        What to keep.
    """
    resolution = spec.resolved
    labels = labels_of(spec)
    effect = names.LOG_HAZARD_RATIO if spec.metric == names.HAZARD_RATIO else names.LOG_TIME_RATIO
    found: list[str] = []
    values: list[Floats] = []
    for name, own in variables.items():
        if name.startswith((*SKIPPED, f"{effect}[")):  # a coefficient sampled alone is in the vector too
            continue
        if name == names.SITE_CORRELATION:  # symmetric, with ones on its diagonal
            pairs = list(combinations(range(own.shape[-1]), 2))
            found += [f"{name}[{resolution.site_terms[one]}, {resolution.site_terms[other]}]" for one, other in pairs]
            values += [own[:, one, other] for one, other in pairs]
        elif dims := dimensions_of(spec, name):
            found += [f"{name}[{', '.join(each)}]" for each in product(*(labels[dim] for dim in dims))]
            values += list(own.reshape(len(own), -1).T)
        else:
            found.append(name)
            values.append(own)
    for place, term in enumerate(resolution.columns if summaries.products else ()):
        # A prior that is too wide overstates large effects of either sign: seen in the size, hardly in the effect itself.
        found.append(f"abs({effect}[{term}])")
        values.append(np.abs(variables[effect][:, place]))
        if names.SITE_SD in variables:
            found.append(f"{names.SITE_SD} x {term}")
            values.append(variables[names.SITE_SD] * variables[effect][:, place])
    if names.LOG_SCALE not in variables:  # a truth that says nothing of the reference patient
        return found, np.column_stack(values)
    shape = tuple(variables[item.name] for item in spec.family.shape_parameters)
    log_scale = variables[names.LOG_SCALE]
    guarantee = spec.guarantee_time
    for time in summaries.times:
        found.append(f"survival({time:g}), {AVERAGE_PATIENT}")
        values.append(np.exp(-np.exp(spec.family.log_cumulative_hazard(_log_beyond(time, guarantee), log_scale, shape))))
    if summaries.times or summaries.horizon is not None:
        found.append(f"median, {AVERAGE_PATIENT}")
        values.append(guarantee + np.exp(spec.family.log_time(np.log(np.log(2.0)), log_scale, shape)))
    if summaries.horizon is not None:
        found.append(f"rmst({summaries.horizon:g}), {AVERAGE_PATIENT}")
        beyond = max(summaries.horizon - guarantee, 0.0)
        kept = min(guarantee, summaries.horizon)
        values.append(
            kept + spec.family.restricted_mean(beyond, 0.0, log_scale, shape) if beyond > 0 else np.full_like(log_scale, kept)
        )
    return found, np.column_stack(values)


def _log_beyond(time: float, guarantee: float) -> float:
    return float(np.log(time - guarantee)) if time > guarantee else -np.inf


def estimand_values(fit: Fitted, summaries: Summaries) -> tuple[list[str], Floats]:
    """Return names and values (S, m) of the estimands of choice; labels of their dimensions stand in brackets."""
    found: list[str] = []
    values: list[Floats] = []
    for name, estimand in summaries.estimands.items():
        draws = estimand(fit)
        others = [dim for dim in draws.dims if dim not in (names.CHAIN, names.DRAW)]
        flat = draws.transpose(names.CHAIN, names.DRAW, *others).to_numpy()
        flat = flat.reshape(flat.shape[0] * flat.shape[1], -1)
        indexes = [draws.indexes.get(dim, pd.RangeIndex(draws.sizes[dim])) for dim in others]
        labels = pd.MultiIndex.from_product(indexes) if others else [()]
        found += [f"{name}[{', '.join(map(str, label))}]" if label else name for label in labels]
        values += list(flat.T)
    return found, np.column_stack(values) if values else np.empty((fit.posterior.sizes[names.DRAW], 0))


def summarised(values: Floats, weights: Floats, prob: float) -> dict[str, Floats]:
    """Return weighted mean, sd, median and equal-tailed limits of columns, each shape (m,).

    Quantiles interpolate the weighted empirical distribution function at the middle of its steps.
    """
    with np.errstate(invalid="ignore"):
        mean = weights @ values
        sd = np.sqrt(np.maximum(weights @ (values - mean) ** 2, 0.0) / (1 - np.sum(weights**2)))
    order = np.argsort(values, axis=0)
    levels = np.array([0.5, 0.5 - prob / 2, 0.5 + prob / 2])
    quantiles = np.empty((3, values.shape[1]))
    for column, own in enumerate(order.T):
        weight = weights[own]
        quantiles[:, column] = np.interp(levels, np.cumsum(weight) - 0.5 * weight, values[own, column])
    return {"mean": mean, "sd": sd, "median": quantiles[0], "lower": quantiles[1], "upper": quantiles[2]}


def probability_below(values: Floats, weights: Floats, truth: Floats, rng: np.random.Generator) -> Floats:
    """Return the posterior probability below the truth, shape (m,): the PIT value of simulation-based calibration.

    Ties (a survival of one before the guarantee time) are broken at random, and so is the place of the truth inside the mass of
    a single draw, so that PIT values of a calibrated posterior are uniform.
    """
    below = weights @ (values < truth)
    tied = weights @ (values == truth)
    size = 1.0 / np.sum(weights**2)
    # With S draws of equal weight the rank of the truth is one of S + 1: it takes the share 1 / (S + 1) of the line.
    share = 1.0 / (size + 1.0)
    return np.asarray((below + rng.random(below.size) * tied) * (1.0 - share) + rng.random(below.size) * share)
