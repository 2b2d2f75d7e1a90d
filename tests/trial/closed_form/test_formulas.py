"""What the formulas do beyond the printed numbers: other routes to the same value, limits, and refusals."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, weibull_min

from sitewise.problems import TrialError
from sitewise.trial import closed_form as cf

pytestmark = pytest.mark.filterwarnings("error")

RAMP = cf.Enrolment((2.0, 0.0, 6.0), (3.0, 2.0, 5.0))


@pytest.mark.parametrize("at", [0.5, 4.0, 9.0, 10.0, 30.0])
@pytest.mark.parametrize("limit", [0.3, 4.0, math.inf])
@pytest.mark.parametrize("dropout", [0.0, 0.07])
def test_exact_exponential_events_against_the_definition(at, limit, dropout):
    """Patients one after the other: those who enter at u have an event with probability p(min(at - u, limit))."""

    def of_entry(u):
        watched, total = min(at - u, limit), 0.2 + dropout
        return RAMP.rate(u) * 0.2 / total * -math.expm1(-total * watched)

    breaks = sorted({0.0, *(b for b in (3.0, 5.0, 10.0, at - limit) if 0 < b < at), at})
    known = sum(quad(of_entry, a, b, epsabs=1e-13)[0] for a, b in pairwise(breaks))
    setting = {"at": at, "enrolment": RAMP, "dropout_hazard": dropout, "longest_follow_up": limit}
    assert cf.exponential_expected_events(0.2, **setting) == pytest.approx(known, rel=1e-9)
    assert cf.expected_events(cf.PiecewiseExponential((0.2,)), **setting) == pytest.approx(known, rel=1e-8)
    assert cf.expected_events(cf.WeibullTimes(1.0, 5.0), **setting) == pytest.approx(known, rel=1e-8)


def test_exponential_events_do_not_cancel_when_the_hazard_is_tiny():
    enrolment = cf.Enrolment.uniform(1, duration=1)
    for hazard in (1e-12, 1e-8, 9e-4, 1.1e-3):
        found = cf.exponential_expected_events(hazard, at=1, enrolment=enrolment)
        series = sum((-1) ** k * hazard ** (k + 1) / math.factorial(k + 2) for k in range(6))
        assert found == pytest.approx(series, rel=1e-9)


@pytest.mark.parametrize("shape", [0.6, 1.0, 2.5])
def test_weibull_events_and_dropouts_against_a_double_integral(shape):
    times, dropout, at, limit = cf.WeibullTimes(shape, 8.0), 0.05, 9.0, 6.0
    enrolment = cf.Enrolment.uniform(30, duration=12)
    law = weibull_min(shape, scale=8.0)

    def inner(u, integrand):
        # Substituting s = x^3 takes the singularity of a falling hazard away.
        return quad(lambda x: 3 * x**2 * integrand(x**3), 0, min(at - u, limit) ** (1 / 3), epsabs=1e-12)[0]

    for found, integrand in (
        (cf.expected_events, lambda s: law.pdf(s) * math.exp(-dropout * s)),
        (cf.expected_dropouts, lambda s: dropout * law.sf(s) * math.exp(-dropout * s)),
    ):
        known = 30 / 12 * sum(quad(lambda u, f=integrand: inner(u, f), a, b, epsabs=1e-10)[0] for a, b in ((0, 3), (3, 9)))
        value = found(times, at=at, enrolment=enrolment, dropout_hazard=dropout, longest_follow_up=limit)
        assert value == pytest.approx(known, rel=1e-7)


def test_piecewise_exponential_hazards_survival_and_medians():
    times = cf.PiecewiseExponential((0.1, 0.3, 0.05), (2.0, 5.0))
    for time in (0.0, 1.0, 2.0, 4.0, 9.0):
        area = quad(times.hazard, 0, time, points=[2.0, 5.0], epsabs=1e-13)[0] if time else 0.0
        assert cf.survival(times, time) == pytest.approx(math.exp(-area), rel=1e-12)
    assert cf.survival(cf.PiecewiseExponential.of_median(7), 7) == pytest.approx(0.5)
    assert cf.survival(cf.PiecewiseExponential.of_survival(0.3, at=4), 4) == pytest.approx(0.3)
    assert cf.survival(cf.WeibullTimes.of_median(7, shape=0.7), 7) == pytest.approx(0.5)
    assert cf.survival(cf.WeibullTimes.of_survival(0.3, at=4, shape=2), 4) == pytest.approx(0.3)


def test_enrolment_adds_up_and_can_be_cut_or_scaled():
    assert RAMP.patients == pytest.approx(36)
    assert [RAMP.enrolled(t) for t in (-1, 0, 3, 4, 6, 10, 99)] == pytest.approx([0, 0, 6, 6, 12, 36, 36])
    assert [RAMP.rate(t) for t in (-1, 0, 3.5, 5, 9.9, 10)] == [0, 2, 0, 6, 6, 0]
    assert RAMP.scaled(72).rates == (4.0, 0.0, 12.0)
    assert RAMP.cut(6) == cf.Enrolment((2.0, 0.0, 6.0), (3.0, 2.0, 1.0))
    assert RAMP.cut(12).patients == pytest.approx(48)


def test_log_rank_moments_near_the_null_are_schoenfelds():
    """With a weak effect the variance is D r / (1 + r)^2 and the score is that times the log hazard ratio."""
    ratio = math.exp(-1e-4)
    for shape, allocation in ((1.4, 1.0), (0.7, 3.0)):
        control = cf.WeibullTimes(shape, 10.0)
        experimental = cf.WeibullTimes(shape, 10.0 * ratio ** (-1 / shape))
        design = cf.TwoArms(control, experimental, RAMP, allocation, 0.03, 0.03, 7.0)
        found = cf.log_rank_moments(design, at=12)
        information = found.events.total * allocation / (1 + allocation) ** 2
        assert found.variance == pytest.approx(information, rel=1e-4)
        assert found.score == pytest.approx(math.log(ratio) * information, rel=1e-3)
        assert found.power(alpha=0.025) == pytest.approx(
            cf.schoenfeld_power(ratio, events=found.events.total, alpha=0.025, allocation=allocation), rel=1e-4
        )


def test_log_rank_moments_of_equal_arms_are_nothing_and_crossing_hazards_can_cancel():
    alike = cf.TwoArms(cf.WeibullTimes(0.6, 5.0), cf.WeibullTimes(0.6, 5.0), RAMP)
    assert cf.log_rank_moments(alike, at=12).score == 0
    crossing = cf.TwoArms(
        cf.PiecewiseExponential((0.1,)), cf.PiecewiseExponential((0.2, 0.02), (2.0,)), cf.Enrolment.uniform(100, duration=4)
    )
    early, late = (cf.log_rank_moments(crossing, at=t).z for t in (4, 40))
    assert early > 0 > late
    with pytest.raises(TrialError, match="no benefit"):
        cf.log_rank_patients(crossing, at=4, alpha=0.025, power=0.8)


def test_patients_of_the_log_rank_test_have_the_power():
    design = cf.TwoArms(cf.WeibullTimes(0.8, 9.0), cf.WeibullTimes(1.3, 15.0), RAMP, 2.0, 0.01, 0.03, 12.0)
    patients = cf.log_rank_patients(design, at=20, alpha=0.05, power=0.85)
    assert cf.log_rank_power(design.with_patients(patients), at=20, alpha=0.05) == pytest.approx(0.85, rel=1e-9)


def test_schoenfeld_power_is_the_inverse_of_the_events():
    for allocation in (1.0, 2.0):
        events = cf.schoenfeld_events(0.8, power=0.85, alpha=0.01, allocation=allocation, null_hazard_ratio=1.2)
        power = cf.schoenfeld_power(0.8, events=events, alpha=0.01, allocation=allocation, null_hazard_ratio=1.2)
        assert power == pytest.approx(0.85, rel=1e-12)
    assert cf.schoenfeld_power(1.0, events=200, alpha=0.025) == pytest.approx(0.025, rel=1e-12)
    assert cf.schoenfeld_power(1.3, events=200, alpha=0.025) < 0.025


def test_a_harmful_prior_and_a_point_prior():
    harmful = cf.NormalPrior(0.1, 0.2)
    ceiling = cf.assurance_ceiling(harmful, alpha=0.025)
    assert ceiling == pytest.approx(norm.cdf(-0.5))
    found = cf.events_for_assurance(harmful, target=0.2, alpha=0.025)
    assert cf.log_hazard_ratio_assurance(harmful, events=found.events, alpha=0.025) == pytest.approx(0.2, rel=1e-9)
    hopeless = cf.NormalPrior(1.0, 0.1)
    assert cf.assurance_ceiling(hopeless, alpha=0.025) == 0.025
    assert not cf.events_for_assurance(hopeless, target=0.1, alpha=0.025).attainable
    point = cf.NormalPrior(math.log(0.7), 0.0)
    assert cf.assurance_ceiling(point, alpha=0.025) == 1.0
    events = cf.events_for_assurance(point, target=0.9, alpha=0.025).events
    assert events == pytest.approx(cf.schoenfeld_events(0.7, power=0.9, alpha=0.025), rel=1e-9)
    with pytest.raises(TrialError, match="no more than alpha"):
        cf.events_for_assurance(point, target=0.02, alpha=0.025)


def test_an_update_is_the_product_of_two_normal_densities():
    updated = cf.NormalPrior(-0.2, 0.3).updated(-0.5, standard_error=0.4)
    grid = np.linspace(-4, 4, 4001)
    weight = norm.pdf(grid, -0.2, 0.3) * norm.pdf(-0.5, grid, 0.4)
    weight /= weight.sum()
    mean = weight @ grid
    assert updated.mean == pytest.approx(mean, rel=1e-9)
    assert updated.sd == pytest.approx(math.sqrt(weight @ (grid - mean) ** 2), rel=1e-9)


def test_normal_assurance_with_a_lasting_design_prior_against_its_integral():
    def conditional(true):
        """Probability that the posterior mean clears its bar, given the true mean above the bar."""
        bar = (30 * (norm.isf(0.05) * math.sqrt(0.2 / 30) - 0) - 10 * 0.1) / 20
        return norm.sf(bar, true, math.sqrt(0.2 / 20))

    mean = quad(lambda m: norm.pdf(m, 0.1, math.sqrt(0.2 / 15)) * conditional(m), -1.2, 1.4, epsabs=1e-12)[0]
    found = cf.normal_assurance(20, 0.1, variance=0.2, alpha=0.05, analysis_size=10, design_size=15)
    assert found == pytest.approx(mean, rel=1e-8)


def test_one_sample_moments_against_drawn_patients():
    rng = np.random.default_rng(5)
    benchmark, patients = cf.WeibullTimes(1.4, 6.0), 400_000
    enrolment = cf.Enrolment.uniform(10, duration=4)
    moments = cf.one_sample_moments(benchmark, hazard_ratio=0.6, at=9, enrolment=enrolment)
    times = 6.0 * 0.6 ** (-1 / 1.4) * rng.weibull(1.4, patients)
    censored = 9 - rng.uniform(0, 4, patients)
    event, expected = times <= censored, (np.minimum(times, censored) / 6.0) ** 1.4
    for draws, known in ((event, moments.events), (expected, moments.expected)):
        assert draws.mean() == pytest.approx(known, abs=3.3 * draws.std() / math.sqrt(patients))
    difference = event - expected
    spread = ((difference - difference.mean()) ** 2).std() / math.sqrt(patients)
    assert difference.var() == pytest.approx(moments.variance, abs=3.3 * spread)


def test_accrual_of_uneven_sites_against_drawn_sites():
    rng = np.random.default_rng(3)
    rates = cf.SiteRates((0.0, 2.0, 2.0, 50.0), mean_rate=1.1, shape=0.8)
    drawn = rng.poisson(rng.gamma(0.8, 1.1 / 0.8, (200_000, 4)) * rates.open_for(10)).sum(axis=1)
    for wanted in (1, 10, 40):
        known = cf.accrual_probability(wanted, rates, at=10)
        assert (drawn >= wanted).mean() == pytest.approx(known, abs=3.3 * math.sqrt(known * (1 - known) / 200_000))
    assert cf.accrual_probability(0, rates, at=10) == 1.0
    assert cf.accrual_probability(1, rates, at=0) == 0.0


def test_sites_without_spread_are_one_site():
    assert cf.new_site_survival(0.7, site_sd=0).mean == pytest.approx(math.exp(-0.7), rel=1e-12)
    assert cf.new_site_survival(0.7, site_sd=0).sd == pytest.approx(0, abs=1e-12)
    assert cf.frailty_survival(0.7, frailty_variance=0) == math.exp(-0.7)
    assert cf.frailty_survival(0.7, frailty_variance=1e-9) == pytest.approx(math.exp(-0.7), rel=1e-8)


@pytest.mark.parametrize("sd", [0.1, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("hazard", [0.001, 1.0, 30.0])
def test_survival_of_a_new_site_with_small_and_very_large_spread(sd, hazard):
    """By adaptive quadrature in pieces, with a break where the hazard of the site passes 1."""

    def moment(power):
        def density(b):
            return norm.pdf(b) * math.exp(-power * hazard * math.exp(sd * b))

        edges = sorted({-9.0, 9.0, *(b for b in (-math.log(hazard) / sd + step / sd for step in (-8, 0, 4)) if -9 < b < 9)})
        return sum(quad(density, low, high, epsabs=1e-15, limit=200)[0] for low, high in pairwise(edges))

    found = cf.new_site_survival(hazard, site_sd=sd)
    assert found.mean == pytest.approx(moment(1), rel=1e-9, abs=1e-14)
    assert found.sd**2 == pytest.approx(moment(2) - moment(1) ** 2, rel=1e-8, abs=1e-13)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cf.schoenfeld_events(1.0, power=0.8, alpha=0.025), "no number of events"),
        (lambda: cf.schoenfeld_events(0.7, power=1.0, alpha=0.025), "power is 1.0"),
        (lambda: cf.schoenfeld_events(0.7, power=0.02, alpha=0.025), "no more than alpha"),
        (lambda: cf.schoenfeld_events(0.7, power=0.8, alpha=0.5), "one-sided level"),
        (lambda: cf.schoenfeld_events(-0.7, power=0.8, alpha=0.025), "hazard_ratio is -0.7"),
        (lambda: cf.schoenfeld_power(0.7, events=math.nan, alpha=0.025), "finite"),
        (lambda: cf.schoenfeld_power(0.7, events=10, alpha=0.025, allocation=0), "allocation is 0"),
        (lambda: cf.Enrolment((1.0,), (1.0, 2.0)), "one duration for each rate"),
        (lambda: cf.Enrolment((-1.0,), (1.0,)), "Enrolment rate 1"),
        (lambda: cf.Enrolment((0.0,), (1.0,)), "nobody"),
        (lambda: cf.PiecewiseExponential((0.1, 0.2), ()), "one fewer"),
        (lambda: cf.PiecewiseExponential((0.0,)), "never an event"),
        (lambda: cf.PiecewiseExponential((0.1, 0.2, 0.3), (2.0, 1.0)), "rise"),
        (lambda: cf.PiecewiseExponential.of_survival(1.2, at=3), "survival is 1.2"),
        (lambda: cf.WeibullTimes(0.0, 1.0), "shape is 0"),
        (lambda: cf.exponential_expected_events(0.1, at=1, enrolment=RAMP, longest_follow_up=0), "longest_follow_up"),
        (lambda: cf.exponential_expected_events(0.1, at=1, enrolment=RAMP, dropout_hazard=-1), "dropout_hazard"),
        (lambda: cf.time_of_events(40, lambda t: min(t, 36), latest=100), "never expected: .*only 36"),
        (lambda: cf.single_arm_events(1.1, alpha=0.05, power=0.8), "below 1"),
        (lambda: cf.NormalPrior(0.0, -1.0), "sd is -1"),
        (lambda: cf.new_site_survival(0.7, site_sd=21.0), "at most 20"),
        (lambda: cf.SiteRates((), 1.0, 1.0), "no site"),
        (lambda: cf.SiteRates.together(0, mean_rate=1.0, shape=1.0), "number of sites"),
        (lambda: cf.accrual_probability(2.5, cf.SiteRates((0.0,), 1.0, 1.0), at=1), "whole number"),
        (
            lambda: cf.lachin_foulkes_size(
                cf.TwoArms(cf.WeibullTimes(2, 1), cf.WeibullTimes(2, 2), RAMP), at=12, alpha=0.025, power=0.8
            ),
            "exponential arms",
        ),
        (
            lambda: cf.one_sample_log_rank_size(
                cf.WeibullTimes(1, 1), hazard_ratio=1.0, accrual_rate=1, follow_up=1, alpha=0.05, power=0.8
            ),
            "below 1",
        ),
    ],
)
def test_impossible_numbers_are_refused_in_words(call, words):
    with pytest.raises(TrialError, match=words):
        call()


def test_events_that_fixed_follow_up_never_gives():
    design = cf.TwoArms(cf.WeibullTimes(1, 20), cf.WeibullTimes(1, 30), RAMP, longest_follow_up=3.0)
    with pytest.raises(TrialError, match="never expected"):
        cf.time_of_events_of_arms(20, design, latest=1000)
    assert cf.events_of_arms(design, at=13).total == pytest.approx(cf.events_of_arms(design, at=1000).total, rel=1e-8)


def test_power_long_after_everybody_has_died():
    """Survival of both arms is then zero to the last bit; nothing more is learnt after it."""
    times = cf.WeibullTimes.of_median(9, shape=3), cf.WeibullTimes.of_median(11, shape=3)
    design = cf.TwoArms(*times, cf.Enrolment.uniform(100, duration=12))
    early = cf.log_rank_power(design, at=60, alpha=0.025)
    for at in (100, 200, 1000):
        assert cf.log_rank_power(design, at=at, alpha=0.025) == pytest.approx(early, abs=1e-6)


def test_a_probability_of_accrual_is_never_negative():
    rates = cf.SiteRates((0.0, 6.0), 0.5, 2.0)
    for patients in (1, 40, 150, 300):
        assert 0.0 <= cf.accrual_probability(patients, rates, at=24.0) <= 1.0
