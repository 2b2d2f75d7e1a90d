"""True survival, restricted means and medians against closed forms, printed numbers and scipy's quadrature."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from sitewise.families import GeneralisedGamma, LogNormal, MixtureCure, PiecewiseExponential
from sitewise.problems import TrialError
from sitewise.simulate.parts import Baseline
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.truth import Effect, PointGroup, PointTruth
from sitewise.trial.truth import Benchmark, Profile, TrueEffect, Truth
from sitewise.trial.truth.averages import AveragedCurve
from sitewise.trial.truth.bounds import shift_to_bound
from sitewise.trial.truth.hazards import cumulative_hazard
from sitewise.trial.truth.true_values import no_true_value, true_value

NONE = Effect(1.0)
EVERYBODY = (PointGroup("everybody", 1.0),)
COURSES = {
    "proportional": Effect(0.7),
    "delay": Effect(0.7, delay=3.0),
    "waning": Effect(0.7, delay=2.0, wanes_from=6.0, wanes_until=18.0),
}


def weibull(median, shape, *, site_sd=0.0, group=EVERYBODY, effect=NONE, arm="control", **more):
    point = PointTruth(Baseline(median=median, parameters={"shape": shape}), site_sd, tuple(group))
    return Truth.point(point, cohort_arm=arm, effect=effect, **more)


def of_family(family, shape, log_scale, *, index=(0.0,), site_sd=0.0, effect=NONE, arm="control", guarantee_time=0.0):
    """A truth of one row with any family."""
    return Truth(
        family=family,
        shape=tuple(np.array([value]) for value in shape),
        log_scale=np.array([log_scale]),
        profiles=tuple(Profile(str(place), "everybody") for place in range(len(index))),
        index=np.array([index], dtype=float),
        shares=np.full((1, len(index)), 1 / len(index)),
        site_sd=np.array([site_sd]),
        cohort_arm=arm,
        effect=TrueEffect.drawn(effect, 1, rng=np.random.default_rng(1)),
        guarantee_time=guarantee_time,
    )


def survival(at, **more):
    return Criterion("survival", "survival", above=0.5, at=at, **more)


def rmst(at, **more):
    return Criterion("mean", "rmst", above=5.0, at=at, **more)


MEDIAN = Criterion("median", "median", above=10.0)


# Reference file of the project, line 14: log-normal site effect, mean of S over new sites.
@pytest.mark.parametrize(("site_sd", "hazard", "mean"), [(0.5, 0.5, 0.590105), (0.5, 1.0, 0.369874), (1.0, 1.0, 0.381756)])
def test_survival_at_new_sites(site_sd, hazard, mean):
    truth = weibull(np.log(2) / hazard, 1.0, site_sd=site_sd)
    assert true_value(truth, survival(1.0))[0] == pytest.approx(mean, abs=5e-7)
    exact, _ = quad(lambda z: np.exp(-hazard * np.exp(site_sd * z)) * norm.pdf(z), -12, 12, epsabs=1e-13)
    assert true_value(truth, survival(1.0))[0] == pytest.approx(exact, rel=1e-9)


# Reference file, line 6: gamma(1/k, (tau/scale)^k) scale / k.
@pytest.mark.parametrize(
    ("shape", "median", "horizon", "mean"), [(1.5, 10, 12, 8.639360), (1.3, 14, 24, 14.199613), (0.8, 20, 36, 20.378492)]
)
def test_restricted_means_and_medians_of_weibull_curves(shape, median, horizon, mean):
    truth = weibull(median, shape)
    assert true_value(truth, rmst(horizon))[0] == pytest.approx(mean, abs=5e-7)
    assert true_value(truth, MEDIAN)[0] == pytest.approx(median, rel=1e-10)


def hazard_of(effect, own, log_ratio, *, cohort_arm, arm, time):
    """The hazard of an arm from the words of the effect: nothing before the delay, then whole, then waning in steps."""
    if arm == cohort_arm:
        return own(time)
    share = 1.0 if time >= effect.delay else 0.0
    if effect.wanes_from is not None and time >= effect.wanes_from:
        passed = (time - effect.wanes_from) / (effect.wanes_until - effect.wanes_from)
        share = 1 - (np.floor(12 * passed) + 0.5) / 12 if passed < 1 else 0.0
    sign = 1.0 if arm == "experimental" else -1.0
    return own(time) * np.exp(sign * share * log_ratio)


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("cohort_arm", ["experimental", "control"])
@pytest.mark.parametrize("arm", ["experimental", "control"])
def test_cumulative_hazards_are_integrals_of_piecewise_hazards(course, cohort_arm, arm):
    effect, shape, scale, added, more = COURSES[course], 1.3, 15.0, 0.4, 0.15
    truth = weibull(scale * np.log(2) ** (1 / shape), shape, effect=effect, arm=cohort_arm)
    own = lambda t: np.exp(added) * shape / scale * (t / scale) ** (shape - 1)  # noqa: E731
    times = np.array([1.0, 4.0, 9.3, 30.0])
    found = cumulative_hazard(truth, times[None], arm=arm, added=added, effect_added=more)[0]
    edges = sorted({0.0, effect.delay, *np.linspace(6, 18, 13)})

    def rate(time):
        return hazard_of(effect, own, np.log(0.7) + more, cohort_arm=cohort_arm, arm=arm, time=time)

    for time, value in zip(times, found, strict=True):
        pieces = [edge for edge in edges if edge < time] + [time]
        exact = 0.0
        for begin, end in pairwise(pieces):
            exact += quad(rate, begin, end, epsabs=1e-13)[0]
        assert value == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("course", COURSES)
def test_the_averaged_curve_of_an_affected_arm(course):
    """Two groups, sites, sites that differ in the effect, and cure: nested quadrature by scipy."""
    effect = replace(COURSES[course], cured=0.1, site_sd=0.3)
    groups = (PointGroup("good", 0.6), PointGroup("poor", 0.4, 0.8))
    truth = weibull(14.0, 1.3, site_sd=0.5, group=groups, effect=effect)
    start, weight = effect.pieces
    scale = 14.0 / np.log(2) ** (1 / 1.3)
    node, mass = np.polynomial.hermite_e.hermegauss(60)
    mass = mass / mass.sum()

    def alive(time, shares=(0.6, 0.4)):
        own = lambda t: (t / scale) ** 1.3  # noqa: E731
        ends = [*start[1:], np.inf]
        grown = np.array([own(min(time, end)) - own(min(time, begin)) for begin, end in zip(start, ends, strict=True)])
        hazard = (np.exp(np.outer(np.log(0.7) + 0.3 * node, weight)) * grown).sum(axis=1)
        each = [
            share * np.exp(-np.exp(add + 0.5 * node[:, None]) * hazard) for add, share in zip((0, 0.8), shares, strict=True)
        ]
        return 0.1 + 0.9 * float(mass @ sum(each) @ mass)

    assert true_value(truth, survival(20.0))[0] == pytest.approx(alive(20.0), rel=1e-7)
    assert true_value(truth, survival(20.0, group="poor"))[0] == pytest.approx(alive(20.0, (0, 1)), rel=1e-7)
    points = [item for item in start if 0 < item < 24]
    area, _ = quad(alive, 0, 24, points=points or None, epsabs=1e-9, limit=300)
    assert true_value(truth, rmst(24.0))[0] == pytest.approx(area, rel=1e-6)
    assert true_value(truth, MEDIAN)[0] == pytest.approx(brentq(lambda t: alive(t) - 0.5, 1, 200, xtol=1e-12), rel=1e-7)
    gain = true_value(truth, survival(20.0, against="control"))[0]
    own = true_value(truth, survival(20.0), arm="control")[0]
    assert gain == pytest.approx(alive(20.0) - own, rel=1e-6)


def test_a_family_whose_index_is_no_log_hazard():
    """Log-normal: what is added shortens log times, and the effect multiplies the patient's own hazard."""
    truth = of_family(LogNormal(), (1.2,), np.log(15), index=(0.0, 0.5), site_sd=0.4, effect=Effect(0.6, delay=4.0))
    node, mass = np.polynomial.hermite_e.hermegauss(60)
    mass = mass / mass.sum()

    def alive(time):
        dead = lambda t: -np.log(ndtr(-(1.2 * (np.log(t) - np.log(15)) + added)))  # noqa: E731
        total = 0.0
        for index in (0.0, 0.5):
            added = index + 0.4 * node
            hazard = dead(time) if time < 4 else dead(4.0) + 0.6 * (dead(time) - dead(4.0))
            total += 0.5 * float(mass @ np.exp(-hazard))
        return total

    assert true_value(truth, survival(18.0))[0] == pytest.approx(alive(18.0), rel=1e-8)
    area, _ = quad(alive, 0, 24, points=[4.0], epsabs=1e-10)
    assert true_value(truth, rmst(24.0))[0] == pytest.approx(area, rel=1e-6)
    with pytest.raises(TrialError, match="multiplies times, not hazards"):
        shift_to_bound(truth, survival(18.0))


