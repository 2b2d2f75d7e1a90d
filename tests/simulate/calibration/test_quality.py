"""Published against reproduced: z, percentiles, contrasts and distances computed again; left-out z by another formula."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sitewise.simulate.calibration.conflicts import conflicting
from sitewise.simulate.calibration.problem import RIDGE
from sitewise.simulate.calibration.quality import Quality


def test_targets_compare_each_number_with_its_own_sampling(calibrated):
    quality = calibrated.quality
    table = quality.targets()
    problem = calibrated.problem
    assert table["target"].tolist() == [item.id for item in problem.targets]
    for place in range(len(table)):
        own, row = quality.statistics[:, place], table.iloc[place]
        assert row["published"] == problem.published[place]
        assert row["reproduced"] == pytest.approx(own.mean())
        assert row["sd"] == pytest.approx(own.std(ddof=1))
        assert row["z"] == pytest.approx((row["published"] - own.mean()) / own.std(ddof=1))
        assert row["percentile"] == pytest.approx(stats.percentileofscore(own, row["published"], kind="mean") / 100)
        assert row["rounding"] == problem.targets[place].rounding


def test_quality_is_judged_by_cohorts_that_the_fit_has_not_seen(calibrated):
    """Of the same process: means of 2000 cohorts against those of 200, within both errors."""
    statistics, moments = calibrated.quality.statistics, calibrated.moments
    error = np.sqrt(np.diag(moments.sampling) * (1 / len(statistics) + 1 / 200))
    assert np.abs((statistics.mean(axis=0) - moments.mean) / error).max() < 4.5
    random = calibrated.problem.randomness(calibrated.seed, 200, stage=0)
    fitted = calibrated.problem.simulate(moments.theta, random)[1]
    np.testing.assert_allclose(fitted.mean(axis=0), moments.mean)
    assert not np.isin(fitted[:, 0], statistics[:, 0]).any()


def test_a_good_calibration_is_near_in_every_number(calibrated):
    """The paper was printed of a known data set of nearly this kind."""
    assert calibrated.quality.targets()["z"].abs().max() < 1.5
    assert calibrated.quality.contrasts()["z"].abs().max() < 1.5


def test_contrasts_are_differences_of_unadjusted_and_adjusted_ratios(calibrated):
    quality = calibrated.quality
    table = quality.contrasts().set_index("contrast")
    assert table.index.tolist() == ["ecog[1]", "stage[II]"]
    ids = [item.id for item in calibrated.problem.targets]
    for name, alone in (("ecog[1]", "unadjusted ecog"), ("stage[II]", "unadjusted stage")):
        one, other = (ids.index(f"{model}: {name}, log hazard ratio") for model in (alone, "adjusted"))
        own = quality.statistics[:, one] - quality.statistics[:, other]
        published = calibrated.problem.published[one] - calibrated.problem.published[other]
        assert table.loc[name, "published"] == pytest.approx(published)
        assert table.loc[name, "z"] == pytest.approx((published - own.mean()) / own.std(ddof=1))
        assert table.loc[name, "sd"] < 0.8 * quality.statistics[:, one].std()  # what both have in common cancels


def test_distances_are_mahalanobis(calibrated):
    quality, problem = calibrated.quality, calibrated.problem
    away, own = quality.distances()
    fitted = quality.statistics[:, problem.fitted]
    weight, mean = problem.weight(fitted), fitted.mean(axis=0)
    assert away == pytest.approx(
        (problem.published[problem.fitted] - mean) @ weight @ (problem.published[problem.fitted] - mean)
    )
    assert own[7] == pytest.approx((fitted[7] - mean) @ weight @ (fitted[7] - mean))
    # Without a ridge the mean over cohorts would be the number of statistics exactly; the ridge and shrinkage make it less.
    assert 0.6 * len(problem.fitted) < own.mean() < 1.02 * len(problem.fitted)
    assert away < np.quantile(own, 0.95)


def left_out_by_precision(problem, moments, places, factor):
    """Predict targets from the others with the precision matrix of parameters, noise and statistics taken together.

    Statistics are s = c + J (theta - m) + e; their joint covariance is inverted and partitioned: another way to condition
    than the gain that the code computes.
    """
    prior = problem.parameters
    noise = moments.sampling + np.diag(np.diag(moments.sampling) * (factor - 1 + RIDGE) + 1e-10)
    given = [place for place in problem.fitted.tolist() if place not in places]
    jacobian = moments.jacobian[[*places, *given]]
    spread = np.diag(prior.sd**2)
    cross = jacobian @ spread
    whole = np.block([[cross @ jacobian.T + noise[np.ix_([*places, *given], [*places, *given])], cross], [cross.T, spread]])
    kept = slice(0, len(places) + len(given))
    precision = np.linalg.inv(whole[kept, kept])
    asked = precision[: len(places), : len(places)]
    centre = moments.mean + moments.jacobian @ (prior.mean - moments.theta)
    moved = -np.linalg.solve(asked, precision[: len(places), len(places) :] @ (problem.published[given] - centre[given]))
    sd = np.sqrt(np.diag(np.linalg.inv(asked)))
    return (problem.published[list(places)] - centre[list(places)] - moved) / sd


def test_left_out_numbers_are_predicted_from_all_others(calibrated):
    """A linear Gaussian toy with known derivatives, one number soft: group by group, whole models together."""
    rng = np.random.default_rng(3)
    size, count = len(calibrated.problem.parameters), len(calibrated.problem.targets)
    evidence = calibrated.problem.evidence
    soft = replace(
        evidence, survival=tuple(replace(item, status="soft" if item.id == "year 2" else "fit") for item in evidence.survival)
    )
    problem = type(calibrated.problem).of(soft)
    mixing = rng.standard_normal((count, count)) * 0.2 + np.eye(count)
    moments = replace(
        calibrated.moments,
        jacobian=rng.standard_normal((count, size)) / problem.parameters.sd,
        sampling=mixing @ mixing.T,
        mean=rng.standard_normal(count),
    )
    found = Quality(problem, moments, np.zeros((2, count))).left_out()
    ids = [item.id for item in problem.targets]
    factor = np.where(np.array(ids) == "year 2", 16.0, 1.0)
    groups = [
        [ids.index(f"{model}: {row}, log {what}") for model, row in rows]
        for rows in (
            [("unadjusted ecog", "ecog[1]"), ("unadjusted stage", "stage[II]")],
            [("adjusted", "ecog[1]"), ("adjusted", "stage[II]")],
        )
        for what in ("hazard ratio", "standard error")
    ]
    groups += [[ids.index(item.id)] for item in soft.survival]
    groups += [[ids.index(f"follow_up: {what}")] for what in ("median", "shortest", "longest")]
    assert sorted(place for group in groups for place in group) == list(range(count)) == sorted(found)
    for group in groups:
        expected = left_out_by_precision(problem, moments, group, factor)
        np.testing.assert_allclose([found[place] for place in group], expected, rtol=1e-6)


def test_left_out_z_has_variance_one_when_the_model_is_true(calibrated):
    """Papers of the linear model itself, parameters drawn from the prior: z is standard normal."""
    problem, moments = calibrated.problem, calibrated.moments
    rng = np.random.default_rng(4)
    prior, count = problem.parameters, len(problem.targets)
    noise = moments.sampling + np.diag(np.diag(moments.sampling) * RIDGE + 1e-10)
    factor = np.linalg.cholesky(noise)
    found = []
    for _ in range(200):
        theta = prior.mean + prior.sd * rng.standard_normal(len(prior))
        published = moments.mean + moments.jacobian @ (theta - moments.theta) + factor @ rng.standard_normal(count)
        z = Quality(problem.with_published(published), moments, np.zeros((2, count))).left_out()
        found.append([z[place] for place in range(count)])
    found = np.array(found)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=4.5 / np.sqrt(200))
    np.testing.assert_allclose(found.var(axis=0), 1, atol=4.5 * np.sqrt(2 / 200))


def test_a_number_out_of_line_shows_when_it_is_left_out(calibrated):
    """Survival of 80 % at two years in place of 29 %: the others say that it cannot be."""
    problem = calibrated.problem
    published = problem.published.copy()
    place = [item.id for item in problem.targets].index("year 2")
    published[place] = 0.8
    found = Quality(problem.with_published(published), calibrated.moments, calibrated.quality.statistics).left_out()
    assert found[place] > 4
    assert abs(calibrated.quality.left_out()[place]) < 2


def test_conflicts_are_compared_but_not_fitted(make, printed):
    """A milestone that contradicts the rest, set aside: its z is its distance from the calibrated process."""
    from sitewise.simulate.calibration import calibrate

    wrong = make.evidence(survival=[{"id": "wrong", "time": 24, "survival": 0.9, "status": "conflict"}]).survival
    calibration = calibrate(replace(printed, survival=(*printed.survival, *wrong)), seed=1, cohorts=100, pool=2500, workers=2)
    assert "wrong" not in calibration.quality.targets()["target"].tolist()
    table = conflicting(calibration)
    assert table["target"].tolist() == ["wrong"]
    row = table.iloc[0]
    same = calibration.quality.targets().set_index("target").loc["year 2"]  # the same statistic of other cohorts
    assert row["reproduced"] == pytest.approx(same["reproduced"], abs=4.5 * same["sd"] * np.sqrt(1 / 1000 + 1 / 2000))
    assert row["z"] == pytest.approx((0.9 - row["reproduced"]) / row["sd"])
    assert row["z"] > 4
    assert conflicting(calibration).equals(table)
