"""Counts near the published numbers: against planted curves whose values are known."""

import numpy as np
import pytest

from sitewise.simulate.calibration.counts import COHORTS_PER_PRODUCT, LocalFit
from sitewise.simulate.calibration.pool import NEAREST, nearness

COHORTS = 20_000
SIZE, NUMBERS = 3, 4


def planted(cohorts, seed):
    """Parameters, numbers and two responses, whose slope in the first parameter and whose noise go with the numbers.

    Given x and z the first is Normal(1 + x0 - 0.5 x1^2 + 0.8 z0 + 0.4 x0 z1, exp(2 s)), s = log 0.3 + 0.25 z2; the second is
    half of its noise and as much of its own.
    """
    rng = np.random.default_rng(seed)
    x = 0.6 * rng.standard_normal((cohorts, SIZE))
    z = rng.standard_normal((cohorts, NUMBERS)) + x @ rng.standard_normal((SIZE, NUMBERS))
    noise = 0.3 * np.exp(0.25 * z[:, 2:3]) * rng.standard_normal((cohorts, 2))
    mean = 1 + x[:, 0] - 0.5 * x[:, 1] ** 2 + 0.8 * z[:, 0] + 0.4 * x[:, 0] * z[:, 1]
    return x, z, np.column_stack([mean + noise[:, 0], 0.5 * noise.sum(axis=1)])


@pytest.fixture(scope="module")
def fit():
    return LocalFit.fitted(*planted(COHORTS, 1))


def test_where_the_numbers_are_the_published_ones_curves_are_the_planted_ones(fit):
    """Without products the slope would be an average over the pool.

    Four errors of a coefficient, .3 / sqrt(8,000 effective cohorts) over the .4 of an x at given numbers, and twice that for
    the squares; the penalty of 30 cohorts' weight moves products, not these.
    """
    expected = np.zeros((1 + 2 * SIZE, 2))
    expected[0, 0], expected[1, 0], expected[1 + SIZE + 1, 0] = 1.0, 1.0, -0.5
    np.testing.assert_allclose(fit.coefficients, expected, atol=0.07)
    np.testing.assert_allclose(fit.coefficients[: 1 + SIZE], expected[: 1 + SIZE], atol=0.035)


def test_noise_is_that_at_the_published_numbers(fit):
    """Sds .3 and .3 / sqrt(2), over the pool wider; 4 errors of a log sd, 1 / sqrt(2 * 8,000) times an intercept's 2."""
    np.testing.assert_allclose(fit.scale, [0.3, 0.3 / np.sqrt(2)], rtol=0.06)
    np.testing.assert_allclose(np.average(fit.standard**2, axis=0, weights=fit.weight), 1.0, atol=0.05)


def test_draws_are_those_of_the_planted_distribution(fit):
    """At a point: mean, sd and correlation of the responses, sqrt(1 / 2), within 4 errors of 20,000 draws and the fit's."""
    x = np.tile([0.5, -0.4, 0.2], (20_000, 1))
    draws = fit.draw(x, np.random.default_rng(2))
    assert draws.shape == (20_000, 2)
    assert draws[:, 0].mean() == pytest.approx(1 + 0.5 - 0.5 * 0.16, abs=0.03)
    assert draws[:, 0].std() == pytest.approx(0.3, rel=0.06)
    assert np.corrcoef(draws.T)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.03)


def test_few_cohorts_carry_no_products_and_still_answer():
    """A slope is then an average over the numbers, which are .4 z1 x0 from it: nothing is wilder than that."""
    few = COHORTS_PER_PRODUCT * SIZE * NUMBERS
    x, z, responses = planted(few, 3)
    fit = LocalFit.fitted(x, z, responses)
    assert fit.coefficients.shape == (1 + 2 * SIZE, 2)
    draws = fit.draw(np.zeros((1000, SIZE)), np.random.default_rng(4))
    assert draws[:, 0].mean() == pytest.approx(1.0, abs=0.5)
    assert 0.15 < draws[:, 0].std() < 1.2


def test_what_does_not_vary_is_known():
    x, z, responses = planted(2000, 5)
    responses[:, 1] = 7.0
    draws = LocalFit.fitted(x, z, responses).draw(x[:50], np.random.default_rng(6))
    np.testing.assert_allclose(draws[:, 1], 7.0, atol=1e-4)


def test_cohorts_beyond_the_nearest_do_not_count():
    """Weights are those of the kernel of Mahalanobis distances from the published numbers, not from the pool's mean."""
    rng = np.random.default_rng(7)
    away = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 3)) + 1.0
    weight = nearness(away)
    distance = np.array([row @ np.linalg.inv(np.cov(away.T)) @ row for row in away])
    assert np.mean(weight > 0) == pytest.approx(NEAREST, abs=0.01)
    np.testing.assert_allclose(weight, np.maximum(1 - distance / np.quantile(distance, NEAREST), 0), atol=1e-9)
    np.testing.assert_array_equal(nearness(np.zeros((4, 0))), 1.0)
    assert (nearness(np.zeros((4, 2))) == 1.0).all()
