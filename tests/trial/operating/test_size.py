"""How large a trial must be: against the asymptotics of the log-rank test, Schoenfeld's formula, and the ceiling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from sitewise.problems import TrialError
from sitewise.trial.assessment import assess, evaluator
from sitewise.trial.campaign import worlds_of
from sitewise.trial.operating import thresholds_of
from sitewise.trial.operating.ceiling import success_ceiling
from sitewise.trial.operating.size import PRECISION, check_search, resized, smallest_size
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.sources import cohorts_of

ERRORS = 3.3
TRIALS = 4000
HAZARD_RATIO, PATIENTS, ALPHA, POWER = 0.6, 400, 0.025, 0.8

CONTENT = {
    "id": "events",
    "title": "How many events?",
    "truth": {
        "cohort_arm": "control",
        "effect": {"hazard_ratio": HAZARD_RATIO},
        "point": {"baseline": {"family": "exponential", "median": 10.0}},
    },
    "arms": {"kind": "randomised", "patients": PATIENTS, "stratify": []},
    "accrual": {"sites": 4, "rate": 1e6, "pattern": "uniform"},  # everybody comes at once
    "follow_up": {"close": 200.0},
    "look": [{"name": "final", "when": {"events": 100}}],
    "criterion": [{"name": "benefit", "estimand": "hazard_ratio", "below": 1.0, "probability": 1 - ALPHA}],
    "analysis": {"method": "log-rank", "adjust": []},
    "scenario": [{"name": "null", "null": True, "hazard_ratio": 1.0}],
    "simulation": {"trials": TRIALS, "seed": 2, "nuts_trials": 0},
}


def design(**more: Any) -> TrialDesign:
    return TrialDesign.from_dict({**CONTENT, **more})


def log_rank_power(events: float) -> float:
    """Power of the log-rank test of two exponential arms after so many events of patients who all came at once.

    With hazards 1 and h, and shares of the arms still at risk y0 and y1, the drift of O - E, the mean of its estimated
    variance, and its variance are integrals over the time until the events are expected.
    """

    def at_risk(time: float) -> tuple[float, float]:
        return 0.5 * np.exp(-time), 0.5 * np.exp(-HAZARD_RATIO * time)

    end = optimize.brentq(lambda time: PATIENTS * (1 - sum(at_risk(time))) - events, 1e-6, 50.0)

    def over_time(what: Callable[[float, float], float]) -> float:
        return PATIENTS * integrate.quad(lambda time: what(*at_risk(time)), 0.0, end)[0]

    drift = over_time(lambda y0, y1: y0 * y1 / (y0 + y1) * (1 - HAZARD_RATIO))
    estimated = over_time(lambda y0, y1: y0 * y1 / (y0 + y1) ** 2 * (y0 + HAZARD_RATIO * y1))
    actual = over_time(lambda y0, y1: y0 * y1 / (y0 + y1) ** 2 * (y1 + HAZARD_RATIO * y0))
    return float(stats.norm.cdf((drift - stats.norm.isf(ALPHA) * np.sqrt(estimated)) / np.sqrt(actual)))


@pytest.fixture(scope="module")
def solved():
    found = assess(design(), curve=False)
    return smallest_size(design(), evaluator(found), vary="events", target=POWER, most=300, least=20)


def test_events_for_a_power_are_those_of_the_log_rank_test(solved):
    """Within the simulation's error of the power over its slope, and the precision of the search.

    Schoenfeld's number, of the local alternative, is 120.3; the asymptotics of this very alternative say 124.0.
    """
    wanted = optimize.brentq(lambda events: log_rank_power(events) - POWER, 20.0, 300.0)
    schoenfeld = 4 * (stats.norm.isf(ALPHA) + stats.norm.ppf(POWER)) ** 2 / np.log(HAZARD_RATIO) ** 2
    slope = (log_rank_power(wanted + 1) - log_rank_power(wanted - 1)) / 2
    error = ERRORS * np.sqrt(POWER * (1 - POWER) / TRIALS) / slope + PRECISION * wanted + 1
    assert schoenfeld == pytest.approx(120.3, abs=0.1)
    assert wanted == pytest.approx(124.0, abs=0.1)
    assert error < 10
    assert solved.value == pytest.approx(wanted, abs=error)
    assert solved.value == pytest.approx(schoenfeld, abs=error + abs(wanted - schoenfeld))


def test_the_smallest_size_has_the_target_and_smaller_ones_have_not(solved):
    table = solved.tried.set_index("value")["success"]
    assert solved.attainable
    assert solved.success == table[solved.value] >= POWER
    below = table.index[table.index < solved.value].max()
    assert table[below] < POWER
    assert solved.value - below <= max(1, PRECISION * solved.value)
    assert list(solved.tried["value"]) == sorted(solved.tried["value"])
    assert solved.mcse == pytest.approx(np.sqrt(solved.success * (1 - solved.success) / TRIALS))
    assert solved.ceiling == 1.0
    assert solved.design.look[-1].when.events == solved.value
    assert solved.sentence.startswith(f"{solved.value} events give a probability of success of {solved.success:.3f}")


def test_every_size_tried_has_the_power_of_the_log_rank_test(solved):
    """From 100 events on; with 20 the test's counts are too few for a normal distribution."""
    large = solved.tried[solved.tried["value"] >= 100]
    assert len(large) > 4
    for _, row in large.iterrows():
        error = ERRORS * np.sqrt(max(row["success"] * (1 - row["success"]), 1e-4) / TRIALS)
        assert row["success"] == pytest.approx(log_rank_power(row["value"]), abs=error + 0.01), row["value"]


