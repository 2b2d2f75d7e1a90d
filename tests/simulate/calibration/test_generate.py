"""Simulated cohorts against closed forms: margins, orthant probabilities, survival of each family, sites, follow-up.

Tolerances are 4.5 standard errors of the Monte Carlo mean: one false alarm in 150,000 comparisons.
"""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.simulate.calibration import Assumptions
from sitewise.simulate.calibration.characteristics import means_of
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.generate import Randomness
from sitewise.simulate.calibration.pool import draw_pool

PAPERS = Path(__file__).resolve().parents[2] / "evidence" / "papers"
ERRORS = 4.5
LATE = 20.0
"""Log of an end of follow-up that nobody reaches."""
ECOG = {"name": "ecog", "levels": {"0": 30, "1": 40, "2": 10}, "favourable": ["0"]}
STAGE = {"name": "stage", "levels": {"I": 50, "II": 30}, "favourable": ["I"]}
AGE = {"name": "age", "median": 62, "range": [40, 85]}


def scaled(patients, *tables):
    """The same tables of more patients."""
    shares = [{name: round(count * patients / 80) for name, count in table["levels"].items()} for table in tables]
    return [table | {"levels": levels} for table, levels in zip(tables, shares, strict=True)]


def cohorts_of(problem, theta, count, *, seed=1):
    random = problem.randomness(seed, count, stage=30)
    return problem.generator(theta, random)


def binomial(share, size):
    return ERRORS * np.sqrt(share * (1 - share) / size)


@pytest.fixture(scope="module")
def adjusted(make):
    """Two factors and a numeric characteristic that may all depend on each other."""

    def problem(patients=80, assumptions=None, sites=1, **tables):
        rows = [make.term("ecog", ["1", "2"], ["0"], digits=3), make.term("stage", ["II"], ["I"], digits=3)]
        rows.append(make.term("age", ratio=1.01, error=0.01, digits=3))
        paper = make.evidence(
            patients=patients,
            sites=sites,
            categorical=scaled(patients, ECOG, STAGE),
            continuous=[AGE],
            model=[{"adjusted": True, "term": rows}],
            survival=[{"median": 14}],
            **tables,
        )
        return make.problem(paper, assumptions)

    return problem


@pytest.fixture(scope="module")
def plain(make):
    """Survival alone, of many patients."""

    def problem(assumptions=None, *, patients=4000, sites=1, **tables):
        paper = make.evidence(patients=patients, sites=sites, survival=[{"median": 14}], **tables)
        return make.problem(paper, assumptions)

    return problem


# Characteristics ---------------------------------------------------------------------------------------


def test_every_cohort_has_the_printed_counts(adjusted):
    problem = adjusted()
    rng = np.random.default_rng(1)
    theta = problem.parameters.mean + problem.parameters.sd * rng.standard_normal((200, len(problem.parameters)))
    cohorts = cohorts_of(problem, theta, 200)
    for factor in problem.structure.factors:
        found = np.apply_along_axis(np.bincount, 1, cohorts.factors[factor.name], minlength=len(factor.levels))
        assert (found == factor.counts).all()
    values = cohorts.measures["age"]
    np.testing.assert_allclose(np.median(values, axis=1), 62, atol=0.35)  # between the two in the middle of 80
    assert values.min() >= 40
    assert values.max() <= 85


def test_sampled_counts_are_multinomial(adjusted):
    problem = adjusted(assumptions=Assumptions(margins="sampled"))
    cohorts = cohorts_of(problem, problem.parameters.mean, 500)
    for factor in problem.structure.factors:
        for place, count in enumerate(factor.counts):
            found = (cohorts.factors[factor.name] == place).sum(axis=1)
            share = count / 80
            assert found.mean() / 80 == pytest.approx(share, abs=binomial(share, 500 * 80))
            # The variance of a sample variance of a binomial count is about 2 / 500 of its square.
            assert found.var() == pytest.approx(80 * share * (1 - share), rel=ERRORS * np.sqrt(2 / 500))
    below = (cohorts.measures["age"] < 62).mean()
    assert below == pytest.approx(0.5, abs=binomial(0.5, 500 * 80))


