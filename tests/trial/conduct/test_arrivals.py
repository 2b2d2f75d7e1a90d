"""Who comes when and where, against the Poisson process's own formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from sitewise.trial.conduct import Trials, simulate_trials
from sitewise.trial.plan.accrual import Accrual, FollowUp
from sitewise.trial.plan.arms import Arms

CLOSE = FollowUp(100.0)


@pytest.fixture(scope="module")
def enrol(make_truth):
    """A function that simulates enrolment."""
    truth = make_truth()

    def enrolled(accrual: Accrual, *, patients: int, trials: int, seed: int = 11, factor: float = 1.0) -> Trials:
        arms = Arms("single-arm", patients)
        return simulate_trials(
            truth, arms=arms, accrual=accrual, follow_up=CLOSE, trials=trials, seed=seed, accrual_factor=factor
        )

    return enrolled


def counted(trials: Trials, time: float) -> np.ndarray:
    return (trials.enrolled <= time).sum(axis=1)


def assert_moments(values: np.ndarray, mean: float, variance: float) -> None:
    """Mean and variance within 3.3 standard errors; that of the variance from the sample's fourth moment."""
    size = values.size
    assert abs(values.mean() - mean) < 3.3 * np.sqrt(variance / size)
    error = np.sqrt(np.var((values - values.mean()) ** 2) / size)
    assert abs(values.var(ddof=1) - variance) < 3.3 * error


def test_gamma_rates_give_the_published_negative_binomial(enrol):
    """Reference line 15: C 5, a 1.5, m .6, t 24; negative binomial of size 7.5 and mean 72 (Anisimov & Fedorov 2007)."""
    trials = 20_000
    accrual = Accrual(5, 0.6, rate_shape=1.5)
    number = counted(enrol(accrual, patients=320, trials=trials), 24.0)
    assert number.max() < 320
    assert_moments(number, 72.0, 763.2)
    share = (number >= 60).mean()
    assert abs(share - 0.639130) < 3.3 * np.sqrt(0.639130 * (1 - 0.639130) / trials)
    law = stats.nbinom(7.5, 7.5 / (7.5 + 72))
    edges = np.array([-1, *law.ppf(np.arange(1, 20) / 20), np.inf])
    expected = np.diff(law.cdf(edges)) * trials
    assert stats.chisquare(np.histogram(number, edges + 0.5)[0], expected).pvalue > 0.001


def test_stated_rates_give_the_homogeneous_poisson_number(enrol):
    """Reference line 15: without spread of the rates P(N >= 60) is .933048."""
    trials = 10_000
    number = counted(enrol(Accrual(5, 0.6), patients=130, trials=trials), 24.0)
    assert number.max() < 130
    assert_moments(number, 72.0, 72.0)
    assert abs((number >= 60).mean() - 0.933048) < 3.3 * np.sqrt(0.933048 * (1 - 0.933048) / trials)


def test_staggered_opening_gives_the_published_mean_and_variance(enrol):
    """Reference line 15: opening at 0, 3, 6, 9, 12: mean 54, variance 464.4."""
    accrual = Accrual(5, 0.6, rate_shape=1.5, open_every=3.0)
    number = counted(enrol(accrual, patients=260, trials=20_000), 24.0)
    assert number.max() < 260
    assert_moments(number, 54.0, 464.4)


RAMPS = {
    "together": Accrual(3, (0.5, 1.0, 1.5), ramp=6.0),
    "one after another": Accrual(3, (0.5, 1.0, 1.5), opening=(4.0, 0.0, 2.5), ramp=6.0),
    "steps": Accrual(3, (0.5, 1.0, 1.5), open_every=4.0),
    # 0.7 + 0.1 - 0.7 is below 0.1 in a computer: the ramp must end all the same.
    "short": Accrual(3, 1.0, opening=(0.0, 0.7, 9.0), ramp=0.1),
}


