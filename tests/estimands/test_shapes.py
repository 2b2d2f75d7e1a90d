"""Estimands of patients with different shapes against scipy's distributions, averaged over members and sites by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, optimize, stats

import sitewise as sw
from sitewise import names
from sitewise.estimands.draws import index_draws
from sitewise.estimands.level_roots import solve
from sitewise.estimands.shape_draws import shape_draws

LAWS = {
    "weibull": lambda k, scale, q: stats.weibull_min(k, scale=scale),
    "log-normal": lambda k, scale, q: stats.lognorm(1 / k, scale=scale),
    "log-logistic": lambda k, scale, q: stats.fisk(k, scale=scale),
    "gamma": lambda k, scale, q: stats.gamma(k, scale=scale),
    # log T = log scale + log(G / alpha) / (q k) with G ~ Gamma(alpha, 1) and alpha = 1 / q^2.
    "generalised-gamma": lambda k, scale, q: stats.gengamma(1 / q**2, q * k, scale=scale * q ** (2 / (q * k))),
}
MODELS = [
    (sw.Weibull(), "hazard-ratio"),
    (sw.Weibull(), "time-ratio"),
    (sw.LogNormal(), "time-ratio"),
    (sw.LogLogistic(), "time-ratio"),
    (sw.Gamma(), "time-ratio"),
    (sw.GeneralisedGamma(), "time-ratio"),
]
models = pytest.mark.parametrize(("family", "metric"), MODELS, ids=lambda item: getattr(item, "name", item))
SHAPE, LOG_SCALE, Q = np.array([0.9, 1.7]), np.array([2.1, 2.4]), np.array([0.6, 1.4])
EFFECT, ALPHA = np.array([-0.5, 0.4]), np.array([0.35, -0.3])
SITE_SD, SHAPE_SD = np.array([0.3, 1.0]), np.array([0.2, 0.5])
SITES = np.array([[-0.2, 0.1, 0.4], [0.9, -0.3, -0.5]])
SHAPES = np.array([[0.2, -0.1, 0.1], [-0.4, 0.3, 0.2]])
GUARANTEE, HORIZON = 0.5, 24.0
TIMES = np.array([0.8, 3.0, 9.0, 24.0])
GROUP = sw.RiskGroups.count_favourable(ecog="0")
BY_HAND, KAPPA = np.linspace(-6.5, 6.5, 261), np.linspace(-6.5, 6.5, 79)
BY_HAND_WEIGHTS, KAPPA_WEIGHTS = (stats.norm.pdf(each) / stats.norm.pdf(each).sum() for each in (BY_HAND, KAPPA))
"""Sites by hand: a lattice of effects and log shapes; one that is twice as fine moves nothing by 1e-10."""


@pytest.fixture(scope="module")
def cohort() -> sw.Cohort:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "time": rng.exponential(10, 60) + 2,
            "event": 1,
            "site": np.arange(60) % 3,
            "ecog": rng.integers(0, 2, 60).astype(str),
            "age": rng.normal(60, 8, 60),
            "w": rng.uniform(0.5, 2.0, 60),
        }
    )
    columns = {"time": "time", "event": "event", "site": "site", "weights": "w", "time_unit": "months"}
    return sw.Cohort.from_frame(frame, **columns)


def with_shapes(made, *, terms: np.ndarray, by_site: bool):
    """Give a fit made by hand what the shape adds to it; ``terms`` has shape (draw, q)."""
    sample = (names.CHAIN, names.DRAW)
    own = {names.LOG_SHAPE_RATIO: ((*sample, names.SHAPE_TERM), terms[None])}
    if by_site:
        own |= {names.SITE_LOG_SHAPE: ((*sample, names.SITE), SHAPES[None]), names.SITE_SHAPE_SD: (sample, SHAPE_SD[None])}
    extra = xr.Dataset(own, coords={names.SHAPE_TERM: list(made.spec.resolved.shape_columns)})
    posterior = made.posterior.merge(extra)
    if "gamma_q" in {item.name for item in made.spec.family.shape_parameters}:
        posterior["gamma_q"] = (sample, Q[None])
    return type(made)(posterior, made.spec, made.cohort, made.seed)


@pytest.fixture
def make_fit(hand_made, cohort):
    """A function that makes two draws, chosen."""

    def make(family, metric, shape_terms=("ecog",), by_site=True, terms=ALPHA[:, None]):
        spec = sw.ModelSpec(
            ("ecog",),
            family=family,
            metric=metric,
            guarantee_time=GUARANTEE,
            shape_terms=shape_terms,
            shape_sites=by_site,
        )
        made = hand_made(
            spec,
            cohort,
            shape=SHAPE,
            log_scale=LOG_SCALE,
            coefficients=EFFECT[:, None],
            site_effect=SITES,
            site_sd=SITE_SD,
        )
        return with_shapes(made, terms=terms, by_site=by_site)

    return make


def survival(fit, draw: int, ecog, effect, log_ratio, time: float):
    """Survival of people by scipy, from the model as it is documented; arguments broadcast."""
    k = SHAPE[draw] * np.exp(log_ratio)
    eta = ecog * EFFECT[draw] + effect
    ahead = -eta / k if fit.spec.metric == "hazard-ratio" else eta
    scale = np.exp(LOG_SCALE[draw] + np.clip(ahead, -600, 600))
    with np.errstate(all="ignore"):  # scipy's own, far in the tails
        return LAWS[fit.spec.family.name](k, scale, Q[draw]).sf(time - GUARANTEE)


def expected(fit, draw: int, group: int, sites, time: float) -> float:
    """Survival of a group, averaged by hand; its members differ in their sites and weights only."""
    cohort = fit.cohort
    log_ratio = group * ALPHA[draw]
    if isinstance(sites, sw.Marginal):
        effect, kappa = SITE_SD[draw] * BY_HAND[:, None], SHAPE_SD[draw] * KAPPA
        each = survival(fit, draw, group, effect, log_ratio + kappa, time)
        return float(BY_HAND_WEIGHTS @ each @ KAPPA_WEIGHTS)
    if isinstance(sites, sw.Average):
        return float(survival(fit, draw, group, 0.0, log_ratio, time))
    members = (cohort.covariates["ecog"] == "1").to_numpy().astype(int) == group  # "1 of 1 favourable" comes first
    own = cohort.site_index[members] if sites.site is None else np.full(members.sum(), int(sites.site))
    each = survival(fit, draw, group, SITES[draw][own], log_ratio + SHAPES[draw][own], time)
    return float(np.average(each, weights=cohort.weights[members]))


@models
@pytest.mark.parametrize("sites", [sw.Observed(), sw.Observed("2"), sw.Average(), sw.Marginal()], ids=str)
def test_survival_median_restricted_mean_and_hazard(make_fit, family, metric, sites):
    fit = make_fit(family, metric)
    curves = sw.group_curves(fit, GROUP, sites=sites)
    surviving, hazard = curves.survival(TIMES).to_numpy()[0], curves.hazard(TIMES).to_numpy()[0]
    median, restricted = curves.quantile(0.5).to_numpy()[0], curves.rmst(HORIZON).to_numpy()[0]
    for draw, group in ((0, 0), (1, 1)):

        def own(time: float, draw: int = draw, group: int = group) -> float:
            return expected(fit, draw, group, sites, time)

        # The grid of the index errs by 2e-10 and its normal distribution by 1e-9, the nodes of shapes by 6e-9.
        np.testing.assert_allclose(surviving[draw, group], [own(time) for time in TIMES], atol=1e-8)
        root = optimize.brentq(lambda time: own(time) - 0.5, GUARANTEE + 1e-3, 1e4, xtol=1e-9)
        assert median[draw, group] == pytest.approx(root, rel=2e-7)
        # In the fourth root of time every curve is smooth where it starts.
        end = (HORIZON - GUARANTEE) ** 0.25
        area = integrate.quad(lambda u: own(GUARANTEE + u**4) * 4 * u**3, 0, end, epsabs=1e-8, epsrel=1e-8)[0]
        assert restricted[draw, group] == pytest.approx(GUARANTEE + area, rel=1e-7)
        for place, time in enumerate(TIMES):
            step = 1e-4
            slope = (own(time - step) - own(time + step)) / (2 * step)
            assert hazard[draw, group, place] == pytest.approx(slope / own(time), rel=3e-5)


@models
def test_a_new_site_has_an_effect_and_a_shape(make_fit, family, metric):
    """Both from the seed; the effect on the scale of the spec's metric."""
    fit = make_fit(family, metric)
    found = sw.survival(fit, groups=GROUP, sites=sw.New(seed=7), times=TIMES).to_numpy()[0]
    assert (sw.survival(fit, groups=GROUP, sites=sw.New(seed=8), times=TIMES).to_numpy()[0] != found).all()
    effect, _ = index_draws(fit).new_site(7)
    if metric == "time-ratio":
        rate = fit.spec.family.log_index_ratio(np.ones(2), tuple(item for item in index_draws(fit).shape))
        effect = effect / rate
    kappa = shape_draws(fit).new_site(7)
    assert np.abs(np.corrcoef(effect / SITE_SD, kappa / SHAPE_SD)).min() > 0  # two numbers: only that they are not one
    assert not np.allclose(effect / SITE_SD, kappa / SHAPE_SD)
    for draw, group in ((0, 0), (1, 1)):
        own = [survival(fit, draw, group, effect[draw], group * ALPHA[draw] + kappa[draw], time) for time in TIMES]
        np.testing.assert_allclose(found[draw, group], own, atol=1e-12)


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
def test_effects_of_student_t_sites_beside_normal_shapes(hand_made, cohort, metric):
    """Effects by scipy's Student-t on a lattice of its quantiles: Gauss-Legendre nodes in probability, and 300 of them."""
    sites = sw.RandomSites(distribution="student-t", degrees_of_freedom=4)
    spec = sw.ModelSpec(
        ("ecog",), sites=sites, metric=metric, guarantee_time=GUARANTEE, shape_terms=("ecog",), shape_sites=True
    )
    parameters = {"shape": SHAPE, "log_scale": LOG_SCALE, "site_effect": SITES, "site_sd": SITE_SD}
    made = hand_made(spec, cohort, coefficients=EFFECT[:, None], **parameters)
    fit = with_shapes(made, terms=ALPHA[:, None], by_site=True)
    found = sw.survival(fit, groups=GROUP, sites=sw.Marginal(), times=TIMES).to_numpy()[0]
    places, weights = np.polynomial.legendre.leggauss(300)
    # From -1 to 1 in s, probability 0.5 + 0.25 (3 s - s^3): flat at both ends, where quantiles grow without bound.
    probability, weights = 0.5 + 0.25 * (3 * places - places**3), weights * 0.75 * (1 - places**2)
    unit = stats.t(4).ppf(probability) * np.sqrt(2 / 4)
    for draw, group in ((0, 0), (1, 1)):
        for place, time in enumerate(TIMES):
            kappa = SHAPE_SD[draw] * KAPPA
            each = survival(fit, draw, group, SITE_SD[draw] * unit[:, None], group * ALPHA[draw] + kappa, time)
            assert found[draw, group, place] == pytest.approx(weights @ each @ KAPPA_WEIGHTS, abs=2e-6)


