"""Turnbull's estimate against lifelines, a published table, scipy's optimisers, Kaplan-Meier and arithmetic by hand.

The likelihood and its derivatives are computed anew here, with a dense matrix of which patient can have the event where and
with masses in place of hazards, at every time and between every two, and not only in innermost intervals.
"""

import time

import numpy as np
import pytest
from scipy.optimize import minimize

import sitewise.cohort.turnbull as module
from sitewise.cohort import kaplan_meier
from sitewise.cohort.turnbull import turnbull
from sitewise.problems import SitewiseWarning

pytestmark = pytest.mark.filterwarnings("error")  # above all of an estimate that has not converged

# Breast retraction after radiotherapy alone, 46 patients, months: Finkelstein & Wolfe 1985, Biometrics 41:933, as in Klein &
# Moeschberger 2003, table 1.18. The masses are those of R's interval::icfit, and give the curve of their table 5.4.
FREE = [45, 46, 46, 17, 15, 22, 46, 46, 46, 46, 46, 37, 40, 46, 38, 37, 18, 24, 36, 24, 32, 33, 37, 34, 36]
RETRACTED = [
    *[(6, 10), (0, 7), (7, 16), (7, 14), (37, 44), (0, 8), (4, 11), (11, 15), (25, 37), (26, 40), (27, 34), (36, 44), (36, 48)],
    *[(17, 25), (11, 18), (5, 12), (0, 5), (5, 11), (19, 35), (17, 25), (19, 26)],
]
MASSES = {5: 0.0463, 7: 0.0334, 8: 0.0887, 12: 0.0708, 25: 0.0926, 34: 0.0818, 40: 0.1209, 48: 0.4656}


def mixture(seed, *, size=60, grid=1.0, exact=0.3, late=False, weighted=False):
    """Exact, right-censored and interval-censored patients as (lower, upper, event, entry, weights)."""
    rng = np.random.default_rng(seed)
    moment = 10 * rng.weibull(1.2, size)
    censored = rng.exponential(15, size)
    lower, upper = np.maximum(moment - rng.exponential(3, size), 0), moment + rng.exponential(3, size)
    if grid:
        lower, upper, moment, censored = (
            np.floor(lower / grid) * grid,
            np.ceil(upper / grid) * grid,
            np.ceil(moment / grid) * grid,
            np.ceil(censored / grid) * grid,
        )
    point = rng.uniform(size=size) < exact
    lower, upper = np.where(point, moment, lower), np.where(point, moment, upper)
    event = censored > upper
    event[-1], censored[-1] = False, 100.0  # somebody is there from the start to the end, so that S stays above zero
    lower, upper = np.where(event, lower, censored), np.where(event, upper, censored)
    entry = np.zeros(size)
    if late:
        entry = np.where(rng.uniform(size=size) < 0.6, rng.uniform(0, 1, size) * np.minimum(lower + 1, upper), 0.0)
        entry = np.floor(entry / grid) * grid if grid else entry
        entry[-1], entry[entry >= upper] = 0.0, 0.0
        lower = np.where(event & (lower < upper), np.maximum(lower, entry), lower)
    weights = rng.integers(1, 6, size).astype(float) if weighted else np.ones(size)
    return lower, upper, event, entry, weights


