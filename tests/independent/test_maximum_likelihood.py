"""Posterior modes under flat priors against maximum-likelihood fits by lifelines and scipy.

Priors of sd 1e6 (and a log-normal of log sd 1e6 on the shape, whose mode over the log shape is unmoved) make the posterior
over the unconstrained parameters proportional to the likelihood: relative pull 1e-12. lifelines stops at a gradient of about
1e-5 in its scaled problem; the requirement is agreement to 1e-4.
"""

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytensor
import pytest
from lifelines import (
    GeneralizedGammaRegressionFitter,
    LogLogisticAFTFitter,
    LogNormalAFTFitter,
    MixtureCureFitter,
    WeibullAFTFitter,
    WeibullFitter,
)
from scipy import optimize, special, stats

import sitewise as sw

WIDE = sw.Prior("Normal", mu=0.0, sigma=1e6)
FLAT = sw.Priors(shape=sw.Prior("LogNormal", mu=0.0, sigma=1e6), coefficients=WIDE, log_scale_at_means=WIDE)
AGREES = 1e-4
PRECISE = {"ftol": 1e-14, "gtol": 1e-9}
"""Of lifelines' optimiser, which stops 2e-4 before the log-logistic mode by default."""


@pytest.fixture(scope="module")
def mode_of(interpreted):
    """A function that maximises the joint density of a spec, by BFGS and then Newton's method on its gradient."""

    def find(spec, cohort, begin=None):
        model = spec.to_pymc(cohort)
        total = model.logp()
        variables = model.value_vars
        evaluate = interpreted(model, [total, *pytensor.grad(total, variables)])
        start = {name: np.zeros(np.shape(value)) for name, value in model.initial_point().items()}
        start["log_scale_at_means"] = np.array(np.log(np.mean(cohort.time)))
        start |= begin or {}
        shapes = [(variable.name, np.shape(start[variable.name])) for variable in variables]

        def unpack(flat):
            point, used = {}, 0
            for name, shape in shapes:
                size = int(np.prod(shape))
                point[name] = np.reshape(flat[used : used + size], shape)
                used += size
            return point

        # Each coordinate in units of its own curvature, so that age (in years) and sex are on one footing.
        scale = np.concatenate([np.full(int(np.prod(shape)), 0.02 if "ratio" in name else 1.0) for name, shape in shapes])

        def objective(flat):
            value, *slopes = evaluate(unpack(flat * scale))
            return -float(value), -np.concatenate([np.ravel(slope) for slope in slopes]) * scale

        first = np.concatenate([np.ravel(start[name]) for name, _ in shapes]) / scale
        found = optimize.minimize(objective, first, jac=True, method="BFGS", options={"gtol": 1e-7, "maxiter": 500})
        refined = optimize.root(lambda flat: objective(flat)[1], found.x, tol=1e-12)
        assert np.abs(objective(refined.x)[1]).max() < 1e-6
        return unpack(refined.x * scale), model

    return find


def read_lung(table, **columns):
    """Return the lung cohort again, from a table with further columns."""
    return sw.Cohort.from_frame(
        table,
        time="time_months",
        event="event",
        covariates=["ecog", "age", "sex"],
        levels={"ecog": ["0", ">=1"]},
        reference={"sex": 1},
        **columns,
    )


