"""Baselines whose scale is a level of the hazard: another level of the hazard is the same distribution with another scale.

H(t) = (unit / lambda) R(t / unit), with R the form of the cumulative hazard, R(1) = 1: until time ``unit``, the last event of
the cohort that the model was resolved on, the mean hazard is 1 / lambda. Multiplied hazards only move lambda; stretched times
change the form too, so that these families are fitted with hazard ratios.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sitewise.families.base import LOG_LOG_2, Array, ShapeParameter
from sitewise.families.by_quadrature import ByQuadrature
from sitewise.families.time_nodes import power_nodes
from sitewise.problems import SpecError

NEARLY_CONSTANT = 1e-4
"""Size of a Gompertz change below which three terms of a series are exact to 1e-12."""

TINY = 1e-30


class HazardLevel(ByQuadrature):
    """What they share."""

    scale_family: ClassVar[bool] = False
    unit: float | None

    @property
    def _unit(self) -> float:
        if self.unit is None:
            raise SpecError(f"The {self.name} family takes its time unit from a cohort: resolve the spec, or give a unit.")
        return self.unit

    @abstractmethod
    def log_relative(self, log_share: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log R at a log share of the unit."""

    @abstractmethod
    def log_relative_hazard(self, log_share: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log dR at a log share of the unit: the hazard over its mean."""

    @abstractmethod
    def log_share(self, log_relative: Array, shape: tuple[Array, ...]) -> Array:
        """Return the log share of the unit at which log R is as given; infinite where R never gets there."""

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log unit - log lambda + log R(t / unit)."""
        log_unit = float(np.log(self._unit))
        return log_unit - log_scale + self.log_relative(log_time - log_unit, shape, xp)

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return -log lambda + log dR(t / unit)."""
        return self.log_relative_hazard(log_time - float(np.log(self._unit)), shape, xp) - log_scale

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log unit + log R^-1(H lambda / unit), of hazards that are numbers."""
        log_unit = float(np.log(self._unit))
        return log_unit + self.log_share(log_cumulative_hazard + log_scale - log_unit, shape)

    def log_scale_at(self, log_median: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log unit + log R(median / unit) - log log 2."""
        log_unit = float(np.log(self._unit))
        return log_unit + self.log_relative(log_median - log_unit, shape, xp) - LOG_LOG_2

    def scale_lowered(self, added: Array, shape: tuple[Array, ...]) -> Array:
        """Return what is added to the log hazard."""
        return added

    def located(self, event_times: NDArray[np.float64]) -> Self:
        """Return the family with the last event's time as its unit, unless it has one."""
        return self if self.unit is not None else replace(self, unit=float(np.max(event_times)), from_cohort=True)  # type: ignore[type-var]

    def unlocated(self) -> Self:
        """Return the family without what it took from a cohort."""
        return replace(self, unit=None, from_cohort=False) if self.from_cohort else self  # type: ignore[attr-defined, type-var]

    @property
    def options(self) -> Mapping[str, Any]:
        """Unit, and whether it was taken from a cohort."""
        return {} if self.unit is None else {"unit": self.unit, "from_cohort": self.from_cohort}  # type: ignore[attr-defined]


def log_mean_growth(x: Array, xp: Any) -> Array:
    """Return log((exp(x) - 1) / x), whose slope is exact for x that are not tiny."""
    size = xp.maximum(abs(x), TINY)
    return xp.maximum(x, 0.0) + xp.log(-xp.expm1(-size) / size)


@dataclass(frozen=True)
class Gompertz(HazardLevel):
    """Gompertz distribution: the log hazard is a straight line in time; ``hazard_change`` is its change within the unit.

    h(t) = (1 / lambda) a / (exp(a) - 1) exp(a t / unit) with a the change (Gompertz 1825, Phil Trans R Soc 115:513; flexsurv's
    shape is a / unit). With a falling hazard H has a limit, and a share of patients never has the event.

    Parameters
    ----------
    unit : float, optional
        Time, beyond the guarantee time, within which the log hazard changes by ``hazard_change``, in the cohort's unit; default
        the time of the cohort's last event, taken when the spec is resolved.
    """

    unit: float | None = None
    from_cohort: bool = False
    name: ClassVar[str] = "gompertz"
    shape_parameters: ClassVar[tuple[ShapeParameter, ...]] = (
        ShapeParameter("hazard_change", ("Normal", {"mu": 0.0, "sigma": 1.5}), "real"),
    )

    def log_relative(self, log_share: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log((exp(a x) - 1) / (exp(a) - 1)) at x = exp(log_share)."""
        share, change = xp.exp(log_share), shape[0]
        flat = abs(change) < NEARLY_CONSTANT
        safe = xp.where(flat, 1.0, change)
        small = xp.where(flat, change, 0.0)
        series = small * (share - 1) / 2 * (1 + small * (2 * share - 1) / 6)
        curved = log_mean_growth(safe * share, xp) - log_mean_growth(safe, xp)
        return log_share + xp.where(flat, xp.log1p(xp.where(flat, series, 0.0)), curved)

    def log_relative_hazard(self, log_share: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return a x - log((exp(a) - 1) / a)."""
        change = shape[0]
        flat = abs(change) < NEARLY_CONSTANT
        safe = xp.where(flat, 1.0, change)
        small = xp.where(flat, change, 0.0)
        mean = xp.where(flat, small / 2 * (1 + small / 12), log_mean_growth(safe, xp))
        return change * xp.exp(log_share) - mean

    def log_share(self, log_relative: Array, shape: tuple[Array, ...]) -> Array:
        """Return log(log(1 + R (exp(a) - 1)) / a)."""
        change = np.asarray(shape[0], dtype=float)
        change = np.where(change == 0.0, 1e-300, change)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            grown = np.log1p(np.maximum(np.exp(log_relative) * np.expm1(change), -1.0))
            # Late times of a rising hazard: where R overflows, log(1 + R (exp(a) - 1)) is the log of the product.
            late = log_relative + np.log(np.expm1(np.maximum(change, 1e-300)))
            return np.log(np.where((change > 0) & (log_relative > 500), late, grown) / change)

    def time_nodes(self, horizon: Array, shape: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return log times and weights: the curve is smooth, and falls fastest early if its hazard is high."""
        return power_nodes(horizon, 3.0)
