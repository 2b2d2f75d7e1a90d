"""Fits: reproducible, refitted without compiling, saved whole, and the same by every sampler."""

import json

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.problems import SitewiseError, SpecError

FORMULA = "Surv(months, died) ~ ecog + age + (1 | hospital)"


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(60, seed=3))


def test_seed_decides_and_cores_do_not(cohort) -> None:
    spec = sw.ModelSpec.from_formula(FORMULA)
    one, two = (sw.fit(spec, cohort, engine=sw.Nuts(draws=50, tune=100, cores=cores), seed=5) for cores in (1, 2))
    assert one.posterior.equals(two.posterior)
    other = sw.fit(spec, cohort, engine=sw.Nuts(draws=50, tune=100), seed=6)
    assert not one.posterior.equals(other.posterior)


def test_a_refit_of_the_graph_compiles_nothing(make_frame, read, cohort) -> None:
    spec = sw.ModelSpec.from_formula(FORMULA).resolve(cohort)
    engine = sw.Nuts(draws=50, tune=100, chains=2, density="graph", retry=False)
    first = sw.fit(spec, cohort, engine=engine)
    again = sw.fit(spec, read(make_frame(90, seed=4)), engine=engine)
    assert first.seconds["compile"] > 10 * again.seconds["compile"]
    assert again.tree["log_likelihood"].sizes["patient"] == 90


@pytest.mark.parametrize("sampler", ["pymc", "numpyro"])
def test_other_samplers_agree(small_spec, small_cohort, sampler) -> None:
    reference = sw.summarise(sw.fit(small_spec, small_cohort, seed=1).posterior["log_hazard_ratio"])
    engine = sw.Nuts(draws=500, tune=500, chains=2, sampler=sampler, cores=1, retry=False)
    fit = sw.fit(small_spec, small_cohort, engine=engine, seed=2)
    other = sw.summarise(fit.posterior["log_hazard_ratio"])
    assert np.abs(reference["mean"] - other["mean"]).max() < 4.5 * np.hypot(reference["mcse_mean"], other["mcse_mean"]).max()
    assert {"energy", "diverging"} <= set(fit.tree["sample_stats"].data_vars)


def test_a_saved_fit_is_whole(lung_fit, tmp_path) -> None:
    import arviz_stats

    loaded = sw.load(lung_fit.save(tmp_path / "deep" / "fit.nc"))
    assert loaded.posterior.equals(lung_fit.posterior)
    assert loaded.spec == lung_fit.spec
    assert loaded.verdict == lung_fit.verdict
    assert (loaded.seed, loaded.engine) == (1, "nuts")
    assert loaded.cohort.frame.equals(lung_fit.cohort.frame)
    assert loaded.cohort.data_hash == lung_fit.cohort.data_hash
    assert loaded.cohort.site_labels == lung_fit.cohort.site_labels
    assert loaded.cohort.notes == lung_fit.cohort.notes
    for group in ("posterior", "sample_stats", "log_likelihood", "log_prior", "observed_data", "constant_data"):
        assert group in loaded.tree.children
    attributes = loaded.tree.attrs
    assert json.loads(attributes["versions"])["pymc"]
    assert attributes["data_hash"] == lung_fit.cohort.data_hash
    assert json.loads(attributes["spec"])["resolution"]["columns"] == ["ecog[>=1]", "age", "sex[2]"]
    assert np.isfinite(arviz_stats.loo(loaded.tree).elpd)
    assert "shape" in arviz_stats.summary(loaded.tree, ci_prob=0.95).index
    groups = sw.RiskGroups.count_favourable(ecog="0")
    curves = [sw.survival(fit, groups=groups, sites=sw.Marginal(), times=[12]) for fit in (lung_fit, loaded)]
    assert curves[0].equals(curves[1])


def test_what_is_no_saved_fit(tmp_path) -> None:
    import xarray as xr

    with pytest.raises(SitewiseError, match="There is no file"):
        sw.load(tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("hello")
    with pytest.raises(SitewiseError, match="not a NetCDF file"):
        sw.load(tmp_path / "text.nc")
    xr.Dataset({"x": ("a", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(SitewiseError, match="not a fit saved by this version"):
        sw.load(tmp_path / "other.nc")


def test_prior_draws_have_the_stated_distributions(cohort) -> None:
    spec = sw.ModelSpec.from_formula(FORMULA).resolve(cohort)
    prior = sw.sample_prior(spec, cohort, draws=4000, seed=3)
    drawn = prior["prior"].to_dataset().isel(chain=0)
    found = spec.resolved
    oracles = {
        "shape": (drawn["shape"], stats.lognorm(0.5)),
        "site_sd": (drawn["site_sd"], stats.halfnorm(scale=0.5)),
        "age": (drawn["log_hazard_ratio"].sel(term="age"), stats.norm(0, found.coefficients[1].values["sigma"])),
        # The stated prior is of log median survival of the reference patient, not of what is sampled.
        "log median": (
            drawn["log_scale"] + np.log(np.log(2)) / drawn["shape"],
            stats.norm(found.baseline_prior.values["mu"], 1.5),
        ),
    }
    for name, (values, oracle) in oracles.items():
        assert stats.kstest(values.to_numpy(), oracle.cdf).pvalue > 1e-4, name
    times = prior["prior_predictive"]["survival_time"]
    assert times.sizes == {"chain": 1, "draw": 4000, "patient": 60}
    assert (
        sw.sample_prior(spec, cohort, draws=10, seed=3)["prior"]
        .to_dataset()
        .equals(sw.sample_prior(spec, cohort, draws=10, seed=3)["prior"].to_dataset())
    )


def test_prior_predictive_times_invert_survival(cohort) -> None:
    """H(T) of simulated times is standard exponential under the draw that made them."""
    from sitewise.inference.densities import linear_predictor
    from sitewise.models.resolve import prepare

    for metric in ("hazard-ratio", "time-ratio"):
        spec = sw.ModelSpec.from_formula(FORMULA, metric=metric, guarantee_time=0.01).resolve(cohort)
        prior = sw.sample_prior(spec, cohort, draws=200, seed=3)
        drawn = prior["prior"].to_dataset()
        eta = linear_predictor(spec, drawn, prepare(spec, cohort))
        log_time = np.log(prior["prior_predictive"]["survival_time"].to_numpy() - 0.01)
        shape, scale = (drawn[name].to_numpy()[..., None] for name in ("shape", "log_scale_at_means"))
        moved = log_time - scale - (eta if metric == "time-ratio" else -eta / shape)
        assert stats.kstest(np.exp(shape * moved).ravel(), stats.expon.cdf).pvalue > 1e-4


def test_what_cannot_be_fitted_is_refused_before_sampling(cohort) -> None:
    with pytest.raises(SitewiseError, match="'nothing'"):
        sw.fit(sw.ModelSpec(terms=("nothing",)), cohort)
    with pytest.raises(SpecError, match="at least one"):
        sw.sample_prior(sw.ModelSpec(), cohort, draws=0)
