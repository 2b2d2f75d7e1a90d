"""No second truth: what the fast engine weights and what it climbs are the kernel's density, which is the PyMC graph's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import integrate

import sitewise as sw
from sitewise.families import FAMILIES
from sitewise.families.base import KINDS_OF_DATA
from sitewise.inference import kernel, packing, prior_codes
from sitewise.inference.nested_laplace.cells import Cells, make_cells
from sitewise.inference.nested_laplace.conditional import CONVERGED, hyper_log_density
from sitewise.inference.nested_laplace.priors import PriorArrays, make_priors, normal_stand_in
from sitewise.inference.nested_laplace.weighting import weighted_draws
from sitewise.inference.prior_densities import prior_log_density
from sitewise.models.model_data import ModelData
from sitewise.models.resolve import prepare

KNOWN = [family for family in FAMILIES.values() if family.log_concave == KINDS_OF_DATA]
"""Families that the fast engine can know; of others it asks for NUTS."""
MODELS = [(family(), metric) for family in KNOWN for metric in sorted(family.metrics)]
"""Families join by being in the registry; those that the kernel does not read are skipped."""
SITES = {
    "random": sw.RandomSites(),
    "centred": sw.RandomSites(centred=True),
    "fixed": sw.FixedSites(),
    "none": sw.NoSites(),
    "slopes": sw.RandomSites(slopes=("ecog",)),
    "numeric slopes": sw.RandomSites(slopes=("age",)),
}
NORMAL = {
    "log median": sw.Priors(),
    "log scale at means": sw.Priors(log_scale_at_means=sw.Prior("Normal", mu=3, sigma=1)),
    "log scale": sw.Priors(log_scale=sw.Prior("Normal", mu=2, sigma=2), coefficients=sw.Prior("Normal", mu=0.1, sigma=0.6)),
}
HEAVY = {
    "heavy tails": sw.Priors(
        log_scale=sw.Prior("StudentT", nu=4, mu=3, sigma=1),
        coefficients=sw.Prior("Laplace", mu=0, b=0.7),
        terms={"age": sw.Prior("Cauchy", alpha=0, beta=0.1)},
    ),
}
DATA = ("right censored", "late entry and weights", "guarantee time", "intervals", "intervals, late entry and weights")
POSITIVE = {
    "HalfNormal": sw.Prior("HalfNormal", sigma=0.5),
    "LogNormal": sw.Prior("LogNormal", mu=-0.3, sigma=0.5),
    "HalfStudentT": sw.Prior("HalfStudentT", nu=3, sigma=0.4),
    "Exponential": sw.Prior("Exponential", lam=1.7),
    "Gamma": sw.Prior("Gamma", alpha=2.5, beta=3.0),
    "InverseGamma": sw.Prior("InverseGamma", alpha=2.5, beta=1.3),
    "HalfCauchy": sw.Prior("HalfCauchy", beta=0.6),
}
EXACT = 1e-9

models = pytest.mark.parametrize(("family", "metric"), MODELS, ids=[f"{family.name}-{metric}" for family, metric in MODELS])


@pytest.fixture(scope="module")
def cohorts(make_frame, read, between_visits) -> dict[str, sw.Cohort]:
    frame = make_frame(36, seed=5, hospitals=3, guarantee=1.0)
    options = {"covariates": ["ecog", "age"]}
    late = frame.assign(start=np.where(frame["start"] > 0, frame["start"] + 1.0, 0.0))
    plain = read(frame, **options)
    hidden = between_visits(late, time="months", event="died", start=1.0)
    columns = {**options, "lower": "lower", "upper": "upper", "site": "hospital"}
    intervals = sw.Cohort.from_frame(hidden.assign(lower=hidden["lower"].where(hidden["lower"] > 4, 0.0)), **columns)
    mixed = sw.Cohort.from_frame(hidden, entry="start", weights="weight", **columns)
    assert (intervals.interval & (intervals.lower == 0)).any()  # left-censored
    assert mixed.interval.any()
    assert not mixed.interval.all()
    made = (plain, read(late, entry="start", weights="weight", **options), plain, intervals, mixed)
    return dict(zip(DATA, made, strict=True))


@dataclass(frozen=True, eq=False)
class Case:
    """A resolved spec, with its arrays as the engine and as the kernel have them."""

    spec: sw.ModelSpec
    data: ModelData
    cells: Cells
    priors: PriorArrays

    def draw_point(self, seed: int = 11) -> tuple[np.ndarray, np.ndarray, float, float, float]:
        """Return (c, z, shape, site sd, sd of slopes), somewhere in the middle of things."""
        rng = np.random.default_rng(seed)
        c = rng.uniform(-0.5, 0.5, self.priors.column_sd.size + 1)
        sites = self.cells.site_start.size - 1 if self.priors.random_sites else 0
        shape = float(rng.uniform(0.7, 1.6)) if self.priors.has_shape else 1.0
        site_sd = float(rng.uniform(0.2, 0.9))
        z = rng.normal(size=sites)
        if not self.priors.random_slopes:
            return c, z, shape, site_sd, 0.0
        scale = packing.slope_scales(self.spec, self.data)[0]
        return c, np.concatenate([z, rng.normal(size=sites)]), shape, site_sd, 0.4 / scale

    def kernel_point(
        self, c: np.ndarray, z: np.ndarray, shape: float, site_sd: float, slope_sd: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the kernel's point, and the positions of (c, z) in it."""
        head = [np.log(shape)] if self.priors.has_shape else []
        middle = [np.log(site_sd)] if self.priors.random_sites else []
        q, before = c.size - 1, len(head)
        sites = self.cells.site_start.size - 1 if z.size else 0
        slopes = [np.log(slope_sd), *z[sites:]] if z.size > sites else []
        point = np.concatenate([head, c[:q], middle, z[:sites], slopes, [c[q] + self.cells.middle]])
        first_site = before + q + len(middle)
        effects = [*range(first_site, first_site + sites)]
        if slopes:
            effects += range(first_site + sites + 1, first_site + 2 * sites + 1)
        return point, np.array([*range(before, before + q), point.size - 1, *effects])


