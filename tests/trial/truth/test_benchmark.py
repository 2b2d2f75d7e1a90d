"""The benchmark's point curve, its uncertainty, and what is drawn of it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from sitewise.families import Weibull
from sitewise.simulate.parts import Baseline
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.truth import Effect, PointGroup, PointTruth
from sitewise.trial.truth import Benchmark, Profile, TrueEffect, Truth
from sitewise.trial.truth.averages import AveragedCurve

GROUPS = (PointGroup("good", 0.6), PointGroup("poor", 0.4, 0.8))


def drawn(rows=300, *, level_sd=0.2, shape_sd=0.0, site_sd=0.0, guarantee_time=0.0, seed=1):
    """Weibull draws whose log hazard has a known sd."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0, level_sd, rows)
    shape = 1.3 * np.exp(rng.normal(0, shape_sd, rows))
    return Truth(
        family=Weibull(),
        shape=(shape,),
        log_scale=np.full(rows, np.log(18.0)),
        profiles=(Profile("a", "good"), Profile("b", "poor")),
        index=np.column_stack([level, level + 0.8]),
        shares=np.tile([0.6, 0.4], (rows, 1)),
        site_sd=np.full(rows, site_sd),
        cohort_arm="control",
        effect=TrueEffect.drawn(Effect(0.5), rows, rng=rng),
        guarantee_time=guarantee_time,
        follow_up=48.0,
    ), level


def test_the_point_curve_of_a_weibull_cohort_is_in_closed_form():
    cohort, level = drawn(guarantee_time=1.5)
    times = np.concatenate([[0.5, 1.5], np.geomspace(1.6, 400, 60)])
    for group, added in enumerate((0.0, 0.8)):
        found = Benchmark(cohort).cumulative_hazard(times[None].repeat(2, axis=0), np.full((2, times.size), group))
        exact = np.exp(level.mean() + added) * (np.maximum(times - 1.5, 0) / 18.0) ** 1.3
        np.testing.assert_allclose(found, np.tile(exact, (2, 1)), rtol=1e-6)


def test_the_point_curve_averages_over_sites_and_log_hazards_over_draws():
    cohort, _ = drawn(site_sd=0.5, shape_sd=0.1)
    times = np.array([2.0, 7.0, 13.0, 30.0, 45.0])
    curves = AveragedCurve.of(cohort, arm="control", group="poor").survival(times)
    exact = np.exp(np.log(-np.log(curves)).mean(axis=0))
    np.testing.assert_allclose(Benchmark(cohort).cumulative_hazard(times, 1), exact, rtol=1e-5)


def test_the_uncertainty_of_its_level_is_that_of_the_log_hazard():
    cohort, level = drawn()
    assert Benchmark(cohort).log_hazard_sd == pytest.approx(level.std(ddof=1), rel=1e-9)
    np.testing.assert_allclose(Benchmark(cohort).log_levels, level - level.mean(), atol=1e-9)
    assert Benchmark(cohort, known=True).log_hazard_sd == 0
    one = Truth.point(PointTruth(Baseline(median=12.0, parameters={"shape": 1.0})), cohort_arm="control", effect=Effect(1.0))
    assert Benchmark(one).log_hazard_sd == 0


def test_what_is_drawn_of_it_is_the_cohorts_own_arm_and_its_mean_where_known():
    cohort, level = drawn()
    criterion = Criterion("alive", "survival", above=0.5, at=12.0, group="good", against="benchmark")
    exact = np.exp(-np.exp(level) * (12 / 18) ** 1.3)
    np.testing.assert_allclose(Benchmark(cohort).draws(criterion), exact, rtol=1e-12)
    np.testing.assert_allclose(Benchmark(cohort, known=True).draws(criterion), exact.mean(), rtol=1e-12)


def test_four_million_hazards_take_less_than_a_second():
    benchmark = Benchmark(drawn(rows=20)[0])
    times = np.random.default_rng(1).exponential(20.0, (20_000, 200))
    group = np.random.default_rng(2).integers(0, 2, times.shape)
    benchmark.cumulative_hazard(times[:2], group[:2])
    started = time.process_time()
    found = benchmark.cumulative_hazard(times, group)
    assert time.process_time() - started < 1.0
    assert found.shape == times.shape
