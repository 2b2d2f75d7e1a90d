"""How the trial goes on after a data cut: remaining times of those who are followed, and those who are still to come.

A patient who is free of the event at t has it where the cumulative hazard is H(t) plus a standard exponential number;
dropout, a Weibull time, goes on the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.conduct.arrivals import fill_arms, fill_choices
from sitewise.trial.conduct.event_times import event_times
from sitewise.trial.conduct.trials import Trials
from sitewise.trial.forecast.hazards import hazard_until
from sitewise.trial.forecast.interim import ARMS
from sitewise.trial.forecast.likelihood import Likelihood
from sitewise.trial.plan.accrual import FollowUp
from sitewise.trial.plan.arms import Arms

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def completed(
    likelihood: Likelihood,
    chosen: Codes,
    site_effect: Floats,
    arrivals: tuple[Floats, NDArray[np.int16]],
    /,
    *,
    arms: Arms,
    follow_up: FollowUp,
    rng: np.random.Generator,
) -> Trials:
    """Return trials of which the observed part is fixed.

    Parameters
    ----------
    likelihood : Likelihood
        The data, the truth, and its draws.
    chosen : ndarray of int, shape (M,)
        Draw of each trial.
    site_effect : ndarray, shape (M, J)
        Effects of the sites.
    arrivals : tuple of ndarray, shape (M, N - n)
        Calendar times and sites of those to come.
    arms, follow_up
        The design.
    rng : Generator
        Random numbers.

    Notes
    -----
    Patients to come are allocated by blocks that begin anew at the data cut: what is left of the blocks before is not known.
    """
    truth, data = likelihood.truth, likelihood.data
    row, seen, trials = likelihood.row[chosen], len(data), chosen.size
    later, later_site = arrivals
    enrolled = np.concatenate([np.tile(data.enrolled, (trials, 1)), later], axis=1)
    site = np.concatenate([np.tile(data.site.astype(np.int16), (trials, 1)), later_site], axis=1)
    profile, arm = _kind_of_each(likelihood, chosen, site_effect, rng)
    new_profile, new_arm = _kinds_to_come(likelihood, row, later_site, arms, rng)
    profile, arm = np.concatenate([profile, new_profile], axis=1), np.concatenate([arm, new_arm], axis=1)

    added = truth.index[row[:, None], profile] + np.take_along_axis(site_effect, site, axis=1)
    own_effect = np.take_along_axis(likelihood.effect_added[chosen], site, axis=1)
    log_ratio = truth.effect.log_hazard_ratio[row, None] + own_effect
    log_ratio = np.where(arm == 1, log_ratio, -log_ratio)
    affected = (arm == 1) == (truth.cohort_arm == "control")
    free = np.concatenate([likelihood.free, np.zeros(later.shape[1])])
    by_arm = [hazard_until(truth, row, free[None, :], arm=own, added=added, effect_added=own_effect) for own in ARMS]
    begun = np.where(arm == 1, by_arm[1], by_arm[0])
    time = event_times(truth, row, added, log_ratio, affected, begun + rng.standard_exponential(begun.shape))
    if truth.effect.cured > 0:
        cured = truth.effect.cured
        still = cured / (cured + (1 - cured) * np.exp(-begun))
        time[(arm == 1) & (rng.random(time.shape) < still)] = np.inf
    if follow_up.assess_every is not None:
        step = follow_up.assess_every
        # Rounding must not find an event at an assessment that has shown none.
        time = step * np.maximum(np.ceil(time / step), np.rint(free / step) + 1)
    elapsed = np.concatenate([data.time, np.zeros(later.shape[1])])
    leaves = _leaves(follow_up, elapsed, trials, rng)
    time[:, :seen] = np.where(data.event, data.time, np.where(data.ended, np.inf, time[:, :seen]))
    leaves[:, :seen] = np.where(data.ended, data.time, leaves[:, :seen])
    return Trials(np.arange(trials), row, enrolled, time, leaves, arm, site, profile.astype(np.int16), site_effect)


def _leaves(follow_up: FollowUp, elapsed: Floats, trials: int, rng: np.random.Generator) -> Floats:
    leaves = np.full((trials, elapsed.size), np.inf if follow_up.longest is None else follow_up.longest)
    if follow_up.dropout is None:
        return leaves
    shape, scale = follow_up.dropout.shape, follow_up.dropout.scale
    hazard = (elapsed / scale) ** shape + rng.standard_exponential(leaves.shape)
    return np.asarray(np.minimum(leaves, scale * hazard ** (1 / shape)))


def _kind_of_each(
    likelihood: Likelihood, chosen: Codes, site_effect: Floats, rng: np.random.Generator
) -> tuple[Codes, NDArray[np.int8]]:
    """Return profile and arm of each patient seen, drawn where they are not known, shape (M, n)."""
    kinds, seen = likelihood.kinds, len(likelihood.data)
    possible = np.zeros(seen, dtype=int)
    for kind in kinds:
        possible[kind.patients] += 1
    which = np.zeros((chosen.size, seen), dtype=np.int64)
    if (possible > 1).any():
        # The largest of log weights plus Gumbel noise is a draw by the weights.
        best = np.full(which.shape, -np.inf)
    for place, kind in enumerate(kinds):
        if (possible <= 1).all():
            which[:, kind.patients] = place
            continue
        own = likelihood.of_kind(kind, chosen, site_effect[..., None])[..., 0] + rng.gumbel(
            size=(chosen.size, kind.patients.size)
        )
        better = own >= best[:, kind.patients]
        which[:, kind.patients] = np.where(better, place, which[:, kind.patients])
        best[:, kind.patients] = np.maximum(best[:, kind.patients], own)
    profile = np.array([kind.profile for kind in kinds], dtype=np.int64)
    arm = np.array([kind.arm for kind in kinds], dtype=np.int8)
    return (profile[which], arm[which]) if kinds else (which, which.astype(np.int8))


def _kinds_to_come(
    likelihood: Likelihood, row: Codes, site: NDArray[np.int16], arms: Arms, rng: np.random.Generator
) -> tuple[Codes, NDArray[np.int8]]:
    truth = likelihood.truth
    profile, arm = np.zeros(site.shape, np.int64), np.ones(site.shape, np.int8)
    if len(truth.profiles) > 1:
        fill_choices(np.cumsum(likelihood.shares[row], axis=1), rng.random(site.shape), profile)
    if arms.randomised:
        stratum, strata = np.zeros(site.shape, np.int64), 1
        if "site" in arms.stratify:
            stratum, strata = stratum + site, len(likelihood.data.sites)
        if "risk_group" in arms.stratify:
            stratum, strata = stratum * len(truth.groups) + truth.group_of_profile[profile], strata * len(truth.groups)
        fill_arms(stratum, strata, np.array(arms.block), rng.random(site.shape), arm)
    return profile, arm
