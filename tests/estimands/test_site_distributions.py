"""Correlated and Student-t sites in every estimand: adaptive quadrature, sums over a plane, and simulated sites.

Posteriors are chosen by hand. Tolerances: 1e-8 of survival and of RMST as a share of its horizon, as for normal sites
(``test_quadrature``, ``test_slopes``); Monte Carlo checks allow 4.5 standard errors.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import gammaln, stdtr

import sitewise as sw
from sitewise.estimands.draws import index_draws
from sitewise.estimands.student_t_masses import student_t_kernel, student_t_reach
from sitewise.models.student_t import log_ratio_between_sites, mixture_of_normals

EXACT = 1e-8
TIMES = np.array([0.5, 3.0, 9.0, 24.0, 60.0])
HORIZON = 18.0
EVERYONE = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})
SDS = np.array([[0.3, 0.5], [0.1, 1.5], [1.0, 0.02], [0.01, 0.01]])
CORRELATIONS = np.array([0.6, -0.9, 0.3, 0.99])
SHAPE, SCALE, ECOG = 1.3, 14.0, 0.62
FREEDOM = np.array([2.2, 4.0, 4.0, 4.0, 30.0, 30.0, 200.0])
T_SDS = np.array([0.5, 0.0, 0.2, 1.0, 0.15, 2.0, 0.2])
"""Sds on both sides of those at which the numerics change."""


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(9, seed=5, hospitals=3), weights="weight", covariates=["ecog"])


def posterior_of(hand_made, cohort, spec, site_sd, metric):
    """Return a hand-made fit with one shape, scale and effect of ECOG for all draws, as log hazard or log time ratios."""
    unit = 1.0 if metric == "hazard-ratio" else -1 / SHAPE
    size = len(site_sd)
    z = np.random.default_rng(1).normal(size=(size, 3))
    return hand_made(
        spec,
        cohort,
        shape=np.full(size, SHAPE),
        log_scale=np.full(size, np.log(SCALE)),
        coefficients=np.full((size, 1), ECOG * unit),
        site_effect=z * site_sd[:, None] * unit,
        site_sd=site_sd * abs(unit),
        seed=3,
    )


@pytest.fixture(scope="module", params=["hazard-ratio", "time-ratio"])
def correlated(request, hand_made, cohort):
    spec = sw.ModelSpec(terms=("ecog",), sites=sw.RandomSites(slopes=("ecog",), correlated=True), metric=request.param)
    fit = posterior_of(hand_made, cohort, spec, SDS[:, 0], request.param)
    unit = 1.0 if request.param == "hazard-ratio" else -1 / SHAPE
    matrix = np.array([[[1.0, rho], [rho, 1.0]] for rho in CORRELATIONS])
    slopes = np.random.default_rng(2).normal(size=(len(SDS), 3)) * SDS[:, [1]] * unit
    more = {
        "site_slope": (("chain", "draw", "site", "slope"), slopes[None, ..., None]),
        "site_slope_sd": (("chain", "draw", "slope"), SDS[None, :, 1:] * abs(unit)),
        "site_correlation": (("chain", "draw", "site_term", "other_site_term"), matrix[None]),
    }
    return replace(fit, posterior=fit.posterior.assign(more))


@pytest.fixture(scope="module", params=["hazard-ratio", "time-ratio"])
def student_t(request, hand_made, cohort):
    sites = sw.RandomSites(distribution="student-t", degrees_of_freedom=None)
    spec = sw.ModelSpec(terms=("ecog",), sites=sites, metric=request.param)
    fit = posterior_of(hand_made, cohort, spec, T_SDS, request.param)
    more = {"site_degrees_of_freedom": (("chain", "draw"), FREEDOM[None])}
    return replace(fit, posterior=fit.posterior.assign(more))


@pytest.fixture(scope="module")
def members(cohort):
    """Log hazards at an average site, distances from the reference patient, shares."""
    ecog = (cohort.covariates["ecog"] == ">=1").to_numpy(dtype=float)
    return ECOG * (ecog - ecog.mean()), ecog, cohort.weights / cohort.weights.sum()


def averaged(hazard, members, moved):
    """Return the group's survival at baseline cumulative hazards when log hazards are moved by an array (..., member)."""
    eta, _, share = members
    with np.errstate(over="ignore"):
        return np.exp(-hazard * np.exp(eta + moved)) @ share


