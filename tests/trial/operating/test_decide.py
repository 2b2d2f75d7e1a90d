"""Decisions and operating characteristics of campaigns made by hand; predictive probabilities by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from sitewise.families import Exponential
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import FAILED, NOT_ESTIMABLE, OK
from sitewise.trial.campaign import TrialResults, World
from sitewise.trial.campaign.block import NOT_HELD
from sitewise.trial.operating import Outcome, decide, operating_characteristics, thresholds_of
from sitewise.trial.operating.calibrated import fractions
from sitewise.trial.operating.decisions import predictive_probability
from sitewise.trial.plan import Criterion
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth import Profile, TrueEffect, Truth

BENEFIT = {"name": "benefit", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.975}
LARGE = {"name": "large", "estimand": "hazard_ratio", "below": 0.8, "probability": 0.5}
HARM = {"name": "harm", "estimand": "hazard_ratio", "below": 1.0, "role": "futility", "probability": 0.1}
HOPELESS = {"name": "hopeless", "estimand": "hazard_ratio", "role": "futility", "predictive": True, "probability": 0.2}
LOOKS = ("one", "two", "final")


def design(*criteria: dict[str, Any], events: tuple[int, ...] = (20, 40, 60), **more: Any) -> TrialDesign:
    content = {
        "id": "hand",
        "title": "By hand.",
        "truth": {
            "cohort_arm": "control",
            "effect": {"hazard_ratio": 0.6},
            "point": {"baseline": {"median": 10.0, "family": "exponential"}},
        },
        "arms": {"kind": "randomised", "patients": 100},
        "accrual": {"sites": 3, "rate": 1.0},
        "follow_up": {"close": 80.0},
        "look": [{"name": name, "when": {"events": number}} for name, number in zip(LOOKS, events, strict=True)],
        "criterion": list(criteria),
        **more,
    }
    return TrialDesign.from_dict(content)


def world(name: str = "planned", *, null: bool = False) -> World:
    one = np.ones((1, 2))
    effect = TrueEffect.drawn(Effect(hazard_ratio=0.6), 1, rng=np.random.default_rng(0))
    groups = (Profile("a", "good"), Profile("b", "poor"))
    return World(name, Truth(Exponential(), (), np.zeros(1), groups, 0 * one, one / 2, np.zeros(1), "control", effect), null)


def results(plan: TrialDesign, probability: Any, *, worlds: tuple[World, ...] = (world(),), **given: Any) -> TrialResults:
    """Results whose probabilities are given, (trial, look, criterion) or with scenarios first; the rest at some number."""
    probability = np.asarray(probability, dtype=float)
    probability = probability if probability.ndim == 4 else probability[None]
    s, r, looks, c = probability.shape
    content: dict[str, Any] = {
        "probability": probability,
        "estimate": np.full((s, r, looks, c), -0.3),
        "sd": np.full((s, r, looks, c), 0.2),
        "status": np.full((s, r, looks), OK),
        "calendar": np.broadcast_to(np.array([12.0, 24.0, 36.0])[:looks], (s, r, looks)),
        "reached": np.ones((s, r, looks), bool),
        "patients": np.broadcast_to(np.array([50, 80, 100])[:looks], (s, r, looks)),
        "events": np.broadcast_to(np.array([20, 40, 60])[:looks], (s, r, looks)),
        "true_value": np.full((s, r, c), 0.6),
        "row": np.zeros((s, r), int),
        "patients_of_group": np.ones((s, r, looks, 2), int),
        "events_of_group": np.ones((s, r, looks, 2), int),
    }
    for name, value in given.items():
        content[name] = np.broadcast_to(np.asarray(value), content[name].shape)
    dims = {
        "true_value": ("scenario", "replicate", "criterion"),
        "row": ("scenario", "replicate"),
        **dict.fromkeys(("probability", "estimate", "sd"), ("scenario", "replicate", "look", "criterion")),
        **dict.fromkeys(("patients_of_group", "events_of_group"), ("scenario", "replicate", "look", "risk_group")),
    }
    usual = ("scenario", "replicate", "look")
    data = xr.Dataset(
        {name: (dims.get(name, usual), value) for name, value in content.items()},
        coords={"scenario": [each.name for each in worlds], "look": list(LOOKS[:looks]), "risk_group": ["good", "poor"]},
    )
    return TrialResults(plan, worlds, data, "by hand")


def ends(found: Any) -> list[tuple[int, str]]:
    pairs = zip(found.stop[0].tolist(), found.outcome[0].tolist(), strict=True)
    return [(stop, Outcome(outcome).name) for stop, outcome in pairs]


def one(*values: float) -> list[list[float]]:
    return [[value] for value in values]


def test_a_trial_succeeds_at_the_first_look_at_which_the_criterion_holds():
    made = decide(
        results(
            design(BENEFIT),
            [one(0.99, 0.5, 0.5), one(0.97, 0.98, 0.1), one(0.9, 0.9, 0.98), one(0.9, 0.9, 0.9), one(0.975, 0.975, 0.975)],
        )
    )
    assert ends(made) == [(0, "SUCCESS"), (1, "SUCCESS"), (2, "SUCCESS"), (2, "NONE"), (2, "NONE")]


def test_all_success_criteria_must_hold_at_the_same_look():
    made = decide(
        results(
            design(BENEFIT, LARGE),
            [
                [[0.99, 0.4], [0.9, 0.9], [0.99, 0.6]],
                [[0.99, 0.6], [0, 0], [0, 0]],
                [[0.99, 0.4], [0.99, 0.4], [0.99, 0.4]],
            ],
        )
    )
    assert ends(made) == [(2, "SUCCESS"), (0, "SUCCESS"), (2, "NONE")]


def test_criteria_count_at_their_looks_only():
    plan = design({**BENEFIT, "looks": ["two", "final"]}, {**LARGE, "looks": ["final"]}, {**HARM, "looks": ["one"]})
    np.testing.assert_array_equal(
        thresholds_of(plan),
        [[np.nan, np.nan, 0.1], [0.975, np.nan, np.nan], [0.975, 0.5, np.nan]],
    )
    made = decide(
        results(
            plan,
            [
                [[0.99, 0.9, 0.5], [0.99, 0.1, 0.0], [0, 0, 0]],
                [[0.99, 0.9, 0.05], [0.99, 0.9, 0.9], [0, 0, 0]],
                [[0.0, 0.0, 0.5], [0.5, 0.9, 0.0], [0.99, 0.4, 0.0]],
                [[0.0, 0.0, 0.5], [0.5, 0.9, 0.0], [0.99, 0.6, 0.0]],
            ],
        )
    )
    assert ends(made) == [(1, "SUCCESS"), (0, "FUTILITY"), (2, "NONE"), (2, "SUCCESS")]


def test_futility_stops_before_the_end_and_success_wins_over_it():
    plan = design(BENEFIT, HARM, {**HARM, "name": "another", "probability": 0.3})
    made = decide(
        results(
            plan,
            [
                [[0.05, 0.05, 0.9], [0.99, 0.99, 0.99], [0, 0, 0]],
                [[0.5, 0.5, 0.2], [0, 0, 0], [0, 0, 0]],
                [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0.01, 0.01, 0.01]],
                [[0.99, 0.05, 0.9], [0, 0, 0], [0, 0, 0]],
                [[0.5, 0.1, 0.3], [0.99, 0.9, 0.9], [0, 0, 0]],
            ],
        )
    )
    assert ends(made) == [(0, "FUTILITY"), (0, "FUTILITY"), (2, "NONE"), (0, "SUCCESS"), (1, "SUCCESS")]


def test_looks_that_are_not_held_decide_nothing():
    status = [[NOT_HELD, OK, OK], [OK, NOT_HELD, OK]]
    made = decide(results(design(BENEFIT, HARM), [[[0.99, 0.0], [0.5, 0.5], [0.99, 0.9]]] * 2, status=status))
    assert ends(made) == [(2, "SUCCESS"), (0, "SUCCESS")]


def test_what_could_not_be_estimated_is_neither_success_nor_futility():
    status = [[NOT_ESTIMABLE, OK, OK], [FAILED, FAILED, OK], [OK, OK, FAILED], [OK, OK, NOT_ESTIMABLE]]
    missing = [np.nan, np.nan]
    probability = [
        [missing, [0.99, 0.5], [0, 0]],
        [missing, missing, [0.99, 0.5]],
        [[0.5, 0.5], [0.5, 0.5], missing],
        [[0.5, 0.5], [0.5, 0.5], missing],
    ]
    made = decide(results(design(BENEFIT, HARM), probability, status=status))
    assert ends(made) == [(1, "SUCCESS"), (2, "SUCCESS"), (2, "FAILED"), (2, "NONE")]


def test_thresholds_can_be_changed_by_name_and_look():
    plan = design(BENEFIT, HARM)
    changed = thresholds_of(plan, {"benefit": np.array([0.999, 0.99, 0.95])})
    np.testing.assert_array_equal(changed, [[0.999, 0.1], [0.99, 0.1], [0.95, np.nan]])
    made = decide(results(plan, [[[0.99, 0.5], [0.985, 0.5], [0.96, 0.5]]]), thresholds=changed)
    assert ends(made) == [(2, "SUCCESS")]
    np.testing.assert_array_equal(thresholds_of(plan, {"harm": 0.2})[:, 1], [0.2, 0.2, np.nan])


@pytest.mark.parametrize("value", [0.0, -0.1, 1.1, np.nan])
def test_impossible_thresholds_are_refused(value):
    with pytest.raises(TrialError, match="threshold of 'benefit' is not inside"):
        thresholds_of(design(BENEFIT), {"benefit": value})


def test_thresholds_of_unknown_criteria_are_refused():
    with pytest.raises(TrialError, match=r"no criterion 'benefits'\. Did you mean 'benefit'"):
        thresholds_of(design(BENEFIT), {"benefits": 0.9})


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    "criterion",
    [
        Criterion("x", "hazard_ratio", below=0.9),
        Criterion("x", "hazard_ratio", above=0.9),
        Criterion("x", "survival", at=12.0, above=0.4),
        Criterion("x", "rmst", at=12.0, above=-0.5, against="control"),
    ],
    ids=lambda item: f"{item.estimand} {'below' if item.wants_less else 'above'}",
)
def test_predictive_probability_by_brute_force(share, criterion):
    """Truth from the posterior at the look, the rest of the data given it, the posterior at the end: who then succeeds."""
    size, threshold = 40_000, 0.9
    rng = np.random.default_rng(1)
    bound = np.log(criterion.bound) if criterion.estimand == "hazard_ratio" else criterion.bound
    estimate, sd = bound + (-0.1 if criterion.wants_less else 0.1), 0.15
    now = 1 / sd**2
    later = now / share - now
    effect = rng.normal(estimate, sd, size)
    rest = rng.normal(effect, later**-0.5)
    mean, end = (now * estimate + later * rest) / (now + later), (now + later) ** -0.5
    below = stats.norm.cdf(bound, mean, end)
    succeeds = (below if criterion.wants_less else 1 - below) > threshold
    found = float(predictive_probability(np.array(estimate), np.array(sd), criterion, np.array(share), threshold))
    assert 0.02 < found < 0.98
    assert abs(succeeds.mean() - found) < 3.3 * np.sqrt(found * (1 - found) / size)


def test_predictive_probability_is_that_of_conditional_power_averaged_over_a_flat_posterior():
    """Closed form (Spiegelhalter, Freedman & Blackburn 1986): Phi((Z sqrt(1/f) - z) / sqrt((1 - f) / f)) with a flat prior."""
    criterion = Criterion("x", "hazard_ratio", below=1.0)
    for share, z in ((0.5, 1.2), (0.3, 2.0), (0.75, -0.4)):
        sd = 0.25
        expected = stats.norm.cdf((z / np.sqrt(share) - 1.96) / np.sqrt((1 - share) / share))
        threshold = stats.norm.cdf(1.96)
        found = predictive_probability(np.array(-z * sd), np.array(sd), criterion, np.array(share), threshold)
        assert float(found) == pytest.approx(expected, rel=1e-12)


def test_with_all_information_the_prediction_is_the_decision_and_without_estimate_there_is_none():
    criterion = Criterion("x", "hazard_ratio", below=1.0)
    estimate, sd = np.array([-0.5, -0.3, np.nan, np.nan]), np.array([0.2, 0.2, 0.2, np.nan])
    for share in (1.0, 1.3):
        found = predictive_probability(estimate, sd, criterion, np.array(share), 0.975)
        np.testing.assert_array_equal(found, [1.0, 0.0, np.nan, np.nan])
    assert np.isnan(predictive_probability(estimate, sd, criterion, np.array(0.5), 0.975)[2:]).all()


def test_predicted_futility_stops_a_trial_where_success_is_unlikely():
    plan = design(BENEFIT, HOPELESS)
    estimate = np.array([[-0.4, -0.4, -0.4], [-0.1, -0.3, -0.3], [-0.3, 0.2, 0.0], [np.nan, -0.3, 0.0]])
    made = decide(results(plan, np.full((4, 3, 2), 0.5), estimate=estimate[..., None], sd=[[0.4], [0.3], [0.25]]))
    expected = np.full((4, 3), np.nan)
    for trial in range(4):
        for look, (share, sd) in enumerate(((1 / 3, 0.4), (2 / 3, 0.3), (1.0, 0.25))):
            needed = -estimate[trial, look] - 1.959964 * np.sqrt(share) * sd
            expected[trial, look] = (
                stats.norm.cdf(needed / (np.sqrt(1 - share) * sd))
                if share < 1
                else np.where(np.isnan(needed), needed, needed > 0)
            )
    np.testing.assert_allclose(made.predicted[0, ..., 1], expected, rtol=1e-5)
    assert np.isnan(made.predicted[0, ..., 0]).all()
    stops = [int(np.argmax([*(expected[trial, :2] < 0.2), True])) for trial in range(4)]
    assert stops == [2, 0, 1, 1]
    assert ends(made) == [(stop, "FUTILITY" if stop < 2 else "NONE") for stop in stops]


def test_a_trial_that_has_its_events_but_no_estimate_is_not_hopeless():
    plan = design(BENEFIT, HOPELESS)
    made = decide(results(plan, np.full((1, 3, 2), np.nan), estimate=np.nan, events=60, status=NOT_ESTIMABLE))
    assert ends(made) == [(2, "NONE")]


def test_predictions_of_several_criteria_take_the_least_likely():
    plan = design(BENEFIT, LARGE, HOPELESS)
    made = decide(results(plan, np.full((1, 3, 3), 0.5), estimate=[[-0.4, -0.4, np.nan]], sd=0.3))
    alone = [
        decide(results(design(item, HOPELESS), np.full((1, 3, 2), 0.5), estimate=-0.4, sd=0.3)) for item in (BENEFIT, LARGE)
    ]
    lowest = np.minimum(*(item.predicted[0, 0, :, 1] for item in alone))
    np.testing.assert_allclose(made.predicted[0, 0, :, 2], lowest)


def value(table: pd.DataFrame, quantity: str, of: str = "", scenario: str = "planned") -> tuple[float, float, int]:
    row = table[(table.quantity == quantity) & (table.of == of) & (table.scenario == scenario)]
    assert len(row) == 1
    return float(row.value.iloc[0]), float(row.mcse.iloc[0]), int(row.trials.iloc[0])


def test_operating_characteristics_by_hand():
    """Four trials: success at the first look, futility at the second, nothing at the end, and a failed last analysis."""
    plan = design(BENEFIT, HARM, costs={"patient": 2.0, "site": 5.0, "time": 1.5})
    probability = [
        [[0.99, 0.9], [0.5, 0.5], [0.5, 0.5]],
        [[0.5, 0.5], [0.05, 0.05], [0.5, 0.5]],
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]],
        [[0.5, 0.5], [0.5, 0.5], [np.nan, np.nan]],
    ]
    status = np.zeros((1, 4, 3), int)
    status[0, 3, 2] = FAILED
    status[0, 1, 0] = NOT_HELD
    estimate = np.full((1, 4, 3, 2), -0.3)
    estimate[0, 0, 0] = -0.9
    estimate[0, 2, 2] = -0.5
    estimate[0, 3, 2] = np.nan
    true = np.array([0.5, 0.5, 1.0, 0.6])[None, :, None]
    table = operating_characteristics(
        results(plan, probability, status=status, estimate=estimate, true_value=true, reached=[True, True, False])
    )
    assert value(table, "success") == (0.25, 0.25, 4)
    assert value(table, "futility") == (0.25, 0.25, 4)
    assert value(table, "no decision") == (0.25, 0.25, 4)
    assert [value(table, "success at look", look)[0] for look in LOOKS] == [0.25, 0.0, 0.0]
    assert [value(table, "futility at look", look)[0] for look in LOOKS] == [0.0, 0.25, 0.0]
    assert [value(table, "look held", look)[0] for look in LOOKS] == [0.75, 1.0, 1.0]
    assert [value(table, "look reached", look)[0] for look in LOOKS] == [1.0, 1.0, 0.0]
    patients, duration = np.array([50, 80, 100, 100]), np.array([12.0, 24.0, 36.0, 36.0])
    assert value(table, "patients")[:2] == pytest.approx((82.5, stats.sem(patients)))
    assert value(table, "events")[0] == np.mean([20, 40, 60, 60])
    assert value(table, "duration")[:2] == pytest.approx((27.0, stats.sem(duration)))
    cost = 2 * patients + 15 + 1.5 * duration
    assert value(table, "cost", "thousand euros")[:2] == pytest.approx((cost.mean(), stats.sem(cost)))
    counts = {"requested": 4, "analysed": 3, "failed": 1, "not estimable": 0}
    assert {name: value(table, f"trials {name}")[0] for name in counts} == counts
    # At the stop: -.9 against log .5, -.3 against log .5, -.5 against 0, and nothing.
    error = np.array([-0.9 - np.log(0.5), -0.3 - np.log(0.5), -0.5])
    assert value(table, "bias", "benefit") == pytest.approx((error.mean(), stats.sem(error), 3))
    assert value(table, "squared error", "benefit")[0] == pytest.approx((error**2).mean())
    assert value(table, "bias given success", "benefit")[0] == pytest.approx(error[0])
    assert value(table, "coverage", "benefit") == pytest.approx((1 / 3, stats.sem([1, 0, 0]), 3))
    assert (np.abs(error) < 1.959964 * 0.2).tolist() == [True, False, False]
    # The statement is true in three of four worlds: below 1, and 1 is not.
    assert value(table, "success is right")[0] == 0.75
    assert value(table, "success and true")[0] == 0.25
    assert value(table, "success and untrue")[0] == 0.0
    assert value(table, "no success and true")[0] == 0.5
    assert value(table, "no success and untrue")[0] == 0.25


def test_operating_characteristics_equal_numpys_own_of_random_results():
    rng = np.random.default_rng(4)
    worlds = (world(), world("null", null=True))
    size = 300
    plan = design(BENEFIT, LARGE, HARM)
    probability = rng.beta(8, 1, (2, size, 3, 3))
    patients = np.sort(rng.integers(20, 100, (2, size, 3)), axis=-1)
    calendar = np.sort(rng.uniform(5, 60, (2, size, 3)), axis=-1)
    status = rng.choice([OK, NOT_HELD, FAILED, NOT_ESTIMABLE], (2, size, 3), p=[0.8, 0.1, 0.05, 0.05])
    status[..., 2] = np.where(status[..., 2] == NOT_HELD, OK, status[..., 2])
    probability[status != OK] = np.nan
    probability[(rng.random((2, size)) < 0.05) & (status[..., 0] == OK), 0, 2] = 0.01
    table = operating_characteristics(
        results(plan, probability, worlds=worlds, status=status, patients=patients, calendar=calendar)
    )
    for place, name in enumerate(("planned", "null")):
        successes, at, lasted, failed = [], [], [], 0
        for trial in range(size):
            p, outcome, end = probability[place, trial], "none", 2
            for look in range(3):
                if p[look, 0] > 0.975 and p[look, 1] > 0.5:
                    outcome, end = "success", look
                    break
                if look < 2 and p[look, 2] < 0.1:
                    outcome, end = "futility", look
                    break
            failed += status[place, trial, end] == FAILED
            successes.append(outcome == "success")
            at.append(patients[place, trial, end])
            lasted.append(calendar[place, trial, end])
        assert 0.2 < np.mean(successes) < 0.9
        assert value(table, "success", scenario=name)[:2] == pytest.approx((np.mean(successes), stats.sem(successes)))
        assert value(table, "patients", scenario=name)[:2] == pytest.approx((np.mean(at), stats.sem(at)))
        assert value(table, "duration", scenario=name)[:2] == pytest.approx((np.mean(lasted), stats.sem(lasted)))
        assert value(table, "trials failed", scenario=name)[0] == failed > 0
        outcomes = [value(table, word, scenario=name)[0] for word in ("success", "futility", "no decision")]
        assert sum(outcomes) == pytest.approx(1 - failed / size)
    assert table.groupby("scenario").null.first().to_dict() == {"planned": False, "null": True}


def test_what_a_benchmark_leaves_unsure_stays_so_in_predictions():
    """Against simulation of the rest of the trial: it tells of the arm, and the benchmark's part of the sd never shrinks."""
    lasting, own, share, threshold, trials = 0.25, 0.3, 0.5, 0.95, 400_000
    rng = np.random.default_rng(3)
    estimate, now = -0.45, 1 / own**2
    more = now / share - now
    true = estimate + own * rng.standard_normal(trials)
    of_the_rest = true + rng.standard_normal(trials) / np.sqrt(more)
    final = (now * estimate + more * of_the_rest) / (now + more)
    success = stats.norm.cdf((0.0 - final) / np.sqrt(1 / (now + more) + lasting**2)) > threshold
    found = predictive_probability(
        np.array([estimate]),
        np.array([np.hypot(own, lasting)]),
        Criterion("superior", "hazard_ratio", below=1.0),
        np.array([share]),
        threshold,
        lasting_sd=lasting,
    )
    assert abs(found[0] - success.mean()) < 3.3 * success.std() / np.sqrt(trials)


def test_shares_of_information_are_of_trials_that_hold_both_looks():
    """Half of the trials go past the second look, with more events than the others ever have: no share is above one."""
    plan, probability = design(BENEFIT), np.full((4, 3, 1), 0.5)
    status = np.full((4, 3), OK)
    status[:2, 1] = NOT_HELD
    found = results(plan, probability, status=status, events=[[10, 0, 90], [10, 0, 90], [10, 20, 40], [10, 20, 40]])
    every = np.array([True, True, True])
    np.testing.assert_allclose(fractions(found, every), [40 / 260, 0.5, 1.0])
    np.testing.assert_allclose(fractions(found, np.array([True, False, True])), [40 / 260, np.nan, 1.0])
    alike = results(plan, probability, events=[7, 7, 7])
    with pytest.raises(TrialError, match="one 1, two 1, final 1"):
        fractions(alike, every)
    np.testing.assert_allclose(fractions(alike, np.array([False, False, True])), [np.nan, np.nan, 1.0])
