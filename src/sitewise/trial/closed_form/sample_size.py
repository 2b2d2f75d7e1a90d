"""Patients for a number of events: Schoenfeld's and Lachin and Foulkes' sizes of a trial with proportional hazards."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import level, positive, probability
from sitewise.trial.closed_form.event_times import PiecewiseExponential
from sitewise.trial.closed_form.events import schoenfeld_events
from sitewise.trial.closed_form.expected_events import exponential_expected_events
from sitewise.trial.closed_form.two_arms import TwoArms, events_of_arms


@dataclass(frozen=True)
class SampleSize:
    """Size of a trial; nothing is rounded.

    Parameters
    ----------
    hazard_ratio : float
        Experimental over control.
    events, patients : float
        Of both arms together.
    """

    hazard_ratio: float
    events: float
    patients: float


def hazard_ratio_of_medians(experimental_median: float, control_median: float, *, shape: float = 1.0) -> float:
    """Return the hazard ratio of two Weibull arms with one shape: (control / experimental)^shape."""
    ratio = positive("control_median", control_median) / positive("experimental_median", experimental_median)
    return float(ratio ** positive("shape", shape))


def hazard_ratio_of_survival(experimental_survival: float, control_survival: float) -> float:
    """Return the hazard ratio of two proportional arms from their survival at one time: log S1 / log S0."""
    experimental = math.log(probability("experimental_survival", experimental_survival))
    return experimental / math.log(probability("control_survival", control_survival))


def schoenfeld_size(design: TwoArms, *, hazard_ratio: float, at: float, alpha: float, power: float) -> SampleSize:
    """Return the events by Schoenfeld's formula and the patients of whom so many are expected to have one by ``at``.

    Parameters
    ----------
    design : TwoArms
        Times to the event, dropout, and the pattern of enrolment; the number enrolled does not matter.
    hazard_ratio : float
        Experimental over control, for Schoenfeld's formula.
    at : float
        Calendar time of the analysis.
    alpha, power : float
        One-sided level and power.
    """
    events = schoenfeld_events(hazard_ratio, power=power, alpha=alpha, allocation=design.allocation)
    share = events_of_arms(design, at=at).total / design.enrolment.patients
    return SampleSize(float(hazard_ratio), events, events / share)


def lachin_foulkes_size(design: TwoArms, *, at: float, alpha: float, power: float) -> SampleSize:
    """Return the size for two exponential arms by the formula of Lachin and Foulkes (1986, Biometrics 42:507).

    N = ((z_alpha sd_0 + z_power sd_1) / log h)^2 with variances 1 / (q0 p0) + 1 / (q1 p1) of the log hazard ratio of one
    patient, q the share of an arm and p the probability that its patient has an event by ``at``; under the null both arms have
    the average hazard and the average dropout, weighted by their shares. Arguments are those of :func:`schoenfeld_size`.

    Raises
    ------
    TrialError
        When an arm is not exponential or the experimental hazard is not the lower.
    """
    hazards = []
    for times in (design.control, design.experimental):
        if not isinstance(times, PiecewiseExponential) or len(times.hazards) != 1:
            raise TrialError("Lachin and Foulkes' size is for exponential arms; use log_rank_patients for others.")
        hazards.append(times.hazards[0])
    shares = (design.control_share, design.experimental_share)
    dropouts = (design.control_dropout_hazard, design.experimental_dropout_hazard)
    if hazards[1] >= hazards[0]:
        raise TrialError("The experimental hazard is not below the control hazard; no number of patients shows a benefit.")

    def probabilities(hazards: tuple[float, ...], dropouts: tuple[float, ...]) -> list[float]:
        return [
            exponential_expected_events(
                hazard,
                at=at,
                enrolment=design.enrolment,
                dropout_hazard=dropout,
                longest_follow_up=design.longest_follow_up,
            )
            / design.enrolment.patients
            for hazard, dropout in zip(hazards, dropouts, strict=True)
        ]

    def standard_deviation(events: list[float]) -> float:
        return math.sqrt(sum(1 / (share * event) for share, event in zip(shares, events, strict=True)))

    averages = [sum(share * value for share, value in zip(shares, pair, strict=True)) for pair in (hazards, dropouts)]
    alternative = probabilities(tuple(hazards), dropouts)
    null = probabilities((averages[0],) * 2, (averages[1],) * 2)
    ratio = hazards[1] / hazards[0]
    effect = float(norm.isf(level(alpha))) * standard_deviation(null)
    effect += float(norm.ppf(probability("power", power))) * standard_deviation(alternative)
    patients = (effect / math.log(ratio)) ** 2
    share = sum(share * event for share, event in zip(shares, alternative, strict=True))
    return SampleSize(ratio, patients * share, patients)
