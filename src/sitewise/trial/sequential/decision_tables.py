"""What is decided at each look of many trials: where they stop and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sitewise.problems import TrialError

Flags = NDArray[np.bool_]
NOT_SHOWN, SUCCESS, FUTILITY, FAILED = 0, 1, 2, 3
REASONS: tuple[str, ...] = ("not shown", "success", "futility", "failed")
"""Why a trial ended, by its code. ``not shown``: at the last look without success; ``failed``: the last analysis failed."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """Where and why M trials stopped.

    Parameters
    ----------
    look : ndarray of int, shape (M,)
        Look at which each stopped, from 0.
    reason : ndarray of int, shape (M,)
        Code of the reason, an index into :data:`REASONS`.
    looks : int
        Number of looks planned.
    """

    look: NDArray[np.int64]
    reason: NDArray[np.int8]
    looks: int

    @property
    def success(self) -> Flags:
        """Whether each trial succeeded, (M,)."""
        return np.asarray(self.reason == SUCCESS)

    def shares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the share of trials that stop at each look for each reason, and its standard error, both (L, 4)."""
        counts = np.zeros((self.looks, len(REASONS)))
        np.add.at(counts, (self.look, self.reason), 1.0)
        share = counts / self.look.size
        return share, np.sqrt(share * (1 - share) / self.look.size)


def above(probability: ArrayLike, threshold: ArrayLike, /) -> Flags:
    """Return whether a probability is strictly above its threshold; where the analysis failed (NaN) it is not."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.asarray(probability, dtype=float) > np.asarray(threshold, dtype=float))


def below(probability: ArrayLike, threshold: ArrayLike, /) -> Flags:
    """Return whether a probability is strictly below its threshold; where the analysis failed (NaN) it is not."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.asarray(probability, dtype=float) < np.asarray(threshold, dtype=float))


def all_of(criteria: Sequence[ArrayLike], /, *, active: ArrayLike | None = None) -> Flags:
    """Return where all criteria hold together: dual criteria, or more.

    Dual criteria: Roychoudhury, Scheuer & Neuenschwander 2018 (Clinical Trials 15:452).

    Parameters
    ----------
    criteria : sequence of array-like of bool, shape (M, L)
        Whether each criterion holds in each trial at each look.
    active : array-like of bool, shape (C, L), optional
        Whether a criterion is asked at a look, by default always. A look at which none is asked decides nothing.

    Returns
    -------
    ndarray of bool, shape (M, L)
    """
    if not criteria:
        raise TrialError("There is no criterion: give at least one.")
    holds = np.stack(np.broadcast_arrays(*(np.asarray(item, dtype=bool) for item in criteria)))
    if holds.ndim != 3:
        raise TrialError(f"Criteria are tables of trials by looks; they have {holds.ndim - 1} dimensions.")
    asked = _active(active, (holds.shape[0], holds.shape[2]), "active")
    return np.asarray((holds | ~asked[:, None, :]).all(axis=0) & asked.any(axis=0))


def decide(
    success: ArrayLike,
    futility: ArrayLike | None = None,
    /,
    *,
    analysed: ArrayLike | None = None,
    success_looks: ArrayLike | None = None,
    futility_looks: ArrayLike | None = None,
) -> Decisions:
    """Return where and why each trial stops: at its first look with success or futility, else at the last.

    Success is asked before futility, so that a look with both is a success. A look whose analysis failed decides nothing: the
    trial goes on; when it is the last one, the trial has failed.

    Parameters
    ----------
    success, futility : array-like of bool, shape (M, L)
        Whether the rule holds in each trial at each look. At the last look futility ends the trial as ``not shown``.
    analysed : array-like of bool, shape (M, L), optional
        Whether the analysis gave a result, by default always.
    success_looks, futility_looks : array-like of bool, shape (L,), optional
        Looks at which each rule is asked, by default all.

    Raises
    ------
    TrialError
        When tables do not fit together.
    """
    won = np.asarray(success, dtype=bool)
    if won.ndim != 2 or won.shape[1] == 0:
        raise TrialError(f"Rules are tables of trials by looks; success has shape {won.shape}.")
    looks = won.shape[1]
    lost = np.zeros_like(won) if futility is None else np.asarray(futility, dtype=bool)
    done = np.ones_like(won) if analysed is None else np.asarray(analysed, dtype=bool)
    for name, table in (("futility", lost), ("analysed", done)):
        if table.shape != won.shape:
            raise TrialError(f"{name} has shape {table.shape} and success {won.shape}. Both are trials by looks.")
    won = won & done & _active(success_looks, (looks,), "success_looks")
    lost = lost & done & _active(futility_looks, (looks,), "futility_looks") & ~won
    lost[:, -1] = False
    stops = won | lost
    look = np.where(stops.any(axis=1), stops.argmax(axis=1), looks - 1).astype(np.int64)
    rows = np.arange(len(won))
    reason = np.where(done[:, -1], NOT_SHOWN, FAILED)
    reason = np.where(won[rows, look], SUCCESS, np.where(lost[rows, look], FUTILITY, reason)).astype(np.int8)
    return Decisions(look, reason, looks)


def _active(active: ArrayLike | None, shape: tuple[int, ...], name: str) -> Flags:
    flags = np.ones(shape, dtype=bool) if active is None else np.asarray(active, dtype=bool)
    if flags.shape != shape:
        raise TrialError(f"{name} has shape {flags.shape}; it must be {shape}.")
    return flags
