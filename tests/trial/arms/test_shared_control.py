"""Comparisons with one control arm: each as of two arms, together as Dunnett (1955, J Am Stat Assoc 50:1096) has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pytest
from lifelines.statistics import logrank_test
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from sitewise.trial.analysis import Analysed
from sitewise.trial.analysis.analysis import FAILED, OK
from sitewise.trial.analysis.dispatch import analysis_of
from sitewise.trial.assessment import analysis_for
from sitewise.trial.campaign import run_campaign, worlds_of
from sitewise.trial.campaign.block import BlockJob, do_block
from sitewise.trial.conduct import Snapshot, look_times, simulate_trials, snapshot
from sitewise.trial.operating import decide, operating_characteristics
from sitewise.trial.operating.calibrated import thresholds_for
from sitewise.trial.sources import cohorts_of

TRIALS = 6000
NULL = [{"name": "planned", "null": True, "hazard_ratio": 1.0}]
"""One world only: nothing works."""
CRITERIA = [
    {"name": "A works", "estimand": "hazard_ratio", "below": 1.0},
    {"name": "B works", "estimand": "hazard_ratio", "below": 1.0, "arm": "B"},
]


def seen_at(plan, truth, *, trials: int) -> Snapshot:
    made = simulate_trials(truth, arms=plan.arms, accrual=plan.accrual, follow_up=plan.follow_up, trials=trials, seed=4)
    calendar = look_times(made, plan.look, close=plan.follow_up.close).calendar[:, -1]
    return snapshot(made, calendar, group_of_profile=truth.group_of_profile, groups=truth.groups)


def only(seen: Snapshot, row: int, arm: int) -> Snapshot:
    """One trial with the patients of one experimental arm and of control, as if there had never been others."""
    patients = np.flatnonzero((seen.arm[row] == 0) | (seen.arm[row] == arm))
    kept = {
        item.name: getattr(seen, item.name)[row : row + 1][:, patients]
        for item in fields(seen)
        if getattr(getattr(seen, item.name), "ndim", 0) == 2
    }
    made = replace(seen.some(slice(row, row + 1)), **kept)
    return replace(made, arm=(made.arm > 0).astype(np.int8))


ANALYSES = {
    "log-rank": {"method": "log-rank", "adjust": ["site"]},
    "cox": {"method": "cox", "adjust": ["risk_group"]},
    "conjugate": {"method": "conjugate", "adjust": ["site", "risk_group"]},
    "hierarchical": {"method": "hierarchical", "draws": 200},
    "pooled control": {"method": "conjugate", "adjust": ["risk_group"]},
}


@pytest.mark.parametrize("name", list(ANALYSES))
def test_a_comparison_is_that_of_its_two_arms_alone(make_design, name):
    """Also where the control arm is pooled with a historical cohort, in both comparisons."""
    content = {
        "truth": {"cohort_arm": "control", "effect": {"hazard_ratio": 0.6}, "draws": "krog-20-04"},
        "arms": {"kind": "randomised", "patients": 90, "further": [{"name": "B", "hazard_ratio": 0.8}]},
        "look": [{"name": "first", "when": {"events": 30}}, {"name": "final", "when": {"events": 60}}],
        "criterion": [*CRITERIA, {**CRITERIA[1], "name": "large", "below": 0.9}],
        "analysis": ANALYSES[name],
    }
    if name == "pooled control":
        content["borrowing"] = {"arm": "control", "method": "pooled", "draws": "krog-20-04"}
    plan = make_design(**content)
    cohorts = cohorts_of(plan)
    analysis = analysis_for(plan, cohorts)
    world = worlds_of(plan, cohorts.truth)[0]
    kept = do_block(BlockJob(plan, world, analysis, 4, 0, 3))
    seen = seen_at(plan, world.truth, trials=3)
    for row in range(3):
        for arm, places in ((1, [0]), (2, [1, 2])):
            criteria = [plan.criterion[place] for place in places]
            own = analysis.analyse(only(seen, row, arm), criteria, seed=4, look=1 + 2 * (arm - 1))
            assert own.status[0] == OK
            for what in ("probability", "estimate", "sd"):
                np.testing.assert_allclose(kept[what][row, 1, places], getattr(own, what)[0], rtol=1e-9, err_msg=what)
    assert not np.allclose(kept["estimate"][:, 1, 0], kept["estimate"][:, 1, 1])


def test_nobody_of_another_arm_is_in_a_comparison(make_design):
    plan = make_design({"arms.patients": 60}, look=[{"name": "final", "when": {"events": 30}}])
    seen = seen_at(plan, cohorts_of(plan).truth, trials=4)
    for arm in (1, 2):
        pair = seen.versus(arm)
        for row in range(4):
            alone = only(seen, row, arm)
            assert pair.patients[row] == alone.patients[0]
            assert pair.events[row] == alone.events[0]
            assert pair.ended[row].sum() == alone.ended[0].sum()
            assert np.array_equal(pair.time[row][pair.included[row]], alone.time[0][alone.included[0]])
            assert np.array_equal(pair.arm[row][pair.included[row]], alone.arm[0][alone.included[0]])


def test_log_rank_statistics_of_both_comparisons_against_lifelines(make_design):
    plan = make_design({"arms.patients": 120, "follow_up.close": 30.0}, look=[{"name": "final", "when": {"calendar": 20.0}}])
    truth = cohorts_of(plan).truth
    analysis = analysis_for(plan, cohorts_of(plan))
    kept = do_block(BlockJob(plan, worlds_of(plan, truth)[0], analysis, 4, 0, 5))
    seen = seen_at(plan, truth, trials=5)
    for row in range(5):
        own = seen.included[row]
        for place, arm in enumerate((1, 2)):
            one, other = own & (seen.arm[row] == arm), own & (seen.arm[row] == 0)
            test = logrank_test(seen.time[row, one], seen.time[row, other], seen.event[row, one], seen.event[row, other])
            z = kept["estimate"][row, 0, place] / kept["sd"][row, 0, place]
            assert z**2 == pytest.approx(test.test_statistic, rel=1e-9)
        counted = [int((own & (seen.arm[row] == arm)).sum()) for arm in range(3)]
        assert kept["patients_of_arm"][row, 0].tolist() == counted
        assert kept["events_of_arm"][row, 0].tolist() == [
            int((seen.event[row] & (seen.arm[row] == arm)).sum()) for arm in range(3)
        ]


def null_results(make_design, *, allocation=(1, 1), places=1, seed=1, trials=TRIALS, **tables):
    plan = make_design(
        {"arms.allocation": allocation, "arms.further.B.places": places, "arms.patients": 300}, scenario=NULL, **tables
    )
    truth = cohorts_of(plan).truth
    analysis = analysis_of(plan.analysis, randomised=True, groups=truth.groups, sites=2)
    return run_campaign(plan, worlds_of(plan, truth), analysis=analysis, trials=trials, seed=seed)


def correlation_of(control: float, first: float, other: float) -> float:
    return float(np.sqrt(first / (control + first) * other / (control + other)))


@pytest.mark.parametrize(
    ("allocation", "places", "expected"), [((1, 1), 1, 0.5), ((2, 1), 3, np.sqrt(1 / 2)), ((1, 2), 1, 1 / 3)]
)
def test_statistics_with_one_control_have_the_correlation_of_dunnett(make_design, allocation, places, expected):
    """Everybody has the event, and nothing works: the arms' shares of those at risk stay those of the allocation."""
    r = correlation_of(allocation[1], allocation[0], places)
    assert r == pytest.approx(expected)
    data = null_results(make_design, allocation=allocation, places=places).data.isel(scenario=0, look=0)
    z = (data["estimate"] / data["sd"]).to_numpy()
    assert np.abs(z.mean(axis=0)).max() < 3.3 / np.sqrt(TRIALS)
    assert abs(np.corrcoef(z.T)[0, 1] - r) < 3.3 * (1 - r**2) / np.sqrt(TRIALS)


