"""Concordance, Brier scores and censoring against other people's code, or by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.utils import concordance_index

import sitewise as sw
from sitewise.studies.checking.censoring import censoring_by_risk
from sitewise.studies.checking.prediction import brier, brier_weights, concordance_of


def table(seed: int, size: int = 60, digits: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "time": np.round(rng.exponential(10, size) + 1, digits),
            "event": rng.integers(0, 2, size),
            "risk": np.round(rng.normal(size=size), 1),
        }
    )


def cohort_of(frame: pd.DataFrame) -> sw.Cohort:
    return sw.Cohort.from_frame(frame, time="time", event="event", time_unit="months", covariates=["risk"])


@pytest.mark.parametrize("seed", range(5))
def test_concordance_is_lifelines(seed):
    frame = table(seed, digits=3)
    time, event, risk = (frame[name].to_numpy(dtype=float) for name in ("time", "event", "risk"))
    assert concordance_of(time, event, risk) == pytest.approx(concordance_index(time, -risk, event), abs=1e-12)


def test_concordance_without_pairs_is_not_a_number():
    assert np.isnan(concordance_of(np.array([3.0, 2.0]), np.zeros(2), np.ones(2)))


def test_the_brier_score_without_censoring_is_a_mean_square():
    frame = table(1).assign(event=1)
    survival = np.random.default_rng(2).random((3, len(frame)))
    alive = frame["time"].to_numpy() > 9
    wanted = ((alive - survival) ** 2).mean(axis=1)
    np.testing.assert_allclose(brier(survival, cohort_of(frame), 9.0), wanted, atol=1e-14)


def test_brier_weights_by_hand():
    # Censored at 2 and 5: G falls to 4/5 after 2, when five are left, and by a third after 5, when three are.
    frame = pd.DataFrame({"time": [1.0, 2.0, 4.0, 5.0, 7.0, 9.0], "event": [1, 0, 1, 0, 1, 1], "risk": range(6)})
    died, alive = brier_weights(cohort_of(frame), 6.0)
    after_first, after_second = 4 / 5, 4 / 5 * 2 / 3
    np.testing.assert_allclose(died, [1, 0, 1 / after_first, 0, 0, 0])
    np.testing.assert_allclose(alive, [0, 0, 0, 0, 1 / after_second, 1 / after_second])
    assert died.sum() + alive.sum() == pytest.approx(6)


def test_censoring_by_risk_is_a_cox_model_of_being_censored():
    frame = table(4, size=120, digits=3)
    value, p_value = censoring_by_risk(cohort_of(frame), frame["risk"].to_numpy())
    scaled = frame.assign(risk=(frame["risk"] - frame["risk"].mean()) / frame["risk"].std(ddof=0), event=1 - frame["event"])
    theirs = CoxPHFitter().fit(scaled, "time", "event")
    assert value == pytest.approx(theirs.params_["risk"], abs=1e-5)
    assert p_value == pytest.approx(theirs.summary.loc["risk", "p"], abs=1e-5)


def test_nothing_is_said_of_censoring_without_any():
    frame = table(4).assign(event=1)
    assert censoring_by_risk(cohort_of(frame), frame["risk"].to_numpy()) is None
    assert censoring_by_risk(cohort_of(table(4)), np.zeros(60)) is None
