"""Weibull and exponential formulas against scipy.stats."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from sitewise.families import FAMILIES, Exponential, Family, Weibull
from sitewise.families.metric import log_cumulative_hazard, log_hazard, log_likelihood

# Double precision loses at most a few hundred ulp (2e-16) in these few operations.
TIGHT = {"rtol": 1e-12, "atol": 1e-12}
TIMES = np.array([0.01, 0.4, 3.0, 17.0, 160.0])
CASES = [(Weibull(), (0.6,), 0.6), (Weibull(), (1.0,), 1.0), (Weibull(), (2.7,), 2.7), (Exponential(), (), 1.0)]


def test_the_families_by_name():
    assert {name: kind.name for name, kind in FAMILIES.items()} == {name: name for name in FAMILIES}
    assert len(FAMILIES) == 10
    assert all(isinstance(kind(), Family) for kind in FAMILIES.values())
    assert [item.name for item in Weibull.shape_parameters] == ["shape"]
    assert Exponential.shape_parameters == ()


@pytest.mark.parametrize(("family", "shape", "k"), CASES)
def test_log_cumulative_hazard_is_minus_log_survival(family, shape, k):
    scale = 7.5
    expected = -stats.weibull_min.logsf(TIMES, k, scale=scale)
    np.testing.assert_allclose(np.exp(family.log_cumulative_hazard(np.log(TIMES), np.log(scale), shape)), expected, **TIGHT)


@pytest.mark.parametrize(("family", "shape", "k"), CASES)
def test_log_hazard_is_log_density_minus_log_survival(family, shape, k):
    law = stats.weibull_min(k, scale=7.5)
    expected = law.logpdf(TIMES) - law.logsf(TIMES)
    # logpdf - logsf cancels terms of the size of H (here up to 4e3), so that 4e3 x 1e-15 of rounding remains.
    np.testing.assert_allclose(family.log_hazard(np.log(TIMES), np.log(7.5), shape), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("family", "shape", "k"), CASES)
def test_log_time_is_the_quantile_function(family, shape, k):
    levels = np.array([0.001, 0.25, 0.5, 0.975])
    expected = stats.weibull_min.ppf(levels, k, scale=7.5)
    found = np.exp(family.log_time(np.log(-np.log1p(-levels)), np.log(7.5), shape))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    again = family.log_cumulative_hazard(np.log(found), np.log(7.5), shape)
    np.testing.assert_allclose(again, np.log(-np.log1p(-levels)), **TIGHT)


@pytest.mark.parametrize(("family", "shape", "k"), CASES)
@pytest.mark.parametrize("log_multiplier", [-9.0, -1.3, 0.0, 2.0])
@pytest.mark.parametrize("horizon", [0.05, 6.0, 90.0])
def test_restricted_mean_is_the_area_under_survival(family, shape, k, log_multiplier, horizon):
    found = float(family.restricted_mean(horizon, np.array(log_multiplier), np.log(7.5), shape))

    def survival(time):
        return np.exp(-np.exp(log_multiplier) * (time / 7.5) ** k)

    expected = quad(survival, 0, horizon, epsabs=1e-13, epsrel=1e-13, limit=400)[0]
    assert found == pytest.approx(expected, rel=1e-10)  # quad's own error at a shape below 1 (infinite slope at 0)


@pytest.mark.parametrize("k", [0.1, 0.5, 1.0, 3.0, 10.0])
def test_restricted_mean_does_not_break_at_extreme_hazards(k):
    """From no hazard (the whole horizon) to a hazard that kills at once (the unrestricted mean): monotone, finite."""
    multipliers = np.linspace(-60, 60, 241)
    found = Weibull().restricted_mean(24.0, multipliers, np.log(10.0), (np.array(k),))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found <= 24.0 * (1 + 1e-13)).all()
    assert (np.diff(found) <= 1e-13 * 24).all()
    assert found[0] == pytest.approx(24.0, rel=1e-13)
    unrestricted = stats.weibull_min.mean(k, scale=10.0 * np.exp(-60 / k))
    assert found[-1] == pytest.approx(unrestricted, rel=1e-9)


def test_restricted_mean_has_no_step_where_the_series_takes_over():
    """The power series is used below H = 1e-5; both sides of the switch lie on the same line to rounding."""
    around = np.log(1e-5) + np.array([-1e-6, 1e-6])
    for k in (0.3, 1.0, 4.0):
        below, above = Weibull().restricted_mean(10.0, around, np.log(10.0), (np.array(k),))
        slope = -10.0 * 1e-5 / (k + 1)  # d RMST / d log H at leading order
        assert above - below == pytest.approx(slope * 2e-6, abs=1e-13)


@pytest.mark.parametrize(("family", "shape", "k"), CASES)
def test_a_log_time_ratio_is_minus_k_times_a_log_hazard_ratio(family, shape, k):
    assert family.log_index_ratio(0.3, shape) == pytest.approx(-0.3 * k, rel=1e-15)


@pytest.mark.parametrize(("family", "shape", "k"), CASES)
def test_the_metrics_multiply_the_hazard_and_stretch_time(family, shape, k):
    eta, scale = 0.7, 7.5
    log_time = np.log(TIMES)
    arguments = (eta, np.log(scale), shape)
    proportional = np.exp(log_cumulative_hazard(family, "hazard-ratio", log_time, *arguments))
    np.testing.assert_allclose(proportional, -np.exp(eta) * stats.weibull_min.logsf(TIMES, k, scale=scale), **TIGHT)
    stretched = np.exp(log_cumulative_hazard(family, "time-ratio", log_time, *arguments))
    np.testing.assert_allclose(stretched, -stats.weibull_min.logsf(TIMES, k, scale=scale * np.exp(eta)), **TIGHT)
    for metric, other in (
        ("hazard-ratio", stats.weibull_min(k, scale=scale * np.exp(-eta / k))),
        ("time-ratio", stats.weibull_min(k, scale=scale * np.exp(eta))),
    ):
        expected = other.logpdf(TIMES) - other.logsf(TIMES)
        np.testing.assert_allclose(log_hazard(family, metric, log_time, *arguments), expected, rtol=1e-11, atol=1e-11)


def test_positive_predictors_shorten_life_as_hazard_ratios_and_lengthen_it_as_time_ratios():
    both = {
        metric: log_cumulative_hazard(Weibull(), metric, np.log(5.0), np.array([0.0, 1.0]), np.log(8.0), (1.5,))
        for metric in ("hazard-ratio", "time-ratio")
    }
    assert both["hazard-ratio"][1] - both["hazard-ratio"][0] == pytest.approx(1.0)
    assert both["time-ratio"][1] - both["time-ratio"][0] == pytest.approx(-1.5)


def test_log_likelihood_of_one_patient_by_hand():
    """k = 2, scale 10, eta = 0, entry 3, time 6, event, weight 2.

    log h(6) = log(2 x 6 / 100) = log .12; H(6) = .36; H(3) = .09; 2 x (log .12 - .36 + .09).
    """
    value = log_likelihood(
        Weibull(),
        "hazard-ratio",
        log_time=np.log(6.0),
        event=1.0,
        log_entry=np.log(3.0),
        entered_late=1.0,
        weight=2.0,
        linear_predictor=0.0,
        log_scale=np.log(10.0),
        shape=(2.0,),
    )
    assert value == pytest.approx(2 * (np.log(0.12) - 0.27), rel=1e-14)
