"""The model's log density and gradient against a second implementation: scipy for values, complex steps for gradients.

The second implementation below shares nothing with the package: the Weibull of each patient is written with its own scale,
the design columns are made with pandas, the prior is the contract's product of densities over (shape, log median of the
reference patient, coefficients, site spread, site effects). A complex-step derivative Im f(x + i h) / h with h = 1e-30 has no
subtraction, hence no rounding beyond that of f itself (Squire & Trapp 1998, SIAM Review 40:110).

Tolerance 1e-10 (relative, and absolute near zero) throughout: sums of some hundred terms of size up to 1e3 in doubles
carry rounding of about 1e-12. The exception is the normalising constant of a few of PyMC's priors, which no posterior
depends on: it takes log 2 of a half-Cauchy in single precision (2e-9).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pymc as pm
import pytensor
import pytest
from scipy import stats
from scipy.linalg import helmert

import sitewise as sw
from sitewise.inference import kernel, packing
from sitewise.inference.densities import log_prior, pointwise_log_likelihood
from sitewise.models.graph import build
from sitewise.models.resolve import prepare

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
NORMALISED = 1e-8
STEP = 1e-30
SITES = {
    "random": sw.RandomSites(),
    "centred": sw.RandomSites(centred=True),
    "fixed": sw.FixedSites(),
    "none": sw.NoSites(),
}


@dataclass(frozen=True)
class Case:
    family: str = "weibull"
    metric: str = "hazard-ratio"
    sites: str = "random"
    entry: bool = False
    weights: bool = False
    guarantee: float = 0.0
    terms: tuple[str, ...] = ("ecog", "age", "stage")

    def __str__(self):
        options = [self.family, self.metric, self.sites]
        options += ["entry"] * self.entry + ["weights"] * self.weights + ["guarantee"] * (self.guarantee > 0)
        return "-".join([*options, "+".join(self.terms) or "no-terms"])


CASES = [
    Case(),
    Case(sites="centred", entry=True),
    Case(sites="fixed", weights=True),
    Case(sites="none", guarantee=1.95),
    Case(metric="time-ratio", entry=True, weights=True, guarantee=1.95),
    Case(metric="time-ratio", sites="centred"),
    Case(metric="time-ratio", sites="fixed", guarantee=1.95),
    Case(family="exponential", weights=True),
    Case(family="exponential", metric="time-ratio", sites="none", entry=True),
    Case(sites="none", entry=True, weights=True, terms=()),
    Case(entry=True, weights=True, guarantee=1.95, terms=("stage",)),
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture
def table(case, make_frame):
    return make_frame(45, seed=3, guarantee=case.guarantee)


@pytest.fixture
def cohort(case, table, read):
    return read(
        table,
        entry="start" if case.entry else None,
        weights="weight" if case.weights else None,
        id="patient",
    )


@pytest.fixture
def spec(case, cohort):
    family = sw.Weibull() if case.family == "weibull" else sw.Exponential()
    return sw.ModelSpec(
        terms=case.terms,
        sites=SITES[case.sites],
        family=family,
        metric=case.metric,
        guarantee_time=case.guarantee,
    ).resolve(cohort)


@pytest.fixture
def model(spec, cohort):
    return spec.to_pymc(cohort)


class Second:
    """The second implementation, for real and complex parameters."""

    def __init__(self, case, table, columns):
        self.case = case
        g = case.guarantee
        self.time = table["months"].to_numpy() - g
        self.event = table["died"].to_numpy(dtype=float)
        start = table["start"].to_numpy() if case.entry else np.zeros(len(table))
        self.entry = np.maximum(start - g, 0.0)
        self.weight = table["weight"].to_numpy() if case.weights else np.ones(len(table))
        self.site = table["hospital"].to_numpy() - 1
        self.hospitals = self.site.max() + 1
        made = {
            "ecog[>=1]": (table["ecog"] == ">=1").to_numpy(dtype=float),
            "age": table["age"].to_numpy(),
            "stage[II]": (table["stage"] == "II").to_numpy(dtype=float),
            "stage[III]": (table["stage"] == "III").to_numpy(dtype=float),
        }
        self.matrix = np.column_stack([made[name] for name in columns]) if columns else np.zeros((len(table), 0))
        # The reference patient: first level of every category (zeros), median of age.
        self.reference = np.array([np.median(table["age"]) if name == "age" else 0.0 for name in columns])
        self.sd = np.array([np.std(table["age"], ddof=1) if name == "age" else 1.0 for name in columns])
        person_time = np.sum(self.weight * (table["months"].to_numpy() - np.maximum(start, g)))
        self.median_guess = np.log(np.log(2) * person_time / np.sum(self.weight * self.event))

    def natural(self, point):
        """Return k, log scale at the means, coefficients, site effects and site sd of an unconstrained point."""
        case = self.case
        k = np.exp(point["shape_log__"]) if case.family == "weibull" else 1.0
        log_scale = point["log_median_at_means"] - np.log(np.log(2)) / k
        name = "log_hazard_ratio" if case.metric == "hazard-ratio" else "log_time_ratio"
        effect = point.get(name, np.zeros(0))
        site_sd, site_effect = None, np.zeros(self.hospitals)
        if case.sites in ("random", "centred"):
            site_sd = np.exp(point["site_sd_log__"])
            site_effect = point["site_effect"] if case.sites == "centred" else site_sd * point["site_effect_standardised"]
        if case.sites == "fixed":
            site_effect = self.zero_sum(point["site_effect_zerosum__"])
        return k, log_scale, effect, site_effect, site_sd

    @staticmethod
    def zero_sum(free):
        """Return J numbers that sum to zero from J - 1 free ones: an isometry (its Jacobian is one).

        x -> (x, 0) reflected so that the hyperplane "last = 0" becomes "sum = 0": the Householder reflection that swaps the
        last unit vector with -(1, ..., 1) / sqrt(J), PyMC's choice of sign.
        """
        size = free.size + 1
        last = np.zeros(size)
        last[-1] = 1.0
        normal = last + np.ones(size) / np.sqrt(size)
        extended = np.concatenate([free, np.zeros(1, dtype=free.dtype)])
        return extended - 2 * normal * (normal @ extended) / (normal @ normal)

    def scales(self, point):
        """Return k and the Weibull scale of each patient, beyond the guarantee time."""
        k, log_scale, effect, site_effect, _ = self.natural(point)
        predictor = (self.matrix - self.matrix.mean(axis=0)) @ effect + site_effect[self.site]
        if self.case.metric == "hazard-ratio":
            predictor = -predictor / k
        return k, np.exp(log_scale + predictor)

    def log_likelihood(self, point):
        k, scale = self.scales(point)
        density = np.log(k) - np.log(scale) + (k - 1) * np.log(self.time / scale)
        return self.weight * (self.event * density - (self.time / scale) ** k + self._entry_term(k, scale))

    def _entry_term(self, k, scale):
        late = self.entry > 0
        term = np.zeros_like(scale)
        term[late] = (self.entry[late] / scale[late]) ** k
        return term

    def log_likelihood_by_scipy(self, point):
        k, scale = self.scales(point)
        law = stats.weibull_min(k, scale=scale)
        each = np.where(self.event == 1, law.logpdf(self.time), law.logsf(self.time)) - law.logsf(self.entry)
        return self.weight * each

    def log_prior(self, point):
        """Return the log density of the unconstrained parameters."""
        k, log_scale, effect, site_effect, site_sd = self.natural(point)

        def normal(x, mean, sd):
            return np.sum(-0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi))

        # S(median | reference patient, average site) = 1/2, solved for log median.
        distance = (self.reference - self.matrix.mean(axis=0)) @ effect
        if self.case.metric == "hazard-ratio":
            log_median = log_scale + (np.log(np.log(2)) - distance) / k
        else:
            log_median = log_scale + np.log(np.log(2)) / k + distance
        total = normal(log_median, self.median_guess, 1.5) + normal(effect, 0.0, 1 / self.sd)
        if self.case.family == "weibull":
            total += normal(np.log(k), 0.0, 0.5)  # LogNormal(0, .5) on k is this normal on log k, Jacobian included
        if site_sd is not None:
            total += np.log(2) + normal(site_sd, 0.0, 0.5) + np.log(site_sd)  # HalfNormal(.5); d sd / d log sd = sd
            if self.case.sites == "centred":
                total += normal(site_effect, 0.0, site_sd)
            else:
                total += normal(point["site_effect_standardised"], 0.0, 1.0)
        if self.case.sites == "fixed":
            size = site_effect.size
            total += -0.5 * np.sum(site_effect**2) - 0.5 * (size - 1) * np.log(2 * np.pi)
        return total

    def gradient(self, function, point):
        result = {}
        for name, values in point.items():
            flat = np.zeros(np.size(values))
            for index in range(flat.size):
                moved = {key: np.array(value, dtype=complex) for key, value in point.items()}
                moved[name].reshape(-1)[index] += 1j * STEP
                flat[index] = np.imag(np.sum(function(moved))) / STEP
            result[name] = flat.reshape(np.shape(values))
        return result


@pytest.fixture
def second(case, table, spec):
    return Second(case, table, spec.resolved.columns)


def random_points(model, count, seed=7):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        point = {}
        for name, start in model.initial_point().items():
            size = 0.02 if name in ("log_hazard_ratio", "log_time_ratio") else 0.4
            point[name] = np.asarray(start, dtype=float) + size * rng.standard_normal(np.shape(start))
        yield point


def test_design_columns_are_those_of_the_second_implementation(case, spec):
    expected = {"ecog": ["ecog[>=1]"], "age": ["age"], "stage": ["stage[II]", "stage[III]"]}
    assert list(spec.resolved.columns) == [column for term in case.terms for column in expected[term]]


def test_second_implementation_agrees_with_scipy(model, second):
    for point in random_points(model, 3):
        np.testing.assert_allclose(second.log_likelihood(point), second.log_likelihood_by_scipy(point), rtol=1e-12, atol=1e-12)


def test_log_likelihood_and_its_gradient(model, second, interpreted):
    observed = model["survival_time"]
    each = model.logp(vars=[observed], jacobian=False, sum=False)[0]
    gradient = pytensor.grad(each.sum(), model.value_vars, disconnected_inputs="ignore")
    evaluate = interpreted(model, [each, *gradient])
    for point in random_points(model, 4):
        values, *slopes = evaluate(point)
        np.testing.assert_allclose(values, second.log_likelihood_by_scipy(point), **TOLERANCE)
        expected = second.gradient(second.log_likelihood, point)
        for variable, slope in zip(model.value_vars, slopes, strict=True):
            np.testing.assert_allclose(slope, expected[variable.name], err_msg=variable.name, **TOLERANCE)


def test_joint_density_and_its_gradient(model, second, interpreted):
    """Likelihood x prior, where the prior is the product of the stated densities over the *reference patient's* median.

    The graph samples the median at the covariate means; the two differ by a shift given shape and coefficients, and
    the agreement here says that the change of variables is exact.
    """
    total = model.logp()
    gradient = pytensor.grad(total, model.value_vars)
    evaluate = interpreted(model, [total, *gradient])
    constant = None
    for point in random_points(model, 4):
        value, *slopes = evaluate(point)
        excess = value - second.log_likelihood_by_scipy(point).sum() - second.log_prior(point)
        constant = excess if constant is None else constant
        assert excess == pytest.approx(0.0, abs=NORMALISED)
        assert excess == pytest.approx(constant, abs=1e-10)
        expected = second.gradient(lambda moved: second.log_likelihood(moved).sum() + second.log_prior(moved), point)
        for variable, slope in zip(model.value_vars, slopes, strict=True):
            np.testing.assert_allclose(slope, expected[variable.name], err_msg=variable.name, **TOLERANCE)


def from_kernel(case, second, spec, x):
    """Read a point of the compiled density, as its documentation orders it, into the names that the graph uses.

    Log shape; coefficients times the population sds of their columns; log site sd; site effects (in a Helmert basis when they
    sum to zero); the log median at the means.
    """
    values = list(x)
    point = {}
    if case.family == "weibull":
        point["shape_log__"] = values.pop(0)
    count = len(spec.resolved.columns)
    name = "log_hazard_ratio" if case.metric == "hazard-ratio" else "log_time_ratio"
    point[name] = np.array(values[:count]) / second.matrix.std(axis=0)
    values = values[count:]
    if case.sites in ("random", "centred"):
        point["site_sd_log__"] = values.pop(0)
    point["log_median_at_means"] = values.pop()
    if case.sites == "random":
        point["site_effect_standardised"] = np.array(values)
    if case.sites == "centred":
        point["site_effect"] = np.array(values)
    if case.sites == "fixed":
        # Any orthonormal basis of the vectors of sum zero will do: rotate into the coordinates of ``zero_sum``.
        effects = helmert(second.hospitals).T @ np.array(values)
        columns = np.column_stack([second.zero_sum(unit) for unit in np.eye(second.hospitals - 1)])
        point["site_effect_zerosum__"] = columns.T @ effects
    return point


def test_the_compiled_density_and_its_gradient(case, spec, cohort, second):
    """What is sampled by default is a hand-written gradient in its own coordinates: value and slopes against this file."""
    packed, free = packing.pack(spec, prepare(spec, cohort))
    middle = packing.centre(spec, prepare(spec, cohort), free)
    rng = np.random.default_rng(13)
    constant = None
    for _ in range(4):
        x, slopes = middle + 0.4 * rng.standard_normal(free), np.empty(free)
        value = kernel.log_density(x, packed, slopes)

        def total(moved):
            point = from_kernel(case, second, spec, moved)
            return second.log_likelihood(point).sum() + second.log_prior(point)

        excess = value - total(x)
        constant = excess if constant is None else constant
        # The Jacobian of the coefficients' units is a constant that the density leaves out.
        assert excess == pytest.approx(constant, abs=1e-10 * abs(value))
        expected = np.empty(free)
        for index in range(free):
            moved = x.astype(complex)
            moved[index] += 1j * STEP
            expected[index] = np.imag(total(moved)) / STEP
        np.testing.assert_allclose(slopes, expected, **TOLERANCE)


def as_fit(case, spec, cohort, second, points, hand_made):
    naturals = [second.natural(point) for point in points]
    options = {}
    if case.family == "weibull":
        options["shape"] = [item[0] for item in naturals]
    if case.terms:
        options["coefficients"] = [item[2] for item in naturals]
    if case.sites != "none":
        options["site_effect"] = [item[3] for item in naturals]
    if case.sites in ("random", "centred"):
        options["site_sd"] = [item[4] for item in naturals]
    return hand_made(spec, cohort, log_scale=[item[1] for item in naturals], **options)


def test_stored_log_likelihood_equals_the_graph(case, model, spec, cohort, second, hand_made, interpreted):
    points = list(random_points(model, 3))
    fit = as_fit(case, spec, cohort, second, points, hand_made)
    found = pointwise_log_likelihood(spec, fit.posterior, prepare(spec, cohort))["survival_time"]
    assert found.dims == ("chain", "draw", "patient")
    evaluate = interpreted(model, model.logp(vars=[model["survival_time"]], jacobian=False, sum=False)[0])
    for draw, point in enumerate(points):
        np.testing.assert_allclose(found[0, draw], evaluate(point), **TOLERANCE)


def test_stored_log_prior_equals_the_graph(case, model, spec, cohort, second, hand_made, interpreted):
    """Sums agree; a non-centred graph has N(z; 0, 1) = N(b; 0, sd) x sd for each site, and the store speaks of b."""
    points = list(random_points(model, 3))
    fit = as_fit(case, spec, cohort, second, points, hand_made)
    stored = log_prior(spec, fit.posterior)
    evaluate = interpreted(model, model.logp(vars=model.free_RVs, jacobian=False))
    for draw, point in enumerate(points):
        total = sum(float(values.isel(chain=0, draw=draw).sum()) for values in stored.data_vars.values())
        if case.sites == "random":
            total += second.hospitals * float(point["site_sd_log__"])
        assert total == pytest.approx(float(evaluate(point)), rel=1e-10, abs=1e-10)


def test_centred_and_non_centred_sites_are_the_same_model(make_frame, read, interpreted):
    """p(b, sd) = p(z, sd) / sd^J at b = sd z, for the whole joint density."""
    cohort = read(make_frame(45, seed=3))
    base = sw.ModelSpec(terms=("ecog", "age")).resolve(cohort)
    changed = sw.ModelSpec(terms=("ecog", "age"), sites=sw.RandomSites(centred=True)).resolve(cohort)
    apart, together = base.to_pymc(cohort), changed.to_pymc(cohort)
    density = {"apart": interpreted(apart, apart.logp()), "together": interpreted(together, together.logp())}
    for point in random_points(apart, 4):
        sd = np.exp(point["site_sd_log__"])
        centred = {name: value for name, value in point.items() if name != "site_effect_standardised"}
        centred["site_effect"] = sd * point["site_effect_standardised"]
        jacobian = len(cohort.site_labels) * np.log(sd)
        assert density["together"](centred) + jacobian == pytest.approx(density["apart"](point), rel=1e-10)


PRIORS = {
    "mixed kinds": (
        sw.Priors(
            shape=sw.Prior("Gamma", alpha=4.0, beta=3.0),
            terms={
                "age": sw.Prior("Laplace", mu=0.01, b=0.05),
                "stage[III]": sw.Prior("StudentT", nu=4, mu=0.5, sigma=0.7),
            },
            log_scale=sw.Prior("StudentT", nu=3, mu=2.5, sigma=0.8),
            site_sd=sw.Prior("Exponential", lam=2.0),
        ),
        {
            "shape": stats.gamma(4.0, scale=1 / 3.0),
            "age": stats.laplace(0.01, 0.05),
            "stage[III]": stats.t(4, 0.5, 0.7),
            "ecog[>=1]": stats.norm(0, 1),
            "stage[II]": stats.norm(0, 1),
            "log_scale": stats.t(3, 2.5, 0.8),
            "site_sd": stats.expon(scale=0.5),
        },
    ),
    "one kind, at the means": (
        sw.Priors(
            coefficients=sw.Prior("Cauchy", alpha=0.0, beta=0.3),
            log_scale_at_means=sw.Prior("Uniform", lower=-5.0, upper=12.0),
            site_sd=sw.Prior("HalfCauchy", beta=0.4),
        ),
        {
            "shape": stats.lognorm(0.5),
            **{name: stats.cauchy(0, 0.3) for name in ("ecog[>=1]", "age", "stage[II]", "stage[III]")},
            "log_scale_at_means": stats.uniform(-5, 17),
            "site_sd": stats.halfcauchy(scale=0.4),
        },
    ),
}


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
@pytest.mark.parametrize("name", PRIORS)
def test_user_priors_enter_the_graph_and_the_stored_log_prior(name, metric, make_frame, read, hand_made, interpreted):
    priors, laws = PRIORS[name]
    cohort = read(make_frame(45, seed=3))
    spec = sw.ModelSpec(terms=("ecog", "age", "stage"), priors=priors, metric=metric).resolve(cohort)
    columns = spec.resolved.columns
    rng = np.random.default_rng(5)
    k, sd, log_scale = 1.4, 0.35, 2.9
    effect, z = 0.1 * rng.standard_normal(len(columns)), rng.standard_normal(len(cohort.site_labels))
    fit = hand_made(spec, cohort, shape=[k], log_scale=[log_scale], coefficients=[effect], site_effect=[sd * z], site_sd=[sd])
    drawn = fit.posterior.isel(chain=0, draw=0)
    expected = laws["shape"].logpdf(k) + laws["site_sd"].logpdf(sd)
    expected += sum(laws[column].logpdf(value) for column, value in zip(columns, effect, strict=True))
    baseline = "log_scale" if "log_scale" in laws else "log_scale_at_means"
    expected += laws[baseline].logpdf(float(drawn[baseline]))
    stored = log_prior(spec, fit.posterior)
    total = sum(float(values.sum()) for values in stored.data_vars.values())
    assert total == pytest.approx(expected + stats.norm(0, sd).logpdf(sd * z).sum(), abs=NORMALISED)

    model = build(spec, prepare(spec, cohort))
    at = "log_hazard_ratio" if metric == "hazard-ratio" else "log_time_ratio"
    point = {"shape": k, "site_sd": sd, "site_effect_standardised": z, "log_scale_at_means": log_scale, at: effect}
    point |= {f"{at}[{column}]": value for column, value in zip(columns, effect, strict=True)}
    values = {}
    for variable in model.free_RVs:
        transform, raw = model.rvs_to_transforms[variable], np.asarray(point[variable.name], dtype=float)
        value = model.rvs_to_values[variable]
        inputs = variable.owner.inputs
        values[value.name] = raw if transform is None else transform.forward(pm.math.constant(raw), *inputs).eval()
    evaluate = interpreted(model, model.logp(vars=model.free_RVs, jacobian=False))
    assert float(evaluate(values)) == pytest.approx(expected + stats.norm.logpdf(z).sum(), abs=NORMALISED)
