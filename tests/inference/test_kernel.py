"""No second truth: the compiled density and the PyMC graph of a spec are the same function."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw
from sitewise.families import FAMILIES as EVERY
from sitewise.inference import kernel, packing, prior_codes, prior_densities
from sitewise.inference.densities import _log_density_by_pymc, log_density
from sitewise.models.resolve import prepare

FAMILIES = (sw.Weibull(), sw.Exponential())
METRICS = ("hazard-ratio", "time-ratio")
SITES = {
    "non-centred": sw.RandomSites(),
    "centred": sw.RandomSites(centred=True),
    "fixed": sw.FixedSites(),
    "none": sw.NoSites(),
    "slope": sw.RandomSites(slopes=("ecog",)),
    "centred slopes": sw.RandomSites(centred=True, slopes=("age", "ecog")),
}
BASELINES = (
    sw.Priors(),
    sw.Priors(log_scale_at_means=sw.Prior("Normal", mu=3, sigma=1)),
    sw.Priors(log_scale=sw.Prior("StudentT", nu=4, mu=3, sigma=1), coefficients=sw.Prior("Laplace", mu=0, b=0.7)),
)
DATA = ("right censored", "late entry and weights", "guarantee time", "intervals", "intervals, late entry and weights")


@cache
def cohort(kind: str) -> sw.Cohort:
    rng = np.random.default_rng(5)
    n = 40
    table = pd.DataFrame(
        {
            "site": rng.choice(list("abcd"), n),
            "ecog": rng.choice(["0", "1"], n),
            "age": rng.normal(60, 10, n),
            "time": rng.weibull(0.9, n) * 20 + 1.0,
            "event": (rng.random(n) < 0.6).astype(int),
            "weight": rng.uniform(0.5, 2, n),
        }
    )
    table["entry"] = np.where(rng.random(n) < 0.5, 0.0, 0.3 * table["time"])
    extra = {"entry": "entry", "weights": "weight"} if "late entry and weights" in kind else {}
    if "intervals" in kind:
        hidden = (table["event"] == 1) & (rng.random(n) < 0.7)
        first = table["entry"] if extra else 0.0
        lower = np.where(rng.random(n) < 0.3, first, np.maximum(0.6 * table["time"], 0.8))
        table["lower"] = np.where(hidden, np.maximum(lower, first), table["time"])
        table["upper"] = np.where(table["event"] == 1, table["time"], np.nan)
        columns = ["ecog", "age"]
        return sw.Cohort.from_frame(table, lower="lower", upper="upper", site="site", covariates=columns, **extra)
    return sw.Cohort.from_frame(table, time="time", event="event", site="site", covariates=["ecog", "age"], **extra)


def graph_density(spec: sw.ModelSpec, patients: sw.Cohort, parameters) -> float:
    """The PyMC graph's log density in PyMC's own unconstrained space, interpreted."""
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode

    as_written = Mode(linker="py", optimizer=None)  # hundreds of graphs, each evaluated once
    model = spec.to_pymc(patients)
    point = {}
    for variable in model.free_RVs:
        value, transform = parameters[variable.name].to_numpy()[0, 0], model.rvs_to_transforms[variable]
        if transform is not None:
            value = np.asarray(transform.forward(pt.as_tensor(value), *variable.owner.inputs).eval(mode=as_written))
        point[model.rvs_to_values[variable].name] = value
    return float(model.compile_fn(model.logp(), mode=as_written, point_fn=True)(point))


@pytest.mark.parametrize("data_kind", DATA)
@pytest.mark.parametrize("priors", BASELINES, ids=("log median", "log scale at means", "log scale"))
@pytest.mark.parametrize("sites", SITES.values(), ids=SITES.keys())
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_kernel_and_graph_are_one_density(family, metric, sites, priors, data_kind) -> None:
    patients = cohort(data_kind)
    spec = sw.ModelSpec(
        terms=("ecog", "age"),
        sites=sites,
        family=family,
        metric=metric,
        priors=priors,
        guarantee_time=0.9 if data_kind in ("guarantee time", "intervals") else 0.0,
    ).resolve(patients)
    assert_one_density(spec, patients)


def assert_one_density(spec: sw.ModelSpec, patients: sw.Cohort) -> None:
    """Hold the kernel to the graph, and its gradient to differences, at a random point."""
    assert packing.kernel_reads(spec)
    data = prepare(spec, patients)
    packed, free = packing.pack(spec, data)
    rng = np.random.default_rng(11)
    point = packing.centre(spec, data, free) + rng.uniform(-0.4, 0.4, free)
    gradient, scratch = np.empty(free), np.empty(free)
    value = kernel.log_density(point, packed, gradient)
    expected = graph_density(spec, patients, packing.unpack(spec, data, point[None, None]))
    assert value == pytest.approx(expected, rel=1e-11, abs=1e-9)
    # Central differences of a smooth function: truncation h^2 and rounding eps |value| / h balance near h = 1e-5.
    for index in range(free):
        step = np.zeros(free)
        step[index] = 1e-5
        rise = kernel.log_density(point + step, packed, scratch) - kernel.log_density(point - step, packed, scratch)
        assert gradient[index] == pytest.approx(rise / 2e-5, rel=1e-6, abs=2e-6 * max(1.0, abs(value)))


KINDS = [
    sw.Gompertz(),
    sw.LogNormal(),
    sw.LogLogistic(),
    sw.Gamma(),
    sw.GeneralisedGamma(),
    sw.PiecewiseExponential(inner_knots=3),
    sw.MSpline(inner_knots=2, degree=2),
    sw.MixtureCure(),
    sw.MixtureCure(sw.MSpline(inner_knots=1, degree=1)),
    sw.MixtureCure(sw.GeneralisedGamma()),
]


def test_every_family_is_tested() -> None:
    assert {type(family) for family in (*FAMILIES, *KINDS)} == set(EVERY.values())


@pytest.mark.parametrize("data_kind", DATA)
@pytest.mark.parametrize(
    "family", KINDS, ids=lambda family: "-".join([family.name, *map(str, family.options.get("uncured", ""))])
)
def test_kernel_and_graph_are_one_density_of_other_families(family, data_kind) -> None:
    """Every kind of data, with site effects and baseline priors by turns."""
    patients, place = cohort(data_kind), DATA.index(data_kind)
    spec = sw.ModelSpec(
        terms=("ecog", "age"),
        sites=[sw.RandomSites(), sw.FixedSites(), sw.NoSites(), sw.RandomSites(centred=True), sw.RandomSites()][place],
        family=family,
        metric=min(family.metrics),
        priors=BASELINES[place % 3],
        guarantee_time=0.9 if data_kind in ("guarantee time", "intervals") else 0.0,
    ).resolve(patients)
    assert_one_density(spec, patients)


PRIORS = [
    (sw.Prior("Normal", mu=0.3, sigma=1.2), stats.norm(0.3, 1.2)),
    (sw.Prior("StudentT", nu=4, mu=0.1, sigma=0.7), stats.t(4, 0.1, 0.7)),
    (sw.Prior("Cauchy", alpha=0.2, beta=0.9), stats.cauchy(0.2, 0.9)),
    (sw.Prior("Laplace", mu=-0.2, b=0.6), stats.laplace(-0.2, 0.6)),
    (sw.Prior("HalfNormal", sigma=0.5), stats.halfnorm(scale=0.5)),
    (sw.Prior("LogNormal", mu=0.1, sigma=0.5), stats.lognorm(0.5, scale=np.exp(0.1))),
    (sw.Prior("Exponential", lam=1.7), stats.expon(scale=1 / 1.7)),
    (sw.Prior("Gamma", alpha=2.5, beta=1.3), stats.gamma(2.5, scale=1 / 1.3)),
    (sw.Prior("InverseGamma", alpha=2.5, beta=1.3), stats.invgamma(2.5, scale=1.3)),
    (sw.Prior("HalfCauchy", beta=0.6), stats.halfcauchy(scale=0.6)),
    (sw.Prior("HalfStudentT", nu=3, sigma=0.4), None),
]
BETA = (sw.Prior("Beta", alpha=1.5, beta=4.0), stats.beta(1.5, 4.0))


@pytest.mark.parametrize(("prior", "oracle"), PRIORS, ids=[prior.dist for prior, _ in PRIORS])
def test_prior_densities_are_scipy_s_and_pymc_s(prior: sw.Prior, oracle) -> None:
    values = np.array([[0.05, 0.4], [1.1, 3.0]])
    expected = np.log(2) + stats.t(3, 0, 0.4).logpdf(values) if oracle is None else oracle.logpdf(values)
    np.testing.assert_allclose(log_density(prior, values), expected, rtol=1e-12, atol=1e-12)
    # PyMC takes log 2 of its half-t and half-Cauchy in single precision: a constant 1.9e-9.
    np.testing.assert_allclose(_log_density_by_pymc(prior, values), expected, rtol=1e-12, atol=2e-9)
    code, a, b, c = prior_codes.encode(prior, prior_codes.REAL | prior_codes.POSITIVE)
    for x in values.ravel():
        below, above = (prior_densities.prior_log_density(int(code), a, b, c, x + step)[0] for step in (-1e-6, 1e-6))
        slope = prior_densities.prior_log_density(int(code), a, b, c, x)[1]
        assert slope == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-7)


def test_specs_beyond_the_kernel_go_through_the_graph() -> None:
    patients = cohort("right censored")
    for priors in (
        sw.Priors(shape=sw.Prior("Weibull", alpha=2, beta=1)),
        sw.Priors(coefficients=sw.Prior("Normal", mu=0, tau=1)),
        sw.Priors(site_sd=sw.Prior("Uniform", lower=0, upper=2)),
    ):
        spec = sw.ModelSpec(terms=("ecog",), priors=priors).resolve(patients)
        assert not packing.kernel_reads(spec)


def test_kernel_and_graph_give_one_posterior() -> None:
    patients = cohort("right censored")
    spec = sw.ModelSpec(terms=("ecog", "age")).resolve(patients)
    kernel_fit = sw.fit(spec, patients, engine=sw.Nuts(draws=1500), seed=3)
    graph_fit = sw.fit(spec, patients, engine=sw.Nuts(draws=1500, density="graph"), seed=4)
    assert kernel_fit.seconds["compile"] == 0
    assert graph_fit.seconds["compile"] > 0
    assert set(kernel_fit.posterior.data_vars) == set(graph_fit.posterior.data_vars)
    for name in ("shape", "log_scale_at_means", "log_hazard_ratio", "site_sd", "site_effect"):
        ours, other = sw.summarise(kernel_fit.posterior[name]), sw.summarise(graph_fit.posterior[name])
        error = np.hypot(ours["mcse_mean"], other["mcse_mean"])
        assert (np.abs(ours["mean"] - other["mean"]) < 4.5 * error).all()
        np.testing.assert_allclose(ours["sd"], other["sd"], rtol=0.12)  # sds of some 1,000 effective draws differ by 3 %