def make_case(patients: sw.Cohort, data_kind: str = DATA[0], **options: Any) -> Case:
    guarantee = 0.9 if data_kind in ("guarantee time", "intervals") else 0.0
    spec = sw.ModelSpec(terms=("ecog", "age"), guarantee_time=guarantee, **options).resolve(patients)
    if not packing.kernel_reads(spec):
        pytest.skip(f"the kernel does not read the {spec.family.name} family")
    if isinstance(spec.sites, sw.RandomSites):
        spec = replace(
            spec, sites=replace(spec.sites, centred=False)
        )  # a centred spec is the same distribution, and its draws are standardised
    data = prepare(spec, patients)
    return Case(spec, data, make_cells(spec, data, packing.column_scales(data)), make_priors(spec, packing.column_scales(data)))


@pytest.mark.parametrize("data_kind", DATA)
@pytest.mark.parametrize("priors", {**NORMAL, **HEAVY}.values(), ids={**NORMAL, **HEAVY}.keys())
@pytest.mark.parametrize("sites", SITES.values(), ids=SITES.keys())
@models
def test_draws_are_weighted_by_the_kernels_density(family, metric, sites, priors, data_kind, cohorts):
    case = make_case(cohorts[data_kind], data_kind, family=family, metric=metric, sites=sites, priors=priors)
    agree_at_draws(case)


@pytest.mark.parametrize("prior", POSITIVE.values(), ids=POSITIVE.keys())
@pytest.mark.parametrize("parameter", ["shape", "site_sd"])
def test_every_prior_of_a_hyperparameter_is_in_the_weights(parameter, prior, cohorts):
    agree_at_draws(make_case(cohorts[DATA[1]], metric="time-ratio", priors=sw.Priors(**{parameter: prior})))


def agree_at_draws(case: Case) -> None:
    found = weighted_draws(case.spec, case.data, draws=120, rng=np.random.default_rng(3))
    # A few draws come from far outside the grid, where a hazard may overflow: these have no weight, and their density is moot.
    reached = np.isfinite(found.log_weights)
    assert reached.mean() > 0.95
    packed, free = packing.pack(case.spec, case.data)
    assert found.points.shape == (120, free)
    expected = [kernel.log_density(point, packed, np.empty(free)) for point in found.points[reached]]
    np.testing.assert_allclose(found.log_density[reached], expected, rtol=EXACT)


def test_every_positive_prior_of_the_kernel_is_tried():
    assert set(POSITIVE) == set(prior_codes.POSITIVE)