def test_shapes_of_new_sites_are_normal():
    draws = shape_draws_of(20_000)
    scaled = draws.new_site(3) / draws.site_sd
    assert stats.kstest(scaled, stats.norm.cdf).pvalue > 1e-4


def shape_draws_of(size: int):
    from sitewise.estimands.shape_draws import ShapeDraws

    return ShapeDraws(np.zeros((size, 0)), np.zeros((size, 2)), np.linspace(0.1, 0.6, size), False)


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
@pytest.mark.parametrize("seed", [None, 5], ids=["as they are", "bootstrap"])
def test_a_number_on_the_shape_gives_each_member_their_own(make_fit, cohort, metric, seed):
    """Sixty shapes, without a covariate's shape by site; members weighted, or by the Bayesian bootstrap."""
    fit = make_fit(sw.Weibull(), metric, ("age",), False, np.array([[0.02], [-0.03]]))
    age, ecog = (cohort.covariates[name].astype(float).to_numpy() for name in ("age", "ecog"))
    everyone = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})
    found = sw.survival(fit, groups=everyone, sites=sw.Observed(), times=TIMES, bootstrap_seed=seed).to_numpy()[0, :, 0]
    weights = np.tile(cohort.weights, (2, 1))
    if seed is not None:
        weights = weights * np.random.default_rng(seed).standard_exponential((2, 60))
    for draw in (0, 1):
        log_ratio = (age - np.median(age)) * (0.02, -0.03)[draw]
        for place, time in enumerate(TIMES):
            each = survival(fit, draw, ecog, SITES[draw][cohort.site_index], log_ratio, time)
            assert found[draw, place] == pytest.approx(np.average(each, weights=weights[draw]), abs=1e-12)


