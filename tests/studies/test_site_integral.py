"""The integral over a site's effect against adaptive quadrature, and a site's likelihood against textbook formulas."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import wrightomega
from scipy.stats import norm, weibull_min

import sitewise as sw
from sitewise.models.resolve import prepare
from sitewise.studies.predictive import log_likelihood_of_site
from sitewise.studies.site_integral import log_site_integral, log_site_integral_with_intervals


def by_quadrature(events, hazard, sd):
    """The log integral by scipy's adaptive rule, in pieces around the mode."""
    y = wrightomega(np.log(hazard) + 2 * np.log(sd) + events * sd**2).real if hazard > 0 else 0.0
    mode = events * sd - y / sd

    def log_integrand(z):
        return events * sd * z - hazard * np.exp(sd * z) - 0.5 * z * z

    top = log_integrand(mode)
    edges = [mode - 40, mode - 9, mode - 3, mode - 1, mode - 0.2, mode, mode + 0.2, mode + 1, mode + 3, mode + 9]
    total = sum(
        quad(lambda z: np.exp(log_integrand(z) - top), low, high, epsabs=1e-13, epsrel=1e-12, limit=400)[0]
        for low, high in pairwise(edges)
    )
    return top + np.log(total / np.sqrt(2 * np.pi))


@pytest.mark.parametrize("events", [0.0, 0.7, 3.0, 45.0])
@pytest.mark.parametrize("sd", [1e-4, 0.05, 0.5, 2.0, 6.0])
def test_integral_against_adaptive_quadrature(events, sd):
    hazards = np.array([1e-8, 0.1, 2.0, 40.0, 3000.0])
    found = log_site_integral(events, hazards, site_sd=np.full(5, sd))
    expected = [by_quadrature(events, hazard, sd) for hazard in hazards]
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_integral_in_closed_form_where_nobody_was_at_risk():
    """Without hazard it is the moment generating function of the normal; without spread, the integrand at zero."""
    sd = np.array([0.0, 0.3, 1.5])
    np.testing.assert_allclose(log_site_integral(2.0, np.zeros(3), site_sd=sd), 0.5 * (2 * sd) ** 2, atol=1e-9)
    np.testing.assert_allclose(log_site_integral(2.0, np.full(1, 3.0), site_sd=np.zeros(1)), -3.0, atol=1e-9)
    assert np.isfinite(log_site_integral(1.0, np.array([np.inf]), site_sd=np.array([0.5]))).all()


def test_integral_is_finite_where_effects_are_too_large_for_an_exponential():
    sd = np.array([90.0, 300.0, 1000.0])
    for events, hazard in product([0.0, 2.0], [0.0, 1e-12, 1.0, 1e10]):
        assert np.isfinite(log_site_integral(events, np.full(3, hazard), site_sd=sd)).all()


def intervals_by_quadrature(events, hazard, within, weight, sd):
    """The log integral with intervals by scipy's adaptive rule, in pieces around a mode found by bisection."""

    def log_integrand(z):
        more = np.exp(min(sd * z, 700.0))
        return events * sd * z - hazard * more + weight @ np.log(-np.expm1(-within * more)) - 0.5 * z * z

    def slope(z):
        more = np.exp(min(sd * z, 700.0))
        x = np.clip(within * more, 1e-290, 650.0)
        return sd * (events - hazard * more + weight @ (x / np.expm1(x))) - z

    low, high = -1.0, 1.0
    while slope(low) < 0:
        low *= 1.5
    while slope(high) > 0:
        high *= 1.5
    mode = brentq(slope, low, high, xtol=1e-14, rtol=1e-14)
    top = log_integrand(mode)
    edges = []
    for side in (-1, 1):
        far = brentq(lambda u, side=side: top - log_integrand(mode + side * u) - 39, 1e-9, 9.0, xtol=1e-6)
        edges += [mode + side * far * share for share in np.linspace(0, 1, 13)[side > 0 :]]
    total = sum(
        quad(lambda z: np.exp(log_integrand(z) - top), *ends, epsabs=1e-15, epsrel=1e-13, limit=200)[0]
        for ends in pairwise(sorted(edges))
    )
    return top + np.log(total / np.sqrt(2 * np.pi))


