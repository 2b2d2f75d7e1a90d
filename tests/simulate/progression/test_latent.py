"""Latent times: Weibull margins, the copula's Kendall tau, scores of death, conditioning on what was observed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

from sitewise.simulate.calibration import Assumptions
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.progression import ScanSchedule
from sitewise.simulate.progression.latent import LatentDeath, progression_times, scores
from sitewise.simulate.progression.process import Chance, recorded

LARGEST_DISTANCE = 1.95
"""Kolmogorov's statistic times root n stays below it with probability 0.999."""


def rows(rho, *, median=4.0, shape=1.3, share=0.7):
    return np.array([[np.log(median), np.log(shape), np.arctanh(rho), share]])


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.5, 0.95])
def test_the_margin_is_the_stated_weibull_whatever_the_correlation(rho):
    rng = np.random.default_rng(1)
    n, effect = 100_000, 0.8
    times = progression_times(rows(rho), rng.standard_normal((1, n)), np.full((1, n), effect), rng.standard_normal((1, n)))
    stated = stats.weibull_min(1.3, scale=4.0 * (np.log(2) * np.exp(0.7 * effect)) ** (-1 / 1.3))
    distance = stats.kstest(times[0], stated.cdf).statistic
    assert distance < LARGEST_DISTANCE / np.sqrt(n)


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.5, 0.9])
def test_kendalls_tau_is_that_of_the_gaussian_copula(rho):
    """tau = 2 / pi arcsin(rho); its standard error is 2 / 3 / sqrt(n) for independence, less else."""
    rng = np.random.default_rng(2)
    n = 100_000
    death = rng.standard_normal((1, n))
    times = progression_times(rows(rho), death, np.zeros((1, n)), rng.standard_normal((1, n)))
    tau = stats.kendalltau(death[0], times[0]).statistic
    assert tau == pytest.approx(2 / np.pi * np.arcsin(rho), abs=4 * 2 / 3 / np.sqrt(n))


@pytest.mark.parametrize("log_hazard", [-6.0, -1.0, 0.3, 2.0])
def test_scores_average_over_sites(log_hazard):
    """Against scipy's adaptive integral of exp(-H exp(b)), b normal with a stated or a half-normal spread."""

    def alive(b):
        return np.exp(-np.exp(log_hazard + b))

    fixed = integrate.quad(lambda b: alive(b) * stats.norm.pdf(b, scale=0.4), -4, 4)[0]
    found = float(scores(np.array([log_hazard]), Assumptions(site_sd=0.4))[0])
    assert found == pytest.approx(float(stats.norm.isf(fixed)), abs=2e-4)
    nested = integrate.dblquad(
        lambda b, sd: alive(b * sd) * stats.norm.pdf(b) * 2 * stats.norm.pdf(sd, scale=0.5), 0, 3, -6, 6, epsabs=1e-6
    )[0]
    found = float(scores(np.array([log_hazard]), Assumptions(site_sd_scale=0.5))[0])
    assert found == pytest.approx(float(stats.norm.isf(nested)), abs=2e-4)


def uncensored(problem, theta):
    """A process under which everybody's death is seen."""
    moved = theta.copy()
    moved[list(problem.parameters.names).index("log_censoring_scale")] = 30.0
    return moved


@pytest.mark.parametrize("family", ["weibull", "exponential", "log-normal", "log-logistic", "mixture-cure"])
def test_scores_are_standard_normal_once_the_censored_are_drawn(evidence, family):
    """Whatever the baseline, the cured included: their scores are among the drawn ones."""
    problem = Problem.of(evidence, Assumptions(site_sd=0.0, family=family))
    theta = problem.parameters.mean.copy()
    theta[problem.parameters.columns("log_hazard_ratio")] = 0.7
    own = np.broadcast_to(theta, (500, theta.size))
    cohorts = problem.generator(own, problem.randomness(1, 500, stage=90))
    assert 0.2 < cohorts.event.mean() < 0.95
    uniform = 1 - np.random.default_rng(6).random(cohorts.time.shape)
    death = LatentDeath.of(problem, own, cohorts)
    found = death.complete(uniform).ravel()
    assert stats.kstest(found, "norm").statistic < LARGEST_DISTANCE / np.sqrt(found.size)
    assert (death.complete(uniform)[~cohorts.event] >= death.score[~cohorts.event]).all()


def test_conditioning_on_observed_survival_gives_back_the_joint_law(evidence):
    """The same deaths seen through censoring: progression drawn given all deaths, and given only what is seen."""
    problem = Problem.of(evidence, Assumptions(site_sd=0.0))
    theta = problem.parameters.mean.copy()
    theta[problem.parameters.columns("log_hazard_ratio")] = 0.7
    all_dead = np.broadcast_to(uncensored(problem, theta), (600, theta.size))
    death = problem.generator(all_dead, problem.randomness(2, 600, stage=91))
    known = LatentDeath.of(problem, all_dead, death)
    rng = np.random.default_rng(3)
    phi = np.repeat(rows(0.8), 600, axis=0)
    chance = Chance.draw(rng, *death.time.shape)
    truth = progression_times(phi, known.complete(chance.censored), known.effect, chance.normal)
    end = rng.exponential(15.0, death.time.shape)
    seen = replace(death, time=np.minimum(death.time, end), event=death.time <= end)
    hidden = LatentDeath.of(problem, all_dead, seen)
    again = Chance.draw(rng, *death.time.shape)
    redrawn = progression_times(phi, hidden.complete(again.censored), hidden.effect, again.normal)
    for group in (seen.event, ~seen.event):
        assert stats.ks_2samp(truth[group], redrawn[group]).pvalue > 1e-3
        for low, high in ((0, 5), (5, 15), (15, 200)):
            part = group & (seen.time > low) & (seen.time <= high)
            assert stats.ks_2samp(truth[part], redrawn[part]).pvalue > 1e-3
    # And the check can fail: a censored patient scored as if dead progresses too early.
    wrong = progression_times(phi, hidden.score, hidden.effect, again.normal)
    assert stats.ks_2samp(truth[~seen.event], wrong[~seen.event]).pvalue < 1e-10


def test_what_is_recorded_keeps_to_what_can_be(calibration):
    problem = calibration.problem
    theta = calibration.draws[0][:200]
    cohorts = problem.generator(theta, problem.randomness(4, 200, stage=92))
    rng = np.random.default_rng(5)
    phi = np.repeat(rows(0.5), 200, axis=0)
    death, chance = LatentDeath.of(problem, theta, cohorts), Chance.draw(rng, *cohorts.time.shape)
    continuous = recorded(None, phi, cohorts, death, chance)
    visited = recorded(ScanSchedule(), phi, cohorts, death, chance)
    for outcome in (continuous, visited):
        assert (outcome.failure_time <= cohorts.time).all()
        assert (outcome.failure_time[~outcome.failure] == cohorts.time[~outcome.failure]).all()
        assert (outcome.failure_time[outcome.failure & cohorts.event] < cohorts.time[outcome.failure & cohorts.event]).all()
        assert (outcome.event == (outcome.failure | cohorts.event)).all()
        assert (outcome.failure_time[outcome.failure] >= outcome.progression[outcome.failure]).all()
    assert (continuous.failure_time[continuous.failure] == continuous.progression[continuous.failure]).all()
    assert (continuous.failure | ~visited.failure).all()
    assert continuous.failure.sum() > visited.failure.sum()
    late = (visited.failure_time - visited.progression)[visited.failure]
    assert late.max() <= ScanSchedule().longest_gap()
