"""Correlated and Student-t sites: the graph's log density and gradient against a second implementation.

As in ``test_log_density``: the second implementation shares nothing with the package, values come from scipy, gradients from
complex steps. A point of the graph's correlation matrix is three numbers (x0, x1, x2), the rows of whose Cholesky factor L are
(1, 0, 0), (x2, 1, 0) and (x1, x0, 1), each divided by its length: that map is written out here with its Jacobian, and the LKJ
density is that of the correlations themselves. Tolerances as there.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytensor
import pytest
from scipy import integrate, stats
from scipy.special import loggamma

import sitewise as sw
from sitewise.inference.densities import log_prior, pointwise_log_likelihood
from sitewise.inference.prior import prior_draws
from sitewise.models.correlation import lkj_log_density
from sitewise.models.graph import stored_variables
from sitewise.models.resolve import prepare

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
STEP = 1e-30
ETA = 2.0


@dataclass(frozen=True)
class Case:
    sites: sw.RandomSites
    metric: str = "hazard-ratio"
    groupings: tuple[str, ...] = ()

    def __str__(self):
        kind = "correlated" if self.sites.correlated else f"t-{self.sites.degrees_of_freedom}"
        kind = "+".join(["sites", *self.groupings]) if self.groupings else kind
        return f"{kind}-{'centred' if self.sites.centred else 'standardised'}-{self.metric}"


CORRELATED = sw.RandomSites(slopes=("ecog", "age"), correlated=True)
STUDENT_T = sw.RandomSites(distribution="student-t", degrees_of_freedom=3.5)
ESTIMATED = sw.RandomSites(distribution="student-t", degrees_of_freedom=None)
CASES = [
    Case(CORRELATED),
    Case(replace(CORRELATED, centred=True), "time-ratio"),
    Case(STUDENT_T),
    Case(replace(STUDENT_T, centred=True), "time-ratio"),
    Case(ESTIMATED, "time-ratio"),
    Case(replace(ESTIMATED, centred=True)),
    Case(sw.RandomSites(), groupings=("surgeon", "ward")),
    Case(sw.RandomSites(centred=True), "time-ratio", groupings=("surgeon",)),
]


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def table(make_frame):
    """Surgeons are crossed with hospitals and numbers; wards are nested, each hospital having its own."""
    frame = make_frame(40, seed=4)
    ward = np.where(frame["age"] > 62, "a", "b")
    return frame.assign(
        surgeon=np.arange(40) % 11 + 1,
        ward=[f"{row.hospital} {name}" for row, name in zip(frame.itertuples(), ward, strict=True)],
    )


@pytest.fixture(scope="module")
def cohort(table, read):
    return read(table, covariates=["ecog", "age", "surgeon", "ward"])


@pytest.fixture(scope="module")
def spec(case, cohort):
    spec = sw.ModelSpec(terms=("ecog", "age"), sites=case.sites, metric=case.metric, groupings=case.groupings)
    return spec.resolve(cohort)


@pytest.fixture(scope="module")
def model(spec, cohort):
    return spec.to_pymc(cohort)


def normal(x, mean, sd):
    return np.sum(-0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi))


def log_uniform_volume(size):
    """Log of the volume of the correlation matrices of that size with respect to their correlations: 2 or pi^2 / 2."""
    return {2: np.log(2.0), 3: np.log(np.pi**2 / 2)}[size]


class Second:
    """The second implementation, for real and complex parameters."""

    def __init__(self, case, table):
        self.case = case
        self.time = table["months"].to_numpy()
        self.event = table["died"].to_numpy(dtype=float)
        self.site = table["hospital"].to_numpy() - 1
        self.group = {"surgeon": table["surgeon"].to_numpy() - 1, "ward": np.unique(table["ward"], return_inverse=True)[1]}
        self.matrix = np.column_stack([(table["ecog"] == ">=1").to_numpy(dtype=float), table["age"].to_numpy()])
        self.reference = np.array([0.0, np.median(table["age"])])
        self.units = np.array([1.0, np.std(table["age"], ddof=1)])
        self.median_guess = np.log(np.log(2) * self.time.sum() / self.event.sum())

    def factor(self, x):
        """Return the Cholesky factor of the correlation matrix, and log |d correlations / d x|."""
        second, third = 1 + x[2] ** 2, 1 + x[0] ** 2 + x[1] ** 2
        rows = [[1 + 0 * x[0], 0 * x[0], 0 * x[0]], [x[2], 1.0, 0 * x[0]], [x[1], x[0], 1.0]]
        lengths = np.array([1.0 + 0 * x[0], np.sqrt(second), np.sqrt(third)])
        # d r21 / d x2 = second^(-3/2); d (L31, L32) / d (x1, x0) = third^-2; r31 = L31, d r32 / d L32 = L22.
        return np.array(rows) / lengths[:, None], -1.5 * np.log(second) - 2 * np.log(third) - 0.5 * np.log(second)

    def sites(self, point):
        """Return effects (J,), slopes (J, 2) and the log density of the sites' parameters with that of their transforms."""
        sites = self.case.sites
        sd = np.exp(point["site_sd_log__"])
        total = np.log(2) + normal(sd, 0.0, 0.5) + np.log(sd)
        if not sites.slopes:
            freedom = sites.degrees_of_freedom
            if sites.is_student_t and freedom is None:
                above = np.exp(point["site_degrees_of_freedom_above_2_log__"])
                freedom = 2 + above
                total += 2 * np.log(0.1) + np.log(above) - 0.1 * above + np.log(above)  # Gamma(2, .1); d above / d log above
            standard = point["site_effect"] / sd if sites.centred else point["site_effect_standardised"]
            total += self.log_t(standard, freedom) if sites.is_student_t else normal(standard, 0.0, 1.0)
            total -= np.log(sd) * standard.size if sites.centred else 0.0
            return sd * standard, np.zeros((standard.size, 2)), total
        slope_sd = np.exp(point["site_slope_sd_log__"])
        total += np.sum(
            np.log(2) - 0.5 * np.log(2 * np.pi) - np.log(0.5 / self.units) - 0.5 * (slope_sd * self.units / 0.5) ** 2
        )
        total += np.log(slope_sd).sum()
        factor, jacobian = self.factor(point["site_correlation_cholesky_cholesky_corr__"])
        det = (factor[1, 1] * factor[2, 2]) ** 2
        total += jacobian + (ETA - 1) * np.log(det) - LKJ_CONSTANT
        sds = np.concatenate([[sd], slope_sd])
        root = sds[:, None] * factor
        if sites.centred:
            both = np.column_stack([point["site_effect"], point["site_slope"]])
            z = np.linalg.solve(root, both.T).T
            total += normal(z, 0.0, 1.0) - both.shape[0] * np.log(np.diag(root)).sum()
        else:
            z = np.column_stack([point["site_effect_standardised"], point["site_slope_standardised"]])
            both = z @ root.T
            total += normal(z, 0.0, 1.0)
        return both[:, 0], both[:, 1:], total

    @staticmethod
    def log_t(standard, freedom):
        """Student's t with sd one: scale sqrt((nu - 2) / nu)."""
        scale = np.sqrt((freedom - 2) / freedom)
        constant = loggamma((freedom + 1) / 2) - loggamma(freedom / 2) - 0.5 * np.log(freedom * np.pi) - np.log(scale)
        return np.sum(constant - (freedom + 1) / 2 * np.log(1 + (standard / scale) ** 2 / freedom))

    def groups(self, point):
        """Return what further groupings add to each patient's predictor, and the log density of their parameters."""
        moved, total = np.zeros(self.time.size), 0.0
        for name in self.case.groupings:
            sd, z = np.exp(point[f"grouping_sd[{name}]_log__"]), point[f"grouping_effect_standardised[{name}]"]
            total += np.log(2) + normal(sd, 0.0, 0.5) + np.log(sd) + normal(z, 0.0, 1.0)
            moved = moved + sd * z[self.group[name]]
        return moved, total

    def natural(self, point):
        k = np.exp(point["shape_log__"])
        log_scale = point["log_median_at_means"] - np.log(np.log(2)) / k
        return k, log_scale, point["log_hazard_ratio" if self.case.metric == "hazard-ratio" else "log_time_ratio"]

    def log_likelihood(self, point):
        """Return each patient's log likelihood."""
        k, log_scale, beta = self.natural(point)
        effect, slopes, _ = self.sites(point)
        predictor = (self.matrix - self.matrix.mean(axis=0)) @ beta + effect[self.site]
        predictor = predictor + (slopes[self.site] * (self.matrix - self.reference)).sum(axis=1) + self.groups(point)[0]
        log_scales = log_scale + (predictor if self.case.metric == "time-ratio" else -predictor / k)
        z = k * (np.log(self.time) - log_scales)
        return self.event * (np.log(k) + z - np.log(self.time)) - np.exp(z)

    def log_prior(self, point):
        k, _, beta = self.natural(point)
        shift = (self.matrix.mean(axis=0) - self.reference) @ beta
        log_median = point["log_median_at_means"] - (shift if self.case.metric == "time-ratio" else -shift / k)
        total = normal(log_median, self.median_guess, 1.5) + normal(beta, 0.0, 1 / self.units) + normal(np.log(k), 0.0, 0.5)
        return total + self.sites(point)[2] + self.groups(point)[1]

    def joint(self, point):
        return self.log_likelihood(point).sum() + self.log_prior(point)


