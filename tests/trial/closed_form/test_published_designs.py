"""Further published designs: protocols of trials, vignettes of R packages, tables of papers.

Each test cites its source and says what had to be assumed. ``printed`` allows half a unit of the last printed digit.
"""

from __future__ import annotations

import itertools
import math

import pytest

from sitewise.trial.closed_form import (
    Enrolment,
    NormalPrior,
    PiecewiseExponential,
    TwoArms,
    WeibullTimes,
    critical_hazard_ratio,
    dropouts_of_arms,
    events_of_arms,
    expected_events,
    lachin_foulkes_size,
    log_hazard_ratio_assurance,
    log_rank_moments,
    log_rank_patients,
    log_rank_power,
    one_sample_log_rank_patients,
    one_sample_moments,
    schoenfeld_events,
    schoenfeld_power,
    time_of_events,
    time_of_events_of_arms,
)

pytestmark = pytest.mark.filterwarnings("error")


def printed(text):
    """The number written in ``text``, give or take half a unit of its last digit."""
    digits = len(text.split(".")[1]) if "." in text else 0
    return pytest.approx(float(text), rel=0, abs=0.5000001 * 10.0**-digits)


def exponential(control, experimental, enrolment, **more):
    """Two exponential arms with these hazards."""
    return TwoArms(PiecewiseExponential((control,)), PiecewiseExponential((experimental,)), enrolment, **more)


# Protocols of trials.


def test_nrg_rtog_1112_sbrt_and_sorafenib_in_liver_cancer():
    """Dawson et al., ASTRO 2022 (NCT01730937): planned hazard ratio .72, one-sided .05, and 65 % power with 155 deaths.

    The amended power is a whole per cent and may have been cut instead of rounded (.6554). The first plan, 238 deaths for
    80 %, holds interim looks: a single analysis needs 229.2.
    """
    assert schoenfeld_power(0.72, events=155, alpha=0.05) == pytest.approx(0.65, abs=0.01)
    single = schoenfeld_events(0.72, power=0.8, alpha=0.05)
    assert single < 238 < 1.05 * single


def test_hyport_adjuvant_non_inferiority_of_one_week_of_breast_radiotherapy():
    """Protocol in Trials 2020, 21 (doi:10.1186/s13063-020-04751-y), table 4: 140 recurrences, margin 1.63, bound 1.17.

    z = 1.96 at the final analysis, as printed there. The 140 events for 80 % power hold a futility look; one analysis needs
    131.5.
    """
    assert critical_hazard_ratio(140, alpha=0.025, null_hazard_ratio=1.63) == printed("1.17")
    single = schoenfeld_events(1.0, null_hazard_ratio=1.63, power=0.8, alpha=0.025)
    assert single < 140 < 1.07 * single


def test_javelin_renal_101_progression_free_survival():
    """Motzer et al. 2019, N Engl J Med 380:1103: 336 events, hazard ratio .65, 90 % power, one-sided .004.

    Two looks with an O'Brien-Fleming bound, which cost less than 1 % of the events.
    """
    assert schoenfeld_power(0.65, events=336, alpha=0.004) == pytest.approx(0.90, abs=0.005)
    assert schoenfeld_events(0.65, power=0.9, alpha=0.004) == pytest.approx(336, rel=0.01)


def test_resorce_regorafenib_after_sorafenib():
    """Bruix et al. 2017, Lancet 389:56: 2:1, a median longer by 43 %, one-sided .025, 90 % power: 370 deaths.

    Exponential times are assumed, so that the hazard ratio is 1 / 1.43.
    """
    assert math.ceil(schoenfeld_events(1 / 1.43, power=0.9, alpha=0.025, allocation=2)) == 370


# Tables and examples of papers.


@pytest.mark.parametrize(("ratio", "patients"), [(1.25, 1264), (1.5, 384), (1.75, 204), (2.0, 132)])
def test_schoenfeld_sizes_of_a_table_on_pilot_trials(ratio, patients):
    """Trials 2015, 16 (doi:10.1186/s13063-015-0727-9), table 1: two-sided .05, 80 %, equal arms, half of the patients censored.

    The table's sizes follow when events are rounded up to an even number; the hazard ratios above 1 are the inverse here.
    """
    events = 2 * math.ceil(schoenfeld_events(1 / ratio, power=0.8, alpha=0.025) / 2)
    assert 2 * events == patients


def test_one_sample_log_rank_of_primary_biliary_cirrhosis():
    """Wu 2015, Pharmaceutical Statistics 14:26, example: Weibull 1.22, median 9, ratio 1 / 1.75, 5 + 3 years: 88 patients.

    One-sided .05 and 80 % power, as in the documentation of the R package logRank1s.
    """
    benchmark = WeibullTimes.of_median(9, shape=1.22)
    moments = one_sample_moments(benchmark, hazard_ratio=1 / 1.75, at=8, enrolment=Enrolment.uniform(1, duration=5))
    assert math.ceil(one_sample_log_rank_patients(moments, alpha=0.05, power=0.8)) == 88


