"""Specs of correlated and Student-t sites: how they are written, what is refused, their prior, and the study file."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.cli.study import Study
from sitewise.inference.packing import kernel_reads
from sitewise.inference.prior import sample_prior

CORRELATED = sw.RandomSites(slopes=("ecog", "age"), correlated=True)
STUDENT_T = sw.RandomSites(distribution="student-t")
DRAWS = 800


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(40, seed=4), covariates=["ecog", "age"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distribution": "student"}, r"^The distribution of sites is 'student'. Did you mean 'student-t'\?"),
        ({"distribution": "student-t", "degrees_of_freedom": 2.0}, r"^degrees_of_freedom is 2.0; it must be above 2, so that"),
        ({"degrees_of_freedom": 5}, r"^degrees_of_freedom is 5, and normal sites have none. Use distribution='student-t'"),
        ({"distribution": "student-t", "slopes": ("age",)}, r"^Student-t sites have no random slopes \('age'\) here. Use "),
    ],
)
def test_sites_that_are_none(options, message):
    with pytest.raises(sw.SpecError, match=message):
        sw.RandomSites(**options)


def test_correlated_sites_need_slopes():
    with pytest.raises(sw.SpecError, match=r"^Correlated site effects need random slopes: write \(1 \+ term \| site\)"):
        sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (1 | hospital)", sites=sw.RandomSites(correlated=True))


def test_a_formula_gives_the_slopes_of_correlated_sites():
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ age + (1 + age | hospital)", sites=sw.RandomSites(correlated=True))
    assert spec.sites == sw.RandomSites(slopes=("age",), correlated=True)


@pytest.mark.parametrize(
    ("sites", "priors", "message"),
    [
        (sw.RandomSites(), {"site_correlation": sw.Prior("LKJCorr", eta=2)}, "prior 'site_correlation': the model has no corr"),
        (CORRELATED, {"site_correlation": sw.Prior("Normal", mu=0, sigma=1)}, "is Normal.*Use LKJCorr with a positive eta"),
        (CORRELATED, {"site_correlation": sw.Prior("LKJCorr", eta=-1)}, "is LKJCorr.eta=-1.*Use LKJCorr with a positive eta"),
        (STUDENT_T, {"site_degrees_of_freedom": sw.Prior("Gamma", alpha=2, beta=1)}, "no degrees of freedom to estimate"),
    ],
)
def test_priors_that_do_not_fit(sites, priors, message, cohort):
    terms = ("ecog", "age")
    with pytest.raises(sw.SpecError, match=message):
        sw.ModelSpec(terms=terms, sites=sites, priors=sw.Priors(**priors)).resolve(cohort)


def test_a_prior_of_degrees_of_freedom_is_positive(cohort):
    sites = replace(STUDENT_T, degrees_of_freedom=None)
    priors = sw.Priors(site_degrees_of_freedom=sw.Prior("Normal", mu=0, sigma=1))
    with pytest.raises(sw.SpecError, match=r"prior 'site_degrees_of_freedom'.*reaches below zero"):
        sw.ModelSpec(terms=("ecog",), sites=sites, priors=priors).to_pymc(cohort)


@pytest.mark.parametrize("sites", [CORRELATED, STUDENT_T, replace(STUDENT_T, degrees_of_freedom=None)], ids=str)
def test_specs_are_stored_whole(sites, cohort):
    spec = sw.ModelSpec(terms=("ecog", "age"), sites=sites)
    for each in (spec, spec.resolve(cohort)):
        assert sw.ModelSpec.from_dict(each.to_dict()) == each


@pytest.mark.parametrize(("sites", "what"), [(CORRELATED, "correlated"), (STUDENT_T, "Student-t")], ids=["correlated", "t"])
def test_the_fast_engine_and_the_kernel_refuse(sites, what, cohort):
    spec = sw.ModelSpec(terms=("ecog", "age"), sites=sites).resolve(cohort)
    assert not kernel_reads(spec)
    for call in (
        lambda: sw.fit(spec, cohort, engine=sw.NestedLaplace()),
        lambda: sw.leave_one_site_out(spec, cohort),
        lambda: sw.replicate(spec, [cohort]),
    ):
        with pytest.raises(sw.SpecError, match=rf"^NestedLaplace fits independent normal site effects, not .*{what}.*Nuts\(\)"):
            call()


def distributed(values, law):
    return stats.kstest(np.ravel(values), law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("centred", [False, True], ids=["standardised", "centred"])
def test_prior_of_correlated_sites(centred, cohort):
    """Marginal correlations of LKJ(2) on 3 x 3 matrices are 2 y - 1, y ~ Beta(2.5, 2.5), and those of effects follow them."""
    spec = sw.ModelSpec(terms=("ecog", "age"), sites=replace(CORRELATED, centred=centred)).resolve(cohort)
    drawn = sample_prior(spec, cohort, draws=DRAWS, seed=5)["prior"]
    matrix = drawn["site_correlation"]
    assert matrix.dims == ("chain", "draw", "site_term", "other_site_term")
    assert list(matrix["site_term"].to_numpy()) == ["intercept", "ecog[>=1]", "age"]
    values = matrix.to_numpy()[0]
    np.testing.assert_allclose(values, np.swapaxes(values, 1, 2), atol=1e-12)
    np.testing.assert_allclose(np.diagonal(values, axis1=1, axis2=2), 1.0, atol=1e-12)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert distributed(values[:, one, other], stats.beta(2.5, 2.5, loc=-1, scale=2))
    sds = np.concatenate([drawn["site_sd"].to_numpy()[0][:, None], drawn["site_slope_sd"].to_numpy()[0]], axis=1)
    effects = np.concatenate([drawn["site_effect"].to_numpy()[0][..., None], drawn["site_slope"].to_numpy()[0]], axis=2)
    standard = effects / sds[:, None]
    whitened = np.linalg.solve(np.linalg.cholesky(values)[:, None], standard[..., None])[..., 0]
    for place in range(3):
        assert distributed(standard[..., place], stats.norm())
        assert distributed(whitened[..., place], stats.norm())
    # Whitened effects are uncorrelated: three products of 3,200 pairs.
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs((whitened[..., one] * whitened[..., other]).mean()) < 4.5 / np.sqrt(whitened[..., 0].size)


@pytest.mark.parametrize("centred", [False, True], ids=["standardised", "centred"])
@pytest.mark.parametrize("freedom", [4.0, None], ids=["fixed", "estimated"])
def test_prior_of_student_t_sites(centred, freedom, cohort):
    """The effects over their sd are Student's t with sd one: probabilities of both are uniform."""
    sites = replace(STUDENT_T, centred=centred, degrees_of_freedom=freedom)
    spec = sw.ModelSpec(terms=("ecog",), sites=sites).resolve(cohort)
    drawn = sample_prior(spec, cohort, draws=DRAWS, seed=6)["prior"]
    nu = np.full(DRAWS, freedom) if freedom else drawn["site_degrees_of_freedom"].to_numpy()[0]
    if freedom is None:
        assert distributed(nu - 2, stats.gamma(2, scale=10))
    standard = drawn["site_effect"].to_numpy()[0] / drawn["site_sd"].to_numpy()[0][:, None]
    below = stats.t(nu[:, None], scale=np.sqrt((nu - 2) / nu)[:, None]).cdf(standard)
    assert distributed(below, stats.uniform())
    assert distributed(drawn["site_sd"], stats.halfnorm(scale=0.5))


