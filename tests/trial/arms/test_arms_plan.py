"""Several arms in TRIAL.toml: what is read, what is written again, what is refused."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from sitewise.problems import TrialError
from sitewise.trial.plan import Arms, FurtherArm
from sitewise.trial.plan.design import TrialDesign

TOML = """
id = "three-arms"
title = "Two treatments, one control."

[truth]
cohort_arm = "control"
effect = { hazard_ratio = 0.6 }
point = { baseline = { median = 10.0, family = "exponential" } }

[arms]
kind = "randomised"
patients = 300
allocation = [2, 3]
success = "all"

[[arms.further]]
name = "B"
hazard_ratio = 0.8
places = 2
sd = 0.1

[[arms.further]]
name = "C"
hazard_ratio = 1

[accrual]
sites = 5
rate = 2.0

[follow_up]
close = 60.0

[[look]]
name = "final"
when = { calendar = 59.0 }

[[criterion]]
name = "A works"
estimand = "hazard_ratio"
below = 1.0

[[criterion]]
name = "B works"
estimand = "hazard_ratio"
below = 1.0
arm = "B"

[[criterion]]
name = "C works"
estimand = "hazard_ratio"
below = 1.0
arm = "C"

[calibration]
criterion = ["A works", "B works", "C works"]

[[scenario]]
name = "only B works"
hazard_ratio = 1.0
hazard_ratios = { "B" = 0.7 }
"""
PLAN = TrialDesign.from_dict(tomllib.loads(TOML))


def test_what_a_file_says_is_read():
    arms = PLAN.arms
    assert arms.further == (FurtherArm("B", 0.8, 2, 0.1), FurtherArm("C", 1.0))
    assert arms.names == ("control", "experimental", "B", "C")
    assert arms.block == (6, 4, 4, 2)
    assert [item.arm for item in PLAN.criterion] == ["experimental", "B", "C"]
    assert PLAN.calibration is not None
    assert PLAN.calibration.names == ("A works", "B works", "C works")
    assert PLAN.scenario[0].hazard_ratios == {"B": 0.7}
    assert PLAN.criterion[1].sentence == "hazard ratio below 1 in arm 'B'"


def test_a_design_is_the_same_written_and_read_again():
    again = TrialDesign.from_dict(PLAN.to_dict())
    assert again == PLAN
    assert again.hash == PLAN.hash


def test_a_further_arm_is_changed_by_its_name():
    changed = PLAN.changed({"arms.further.B.hazard_ratio": 0.5, "arms.success": "any"})
    assert changed.arms.further == (FurtherArm("B", 0.5, 2, 0.1), FurtherArm("C", 1.0))
    assert changed.hash != PLAN.hash
    assert changed.changed({"arms.further.B.hazard_ratio": 0.8, "arms.success": "all"}) == PLAN


def test_two_arms_have_the_block_that_they_had():
    assert Arms("randomised", 10, allocation=(2, 1), blocks=2).block == (2, 4)
    assert Arms("single-arm", 10).names == ("control", "experimental")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown arm": ({"criterion.B works.arm": "BB"}, "criterion 'B works': names arm 'BB'. Did you mean 'B'"),
    "control": ({"criterion.B works.arm": "control"}, "names arm 'control'"),
    "no success": ({"criterion.B works.arm": "C"}, "says of no success of arm .*B"),
    "scenario": (
        {"scenario.only B works.hazard_ratios": {"D": 1.0}},
        "scenario 'only B works': names arm 'D' in hazard_ratios",
    ),
    "ratio": ({"scenario.only B works.hazard_ratios": {"B": 0.0}}, "hazard_ratios: must be positive; B 0 is not"),
    "bound beside ratios": ({"scenario.only B works.at_bound": "A works"}, "has hazard_ratios beside at_bound"),
    "bound of B": (
        {"scenario.only B works.at_bound": "B works", "scenario.only B works.hazard_ratios": {}},
        "names criterion 'B works', which is not about the first experimental arm",
    ),
    "cure": ({"truth.effect.cured": 0.1}, "truth effect cured: is of the first experimental arm only"),
    "same name": ({"arms.further.C.name": "B"}, "further: names an arm twice"),
    "name of control": ({"arms.further.C.name": "control"}, "is 'control', the name of another arm"),
    "name of the first": ({"arms.further.C.name": "experimental"}, "is 'experimental', the name of another arm"),
    "no name": ({"arms.further.C.name": " "}, "name: is empty"),
    "no places": ({"arms.further.C.places": 0}, "places: must be at least 1; it is 0"),
    "no ratio": ({"arms.further.C.hazard_ratio": -1.0}, "hazard_ratio: must be positive"),
    "spread": ({"arms.further.C.sd": -0.1}, "sd: must be zero or positive"),
    "word": ({"arms.success": "most"}, "success: is 'most'. It can be 'any' or 'all'"),
    "calibrated": ({"calibration.criterion": ["A works", "D works"]}, "calibration criterion: is 'D works'"),
    "twice": ({"calibration.criterion": ["A works", "A works"]}, "must be a name, or several different ones"),
    "none": ({"calibration.criterion": []}, "must be a name, or several different ones"),
    "spending": ({"calibration.method": "spending", "arms.success": "any"}, "calibration method: is 'spending'"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_is_impossible_is_refused(case):
    changes, words = REFUSED[case]
    with pytest.raises(TrialError, match=words):
        PLAN.changed(changes)


def test_single_arms_have_no_further_ones():
    with pytest.raises(TrialError, match="further: is of randomised trials; this one has no control arm"):
        Arms("single-arm", 10, further=(FurtherArm("B", 0.8),))


def test_spending_goes_with_all_arms():
    assert PLAN.changed({"calibration.method": "spending"}).calibration.method == "spending"


def test_criteria_that_share_a_threshold_count_at_the_same_looks(make_design):
    looks = [{"name": "first", "when": {"events": 100}}, {"name": "final", "when": {"events": 200}}]
    plan = make_design(look=looks, calibration={"criterion": ["A works", "B works"]})
    assert plan.changed({"criterion.B works.looks": ["first", "final"]}).criterion[1].looks == ("first", "final")
    with pytest.raises(TrialError, match="names criteria that count at different looks"):
        plan.changed({"criterion.B works.looks": ["final"]})


def test_history_of_the_first_experimental_arm_is_refused():
    borrowing = {"arm": "experimental", "method": "pooled", "draws": "krog-20-04"}
    with pytest.raises(TrialError, match="borrowing arm: is 'experimental', and there are several such arms"):
        TrialDesign.from_dict({**PLAN.to_dict(), "borrowing": borrowing, "analysis": {"method": "conjugate"}})
