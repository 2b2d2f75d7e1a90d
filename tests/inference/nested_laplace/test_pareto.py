"""Pareto-smoothed weights, against arviz-stats."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from sitewise.inference.nested_laplace.pareto import pareto_smooth

RNG = np.random.default_rng(12)
LOG_WEIGHTS = {
    "even": RNG.normal(0, 0.3, 4000),
    "uneven": RNG.normal(0, 2, 1000),
    "bounded": -RNG.exponential(1, 1000),
    "heavy tail, k = 0.5": RNG.exponential(0.5, 2000),
    "hopeless, k = 1.5": RNG.exponential(1.5, 2000),
    "some without weight": np.where(np.arange(1000) % 10 == 0, -np.inf, RNG.normal(0, 1, 1000)),
    "far from zero": RNG.normal(-5000, 1, 1000),
    "few": RNG.normal(0, 1, 100),
}


@pytest.mark.parametrize("log_weights", LOG_WEIGHTS.values(), ids=LOG_WEIGHTS.keys())
def test_weights_and_k_are_those_of_arviz(log_weights):
    given = log_weights.copy()
    weights, k = pareto_smooth(log_weights)
    log_smoothed, expected = array_stats.psislw(-given)
    smoothed = np.exp(np.asarray(log_smoothed))
    np.testing.assert_allclose(weights, smoothed / smoothed.sum(), rtol=1e-10, atol=1e-300)
    assert k == pytest.approx(float(expected), abs=1e-10)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_array_equal(log_weights, given)


def test_k_is_that_of_the_tail():
    """exp of an exponential of mean k has a Pareto tail of shape k, which n draws of it tell to (1 + k) / sqrt(n).

    There are n = 3 sqrt(S) draws in the tail; the prior, ten draws at one half, pulls k by less than that.
    """
    for k in (0.2, 0.7, 1.2):
        size = 40_000
        found = pareto_smooth(np.random.default_rng(3).exponential(k, size))[1]
        assert found == pytest.approx(k, abs=4.5 * (1 + k) / np.sqrt(3 * np.sqrt(size)))


@pytest.mark.parametrize("log_weights", [np.zeros(500), np.repeat([0.0, -1.0], 300)], ids=["equal", "two values"])
def test_a_flat_tail_is_left_alone(log_weights):
    weights, k = pareto_smooth(log_weights)
    assert not np.isfinite(k)
    np.testing.assert_allclose(weights, np.exp(log_weights) / np.exp(log_weights).sum())
