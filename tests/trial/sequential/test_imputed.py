"""Imputation of remaining times against closed forms of conditional survival, and predictive shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import betaprime, fisk, gamma, kstest, lognorm, weibull_min

from sitewise.families import Exponential, LogLogistic, LogNormal, MixtureCure, Weibull
from sitewise.names import TIME_RATIO
from sitewise.problems import TrialError
from sitewise.trial.sequential import (
    impute_remaining,
    predictive_share,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
SETS = 4000
LEAST_P = 1e-3  # of a Kolmogorov-Smirnov test, with the seed fixed


def drawn(elapsed, family, log_scale, shape, predictor=0.0, **arguments):
    elapsed = np.asarray(elapsed, dtype=float)
    return impute_remaining(
        elapsed,
        event=np.zeros(elapsed.shape, dtype=bool),
        followed=np.ones(elapsed.shape, dtype=bool),
        family=family,
        log_scale=np.full(SETS, log_scale),
        shape=tuple(np.full(SETS, value) for value in shape),
        linear_predictor=np.broadcast_to(predictor, elapsed.shape),
        rng=np.random.default_rng(5),
        **arguments,
    )


def uniform(time, elapsed, distribution):
    """What conditional survival makes of times: uniform when they are of the distribution given that they exceed elapsed."""
    return distribution.sf(time) / distribution.sf(elapsed)


def test_exponential_times_have_no_memory():
    completed = drawn([0.0, 7.0, 200.0], Exponential(), np.log(10.0), ())
    for column, elapsed in enumerate([0.0, 7.0, 200.0]):
        assert kstest((completed.time[:, column] - elapsed) / 10.0, "expon").pvalue > LEAST_P
    assert completed.event.all()


@pytest.mark.parametrize("elapsed", [0.0, 0.3, 25.0])
@pytest.mark.parametrize(
    ("family", "shape", "distribution"),
    [
        (Weibull(), (1.7,), lambda scale, k: weibull_min(k, scale=scale)),
        (Weibull(), (0.6,), lambda scale, k: weibull_min(k, scale=scale)),
        (LogNormal(), (1.4,), lambda scale, k: lognorm(1 / k, scale=scale)),
        (LogLogistic(), (2.1,), lambda scale, k: fisk(k, scale=scale)),
    ],
)
def test_times_are_of_the_conditional_distribution(family, shape, distribution, elapsed):
    """The metric of time ratios stretches the scale by exp(predictor), whatever the family."""
    completed = drawn([elapsed], family, np.log(12.0), shape, predictor=0.4, metric=TIME_RATIO)
    given = uniform(completed.time[:, 0], elapsed, distribution(12.0 * np.exp(0.4), *shape))
    assert kstest(given, "uniform").pvalue > LEAST_P
    assert completed.time.min() >= elapsed


@pytest.mark.parametrize("family", [Weibull(), LogNormal()])
def test_a_hazard_ratio_is_a_power_of_survival(family):
    base = weibull_min(1.7, scale=12.0) if isinstance(family, Weibull) else lognorm(1 / 1.7, scale=12.0)
    completed = drawn([4.0], family, np.log(12.0), (1.7,), predictor=np.log(0.5))
    given = (base.sf(completed.time[:, 0]) / base.sf(4.0)) ** 0.5
    assert kstest(given, "uniform").pvalue > LEAST_P


def test_guarantee_time_and_the_cured():
    completed = drawn([1.0, 5.0], Weibull(), np.log(6.0), (0.8,), guarantee_time=3.0)
    base = weibull_min(0.8, scale=6.0, loc=3.0)
    for column, elapsed in enumerate([1.0, 5.0]):
        assert kstest(base.sf(completed.time[:, column]) / base.sf(elapsed), "uniform").pvalue > LEAST_P
    # A cured share .3; of those event-free at 5 more are cured: .3 / (.3 + .7 S(5)).
    cured = drawn([5.0], MixtureCure(Weibull()), np.log(6.0), (0.8, 0.3))
    share = 0.3 / (0.3 + 0.7 * weibull_min(0.8, scale=6.0).sf(5.0))
    never = ~cured.event[:, 0]
    assert abs(never.mean() - share) < 3.3 * np.sqrt(share * (1 - share) / SETS)
    assert np.all(np.isinf(cured.time[never]))
    time, event = cured.until(60.0)
    assert np.all(time[never] == 60.0)
    assert not event[never].any()


def test_dropout_competes():
    """Rates .1 and .05: two thirds of the ends are events, at rate .15 whatever they are."""
    completed = drawn([2.0], Exponential(), np.log(10.0), (), dropout_rate=0.05)
    assert kstest((completed.time[:, 0] - 2.0) * 0.15, "expon").pvalue > LEAST_P
    assert abs(completed.event.mean() - 2 / 3) < 3.3 * np.sqrt(2 / 9 / SETS)


def test_what_has_been_seen_stays_and_draws_differ():
    log_scale = np.log(np.linspace(5.0, 50.0, 30))
    predictor = np.zeros((30, 4))
    predictor[:, 3] = np.linspace(-1, 1, 30)
    completed = impute_remaining(
        [3.0, 8.0, 2.0, 0.0],
        event=[True, False, False, False],
        followed=[False, False, True, True],
        family=Exponential(),
        log_scale=log_scale,
        shape=(),
        linear_predictor=predictor,
        rng=np.random.default_rng(1),
    )
    assert completed.time.shape == (30, 4)
    np.testing.assert_array_equal(completed.time[:, :2], [[3.0, 8.0]] * 30)
    np.testing.assert_array_equal(completed.event[:, :2], [[True, False]] * 30)
    noise = np.random.default_rng(1).standard_exponential((30, 4))
    np.testing.assert_allclose(completed.time[:, 2], 2.0 + noise[:, 2] * np.exp(log_scale), rtol=1e-12)
    np.testing.assert_allclose(completed.time[:, 3], noise[:, 3] * np.exp(log_scale - predictor[:, 3]), rtol=1e-12)


def test_closing_at_a_number_of_events_by_hand():
    completed = impute_remaining(
        [[4.0, 6.0, 1.0]],
        event=[[True, True, False]],
        followed=[[False, False, False]],
        family=Exponential(),
        log_scale=np.zeros((2, 1)),
        shape=(),
        linear_predictor=0.0,
        rng=np.random.default_rng(0),
    )
    entry = np.array([0.0, 1.0, 2.0])  # events at calendar 4 and 7
    for number, closing in ((1, 4.0), (2, 7.0), (3, 50.0), (9, 50.0)):
        np.testing.assert_array_equal(completed.calendar_of_event(number, entry=entry, latest=50.0), closing)
    assert completed.calendar_of_event(2, entry=entry, latest=5.0)[0, 0] == 5.0
    time, event = completed.until(4.0 - np.array([0.0, 1.0, 9.0]))
    np.testing.assert_array_equal(time[0, 0], [4.0, 3.0, 0.0])
    np.testing.assert_array_equal(event[0, 0], [True, False, False])


@pytest.mark.parametrize("bar", [0.115, 0.135, 0.16])
def test_predictive_probability_of_a_single_arm_in_closed_form(bar):
    """Exponential times, all entered together, d events in time at risk Y at the look, the end at D events, a flat prior.

    Spacings of ordered exponential times make the further time at risk a gamma of D - d over the rate (Epstein & Sobel 1953,
    JASA 48:486), and the rate is a gamma of d over Y: their ratio to Y is beta prime. Success is a final posterior
    probability above .9 of a rate below the bar.
    """
    rng, patients, target, sets = np.random.default_rng(8), 60, 45, 8000
    time = rng.exponential(10.0, patients)
    event, elapsed = time <= 4.0, np.minimum(time, 4.0)
    events, at_risk = int(event.sum()), float(elapsed.sum())
    completed = impute_remaining(
        elapsed,
        event=event,
        followed=~event,
        family=Exponential(),
        log_scale=-np.log(rng.gamma(events, 1.0, sets) / at_risk),
        shape=(),
        linear_predictor=0.0,
        rng=rng,
    )
    closing = completed.calendar_of_event(target, entry=np.zeros(patients), latest=np.inf)
    final_time, final_event = completed.until(closing[:, None])
    assert np.all(final_event.sum(axis=1) == target)
    found = predictive_share(gamma.cdf(bar * final_time.sum(axis=1), target) > 0.9)
    further = gamma.ppf(0.9, target) / bar - at_risk
    exact = betaprime.sf(further / at_risk, target - events, events)
    assert 0.05 < exact < 0.95
    assert abs(float(found.probability) - exact) < 3.3 * float(found.standard_error)


def test_shares_count_failures_as_no_success():
    found = predictive_share(np.array([[1, 0], [1, np.nan], [0, 0], [1, 1]], dtype=float))
    np.testing.assert_allclose(found.probability, [0.75, 0.25])
    np.testing.assert_allclose(found.standard_error, np.sqrt(0.75 * 0.25 / 4))
    np.testing.assert_array_equal(found.failed, [0, 1])
    assert found.sets == 4
    with pytest.raises(TrialError, match="0, 1 or NaN"):
        predictive_share([0.7])
    with pytest.raises(TrialError, match="no completed set"):
        predictive_share([])


def test_what_cannot_be_is_refused():
    arguments = {
        "event": [True, False],
        "followed": [True, True],
        "family": Weibull(),
        "log_scale": [np.nan],
        "shape": (),
        "linear_predictor": 0.0,
        "rng": np.random.default_rng(1),
        "metric": "odds",
    }
    with pytest.raises(TrialError) as raised:
        impute_remaining([-1.0, 2.0], **arguments)
    for words in ("negative", "have had the event", "weibull has 1", "not finite", "'odds'"):
        assert words in str(raised.value)
    with pytest.raises(TrialError, match="shapes"):
        impute_remaining([1.0], **arguments)
    # Draws (S,) beside trials (M, n) could be taken for draws of each trial.
    pair = np.zeros((2, 3))
    with pytest.raises(TrialError, match="log_scale: has 1 dimension"):
        impute_remaining(
            pair,
            event=pair > 0,
            followed=pair == 0,
            family=Weibull(),
            log_scale=np.zeros(2),
            shape=(np.ones(2),),
            linear_predictor=0.0,
            rng=np.random.default_rng(1),
        )