def test_any_level_is_found_where_curves_are_steep_flat_or_never_reach_it():
    """Weibull curves of many shapes at once, from a start far off; and one that stays above the level."""
    shape, log_scale = np.array([[0.05, 0.7], [3.0, 40.0]]), np.array([[2.0, -3.0], [0.0, 9.0]])

    def curve(log_time):
        hazard = np.exp(np.minimum(shape * (log_time - log_scale), 700))
        with np.errstate(under="ignore"):
            return np.exp(-hazard), shape * hazard * np.exp(-hazard)

    for level in (1e-6, 0.5, 1 - 1e-9):
        for start in (-30.0, 0.0, 50.0):
            found = solve(curve, level, np.full((2, 2), start))
            np.testing.assert_allclose(found, log_scale + np.log(-np.log(level)) / shape, atol=1e-6)

    def cured(log_time):
        hazard = np.exp(np.minimum(log_time, 700))
        with np.errstate(under="ignore"):
            return 0.6 + 0.4 * np.exp(-hazard), 0.4 * hazard * np.exp(-hazard)

    assert np.isinf(solve(cured, 0.5, np.zeros((1, 1)))).all()


def test_shapes_of_the_uncured(make_fit):
    """Mixture cure: those who are not cured have the shapes; the median is infinite where too many are cured."""
    spec_fit = make_fit(sw.MixtureCure(), "hazard-ratio")
    share = np.array([0.2, 0.7])
    spec_fit.posterior["cured"] = ((names.CHAIN, names.DRAW), share[None])
    curves = sw.group_curves(spec_fit, GROUP, sites=sw.Average())
    found, median = curves.survival(TIMES).to_numpy()[0], curves.quantile(0.5).to_numpy()[0]
    restricted = curves.rmst(HORIZON).to_numpy()[0]
    for draw, group in ((0, 1), (1, 0)):
        law = stats.weibull_min(SHAPE[draw] * np.exp(group * ALPHA[draw]), scale=np.exp(LOG_SCALE[draw]))

        def own(time, law=law, draw=draw, group=group):
            return (share[draw] + (1 - share[draw]) * law.sf(time - GUARANTEE)) ** np.exp(group * EFFECT[draw])

        np.testing.assert_allclose(found[draw, group], own(TIMES), atol=1e-12)
        area = integrate.quad(own, GUARANTEE, HORIZON, epsabs=1e-10)[0]
        assert restricted[draw, group] == pytest.approx(GUARANTEE + area, rel=1e-7)
        if draw:
            assert np.isinf(median[draw, group])
        else:
            assert own(median[draw, group]) == pytest.approx(0.5, abs=1e-8)


