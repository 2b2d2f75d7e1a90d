"""Chances of conditions against closed forms of normal numbers, and moments against weighted draws."""

import numpy as np
import pytest
from scipy.special import log_ndtr, ndtr

from sitewise.evidence.audit import audit
from sitewise.problems import EvidenceError
from sitewise.simulate.calibration import Assumptions, calibrate
from sitewise.simulate.calibration.conditions import Conditions
from sitewise.simulate.calibration.pool import Pool
from sitewise.simulate.calibration.problem import SOFT_VARIANCE

COHORTS = 20_000
ARM = {"name": "arm", "levels": {"a": 40, "b": 40}}


@pytest.fixture(scope="module")
def problem(make):
    """Survival of each arm at a year, that of b softly; neither median is reached, and follow-up is 2 years or longer."""
    group_a, group_b = {"arm": ["a"]}, {"arm": ["b"]}
    return make.problem(
        make.evidence(
            categorical=[ARM],
            survival=[
                {"id": "a", "group": group_a, "time": 12, "survival": 0.7},
                {"id": "b", "group": group_b, "time": 12, "survival": 0.6, "status": "soft"},
                {"id": "a still", "group": group_a, "median": "not reached"},
                {"id": "b still", "group": group_b, "median": "not reached"},
            ],
        ),
        Assumptions(family="exponential", guarantee_time=0.0),
    )


@pytest.fixture(scope="module")
def planted(problem):
    """A narrow pool far from the prior's mean whose numbers are linear with normal noise, and the true chance at its rows.

    The first condition's number goes with the noise of the soft number, of which the paper leaves open all but
    1 / SOFT_VARIANCE; the second's with that of the other. Given the published numbers they are independent.
    """
    rng, prior, size = np.random.default_rng(4), problem.parameters, len(problem.parameters)
    sd = 0.1 * prior.sd
    centre = prior.mean + 0.8 * prior.sd
    theta = centre + sd * rng.standard_normal((COHORTS, size))
    slope, noise = rng.standard_normal((size, 2)), 0.8 * rng.standard_normal((COHORTS, 2))
    published = problem.published[problem.fitted]
    number = published + (theta - centre) / sd @ slope + noise
    limited = 0.3 * rng.standard_normal((size, 2)) + 0.5
    own = 0.6 * rng.standard_normal((COHORTS, 2))
    # Of the first arm's number and the soft one, in this order.
    beyond = (theta - centre) / sd @ limited - np.array([0.5, 0.2]) + noise[:, ::-1] + own

    def chance(rows):
        from_centre = (rows - centre) / sd
        mean, left = from_centre @ limited - np.array([0.5, 0.2]), -from_centre @ slope
        first = (mean[:, 0] + left[:, 1] / SOFT_VARIANCE) / np.sqrt(0.6**2 + 0.8**2 * (1 - 1 / SOFT_VARIANCE))
        return ndtr(first) * ndtr((mean[:, 1] + left[:, 0]) / 0.6)

    statistics = np.zeros((COHORTS, len(problem.targets)))
    statistics[:, problem.fitted] = number
    places = [place for place, target in enumerate(problem.targets) if target.inequality]
    statistics[:, places] = np.array([problem.targets[place].value for place in places]) + beyond
    return Pool(theta, statistics, np.zeros((COHORTS, 1)), centre, np.diag(sd**2)), chance


def test_the_planted_chance_of_two_conditions_is_found(problem, planted):
    """Within four errors of a probit index at two sds from the middle (.025 each, times the greatest density .4)."""
    pool, chance = planted
    assert [problem.targets[place].status for place in problem.fitted] == ["fit", "soft"]
    rows = pool.theta[:200]
    found, expected = np.exp(Conditions.fitted(problem, pool).log_chance(rows)), chance(rows)
    assert expected.min() < 0.05
    assert expected.max() > 0.7
    np.testing.assert_allclose(found, expected, atol=0.04)


def test_conditions_that_are_nearly_always_met_or_unknown_say_nothing(problem, planted):
    pool, _ = planted
    sure = pool.statistics.copy()
    sure[:, [place for place, target in enumerate(problem.targets) if target.inequality]] = 0.99
    few = Pool(pool.theta[:8], pool.statistics[:8], pool.derived[:8], pool.centre, pool.covariance)
    for own in (Pool(pool.theta, sure, pool.derived, pool.centre, pool.covariance), few):
        conditions = Conditions.fitted(problem, own)
        np.testing.assert_array_equal(conditions.log_chance(pool.theta[:5]), 0.0)
        mean, covariance = conditions.moments(pool.centre, pool.covariance)
        np.testing.assert_array_equal(mean, pool.centre)
        np.testing.assert_array_equal(covariance, pool.covariance)


def test_cohorts_far_on_the_wrong_side_do_not_break_the_regression(problem, planted):
    """Three of 20,000 cohorts thirty sds away: Newton's steps stay finite, the chance near the middle nearly what it was."""
    pool, chance = planted
    statistics = pool.statistics.copy()
    statistics[:3, problem.fitted[0]] += 30 * statistics[:, problem.fitted[0]].std()
    far = Pool(pool.theta, statistics, pool.derived, pool.centre, pool.covariance)
    rows = pool.theta[10:60]
    np.testing.assert_allclose(np.exp(Conditions.fitted(problem, far).log_chance(rows)), chance(rows), atol=0.1)


@pytest.mark.parametrize(("conditions", "bound"), [(1, 0.01), (3, 0.05)])
def test_moments_are_those_of_weighted_draws(conditions, bound):
    """Exactly for one condition, up to the sampling error of 400,000 weighted draws; nearly for three."""
    rng = np.random.default_rng(conditions)
    root = rng.standard_normal((4, 4)) / 2
    mean, covariance = rng.standard_normal(4), root @ root.T + 0.1 * np.eye(4)
    given = Conditions(rng.standard_normal(conditions) - 1.0, rng.standard_normal((conditions, 4)))
    draws = rng.multivariate_normal(mean, covariance, 400_000)
    log_chance = np.array([log_ndtr(a + draws @ b) for a, b in zip(given.intercept, given.slope, strict=True)]).sum(axis=0)
    np.testing.assert_allclose(given.log_chance(draws[:100]), log_chance[:100])
    weight = np.exp(log_chance)
    expected = np.average(draws, axis=0, weights=weight), np.cov(draws, rowvar=False, aweights=weight)
    found = given.moments(mean, covariance)
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((found[0] - mean) / sd).max() > 0.3
    np.testing.assert_allclose((found[0] - expected[0]) / sd, 0, atol=bound)
    np.testing.assert_allclose((found[1] - expected[1]) / np.outer(sd, sd), 0, atol=bound)


@pytest.mark.parametrize("method", ["auto", "curved", "linear"])
def test_a_median_not_reached_beside_few_alive_is_refused(make, method):
    """30 % alive at two years: no cohort can, though enough of those simulated have a curve that ends above a half.

    Nearer to a half a regression cannot tell, but the audit, which knows that curves do not rise.
    """

    def paper(alive):
        return make.evidence(
            patients=40,
            sites=1,
            survival=[{"id": "two years", "time": 24, "survival": alive}, {"id": "still", "median": "not reached"}],
            follow_up=[{"median": 20, "digits": 1, "definition": "observed"}],
        )

    with pytest.raises(EvidenceError, match="with probability"):
        calibrate(
            paper(0.3), Assumptions(family="exponential", guarantee_time=0.0), seed=1, cohorts=100, workers=1, method=method
        )
    assert any(item.severity == "error" and "cannot both be" in item.sentence for item in audit(paper(0.49)).findings)
