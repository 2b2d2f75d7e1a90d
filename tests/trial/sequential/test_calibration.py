"""Calibrated thresholds against brute force and group-sequential theory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

from sitewise.problems import TrialError
from sitewise.trial.sequential import (
    ConstantThreshold,
    GammaSpending,
    PowerThreshold,
    SpentThreshold,
    WangTsiatisThreshold,
    calibrate,
    obrien_fleming_bounds,
    pocock_bounds,
    validate,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
FRACTIONS = np.array([0.3, 0.6, 1.0])
SHAPES = [
    ConstantThreshold(),
    WangTsiatisThreshold(),
    WangTsiatisThreshold(0.3),
    PowerThreshold(1.5),
    SpentThreshold(),
    SpentThreshold(GammaSpending(-4.0), 0.05),
]


def null_probabilities(seed, replicates, means=(0.0,)):
    """Posterior probabilities of a flat prior: Phi(z), z the scores of a Brownian motion, in scenarios of given drift."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(len(means), replicates, 3)) * np.sqrt(np.diff(FRACTIONS, prepend=0.0))
    return norm.cdf(steps.cumsum(axis=-1) / np.sqrt(FRACTIONS) + np.array(means)[:, None, None] * np.sqrt(FRACTIONS))


def successes(probability, thresholds):
    """Trials that succeed, one after another."""
    return np.array([[any(p > t for p, t in zip(trial, thresholds, strict=True)) for trial in rows] for rows in probability])


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_it_is_the_smallest_threshold_that_holds_alpha(shape):
    probability = null_probabilities(1, 400, (0.0, -0.3, 0.2))
    probability[0, :7, 1] = np.nan
    found = calibrate(probability, alpha=0.05, shape=shape, fractions=FRACTIONS)
    share = successes(probability, found.thresholds).mean(axis=1)
    np.testing.assert_array_equal(found.errors.type_one_error, share)
    assert share.max() <= 0.05
    assert found.errors.worst == int(share.argmax())
    # A little less of the scalar lets one more trial of the worst scenario through.
    lower = shape.thresholds(found.scalar - 1e-9, FRACTIONS)
    assert successes(probability, lower).mean(axis=1).max() > 0.05
    np.testing.assert_allclose(shape.scalars(found.thresholds, FRACTIONS), found.scalar, rtol=1e-6)
    np.testing.assert_array_equal(found.errors.failed, [7, 0, 0])
    assert np.all(found.threshold_low <= found.thresholds)
    assert np.all(found.thresholds <= found.threshold_high)


@pytest.mark.parametrize(
    ("shape", "bounds"), [(ConstantThreshold(), pocock_bounds), (WangTsiatisThreshold(), obrien_fleming_bounds)]
)
def test_a_flat_prior_gives_back_the_group_sequential_bounds(shape, bounds):
    """Posterior probabilities of a flat prior are Phi(z), so that calibration estimates the constants of theory."""
    exact = norm.cdf(bounds(FRACTIONS, alpha=0.025))
    found = calibrate(null_probabilities(2, 40_000), alpha=0.025, shape=shape, fractions=FRACTIONS)
    assert np.all(np.abs(found.thresholds - exact) < 3.3 * found.threshold_standard_error)
    assert found.threshold_standard_error[-1] < 0.001
    check = validate(found.thresholds, null_probabilities(3, 40_000))
    # The thresholds are estimates themselves: both errors count.
    assert abs(check.type_one_error[0] - 0.025) < 3.3 * np.sqrt(2) * check.standard_error[0]


def test_limits_of_the_threshold_cover():
    """In 300 calibrations the 95 % limits hold the exact threshold as often as they should, to 3.3 standard errors."""
    exact = norm.cdf(pocock_bounds(FRACTIONS, alpha=0.1)[0])
    covered = []
    for seed in range(300):
        found = calibrate(null_probabilities(100 + seed, 500), alpha=0.1)
        covered.append(found.threshold_low[0] <= exact <= found.threshold_high[0])
    assert abs(np.mean(covered) - 0.95) < 3.3 * np.sqrt(0.95 * 0.05 / 300)