def interval_case(seed):
    """A site drawn at random: events, hazard, growths over the intervals, weights, sd."""
    rng = np.random.default_rng(seed)
    sd = 10 ** rng.uniform(-6, np.log10(5)) if seed % 2 else rng.uniform(0.1, 5)
    size = rng.integers(1, 61)
    within = 10 ** (rng.uniform(-8, 3, size) if seed % 3 else np.full(size, rng.uniform(-8, 3)))
    events, hazard = rng.choice([0, rng.uniform(0, 3), rng.uniform(0, 50)]), rng.choice([0, 10 ** rng.uniform(-8, 4)])
    return events, hazard, within, np.ones(size) if seed % 4 < 2 else rng.uniform(0.2, 3, size), sd


def one(events, hazard, within, weight, sd):
    with np.errstate(divide="ignore"):
        logs = np.log([hazard]), np.log(within)[None]
    return log_site_integral_with_intervals(events, *logs, np.asarray(weight, dtype=float), site_sd=np.array([sd]))[0]


def test_integral_with_intervals_against_adaptive_quadrature():
    cases = [interval_case(seed) for seed in range(120)]
    found = [one(*case) for case in cases]
    np.testing.assert_allclose(found, [intervals_by_quadrature(*case) for case in cases], rtol=1e-13, atol=1e-10)


@pytest.mark.parametrize("weight", [1.0, 20.0, 60.0, 1000.0])
@pytest.mark.parametrize("sd", [0.7, 3.0, 5.0])
def test_integral_with_intervals_where_these_make_a_steep_step(weight, sd):
    """Where all events are nearly certain the product rises from 0 to 1 over a range far below one."""
    for within, hazard in product([0.3, 3.0, 50.0], [0.0, 0.3]):
        case = (0.0, hazard, np.array([within]), np.array([weight]), sd)
        assert one(*case) == pytest.approx(intervals_by_quadrature(*case), abs=1e-11)


@pytest.mark.parametrize("sd", [0.0, 1e-6, 0.3, 2.0, 5.0])
def test_integral_with_intervals_in_terms_of_that_without(sd):
    def plain(events, hazard):
        return log_site_integral(events, np.array([hazard]), site_sd=np.array([sd]))[0]

    # 1 - exp(-h exp(b)) is a difference of two likelihoods of right-censored patients.
    for within in (0.5, 4.0):
        difference = np.exp(plain(2.0, 1.5)) - np.exp(plain(2.0, 1.5 + within))
        assert one(2.0, 1.5, np.array([within]), [1.0], sd) == pytest.approx(np.log(difference), abs=1e-8)
    # A certain event and a patient of no weight are nothing; a short interval is an exact event.
    assert one(2.0, 1.5, np.array([1e300, 0.4]), [1.0, 0.0], sd) == pytest.approx(plain(2.0, 1.5), abs=1e-8)
    assert one(2.0, 1.5, np.full(3, 1e-13), np.ones(3), sd) == pytest.approx(plain(5.0, 1.5) + 3 * np.log(1e-13), abs=1e-8)


