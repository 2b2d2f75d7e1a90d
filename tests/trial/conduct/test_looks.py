"""When looks are held, by hand and by a slow loop; what is known at them."""

from __future__ import annotations

import numpy as np
import pytest

from sitewise.trial.conduct import Trials, look_times, simulate_trials, snapshot
from sitewise.trial.plan import Followed, Look, Trigger
from sitewise.trial.plan.accrual import Accrual, Dropout, FollowUp
from sitewise.trial.plan.arms import Arms
from sitewise.trial.plan.truth import Effect

ENROLLED = [0.0, 1.0, 2.0, 5.0, np.inf]
TIME = [4.0, 20.0, 3.5, 1.0, 2.0]
LEAVES = [9.0, 6.0, 3.0, 9.0, 9.0]
"""Events are seen at 4 (first patient) and 6 (fourth); the second leaves at 7, the third at 5; the fifth never comes."""


def by_hand(enrolled=ENROLLED, time=TIME, leaves=LEAVES, trials: int = 1) -> Trials:
    size = len(enrolled)
    rows = [np.tile(np.asarray(values, dtype=float), (trials, 1)) for values in (enrolled, time, leaves)]
    codes = np.zeros((trials, size), np.int16)
    return Trials(np.arange(trials), np.zeros(trials, int), *rows, codes.astype(np.int8), codes, codes, np.zeros((trials, 1)))


TRIGGERS = {
    "first event": (Trigger(events=1), 4.0),
    "second event": (Trigger(events=2), 6.0),
    "a third event never comes": (Trigger(events=3), np.inf),
    "calendar": (Trigger(calendar=3.25), 3.25),
    "enrolled": (Trigger(enrolled=4), 5.0),
    "a fifth patient never comes": (Trigger(enrolled=5), np.inf),
    "followed": (Trigger(followed=Followed(3, 2.5)), 4.5),
    "all": (Trigger(all=(Trigger(events=1), Trigger(enrolled=4))), 5.0),
    "any": (Trigger(any=(Trigger(events=2), Trigger(calendar=5.5))), 5.5),
    "all, of which one never comes": (Trigger(all=(Trigger(events=3), Trigger(calendar=1.0))), np.inf),
    "any, of which one never comes": (Trigger(any=(Trigger(events=3), Trigger(calendar=8.0))), 8.0),
    "one inside another": (
        Trigger(any=(Trigger(all=(Trigger(events=1), Trigger(enrolled=2))), Trigger(calendar=9.0))),
        4.0,
    ),
}


@pytest.mark.parametrize(("trigger", "expected"), TRIGGERS.values(), ids=TRIGGERS.keys())
def test_triggers_come_when_they_should(trigger, expected):
    found = look_times(by_hand(), (Look("final", trigger),), close=30.0)
    assert found.calendar[0, 0] == min(expected, 30.0)
    assert found.reached[0, 0] == np.isfinite(expected)
    assert found.held[0, 0]


def test_a_target_that_is_not_reached_is_held_at_the_close_and_flagged():
    looks = (Look("interim", Trigger(events=2)), Look("final", Trigger(events=3)))
    found = look_times(by_hand(), looks, close=12.0)
    assert found.calendar.tolist() == [[6.0, 12.0]]
    assert found.held.tolist() == [[True, True]]
    assert found.reached.tolist() == [[True, False]]


def test_an_interim_look_that_is_not_reached_is_not_held():
    looks = (Look("one", Trigger(events=1)), Look("two", Trigger(events=3)), Look("final", Trigger(calendar=10.0)))
    found = look_times(by_hand(), looks, close=12.0)
    assert found.held.tolist() == [[True, False, True]]
    assert found.reached.tolist() == [[True, False, True]]


@pytest.mark.parametrize("calendar", [6.0, 7.0])
def test_an_interim_look_that_comes_with_or_after_a_later_one_is_not_held(calendar):
    looks = (Look("late", Trigger(calendar=calendar)), Look("events", Trigger(events=2)), Look("final", Trigger(calendar=9.0)))
    found = look_times(by_hand(), looks, close=12.0)
    assert found.held.tolist() == [[False, True, True]]
    assert found.reached.all()