@pytest.mark.parametrize("effect", [NONE, Effect(0.6, delay=5.0)], ids=["none", "delay"])
@pytest.mark.parametrize(
    ("family", "shape", "log_scale"),
    [
        (PiecewiseExponential(knots=(4.0, 9.0), unit=20.0), (0.8, 0.5, -1.0), np.log(12)),
        (MixtureCure(), (1.4, 0.2), np.log(12)),
        (GeneralisedGamma(), (1.3, 0.6), np.log(12)),
    ],
    ids=["piecewise-exponential", "mixture-cure", "generalised-gamma"],
)
def test_restricted_means_of_other_families(family, shape, log_scale, effect):
    truth = of_family(family, shape, log_scale, effect=effect, guarantee_time=1.0)
    curve = AveragedCurve.of(truth, arm="experimental")
    breaks = [1.0, 5.0, 6.0, 10.0, 21.0]
    area, _ = quad(lambda t: float(curve.survival([t])[0, 0]), 0, 30, points=breaks, epsabs=1e-10, limit=400)
    assert true_value(truth, rmst(30.0))[0] == pytest.approx(area, rel=1e-7)
    parameters = tuple(np.array([value]) for value in shape)
    exact = np.exp(-np.exp(family.log_cumulative_hazard(np.log(np.array([7.0])), np.array([log_scale]), parameters)))
    control = AveragedCurve.of(truth, arm="control").survival([1.0, 8.0])[0]
    np.testing.assert_allclose(control, [1.0, exact[0]], rtol=1e-12)


