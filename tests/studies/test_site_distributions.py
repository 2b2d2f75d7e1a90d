"""Studies with correlated and Student-t sites: a left-out site's likelihood by brute force, new sites of drawn cohorts."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

import sitewise as sw
from sitewise.models.resolve import prepare
from sitewise.studies.drawn_cohorts import new_sites
from sitewise.studies.predictive import log_likelihood_of_site

METRICS = ("hazard-ratio", "time-ratio")
SDS = np.array([[0.3, 0.5], [1.5, 0.8], [0.7, 0.05]])
CORRELATIONS = np.array([0.7, -0.8, 0.2])
FREEDOM = np.array([4.0, 2.3, 12.0])
SHAPES = np.array([0.8, 1.4, 1.1])


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(40, seed=7), weights="weight", covariates=["ecog", "age"])


def draws_of(spec, metric, **more):
    rng = np.random.default_rng(3)
    return {
        "shape": SHAPES,
        "log_scale_at_means": rng.normal(2.6, 0.3, 3),
        "site_sd": SDS[:, 0],
        "log_hazard_ratio" if metric == "hazard-ratio" else "log_time_ratio": rng.normal(0, [0.4, 0.02], (3, 2)),
        **more,
    }


def conditional(spec, draws, cohort, draw, rows, effect, slope):
    """Return the weighted log likelihood of some patients at site effects and slopes of ECOG (m,): a Weibull's, written out."""
    ecog = (cohort.covariates["ecog"] == ">=1").to_numpy(dtype=float)
    age = cohort.covariates["age"].to_numpy()
    matrix = np.column_stack([ecog, age])
    in_time = spec.metric == "time-ratio"
    k, beta = draws["shape"][draw], draws["log_time_ratio" if in_time else "log_hazard_ratio"][draw]
    predictor = ((matrix - matrix.mean(axis=0)) @ beta)[rows] + effect[:, None] + slope[:, None] * ecog[rows]
    log_scale = draws["log_scale_at_means"][draw] + (predictor if in_time else -predictor / k)
    z = k * (np.log(cohort.time[rows]) - log_scale)
    each = cohort.event[rows] * (np.log(k) + z - np.log(cohort.time[rows])) - np.exp(z)
    return each @ cohort.weights[rows]


@pytest.mark.parametrize("metric", METRICS)
def test_a_left_out_site_with_correlated_slopes(metric, cohort):
    """By a dense sum over (z_1, z_2); also of patients who are all alike in ECOG, whom one effect moves."""
    spec = sw.ModelSpec(terms=("ecog", "age"), sites=sw.RandomSites(slopes=("ecog",), correlated=True), metric=metric)
    spec = spec.resolve(cohort)
    matrix = np.array([[[1.0, rho], [rho, 1.0]] for rho in CORRELATIONS])
    draws = draws_of(spec, metric, site_slope_sd=SDS[:, 1:], site_correlation=matrix)
    everyone, ecog = cohort.site_index == 1, (cohort.covariates["ecog"] == ">=1").to_numpy()
    z = np.linspace(-8.5, 8.5, 301)
    one, two = (item.ravel() for item in np.meshgrid(z, z, indexing="ij"))
    for rows in (everyone, everyone & ecog):
        found = log_likelihood_of_site(spec, draws, prepare(spec, cohort).some(rows))
        for draw in range(3):
            rho, (sd, slope_sd) = CORRELATIONS[draw], SDS[draw]
            slope = slope_sd * (rho * one + np.sqrt(1 - rho**2) * two)
            value = conditional(spec, draws, cohort, draw, rows, sd * one, slope) - 0.5 * (one**2 + two**2)
            expected = value.max() + np.log(np.exp(value - value.max()).sum() * (z[1] - z[0]) ** 2 / (2 * np.pi))
            assert found[draw] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("estimated", [False, True], ids=["fixed", "estimated"])
def test_a_left_out_site_with_a_student_t_effect(metric, estimated, cohort):
    sites = sw.RandomSites(distribution="student-t", degrees_of_freedom=None if estimated else 4.0)
    spec = sw.ModelSpec(terms=("ecog", "age"), sites=sites, metric=metric).resolve(cohort)
    draws = draws_of(spec, metric, **({"site_degrees_of_freedom": FREEDOM} if estimated else {}))
    rows = np.flatnonzero(cohort.site_index == 1)
    found = log_likelihood_of_site(spec, draws, prepare(spec, cohort).some(rows))
    for draw in range(3):
        nu = FREEDOM[draw] if estimated else 4.0
        law = stats.t(nu, scale=SDS[draw, 0] * np.sqrt((nu - 2) / nu))
        b = np.linspace(-12, 12, 4001)
        top = (conditional(spec, draws, cohort, draw, rows, b, 0 * b) + law.logpdf(b)).max()

        def integrand(b, draw=draw, law=law, top=top):
            value = conditional(spec, draws, cohort, draw, rows, np.array([b]), np.zeros(1))[0]
            return float(np.exp(value + law.logpdf(b) - top))

        parts = [quad(integrand, low, low + 1, epsabs=1e-12)[0] for low in range(-20, 7)]
        assert found[draw] == pytest.approx(top + np.log(sum(parts)), abs=1e-8)


def test_new_sites_of_drawn_cohorts(cohort):
    """Effects and slopes of many new sites of one truth: their marginal distributions, and their correlation."""
    rng, size = np.random.default_rng(5), 20_000
    correlated = sw.ModelSpec(terms=("ecog",), sites=sw.RandomSites(slopes=("ecog",), correlated=True)).resolve(cohort)
    matrix = np.array([[[1.0, -0.8], [-0.8, 1.0]]])
    truth = {"site_sd": np.array([0.4]), "site_slope_sd": np.array([[1.1]]), "site_correlation": matrix}
    made = new_sites(correlated, truth, size, rng)
    effect, slope = made["site_effect"][0], made["site_slope"][0, :, 0]
    assert stats.kstest(effect, stats.norm(0, 0.4).cdf).pvalue > 1e-4
    assert stats.kstest(slope, stats.norm(0, 1.1).cdf).pvalue > 1e-4
    assert np.corrcoef(effect, slope)[0, 1] == pytest.approx(-0.8, abs=4.5 * 0.36 / np.sqrt(size))
    heavy = sw.ModelSpec(terms=("ecog",), sites=sw.RandomSites(distribution="student-t")).resolve(cohort)
    effect = new_sites(heavy, {"site_sd": np.array([0.4])}, size, rng)["site_effect"][0]
    assert stats.kstest(effect, stats.t(4, scale=0.4 / np.sqrt(2)).cdf).pvalue > 1e-4
