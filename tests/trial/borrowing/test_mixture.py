"""Mixtures of normals against scipy's integrals and roots, and against numbers that RBesT prints."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from sitewise.problems import TrialError
from sitewise.trial.borrowing import Mixture, NoBorrowing, Pooled, borrowed, difference, updated

PRINTED = np.array([0.40083877, 0.33497275, 0.06418848, 0.2])
CROHN_ROBUST = Mixture.of(
    PRINTED / PRINTED.sum(),
    [-51.42408665, -47.25917128, -55.07086416, -50.0],
    sds=[19.04525409, 7.85193726, 44.57325, 88.0],
)
"""Robust prior of the placebo arm in RBesT's vignette on a normal endpoint (Crohn's disease), as printed there."""


def drawn(trials=6, components=5, seed=3):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(components), trials)
    return Mixture(weights, rng.normal(0, 1, (trials, components)), rng.uniform(0.05, 1.5, (trials, components)))


def density(mixture, row, x):
    return float(np.sum(mixture.weights[row] * norm.pdf(x, mixture.means[row], mixture.sds[row])))


def below(mixture, row, x):
    return float(np.sum(mixture.weights[row] * norm.cdf(x, mixture.means[row], mixture.sds[row])))


def test_moments_and_probabilities_are_integrals_of_the_density():
    mixture = drawn()
    points = np.linspace(-1, 1, len(mixture))
    for row in range(len(mixture)):
        breaks = sorted(mixture.means[row])

        def integral(function, end=14.0, row=row, breaks=breaks):
            inside = [x for x in breaks if x < end]
            return quad(lambda x: function(x) * density(mixture, row, x), -14, end, points=inside, limit=400, epsabs=1e-12)[0]

        mean = integral(lambda x: x)
        assert mixture.mean()[row] == pytest.approx(mean, rel=1e-8)
        assert mixture.sd()[row] == pytest.approx(np.sqrt(integral(lambda x, mean=mean: (x - mean) ** 2)), rel=1e-8)
        assert mixture.probability_below(points)[row] == pytest.approx(integral(lambda x: 1.0, points[row]), rel=1e-8)
        assert mixture.density(points)[row] == pytest.approx(density(mixture, row, points[row]), rel=1e-12)


@pytest.mark.parametrize("share", [1e-6, 0.025, 0.5, 0.975, 1 - 1e-6])
def test_quantiles_are_roots(share):
    mixture = drawn(seed=8)
    found = mixture.quantile(share)
    for row in range(len(mixture)):
        root = brentq(lambda x, row=row: below(mixture, row, x) - share, -20, 20, xtol=1e-14)
        assert found[row] == pytest.approx(root, rel=1e-9, abs=1e-10)


def test_quantiles_of_far_parts_and_of_one_share_a_trial():
    """Between two far narrow parts the density is zero: Newton's steps alone would leave."""
    apart = Mixture.of([[0.3, 0.7], [0.5, 0.5]], [-100.0, 100.0], sds=[0.01, 0.01])
    found = apart.quantile([0.2, 0.9])
    np.testing.assert_allclose(found, [-100 + 0.01 * norm.ppf(2 / 3), 100 + 0.01 * norm.ppf(0.8)], rtol=1e-10)


def test_a_part_without_weight_does_not_count():
    mixture = Mixture.of([1.0, 0.0], [0.3, 50.0], sds=[0.2, 9.0])
    assert mixture.quantile(0.9)[0] == pytest.approx(norm.ppf(0.9, 0.3, 0.2), rel=1e-12)


def test_difference_is_the_convolution():
    mixture, centre, spread = drawn(seed=5), 0.4, 0.3
    found = difference(mixture, estimate=centre, se=spread).probability_below(-0.2)
    for row in range(len(mixture)):

        def integrand(x, row=row):
            return below(mixture, row, x - 0.2) * norm.pdf(x, centre, spread)

        assert found[row] == pytest.approx(
            quad(integrand, centre - 10 * spread, centre + 10 * spread, epsrel=1e-10)[0], rel=1e-8
        )


