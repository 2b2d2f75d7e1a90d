"""The NUTS engine: options, seeds, the one retry, refits without compilation, three samplers of one posterior."""

import numpy as np
import pytest
import xarray as xr

import sitewise as sw
from sitewise.inference import nuts

QUICK = {"draws": 300, "tune": 300, "chains": 2, "cores": 1, "retry": False}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "stan"}, "There is no sampler 'stan'; choose 'nutpie', 'pymc', 'numpyro'."),
        ({"draws": 3}, "Nuts needs draws >= 4, tune >= 0 and chains >= 1."),
        ({"tune": -1}, "Nuts needs draws >= 4, tune >= 0 and chains >= 1."),
        ({"chains": 0}, "Nuts needs draws >= 4, tune >= 0 and chains >= 1."),
        ({"target_accept": 1.0}, "target_accept is 1.0; it must be inside (0, 1)."),
        ({"target_accept": 0.0}, "target_accept is 0.0; it must be inside (0, 1)."),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(sw.SpecError) as caught:
        sw.Nuts(**options)
    assert str(caught.value) == message


def same(one, other):
    return all(np.array_equal(one.posterior[name], other.posterior[name]) for name in one.posterior.data_vars)


def test_the_same_seed_gives_the_same_draws_whatever_the_cores(small_spec, small_cohort):
    fits = {
        (seed, cores): sw.fit(small_spec, small_cohort, engine=sw.Nuts(**{**QUICK, "cores": cores}), seed=seed)
        for seed, cores in ((5, 1), (5, 2), (6, 1))
    }
    again = sw.fit(small_spec, small_cohort, engine=sw.Nuts(**QUICK), seed=5)
    assert same(fits[5, 1], again)
    assert same(fits[5, 1], fits[5, 2])
    assert not same(fits[5, 1], fits[6, 1])
    chains = fits[5, 1].posterior["log_scale"]
    assert not np.array_equal(chains[0], chains[1])


def test_sizes_and_statistics(small_spec, small_cohort):
    fit = sw.fit(small_spec, small_cohort, engine=sw.Nuts(draws=50, tune=100, chains=3, cores=1, retry=False), seed=2)
    assert dict(fit.posterior.sizes) == {"chain": 3, "draw": 50, "term": 1}
    stats = fit.tree["sample_stats"]
    assert {"diverging", "energy", "lp", "tree_depth", "n_steps", "step_size", "acceptance_rate"} <= set(stats.data_vars)
    assert fit.settings["draws"] == 50
    assert fit.settings["chains"] == 3
    assert fit.engine == "nuts"


@pytest.fixture(scope="module")
def by_graph(small_spec, small_cohort):
    """A fit through the compiled PyMC graph, which later fits of the spec in this process share."""
    nuts.clear_compiled()
    return sw.fit(small_spec.resolve(small_cohort), small_cohort, engine=sw.Nuts(**QUICK, density="graph"), seed=3)


def count_compilations(monkeypatch):
    import nutpie

    calls = []
    compile_model = nutpie.compile_pymc_model

    def counted(*arguments, **options):
        calls.append(1)
        return compile_model(*arguments, **options)

    monkeypatch.setattr(nutpie, "compile_pymc_model", counted)
    return calls


def test_a_refit_on_new_patients_reuses_the_compiled_graph(by_graph, make_frame, read, monkeypatch):
    """Another number of patients, the same resolved spec: no second compilation, and the draws are of the new patients."""
    calls = count_compilations(monkeypatch)
    other = read(make_frame(35, seed=8), site=None)
    engine = sw.Nuts(**QUICK, density="graph")
    refit = sw.fit(by_graph.spec, other, engine=engine, seed=3)
    assert calls == []
    assert refit.seconds["compile"] < 0.5
    assert refit.tree["log_likelihood"].sizes["patient"] == 35
    nuts.clear_compiled()
    fresh = sw.fit(by_graph.spec, other, engine=engine, seed=3)
    assert calls == [1]
    assert same(fresh, refit)
    assert not same(by_graph, refit)


def test_a_refit_by_the_compiled_density_compiles_nothing(small_spec, small_cohort, make_frame, read, monkeypatch):
    calls = count_compilations(monkeypatch)
    spec = small_spec.resolve(small_cohort)
    fits = [
        sw.fit(spec, patients, engine=sw.Nuts(**QUICK), seed=3)
        for patients in (small_cohort, read(make_frame(35, seed=8), site=None))
    ]
    assert calls == []
    assert [fit.seconds["compile"] for fit in fits] == [0.0, 0.0]
    assert [fit.tree["log_likelihood"].sizes["patient"] for fit in fits] == [60, 35]


@pytest.fixture(scope="module")
def long_fit(small_spec, small_cohort):
    return sw.fit(small_spec, small_cohort, engine=sw.Nuts(draws=3000, tune=500, chains=4, cores=2), seed=11)


