"""Every refusal of a trial's plan, with what it says."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from sitewise.problems import SitewiseError, TrialError
from sitewise.trial.plan.accrual import Accrual, FollowUp
from sitewise.trial.plan.analysis import NormalPrior
from sitewise.trial.plan.design import TrialDesign, read_design
from sitewise.trial.plan.looks import Trigger
from sitewise.trial.plan.truth import PointGroup

BASE = """
id = "example"
title = "Is the new agent better?"

[truth]
cohort_arm = "control"
effect = { hazard_ratio = 0.7, sd = 0.2 }
point = { baseline = { median = 12.0, family = "weibull", parameters = { shape = 1.2 } }, site_sd = 0.3, group = [
  { name = "good", share = 0.4 },
  { name = "poor", share = 0.6, log_hazard_ratio = 0.7 },
] }

[arms]
kind = "randomised"
patients = 120

[accrual]
sites = 6
rate = 0.8

[follow_up]
close = 60.0

[[look]]
name = "interim"
when = { events = 40 }

[[look]]
name = "final"
when = { events = 80 }

[[criterion]]
name = "benefit"
estimand = "hazard_ratio"
below = 1.0
"""
SINGLE = BASE.replace('kind = "randomised"', 'kind = "single-arm"')


def content(text: str = BASE) -> dict[str, Any]:
    return tomllib.loads(text)


def put(place: str, value: Any, *, text: str = BASE) -> dict[str, Any]:
    """The example with another value at a place; numbers are places in lists."""
    made = content(text)
    current: Any = made
    *path, last = place.split(".")
    for key in path:
        current = current[int(key)] if isinstance(current, list) else current.setdefault(key, {})
    if isinstance(current, list):
        current.append(value)
    else:
        current[last] = value
    return made


def says(made: dict[str, Any], *words: str) -> None:
    with pytest.raises(TrialError) as raised:
        TrialDesign.from_dict(made)
    for word in words:
        assert word in str(raised.value)


def test_the_example_is_possible():
    design = TrialDesign.from_dict(content())
    assert design.arms.patients == 120
    assert [look.name for look in design.look] == ["interim", "final"]


VALUES = {
    # accrual
    "accrual.rate": (0.0, "accrual rate: must be positive; it is 0"),
    "accrual.rate ": (-1.0, "accrual rate: must be positive; it is -1"),
    "accrual.rate  ": ([1.0, 2.0], "must be one number or 6 numbers, one a site"),
    "accrual.rate   ": ([1.0, 2.0, 0.0, 1.0, 1.0, 1.0], "must be positive"),
    "accrual.rate    ": ([], "must be one number or 6 numbers"),
    "accrual.sites": (0, "accrual sites: must be 1 to 32767; it is 0"),
    "accrual.sites ": (40000, "accrual sites: must be 1 to 32767; it is 40000"),
    "accrual.rate_shape": (0.0, "accrual rate_shape: must be positive"),
    "accrual.opening": ([0.0, 1.0], "must be 6 times, one a site; there are 2"),
    "accrual.opening ": ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "has no site that opens at time 0"),
    "accrual.opening  ": ([0.0, 1.0, 2.0, 3.0, 4.0, -1.0], "must be zero or positive"),
    "accrual.ramp": (-1.0, "must be zero or positive"),
    "accrual.open_every": (12.0, "opens a site after the trial closes at 60"),
    "accrual.cap": (19, "allows 114 patients at all sites together; the trial wants 120"),
    "accrual.cap ": (0, "accrual cap: must be at least 1; it is 0"),
    "accrual.longest": (0.0, "accrual longest: must be positive"),
    "accrual.pattern": ("even", "accrual pattern: is 'even'. It can be 'poisson' or 'uniform'"),
    # follow-up
    "follow_up.close": (0.0, "follow_up close: must be positive"),
    "follow_up.longest": (-2.0, "follow_up longest: must be positive"),
    "follow_up.assess_every": (0.0, "follow_up assess_every: must be positive"),
    "follow_up.assess_every ": (60.0, "assess_every: is 60, and the trial closes at 60: no event would ever be found"),
    "follow_up ": (
        {"close": 60.0, "longest": 12.0, "assess_every": 40.0},
        "follow_up assess_every: is 40, and patients are followed for 12 at most: no event would ever be found. Assess more",
    ),
    "follow_up.dropout": ({"share": 0.0, "by": 12.0}, "dropout share: must be inside (0, 1); it is 0"),
    "follow_up.dropout ": ({"share": 1.0, "by": 12.0}, "dropout share: must be inside (0, 1); it is 1"),
    "follow_up.dropout  ": ({"share": 0.1, "by": 0.0}, "dropout by: must be positive"),
    "follow_up.dropout   ": ({"share": 0.1, "by": 12.0, "shape": 0.0}, "dropout shape: must be positive"),
    # arms
    "arms.kind": ("two-arm", "arms kind: is 'two-arm'. It can be 'single-arm' or 'randomised'"),
    "arms.patients": (1, "arms patients: must be at least 2; it is 1"),
    "arms.patients ": (120.5, "arms patients: must be a whole number"),
    "arms.allocation": ([1, 0], "must be two positive whole numbers"),
    "arms.allocation ": ([2, 1, 1], "arms allocation: must have 2 items; it has 3"),
    "arms.blocks": (0, "arms blocks: must be at least 1"),
    "arms.stratify": (["centre"], "is 'centre'. It can be 'site' or 'risk_group'"),
    "arms.stratify ": (["site", "site"], "names something twice"),
    "arms.enrich": (["good", "good"], "names something twice"),
    "arms.enrich ": (["goood"], "arms enrich: names risk group 'goood'. Did you mean 'good'?"),
    # looks
    "look.0.name": (" ", "name: is empty"),
    "look.0.name ": ("final", "'final' is the name of 2 looks"),
    "look.0.when": ({}, "must have one of events, calendar, enrolled, followed, all, any; it has nothing"),
    "look.0.when ": ({"events": 40, "calendar": 12.0}, "it has events, calendar"),
    "look.0.when  ": ({"events": 0}, "events: must be positive"),
    "look.0.when   ": ({"calendar": 0.0}, "calendar: must be positive"),
    "look.0.when    ": ({"enrolled": -3}, "enrolled: must be positive"),
    "look.0.when     ": ({"events": 80}, "look 'final': is out of order: its events 80 are not above the 80 of look 'interim'"),
    "look.0.when      ": ({"events": 121}, "waits for 121 events of 120 patients"),
    "look.0.when       ": ({"enrolled": 121}, "waits for 121 of 120 patients"),
    "look.0.when        ": ({"followed": {"patients": 121, "time": 1.0}}, "waits for 121 followed of 120 patients"),
    "look.0.when         ": ({"followed": {"patients": 0, "time": 1.0}}, "patients: must be positive"),
    "look.0.when          ": ({"followed": {"patients": 9, "time": -1.0}}, "time: must be zero or positive"),
    "look.0.when           ": ({"followed": {"patients": 9, "time": 60.0}}, "followed for 60, and the trial closes at 60"),
    "look.0.when            ": ({"calendar": 61.0}, "is at 61, after the trial closes at 60"),
    "look.0.when             ": ({"any": [{"events": 9}, {"all": [{"events": 500}]}]}, "waits for 500 events"),
    "look": ([], "look: is missing"),
    # criteria
    "criterion": ([], "has no criterion of success"),
    "criterion.0.above": (0.5, "give either above or below"),
    "criterion.0.probability": (0.0, "probability: must be inside (0, 1); it is 0"),
    "criterion.0.probability ": (1.0, "probability: must be inside (0, 1); it is 1"),
    "criterion.0.probability  ": (97.5, "probability: must be inside (0, 1); it is 97.5"),
    "criterion.0.below": (0.0, "must be positive for hazard_ratio; it is 0"),
    "criterion.0.at": (12.0, "has no meaning for hazard_ratio"),
    "criterion.0.against": ("control", "has no meaning for a hazard ratio, which is a comparison already"),
    "criterion.0.looks": (["finale"], "names look 'finale'. Did you mean 'final'?"),
    "criterion.0.predictive": (True, "is of futility criteria only"),
    "criterion.0.group": ("poore", "names risk group 'poore'. Did you mean 'poor'?"),
    "criterion.0.estimand": ("hr", "estimand: is 'hr'. It can be"),
    # truth
    "truth.cohort_arm": ("both", "cohort_arm: is 'both'. It can be 'experimental' or 'control'"),
    "truth.fit": ("folder", "must have one of draws, fit, scenario, point; it has fit, point"),
    "truth.discount": (0.0, "discount: must be inside (0, 1]; it is 0"),
    "truth.guarantee_time": ("keep", "guarantee_reason: is missing"),
    "truth.case_mix": ({"good": 0.5, "poor": 0.6}, "case_mix: must have shares of zero or more with sum 1"),
    "truth.case_mix ": ({"good": 1.5, "poor": -0.5}, "case_mix: must have shares of zero or more with sum 1"),
    "truth.case_mix  ": ({"good": 0.5, "bad": 0.5}, "names risk group 'bad'"),
    "truth.bias": ({"mean": 0.2}, "bias reason: is missing"),
    "truth.bias ": ({"sd": -0.2, "reason": "x"}, "bias sd: must be zero or positive"),
    "truth.effect": ({}, "give either hazard_ratio or published"),
    "truth.effect ": ({"hazard_ratio": -0.5}, "hazard_ratio: must be positive"),
    "truth.effect  ": ({"hazard_ratio": 0.5, "sd": -0.1}, "sd: must be zero or positive"),
    "truth.effect   ": ({"hazard_ratio": 0.5, "cured": 1.0}, "cured: must be inside [0, 1)"),
    "truth.effect    ": ({"hazard_ratio": 0.5, "wanes_from": 3.0}, "must be given together"),
    "truth.effect     ": ({"hazard_ratio": 0.5, "wanes_from": 3.0, "wanes_until": 3.0}, "must be after wanes_from"),
    "truth.effect      ": (
        {"hazard_ratio": 0.5, "delay": 4.0, "wanes_from": 3.0, "wanes_until": 9.0},
        "must be after wanes_from, and that not before delay",
    ),
    "truth.effect       ": ({"hazard_ratio": 0.5, "delay": -1.0}, "delay: must be zero or positive"),
    "truth.effect        ": ({"hazard_ratio": 0.5, "site_sd": -1.0}, "site_sd: must be zero or positive"),
    "truth.effect.published": ({"hazard_ratio": 0.5, "lower": 0.3, "upper": 0.9}, "give either hazard_ratio or published"),
    "truth.effect         ": (
        {"sd": 0.1, "published": {"hazard_ratio": 0.5, "lower": 0.3, "upper": 0.9}},
        "is given beside published",
    ),
    "truth.effect          ": ({"published": {"hazard_ratio": 1.5, "lower": 0.3, "upper": 0.9}}, "must lie on either side"),
    "truth.effect           ": (
        {"published": {"hazard_ratio": 0.5, "lower": 0.3, "upper": 0.9, "prob": 1.0}},
        "prob: must be inside (0, 1)",
    ),
    "truth.point.site_sd": (-0.1, "site_sd: must be zero or positive"),
    "truth.point.group": ([{"name": "a", "share": 0.5}, {"name": "a", "share": 0.5}], "names a group twice"),
    "truth.point.group ": ([{"name": "a", "share": 0.5}, {"name": "b", "share": 0.6}], "positive shares with sum 1"),
    # analysis
    "analysis": ({"site_sd": 0.0}, "analysis site_sd: must be positive"),
    "analysis ": ({"draws": 50}, "must be at least 100; it is 50"),
    "analysis  ": ({"method": "cox", "treatment_by_site": True}, "has no meaning with method = 'cox'"),
    "analysis   ": ({"adjust": ["risk_group"], "treatment_by_site": True}, "needs 'site' in adjust"),
    "analysis    ": ({"treatment": {"mean": 0.0, "sd": 0.0}}, "treatment sd: must be positive"),
    "analysis     ": ({"shape": {"mean": 0.1}}, "shape sd: is missing"),
    "analysis      ": ({"median_survival": {"median": -1.0}}, "median: must be positive"),
    "analysis       ": ({"adjust": ["stage"]}, "is 'stage'. It can be"),
    # cohorts
    "benchmark": ({"draws": "krog-20-04"}, "is of single-arm trials; this one has a control arm"),
    "benchmark ": ({}, "must have one of draws, fit; it has none"),
    "benchmark  ": ({"draws": "a", "fit": "b"}, "must have one of draws, fit; it has draws, fit"),
    "borrowing": (
        {"arm": "control", "method": "pooled", "draws": "a"},
        "goes with the analysis 'conjugate', not 'hierarchical'",
    ),
    "borrowing ": ({"arm": "control", "method": "pooled"}, "must have one of draws, fit; it has none"),
    "borrowing  ": ({"arm": "control", "method": "power-prior", "draws": "a", "power": 1.2}, "power: must be inside [0, 1]"),
    "borrowing   ": ({"arm": "control", "method": "robust-map", "draws": "a", "weight": -1.0}, "weight: must be inside [0, 1]"),
    "borrowing    ": (
        {"arm": "control", "method": "robust-map", "draws": "a", "between_sd": 0.0},
        "between_sd: must be positive",
    ),
    "borrowing     ": ({"arm": "control", "method": "poled", "draws": "a"}, "method: is 'poled'. It can be"),
    # scenarios, simulation, calibration, costs
    "scenario": ([{"name": "a"}, {"name": "a"}], "has the name of another"),
    "scenario ": ([{"name": "a", "at_bound": "benefits"}], "names criterion 'benefits'. Did you mean 'benefit'?"),
    "scenario  ": ([{"name": "a", "hazard_ratio": 0.0}], "hazard_ratio: must be positive"),
    "scenario   ": ([{"name": "a", "accrual_factor": 0.0}], "accrual_factor: must be positive"),
    "scenario    ": ([{"name": "a", "site_sd": -0.1}], "site_sd: must be zero or positive"),
    "scenario     ": ([{"name": "null"}], "scenario 'null': is no null"),
    "simulation": ({"trials": 19}, "must be at least 20; it is 19"),
    "simulation ": ({"seed": -1}, "must be zero or positive"),
    "calibration": ({"criterion": "benefits"}, "calibration criterion: is 'benefits'. Success criteria: 'benefit'"),
    "calibration ": ({"criterion": "benefit", "alpha": 0.0}, "alpha: must be inside (0, 1)"),
    "scenario      ": (
        [{"name": "worse", "at_bound": "benefit", "hazard_ratio": 0.8}],
        "scenario 'worse': has hazard_ratio beside at_bound",
    ),
    "calibration      ": (
        {"criterion": "benefit", "alpha": 0.0005},
        "simulation trials: is 1000; they cannot show a type I error of 0.0005. Simulate 2000 or more.",
    ),
    "costs": ({"patient": -1.0}, "must be zero or positive"),
    "id": (" ", "id: is empty"),
}


@pytest.mark.parametrize(("place", "value", "words"), [(place.strip(), *said) for place, said in VALUES.items()])
def test_what_cannot_be_is_refused_in_its_place(place, value, words):
    says(put(place, value), words)


PARTS = {
    "cohort_arm": ("truth", "cohort_arm", "truth cohort_arm: is missing"),
    "effect": ("truth", "effect", "truth effect: is missing"),
    "point": ("truth", "point", "must have one of draws, fit, scenario, point; it has none"),
    "rate": ("accrual", "rate", "accrual rate: is missing"),
    "close": ("follow_up", "close", "follow_up close: is missing"),
}


@pytest.mark.parametrize(("table", "key", "words"), PARTS.values(), ids=PARTS.keys())
def test_what_must_be_said_is_asked_for(table, key, words):
    made = content()
    del made[table][key]
    says(made, words)


def test_a_look_says_what_it_waits_for():
    made = content()
    del made["look"][0]["when"]
    says(made, "look 1 (interim) when: is missing")


UNKNOWN = {
    "arms.patient": "Did you mean 'patients'?",
    "accrual.rates": "Did you mean 'rate'?",
    "follow_up.closes": "Did you mean 'close'?",
    "truth.effects": "Did you mean 'effect'?",
    "truth.effect.hazardratio": "Did you mean 'hazard_ratio'?",
    "look.0.wen": "Did you mean 'when'?",
    "look.0.when.event": "Did you mean 'events'?",
    "criterion.0.belw": "Did you mean 'below'?",
    "truth.point.groups": "Did you mean 'group'?",
    "analyses": "Did you mean 'analysis'?",
}


@pytest.mark.parametrize(("place", "words"), UNKNOWN.items())
def test_unknown_keys_are_named_with_the_nearest_one(place, words):
    says(put(place, {"x": 1}), f"{place.rsplit('.', 1)[-1]}: is not a known key", words)


def test_looks_of_calendar_and_of_followed_patients_stand_in_their_order():
    for first, second in (({"calendar": 24.0}, {"calendar": 24.0}), ({"enrolled": 50}, {"enrolled": 40})):
        made = put("look.0.when", first)
        made["look"][1]["when"] = second
        says(made, "look 'final': is out of order")
    made = put("look.0.when", {"followed": {"patients": 50, "time": 12.0}})
    made["look"][1]["when"] = {"followed": {"patients": 40, "time": 12.0}}
    says(made, "look 'final': is out of order: its followed patients and their time are not above look 'interim'")
    made["look"][1]["when"] = {"followed": {"patients": 40, "time": 24.0}}
    TrialDesign.from_dict(made)
    # Looks of other kinds have no order of their own.
    made["look"][1]["when"] = {"calendar": 2.0}
    TrialDesign.from_dict(made)


@pytest.mark.parametrize("estimand", ["survival", "rmst"])
def test_a_horizon_beyond_follow_up_is_refused(estimand):
    made = content()
    made["criterion"].append({"name": "late", "estimand": estimand, "above": 0.2, "at": 60.0})
    says(made, "criterion 'late': is about time 60, and the trial closes at 60")
    made["follow_up"]["longest"] = 24.0
    made["criterion"][1]["at"] = 24.5
    says(made, "is about time 24.5, and patients are followed for 24 at most")
    made["criterion"][1]["at"] = 24.0
    TrialDesign.from_dict(made)
    made["look"] = [{"name": "final", "when": {"calendar": 24.0}}]
    says(made, "is about time 24, and the last look is at 24: nobody has been followed so long")


def test_criteria_that_nothing_in_the_trial_answers_are_refused():
    survival = {"name": "long", "estimand": "survival", "above": 0.5, "at": 24.0}
    made = content(SINGLE)
    says(made, "compares with a benchmark, and there is none. Add a table [benchmark]")
    made["criterion"] = [{**survival, "against": "control"}]
    says(made, "compares with a control arm, and the trial has none")
    made["criterion"] = [{**survival, "against": "benchmark"}]
    says(made, "compares with a benchmark, and there is none")
    made["benchmark"] = {"draws": "krog-20-04"}
    TrialDesign.from_dict(made)
    made["analysis"] = {"method": "log-rank"}
    says(made, "is about survival, and log-rank tests hazards only")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at": None}, "at: is missing: survival needs a time"),
        ({"above": 1.0}, "must be inside (0, 1) for survival; it is 1"),
        ({"above": 0.0}, "must be inside (0, 1) for survival; it is 0"),
        ({"above": -1.0, "against": "control"}, "must be inside (-1, 1) for survival; it is -1"),
        ({"estimand": "rmst", "above": 24.0}, "must be inside [0, 24) for this restricted mean; it is 24"),
        ({"estimand": "rmst", "above": -25.0, "against": "control"}, "must be inside [-24, 24) for this restricted mean"),
        ({"estimand": "median", "at": None, "against": "control"}, "has no meaning for a median"),
        ({"estimand": "median", "at": None, "above": 0.0}, "must be positive for median"),
        ({"at": 0.0}, "at: must be positive"),
    ],
)
def test_statements_that_cannot_be_true_or_false_are_refused(changes, words):
    made = content()
    item = {"name": "long", "estimand": "survival", "above": 0.5, "at": 24.0, **changes}
    made["criterion"].append({key: value for key, value in item.items() if value is not None})
    says(made, words)


def test_futility_that_counts_only_at_the_end_is_refused():
    made = content()
    made["criterion"].append(
        {"name": "stop", "estimand": "hazard_ratio", "below": 1.0, "role": "futility", "probability": 0.1, "looks": ["final"]}
    )
    says(made, "counts at the last look only, after which nothing can stop")
    made["criterion"][1]["looks"] = ["interim"]
    made["criterion"].append({**made["criterion"][1]})
    says(made, "criterion 'stop': has the name of another")


def test_a_scenario_at_the_bound_of_a_prediction_is_refused():
    made = content()
    made["criterion"].append({"name": "hopeless", "estimand": "hazard_ratio", "role": "futility", "predictive": True})
    made["scenario"] = [{"name": "edge", "at_bound": "hopeless"}]
    says(made, "names criterion 'hopeless', which is predictive and has no bound")


def test_no_cure_is_told_from_a_cohort_of_the_experimental_arm():
    made = put("truth.cohort_arm", "experimental")
    made["truth"]["effect"] = {"hazard_ratio": 0.7, "cured": 0.1}
    says(made, "cannot be told from a cohort of the experimental arm", "mixture-cure")


def test_a_cohort_is_no_history_of_the_other_arm():
    made = content()
    made["truth"] = {"cohort_arm": "experimental", "effect": {"hazard_ratio": 0.7}, "draws": "krog-20-04"}
    made["analysis"] = {"method": "conjugate"}
    made["borrowing"] = {"arm": "control", "method": "pooled", "draws": "krog-20-04"}
    says(made, "is 'control', and the cohort's patients were treated as the experimental arm")
    made["borrowing"]["arm"] = "experimental"
    TrialDesign.from_dict(made)
    made["arms"]["kind"] = "single-arm"
    says(made, "borrowing: is of randomised trials; a single arm has a benchmark instead")


def test_what_has_no_meaning_with_uniform_accrual_is_refused():
    for key, value in {"rate_shape": 1.5, "open_every": 2.0, "ramp": 1.0, "cap": 30, "longest": 20.0}.items():
        with pytest.raises(TrialError, match=f"{key}: has no meaning with pattern = 'uniform'"):
            Accrual(6, 0.5, pattern="uniform", **{key: value})
    with pytest.raises(TrialError, match="open_every: is given beside opening"):
        Accrual(2, 0.5, opening=(0.0, 3.0), open_every=2.0)


def test_all_problems_are_told_at_once():
    made = content()
    made["arms"]["patients"] = 1
    made["accrual"]["rate"] = -1.0
    made["look"][0]["when"] = {"event": 4}
    made["surplus"] = 1
    says(made, "has 4 problems", "arms patients", "accrual rate", "look 1 (interim) when event", "surplus")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_in_files_and_in_python(value):
    says(put("accrual.rate", value), "accrual rate")
    with pytest.raises(SitewiseError, match="rate: must be a finite number"):
        Accrual(2, value)
    with pytest.raises(SitewiseError, match="share: must be a finite number"):
        PointGroup("a", value)
    with pytest.raises(SitewiseError, match="sd: must be a finite number"):
        NormalPrior(0.0, value)
    with pytest.raises(SitewiseError, match="calendar: must be a finite number"):
        Trigger(calendar=value)


def test_a_file_says_where_it_is_wrong(tmp_path):
    path = tmp_path / "TRIAL.toml"
    path.write_text(BASE.replace("patients = 120", "patients = 0"), encoding="utf-8")
    with pytest.raises(TrialError, match=r"TRIAL.toml has 1 problem:\n.*arms patients: must be at least 2"):
        read_design(path)
    path.write_text("[arms", encoding="utf-8")
    with pytest.raises(TrialError, match=r"TRIAL\.toml is not valid TOML"):
        read_design(path)
    with pytest.raises(TrialError, match="There is no file"):
        read_design(tmp_path / "none.toml")


def test_an_assessment_at_the_very_end_of_follow_up_is_possible():
    assert FollowUp(60.0, longest=12.0, assess_every=12.0).assess_every == 12.0
    assert FollowUp(60.0, assess_every=59.0).assess_every == 59.0


def test_futility_at_the_only_look_is_refused():
    made = content()
    made["look"] = made["look"][1:]
    made["criterion"].append(
        {"name": "hopeless", "role": "futility", "estimand": "hazard_ratio", "above": 1.0, "probability": 0.9}
    )
    says(made, "criterion 'hopeless'", "counts at the last look only, after which nothing can stop")
