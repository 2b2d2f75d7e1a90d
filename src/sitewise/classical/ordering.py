"""Cohorts in the order of their times: sorted once, read by every statistic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def _no_entry() -> Floats:
    return np.empty((0, 0))


@dataclass(frozen=True, eq=False)
class Ordered:
    """R cohorts of n patients, each in the order of its times.

    Parameters
    ----------
    order : ndarray of int, shape (R, n)
        Positions of the patients, first to last; equal times stay in the order given.
    time, event : ndarray, shape (R, n)
        Times and whether they are events, in that order.
    entry : ndarray, shape (R, n) or (0, 0)
        Times from which the patients were observed, in that order: at risk at t are those with entry < t <= time. Empty where
        all were observed from the start.
    """

    order: NDArray[np.intp]
    time: Floats
    event: Mask
    entry: Floats = field(default_factory=_no_entry)

    @classmethod
    def of(cls, time: ArrayLike, event: ArrayLike, entry: ArrayLike | None = None) -> Self:
        """Sort cohorts by time.

        Parameters
        ----------
        time, event : array-like, shape (R, n) or (n,)
            Times and whether they are events; one dimension is one cohort.
        entry : array-like, shape (R, n) or (n,), optional
            Times from which the patients were observed, before ``time``.
        """
        times, events = np.atleast_2d(np.asarray(time, dtype=float)), np.atleast_2d(np.asarray(event, dtype=bool))
        if times.ndim != 2 or times.shape != events.shape:
            raise ValueError(
                f"time and event must have the same shape, (R, n) or (n,); they have {times.shape} and {events.shape}."
            )
        if not np.isfinite(times).all():
            raise ValueError("time must be finite.")
        order = times.argsort(axis=1, kind="stable")
        entries = _no_entry()
        if entry is not None:
            given = np.broadcast_to(np.asarray(entry, dtype=float), times.shape)
            if not (given < times).all():
                raise ValueError("entry must be before time for every patient.")
            entries = np.take_along_axis(given, order, 1)
        return cls(order, np.take_along_axis(times, order, 1), np.take_along_axis(events, order, 1), entries)

    def __len__(self) -> int:
        return len(self.order)

    def everyone(self) -> Mask:
        """Return a mask that includes all patients, shape (R, n)."""
        return np.ones(self.order.shape, dtype=bool)

    def included(self, include: ArrayLike | None) -> Mask:
        """Return a mask in the patients' own order; without one, everyone."""
        if include is None:
            return self.everyone()
        return np.ascontiguousarray(np.broadcast_to(np.asarray(include, dtype=bool), self.order.shape))
