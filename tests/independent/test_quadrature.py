"""Survival, medians, RMST and hazards of averaged curves against adaptive quadrature, to 1e-8.

The reference writes the four populations out: survival of a member is exp(-H0(t) exp(eta + b)), averaged over members with
their weights and, for the marginal population, over b ~ Normal(0, sd) by adaptive Gauss-Kronrod quadrature (scipy's QUADPACK,
asked for 1e-13). RMST is a second adaptive integral over time and the median a bracketed root of the averaged curve.
"""

from functools import cache

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

import sitewise as sw

TOLERANCE = 1e-8
"""Required of survival (which is at most 1), of RMST as a share of its horizon, and of a median as a share of itself."""

SITE_SDS = (0.01, 0.05, 0.2, 0.2999, 0.3001, 0.5, 1.0, 2.0, 3.0)
HAZARDS = np.array([0.01, 0.1, 0.5, 1.0, 3.0, 8.0, 20.0])
SHAPE, SCALE, AGE_EFFECT, ECOG_EFFECT = 1.3, 14.0, 0.037, 0.62
HORIZONS = (0.5, 12.0, 60.0)


def over_sites(function, sd):
    """Return the mean of ``function(b)`` over b ~ Normal(0, sd)."""

    def integrand(z):
        return np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) * function(sd * z)

    parts = [quad(integrand, low, low + 3, epsabs=1e-14, epsrel=1e-13, limit=200)[0] for low in range(-12, 12, 3)]
    return sum(parts)


@pytest.fixture(scope="module")
def frame(make_frame):
    return make_frame(9, seed=5, hospitals=3)


@pytest.fixture(scope="module")
def fit(frame, read, hand_made):
    """One draw for each site sd; a few members, so that the reference is affordable."""
    cohort = read(frame, weights="weight")
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + age + (1 | hospital)")
    size = len(SITE_SDS)
    z = np.array([-1.1, 0.3, 0.9])
    return hand_made(
        spec,
        cohort,
        shape=np.full(size, SHAPE),
        log_scale=np.full(size, np.log(SCALE)),
        coefficients=np.tile([ECOG_EFFECT, AGE_EFFECT], (size, 1)),
        site_effect=np.array(SITE_SDS)[:, None] * z,
        site_sd=np.array(SITE_SDS),
        seed=3,
    )


@pytest.fixture(scope="module")
def members(frame):
    """Log hazard against the covariate means, weight and hospital of each patient."""
    ecog = (frame["ecog"] == ">=1").to_numpy(dtype=float)
    age = frame["age"].to_numpy()
    eta = ECOG_EFFECT * (ecog - ecog.mean()) + AGE_EFFECT * (age - age.mean())
    weight = frame["weight"].to_numpy()
    return eta, weight / weight.sum(), frame["hospital"].to_numpy() - 1


TREATMENTS = {
    "observed": sw.Observed(),
    "observed:2": sw.Observed("2"),
    "average": sw.Average(),
    "marginal": sw.Marginal(),
    "new": sw.New(),
}
EVERYONE = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})


@pytest.fixture(scope="module")
def reference(members, fit):
    """A function (treatment, draw) -> S(log H0), the averaged curve by definition."""
    eta, weight, hospital = members
    effects = fit.posterior["site_effect"].to_numpy()[0]
    # One standard normal number a posterior draw, from the fit's seed, as New() documents.
    new = np.random.default_rng(3).standard_normal(len(SITE_SDS)) * np.array(SITE_SDS)

    def make(treatment, draw):
        sd = SITE_SDS[draw]
        shift = {
            "observed": effects[draw, hospital],
            "observed:2": effects[draw, 1],
            "average": 0.0,
            "marginal": 0.0,
            "new": new[draw],
        }[treatment]

        @cache
        def survival(hazard):
            def averaged(b):
                return float(weight @ np.exp(-hazard * np.exp(eta + shift + b)))

            return over_sites(averaged, sd) if treatment == "marginal" else averaged(0.0)

        return survival

    return make


