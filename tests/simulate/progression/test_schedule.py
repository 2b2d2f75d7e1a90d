"""Scan visits: against lists of visits written out, and by hand."""

import numpy as np
import pytest

from sitewise.problems import ScenarioError
from sitewise.simulate.progression import ScanSchedule
from sitewise.simulate.progression.schedule import CANDIDATES

SCHEDULES = [
    ScanSchedule(),
    ScanSchedule((0.5, 2.0), 3.0, jitter=0.0),
    ScanSchedule((3.0,), 1.0, jitter=0.6),
    ScanSchedule((1.0, 2.0, 6.0, 6.5), 2.0, jitter=1.0),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_failure_is_seen_at_the_first_visit_at_or_after_the_progression(schedule):
    """Each patient's visits written out one by one, strays of all visits included; only three of them can matter."""
    rng = np.random.default_rng(1)
    progression = np.concatenate(
        [rng.uniform(0, 40, 3000), np.array(schedule.first), [schedule.first[-1] + 3 * schedule.every]]
    )
    position = rng.uniform(-1, 1, (progression.size, CANDIDATES))
    found = schedule.first_seen(progression, position)
    dates = np.array([*schedule.first, *(schedule.first[-1] + schedule.every * np.arange(1, 60))])
    before, after = np.diff(np.concatenate([[0.0], dates])), np.diff(np.append(dates, dates[-1] + schedule.every))
    room = schedule.jitter * np.minimum(before, after) / 2
    for row, time in enumerate(progression):
        stray = rng.uniform(-1, 1, dates.size)
        due = int(np.searchsorted(dates, time))
        for step, place in enumerate(range(due - 1, due + 2)):
            if place >= 0:
                stray[place] = position[row, step]
        visits = dates + room * stray
        assert (np.diff(visits) >= 0).all()
        assert found[row] == pytest.approx(visits[visits >= time].min(), abs=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_failure_is_never_seen_early_and_at_most_one_gap_late(schedule):
    rng = np.random.default_rng(2)
    progression = rng.exponential(10.0, 20_000)
    late = schedule.first_seen(progression, rng.uniform(-1, 1, (20_000, CANDIDATES))) - progression
    assert late.min() >= 0
    assert late.max() <= schedule.longest_gap() + 1e-9


def test_gaps_by_hand():
    assert ScanSchedule((0.5, 2.0), 3.0, jitter=0.0).longest_gap() == pytest.approx(3.0)
    # The visits due at 5 and 8 may take place at 3.5 and 9.5; those due at 2 and 5 at 1.25 and 6.5.
    assert ScanSchedule((0.5, 2.0), 3.0, jitter=1.0).longest_gap() == pytest.approx(6.0)


def test_what_never_comes_is_never_seen():
    schedule = ScanSchedule()
    seen = schedule.first_seen(np.array([np.inf, 1e300, 1.0]), np.zeros((3, CANDIDATES)))
    assert np.isinf(seen[0])
    assert seen[1] > 1e6
    assert seen[2] == 2.0


def test_units():
    days = ScanSchedule((0.5, 2.0), 3.0, jitter=0.5).in_unit("days")
    assert days.first == pytest.approx((15.21875, 60.875))
    assert days.every == pytest.approx(91.3125)
    assert (days.jitter, days.time_unit) == (0.5, "days")
    with pytest.raises(ScenarioError, match="fortnights"):
        ScanSchedule().in_unit("fortnights")


def test_all_that_is_wrong_with_a_schedule_is_said_at_once():
    with pytest.raises(ScenarioError) as raised:
        ScanSchedule((2.0, 1.0), -3.0, jitter=2.0, time_unit="moons")
    assert {problem.where for problem in raised.value.problems} == {"first", "every", "jitter", "time_unit"}
    with pytest.raises(ScenarioError, match="at least one visit"):
        ScanSchedule(())
