"""Interim data are checked once, with every problem named by column and row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sitewise.problems import TrialError
from sitewise.trial.forecast import InterimData, forecast_from
from sitewise.trial.plan import Accrual, Arms, FollowUp, Look, Trigger

GOOD = {
    "site": ["s1", "s0", "s0"],
    "enrolled": [4.0, 1.0, 2.5],
    "time": [2.0, 3.0, 3.5],
    "event": [0, 1, 0],
    "ended": [0, 0, 1],
}


def read(kit, opened=(0.0, 3.0, 8.0), cut=6.0, **changes):
    return InterimData.from_tables(pd.DataFrame(GOOD | changes), kit.sites_of(list(opened)), cut=cut)


def run(kit, data, truth=None, **changes):
    content = {
        "arms": Arms("single-arm", 20),
        "accrual": Accrual(sites=3, rate=1.0, rate_shape=2.0),
        "follow_up": FollowUp(close=30.0),
        "looks": (Look("final", Trigger(calendar=30.0)),),
        "trials": 50,
        "seed": 1,
    }
    return forecast_from(truth or kit.truth_of(log_scale=3.0), data, **(content | changes))


def test_patients_stand_in_their_order_and_an_event_is_an_end(kit):
    data = read(kit, arm=["experimental", None, "control"], risk_group=["good", np.nan, "poor"])
    np.testing.assert_array_equal(data.enrolled, [1.0, 2.5, 4.0])
    np.testing.assert_array_equal(data.site, [0, 0, 1])
    np.testing.assert_array_equal(data.event, [True, False, False])
    np.testing.assert_array_equal(data.ended, [True, True, False])
    np.testing.assert_array_equal(data.arm, [-1, 0, 1])
    assert data.group == ("", "poor", "good")
    np.testing.assert_array_equal(data.enrolled_of_site, [2, 1, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": [-1.0, 3.0, 3.5]}, r"time: is negative \(row 1\)"),
        ({"enrolled": [7.0, 1.0, 2.5]}, r"enrolled: is after the data cut at 6 \(row 1\)"),
        ({"time": [2.0, 5.1, 3.5]}, r"time: goes beyond the data cut at 6 \(row 2\)"),
        ({"enrolled": [2.0, 1.0, 2.5]}, r"enrolled: is before the patient's site opened \(row 1\)"),
        ({"enrolled": [4.0, -1.0, 2.5]}, r"enrolled: is before the start of the trial, time 0 \(row 2\)"),
        ({"site": ["s1", "s00", "s0"]}, r"site: 's00' is not known \(row 2\). Did you mean 's0'"),
        ({"site": ["s1", None, "s0"]}, r"site: is empty \(row 2\)"),
        ({"time": [2.0, 0.0, 3.5]}, r"time: is an event at the moment of enrolment \(row 2\)"),
        ({"time": [2.0, "soon", 3.5]}, r"time: is empty or no number \(row 2\)"),
        ({"event": [2, 1, 0]}, r"event: must be 0 or 1 \(row 1\)"),
        ({"arm": ["experimental", "Control", "control"]}, r"arm: 'Control' is not known \(row 2\). Did you mean 'control'"),
        ({"opened": (0.0, -3.0, 8.0)}, r"sites opened: is before the start of the trial, time 0 \(row 2\)"),
        ({"cut": -1.0}, "cut: must be a positive calendar time; it is -1"),
    ],
)
def test_what_cannot_be_is_named_with_its_row(kit, changes, message):
    with pytest.raises(TrialError, match=message):
        read(kit, **changes)


def test_all_problems_are_named_at_once_and_columns_must_be_there(kit):
    with pytest.raises(TrialError, match="3 problems"):
        read(kit, time=[-1.0, 3.0, 3.5], enrolled=[4.0, 9.0, 2.5], event=[0, 5, 0])
    with pytest.raises(TrialError, match="no column 'ended'"):
        InterimData.from_tables(pd.DataFrame(GOOD).drop(columns="ended"), kit.sites_of([0.0]), cut=6.0)
    twice = pd.DataFrame({"site": ["s0", "s0"], "opened": [0.0, 1.0]})
    with pytest.raises(TrialError, match="'s0' stands in more than one row"):
        InterimData.from_tables(pd.DataFrame(GOOD), twice, cut=6.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accrual": Accrual(sites=4, rate=1.0)}, "the table has 3 and the accrual 4"),
        ({"arms": Arms("single-arm", 2)}, "the table has 3 and the trial 2"),
        ({"accrual": Accrual(sites=3, rate=1.0, cap=1)}, "'s0' enrolled more than the cap of 1"),
        ({"accrual": Accrual(sites=3, rate=1.0, longest=3.0)}, "somebody came after accrual.longest, 3"),
        ({"accrual": Accrual(sites=3, rate=1.0, pattern="uniform")}, "cannot be updated by data"),
        ({"follow_up": FollowUp(close=30.0, longest=2.0)}, "an event comes after the longest follow-up of a patient, 2"),
        (
            {"follow_up": FollowUp(close=6.0), "looks": (Look("final", Trigger(calendar=5.0)),)},
            "must come before the trial closes",
        ),
        ({"survival": "both"}, "survival is 'both'"),
        ({"trials": 0}, "trials must be at least 1"),
    ],
)
def test_data_and_design_must_go_together(kit, changes, message):
    with pytest.raises(TrialError, match=message):
        run(kit, read(kit), **changes)


def test_groups_and_arms_must_be_of_the_trial(kit):
    truth = kit.truth_of(log_scale=3.0, groups=("good", "poor"), log_hazard_ratio=(0.0, 0.5), shares=(0.5, 0.5))
    with pytest.raises(TrialError, match=r"risk_group: 'god' is no group of patients who may enter. Did you mean 'good'"):
        run(kit, read(kit, risk_group=["god", "good", "poor"]), truth)
    with pytest.raises(TrialError, match="'poor' is no group of patients who may enter"):
        run(kit, read(kit, risk_group=["good", "good", "poor"]), truth, arms=Arms("single-arm", 20, enrich=("good",)))
    with pytest.raises(TrialError, match="control arm, and the trial has none"):
        run(kit, read(kit, arm=["experimental", "control", "control"]))


def test_rows_that_do_not_agree_with_the_data_are_refused(kit):
    truth = kit.truth_of(log_scale=np.linspace(-8.0, 8.0, 60))
    with pytest.raises(TrialError, match="of 60 rows of the truth effectively agree"):
        run(kit, read(kit), truth)
    assert run(kit, read(kit), truth, least_ess=1.0).effective_sample_size < 50
    assert run(kit, read(kit), truth, survival="prior").effective_sample_size is None
    guarded = kit.truth_of(log_scale=[3.0, 3.1], guarantee_time=4.0)
    with pytest.raises(TrialError, match="impossible under every row"):
        run(kit, read(kit), guarded, least_ess=1.0)


def test_a_late_last_contact_is_noted(kit):
    found = run(kit, read(kit, time=[1.0, 3.0, 3.5]))
    assert any("1 of 1 patients under follow-up were last seen before the data cut" in note for note in found.notes)
    assert not any("last seen" in note for note in run(kit, read(kit)).notes)