def hazard_at(time):
    return (time / SCALE) ** SHAPE


def time_of(hazard):
    return SCALE * hazard ** (1 / SHAPE)


@pytest.mark.parametrize("name", TREATMENTS)
def test_survival(name, fit, reference):
    times = time_of(HAZARDS)
    found = sw.survival(fit, groups=EVERYONE, sites=TREATMENTS[name], times=times).sel(group="all")[0].to_numpy()
    expected = np.array([[reference(name, draw)(float(h)) for h in HAZARDS] for draw in range(len(SITE_SDS))])
    assert expected.min() < 1e-4  # the range asked for reaches into the tail
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", TREATMENTS)
def test_medians_and_quantiles(name, level, fit, reference):
    groups, sites = EVERYONE, TREATMENTS[name]
    if level == 0.5:
        found = sw.median_survival(fit, groups=groups, sites=sites)
    else:
        found = sw.quantile(fit, groups=groups, sites=sites, level=level)
    for draw in range(len(SITE_SDS)):
        survival = reference(name, draw)
        root = brentq(lambda u, s=survival: s(float(np.exp(u))) - (1 - level), -25, 25, xtol=1e-12, rtol=1e-14)
        assert float(found[0, draw, 0]) == pytest.approx(time_of(np.exp(root)), rel=TOLERANCE)


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("name", TREATMENTS)
def test_restricted_means(name, horizon, fit, reference):
    found = sw.rmst(fit, groups=EVERYONE, sites=TREATMENTS[name], horizon=horizon)
    for draw in range(len(SITE_SDS)):
        survival = reference(name, draw)
        expected = quad(lambda t, s=survival: s(float(hazard_at(t))), 0, horizon, epsabs=1e-10 * horizon, epsrel=1e-10)[0]
        assert float(found[0, draw, 0]) == pytest.approx(expected, abs=TOLERANCE * horizon)


@pytest.mark.parametrize("name", ["observed", "average", "marginal"])
def test_hazard_of_the_averaged_curve(name, members, fit):
    """h(t) = E[h_i S_i] / E[S_i]. A ratio: its error is the interpolation's (2e-10) over S, so 1e-6 down to S of 1e-3."""
    eta, weight, hospital = members
    times = time_of(np.array([0.01, 0.5, 1.0, 3.0]))
    found = sw.hazard(fit, groups=EVERYONE, sites=TREATMENTS[name], times=times)[0, :, 0].to_numpy()
    effects = fit.posterior["site_effect"].to_numpy()[0]
    for draw in (0, 3, 5, 8):
        shift = effects[draw, hospital] if name == "observed" else 0.0
        for column, time in enumerate(times):

            def mean(factor, time=float(time), shift=shift, draw=draw):
                def value(b):
                    ratio = np.exp(eta + shift + b)
                    return float(weight @ (factor(ratio) * np.exp(-hazard_at(time) * ratio)))

                return over_sites(value, SITE_SDS[draw]) if name == "marginal" else value(0.0)

            baseline = SHAPE / SCALE * (time / SCALE) ** (SHAPE - 1)
            expected = baseline * mean(lambda ratio: ratio) / mean(np.ones_like)
            assert found[draw, column] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [0.4, 1.0, 4.0])
