"""Hazards of any form: M-splines, and as the simplest of them constant pieces, with a random walk as prior of the form.

The hazard is (1 / lambda) sum_i p_i b_i(t / unit), with M-splines b_i of Ramsay (1988, Statistical Science 3:425), each of
which has area one up to the unit, and weights p_i that sum to one. A constant hazard has known weights c_i; others are
p_i = c_i exp(u_i) / sum of these, with u_1 = 0 and u_(i+1) = u_i + sd z_i / root(number of steps), z_i ~ Normal(0, 1): a random
walk around the constant hazard whose sd from start to end is ``hazard_change_sd``, however many steps there are. After the last
event the hazard stays as it is there (as in Jackson 2023, BMC Med Res Methodol 23:282).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, PPoly

from sitewise.families.base import Array, ShapeParameter
from sitewise.families.hazard_level import HazardLevel
from sitewise.families.time_nodes import legendre
from sitewise.problems import SpecError

Floats = NDArray[np.float64]
HAZARD_CHANGE_SD = "hazard_change_sd"
STANDARD_NORMAL = ("Normal", {"mu": 0.0, "sigma": 1.0})
NODES_BETWEEN = 32
"""Gauss-Legendre nodes between neighbouring knots; before the first knot more, since an early curve can be steep."""
EARLY = (1e-3, 1e-2, 0.1, 0.4)
"""Shares of the time of the first knot between which survival is integrated piece by piece."""
MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class Basis:
    """M-splines on [0, 1] and their integrals as polynomials between breaks.

    Parameters
    ----------
    breaks : ndarray, shape (J + 1,)
        0, the knots, 1.
    hazard, cumulative : ndarray, shapes (J, K, d + 1) and (J, K, d + 2)
        Coefficients of the K splines and of their integrals on each piece, in powers of the distance from its start.
    constant : ndarray, shape (K,)
        Weights of a constant hazard.
    last : float
        Value at 1 of the last spline, the only one that is not zero there.
    """

    breaks: Floats
    hazard: Floats
    cumulative: Floats
    constant: Floats
    last: float


@lru_cache(maxsize=64)
def make_basis(knots: tuple[float, ...], degree: int) -> Basis:
    """Return the basis with these inner knots, shares of the unit."""
    breaks = np.array([0.0, *knots, 1.0])
    padded = np.concatenate([np.zeros(degree), breaks, np.ones(degree)])
    area = (padded[degree + 1 :] - padded[: -degree - 1]) / (degree + 1)
    splines = [BSpline(padded, one, degree) for one in np.eye(len(area))]
    pieces = np.stack([PPoly.from_spline((spline.t, spline.c, degree)).c[::-1] for spline in splines])
    inside = slice(degree, degree + len(breaks) - 1)  # pieces before and after repeat the ends of the padded knots
    hazard = pieces[:, :, inside].transpose(2, 0, 1) / area[:, None]
    powers = np.arange(1, degree + 2)
    rising = hazard / powers
    width = np.diff(breaks)
    whole = (rising * width[:, None, None] ** powers).sum(axis=-1)
    start = np.concatenate([np.zeros((1, len(area))), np.cumsum(whole, axis=0)[:-1]])
    last = float((hazard[-1, -1] * width[-1] ** np.arange(degree + 1)).sum())
    return Basis(breaks, hazard, np.concatenate([start[..., None], rising], axis=-1), area, last)


def _stacked(values: list[Array], xp: Any) -> Array:
    """Return arrays that broadcast together as one with a new last axis."""
    return xp.stack(values, axis=-1) if xp is not np else np.stack(np.broadcast_arrays(*values), axis=-1)


@dataclass(frozen=True)
class MSpline(HazardLevel):
    """A hazard that is an M-spline of time.

    Parameters
    ----------
    inner_knots : int
        How many knots to place at equally spaced quantiles of the event times.
    degree : int
        Of the polynomials between knots.
    knots : sequence of float, optional
        Instead: times of the knots beyond the guarantee time, in the cohort's unit.
    unit : float, optional
        Time after which the hazard is constant; default that of the cohort's last event.
    """

    inner_knots: int = 5
    degree: int = 3
    knots: tuple[float, ...] = ()
    unit: float | None = None
    from_cohort: tuple[str, ...] = ()
    name: ClassVar[str] = "m-spline"

    def __post_init__(self) -> None:
        object.__setattr__(self, "knots", tuple(float(knot) for knot in self.knots))
        object.__setattr__(self, "from_cohort", tuple(self.from_cohort))
        if not (0 <= self.inner_knots <= MOST_STEPS and 0 <= self.degree <= 5):
            raise SpecError(f"{self.name}: inner_knots must be 0 to {MOST_STEPS} and degree 0 to 5.")
        ends = [0.0, *self.knots, *([self.unit] if self.unit is not None else [])]
        if any(not low < high for low, high in pairwise(ends)) or not np.isfinite(ends).all():
            raise SpecError(f"{self.name}: knots must be positive, rising, and before the unit; got {ends[1:]}.")

    @cached_property
    def basis(self) -> Basis:
        """The splines on shares of the unit."""
        return make_basis(tuple(knot / self._unit for knot in self.knots), self.degree)

    @property
    def steps(self) -> int:
        """Steps of the random walk: splines less one."""
        return (len(self.knots) if self.knots or self.unit is not None else self.inner_knots) + self.degree

    @property
    def shape_parameters(self) -> tuple[ShapeParameter, ...]:  # type: ignore[override]
        """Sd of the change of the log hazard from start to end, and the standardised steps of its random walk."""
        if self.steps == 0:
            return ()
        steps = (ShapeParameter(f"hazard_step_{number}", STANDARD_NORMAL, "real") for number in range(1, self.steps + 1))
        return (ShapeParameter(HAZARD_CHANGE_SD, ("HalfNormal", {"sigma": 1.0})), *steps)

    def located(self, event_times: Floats) -> Self:
        """Return the family with knots at quantiles of the event times and its unit at the last one, where not given."""
        found: dict[str, Any] = {}
        last = float(np.max(event_times)) if self.unit is None else self.unit
        if self.unit is None:
            found["unit"] = last
        within = event_times[event_times <= last]
        if not self.knots and self.inner_knots and within.size:
            levels = np.arange(1, self.inner_knots + 1) / (self.inner_knots + 1)
            places = np.unique(np.quantile(within, levels))
            found["knots"] = tuple(float(place) for place in places if 0 < place < last)
        return replace(self, **found, from_cohort=tuple(sorted(found))) if found else self

    def unlocated(self) -> Self:
        """Return the family without what it took from a cohort."""
        empty: dict[str, Any] = {"unit": None, "knots": ()}
        return replace(self, **{name: empty[name] for name in self.from_cohort}, from_cohort=()) if self.from_cohort else self

    @property
    def options(self) -> Mapping[str, Any]:
        """Knots, degree and unit, and which of them were taken from a cohort."""
        told = {"inner_knots": self.inner_knots, "degree": self.degree, "knots": list(self.knots), "unit": self.unit}
        return {**told, "from_cohort": list(self.from_cohort)}

    def weights(self, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return the weights p_i, (..., K)."""
        if not shape:
            return self.basis.constant
        sd, steps = shape[0], shape[1:]
        root = float(np.sqrt(len(steps)))
        walk = xp.cumsum(_stacked([0.0 * sd, *(sd * step / root for step in steps)], xp), axis=-1)
        each = xp.exp(walk - walk.max(axis=-1, keepdims=True)) * self.basis.constant
        return each / each.sum(axis=-1, keepdims=True)

    def _splines(self, table: Floats, share: Array, xp: Any) -> Array:
        """Return the polynomials of ``table`` at shares of the unit up to 1, (..., K)."""
        breaks = self.basis.breaks
        piece = sum(((share >= knot) * 1 for knot in breaks[1:-1]), 0 * (share >= 0.0))
        starts, own = (breaks, table) if xp is np else (xp.constant(breaks), xp.constant(table))
        along = share - starts[piece]
        powers = _stacked([along**power for power in range(table.shape[-1])], xp)
        return (own[piece] * powers[..., None, :]).sum(axis=-1)

    def _summed(self, table: Floats, share: Array, weights: Array, xp: Any) -> Array:
        """Return sum_i p_i times the polynomials of ``table`` at shares of the unit up to 1."""
        if xp is not np:
            return (self._splines(table, share, xp) * weights).sum(axis=-1)
        return np.einsum("...k,...k->...", self._splines(table, np.asarray(share, dtype=float), np), weights)

    def log_relative(self, log_share: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log sum_i p_i I_i(x), and beyond 1 log(1 + (x - 1) dR(1)) with I_i the integral of b_i."""
        share, weights = xp.exp(log_share), self.weights(shape, xp)
        inside = self._summed(self.basis.cumulative, xp.minimum(share, 1.0), weights, xp)
        with np.errstate(divide="ignore"):  # at time zero
            return xp.log(inside + xp.maximum(share - 1.0, 0.0) * weights[..., -1] * self.basis.last)

    def log_relative_hazard(self, log_share: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log sum_i p_i b_i(x)."""
        return xp.log(self._summed(self.basis.hazard, xp.minimum(xp.exp(log_share), 1.0), self.weights(shape, xp), xp))

    def log_share(self, log_relative: Array, shape: tuple[Array, ...]) -> Array:
        """Return the log share at which log R is as given: Newton steps inside a bracket, and a straight line beyond 1."""
        weights = self.weights(shape)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            target, last = np.broadcast_arrays(np.exp(log_relative), weights[..., -1] * self.basis.last)
            wanted = np.minimum(target, 1.0)
            low, high, share = np.zeros(wanted.shape), np.ones(wanted.shape), wanted.copy()
            for _ in range(MOST_STEPS):
                value = self._summed(self.basis.cumulative, share, weights, np)
                low, high = np.where(value < wanted, share, low), np.where(value < wanted, high, share)
                step = share - (value - wanted) / self._summed(self.basis.hazard, share, weights, np)
                moved = np.where((step > low) & (step < high), step, 0.5 * (low + high))
                close = np.max(np.abs(moved - share) / np.maximum(moved, 1e-300), initial=0.0) < 1e-14
                share = moved
                if close:
                    break
            return np.log(np.where(target >= 1.0, 1.0 + (target - 1.0) / last, share))

    def time_nodes(self, horizon: Array, shape: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return log times and weights between knots: the curve is smooth there."""
        until = np.asarray(horizon, dtype=float)[..., None]
        breaks = self.basis.breaks * self._unit
        ends = np.concatenate([[0.0], breaks[1] * np.array(EARLY), breaks[1:]])
        ends = np.concatenate([np.minimum(ends, until), np.maximum(until, ends[-1])], axis=-1)
        ends = np.minimum(ends, until)
        places, weights = legendre(NODES_BETWEEN)
        width = np.diff(ends, axis=-1)[..., None]
        times = (ends[..., :-1, None] + width * places).reshape(*until.shape[:-1], -1)
        return np.log(np.maximum(times, 1e-300)), (width * weights).reshape(times.shape)


@dataclass(frozen=True)
class PiecewiseExponential(MSpline):
    """A hazard that is constant between knots: the M-spline of degree 0 (Friedman 1982, Ann Statist 10:101).

    Parameters
    ----------
    inner_knots, knots, unit
        As in :class:`MSpline`; the hazard is constant between knots, and after the last.
    """

    degree: int = 0
    name: ClassVar[str] = "piecewise-exponential"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.degree != 0:
            raise SpecError("piecewise-exponential: the degree is 0; MSpline has others.")