def fitted_by(fitter, frame, **options):
    """Return a fitter of lifelines, fitted without its warnings of a coming pandas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Starting with pandas version 4.0", DeprecationWarning)
        return fitter.fit(frame, duration_col="time", event_col="event", **options)


def lung_frame(lung):
    frame = lung.covariates.copy()
    return frame.assign(
        ecog=(frame["ecog"] == ">=1").astype(float),
        sex=(frame["sex"] == "2").astype(float),
        age=frame["age"].astype(float),
        time=lung.time,
        event=lung.event,
    )


def fit_lifelines(frame, **options):
    return fitted_by(WeibullAFTFitter(), frame, **options)


def compare(point, fitter, metric, terms, means):
    """Hold a mode against lifelines: log time ratios and intercept (``lambda_``), log shape (``rho_``)."""
    shape = float(np.exp(point["shape_log__"]))
    phi = fitter.params_["lambda_"]
    assert np.log(shape) == pytest.approx(float(fitter.params_["rho_"]["Intercept"]), abs=AGREES)
    names = [term.split("[")[0] for term in terms]
    expected = np.array([phi[name] for name in names])
    found = point["log_time_ratio"] if metric == "time-ratio" else point["log_hazard_ratio"]
    np.testing.assert_allclose(found, expected if metric == "time-ratio" else -shape * expected, atol=AGREES)
    at_means = float(phi["Intercept"]) + float(np.asarray(means) @ expected)
    assert float(point["log_scale_at_means"]) == pytest.approx(at_means, abs=AGREES)


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
def test_lung_against_lifelines(lung, mode_of, interpreted, metric):
    fitter = fit_lifelines(lung_frame(lung))
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + age + sex", metric=metric, priors=FLAT).resolve(lung)
    point, model = mode_of(spec, lung)
    compare(point, fitter, metric, model.coords["term"], spec.resolved.means)
    # The reference patient: ECOG 0, sex 1, median age 63.
    assert dict(spec.resolved.reference_patient) == {"ecog": "0", "age": 63.0, "sex": "1"}
    phi = fitter.params_["lambda_"]
    log_scale = interpreted(model, model.replace_rvs_by_values([model["log_scale"]])[0])
    assert float(log_scale(point)) == pytest.approx(float(phi["Intercept"] + 63.0 * phi["age"]), abs=AGREES)


@pytest.mark.parametrize(
    ("family", "fitter", "location", "noise", "sign"),
    [
        (sw.LogNormal(), LogNormalAFTFitter(), "mu_", "sigma_", -1.0),
        (sw.LogLogistic(), LogLogisticAFTFitter(), "alpha_", "beta_", 1.0),
    ],
    ids=["log-normal", "log-logistic"],
)
@pytest.mark.parametrize("entry", [False, True], ids=["from the start", "late entry"])
def test_location_scale_families_against_lifelines(lung, mode_of, family, fitter, location, noise, sign, entry):
    """lifelines has the log of the median as its intercept, and log sigma or the log shape."""
    begin = np.where(np.arange(len(lung)) % 3 == 0, 0.4 * lung.time, 0.0) if entry else np.zeros(len(lung))
    cohort = read_lung(lung.frame.assign(entry=begin), entry="entry")
    table, late = lung_frame(cohort), {"entry_col": "entry"} if entry else {}
    fitted_by(fitter, table.assign(entry=begin) if entry else table, fit_options=PRECISE, **late)
    spec = sw.ModelSpec.from_formula(
        "Surv(entry, time_months, event) ~ ecog + age + sex", family=family, metric="time-ratio", priors=FLAT
    ).resolve(cohort)
    point, model = mode_of(spec, cohort)
    phi = fitter.params_[location]
    expected = np.array([phi[term.split("[")[0]] for term in model.coords["term"]])
    np.testing.assert_allclose(point["log_time_ratio"], expected, atol=AGREES)
    assert float(point["shape_log__"]) == pytest.approx(sign * float(fitter.params_[noise]["Intercept"]), abs=AGREES)
    at_means = float(phi["Intercept"]) + float(np.asarray(spec.resolved.means) @ expected)
    assert float(point["log_scale_at_means"]) == pytest.approx(at_means, abs=AGREES)


def test_covariates_on_the_shape_against_lifelines(lung, mode_of):
    """lifelines' ancillary regression is of the log of its shape rho; its intercept is that of a newborn without ECOG."""
    fitter = fitted_by(
        WeibullAFTFitter(), lung_frame(lung), formula="ecog + age + sex", ancillary="ecog + age", fit_options=PRECISE
    )
    priors = replace(FLAT, shape_terms={"ecog": WIDE, "age": WIDE})
    spec = sw.ModelSpec.from_formula(
        "Surv(time_months, event) ~ ecog + age + sex", shape="ecog + age", metric="time-ratio", priors=priors
    ).resolve(lung)
    point, model = mode_of(spec, lung)
    scale, shape = fitter.params_["lambda_"], fitter.params_["rho_"]
    expected = [scale[term.split("[")[0]] for term in model.coords["term"]]
    np.testing.assert_allclose(point["log_time_ratio"], expected, atol=AGREES)
    expected = [shape[term.split("[")[0]] for term in model.coords["shape_term"]]
    np.testing.assert_allclose(point["log_shape_ratio"], expected, atol=AGREES)
    assert np.abs(expected).max() > 100 * AGREES
    # The reference patient: ECOG 0, sex 1, median age 63.
    assert float(point["shape_log__"]) == pytest.approx(float(shape["Intercept"] + 63.0 * shape["age"]), abs=AGREES)
    reference = float(scale["Intercept"] + 63.0 * scale["age"])
    assert float(point["log_scale_at_means"]) == pytest.approx(reference, abs=AGREES)