# The study file -----------------------------------------------------------------------------------------------


def study(priors=None, **model):
    formula = (
        "Surv(months, died) ~ age + (1 + age | hospital)"
        if "correlated_slopes" in model
        else "Surv(months, died) ~ (1 | hospital)"
    )
    return Study.from_dict({"model": {"formula": formula, **model}, "priors": priors or {}})


def test_study_keys():
    assert study(correlated_slopes=True).spec().sites == sw.RandomSites(slopes=("age",), correlated=True)
    heavy = study(site_distribution="student-t", degrees_of_freedom=5, sites="random-centred").spec().sites
    assert heavy == sw.RandomSites(distribution="student-t", degrees_of_freedom=5, centred=True)
    assert study(site_distribution="student-t", degrees_of_freedom="prior").spec().sites.degrees_of_freedom is None
    own = {"site_correlation": {"dist": "LKJCorr", "eta": 4}}
    assert study(own, correlated_slopes=True).spec().priors.site_correlation == sw.Prior("LKJCorr", eta=4)


def test_study_keys_that_are_refused():
    with pytest.raises(sw.StudyError, match=r"\[model\]: 'site_distribution' is about random sites, and sites is 'fixed'"):
        study(site_distribution="student-t", sites="fixed").spec()
    with pytest.raises(sw.StudyError, match=r"\[model\] degrees_of_freedom: must be a number above 2, or 'prior'; it is 1"):
        study(site_distribution="student-t", degrees_of_freedom=1)
    with pytest.raises(sw.StudyError, match=r"\[model\] site_distribution: is 'cauchy'"):
        study(site_distribution="cauchy")


def test_a_median_ratio_as_prior_of_student_t_sites():
    """The ratio between two sites exceeds 2.5 with probability 0.05, by simulated sites of the prior that is made."""
    wanted = {"site_sd": {"median_hazard_ratio_above": 2.5, "prob": 0.05}}
    prior = study(wanted, site_distribution="student-t").spec().priors.site_sd
    rng = np.random.default_rng(1)
    pairs = rng.standard_t(4, (2, 400_000)) / np.sqrt(2)  # sd one
    median = np.median(np.abs(pairs[0] - pairs[1]))
    above = 2 * stats.norm.sf(np.log(2.5) / median / prior.values["sigma"])
    # The median of 400,000 distances has a relative standard error of 0.17 %, which moves a tail probability of .05 by 0.7 %.
    assert above == pytest.approx(0.05, rel=0.03)
    assert study(wanted).spec().priors.site_sd.values["sigma"] < 0.9 * prior.values["sigma"]
    with pytest.raises(sw.SpecError, match=r"Where degrees of freedom have a prior, give the sd one itself"):
        study(wanted, site_distribution="student-t", degrees_of_freedom="prior").spec()
