"""Regressions of covariates: modes and curvatures against statsmodels and differences, the step's stationary distribution."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize, stats

from sitewise.studies.imputation.regressions import COEFFICIENT_SD, Parameters, Regression, _derivatives, _log_posterior, _mode
from sitewise.studies.imputation.variables import Variable, default_kind, filled


def numbers(values, name="x"):
    values = np.asarray(values, dtype=float)
    missing = np.isnan(values)
    observed = values[~missing]
    return Variable(name, "normal", (), np.where(missing, 0, values), missing, observed.mean(), observed.std(ddof=1))


def levels(codes, kind, count, name="y"):
    return Variable(name, kind, tuple("abcdefg"[:count]), np.asarray(codes, dtype=float), np.zeros(len(codes), dtype=bool))


@pytest.fixture(scope="module")
def patients():
    rng = np.random.default_rng(3)
    x, z = rng.normal(3, 2, 90), rng.integers(0, 3, 90)
    y = np.clip(np.round(0.4 * x + 0.5 * z + rng.standard_normal(90)), 0, 2)
    return numbers(x), levels(z, "categorical", 3, "z"), y


def test_the_mode_of_a_multinomial_logit_without_prior_is_that_of_statsmodels(patients):
    x, z, y = patients
    regression = Regression(levels(y, "categorical", 3), (x, z))
    rows = regression.rows([x.values, z.values], np.zeros(90, dtype=int))
    terms = regression._terms(rows)
    chosen = y[None, :, None] == np.arange(1, 3)
    mode, root = _mode(terms, chosen, np.full(8, 1e-12), np.zeros((1, 8)))
    other = sm.MNLogit(y, rows[0]).fit(disp=0, tol=1e-12, maxiter=100)
    np.testing.assert_allclose(mode[0].reshape(2, 4), np.asarray(other.params).T, rtol=1e-6)
    # Standard errors are the roots of the diagonal of the inverse curvature.
    errors = np.sqrt(np.diag(np.linalg.inv(root[0] @ root[0].T))).reshape(2, 4)
    np.testing.assert_allclose(errors, np.asarray(other.bse).T, rtol=1e-5)


@pytest.mark.parametrize("kind", ["ordinal", "categorical", "binary"])
def test_derivatives_are_those_of_the_log_posterior(patients, kind):
    x, z, y = patients
    count = 2 if kind == "binary" else 3
    codes = np.minimum(y, count - 1)
    regression = Regression(levels(codes, kind, count), (x, z), sites=2)
    rows = regression.rows([x.values, z.values], np.arange(90) % 2)
    terms, chosen = regression._terms(rows), codes[None, :, None] == np.arange(1, count)
    precision = regression.prior_sd(rows.shape[-1]) ** -2.0
    point = np.random.default_rng(1).normal(0, 0.5, (1, precision.size))
    gradient, curvature = _derivatives(terms, chosen, precision, point)

    def height(at):
        return _log_posterior(terms, chosen, precision, np.asarray(at)[None])[0]

    by_differences = optimize.approx_fprime(point[0], height, 1e-6)
    # Forward differences at step 1e-6 err by about half the curvature (some tens) times the step.
    np.testing.assert_allclose(gradient[0], by_differences, atol=2e-4)
    slopes = [_derivatives(terms, chosen, precision, point + step)[0][0] for step in 1e-6 * np.eye(precision.size)]
    np.testing.assert_allclose(-curvature[0], (np.array(slopes) - gradient[0]) / 1e-6, atol=2e-4)
    # Logits with and without their terms written out, and probabilities that sum to one.
    np.testing.assert_allclose((terms @ point[0])[0], regression._logits(rows, point)[0], rtol=1e-12)
    found = regression.log_probabilities(rows, Parameters(point, np.ones(1)))
    np.testing.assert_allclose(np.exp(found).sum(axis=-1), 1, rtol=1e-12)
    assert regression.log_density(rows, codes[None], Parameters(point, np.ones(1))).sum() == pytest.approx(
        height(point[0]) + 0.5 * (precision * point[0] ** 2).sum(), rel=1e-10
    )


def test_an_ordinal_regression_is_that_of_adjacent_categories(patients):
    """log p(k) / p(k - 1) is an intercept of its own plus the same slope at every step (Agresti 2010, section 4.1)."""
    x, _, y = patients
    regression = Regression(levels(y, "ordinal", 3), (x,))
    rows = regression.rows([x.values], np.zeros(90, dtype=int))
    found = regression.log_probabilities(rows, Parameters(np.array([[0.3, -0.2, 0.8]]), np.ones(1)))[0]
    score = x.score(x.values)
    np.testing.assert_allclose(found[:, 1] - found[:, 0], 0.3 + 0.4 * score, rtol=1e-10)
    np.testing.assert_allclose(found[:, 2] - found[:, 1], -0.5 + 0.4 * score, rtol=1e-10)


def test_steps_of_a_logit_have_the_posterior_of_quadrature(patients):
    """600 chains of 6 steps, two parameters, against a grid; means and sds within 4.5 Monte Carlo errors."""
    x, _, y = patients
    few = numbers(x.values[:14])
    codes = (y[:14] > 1).astype(float)
    regression = Regression(levels(codes, "binary", 2), (few,))
    rows = regression.rows([few.values], np.zeros(14, dtype=int))
    streams = [np.random.default_rng([1, place]) for place in range(600)]
    state = None
    for _ in range(6):
        state = regression.draw(rows, np.tile(codes, (600, 1)), state, streams)
    intercept, slope = np.meshgrid(np.linspace(-9, 7, 241), np.linspace(-5, 12, 241), indexing="ij")
    logit = intercept[..., None] + slope[..., None] * few.score(few.values)
    density = (codes * logit - np.logaddexp(0, logit)).sum(axis=-1) - (intercept**2 + slope**2) / (2 * COEFFICIENT_SD**2)
    weight = np.exp(density - density.max())
    weight /= weight.sum()
    for exact, draws in ((intercept, state.coefficients[:, 0]), (slope, state.coefficients[:, 1])):
        mean = (weight * exact).sum()
        variance = (weight * (exact - mean) ** 2).sum()
        fourth = (weight * (exact - mean) ** 4).sum()
        assert abs(draws.mean() - mean) < 4.5 * np.sqrt(variance / 600)
        assert abs(((draws - mean) ** 2).mean() - variance) < 4.5 * np.sqrt((fourth - variance**2) / 600)


def test_steps_of_a_normal_regression_have_the_posterior_of_quadrature():
    """The residual variance of 12 numbers without predictors: the intercept integrated out, the variance on a grid."""
    values = np.random.default_rng(5).normal(10, 3, 12)
    target = numbers(values)
    regression = Regression(target, ())
    rows = regression.rows([], np.zeros(12, dtype=int))
    streams = [np.random.default_rng([2, place]) for place in range(800)]
    state = None
    for _ in range(8):
        state = regression.draw(rows, np.tile(values, (800, 1)), state, streams)
    score = target.score(values)
    variance = np.linspace(0.05, 12, 60_000)
    # The mean of the scores is normal about 0 with variance s2 / 12 + 2.5^2; around it the squares have 11 degrees of freedom.
    density = stats.invgamma.logpdf(variance, 1, scale=0.5) + stats.norm.logpdf(
        score.mean(), 0, np.sqrt(variance / 12 + COEFFICIENT_SD**2)
    )
    density -= 5.5 * np.log(variance) + ((score - score.mean()) ** 2).sum() / (2 * variance)
    weight = np.exp(density - density.max())
    weight /= weight.sum()
    exact = float((weight * np.log(variance)).sum())
    sd = float(np.sqrt((weight * (np.log(variance) - exact) ** 2).sum()))
    assert abs(np.log(state.variance).mean() - exact) < 4.5 * sd / np.sqrt(800)
    assert abs(state.coefficients.mean()) < 4.5 * state.coefficients.std() / np.sqrt(800)  # scores have mean zero


def test_missing_values_of_the_first_cohort_are_quantiles_of_the_observed():
    values = np.array([1.0, np.nan, 3.0, 5.0, np.nan, np.nan, 9.0, 7.0])
    found = filled(numbers(values))
    np.testing.assert_array_equal(found[~np.isnan(values)], values[~np.isnan(values)])
    # Of 1, 3, 5, 7, 9 at 1/6, 3/6, 5/6, in the order of the fractional parts of multiples of the golden ratio: .62, .24, .85.
    np.testing.assert_allclose(found[[1, 4, 5]], np.quantile([1, 3, 5, 7, 9], [3 / 6, 1 / 6, 5 / 6]))
    codes = levels([0, 1, 1, 0], "binary", 2)
    np.testing.assert_array_equal(filled(codes), codes.values)


def test_kinds_by_their_levels():
    assert default_kind(()) == "normal"
    assert default_kind(("A", "B")) == "binary"
    assert default_kind(("0", "1", ">=2")) == "ordinal"
    assert default_kind(("liver", "lung", "1 other")) == "categorical"


def test_log_normal_scores_go_there_and_back():
    values = np.array([1.0, 2.0, 8.0])
    variable = Variable("x", "log-normal", (), values, np.zeros(3, dtype=bool), 0.7, 1.3)
    np.testing.assert_allclose(variable.score(values), (np.log(values) - 0.7) / 1.3)
    np.testing.assert_allclose(variable.unscore(variable.score(values)), values)
    pd.testing.assert_series_equal(pd.Series(variable.column(values)), pd.Series(values))
