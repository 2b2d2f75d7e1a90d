"""Residuals against integrals: events seen minus expected, given all that is known of a patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import sitewise as sw
from sitewise.models.resolve import prepare
from sitewise.studies.checking.residuals import Posterior, probability_before, residuals

SHAPE, SCALE, EFFECT = 1.4, 9.0, 0.7
TIMES = np.array([2.0, 5.0, 8.0, 20.0])


def hazard(time: float, x: float) -> float:
    return float((time / SCALE) ** SHAPE * np.exp(EFFECT * x))


def one_patient(**values: object) -> sw.Cohort:
    """Two patients, of whom the first is looked at: the column has two values, and there is an event."""
    frame = pd.DataFrame([values, {**values, "x": 0.0, "event": 1}])
    if "lower" in values:
        frame["upper"] = frame.pop("time")
        frame = frame.drop(columns="event")
        return sw.Cohort.from_frame(frame, lower="lower", upper="upper", time_unit="months", **_columns(frame))
    return sw.Cohort.from_frame(frame, time="time", event="event", time_unit="months", **_columns(frame))


def _columns(frame: pd.DataFrame) -> dict[str, object]:
    options: dict[str, object] = {"covariates": ["x"]}
    return options | {name: name for name in ("entry", "weights") if name in frame}


def found(cohort: sw.Cohort, log_times: np.ndarray, metric: str = "hazard-ratio") -> np.ndarray:
    """Residuals of the first patient under one draw whose truth is the constants above."""
    spec = sw.ModelSpec(terms=("x",), metric=metric, sites=sw.NoSites()).resolve(cohort)
    data = prepare(spec, cohort)
    effect = EFFECT if metric == "hazard-ratio" else -EFFECT / SHAPE
    mean = spec.resolved.means[0]
    at_means = np.log(SCALE) + (mean * effect if metric == "time-ratio" else -mean * effect / SHAPE)
    name = "log_hazard_ratio" if metric == "hazard-ratio" else "log_time_ratio"
    variables = {"shape": np.array([SHAPE]), name: np.array([[effect]]), "log_scale_at_means": np.array([at_means])}
    return residuals(spec, Posterior(variables, np.ones(1)), data, log_times)[0]


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
@pytest.mark.parametrize("event", [0, 1])
@pytest.mark.parametrize(("entry", "weight"), [(0.0, 1.0), (3.0, 1.0), (6.0, 2.5)])
def test_exact_and_censored_times(metric, event, entry, weight):
    cohort = one_patient(time=7.0, event=event, x=1.0, entry=entry, weights=weight)
    own = found(cohort, np.log(np.append(TIMES, np.inf)), metric)
    for value, time in zip(own, [*TIMES, 1e9], strict=True):
        wanted = event * (time >= 7) - hazard(min(time, 7), 1) + hazard(min(time, entry), 1)
        assert value == pytest.approx(weight * wanted, abs=1e-12)


@pytest.mark.parametrize(("lower", "upper"), [(4.0, 10.0), (0.0, 6.0), (4.999, 5.001), (3.0, 300.0)])
@pytest.mark.parametrize("entry", [0.0, 2.5])
def test_of_an_event_between_two_times_the_residual_is_the_expected_one(lower, upper, entry):
    if entry > lower:
        pytest.skip("nobody enters after their event may have come")
    cohort = one_patient(lower=lower, time=upper, x=1.0, entry=entry)
    own = found(cohort, np.log(np.append(TIMES, np.inf)))
    density = stats.weibull_min(SHAPE, scale=SCALE * np.exp(-EFFECT / SHAPE))
    mass = density.cdf(upper) - density.cdf(lower)
    for value, time in zip(own, [*TIMES, 1e9], strict=True):

        def given(moment: float, until: float = time) -> float:
            seen = (moment <= until) - hazard(min(moment, until), 1) + hazard(min(entry, until), 1)
            return seen * density.pdf(moment) / mass

        breaks = [point for point in (time, entry) if lower < point < upper]
        wanted = integrate.quad(given, lower, upper, points=breaks or None, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
        assert value == pytest.approx(wanted, abs=2e-8)


def test_residuals_average_zero_under_the_truth_and_their_posterior_mean_is_weighted():
    rng = np.random.default_rng(3)
    size = 4000
    x = rng.integers(0, 2, size).astype(float)
    time = SCALE * (rng.standard_exponential(size) * np.exp(-EFFECT * x)) ** (1 / SHAPE)
    end = rng.uniform(2, 15, size)
    frame = pd.DataFrame({"time": np.minimum(time, end), "event": (time <= end).astype(int), "x": x})
    cohort = sw.Cohort.from_frame(frame, time="time", event="event", time_unit="months")
    spec = sw.ModelSpec(terms=("x",), sites=sw.NoSites()).resolve(cohort)
    data = prepare(spec, cohort)
    at_means = np.log(SCALE) - spec.resolved.means[0] * EFFECT / SHAPE
    two = {
        "shape": np.array([SHAPE, 1.0]),
        "log_hazard_ratio": np.array([[EFFECT], [0.0]]),
        "log_scale_at_means": np.array([at_means, 2.0]),
    }
    log_times = np.log(TIMES)
    first, second, both = (
        residuals(spec, Posterior(two, np.array(weights)), data, log_times) for weights in ([1, 0], [0, 1], [0.3, 0.7])
    )
    error = first.std(axis=0) / np.sqrt(size)
    assert (np.abs(first.mean(axis=0)) < 4 * error).all()
    np.testing.assert_allclose(both, 0.3 * first + 0.7 * second, atol=1e-12)
    np.testing.assert_allclose(Posterior(two, np.array([0.3, 0.7])).only(1).variables["shape"], [1.0])


def test_large_cohorts_are_looked_at_piece_by_piece(monkeypatch, make_frame):
    from sitewise.studies.checking import residuals as module

    cohort = sw.Cohort.from_frame(make_frame(80), time="months", event="died", site="hospital", time_unit="months")
    fit = sw.fit(
        sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (1 | hospital)"),
        cohort,
        engine=sw.NestedLaplace(draws=200),
        seed=1,
    )
    data = prepare(fit.spec, cohort)
    variables = {str(name): values.to_numpy()[0] for name, values in fit.posterior.data_vars.items()}
    posterior = Posterior(variables, np.full(200, 1 / 200))
    whole = residuals(fit.spec, posterior, data, np.log(TIMES))
    monkeypatch.setattr(module, "LARGEST_ARRAY", 200 * TIMES.size * 7)
    np.testing.assert_allclose(residuals(fit.spec, posterior, data, np.log(TIMES)), whole, atol=1e-12)


def test_probabilities_before_are_uniform_under_the_truth():
    rng = np.random.default_rng(5)
    size = 3000
    entry = np.where(rng.random(size) < 0.5, rng.uniform(1, 4, size), 0.0)
    log_hazard = np.log(rng.standard_exponential(size) + (entry / SCALE) ** SHAPE)
    time = SCALE * np.exp(log_hazard / SHAPE)
    lower = np.maximum(np.floor(time), entry)
    hidden = rng.random(size) < 0.5
    frame = pd.DataFrame(
        {"lower": np.where(hidden, lower, time), "upper": np.where(hidden, np.floor(time) + 1, time), "entry": entry}
    )
    cohort = sw.Cohort.from_frame(frame, lower="lower", upper="upper", entry="entry", time_unit="months")
    spec = sw.ModelSpec(sites=sw.NoSites()).resolve(cohort)
    variables = {"shape": np.array([SHAPE]), "log_scale_at_means": np.array([np.log(SCALE)])}
    values = probability_before(spec, Posterior(variables, np.ones(1)), prepare(spec, cohort), rng)
    assert stats.kstest(values, "uniform").pvalue > 0.01
    assert stats.kstest(values[hidden], "uniform").pvalue > 0.01
