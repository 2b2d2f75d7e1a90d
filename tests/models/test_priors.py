"""Priors as data: every form of study.toml, what each implies (by scipy), and what is refused."""

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.models.priors import LOG_RATIO_BETWEEN_SITES

NORMAL = sw.Prior("Normal", mu=0, sigma=1)


def read_priors(data, metric="hazard-ratio", **options):
    return sw.Priors.from_dict(data, metric=metric, **options)


def test_a_prior_is_data():
    prior = sw.Prior("StudentT", sigma=2, nu=4, mu=0)
    assert prior == sw.Prior("StudentT", mu=0.0, nu=4.0, sigma=2.0)
    assert prior.to_dict() == {"dist": "StudentT", "mu": 0.0, "nu": 4.0, "sigma": 2.0}
    assert sw.Prior.from_dict(prior.to_dict()) == prior
    assert str(prior) == "StudentT(mu=0, nu=4, sigma=2)"
    assert prior.shifted(1.5) == sw.Prior("StudentT", mu=1.5, nu=4, sigma=2)


def test_every_form_of_the_study_file():
    read = read_priors(
        {
            "shape": {"dist": "LogNormal", "mu": 0.0, "sigma": 0.25},
            "coefficients": {"dist": "Normal", "mu": 0.0, "sigma": 2.0},
            "age": {"dist": "Normal", "mu": 0.01, "sigma": 0.02},
            "ecog[>=1]": {"dist": "StudentT", "nu": 3, "mu": 0.5, "sigma": 0.5},
            "site_sd": {"dist": "HalfNormal", "sigma": 0.3},
            "log_scale_at_means": {"dist": "Normal", "mu": 2.5, "sigma": 1.0},
            "site_effects": {"dist": "ZeroSumNormal", "sigma": 0.7},
        }
    )
    assert read.shape == sw.Prior("LogNormal", mu=0, sigma=0.25)
    assert read.coefficients == sw.Prior("Normal", mu=0, sigma=2)
    assert set(read.terms) == {"age", "ecog[>=1]"}
    assert read.site_sd == sw.Prior("HalfNormal", sigma=0.3)
    assert read.log_scale_at_means == sw.Prior("Normal", mu=2.5, sigma=1)
    assert read.site_effects == sw.Prior("ZeroSumNormal", sigma=0.7)
    assert read.log_median is None
    assert read_priors({"log_scale": {"dist": "Normal", "mu": 1, "sigma": 1}}).log_scale == sw.Prior("Normal", mu=1, sigma=1)


@pytest.mark.parametrize("guarantee", [0.0, 1.95])
def test_median_survival_by_its_median_and_its_upper_point(guarantee):
    """The implied median survival g + exp(prior) has the stated 50 % and 97.5 % points."""
    prior = read_priors({"median_survival": {"median": 12, "quantile_975": 60}}, guarantee_time=guarantee).log_median
    law = stats.norm(prior.values["mu"], prior.values["sigma"])
    assert guarantee + np.exp(law.ppf(0.5)) == pytest.approx(12, rel=1e-12)
    assert guarantee + np.exp(law.ppf(0.975)) == pytest.approx(60, rel=1e-12)


def test_the_median_ratio_between_two_sites():
    """P(|b1 - b2| > 0.954 sd) = 1/2 for two independent normal site effects of that sd."""
    assert pytest.approx(0.954, abs=5e-4) == LOG_RATIO_BETWEEN_SITES
    assert 2 * stats.norm(0, np.sqrt(2)).sf(LOG_RATIO_BETWEEN_SITES) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize(
    ("dist", "law"),
    [
        ("HalfNormal", lambda values: stats.halfnorm(scale=values["sigma"])),
        ("Exponential", lambda values: stats.expon(scale=1 / values["lam"])),
        ("HalfCauchy", lambda values: stats.halfcauchy(scale=values["beta"])),
    ],
)
@pytest.mark.parametrize(
    ("metric", "key"), [("hazard-ratio", "median_hazard_ratio_above"), ("time-ratio", "median_time_ratio_above")]
)
@pytest.mark.parametrize("prob", [0.05, 0.3])
def test_site_spread_by_a_tail_of_the_median_ratio(dist, law, metric, key, prob):
    prior = read_priors({"site_sd": {key: 2.5, "prob": prob, "dist": dist}}, metric=metric).site_sd
    assert prior.dist == dist
    spread = np.log(2.5) / (np.sqrt(2) * stats.norm.ppf(0.75))
    assert law(prior.values).sf(spread) == pytest.approx(prob, rel=1e-9)