@pytest.mark.parametrize("margins", ["sampled", "exact"])
@pytest.mark.parametrize("rho", [0.6, -0.4])
def test_two_factors_depend_as_two_normal_variables(adjusted, make, margins, rho):
    """P(ecog 0 and stage I) is scipy's bivariate normal probability of the two thresholds."""
    problem = adjusted(patients=2000, assumptions=Assumptions(margins=margins))
    theta = make.row(problem, atanh_correlation_ecog=np.arctanh(rho))
    cohorts = cohorts_of(problem, theta, 60)
    both = (cohorts.factors["ecog"] == 0) & (cohorts.factors["stage"] == 0)
    thresholds = stats.norm.ppf([30 / 80, 50 / 80])
    expected = stats.multivariate_normal.cdf(thresholds, mean=[0, 0], cov=[[1, rho], [rho, 1]])
    assert both.mean() == pytest.approx(expected, abs=binomial(expected, 60 * 2000))


def test_a_numeric_characteristic_and_a_factor_depend_as_normal_variables(adjusted):
    """Share of stage II above the median age: an orthant probability with one threshold at 0."""
    problem = adjusted(patients=2000)
    theta = problem.parameters.mean.copy()
    theta[problem.parameters.names.index("atanh_correlation age, stage")] = np.arctanh(0.5)
    cohorts = cohorts_of(problem, theta, 60)
    late_and_old = ((cohorts.factors["stage"] == 1) & (cohorts.measures["age"] > 62)).mean()
    threshold = stats.norm.ppf(50 / 80)
    young = stats.multivariate_normal.cdf([0, threshold], mean=[0, 0], cov=[[1, 0.5], [0.5, 1]])
    expected = 0.5 - (50 / 80 - young)  # P(II, old) = P(old) - P(I, old)
    assert late_and_old == pytest.approx(expected, abs=binomial(expected, 60 * 2000))


def test_characteristics_without_a_printed_relation_are_independent(adjusted):
    problem = adjusted(patients=2000, assumptions=Assumptions(dependence=False))
    assert problem.structure.pairs == ()
    cohorts = cohorts_of(problem, problem.parameters.mean, 60)
    both = ((cohorts.factors["ecog"] == 0) & (cohorts.factors["stage"] == 0)).mean()
    assert both == pytest.approx(30 / 80 * 50 / 80, abs=binomial(0.25, 60 * 2000))


@pytest.mark.parametrize("ends", [(0.1, 17.4, 1.9), (40, 83, 62), (0, 1, 0.9)])
def test_truncated_normals_have_the_printed_median(make, ends):
    """Against scipy's truncated normal: the mean before truncation gives the median after it, skew or not."""
    lower, upper, median = ends
    paper = make.evidence(
        continuous=[{"name": "x", "median": median, "range": [lower, upper]}],
        model=[{"term": [make.term("x", ratio=1.01, error=0.01, digits=3)]}],
        survival=[{"median": 14}],
    )
    (measure,) = make.problem(paper).structure.measures
    for sd in (upper - lower) * np.array([0.1, 0.25, 0.6]):
        mean = means_of(measure, np.array([sd]))[0]
        cut = stats.truncnorm((lower - mean) / sd, (upper - mean) / sd, loc=mean, scale=sd)
        assert cut.cdf(median) == pytest.approx(0.5, abs=1e-6)


def test_melanoma_thickness_is_as_skew_as_printed(make):
    """Mean 2.9, sd 3.0, median 1.9, quartiles 1.0 and 3.6, range 0.1 to 17.4: far from normal, in every cohort."""
    problem = make.problem(sw.load_evidence(PAPERS / "melanoma-odense.toml"))
    values = cohorts_of(problem, problem.parameters.mean, 40).measures["thickness"]
    np.testing.assert_allclose(
        np.quantile(values, [0, 0.25, 0.5, 0.75, 1], axis=1).T, [[0.1, 1.0, 1.9, 3.6, 17.4]] * 40, atol=0.05
    )
    # The curve between quartiles and ends is the simplest one: mean and sd are near, not equal.
    np.testing.assert_allclose(values.mean(axis=1), 2.9, atol=0.25)
    np.testing.assert_allclose(values.std(axis=1), 3.0, atol=0.5)