@models
def test_expected_events_are_cumulative_hazards(make_fit, family, metric):
    fit = make_fit(family, metric)
    ecog = (fit.cohort.covariates["ecog"] == "1").to_numpy().astype(int)
    for own_sites in (False, True):
        found = sw.expected_events(fit, 12.0, own_sites=own_sites)
        total = np.zeros(60)
        for draw in (0, 1):
            site = fit.cohort.site_index
            effect, kappa = (SITES[draw][site], SHAPES[draw][site]) if own_sites else (0.0, 0.0)
            total += -np.log(survival(fit, draw, ecog, effect, ecog * ALPHA[draw] + kappa, 12.0)) / 2
        np.testing.assert_allclose(found, total, rtol=1e-9)


def test_the_hazard_ratio_over_time_is_that_of_two_hazards(make_fit):
    """Hazards of scipy's distributions, for the column that is in both parts, and one that is on the shape only."""
    fit = make_fit(sw.Weibull(), "hazard-ratio")
    found = sw.hazard_ratio_over_time(fit, term="ecog[1]", times=TIMES)
    assert found.dims == (names.CHAIN, names.DRAW, names.TIME)
    for draw in (0, 1):
        laws = []
        for ecog in (0, 1):
            k = SHAPE[draw] * np.exp(ecog * ALPHA[draw])
            laws.append(stats.weibull_min(k, scale=np.exp(LOG_SCALE[draw] - ecog * EFFECT[draw] / k)))
        hazards = [law.pdf(TIMES - GUARANTEE) / law.sf(TIMES - GUARANTEE) for law in laws]
        np.testing.assert_allclose(found[0, draw], hazards[1] / hazards[0], rtol=1e-10)
        # The coefficient is the log ratio of cumulative hazards at the reference patient's scale.
        at = np.exp(LOG_SCALE[draw])
        assert np.log(laws[1].logsf(at) / laws[0].logsf(at)) == pytest.approx(EFFECT[draw], abs=1e-12)
    numeric = make_fit(sw.Weibull(), "hazard-ratio", ("age",), False, np.array([[0.02], [-0.03]]))
    by_year = sw.hazard_ratio_over_time(numeric, term="age", times=[10.0]).to_numpy()[0, :, 0]
    shapes = SHAPE * np.exp([0.02, -0.03])
    both = [stats.weibull_min(k, scale=np.exp(LOG_SCALE)) for k in (SHAPE, shapes)]
    own = [law.pdf(10.0 - GUARANTEE) / law.sf(10.0 - GUARANTEE) for law in both]
    np.testing.assert_allclose(by_year, own[1] / own[0], rtol=1e-10)
    constant = sw.hazard_ratio_over_time(numeric, term="ecog[1]", times=TIMES).to_numpy()[0]
    np.testing.assert_allclose(constant, np.exp(EFFECT)[:, None].repeat(4, axis=1), rtol=1e-12)


