"""Whom estimands are about: counts of factors, rules, profiles, standardised populations, weights, the bootstrap."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

EXACT = 1e-8
FORMULA = "Surv(months, died) ~ ecog + age + stage + (1 | hospital)"
LOG_SCALE, EFFECTS = np.array([2.5, 2.9]), np.array([[0.6, 0.03, 0.2, 0.5], [0.2, 0.01, 0.4, 0.8]])
SITE_EFFECTS = np.array([[0.5, -0.2, 0.1, -0.4], [0.0, 0.3, -0.6, 0.2]])


@pytest.fixture(scope="module")
def frame(make_frame):
    return make_frame(40, seed=4)


@pytest.fixture(scope="module")
def cohort(frame, read):
    return read(frame.assign(sex=np.tile([1, 2], 20)), covariates=["ecog", "age", "stage", "sex"])


def build(hand_made, cohort):
    return hand_made(
        sw.ModelSpec.from_formula(FORMULA, family=sw.Exponential()),
        cohort,
        log_scale=LOG_SCALE,
        coefficients=EFFECTS,
        site_effect=SITE_EFFECTS,
        site_sd=np.array([0.4, 0.4]),
    )


@pytest.fixture(scope="module")
def fit(cohort, hand_made):
    return build(hand_made, cohort)


def matrix_of(table):
    stage = table["stage"].astype(str)
    return np.column_stack([table["ecog"].astype(str) == ">=1", table["age"], stage == "II", stage == "III"]).astype(float)


def survival_of(people, frame, time, sites=None):
    """Each person's survival, shape (draw, person), by definition."""
    eta = EFFECTS @ (matrix_of(people) - matrix_of(frame).mean(axis=0)).T
    if sites is not None:
        eta = eta + SITE_EFFECTS[:, sites]
    return np.exp(-time / np.exp(LOG_SCALE)[:, None] * np.exp(eta))


def members(groups, cohort):
    return {group.label: group.rows for group in groups.groups(cohort)}


def test_counts_of_favourable_factors(cohort, frame):
    groups = sw.RiskGroups.count_favourable(ecog="0", stage=["I", "II"])
    met = (frame["ecog"] == "0").astype(int) + frame["stage"].isin(["I", "II"]).astype(int)
    found = members(groups, cohort)
    assert list(found) == ["2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable"]
    for count, rows in zip((2, 1, 0), found.values(), strict=True):
        np.testing.assert_array_equal(rows, met == count)
    assert groups.description == "ecog 0, stage I or II"


def test_counts_of_unfavourable_factors(cohort, frame):
    found = members(sw.RiskGroups.count_unfavourable(ecog=">=1", stage="III"), cohort)
    met = (frame["ecog"] == ">=1").astype(int) + (frame["stage"] == "III").astype(int)
    assert list(found) == ["2 of 2 unfavourable", "1 of 2 unfavourable", "0 of 2 unfavourable"]
    np.testing.assert_array_equal(found["1 of 2 unfavourable"], met == 1)


@pytest.mark.parametrize("level", [2, "2", 2.0, [2], ("2",), {2}])
def test_levels_of_any_type(level, cohort):
    found = members(sw.RiskGroups.count_favourable(sex=level), cohort)
    np.testing.assert_array_equal(found["1 of 1 favourable"], np.tile([False, True], 20))
    again = members(sw.RiskGroups.count_favourable({"sex": level}), cohort)
    np.testing.assert_array_equal(again["1 of 1 favourable"], found["1 of 1 favourable"])


def test_groups_without_members_are_left_out(cohort):
    """Everyone has stage I, II or III, so nobody has none of them."""
    assert list(members(sw.RiskGroups.count_favourable(stage=["I", "II", "III"]), cohort)) == ["1 of 1 favourable"]


def test_default_groups(cohort):
    groups = sw.RiskGroups.default(cohort)
    assert list(members(groups, cohort)) == [
        *("all", "ecog = 0", "ecog = >=1", "stage = I", "stage = II", "stage = III", "sex = 1", "sex = 2"),
    ]
    assert list(members(sw.RiskGroups.default(cohort, ["age", "ecog"]), cohort)) == ["all", "ecog = 0", "ecog = >=1"]
    assert list(members(sw.RiskGroups.by_level("stage", cohort), cohort)) == ["stage = I", "stage = II", "stage = III"]


