"""Defects that were found in the simulator by reading and by trying, and mended: each test says what should happen."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

import sitewise as sw

EVERYONE = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})


def scenario(**changes):
    parts = {
        "id": "small",
        "title": "Small",
        "patients": 40,
        "baseline": sw.Baseline(10.0, "exponential"),
        "sites": sw.Sites(("A", "B"), (0.5, 0.5), 0.3),
        "censoring": sw.Censoring(administrative=30.0),
        "categorical": (sw.Categorical("x", ("0", "1"), (0.4, 0.6), (0.0, 0.5)),),
    }
    return sw.Scenario(**{**parts, **changes})


def survival_of(value, time=10.0):
    people = sw.Profiles({"someone": {"x": value}})
    return sw.Truth.of(scenario()).survival([time], groups=people, sites=sw.Average()).loc["someone", time]


def test_people_with_a_level_that_does_not_exist_are_refused():
    with pytest.raises(sw.SitewiseError, match="'2'"):
        survival_of("2")


def test_levels_are_compared_as_labels():
    """As everywhere else: 0, 0.0, "0" and " 0 " are one label. A reference patient's survival at the median is one half."""
    assert survival_of("0") == survival_of(0) == pytest.approx(0.5)
    assert survival_of(0.0) == pytest.approx(0.5)
    assert survival_of(" 0 ") == pytest.approx(0.5)


def test_a_new_site_means_nothing_where_site_effects_are_stated():
    truth = sw.Truth.of(scenario(sites=sw.Sites(("A", "B"), (0.5, 0.5), log_hazard_ratios=(0.3, -0.3))))
    with pytest.raises(sw.ScenarioError, match="'new' means nothing here"):
        truth.median_survival(groups=EVERYONE, sites=sw.New())


def test_an_unknown_kind_of_margins_is_refused_in_python():
    with pytest.raises(sw.ScenarioError, match="margins"):
        scenario(margins="exakt")


def test_an_unknown_distribution_is_refused_in_python():
    with pytest.raises(sw.ScenarioError, match="distribution"):
        sw.Numeric("z", 0.1, 0.0, "gamma")


@pytest.mark.parametrize(
    "make",
    [
        lambda: sw.Categorical("x", ("a", "b"), (0.5, 0.5), (0.0, math.nan)),
        lambda: sw.Numeric("z", math.nan, 0.0, mean=0.0, sd=1.0),
        lambda: sw.Numeric("z", 0.1, math.inf, mean=0.0, sd=1.0),
        lambda: sw.Numeric("z", 0.1, 0.0, mean=math.nan, sd=1.0),
        lambda: sw.Numeric("z", 0.1, 0.0, "uniform", lower=-math.inf, upper=0.0),
        lambda: sw.Sites(("A", "B"), (0.5, 0.5), log_hazard_ratios=(0.0, math.nan)),
    ],
    ids=["level", "ratio", "reference", "mean", "bound", "site"],
)
def test_numbers_that_are_not_finite_are_refused_in_python(make):
    with pytest.raises(sw.ScenarioError):
        make()


def test_equal_scenarios_have_one_hash():
    whole, decimal = scenario(baseline=sw.Baseline(10, "exponential")), scenario()
    assert whole == decimal
    assert whole.hash == decimal.hash


def test_the_truth_of_a_real_cohort_is_refused():
    frame = sw.simulate(scenario(), 1).frame
    cohort = sw.Cohort.from_frame(frame, time="time", event="event", site="site", id="patient")
    with pytest.raises(sw.ScenarioError, match="does not know the scenario"):
        sw.Truth.of(cohort)


@pytest.mark.parametrize("lower", [7.0, 9.0])
def test_a_normal_distribution_truncated_far_above_its_mean(lower):
    """The values of the far lower tail, mirrored: what is below -7 is the reflection of what is above 7."""
    one = sw.Numeric("z", 0.1, 0.0, mean=0.0, sd=1.0, lower=lower, upper=12.0)
    other = sw.Numeric("z", 0.1, 0.0, mean=0.0, sd=1.0, lower=-12.0, upper=-lower)
    share = (np.arange(100) + 0.5) / 100
    below = other.quantile(share)
    assert -12 < below.min() < below.max() < -lower
    np.testing.assert_allclose(one.quantile(share), -below[::-1], rtol=1e-6)


def test_no_equal_sites():
    with pytest.raises(sw.ScenarioError):
        sw.Sites.equal(0, sd=0.1)


def test_blanks_around_a_label_are_refused():
    """Tables of patients lose them, and then a site would not be found."""
    with pytest.raises(sw.ScenarioError, match="' A' is empty or has blanks around it"):
        sw.Sites((" A", "B"), (0.5, 0.5), log_hazard_ratios=(0.3, -0.3))


def test_many_levels():
    """As many as a byte holds; more are refused."""
    for count, refused in ((127, False), (128, True)):
        levels, ratios = tuple(f"l{number}" for number in range(count)), (0.0,) * count
        if refused:
            with pytest.raises(sw.ScenarioError, match="must be 2 to 127; they are 128"):
                sw.Categorical("x", levels, (1 / count,) * count, ratios)
            continue
        many = scenario(patients=count * 4, categorical=(sw.Categorical("x", levels, (1 / count,) * count, ratios),))
        made = sw.simulate_many(many, 1, seed=1).covariates["x"]
        assert (made.min(), made.max()) == (0, count - 1)


def test_lists_and_whole_numbers_are_taken():
    made = sw.Categorical("x", ["a", "b"], [0.5, 0.5], [0, 1])
    assert made == sw.Categorical("x", ("a", "b"), (0.5, 0.5), (0.0, 1.0))


def test_rules_over_numeric_covariates_of_a_population():
    """Older than 70 of Normal(62, 9): .187 of people. Without naming the cut the share is wrong, and refused."""
    aged = scenario(numeric=(sw.Numeric("age", 0.03, 60.0, mean=62.0, sd=9.0),))
    rule = sw.RiskGroups.by_rule({"old": "age > 70"})
    with pytest.raises(sw.ScenarioError, match="Group 'old' cuts a numeric covariate"):
        sw.Truth.of(aged).survival([5.0], groups=rule, sites=sw.Average())
    people = sw.population(aged, cuts={"age": [70]})
    share = people.weights[people.covariates["age"].to_numpy() > 70].sum()
    assert share == pytest.approx(stats.norm.sf(70, 62, 9), abs=1e-9)
    found = sw.Truth.of(aged, cuts={"age": [70]}).survival([5.0], groups=rule, sites=sw.Average()).loc["old", 5.0]

    def survival(z):
        ages = 62 + 9 * z
        both = [np.exp(-np.log(2) / 10 * 5 * np.exp(0.03 * (ages - 60) + effect)) for effect in (0.0, 0.5)]
        return stats.norm.pdf(z) * (0.4 * both[0] + 0.6 * both[1])

    cut = (70 - 62) / 9
    expected = integrate.quad(survival, cut, 12, epsabs=1e-13)[0] / stats.norm.sf(cut)
    assert found == pytest.approx(expected, abs=1e-9)
    with pytest.raises(sw.ScenarioError, match="cuts: 'x' is no numeric covariate"):
        sw.Truth.of(aged, cuts={"x": [1.0]})