@pytest.mark.parametrize("sd", [0.01, 0.3, 3.0])
def test_other_shapes(shape, sd, make_frame, read, hand_made):
    """One patient profile at marginal sites, early steep and late steep hazards: all three functionals."""
    cohort = read(make_frame(9, seed=5, hospitals=3))
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ 1 + (1 | hospital)")
    fit = hand_made(spec, cohort, shape=[shape], log_scale=[np.log(SCALE)], site_effect=[[0.0, 0.0, 0.0]], site_sd=[sd])
    options = {"groups": EVERYONE, "sites": sw.Marginal()}

    @cache
    def survival(time):
        return over_sites(lambda b: np.exp(-((time / SCALE) ** shape) * np.exp(b)), sd)

    times = SCALE * HAZARDS ** (1 / shape)
    found = sw.survival(fit, times=times, **options)[0, 0, 0].to_numpy()
    np.testing.assert_allclose(found, [survival(float(t)) for t in times], rtol=0, atol=TOLERANCE)
    root = brentq(lambda u: survival(float(np.exp(u))) - 0.5, -15, 20, xtol=1e-13, rtol=1e-14)
    assert float(sw.median_survival(fit, **options)[0, 0, 0]) == pytest.approx(np.exp(root), rel=TOLERANCE)
    # Substituting t = x^4 removes the infinite slope at 0 of a shape below 1, which adaptive rules resolve slowly.
    horizon = 30.0
    area = quad(lambda x: survival(float(x**4)) * 4 * x**3, 0, horizon**0.25, epsabs=1e-9, epsrel=1e-10)[0]
    assert float(sw.rmst(fit, horizon=horizon, **options)[0, 0, 0]) == pytest.approx(area, abs=TOLERANCE * horizon)


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
def test_guarantee_time_shifts_the_curve(metric, make_frame, read, hand_made):
    """S(t) = 1 up to g, then the curve of t - g; RMST is g plus the area beyond."""
    g, sd = 1.95, 0.6
    cohort = read(make_frame(9, seed=5, hospitals=3, guarantee=g))
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ 1 + (1 | hospital)", guarantee_time=g, metric=metric)
    own_sd = sd if metric == "hazard-ratio" else sd / SHAPE
    fit = hand_made(spec, cohort, shape=[SHAPE], log_scale=[np.log(SCALE)], site_effect=[[0.0] * 3], site_sd=[own_sd])
    options = {"groups": EVERYONE, "sites": sw.Marginal()}

    @cache
    def survival(time):
        return 1.0 if time <= g else over_sites(lambda b: np.exp(-hazard_at(time - g) * np.exp(b)), sd)

    times = [0.0, 1.0, g, 2.0, 6.0, 40.0]
    found = sw.survival(fit, times=times, **options)[0, 0, 0].to_numpy()
    np.testing.assert_allclose(found, [survival(t) for t in times], rtol=0, atol=TOLERANCE)
    assert (found[:3] == 1.0).all()
    area = g + quad(survival, g, 24.0, epsabs=1e-9, epsrel=1e-10)[0]
    assert float(sw.rmst(fit, horizon=24.0, **options)[0, 0, 0]) == pytest.approx(area, abs=TOLERANCE * 24)
    assert float(sw.rmst(fit, horizon=1.5, **options)[0, 0, 0]) == 1.5
    root = brentq(lambda t: survival(float(t)) - 0.5, 2, 200, xtol=1e-12)
    assert float(sw.median_survival(fit, **options)[0, 0, 0]) == pytest.approx(root, rel=TOLERANCE)


def test_many_members_of_a_wide_range(read, make_frame, hand_made):
    """Log hazards from -6 to 6 among forty members, average site: plain sums are the reference."""
    frame = make_frame(40, seed=8).assign(age=np.linspace(20, 100, 40))
    cohort = read(frame)
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ age")
    fit = hand_made(spec, cohort, shape=[SHAPE], log_scale=[np.log(SCALE)], coefficients=[[0.15]])
    eta = 0.15 * (frame["age"].to_numpy() - 60.0)
    assert eta.max() == pytest.approx(6.0)
    times = time_of(HAZARDS)
    found = sw.survival(fit, groups=EVERYONE, sites=sw.Average(), times=times)[0, 0, 0].to_numpy()
    expected = np.exp(-np.outer(hazard_at(times), np.exp(eta))).mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    median = brentq(lambda t: np.exp(-hazard_at(t) * np.exp(eta)).mean() - 0.5, 1e-3, 1e4, xtol=1e-12)
    assert float(sw.median_survival(fit, groups=EVERYONE, sites=sw.Average())[0, 0, 0]) == pytest.approx(median, rel=TOLERANCE)