@pytest.mark.parametrize("sampler", ["graph", "pymc", "numpyro"])
@pytest.mark.filterwarnings("ignore")
def test_samplers_agree(sampler, small_spec, small_cohort, long_fit, by_graph):
    """Means within 4.5 Monte Carlo standard errors of both, sds within 15 %.

    500 or so effective draws give an sd with a standard error of 3 %; a two-sided 4.5 sigma event has probability 7e-6.
    """
    if sampler == "graph":
        fit = by_graph
    else:
        options = {**QUICK, "sampler": sampler, "draws": 500}
        fit = sw.fit(small_spec, small_cohort, engine=sw.Nuts(**options), seed=21)
    assert set(fit.posterior.data_vars) == set(long_fit.posterior.data_vars)
    for name in ("log_hazard_ratio", "log_scale_at_means", "log_scale"):
        assert fit.posterior[name].dims == long_fit.posterior[name].dims
        ours, other = sw.summarise(fit.posterior[name]), sw.summarise(long_fit.posterior[name])
        error = np.hypot(ours["mcse_mean"], other["mcse_mean"])
        assert (np.abs(ours["mean"] - other["mean"]) < 4.5 * error).all()
        np.testing.assert_allclose(ours["sd"], other["sd"], rtol=0.15)
    assert {"diverging", "energy", "lp"} <= set(fit.tree["sample_stats"].data_vars)
    assert fit.verdict.level in ("ok", "warn")


def tree_of_draws(spec, *, good):
    """What a sampler returns: independent draws of the model's variables, all diverging unless ``good``."""
    rng = np.random.default_rng(1)
    found = spec.resolved
    sample, size = ("chain", "draw"), (4, 600)
    variables = {name: (sample, rng.normal(size=size)) for name in ("log_scale", "log_scale_at_means")}
    variables |= {name: (sample, np.exp(0.1 * rng.normal(size=size))) for name in ("shape", "site_sd")}
    variables["log_hazard_ratio"] = ((*sample, "term"), 0.01 * rng.normal(size=(*size, len(found.columns))))
    variables["site_effect"] = ((*sample, "site"), rng.normal(size=(*size, len(found.site_labels))))
    statistics = {"energy": (sample, rng.normal(size=size)), "diverging": (sample, np.full(size, not good))}
    coords = {"term": list(found.columns), "site": list(found.site_labels)}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=coords), "sample_stats": xr.Dataset(statistics)})


@pytest.fixture
def stubbed(monkeypatch):
    """Replace the sampler by one that returns good or bad draws in turn, and record how it was called."""

    def install(*outcomes):
        calls = []

        def sample(engine, spec, data, *, seed, progress, report):
            good = outcomes[len(calls)]
            calls.append({"engine": engine, "spec": spec, "seed": seed})
            return tree_of_draws(spec, good=good), {"import": 0.0, "compile": 1.0, "sample": 2.0}

        monkeypatch.setattr(nuts, "_sample_nutpie", sample)
        return calls

    return install


RETRIED = sw.ModelSpec.from_formula("Surv(months, died) ~ age + (1 | hospital)")


def test_a_run_that_passes_is_not_repeated(stubbed, make_frame, read):
    calls = stubbed(True)
    fit = sw.fit(RETRIED, read(make_frame(30)), seed=4)
    assert len(calls) == 1
    assert fit.verdict.level == "ok"
    assert not fit.verdict.retried


@pytest.mark.parametrize("centred", [False, True])
def test_a_failing_run_is_repeated_once_with_other_settings(stubbed, make_frame, read, centred):
    calls = stubbed(False, True)
    spec = sw.ModelSpec.from_formula(RETRIED.formula, sites=sw.RandomSites(centred=centred))
    lines = []
    fit = sw.fit(spec, read(make_frame(30)), seed=4, report=lines.append)
    assert [call["engine"].target_accept for call in calls] == [0.95, 0.99]
    assert [call["spec"].sites.centred for call in calls] == [centred, not centred]
    assert calls[0]["seed"] != calls[1]["seed"]
    assert fit.verdict.level == "ok"
    assert fit.verdict.retried
    (note,) = fit.verdict.notes
    assert "The first run failed (fail: divergences after warm-up, share: 1, fail." in note
    assert "target_accept 0.99 and the other centring of the sites" in note
    assert fit.spec.sites == sw.RandomSites(centred=not centred)
    assert fit.seconds["sample"] == 4.0
    assert fit.settings["target_accept"] == 0.99
    assert any("sampling once more" in line for line in lines)


def test_a_second_failure_is_reported(stubbed, make_frame, read):
    calls = stubbed(False, False)
    fit = sw.fit(RETRIED, read(make_frame(30)), seed=4)
    assert len(calls) == 2
    assert fit.verdict.level == "fail"
    assert fit.verdict.retried
    assert fit.warnings[-1].startswith("Computation fail: divergences")


def test_a_failing_run_is_kept_when_no_retry_is_wanted(stubbed, make_frame, read):
    calls = stubbed(False)
    fit = sw.fit(RETRIED, read(make_frame(30)), engine=sw.Nuts(retry=False), seed=4)
    assert len(calls) == 1
    assert fit.verdict.level == "fail"
    assert not fit.verdict.retried


def test_a_retry_never_lowers_the_target(stubbed, make_frame, read):
    calls = stubbed(False, True)
    sw.fit(RETRIED, read(make_frame(30)), engine=sw.Nuts(target_accept=0.995), seed=4)
    assert [call["engine"].target_accept for call in calls] == [0.995, 0.995]


def test_numpyro_that_is_not_installed_is_said_so(monkeypatch, small_spec, small_cohort):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "numpyro" else find(name, *rest))
    with pytest.raises(sw.SpecError, match=r"The NumPyro sampler is not installed; run `pip install sitewise\[numpyro\]`\."):
        sw.fit(small_spec, small_cohort, engine=sw.Nuts(sampler="numpyro"))