def test_site_spread_takes_a_half_normal_by_default_and_the_contract_s_example_is_its_default():
    """MHR 2.5 at the 95 % point of HalfNormal(0.5), and 1.4 at its median: the numbers that the default is explained by."""
    prior = read_priors({"site_sd": {"median_hazard_ratio_above": 2.5, "prob": 0.05}}).site_sd
    assert prior.dist == "HalfNormal"
    assert prior.values["sigma"] == pytest.approx(0.49, abs=0.005)
    default = stats.halfnorm(scale=0.5)
    assert np.exp(LOG_RATIO_BETWEEN_SITES * default.ppf(0.5)) == pytest.approx(1.4, abs=0.05)
    assert np.exp(LOG_RATIO_BETWEEN_SITES * default.ppf(0.95)) == pytest.approx(2.5, abs=0.05)


TABLE = '{ dist = "Normal", mu = 0, sigma = 1 }'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"shape": 3}, f"priors.shape must be a table such as {TABLE}."),
        ({"age": "Normal"}, f"priors.age must be a table such as {TABLE}."),
        ({"shape": {"mu": 0}}, "priors.shape: name a PyMC distribution as dist = \"...\"; got {'mu': 0}."),
        (
            {"shape": {"dist": "LogNormal", "mu": "a"}},
            "Parameters of the prior LogNormal must be numbers: {'mu': 'a'}.",
        ),
        ({"median_survival": {"median": 12}}, "priors.median_survival takes median and quantile_975; got median."),
        (
            {"median_survival": {"median": 12, "quantile_975": 6}},
            "median_survival needs guarantee_time < median < quantile_975; got 0, 12, 6.",
        ),
        (
            {"site_sd": {"median_time_ratio_above": 2, "prob": 0.1}},
            "priors.site_sd: with metric 'hazard-ratio' the site spread is set by median_hazard_ratio_above, "
            "not median_time_ratio_above.",
        ),
        (
            {"site_sd": {"median_hazard_ratio_above": 2}},
            "priors.site_sd takes median_hazard_ratio_above, prob and dist; got median_hazard_ratio_above.",
        ),
        (
            {"site_sd": {"median_hazard_ratio_above": 2, "prob": 0.1, "sigma": 1}},
            "priors.site_sd takes median_hazard_ratio_above, prob and dist; got median_hazard_ratio_above, prob, sigma.",
        ),
        (
            {"site_sd": {"median_hazard_ratio_above": 0.5, "prob": 0.1}},
            "A median ratio must be above 1 and its prob inside (0, 1); got 0.5, 0.1.",
        ),
        (
            {"site_sd": {"median_hazard_ratio_above": 2, "prob": 1.0}},
            "A median ratio must be above 1 and its prob inside (0, 1); got 2, 1.",
        ),
        (
            {"site_sd": {"median_hazard_ratio_above": 2, "prob": 0.1, "dist": "Gamma"}},
            "A median ratio sets HalfNormal, Exponential or HalfCauchy priors, not Gamma.",
        ),
        (
            {"median_survival": {"median": 12, "quantile_975": 60}, "log_scale": {"dist": "Normal", "mu": 0, "sigma": 1}},
            "Give one prior of the baseline, not log_median and log_scale.",
        ),
    ],
)
def test_what_is_refused(data, message):
    with pytest.raises(sw.SpecError) as caught:
        read_priors(data)
    assert str(caught.value) == message


def test_a_median_prior_beyond_the_guarantee_time_only():
    with pytest.raises(sw.SpecError, match="got 3, 2, 60"):
        sw.median_survival_prior(median=2, quantile_975=60, guarantee_time=3)


@pytest.mark.parametrize(
    "data",
    [
        {"median_survival": {"median": "a", "quantile_975": 60}},
        {"site_sd": {"median_hazard_ratio_above": "x", "prob": 0.1}},
        {"shape": {"dist": 3, "mu": 0, "sigma": 1}},
    ],
)
def test_values_of_the_wrong_type_are_refused_as_such(data):
    with pytest.raises(sw.SpecError):
        read_priors(data)