def test_a_skew_characteristic_without_quartiles_keeps_median_and_range(make):
    """A printed sd beside a range is that of the truncated sample, as far as a normal distribution can have it."""
    paper = make.evidence(
        patients=400,
        sites=1,
        continuous=[{"name": "x", "median": 62, "sd": 10, "range": [40, 84]}, {"name": "y", "median": 3, "range": [0.1, 20]}],
        model=[{"term": [make.term(name, ratio=1.01, error=0.01, digits=3)]} for name in ("x", "y")],
        survival=[{"median": 14}],
    )
    problem = make.problem(paper)
    cohorts = cohorts_of(problem, problem.parameters.mean, 20)
    x, y = cohorts.measures["x"], cohorts.measures["y"]
    np.testing.assert_allclose(x.std(axis=1), 10, rtol=0.05)
    for values, lower, median, upper in ((x, 40, 62, 84), (y, 0.1, 3, 20)):
        np.testing.assert_allclose(np.median(values, axis=1), median, rtol=0.01)
        assert values.min() >= lower
        assert values.max() <= upper


# Times -------------------------------------------------------------------------------------------------

MEDIAN, SHAPE, CURED, TAU = 11.0, 1.4, 0.2, 2.0


def baseline(family, time):
    """Closed forms of S(t) of a reference patient with median MEDIAN (of all of them, cured ones included)."""
    if family == "exponential":
        return 0.5 ** (time / MEDIAN)
    if family == "weibull":
        return 0.5 ** ((time / MEDIAN) ** SHAPE)
    if family == "log-normal":
        return stats.lognorm.sf(time, s=1 / SHAPE, scale=MEDIAN)
    if family == "log-logistic":
        return stats.fisk.sf(time, c=SHAPE, scale=MEDIAN)
    # A Weibull among those not cured, scaled so that half of all have died by MEDIAN.
    scale = MEDIAN / (-np.log((0.5 - CURED) / (1 - CURED))) ** (1 / SHAPE)
    return CURED + (1 - CURED) * stats.weibull_min.sf(time, c=SHAPE, scale=scale)


def parameters(problem, make, family, **more):
    """A row with the median, shape and cured share above, and nobody lost to follow-up."""
    shape = {"exponential": {}, "mixture-cure": {"log_shape": np.log(SHAPE), "logit_cured": np.log(CURED / (0.5 - CURED))}}
    own = shape.get(family, {"log_shape": np.log(SHAPE)})
    return make.row(problem, log_censoring_scale=LATE, **own, **more)


FAMILIES = ["weibull", "exponential", "log-normal", "log-logistic", "mixture-cure"]


@pytest.mark.parametrize("family", FAMILIES)
def test_survival_of_the_reference_patient_is_the_familys(plain, make, family):
    problem = plain(Assumptions(family=family, guarantee_time=TAU))
    cohorts = cohorts_of(problem, parameters(problem, make, family, log_median=np.log(MEDIAN)), 10)
    assert cohorts.time.min() > TAU
    for time in (2.0, 6.0, 11.0, 40.0):
        expected = baseline(family, time)
        assert (cohorts.time > TAU + time).mean() == pytest.approx(expected, abs=binomial(expected, 40_000))
    assert cohorts.event.all() == (family != "mixture-cure")
    if family == "mixture-cure":
        assert (~cohorts.event).mean() == pytest.approx(CURED, abs=binomial(CURED, 40_000))


@pytest.mark.parametrize("family", FAMILIES)
def test_characteristics_multiply_the_hazard_of_every_family(make, family):
    """S(t | x) = S0(t) ** exp(x'beta), whatever the family; the reference is stage I at the median age."""
    paper = make.evidence(
        patients=4000,
        sites=1,
        categorical=[{"name": "stage", "levels": {"I": 2500, "II": 1500}}],
        continuous=[{"name": "age", "median": 62, "sd": 8}],
        model=[{"term": [make.term("stage", ["II"], ["I"])]}, {"term": [make.term("age", ratio=1.02, error=0.01)]}],
        survival=[{"median": 14}],
    )
    problem = make.problem(paper, Assumptions(family=family, guarantee_time=0.0))
    beta, gamma = 0.7, 0.03
    theta = parameters(problem, make, family, log_hazard_ratio_stage=beta, log_hazard_ratio_age=gamma)
    # The parameter is the median at the mean log hazard ratio, on the scale of a Weibull: at 1500 of 4000 of stage II.
    shape = 1.0 if family == "exponential" else SHAPE
    theta[0] = np.log(MEDIAN) - 1500 / 4000 * beta / shape
    cohorts = cohorts_of(problem, theta, 15)
    late, age = cohorts.factors["stage"] == 1, cohorts.measures["age"]
    for time in (4.0, 11.0, 25.0):
        expected = baseline(family, time) ** np.exp(beta * late + gamma * (age - 62))
        for group in (late, ~late, age > 70):
            found, mean = (cohorts.time[group] > time).mean(), expected[group].mean()
            assert found == pytest.approx(mean, abs=binomial(mean, group.sum()))


