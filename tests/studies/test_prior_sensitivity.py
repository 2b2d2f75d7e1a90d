"""The grid of priors: the reference row is the plain fit, nothing else moves, and the evidence is that of the priors."""

from dataclasses import replace

import numpy as np
import pytest

import sitewise as sw
from sitewise.models.resolve import prepare
from sitewise.studies.prior_grid import prior_grid, with_priors
from sitewise.studies.prior_sensitivity import prior_sensitivity

FORMULA = "Surv(months, died) ~ ecog + age + (1 | hospital)"
FAST = sw.NestedLaplace(draws=2000)


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(60, seed=4), covariates=["ecog", "age"])


@pytest.fixture(scope="module")
def groups(cohort):
    return sw.RiskGroups.by_level("ecog", cohort)


@pytest.fixture(scope="module")
def fit(cohort):
    return sw.fit(sw.ModelSpec.from_formula(FORMULA), cohort, engine=sw.NestedLaplace(draws=8000))


@pytest.fixture(scope="module")
def found(fit, groups):
    return prior_sensitivity(fit, groups=groups, times=[6, 12], engine=FAST)


def test_the_reference_row_is_the_plain_fit(found, fit, groups):
    row = found.priors[found.priors["reference"]].iloc[0]
    assert row["prior"] == "HalfNormal(0.5)"
    own = found.estimates[found.estimates["prior"] == row["prior"]]
    survival = sw.summarise(sw.survival(fit, groups=groups, sites=sw.Observed(), times=[6, 12]))
    effects = sw.summarise(sw.log_hazard_ratios(fit))
    for name, table in (("survival", survival), ("log_hazard_ratio", effects)):
        made = own[own["estimand"] == name]
        mean, sd = table["mean"].to_numpy(), table["sd"].to_numpy()
        np.testing.assert_allclose(made["mean"], mean, atol=0.15 * sd.max())
        assert (np.abs(made["mean"] - mean) < 0.13 * sd).all()
        np.testing.assert_allclose(made["sd"], sd, rtol=0.12)
        assert (made["shift"] == 0).all()
        assert (made["shift_mcse"] == 0).all()
    assert own[own["estimand"] == "survival"]["horizon"].tolist() == [6, 12, 6, 12]
    assert row["site_sd_median"] == pytest.approx(float(fit.posterior["site_sd"].median()), rel=0.12)
    evidence = FAST.weighted(fit.spec, prepare(fit.spec, fit.cohort), seed=5).log_marginal_likelihood
    assert row["log_marginal_likelihood"] == pytest.approx(evidence, abs=0.06)
    assert (row["log_bayes_factor"], row["log_bayes_factor_mcse"]) == (0.0, 0.0)


def test_a_replicate_is_the_fit_with_that_prior(found, fit, groups):
    """Fitted by hand: the user's prior, the rest resolved by the same cohort."""
    wide = sw.ModelSpec.from_formula(FORMULA, priors=sw.Priors(site_sd=sw.Prior("HalfNormal", sigma=2)))
    own = sw.fit(wide, fit.cohort, engine=sw.NestedLaplace(draws=8000))
    row = found.priors.set_index("prior").loc["HalfNormal(2)"]
    assert row["site_sd_median"] == pytest.approx(float(own.posterior["site_sd"].median()), rel=0.1)
    again = found.replicates.fit(int(np.flatnonzero(found.priors["prior"] == "HalfNormal(2)")[0]))
    assert again.spec.resolved.site_sd == sw.Prior("HalfNormal", sigma=2)
    assert replace(again.spec.resolved, site_sd=None) == replace(own.spec.resolved, site_sd=None)


def test_what_the_priors_imply(found):
    table = found.priors.set_index("prior")
    sigmas = np.array([0.1, 0.25, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(table["site_sd_prior_median"], 0.67449 * sigmas, rtol=1e-3)
    np.testing.assert_allclose(table["site_sd_prior_95"], 1.95996 * sigmas, rtol=1e-3)
    np.testing.assert_allclose(table["median_ratio_prior_median"], np.exp(0.9539 * 0.67449 * sigmas), rtol=2e-3)
    np.testing.assert_allclose(table["median_ratio_prior_95"], np.exp(0.9539 * 1.95996 * sigmas), rtol=4e-3)
    assert table["site_sd_median"].is_monotonic_increasing
    assert (table["status"] == "ok").all()
    assert (table["log_marginal_likelihood_mcse"] < 0.05).all()
    assert found.sites == "observed"
    assert "largest shift" in repr(found)


def test_nothing_else_moves(fit):
    for point in prior_grid(fit.spec):
        assert replace(point.spec.resolved, site_sd=fit.spec.resolved.site_sd) == fit.spec.resolved
    wider = with_priors(fit.spec, coefficient_factor=3.0)
    assert [prior.values["sigma"] for prior in wider.resolved.coefficients] == pytest.approx(
        [3 * prior.values["sigma"] for prior in fit.spec.resolved.coefficients]
    )
    changed = replace(wider.resolved, coefficients=fit.spec.resolved.coefficients)
    assert changed == fit.spec.resolved
    # The user's side of the spec says the same: resolved anew on the cohort, it has these priors.
    assert wider.without_resolution().resolve(fit.cohort).resolved.coefficients == wider.resolved.coefficients


def test_any_priors_and_coefficients(fit, groups):
    priors = {"tight": sw.Prior("Exponential", lam=10), "heavy": sw.Prior("HalfCauchy", beta=0.5)}
    found = prior_sensitivity(fit, groups=groups, times=[12], site_sd=priors, coefficient_factors=(0.2,), engine=FAST)
    labels = ["as specified", "tight", "heavy"]
    assert list(found.priors["prior"]) == labels + [f"{label}, coefficients x 0.2" for label in labels]
    assert list(found.priors["reference"]) == [True] + [False] * 5
    effect = found.estimates[(found.estimates["estimand"] == "log_hazard_ratio") & (found.estimates["group"] == "ecog[>=1]")]
    sizes = effect.set_index("prior")["mean"].abs()
    assert sizes["as specified, coefficients x 0.2"] < sizes["as specified"]
    assert found.largest_shift > 0.3


def test_coefficients_only_where_there_are_no_sites(cohort):
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + age", sites=sw.NoSites())
    found = prior_sensitivity(spec, cohort, times=[12], coefficient_factors=(0.5, 2), engine=FAST)
    assert list(found.priors["prior"]) == ["as specified", "as specified, coefficients x 0.5", "as specified, coefficients x 2"]
    assert "site_sd_median" not in found.priors
    assert set(found.estimates["group"]) == {"all", "ecog = 0", "ecog = >=1", "ecog[>=1]", "age"}
    assert found.sites == "average"


def test_errors(fit, cohort, groups):
    plain = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog", sites=sw.NoSites())
    with pytest.raises(sw.SpecError, match="no random site effects"):
        prior_sensitivity(plain, cohort, times=[12], site_sd={"a": sw.Prior("HalfNormal", sigma=1)})
    with pytest.raises(sw.SpecError, match="holds the spec's own priors only"):
        prior_sensitivity(plain, cohort, times=[12])
    with pytest.raises(sw.SpecError, match="positive numbers"):
        prior_sensitivity(fit, times=[12], coefficient_factors=(0.0,))
    odd = sw.ModelSpec.from_formula(FORMULA, priors=sw.Priors(coefficients=sw.Prior("Uniform", lower=-1, upper=1)))
    with pytest.raises(sw.SpecError, match="scale of the prior"):
        with_priors(odd.resolve(cohort), coefficient_factor=2)
