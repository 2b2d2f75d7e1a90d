"""The arrays of one cohort under one resolved spec: what engines read of patients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sitewise.models.design import Design
from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]
OPTIONAL = ("log_entry", "entered_late", "weight", "interval", "log_lower", "lower_known")
"""Arrays that only some cohorts need."""
ARRAYS = ("log_time", "event", *OPTIONAL, "covariates", "shape_covariates", "site", "grouping")
INDICATORS = {"entered_late": ("log_entry",), "interval": ("log_lower", "lower_known")}
"""Arrays without which, when they are zero everywhere, they and others are not needed."""


@dataclass(frozen=True, eq=False)
class ModelData:
    """The arrays of one cohort under one resolved spec.

    Parameters
    ----------
    log_time : ndarray, shape (n,)
        Log of time beyond the guarantee time.
    event : ndarray, shape (n,)
        1 for an event.
    log_entry, entered_late : ndarray, shape (n,), or None
        Log of entry beyond the guarantee time where positive (0 elsewhere), and the indicator of that; None when nobody
        entered late.
    weight : ndarray, shape (n,), or None
        Weights; None when all are 1.
    covariates : ndarray, shape (n, p)
        Design rows centred at the spec's covariate means.
    site : ndarray of int, shape (n,)
        Position of each patient's site in the spec's ``site_labels``; zeros without site effects.
    design : Design
        The design of this cohort.
    interval, log_lower, lower_known : ndarray, shape (n,), or None
        1 where the event is only known to lie between lower and time; log of lower beyond the guarantee time where positive
        (0 elsewhere), and the indicator of that. None when every event time is exact.
    grouping : ndarray of int, shape (n, G), or None
        Position of each patient's label in each further grouping of the spec; None without any.
    shape_covariates : ndarray, shape (n, q), or None
        Design rows of the shape's terms as distances from the reference patient; None where the shape has no terms.
    """

    log_time: Floats
    event: Floats
    log_entry: Floats | None
    entered_late: Floats | None
    weight: Floats | None
    covariates: Floats
    site: NDArray[np.int64]
    design: Design
    interval: Floats | None = None
    log_lower: Floats | None = None
    lower_known: Floats | None = None
    grouping: NDArray[np.int64] | None = None
    shape_covariates: Floats | None = None

    def some(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> ModelData:
        """Return the arrays of the patients at which ``rows`` is true, or at these positions."""
        chosen: dict[str, Any] = {name: None if (own := getattr(self, name)) is None else own[rows] for name in ARRAYS}
        for indicator, belonging in INDICATORS.items():
            if chosen[indicator] is not None and not (chosen[indicator] > 0).any():
                chosen |= dict.fromkeys((indicator, *belonging))
        return replace(self, **chosen, design=replace(self.design, matrix=self.design.matrix[rows]))

    def __add__(self, other: ModelData) -> ModelData:
        """Return the arrays of two cohorts under one spec as those of one, with the first one's design."""
        joined: dict[str, Any] = {}
        for name in ARRAYS:
            own = [getattr(self, name), getattr(other, name)]
            if own[0] is None and own[1] is None:
                continue
            sizes = (self.log_time.size, other.log_time.size)
            missing = 1.0 if name == "weight" else 0.0
            joined[name] = np.concatenate(
                [np.full(size, missing) if part is None else part for part, size in zip(own, sizes, strict=True)]
            )
        return replace(self, **joined)


def data_arrays(spec: ModelSpec, data: ModelData) -> dict[str, Any]:
    """Return the arrays that the graph holds as ``pm.Data``, by name; a refit on new data replaces them."""
    arrays: dict[str, Any] = {"log_time": data.log_time, "event": data.event}
    arrays |= {name: values for name in OPTIONAL if (values := getattr(data, name)) is not None}
    if spec.resolved.columns:
        arrays["covariates"] = data.covariates
    if data.shape_covariates is not None:
        arrays["shape_covariates"] = data.shape_covariates
    if spec.has_sites:
        arrays["site_index"] = data.site
    if spec.resolved.slope_columns:
        arrays["slope_covariates"] = slope_rows(spec, data)
    if data.grouping is not None:
        arrays["grouping_index"] = data.grouping
    return arrays


def slope_rows(spec: ModelSpec, data: ModelData) -> Floats:
    """Return the columns with random slopes as distances from the reference patient, shape (n, slopes)."""
    return from_reference(spec, data.covariates)


def from_reference(spec: ModelSpec, centred: Floats) -> Floats:
    """Return the columns with random slopes of centred design rows (n, p), as distances from the reference patient."""
    resolution = spec.resolved
    places = list(resolution.slope_columns)
    distance = (np.asarray(resolution.means) - np.asarray(resolution.reference))[places] if places else np.empty(0)
    return centred[:, places] + distance
