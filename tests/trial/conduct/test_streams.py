"""Trials depend on the seed and their own number: not on company, chunks, or the size of the design."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from scipy import stats

from sitewise.problems import TrialError
from sitewise.trial.conduct import Trials, simulate_trials
from sitewise.trial.conduct.streams import BLOCK, Purpose, Streams
from sitewise.trial.plan.accrual import Accrual, Dropout, FollowUp
from sitewise.trial.plan.arms import Arms
from sitewise.trial.plan.truth import Effect

ACCRUAL = Accrual(5, 0.7, rate_shape=1.5, open_every=2.0, ramp=1.5)
FOLLOW_UP = FollowUp(60.0, longest=40.0, dropout=Dropout(0.1, by=24.0))
OF_PATIENTS = ("enrolled", "time", "leaves", "arm", "site", "profile")


@pytest.fixture(scope="module")
def truth(make_truth):
    effect = Effect(hazard_ratio=0.6, sd=0.2, cured=0.1, delay=2.0, site_sd=0.2)
    return make_truth(groups={"good": (0.4, 0.0), "bad": (0.6, 0.8)}, site_sd=0.4, effect=effect, rows=50)


def made(truth, *, trials: int, first: int = 0, patients: int = 30, seed: int = 3) -> Trials:
    arms = Arms("randomised", patients)
    return simulate_trials(truth, arms=arms, accrual=ACCRUAL, follow_up=FOLLOW_UP, trials=trials, first=first, seed=seed)


def assert_same(one: Trials, two: Trials) -> None:
    for item in fields(Trials):
        np.testing.assert_array_equal(getattr(one, item.name), getattr(two, item.name), err_msg=item.name)


@pytest.mark.parametrize("number", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
def test_a_trial_is_the_same_alone_as_among_others(truth, number):
    together = made(truth, trials=2 * BLOCK + 10)
    alone = made(truth, trials=1, first=number)
    assert alone.number[0] == number
    assert_same(alone, together.some(np.array([number])))


def test_chunks_of_any_size_join_to_the_same_trials(truth):
    whole = made(truth, trials=BLOCK + 60)
    for size in (37, 100, BLOCK + 1):
        starts = range(0, BLOCK + 60, size)
        parts = [made(truth, trials=min(size, BLOCK + 60 - start), first=start) for start in starts]
        for item in fields(Trials):
            joined = np.concatenate([getattr(part, item.name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole, item.name), err_msg=item.name)


def test_more_patients_leave_the_first_as_they_are(truth):
    few, many = made(truth, trials=40), made(truth, trials=40, patients=75)
    for name in OF_PATIENTS:
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:, :30], err_msg=name)
    np.testing.assert_array_equal(few.row, many.row)
    np.testing.assert_array_equal(few.site_effect, many.site_effect)


def test_another_effect_moves_only_the_times_of_the_treated(truth):
    one, two = made(truth, trials=40), made(truth.with_effect(Effect(hazard_ratio=0.5)), trials=40)
    for name in ("enrolled", "leaves", "arm", "site", "profile"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    control = one.arm == 0
    np.testing.assert_array_equal(one.time[control], two.time[control])
    assert (one.time[~control] != two.time[~control]).mean() > 0.99


def test_seeds_blocks_and_purposes_have_streams_of_their_own():
    keys = [(1, 0, Purpose.EVENT), (1, 1, Purpose.EVENT), (2, 0, Purpose.EVENT), (1, 0, Purpose.DROPOUT)]
    drawn = [Streams(seed, block).exponential(purpose, 40).ravel() for seed, block, purpose in keys]
    for place, one in enumerate(drawn):
        assert stats.kstest(one, "expon").pvalue > 0.001
        for two in drawn[place + 1 :]:
            assert not np.isin(one, two).any()
            assert abs(np.corrcoef(one, two)[0, 1]) < 3.3 / np.sqrt(one.size)


def test_trials_of_neighbouring_blocks_and_patients_are_independent(make_truth):
    trials = made(make_truth(), trials=2 * BLOCK)
    first, second = trials.time[:BLOCK], trials.time[BLOCK:]
    for one, two in ((first, second), (trials.time[:-1], trials.time[1:]), (trials.time[:, :-1], trials.time[:, 1:])):
        found = stats.spearmanr(one.ravel(), two.ravel()).statistic
        assert abs(found) < 3.3 / np.sqrt(one.size)


def test_gamma_numbers_have_mean_one_and_the_stated_shape():
    numbers = Streams(1, 0).gamma(Purpose.SITE_RATE, 1.5, 50).ravel()
    assert stats.kstest(numbers, stats.gamma(1.5, scale=1 / 1.5).cdf).pvalue > 0.001


def test_rows_of_the_truth_are_taken_equally_often(make_truth):
    row = made(make_truth(rows=8), trials=10 * BLOCK, patients=2).row
    assert stats.chisquare(np.bincount(row, minlength=8)).pvalue > 0.001


@pytest.mark.parametrize("changes", [{"trials": 0}, {"first": -1}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(truth, changes):
    with pytest.raises(TrialError, match="trials must be at least 1, first and seed at least 0"):
        made(truth, **{"trials": 3, **changes})


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_factor_of_accrual_is_refused(truth, factor):
    with pytest.raises(TrialError, match="accrual_factor must be positive"):
        simulate_trials(
            truth,
            arms=Arms("randomised", 4),
            accrual=ACCRUAL,
            follow_up=FOLLOW_UP,
            trials=1,
            seed=1,
            accrual_factor=factor,
        )


def test_more_kinds_of_patients_than_numbers_for_them_are_refused(make_truth):
    many = make_truth(groups={str(number): (1 / 32768, 0.0) for number in range(32768)})
    with pytest.raises(TrialError, match="32768 profiles"):
        made(many, trials=1)
