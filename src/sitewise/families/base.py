"""What a family of survival distributions says of itself.

A family states its baseline only: the log cumulative hazard and log hazard of the reference patient as functions of
log time. How covariates and sites enter (multiplying the hazard, or stretching time) is the metric's business and is
written once, in :mod:`sitewise.families.metric`, for every family.

Formulas take the array namespace ``xp`` (NumPy, or ``pytensor.tensor`` when a PyMC graph is built), so that
the numbers and the graph come from the same line of code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sitewise.families.time_nodes import SMOOTH, power_nodes

Array = Any
"""A NumPy array or a PyTensor variable, as the namespace ``xp`` decides."""


@dataclass(frozen=True)
class ShapeParameter:
    """A parameter of a family besides its scale.

    Parameters
    ----------
    name : str
        Name in the posterior and in ``[priors]``.
    default_prior : tuple of (str, dict)
        PyMC distribution and parameters of the contract's default prior.
    support : {"positive", "real", "share"}
        Numbers that it can be; a share lies between 0 and 1.
    """

    name: str
    default_prior: tuple[str, dict[str, float]]
    support: str = "positive"


LOG_LOG_2 = float(np.log(np.log(2.0)))
"""Log cumulative hazard at the median."""
EXTREME_VALUE, LOGISTIC, NORMAL, GAMMA = 0, 1, 2, 3
"""Codes of the distribution of log time around its location: of the minimum's extreme values, logistic, normal, the log of a
gamma variable."""
KINDS_OF_DATA = frozenset({"right", "right, entry", "interval", "interval, entry"})
"""Exact and right-censored times, or events in intervals (left-censored ones too); with delayed entry, or without."""


@runtime_checkable
class Family(Protocol):
    """A baseline survival distribution with a scale and zero or more shape parameters.

    Every method broadcasts. ``log_time`` is the log of time since the guarantee time; ``log_scale`` is in the
    same unit; ``shape`` holds one array per :attr:`shape_parameters`.
    """

    metrics: ClassVar[frozenset[str]]
    standard: ClassVar[int]
    """What covariates and sites add to, the index. :data:`EXTREME_VALUE`: log H, and S = exp(-exp(index)), whatever the
    baseline. Others: k (log t - log lambda), and S is that distribution's upper tail at the index."""
    log_concave: ClassVar[frozenset[str]]
    """Kinds of data (:data:`KINDS_OF_DATA`) whose log likelihood, given the shape, is concave in linear predictor and log
    scale, in every metric. A posterior with log-concave priors then has one mode, where Laplace stands."""
    index_closed: ClassVar[bool]
    """Whether adding to the index gives the same distribution with another scale. Of those where it does not, the baseline
    parameters are about one patient only, the reference patient."""
    mean_is_closed: ClassVar[bool]
    """Whether :meth:`mean_until` is a formula; else areas under curves are taken at :meth:`time_nodes`."""

    @property
    def name(self) -> str:
        """Name in the study file and in saved fits."""
        ...

    @property
    def shape_parameters(self) -> tuple[ShapeParameter, ...]:
        """Parameters besides the scale."""
        ...

    @property
    def scale_family(self) -> bool:
        """Whether the log median is the log scale plus a function of the shape: another scale stretches time."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """What has been chosen or taken from a cohort, as plain data; keyword arguments of the constructor."""
        ...

    def located(self, event_times: NDArray[np.float64]) -> Self:
        """Return the family with what it takes from a cohort (knots), given its event times beyond the guarantee time."""
        ...

    def unlocated(self) -> Self:
        """Return the family as it was before :meth:`located`."""
        ...

    def log_median(self, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return the log of median survival, of those who can have the event."""
        ...

    def log_scale_at(self, log_median: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return the log scale that gives a log median."""
        ...

    def scale_lowered(self, added: Array, shape: tuple[Array, ...]) -> Array:
        """Return by how much the log scale is lower for somebody who adds ``added`` to the index."""
        ...

    def time_nodes(self, horizon: float, shape: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return log times, (..., Q), and weights, (..., Q), at which survival is summed to its area up to ``horizon``."""
        ...

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log H(t)."""
        ...

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log h(t)."""
        ...

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log t such that the log cumulative hazard is as given (the quantile function)."""
        ...

    def log_index_ratio(self, log_time_ratio: Array, shape: tuple[Array, ...]) -> Array:
        """Return what a log time ratio adds to the index: of families that are both kinds at once its log hazard ratio."""
        ...

    def restricted_mean(self, horizon: Array, log_multiplier: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon) when the hazard is multiplied by exp(log_multiplier)."""
        ...

    def tail(self, shape: tuple[Array, ...]) -> Array | None:
        """Return the parameter of the distribution that :attr:`standard` names, if it has one: q of the log-gamma variable."""
        ...

    def index(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the index of somebody who adds nothing to it."""
        ...

    def index_rate(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return how fast the index grows with time, d index / dt: times the density in the index it is that in time."""
        ...

    def log_time_at(self, index: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return log t at which the index is as given."""
        ...

    def mean_until(self, horizon: Array, added: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon) of somebody who adds ``added`` to the index."""
        ...

    def log_cumulative_hazard_of(self, added: Array, log_time: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return log H(t) of somebody who adds ``added`` to the index."""
        ...


class HazardIndex(ABC):
    """What a family is to whose log cumulative hazard covariates and sites add: that is the index."""

    name: ClassVar[str]
    shape_parameters: ClassVar[tuple[ShapeParameter, ...]]
    standard: ClassVar[int] = EXTREME_VALUE
    scale_family: ClassVar[bool] = True
    index_closed: ClassVar[bool] = True
    mean_is_closed: ClassVar[bool] = True

    @property
    def options(self) -> Mapping[str, Any]:
        """Nothing: all is said by the class."""
        return {}

    def located(self, event_times: NDArray[np.float64]) -> Self:
        """Return the family: it takes nothing from a cohort."""
        return self

    def unlocated(self) -> Self:
        """Return the family."""
        return self

    def log_median(self, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log t at which H = log 2."""
        return self.log_time(LOG_LOG_2, log_scale, shape, xp)

    def log_scale_at(self, log_median: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log lambda of a log median: of a family of scales they differ by a function of the shape."""
        return log_median - self.log_median(0.0, shape, xp)

    def time_nodes(self, horizon: float, shape: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return log times and weights: of a curve that starts as time to the power of the shape, or more smoothly."""
        least = np.minimum(np.asarray(shape[0], dtype=float), 1.0) if shape else 1.0
        return power_nodes(horizon, SMOOTH / least)

    @abstractmethod
    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log H(t)."""

    @abstractmethod
    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log h(t)."""

    @abstractmethod
    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log t such that the log cumulative hazard is as given."""

    @abstractmethod
    def restricted_mean(self, horizon: Array, log_multiplier: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon) when the hazard is multiplied by exp(log_multiplier)."""

    def tail(self, shape: tuple[Array, ...]) -> Array | None:
        """Return none."""
        return None

    def index(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return log H(t)."""
        return self.log_cumulative_hazard(log_time, log_scale, shape)

    def index_rate(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return h(t) / H(t)."""
        log_cumulative_hazard = self.log_cumulative_hazard(log_time, log_scale, shape)
        return np.exp(self.log_hazard(log_time, log_scale, shape) - log_cumulative_hazard)

    def log_time_at(self, index: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return log t at which log H(t) is as given."""
        return self.log_time(index, log_scale, shape)

    def mean_until(self, horizon: Array, added: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return the mean of min(T, horizon) of somebody whose hazard is exp(added) times as high."""
        return self.restricted_mean(horizon, added, log_scale, shape)

    def log_cumulative_hazard_of(self, added: Array, log_time: Array, log_scale: Array, shape: tuple[Array, ...]) -> Array:
        """Return log H(t) of somebody whose hazard is exp(added) times as high."""
        return self.log_cumulative_hazard(log_time, log_scale, shape) + added
