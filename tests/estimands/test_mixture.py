"""The grid of log hazards against the members themselves."""

import numpy as np
import pytest

from sitewise.estimands import mixture
from sitewise.estimands.grid import ALIGNED_SD, POINTS, STEP, deposit, lagrange_weights, normal_kernel, normal_reach

rng = np.random.default_rng(3)
DRAWS = 25
COEFFICIENTS = rng.normal(0, 1, (DRAWS, 2))
EFFECTS = rng.normal(0, 0.5, (DRAWS, 3))
GROUPS = [
    mixture.Members(rng.normal(0, 1, (70, 2)), rng.integers(0, 3, 70), np.full(70, 1 / 70)),
    mixture.Members(rng.normal(0.5, 1, (5, 2)), None, rng.dirichlet(np.ones(5), DRAWS)),
]
LEVELS = np.log([0.01, 0.3, 1.0, 5.0, 20.0]) + np.zeros((DRAWS, 1))
GRID_ERROR = 4e-10  # twelve-point interpolation at step 0.125 has 2e-10, twice for the two groups' different offsets


def both(monkeypatch):
    """The two representations of the same groups."""
    monkeypatch.setattr(mixture, "FEW_MEMBERS", 1000)
    exact = mixture.make_mixture(GROUPS, COEFFICIENTS, EFFECTS)
    monkeypatch.setattr(mixture, "FEW_MEMBERS", 0)
    return exact, mixture.make_mixture(GROUPS, COEFFICIENTS, EFFECTS)


def test_exact_points_are_the_mean_over_members(monkeypatch) -> None:
    exact, _ = both(monkeypatch)
    hazards = np.exp(COEFFICIENTS @ GROUPS[0].rows.T + EFFECTS[:, GROUPS[0].site])
    expected = np.exp(-np.exp(LEVELS)[:, :, None] * hazards[:, None, :]).mean(axis=-1)
    np.testing.assert_allclose(exact.survival(LEVELS)[:, 0], expected, rtol=1e-12)


def test_grid_and_members_agree(monkeypatch) -> None:
    exact, grid = both(monkeypatch)
    np.testing.assert_allclose(grid.survival(LEVELS), exact.survival(LEVELS), rtol=0, atol=GRID_ERROR)
    np.testing.assert_allclose(grid.density(LEVELS), exact.density(LEVELS), rtol=1e-6, atol=1e-7)
    for level in (0.9, 0.5, 0.1):
        np.testing.assert_allclose(grid.index_at(level), exact.index_at(level), rtol=0, atol=1e-7)
    value = exact.index_at(0.5)
    np.testing.assert_allclose([exact.survival(value[:, [group]])[:, group, 0] for group in (0, 1)], 0.5, atol=1e-12)


def test_memory_pieces_change_nothing(monkeypatch) -> None:
    _, whole = both(monkeypatch)
    monkeypatch.setattr(mixture, "LARGEST_ARRAY", 2000)
    pieces = mixture.make_mixture(GROUPS, COEFFICIENTS, EFFECTS)
    np.testing.assert_allclose(pieces.survival(LEVELS), whole.survival(LEVELS), rtol=1e-13)


def test_survival_in_the_far_tail_keeps_its_size(monkeypatch) -> None:
    """One member's survival of 1e-40 is not lost in the interpolation's absolute error."""
    monkeypatch.setattr(mixture, "FEW_MEMBERS", 0)
    alone = [mixture.Members(np.array([[0.3, -0.2]]), None, np.ones(1))]
    found = mixture.make_mixture(alone, COEFFICIENTS, EFFECTS).survival(np.full((DRAWS, 1), np.log(92.0)))
    expected = np.exp(-92.0 * np.exp(COEFFICIENTS @ [0.3, -0.2]))
    np.testing.assert_allclose(found[:, 0, 0], expected, rtol=1e-9)


@pytest.mark.parametrize("sd", [1e-9, 0.1, ALIGNED_SD * 0.999, ALIGNED_SD, 1.7])
def test_normal_kernel_has_the_moments_of_a_normal(sd) -> None:
    reach = normal_reach(sd)
    kernel = normal_kernel(np.array([sd]), reach)[0]
    points = STEP * np.arange(-reach, reach + 1)
    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    assert kernel @ points == pytest.approx(0, abs=1e-12)
    assert kernel @ points**2 == pytest.approx(sd**2, rel=1e-8, abs=1e-15)
    assert kernel @ points**4 == pytest.approx(3 * sd**4, rel=1e-7, abs=1e-12)


def test_lagrange_weights_reproduce_polynomials() -> None:
    fraction = rng.uniform(0, 1, 20)
    weights = lagrange_weights(fraction)
    offsets = np.arange(POINTS) - (POINTS // 2 - 1)
    for power in range(POINTS):
        np.testing.assert_allclose((weights * offsets[:, None] ** float(power)).sum(axis=0), fraction**power, atol=1e-6)
    masses = deposit(np.array([[9.25, 10.0]]), np.array([0.25, 0.75]), 20)
    assert masses.sum() == pytest.approx(1)
    assert masses @ np.arange(20) == pytest.approx(0.25 * 9.25 + 0.75 * 10)
