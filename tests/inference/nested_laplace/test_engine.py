"""NestedLaplace and Auto as engines: what a fit of theirs holds, what they refuse, and how they hand over to NUTS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import arviz_stats
import numpy as np
import pytest
import xarray as xr

import sitewise as sw
from sitewise.inference.nested_laplace import weighting

NUTS = sw.Nuts(draws=50, tune=100, chains=2, cores=1, retry=False)
"""Long enough to see that it ran."""


@pytest.fixture(scope="module")
def cohort(make_frame, read) -> sw.Cohort:
    return read(make_frame(50, seed=3), entry="start", weights="weight")


@pytest.fixture(scope="module")
def spec(cohort) -> sw.ModelSpec:
    return sw.ModelSpec.from_formula("Surv(start, months, died) ~ ecog + age + (1 | hospital)").resolve(cohort)


@pytest.fixture(scope="module")
def fit(spec, cohort) -> sw.FitResult:
    return sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=4000), seed=5)


@pytest.fixture
def bad_weights(monkeypatch):
    """Plant a Pareto k of 2 in every set of weights."""
    honest = weighting.pareto_smooth
    monkeypatch.setattr(weighting, "pareto_smooth", lambda log_weights: (honest(log_weights)[0], 2.0))


@pytest.fixture
def no_mode(monkeypatch):
    def refuse(*_args, **_options):
        raise weighting.NoModeError("There is no mode here. Use engine=Nuts().")

    monkeypatch.setattr(weighting, "weighted_draws", refuse)


def weighted(fit: sw.FitResult) -> tuple[xr.Dataset, np.ndarray]:
    found = fit.tree["weighted_posterior"].to_dataset()
    return found, np.exp(found["log_weight"].to_numpy()[0])


def test_the_verdict_is_that_of_the_weights(fit):
    assert fit.engine == "nested-laplace"
    assert fit.verdict.level == "ok"
    assert [check.name for check in fit.verdict.checks] == ["importance_ess", "pareto_k", "edge_mass", "mcse"]
    _, weight = weighted(fit)
    ess = fit.verdict["importance_ess"].value
    assert ess == pytest.approx(1 / np.sum(weight**2))
    assert fit.warnings == ()
    assert "1 chains x 4000 draws by nested-laplace; verdict ok" in repr(fit)


def test_the_monte_carlo_error_is_the_worst_of_the_parameters(fit):
    """That of a weighted mean, sqrt(sum w^2 (x - mean)^2), over the weighted sd; of parameters as they are proposed."""
    found, weight = weighted(fit)
    parameters = [
        *(np.log(found[name]) for name in ("shape", "site_sd")),
        *(found[name] for name in ("log_hazard_ratio", "site_effect_standardised", "log_median_at_means")),
    ]
    draws = np.column_stack([values.to_numpy()[0].reshape(weight.size, -1) for values in parameters])[weight > 0]
    weight = weight[weight > 0]
    square = (draws - weight @ draws) ** 2
    errors = np.sqrt(weight**2 @ square / (weight @ square))
    assert fit.verdict["mcse"].value == pytest.approx(errors.max())


def test_groups_of_the_tree(fit, cohort):
    assert set(fit.tree.children) == {
        *("posterior", "sample_stats", "log_likelihood", "log_prior", "observed_data", "constant_data"),
        "weighted_posterior",
    }
    found, weight = weighted(fit)
    assert weight.sum() == pytest.approx(1, abs=1e-12)
    assert set(found.data_vars) == {*fit.posterior.data_vars, "log_weight"}
    assert dict(found.sizes) == dict(fit.posterior.sizes) == {"chain": 1, "draw": 4000, "term": 2, "site": 4}
    assert np.isfinite(found.attrs["log_marginal_likelihood"])
    assert fit.tree["log_likelihood"]["survival_time"].sizes["patient"] == len(cohort)
    assert set(fit.tree["log_prior"].data_vars) == {"shape", "log_median", "log_hazard_ratio", "site_sd", "site_effect"}


def test_the_density_of_the_draws_is_likelihood_times_prior(fit):
    """As of NUTS in test_fit.py: in the sampled space, log k, log sd and standardised effects, up to a constant."""
    draws = fit.posterior
    total = fit.tree["log_likelihood"]["survival_time"].sum("patient")
    for values in fit.tree["log_prior"].data_vars.values():
        total = total + values.sum([dim for dim in values.dims if dim not in ("chain", "draw")])
    total = total + np.log(draws["shape"]) + (1 + draws.sizes["site"]) * np.log(draws["site_sd"])
    difference = (fit.tree["sample_stats"]["lp"] - total).to_numpy()
    np.testing.assert_allclose(difference, difference[0, 0], atol=1e-7)


def test_the_same_seed_gives_the_same_draws(spec, cohort, fit):
    again = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=4000), seed=5)
    for group in ("posterior", "weighted_posterior", "sample_stats"):
        xr.testing.assert_identical(again.tree[group].to_dataset(), fit.tree[group].to_dataset())
    other = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=4000), seed=6)
    assert not np.array_equal(other.posterior["shape"], fit.posterior["shape"])


def test_resampled_draws_are_the_weighted_ones(fit):
    """Systematic resampling: each draw appears S w times, rounded down or up, so means differ by less than sd / sqrt(ESS)."""
    found, weight = weighted(fit)
    # Continuous draws differ from one another, so that each of the posterior's is found by its value.
    values, counts = np.unique(fit.posterior["shape"].to_numpy()[0], return_counts=True)
    expected = dict(zip(found["shape"].to_numpy()[0], weight * weight.size, strict=True))
    assert all(abs(count - expected[value]) < 1 for value, count in zip(values, counts, strict=True))
    ess = fit.verdict["importance_ess"].value
    counted = weight > 0
    for name, draws in fit.posterior.data_vars.items():
        whole, plain = (values.to_numpy()[0].reshape(weight.size, -1) for values in (found[name], draws))
        difference = weight[counted] @ whole[counted] - plain.mean(axis=0)
        assert (np.abs(difference) < plain.std(axis=0) / np.sqrt(ess)).all(), name


def test_resampled_draws_are_in_random_order(fit):
    """Neighbours are unrelated: autocorrelations of 4000 unrelated draws have an sd of 1 / sqrt(4000)."""
    for name in ("shape", "site_sd", "log_scale_at_means"):
        draws = fit.posterior[name].to_numpy()[0]
        draws = (draws - draws.mean()) / draws.std()
        assert abs(np.mean(draws[1:] * draws[:-1])) < 4.5 / np.sqrt(draws.size)


def test_centring_changes_nothing(spec, cohort, fit):
    """A centred spec has the same posterior; the fit's spec says how its draws are stored."""
    centred = sw.fit(replace(spec, sites=sw.RandomSites(centred=True)), cohort, engine=sw.NestedLaplace(draws=4000), seed=5)
    assert centred.spec == fit.spec
    xr.testing.assert_identical(centred.posterior, fit.posterior)