def test_ties_and_certain_probabilities():
    probability = np.full((1, 100, 1), 0.5)
    probability[0, :10] = 0.9
    assert calibrate(probability, alpha=0.05).thresholds[0] == 0.9  # all ten tie: none may pass
    assert calibrate(probability, alpha=0.05).errors.type_one_error[0] == 0.0
    assert calibrate(probability, alpha=0.1).thresholds[0] == 0.5
    probability[0, :10] = 1.0
    with pytest.raises(TrialError, match="in scenario 1 more trials"):
        calibrate(probability, alpha=0.05)
    nothing = np.full((2, 50, 2), np.nan)
    found = calibrate(nothing, alpha=0.05)
    assert found.errors.type_one_error.max() == 0.0
    np.testing.assert_array_equal(found.errors.failed, 50)
    np.testing.assert_array_equal(found.errors.if_failed_succeed, 1.0)


def test_looks_that_are_not_asked_and_binding_futility():
    probability = null_probabilities(4, 1000)
    last = calibrate(probability, alpha=0.05, looks=[False, False, True])
    assert np.isnan(last.thresholds[:2]).all()
    assert last.thresholds[2] == np.sort(probability[0, :, 2])[-51]
    futility = probability < 0.3
    free = calibrate(probability, alpha=0.05)
    bound = calibrate(probability, alpha=0.05, futility=futility)
    assert bound.thresholds[0] < free.thresholds[0]
    by_hand = 0
    for trial, stops in zip(probability[0], futility[0], strict=True):
        for p, stop in zip(trial, stops, strict=True):
            if p > bound.thresholds[0]:
                by_hand += 1
                break
            if stop:
                break
    assert bound.errors.type_one_error[0] == by_hand / 1000 <= 0.05
    assert validate(bound.thresholds, probability, futility=futility).type_one_error[0] == by_hand / 1000


def test_validation_says_how_sure_it_is():
    check = validate([0.9, np.nan, 0.9], null_probabilities(6, 2000, (0.0, 1.0, -1.0)))
    assert check.worst == 1
    assert check.worst_is_certain
    count = round(float(check.type_one_error[0]) * 2000)
    np.testing.assert_allclose(check.lower[0], beta.ppf(0.025, count, 2001 - count), rtol=1e-10)
    np.testing.assert_allclose(check.upper[0], beta.ppf(0.975, count + 1, 2000 - count), rtol=1e-10)
    np.testing.assert_allclose(check.standard_error[0], np.sqrt(count / 2000 * (1 - count / 2000) / 2000), rtol=1e-12)
    assert [check.verdict(level) for level in (0.05, float(check.type_one_error[1]), 0.9)] == ["exceeds", "undecided", "holds"]
    assert not validate([0.9] * 3, null_probabilities(7, 500, (0.0, 0.0))).worst_is_certain


def test_calibration_refuses_what_cannot_be():
    probability = null_probabilities(5, 100)
    with pytest.raises(TrialError, match="simulate 100"):
        calibrate(probability[:, :99], alpha=0.01)
    with pytest.raises(TrialError, match="alpha"):
        calibrate(probability, alpha=1.5)
    with pytest.raises(TrialError, match="fractions: is missing"):
        calibrate(probability, alpha=0.05, shape=WangTsiatisThreshold())
    with pytest.raises(TrialError, match="rise"):
        calibrate(probability, alpha=0.05, shape=PowerThreshold(), fractions=[0.5, 0.4, 1.0])
    with pytest.raises(TrialError, match="between 0 and 1"):
        calibrate(probability + 0.5, alpha=0.05)
    with pytest.raises(TrialError, match="scenario, replicate, look"):
        calibrate(probability[0], alpha=0.05)
    with pytest.raises(TrialError, match="threshold"):
        validate([0.9, 0.9], probability)
    with pytest.raises(TrialError, match="look"):
        calibrate(probability, alpha=0.05, looks=[False] * 3)