def test_groups_of_one_partition_exclude_each_other(cohort):
    groups = sw.RiskGroups.default(cohort).groups(cohort)
    for partition in {group.partition for group in groups if group.partition}:
        rows = [group.rows for group in groups if group.partition == partition]
        np.testing.assert_array_equal(np.sum(rows, axis=0), 1)


def test_rules(cohort, frame):
    groups = sw.RiskGroups.by_rule({"old": "age > 65 and ecog == '0'", 2: lambda people: people["stage"] == "III"})
    found = members(groups, cohort)
    np.testing.assert_array_equal(found["old"], (frame["age"] > 65) & (frame["ecog"] == "0"))
    np.testing.assert_array_equal(found["2"], frame["stage"] == "III")


ERRORS = [
    (lambda c: sw.RiskGroups.count_favourable(), "Name at least one covariate with its favourable levels."),
    (lambda c: sw.RiskGroups.count_favourable(ecgo="0"), "There is no covariate 'ecgo'. Did you mean 'ecog'?"),
    (
        lambda c: sw.RiskGroups.count_favourable(stage=["I", "IV"]),
        "The rule of the risk groups has 1 problem:\n  1. covariate 'stage': has no level 'IV'. Levels: 'I', 'II', 'III'.",
    ),
    (lambda c: sw.RiskGroups.by_level("grade", c), "There is no covariate 'grade'. Known: 'ecog', 'age', 'stage', 'sex'."),
    (
        lambda c: sw.RiskGroups.by_rule({"x": "agee > 1"}),
        "The rule of group 'x' cannot be evaluated: name 'agee' is not defined",
    ),
    (lambda c: sw.RiskGroups.by_rule({"x": "age > 1000"}), "No patient belongs to any of the groups asked for."),
    (lambda c: sw.Standardised({"x": {"ecgo": "0"}}), "Setting 'x': no covariate 'ecgo'. Did you mean 'ecog'?"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=range(len(ERRORS)))
def test_what_cannot_be_grouped_is_said(make, message, cohort):
    with pytest.raises(sw.SpecError) as caught:
        make(cohort).groups(cohort)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"ecog": "0", "age": 60}, "column 'stage': is needed for the prediction"),
        ({"ecog": "2", "age": 60, "stage": "I"}, "column 'ecog': has unknown levels '2'"),
        ({"ecog": "0", "age": "sixty", "stage": "I"}, "column 'age': must hold numbers"),
    ],
)
@pytest.mark.filterwarnings("default:Constructing a Categorical")
def test_profiles_that_cannot_be_placed(profile, message, fit):
    with pytest.raises(sw.SpecError, match=message):
        sw.median_survival(fit, groups=sw.Profiles({"x": profile}), sites=sw.Average())


def test_profiles(fit, frame):
    people = pd.DataFrame({"ecog": ["0", ">=1"], "age": [50, 80], "stage": ["I", "III"]})
    labelled = {"young": dict(people.iloc[0]), "old": dict(people.iloc[1])}
    found = sw.survival(fit, groups=sw.Profiles(labelled), sites=sw.Observed("3"), times=[6.0])[0, :, :, 0]
    assert list(found["group"].values) == ["young", "old"]
    np.testing.assert_allclose(found, survival_of(people, frame, 6.0, sites=[2, 2]), atol=EXACT)


def test_risk_groups_average_over_their_members(fit, cohort, frame):
    groups = sw.RiskGroups.count_favourable(ecog="0", stage="I")
    own = frame["hospital"].to_numpy() - 1
    found = sw.survival(fit, groups=groups, sites=sw.Observed(), times=[6.0])
    for label, rows in members(groups, cohort).items():
        each = survival_of(frame[rows], frame, 6.0, sites=own[rows])
        np.testing.assert_allclose(found.sel(group=label)[0, :, 0], each.mean(axis=1), atol=EXACT)