class Dense:
    """The likelihood in the masses of every observed time, of every open interval between two, and of what is after all."""

    def __init__(self, lower, upper, event, entry, weights):
        times = np.unique(np.concatenate([lower, upper, entry]))
        between = np.append((times[:-1] + times[1:]) / 2, times[-1] + 1)
        self.places = np.sort(np.append(times, between))
        point = (event & (lower == upper))[:, None]
        after = np.where(event, lower, upper)[:, None]
        inside = (self.places > after) & (self.places <= np.where(event, upper, np.inf)[:, None])
        self.inside = np.where(point, self.places == upper[:, None], inside & (self.places > entry[:, None]))
        self.present = self.places > entry[:, None]
        self.event, self.weights = event, weights

    def masses(self, curve):
        """The masses of a curve; what it leaves is put after all times."""
        masses = np.zeros(self.places.size)
        masses[np.searchsorted(self.places, curve.time)] = -np.diff(curve.survival, prepend=1.0)
        masses[-1] += curve.survival[-1]
        return masses

    def log_likelihood(self, masses):
        return self.weights @ (np.log(self.inside @ masses) - np.log(self.present @ masses))

    def derivative(self, masses):
        """By each mass, a unit of total weight."""
        inside, present = self.inside / (self.inside @ masses)[:, None], self.present / (self.present @ masses)[:, None]
        return self.weights @ (inside - present) / self.weights.sum()

    def by_scipy(self, start):
        """The log likelihood that scipy reaches on the simplex from masses ``start``."""
        scale = self.weights.sum()
        found = minimize(
            lambda masses: -self.log_likelihood(masses) / scale,
            start,
            jac=lambda masses: -self.derivative(masses),
            bounds=[(1e-12, 1)] * start.size,
            constraints={"type": "eq", "fun": lambda masses: masses.sum() - 1, "jac": np.ones_like},
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-13},
        )
        return self.log_likelihood(found.x / found.x.sum())

    def by_scipy_in_hazards(self, curve):
        """The log likelihood at a curve, and the highest that scipy finds, conditional at each time on being there.

        In hazards it is defined where S is zero before the last entry, too.
        """
        before = self.present & (np.arange(self.places.size) < self.inside.argmax(axis=1)[:, None])
        may, survived, weights = self.inside[self.event].astype(float), self.weights @ before, self.weights[self.event]

        def negative(log_rate):
            theta = -np.exp(log_rate)
            change = may @ theta
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                slope = survived - may.T @ (weights * np.exp(change) / -np.expm1(change))
                return -(survived @ theta + weights @ np.log(-np.expm1(change))), -slope * theta

        at_curve = np.full(self.places.size, 1e-300)
        at_curve[np.searchsorted(self.places, curve.time)] = np.minimum(curve.events / curve.at_risk, 1 - 1e-13)
        found = [
            minimize(
                negative, np.full(self.places.size, np.log(rate)), jac=True, bounds=[(-30, 3.4)] * self.places.size, tol=1e-13
            )
            for rate in (1 / self.places.size, 0.2)
        ]
        return -negative(np.log(-np.log1p(-at_curve)))[0], -min(result.fun for result in found)


def estimate(rows, **options):
    lower, upper, event, entry, weights = rows
    return turnbull(lower, upper, event, entry=entry, weights=weights, **options)


def assert_maximum(dense, masses, tolerance=1e-7):
    """The Karush-Kuhn-Tucker conditions on the simplex."""
    derivative = dense.derivative(masses)
    assert derivative.max() < tolerance
    assert np.abs(derivative[masses > 1e-9]).max() < tolerance


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_no_higher_likelihood_is_found_by_scipy(seed, late):
    rows = mixture(seed, size=25, late=late, weighted=True)
    dense = Dense(*rows)
    masses = dense.masses(estimate(rows))
    assert masses.sum() == pytest.approx(1)
    assert_maximum(dense, masses)
    ours, rng, size = dense.log_likelihood(masses), np.random.default_rng(seed), masses.size
    theirs = max(dense.by_scipy(start) for start in (np.full(size, 1 / size), rng.dirichlet(np.ones(size))))
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert ours > theirs - 1e-7


@pytest.mark.parametrize("seed", range(8))
def test_no_higher_likelihood_is_found_where_survival_can_reach_zero_early(seed):
    """Without the patient who is there throughout."""
    rows = [column[:-1] for column in mixture(seed, size=15, grid=seed % 2, late=True, weighted=True)]
    ours, theirs = Dense(*rows).by_scipy_in_hazards(estimate(rows))
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert ours > theirs - 1e-6


