"""Counts and person-time of a table small enough to add up by hand."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw


@pytest.fixture(scope="module")
def cohort():
    frame = pd.DataFrame(
        {
            "time": [5.0, 8, 12, 3, 20, 9, 4],
            "event": [1, 0, 1, 1, 0, 1, 0],
            "site": ["10", "10", "2", "2", "2", "1", "10"],
            "start": [0.0, 2, 0, 1, 4, 0, 0],
            "w": [1.0, 1, 1, 1, 1, 2, 1],
            "ecog": list("0011010"),
        }
    )
    names = {"time": "time", "event": "event", "site": "site", "entry": "start", "weights": "w"}
    return sw.Cohort.from_frame(frame, **names, covariates=["ecog"])


def test_counts_by_site(cohort):
    expected = pd.DataFrame(
        {
            "site": ["1", "2", "10"],
            "n": [1, 3, 3],
            "events": [1, 2, 1],
            "person_time": [2 * 9, 12 + (3 - 1) + (20 - 4), 5 + (8 - 2) + 4.0],
        }
    )
    pd.testing.assert_frame_equal(cohort.counts_by_site(), expected)


def test_person_time(cohort):
    assert cohort.person_time == pytest.approx(18 + 30 + 15, rel=1e-14)


def test_a_site_left_without_patients_counts_zero(cohort):
    part = cohort.subset(cohort.site_index > 0)
    assert part.counts_by_site().iloc[0].tolist() == ["1", 0, 0, 0.0]


def test_counts_add_up(lung):
    counts = lung.counts_by_site()
    assert list(counts["site"]) == list(lung.site_labels)
    assert (counts["n"].sum(), counts["events"].sum()) == (226, 163)
    assert counts["person_time"].sum() == pytest.approx(lung.time.sum(), rel=1e-12)
    assert (counts["n"].min(), counts["n"].max()) == (2, 36)


def test_follow_up_of_a_cohort_without_censoring_is_not_reached():
    frame = pd.DataFrame({"time": [1.0, 2, 3], "event": [1, 1, 1]})
    found = sw.Cohort.from_frame(frame, time="time", event="event").follow_up()
    assert np.isinf(found["reverse_kaplan_meier_median"])
    assert found["maximum"] == 3