def test_a_hazard_ratio_that_changes_against_lifelines(lung, mode_of):
    """Two groups, each with a Weibull distribution of its own, told in either metric: log H = k (log t - log lambda) + beta."""
    fitter = fitted_by(WeibullAFTFitter(), lung_frame(lung), formula="ecog", ancillary="ecog", fit_options=PRECISE)
    priors = replace(FLAT, shape_terms={"ecog": WIDE})
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog", shape="ecog", priors=priors).resolve(lung)
    point, _ = mode_of(spec, lung)
    scale, shape = fitter.params_["lambda_"], fitter.params_["rho_"]
    other = float(np.exp(shape["Intercept"] + shape["ecog"]))
    assert float(point["log_shape_ratio"][0]) == pytest.approx(float(shape["ecog"]), abs=AGREES)
    assert float(point["shape_log__"]) == pytest.approx(float(shape["Intercept"]), abs=AGREES)
    assert float(point["log_scale_at_means"]) == pytest.approx(float(scale["Intercept"]), abs=AGREES)
    assert float(point["log_hazard_ratio"][0]) == pytest.approx(-other * float(scale["ecog"]), abs=AGREES)


def flat(*names: str) -> sw.Priors:
    """Flat priors, of parameters of the family too."""
    return sw.Priors(coefficients=WIDE, log_scale_at_means=WIDE, terms=dict.fromkeys(names, WIDE), shape=FLAT.shape)


def test_generalised_gamma_against_lifelines(lung, mode_of):
    """lifelines' lambda is q, ln_sigma minus the log shape."""
    regressors = {"mu_": "ecog + age + sex", "sigma_": "1", "lambda_": "1"}
    fitter = fitted_by(GeneralizedGammaRegressionFitter(), lung_frame(lung), regressors=regressors, fit_options={"gtol": 1e-8})
    spec = sw.ModelSpec.from_formula(
        "Surv(time_months, event) ~ ecog + age + sex",
        family=sw.GeneralisedGamma(),
        metric="time-ratio",
        priors=flat("gamma_q"),
    ).resolve(lung)
    point, model = mode_of(spec, lung)
    phi = fitter.params_["mu_"]
    expected = np.array([phi[term.split("[")[0]] for term in model.coords["term"]])
    np.testing.assert_allclose(point["log_time_ratio"], expected, atol=AGREES)
    assert float(point["gamma_q"]) == pytest.approx(float(fitter.params_["lambda_"]["Intercept"]), abs=AGREES)
    assert float(point["shape_log__"]) == pytest.approx(-float(fitter.params_["sigma_"]["Intercept"]), abs=AGREES)
    at_means = float(phi["Intercept"]) + float(np.asarray(spec.resolved.means) @ expected)
    assert float(point["log_scale_at_means"]) == pytest.approx(at_means, abs=AGREES)


@pytest.mark.parametrize("family", [sw.Gamma(), sw.Gompertz()], ids=lambda family: family.name)
def test_gamma_and_gompertz_without_covariates_against_scipy(lung, mode_of, family):
    """scipy's own maximum likelihood for censored data, polished by its simplex search."""
    ratio = min(family.metrics)
    priors = flat("hazard_change") if family.name == "gompertz" else flat()
    priors = replace(priors, shape=None if family.name == "gompertz" else FLAT.shape)
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ 1", family=family, metric=ratio, priors=priors).resolve(lung)
    point, _ = mode_of(spec, lung)
    data = stats.CensoredData.right_censored(lung.time, lung.event == 0)
    law = stats.gamma if family.name == "gamma" else stats.gompertz

    def search(function, start, args=(), disp=0):
        return optimize.fmin(function, start, args=args, xtol=1e-10, ftol=1e-13, maxiter=5000, maxfun=5000, disp=disp)

    first, _, scale = law.fit(data, floc=0, optimizer=search)
    log_scale = float(point["log_scale_at_means"])
    if family.name == "gamma":
        assert float(np.exp(point["shape_log__"])) == pytest.approx(first, abs=AGREES)
        assert log_scale == pytest.approx(np.log(scale), abs=AGREES)
    else:  # H = first (exp(t / scale) - 1)
        change = spec.family.unit / scale
        assert float(point["hazard_change"]) == pytest.approx(change, abs=AGREES)
        assert log_scale == pytest.approx(np.log(spec.family.unit / (first * np.expm1(change))), abs=AGREES)


