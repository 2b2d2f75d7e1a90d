"""Elliptical slice sampling against densities with known moments."""

import numpy as np
import pytest
from scipy import stats

from sitewise.simulate.calibration.elliptical_slice import CHAINS, KEPT, effective_draws, elliptical_slice


def _errors(draws, values):
    """Return standard errors of the means of values (N, k) under the effective number of draws."""
    return values.std(axis=0) / np.sqrt(effective_draws(draws))


def test_a_normal_density_has_its_mean_and_covariance():
    """Shifted, stretched and correlated; chains begin around the origin, three sds from the mean of the second coordinate."""
    mean, covariance = np.array([0.5, 1.5, -1.0]), np.array([[1.0, 0.3, 0.0], [0.3, 0.25, -0.2], [0.0, -0.2, 2.0]])
    density = stats.multivariate_normal(mean, covariance)
    draws = elliptical_slice(lambda rows: np.atleast_1d(density.logpdf(rows)), 3, np.random.default_rng(1))
    assert draws.shape == (KEPT, CHAINS, 3)
    rows = draws.reshape(-1, 3)
    assert (np.abs(rows.mean(axis=0) - mean) < 4 * _errors(draws, rows)).all()
    products = ((rows - mean)[:, :, None] * (rows - mean)[:, None, :]).reshape(len(rows), -1)
    assert (np.abs(products.mean(axis=0) - covariance.ravel()) < 4 * _errors(draws, products)).all()


def test_a_bent_density_has_its_moments():
    """y given x is normal around (x^2 - 1) / 5: E y = 0, Var y = 1.08, E x^2 y = 0.4, E x y = 0."""

    def log_density(rows):
        x, y = rows.T
        return -0.5 * x**2 - 0.5 * (y - 0.2 * (x**2 - 1)) ** 2

    draws = elliptical_slice(log_density, 2, np.random.default_rng(2))
    x, y = draws.reshape(-1, 2).T
    found = np.column_stack([x, y, x**2, y**2, x * y, x**2 * y])
    assert (np.abs(found.mean(axis=0) - [0, 0, 1, 1.08, 0, 0.4]) < 4 * _errors(draws, found)).all()


def test_a_density_that_ends_is_sampled_to_its_end_and_not_beyond():
    def log_density(rows):
        return np.where(rows[:, 0] > -0.5, -0.5 * np.sum(rows**2, axis=1), -np.inf)

    draws = elliptical_slice(log_density, 2, np.random.default_rng(3))
    rows = draws.reshape(-1, 2)
    assert rows[:, 0].min() > -0.5
    expected = stats.truncnorm(-0.5, np.inf).mean()
    assert abs(rows[:, 0].mean() - expected) < 4 * _errors(draws, rows)[0]
    assert stats.kstest(draws[-1, :, 0], stats.truncnorm(-0.5, np.inf).cdf).pvalue > 0.001


def test_draws_repeat_and_a_density_without_origin_is_refused():
    one, other = (elliptical_slice(lambda rows: -0.5 * np.sum(rows**2, axis=1), 2, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="zero at the origin"):
        elliptical_slice(lambda rows: np.full(len(rows), -np.inf), 2, np.random.default_rng(5))


def test_effective_draws_are_those_of_an_autoregression():
    """Of AR(1) chains with correlation .6, exactly for their length and as the slower of two; independent ones are all counted.

    A variance of 2,000 chain means has a relative error of sqrt(2 / 2000): within four of these.
    """
    rng = np.random.default_rng(6)
    steps, chains, slow = 40, 2000, 0.6
    noise = rng.standard_normal((steps, chains, 2))
    draws, correlation = noise.copy(), np.array([slow, 0.0])
    for step in range(1, steps):
        draws[step] = correlation * draws[step - 1] + np.sqrt(1 - correlation**2) * noise[step]
    times = (1 + slow) / (1 - slow) - 2 * slow * (1 - slow**steps) / (steps * (1 - slow) ** 2)
    error = 4 * np.sqrt(2 / chains)
    assert effective_draws(draws) == pytest.approx(steps * chains / times, rel=error)
    assert effective_draws(draws[:, :, 1:]) == pytest.approx(steps * chains, rel=error)
    assert effective_draws(draws) <= steps * chains