def any_error(c: float, r: float = 0.5) -> float:
    """Dunnett's probability that one of two statistics is above c."""
    return float(1 - multivariate_normal.cdf([c, c], cov=[[1, r], [r, 1]]))


@pytest.mark.parametrize("success", ["any", "all"])
def test_family_wise_error_is_that_of_dunnett(make_design, success):
    results = null_results(make_design, arms={**ARMS, "success": success})
    c = norm.ppf(0.975)
    expected = any_error(c) if success == "any" else 2 * norm.sf(c) - any_error(c)
    table = operating_characteristics(results).set_index(["quantity", "of"])["value"]
    assert abs(table["success", ""] - expected) < 3.3 * np.sqrt(expected * (1 - expected) / TRIALS)
    for arm in ("experimental", "B"):
        assert abs(table["success of arm", arm] - 0.025) < 3.3 * np.sqrt(0.025 * 0.975 / TRIALS)
    errors = thresholds_for(results).errors
    assert errors["type_one_error"].tolist() == [table["success", ""]]
    assert [table["patients of arm", arm] for arm in ("control", "experimental", "B")] == [100.0, 100.0, 100.0]
    assert table["events", ""] == pytest.approx(sum(table["events of arm", arm] for arm in ("control", "experimental", "B")))


ARMS = {
    "kind": "randomised",
    "patients": 300,
    "further": [{"name": "B", "hazard_ratio": 0.8}],
    "stratify": [],
    "blocks": 1,
}