@pytest.mark.parametrize("accrual", RAMPS.values(), ids=RAMPS.keys())
def test_the_expected_number_is_the_integral_of_the_intensity(enrol, accrual):
    trials = 4000
    made = enrol(accrual, patients=80, trials=trials)

    def intensity(time: float, site: int) -> float:
        since = time - accrual.openings[site]
        grown = 1.0 if accrual.ramp == 0 else min(since / accrual.ramp, 1.0)
        return float(accrual.rates[site] * grown) if since > 0 else 0.0

    kinks = np.unique([*accrual.openings, *(accrual.openings + accrual.ramp)])
    for time in (1.0, 3.0, 7.0, 12.0):
        inside = [kink for kink in kinks if 0 < kink < time]
        for site in range(3):
            mean = quad(intensity, 0, time, args=(site,), points=inside or None)[0]
            number = ((made.enrolled <= time) & (made.site == site)).sum(axis=1)
            assert_poisson(number, mean)


def assert_poisson(number: np.ndarray, mean: float) -> None:
    """Mean within 3.3 standard errors and, of numbers that are not too few, the variance that a Poisson number has."""
    assert abs(number.mean() - mean) <= 3.3 * np.sqrt(mean / number.size)
    if mean > 1:
        error = np.sqrt((mean + 2 * mean**2) / number.size)
        assert abs(number.var(ddof=1) - mean) < 3.3 * error


@pytest.mark.parametrize("accrual", RAMPS.values(), ids=RAMPS.keys())
def test_transformed_arrivals_are_a_homogeneous_poisson_process(enrol, accrual):
    """The cumulative intensity at successive arrivals has standard exponential increments."""
    made = enrol(accrual, patients=25, trials=300)

    def cumulative(time: np.ndarray) -> np.ndarray:
        total = np.zeros_like(time)
        for rate, opening in zip(accrual.rates, accrual.openings, strict=True):
            since = np.maximum(time - opening, 0.0)
            ramp = accrual.ramp
            grown = since - ramp / 2 if ramp == 0 else np.where(since < ramp, since**2 / (2 * ramp), since - ramp / 2)
            total += rate * grown
        return total

    gaps = np.diff(cumulative(made.enrolled), axis=1, prepend=0.0)
    assert stats.kstest(gaps.ravel(), "expon").pvalue > 0.001
    assert abs(np.corrcoef(gaps[:, :-1].ravel(), gaps[:, 1:].ravel())[0, 1]) < 3.3 / np.sqrt(300 * 24)


def test_sites_take_shares_in_proportion_to_their_rates(enrol):
    rates = np.array([0.2, 0.5, 1.3, 2.0])
    site = enrol(Accrual(4, tuple(rates)), patients=20, trials=500).site
    expected = rates / rates.sum() * site.size
    assert stats.chisquare(np.bincount(site.ravel(), minlength=4), expected).pvalue > 0.001
    pairs = np.bincount((site[:, :-1] * 4 + site[:, 1:]).ravel(), minlength=16)[:16].reshape(4, 4)
    assert stats.chi2_contingency(pairs).pvalue > 0.001


def test_caps_are_never_exceeded_and_full_sites_leave_the_rest_to_others(enrol):
    accrual = Accrual(4, (0.1, 0.5, 1.0, 3.0), cap=7)
    made = enrol(accrual, patients=28, trials=400)
    assert np.isfinite(made.enrolled).all()
    number = np.stack([(made.site == site).sum(axis=1) for site in range(4)])
    assert (number == 7).all()
    # The last to come is at the slowest sites, at their own rates, mostly.
    assert (made.site[:, -1] == 0).mean() > 0.5
    # Until a site is full nothing differs from sites without caps.
    free = enrol(Accrual(4, (0.1, 0.5, 1.0, 3.0)), patients=28, trials=400)
    np.testing.assert_array_equal(made.enrolled[:, :7], free.enrolled[:, :7])
    np.testing.assert_array_equal(made.site[:, :7], free.site[:, :7])