def test_an_interim_look_after_the_final_one_is_not_held():
    looks = (Look("late", Trigger(calendar=8.0)), Look("final", Trigger(events=2)))
    found = look_times(by_hand(), looks, close=12.0)
    assert found.held.tolist() == [[False, True]]
    assert found.calendar[0, 1] == 6.0


def test_a_trigger_at_the_close_itself_is_reached():
    found = look_times(by_hand(), (Look("final", Trigger(events=2)),), close=6.0)
    assert found.reached.all()


def test_an_event_at_the_moment_of_leaving_is_seen_and_one_after_it_is_not():
    trials = by_hand([0.0, 0.0], [3.0, 3.1], [3.0, 3.0])
    assert trials.event_calendar.tolist() == [[3.0, np.inf]]
    seen = snapshot(trials, np.array([5.0]), group_of_profile=np.array([0]), groups=("all",))
    assert seen.time.tolist() == [[3.0, 3.0]]
    assert seen.event.tolist() == [[True, False]]
    assert seen.ended.tolist() == [[True, True]]


def test_what_is_known_at_a_look_by_hand():
    seen = snapshot(by_hand(), np.array([5.0]), group_of_profile=np.array([0]), groups=("all",))
    assert seen.included.tolist() == [[True, True, True, False, False]]
    assert seen.entered.tolist() == [[True, True, True, True, False]]
    assert seen.time.tolist() == [[4.0, 4.0, 3.0, 0.0, 0.0]]
    assert seen.event.tolist() == [[True, False, False, False, False]]
    assert seen.ended.tolist() == [[True, False, True, False, False]]
    assert (seen.patients.tolist(), seen.events.tolist()) == ([4], [1])


@pytest.fixture(scope="module")
def random_trials(make_truth):
    """Trials with everything: two groups, sites that open late, dropout, cure, assessments."""
    effect = Effect(hazard_ratio=0.6, cured=0.15)
    truth = make_truth(groups={"good": (0.6, 0.0), "bad": (0.4, 0.8)}, site_sd=0.5, effect=effect)
    accrual = Accrual(4, 0.7, rate_shape=2.0, open_every=3.0, ramp=2.0, longest=22.0, cap=14)
    trials = {}
    for every in (None, 1.5):
        follow_up = FollowUp(40.0, longest=25.0, dropout=Dropout(0.3, by=20.0), assess_every=every)
        trials[every] = simulate_trials(
            truth,
            arms=Arms("randomised", 45, allocation=(2, 1)),
            accrual=accrual,
            follow_up=follow_up,
            trials=60,
            seed=8,
        )
    return truth, trials


LOOKS = (
    Look("ten", Trigger(events=10)),
    Look("year", Trigger(calendar=12.0)),
    Look("both", Trigger(all=(Trigger(events=18), Trigger(followed=Followed(20, 6.0))))),
    Look("either", Trigger(any=(Trigger(enrolled=40), Trigger(calendar=30.0)))),
    Look("final", Trigger(events=33)),
)


def slow_trigger(trigger: Trigger, trials: Trials, row: int) -> float:
    """The earliest moment of all at which the trigger's sentence is true."""
    if trigger.all:
        return max(slow_trigger(part, trials, row) for part in trigger.all)
    if trigger.any:
        return min(slow_trigger(part, trials, row) for part in trigger.any)
    if trigger.calendar is not None:
        return trigger.calendar
    moments = []
    for enrolled, time, leaves in zip(trials.enrolled[row], trials.time[row], trials.leaves[row], strict=True):
        if trigger.events is not None and time <= leaves:
            moments.append(enrolled + time)
        elif trigger.enrolled is not None:
            moments.append(enrolled)
        elif trigger.followed is not None:
            moments.append(enrolled + trigger.followed.time)
    wanted = trigger.events or trigger.enrolled or (trigger.followed.patients if trigger.followed else 0)
    moments = sorted(moments)
    return float(moments[wanted - 1]) if len(moments) >= wanted else np.inf


