"""Trials of several arms: blocks in exact balance, and event times of every arm by their distribution function."""

from __future__ import annotations

from collections import Counter
from math import factorial

import numpy as np
import pytest
from scipy import stats

from sitewise.families import Weibull
from sitewise.problems import TrialError
from sitewise.trial.conduct import Trials, simulate_trials
from sitewise.trial.conduct.arrivals import fill_arms
from sitewise.trial.plan import Arms, FurtherArm
from sitewise.trial.plan.accrual import Accrual, FollowUp
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth import Profile, TrueEffect, Truth, with_further_arms

FURTHER = (FurtherArm("B", 0.8, places=2), FurtherArm("C", 1.5))
SHAPE, LOG_SCALE = 1.3, float(np.log(10.0))
DELAY = 3.0


def truth(*, arm: str = "control", effect: Effect | None = None, further: tuple[FurtherArm, ...] = FURTHER) -> Truth:
    one = np.ones((1, 1))
    drawn = TrueEffect.drawn(effect or Effect(hazard_ratio=0.6), 1, rng=np.random.default_rng(0))
    made = Truth(
        Weibull(), (np.full(1, SHAPE),), np.full(1, LOG_SCALE), (Profile("all", "all"),), 0 * one, one, np.zeros(1), arm, drawn
    )
    return with_further_arms(made, further)


def simulated(made: Truth, arms: Arms, *, trials: int, sites: int = 3) -> Trials:
    return simulate_trials(made, arms=arms, accrual=Accrual(sites, 1.0), follow_up=FollowUp(99.0), trials=trials, seed=5)


@pytest.mark.parametrize(("allocation", "blocks"), [((1, 1), 1), ((2, 3), 2)])
@pytest.mark.parametrize("stratify", [(), ("site",)], ids=str)
def test_every_complete_block_has_the_places_of_every_arm(allocation, blocks, stratify):
    arms = Arms("randomised", 90, allocation=allocation, blocks=blocks, stratify=stratify, further=FURTHER)
    trials = simulated(truth(), arms, trials=40)
    places = {1: allocation[0] * blocks, 0: allocation[1] * blocks, 2: 2 * blocks, 3: blocks}
    size, seen = sum(places.values()), 0
    for number in range(40):
        for site in range(3) if stratify else [None]:
            own = trials.arm[number][trials.site[number] == site] if stratify else trials.arm[number]
            for start in range(0, len(own), size):
                counts = Counter(own[start : start + size].tolist())
                whole = len(own) - start >= size
                assert counts == places if whole else all(counts[arm] <= most for arm, most in places.items())
                seen += whole
    assert seen > 40


def test_all_orders_of_a_block_are_equally_likely():
    arms = Arms("randomised", 5, blocks=1, stratify=(), further=FURTHER)
    arm = simulated(truth(), arms, trials=6000).arm
    count = Counter(tuple(row) for row in arm.tolist())
    orders = factorial(5) // factorial(2)
    assert len(count) == orders
    assert stats.chisquare(list(count.values())).pvalue > 0.001


def test_blocks_of_two_arms_are_drawn_as_before():
    """The rule that two arms always had, patient by patient in Python: experimental with the share of its places left."""
    rng = np.random.default_rng(1)
    stratum, numbers = rng.integers(0, 3, (50, 40)), rng.random((50, 40))
    arm = np.full((50, 40), 9, np.int8)
    fill_arms(stratum, 3, np.array([2, 4]), numbers, arm)
    for m in range(50):
        left = {s: [0, 0] for s in range(3)}
        for i in range(40):
            own = left[int(stratum[m, i])]
            if own == [0, 0]:
                own[:] = [2, 4]
            chosen = int(numbers[m, i] * (own[0] + own[1]) < own[1])
            own[chosen] -= 1
            assert arm[m, i] == chosen


def hazard(time, log_ratio, log_ratio_of_cohort):
    """Cumulative hazard of an arm after a delay, from the Weibull curve of the arm that the cohort describes."""
    own, before = (np.power(value / np.exp(LOG_SCALE), SHAPE) for value in (time, np.minimum(time, DELAY)))
    return before + np.exp(log_ratio - log_ratio_of_cohort) * (own - before)


@pytest.mark.parametrize("cohort_arm", ["control", "experimental"])
def test_event_times_of_every_arm_have_their_distribution(cohort_arm):
    """1 - S of an arm's times is uniform, S by hand: equal hazards before the delay, in the arms' ratio after it."""
    made = truth(arm=cohort_arm, effect=Effect(hazard_ratio=0.6, delay=DELAY))
    arms = Arms("randomised", 60, blocks=1, stratify=(), further=FURTHER)
    trials = simulated(made, arms, trials=256)
    ratios = np.log([1.0, 0.6, 0.8, 1.5])
    described = ratios[1] if cohort_arm == "experimental" else 0.0
    for code, ratio in enumerate(ratios):
        time = trials.time[trials.arm == code]
        assert time.size == 60 // 5 * 256 * (2 if code == 2 else 1)
        assert stats.kstest(1 - np.exp(-hazard(time, ratio, described)), "uniform").pvalue > 0.001
        for other in np.delete(ratios, code):
            assert stats.kstest(1 - np.exp(-hazard(time, other, described)), "uniform").pvalue < 1e-6


def test_the_other_arms_patients_do_not_depend_on_what_an_arm_is_worth():
    arms = Arms("randomised", 60, further=FURTHER)
    one, other = (
        simulated(truth(further=(FurtherArm("B", ratio, places=2), FURTHER[1])), arms, trials=20) for ratio in (0.8, 0.3)
    )
    assert np.array_equal(one.arm, other.arm)
    assert np.array_equal(one.time[one.arm != 2], other.time[one.arm != 2])
    assert (one.time[one.arm == 2] < other.time[one.arm == 2]).all()


@pytest.mark.parametrize("further", [(), FURTHER[:1]], ids=len)
def test_a_truth_of_other_arms_is_refused(further):
    with pytest.raises(TrialError, match=f"The design has 2 further arms, and the truth has effects of {len(further)}"):
        simulated(truth(further=further), Arms("randomised", 60, further=FURTHER), trials=1)