def test_a_full_site_slows_accrual_to_the_rate_of_the_others(enrol):
    """One site of rate 5 and cap 3, one of rate 1: after the former is full the gaps are exponential with rate 1."""
    made = enrol(Accrual(2, (5.0, 1.0), cap=3), patients=6, trials=3000)
    full = (np.cumsum(made.site == 0, axis=1) == 3)[:, :-1]
    gaps = np.diff(made.enrolled, axis=1)
    assert stats.kstest(gaps[full], "expon").pvalue > 0.001


def test_full_sites_wait_for_the_next_opening(enrol):
    accrual = Accrual(2, 50.0, opening=(0.0, 40.0), cap=5)
    made = enrol(accrual, patients=10, trials=200)
    assert (made.enrolled[:, 4] < 2.0).all()
    assert (made.enrolled[:, 5] > 40.0).all()
    assert (made.site[:, 5:] == 1).all()


def test_nobody_comes_after_all_sites_are_full(enrol):
    made = enrol(Accrual(2, 1.0, cap=3), patients=10, trials=50)
    assert np.isfinite(made.enrolled[:, :6]).all()
    assert np.isinf(made.enrolled[:, 6:]).all()


def test_accrual_ends_after_its_longest_time(enrol):
    free, ended = (enrol(Accrual(3, 0.5, longest=longest), patients=60, trials=300) for longest in (None, 20.0))
    came = free.enrolled <= 20.0
    assert 0.2 < came.mean() < 0.8
    np.testing.assert_array_equal(ended.enrolled, np.where(came, free.enrolled, np.inf))
    assert (ended.site[~came] == 0).all()


def test_a_factor_multiplies_rates_and_nothing_else(enrol):
    slow, fast = (enrol(Accrual(3, 0.5, rate_shape=2.0), patients=40, trials=100, factor=factor) for factor in (1.0, 2.0))
    np.testing.assert_allclose(slow.enrolled, 2 * fast.enrolled, rtol=1e-12)
    np.testing.assert_array_equal(slow.site, fast.site)
    evenly = [enrol(Accrual(3, 0.5, pattern="uniform"), patients=40, trials=9, factor=factor) for factor in (1.0, 2.0)]
    np.testing.assert_allclose(evenly[0].enrolled, 2 * evenly[1].enrolled, rtol=1e-12)


def test_the_uniform_pattern_is_uniform_over_the_time_that_all_need(enrol):
    made = enrol(Accrual(4, (1.0, 2.0, 2.0, 5.0), pattern="uniform"), patients=30, trials=300)
    assert (np.diff(made.enrolled, axis=1) >= 0).all()
    assert stats.kstest(made.enrolled.ravel(), stats.uniform(0, 3.0).cdf).pvalue > 0.001
    # Order statistics of 30 uniform times: the first is Beta(1, 30), the last Beta(30, 1).
    assert stats.kstest(made.enrolled[:, 0] / 3, stats.beta(1, 30).cdf).pvalue > 0.001
    assert stats.kstest(made.enrolled[:, -1] / 3, stats.beta(30, 1).cdf).pvalue > 0.001
    assert stats.chisquare(np.bincount(made.site.ravel()), np.array([1, 2, 2, 5]) * 900).pvalue > 0.001


def test_patients_stand_in_the_order_in_which_they_come(enrol):
    made = enrol(Accrual(6, 0.3, rate_shape=0.7, open_every=5.0, ramp=4.0, cap=9, longest=50.0), patients=50, trials=300)
    finite = np.isfinite(made.enrolled)
    assert (np.diff(np.where(finite, made.enrolled, 1e9), axis=1) >= 0).all()
    opened = np.arange(6) * 5.0
    assert (made.enrolled[finite] > opened[made.site[finite]]).all()
    assert (made.enrolled[finite] <= 50.0).all()
    number = np.stack([((made.site == site) & finite).sum(axis=1) for site in range(6)])
    assert number.max() == 9