def test_negated_and_shifted():
    mixture = drawn()
    np.testing.assert_allclose(mixture.negated().quantile(0.2), -mixture.quantile(0.8), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(mixture.shifted(0.7).quantile(0.2), mixture.quantile(0.2) + 0.7, rtol=1e-9, atol=1e-11)


def test_rbest_final_analysis_of_the_crohn_trial():
    """RBesT, "RBesT for a Normal Endpoint": P(active - placebo <= 0) = .06270104, P(<= -50) = 3.827361e-06."""
    active = updated(Mixture.of([1.0], [-50.0], sds=[88.0]), estimate=-29.2, se=14.0)
    placebo = updated(CROHN_ROBUST, estimate=-63.1, se=13.9)
    contrast = difference(placebo, estimate=active.mean(), se=active.sd()).negated()
    assert contrast.probability_below(0.0)[0] == pytest.approx(0.06270104, abs=1e-7)
    assert contrast.probability_below(-50.0)[0] == pytest.approx(3.827361e-06, rel=1e-4)


def test_rbest_conjugate_posteriors():
    """RBesT's page of postmix (-51.43333, 16.06653), and its vignette on co-data: posterior and boundary of log HR."""
    responses = [-46, -227, 41, -65, -103, -22, 7, -169, -69, 90]
    one = borrowed(
        Pooled(), estimate=np.mean(responses), se=88 / np.sqrt(10), historical_mean=-49.0, historical_sd=88 / np.sqrt(20)
    )
    assert one.mean()[0] == pytest.approx(-51.43333, abs=5e-6)
    assert one.sd()[0] == pytest.approx(16.06653, abs=5e-6)
    vague = NoBorrowing(sd=2.0)
    interim = borrowed(vague, estimate=np.log(0.83), se=np.sqrt(4 / 162), historical_sd=1.0)
    assert interim.mean()[0] == pytest.approx(-0.1851865, abs=5e-8)
    assert interim.sd()[0] == pytest.approx(0.1566521, abs=5e-8)
    boundary = borrowed(vague, estimate=-0.2017185, se=np.sqrt(4 / 379), historical_sd=1.0)
    # RBesT finds its boundary by R's uniroot, whose default tolerance is 1.22e-4.
    assert boundary.quantile(0.975)[0] == pytest.approx(0.0, abs=1.22e-4)


def test_trials_without_an_estimate_are_nan_and_leave_the_others_alone():
    posterior = updated(drawn(trials=1), estimate=[0.1, np.nan, 0.3], se=[0.2, 0.2, np.nan])
    for values in (posterior.mean(), posterior.sd(), posterior.probability_below(0.0), posterior.quantile(0.4)):
        np.testing.assert_array_equal(np.isnan(values), [False, True, True])
    alone = updated(drawn(trials=1), estimate=0.1, se=0.2)
    assert posterior.quantile(0.4)[0] == alone.quantile(0.4)[0]


def test_a_flat_distribution_has_no_mean_but_can_be_updated():
    flat = Mixture.of([1.0], [0.0], sds=[np.inf])
    assert np.isnan([flat.mean()[0], flat.probability_below(0.0)[0], flat.quantile(0.5)[0]]).all()
    posterior = updated(flat, estimate=[0.3, -0.1], se=0.2)
    np.testing.assert_allclose(posterior.mean(), [0.3, -0.1], rtol=1e-15)
    np.testing.assert_allclose(posterior.sd(), 0.2, rtol=1e-15)


@pytest.mark.parametrize(
    ("weights", "means", "sds", "words"),
    [
        ([0.5, 0.6], [0, 0], [1, 1], "sum 1"),
        ([1.5, -0.5], [0, 0], [1, 1], "zero or positive"),
        ([0.5, 0.5], [0, 0], [1, 0], "must be positive"),
        ([0.5, 0.5], [0, 0], [1, np.inf], "flat part"),
    ],
)
def test_impossible_mixtures_are_refused(weights, means, sds, words):
    with pytest.raises(TrialError, match=words):
        Mixture.of(weights, means, sds=sds)


def test_impossible_questions_are_refused():
    mixture = drawn()
    with pytest.raises(TrialError, match=r"inside \(0, 1\)"):
        mixture.quantile(1.0)
    with pytest.raises(TrialError, match="no hyperparameter"):
        mixture.hyperparameter_mean()
    with pytest.raises(TrialError, match="one shape"):
        Mixture(mixture.weights, mixture.means[:, :2], mixture.sds)
    for se in (0.0, -1.0, np.inf):
        with pytest.raises(TrialError, match="positive and finite"):
            updated(mixture, estimate=0.0, se=se)
    with pytest.raises(TrialError, match="zero or positive"):
        difference(mixture, estimate=0.0, se=-0.1)