@pytest.mark.parametrize(("estimate", "error", "success"), [(0.396, 0.837, "0.740"), (0.287, 0.658, "0.783")])
def test_success_of_a_pivotal_trial_after_external_studies(estimate, error, success):
    """Rufibach, Jordan & Abt 2016, J Biopharm Stat 26:191, table 1 (vignette of the R package bpp): the prior updated."""
    prior = NormalPrior(math.log(0.85), 0.11).updated(math.log(estimate), standard_error=error)
    assert log_hazard_ratio_assurance(prior, events=1600, alpha=0.049 / 2) == printed(success)


# Vignettes of R packages.


def test_gsdesign_events_power_and_bound():
    """gsDesign, vignette SurvivalOverview: 100 events at .7; the bound of 120 events; the events that make .8 significant."""
    assert schoenfeld_power(0.7, events=100, alpha=0.025) == printed("0.4299155")
    assert critical_hazard_ratio(120, alpha=0.025) == printed("0.6991858")
    assert critical_hazard_ratio(347.1683, alpha=0.025, allocation=2) == pytest.approx(0.8, rel=1e-7)


def test_gsdesign_lachin_foulkes():
    """gsDesign, vignette SurvivalOverview (N 422, 330 events) and the book's first nSurv example (N 227.6, D 88.7)."""
    control = math.log(2) / 8
    design = exponential(
        control,
        0.7 * control,
        Enrolment.uniform(1, duration=12),
        control_dropout_hazard=0.001,
        experimental_dropout_hazard=0.001,
    )
    found = lachin_foulkes_size(design, at=28, alpha=0.025, power=0.9)
    assert (math.ceil(found.patients), math.ceil(found.events)) == (422, 330)
    control = math.log(2) / 20
    design = exponential(control, control / 2, Enrolment.uniform(1, duration=20))
    found = lachin_foulkes_size(design, at=30, alpha=0.025, power=0.9)
    assert found.patients == printed("227.6")
    assert found.events == printed("88.7")


def test_lrstat_direct_approximation():
    """lrstat, vignette on Schoenfeld's method: 40 events at 13.63169 months, information 9.96, power .714 (Schoenfeld .745)."""
    control, experimental = -math.log(0.6) / 12, -math.log(0.8) / 12
    design = exponential(control, experimental, Enrolment.uniform(200, duration=12))
    assert time_of_events_of_arms(40, design, latest=112) == printed("13.63169")
    found = log_rank_moments(design, at=13.63)
    assert found.variance == printed("9.96")
    assert found.power(alpha=0.025) == printed("0.714")
    assert schoenfeld_power(experimental / control, events=40, alpha=0.025) == printed("0.7450763")


def test_lrstat_delayed_effect_with_a_ramp_of_accrual():
    """lrstat, vignette on non-proportional hazards: 468 patients; 252 events at 31.4 months; 315 at 41.5, information 77.96."""
    control, dropout = math.log(2) / 13, -math.log(1 - 0.05) / 12
    design = TwoArms(
        PiecewiseExponential((control,)),
        PiecewiseExponential((control, 0.58 * control), (6.0,)),
        Enrolment(tuple(26 / 9 * month for month in range(1, 10)), (1.0,) * 8 + (14.0,)),
        control_dropout_hazard=dropout,
        experimental_dropout_hazard=dropout,
    )
    assert design.enrolment.patients == pytest.approx(468)
    for events, time, dropouts, information in ((252, "31.4", "23.1", "62.76"), (315, "41.5", "29.8", "77.96")):
        found = time_of_events_of_arms(events, design, latest=200)
        assert found == printed(time)
        assert dropouts_of_arms(design, at=found).total == printed(dropouts)
        assert log_rank_moments(design, at=found).variance == printed(information)


@pytest.mark.parametrize(("months", "events", "dropouts", "end"), [(38.2, 39, "4.8", "43.1"), (25.4, 26, "3.2", "31.1")])
def test_lrstat_fixed_follow_up_designs(months, events, dropouts, end):
    """lrstat, vignette on fixed follow-up: designs 1 (191 patients, 43.1 months) and 2 (127 patients, 31.1 months).

    The information printed for design 1, 7.31, is Schoenfeld's D r / (1 + r)^2; that for design 2, 4.46, is the variance of
    the score.
    """
    control, dropout = 0.95 / 12, -math.log(0.9) / 24
    design = exponential(
        control,
        0.3 * control,
        Enrolment((5.0,), (months,)),
        allocation=3,
        control_dropout_hazard=dropout,
        experimental_dropout_hazard=dropout,
        longest_follow_up=6.5,
    )
    at = float(end)
    assert events_of_arms(design, at=at).total == printed(str(events))
    assert dropouts_of_arms(design, at=at).total == printed(dropouts)
    if events == 26:
        assert log_rank_moments(design, at=at).variance == printed("4.46")


