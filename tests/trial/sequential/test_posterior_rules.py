"""Posterior and predictive rules on the normal level against published numbers, quadrature and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from sitewise.problems import TrialError
from sitewise.trial.sequential import (
    NormalPrior,
    PosteriorRule,
    ZRule,
    averaged_crossing,
    conditional_power,
    crossing_probabilities,
    log_hazard_ratio_information,
    posterior_stopping,
    posterior_thresholds,
    posterior_z_bounds,
    predictive_probability,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
LOOKS = np.arange(200.0, 1001.0, 200.0)
# The pivotal trial of the vignette of the R package bpp (Rufibach, Jordan & Abt 2016, J Biopharm Stat 26:191, table 1): 1600
# events, two-sided .049 at the end, interim at half of them with efficacy at two-sided .001 and futility at 1.025.
FINAL, INTERIM = 1600 / 4, 800 / 4
VIGNETTE = NormalPrior(np.log(0.85), 0.11)
AT_END = ZRule(float(norm.isf(0.049 / 2)))
EFFICACY, FUTILITY = -norm.isf(0.001 / 2) / np.sqrt(INTERIM), np.log(1.025)


def informed():
    """The prior after the second external study of the vignette."""
    return VIGNETTE.updated(np.log(0.287), information=0.658**-2)


@pytest.mark.parametrize("benefit", ["less", "greater"])
def test_posterior_stopping_is_group_sequential(benefit):
    """Zhou & Ji 2024: looks at 200(200)1000 of unit variance, prior N(0, .054^2), threshold .95."""
    prior = NormalPrior(0.0, 0.054)
    bounds = posterior_z_bounds(LOOKS, threshold=0.95, prior=prior, benefit=benefit)
    np.testing.assert_allclose(bounds, [2.71, 2.24, 2.06, 1.97, 1.91], atol=5e-3)
    found = posterior_stopping(LOOKS, threshold=0.95, prior=prior, effect=0.0, benefit=benefit)
    assert float(found.power) == pytest.approx(0.0503, abs=5e-5)
    np.testing.assert_allclose(posterior_thresholds(bounds, information=LOOKS, prior=prior, benefit=benefit), 0.95, rtol=1e-12)


def test_bounds_are_where_the_posterior_reaches_the_threshold():
    prior, margin, thresholds = NormalPrior(-0.3, 0.4), np.log(0.9), np.array([0.99, 0.97, 0.9])
    information = np.array([8.0, 15.0, 31.0])
    bounds = posterior_z_bounds(information, threshold=thresholds, prior=prior, margin=margin, benefit="less")
    for z, at, threshold in zip(bounds, information, thresholds, strict=True):
        estimate = margin - z / np.sqrt(at)

        def density(effect, estimate=estimate, at=at):
            return norm.pdf(effect, -0.3, 0.4) * norm.pdf(estimate, effect, at**-0.5)

        whole = quad(density, -8, 8, points=[estimate, margin], epsabs=1e-13)[0]
        assert quad(density, -8, margin, points=[estimate], epsabs=1e-13)[0] / whole == pytest.approx(threshold, rel=1e-8)
    np.testing.assert_allclose(posterior_thresholds(bounds, information=information, prior=prior, margin=margin), thresholds)
    np.testing.assert_allclose(posterior_z_bounds(information, threshold=0.975, prior=None), norm.isf(0.025))
    np.testing.assert_allclose(posterior_thresholds([1.0, 2.0, 3.0], information=information, prior=None), norm.cdf([1, 2, 3]))


def test_futility_and_power_of_posterior_stopping():
    prior = NormalPrior(0.0, 0.5)
    found = posterior_stopping(
        [10.0, 20.0], threshold=[0.99, 0.975], prior=prior, effect=[0.0, np.log(0.5)], futility=[0.2, 0.974]
    )
    upper = posterior_z_bounds([10.0, 20.0], threshold=[0.99, 0.975], prior=prior)
    lower = posterior_z_bounds([10.0, 20.0], threshold=[0.2, 0.974], prior=prior)
    kind = multivariate_normal(
        -np.log(0.5) * np.sqrt([10, 20]), [[1, np.sqrt(0.5)], [np.sqrt(0.5), 1]], abseps=1e-11, releps=1e-11
    )
    later = kind.cdf([upper[0], np.inf], lower_limit=[lower[0], upper[1]])
    assert found.efficacy[1, 1] == pytest.approx(float(later), abs=1e-8)
    with pytest.raises(TrialError, match="below the threshold"):
        posterior_stopping([10.0], threshold=0.9, prior=prior, effect=0.0, futility=0.95)


def test_probability_of_success_of_the_vignette():
    """bpp prints .702 before the trial, .740 and .783 after two external studies."""
    first = VIGNETTE.updated(np.log(0.396), information=0.837**-2)
    for prior, printed in ((VIGNETTE, 0.702), (first, 0.740), (informed(), 0.783)):
        found = predictive_probability(np.nan, 0.0, final_information=FINAL, rule=AT_END, prior=prior)
        assert float(found) == pytest.approx(printed, abs=5e-4)


def test_predictive_probability_at_the_interim_of_the_vignette():
    """bpp prints .997 with the estimate at the efficacy bound and .024 with it at the futility bound."""
    found = predictive_probability([EFFICACY, FUTILITY], INTERIM, final_information=FINAL, rule=AT_END, prior=informed())
    np.testing.assert_allclose(found, [0.997, 0.024], atol=5e-4)


def test_a_blinded_interim_of_the_vignette():
    """bpp prints .705 when nothing was crossed, .822 of futility alone and .653 of efficacy alone."""
    upper, lower = -EFFICACY * np.sqrt(INTERIM), -FUTILITY * np.sqrt(INTERIM)
    for bounds, printed in (((upper, lower), 0.705), ((np.inf, lower), 0.822), ((upper, -np.inf), 0.653)):
        success, lost = averaged_crossing(
            [INTERIM, FINAL], [bounds[0], AT_END.bound], prior=informed(), futility=[bounds[1], -np.inf]
        )
        assert success[1] / (1 - success[0] - lost[0]) == pytest.approx(printed, abs=6e-4)


def test_two_blinded_interims_of_the_vignette():
    """bpp, the Gallium example: .41 before, .3222327 after a futility look at 111 events and an efficacy look at 248."""
    information = np.array([111.0, 248.0, 370.0]) / 4
    z = [3.9285726330559, 2.5028231888636, 1.9936294555664]
    prior = NormalPrior(np.log(0.9288563), np.sqrt(4 / 12))
    before = predictive_probability(np.nan, 0.0, final_information=information[2], rule=ZRule(z[2]), prior=prior)
    assert float(before) == pytest.approx(0.41, abs=5e-3)
    success, lost = averaged_crossing(information, [np.inf, z[1], z[2]], prior=prior, futility=[0.0, -np.inf, -np.inf])
    after = success[2] / (1 - success[:2].sum() - lost[:2].sum())
    # bpp integrates the bivariate normal by simulation within quadrature: six digits, not seven.
    assert after == pytest.approx(0.3222327, abs=2e-5)


def test_average_over_the_prior_is_that_by_quadrature_and_closed_form():
    prior, looks = NormalPrior(np.log(0.75), 0.25), np.array([40.0, 90.0]) / 4
    success, lost = averaged_crossing(looks, [2.6, 2.0], prior=prior, futility=[0.1, 2.0])

    def at(drift, look):
        return crossing_probabilities(looks, [2.6, 2.0], drift=drift, futility=[0.1, 2.0]).efficacy[look]

    for look in (0, 1):
        by_quad = quad(lambda e, k=look: norm.pdf(e, np.log(0.75), 0.25) * at(-e, k), -3, 3, points=[-0.3], epsabs=1e-10)[0]
        assert success[look] == pytest.approx(by_quad, rel=1e-8)
    assert success.sum() + lost.sum() == pytest.approx(1.0, abs=1e-12)
    # With one look it is the assurance in closed form, also when the prior is very wide or very narrow.
    for sd in (1e-3, 0.25, 50.0):
        alone, _ = averaged_crossing([25.0], [1.96], prior=NormalPrior(-0.2, sd))
        assert alone[0] == pytest.approx(norm.cdf((0.2 * 5 - 1.96) / np.sqrt(1 + 25 * sd**2)), rel=1e-9)


@pytest.mark.parametrize(("events", "assurance"), [(50, 0.23995), (100, 0.37228), (200, 0.51458), (400, 0.63327)])
def test_assurance_is_the_predictive_probability_before_the_trial(events, assurance):
    """Prior N(ln .75, .25^2), alpha .025: Phi((-z sqrt(4 / D) - m) / sqrt(4 / D + s^2))."""
    found = predictive_probability(
        0.0, 0.0, final_information=events / 4, rule=ZRule(norm.isf(0.025)), prior=NormalPrior(np.log(0.75), 0.25)
    )
    assert float(found) == pytest.approx(assurance, abs=1e-5)


def test_predictive_probability_is_that_by_quadrature():
    """Conditional power, from SciPy's normal distribution alone, averaged over the posterior at the look."""
    estimate, now, end = -0.22, 14.0, 33.0
    analysis, design = NormalPrior(0.1, 0.6), NormalPrior(-0.2, 0.3)
    rule = PosteriorRule(0.965, analysis, np.log(0.95))
    precision = 0.3**-2 + now
    mean, sd = (-0.2 * 0.3**-2 + estimate * now) / precision, precision**-0.5
    final = 0.6**-2 + end  # success when the final posterior has enough below the margin
    largest = (final * (np.log(0.95) - norm.ppf(0.965) / np.sqrt(final)) - 0.1 * 0.6**-2) / end

    def succeeds(effect):
        return norm.cdf((largest - (estimate * now + effect * (end - now)) / end) / (np.sqrt(end - now) / end))

    by_quad = quad(lambda effect: succeeds(effect) * norm.pdf(effect, mean, sd), mean - 9 * sd, mean + 9 * sd, epsabs=1e-12)[0]
    found = predictive_probability(estimate, now, final_information=end, rule=rule, prior=design)
    assert float(found) == pytest.approx(by_quad, rel=1e-9)
    np.testing.assert_allclose(
        conditional_power(estimate, now, final_information=end, rule=rule, effect=[0.0, -0.5]), succeeds(np.array([0.0, -0.5]))
    )
    mirrored = PosteriorRule(0.965, NormalPrior(-0.1, 0.6), -np.log(0.95))
    other_way = predictive_probability(
        -estimate, now, final_information=end, rule=mirrored, prior=NormalPrior(0.2, 0.3), benefit="greater"
    )
    assert float(other_way) == pytest.approx(by_quad, rel=1e-9)


