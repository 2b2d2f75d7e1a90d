"""Gompertz, gamma, generalised gamma, spline and cure formulas against scipy, Cox-de Boor's recursion and sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

import sitewise as sw
from sitewise.families import Gamma, GeneralisedGamma, Gompertz, LogNormal, MixtureCure, MSpline, PiecewiseExponential, Weibull
from sitewise.families import log_gamma_kernels as kernels
from sitewise.families.gamma_tail import log_density, log_tail, median

TIMES = np.array([0.01, 0.5, 2.0, 6.0, 19.0, 40.0])
LOG_TIMES = np.log(TIMES)


@pytest.mark.parametrize("q", [-3.0, -1.0, -0.3, -0.06, 0.06, 0.3, 1.0, 2.2, 4.4])
def test_log_gamma_tail_and_median_against_scipy(q):
    u = np.array([-9.0, -3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0, 8.0])
    u = u[q * u < 5]
    alpha, size = 1 / q**2, np.abs(u)
    variable = alpha * np.exp(q * u)
    upper, lower = special.gammaincc(alpha, variable), special.gammainc(alpha, variable)
    beyond, before = (upper, lower) if q > 0 else (lower, upper)
    found = log_tail(size, np.where(u > 0, q, -q))
    np.testing.assert_allclose(np.exp(found), np.where(u > 0, beyond, before), rtol=1e-11, atol=1e-300)
    density = stats.gamma.logpdf(variable, alpha) + np.log(abs(q) * variable)
    np.testing.assert_allclose(log_density(u, np.array(q)), density, rtol=1e-10, atol=1e-10)
    middle = np.log(stats.gamma.median(alpha) / alpha) / q
    assert float(median(np.array(q))) == pytest.approx(middle, abs=1e-11)


@pytest.mark.parametrize("q", [0.0, 1e-9, -1e-5, 1e-4])
def test_a_log_gamma_variable_is_nearly_normal_for_small_q(q):
    """log S differs from the normal's by q (1 - u^2) phi(u) / (6 S) to first order (Edgeworth), and smoothly."""
    u = np.array([0.2, 1.0, 3.0, 7.0])
    survival, density = stats.norm.sf(u), stats.norm.pdf(u)
    # The variable has skewness -q and mean -q / 2: P(U > u) = S(u) + (-q / 2) phi + (-q / 6) (u^2 - 1) phi + O(q^2).
    expected = survival - q * density * (0.5 + (u**2 - 1) / 6)
    np.testing.assert_allclose(np.exp(log_tail(u, np.array(q))), expected, rtol=1e-11 + 50 * q * q * u[-1] ** 6)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.7, 40.0])
def test_gamma_against_scipy(alpha):
    family, log_scale = Gamma(), np.log(6.0)
    survival = stats.gamma.logsf(TIMES, alpha, scale=6.0)
    early = stats.gamma.logcdf(TIMES, alpha, scale=6.0)
    expected = np.where(survival < -1e-4, np.log(-survival), early + np.exp(early) / 2)
    found = family.log_cumulative_hazard(LOG_TIMES, log_scale, (alpha,))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    hazard = stats.gamma.logpdf(TIMES, alpha, scale=6.0) - survival
    np.testing.assert_allclose(family.log_hazard(LOG_TIMES, log_scale, (alpha,)), hazard, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("k", "q"), [(1.4, 1.0), (0.8, -0.9), (2.0, 0.5), (1.1, 2.1)])
