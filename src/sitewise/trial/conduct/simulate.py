"""`simulate_trials`: trials of a design under a truth, in blocks whose random numbers depend on the seed alone."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import TrialError, listed, nearest
from sitewise.trial.conduct.arrivals import fill_arms, fill_arrivals, fill_choices
from sitewise.trial.conduct.event_times import event_times
from sitewise.trial.conduct.streams import BLOCK, Purpose, Streams
from sitewise.trial.conduct.trials import Trials
from sitewise.trial.plan.accrual import MOST, Accrual, FollowUp
from sitewise.trial.plan.arms import Arms
from sitewise.trial.truth.further import check_further
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]


def simulate_trials(
    truth: Truth,
    /,
    *,
    arms: Arms,
    accrual: Accrual,
    follow_up: FollowUp,
    trials: int,
    seed: int,
    first: int = 0,
    accrual_factor: float = 1.0,
) -> Trials:
    """Return trials ``first`` to ``first + trials - 1``, with all that will happen to their patients.

    Parameters
    ----------
    truth : Truth
        What is true; each trial takes one of its rows, and new sites.
    arms, accrual, follow_up
        The design.
    trials, first : int
        How many, and the number of the first: a trial is the same whether it is made alone or with others.
    seed : int
        Of the campaign.
    accrual_factor : float
        Multiplies the rates of all sites.

    Returns
    -------
    Trials

    Raises
    ------
    TrialError
        When numbers are out of range, or the design wants a risk group or an arm that the truth has not.
    """
    if trials < 1 or first < 0 or seed < 0:
        raise TrialError(f"trials must be at least 1, first and seed at least 0; they are {trials}, {first} and {seed}.")
    if not 0 < accrual_factor < np.inf:
        raise TrialError(f"accrual_factor must be positive; it is {accrual_factor:g}.")
    if len(truth.profiles) > MOST:
        raise TrialError(f"The truth has {len(truth.profiles)} profiles; a trial can have {MOST} kinds of patients.")
    check_further(truth, arms)
    case_mix = enriched(truth, arms)
    blocks = range(first // BLOCK, (first + trials - 1) // BLOCK + 1)
    parts = [_block(truth, case_mix, arms, accrual, follow_up, Streams(seed, block), accrual_factor) for block in blocks]
    begin = first - blocks[0] * BLOCK
    if len(parts) == 1:
        return parts[0].some(slice(begin, begin + trials))
    joined = {item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(Trials)}
    return replace(parts[0], **joined).some(slice(begin, begin + trials))


def enriched(truth: Truth, arms: Arms) -> Floats:
    """Return the case mix of those who may enter, shape (R, K).

    Raises
    ------
    TrialError
        When a group of ``enrich`` is unknown, or nobody is of one of them.
    """
    if not arms.enrich:
        return truth.shares
    unknown = [name for name in arms.enrich if name not in truth.groups]
    if unknown:
        raise TrialError(f"arms.enrich names {listed(unknown)}, which the truth has not. {nearest(unknown[0], truth.groups)}")
    allowed = np.array([profile.group in arms.enrich for profile in truth.profiles])
    shares = truth.shares * allowed
    total = shares.sum(axis=1, keepdims=True)
    if (total <= 0).any():
        raise TrialError(f"Nobody in the truth's case mix is of the groups {listed(arms.enrich)} that may enter.")
    return np.asarray(shares / total)


def _block(
    truth: Truth, case_mix: Floats, arms: Arms, accrual: Accrual, follow_up: FollowUp, streams: Streams, factor: float
) -> Trials:
    sites, patients = accrual.sites, arms.patients
    row = np.minimum((streams.uniform(Purpose.WORLD, 1)[:, 0] * truth.rows).astype(np.int64), truth.rows - 1)
    site_effect = truth.site_sd[row, None] * streams.normal(Purpose.SITE_EFFECT, sites)
    enrolled, site = _arrivals(accrual, streams, patients, factor)
    profile = np.zeros((BLOCK, patients), np.int16)
    if len(truth.profiles) > 1:
        fill_choices(np.cumsum(case_mix[row], axis=1), streams.uniform(Purpose.PROFILE, patients), profile)
    arm = np.ones((BLOCK, patients), np.int8)
    if arms.randomised:
        stratum, strata = _strata(truth, arms, sites, site, profile)
        fill_arms(stratum, strata, np.array(arms.block), streams.uniform(Purpose.ALLOCATION, patients), arm)
    added = np.take_along_axis(truth.index[row], profile, axis=1) + np.take_along_axis(site_effect, site, axis=1)
    time = event_times(
        truth, row, added, *_effect(truth, row, arm, site, streams, sites), streams.exponential(Purpose.EVENT, patients)
    )
    if truth.effect.cured > 0:
        time[(arm == 1) & (streams.uniform(Purpose.CURE, patients) < truth.effect.cured)] = np.inf
    if follow_up.assess_every is not None:
        time = _found_at(time, follow_up.assess_every, follow_up.longest)
    leaves = np.full((BLOCK, patients), np.inf if follow_up.longest is None else follow_up.longest)
    if follow_up.dropout is not None:
        lost = streams.exponential(Purpose.DROPOUT, patients) ** (1 / follow_up.dropout.shape) * follow_up.dropout.scale
        leaves = np.minimum(leaves, lost)
    number = streams.block * BLOCK + np.arange(BLOCK)
    return Trials(number, row, enrolled, time, leaves, arm, site, profile, site_effect)


def _arrivals(accrual: Accrual, streams: Streams, patients: int, factor: float) -> tuple[Floats, NDArray[np.int16]]:
    sites = accrual.sites
    enrolled, site = np.empty((BLOCK, patients)), np.zeros((BLOCK, patients), np.int16)
    place = streams.uniform(Purpose.ARRIVAL_SITE, patients)
    if accrual.pattern == "uniform":
        duration = patients / (accrual.rates.sum() * factor)
        enrolled = np.sort(streams.uniform(Purpose.ARRIVAL, patients), axis=1) * duration
        shares = np.cumsum(accrual.rates) / accrual.rates.sum()
        fill_choices(np.broadcast_to(shares, (BLOCK, sites)), place, site)
        return enrolled, site
    rates = np.broadcast_to(accrual.rates * factor, (BLOCK, sites))
    if accrual.rate_shape is not None:
        rates = rates * streams.gamma(Purpose.SITE_RATE, accrual.rate_shape, sites)
    opening, full = accrual.openings, accrual.openings + accrual.ramp
    breaks = np.unique(np.concatenate([opening, full]))
    cap = np.full(sites, patients + 1 if accrual.cap is None else accrual.cap)
    longest = np.inf if accrual.longest is None else accrual.longest
    waiting = streams.exponential(Purpose.ARRIVAL, patients)
    fill_arrivals(np.ascontiguousarray(rates), opening, full, cap, longest, breaks, waiting, place, enrolled, site)
    return enrolled, site


def _found_at(time: Floats, every: float, longest: float | None) -> Floats:
    """Return the times of the assessments at which events are found, (M, N)."""
    found = np.ceil(time / every) * every
    if longest is None:
        return found
    # Three times 1.1 is above 3.3: an assessment at the very end of follow-up is still in it.
    return np.where(np.isclose(found, longest, rtol=1e-12, atol=0.0), longest, found)


def _strata(
    truth: Truth, arms: Arms, sites: int, site: NDArray[np.int16], profile: NDArray[np.int16]
) -> tuple[NDArray[np.int64], int]:
    """Return the stratum of each patient within which places are allocated, and the number of strata."""
    stratum, strata = np.zeros(site.shape, np.int64), 1
    if "site" in arms.stratify:
        stratum, strata = stratum + site, sites
    if "risk_group" in arms.stratify:
        stratum, strata = stratum * len(truth.groups) + truth.group_of_profile[profile], strata * len(truth.groups)
    return stratum, strata


def _effect(
    truth: Truth, row: NDArray[np.int64], arm: NDArray[np.int8], site: NDArray[np.int16], streams: Streams, sites: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the log of what multiplies the hazard of those who are not treated as the cohort was, and who they are."""
    first = truth.effect.log_hazard_ratio
    log_ratio = np.broadcast_to(first[row, None], arm.shape)
    # What a further arm's differs from the first arm's; a site changes the effect of all experimental arms alike.
    apart = np.zeros(arm.shape) if truth.effect.further else 0.0
    for code, own_ratio in enumerate(truth.effect.further, start=2):
        apart = np.where(arm == code, (own_ratio - first)[row, None], apart)
    if truth.effect.site_sd > 0:
        own = truth.effect.site_sd * streams.normal(Purpose.SITE_TREATMENT_EFFECT, sites)
        log_ratio = log_ratio + np.take_along_axis(own, site, axis=1)
    if truth.cohort_arm == "control":
        return log_ratio + apart, arm != 0
    return np.where(arm == 0, -log_ratio, apart), arm != 1