def test_a_median_that_is_never_reached_is_infinite():
    truth = weibull(14.0, 1.2, effect=Effect(0.8, cured=0.6))
    assert np.isinf(true_value(truth, MEDIAN)[0])
    assert true_value(truth, MEDIAN, arm="control")[0] == pytest.approx(14.0)


def test_hazard_ratios_and_why_there_may_be_none():
    ratio = Criterion("better", "hazard_ratio", below=1.0)
    truth = weibull(14.0, 1.2, effect=Effect(0.8, sd=0.2), arm="experimental")
    np.testing.assert_array_equal(true_value(truth, ratio), np.exp(truth.effect.log_hazard_ratio))
    assert not no_true_value(truth, ratio)
    delayed = truth.with_effect(Effect(0.8, delay=3.0))
    assert np.isnan(true_value(delayed, ratio)).all()
    assert "not proportional" in no_true_value(delayed, ratio)
    # A single arm that has the cohort's own treatment: the effect does not matter, and drift is all that differs.
    drifted = replace(delayed, index=delayed.index + 0.25)
    np.testing.assert_allclose(true_value(drifted, ratio, benchmark=Benchmark(delayed)), np.exp(0.25), rtol=1e-12)
    added = replace(weibull(14.0, 1.2, effect=Effect(0.8)), index=np.array([[0.25]]))
    against = Benchmark(weibull(14.0, 1.2))
    np.testing.assert_allclose(true_value(added, ratio, benchmark=against), 0.8 * np.exp(0.25), rtol=1e-12)
    assert "not those behind the truth" in no_true_value(added, ratio, benchmark=Benchmark(weibull(13.0, 1.2)))
    with pytest.raises(TrialError, match="none is given"):
        true_value(truth, survival(12.0, against="benchmark"))


