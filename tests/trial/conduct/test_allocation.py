"""Permuted blocks: exact balance, fair order, strata of their own; case mix and enrichment."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from sitewise.problems import TrialError
from sitewise.trial.conduct import Trials, simulate_trials
from sitewise.trial.plan.accrual import Accrual, FollowUp
from sitewise.trial.plan.arms import Arms

GROUPS = {"good": (0.3, 0.0), "fair": (0.2, 0.3), "bad": (0.5, 0.9)}


def made(truth, arms: Arms, *, trials: int = 300, sites: int = 3) -> Trials:
    return simulate_trials(truth, arms=arms, accrual=Accrual(sites, 1.0), follow_up=FollowUp(99.0), trials=trials, seed=5)


@pytest.fixture(scope="module")
def truth(make_truth):
    return make_truth(groups=GROUPS, site_sd=0.3)


@pytest.mark.parametrize("stratify", [(), ("site",), ("risk_group",), ("site", "risk_group")], ids=str)
@pytest.mark.parametrize(("allocation", "blocks"), [((1, 1), 2), ((2, 1), 1), ((1, 3), 2), ((2, 3), 1)])
def test_every_complete_block_of_every_stratum_is_in_balance(truth, stratify, allocation, blocks):
    trials = made(truth, Arms("randomised", 60, allocation=allocation, blocks=blocks, stratify=stratify), trials=40)
    size = sum(allocation) * blocks
    seen = 0
    for number in range(40):
        strata: dict[tuple[int, ...], list[int]] = {}
        for arm, site, group in zip(trials.arm[number], trials.site[number], trials.profile[number], strict=True):
            key = tuple(int(value) for name, value in (("site", site), ("risk_group", group)) if name in stratify)
            strata.setdefault(key, []).append(int(arm))
        for arms in strata.values():
            for start in range(0, len(arms) - size + 1, size):
                assert sum(arms[start : start + size]) == allocation[0] * blocks
                seen += 1
            rest = arms[len(arms) - len(arms) % size :]
            assert sum(rest) <= allocation[0] * blocks
            assert len(rest) - sum(rest) <= allocation[1] * blocks
    assert seen > 40


@pytest.mark.parametrize(("allocation", "blocks"), [((1, 1), 2), ((2, 1), 1), ((1, 1), 3)])
def test_all_orders_of_a_block_are_equally_likely(truth, allocation, blocks):
    """Chi-square over all orders, in the first block and in a later one, and independence of neighbouring blocks."""
    size = sum(allocation) * blocks
    arms = Arms("randomised", 3 * size, allocation=allocation, blocks=blocks, stratify=())
    arm = made(truth, arms, trials=6000).arm
    one = [1] * (allocation[0] * blocks) + [0] * (allocation[1] * blocks)
    orders = sorted(set(permutations(one)))
    placed = [[orders.index(tuple(int(v) for v in row)) for row in arm[:, k * size : (k + 1) * size]] for k in range(3)]
    for own in placed:
        assert stats.chisquare(np.bincount(own, minlength=len(orders))).pvalue > 0.001
    table = np.zeros((len(orders), len(orders)))
    np.add.at(table, (placed[0], placed[1]), 1)
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_each_place_is_experimental_with_its_share_in_every_stratum(truth):
    """Nobody can guess from site, risk group or rank alone: marginally each place has the share 2 / 3."""
    trials = made(truth, Arms("randomised", 24, allocation=(2, 1)), trials=3000)
    error = np.sqrt(2 / 9 / 3000)
    assert (np.abs(trials.arm.mean(axis=0) - 2 / 3) < 4 * error).all()
    for codes in (trials.site, trials.profile):
        for value in np.unique(codes):
            own = trials.arm[codes == value]
            assert abs(own.mean() - 2 / 3) < 3.3 * np.sqrt(2 / 9 / own.size)


def test_a_single_arm_has_the_experimental_treatment(truth):
    assert (made(truth, Arms("single-arm", 10), trials=5).arm == 1).all()


def test_patients_come_with_the_case_mix(truth):
    profile = made(truth, Arms("single-arm", 30), trials=300).profile
    expected = np.array([share for share, _ in GROUPS.values()]) * profile.size
    assert stats.chisquare(np.bincount(profile.ravel(), minlength=3), expected).pvalue > 0.001


def test_enrichment_keeps_the_shares_among_those_who_may_enter(truth):
    trials = made(truth, Arms("randomised", 30, enrich=("good", "bad")), trials=300)
    number = np.bincount(trials.profile.ravel(), minlength=3)
    assert number[1] == 0
    assert abs(number[0] / number.sum() - 0.375) < 3.3 * np.sqrt(0.375 * 0.625 / number.sum())


def test_the_case_mix_is_that_of_each_trials_row(make_truth):
    from dataclasses import replace

    base = make_truth(groups={"a": (0.5, 0.0), "b": (0.5, 0.0)}, rows=2)
    trials = made(replace(base, shares=np.array([[1.0, 0.0], [0.0, 1.0]])), Arms("single-arm", 5))
    assert (trials.profile == trials.row[:, None]).all()
    assert Counter(trials.row.tolist()).keys() == {0, 1}


def test_unknown_groups_and_groups_without_people_are_refused(truth, make_truth):
    with pytest.raises(TrialError, match=r"arms.enrich names 'goood'.*Did you mean 'good'"):
        made(truth, Arms("single-arm", 5, enrich=("goood",)))
    empty = make_truth(groups={"a": (1.0, 0.0), "b": (0.0, 0.0)})
    with pytest.raises(TrialError, match="Nobody in the truth's case mix is of the groups 'b'"):
        made(empty, Arms("single-arm", 5, enrich=("b",)))


def test_site_effects_have_the_rows_spread_and_are_new_in_every_trial(make_truth):
    trials = made(make_truth(site_sd=0.6), Arms("single-arm", 2), trials=1000, sites=5)
    assert trials.site_effect.shape == (1000, 5)
    assert stats.kstest(trials.site_effect.ravel(), stats.norm(0, 0.6).cdf).pvalue > 0.001