def test_lrstat_stratified_lung_cancer():
    """lrstat, vignette on stratification (EAST 6.4, section 56.7): 24 strata, 66 events at 54.92196 months, information 16.42.

    The strata are independent, so that events and information add up. The vignette's hazards are .009211 times the
    exponential of the *product* of the three log hazard ratios (a Kronecker product of logs; a sum was surely meant). Its
    printed numbers belong to those hazards; they check the sums all the same.
    """
    cell = list(zip((0.28, 0.13, 0.25, 0.34), (1, 2.127, 0.528, 0.413), strict=True))
    age = list(zip((0.28, 0.72), (1, 0.438), strict=True))
    status = list(zip((0.43, 0.37, 0.2), (1, 0.614, 0.159), strict=True))
    designs = []
    for (p1, h1), (p2, h2), (p3, h3) in itertools.product(cell, age, status):
        hazard = 0.009211 * math.exp(math.log(h1) * math.log(h2) * math.log(h3))
        designs.append(exponential(hazard, 0.4466 * hazard, Enrolment((12 * p1 * p2 * p3,), (24.0,))))
    time = time_of_events(66, lambda at: sum(events_of_arms(d, at=at).total for d in designs), latest=124)
    assert time == printed("54.92196")
    assert sum(log_rank_moments(d, at=54.92).variance for d in designs) == printed("16.42")


def test_npsurvss_two_to_one():
    """npsurvSS, vignette on basic functionalities: 2:1 needs 445.9943 + 891.9886 patients, 248.1789 + 427.8668 events.

    Printed from integrals to R's standard tolerance, so that five digits are compared.
    """
    dropout = math.log(2) / 120
    design = exponential(
        math.log(2) / 12,
        math.log(2) / 15,
        Enrolment.uniform(1, duration=6),
        allocation=2,
        control_dropout_hazard=dropout,
        experimental_dropout_hazard=dropout,
    )
    patients = log_rank_patients(design, at=18, alpha=0.025, power=0.8)
    assert patients * design.control_share == pytest.approx(445.9943, rel=2e-5)
    assert patients * design.experimental_share == pytest.approx(891.9886, rel=2e-5)
    events = events_of_arms(design.with_patients(patients), at=18)
    assert events.control == pytest.approx(248.1789, rel=2e-5)
    assert events.experimental == pytest.approx(427.8668, rel=2e-5)


@pytest.mark.parametrize(
    ("ratio", "time", "power", "control", "experimental"),
    [(0.30, "23.1", "0.888", "19.4", "9.63"), (0.32, "24.3", "0.889", "21.4", "11.0"), (0.34, "25.4", "0.891", "23.6", "12.6")],
)
def test_npsurvss_accrual_in_pieces(ratio, time, power, control, experimental):
    """npsurvSS, vignette example1: accrual in three pieces, hazard ratios from .3 to .34, Schoenfeld's events, equal arms."""

    def between(growth, low, high):
        return (ratio - 0.3) / 0.6 * math.exp(growth * (ratio - 0.3 - 0.6)) * (high - low) + low

    accrual, median = between(2.3, 12, 48), between(0, 6, 24)
    events = schoenfeld_events(ratio, power=0.9, alpha=0.025)
    patients = events / between(5, 0.6, 0.7)
    durations = (accrual / 4, accrual / 4, accrual / 2)
    rates = tuple(patients * share / duration for share, duration in zip((0.05, 0.25, 0.7), durations, strict=True))
    hazard = math.log(2) / median
    design = exponential(
        hazard,
        ratio * hazard,
        Enrolment(rates, durations),
        control_dropout_hazard=0.05 * hazard,
        experimental_dropout_hazard=0.05 * hazard,
    )
    found = time_of_events_of_arms(events, design, latest=500)
    assert found == printed(time)
    assert log_rank_power(design, at=found, alpha=0.025) == printed(power)
    arms = events_of_arms(design, at=found)
    assert arms.control == printed(control)
    assert arms.experimental == printed(experimental)


@pytest.mark.parametrize(
    ("month", "experimental", "control", "power"),
    [(1, "0.570", "0.806", "0.0400"), (5, "13.021", "17.755", "0.1659"), (10, "46.806", "61.313", "0.4579")],
)
def test_gestate_trajectory_during_accrual(month, experimental, control, power):
    """gestate, vignette trial_planning: hazards .1 and .07, 400 patients over 12 months, looked at before accrual ends."""
    design = exponential(0.1, 0.07, Enrolment.uniform(400, duration=12))
    found = events_of_arms(design, at=month)
    assert found.experimental == printed(experimental)
    assert found.control == printed(control)
    assert schoenfeld_power(0.7, events=found.total, alpha=0.025) == printed(power)
    assert expected_events(design.control, at=month, enrolment=design.enrolment) == pytest.approx(2 * found.control, rel=1e-12)
