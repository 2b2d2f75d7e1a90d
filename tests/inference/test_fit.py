"""What a fit holds, on the packaged cohort: groups, attributes, and ArviZ's functions on the tree."""

import json

import arviz_stats
import numpy as np
import pytest

import sitewise as sw
from sitewise.inference.densities import log_prior, pointwise_log_likelihood
from sitewise.models.resolve import prepare


def test_groups_dims_and_coordinates(lung_fit, lung):
    tree = lung_fit.tree
    assert set(tree.children) == {
        *("posterior", "sample_stats", "log_likelihood", "log_prior", "observed_data", "constant_data"),
    }
    posterior = tree["posterior"]
    assert dict(posterior.sizes) == {"chain": 4, "draw": 1000, "term": 3, "site": 18}
    assert list(posterior["term"].values) == ["ecog[>=1]", "age", "sex[2]"]
    assert list(posterior["site"].values) == list(lung.site_labels)
    assert posterior["site_effect"].dims == ("chain", "draw", "site")
    assert tree["log_likelihood"]["survival_time"].sizes["patient"] == len(lung)
    np.testing.assert_array_equal(tree["observed_data"]["time"], lung.time)
    np.testing.assert_array_equal(tree["observed_data"]["event"], lung.event)


def test_the_verdict_on_the_packaged_cohort_is_ok(lung_fit):
    assert lung_fit.verdict.level == "ok"
    assert lung_fit.warnings == ()


def test_posterior_variables_are_consistent(lung_fit, lung):
    """The two baselines and the two forms of the site effects, recomputed from their definitions."""
    draws, found = lung_fit.posterior, lung_fit.spec.resolved
    distance = draws["log_hazard_ratio"].to_numpy() @ (np.array(found.means) - np.array(found.reference))
    np.testing.assert_allclose(draws["log_scale"], draws["log_scale_at_means"] + distance / draws["shape"], rtol=1e-10)
    effect = draws["site_sd"] * draws["site_effect_standardised"]
    np.testing.assert_allclose(effect.transpose("chain", "draw", "site"), draws["site_effect"], rtol=1e-10, atol=1e-12)
    log_median = draws["log_median_at_means"]
    np.testing.assert_allclose(log_median, draws["log_scale_at_means"] + np.log(np.log(2)) / draws["shape"], rtol=1e-10)


def test_sampled_density_is_likelihood_times_prior(lung_fit):
    """The sampler's lp is log likelihood + log prior + log Jacobian up to a constant, for every stored draw.

    The sampled space has log k, log sd and standardised effects: Jacobian k sd, and N(z) = N(b; 0, sd) sd for each site.
    """
    tree, draws = lung_fit.tree, lung_fit.posterior
    total = tree["log_likelihood"]["survival_time"].sum("patient")
    for values in tree["log_prior"].data_vars.values():
        total = total + values.sum([dim for dim in values.dims if dim not in ("chain", "draw")])
    sites = draws.sizes["site"]
    total = total + np.log(draws["shape"]) + (1 + sites) * np.log(draws["site_sd"])
    difference = (tree["sample_stats"]["lp"] - total).to_numpy()
    np.testing.assert_allclose(difference, difference[0, 0], atol=1e-7)


def test_stored_densities_are_recomputed_from_the_draws(lung_fit, lung):
    data = prepare(lung_fit.spec, lung)
    again = pointwise_log_likelihood(lung_fit.spec, lung_fit.posterior, data)["survival_time"]
    np.testing.assert_array_equal(again, lung_fit.tree["log_likelihood"]["survival_time"])
    prior = log_prior(lung_fit.spec, lung_fit.posterior)
    assert set(prior.data_vars) == {"shape", "log_median", "log_hazard_ratio", "site_sd", "site_effect"}
    for name, values in prior.data_vars.items():
        np.testing.assert_array_equal(values, lung_fit.tree["log_prior"][name])


def test_attributes(lung_fit, lung):
    attributes = lung_fit.tree.attrs
    assert attributes["engine"] == "nuts"
    assert attributes["seed"] == 1
    assert attributes["data_hash"] == lung.data_hash
    assert sw.ModelSpec.from_dict(json.loads(attributes["spec"])) == lung_fit.spec
    versions = json.loads(attributes["versions"])
    assert {"python", "sitewise", "pymc", "nutpie", "arviz-stats", "numpy"} <= set(versions)
    assert "not installed" not in versions.values()
    assert json.loads(attributes["verdict"])["level"] == "ok"
    assert json.loads(attributes["settings"])["draws"] == 1000


def test_arviz_works_on_the_tree(lung_fit):
    summary = arviz_stats.summary(lung_fit.tree, var_names=["shape", "log_hazard_ratio"], ci_prob=0.95, round_to="none")
    assert list(summary.index) == ["shape", "log_hazard_ratio[ecog[>=1]]", "log_hazard_ratio[age]", "log_hazard_ratio[sex[2]]"]
    ours = sw.summarise(lung_fit.posterior["log_hazard_ratio"])
    np.testing.assert_allclose(summary["mean"].astype(float).iloc[1:], ours["mean"], rtol=1e-10)
    loo = arviz_stats.loo(lung_fit.tree, pointwise=True)
    assert np.isfinite(loo.elpd)
    assert loo.n_data_points == 226
    assert float(np.max(loo.pareto_k)) < 0.7  # no patient decides such a small model


def test_the_fit_resembles_the_maximum_likelihood_fit(lung_fit):
    """The published effects of this cohort (Cox: sex about -0.55, ECOG harmful), inside two posterior sds of the means."""
    effects = sw.summarise(lung_fit.posterior["log_hazard_ratio"])
    assert abs(effects.loc["sex[2]", "mean"] + 0.55) < 2 * effects.loc["sex[2]", "sd"]
    assert effects.loc["ecog[>=1]", "mean"] > 0
    assert effects.loc["age", "sd"] < 0.02


def test_a_spec_is_resolved_on_the_way(lung_fit, lung, lung_spec):
    assert lung_fit.spec == lung_spec.resolve(lung)
    assert repr(lung_fit).startswith("<Fit of Surv(time_months, event) ~ ecog + age + sex + (1 | inst) (weibull, hazard-ratio)")
    assert len(lung_fit.spec_hash) == 64


def test_what_cannot_be_fitted_is_refused_before_sampling(lung):
    lines = []
    with pytest.raises(sw.CohortError, match="'ecgo': is in the formula but not in the cohort"):
        sw.fit(sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecgo"), lung, report=lines.append)
    assert lines == []