def test_saved_and_loaded(fit, tmp_path):
    again = sw.load(fit.save(tmp_path / "fast.nc"))
    assert set(again.tree.children) == set(fit.tree.children)
    for name, group in fit.tree.children.items():
        xr.testing.assert_equal(again.tree[name].to_dataset(), group.to_dataset())
    assert again.verdict == fit.verdict
    assert (again.engine, again.spec, again.seed) == ("nested-laplace", fit.spec, 5)
    assert dict(again.settings) == dict(fit.settings)
    attribute = "log_marginal_likelihood"
    assert again.tree["weighted_posterior"].attrs[attribute] == fit.tree["weighted_posterior"].attrs[attribute]
    for quantity in ("shape", "log_hazard_ratio"):
        table = sw.summarise(again.posterior[quantity])
        assert (table["ess_bulk"] == fit.verdict["importance_ess"].value).all()


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_arviz_works_on_the_tree(fit):
    loo = arviz_stats.loo(fit.tree)
    assert np.isfinite(loo.elpd)
    summary = arviz_stats.summary(fit.tree, var_names=["shape", "site_sd"], ci_prob=0.95)
    assert list(summary.index) == ["shape", "site_sd"]


GROUPS = sw.RiskGroups.by_rule({"fit": lambda people: people["ecog"] == "0", "frail": lambda people: people["ecog"] == ">=1"})
MARGINAL = {"groups": GROUPS, "sites": sw.Marginal()}
ESTIMANDS = {
    "shape": lambda fit: fit.posterior["shape"],
    "log_hazard_ratios": sw.log_hazard_ratios,
    "hazard_ratios": sw.hazard_ratios,
    "log_time_ratios": sw.log_time_ratios,
    "time_ratios": sw.time_ratios,
    "site_effects": sw.site_effects,
    "site_ranks": sw.site_ranks,
    "site_sd": sw.site_sd,
    "median_hazard_ratio": sw.median_hazard_ratio,
    "survival": lambda fit: sw.survival(fit, times=[3.0, 9.0], **MARGINAL),
    "hazard": lambda fit: sw.hazard(fit, times=[3.0, 9.0], **MARGINAL),
    "cumulative_hazard": lambda fit: sw.cumulative_hazard(fit, times=[3.0], **MARGINAL),
    "median_survival": lambda fit: sw.median_survival(fit, **MARGINAL),
    "rmst": lambda fit: sw.rmst(fit, horizon=12.0, **MARGINAL),
    "difference": lambda fit: sw.contrast(sw.rmst(fit, horizon=12.0, **MARGINAL), reference="fit"),
    "ratio": lambda fit: sw.contrast(sw.survival(fit, times=[3.0], **MARGINAL), reference="fit", scale="ratio"),
    "marginal_hazard_ratio": lambda fit: sw.marginal_hazard_ratio(
        fit, groups=GROUPS, sites=sw.Marginal(), reference="fit", times=[3.0]
    ),
}