def test_a_threshold_that_both_arms_share_holds_the_family_wise_error(make_design):
    """The calibrated threshold is Dunnett's critical value, 2.21 for one-sided 0.025, within 3.3 of its standard errors."""
    calibration = {"criterion": ["A works", "B works"], "alpha": 0.025}
    results, other = (null_results(make_design, calibration=calibration, seed=seed) for seed in (1, 2))
    found = thresholds_for(results, validation=other)
    critical = brentq(lambda c: any_error(c) - 0.025, 1.5, 3.0)
    assert critical == pytest.approx(2.212, abs=0.001)
    assert found.found is not None
    threshold = found.values[0, 0]
    assert found.values.tolist() == [[threshold, threshold]]
    assert abs(threshold - norm.cdf(critical)) < 3.3 * found.found.threshold_standard_error[0]
    errors = found.errors.set_index("set")["type_one_error"]
    assert errors["calibration"] <= 0.025
    # Both the threshold and its check have Monte Carlo error.
    assert abs(errors["validation"] - 0.025) < 3.3 * np.sqrt(2 * 0.025 * 0.975 / TRIALS)
    decided = decide(results, thresholds=found.values)
    assert (decided.outcome == 1).mean() == errors["calibration"]


@dataclass(frozen=True)
class Noted:
    """Notes what it is asked, and fails in some trials of some arms."""

    name: str = "noted"
    asked: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list)

    def analyse(self, seen: Snapshot, criteria: Sequence, /, *, seed: int, look: int) -> Analysed:
        assert set(np.unique(seen.arm)) <= {0, 1}
        self.asked.append((seed, look, tuple(item.name for item in criteria)))
        value = np.full((len(seen), len(criteria)), float(look))
        return Analysed(value, value, value, np.where((seen.number == 1) & (look >= 2), FAILED, OK).astype(np.int8))


def test_each_arm_is_asked_its_own_criteria_with_its_own_random_numbers(make_design):
    looks = [{"name": "first", "when": {"events": 100}}, {"name": "final", "when": {"calendar": 499.0}}]
    plan = make_design(look=looks, criterion=[CRITERIA[1], CRITERIA[0], {**CRITERIA[1], "name": "again"}])
    analysis = Noted()
    results = run_campaign(plan, worlds_of(plan, cohorts_of(plan).truth)[:1], analysis=analysis, trials=3, seed=9)
    b = ("B works", "again")
    assert analysis.asked == [(9, 0, ("A works",)), (9, 2, b), (9, 1, ("A works",)), (9, 3, b)]
    assert results.data["probability"][0, 0].to_numpy().tolist() == [[2, 0, 2], [3, 1, 3]]
    assert results.data["status"][0, :, 0].to_numpy().tolist() == [OK, FAILED, OK]
    assert results.data["arm"].to_numpy().tolist() == ["control", "experimental", "B"]