def lkj_constant(eta):
    """Log of the integral of det(R)^(eta - 1) over 3 x 3 correlation matrices, by adaptive quadrature.

    Given r21 and r31, r32 lies within r21 r31 +- s, s^2 = (1 - r21^2)(1 - r31^2), and det = s^2 - (r32 - r21 r31)^2: the inner
    integral is s^(2 eta - 1) times that of (1 - u^2)^(eta - 1).
    """
    inner = integrate.quad(lambda u: (1 - u * u) ** (eta - 1), -1, 1, epsabs=1e-14)[0]
    outer = integrate.quad(lambda r: (1 - r * r) ** (eta - 0.5), -1, 1, epsabs=1e-14)[0]
    return np.log(inner * outer**2)


LKJ_CONSTANT = lkj_constant(ETA)


@pytest.fixture(scope="module")
def second(case, table):
    return Second(case, table)


def random_points(model, count, seed=7):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        point = {}
        for name, start in model.initial_point().items():
            size = 0.02 if name in ("log_hazard_ratio", "log_time_ratio", "site_slope") else 0.5
            point[name] = np.asarray(start, dtype=float) + size * rng.standard_normal(np.shape(start))
        yield point


@pytest.mark.parametrize("eta", [0.7, 1.0, 2.0, 5.5])
def test_lkj_density_is_normalised(eta):
    one = np.eye(3)[None]
    assert lkj_log_density(eta, one)[0] == pytest.approx(-lkj_constant(eta), abs=1e-9)
    pair = np.array([[1.0, 0.3], [0.3, 1.0]])
    expected = stats.beta(eta, eta).logpdf(0.65) - np.log(2)  # r = 2 y - 1
    assert lkj_log_density(eta, pair) == pytest.approx(expected, abs=1e-12)


