"""Interval censoring from likelihood to posterior: quadrature, lifelines, both engines, simulation-based calibration."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats

import sitewise as sw
from sitewise.families import FAMILIES
from sitewise.families.metric import log_likelihood
from sitewise.inference import kernel, packing
from sitewise.inference.densities import pointwise_log_likelihood
from sitewise.inference.interval_terms import interval_terms
from sitewise.models.resolve import prepare
from sitewise.studies.sbc.calibration import sbc
from sitewise.studies.sbc.follow_up import FollowUp
from sitewise.studies.sbc.source import simulated

MODELS = [
    (family().located(np.array([2.0, 3.0, 5.0, 6.0, 9.0, 15.0])), metric)
    for family in FAMILIES.values()
    for metric in sorted(family.metrics)
]


def frame(n: int = 150, *, seed: int = 3, sites: int = 6, every: float = 3.0) -> pd.DataFrame:
    """Patients seen every ``every`` months from a visit of their own on; a fifth have exact times."""
    rng = np.random.default_rng(seed)
    site, ecog = rng.integers(0, sites, n), rng.integers(0, 2, n)
    effect = 0.7 * ecog + rng.normal(0, 0.4, sites)[site]
    time = 14 * (rng.standard_exponential(n) / np.exp(effect)) ** (1 / 1.2)
    end, first = rng.uniform(6, 40, n), rng.uniform(1, every, n)
    before = first + every * np.floor((time - first) / every)
    lower = np.where(time < first, 0.0, before)
    upper = np.where(time < first, first, before + every)
    last = np.where(end < first, end, first + every * np.floor((end - first) / every))
    lower, upper = np.where(upper > end, last, lower), np.where(upper > end, np.nan, upper)
    exact = np.arange(n) % 5 == 0
    lower = np.where(exact, np.minimum(time, end), lower)
    upper = np.where(exact, np.where(time < end, time, np.nan), upper)
    return pd.DataFrame({"site": [f"s{j}" for j in site], "ecog": ecog, "lower": lower, "upper": upper})


@pytest.fixture(scope="module")
def cohort() -> sw.Cohort:
    return sw.Cohort.from_frame(frame(), lower="lower", upper="upper", site="site", covariates=["ecog"])


@pytest.mark.parametrize("log_within", [-40.0, -12.0, -11.6, -11.5, -11.4, -3.0, 0.0, 2.0, 5.0, 6.5, 6.6, 9.0, 800.0])
def test_terms_of_an_interval_are_the_closed_forms(log_within):
    """With 50 digits, from Python's decimals."""
    from decimal import Decimal, getcontext

    getcontext().prec = 50
    within = Decimal(min(log_within, 9.0)).exp()
    gone = (-within).exp()
    value, slope = (1 - gone).ln(), within * gone / (1 - gone)
    bend = slope * (within + slope - 1)
    found = interval_terms(log_within)
    for mine, exact in zip(found, (value, slope, bend), strict=True):
        assert mine == pytest.approx(float(exact) if log_within < 100 else 0.0, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("family", "metric"), MODELS, ids=[f"{family.name}-{metric}" for family, metric in MODELS])