def test_ratios_are_those_of_the_metric_and_the_others_are_refused(make_fit):
    hazard, time = make_fit(sw.Weibull(), "hazard-ratio"), make_fit(sw.Weibull(), "time-ratio")
    np.testing.assert_allclose(sw.log_hazard_ratios(hazard).to_numpy()[0, :, 0], EFFECT)
    np.testing.assert_allclose(sw.log_time_ratios(time).to_numpy()[0, :, 0], EFFECT)
    np.testing.assert_allclose(sw.site_effects(time, metric="time-ratio").to_numpy()[0], SITES)
    np.testing.assert_allclose(sw.site_sd(time, metric="time-ratio").to_numpy()[0], SITE_SD)
    assert (sw.effect_metric(hazard), sw.effect_metric(time)) == ("hazard-ratio", "time-ratio")
    for refused in (
        lambda: sw.log_time_ratios(hazard),
        lambda: sw.site_effects(hazard, metric="time-ratio"),
        lambda: sw.median_time_ratio(hazard),
    ):
        with pytest.raises(sw.SpecError, match="no ratios of times"):
            refused()
    for refused in (
        lambda: sw.hazard_ratios(time),
        lambda: sw.site_effects(time),
        lambda: sw.median_hazard_ratio(time),
    ):
        with pytest.raises(sw.SpecError, match="no ratios of hazards"):
            refused()
    np.testing.assert_allclose(sw.site_shapes(hazard).to_numpy()[0], SHAPE[:, None] * np.exp(SHAPES))
    np.testing.assert_allclose(sw.shape_ratios(hazard).to_numpy()[0, :, 0], np.exp(ALPHA))


def test_hazard_ratios_over_time_say_what_they_need(make_fit, hand_made, cohort):
    fit = make_fit(sw.Weibull(), "hazard-ratio")
    for options, words in (
        ({"term": "ecog", "times": TIMES}, r"Did you mean 'ecog\[1\]'"),
        ({"term": "ecog[1]", "times": [0.5]}, r"after 0\.5"),
        ({"term": "ecog[1]", "times": [np.inf]}, "finite"),
    ):
        with pytest.raises(sw.SpecError, match=words):
            sw.hazard_ratio_over_time(fit, **options)
    with pytest.raises(sw.SpecError, match="marginal_hazard_ratio"):
        sw.hazard_ratio_over_time(make_fit(sw.LogNormal(), "time-ratio"), term="ecog[1]", times=TIMES)
    plain = hand_made(
        sw.ModelSpec(("ecog",), sites=sw.NoSites()), cohort, shape=SHAPE, log_scale=LOG_SCALE, coefficients=EFFECT[:, None]
    )
    with pytest.raises(sw.SpecError, match="constant"):
        sw.hazard_ratio_over_time(plain, term="ecog[1]", times=TIMES)
    for refused, words in ((sw.shape_ratios, "No covariates"), (sw.site_shapes, "same at all sites")):
        with pytest.raises(sw.SpecError, match=words):
            refused(plain)
