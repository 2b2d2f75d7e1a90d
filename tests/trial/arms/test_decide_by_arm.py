"""Success and futility with several experimental arms, on probabilities made by hand; what a shared threshold decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from sitewise.trial.analysis.analysis import FAILED, OK
from sitewise.trial.campaign import TrialResults, World, worlds_of
from sitewise.trial.campaign.block import NOT_HELD
from sitewise.trial.operating import Outcome, decide
from sitewise.trial.operating.by_arm import success_true
from sitewise.trial.operating.calibrated import null_probabilities
from sitewise.trial.operating.ceiling import success_ceiling
from sitewise.trial.operating.decisions import predictive_probability, thresholds_of
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.sources import cohorts_of

A = {"name": "A", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.9}
B = {"name": "B", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.8, "arm": "B"}
B_LARGE = {"name": "B large", "estimand": "hazard_ratio", "below": 0.8, "probability": 0.5, "arm": "B"}
NO_A = {"name": "no A", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.2, "role": "futility"}
NO_B = {"name": "no B", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.1, "role": "futility", "arm": "B"}
LOOKS = [{"name": "one", "when": {"events": 100}}, {"name": "final", "when": {"events": 200}}]


def design(make, *criteria: dict[str, Any], success: str = "any") -> TrialDesign:
    return make({"arms.success": success}, criterion=list(criteria), look=LOOKS)


def results(plan: TrialDesign, probability: Any, **given: Any) -> TrialResults:
    """One null world; probabilities by trial, look, criterion."""
    world = worlds_of(plan, cohorts_of(plan).truth)[1]
    values = np.asarray(probability, dtype=float)[None]
    shape = values.shape[:3]
    content = {
        "probability": values,
        "estimate": np.full(values.shape, -0.2),
        "sd": np.full(values.shape, 0.3),
        "status": np.full(shape, OK),
        "events": np.broadcast_to([100, 200], shape),
        **given,
    }
    usual = ("scenario", "replicate", "look", "criterion")
    data = xr.Dataset({name: (usual[: np.ndim(value)], value) for name, value in content.items()})
    return TrialResults(plan, (world,), data.assign_coords(null=("scenario", [True])), "by hand")


def ends(found) -> list[tuple[int, str]]:
    return [(int(stop), Outcome(outcome).name) for stop, outcome in zip(found.stop[0], found.outcome[0], strict=True)]


TRIALS = [
    [[0.95, 0.1, 0.6], [0.0, 0.0, 0.0]],  # A at the first look
    [[0.5, 0.85, 0.4], [0.5, 0.85, 0.6]],  # of B one criterion, then both
    [[0.5, 0.5, 0.6], [0.95, 0.85, 0.6]],  # both arms at the last look
    [[0.95, 0.7, 0.6], [0.95, 0.5, 0.6]],  # A always
    [[0.5, 0.85, 0.4], [0.95, np.nan, 0.6]],  # B without an estimate at the end
]


def test_any_arm_makes_the_trial_a_success(make_design):
    found = decide(results(design(make_design, A, B, B_LARGE), TRIALS))
    assert ends(found) == [(0, "SUCCESS"), (1, "SUCCESS"), (1, "SUCCESS"), (0, "SUCCESS"), (1, "SUCCESS")]
    assert found.of_arm[0].tolist() == [[True, False], [False, True], [True, True], [True, False], [True, False]]


def test_all_arms_must_succeed_at_the_same_look(make_design):
    found = decide(results(design(make_design, A, B, B_LARGE, success="all"), TRIALS))
    assert ends(found) == [(1, "NONE"), (1, "NONE"), (1, "SUCCESS"), (1, "NONE"), (1, "NONE")]
    assert found.of_arm[0].tolist() == [[False, False], [False, True], [True, True], [True, False], [True, False]]


@pytest.mark.parametrize("success", ["any", "all"])
def test_a_trial_is_futile_when_every_arm_is(make_design, success):
    plan = design(make_design, A, B, NO_A, NO_B, success=success)
    one, two = [0.5, 0.5, 0.15, 0.15], [0.5, 0.5, 0.15, 0.05]
    found = decide(results(plan, [[one, one], [two, two], [[0.5, 0.5, 0.3, 0.05], two]]))
    # At the last look nothing can stop any more.
    assert ends(found) == [(1, "NONE"), (0, "FUTILITY"), (1, "NONE")]
    alone = design(make_design, A, B, NO_A, success=success)
    assert ends(decide(results(alone, [[two[:3], two[:3]]]))) == [(1, "NONE")]


def test_a_failed_analysis_is_no_success_of_any_arm(make_design):
    status = np.array([[[OK, FAILED]]])
    found = decide(results(design(make_design, A, B), [[[0.5, 0.5], [0.95, 0.95]]], status=status))
    assert ends(found) == [(1, "FAILED")]
    assert not found.of_arm.any()


def test_predicted_success_is_of_the_criterions_own_arm(make_design):
    predictive = {"estimand": "hazard_ratio", "predictive": True, "role": "futility", "probability": 0.1}
    plan = design(make_design, A, B, {**predictive, "name": "pA"}, {**predictive, "name": "pB", "arm": "B"})
    estimate = np.array([[[[-0.5, 0.4, np.nan, np.nan]] * 2]])
    found = decide(results(plan, np.full((1, 2, 4), 0.5), estimate=estimate))
    share, sd = np.array([0.5]), np.array([0.3])
    for place, value, threshold in ((0, -0.5, 0.9), (1, 0.4, 0.8)):
        expected = predictive_probability(np.array([value]), sd, plan.criterion[place], share, threshold)
        assert found.predicted[0, 0, 0, 2 + place] == pytest.approx(expected[0])
    # B is hopeless and A is not.
    assert found.predicted[0, 0, 0, 3] < 0.1 < found.predicted[0, 0, 0, 2]
    assert ends(found) == [(1, "NONE")]


@pytest.mark.parametrize("success", ["any", "all"])
@pytest.mark.parametrize("names", [("A", "B"), ("B",), ("A", "B", "B large"), ()], ids=str)
def test_a_shared_threshold_decides_as_the_trial_is_decided(make_design, success, names):
    """At every threshold: the probability that is calibrated is above it if and only if the trial is a success at the look."""
    plan = design(make_design, A, B, B_LARGE, success=success)
    rng = np.random.default_rng(2)
    values = rng.random((400, 2, 3)).round(2)
    values[rng.random(values.shape) < 0.05] = np.nan
    status = np.where(rng.random((1, 400, 2)) < 0.05, FAILED, OK)
    status[..., 0] = np.where(rng.random((1, 400)) < 0.1, NOT_HELD, status[..., 0])
    found = results(plan, values, status=status)
    got = null_probabilities(found, names, thresholds_of(plan))
    for threshold in (0.3, 0.5, 0.75):
        of_arm = []
        for own in (("A",), ("B", "B large")):
            holds = [
                values[..., place] > (threshold if item.name in names else item.probability)
                for place, item in enumerate(plan.criterion)
                if item.name in own
            ]
            of_arm.append(np.all(holds, axis=0))
        expected = np.any(of_arm, axis=0) if success == "any" else np.all(of_arm, axis=0)
        assert np.array_equal(got[0] > threshold, expected & (status[0] == OK))


def test_success_is_right_where_that_of_any_or_of_all_arms_is(make_design):
    values = np.array([[0.7, 0.9, 0.7], [1.1, 0.9, 0.9], [1.2, 0.7, 0.7], [1.2, 1.1, 1.1], [np.nan, 0.7, 0.7]])
    any_arm, all_arms = (design(make_design, A, B, B_LARGE, success=how) for how in ("any", "all"))
    np.testing.assert_array_equal(success_true(any_arm, values), [1, 0, 1, 0, np.nan])
    np.testing.assert_array_equal(success_true(all_arms, values), [1, 0, 0, 0, np.nan])
    for plan, expected in ((any_arm, 0.5), (all_arms, 0.25)):
        truth = cohorts_of(plan).truth
        known, unknown = (World("w", truth, true_values=own) for own in (values[:4], values))
        assert success_ceiling(plan, known, thresholds=thresholds_of(plan)) == expected
        assert np.isnan(success_ceiling(plan, unknown, thresholds=thresholds_of(plan)))


def test_the_ceiling_is_of_criteria_that_count_at_some_look(make_design):
    """The first arm can succeed at the first look only, and is better in all truths; the other, in half, at both."""
    plan = design(make_design, {**A, "looks": ["one"]}, B)
    world = World("w", cohorts_of(plan).truth, true_values=np.array([[0.7, 1.1], [0.7, 0.9]]))
    thresholds = thresholds_of(plan)
    assert success_ceiling(plan, world, thresholds=thresholds) == 1.0
    assert success_ceiling(plan, world, thresholds=thresholds[-1:]) == 0.5