def test_generalised_gamma_against_scipy(k, q):
    """scipy's gengamma(a, c): T = scale G^(1/c) with G ~ Gamma(a); here a = 1 / q^2, c = q k."""
    alpha, power = 1 / q**2, q * k
    law = stats.gengamma(alpha, power, scale=5.0 * alpha ** (-1 / power))
    family, log_scale = GeneralisedGamma(), np.log(5.0)
    kept = law.sf(TIMES) < 1 - 1e-4
    found = family.log_cumulative_hazard(LOG_TIMES, log_scale, (k, q))
    np.testing.assert_allclose(found[kept], np.log(-law.logsf(TIMES))[kept], rtol=1e-9, atol=1e-9)
    hazard = law.logpdf(TIMES) - law.logsf(TIMES)
    np.testing.assert_allclose(family.log_hazard(LOG_TIMES, log_scale, (k, q))[kept], hazard[kept], rtol=1e-9, atol=1e-9)


def test_generalised_gamma_holds_the_weibull_the_log_normal_and_the_gamma():
    family, k, log_scale = GeneralisedGamma(), 1.7, np.log(4.0)
    for other, q in ((Weibull(), 1.0), (LogNormal(), 0.0)):
        for name in ("log_cumulative_hazard", "log_hazard", "log_time"):
            ours = getattr(family, name)(LOG_TIMES, log_scale, (k, q))
            np.testing.assert_allclose(ours, getattr(other, name)(LOG_TIMES, log_scale, (k,)), rtol=1e-9, atol=1e-9)
    as_gamma = Gamma().log_cumulative_hazard(LOG_TIMES, log_scale, (k**2,))
    log_mean = log_scale + np.log(k**2)
    np.testing.assert_allclose(family.log_cumulative_hazard(LOG_TIMES, log_mean, (k, 1 / k)), as_gamma, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("change", [-2.0, -1e-5, 0.0, 1e-9, 1e-5, 0.7, 3.0])
def test_gompertz_against_scipy(change):
    """scipy's gompertz(c) on the scale unit / a has H = c (exp(a t / unit) - 1); a straight line for no change."""
    family, log_scale, unit = Gompertz(unit=20.0), np.log(9.0), 20.0
    shape = (change,)
    found = np.exp(family.log_cumulative_hazard(LOG_TIMES, log_scale, shape))
    if change > 1e-4:
        level = unit / 9.0 / np.expm1(change)
        law = stats.gompertz(level, scale=unit / change)
        np.testing.assert_allclose(found, -law.logsf(TIMES), rtol=1e-10)
        hazard = law.logpdf(TIMES) - law.logsf(TIMES)
        np.testing.assert_allclose(family.log_hazard(LOG_TIMES, log_scale, shape), hazard, rtol=1e-9, atol=1e-9)
    elif change < -1e-4:
        np.testing.assert_allclose(found, unit / 9.0 * np.expm1(change * TIMES / unit) / np.expm1(change), rtol=1e-12)
    else:
        share = TIMES / unit
        np.testing.assert_allclose(found, TIMES / 9.0 * (1 + change * (share - 1) / 2), rtol=1e-8 * abs(change) / 1e-5 + 1e-13)
    assert np.exp(family.log_cumulative_hazard(np.log(unit), log_scale, shape)) == pytest.approx(unit / 9.0, rel=1e-12)


def cox_de_boor(place: int, degree: int, knots: list[float], x: float) -> float:
    """Return an M-spline of Ramsay's recursion; the last piece is closed on the right."""
    low, high = knots[place], knots[place + degree + 1]
    if high == low:
        return 0.0
    if degree == 0:
        inside = low <= x < high or (x == high == knots[-1])
        return 1 / (high - low) if inside else 0.0
    parts = (x - low) * cox_de_boor(place, degree - 1, knots, x) + (high - x) * cox_de_boor(place + 1, degree - 1, knots, x)
    return (degree + 1) * parts / (degree * (high - low))


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_m_splines_against_the_recursion(degree):
    inner, unit = (2.0, 5.0, 11.0), 18.0
    family = MSpline(knots=inner, degree=degree, unit=unit)
    knots = [0.0] * (degree + 1) + [knot / unit for knot in inner] + [1.0] * (degree + 1)
    count = len(inner) + degree + 1
    rng = np.random.default_rng(3)
    sd, steps = 1.3, rng.normal(size=count - 1)
    shape = (sd, *steps)
    assert len(family.shape_parameters) == count
    walk = np.concatenate([[0.0], np.cumsum(sd * steps / np.sqrt(count - 1))])
    constant = np.array([(knots[i + degree + 1] - knots[i]) / (degree + 1) for i in range(count)])
    weights = constant * np.exp(walk) / np.sum(constant * np.exp(walk))
    for time in (0.3, 1.9, 2.0, 6.0, 12.0, 17.9, 18.0, 30.0):
        x = min(time / unit, 1.0)
        hazard = sum(weights[i] * cox_de_boor(i, degree, knots, x) for i in range(count)) / 9.0
        assert float(np.exp(family.log_hazard(np.log(time), np.log(9.0), shape))) == pytest.approx(hazard, rel=1e-11)
    flat = family.log_hazard(LOG_TIMES, np.log(9.0), (sd, *np.zeros(count - 1)))
    np.testing.assert_allclose(flat, -np.log(9.0), atol=1e-12)  # no steps: a constant hazard


def test_piecewise_exponential_by_hand():
    family = PiecewiseExponential(knots=(2.0, 6.0), unit=10.0)
    shape = (1.0, np.sqrt(2) * np.log(3.0), -np.sqrt(2) * np.log(6.0))  # hazards 1 : 3 : 1/2
    level = 10.0 / (2 * 1 + 4 * 3 + 4 * 0.5)  # so that the mean hazard is 1 / lambda
    hazards = level * np.array([1, 3, 0.5]) / 8.0
    for time, cumulative in ((1.0, hazards[0]), (4.0, 2 * hazards[0] + 2 * hazards[1]), (13.0, 10.0 / 8.0 + 3 * hazards[2])):
        assert float(np.exp(family.log_cumulative_hazard(np.log(time), np.log(8.0), shape))) == pytest.approx(
            cumulative, rel=1e-12
        )


@pytest.mark.parametrize("uncured", [Weibull(), LogNormal()], ids=lambda family: family.name)
def test_mixture_cure_by_hand(uncured):
    family, log_scale, k, cured = MixtureCure(uncured), np.log(6.0), 1.3, 0.35
    law = stats.weibull_min(k, scale=6.0) if uncured.name == "weibull" else stats.lognorm(1 / k, scale=6.0)
    survival = cured + (1 - cured) * law.sf(TIMES)
    found = family.log_cumulative_hazard(LOG_TIMES, log_scale, (k, cured))
    kept = law.sf(TIMES) < 1 - 1e-6
    np.testing.assert_allclose(found[kept], np.log(-np.log(survival))[kept], rtol=1e-9, atol=1e-9)
    hazard = np.log((1 - cured) * law.pdf(TIMES) / survival)
    np.testing.assert_allclose(family.log_hazard(LOG_TIMES, log_scale, (k, cured)), hazard, rtol=1e-10, atol=1e-10)
    assert np.isinf(family.log_time(np.log(-np.log(cured)) + 1e-9, log_scale, (k, cured)))


def test_knots_are_quantiles_of_events_and_travel_with_the_spec(make_frame, read):
    frame = make_frame(80, seed=2, guarantee=1.0)
    cohort = read(frame, covariates=["ecog"])
    spec = sw.ModelSpec(terms=("ecog",), family=PiecewiseExponential(inner_knots=3), guarantee_time=1.0).resolve(cohort)
    events = frame.loc[frame["died"] == 1, "months"].to_numpy() - 1.0
    np.testing.assert_allclose(spec.family.knots, np.quantile(events, [0.25, 0.5, 0.75]))
    assert spec.family.unit == pytest.approx(events.max())
    half = read(frame.iloc[:50], covariates=["ecog"])
    again = spec.without_resolution().resolve(half)
    assert again.family.knots != spec.family.knots  # another cohort places its own
    chosen = PiecewiseExponential(knots=(3.0, 9.0))
    kept = sw.ModelSpec(terms=("ecog",), family=chosen).resolve(cohort)
    assert kept.family.knots == (3.0, 9.0)
    assert kept.without_resolution().family == chosen


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: MSpline(knots=(5.0, 3.0)), "positive, rising, and before the unit"),
        (lambda: MSpline(knots=(5.0,), unit=4.0), "before the unit"),
        (lambda: MSpline(inner_knots=-1), "inner_knots must be 0 to"),
        (lambda: PiecewiseExponential(degree=2), "MSpline has others"),
        (lambda: MixtureCure(MixtureCure()), "a family without cure"),
        (lambda: Gompertz().log_hazard(0.0, 0.0, (1.0,)), "resolve the spec, or give a unit"),
        (lambda: sw.ModelSpec(family=Gompertz(), metric="time-ratio"), "Use metric='hazard-ratio'"),
    ],
)
def test_what_cannot_be_is_refused(make, told):
    with pytest.raises(sw.SpecError, match=told):
        make()


