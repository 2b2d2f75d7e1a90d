"""Posteriors of each way of borrowing against direct integration over the log hazard and the hyperparameter, and limits."""

from __future__ import annotations

import math
import time
from functools import cache

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, halfnorm, norm

from sitewise.problems import TrialError
from sitewise.trial.borrowing import (
    Commensurate,
    FixedPowerPrior,
    NoBorrowing,
    NormalisedPowerPrior,
    Pooled,
    RobustMap,
    SpikeAndSlab,
    borrowed,
    prior_mixture,
    prior_variance,
)

CASES = [(0.3, 0.2, 0.0, 0.12), (-0.9, 0.15, 0.1, 0.2), (0.05, 0.3, 0.0, 0.08)]
"""Estimate, standard error, mean and standard deviation of the history."""
EACH = [
    NoBorrowing(),
    NoBorrowing(sd=2.0, mean=0.3),
    Pooled(),
    FixedPowerPrior(0.4),
    NormalisedPowerPrior(),
    NormalisedPowerPrior(2.0, 3.0),
    Commensurate(0.3),
    SpikeAndSlab(0.6, 400.0, (0.5, 50.0)),
    RobustMap(0.7, 1.0, 0.1),
]


def posterior_of(method, case, **options):
    y, se, mean, sd = case
    return borrowed(method, estimate=y, se=se, historical_mean=mean, historical_sd=sd, **options)


def normal(x, mean, sd):
    return np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def integrated(joint, y, se, *, pieces, below):
    """Return mean, sd, P(< below) and the hyperparameter's mean by two integrals: Gauss over the log hazard, adaptive over h.

    ``joint(psi, h)`` is the prior density of both; ``pieces`` are the intervals of the hyperparameter h.
    """

    places, weights = np.polynomial.legendre.leggauss(600)

    def outer(function, upper=None):
        start, end = y - 12 * se, y + 12 * se if upper is None else upper
        psi = start + (end - start) * (1 + places) / 2

        def inner(h):
            return float((function(psi, h) * normal(y, psi, se) * joint(psi, h)) @ weights) * (end - start) / 2

        return sum(quad(inner, low, high, epsabs=1e-13, epsrel=1e-9, limit=200)[0] for low, high in pieces)

    whole = outer(lambda psi, h: 1.0)
    mean = outer(lambda psi, h: psi) / whole
    variance = outer(lambda psi, h: (psi - mean) ** 2) / whole
    return mean, np.sqrt(variance), outer(lambda psi, h: 1.0, below) / whole, outer(lambda psi, h: h) / whole


def agrees(posterior, expected, below):
    mean, sd, probability, hyperparameter = expected
    assert posterior.mean()[0] == pytest.approx(mean, rel=1e-6, abs=1e-8)
    assert posterior.sd()[0] == pytest.approx(sd, rel=1e-6)
    assert posterior.probability_below(below)[0] == pytest.approx(probability, rel=1e-6)
    if hyperparameter is not None:
        assert posterior.hyperparameter_mean()[0] == pytest.approx(hyperparameter, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(1.0, 1.0), (2.0, 3.0), (0.6, 1.4)])
def test_normalised_power_prior_by_integration(case, shape):
    """The normalising constant of the history's likelihood to each power is an integral here as well."""
    y, se, centre, sd = case

    def constant(power):
        # The width of the likelihood to a power, for the range of its integral only.
        reach = 12 * sd / np.sqrt(power)
        return 2 * quad(lambda x: math.exp(-0.5 * power * x * x / sd**2), 0, reach, epsrel=1e-11)[0]

    @cache
    def of_power(root):
        # By its root: the power's density times 2 root.
        return beta.pdf(root**2, *shape) * 2 * root / constant(root**2)

    def joint(psi, root):
        return np.exp(-0.5 * root**2 * (psi - centre) ** 2 / sd**2) * of_power(root)

    mean, sd_found, probability, _ = integrated(joint, y, se, pieces=[(0, 0.5), (0.5, 1)], below=0.1)
    agrees(posterior_of(NormalisedPowerPrior(*shape), case), (mean, sd_found, probability, None), 0.1)


