"""Length of follow-up by its three definitions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from sitewise.classical import Ordered, follow_up

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def test_observed_and_alive_only_are_plain_medians(book):
    time, event, _ = book.simulated(5, 41, 2)
    include = np.random.default_rng(0).random(time.shape) < 0.8
    observed = follow_up(Ordered.of(time, event), include=include)
    alive = follow_up(Ordered.of(time, event), definition="alive-only", include=include)
    for row, kept in enumerate(include):
        assert observed.median[row] == np.median(time[row, kept])
        assert alive.median[row] == np.median(time[row, kept & ~event[row]])
        for found in (observed, alive):
            assert (found.shortest[row], found.longest[row]) == (time[row, kept].min(), time[row, kept].max())


def test_reverse_kaplan_meier_against_lifelines(book):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines import KaplanMeierFitter

    time, event, _ = book.simulated(5, 60, 2)
    found = follow_up(Ordered.of(time, event), definition="reverse-kaplan-meier")
    assert (found.median > follow_up(Ordered.of(time, event)).median).all()
    for row in range(5):
        assert found.median[row] == KaplanMeierFitter().fit(time[row], ~event[row]).median_survival_time_


def test_groups_in_which_nobody_is_left(book):
    time, event, _ = book.simulated(2, 20, 1)
    include = np.zeros(time.shape, dtype=bool)
    include[0] = event[0]
    ordered = Ordered.of(time, event)
    alive = follow_up(ordered, definition="alive-only", include=include)
    assert np.isnan(alive.median).all()
    np.testing.assert_array_equal(np.isnan(alive.longest), [False, True])
    np.testing.assert_array_equal(np.isnan(alive.shortest), [False, True])
    assert np.isinf(follow_up(ordered, definition="reverse-kaplan-meier", include=include).median[0])
    assert np.isnan(follow_up(ordered, include=include).median[1])


def test_an_unknown_definition_is_refused(book):
    time, event, _ = book.simulated(1, 20, 1)
    with pytest.raises(ValueError, match="'potential'"):
        follow_up(Ordered.of(time, event), definition="potential")
