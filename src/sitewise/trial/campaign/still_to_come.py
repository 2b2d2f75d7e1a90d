"""Patients who are still to come, as far as a look can know of them: when they enter, where, of which group, into which arm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.conduct.arrivals import fill_arms
from sitewise.trial.plan.accrual import Accrual
from sitewise.trial.plan.arms import Arms

Floats = NDArray[np.float64]
Codes = NDArray[np.int16]


def planned_arrivals(accrual: Accrual, time: Floats, /) -> Floats:
    """Return the patients whom all sites together are planned to have enrolled by calendar times, without caps; any shape."""
    since = np.asarray(time, dtype=float)[..., None] - accrual.openings
    growing = np.clip(since, 0.0, accrual.ramp)
    early = growing**2 / (2 * accrual.ramp) if accrual.ramp > 0 else 0.0
    return np.asarray(((early + np.maximum(since - accrual.ramp, 0.0)) * accrual.rates).sum(axis=-1))


def time_of_planned(accrual: Accrual, arrivals: Floats, /) -> Floats:
    """Return the calendar times by which so many patients are planned to have come: the inverse, for positive numbers."""
    opening, full = accrual.openings, accrual.openings + accrual.ramp
    starts = np.unique(np.concatenate([opening, full]))
    piece = np.maximum(np.searchsorted(planned_arrivals(accrual, starts), arrivals, side="right") - 1, 0)
    # Within a piece the intensity is level + slope x: every site is closed, growing or full through the whole of it.
    grows = (opening <= starts[:, None]) & (starts[:, None] < full)
    share = (starts[:, None] - opening) / accrual.ramp if accrual.ramp > 0 else np.zeros(grows.shape)
    level = (np.where(grows, share, starts[:, None] >= full) * accrual.rates).sum(axis=1)[piece]
    slope = (grows * accrual.rates).sum(axis=1)[piece] / accrual.ramp if accrual.ramp > 0 else np.zeros(piece.shape)
    need = arrivals - planned_arrivals(accrual, starts)[piece]
    return np.asarray(starts[piece] + 2 * need / (level + np.sqrt(level**2 + 2 * slope * need)))


def entries_to_come(
    accrual: Accrual, /, *, now: float, enrolled: int, patients: int, sets: int, rng: np.random.Generator
) -> Floats:
    """Draw when patients who are still to come enter, shape (sets, patients).

    Patients come with the planned intensity (openings, ramp and rates of the sites) times one unknown level. ``enrolled``
    patients in a planned number A so far, with a prior in proportion to 1 / level, make the level Gamma(enrolled) / A. Caps of
    sites, and what single sites' numbers say of their rates, are left out of account.

    Parameters
    ----------
    accrual : Accrual
        The plan.
    now : float
        Calendar time of the look.
    enrolled : int
        Patients so far, 1 or more.
    patients, sets : int
        How many are to come, and in how many completed sets.
    rng : Generator
        Random numbers.

    Returns
    -------
    ndarray, shape (sets, patients)
        Calendar times, ascending; infinite for those who would come after ``accrual.longest``.
    """
    so_far = float(planned_arrivals(accrual, np.asarray(now)))
    level = rng.standard_gamma(enrolled, (sets, 1)) / so_far
    waiting = np.cumsum(rng.standard_exponential((sets, patients)), axis=1)
    entries = time_of_planned(accrual, so_far + waiting / level)
    return entries if accrual.longest is None else np.where(entries > accrual.longest, np.inf, entries)


def kinds_to_come(
    site: Codes, group: Codes, /, *, arms: Arms, sites: int, groups: int, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Codes, Codes, NDArray[np.int8]]:
    """Draw sites, risk groups and arms of patients who are still to come, each of shape ``size``.

    Site and group together are those of a patient seen so far, drawn with replacement: a site that has not enrolled yet gets
    nobody. Arms are allocated by permuted blocks within the design's strata that begin anew at the look: what is left of the
    blocks before is not known.

    Parameters
    ----------
    site, group : ndarray of int, shape (n,)
        Of the patients seen so far.
    arms : Arms
        The design.
    sites, groups : int
        How many there are.
    size : tuple of int
        Completed sets, and patients to come.
    rng : Generator
        Random numbers.
    """
    like = rng.integers(site.size, size=size)
    own_site, own_group = site[like], group[like]
    arm = np.ones(size, np.int8)
    if arms.randomised and arm.size:
        stratum, strata = np.zeros(size, np.int64), 1
        if "site" in arms.stratify:
            stratum, strata = stratum + own_site, sites
        if "risk_group" in arms.stratify:
            stratum, strata = stratum * groups + own_group, strata * groups
        fill_arms(stratum, strata, np.array(arms.block), rng.random(size), arm)
    return own_site, own_group, arm
