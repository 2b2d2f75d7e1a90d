"""The priors of a spec as plain arrays, and the normal that stands in for one inside the Laplace approximation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.classical.compiled import compiled
from sitewise.inference.packing import BASELINES
from sitewise.inference.prior_codes import POSITIVE, REAL, encoded
from sitewise.inference.prior_densities import CAUCHY, LAPLACE, NORMAL, STUDENT_T, prior_log_density
from sitewise.models.site_effects import FixedSites
from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]


class PriorArrays(NamedTuple):
    """Priors and metric of a spec, as the compiled functions read them; a prior is (code, a, b, c) of the kernel.

    Parameters
    ----------
    coefficients : ndarray, shape (q, 4)
        Of the coefficients as the columns are written; with fixed site effects, of their sum-to-zero coordinates too.
    column_sd : ndarray, shape (q,)
        What a column was divided by: the coefficient of a cell's row is that of the column times this.
    distance : ndarray, shape (q,)
        Mean minus reference row, in the units of the cells' rows.
    shape, site_sd, baseline : ndarray, shape (4,)
        Of the hyperparameters and of the baseline.
    baseline_kind : int
        What the baseline is, as in the kernel: log median, log scale, or log scale at the means as it is.
    time_ratio, has_shape, random_sites : bool
        The metric; whether the shape is free; whether there are random site effects.
    site_slope_sd : ndarray, shape (4,)
        Of the sd of random slopes.
    random_slopes : bool
        Whether there are random slopes.
    """

    coefficients: Floats
    column_sd: Floats
    distance: Floats
    shape: Floats
    site_sd: Floats
    baseline: Floats
    baseline_kind: int
    time_ratio: bool
    has_shape: bool
    random_sites: bool
    site_slope_sd: Floats
    random_slopes: bool


def make_priors(spec: ModelSpec, scales: Floats) -> PriorArrays:
    """Return the priors of a spec that the kernel reads; ``scales`` (p,) are the sds of the cohort's columns."""
    resolution = spec.resolved
    coefficients = [encoded(prior, REAL) for prior in resolution.coefficients]
    column_sd = list(scales)
    distance = list((np.asarray(resolution.means) - np.asarray(resolution.reference)) / scales)
    if isinstance(spec.sites, FixedSites) and resolution.site_effects is not None:
        free = len(resolution.site_labels) - 1
        coefficients += [(float(NORMAL), 0.0, resolution.site_effects.values["sigma"], 0.0)] * free
        column_sd += [1.0] * free
        distance += [0.0] * free
    nothing = np.zeros(4)
    return PriorArrays(
        coefficients=np.asarray(coefficients, dtype=float).reshape(-1, 4),
        column_sd=np.asarray(column_sd, dtype=float),
        distance=np.asarray(distance, dtype=float),
        shape=np.asarray(encoded(resolution.shape[0], POSITIVE)) if resolution.shape else nothing,
        site_sd=np.asarray(encoded(resolution.site_sd, POSITIVE)) if resolution.site_sd is not None else nothing,
        baseline=np.asarray(encoded(resolution.baseline_prior, REAL)),
        baseline_kind=BASELINES[resolution.baseline],
        time_ratio=spec.metric == names.TIME_RATIO,
        has_shape=bool(resolution.shape),
        random_sites=resolution.site_sd is not None,
        site_slope_sd=np.asarray(encoded(resolution.site_slope_sd[0], POSITIVE)) if resolution.slope_columns else nothing,
        random_slopes=bool(resolution.slope_columns),
    )


@compiled
def normal_stand_in(code, a, b, c, x):  # type: ignore[no-untyped-def]
    """Return value, slope and precision at x of the log-concave stand-in for a prior on the whole line.

    Normal: itself. Student t and Cauchy: their own density and slope, with the precision of the normal that touches the density
    from below at x (the weight of the EM algorithm for scale mixtures), which is positive everywhere. Laplace, which has a
    kink: the normal of its mean and variance. The importance weights replace stand-ins by the priors themselves.
    """
    if code == LAPLACE:
        code, b = NORMAL, b * np.sqrt(2.0)
    value, slope = prior_log_density(code, a, b, c, x)
    if code == NORMAL:
        return value, slope, 1.0 / (b * b)
    if code == STUDENT_T:
        return value, slope, (a + 1.0) / (a * c * c + (x - b) ** 2)
    if code == CAUCHY:
        return value, slope, 2.0 / (b * b + (x - a) ** 2)
    return value, slope, 0.0


def sd_unit_of(prior: Any) -> float:
    """Return a rough middle of the prior of a sd, where the search begins and v bends from linear to logarithmic."""
    if prior is None:
        return 1.0
    values = prior.values
    rough: dict[str, Callable[[], float]] = {
        "HalfNormal": lambda: 0.67 * values["sigma"],
        "LogNormal": lambda: math.exp(values["mu"]),
        "HalfStudentT": lambda: 0.7 * values["sigma"],
        "Exponential": lambda: 0.7 / values["lam"],
        "Gamma": lambda: values["alpha"] / values["beta"],
        "InverseGamma": lambda: values["beta"] / (values["alpha"] + 1),
        "HalfCauchy": lambda: values["beta"],
    }
    return float(rough[prior.dist]())
