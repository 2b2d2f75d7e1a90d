"""Conditional effects in both metrics, site effects, spread and ranks."""

import numpy as np
import pytest
from scipy import stats

import sitewise as sw

FORMULA = "Surv(months, died) ~ ecog + age + (1 | hospital)"
SHAPE = np.array([[0.8, 1.0, 1.5], [2.0, 1.2, 0.9]])
EFFECTS = np.array([0.5, -0.02]) * np.arange(1, 7).reshape(2, 3, 1)
SITES = np.random.default_rng(3).normal(size=(2, 3, 4))
SITE_SD = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(30))


@pytest.fixture(scope="module", params=["hazard-ratio", "time-ratio"])
def fit(request, cohort, hand_made):
    return hand_made(
        sw.ModelSpec.from_formula(FORMULA, metric=request.param),
        cohort,
        shape=SHAPE,
        log_scale=np.full((2, 3), 2.5),
        coefficients=EFFECTS,
        site_effect=SITES,
        site_sd=SITE_SD,
    )


def both(fit, values, exponent):
    """Return (log hazard ratio, log time ratio) of values that are in the fit's own metric."""
    if fit.spec.metric == "hazard-ratio":
        return values, -values / exponent
    return -exponent * values, values


def test_ratios_in_both_metrics(fit):
    hazard, time = both(fit, EFFECTS, SHAPE[..., None])
    for function, expected in (
        (sw.log_hazard_ratios, hazard),
        (sw.hazard_ratios, np.exp(hazard)),
        (sw.log_time_ratios, time),
        (sw.time_ratios, np.exp(time)),
    ):
        found = function(fit)
        assert found.dims == ("chain", "draw", "term")
        assert list(found["term"].values) == ["ecog[>=1]", "age"]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_site_effects_and_ranks(fit):
    hazard, _ = both(fit, SITES, SHAPE[..., None])
    found = sw.site_effects(fit)
    assert list(found["site"].values) == ["1", "2", "3", "4"]
    np.testing.assert_allclose(found, hazard, rtol=1e-12)
    ranks = sw.site_ranks(fit)
    assert ranks.dims == ("chain", "draw", "site")
    np.testing.assert_array_equal(ranks, stats.rankdata(hazard, axis=-1))  # 1: the lowest hazard


def test_site_spread_in_both_metrics(fit):
    hazard, time = both(fit, SITE_SD, SHAPE)
    np.testing.assert_allclose(sw.site_sd(fit), np.abs(hazard), rtol=1e-12)
    np.testing.assert_allclose(sw.site_sd(fit, metric="time-ratio"), np.abs(time), rtol=1e-12)
    assert sw.site_sd(fit).name == "site_sd_log_hazard_ratio"
    assert sw.site_sd(fit, metric="time-ratio").name == "site_sd_log_time_ratio"


def test_median_hazard_ratio_by_simulation(fit):
    """The median over pairs of sites of the larger over the smaller hazard; sd .1 as a check of the constant.

    The sample median of 400,000 pairs of |N(0, 2)|: standard error .5 / (density .45 x 632) = .0018, of which 4.5 are .008 in
    units of the sd.
    """
    found = sw.median_hazard_ratio(fit)
    assert found.dims == ("chain", "draw")
    pairs = np.random.default_rng(1).normal(size=(2, 400_000))
    middle = np.median(np.abs(pairs[0] - pairs[1]))
    np.testing.assert_allclose(np.log(found) / sw.site_sd(fit), middle, atol=0.008)


def test_exponential_time_ratios_are_inverse_hazard_ratios(cohort, hand_made):
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + age", family=sw.Exponential())
    fit = hand_made(spec, cohort, log_scale=np.zeros((2, 3)), coefficients=EFFECTS)
    np.testing.assert_allclose(sw.time_ratios(fit) * sw.hazard_ratios(fit), 1.0, rtol=1e-12)


def test_models_without_sites_or_terms(cohort, hand_made):
    fit = hand_made(sw.ModelSpec.from_formula("Surv(months, died) ~ 1"), cohort, shape=[1.0], log_scale=[2.0])
    assert sw.hazard_ratios(fit).shape == (1, 1, 0)
    for ask in (sw.site_effects, sw.site_ranks):
        with pytest.raises(sw.SpecError, match=r"^The model has no site effects\.$"):
            ask(fit)
    for ask in (sw.site_sd, sw.median_hazard_ratio):
        with pytest.raises(sw.SpecError, match=r"^The model has no random site effects, so no site spread\.$"):
            ask(fit)
    fixed = hand_made(
        sw.ModelSpec.from_formula("Surv(months, died) ~ 1", sites=sw.FixedSites()),
        cohort,
        shape=[1.0],
        log_scale=[2.0],
        site_effect=[[0.3, -0.1, -0.1, -0.1]],
    )
    assert list(sw.site_ranks(fixed)[0, 0]) == [4.0, 1.0, 2.0, 3.0]
    with pytest.raises(sw.SpecError, match="no random site effects"):
        sw.site_sd(fixed)