@pytest.mark.parametrize("every", [None, 1.5])
def test_looks_equal_a_slow_loop(random_trials, every):
    trials = random_trials[1][every]
    found = look_times(trials, LOOKS, close=40.0)
    kinds = set()
    for row in range(len(trials)):
        wanted = [slow_trigger(look.when, trials, row) for look in LOOKS]
        at = [min(time, 40.0) for time in wanted]
        held = []
        for place, time in enumerate(wanted):
            last = place == len(LOOKS) - 1
            # Held if it comes in time, and before every later look that is itself held.
            later = [at[number] for number in range(place + 1, len(LOOKS)) if found.held[row, number]]
            held.append(last or (time <= 40.0 and all(at[place] < other for other in later)))
        assert found.calendar[row].tolist() == at
        assert found.held[row].tolist() == held
        assert found.reached[row].tolist() == [time <= 40.0 for time in wanted]
        kinds.add(tuple(held))
    assert len(kinds) > 2  # otherwise the example shows nothing
    assert 0 < found.reached[:, -1].mean() < 1


@pytest.mark.parametrize("every", [None, 1.5])
@pytest.mark.parametrize("place", range(len(LOOKS)))
def test_snapshots_equal_a_slow_loop(random_trials, every, place):
    truth, all_trials = random_trials
    trials = all_trials[every]
    calendar = look_times(trials, LOOKS, close=40.0).calendar[:, place]
    seen = snapshot(trials, calendar, group_of_profile=truth.group_of_profile, groups=truth.groups)
    for row in range(len(trials)):
        now = calendar[row]
        for i in range(trials.enrolled.shape[1]):
            enrolled, time, leaves = trials.enrolled[row, i], trials.time[row, i], trials.leaves[row, i]
            inside = enrolled < now
            died = inside and time <= leaves and enrolled + time <= now
            gone = inside and not died and leaves < time and enrolled + leaves <= now
            expected = 0.0 if not inside else time if died else leaves if gone else now - enrolled
            assert seen.included[row, i] == inside
            assert seen.event[row, i] == died
            assert seen.ended[row, i] == (died or gone)
            assert seen.time[row, i] == expected
            assert truth.groups[seen.group[row, i]] == truth.profiles[trials.profile[row, i]].group
    assert seen.sites == 4
    for name in ("enrolled", "arm", "site", "number"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(trials, name))
    np.testing.assert_array_equal(seen.some(np.array([3, 5])).time, seen.time[[3, 5]])


def test_a_look_at_events_has_just_these_events(make_truth):
    """Calendar times are rounded: the event that the look waits for must be in it all the same."""
    truth = make_truth()
    trials = simulate_trials(
        truth, arms=Arms("single-arm", 60), accrual=Accrual(8, 0.7), follow_up=FollowUp(200.0), trials=500, seed=1
    )
    looks = tuple(Look(str(events), Trigger(events=events)) for events in (5, 20, 40))
    found = look_times(trials, looks, close=200.0)
    for place, events in enumerate((5, 20, 40)):
        seen = snapshot(trials, found.calendar[:, place], group_of_profile=truth.group_of_profile, groups=truth.groups)
        assert (seen.events[found.held[:, place]] == events).all()


def test_a_look_at_a_number_of_patients_has_just_these_patients(make_truth):
    truth = make_truth()
    trials = simulate_trials(
        truth, arms=Arms("single-arm", 60), accrual=Accrual(8, 0.7), follow_up=FollowUp(200.0), trials=100, seed=1
    )
    found = look_times(trials, (Look("thirty", Trigger(enrolled=30)),), close=200.0)
    seen = snapshot(trials, found.calendar[:, 0], group_of_profile=truth.group_of_profile, groups=truth.groups)
    assert (seen.patients == 30).all()
    assert (seen.included.sum(axis=1) == 29).all()  # the thirtieth has not been watched for any time yet


def test_what_a_look_shows_does_not_depend_on_later_looks(random_trials):
    """Latent times are fixed: whoever had the event at one look has the same event at every later one."""
    truth, trials = random_trials
    first, second = (
        snapshot(trials[None], np.full(60, time), group_of_profile=truth.group_of_profile, groups=truth.groups)
        for time in (12.0, 25.0)
    )
    assert (second.event[first.event]).all()
    np.testing.assert_array_equal(first.time[first.ended], second.time[first.ended])
    assert (second.time >= first.time).all()
