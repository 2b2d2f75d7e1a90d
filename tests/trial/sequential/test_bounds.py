"""Group-sequential bounds and crossing probabilities against published numbers and SciPy's multivariate normal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from sitewise.problems import TrialError
from sitewise.trial.sequential import (
    GammaSpending,
    OBrienFlemingSpending,
    PocockSpending,
    PowerSpending,
    StatedSpending,
    crossing_probabilities,
    drift_for_power,
    efficacy_bounds,
    group_sequential,
    obrien_fleming_bounds,
    pocock_bounds,
    wang_tsiatis_bounds,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
# rpact's own unit tests (github.com/rpact-com/rpact, tests/testthat/test-f_design_group_sequential.R) print eight digits and
# compare at 1e-7; its bounds come from a root finder of that tolerance.
RPACT = {"rtol": 3e-7, "atol": 3e-8}


def correlation(information):
    information = np.asarray(information, dtype=float)
    return np.sqrt(np.minimum.outer(information, information) / np.maximum.outer(information, information))


def by_multivariate_normal(information, upper, lower, drift):
    """First crossings from rectangle probabilities of the joint normal distribution of all looks."""
    information, upper, lower = (np.asarray(item, dtype=float) for item in (information, upper, lower))
    mean, covariance = drift * np.sqrt(information), correlation(information)
    above, below = [], []
    for look in range(len(information)):
        keep = slice(0, look + 1)
        kind = multivariate_normal(mean[keep], covariance[keep, keep], abseps=1e-9, releps=1e-9, maxpts=2_000_000, seed=1)
        start, stop = lower[keep].copy(), upper[keep].copy()
        start[-1], stop[-1] = upper[look], np.inf
        above.append(float(kind.cdf(stop, lower_limit=start)))
        start[-1], stop[-1] = -np.inf, lower[look]
        below.append(float(kind.cdf(stop, lower_limit=start)))
    return np.array(above), np.array(below)


@pytest.mark.parametrize("drift", [-1.0, 0.0, 2.5])
@pytest.mark.parametrize("information", [[0.2, 0.55, 1.0], [3.0, 3.4, 20.0]])
def test_crossings_are_those_of_the_multivariate_normal(information, drift):
    drift = drift / np.sqrt(information[-1])
    upper, lower = [2.6, 2.2, 1.9], [-0.8, 0.3, 1.9]
    above, below = by_multivariate_normal(information, upper, lower, drift)
    found = crossing_probabilities(information, upper, drift=drift, futility=lower)
    # SciPy's randomised lattice rule states an absolute error of 1e-9 in three dimensions; a few times that is allowed.
    np.testing.assert_allclose(found.efficacy, above, atol=1e-7)
    np.testing.assert_allclose(found.futility, below, atol=1e-7)
    assert float((found.efficacy + found.futility).sum()) == pytest.approx(1.0, abs=1e-12)


def test_two_looks_by_the_bivariate_normal_to_many_digits():
    found = crossing_probabilities([0.5, 1.0], [2.5, 2.0], drift=1.3)
    both = multivariate_normal.cdf([2.5, 2.0], 1.3 * np.sqrt([0.5, 1.0]), correlation([0.5, 1.0]), abseps=1e-12, releps=1e-12)
    assert float(found.power) == pytest.approx(1 - both, abs=1e-10)
    assert found.efficacy[0] == pytest.approx(norm.sf(2.5 - 1.3 * np.sqrt(0.5)), rel=1e-12)


def test_many_drifts_at_once_are_those_one_by_one():
    drifts = np.array([[-30.0, -4.0, 0.0], [2.0, 11.0, 45.0]])
    upper, lower = [2.9, 2.3, 2.0], [-1.0, 0.5, 2.0]
    together = crossing_probabilities([0.3, 0.6, 1.0], upper, drift=drifts, futility=lower)
    assert together.efficacy.shape == (2, 3, 3)
    for place in np.ndindex(drifts.shape):
        alone = crossing_probabilities([0.3, 0.6, 1.0], upper, drift=drifts[place], futility=lower)
        np.testing.assert_allclose(together.efficacy[place], alone.efficacy, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(together.futility[place], alone.futility, rtol=1e-9, atol=1e-15)
    assert together.power[1, 2] == pytest.approx(1.0, abs=1e-12)


def test_looks_that_add_little_are_integrated_as_well():
    """The conditional density is then narrow: 0.1 % more information between the looks."""
    close = crossing_probabilities([1.0, 1.001, 2.0], [2.2, 2.2, 2.0], drift=0.4)
    above, _ = by_multivariate_normal([1.0, 1.001, 2.0], [2.2, 2.2, 2.0], [-12.0] * 3, 0.4)
    np.testing.assert_allclose(close.efficacy, above, atol=1e-7)
    with pytest.raises(TrialError, match="too close"):
        crossing_probabilities([1.0, 1.00001, 2.0], [2.2, 2.2, 2.0])


def test_constants_of_pocock_and_of_obrien_and_fleming():
    """Jennison & Turnbull 2000, tables 2.1 and 2.3, two-sided .05, which is one-sided .025 to the digits printed."""
    for looks, constant in {2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413, 10: 2.555, 20: 2.672}.items():
        np.testing.assert_allclose(pocock_bounds(np.arange(1, looks + 1), alpha=0.025), constant, atol=6e-4)
    for looks, constant in {2: 1.977, 3: 2.004, 4: 2.024, 5: 2.040, 10: 2.087, 20: 2.126}.items():
        bounds = obrien_fleming_bounds(np.arange(1, looks + 1), alpha=0.025)
        np.testing.assert_allclose(bounds, constant * np.sqrt(looks / np.arange(1, looks + 1)), rtol=3e-4)
    # rpact, getDesignInverseNormal() without arguments: O'Brien & Fleming, three looks.
    np.testing.assert_allclose(obrien_fleming_bounds([1, 2, 3], alpha=0.025), [3.4710914, 2.4544323, 2.0040356], **RPACT)


def test_wang_tsiatis_bounds_with_binding_futility():
    """rpact, objects x4, x8a (binding futility at .5244) and x8c (exponent .39)."""
    quarters, futility = [0.25, 0.5, 0.75, 1.0], [0.5244] * 3 + [-np.inf]
    found = wang_tsiatis_bounds(quarters, alpha=0.035, exponent=0.4, futility=futility)
    np.testing.assert_allclose(found, [2.3284312, 2.1725031, 2.0861776, 2.0270171], **RPACT)
    found = wang_tsiatis_bounds(quarters, alpha=0.025, exponent=0.4, futility=futility)
    np.testing.assert_allclose(found, [2.4958485, 2.328709, 2.2361766, 2.1727623], **RPACT)
    found = wang_tsiatis_bounds([0.3, 0.8, 1.0], alpha=0.025, exponent=0.39)
    np.testing.assert_allclose(found, [2.4761792, 2.2229286, 2.1690292], **RPACT)


@pytest.mark.parametrize(
    ("spending", "information", "alpha", "planned", "bounds"),
    [
        # Lan & DeMets 1983: the usual three looks, as printed by every program.
        (OBrienFlemingSpending(), [1 / 3, 2 / 3, 1], 0.025, None, [3.7103029, 2.5114275, 1.9930475]),
        # rpact, objects x1, x5, x6a, x6b, x7a.
        (GammaSpending(0.0), [0.2, 0.4, 1], 0.03, None, [2.5121443, 2.4228747, 2.0280392]),
        (GammaSpending(-1.0), [0.2, 0.4, 1], 0.07, None, [2.364813, 2.1928805, 1.5660474]),
        (PowerSpending(2.2), [0.3, 0.7, 1], 0.03, None, [2.8594012, 2.2435708, 1.9735737]),
        (StatedSpending((0.01, 0.02, 0.03, 0.05)), [1, 2, 3, 4], 0.05, None, [2.3263479, 2.2192994, 2.1201347, 1.8189562]),
        (PocockSpending(), [0.35, 0.7, 1], 0.13, None, [1.5446617, 1.4828682, 1.4620058]),
        (PocockSpending(), [0.4, 0.7], 0.025, 1.0, [2.223875, 2.3050796]),
        (OBrienFlemingSpending(), [0.4, 0.75, 0.85, 1], 0.13, None, [2.1280732, 1.4368565, 1.422873, 1.2970881]),
    ],
)
def test_bounds_by_spending(spending, information, alpha, planned, bounds):
    found = efficacy_bounds(information, spending=spending, alpha=alpha, planned=planned)
    np.testing.assert_allclose(found, bounds, **RPACT)


def test_what_is_spent_is_what_was_to_be_spent():
    information = np.array([0.1, 0.15, 0.5, 0.52, 0.9, 1.0])
    for spending in (OBrienFlemingSpending(), PocockSpending(), PowerSpending(1.5), GammaSpending(3.0), GammaSpending(-40.0)):
        bounds = efficacy_bounds(information, spending=spending, alpha=0.02)
        spent = crossing_probabilities(information, bounds).efficacy.cumsum()
        np.testing.assert_allclose(spent, spending.cumulative(information, total=0.02), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    ("information", "spent"),
    [
        ([1.0, 1.002, 2.0], (0.02, 0.02 + 1e-10, 0.025)),  # the tail of the second look is short and steep
        ([1.0, 1.002, 1.004, 5.0], (0.3, 0.3 + 1e-30, 0.4, 0.45)),
        ([0.01, 0.5, 1.0], (1e-250, 1e-20, 0.025)),
        ([1.0, 2.0], (0.2, 0.999)),  # nearly everything is left to the second look
    ],
)
def test_hard_tails_are_solved_for(information, spent):
    bounds = efficacy_bounds(information, spending=StatedSpending(spent), alpha=spent[-1])
    found = crossing_probabilities(information, bounds).efficacy
    np.testing.assert_allclose(found, np.diff(spent, prepend=0.0), rtol=1e-8)


def test_a_look_that_spends_nothing_has_no_bound():
    bounds = efficacy_bounds([1, 2, 3], spending=StatedSpending((0.0, 0.01, 0.025)), alpha=0.025)
    assert bounds[0] == np.inf
    assert bounds[1] == pytest.approx(norm.isf(0.01), rel=1e-10)
    assert float(crossing_probabilities([1, 2, 3], bounds).power) == pytest.approx(0.025, rel=1e-9)


def test_many_trials_with_looks_of_their_own():
    rng = np.random.default_rng(4)
    events = np.cumsum(rng.integers(10, 40, (30, 3)), axis=1)
    events[10:20] = events[0]
    together = efficacy_bounds(events, spending=OBrienFlemingSpending(), alpha=0.025)
    for row, alone in zip(events, together, strict=True):
        np.testing.assert_array_equal(efficacy_bounds(row, spending=OBrienFlemingSpending(), alpha=0.025), alone)
    planned = efficacy_bounds(events, spending=OBrienFlemingSpending(), alpha=0.025, planned=float(events.max()))
    assert np.all(planned[:, 0] >= together[:, 0] - 1e-12)


def test_default_design_of_gsdesign():
    """gsDesign(): k = 3, alpha .025, beta .1, non-binding, Hwang-Shih-DeCani -4 and -2, as its reference page prints it."""
    design = group_sequential(
        [1 / 3, 2 / 3, 1], efficacy=GammaSpending(-4.0), alpha=0.025, power=0.9, futility=GammaSpending(-2.0)
    )
    np.testing.assert_allclose(design.efficacy, [3.01, 2.55, 2.00], atol=5e-3)
    np.testing.assert_allclose(design.futility, [-0.24, 0.94, 2.00], atol=5e-3)
    assert design.inflation_factor == pytest.approx(1.070, abs=5e-4)
    found = design.crossing(drift=[0.0, design.drift])
    np.testing.assert_allclose(found.efficacy, [[0.0013, 0.0049, 0.0171], [0.1412, 0.4403, 0.3185]], atol=6e-5)
    np.testing.assert_allclose(found.futility, [[0.4057, 0.4290, 0.1420], [0.0148, 0.0289, 0.0563]], atol=6e-5)
    np.testing.assert_allclose(found.power, [0.0233, 0.9], atol=6e-5)
    np.testing.assert_allclose(found.expected_information * design.inflation_factor, [0.6249, 0.7913], atol=6e-5)
    assert design.type_one_error() == pytest.approx(0.025, rel=1e-8)
    assert design.type_one_error(futility_obeyed=True) == pytest.approx(float(found.power[0]), rel=1e-12)


@pytest.mark.parametrize(
    ("fractions", "alpha", "beta", "efficacy", "futility", "binding", "upper", "lower", "power"),
    [
        # rpact, objects x2, x3, x6a, x7a (non-binding) and x6b, x7b (binding).
        ([0.2, 0.4, 1], 0.07, 0.14, GammaSpending(-1.0), GammaSpending(-2.0), False,
         [2.364813, 2.1928805, 1.5660474], [-1.1063623, -0.35992439], [0.12038953, 0.32895265, 0.86]),
        ([0.3, 0.7, 1], 0.03, 0.34, PowerSpending(2.2), PowerSpending(3.2), False,
         [2.8594012, 2.2435708, 1.9735737], [-1.1558435, 0.72836893], [0.058336437, 0.398246, 0.66]),
        ([0.35, 0.7, 1], 0.13, 0.3, PocockSpending(), StatedSpending((0.01, 0.05, 0.3)), False,
         [1.5446617, 1.4828682, 1.4620058], [-1.2557044, -0.16828659], [0.31774348, 0.5598179, 0.7]),
        ([0.4, 0.75, 0.85, 1], 0.13, 0.41, OBrienFlemingSpending(), PowerSpending(2.5), False,
         [2.1280732, 1.4368565, 1.422873, 1.2970881], [-0.82676531, 0.3743303, 0.65077266],
         [0.1110095, 0.43099683, 0.50326205, 0.59]),
        ([0.35, 0.7, 1], 0.13, 0.3, PocockSpending(), StatedSpending((0.01, 0.05, 0.3)), True,
         [1.5446617, 1.4827312, 1.4588737], [-1.2569879, -0.17011271], [0.31728597, 0.55917233, 0.7]),
        ([0.4, 0.75, 0.85, 1], 0.13, 0.41, OBrienFlemingSpending(), PowerSpending(2.5), True,
         [2.1280732, 1.4362706, 1.4203748, 1.2576258], [-0.84247693, 0.35276055, 0.62744509],
         [0.10806422, 0.422855, 0.4950578, 0.59]),
    ],
)  # fmt: skip
def test_futility_by_beta_spending(fractions, alpha, beta, efficacy, futility, binding, upper, lower, power):
    design = group_sequential(fractions, efficacy=efficacy, alpha=alpha, power=1 - beta, futility=futility, binding=binding)
    tolerance = {"rtol": 1e-6, "atol": 1e-6}  # rpact solves for its shift to about this
    np.testing.assert_allclose(design.efficacy, upper, **tolerance)
    np.testing.assert_allclose(design.futility[:-1], lower, **tolerance)
    assert design.futility[-1] == design.efficacy[-1]
    np.testing.assert_allclose(design.crossing().efficacy.cumsum(), power, **tolerance)
    assert design.type_one_error(futility_obeyed=binding) == pytest.approx(alpha, rel=1e-8)
    spent = futility.cumulative(np.array(fractions), total=beta)
    np.testing.assert_allclose(design.crossing().futility.cumsum(), spent, rtol=1e-8)


def test_inflation_and_expected_information():
    """rpact, getDesignCharacteristics of x1, x2 and x3: sample sizes over those of one look, under H1, half-way and H0."""
    for arguments, inflation, expected in (
        (([0.2, 0.4, 1], GammaSpending(0.0), 0.03, 0.86, None), 1.0788327, [0.83081135, 1.0142116, 1.0697705]),
        (([0.2, 0.4, 1], GammaSpending(-1.0), 0.07, 0.86, GammaSpending(-2.0)), 1.0869177, [0.82636428, 0.916142, 0.79471657]),
        (([0.3, 0.7, 1], PowerSpending(2.2), 0.03, 0.66, PowerSpending(3.2)), 1.0555891, [0.86740735, 0.87361707, 0.75480974]),
    ):
        fractions, efficacy, alpha, power, futility = arguments
        design = group_sequential(fractions, efficacy=efficacy, alpha=alpha, power=power, futility=futility)
        assert design.inflation_factor == pytest.approx(inflation, rel=1e-6)
        found = design.crossing(drift=design.drift * np.array([1.0, 0.5, 0.0]))
        np.testing.assert_allclose(found.expected_information * design.inflation_factor, expected, rtol=1e-6)


def test_conditional_rejection_is_crossing_with_what_is_left():
    """rpact, getAnalysisResults for survival data: log-rank 1.52, 1.38, 2.9 at .2, .4, .6 of the information.

    Given z at a look, what is to come is a group-sequential trial of the added information (Jennison & Turnbull 2000, 10.2).
    """
    information = np.array([0.2, 0.4, 0.6, 1.0])
    bounds = wang_tsiatis_bounds(information, alpha=0.025, exponent=0.45)
    np.testing.assert_allclose(norm.sf(bounds), [0.0064253267, 0.0081275893, 0.0092636882, 0.010851653], rtol=1e-6)
    for look, (z, published) in enumerate(zip([1.52, 1.38, 2.9], [0.07432319, 0.044563047, 0.46900287], strict=True)):
        left = information[look + 1 :] - information[look]
        ahead = bounds[look + 1 :] * np.sqrt(information[look + 1 :]) - z * np.sqrt(information[look])
        found = float(crossing_probabilities(left, ahead / np.sqrt(left)).power)
        assert found == pytest.approx(published, rel=2e-6)


def test_drift_of_bounds_gives_back_the_power():
    bounds = pocock_bounds([1, 2, 3, 4], alpha=0.025)
    drift = drift_for_power([0.25, 0.5, 0.75, 1.0], bounds, power=0.9)
    # Jennison & Turnbull 2000, table 2.2: R_P(4, .05, .1) = 1.183.
    assert (drift / (norm.isf(0.025) + norm.ppf(0.9))) ** 2 == pytest.approx(1.183, abs=6e-4)
    assert float(crossing_probabilities([0.25, 0.5, 0.75, 1.0], bounds, drift=drift).power) == pytest.approx(0.9, abs=1e-10)
    assert drift_for_power([30.0], [1.96], power=0.8) == pytest.approx((1.96 + norm.ppf(0.8)) / np.sqrt(30), rel=1e-10)
    with pytest.raises(TrialError, match="power"):
        drift_for_power([1.0], [1.96], power=0.02)
    with pytest.raises(TrialError, match="No drift"):
        drift_for_power([0.5, 1.0], [np.inf, 1.96], power=0.99999, futility=[1e9, 1.96])


def test_spending_functions_by_hand():
    fractions = np.array([0.3, 1.0, 1.4])
    np.testing.assert_allclose(
        OBrienFlemingSpending().cumulative(fractions, total=0.05),
        [2 * norm.sf(norm.isf(0.025) / np.sqrt(0.3)), 0.05, 0.05],
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        PocockSpending().cumulative(fractions, total=0.05), [0.05 * np.log(1 + (np.e - 1) * 0.3), 0.05, 0.05], rtol=1e-12
    )
    for gamma in (-4.0, 2.0, 1e-9):
        by_hand = 0.05 * np.expm1(-gamma * 0.3) / np.expm1(-gamma)
        np.testing.assert_allclose(GammaSpending(gamma).cumulative(fractions, total=0.05), [by_hand, 0.05, 0.05], rtol=1e-6)
    assert np.all(np.isfinite(GammaSpending(-2000.0).cumulative(fractions, total=0.05)))


def test_what_cannot_be_is_refused():
    with pytest.raises(TrialError, match="rise"):
        efficacy_bounds([1.0, 1.0], spending=PocockSpending(), alpha=0.025)
    with pytest.raises(TrialError, match="between 0 and 1"):
        efficacy_bounds([1.0, 2.0], spending=PocockSpending(), alpha=1.2)
    with pytest.raises(TrialError, match="futility: lies above efficacy"):
        crossing_probabilities([1.0, 2.0], [2.0, 2.0], futility=[2.5, 1.0])
    with pytest.raises(TrialError, match="2 looks and the design 3"):
        efficacy_bounds([1, 2, 3], spending=StatedSpending((0.01, 0.02)), alpha=0.02)
    with pytest.raises(TrialError, match="ends at"):
        efficacy_bounds([1, 2], spending=StatedSpending((0.01, 0.02)), alpha=0.025)
    with pytest.raises(TrialError, match="falls"):
        StatedSpending((0.02, 0.01))
    with pytest.raises(TrialError, match="exponent"):
        PowerSpending(-1.0)
    with pytest.raises(TrialError, match="futility"):
        efficacy_bounds([1, 2], spending=PocockSpending(), alpha=0.025, futility=[3.0, -np.inf])
    with pytest.raises(TrialError, match="end at 1"):
        group_sequential([0.3, 0.9], efficacy=PocockSpending(), alpha=0.025, power=0.9)
    with pytest.raises(TrialError, match="Spend less beta early"):
        group_sequential([0.3, 1.0], efficacy=PocockSpending(), alpha=0.025, power=0.5, futility=StatedSpending((0.5, 0.5)))