def test_integral_with_intervals_is_never_not_a_number():
    sds, logs = [0.0, 1e-12, 1e-6, 0.5, 5.0, 100.0, 1000.0], [-np.inf, -1e4, -50, 0, 50, 800]
    sd, log_hazard, first = (np.array(part) for part in zip(*product(sds, [*logs, 1e6, np.inf], logs), strict=True))
    log_within = np.column_stack([first, np.full(first.size, 0.3)])
    for events, weight in product([0.0, 50.0], [[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]):
        found = log_site_integral_with_intervals(events, log_hazard, log_within, np.array(weight), site_sd=sd)
        nothing = np.isneginf(first) & (weight[0] > 0)
        assert np.isneginf(found[nothing]).all()
        assert np.isfinite(found[~nothing]).all()


def test_integral_with_intervals_takes_draws_in_blocks():
    rng = np.random.default_rng(2)
    draws, size = 2000, 100
    hazard, sd, weight = rng.gamma(4, 1, draws), np.abs(rng.normal(0, 2, draws)), rng.uniform(0.5, 2, size)
    log_within = rng.normal(-0.5, 0.7, (draws, size))
    tracemalloc.start()
    found = log_site_integral_with_intervals(3.0, np.log(hazard), log_within, weight, site_sd=sd)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    for draw in (0, 700, 1310, 1999):
        own = one(3.0, hazard[draw], np.exp(log_within[draw]), weight, sd[draw])
        assert found[draw] == pytest.approx(own, abs=1e-10)


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
@pytest.mark.parametrize("hard", [False, True], ids=["plain", "weights, late entry, guarantee time"])
def test_likelihood_of_a_site_against_textbook_formulas(metric, hard, make_frame, read):
    options = {"entry": "start", "weights": "weight"} if hard else {}
    guarantee = 1.5 if hard else 0.0
    frame = make_frame(30, seed=5, guarantee=guarantee)
    if hard:
        frame["start"] += np.where(frame["start"] > 0, 0.5, 0.0)  # some enter before the guarantee time, some after
        frame = frame[frame["start"] < frame["months"]]
    cohort = read(frame, **options)
    surv = "Surv(start, months, died)" if hard else "Surv(months, died)"
    formula = f"{surv} ~ ecog + age + (1 | hospital)"
    spec = sw.ModelSpec.from_formula(formula, metric=metric, guarantee_time=guarantee).resolve(cohort)
    rng = np.random.default_rng(3)
    coefficients, shape = rng.normal(0, [0.4, 0.02], (3, 2)), rng.uniform(0.7, 1.6, 3)
    scale, sd = rng.normal(2.6, 0.2, 3), rng.uniform(0.1, 1.2, 3)
    name = "log_hazard_ratio" if metric == "hazard-ratio" else "log_time_ratio"
    variables = {"shape": shape, "log_scale_at_means": scale, "site_sd": sd, name: coefficients}

    at_site = cohort.site_index == 1
    own = cohort.subset(at_site)
    assert own.event.sum() > 1
    everyone = prepare(spec, cohort)
    patients = replace(
        everyone,
        **{
            key: None if (values := getattr(everyone, key)) is None else values[at_site]
            for key in ("log_time", "event", "log_entry", "entered_late", "weight", "covariates", "site")
        },
    )
    found = log_likelihood_of_site(spec, variables, patients)

    rows = np.column_stack([own.covariates["ecog"] == ">=1", own.covariates["age"]]).astype(float)
    centred = rows - np.asarray(spec.resolved.means)
    time, entry = own.time - guarantee, np.maximum(own.entry - guarantee, 0.0)
    for draw in range(3):
        k = shape[draw]

        def likelihood(b, k=k, draw=draw):
            predictor = centred @ coefficients[draw] + b
            longer = predictor if metric == "time-ratio" else -predictor / k
            law = weibull_min(k, scale=np.exp(scale[draw] + longer))
            each = np.where(own.event == 1, law.logpdf(time), law.logsf(time)) - law.logsf(entry)
            return np.exp(own.weights @ each + norm.logpdf(b, 0, sd[draw]) + 60)

        reach = 9 * sd[draw]
        points = np.linspace(-reach, reach, 13)
        value = sum(quad(likelihood, *ends, epsrel=1e-11)[0] for ends in pairwise(points))
        assert found[draw] == pytest.approx(np.log(value) - 60, abs=1e-6)