def test_the_end_of_follow_up_is_weibull_after_the_guarantee_time(plain, make):
    problem = plain(Assumptions(guarantee_time=TAU))
    theta = make.row(problem, log_median=LATE, log_censoring_scale=np.log(30.0), log_censoring_shape=np.log(1.5))
    cohorts = cohorts_of(problem, theta, 10)
    assert not cohorts.event.any()
    assert cohorts.time.min() > TAU
    for time in (5.0, 30.0, 60.0):
        expected = stats.weibull_min.sf(time, c=1.5, scale=30.0)
        assert (cohorts.time > TAU + time).mean() == pytest.approx(expected, abs=binomial(expected, 40_000))


def test_the_share_of_deaths_is_that_of_two_competing_exponentials(plain, make):
    """P(T <= C) = rate / (sum of rates), and min(T, C) is exponential with the sum."""
    problem = plain(Assumptions(family="exponential"))
    theta = make.row(problem, log_median=np.log(10.0), log_censoring_scale=np.log(20.0), log_censoring_shape=0.0)
    cohorts = cohorts_of(problem, theta, 10)
    rates = np.log(2) / 10, 1 / 20
    share = rates[0] / sum(rates)
    assert cohorts.event.mean() == pytest.approx(share, abs=binomial(share, 40_000))
    assert cohorts.time.mean() == pytest.approx(1 / sum(rates), rel=ERRORS / np.sqrt(40_000))


def test_an_estimated_guarantee_time_is_below_what_the_paper_allows(plain, make):
    follow = {"median": 13, "range": [2, 92], "definition": "observed"}
    problem = plain(follow_up=[follow], patients=200)
    for logit, least in ((0.0, 1.25), (6.0, 2.5 / (1 + np.exp(-6)))):
        cohorts = cohorts_of(problem, make.row(problem, logit_guarantee=logit), 20)
        assert least < cohorts.time.min() < least + 0.3


# Sites -------------------------------------------------------------------------------------------------


def site_means(problem, make, cohorts):
    """Mean log time of each site of each cohort, and patients a site, for an exponential without end of follow-up."""
    theta = make.row(problem, log_median=0.0, log_censoring_scale=LATE)
    found = cohorts_of(problem, theta, cohorts)
    logs = np.log(found.time)
    return np.stack(
        [np.where(found.site == site, logs, 0).sum(axis=1) / (found.site == site).sum(axis=1) for site in range(problem.sites)]
    )


@pytest.mark.parametrize("sd", [0.0, 0.6])
def test_sites_spread_by_the_stated_sd(plain, make, sd):
    """Log time is minus a Gumbel variable minus the site's effect: site means vary by sd^2 + pi^2 / (6 n)."""
    shares = (0.25,) * 4
    problem = plain(Assumptions(family="exponential", site_sd=sd, site_shares=shares), patients=400)
    means = site_means(problem, make, 300)
    expected = sd**2 + np.pi**2 / 6 / 100
    # The within-cohort variance of four is chi-squared with 3 degrees of freedom.
    assert means.var(axis=0, ddof=1).mean() == pytest.approx(expected, rel=ERRORS * np.sqrt(2 / (3 * 300)))