def test_piecewise_exponential_against_poisson_regression(lung, mode_of):
    """Events by piece are Poisson counts with log exposure as offset (Holford 1980, Biometrics 36:299): statsmodels' GLM."""
    import statsmodels.api as sm

    knots = (3.0, 7.0, 12.0)
    ends = (0.0, *knots, np.inf)
    frame = lung_frame(lung)
    rows = []
    for low, high in pairwise(ends):
        exposure = np.clip(frame["time"], low, high) - low
        event = frame["event"] * ((frame["time"] > low) & (frame["time"] <= high))
        rows.append(frame[["ecog", "age", "sex"]].assign(piece=f"{low:g}", exposure=exposure, event=event)[exposure > 0])
    split = pd.concat(rows)
    pieces = pd.get_dummies(split["piece"]).astype(float)[[f"{low:g}" for low in ends[:-1]]]
    design = pd.concat([split[["ecog", "age", "sex"]], pieces], axis=1)
    poisson = sm.GLM(split["event"], design, family=sm.families.Poisson(), offset=np.log(split["exposure"]))
    fitted = poisson.fit(tol=1e-14, maxiter=200)
    # With the sd of the walk held at one its steps are free, and flat.
    held = sw.Prior("LogNormal", mu=0.0, sigma=1e-9)
    priors = replace(flat("hazard_step_1", "hazard_step_2", "hazard_step_3"), shape=None)
    priors = replace(priors, terms={**priors.terms, "hazard_change_sd": held})
    spec = sw.ModelSpec.from_formula(
        "Surv(time_months, event) ~ ecog + age + sex", family=sw.PiecewiseExponential(knots=knots), priors=priors
    ).resolve(lung)
    point, model = mode_of(spec, lung)
    expected = np.array([fitted.params[term.split("[")[0]] for term in model.coords["term"]])
    np.testing.assert_allclose(point["log_hazard_ratio"], expected, atol=AGREES)
    steps = np.array([float(point[f"hazard_step_{number}"]) for number in (1, 2, 3)]) / np.sqrt(3)
    np.testing.assert_allclose(steps, np.diff(fitted.params[pieces.columns]), atol=AGREES)


def ramsay(place, degree, knots, x):
    """M-spline number ``place`` at points x, by Ramsay's recursion."""
    low, high = knots[place], knots[place + degree + 1]
    if high == low:
        return np.zeros_like(x)
    if degree == 0:
        return ((x >= low) & ((x < high) | (high == knots[-1]))) / (high - low)
    left, right = ramsay(place, degree - 1, knots, x), ramsay(place + 1, degree - 1, knots, x)
    return (degree + 1) * ((x - low) * left + (high - x) * right) / (degree * (high - low))


