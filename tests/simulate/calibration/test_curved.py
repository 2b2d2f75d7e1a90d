"""The curved model of statistics against matrix functions of scipy, planted covariances and a posterior by quadrature."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import expm

from sitewise.evidence import load_evidence
from sitewise.problems import EvidenceError
from sitewise.simulate.calibration import Assumptions, calibrate
from sitewise.simulate.calibration.curved import (
    Curves,
    curved_draws,
    curved_model,
    exponential_times,
    leverage,
    log_covariance,
    noise_of_unseen,
)
from sitewise.simulate.calibration.linearised import linear_posterior
from sitewise.simulate.calibration.pool import Pool

ROWS = 12_000


def _symmetric(rng, number, size, scale):
    found = scale * rng.standard_normal((number, size, size))
    return found + found.transpose(0, 2, 1)


def test_the_exponential_is_that_of_scipy():
    """Up to a norm of 2, which is a variance of a seventh or sevenfold: to 1e-5, twice the series' next term 2^13 / 13!."""
    rng = np.random.default_rng(1)
    matrices, vectors = _symmetric(rng, 30, 6, 0.3), rng.standard_normal((30, 6))
    matrices *= (2 / np.abs(np.linalg.eigvalsh(matrices)).max(axis=1))[:, None, None]
    expected = np.einsum("nij,nj->ni", np.array([expm(matrix) for matrix in matrices]), vectors)
    np.testing.assert_allclose(exponential_times(matrices, vectors), expected, atol=1e-5)
    np.testing.assert_allclose(
        exponential_times(0.3 * matrices[:1], vectors[:1])[0], expm(0.3 * matrices[0]) @ vectors[0], atol=1e-8
    )


def test_a_planted_log_covariance_is_found():
    """Two parameters of which one changes the covariance of three residuals: entries within 4 sampling errors."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((ROWS, 2))
    planted = np.concatenate([_symmetric(rng, 1, 3, 0.2), _symmetric(rng, 1, 3, 0.2), np.zeros((1, 3, 3))])
    covariance = np.array([expm(0.5 * (planted[0] + own * planted[1])) for own in x[:, 0]])
    residuals = np.einsum("nij,nj->ni", covariance, rng.standard_normal((ROWS, 3)))
    found = log_covariance(residuals, x)
    np.testing.assert_allclose(found, found.transpose(0, 2, 1), atol=1e-12)
    assert np.abs(found - planted).max() < 4 * np.sqrt(2 / ROWS) + 0.01


def test_far_residuals_do_not_rule_the_covariance():
    """One cohort of a hundred with residuals of thirty sds, all at the same end: the slope stays where it was."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((ROWS, 2))
    residuals = rng.standard_normal((ROWS, 4))
    residuals[x[:, 0] > np.quantile(x[:, 0], 0.99)] *= 30
    assert np.isfinite(log_covariance(residuals, x)).all()
    assert np.abs(log_covariance(residuals, x)).max() < 1