def over_plane(hazard, members, draw):
    """Return the mean over effect and slope of a site by a dense sum over (z_1, z_2), standard normal."""
    z = np.linspace(-8.5, 8.5, 421)
    one, two = np.meshgrid(z, z, indexing="ij")
    density = np.exp(-0.5 * (one**2 + two**2)) / (2 * np.pi) * (z[1] - z[0]) ** 2
    rho = CORRELATIONS[draw]
    effect, slope = SDS[draw, 0] * one, SDS[draw, 1] * (rho * one + np.sqrt(1 - rho**2) * two)
    total = 0.0
    for ecog in (0.0, 1.0):  # members differ in nothing else
        rows = members[1] == ecog
        total += (averaged(hazard, [item[rows] for item in members], (effect + slope * ecog)[..., None]) * density).sum()
    return total


def hazard_at(time):
    return (time / SCALE) ** SHAPE


def test_correlated_sites_averaged(correlated, members):
    found = sw.survival(correlated, groups=EVERYONE, sites=sw.Marginal(), times=TIMES)[0, :, 0].to_numpy()
    for draw in range(len(SDS)):
        expected = [over_plane(hazard_at(time), members, draw) for time in TIMES]
        np.testing.assert_allclose(found[draw], expected, atol=EXACT)


def test_independent_slopes_are_the_correlation_zero(correlated):
    zero = correlated.posterior["site_correlation"].copy(data=np.broadcast_to(np.eye(2), (1, len(SDS), 2, 2)))
    none = replace(correlated, posterior=correlated.posterior.assign(site_correlation=zero))
    sites = replace(correlated.spec.sites, correlated=False)
    plain = replace(none, spec=replace(none.spec, sites=sites, resolution=replace(none.spec.resolved, site_correlation=None)))
    for treatment in (sw.Marginal(), sw.New(5)):
        one, other = (sw.survival(item, groups=EVERYONE, sites=treatment, times=TIMES) for item in (none, plain))
        np.testing.assert_allclose(one, other, rtol=1e-12)


def repeated(fit, draw, times):
    """Return a fit whose draws are one draw many times."""
    many = fit.posterior.isel(draw=[draw] * times)
    return replace(fit, posterior=many.assign_coords(draw=np.arange(times)))


def test_new_sites_are_correlated(correlated):
    size = 20_000
    for draw in range(2):
        effect, slopes = index_draws(repeated(correlated, draw, size)).new_site(7)
        rho = CORRELATIONS[draw]
        assert np.corrcoef(effect, slopes[:, 0])[0, 1] == pytest.approx(rho, abs=4.5 * (1 - rho**2) / np.sqrt(size))
        for values, sd in ((effect, SDS[draw, 0]), (slopes[:, 0], SDS[draw, 1])):
            assert stats.kstest(values, stats.norm(0, sd).cdf).pvalue > 1e-4


def t_density(x, nu):
    """Return the density of Student's t with scale one; a test below holds it to scipy's, which is slow for single numbers."""
    return np.exp(gammaln((nu + 1) / 2) - gammaln(nu / 2) - (nu + 1) / 2 * np.log1p(x * x / nu)) / np.sqrt(nu * np.pi)


def test_the_density_of_the_references():
    x = np.array([0.0, 0.3, 1.0, 3.0, 30.0])
    for nu in np.unique(FREEDOM):
        np.testing.assert_allclose(t_density(x, nu), stats.t(nu).pdf(x), rtol=1e-11)


def over_t(function, draw):
    """Return the mean of ``function(b)`` over Student's t with an sd, by adaptive quadrature in pieces."""
    sd, nu = T_SDS[draw], FREEDOM[draw]
    if sd == 0:
        return function(0.0)
    scale = sd * np.sqrt((nu - 2) / nu)
    edges = [-np.inf, -60.0, -20.0, -8.0, -3.0, -1.0, -0.2, 0.0, 0.2, 1.0, 3.0, 8.0, 20.0, 60.0, np.inf]

    def integrand(b):
        return t_density(b / scale, nu) / scale * function(b)

    return sum(quad(integrand, *ends, epsabs=1e-13, limit=300)[0] for ends in pairwise(edges))


