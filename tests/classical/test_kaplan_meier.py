"""Kaplan-Meier curves, limits and medians against lifelines and the product-limit formula written out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from sitewise.classical import Ordered, kaplan_meier_at, kaplan_meier_median

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
TIMES = np.array([0.0, 0.5, 3.0, 6.0, 12.0, 12.5, 24.0, 48.0, 1e6])


def lifelines_fit(time, event, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines import KaplanMeierFitter

        return KaplanMeierFitter().fit(time, event, **options)


@pytest.mark.parametrize("rounded", [True, False])
def test_survival_and_limits_against_lifelines(book, rounded):
    time, event, _ = book.simulated(4, 70, 2, rounded=rounded)
    curve = kaplan_meier_at(Ordered.of(time, event), TIMES)
    lower, upper = curve.limits(0.9)
    for row in range(4):
        other = lifelines_fit(time[row], event[row], alpha=0.1)
        np.testing.assert_allclose(curve.survival[row], other.survival_function_at_times(TIMES), atol=1e-12)
        bounds = other.confidence_interval_.to_numpy()
        place = np.searchsorted(other.confidence_interval_.index, TIMES, side="right") - 1
        np.testing.assert_allclose(lower[row], bounds[place, 0], atol=1e-12)
        np.testing.assert_allclose(upper[row], bounds[place, 1], atol=1e-12)


@pytest.mark.parametrize("late", [False, True])
def test_every_number_by_its_definition(book, late):
    """Events before censorings at equal times; at risk at t: who entered before t and is followed to t or longer."""
    time, event, _ = book.simulated(3, 60, 2, seed=2)
    rng = np.random.default_rng(1)
    entry = np.where(rng.random(time.shape) < 0.4, 0.0, np.floor(time * rng.random(time.shape))) if late else None
    include = rng.random(time.shape) < 0.8
    curve = kaplan_meier_at(Ordered.of(time, event, entry), TIMES, include=include)
    for row, kept in enumerate(include):
        t, d = time[row, kept], event[row, kept]
        since = entry[row, kept] if entry is not None else np.full(t.size, -1.0)
        for column, at in enumerate(TIMES):
            survival, greenwood = 1.0, 0.0
            for moment in np.unique(t[d & (t <= at)]):
                deaths, exposed = (d & (t == moment)).sum(), ((t >= moment) & (since < moment)).sum()
                survival *= 1 - deaths / exposed
                greenwood += deaths / (exposed * (exposed - deaths)) if exposed > deaths else np.inf
            assert curve.survival[row, column] == pytest.approx(survival, abs=1e-12)
            assert curve.greenwood[row, column] == pytest.approx(greenwood, rel=1e-12)
            assert curve.at_risk[row, column] == ((t >= at) & (since < at)).sum()
            assert curve.events_so_far[row, column] == (d & (t <= at)).sum()


def test_limits_of_three_kinds(book):
    """The textbook formulas; only the log-log limits stay within 0 and 1 by themselves."""
    time, event, _ = book.simulated(2, 50, 2, seed=5)
    curve = kaplan_meier_at(Ordered.of(time, event), [6.0, 18.0])
    z, s, sd = 1.959963984540054, curve.survival, np.sqrt(curve.greenwood)
    inner = (s > 0) & (s < 1)
    assert inner.all()
    spread = z * np.sqrt(curve.log_log_variance)
    np.testing.assert_allclose(curve.limits(0.95)[0], np.exp(-np.exp(np.log(-np.log(s)) + spread)), rtol=1e-12)
    np.testing.assert_allclose(curve.limits(0.95)[1], np.exp(-np.exp(np.log(-np.log(s)) - spread)), rtol=1e-12)
    np.testing.assert_allclose(curve.limits(kind="log")[0], s * np.exp(-z * sd), rtol=1e-12)
    np.testing.assert_allclose(curve.limits(kind="log")[1], np.minimum(s * np.exp(z * sd), 1), rtol=1e-12)
    np.testing.assert_allclose(curve.limits(kind="plain")[0], np.maximum(s - z * s * sd, 0), rtol=1e-12)
    np.testing.assert_allclose(curve.limits(kind="plain")[1], np.minimum(s + z * s * sd, 1), rtol=1e-12)
    with pytest.raises(ValueError, match="'logit'"):
        curve.limits(kind="logit")


def test_where_nobody_or_everybody_has_died(book):
    curve = kaplan_meier_at(Ordered.of([1.0, 2.0, 3.0], [True, True, True]), [0.5, 2.0, 3.0, np.nan])
    np.testing.assert_array_equal(curve.survival[0, [0, 2]], [1.0, 0.0])
    np.testing.assert_array_equal(curve.greenwood[0, [0, 2]], [0.0, np.inf])
    assert np.isnan(curve.survival[0, 3])
    for kind in ("log-log", "log", "plain"):
        lower, upper = curve.limits(kind=kind)
        np.testing.assert_array_equal(lower[0, [0, 2]], [1.0, 0.0])
        np.testing.assert_array_equal(upper[0, [0, 2]], [1.0, 0.0])
    np.testing.assert_array_equal(np.isnan(curve.log_log_variance[0]), [True, False, True, True])


def test_times_of_each_cohort_of_its_own(book):
    time, event, _ = book.simulated(3, 40, 1)
    ordered = Ordered.of(time, event)
    own = kaplan_meier_at(ordered, [[3.0], [9.0], [15.0]])
    all_times = kaplan_meier_at(ordered, [3.0, 9.0, 15.0])
    np.testing.assert_array_equal(own.survival[:, 0], np.diagonal(all_times.survival))


def test_groups_without_patients(book):
    time, event, _ = book.simulated(2, 20, 1)
    include = np.zeros(time.shape, dtype=bool)
    include[1] = True
    curve = kaplan_meier_at(Ordered.of(time, event), [0.0, 12.0], include=include)
    assert np.isnan(curve.survival[0]).all()
    assert np.isnan(curve.limits()[0][0]).all()
    np.testing.assert_array_equal(curve.at_risk[:, 0], [0, 20])
    median = kaplan_meier_median(Ordered.of(time, event), include=include)
    assert np.isnan([median.median[0], median.lower[0], median.upper[0]]).all()
    assert np.isfinite(median.median[1])


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("share", [0.5, 0.75])
def test_medians_and_their_limits_against_lifelines(book, rounded, share):
    from lifelines.utils import qth_survival_times

    time, event, _ = book.simulated(30, 45, 2, seed=7, rounded=rounded)
    found = kaplan_meier_median(Ordered.of(time, event), share=share)
    compared = 0
    for row in range(30):
        other = lifelines_fit(time[row], event[row])
        limits = qth_survival_times(share, other.confidence_interval_)
        assert found.median[row] == qth_survival_times(share, other.survival_function_)
        assert found.lower[row] == limits.iloc[0, 0]
        if other.survival_function_.iloc[-1, 0] > 0:
            assert found.upper[row] == limits.iloc[0, 1]
            compared += 1
    assert compared > 20
    assert np.isinf(kaplan_meier_median(Ordered.of(time, event & (time < 3))).median).all()


def test_a_curve_that_is_flat_at_a_half_and_one_that_ends_at_0():
    """The first of the two times; and no upper limit where the last patient dies before the limit comes down (R gives NA)."""
    found = kaplan_meier_median(Ordered.of([1.0, 2.0, 3.0, 4.0], [True] * 4))
    assert found.median[0] == 2.0
    assert found.lower[0] == 1.0
    assert np.isinf(found.upper[0])