def test_m_spline_against_a_second_implementation(lung, mode_of):
    """The likelihood written anew (Ramsay's recursion, Gauss-Legendre between knots), maximised by scipy."""
    inner, degree, unit = (5.0, 12.0), 2, float(lung.time[lung.event > 0].max())
    knots = [0.0] * (degree + 1) + [knot / unit for knot in inner] + [1.0] * (degree + 1)
    count, frame = len(inner) + degree + 1, lung_frame(lung)
    share = frame["time"].to_numpy() / unit
    nodes, weights = np.polynomial.legendre.leggauss(4)
    hazard = np.column_stack([ramsay(i, degree, knots, np.minimum(share, 1.0)) for i in range(count)])
    area = np.zeros((len(share), count))
    for low, high in pairwise([0.0, *(knot / unit for knot in inner), 1.0]):
        width = np.clip(share, low, high) - low
        for node, weight in zip(nodes, weights, strict=True):
            at = low + width * (1 + node) / 2
            area += np.column_stack([0.5 * weight * width * ramsay(i, degree, knots, at) for i in range(count)])
    area += np.clip(share - 1.0, 0.0, None)[:, None] * np.array([ramsay(i, degree, knots, np.ones(1))[0] for i in range(count)])
    design = frame[["ecog", "age", "sex"]].to_numpy()
    design = (design - design.mean(axis=0)) / design.std(axis=0)

    def loss(free):
        shares = np.exp(np.concatenate([[0.0], free[: count - 1]]))
        shares /= shares.sum()
        predictor = design @ free[count:] + free[count - 1]
        event = frame["event"].to_numpy()
        return -float(np.sum(event * (np.log(hazard @ shares) + predictor) - (area @ shares) * np.exp(predictor)))

    start = np.zeros(count + 3)
    start[: count - 1] = np.log([(knots[i + degree + 1] - knots[i]) / (knots[degree + 1] - knots[0]) for i in range(1, count)])
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-6}).x
    constant = np.array([(knots[i + degree + 1] - knots[i]) / (degree + 1) for i in range(count)])
    walk = np.concatenate([[0.0], found[: count - 1]]) - np.log(constant) + np.log(constant[0])
    held = sw.Prior("LogNormal", mu=0.0, sigma=1e-9)
    names = [f"hazard_step_{number}" for number in range(1, count)]
    priors = replace(flat(*names), shape=None)
    priors = replace(priors, terms={**priors.terms, "hazard_change_sd": held})
    spec = sw.ModelSpec.from_formula(
        "Surv(time_months, event) ~ ecog + age + sex", family=sw.MSpline(knots=inner, degree=degree), priors=priors
    ).resolve(lung)
    point, _ = mode_of(spec, lung)
    sds = frame[["ecog", "age", "sex"]].to_numpy().std(axis=0)
    np.testing.assert_allclose(point["log_hazard_ratio"] * sds, found[count:], atol=AGREES)
    steps = np.array([float(point[name]) for name in names]) / np.sqrt(count - 1)
    np.testing.assert_allclose(np.cumsum(steps), walk[1:], atol=AGREES)


