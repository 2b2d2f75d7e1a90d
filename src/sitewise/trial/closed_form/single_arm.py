"""One arm against a benchmark that is given: exponential events, and the one-sample log-rank test."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.stats import norm

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import level, positive, probability
from sitewise.trial.closed_form.enrolment import Enrolment
from sitewise.trial.closed_form.event_times import EventTimes
from sitewise.trial.closed_form.expected_events import ages_of_change
from sitewise.trial.closed_form.quadrature import integral

LONGEST_ACCRUAL = 1e6
"""In multiples of the follow-up after the last entry: where the search for an accrual time ends."""


def single_arm_events(hazard_ratio: float, *, alpha: float, power: float) -> float:
    """Return the events with which one exponential arm shows a hazard below the benchmark's, not rounded.

    D = ((z_alpha + z_power) / log h)^2: the log of an exponential rate estimated from D events has variance 1 / D (Lawless
    2003, Statistical Models and Methods for Lifetime Data, section 4.1).

    Parameters
    ----------
    hazard_ratio : float
        True hazard over the benchmark's; below 1.
    alpha, power : float
        One-sided level and power.
    """
    effect = _effect(hazard_ratio)
    return (_quantiles(alpha, power) / effect) ** 2


def single_arm_power(hazard_ratio: float, *, events: float, alpha: float) -> float:
    """Return the power of one exponential arm with this number of events."""
    effect = -math.log(positive("hazard_ratio", hazard_ratio))
    return float(norm.cdf(effect * math.sqrt(positive("events", events)) - norm.isf(level(alpha))))


@dataclass(frozen=True)
class OneSampleMoments:
    """What one patient adds to the one-sample log-rank test.

    Parameters
    ----------
    events : float
        Probability of an event under the true hazard.
    expected : float
        Mean cumulative benchmark hazard up to the end of follow-up: the events that the benchmark foretells.
    variance : float
        True variance of the difference of the two.
    """

    events: float
    expected: float
    variance: float


def one_sample_moments(benchmark: EventTimes, *, hazard_ratio: float, at: float, enrolment: Enrolment) -> OneSampleMoments:
    """Return the moments of the one-sample log-rank test at calendar time ``at``, without dropout.

    With H the benchmark's cumulative hazard and X a patient's follow-up time to event or censoring, the means of the event
    indicator N, of H(X), of H(X)^2 and of N H(X) (Wu 2015, Pharmaceutical Statistics 14:26; his p00 is half of the mean of
    H(X)^2).
    """
    ratio, time = positive("hazard_ratio", hazard_ratio), positive("at", at)
    breaks = ages_of_change(benchmark, enrolment, time)
    known = enrolment.enrolled(time)

    def mean(power: int) -> float:
        """Integral of G S1 h0 H0^power over the time since entry."""

        def density(age: float) -> float:
            cumulative = benchmark.cumulative_hazard(age)
            watched = enrolment.enrolled(time - age) / known
            return watched * math.exp(-ratio * cumulative) * benchmark.hazard(age) * cumulative**power

        return integral(density, time, breaks=breaks)

    expected, half_square = mean(0), mean(1)
    events, product = ratio * expected, ratio * half_square
    variance = events - events**2 + 2 * half_square - expected**2 - 2 * product + 2 * expected * events
    return OneSampleMoments(events, expected, variance)


def one_sample_log_rank_patients(moments: OneSampleMoments, *, alpha: float, power: float) -> float:
    """Return the patients of a one-sample log-rank test, not rounded.

    n = (z_alpha sqrt(E H(X)) + z_power sd)^2 / (E H(X) - E N)^2: the level comes from the variance that the test estimates
    (the benchmark's expected events, taken under the true hazard), the power from the exact variance under the true hazard
    (Wu 2015, Pharmaceutical Statistics 14:26).
    """
    benefit = moments.expected - moments.events
    if benefit <= 0:
        raise TrialError("The true hazard is not below the benchmark's, so that no number of patients shows a benefit.")
    spread = float(norm.isf(level(alpha))) * math.sqrt(moments.expected)
    spread += float(norm.ppf(probability("power", power))) * math.sqrt(moments.variance)
    return (spread / benefit) ** 2


@dataclass(frozen=True)
class OneSampleSize:
    """Size of a one-sample log-rank trial with a given rate of accrual; nothing is rounded."""

    patients: float
    accrual_duration: float


def one_sample_log_rank_size(
    benchmark: EventTimes, *, hazard_ratio: float, accrual_rate: float, follow_up: float, alpha: float, power: float
) -> OneSampleSize:
    """Return patients and accrual time of a one-sample log-rank test when accrual has a rate.

    Parameters
    ----------
    benchmark : EventTimes
        Times under the null hypothesis.
    hazard_ratio : float
        True hazard over the benchmark's; below 1.
    accrual_rate : float
        Patients per unit of time, uniform.
    follow_up : float
        Time from the last entry to the analysis.
    alpha, power : float
        One-sided level and power.

    Raises
    ------
    TrialError
        When the hazard ratio is 1 or more.
    """
    _effect(hazard_ratio)
    rate, after = positive("accrual_rate", accrual_rate), positive("follow_up", follow_up)

    def missing(duration: float) -> float:
        enrolment = Enrolment((rate,), (duration,))
        moments = one_sample_moments(benchmark, hazard_ratio=hazard_ratio, at=duration + after, enrolment=enrolment)
        return one_sample_log_rank_patients(moments, alpha=alpha, power=power) - rate * duration

    first = after
    while missing(first) < 0:
        first /= 2
    last = first
    while missing(last) > 0:
        last *= 2
        if last > LONGEST_ACCRUAL * after:
            raise TrialError(f"Accrual at {rate:g} per unit of time would take longer than {last:g}. Give a higher rate.")
    duration = float(brentq(missing, first, last, xtol=1e-10)) if last > first else first
    return OneSampleSize(rate * duration, duration)


def _effect(hazard_ratio: float) -> float:
    if positive("hazard_ratio", hazard_ratio) >= 1:
        raise TrialError(f"The hazard ratio against the benchmark is {hazard_ratio}. A benefit has one below 1.")
    return math.log(hazard_ratio)


def _quantiles(alpha: float, power: float) -> float:
    quantiles = float(norm.isf(level(alpha)) + norm.ppf(probability("power", power)))
    if quantiles <= 0:
        raise TrialError(f"A power of {power} is no more than alpha = {alpha}, which a test has without any effect.")
    return quantiles
