"""Estimands of log-normal and log-logistic times against adaptive quadrature, under every site treatment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, special, stats

import sitewise as sw

TIMES = np.array([1.0, 6.0, 15.0, 60.0])
SHAPE, LOG_SCALE, EFFECT, SITE_SD = np.array([0.9, 2.3]), np.array([2.1, 2.6]), np.array([-0.5, 0.4]), np.array([0.3, 0.8])
SITES = np.array([[-0.2, 0.1, 0.4], [0.9, -0.3, -0.5]])
UPPER_TAIL = {"log-normal": stats.norm.sf, "log-logistic": lambda x: special.expit(-x)}
FAMILIES = (sw.LogNormal(), sw.LogLogistic())
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
NORMAL_RULE = NODES, WEIGHTS / WEIGHTS.sum()
GROUP = sw.RiskGroups.count_favourable(ecog="0")


@pytest.fixture(scope="module")
def cohort() -> sw.Cohort:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"time": rng.exponential(10, 90) + 2, "event": 1, "site": np.arange(90) % 3, "ecog": rng.integers(0, 2, 90)}
    )
    return sw.Cohort.from_frame(frame.astype({"ecog": str}), time="time", event="event", site="site", time_unit="months")


def made(hand_made, cohort: sw.Cohort, family, guarantee: float = 0.0):
    """Two draws, chosen."""
    spec = sw.ModelSpec(terms=("ecog",), family=family, metric="time-ratio", guarantee_time=guarantee)
    return hand_made(
        spec, cohort, shape=SHAPE, log_scale=LOG_SCALE, coefficients=EFFECT[:, None], site_effect=SITES, site_sd=SITE_SD
    )


def expected(fit, draw: int, group: int, sites: sw.Observed | sw.Average | sw.Marginal | sw.New, time: float) -> float:
    """Survival of a group's members, averaged by hand."""
    ecog = (fit.cohort.covariates["ecog"] == "1").to_numpy().astype(float)
    members = ecog == group  # "1 of 1 favourable" comes first
    mean, tail = fit.spec.resolved.means[0], UPPER_TAIL[fit.spec.family.name]
    beyond = time - fit.spec.guarantee_time
    if beyond <= 0:
        return 1.0
    away = np.log(beyond) - LOG_SCALE[draw] - (ecog[members] - mean) * EFFECT[draw]

    def at(effect):
        return float(np.mean(tail(SHAPE[draw] * (away - effect))))

    if isinstance(sites, sw.Marginal):
        sd = SITE_SD[draw]
        return sum(weight * at(sd * node) for node, weight in zip(*NORMAL_RULE, strict=True))
    if isinstance(sites, sw.Observed) and sites.site is None:
        return at(SITES[draw][fit.cohort.site_index[members]])
    if isinstance(sites, sw.Observed):
        return at(SITES[draw][fit.spec.resolved.site_labels.index(sites.site)])
    return at(0.0)


TREATMENTS = (sw.Observed(), sw.Observed("1"), sw.Average(), sw.Marginal())


@pytest.mark.parametrize("sites", TREATMENTS, ids=str)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("guarantee", [0.0, 1.5])
def test_survival_median_restricted_mean_and_hazard(hand_made, cohort, family, sites, guarantee):
    fit = made(hand_made, cohort, family, guarantee)
    curves = sw.group_curves(fit, GROUP, sites=sites)
    survival = curves.survival(TIMES).to_numpy()[0]
    median, horizon = curves.quantile(0.5).to_numpy()[0], 24.0
    restricted, hazard = curves.rmst(horizon).to_numpy()[0], curves.hazard(TIMES).to_numpy()[0]
    for draw in (0, 1):
        for group in (0, 1):

            def own(time: float, draw: int = draw, group: int = group) -> float:
                return expected(fit, draw, group, sites, time)

            np.testing.assert_allclose(survival[draw, group], [own(time) for time in TIMES], atol=2e-9)
            root = optimize.brentq(lambda time: own(time) - 0.5, guarantee + 1e-3, 1e4, xtol=1e-10)
            assert median[draw, group] == pytest.approx(root, rel=2e-7)
            area = integrate.quad(own, guarantee, horizon, epsabs=1e-9, limit=200)[0] + guarantee
            assert restricted[draw, group] == pytest.approx(area, rel=1e-7)
            step = 1e-4
            for place, time in enumerate(TIMES):
                slope = (own(time - step) - own(time + step)) / (2 * step)
                wanted = slope / own(time) if time > guarantee else 0.0
                assert hazard[draw, group, place] == pytest.approx(wanted, rel=2e-5, abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_new_site_averages_to_the_marginal_curve(hand_made, cohort, family):
    fit = made(hand_made, cohort, family)
    second = {"shape": SHAPE, "log_scale": LOG_SCALE, "coefficients": EFFECT[:, None], "site_effect": SITES, "site_sd": SITE_SD}
    many = hand_made(fit.spec, cohort, **{name: np.repeat(values[1:], 4000, axis=0) for name, values in second.items()})
    new = sw.survival(many, groups=GROUP, sites=sw.New(), times=TIMES).mean(("chain", "draw"))
    marginal = sw.survival(fit, groups=GROUP, sites=sw.Marginal(), times=TIMES).isel(chain=0, draw=1)
    np.testing.assert_allclose(new, marginal, atol=0.02)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_effects_are_time_ratios(hand_made, cohort, family):
    fit = made(hand_made, cohort, family)
    assert sw.effect_metric(fit) == "time-ratio"
    np.testing.assert_allclose(sw.log_time_ratios(fit).to_numpy()[0, :, 0], EFFECT, atol=1e-14)
    np.testing.assert_allclose(sw.site_effects(fit, metric="time-ratio").to_numpy()[0], SITES, atol=1e-14)
    np.testing.assert_allclose(sw.site_sd(fit, metric="time-ratio").to_numpy()[0], SITE_SD, atol=1e-14)
    np.testing.assert_allclose(sw.median_time_ratio(fit).to_numpy()[0], np.exp(0.9538726 * SITE_SD), rtol=1e-6)
    # The first draw's first site has the shortest times, so the highest hazard.
    np.testing.assert_array_equal(sw.site_ranks(fit).to_numpy()[0], [[3, 2, 1], [1, 2, 3]])
    for asked in (sw.log_hazard_ratios, sw.hazard_ratios, sw.site_effects, sw.site_sd, sw.median_hazard_ratio):
        with pytest.raises(sw.SpecError, match="hazard ratios change as time goes on"):
            asked(fit)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_expected_events_are_cumulative_hazards(hand_made, cohort, family):
    fit = made(hand_made, cohort, family)
    found = sw.expected_events(fit, 12.0, own_sites=True)
    ecog = (cohort.covariates["ecog"] == "1").to_numpy().astype(float)
    each = []
    for draw in (0, 1):
        location = LOG_SCALE[draw] + (ecog - fit.spec.resolved.means[0]) * EFFECT[draw] + SITES[draw][cohort.site_index]
        each.append(-np.log(UPPER_TAIL[family.name](SHAPE[draw] * (np.log(12.0) - location))))
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-10)