def test_priors_of_a_family_s_parameters_are_told_by_name(make_frame, read):
    cohort = read(make_frame(60), covariates=["ecog"])
    told = sw.Prior("Beta", alpha=2.0, beta=3.0)
    spec = sw.ModelSpec(terms=("ecog",), family=MixtureCure(), priors=sw.Priors(terms={"cured": told})).resolve(cohort)
    assert spec.resolved.shape[1] == told
    with pytest.raises(sw.SpecError, match="prior 'cured': belongs to no term"):
        sw.ModelSpec(terms=("ecog",), priors=sw.Priors(terms={"cured": told})).resolve(cohort)
    with pytest.raises(sw.SpecError, match="gompertz family has no shape"):
        sw.ModelSpec(family=Gompertz(), priors=sw.Priors(shape=sw.Prior("HalfNormal", sigma=1.0))).resolve(cohort)
    wrong = sw.Priors(terms={"cured": sw.Prior("HalfNormal", sigma=1.0)})
    with pytest.raises(sw.SpecError, match="reaches above one"):
        sw.ModelSpec(terms=("ecog",), family=MixtureCure(), priors=wrong).to_pymc(cohort)


@pytest.mark.parametrize("q", [-4.0, -1.0, -0.2, 0.0, 0.3, 1.0, 2.5, 6.0])
def test_compiled_tails_are_the_formula_s(q):
    """Tails that are tabulated are those that are summed, far out too; their slopes in q are six-point differences."""
    constant, slope = kernels.log_constant(q)
    far = kernels.farthest(q)
    table = kernels.tail_table(q, constant, slope, min(8.0, far))
    assert np.isfinite(table).all()
    for a in np.linspace(0.0, 0.98 * min(8.0, far), 23):
        summed = kernels.log_tail_terms(a, q, constant, slope)
        assert summed[0] == pytest.approx(float(log_tail(np.array(a), np.array(q))), rel=1e-11, abs=1e-12)
        read = kernels.read_tail(a, q, constant, slope, table)
        assert read[0] == pytest.approx(summed[0], rel=2e-9, abs=2e-9)
        assert read[1] == pytest.approx(summed[1], rel=1e-6, abs=1e-6)
        step = 1e-3
        near = log_tail(np.array(a), q + step * np.arange(-3, 4))
        difference = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60 @ near / step
        assert summed[1] == pytest.approx(float(difference), rel=1e-8, abs=1e-8)
    middle, middle_slope = kernels.median_terms(q)
    assert middle == pytest.approx(float(median(np.array(q))), abs=1e-11)
    nearby = median(q + 1e-3 * np.arange(-3, 4))
    assert middle_slope == pytest.approx(float(np.array([-1, 9, -45, 0, 45, -9, 1]) / 60 @ nearby / 1e-3), rel=1e-6, abs=1e-7)