def test_conditional_power_published():
    """rpact, survival data: the chance of rejecting at the last look under the null, .46900287 after z = 2.9 at .6."""
    found = conditional_power(-2.9 / np.sqrt(0.6), 0.6, final_information=1.0, rule=ZRule(norm.isf(0.010851653)), effect=0.0)
    assert float(found) == pytest.approx(0.46900287, rel=2e-7)


def test_predictive_probability_of_a_single_arm_by_simulated_patients():
    """Exponential times, log hazard by events over person-time: information is the events (3.3 standard errors)."""
    rng = np.random.default_rng(12)
    trials, now, end = 20_000, 300, 700  # large, so that the normal level is exact to the error of the simulation
    bar, prior = np.log(0.1), NormalPrior(np.log(0.095), 0.05)
    rule = PosteriorRule(0.95, None, bar)
    estimate = np.log(0.094)
    posterior = prior.updated(estimate, information=now)
    log_hazard = rng.normal(posterior.mean, posterior.sd, trials)
    further = rng.gamma(end - now, 1.0, trials) / np.exp(log_hazard)
    final = np.log(end / (now / np.exp(estimate) + further))
    success = norm.cdf((bar - final) * np.sqrt(end)) > 0.95
    found = float(predictive_probability(estimate, now, final_information=end, rule=rule, prior=prior))
    skewness = 0.01  # of the log of a gamma mean of 400 events: 1 / (6 sqrt(400)) of a density of .4, less than this
    assert abs(success.mean() - found) < 3.3 * np.sqrt(found * (1 - found) / trials) + skewness


