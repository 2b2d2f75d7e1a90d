"""What interim data say of the rows of a truth: odds of rows written out by hand; hazards against event times."""

from __future__ import annotations

import numpy as np
import pytest

from sitewise.families import Exponential, LogLogistic, LogNormal, MixtureCure, Weibull
from sitewise.trial.conduct.event_times import event_times
from sitewise.trial.forecast.hazards import hazard_until, log_hazard
from sitewise.trial.forecast.likelihood import Likelihood
from sitewise.trial.plan import Arms, FollowUp

CUT = 10.0
FAMILIES = [
    (Exponential(), ()),
    (Weibull(), (1.4,)),
    (LogNormal(), (1.2,)),
    (LogLogistic(), (1.8,)),
    (MixtureCure(), (1.3, 0.1)),
]


def effect_of(pieces):
    return {"starts": (0.0, 2.0, 5.0), "weights": (0.0, 1.0, 0.4)} if pieces else {}


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize(("family", "shape"), FAMILIES, ids=lambda item: getattr(item, "name", ""))
def test_event_times_and_hazards_are_inverse(kit, family, shape, pieces):
    truth = kit.truth_of(
        log_scale=np.log([5.0, 9.0]), family=family, shape=shape, guarantee_time=0.5, effect=np.log(0.6), **effect_of(pieces)
    )
    rng = np.random.default_rng(1)
    need = rng.exponential(size=(2, 200)).clip(1e-4, 1.0)
    added, more = rng.normal(0.0, 0.3, need.shape), rng.normal(0.0, 0.2, need.shape)
    arm = (rng.random(need.shape) < 0.5).astype(int)
    row = np.arange(2)
    time = event_times(truth, row, added, np.log(0.6) + more, arm == 1, need)

    def by_arm(function, at):
        own = [function(truth, row, at, arm=name, added=added, effect_added=more) for name in ("control", "experimental")]
        return np.where(arm == 1, own[1], own[0])

    reached = np.isfinite(time)
    assert reached.all() == (family.name != "mixture-cure")
    at = by_arm(hazard_until, time)
    np.testing.assert_allclose(at[reached], need[reached], rtol=1e-9)
    assert (at[~reached] < need[~reached]).all()
    # The hazard is the slope of the cumulative hazard, away from the ends of pieces.
    inside = np.abs(time[..., None] - np.array([2.0, 5.0])).min(axis=-1) > 1e-3
    time = np.where(reached, time, 50.0)
    step = 1e-5 * time
    up, down = (by_arm(hazard_until, time + sign * step) for sign in (1, -1))
    slope = (up - down) / (2 * step)
    far = inside & reached & (time > 0.6)
    np.testing.assert_allclose(np.exp(by_arm(log_hazard, time))[far], slope[far], rtol=1e-5)
    assert far.sum() > 100
    early = np.full(need.shape, 0.4)
    assert (by_arm(hazard_until, early) == 0).all()
    assert np.isneginf(by_arm(log_hazard, early)).all()


def log_likelihood(kit, truth, table, *, follow_up=None, arms=None):
    number = len(table["time"])
    content = {"site": ["s0"] * number, "enrolled": CUT - np.array(table["time"]), **table}
    data = kit.data_of(content, [0.0], CUT)
    likelihood = Likelihood.of(
        truth,
        data,
        arms=arms or Arms("single-arm", 50),
        follow_up=follow_up or FollowUp(close=60.0),
        row=np.arange(truth.rows),
        effect_added=np.zeros((truth.rows, 1)),
    )
    return likelihood.of_sites(np.arange(truth.rows), np.zeros((truth.rows, 1, 1)))[:, 0, 0]


def test_groups_tell_rows_of_other_case_mixes_apart(kit):
    shares = np.array([[0.2, 0.8], [0.6, 0.4]])
    truth = kit.truth_of(log_scale=[2.0, 2.0], groups=("good", "poor"), log_hazard_ratio=(0.0, 0.0), shares=shares)
    table = {"time": [1.0, 2.0, 3.0, 4.0], "event": [0, 1, 0, 0], "ended": [0, 0, 0, 0]}
    known = log_likelihood(kit, truth, table | {"risk_group": ["good", "good", "poor", ""]})
    assert known[1] - known[0] == pytest.approx(2 * np.log(0.6 / 0.2) + np.log(0.4 / 0.8), abs=1e-12)
    blind = log_likelihood(kit, truth, table)
    assert blind[1] - blind[0] == pytest.approx(0.0, abs=1e-12)


def test_a_blinded_patient_is_the_sum_over_groups_and_arms(kit):
    truth = kit.truth_of(
        log_scale=np.log([8.0, 5.0]),
        groups=("good", "poor"),
        log_hazard_ratio=(0.0, 1.1),
        shares=(0.3, 0.7),
        effect=np.log(0.5),
        cured=0.2,
    )
    table = {"time": [3.0, 6.0], "event": [1, 0], "ended": [1, 0]}
    found = log_likelihood(kit, truth, table, arms=Arms("randomised", 50, allocation=(2, 1)))
    expected = []
    for scale in (8.0, 5.0):
        event = free = 0.0
        for share, ratio in ((0.3, 1.0), (0.7, np.exp(1.1))):
            rate = ratio / scale
            event += share * (rate * np.exp(-3 * rate) / 3 + 2 / 3 * 0.8 * 0.5 * rate * np.exp(-1.5 * rate))
            free += share * (np.exp(-6 * rate) / 3 + 2 / 3 * (0.2 + 0.8 * np.exp(-3 * rate)))
        expected.append(np.log(event) + np.log(free))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_events_at_assessments_lie_in_their_intervals(kit):
    """Found at 6 with assessments every 2: between 4 and 6. Followed to 5: free until 4."""
    truth = kit.truth_of(log_scale=np.log([8.0, 5.0]), family=Weibull(), shape=(1.5,))
    table = {"time": [6.0, 5.0, 4.0], "event": [1, 0, 0], "ended": [1, 0, 0]}
    found = log_likelihood(kit, truth, table, follow_up=FollowUp(close=60.0, assess_every=2.0))
    for row, scale in enumerate((8.0, 5.0)):
        survival = lambda t: np.exp(-((t / scale) ** 1.5))  # noqa: B023, E731
        expected = np.log(survival(4.0) - survival(6.0)) + 2 * np.log(survival(4.0))
        assert found[row] == pytest.approx(expected, rel=1e-12)
