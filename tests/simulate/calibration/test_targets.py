"""Every printed number as a statistic with its rounding box: truths rounded as papers do, and boxes by brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

import sitewise as sw
from sitewise.simulate.calibration.statistics import inequalities_met

ARM = {"name": "arm", "levels": {"a": 40, "b": 40}}
GROUP = {"arm": ["a"]}


def of(make, **tables):
    """Return the targets of a paper by id."""
    found = make.problem(make.evidence(categorical=[ARM], **tables)).targets
    assert len({item.id for item in found}) == len(found)
    return {item.id: item for item in found}


def model(ratio, lower, upper, *, digits, prob=0.95, **more):
    row = {"covariate": "arm", "level": ["b"], "reference": ["a"], "digits": digits}
    return {
        "id": "cox",
        "prob": prob,
        "term": [row | {"hazard_ratio": ratio, "lower": lower, "upper": upper}],
        **more,
    }


MEDIAN = {"id": "median", "median": 14}


def boxes(make, ratio, lower, upper, *, digits, **more):
    found = of(make, survival=[MEDIAN], model=[model(ratio, lower, upper, digits=digits, **more)])
    return [found.get(f"cox: arm[b], log {what}") for what in ("hazard ratio", "standard error")]


@settings(max_examples=150, deadline=None)
@given(
    log_ratio=st.floats(-1.5, 1.5),
    error=st.floats(0.05, 0.6),
    digits=st.integers(2, 4),
    prob=st.sampled_from([0.9, 0.95, 0.99]),
)
def test_the_truth_behind_a_rounded_row_is_in_both_boxes(make, log_ratio, error, digits, prob):
    """Any ratio and standard error, printed to any digits: what was rounded lies where the targets say."""
    z = stats.norm.ppf(0.5 + prob / 2)
    ratio, lower, upper = (round(float(np.exp(log_ratio + sign * z * error)), digits) for sign in (0, -1, 1))
    assume(lower > 0.5 * 10**-digits)
    first, second = boxes(make, ratio, lower, upper, digits=digits, prob=prob)
    assert abs(first.value - log_ratio) <= first.rounding + 1e-9
    assert abs(second.value - np.log(error)) <= second.rounding + 1e-9
    assert (first.kind, second.kind) == ("log_hazard_ratio", "log_standard_error")


@pytest.mark.parametrize(
    ("ratio", "lower", "upper", "digits"), [(1.84, 1.03, 3.30, 2), (2.375, 1.375, 4.103, 3), (0.6, 0.3, 1.1, 1)]
)
def test_boxes_are_the_extremes_over_the_corners(make, ratio, lower, upper, digits):
    """All corners of the box of ratio and limits, and a grid of its inside; the row's own centre must be in its interval."""
    half, z = 0.5 * 10.0**-digits, stats.norm.ppf(0.975)
    ends = [np.linspace(value - half, value + half, 41) for value in (lower, upper)]
    pairs = np.array(list(itertools.product(*ends)))
    middles = 0.5 * np.log(pairs).sum(axis=1)
    own = np.log([ratio - half, ratio + half])
    first, second = boxes(make, ratio, lower, upper, digits=digits)
    assert first.value - first.rounding == pytest.approx(max(own[0], middles.min()))
    assert first.value + first.rounding == pytest.approx(min(own[1], middles.max()))
    errors = np.log(np.log(pairs[:, 1] / pairs[:, 0]) / (2 * z))
    assert second.value - second.rounding == pytest.approx(errors.min())
    assert second.value + second.rounding == pytest.approx(errors.max())
    # An interval that is not Wald's says nothing about where the ratio is in it.
    (profile, _) = boxes(make, ratio, lower, upper, digits=digits, interval="profile")
    assert [profile.value - profile.rounding, profile.value + profile.rounding] == pytest.approx(own.tolist())


def test_limits_that_may_be_one_number_have_a_standard_error_that_is_small_but_not_none(make):
    """1.01 (1.00 to 1.01): the widest interval is .995 to 1.015; of limits evenly spread in their boxes 98 % are in the box."""
    _, second = boxes(make, 1.01, 1.00, 1.01, digits=2)
    z, rng = stats.norm.ppf(0.975), np.random.default_rng(1)
    low, high = 1.0 + 0.01 * (rng.random(200_000) - 0.5), 1.01 + 0.01 * (rng.random(200_000) - 0.5)
    found = np.log(np.log(high / low) / (2 * z))
    inside = np.abs(found - second.value) <= second.rounding
    assert np.mean(inside) == pytest.approx(0.98, abs=0.002)
    assert second.value + second.rounding == pytest.approx(np.log(np.log(1.015 / 0.995) / (2 * z)))


def test_a_limit_that_is_printed_as_zero_has_no_standard_error(make):
    first, second = boxes(make, 0.1, 0.0, 1.5, digits=1)
    assert second is None
    assert np.exp(first.value - first.rounding) == pytest.approx(0.05)
    assert np.exp(first.value + first.rounding) == pytest.approx(0.15)


