"""Curves of a cohort among simulated ones: the two weigh their patients alike."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.cohort.kaplan_meier import kaplan_meier
from sitewise.studies.checking.curves import overlays

SIZE, CENSORED = 120, 30.0
POOR = np.arange(SIZE) % 3 == 0
EVERYONE = np.ones(SIZE, dtype=bool)
ROWS = {"all": EVERYONE, "poor": POOR}


def times_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Times and events under the truth: patients of poor risk have four times the hazard."""
    time = rng.weibull(1.2, SIZE) * np.where(POOR, 5.0, 16.0)
    return np.minimum(time, CENSORED), time <= CENSORED


@pytest.fixture(scope="module")
def cohorts():
    """A function that makes the cohort with weights, and replicates of the same truth."""

    def make(weights: np.ndarray | None, start: np.ndarray | None = None):
        rng = np.random.default_rng(5)
        time, event = times_of(rng)
        frame = pd.DataFrame({"t": time, "e": event.astype(int), "w": weights, "start": start})
        if start is not None:
            frame["start"] = np.minimum(frame["start"], 0.9 * frame["t"])
        cohort = sw.Cohort.from_frame(
            frame.drop(columns=[name for name in ("w", "start") if frame[name].isna().any()]),
            time="t",
            event="e",
            weights="w" if weights is not None else None,
            entry="start" if start is not None else None,
            time_unit="months",
        )
        made = [times_of(rng) for _ in range(150)]
        replicates = [
            SimpleNamespace(data=SimpleNamespace(log_time=np.log(each), event=died.astype(float))) for each, died in made
        ]
        return cohort, replicates

    return make


def share_outside(table: pd.DataFrame) -> float:
    known = table[(table["time"] > 1) & table["lower"].notna()]
    return float(((known["seen"] < known["lower"]) | (known["seen"] > known["upper"])).mean())


def test_a_right_model_of_weighted_patients_has_their_curve_in_its_band(cohorts):
    """The curve of all is mostly that of the poor risk, whose rows stand for eight patients each."""
    cohort, replicates = cohorts(np.where(POOR, 8.0, 1.0))
    table = overlays(cohort, replicates, ROWS, guarantee_time=0.0, prob=0.95)
    everyone = table[table["group"] == "all"]
    assert share_outside(everyone) < 0.2
    unweighted = overlays(cohorts(None)[0], replicates, ROWS, guarantee_time=0.0, prob=0.95)
    gap = (unweighted[unweighted["group"] == "all"]["simulated"] - everyone["simulated"]).max()
    assert gap > 0.2  # without the weights it is another curve


@pytest.mark.parametrize("late", [False, True])
def test_a_weight_is_as_many_patients(cohorts, late):
    """Simulated curves are those of cohorts in which each row stands as often as it weighs."""
    weights = 1.0 + np.arange(SIZE) % 4
    start = np.linspace(0.0, 2.0, SIZE) if late else None
    cohort, replicates = cohorts(weights, start)
    table = overlays(cohort, replicates, {"poor": POOR}, guarantee_time=0.0, prob=0.9)
    many = np.repeat(np.flatnonzero(POOR), weights[POOR].astype(int))
    curves = []
    for each in replicates:
        time, died = np.exp(each.data.log_time), each.data.event > 0
        entry = np.minimum(cohort.entry, np.nextafter(time, 0.0))
        curve = kaplan_meier(time[many], died[many], entry=entry[many])
        curves.append(curve.at(np.minimum(table["time"], curve.last)))
    lower, middle, upper = np.quantile(curves, [0.05, 0.5, 0.95], axis=0)
    for name, values in (("lower", lower), ("simulated", middle), ("upper", upper)):
        np.testing.assert_allclose(table[name], values, atol=1e-10)


def test_a_weight_that_all_have_changes_nothing(cohorts):
    plain, replicates = cohorts(None)
    alike, _ = cohorts(np.full(SIZE, 3.0))
    first, second = (overlays(cohort, replicates, ROWS, guarantee_time=0.0, prob=0.95) for cohort in (plain, alike))
    pd.testing.assert_frame_equal(first, second)
