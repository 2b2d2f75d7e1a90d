"""Averages over sites inside a draw, against quadrature by scipy and published restricted means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from sitewise.trial.analysis.marginal import (
    MOST,
    marginal_cumulative_hazard,
    marginal_mean_within,
    marginal_median_index,
    marginal_survival,
    site_nodes,
)

ROOT_2_PI = math.sqrt(2 * math.pi)
SHARE = np.array([0.2, 0.0, 0.8])
INDEX = np.array([-0.9, 5.0, 0.6])


def averaged(index, sd):
    """Survival averaged over sites of a log hazard with this sd, by adaptive quadrature."""
    if sd == 0:
        return math.exp(-math.exp(index))

    def integrand(z):
        return math.exp(-math.exp(index + sd * z) - 0.5 * z * z) / ROOT_2_PI

    return quad(integrand, -9, 9, epsabs=1e-12, epsrel=1e-10, limit=400)[0]


def mixed(index, sd):
    return sum(share * averaged(one, sd) for share, one in zip(SHARE, index, strict=True) if share)


@pytest.mark.parametrize("sd", [0.0, 0.02, 0.3, 0.6, 1.0, 1.8, 4.0])
@pytest.mark.parametrize("shift", [-4.0, -0.5, 1.0])
def test_survival_by_quadrature(sd, shift):
    found = np.empty(1)
    marginal_survival(INDEX[None] + shift, SHARE, np.array([sd]), found)
    assert found[0] == pytest.approx(mixed(INDEX + shift, sd), abs=2e-7)


@pytest.mark.parametrize(
    ("sd", "hazard", "mean", "spread"),
    [(0.5, 0.5, 0.590105, 0.147140), (0.5, 1, 0.369874, 0.164654), (1, 1, 0.381756, 0.265652)],
)
def test_published_mean_of_a_log_normal_site_effect(sd, hazard, mean, spread):
    """Line 14 of the reference numbers; the second moment is the survival of twice the hazard."""
    found, twice = np.empty(1), np.empty(1)
    marginal_survival(np.log([[float(hazard)]]), np.ones(1), np.array([float(sd)]), found)
    marginal_survival(np.log([[2.0 * hazard]]), np.ones(1), np.array([float(sd)]), twice)
    assert found[0] == pytest.approx(mean, abs=5e-7)
    assert np.sqrt(twice[0] - found[0] ** 2) == pytest.approx(spread, abs=5e-7)


@pytest.mark.parametrize(
    ("shape", "median", "horizon", "known"),
    [(1.5, 10, 12, 8.639360), (1.3, 14, 24, 14.199613), (0.8, 20, 36, 20.378492)],
)
def test_published_restricted_means_of_a_weibull(shape, median, horizon, known):
    """Line 6 of the reference numbers."""
    found = np.empty(1)
    index = np.array([[np.log(np.log(2)) + shape * np.log(horizon / median)]])
    marginal_mean_within(index, np.array([shape]), np.ones(1), np.zeros(1), found)
    assert horizon * found[0] == pytest.approx(known, abs=5e-7)


@pytest.mark.parametrize("shape", [0.4, 0.8, 1.3, 3.0])
@pytest.mark.parametrize("sd", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.5])
def test_restricted_mean_by_quadrature(shape, sd, shift):
    found = np.empty(1)
    marginal_mean_within(INDEX[None] + shift, np.array([shape]), SHARE, np.array([sd]), found)
    # x = y^4 takes away what is steep at the start.
    known, _ = quad(lambda y: 4 * y**3 * mixed(INDEX + shift + 4 * shape * np.log(y), sd), 0, 1, epsabs=1e-10, limit=200)
    assert found[0] == pytest.approx(known, rel=1e-6)


@pytest.mark.parametrize("sd", [0.0, 0.4, 1.2, 3.0])
def test_median_by_root_finding(sd):
    found = np.empty(2)
    marginal_median_index(np.stack([INDEX, INDEX + 3]), SHARE, np.full(2, sd), found)
    known = brentq(lambda point: mixed(INDEX + point, sd) - 0.5, -8, 8, xtol=1e-10)
    np.testing.assert_allclose(found, [known, known - 3], atol=2e-6)


@pytest.mark.parametrize("sd", [0.0, 0.3, 1.0])
def test_summed_cumulative_hazard_by_quadrature(sd):
    rng = np.random.default_rng(3)
    log_time, group = np.log(rng.uniform(1e-3, 3, 40)), rng.integers(0, 3, 40)
    index, shape = np.array([-0.5, 0.1, 1.0]), 1.2
    found = np.empty(1)
    marginal_cumulative_hazard(log_time, group, index[None], np.array([shape]), np.array([sd]), found)
    known = sum(-np.log(averaged(index[own] + shape * when, sd)) for when, own in zip(log_time, group, strict=True))
    assert found[0] == pytest.approx(known, rel=1e-6)


def test_patients_of_one_time_only():
    found = np.empty(1)
    marginal_cumulative_hazard(np.zeros(3), np.zeros(3, dtype=int), np.zeros((1, 1)), np.ones(1), np.array([0.5]), found)
    assert found[0] == pytest.approx(-3 * np.log(averaged(0.0, 0.5)), rel=1e-6)


def test_a_draw_with_an_immense_spread_takes_no_more_than_the_nodes_there_are():
    factor, mass = np.empty(2 * MOST + 1), np.empty(2 * MOST + 1)
    count = site_nodes(1e6, factor, mass)
    assert count == 2 * MOST + 1
    assert mass.sum() == pytest.approx(1)
    found = np.empty(1)
    marginal_survival(np.zeros((1, 1)), np.ones(1), np.array([1e6]), found)
    assert 0.4 < found[0] < 0.6