def test_medians_are_survival_at_the_printed_time(make):
    found = of(
        make, survival=[{"id": "m", "median": 14.2, "digits": 1, "lower": 9.0, "upper": 20.5, "group": GROUP, "prob": 0.9}]
    )
    assert list(found) == ["m", "m, lower limit", "m, upper limit"]
    for item, kind, time in zip(
        found.values(), ("survival", "survival_lower", "survival_upper"), (14.2, 9.0, 20.5), strict=True
    ):
        assert (item.kind, item.value, item.time) == (kind, 0.5, time)
        assert (item.rounding, item.rounds_time) == (0.05, True)  # months, not survival
        assert (item.group, item.prob, item.inequality) == ({"arm": ("a",)}, 0.9, False)


def test_milestones_are_rounded_as_percentages(make):
    item = of(make, survival=[{"id": "s", "time": 24, "survival": 0.879, "digits": 1}])["s"]
    assert (item.kind, item.value, item.time, item.rounds_time) == ("survival", 0.879, 24, False)
    assert item.rounding == pytest.approx(0.0005)
    found = of(make, survival=[{"id": "s", "time": 24, "survival": 0.88, "lower": 0.78, "upper": 0.94}])
    width = found["s, log width"]
    assert width.value == pytest.approx(np.log(0.16))
    # Both limits move by half a per cent: the width is between 15 and 17 %.
    assert np.log(0.15) == pytest.approx(width.value - width.rounding, abs=0.005)
    assert np.log(0.17) == pytest.approx(width.value + width.rounding, abs=0.005)


def test_not_reached_is_a_condition_and_no_number(make):
    found = of(make, survival=[MEDIAN, {"id": "a", "median": "not reached", "group": GROUP}])
    assert found["a"].inequality
    problem = make.problem(
        make.evidence(categorical=[ARM], survival=[MEDIAN, {"id": "a", "median": "not reached", "group": GROUP}])
    )
    assert [problem.targets[place].id for place in problem.fitted] == ["median"]
    met = inequalities_met(np.array([[0.1, 0.51], [0.9, 0.5], [0.5, 0.2]]), problem.targets)
    assert met.tolist() == [True, False, False]
    soft = make.evidence(
        categorical=[ARM], survival=[MEDIAN, {"id": "a", "median": "not reached", "group": GROUP, "status": "soft"}]
    )
    assert inequalities_met(np.array([[0.1, 0.2]]), make.problem(soft).targets).tolist() == [True]


def test_an_upper_limit_that_is_not_reached_is_a_condition_on_the_limit(make):
    found = of(make, survival=[{"id": "m", "median": 41, "lower": 26, "upper": "not reached", "group": GROUP}])
    assert {name: item.inequality for name, item in found.items()} == {
        "m": False,
        "m, lower limit": False,
        "m, upper limit": True,
    }
    assert found["m, upper limit"].value == 0.5


def test_curves_are_read_where_they_say_something(make):
    found = of(
        make,
        curve=[
            {
                "id": "c",
                "times": [0, 6, 12, 60],
                "survival": [1.0, 0.8, 0.55, 0.0],
                "precision": 0.02,
                "at_risk_times": [0, 12],
                "at_risk": [40, 18],
                "group": GROUP,
            }
        ],
    )
    assert [(item.kind, item.time, item.value, item.rounding) for item in found.values()] == [
        ("survival", 6, 0.8, 0.02),
        ("survival", 12, 0.55, 0.02),
        ("at_risk", 12, 18, 0.5),
    ]
    assert all(item.group == {"arm": ("a",)} for item in found.values())


def test_events_and_cross_tables_are_counts(make):
    stage = {"name": "stage", "levels": {"I": 30, "II": 50}}
    joint = {"id": "t", "between": ["arm", "stage"], "counts": {"a": {"I": 20, "II": 20}, "b": {"I": 10, "II": 30}}}
    problem = make.problem(
        make.evidence(
            categorical=[ARM, stage],
            joint=[joint],
            events=[{"id": "deaths", "events": 51}, {"id": "of a", "events": 20, "group": GROUP}],
        )
    )
    found = {item.id: item for item in problem.targets}
    assert (found["deaths"].kind, found["deaths"].value, found["deaths"].group) == ("events", 51, None)
    assert (found["of a"].value, found["of a"].group) == (20, {"arm": ("a",)})
    cells = {name: item.value for name, item in found.items() if item.kind == "joint"}
    assert cells == {"t: a, I": 20, "t: a, II": 20, "t: b, I": 10, "t: b, II": 30}
    assert found["t: b, I"].group == {"arm": ("b",), "stage": ("I",)}