def test_a_target_above_the_ceiling_is_unattainable():
    """P(HR < 1) of a log hazard ratio N(log .75, .25^2) is .87508; of 1000 draws of it, within their error."""
    plan = design(
        truth={**CONTENT["truth"], "effect": {"hazard_ratio": 0.75, "sd": 0.25}}, simulation={"trials": 400, "seed": 2}
    )
    found = assess(plan.changed({"simulation.nuts_trials": 0}), curve=False)
    ceiling = stats.norm.cdf(-np.log(0.75) / 0.25)
    assert ceiling == pytest.approx(0.87508, abs=5e-6)
    solution = smallest_size(plan, evaluator(found), target=0.93, most=2000)
    assert not solution.attainable
    assert solution.value is None
    assert solution.ceiling == pytest.approx(ceiling, abs=ERRORS * np.sqrt(ceiling * (1 - ceiling) / 1000))
    assert list(solution.tried["value"]) == [2000]
    assert f"A probability of success of 0.93 is unattainable: the ceiling is {solution.ceiling:.3f}" in solution.sentence
    assert f"2000 patients give {solution.success:.3f}" in solution.sentence
    # Assurance of 500 events in closed form (Spiegelhalter, Abrams & Myles 2004): the trial of 2000 patients waits for as many.
    mean, sd = np.log(0.75), 0.25
    own = np.sqrt(4 / 500)
    assurance = stats.norm.cdf((-stats.norm.isf(ALPHA) * own - mean) / np.hypot(own, sd))
    assert solution.success == pytest.approx(assurance, abs=ERRORS * solution.mcse + 0.01)


def test_success_at_an_interim_look_counts_for_the_ceiling():
    """Early success needs the benefit only; at the end survival must be high, too, which it is not: in half of the truths."""
    plan = design(
        truth={**CONTENT["truth"], "effect": {"hazard_ratio": 1.0, "sd": 0.25}},
        look=[{"name": "interim", "when": {"events": 100}}, {"name": "final", "when": {"events": 200}}],
        criterion=[
            CONTENT["criterion"][0],
            {"name": "enough", "estimand": "survival", "at": 10.0, "above": 0.99, "probability": 0.9, "looks": ["final"]},
        ],
        analysis={"method": "conjugate", "adjust": []},
    )
    cohorts = cohorts_of(plan)
    world = worlds_of(plan, cohorts.truth)[0]
    right = (world.true_values[:, 0] < 1.0).mean()
    assert success_ceiling(plan, world, thresholds=thresholds_of(plan)) == right
    last = np.where(np.arange(2)[:, None] == 1, thresholds_of(plan), np.nan)
    assert success_ceiling(plan, world, thresholds=last) == 0.0


def test_a_model_with_sites_is_not_looked_for_at_one_site():
    plan = design(analysis={"method": "hierarchical", "adjust": ["site"]})
    assert check_search(plan, vary="sites", target=0.5, most=8) == 2
    assert check_search(design(), vary="sites", target=0.5, most=8) == 1


def steps(level: float, ceiling: float = 1.0) -> Callable[[TrialDesign], tuple[float, float, float]]:
    """An evaluation without noise: success from a number of patients on."""

    def evaluate(plan: TrialDesign) -> tuple[float, float, float]:
        return float(plan.arms.patients >= level) * (1.0 if np.isnan(ceiling) else ceiling), 0.0, ceiling

    return evaluate


@pytest.mark.parametrize("level", [5, 90, 91, 99])
def test_the_search_ends_at_the_step(level):
    solution = smallest_size(design(look=[{"name": "final", "when": {"calendar": 60.0}}]), steps(level), target=0.5, most=100)
    assert solution.value == level
    assert solution.design.arms.patients == level