def test_predictions_of_many_trials_at_once():
    estimates = np.array([[-0.5, np.nan], [0.0, 0.3]])
    information = np.array([[5.0, 6.0], [9.0, 12.0]])
    rule = PosteriorRule(0.975, NormalPrior(0.0, 1.0))
    found = predictive_probability(estimates, information, final_information=12.0, rule=rule, prior=None)
    assert np.isnan(found[0, 1])
    assert found[1, 1] == 0.0  # nothing is left to come, and the rule does not hold
    one = predictive_probability(-0.5, 5.0, final_information=12.0, rule=rule, prior=None)
    assert found[0, 0] == pytest.approx(float(one), rel=1e-14)
    settled = predictive_probability(-2.0, 12.0, final_information=12.0, rule=rule, prior=None)
    assert float(settled) == 1.0
    trend = conditional_power(-0.5, 5.0, final_information=12.0, rule=rule, effect=-0.5)
    # Uncertainty of the effect pulls towards one half.
    assert 0 < float(trend) < float(one) < 0.5


def test_information_of_a_log_hazard_ratio():
    np.testing.assert_allclose(log_hazard_ratio_information([100, 40]), [25.0, 10.0])
    assert float(log_hazard_ratio_information(40, allocation=3.0)) == pytest.approx(7.5)
    # Schoenfeld: hazard ratio .3, 3:1, alpha .025, power .9 at 38.660 events.
    information = log_hazard_ratio_information(38.660, allocation=3.0)
    power = conditional_power(0.0, 0.0, final_information=information, rule=ZRule(norm.isf(0.025)), effect=np.log(0.3))
    assert float(power) == pytest.approx(0.9, abs=2e-5)


def test_what_cannot_be_is_refused():
    rule = ZRule(1.96)
    with pytest.raises(TrialError, match="less than that of the look"):
        predictive_probability(0.1, 20.0, final_information=10.0, rule=rule, prior=None)
    with pytest.raises(TrialError, match="Nothing predicts"):
        predictive_probability(0.1, 0.0, final_information=10.0, rule=rule, prior=None)
    with pytest.raises(TrialError, match="infinite"):
        conditional_power(-np.inf, 2.0, final_information=10.0, rule=rule, effect=0.0)
    with pytest.raises(TrialError, match="positive"):
        posterior_z_bounds([0.0, 1.0], threshold=0.9, prior=None)
    with pytest.raises(TrialError, match="threshold"):
        PosteriorRule(1.0)
    with pytest.raises(TrialError, match="sd"):
        NormalPrior(0.0, 0.0)
    with pytest.raises(TrialError, match="'less' or 'greater'"):
        posterior_z_bounds([1.0], threshold=0.9, prior=None, benefit="more")
    with pytest.raises(TrialError, match="too wide"):
        averaged_crossing([25.0], [1.96], prior=NormalPrior(0.0, 1e4))
    with pytest.raises(TrialError, match="allocation"):
        log_hazard_ratio_information(10, allocation=0.0)
