"""Published closed forms: restricted means, survival across sites, and a marginal hazard ratio under gamma frailty.

The numbers are copied with their sources and held to the digits printed.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.special import roots_genlaguerre

import sitewise as sw

EVERYONE = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})


@pytest.mark.parametrize(
    ("shape", "median", "horizon", "expected"),
    [(1.5, 10.0, 12.0, 8.639360), (1.3, 14.0, 24.0, 14.199613), (0.8, 20.0, 36.0, 20.378492)],
)
def test_weibull_restricted_mean(shape, median, horizon, expected, make_frame, read, hand_made):
    """RMST(tau) = gamma(1/k, (tau/scale)^k) scale / k, lower incomplete gamma (Royston & Parmar 2013, BMC Med Res Methodol)."""
    cohort = read(make_frame(6, hospitals=3))
    scale = median / np.log(2) ** (1 / shape)
    fit = hand_made(sw.ModelSpec.from_formula("Surv(months, died) ~ 1"), cohort, shape=[shape], log_scale=[np.log(scale)])
    options = {"groups": EVERYONE, "sites": sw.Average()}
    assert float(sw.rmst(fit, horizon=horizon, **options)[0, 0, 0]) == pytest.approx(expected, abs=6e-7)
    assert float(sw.median_survival(fit, **options)[0, 0, 0]) == pytest.approx(median, rel=1e-9)


SITES = [(0.5, 0.5, 0.590105, 0.147140), (0.5, 1.0, 0.369874, 0.164654), (1.0, 1.0, 0.381756, 0.265652)]
"""Log-normal site effect of sd sigma, baseline cumulative hazard H0: mean and sd of S over sites (Gauss-Hermite, 200 nodes)."""


@pytest.fixture(scope="module")
def site_fit(make_frame, read, hand_made):
    """Make a fit of ``size`` equal draws with one site spread, exponential of mean 1, so that time is H0."""
    cohort = read(make_frame(9, hospitals=3))
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ 1 + (1 | hospital)", family=sw.Exponential())

    def make(sigma, size):
        return hand_made(
            spec, cohort, log_scale=np.zeros(size), site_effect=np.zeros((size, 3)), site_sd=np.full(size, sigma), seed=17
        )

    return make


@pytest.mark.parametrize(("sigma", "hazard", "mean", "sd"), SITES)
def test_survival_over_sites(sigma, hazard, mean, sd, site_fit):
    """The marginal curve is the mean; S^2 at H0 is S at 2 H0, so the same curve gives the sd."""
    curve = sw.survival(site_fit(sigma, 1), groups=EVERYONE, sites=sw.Marginal(), times=[hazard, 2 * hazard])
    first, second = (float(value) for value in curve[0, 0, 0])
    assert first == pytest.approx(mean, abs=6e-7)
    assert np.sqrt(second - first**2) == pytest.approx(sd, abs=6e-7)


@pytest.mark.parametrize(("sigma", "hazard", "mean", "sd"), SITES)
def test_survival_at_a_new_site(sigma, hazard, mean, sd, site_fit):
    """One new site a draw has the same mean and sd, within 4 standard errors of 40,000 draws.

    The sd of a sample sd is below sd / sqrt(n) here (kurtosis below 5).
    """
    size = 40_000
    found = sw.survival(site_fit(sigma, size), groups=EVERYONE, sites=sw.New(), times=[hazard]).to_numpy()
    assert found.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(size))
    assert found.std() == pytest.approx(sd, abs=4 * sd / np.sqrt(size))


@pytest.mark.parametrize(("theta", "hazard", "expected"), [(0.25, 1.0, 0.6522), (0.5, 1.0, 0.6923), (0.5, 2.0, 0.75)])
def test_marginal_hazard_ratio_under_gamma_frailty(theta, hazard, expected, hand_made):
    """HR(t) = h (1 + theta H0) / (1 + theta h H0) with h = .6 (Hougaard 2000, Analysis of Multivariate Survival Data, ch. 7).

    Members of a population play the frailty: their log frailties and weights are the nodes and weights of Gauss-Laguerre
    quadrature for Gamma(1 / theta, theta), exact to 1e-12 for these integrands, so only the printed digits limit the test.
    """
    h, shape = 0.6, 1 / theta
    nodes, weights = roots_genlaguerre(40, shape - 1)
    frailty, weights = nodes * theta, weights / weights.sum()
    frame = pd.DataFrame(
        {
            "time": 1.0 + np.arange(40.0),
            "event": 1,
            "w": weights,
            "log_frailty": np.log(frailty),
            "arm": np.tile(["control", "treated"], 20),
        }
    )
    cohort = sw.Cohort.from_frame(frame, time="time", event="event", weights="w", covariates=["log_frailty", "arm"])
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ log_frailty + arm", family=sw.Exponential()).resolve(cohort)
    effect = np.array([1.0, np.log(h)])
    fit = hand_made(spec, cohort, log_scale=[-float(np.array(spec.resolved.means) @ effect)], coefficients=[effect])
    arms = sw.Standardised({"control": {"arm": "control"}, "treated": {"arm": "treated"}})
    options = {"groups": arms, "sites": sw.Average()}
    ratio = sw.marginal_hazard_ratio(fit, reference="control", times=[hazard], **options).sel(group="treated")
    exact = h * (1 + theta * hazard) / (1 + theta * h * hazard)
    assert exact == pytest.approx(expected, abs=6e-5)
    # The interpolated ratio of hazards is good to 1e-8 at H of 1 to 2; 1e-7 leaves room for the quadrature's far nodes.
    assert float(ratio[0, 0, 0]) == pytest.approx(exact, rel=1e-7)
    survival = sw.survival(fit, times=[hazard], **options).sel(group="control")
    assert float(survival[0, 0, 0]) == pytest.approx((1 + theta * hazard) ** -shape, abs=1e-8)