def test_volumes_of_correlation_matrices():
    for size in (2, 3):
        assert lkj_log_density(1.0, np.eye(size)) == pytest.approx(-log_uniform_volume(size), abs=1e-12)


@pytest.fixture(scope="module")
def evaluate(model, interpreted):
    """A function of a point: log density, its gradients, log density without Jacobians of transforms, stored variables."""
    total, kept = model.logp(), stored_variables(model)
    gradients = pytensor.grad(total, model.value_vars)
    outputs = [total, model.logp(jacobian=False), *gradients, *model.replace_rvs_by_values(kept)]
    function = interpreted(model, outputs)

    def values(point):
        total, plain, *rest = function(point)
        return total, plain, rest[: len(gradients)], rest[len(gradients) :]

    return values


def test_joint_density_and_its_gradient(model, second, evaluate):
    for point in random_points(model, 3):
        value, _, slopes, _ = evaluate(point)
        assert value == pytest.approx(second.joint(point), abs=1e-8)
        for variable, slope in zip(model.value_vars, slopes, strict=True):
            expected = np.zeros(np.size(point[variable.name]))
            for index in range(expected.size):
                moved = {key: np.array(values, dtype=complex) for key, values in point.items()}
                moved[variable.name].reshape(-1)[index] += 1j * STEP
                expected[index] = np.imag(second.joint(moved)) / STEP
            found = np.reshape(slope, -1)
            np.testing.assert_allclose(found, expected, err_msg=variable.name, **TOLERANCE)


def test_stored_densities_are_those_of_the_graph(case, model, spec, cohort, second, evaluate):
    """Beside the draws: likelihoods patient by patient; log priors, which sum to the prior without its transforms."""
    data = prepare(spec, cohort)
    kept = stored_variables(model)
    point = next(random_points(model, 1, seed=11))
    _, plain, _, values_at = evaluate(point)
    template = prior_draws(spec, data, draws=1, seed=1)
    posterior = template.assign(
        {
            item.name: (template[item.name].dims, np.asarray(values)[None, None])
            for item, values in zip(kept, values_at, strict=True)
        }
    )
    found = pointwise_log_likelihood(spec, posterior, data)["survival_time"].to_numpy()[0, 0]
    np.testing.assert_allclose(found, second.log_likelihood(point), **TOLERANCE)
    stored = log_prior(spec, posterior)
    total = sum(float(values.sum()) for values in stored.data_vars.values())
    if not case.sites.centred:  # stored of the effects themselves, sampled standardised
        sds = float(posterior["site_sd"][0, 0])
        jacobian = posterior.sizes["site"] * np.log(sds)
        if case.sites.correlated:
            factor, _ = second.factor(point["site_correlation_cholesky_cholesky_corr__"])
            slope_sd = posterior["site_slope_sd"].to_numpy()[0, 0]
            jacobian += posterior.sizes["site"] * np.log(slope_sd * np.diag(factor)[1:]).sum()
        total += jacobian
    for name in case.groupings:  # always sampled standardised
        total += posterior.sizes[f"level[{name}]"] * np.log(float(posterior[f"grouping_sd[{name}]"][0, 0]))
    if case.sites.correlated:  # stored of the correlations, in the graph of the free elements of L: d r32 / d L32 = L22
        factor, _ = second.factor(point["site_correlation_cholesky_cholesky_corr__"])
        total += np.log(factor[1, 1])
        assert {"site_correlation", "site_slope", "site_effect"} <= set(stored)
        assert stored["site_slope"].dims == ("chain", "draw", "site", "slope")
    assert found.sum() + total == pytest.approx(float(plain), abs=1e-8)