def test_student_t_sites_averaged(student_t, members):
    curves = sw.group_curves(student_t, EVERYONE, sites=sw.Marginal())
    found, medians = curves.survival(TIMES)[0, :, 0].to_numpy(), curves.quantile(0.5)[0, :, 0].to_numpy()
    for draw in range(len(T_SDS)):

        def survival(time, draw=draw):
            return over_t(lambda b: float(averaged(hazard_at(time), members, b)), draw)

        np.testing.assert_allclose(found[draw], [survival(time) for time in TIMES], atol=EXACT)
        assert survival(medians[draw]) == pytest.approx(0.5, abs=EXACT)


def test_restricted_mean_over_student_t_sites(student_t, members):
    found = sw.rmst(student_t, groups=EVERYONE, sites=sw.Marginal(), horizon=HORIZON)[0, :, 0].to_numpy()
    nodes, weights = np.polynomial.legendre.leggauss(120)  # in t = H u^2, where S is smooth at zero
    u = 0.5 * (nodes + 1)
    times, weights = HORIZON * u**2, 0.5 * weights * 2 * HORIZON * u
    for draw in (0, 3, 4):
        mean = over_t(lambda b: float(averaged(hazard_at(times)[:, None], members, b) @ weights), draw)
        assert found[draw] == pytest.approx(mean, abs=EXACT * HORIZON)


def test_new_student_t_sites(student_t):
    size = 20_000
    for draw in (0, 3, 5):
        effect, slopes = index_draws(repeated(student_t, draw, size)).new_site(7)
        nu = FREEDOM[draw]
        assert slopes.shape == (size, 0)
        assert stats.kstest(effect, stats.t(nu, scale=T_SDS[draw] * np.sqrt((nu - 2) / nu)).cdf).pvalue > 1e-4


def test_median_ratio_between_student_t_sites(student_t):
    """The median of |b_1 - b_2| by its distribution function, E F(b + x) = 3/4."""

    constants = dict(zip(np.unique(FREEDOM), log_ratio_between_sites(np.unique(FREEDOM)), strict=True))
    for nu, constant in constants.items():
        x, edges = constant / np.sqrt((nu - 2) / nu), [-np.inf, -30.0, -5.0, 0.0, 5.0, 30.0, np.inf]

        def integrand(b, nu=nu, x=x):
            return t_density(b, nu) * stdtr(nu, b + x)

        parts = [quad(integrand, *ends, epsabs=1e-13)[0] for ends in pairwise(edges)]
        assert sum(parts) == pytest.approx(0.75, abs=1e-10)
    assert log_ratio_between_sites(np.array(1e9)) == pytest.approx(np.sqrt(2) * stats.norm.ppf(0.75), rel=1e-7)
    in_time = student_t.spec.metric == "time-ratio"
    ratio = (sw.median_time_ratio if in_time else sw.median_hazard_ratio)(student_t).to_numpy()[0]
    sds = T_SDS / SHAPE if in_time else T_SDS
    np.testing.assert_allclose(ratio, np.exp([constants[nu] * sd for nu, sd in zip(FREEDOM, sds, strict=True)]), rtol=1e-9)


@pytest.mark.parametrize("nu", [2.05, 3.0, 4.0, 30.0, 500.0])
def test_mixture_of_normals(nu):
    sds, shares = mixture_of_normals(np.array([nu]))
    law = stats.t(nu, scale=np.sqrt((nu - 2) / nu))
    x = np.array([0.0, 0.3, 1.0, 3.0, 5.0])
    found = (shares[0] * stats.norm.pdf(x[:, None], 0.0, sds[0])).sum(axis=1)
    # With two degrees of freedom the peak is sharp; elsewhere the rule's error is that of rounding.
    np.testing.assert_allclose(found, law.pdf(x), atol=1e-9 if nu < 2.1 else 1e-12)


@pytest.mark.parametrize("sd", [0.0, 1e-8, 0.1, 0.35, 0.36, 1.5, 6.0])
def test_masses_of_student_t(sd):
    """They sum to one, are symmetric, and their share within a distance is the distribution function's."""
    reach = student_t_reach(sd)
    kernel = student_t_kernel(np.array([sd]), np.array([4.0]), reach)[0]
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(kernel, kernel[::-1], atol=1e-15)
    if sd > 1:  # where the grid is fine enough for a distribution function, to second order in the step
        points = 0.125 * np.arange(-reach, reach + 1)
        below = kernel[points < -2 * sd].sum() + 0.5 * kernel[points == -2 * sd].sum()
        assert below == pytest.approx(stats.t(4, scale=sd / np.sqrt(2)).cdf(-2 * sd), abs=2e-3 / sd)