def test_mean_of_the_power_by_integration():
    """The marginal likelihood of the power is N(estimate; history, se^2 + sd^2 / power)."""
    for (y, se, centre, sd), shape in zip(CASES, [(1.0, 1.0), (2.0, 3.0), (0.6, 1.4)], strict=True):

        def weight(root, y=y, se=se, centre=centre, sd=sd, shape=shape):
            return norm.pdf(y, centre, np.sqrt(se**2 + sd**2 / root**2)) * beta.pdf(root**2, *shape) * 2 * root

        whole, first = (quad(lambda r, k=k: r**k * weight(r), 0, 1, epsrel=1e-10, epsabs=1e-14)[0] for k in (0, 2))
        found = posterior_of(NormalisedPowerPrior(*shape), (y, se, centre, sd)).hyperparameter_mean()[0]
        assert found == pytest.approx(first / whole, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scale", [0.05, 0.3, 2.0])
def test_commensurate_prior_by_integration(case, scale):
    y, se, centre, sd = case

    def joint(psi, tau):
        return normal(psi, centre, np.hypot(sd, tau)) * halfnorm.pdf(tau, scale=scale)

    pieces = [(0, 0.5 * scale), (0.5 * scale, 2 * scale), (2 * scale, 9 * scale)]
    agrees(posterior_of(Commensurate(scale), case), integrated(joint, y, se, pieces=pieces, below=0.1), 0.1)


def test_the_cohorts_own_log_hazard_integrates_out():
    """Given tau the arm is N(psi_0, tau^2) with psi_0 ~ N(history): integrated here over psi_0 too."""
    y, se, centre, sd = CASES[0]
    tau = 1 / np.sqrt(30.0)

    cohort = np.linspace(centre - 1.5, centre + 1.5, 2001)

    def prior(psi):
        return np.trapezoid(normal(psi, cohort, tau) * normal(cohort, centre, sd), cohort)

    whole, below = (quad(lambda psi: prior(psi) * normal(y, psi, se), -2.5, end, epsrel=1e-9)[0] for end in (2.5, 0.1))
    found = posterior_of(SpikeAndSlab(1.0, 30.0, (0.1, 0.2)), CASES[0])
    assert found.probability_below(0.1)[0] == pytest.approx(below / whole, rel=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_spike_and_slab_by_integration(case):
    y, se, centre, sd = case
    share, spike, (low, high) = 0.6, 400.0, (0.5, 50.0)

    def part(function, precision):
        variance = sd**2 + 1 / precision
        shrink = variance / (variance + se**2)
        mean, width = centre + shrink * (y - centre), np.sqrt(shrink) * se
        return norm.pdf(y, centre, np.sqrt(variance + se**2)) * function(mean, width)

    def whole(function):
        slab = quad(lambda precision: part(function, precision), low, high, epsrel=1e-11)[0] / (high - low)
        return share * part(function, spike) + (1 - share) * slab

    total = whole(lambda mean, width: 1.0)
    mean = whole(lambda mean, width: mean) / total
    variance = whole(lambda mean, width: mean**2 + width**2) / total - mean**2
    probability = whole(lambda mean, width: norm.cdf(0.1, mean, width)) / total
    posterior = posterior_of(SpikeAndSlab(share, spike, (low, high)), case)
    agrees(posterior, (mean, np.sqrt(variance), probability, None), 0.1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("vague_mean", [None, 0.5])
def test_robust_prior_by_integration(case, vague_mean):
    y, se, centre, sd = case
    weight, vague, between = 0.7, 1.0, 0.1
    middle = centre if vague_mean is None else vague_mean

    def integral(parts, upper):
        def density(psi):
            history = weight * norm.pdf(psi, centre, np.hypot(sd, between)) * parts[0]
            return norm.pdf(y, psi, se) * (history + (1 - weight) * norm.pdf(psi, middle, vague) * parts[1])

        return quad(density, y - 12 * se, upper, points=[y - se, y], epsrel=1e-11, epsabs=1e-15)[0]

    end = y + 12 * se
    posterior = posterior_of(RobustMap(weight, vague, between, vague_mean), case)
    whole = integral((1, 1), end)
    below = y + 0.3 * se
    assert posterior.probability_below(below)[0] == pytest.approx(integral((1, 1), below) / whole, rel=1e-8)
    assert posterior.hyperparameter_mean()[0] == pytest.approx(integral((1, 0), end) / whole, rel=1e-8)


def test_fixed_power_prior_by_precisions():
    y, se, centre, sd = CASES[1]
    ours, theirs = se**-2, 0.4 * sd**-2
    posterior = posterior_of(FixedPowerPrior(0.4), CASES[1])
    assert posterior.mean()[0] == pytest.approx((y * ours + centre * theirs) / (ours + theirs), rel=1e-13)
    assert posterior.sd()[0] == pytest.approx((ours + theirs) ** -0.5, rel=1e-13)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("method", "limit", "tolerance"),
    [
        (FixedPowerPrior(0.0), NoBorrowing(), 1e-15),
        (FixedPowerPrior(1.0), Pooled(), 1e-15),
        (NoBorrowing(sd=1e8), NoBorrowing(), 1e-12),
        (Commensurate(1e-8), Pooled(), 1e-10),
        (SpikeAndSlab(1.0, 1e14, (0.1, 1.0)), Pooled(), 1e-9),
        (SpikeAndSlab(0.0, 1.0, (1e-13, 2e-13)), NoBorrowing(), 1e-9),
        (RobustMap(1.0, 1.0), Pooled(), 1e-14),
        (RobustMap(0.0, 2.0, vague_mean=0.3), NoBorrowing(2.0, 0.3), 1e-14),
        (RobustMap(0.5, 1.0, between_sd=1e8), RobustMap(0.0, 1.0), 1e-6),
    ],
)
def test_limits(case, method, limit, tolerance):
    found, expected = posterior_of(method, case), posterior_of(limit, case)
    for name in ("mean", "sd"):
        np.testing.assert_allclose(getattr(found, name)(), getattr(expected, name)(), rtol=tolerance, atol=1e-14)


def test_a_power_that_is_nearly_surely_one_is_pooling():
    for case in CASES:
        found, expected = posterior_of(NormalisedPowerPrior(5.0, 1e-7), case), posterior_of(Pooled(), case)
        # The mass away from 1 is of the order of beta, and conflict multiplies it by the ratio of likelihoods.
        y, se, centre, sd = case
        tolerance = 1e-5 * np.exp(0.5 * (y - centre) ** 2 / (se**2 + sd**2))
        assert found.mean()[0] == pytest.approx(expected.mean()[0], rel=tolerance)


def test_the_power_after_a_perfect_match_with_a_precise_trial():
    """Then the marginal likelihood is proportional to the root of the power, whose posterior is Beta(alpha + 1/2, beta):
    under a uniform prior its mean is .6, not 1, which is why the method discounts even a perfect history."""
    for alpha, beta_ in ((1.0, 1.0), (2.0, 0.5), (0.5, 4.0)):
        posterior = borrowed(NormalisedPowerPrior(alpha, beta_), estimate=0.3, se=1e-5, historical_mean=0.3, historical_sd=0.5)
        assert posterior.hyperparameter_mean()[0] == pytest.approx((alpha + 0.5) / (alpha + 0.5 + beta_), rel=1e-7)


@pytest.mark.parametrize("ratio", [0.05, 0.3, 1.0, 5.0, 30.0])
def test_normalised_power_prior_under_conflict(ratio):
    """Histories of 400 times to 1/900 of the trial's events, up to 8 standard deviations away: by scipy's own quadrature."""
    se, sd = 0.2, 0.2 * ratio
    for off in (0.0, 2.0, 5.0, 8.0):
        y = off * np.hypot(se, sd)

        def weight(log_power, y=y, sd=sd):
            power = np.exp(log_power)
            return np.sqrt(power / (power * se**2 + sd**2)) * np.exp(-0.5 * y * y * power / (power * se**2 + sd**2)) * power

        pieces = list(zip(np.arange(-40.0, 0, 2), np.arange(-38.0, 1, 2), strict=True))
        whole, shrunk = (
            sum(quad(lambda x, f=f: f(x) * weight(x), *piece, epsrel=1e-11)[0] for piece in pieces)
            for f in (lambda x: 1.0, lambda x, sd=sd: np.exp(x) * se**2 / (np.exp(x) * se**2 + sd**2))
        )
        posterior = borrowed(NormalisedPowerPrior(), estimate=y, se=se, historical_sd=sd)
        assert posterior.mean()[0] == pytest.approx(y * (1 - shrunk / whole), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("method", EACH, ids=repr)
def test_many_trials_at_once_are_each_alone(method):
    y, se, mean, sd = (np.array(part) for part in zip(*CASES, strict=True))
    together = borrowed(method, estimate=y, se=se, historical_mean=mean, historical_sd=sd)
    for row, case in enumerate(CASES):
        alone = posterior_of(method, case)
        assert together.mean()[row] == pytest.approx(alone.mean()[0], rel=1e-13)
        assert together.quantile(0.9)[row] == pytest.approx(alone.quantile(0.9)[0], rel=1e-10)


@pytest.mark.parametrize("method", [EACH[0], *EACH[2:]], ids=repr)
def test_the_posterior_follows_when_everything_moves(method):
    """But for a vague prior at a stated place, only differences of log hazards count."""
    y, se, mean, sd = CASES[1]
    moved = posterior_of(method, (y + 0.37, se, mean + 0.37, sd))
    assert moved.mean()[0] == pytest.approx(posterior_of(method, CASES[1]).mean()[0] + 0.37, rel=1e-12)


@pytest.mark.parametrize("method", EACH, ids=repr)
def test_ten_thousand_trials_take_well_under_a_second(method):
    estimates = np.random.default_rng(1).normal(0, 0.3, 10_000)
    borrowed(method, estimate=estimates[:10], se=0.2, historical_sd=0.1)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        borrowed(method, estimate=estimates, se=np.full(10_000, 0.2), historical_sd=0.1).probability_below(0.0)
        taken.append(time.perf_counter() - start)
    assert min(taken) < 1.0


@pytest.mark.parametrize(
    "method",
    [NoBorrowing(sd=2.0), Pooled(), FixedPowerPrior(0.4), Commensurate(0.3), EACH[7], RobustMap(0.7, 1.0, 0.1)],
    ids=repr,
)
def test_variance_of_the_prior_in_closed_form(method):
    prior = prior_mixture(method, historical_mean=0.2, historical_sd=0.12)
    assert prior.variance()[0] == pytest.approx(prior_variance(method, historical_sd=0.12), rel=1e-9)


def test_variance_of_the_normalised_power_prior():
    """sd^2 times the mean of 1 / power, which a uniform power does not have."""
    expected = 0.12**2 * beta(4.0, 2.0).expect(lambda power: 1 / power)
    assert prior_variance(NormalisedPowerPrior(4.0, 2.0), historical_sd=0.12) == pytest.approx(expected, rel=1e-8)
    assert prior_variance(NormalisedPowerPrior(), historical_sd=0.12) == np.inf
    assert prior_variance(NoBorrowing(), historical_sd=0.12) == np.inf
    with pytest.raises(TrialError, match="vague mean"):
        prior_variance(RobustMap(0.5, 1.0, vague_mean=0.1), historical_sd=0.12)


def test_a_power_too_narrow_for_the_nodes_is_refused_and_more_nodes_do():
    narrow = NormalisedPowerPrior(400.0, 400.0)
    with pytest.raises(TrialError, match="too narrow for 48 nodes"):
        posterior_of(narrow, CASES[0])
    found, near = posterior_of(narrow, CASES[0], nodes=300), posterior_of(FixedPowerPrior(0.5), CASES[0])
    # The power has a standard deviation of .018: second order in it.
    assert found.mean()[0] == pytest.approx(near.mean()[0], rel=5e-3)


@pytest.mark.parametrize("sd", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_cohort_is_refused(sd):
    with pytest.raises(TrialError, match="cohort's mean"):
        borrowed(Pooled(), estimate=0.1, se=0.2, historical_sd=sd)
