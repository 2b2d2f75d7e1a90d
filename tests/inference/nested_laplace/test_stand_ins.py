"""Priors without a compiled formula: others stand in for them, and the weights put them back exactly."""

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.inference.nested_laplace.weighting import weighted_draws
from sitewise.inference.packing import kernel_reads
from sitewise.models.resolve import prepare

PRIORS = {
    "uniform site sd": sw.Priors(site_sd=sw.Prior("Uniform", lower=0, upper=1)),
    "Weibull site sd, logistic baseline": sw.Priors(
        site_sd=sw.Prior("Weibull", alpha=2, beta=0.6), log_scale_at_means=sw.Prior("Logistic", mu=3, s=0.7)
    ),
    "uniform shape, logistic coefficients": sw.Priors(
        shape=sw.Prior("Uniform", lower=0.3, upper=3), coefficients=sw.Prior("Logistic", mu=0, s=0.5)
    ),
    "skewed": sw.Priors(
        site_sd=sw.Prior("TruncatedNormal", mu=0.4, sigma=0.2, lower=0, upper=2),
        terms={"ecog": sw.Prior("AsymmetricLaplace", mu=0, b=1, kappa=0.5)},
        log_median=sw.Prior("SkewNormal", mu=2.5, sigma=1.0, alpha=1.5),
    ),
    "another parametrisation": sw.Priors(coefficients=sw.Prior("Normal", mu=0.0, tau=1.0)),
}


@pytest.fixture(scope="module")
def cohort(make_frame, read) -> sw.Cohort:
    return read(make_frame(80, seed=3), covariates=["ecog", "age"])


def prepared(cohort, priors, **options):
    spec = sw.ModelSpec(terms=("ecog",), priors=priors, **options).resolve(cohort)
    return spec, prepare(spec, cohort)


@pytest.mark.parametrize("priors", PRIORS.values(), ids=PRIORS.keys())
def test_the_density_is_the_graphs(priors, cohort):
    """At draws, the density by which they are weighted is that of the PyMC graph plus the logs' Jacobian."""
    from pytensor.compile.mode import Mode

    from sitewise.inference.packing import unpack

    spec, data = prepared(cohort, priors)
    assert not kernel_reads(spec)
    found = weighted_draws(spec, data, draws=400, rng=np.random.default_rng(1))
    inside = np.flatnonzero(found.log_weights > found.log_weights.max() - 30)[:5]
    posterior = unpack(spec, data, found.points[None])
    model = spec.to_pymc(cohort)
    by_graph = model.compile_fn(
        model.logp(jacobian=False), mode=Mode(linker="py", optimizer=None), inputs=model.value_vars, on_unused_input="ignore"
    )
    for draw in inside:
        point = {}
        jacobian = 0.0
        for variable in model.free_RVs:
            value, transform = posterior[variable.name].to_numpy()[0, draw], model.rvs_to_transforms[variable]
            if transform is not None:
                value = np.asarray(transform.forward(value, *variable.owner.inputs).eval())
            point[model.rvs_to_values[variable].name] = value
            if variable.name in ("shape", "site_sd"):
                jacobian += float(np.log(posterior[variable.name].to_numpy()[0, draw]))
        assert found.log_density[draw] == pytest.approx(float(by_graph(point)) + jacobian, abs=1e-7)


def test_a_prior_in_another_parametrisation_gives_the_posterior_of_its_own(cohort):
    spec, data = prepared(cohort, sw.Priors(coefficients=sw.Prior("Normal", mu=0.0, tau=4.0)))
    known, _ = prepared(cohort, sw.Priors(coefficients=sw.Prior("Normal", mu=0.0, sigma=0.5)))
    other = weighted_draws(known, data, draws=20_000, rng=np.random.default_rng(2))
    found = weighted_draws(spec, data, draws=20_000, rng=np.random.default_rng(1))
    assert found.verdict.level == other.verdict.level == "ok"
    # The error of a log mean of weights is their sd over the root of their number, 0.01 here at most.
    assert found.log_marginal_likelihood == pytest.approx(other.log_marginal_likelihood, abs=0.03)
    for place in range(found.points.shape[1]):
        means = [draws.weights @ draws.points[:, place] for draws in (found, other)]
        sd = np.sqrt(other.weights @ (other.points[:, place] - means[1]) ** 2)
        assert abs(means[0] - means[1]) < 4.5 * sd * np.sqrt(2 / 12_000)


def test_nobody_is_outside_the_support(cohort):
    spec, data = prepared(cohort, sw.Priors(site_sd=sw.Prior("Uniform", lower=0.2, upper=0.6)))
    found = weighted_draws(spec, data, draws=2000, rng=np.random.default_rng(1))
    site_sd = np.exp(found.points[:, 2])
    counted = found.weights > 1e-12
    assert (found.log_weights[(site_sd < 0.2) | (site_sd > 0.6)] == -np.inf).all()
    assert (site_sd[counted] > 0.2 - 1e-9).mean() > 0.99


def test_without_patients_it_is_the_prior(cohort):
    """One patient who leaves at once says next to nothing: the posterior of the site sd is its prior, a Weibull."""
    prior = sw.Prior("Weibull", alpha=2, beta=0.6)
    spec, data = prepared(cohort, sw.Priors(site_sd=prior))
    one = data.some(np.array([0]))
    one = type(one)(**{**vars(one), "log_time": np.array([-12.0]), "event": np.array([0.0])})
    found = weighted_draws(spec, one, draws=20_000, rng=np.random.default_rng(1))
    site_sd = np.exp(found.points[:, 2])
    for level in (0.1, 0.5, 0.9):
        below = found.weights @ (site_sd < stats.weibull_min.ppf(level, 2, scale=0.6))
        assert below == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / found.importance_ess))