def test_the_leverage_is_that_of_the_hat_matrix():
    """Of normal rows in four correlated dimensions: the diagonal of X (X'X)^-1 X', its mean to 1 %, each nearly."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((40_000, 4)) @ rng.standard_normal((4, 4))
    first, second = np.triu_indices(4)
    design = np.column_stack([np.ones(len(rows)), rows, rows[:, first] * rows[:, second]])
    hat = np.einsum("nj,nj->n", design @ np.linalg.inv(design.T @ design), design)
    away = rows - rows.mean(axis=0)
    distance = np.einsum("ni,ij,nj->n", away, np.linalg.inv(np.cov(away.T)), away)
    found = leverage(distance, 4, len(rows))
    assert hat.sum() == pytest.approx(15)
    assert found.mean() == pytest.approx(hat.mean(), rel=0.01)
    assert np.quantile(np.abs(found / hat - 1), 0.95) < 0.1


@pytest.mark.parametrize(("cohorts", "noisy"), [(400, True), (20_000, False)])
def test_the_noise_is_that_of_cohorts_not_seen(cohorts, noisy):
    """Four parameters, eight statistics: unit residuals of 40,000 fresh cohorts have the variance that is foretold.

    A mean of 20 pools; to a fifth of what few cohorts hide (or 1 %), since the rule of inverse proportion is of first order.
    """
    rng = np.random.default_rng(7)
    slope, foretold, shown = rng.standard_normal((4, 8)), [], []

    def simulated(number):
        x = rng.standard_normal((number, 4))
        return x @ slope + 3 * rng.standard_normal((number, 8)), x

    for _ in range(20 if noisy else 2):
        standard, x = simulated(cohorts)
        foretold.append(noise_of_unseen(standard, x))
        curves, (fresh, at) = Curves.fitted(standard, x), simulated(40_000)
        inside = curves.distance(at) < curves.radius
        shown.append(np.mean(curves.unit_residuals(at[inside], fresh[inside])[0] ** 2))
    assert np.mean(foretold) - 1 == pytest.approx(np.mean(shown) - 1, rel=0.2, abs=0.01)
    assert (np.mean(shown) > 1.05) == noisy


# A paper of two numbers, three parameters ------------------------------------------------------------------


@pytest.fixture(scope="module")
def problem(make):
    paper = make.evidence(
        patients=40,
        sites=1,
        survival=[{"id": "year", "time": 12, "survival": 0.48}],
        follow_up=[{"median": 9, "digits": 1, "definition": "observed"}],
    )
    return make.problem(paper, Assumptions(family="exponential", guarantee_time=0.0))


SLOPE = np.array([[1.6, 0.3, 0.0], [-0.4, 1.2, 0.2]])
BENT = np.array([0.25, -0.15])
NOISE = np.array([[[-1.2, 0.3], [0.3, -1.0]], [[0.5, 0.1], [0.1, -0.2]], [[0.0, 0.2], [0.2, 0.3]], [[0.0, 0.0], [0.0, 0.0]]])
SEEN = np.array([0.9, -0.3])
"""Mean ``SLOPE u + BENT u^2`` and log covariance ``NOISE`` of the statistics, u in prior sds; what the paper prints."""


def _mean(u):
    return u @ SLOPE.T + (u[:, :2] ** 2) * BENT


def _log_noise(u):
    return NOISE[0] + np.tensordot(u, NOISE[1:], 1)


@pytest.fixture(scope="module")
def planted(problem):
    """A pool of cohorts whose statistics have a known curved mean and a known changing covariance."""
    prior, fitted = problem.parameters, problem.fitted
    assert (len(prior), len(fitted)) == (3, 2)
    rng = np.random.default_rng(4)
    centre, covariance = prior.mean + 0.3 * prior.sd, np.diag((0.9 * prior.sd) ** 2)
    u = 0.3 + 0.9 * rng.standard_normal((ROWS, 3))
    roots = np.array([expm(0.5 * matrix) for matrix in _log_noise(u)])
    statistics = np.zeros((ROWS, len(problem.targets)))
    statistics[:, fitted] = _mean(u) + np.einsum("nij,nj->ni", roots, rng.standard_normal((ROWS, 2)))
    published = problem.published.copy()
    published[fitted] = SEEN
    pool = Pool(prior.mean + prior.sd * u, statistics, np.zeros((ROWS, 1)), centre, covariance)
    return problem.with_published(published), pool


@pytest.fixture(scope="module")
def by_quadrature():
    """Mean and sd of the posterior of u on a grid."""
    ends = np.linspace(-4.5, 4.5, 61)
    u = np.stack(np.meshgrid(ends, ends, ends, indexing="ij"), axis=-1).reshape(-1, 3)
    away, logarithm = SEEN - _mean(u), _log_noise(u)
    values, vectors = np.linalg.eigh(logarithm)
    scaled = np.einsum("nij,ni->nj", vectors, away) ** 2 * np.exp(-values)
    log_density = -0.5 * np.sum(u**2, axis=1) - 0.5 * values.sum(axis=1) - 0.5 * scaled.sum(axis=1)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    mean = weight @ u
    return mean, np.sqrt(weight @ (u - mean) ** 2)


def test_the_posterior_of_a_curved_paper_is_that_of_quadrature(planted, by_quadrature):
    """Within sampling error of the regressions (12,000 cohorts) and of the draws; one covariance and a line do not find it."""
    problem, pool = planted
    prior = problem.parameters
    curves = curved_model(problem, pool)
    draws = curved_draws(problem, pool, curves, seed=1)
    u = (draws.reshape(-1, 3) - prior.mean) / prior.sd
    mean, sd = by_quadrature
    assert (np.abs(u.mean(axis=0) - mean) / sd).max() < 0.1
    np.testing.assert_allclose(u.std(axis=0), sd, rtol=0.08)
    linear, covariance = linear_posterior(problem, pool)
    off = np.abs((linear - prior.mean) / prior.sd - mean) / sd
    wide = np.sqrt(np.diag(covariance)) / prior.sd / sd
    assert off.max() > 0.2 or np.abs(wide - 1).max() > 0.16


def test_a_soft_number_weighs_a_quarter(planted, by_quadrature):
    """With both numbers soft the posterior is wider, towards the prior."""
    problem, pool = planted
    problem = replace(problem, targets=tuple(replace(target, status="soft") for target in problem.targets))
    draws = curved_draws(problem, pool, curved_model(problem, pool), seed=1)
    sd = (draws.reshape(-1, 3) / problem.parameters.sd).std(axis=0)
    assert (sd[:2] > 1.5 * by_quadrature[1][:2]).all()
    assert (sd < 1.1).all()


def test_a_small_pool_has_no_curves(planted):
    problem, pool = planted
    few = Pool(pool.theta[:90], pool.statistics[:90], pool.derived[:90], pool.centre, pool.covariance)
    assert curved_model(problem, few) is None
    assert curved_model(problem, pool) is not None


def test_the_method_that_answered_is_named():
    """KROG has 20 parameters: curves want 2,310 cohorts. With fewer a linear model answers; curves asked for are refused."""
    paper = load_evidence("krog-20-04")
    assert calibrate(paper, seed=1, cohorts=60, pool=2000, workers=1).posterior.method == "linear"
    with pytest.raises(EvidenceError, match=r"pool of 2000 cohorts .* curves in 20 parameters .* larger one, or method"):
        calibrate(paper, seed=1, cohorts=60, pool=2000, workers=1, method="curved")
    answered = calibrate(paper, seed=1, cohorts=60, pool=6000, workers=1).posterior
    assert answered.method == "curved"
    assert answered.effective > 500
