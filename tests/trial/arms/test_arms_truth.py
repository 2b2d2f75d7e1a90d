"""What is true of further arms: their draws, true values by quadrature, and the worlds of scenarios."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

from sitewise.problems import TrialError
from sitewise.trial.campaign import worlds_of
from sitewise.trial.conduct import simulate_trials
from sitewise.trial.plan import Criterion, FurtherArm
from sitewise.trial.plan.truth import Effect
from sitewise.trial.sources import cohorts_of
from sitewise.trial.truth import with_further_arms
from sitewise.trial.truth.further import truth_of_arm
from sitewise.trial.truth.true_values import true_value

RATE = np.log(2) / 10.0
SITES, OWN = 0.4, 0.3
"""Spread of the sites' hazards, and of the treatments' effect between them."""


def survival(time: float, log_ratio: float, sd: float) -> float:
    """Survival of an exponential arm, averaged over sites whose log hazards are normal with this sd."""
    return float(integrate.quad(lambda z: stats.norm.pdf(z) * np.exp(-RATE * time * np.exp(log_ratio + sd * z)), -9, 9)[0])


def world_truth(make_design, *, arm: str, ratio: float = 0.8):
    plan = make_design(
        {
            "truth.cohort_arm": arm,
            "truth.point.site_sd": SITES,
            "truth.effect.site_sd": OWN,
            "arms.further.B.hazard_ratio": ratio,
        }
    )
    return plan, cohorts_of(plan).truth


@pytest.mark.parametrize("arm", ["control", "experimental"])
def test_true_survival_of_every_arm_by_quadrature(make_design, arm):
    _, truth = world_truth(make_design, arm=arm)
    at = Criterion("s", "survival", above=0.3, at=12.0)
    # Of a cohort of the first experimental arm: sites change all experimental arms alike, and control against them.
    first = np.log(0.6) if arm == "experimental" else 0.0
    both = float(np.hypot(SITES, OWN))
    sd = {"control": (SITES, both, both), "experimental": (both, SITES, SITES)}[arm]
    expected = [survival(12.0, ratio - first, own) for ratio, own in zip(np.log([1.0, 0.6, 0.8]), sd, strict=True)]
    found = [
        true_value(truth, at, arm="control", code=2)[0],
        true_value(truth, at)[0],
        true_value(truth, at, code=2)[0],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    against = replace(at, against="control", above=0.0)
    assert true_value(truth, against, code=2)[0] == pytest.approx(expected[2] - expected[0], rel=1e-5)
    assert true_value(truth, Criterion("h", "hazard_ratio", below=1.0), code=2)[0] == pytest.approx(0.8)


@pytest.mark.parametrize("arm", ["control", "experimental"])
def test_simulated_patients_survive_as_is_true(make_design, arm):
    """Shares of survivors, trial by trial (patients of a trial share its sites), against the true values."""
    plan, truth = world_truth(make_design, arm=arm)
    trials = simulate_trials(truth, arms=plan.arms, accrual=plan.accrual, follow_up=plan.follow_up, trials=1024, seed=3)
    for code in (0, 1, 2):
        own = trials.arm == code
        share = ((trials.time > 12.0) & own).sum(axis=1) / own.sum(axis=1)
        criterion = Criterion("s", "survival", above=0.3, at=12.0)
        true = true_value(truth, criterion, arm="control" if code == 0 else "experimental", code=max(code, 1))[0]
        assert abs(share.mean() - true) < 3.3 * share.std(ddof=1) / np.sqrt(len(share))


@pytest.mark.parametrize("arm", ["control", "experimental"])
def test_true_survival_with_a_delay(make_design, arm):
    plan = make_design({"truth.cohort_arm": arm, "truth.effect.delay": 4.0})
    truth = cohorts_of(plan).truth
    first = np.log(0.6) if arm == "experimental" else 0.0
    expected = np.exp(-RATE * (4.0 + 8.0 * np.exp(np.log(0.8) - first)))
    criterion = Criterion("s", "survival", above=0.3, at=12.0)
    assert true_value(truth, criterion, code=2)[0] == pytest.approx(expected, rel=1e-9)
    assert np.isnan(true_value(truth, Criterion("h", "hazard_ratio", below=1.0), code=2)[0])


def test_uncertain_effects_are_drawn_on_their_own(make_design):
    plan = make_design({"arms.further.B.sd": 0.2, "truth.effect.sd": 0.3})
    effect = cohorts_of(plan).truth.effect
    first, other = effect.log_hazard_ratio, effect.further[0]
    n = first.size
    assert n == 1000
    assert abs(other.mean() - np.log(0.8)) < 3.3 * 0.2 / np.sqrt(n)
    assert abs(other.std(ddof=1) - 0.2) < 3.3 * 0.2 / np.sqrt(2 * n)
    assert abs(np.corrcoef(first, other)[0, 1]) < 3.3 / np.sqrt(n)
    alone = cohorts_of(make_design({"truth.effect.sd": 0.3})).truth.effect
    assert np.array_equal(alone.log_hazard_ratio, first)


def test_a_known_world_gets_rows_where_a_further_arm_is_uncertain(make_design):
    truth = cohorts_of(make_design({"arms.further.B.sd": 0.2})).truth
    assert truth.rows == 1000
    assert np.ptp(truth.effect.log_hazard_ratio) == 0
    assert truth.effect.further[0].std() > 0.15
    assert "further experimental arms" in truth.sentence


RATIOS = {
    "planned": (0.6, 0.8),
    "null": (1.0, 1.0),
    "both": (0.7, 0.7),
    "only B": (1.0, 0.7),
    "B as planned": (0.5, 0.8),
    "A as planned": (0.6, 1.0),
}


def test_scenarios_state_effects_together_or_one_by_one(make_design):
    scenario = [
        {"name": "null", "null": True, "hazard_ratio": 1.0},
        {"name": "both", "hazard_ratio": 0.7},
        {"name": "only B", "hazard_ratio": 1.0, "hazard_ratios": {"B": 0.7}},
        {"name": "B as planned", "hazard_ratios": {"experimental": 0.5}},
        {"name": "A as planned", "hazard_ratios": {"B": 1.0}},
    ]
    plan = make_design({"truth.effect.delay": 2.0}, scenario=scenario)
    worlds = worlds_of(plan, cohorts_of(plan).truth)
    for world in worlds:
        effect = world.truth.effect
        np.testing.assert_allclose(np.exp([effect.log_hazard_ratio[0], effect.further[0][0]]), RATIOS[world.name], rtol=1e-12)
        assert effect.starts.size == (1 if world.name == "null" else 2)
    assert [world.name for world in worlds] == list(RATIOS)


def test_without_a_null_of_its_own_the_design_has_one_of_no_effect_in_any_arm(make_design):
    plan = make_design()
    planned, null = worlds_of(plan, cohorts_of(plan).truth)
    assert planned.true_values.tolist() == [pytest.approx([0.6, 0.8])]
    assert null.null
    assert null.true_values.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("arm", ["control", "experimental"])
@pytest.mark.parametrize(("against", "bound"), [("value", 0.4), ("control", 0.05)])
def test_at_the_bound_of_the_first_arm_all_experimental_arms_are(make_design, arm, against, bound):
    of_a = {"name": "A", "estimand": "survival", "at": 12.0, "above": bound, "against": against}
    plan = make_design(
        {"truth.cohort_arm": arm},
        criterion=[of_a, {**of_a, "name": "B", "arm": "B"}],
        scenario=[{"name": "bar", "null": True, "at_bound": "A"}],
        analysis={"method": "conjugate"},
    )
    bar = worlds_of(plan, cohorts_of(plan).truth)[1]
    np.testing.assert_allclose(bar.true_values, bound, atol=1e-8)


def test_truths_that_cannot_be_are_refused(make_design):
    plan = make_design()
    truth = cohorts_of(plan).truth
    with pytest.raises(TrialError, match="The truth has 1 further arm; there is none with code 3"):
        truth_of_arm(truth, 3)
    with pytest.raises(TrialError, match="Cure is of the first experimental arm only"):
        truth.with_effect(Effect(hazard_ratio=0.6, cured=0.1))
    with pytest.raises(TrialError, match=r"arrays of other sizes: effect\.log_hazard_ratio"):
        replace(truth, effect=replace(truth.effect, further=(np.zeros(3),)))
    bare = replace(truth, effect=replace(truth.effect, further=()))
    with pytest.raises(TrialError, match="The design has 1 further arm, and the truth has effects of 0"):
        worlds_of(plan, bare)
    assert len(with_further_arms(bare, (FurtherArm("B", 0.8), FurtherArm("C", 1.0))).effect.further) == 2