@pytest.mark.parametrize(
    ("said", "reading", "taken"),
    [
        ("observed", None, "observed"),
        ("reverse-kaplan-meier", None, "reverse-kaplan-meier"),
        ("alive-only", None, "alive-only"),
        ("unstated", "reverse-kaplan-meier", "reverse-kaplan-meier"),
    ],
)
def test_what_a_median_follow_up_is_of(make, said, reading, taken):
    follow = {"median": 13, "definition": said, **({"reading": reading} if reading else {})}
    found = of(make, survival=[MEDIAN], follow_up=[follow])["follow_up: median"]
    assert (found.definition, found.kind, found.value, found.time, found.rounding) == (taken, "follow_up_share", 0.5, 13, 0.5)


def test_quartiles_and_range_of_follow_up(make):
    follow = {"median": 13, "quartiles": [8, 21], "range": [0, 92], "definition": "observed"}
    found = of(make, survival=[MEDIAN], follow_up=[follow])
    # Three quarters are followed longer than the lower quartile, one quarter longer than the upper one.
    quartiles = [found[f"follow_up: quartile {place}"] for place in (1, 3)]
    assert [(item.value, item.time) for item in quartiles] == [(0.75, 8), (0.25, 21)]
    longest, shortest = found["follow_up: longest"], found["follow_up: shortest"]
    box = longest.value + longest.rounding * np.array([-1, 1])
    assert np.exp(box) == pytest.approx([91.5, 92.5])
    # Printed as 0: anywhere below a half, but not at minus infinity.
    assert np.exp(shortest.value + shortest.rounding) == pytest.approx(0.5)
    assert 0 < np.exp(shortest.value - shortest.rounding) < 0.25


@pytest.mark.parametrize(
    ("status", "listed", "fitted", "factor"), [("fit", 2, 2, 1), ("soft", 2, 2, 16), ("held_out", 2, 1, 1)]
)
def test_how_a_number_of_each_status_is_used(make, status, listed, fitted, factor):
    survival = [MEDIAN, {"id": "year", "time": 12, "survival": 0.6, "status": status}]
    problem = make.problem(make.evidence(survival=survival))
    assert len(problem.targets) == listed
    assert len(problem.fitted) == fitted
    assert problem.variance_factor.tolist() == [1.0, float(factor)][:fitted]
    assert problem.targets[1].status == status


def test_conflicts_are_set_aside(make):
    survival = [MEDIAN, {"id": "year", "time": 12, "survival": 0.1, "status": "conflict"}]
    follow = [{"median": 13, "definition": "observed", "status": "conflict"}]
    assert list(of(make, survival=survival, follow_up=follow)) == ["median"]


def test_targets_of_an_endpoint_are_its_own(make):
    tables = {
        "survival": [MEDIAN, {"id": "pfs", "endpoint": "pfs", "median": 4}],
        "events": [{"id": "deaths", "events": 50}, {"id": "progressions", "endpoint": "pfs", "events": 70}],
    }
    paper = make.evidence(**tables)
    assert [item.id for item in make.problem(paper).targets] == ["median", "deaths"]
    assert [item.id for item in make.problem(paper, endpoint="pfs").targets] == ["pfs", "progressions"]


@pytest.mark.parametrize("definition", ["observed", "reverse-kaplan-meier", "alive-only"])
def test_follow_up_is_of_survival(make, definition):
    """How long patients were watched for death: progression comes before, but the end of follow-up is the same."""
    follow = [{"median": 13, "range": [2, 92], "definition": definition}]
    paper = make.evidence(survival=[MEDIAN, {"id": "pfs", "endpoint": "pfs", "median": 4}], follow_up=follow)
    survival, progression = make.problem(paper), make.problem(paper, endpoint="pfs")
    assert [item.id for item in survival.targets[1:]] == [f"follow_up: {what}" for what in ("median", "shortest", "longest")]
    found = [item.id for item in progression.targets[1:]]
    assert found == (["follow_up: median"] if definition == "reverse-kaplan-meier" else [])
    assert "logit_guarantee_time" not in progression.parameters.names


def test_every_number_of_krog_is_a_target_once(make):
    """Table 3 has 10 univariate rows and 4 multivariate ones with ratio and interval; 8 medians and rates; 3 of follow-up."""
    paper = sw.load_evidence("krog-20-04")
    problem = make.problem(paper)
    kinds = [item.kind for item in problem.targets]
    assert kinds.count("log_hazard_ratio") == kinds.count("log_standard_error") == 14
    assert kinds.count("survival") == 7  # overall, 2 years, three groups, adrenal gland, lymph nodes
    assert kinds.count("beyond_last") == 1
    assert kinds[-3:] == ["follow_up_share", "log_shortest", "log_longest"]
    assert len(kinds) == 28 + 8 + 3
    assert [problem.targets[one].id for one, _ in problem.contrasts] == [
        f"univariate-{name}, log hazard ratio"
        for name in (
            "ecog: ecog[1|2]",
            "child_pugh: child_pugh[B]",
            "primary: primary[uncontrolled]",
            "interval: interval[metachronous]",
        )
    ]
