"""The moment fit: recovery of a known process, closed forms of derivatives and Laplace covariance, the weight matrix."""

from dataclasses import replace

import numpy as np
import pytest

from sitewise.problems import EvidenceError
from sitewise.simulate.calibration import Assumptions
from sitewise.simulate.calibration import problem as problems
from sitewise.simulate.calibration.moments import fit_moments

COHORTS = 200


@pytest.fixture(scope="module")
def problem(make, printed):
    """Two factors, nine parameters, sixteen numbers; a prior so weak that it does not move the fit."""
    found = make.problem(printed, Assumptions(site_sd=0.0))
    return replace(found, parameters=replace(found.parameters, sd=found.parameters.sd * np.where(_identified(found), 5.0, 0.2)))


def _identified(problem):
    """All but the guarantee time, of which the shortest of 90 follow-ups says hardly anything."""
    return np.array(["guarantee" not in name for name in problem.parameters.names])


@pytest.fixture(scope="module")
def truth(problem, make):
    return make.row(
        problem,
        log_median=np.log(16.0),
        log_shape=0.2,
        log_hazard_ratio_ecog=0.6,
        log_hazard_ratio_stage=0.4,
        atanh_correlation=0.4,
        log_censoring_scale=np.log(45.0),
        log_censoring_shape=0.4,
    )


@pytest.fixture(scope="module")
def expected(problem, truth):
    """Mean statistics of 2000 cohorts of the truth, as if a paper printed them."""
    return np.nanmean(problem.simulate(truth, problem.randomness(99, 2000, stage=40))[1], axis=0)


@pytest.fixture(scope="module")
def fit(problem, expected):
    return fit_moments(problem.with_published(expected), seed=7, cohorts=COHORTS, workers=2)


def test_the_process_behind_expected_statistics_is_found(problem, truth, fit):
    """Moments of 200 cohorts have 1 / sqrt(200) of the sampling error of one, which is what the covariance is of.

    To that come the error of the 2000 cohorts published and the last step, below .1 sd in the mean square.
    """
    away = (fit.theta - truth) / np.sqrt(np.diag(fit.covariance))
    assert np.abs(away[_identified(problem)]).max() < 4 * np.sqrt(1 / COHORTS + 1 / 2000) + 0.2
    assert fit.converged
    assert fit.distance < 0.5  # of 16 numbers, which one cohort misses by a sd each


def test_moments_are_the_published_numbers(problem, expected, fit):
    sd = np.sqrt(np.diag(fit.sampling))
    assert np.abs((fit.mean - expected) / sd).max() < 0.25


def test_where_the_fit_begins_does_not_matter(problem, expected, fit):
    prior = problem.parameters
    start = prior.mean + np.where(_identified(problem), 0.08, 0.0) * prior.sd
    other = fit_moments(problem.with_published(expected), seed=7, cohorts=COHORTS, start=start, workers=2)
    away = (fit.theta - other.theta) / np.sqrt(np.diag(fit.covariance))
    assert np.sqrt(np.mean(away**2)) < 0.3  # both stop within .1 sd of the same point, in the mean square


def test_the_fit_does_not_depend_on_workers(problem, expected, fit):
    alone = fit_moments(problem.with_published(expected), seed=7, cohorts=COHORTS, workers=1)
    for name in ("theta", "covariance", "mean", "jacobian", "sampling"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(fit, name))
    assert alone.iterations == fit.iterations


def test_an_unfinished_fit_says_so(problem, expected):
    start = problem.parameters.mean + 0.1 * problem.parameters.sd
    assert not fit_moments(problem.with_published(expected), seed=7, cohorts=60, iterations=1, start=start).converged


# Closed forms: an exponential of which one survival probability is printed --------------------------------

PATIENTS, TIME = 60, 12.0


@pytest.fixture(scope="module")
def one_number(make):
    """S(12) = .6 of 60 patients, nobody leaves before that: a binomial share; and a prior half as strong again beside it."""
    paper = make.evidence(patients=PATIENTS, sites=1, survival=[{"id": "year", "time": TIME, "survival": 0.6, "digits": 3}])
    found = make.problem(paper, Assumptions(family="exponential", guarantee_time=0.0))
    mean, sd = found.parameters.mean.copy(), found.parameters.sd.copy()
    place = found.parameters.names.index("log_censoring_scale")
    mean[place], sd[place] = 15.0, 0.01
    sd[0] = 0.15  # a prior that says as much as the paper, and something else
    mean[0] += 0.3
    return replace(found, parameters=replace(found.parameters, mean=mean, sd=sd))


def test_derivatives_and_laplace_covariance_have_closed_forms(one_number):
    """S = exp(-ln2 t / m): dS/dlog m = -S log S, the variance of one cohort's share is S (1 - S) / n."""
    fit = fit_moments(one_number, seed=2, cohorts=4000)
    median = np.exp(fit.theta[0])
    survival = 0.5 ** (TIME / median)
    slope = -survival * np.log(survival)
    variance = survival * (1 - survival) / PATIENTS
    # Means of 4000 cohorts; the derivative by differences under common random numbers has about 1 % of error, too.
    assert fit.mean[0] == pytest.approx(survival, abs=4.5 * np.sqrt(variance / 4000))
    assert fit.sampling[0, 0] == pytest.approx(variance, rel=4.5 * np.sqrt(2 / 4000))
    assert fit.jacobian[0, 0] == pytest.approx(slope, rel=0.08)
    prior = one_number.parameters
    precision = slope**2 / (variance * (1 + problems.RIDGE)) + 1 / prior.sd[0] ** 2
    assert fit.covariance[0, 0] == pytest.approx(1 / precision, rel=0.15)
    # The mode: (s - S(m)) S'(m) / v = (log m - prior mean) / prior variance.
    pull = (fit.theta[0] - prior.mean[0]) / prior.sd[0] ** 2
    push = (0.6 - survival) * slope / (variance * (1 + problems.RIDGE))
    assert (push - pull) / np.sqrt(precision) == pytest.approx(0, abs=0.3)  # stops within .1 sd