def test_standardised_by_the_g_formula(fit, frame):
    """Everyone gets ECOG 0, then everyone ECOG >=1; their other covariates stay. At own sites and at an average site."""
    settings = sw.Standardised({"ECOG 0": {"ecog": "0"}, "ECOG 1": {"ecog": ">=1"}})
    own = frame["hospital"].to_numpy() - 1
    for sites, site in ((sw.Average(), None), (sw.Observed(), own)):
        found = sw.survival(fit, groups=settings, sites=sites, times=[6.0])
        for label, level in (("ECOG 0", "0"), ("ECOG 1", ">=1")):
            expected = survival_of(frame.assign(ecog=level), frame, 6.0, sites=site).mean(axis=1)
            np.testing.assert_allclose(found.sel(group=label)[0, :, 0], expected, atol=EXACT)


def test_standardised_over_another_population(fit, frame):
    over = pd.DataFrame({"ecog": ["0", "0", ">=1"], "age": [40.0, 50.0, 90.0], "stage": ["I", "II", "III"]})
    settings = sw.Standardised({"as they are": {}, "aged 60": {"age": 60}}, over=over)
    found = sw.survival(fit, groups=settings, sites=sw.Average(), times=[6.0])[0, :, :, 0]
    expected = [survival_of(people, frame, 6.0).mean(axis=1) for people in (over, over.assign(age=60))]
    np.testing.assert_allclose(found, np.transpose(expected), atol=EXACT)
    assert list(over["age"]) == [40.0, 50.0, 90.0]
    with pytest.raises(sw.SpecError, match="hypothetical people without a site"):
        sw.survival(fit, groups=settings, sites=sw.Observed(), times=[6.0])


def test_weights_of_the_cohort_count(frame, read, hand_made):
    cohort = read(frame, weights="weight")
    fit = build(hand_made, cohort)
    groups = sw.RiskGroups.default(cohort, ["ecog"])
    found = sw.survival(fit, groups=groups, sites=sw.Average(), times=[6.0])
    for label, rows in members(groups, cohort).items():
        expected = np.average(survival_of(frame[rows], frame, 6.0), axis=1, weights=frame["weight"][rows])
        np.testing.assert_allclose(found.sel(group=label)[0, :, 0], expected, atol=EXACT)


SIZE = 4000


@pytest.fixture(scope="module")
def many(cohort, hand_made):
    """The first draw of the fit, 4,000 times over, so that all variation is the bootstrap's."""
    return hand_made(
        sw.ModelSpec.from_formula(FORMULA, family=sw.Exponential()),
        cohort,
        log_scale=np.full(SIZE, LOG_SCALE[0]),
        coefficients=np.tile(EFFECTS[0], (SIZE, 1)),
        site_effect=np.tile(SITE_EFFECTS[0], (SIZE, 1)),
        site_sd=np.full(SIZE, 0.4),
    )


def test_the_bayesian_bootstrap_has_its_moments(many, frame):
    """Flat Dirichlet weights on n people: mean the plain mean, variance (population variance) / (n + 1).

    Monte Carlo: the mean within 4.5 standard errors, the sd within 4.5 / sqrt(2 x 4000) = 5 %.
    """
    options = {"groups": sw.RiskGroups.by_rule({"all": "age > 0"}), "sites": sw.Average(), "times": [6.0]}
    found = sw.survival(many, bootstrap_seed=3, **options).to_numpy().ravel()
    each = survival_of(frame, frame, 6.0)[0]
    sd = np.sqrt(each.var() / (len(frame) + 1))
    assert found.mean() == pytest.approx(each.mean(), abs=4.5 * sd / np.sqrt(SIZE))
    assert found.std() == pytest.approx(sd, rel=0.05)
    assert np.ptp(sw.survival(many, **options).to_numpy()) < 1e-12
    np.testing.assert_array_equal(found, sw.survival(many, bootstrap_seed=3, **options).to_numpy().ravel())
    assert not np.array_equal(found, sw.survival(many, bootstrap_seed=4, **options).to_numpy().ravel())


def test_bootstrapped_contrasts_are_of_the_same_people(many):
    """Two settings of one population differ by the setting only: the same setting twice must differ by nothing in any draw."""
    twice = sw.Standardised({"one": {"ecog": "0"}, "two": {"ecog": "0"}})
    found = sw.survival(many, groups=twice, sites=sw.Average(), times=[6.0], bootstrap_seed=3)
    np.testing.assert_allclose(sw.contrast(found, reference="one"), 0.0, atol=EXACT)