def test_mixture_cure_against_lifelines(mode_of):
    """lifelines' mixture cure model of one group, on patients of whom a third is cured.

    Beta(e, e) with tiny e is flat over the log odds, over which the mode is found: its pull on them is e, 1e-6 of a patient.
    """
    rng = np.random.default_rng(8)
    time, end = 6.0 * rng.weibull(1.4, 160), rng.uniform(15, 50, 160)
    time = np.where(rng.uniform(size=160) < 0.35, np.inf, time)
    frame = pd.DataFrame({"time": np.minimum(time, end), "event": (time <= end).astype(int)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter = MixtureCureFitter(base_fitter=WeibullFitter()).fit(frame["time"], frame["event"])
    cohort = sw.Cohort.from_frame(frame, time="time", event="event")
    priors = replace(flat(), terms={"cured": sw.Prior("Beta", alpha=1e-6, beta=1e-6)})
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ 1", family=sw.MixtureCure(), priors=priors).resolve(cohort)
    point, _ = mode_of(spec, cohort, {"cured_logodds__": np.array(-0.5)})
    assert special.expit(float(point["cured_logodds__"])) == pytest.approx(fitter.cured_fraction_, abs=AGREES)
    assert float(point["shape_log__"]) == pytest.approx(np.log(fitter.rho_), abs=AGREES)
    assert float(point["log_scale_at_means"]) == pytest.approx(np.log(fitter.lambda_), abs=AGREES)


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
def test_delayed_entry_against_lifelines(lung, mode_of, metric):
    """A third of the patients come under observation at 40 % of their time."""
    entry = np.where(np.arange(len(lung)) % 3 == 0, 0.4 * lung.time, 0.0)
    table = lung.frame.assign(entry=entry)
    cohort = read_lung(table, entry="entry")
    fitter = fit_lifelines(lung_frame(cohort).assign(entry=entry), entry_col="entry")
    spec = sw.ModelSpec.from_formula("Surv(entry, time_months, event) ~ ecog + age + sex", metric=metric, priors=FLAT).resolve(
        cohort
    )
    point, model = mode_of(spec, cohort)
    compare(point, fitter, metric, model.coords["term"], spec.resolved.means)
    without = fit_lifelines(lung_frame(cohort))
    moved = abs(float(without.params_["lambda_"]["Intercept"]) - float(fitter.params_["lambda_"]["Intercept"]))
    assert moved > 100 * AGREES  # entry matters here, so that ignoring it would be seen


def test_weights_against_lifelines(lung, mode_of):
    weights = 1.0 + (np.arange(len(lung)) % 4)
    cohort = read_lung(lung.frame.assign(w=weights), weights="w")
    fitter = fit_lifelines(lung_frame(cohort).assign(w=weights), weights_col="w", robust=False)
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + age + sex", priors=FLAT).resolve(cohort)
    point, model = mode_of(spec, cohort)
    compare(point, fitter, "hazard-ratio", model.coords["term"], spec.resolved.means)


@pytest.mark.parametrize("guarantee", [0.0, 0.1])
def test_without_covariates_against_scipy(lung, mode_of, guarantee):
    """scipy.stats' own maximum likelihood for censored data; its simplex search is run to 1e-10 from the default start."""
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ 1", priors=FLAT, guarantee_time=guarantee).resolve(lung)
    point, _ = mode_of(spec, lung)
    beyond = lung.time - guarantee
    data = stats.CensoredData.right_censored(beyond, lung.event == 0)

    def search(function, start, args=(), disp=0):
        return optimize.fmin(function, start, args=args, xtol=1e-10, ftol=1e-12, maxiter=5000, maxfun=5000, disp=disp)

    shape, _, scale = stats.weibull_min.fit(data, floc=0, optimizer=search)
    assert float(np.exp(point["shape_log__"])) == pytest.approx(shape, abs=AGREES)
    assert float(point["log_scale_at_means"]) == pytest.approx(np.log(scale), abs=AGREES)


def test_exponential_rate_in_closed_form(lung, mode_of):
    """Events over person-time; the flat prior's mode is exact."""
    spec = sw.ModelSpec.from_formula(
        "Surv(time_months, event) ~ 1", family=sw.Exponential(), priors=sw.Priors(log_scale_at_means=WIDE)
    ).resolve(lung)
    point, _ = mode_of(spec, lung)
    assert float(point["log_scale_at_means"]) == pytest.approx(np.log(lung.time.sum() / lung.event.sum()), abs=1e-9)


def test_fixed_sites_against_lifelines(lung, mode_of):
    """Five large institutions with fixed effects that sum to zero, against lifelines' dummies centred by hand."""
    keep = lung.site.isin(["1", "12", "13", "11", "3"]).to_numpy()
    table = lung.frame[keep].reset_index(drop=True)
    cohort = read_lung(table, site="inst")
    labels = cohort.site_labels
    frame = lung_frame(cohort)
    for label in labels[1:]:
        frame[f"site{label}"] = (cohort.site == label).astype(float).to_numpy()
    fitter = fit_lifelines(frame)
    priors = sw.Priors(
        shape=FLAT.shape,
        coefficients=WIDE,
        log_scale_at_means=WIDE,
        site_effects=sw.Prior("ZeroSumNormal", sigma=1e6),
    )
    spec = sw.ModelSpec.from_formula(
        "Surv(time_months, event) ~ ecog + age + sex", metric="time-ratio", sites=sw.FixedSites(), priors=priors
    ).resolve(cohort)
    point, model = mode_of(spec, cohort)
    phi = fitter.params_["lambda_"]
    dummies = np.array([0.0, *(phi[f"site{label}"] for label in labels[1:])])
    expected = dummies - dummies.mean()
    free = point["site_effect_zerosum__"]
    zero_sum = np.concatenate([free - free.sum() / (len(labels) + np.sqrt(len(labels))), [-free.sum() / np.sqrt(len(labels))]])
    np.testing.assert_allclose(zero_sum, expected, atol=AGREES)
    coefficients = [phi[term.split("[")[0]] for term in model.coords["term"]]
    np.testing.assert_allclose(point["log_time_ratio"], coefficients, atol=AGREES)