def test_a_statistic_that_hardly_any_cohort_has_is_refused(make):
    """Follow-up of those alive, where nearly all are dead long before."""
    paper = make.evidence(patients=30, survival=[{"median": 1}], follow_up=[{"median": 200, "definition": "alive-only"}])
    with pytest.raises(EvidenceError, match=r"follow_up: median .* exists in only \d+ % of simulated cohorts") as caught:
        fit_moments(make.problem(paper), seed=1, cohorts=100)
    assert "held_out" in str(caught.value)


# Weights -----------------------------------------------------------------------------------------------

ROWS = 200_000
"""So many cohorts that their correlations are known to 1 / 450."""


@pytest.fixture(scope="module")
def spread(problem):
    """A covariance in which unadjusted and adjusted log hazard ratios nearly repeat each other, as they do."""
    rng = np.random.default_rng(4)
    size = len(problem.fitted)
    mixing = np.eye(size) + 0.1 * rng.standard_normal((size, size))
    places = {place: number for number, place in enumerate(problem.fitted.tolist())}
    for one, other in problem.contrasts:
        mixing[places[one]] = mixing[places[other]] + 0.3 * mixing[places[one]]
    scale = np.exp(rng.uniform(-3, 1, size))  # counts, shares and logarithms have different scales
    return scale[:, None] * (mixing @ mixing.T) * scale


@pytest.fixture(scope="module")
def sample(spread):
    rng = np.random.default_rng(5)
    return rng.standard_normal((ROWS, len(spread))) @ np.linalg.cholesky(spread).T


def test_without_a_ridge_the_weight_is_the_inverse_covariance(problem, spread, sample):
    """Whether unadjusted ratios or contrasts are weighted makes no difference then."""
    assert len(problem.contrasts) == 2
    factor = np.linalg.cholesky(spread)
    whitened = factor.T @ problem.weight(sample, ridge=0.0) @ factor
    # Sampling error sqrt(16 / 200,000) and shrinkage of about 1 / 200,000 times the condition of the correlations.
    np.testing.assert_allclose(np.linalg.eigvalsh(whitened), 1.0, atol=0.04)


def test_the_ridge_is_small_beside_a_contrast(problem, spread, sample):
    """The distance of an unadjusted ratio that alone moves is nearer to the exact one with the ridge on contrasts."""
    weight = problem.weight(sample)
    places = {place: number for number, place in enumerate(problem.fitted.tolist())}
    for one, _ in problem.contrasts:
        moved = np.zeros(len(spread))
        moved[places[one]] = 1.0
        exact = moved @ np.linalg.inv(spread) @ moved
        both = moved @ np.linalg.inv(spread + problems.RIDGE * np.diag(np.diag(spread))) @ moved
        assert both < moved @ weight @ moved < exact


def test_what_is_added_to_variances(make):
    """Without contrasts: 5 % of each, and sixteen times the variance of a soft number; what is missing counts as the mean."""
    paper = make.evidence(survival=[{"median": 14}, {"time": 12, "survival": 0.6, "status": "soft"}])
    found = make.problem(paper)
    covariance = np.array([[1.0, 0.4], [0.4, 0.65]])
    sample = np.random.default_rng(1).multivariate_normal([3, 5], covariance, ROWS)
    covariance[0, 0] *= 1.05
    covariance[1, 1] *= 16.05
    np.testing.assert_allclose(found.weight(sample), np.linalg.inv(covariance), rtol=0.02)
    sample[::10, 1] = np.nan
    filled = np.where(np.isnan(sample), np.nanmean(sample, axis=0), sample)
    np.testing.assert_allclose(found.weight(sample), found.weight(filled))


def test_correlations_of_few_cohorts_are_shrunk():
    """Schaefer & Strimmer's intensity written out pair by pair; variances stay, independent columns lose nearly everything."""
    rng = np.random.default_rng(6)
    values = rng.standard_normal((25, 4)) @ np.array([[1, 0.8, 0, 0], [0, 0.6, 0, 0], [0, 0, 1, 0.3], [0, 0, 0, 2.0]])
    rows = len(values)
    standard = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    plain = np.corrcoef(values, rowvar=False)
    variances, squares = 0.0, 0.0
    for i in range(4):
        for j in range(4):
            if i != j:
                products = standard[:, i] * standard[:, j]
                variances += rows / (rows - 1) ** 3 * np.sum((products - products.mean()) ** 2)
                squares += plain[i, j] ** 2
    intensity = min(1.0, variances / squares)
    expected = np.where(np.eye(4, dtype=bool), 1.0, (1 - intensity) * plain)
    sd = values.std(axis=0, ddof=1)
    np.testing.assert_allclose(problems.shrunk_covariance(values), expected * np.outer(sd, sd), rtol=1e-9)
    noise = rng.standard_normal((60, 30))
    found = problems.shrunk_covariance(noise)
    off = ~np.eye(30, dtype=bool)
    np.testing.assert_allclose(np.diag(found), noise.var(axis=0, ddof=1))
    assert np.abs(found[off]).mean() < 0.2 * np.abs(np.cov(noise, rowvar=False)[off]).mean()
