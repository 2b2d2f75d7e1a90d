"""Published against reproduced: z, percentiles, contrasts and distances computed again; left-out z by another formula."""

from dataclasses import replace
from types import SimpleNamespace

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
    """A linear Gaussian toy with known derivatives, one number soft: entry by entry, all numbers of one together."""
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
    groups += [[ids.index(f"follow_up: {what}") for what in ("median", "shortest", "longest")]]
    assert sorted(place for group in groups for place in group) == list(range(count)) == sorted(found)
    for group in groups:
        expected = left_out_by_precision(problem, moments, group, factor)
        np.testing.assert_allclose([found[place] for place in group], expected, rtol=1e-6)


@pytest.fixture
def many(make):
    """Every kind of entry, with ids that hold the signs by which targets add to them; nothing is fitted."""
    levels = {"name": "ecog", "levels": {"0": 50, "1": 30}, "favourable": ["0"]}
    other = {"name": "stage: TNM", "levels": {"I": 40, "II": 40}, "favourable": ["I"]}
    rows = [make.term("ecog", ["1"], ["0"]), make.term("stage: TNM", ["II"], ["I"])]
    figure = {"times": [0, 3, 6, 9], "survival": [1, 0.8, 0.6, 0.5], "at_risk_times": [0, 6], "at_risk": [80, 40]}
    return make.evidence(
        categorical=[levels, other],
        model=[{"id": "by ecog: all, log", "term": rows[:1]}, {"id": "adjusted", "adjusted": True, "term": rows}],
        survival=[
            {"id": "os", "median": 12, "lower": 9, "upper": 20},
            {"id": "os, women", "time": 12, "survival": 0.5, "lower": 0.4, "upper": 0.6},
            {"id": "os, men", "median": 30, "upper": "not reached", "lower": 9},
            {"id": "fig2: 12", "median": 11},
        ],
        curve=[{"id": "fig2", **figure}, {"id": "fig2: ecog 0", "group": {"ecog": ["0"]}, **figure, "at_risk": [50, 30]}],
        events=[{"id": "deaths, all", "events": 45}, {"id": "deaths of ecog 0", "events": 20, "group": {"ecog": ["0"]}}],
        follow_up=[
            {"median": 14, "quartiles": [8, 20], "range": [1, 60], "definition": "observed"},
            {"median": 15, "definition": "alive-only"},
        ],
        joint=[
            {"id": "tab", "between": ["ecog", "stage: TNM"], "counts": {"0": {"I": 30, "II": 20}, "1": {"I": 10, "II": 20}}}
        ],
    )


def test_an_entry_is_left_out_whole(make, many):
    """Curves with their numbers at risk, follow-up, cross tables and limits; hazard ratios of all adjusted rows together."""
    problem = make.problem(many)
    count = len(problem.targets)
    groups = Quality(problem, None, np.zeros((2, count))).groups()
    ids = [item.id for item in problem.targets]
    found = [sorted(ids[place] for place in places) for places in groups.values()]

    whats = ("log hazard ratio", "log standard error")
    adjusted = ("adjusted: ecog[1]", "adjusted: stage: TNM[II]")
    expected = [
        *([f"by ecog: all, log: ecog[1], {what}"] for what in whats),
        *([f"{row}, {what}" for row in adjusted] for what in whats),
        ["os", "os, lower limit", "os, upper limit"],
        ["os, women", "os, women, log width"],
        ["os, men", "os, men, lower limit"],  # its upper limit is a condition
        ["fig2: 12"],
        ["fig2: 3", "fig2: 6", "fig2: 9", "fig2: at risk 6"],
        [f"fig2: ecog 0: {point}" for point in ("3", "6", "9", "at risk 6")],
        ["deaths, all"],
        ["deaths of ecog 0"],
        [f"follow_up: {what}" for what in ("longest", "median", "quartile 1", "quartile 3", "shortest")],
        ["follow_up 2: median"],
        [f"tab: {one}, {two}" for one in "01" for two in ("I", "II")],
    ]
    assert found == expected
    assert len(groups) == len(expected)
    used = sorted(place for places in groups.values() for place in places)
    assert used == [place for place in range(count) if not problem.targets[place].inequality]


def test_the_rest_of_an_entry_does_not_predict_it(make):
    """Another value at one point of a curve moves what is predicted of the median, and nothing of the curve's other points."""
    figure = {"times": [0, 6, 12, 18], "survival": [1, 0.75, 0.55, 0.4]}
    alone = make.problem(make.evidence(survival=[{"id": "os", "median": 14}], curve=[{"id": "fig", **figure}]))
    rng = np.random.default_rng(5)
    count, size = len(alone.targets), len(alone.parameters)
    mixing = rng.standard_normal((count, count)) * 0.2 + np.eye(count)
    moments = SimpleNamespace(
        jacobian=rng.standard_normal((count, size)),
        sampling=mixing @ mixing.T,
        mean=rng.standard_normal(count),
        theta=alone.parameters.mean,
    )
    first = Quality(alone, moments, np.zeros((2, count))).left_out()
    ids = [item.id for item in alone.targets]
    moved = alone.published.copy()
    moved[ids.index("fig: 12")] += 0.2
    second = Quality(alone.with_published(moved), moments, np.zeros((2, count))).left_out()
    for name in ("fig: 6", "fig: 18"):
        assert second[ids.index(name)] == first[ids.index(name)]
    assert second[ids.index("os")] != first[ids.index("os")]


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