@pytest.mark.parametrize("data_kind", DATA)
@pytest.mark.parametrize("priors", NORMAL.values(), ids=NORMAL.keys())
@pytest.mark.parametrize(
    "sites",
    [site for name, site in SITES.items() if name != "centred"],
    ids=[name for name in SITES if name != "centred"],
)
@models
def test_derivatives_are_the_kernels(family, metric, sites, priors, data_kind, cohorts, differentiate):
    """Value and gradient exactly; the Hessian by differences of the kernel's gradient.

    Fourth-order differences with h = 1e-3: truncation h^4 / 30 times the fifth derivative and rounding eps / h both leave some
    1e-11 of the largest entry.
    """
    case = make_case(cohorts[data_kind], data_kind, family=family, metric=metric, sites=sites, priors=priors)
    c, z, *hyper = case.draw_point()
    value, gradient, hessian = differentiate(case.cells, case.priors, c, z, *hyper)
    packed, free = packing.pack(case.spec, case.data)
    point, places = case.kernel_point(c, z, *hyper)
    assert point.size == free

    def kernel_gradient(at: np.ndarray) -> np.ndarray:
        slope = np.empty(free)
        kernel.log_density(at, packed, slope)
        return slope[places]

    prior = hyper_log_density(*hyper, case.priors) + (np.log(hyper[1]) if case.priors.random_sites else 0.0)
    prior += np.log(hyper[2]) if case.priors.random_slopes else 0.0
    assert value + prior == pytest.approx(kernel.log_density(point, packed, np.empty(free)), rel=EXACT)
    close(gradient, kernel_gradient(point), EXACT)
    differences = np.empty_like(hessian)
    for row, place in enumerate(places):
        step = np.zeros(free)
        step[place] = 1e-3
        near = kernel_gradient(point + step) - kernel_gradient(point - step)
        far = kernel_gradient(point + 2 * step) - kernel_gradient(point - 2 * step)
        differences[row] = (8 * near - far) / 12e-3
    close(hessian, differences, EXACT)


def close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Compare with a tolerance relative to the largest entry: small entries are differences of large sums."""
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


GRAPHS = [
    *[(family, metric, "random", "log median", kind) for family, metric in MODELS for kind in (DATA[1], DATA[4])],
    (sw.Exponential(), "hazard-ratio", "fixed", "log scale", DATA[0]),
    (sw.Exponential(), "time-ratio", "fixed", "log scale", DATA[0]),
    (sw.Weibull(), "hazard-ratio", "fixed", "log median", DATA[1]),
    (sw.Weibull(), "time-ratio", "none", "log scale at means", DATA[2]),
    (sw.Weibull(), "hazard-ratio", "random", "log scale", DATA[2]),
    *[(sw.Weibull(), metric, "slopes", "log median", DATA[4]) for metric in ("hazard-ratio", "time-ratio")],
    (sw.Weibull(), "hazard-ratio", "numeric slopes", "log median", DATA[1]),
]


@pytest.mark.parametrize(
    ("family", "metric", "sites", "priors", "data_kind"),
    GRAPHS,
    ids=["-".join([family.name, *rest]) for family, *rest in GRAPHS],
)
def test_derivatives_are_the_graphs(family, metric, sites, priors, data_kind, cohorts, differentiate):
    """Exact derivatives on both sides: PyTensor's of the PyMC graph, carried to the engine's coordinates, which are linear."""
    patients = cohorts[data_kind]
    case = make_case(patients, data_kind, family=family, metric=metric, sites=SITES[sites], priors=NORMAL[priors])
    c, z, *hyper = case.draw_point()
    _, gradient, hessian = differentiate(case.cells, case.priors, c, z, *hyper)
    point, places = case.kernel_point(c, z, *hyper)
    slope, curvature, to_graph = graph_derivatives(case, patients, point)
    to_graph = to_graph[:, places]
    close(gradient, to_graph.T @ slope, EXACT)
    close(hessian, to_graph.T @ curvature @ to_graph, EXACT)


def graph_derivatives(case: Case, patients: sw.Cohort, point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the graph's gradient and Hessian in its own coordinates of (c, z), and their derivative in the kernel's point."""
    import pytensor
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode
    from pytensor.gradient import jacobian

    interpreted = Mode(linker="py", optimizer=None)
    model = case.spec.to_pymc(patients)

    def graph_point(points: np.ndarray) -> dict[str, np.ndarray]:
        parameters = packing.unpack(case.spec, case.data, points[None])
        found = {}
        for variable in model.free_RVs:
            value, transform = parameters[variable.name].to_numpy()[0], model.rvs_to_transforms[variable]
            if transform is not None:
                value = transform.forward(pt.as_tensor(value), *variable.owner.inputs).eval(mode=interpreted)
            found[model.rvs_to_values[variable].name] = value
        return found

    hyperparameters = {"site_sd", "site_slope_sd", *(item.name for item in case.spec.family.shape_parameters)}
    moving = [model.rvs_to_values[variable] for variable in model.free_RVs if variable.name not in hyperparameters]
    # The map is linear in c and z, so that these differences have no truncation error.
    below, above = (graph_point(point + step * np.eye(point.size)) for step in (-0.5, 0.5))
    to_graph = np.concatenate([(above[v.name] - below[v.name]).reshape(point.size, -1).T for v in moving])
    density = model.logp()
    slope = pt.concatenate([pytensor.grad(density, variable).ravel() for variable in moving])
    rows = [jacobian(slope, variable, vectorize=True) for variable in moving]
    compiled = model.compile_fn([slope, *rows], inputs=model.value_vars, mode=interpreted, on_unused_input="ignore")
    gradient, *blocks = compiled({name: value[0] for name, value in graph_point(point[None]).items()})
    return gradient, np.hstack([block.reshape(gradient.size, -1) for block in blocks]), to_graph