@pytest.mark.parametrize("cohort_arm", ["experimental", "control"])
@pytest.mark.parametrize(
    "criterion",
    [
        survival(24.0),
        survival(24.0, group="poor"),
        rmst(18.0),
        Criterion("median", "median", above=11.0),
        survival(24.0, against="benchmark"),
        Criterion("gain", "survival", above=0.02, at=24.0, against="control"),
        Criterion("ratio", "hazard_ratio", below=1.3),
    ],
    ids=lambda item: item.sentence,
)
def test_a_world_at_a_bound_has_the_bound_in_each_row(criterion, cohort_arm):
    groups = (PointGroup("good", 0.6), PointGroup("poor", 0.4, 0.8))
    truth = weibull(14.0, 1.3, site_sd=0.5, group=groups, effect=Effect(0.75, sd=0.3), arm=cohort_arm, rows=7)
    if criterion.against == "benchmark":
        criterion = Criterion("apart", "survival", above=0.05, at=24.0, against="benchmark")
    benchmark = Benchmark(weibull(13.0, 1.2, group=groups)) if criterion.against == "benchmark" else None
    found = shift_to_bound(truth, criterion, benchmark=benchmark)
    np.testing.assert_allclose(true_value(found, criterion, benchmark=benchmark), criterion.bound, atol=1e-10)
    assert np.ptp(true_value(truth, criterion, benchmark=benchmark)) > (1e-3 if cohort_arm == "control" else -1)
    moved = found.index - truth.index
    np.testing.assert_allclose(moved, moved[:, :1] + np.zeros(2), atol=1e-12)
    changes_effect = criterion.against == "control" or criterion.estimand == "hazard_ratio"
    assert np.array_equal(found.effect.log_hazard_ratio, truth.effect.log_hazard_ratio) != changes_effect


def test_a_single_arm_at_the_bound_of_its_hazard_ratio():
    ratio = Criterion("ratio", "hazard_ratio", below=0.9)
    cohort = weibull(14.0, 1.3, rows=5)
    truth = weibull(14.0, 1.3, effect=Effect(0.7, sd=0.2), rows=5)
    found = shift_to_bound(truth, ratio, benchmark=Benchmark(cohort))
    np.testing.assert_allclose(true_value(found, ratio, benchmark=Benchmark(cohort)), 0.9, rtol=1e-12)


def test_a_bound_out_of_reach_is_refused():
    truth = weibull(14.0, 1.3, effect=Effect(0.7, cured=0.4))
    with pytest.raises(TrialError, match="no multiple of the hazards"):
        shift_to_bound(truth, Criterion("low", "survival", above=0.3, at=24.0))
    grouped = weibull(14.0, 1.3, group=(PointGroup("good", 0.6), PointGroup("poor", 0.4, 0.8)))
    with pytest.raises(TrialError, match="Did you mean 'poor'"):
        true_value(grouped, survival(12.0, group="por"))


@pytest.mark.parametrize("cohort_arm", ["experimental", "control"])
@pytest.mark.parametrize("arm", ["experimental", "control"])
def test_simulated_event_times_have_the_true_survival(cohort_arm, arm):
    """Times drawn by the conduct of trials, each patient at a site of their own: within 3.3 Monte Carlo standard errors."""
    from sitewise.trial.conduct.event_times import event_times

    effect = replace(COURSES["waning"], site_sd=0.3)
    truth = weibull(14.0, 1.3, site_sd=0.5, effect=effect, arm=cohort_arm)
    rng, size = np.random.default_rng(4), (4, 10_000)
    sign = 1.0 if arm == "experimental" else -1.0
    times = event_times(
        truth,
        np.zeros(4, dtype=np.int64),
        0.5 * rng.standard_normal(size),
        sign * (np.log(0.7) + 0.3 * rng.standard_normal(size)),
        np.full(size, arm != cohort_arm),
        rng.standard_exponential(size),
    )
    for time in (4.0, 12.0, 30.0):
        expected = true_value(truth, survival(time), arm=arm)[0]
        error = np.sqrt(expected * (1 - expected) / times.size)
        assert (times > time).mean() == pytest.approx(expected, abs=3.3 * error)