def test_baseline_priors_need_a_location(make_frame, read):
    cohort = read(make_frame(30))
    spec = sw.ModelSpec(terms=("age",), priors=sw.Priors(log_scale=sw.Prior("Uniform", lower=0, upper=1)))
    with pytest.raises(sw.SpecError) as caught:
        spec.to_pymc(cohort)
    assert str(caught.value) == (
        "The prior Uniform(lower=0, upper=1) of a baseline must be located by mu (Normal, StudentT, Laplace, ...), so that it "
        "can be moved between the reference patient and the covariate means."
    )


@pytest.mark.parametrize("where", ["shape", "coefficients", "site_sd", "log_median"])
def test_an_unknown_distribution_is_named(where, make_frame, read):
    cohort = read(make_frame(30))
    spec = sw.ModelSpec(terms=("age",), priors=sw.Priors(**{where: sw.Prior("Normaal", mu=0, sigma=1)}))
    with pytest.raises(sw.SpecError, match=r"PyMC has no distribution 'Normaal'\. Did you mean 'Normal'\?"):
        spec.to_pymc(cohort)


@pytest.mark.parametrize(
    "priors",
    [
        sw.Priors(coefficients=sw.Prior("Normal", mu=0, sd=0.1)),
        sw.Priors(terms={"age": sw.Prior("Normal", mu=0, sd=0.1)}),
        sw.Priors(shape=sw.Prior("LogNormal", mean=0, sigma=1)),
        sw.Priors(site_sd=sw.Prior("HalfNormal", scale=0.1)),
        sw.Priors(log_median=sw.Prior("Normal", mu=2, sd=0.1)),
    ],
    ids=lambda priors: next(name for name in vars(priors) if getattr(priors, name)),
)
def test_a_parameter_that_the_distribution_does_not_have_is_refused(priors, make_frame, read):
    """PyMC drops unknown keywords in silence: Normal(0, sd = 0.1) would be fitted with sigma 1."""
    with pytest.raises(sw.SpecError):
        sw.ModelSpec(terms=("ecog", "age"), priors=priors).to_pymc(read(make_frame(30)))


@pytest.mark.parametrize(
    "priors",
    [
        sw.Priors(shape=sw.Prior("Normal", mu=1, sigma=1)),
        sw.Priors(site_sd=sw.Prior("Normal", mu=0, sigma=1)),
        sw.Priors(coefficients=sw.Prior("Poisson", mu=1)),
        sw.Priors(coefficients=sw.Prior("Normal", mu=0, sigma=-1)),
        sw.Priors(site_sd=sw.Prior("HalfNormal", sigma=-0.5)),
    ],
    ids=["shape on the whole line", "spread on the whole line", "discrete", "negative sd", "negative scale"],
)
def test_a_prior_that_cannot_be_one_is_refused_before_sampling(priors, make_frame, read):
    with pytest.raises(sw.SpecError):
        sw.ModelSpec(terms=("ecog", "age"), priors=priors).to_pymc(read(make_frame(30)))


@pytest.mark.parametrize(
    "priors",
    [
        sw.Priors(shape=sw.Prior("Gamma", alpha=-1, beta=1)),
        sw.Priors(coefficients=sw.Prior("StudentT", nu=3, mu=0, sigma=0)),
        sw.Priors(log_median=sw.Prior("Normal", mu=2, sigma=0)),
    ],
    ids=["negative shape of a gamma", "no spread", "baseline without spread"],
)
def test_a_fit_with_an_impossible_prior_says_so(priors, make_frame, read):
    """The user sees which prior is wrong, not the sampler's own words."""
    spec = sw.ModelSpec(terms=("age",), sites=sw.NoSites(), priors=priors)
    with pytest.raises(sw.SpecError):
        sw.fit(spec, read(make_frame(30)), engine=sw.Nuts(draws=10, tune=10, chains=1, cores=1, retry=False))


def test_fixed_sites_take_a_prior_that_sums_to_zero(make_frame, read):
    priors = sw.Priors(site_effects=sw.Prior("Normal", mu=0, sigma=1))
    with pytest.raises(sw.SpecError):
        sw.ModelSpec(terms=("age",), sites=sw.FixedSites(), priors=priors).to_pymc(read(make_frame(30)))
