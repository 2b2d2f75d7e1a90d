"""Rates of sites from counts, against statsmodels' negative binomial regression and closed forms."""

import numpy as np
import pytest
import statsmodels.api as sm

from sitewise.problems import TrialError
from sitewise.trial.forecast import rates_from_sites


def counts(seed, sites=40, shape=1.5, rate=0.6):
    rng = np.random.default_rng(seed)
    times = rng.uniform(6, 36, sites)
    return rng.poisson(rng.gamma(shape, rate / shape, sites) * times), times


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_maximum_likelihood_is_that_of_statsmodels(seed):
    """NB2 regression with a constant and the exposure: variance = mean + alpha mean^2, so alpha = 1 / shape."""
    patients, times = counts(seed)
    found = rates_from_sites(patients, times)
    model = sm.NegativeBinomial(patients, np.ones((patients.size, 1)), exposure=times)
    other = model.fit(disp=0, method="bfgs", maxiter=2000, gtol=1e-8)
    assert found.log_likelihood == pytest.approx(other.llf, abs=1e-6)
    assert found.rate == pytest.approx(np.exp(other.params[0]), rel=1e-4)
    assert found.rate_shape == pytest.approx(1 / other.params[1], rel=1e-3)
    assert found.log_likelihood > found.log_likelihood_equal


def test_equal_exposure_has_the_mean_count_as_its_mean():
    """With one exposure the score of the mean is zero at the sample mean, whatever the shape.

    A maximum is found to the root of the precision of numbers, some 1e-8.
    """
    patients = np.array([0, 3, 9, 1, 20, 4])
    found = rates_from_sites(patients, 12.0)
    assert found.rate == pytest.approx(patients.mean() / 12.0, rel=1e-7)


def test_counts_that_vary_less_than_poisson_ones_give_no_shape():
    found = rates_from_sites([10, 10, 11, 9, 10], 20.0)
    assert found.rate_shape is None
    assert found.rate == pytest.approx(0.5)
    assert found.log_likelihood == found.log_likelihood_equal


def test_the_truth_is_found_in_many_sites():
    """2,000 sites: the shape within 3.3 of its standard errors, taken from 10 samples of the same size."""
    estimates = np.array([rates_from_sites(*counts(seed, sites=2000)).rate_shape for seed in range(10, 20)])
    assert abs(estimates.mean() - 1.5) < 3.3 * estimates.std(ddof=1) / np.sqrt(estimates.size)


@pytest.mark.parametrize(
    ("patients", "open_for", "words"),
    [
        ([3], 12.0, "two or more"),
        ([3, -1], 12.0, "whole numbers"),
        ([3, 1.5], 12.0, "whole numbers"),
        ([0, 0], 12.0, "none at all"),
        ([3, 1], [12.0, 0.0], "positive times"),
    ],
)
def test_what_gives_no_rate_is_refused(patients, open_for, words):
    with pytest.raises(TrialError, match=words):
        rates_from_sites(patients, open_for)