def test_an_unstated_spread_is_half_normal(plain, make):
    """Mean of sd^2 over cohorts is the squared scale."""
    assumptions = Assumptions(family="exponential", site_sd_scale=0.8, site_shares=(0.25,) * 4)
    problem = plain(assumptions, patients=400)
    random = problem.randomness(3, 20_000 // 4, stage=1)
    sds = problem.generator.site_sds(random)
    assert stats.kstest(sds, stats.halfnorm(scale=0.8).cdf).pvalue > 1e-4
    means = site_means(problem, make, 400)
    # Var of sd^2 Z^2 sums: 0.64 x (chi^2_1) x (chi^2_3 / 3), variance 0.64^2 (3 x 5/3 - 1) = 4 x 0.64^2.
    assert means.var(axis=0, ddof=1).mean() == pytest.approx(0.64 + np.pi**2 / 600, abs=ERRORS * 0.64 * np.sqrt(4 / 400))


def test_an_only_site_has_no_effect(plain, make):
    problem = plain(Assumptions(family="exponential"), patients=400)
    assert problem.sites == 1
    means = site_means(problem, make, 400)[0]
    assert means.var(ddof=1) == pytest.approx(np.pi**2 / 6 / 400, rel=ERRORS * np.sqrt(2 / 399))


def test_sizes_of_sites(plain, make):
    """Stated shares to the nearest patient; unstated ones are Dirichlet."""
    fixed = plain(Assumptions(site_shares=(0.5, 0.3, 0.2)), patients=101)
    cohorts = cohorts_of(fixed, fixed.parameters.mean, 5)
    assert np.apply_along_axis(np.bincount, 1, cohorts.site).tolist() == [[51, 30, 20]] * 5
    drawn = plain(Assumptions(site_concentration=5.0), patients=1000, sites=4)
    site = cohorts_of(drawn, drawn.parameters.mean, 2000).site
    shares = np.stack([(site == number).mean(axis=1) for number in range(4)])
    variance = 0.25 * 0.75 / (4 * 5 + 1)
    np.testing.assert_allclose(shares.mean(axis=1), 0.25, atol=ERRORS * np.sqrt(variance / 2000))
    np.testing.assert_allclose(shares.var(axis=1), variance, rtol=0.2)  # kurtosis of a beta variable included
    assert plain(Assumptions(sites=7), sites=2, patients=100).sites == 7


# Streams -----------------------------------------------------------------------------------------------


def test_cohorts_do_not_depend_on_each_other(adjusted):
    """One by one or all at once: the same random numbers give the same cohorts."""
    problem = adjusted(sites=3)
    random = problem.randomness(4, 6, stage=30)
    rng = np.random.default_rng(2)
    theta = problem.parameters.mean + 0.5 * problem.parameters.sd * rng.standard_normal((6, len(problem.parameters)))
    whole, statistics = problem.simulate(theta, random)
    for row in range(6):
        own = Randomness(**{item.name: getattr(random, item.name)[row : row + 1] for item in fields(Randomness)})
        single, found = problem.simulate(theta[row], own)
        np.testing.assert_array_equal(single.time[0], whole.time[row])
        np.testing.assert_array_equal(single.site[0], whole.site[row])
        np.testing.assert_allclose(found[0], statistics[row], rtol=1e-12)


def test_pools_do_not_depend_on_workers_and_chunks_differ(adjusted):
    problem = adjusted(sites=3)
    derived = Derived(problem.statistics)
    centre, covariance = problem.parameters.mean, np.diag(problem.parameters.sd**2)
    pools = [draw_pool(problem, derived, centre, covariance, seed=3, size=620, workers=workers) for workers in (1, 2)]
    for name in ("theta", "statistics", "derived"):
        one, other = (getattr(pool, name) for pool in pools)
        np.testing.assert_array_equal(one, other)
        assert len(np.unique(one, axis=0)) > 600 or name == "derived"
    longer = draw_pool(problem, derived, centre, covariance, seed=3, size=750, workers=2)
    np.testing.assert_array_equal(longer.theta[:500], pools[0].theta[:500])


def test_seeds_and_stages_have_random_numbers_of_their_own(adjusted):
    problem = adjusted()
    draws = [
        problem.randomness(seed, 2, stage=stage, first=first).event
        for seed, stage, first in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1))
    ]
    for number, one in enumerate(draws):
        for other in draws[:number]:
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < ERRORS / np.sqrt(one.size)


def test_replacing_cohorts_of_a_set(adjusted):
    problem = adjusted()
    one, other = (cohorts_of(problem, problem.parameters.mean, 4, seed=seed) for seed in (1, 2))
    kept = replace(one, time=one.time.copy())
    one.replace(np.array([0, 3]), other, np.array([1, 2]))
    for own, source, row in ((0, other, 1), (3, other, 2), (1, kept, 1)):
        np.testing.assert_array_equal(one.time[own], source.time[row])
    for own, row in ((0, 1), (3, 2)):
        np.testing.assert_array_equal(one.factors["ecog"][own], other.factors["ecog"][row])
        np.testing.assert_array_equal(one.measures["age"][own], other.measures["age"][row])
        np.testing.assert_array_equal(one.site[own], other.site[row])
        np.testing.assert_array_equal(one.event[own], other.event[row])