@pytest.mark.parametrize("grid", [0.0, 1.0])
@pytest.mark.parametrize("exact", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("late", [False, True])
def test_conditions_of_a_maximum(grid, exact, late):
    for seed in range(10, 14):
        rows = mixture(seed, size=200, grid=grid, exact=exact, late=late, weighted=seed % 2 == 0)
        dense = Dense(*rows)
        assert_maximum(dense, dense.masses(estimate(rows)))


@pytest.mark.parametrize(
    ("seed", "size", "exact", "grid"),
    [(454, 60, 0.1, 0.3), (545, 30, 0.7, 0.3), (1103, 12, 0.3, 0), (424, 8, 0.3, 0), (924, 8, 0.1, 0.3), (3084, 30, 0.7, 0.3)],
)
@pytest.mark.parametrize("complete", [True, False])
def test_weights_that_span_six_decades(seed, size, exact, grid, complete):
    """Where EM and convex minorants alone need too many steps, and where the Hessian is singular.

    Without the last patient, who is there throughout, S can be zero before others enter, and masses have no likelihood.
    """
    rows = (
        *mixture(seed, size=size, exact=exact, grid=grid, late=True)[:4],
        10.0 ** np.random.default_rng(seed).uniform(-3, 3, size),
    )
    if complete:
        dense = Dense(*rows)
        assert_maximum(dense, dense.masses(estimate(rows)))
    else:
        assert (np.diff(estimate([column[:-1] for column in rows]).survival, prepend=1.0) <= 0).all()


def test_survival_ends_at_zero_when_the_last_at_risk_has_the_event():
    """With weights that are no binary fractions, as in Kaplan-Meier."""
    assert curve_of((1, 1, 1), (2, 2, 1), (3, 3, 1), weights=[0.1, 0.2, 0.3]).survival[-1] == 0
    assert curve_of((0, 2, 1), (1, 3, 1), (2, 4, 1), (3, 4, 1), weights=[0.1, 0.2, 0.3, 0.7]).survival[-1] == 0
    lower, upper, event, _, weights = mixture(1, size=500, grid=0.0)
    assert turnbull(lower[event], upper[event], event[event], weights=weights[event] / 7).survival[-1] == 0


def test_patients_censored_by_the_time_they_enter_say_nothing():
    rows = [(0, 2, 1), (1, 3, 1), (2, 4, 1)]
    assert_same(curve_of(*rows, (1, 1, 0), (2.5, 2.5, 0), entry=[0, 0, 0, 2.5, 2.5]), curve_of(*rows))


@pytest.mark.parametrize("seed", range(6))
def test_like_lifelines(seed):
    """lifelines has closed intervals, so that those open on the left are given half a unit less."""
    from lifelines.fitters.npmle import npmle

    lower, upper, event, _, weights = mixture(seed, weighted=True)
    left = lower + np.where(event & (lower == upper), 0.0, 0.5)
    masses, intervals = npmle(left, np.where(event, upper, 1000.0), weights=weights, tol=1e-11)
    ends = np.array([interval.right for interval in intervals])
    curve = turnbull(lower, upper, event, weights=weights)
    assert np.isin(curve.time, ends).all()
    np.testing.assert_allclose(curve.at(ends[ends <= curve.last]), 1 - np.cumsum(masses)[ends <= curve.last], atol=1e-4)


def cosmesis():
    event = np.repeat([False, True], [len(FREE), len(RETRACTED)])
    lower = np.array(FREE + [lower for lower, _ in RETRACTED], dtype=float)
    return lower, np.array(FREE + [upper for _, upper in RETRACTED], dtype=float), event


def test_published_breast_cosmesis():
    lower, upper, event = cosmesis()
    assert (event.size, event.sum()) == (46, 21)
    curve = turnbull(lower, upper, event)
    np.testing.assert_array_equal(curve.time, list(MASSES))
    np.testing.assert_allclose(-np.diff(curve.survival, prepend=1.0), list(MASSES.values()), atol=5.1e-5)
    dense = Dense(lower, upper, event, np.zeros(46), np.ones(46))
    assert_maximum(dense, dense.masses(curve))
    found = dense.by_scipy(np.full(dense.places.size, 1 / dense.places.size))
    assert dense.log_likelihood(dense.masses(curve)) == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_kaplan_meier_when_every_time_is_exact(seed, late, weighted):
    lower, upper, event, entry, weights = mixture(seed, exact=1.0, late=late, weighted=weighted)
    ours = turnbull(lower, upper, event, entry=entry, weights=weights)
    theirs = kaplan_meier(upper, event, entry=entry, weights=weights)
    np.testing.assert_array_equal(ours.time, theirs.time)
    for name in ("survival", "at_risk", "events"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-10)
    assert ours.last == theirs.last


def test_kaplan_meier_when_everyone_at_risk_dies_before_others_enter():
    time, event, entry = np.array([1.0, 2.0, 5.0, 6.0]), np.array([1, 1, 1, 0]), np.array([0.0, 0.0, 3.0, 3.0])
    ours, theirs = turnbull(time, time, event, entry=entry), kaplan_meier(time, event, entry=entry)
    np.testing.assert_array_equal(ours.survival, theirs.survival)
    np.testing.assert_array_equal(ours.at_risk, theirs.at_risk)
    assert ours.survival[1:].tolist() == [0, 0]


def test_survival_does_not_underflow():
    """Patients who enter one after another, two at a time at risk, halve S at each of 3000 deaths."""
    time, entry = np.arange(2.0, 3002.0), np.arange(0.0, 3000.0)
    ours, theirs = turnbull(time, time, np.ones(3000), entry=entry), kaplan_meier(time, np.ones(3000), entry=entry)
    np.testing.assert_allclose(ours.at_risk, theirs.at_risk, rtol=1e-10)
    np.testing.assert_allclose(ours.events, theirs.events, rtol=1e-10)


def curve_of(*rows, **options):
    lower, upper, event = np.array(rows, dtype=float).T
    return turnbull(lower, upper, event, **options)


def test_ends_are_open_on_the_left_and_closed_on_the_right():
    touching = curve_of((0, 1, 1), (1, 2, 1))
    np.testing.assert_array_equal(touching.time, [1, 2])
    np.testing.assert_allclose(touching.survival, [0.5, 0], atol=1e-8)
    closed = curve_of((1, 3, 1), (3, 3, 1))  # both can have had it at 3
    assert (closed.time.tolist(), closed.survival.tolist()) == ([3], [0])
    outside = curve_of((3, 5, 1), (3, 3, 1))
    assert outside.time.tolist() == [3, 5]
    np.testing.assert_allclose(outside.survival, [0.5, 0], atol=1e-8)
    censored = curve_of((2, 3, 1), (3, 3, 0))  # after 3
    assert censored.time.tolist() == [3]
    np.testing.assert_allclose(censored.survival, [0.5], atol=1e-8)


def test_by_hand():
    """(0, 2], (1, 3] and (2, 4] leave (1, 2] and (2, 3], half of the mass each, as the second row is neutral."""
    curve = curve_of((0, 2, 1), (1, 3, 1), (2, 4, 1))
    np.testing.assert_array_equal(curve.time, [2, 3])
    np.testing.assert_allclose(curve.survival, [0.5, 0], atol=1e-8)
    np.testing.assert_allclose(curve.at_risk, [3, 1.5], atol=1e-7)
    np.testing.assert_allclose(curve.events, [1.5, 1.5], atol=1e-7)


def test_an_entry_ends_an_innermost_interval():
    """Masses a in (1, 5], b at 8 and c after 9: (a + b)^2 c b c / (b + c)^2 is largest when all are 1/3, by paper.

    Without Frydman's correction there is no place in (1, 5], and S is 2/5 after 8, with a lower likelihood.
    """
    curve = curve_of((1, 9, 1), (1, 9, 1), (8, 8, 1), (9, 9, 0), (9, 9, 0), entry=[0, 0, 5, 0, 5])
    np.testing.assert_array_equal(curve.time, [5, 8])
    np.testing.assert_allclose(curve.survival, [2 / 3, 1 / 3], atol=1e-7)


def test_intervals_begin_at_entry():
    """An event in (0, 4] of a patient who entered at 3 is in (3, 4]."""
    late = curve_of((0, 4, 1), (1, 3, 1), (6, 6, 0), entry=[3, 0, 0])
    same = curve_of((3, 4, 1), (1, 3, 1), (6, 6, 0), entry=[3, 0, 0])
    np.testing.assert_array_equal(late.survival, same.survival)
    np.testing.assert_allclose(late.survival, [1 / 2, 1 / 4], atol=1e-7)  # 1 of 2 by 3, then 1 of 2


def test_expected_numbers():
    rows = mixture(3, size=80, late=True, weighted=True)
    _, upper, event, entry, weights = rows
    curve, dense = estimate(rows), Dense(*rows)
    where = dense.inside * dense.masses(curve) / (dense.inside @ dense.masses(curve))[:, None]
    columns = np.searchsorted(dense.places, curve.time)
    events = (weights * event) @ where[:, columns]
    without = np.array([where[:, column:].sum(axis=1) for column in columns])
    at_risk = (entry < curve.time[:, None]) * np.where(event, without, upper >= curve.time[:, None]) @ weights
    np.testing.assert_allclose(curve.events, events, atol=1e-6)
    np.testing.assert_allclose(curve.at_risk, at_risk, atol=1e-6)
    assert curve.events.sum() == pytest.approx(weights[event].sum())
    np.testing.assert_allclose(curve.survival, np.cumprod(1 - curve.events / curve.at_risk), rtol=1e-12)


def assert_same(first, second, tolerance=1e-6):
    np.testing.assert_array_equal(first.time, second.time)
    for name in ("survival", "at_risk", "events"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=tolerance, rtol=tolerance)


def test_whole_weights_are_repeated_patients_in_any_order():
    rows = mixture(5, late=True, weighted=True)
    order = np.random.default_rng(5).permutation(np.repeat(np.arange(60), rows[-1].astype(int)))
    assert_same(estimate(rows), turnbull(*(column[order] for column in rows[:3]), entry=rows[3][order]))


def test_a_weight_of_zero_leaves_out_and_a_common_factor_changes_nothing():
    lower, upper, event, entry, weights = mixture(6, late=True, weighted=True)
    weights[:10] = 0
    kept = [column[10:] for column in (lower, upper, event, entry, weights)]
    assert_same(estimate((lower, upper, event, entry, weights)), estimate(kept))
    scaled = estimate((*kept[:4], 7 * kept[4]))
    np.testing.assert_allclose(scaled.survival, estimate(kept).survival, atol=1e-6)


def test_a_big_table_on_a_common_schedule_is_fast():
    rows = mixture(0, size=20_000, grid=0.5, exact=0.1, late=True, weighted=True)
    begin = time.perf_counter()
    curve = estimate(rows)
    assert time.perf_counter() - begin < 2
    assert 20 < curve.time.size < 200


def test_twenty_thousand_distinct_intervals():
    lower, upper, event, _, _ = mixture(0, size=20_000, grid=0.0, exact=0.05)
    begin = time.perf_counter()
    curve = turnbull(lower, upper, event)
    assert time.perf_counter() - begin < 5
    np.testing.assert_allclose(curve.at([2, 5, 10]), np.exp(-(np.array([0.2, 0.5, 1.0]) ** 1.2)), atol=0.1)


def test_the_end_of_follow_up_and_no_limits():
    lower, upper, event = cosmesis()
    curve = turnbull(lower, np.where(event, upper, np.inf), event, prob=0.8)
    assert_same(curve, turnbull(lower, upper, event))
    assert (curve.last, curve.prob) == (48, 0.8)
    assert np.isnan(curve.lower).all()
    assert np.isnan(curve.upper).all()
    assert curve.lower.shape == curve.upper.shape == curve.time.shape
    assert not curve.has_limits
    np.testing.assert_array_equal(curve.median(), [40, np.nan, np.nan])
    assert np.isnan(curve.at(48.1))


def test_nobody_and_nobody_dead():
    ours, theirs = turnbull([], [], []), kaplan_meier([], [])
    for name in ("time", "at_risk", "events", "survival", "lower", "upper", "last", "prob"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    alive = curve_of((3, 3, 0), (4, 4, 0))
    assert alive.time.size == 0
    np.testing.assert_array_equal(alive.at([1, 4]), [1, 1])
    assert np.isnan(alive.at(5))


@pytest.mark.parametrize(("row", "entry"), [((3, 2, 1), 0), ((2, 2, 1), 2), ((1, 2, 1), 3)])
def test_impossible_rows(row, entry):
    with pytest.raises(ValueError, match="must"):
        curve_of(row, (4, 4, 1), entry=[entry, 0])


def test_too_few_steps_are_said(monkeypatch):
    monkeypatch.setattr(module, "MAX_STEPS", 2)
    with pytest.warns(SitewiseWarning, match="not converged in 2 steps"):
        curve = turnbull(*cosmesis())
    assert np.diff(curve.survival, prepend=1.0).max() < 0