@pytest.mark.parametrize("estimand", ESTIMANDS.values(), ids=ESTIMANDS.keys())
def test_summaries_report_the_ess_of_the_weights(estimand, fit):
    """The draws are one chain of repeats: R-hat and the ESS of a chain would say nothing, and the weights' ESS is known."""
    table = sw.summarise(estimand(fit))
    ess = fit.verdict["importance_ess"].value
    assert table["r_hat"].isna().all()
    np.testing.assert_allclose(table["ess_bulk"], ess)
    np.testing.assert_allclose(table["mcse_mean"], table["sd"] / np.sqrt(ess))


def test_too_few_draws_are_refused():
    with pytest.raises(sw.SpecError, match=r"^draws is 99; the importance weights need at least 100 to be judged\.$"):
        sw.NestedLaplace(draws=99)
    sw.NestedLaplace(draws=100)


@dataclass(frozen=True)
class Other(sw.Weibull):
    """A family that the kernel does not have."""

    name: ClassVar[str] = "other"


TWO_SLOPES = sw.ModelSpec(terms=("ecog", "age"), sites=sw.RandomSites(slopes=("ecog", "age")))
UNKNOWN = {
    "family": (sw.ModelSpec(terms=("ecog",), family=Other()), "does not know this model"),
    "two slopes": (TWO_SLOPES, "integrates over at most three hyperparameters"),
}


@pytest.mark.parametrize(("unknown", "reason"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_the_engine_does_not_know_is_refused(unknown, reason, cohort):
    with pytest.raises(sw.SpecError, match=rf"NestedLaplace {reason}.* Use engine=Nuts\(\)"):
        sw.fit(unknown, cohort, engine=sw.NestedLaplace(fallback=True))


def test_auto_takes_the_fast_engine_where_it_answers(spec, cohort, fit):
    found = sw.fit(spec, cohort, engine=sw.Auto(fast=sw.NestedLaplace(draws=4000)), seed=5)
    assert found.engine == "nested-laplace"
    assert found.verdict == fit.verdict
    xr.testing.assert_identical(found.posterior, fit.posterior)


def test_auto_samples_what_the_fast_engine_does_not_know(cohort):
    lines: list[str] = []
    found = sw.fit(TWO_SLOPES, cohort, engine=sw.Auto(exact=NUTS), report=lines.append)
    by_nuts(found, "NestedLaplace integrates over at most three hyperparameters")
    assert any("sampling by NUTS" in line for line in lines)


def by_nuts(found: sw.FitResult, reason: str) -> None:
    assert found.engine == found.tree.attrs["engine"] == "nuts"
    assert "r_hat" in [check.name for check in found.verdict.checks]
    assert "weighted_posterior" not in found.tree.children
    assert found.verdict.notes[-1].startswith("Sampled by NUTS, because the fast engine did not")
    assert reason in found.verdict.notes[-1]
    assert found.verdict.notes[-1] in str(found.verdict)
    assert "importance_ess" not in found.posterior["shape" if "shape" in found.posterior else "log_scale_at_means"].attrs


@pytest.mark.usefixtures("bad_weights")
def test_a_failing_verdict_is_tried_once_more_and_told(spec, cohort):
    found = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=200))
    assert found.engine == "nested-laplace"
    assert found.verdict.level == "fail"
    assert found.verdict.retried
    assert found.posterior.sizes["draw"] == 800
    assert found.verdict["pareto_k"].level == "fail"
    assert found.warnings[-1].startswith("Computation fail: Pareto k of the importance weights: 2, fail.")


def test_a_first_failure_may_be_mended_by_more_draws(spec, cohort, monkeypatch):
    honest, calls = weighting.pareto_smooth, []

    def at_first_bad(log_weights):
        calls.append(log_weights.size)
        return honest(log_weights)[0], 2.0 if len(calls) == 1 else 0.1

    monkeypatch.setattr(weighting, "pareto_smooth", at_first_bad)
    found = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=500, fallback=True))
    assert calls == [500, 2000]
    assert found.engine == "nested-laplace"
    assert found.verdict.level == "ok"
    assert found.verdict.retried
    assert found.posterior.sizes["draw"] == 2000


@pytest.mark.usefixtures("bad_weights")
@pytest.mark.parametrize("engine", ["fallback", "auto"])
def test_a_failing_verdict_goes_to_nuts(engine, spec, cohort):
    """The fallback of NestedLaplace samples with NUTS as it is by default; that of Auto with the engine given."""
    fast = sw.NestedLaplace(draws=200, fallback=engine == "fallback")
    found = sw.fit(spec, cohort, engine=fast if fast.fallback else sw.Auto(fast=fast, exact=NUTS), seed=2)
    by_nuts(found, "Pareto k of the importance weights: 2, fail.")
    assert found.posterior.sizes["draw"] == (1000 if fast.fallback else 50)


@pytest.mark.usefixtures("no_mode")
def test_a_posterior_without_mode(spec, cohort):
    with pytest.raises(sw.SitewiseError, match=r"There is no mode here\. Use engine=Nuts\(\)\."):
        sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=4000))
    by_nuts(sw.fit(spec, cohort, engine=sw.Auto(exact=NUTS)), "There is no mode here.")