@pytest.mark.parametrize("sites", ["random", "fixed", "slopes", "numeric slopes"])
@models
def test_laplace_is_that_of_the_whole_hessian(family, metric, sites, cohorts, differentiate, approximate):
    """The arrow's determinant and precision are those of the dense matrix, at a point where the gradient is zero.

    Newton stops after a step that gains less than CONVERGED, of at most sqrt(2 CONVERGED) sds; the determinant and the factor
    are of the point before it, and change by a share of that size.
    """
    case = make_case(cohorts[DATA[1]], DATA[1], family=family, metric=metric, sites=SITES[sites])
    c, z, *hyper = case.draw_point()
    found, factor = approximate(case.cells, case.priors, c, z, *hyper)
    value, gradient, hessian = differentiate(case.cells, case.priors, c, z, *hyper)
    step = np.sqrt(2 * CONVERGED)
    assert np.abs(gradient).max() < step * np.sqrt(np.abs(hessian).max())
    dense = value - 0.5 * np.linalg.slogdet(-hessian)[1] + 0.5 * gradient.size * np.log(2 * np.pi)
    assert found == pytest.approx(dense, abs=step)
    marginal_precision = np.linalg.inv(np.linalg.inv(-hessian)[: c.size, : c.size])
    close(factor @ factor.T, marginal_precision, step)


REAL = {
    "Normal": sw.Prior("Normal", mu=0.3, sigma=1.2),
    "StudentT": sw.Prior("StudentT", nu=3, mu=0.1, sigma=0.7),
    "Cauchy": sw.Prior("Cauchy", alpha=0.2, beta=0.9),
    "Laplace": sw.Prior("Laplace", mu=-0.2, b=0.6),
}


@pytest.mark.parametrize("prior", REAL.values(), ids=REAL.keys())
def test_stand_ins_are_concave_and_touch_from_below(prior):
    code = np.array(prior_codes.encode(prior, prior_codes.REAL))
    everywhere = np.linspace(-30, 30, 2001)
    density = np.array([prior_log_density(int(code[0]), *code[1:], x)[0] for x in everywhere])
    for x in (-8.0, -0.7, 0.15, 0.9, 12.0):
        value, slope, precision = normal_stand_in(int(code[0]), *code[1:], x)
        assert precision > 0
        normal = value + slope * (everywhere - x) - 0.5 * precision * (everywhere - x) ** 2
        if prior.dist == "Laplace":  # has a kink; the normal of its mean and variance stands in
            mass = integrate.trapezoid(np.exp(normal), everywhere)
            mean = integrate.trapezoid(np.exp(normal) * everywhere, everywhere)
            assert mass == pytest.approx(1)
            assert mean == pytest.approx(-0.2)
            assert 1 / precision == pytest.approx(2 * 0.6**2)
        else:
            assert (value, slope) == pytest.approx(prior_log_density(int(code[0]), *code[1:], x))
            assert (normal <= density + 1e-12).all()


def test_every_real_prior_of_the_kernel_is_tried():
    assert set(REAL) == set(prior_codes.REAL)