def test_sizes_at_the_ends_of_the_search():
    plan = design(look=[{"name": "final", "when": {"calendar": 60.0}}])
    assert smallest_size(plan, steps(0), target=0.5, most=100, least=40).value == 40
    beyond = smallest_size(plan, steps(101), target=0.5, most=100)
    assert beyond.value is None
    assert beyond.success == 0.0
    assert "unattainable" not in beyond.sentence
    assert (
        "0.5 is below the ceiling of 1.000, but not reached by the sizes that were tried: 100 patients give" in beyond.sentence
    )
    unknown = smallest_size(plan, steps(101, ceiling=np.nan), target=0.5, most=100)
    assert "of 0.5 is not reached by the sizes that were tried: 100 patients give" in unknown.sentence
    never = smallest_size(plan, steps(0, ceiling=0.6), target=0.7, most=100)
    assert never.value is None
    assert "the ceiling is 0.600" in never.sentence


LOOKS = [
    {"name": "first", "when": {"enrolled": 100}},
    {"name": "second", "when": {"all": [{"events": 50}, {"followed": {"patients": 200, "time": 6.0}}]}},
    {"name": "final", "when": {"any": [{"events": 100}, {"calendar": 60.0}]}},
]


@pytest.mark.parametrize("patients", [200, 600])
def test_looks_wait_for_as_many_in_proportion_to_the_patients(patients):
    made, share = resized(design(look=LOOKS), "patients", patients), patients / PATIENTS
    first, second, final = (look.when for look in made.look)
    assert made.arms.patients == patients
    assert first.enrolled == 100 * share
    assert second.all[0].events == 50 * share
    assert (second.all[1].followed.patients, second.all[1].followed.time) == (200 * share, 6.0)
    assert (final.any[0].events, final.any[1].calendar) == (100 * share, 60.0)
    assert resized(made, "patients", PATIENTS) == design(look=LOOKS)


def test_events_scale_earlier_looks_and_leave_the_patients():
    looks = [{"name": "first", "when": {"events": 40}}, {"name": "final", "when": {"events": 100}}]
    made = resized(design(look=looks), "events", 150)
    assert [look.when.events for look in made.look] == [60, 150]
    assert made.arms.patients == PATIENTS


def test_sites_change_their_number_only():
    made = resized(design(), "sites", 9)
    assert made == design().changed({"accrual.sites": 9})


def test_the_smallest_size_by_default_is_the_smallest_that_the_design_can_have():
    """Looks at 10 and 12 events of 400 patients are two looks from 60 patients on: 1.5 events are 2, and 1.8 too."""
    plan = design(look=[{"name": "first", "when": {"events": 10}}, {"name": "final", "when": {"events": 12}}])
    solution = smallest_size(plan, steps(0), target=0.5, most=300)
    possible = []
    for patients in range(4, 300):
        try:
            resized(plan, "patients", patients)
        except TrialError:
            continue
        possible.append(patients)
    assert solution.value == possible[0] > 40


def test_a_search_that_cannot_be_is_refused_before_anything_is_simulated():
    check_search(design(), vary="events", target=0.8, most=300)
    for more, words in (
        ({"vary": "patients", "target": 80.0, "most": 900}, "must be inside"),
        ({"vary": "events", "target": 0.8, "most": 500}, "waits for 500 events of 400 patients"),
        ({"vary": "patients", "target": 0.8, "most": 3}, "leave nothing to search"),
    ):
        with pytest.raises(TrialError, match=words):
            check_search(design(), **more)
    capped = design(accrual={"sites": 4, "rate": 1.0, "cap": 150})
    with pytest.raises(TrialError, match="allows 600 patients at all sites together"):
        check_search(capped, vary="patients", target=0.8, most=800)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(TrialError, match="the last look does not wait for events alone"):
        resized(design(look=LOOKS), "events", 50)
    own = design(accrual={"sites": 2, "rate": [1.0, 2.0]})
    with pytest.raises(TrialError, match=r"while accrual.rate or accrual.opening says something of each site"):
        resized(own, "sites", 3)
    with pytest.raises(TrialError, match="waits for 500 events of 400 patients"):
        resized(design(), "events", 500)
    for target in (0.0, 1.0, 80.0):
        with pytest.raises(TrialError, match=r"must be inside \(0, 1\)"):
            smallest_size(design(), steps(5), target=target, most=100)
    with pytest.raises(TrialError, match="leave nothing to search"):
        smallest_size(design(), steps(5), target=0.5, most=2)