@pytest.mark.parametrize(("lower", "upper", "entry"), [(4.0, 7.0, 0.0), (0.0, 7.0, 0.0), (4.0, 7.0, 2.0), (2.0, 2.000001, 2.0)])
def test_the_likelihood_is_the_integral_of_the_density(family, metric, lower, upper, entry):
    """The probability of an event in the interval given survival to entry, by quadrature of the density of an exact time."""
    shape = tuple(np.array(0.3 if item.support == "share" else 1.3) for item in family.shape_parameters)
    common = {"event": np.array(1.0), "weight": None}
    place = {"linear_predictor": np.array(0.3), "log_scale": np.array(np.log(9.0)), "shape": shape}
    late = {"log_entry": np.log(max(entry, 1e-9)), "entered_late": np.array(float(entry > 0))}

    def density(time: float) -> float:
        return float(np.exp(log_likelihood(family, metric, log_time=np.log(time), **common, **late, **place)))

    expected = integrate.quad(density, lower, upper, epsabs=0, epsrel=1e-12)[0]
    found = log_likelihood(
        family,
        metric,
        log_time=np.log(upper),
        **common,
        **late,
        interval=np.array(1.0),
        log_lower=np.log(max(lower, 1.0)),
        lower_known=np.array(float(lower > 0)),
        **place,
    )
    assert float(np.exp(found)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
def test_the_maximum_is_that_of_lifelines(cohort, metric):
    """Under flat priors the posterior mode of the kernel is the maximum likelihood estimate of an independent program."""
    from lifelines import WeibullAFTFitter

    wide = sw.Prior("Normal", mu=0.0, sigma=1e6)
    priors = sw.Priors(coefficients=wide, log_scale=wide, shape=sw.Prior("LogNormal", mu=0.0, sigma=1e6))
    spec = sw.ModelSpec(terms=("ecog",), sites=sw.NoSites(), metric=metric, priors=priors).resolve(cohort)
    data = prepare(spec, cohort)
    packed, free = packing.pack(spec, data)

    def minus(x: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.empty(free)
        value = kernel.log_density(x, packed, gradient)
        return -value, -gradient

    found = optimize.minimize(minus, packing.centre(spec, data, free), jac=True, method="BFGS", options={"gtol": 1e-7})
    mode = packing.unpack(spec, data, found.x[None, None])
    table = frame().assign(upper=lambda rows: rows["upper"].fillna(np.inf))
    other = WeibullAFTFitter().fit_interval_censoring(table[["lower", "upper", "ecog"]], "lower", "upper")
    shape = float(np.exp(other.params_["rho_", "Intercept"]))
    assert float(mode["shape"].item()) == pytest.approx(shape, abs=1e-4)
    assert float(mode["log_scale"].item()) == pytest.approx(other.params_["lambda_", "Intercept"], abs=1e-4)
    ratio = other.params_["lambda_", "ecog"]
    expected = ratio if metric == "time-ratio" else -shape * ratio
    name = "log_time_ratio" if metric == "time-ratio" else "log_hazard_ratio"
    assert float(mode[name].item()) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
def test_both_engines_have_one_posterior(cohort, metric):
    """Means differ by less than four standard errors of the difference of two Monte Carlo means; the verdicts are ok."""
    spec = sw.ModelSpec(terms=("ecog",), metric=metric)
    fast = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=8000), seed=1)
    slow = sw.fit(spec, cohort, engine=sw.Nuts(draws=3000), seed=1)
    assert fast.verdict.level == "ok"
    assert slow.verdict.level != "fail"
    weighted = fast.tree["weighted_posterior"].to_dataset()
    weights = np.exp(weighted["log_weight"].to_numpy().ravel())
    import arviz as az

    ess = az.ess(slow.posterior)
    name = "log_time_ratio" if metric == "time-ratio" else "log_hazard_ratio"
    for variable in ("shape", "log_scale", "site_sd", name):
        mine, other = (np.squeeze(fit[variable].to_numpy()).ravel() for fit in (weighted, slow.posterior))
        mean = weights @ mine
        error = np.sqrt(weights**2 @ (mine - mean) ** 2 + other.var() / float(ess[variable].to_numpy().min()))
        assert abs(mean - other.mean()) < 4 * error
    np.testing.assert_allclose(
        fast.tree["log_likelihood"]["survival_time"].to_numpy(),
        pointwise_log_likelihood(fast.spec, fast.posterior, prepare(fast.spec, cohort))["survival_time"].to_numpy(),
    )


def test_a_saved_fit_has_its_intervals(cohort, tmp_path):
    fit = sw.fit(sw.ModelSpec(terms=("ecog",)), cohort, engine=sw.NestedLaplace(), seed=1)
    again = sw.load(fit.save(tmp_path / "fit.nc"))
    np.testing.assert_array_equal(again.cohort.lower, cohort.lower)
    assert again.cohort.data_hash == cohort.data_hash


def test_ignoring_the_intervals_is_another_answer(cohort):
    """Upper ends taken for times make survival longer: the median differs by more than its Monte Carlo error could."""
    spec = sw.ModelSpec(terms=("ecog",))
    right = sw.fit(spec, cohort, engine=sw.NestedLaplace(), seed=1)
    naive_table = frame().assign(
        event=lambda rows: rows["upper"].notna().astype(int), time=lambda rows: rows["upper"].fillna(rows["lower"])
    )
    naive = sw.Cohort.from_frame(naive_table, time="time", event="event", site="site", covariates=["ecog"])
    wrong = sw.fit(spec, naive, engine=sw.NestedLaplace(), seed=1)
    difference = float(wrong.posterior["log_scale"].mean() - right.posterior["log_scale"].mean())
    assert difference > 0.05


def test_the_posterior_is_calibrated(cohort):
    spec = sw.ModelSpec(terms=("ecog",), sites=sw.RandomSites()).resolve(cohort)
    found = sbc(spec, cohort, replicates=200, seed=4)
    assert found.passed, found.sentence
    assert stats.binom.cdf(found.not_fitted, 200, 0.01) < 0.999


def test_simulated_patients_are_seen_as_the_cohorts_were(cohort):
    """Events of patients with intervals lie between visits as far apart as theirs; the others' times are exact."""
    spec = sw.ModelSpec(terms=("ecog",)).resolve(cohort)
    data = prepare(spec, cohort)
    truth = {"shape": [1.2], "log_scale_at_means": [2.5], "log_hazard_ratio": [[0.5]], "site_effect": [[0.0] * 6]}
    made = simulated(
        spec, {name: np.array(value) for name, value in truth.items()}, data, FollowUp.of(cohort), np.random.default_rng(1)
    )
    hidden = made.interval > 0
    assert hidden.any()
    assert not (hidden & ~cohort.interval).any()
    lower = np.where(made.lower_known > 0, np.exp(made.log_lower), 0.0)
    length = np.exp(made.log_time) - lower
    own = cohort.time - cohort.lower
    assert (length[hidden] <= own[hidden] + 1e-9).all()
    assert (length[hidden] > 0).all()
