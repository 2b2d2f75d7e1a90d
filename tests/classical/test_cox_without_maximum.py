"""Likelihoods without maximum, without information or beyond numbers: no estimate, no crash, no warning."""

from __future__ import annotations

import numpy as np
import pytest

from sitewise.classical import Ordered, cox

pytestmark = pytest.mark.filterwarnings("error")
TIES = pytest.mark.parametrize("ties", ["efron", "breslow"])


def no_estimate(fits, row=0):
    return (
        not fits.converged[row]
        and np.isnan(fits.log_hazard_ratio[row]).all()
        and np.isnan(fits.standard_error[row]).all()
        and np.isnan(fits.log_likelihood[row])
    )


@TIES
@pytest.mark.parametrize("iterations", [30, 1000])
def test_a_level_without_events(book, ties, iterations):
    """Whether one column alone says so, among others, or only together with another."""
    time, event, design = book.simulated(1, 80, 3)
    safe = np.random.default_rng(3).random(80) < 0.2
    event[0, safe] = False
    ordered = Ordered.of(time, event)
    assert no_estimate(cox(ordered, safe[:, None].astype(float), ties=ties, iterations=iterations))
    assert no_estimate(cox(ordered, 1.0 - safe[:, None], ties=ties, iterations=iterations))
    beside = np.concatenate([design[0], safe[:, None]], axis=1)
    assert no_estimate(cox(ordered, beside, ties=ties, iterations=iterations))
    mixed = np.column_stack([safe + design[0, :, 1], design[0, :, 1]])
    assert no_estimate(cox(ordered, mixed, ties=ties, iterations=iterations))
    assert cox(ordered, design, ties=ties).converged.all()


@TIES
def test_one_patient_without_event_at_a_level(book, ties):
    time, event, _ = book.simulated(1, 100)
    column = np.zeros(100)
    column[np.argmax(np.where(event[0], -1, time[0]))] = 1.0
    assert no_estimate(cox(Ordered.of(time, event), column[:, None], ties=ties))


@TIES
def test_the_column_that_orders_the_deaths(book, ties):
    time = np.arange(1.0, 31.0)
    assert no_estimate(cox(Ordered.of(time, time > 0), time[:, None], ties=ties))


@TIES
@pytest.mark.parametrize(
    "column", [lambda x: np.full_like(x, 0.1), lambda x: x, lambda x: 1 - 2 * x, lambda x: np.full_like(x, np.nan)]
)
def test_constant_repeated_and_missing_columns(book, ties, column):
    time, event, design = book.simulated(1, 80, 2)
    doubled = np.concatenate([design, column(design[..., :1])], axis=-1)
    fits = cox(Ordered.of(time, event), doubled, ties=ties)
    assert no_estimate(fits)
    assert fits.events[0] == event.sum()


@TIES
def test_columns_that_vary_only_among_those_gone_before_the_first_event(ties):
    time = np.arange(1.0, 41.0)
    event = time > 10
    column = np.where(time <= 10, np.sin(time), 0.1)
    assert no_estimate(cox(Ordered.of(time, event), column[:, None], ties=ties))


def test_without_events_or_patients(book):
    time, event, design = book.simulated(2, 30)
    ordered = Ordered.of(time, np.zeros_like(event))
    fits = cox(ordered, design)
    assert no_estimate(fits, 0)
    assert no_estimate(fits, 1)
    np.testing.assert_array_equal(fits.events, 0)
    np.testing.assert_array_equal(fits.log_likelihood_null, 0.0)
    assert no_estimate(cox(Ordered.of(time, event), design, include=np.zeros_like(event)))


def test_bad_cohorts_do_not_spoil_their_neighbours(book):
    time, event, design = book.simulated(6, 60)
    good = cox(Ordered.of(time, event), design)
    event, design = event.copy(), design.copy()
    event[1] = False
    design[3, :, 1] = np.nan
    design[4, :, 0] = 1.0
    fits = cox(Ordered.of(time, event), design)
    np.testing.assert_array_equal(fits.converged, [True, False, True, False, False, True])
    np.testing.assert_array_equal(fits.log_hazard_ratio[[0, 2, 5]], good.log_hazard_ratio[[0, 2, 5]])


@TIES
@pytest.mark.parametrize("outlier", [1e3, 1e6])
def test_an_outlier_does_not_overflow(book, ties, outlier):
    """A patient far out who dies first pulls the first step so far that exponentials overflow; halving brings it back."""
    time, event, design = book.simulated(1, 100, 1)
    rng = np.random.default_rng(0)
    design = rng.normal(size=(1, 100, 1))
    design[0, 17] = outlier
    time[0, 17], event[0, 17] = np.sort(time[0])[30], True
    fits = cox(Ordered.of(time, event), design, ties=ties)
    data = (time[0], event[0], design[0])
    assert fits.converged[0]
    assert np.abs(book.score(fits.log_hazard_ratio[0], *data, ties=ties)).max() < 1e-6 * fits.standard_error[0, 0] ** -1


def test_a_strong_effect_is_still_an_estimate(book):
    """A hazard ratio of some hundreds with overlap: large, uncertain, and a maximum."""
    rng = np.random.default_rng(6)
    group = np.repeat([0.0, 1.0], 60)
    time = rng.exponential(size=120) / np.exp(6 * group)
    fit = cox(Ordered.of(time, time > 0), group[:, None])
    assert fit.converged[0]
    assert 4 < fit.log_hazard_ratio[0, 0] < 8
    gradient = book.score(fit.log_hazard_ratio[0], time, time > 0, group[:, None], ties="efron")
    assert np.abs(gradient).max() < 1e-8


def test_a_skewed_column_and_a_large_uncertain_effect_are_still_an_estimate(book):
    """Thirty patients, a lognormal marker: log hazards differ by some hundred over its range, with errors as large."""
    rng = np.random.default_rng(3)
    marker = np.exp(1.5 * rng.normal(size=(6000, 30)))
    time = rng.exponential(size=marker.shape) * np.exp(np.clip(-0.4 * marker * rng.normal(size=(6000, 1)), -300, 300))
    end = rng.uniform(0.05, 1.5, size=marker.shape)
    ordered = Ordered.of(np.minimum(time, end), time <= end)
    fits = cox(ordered, marker[..., None])
    span = np.ptp(marker, axis=1)
    hard = np.flatnonzero(fits.converged & (fits.standard_error[:, 0] * span > 60))
    assert len(hard) >= 5
    for row in [*hard, 0, 1, 2]:
        data = np.minimum(time, end)[row], (time <= end)[row], marker[row, :, None]
        step = 0.01 * fits.standard_error[row]
        below, above = (book.score(fits.log_hazard_ratio[row] + side * step, *data, ties="efron")[0] for side in (-1, 1))
        assert below > 0 > above
    refused = np.flatnonzero(~fits.converged & (ordered.event.sum(axis=1) > 0))
    for row in refused:  # the score does not change its sign anywhere
        data = np.minimum(time, end)[row], (time <= end)[row], marker[row, :, None] - marker[row].mean()
        ends = [book.score(np.array([side * 600 / span[row]]), *data, ties="efron")[0] for side in (-1, 1)]
        assert not ends[0] > 0 > ends[1]


def test_too_few_iterations_are_not_called_converged(book):
    time, event, design = book.simulated()
    ordered = Ordered.of(time, event)
    assert not cox(ordered, design, iterations=1).converged.any()
    assert cox(ordered, design, iterations=12).converged.all()
