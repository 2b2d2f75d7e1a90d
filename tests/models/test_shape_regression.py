"""Covariates and sites on the log of the shape: what is read, what is refused, and the density against scipy's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytensor
import pytest
from scipy import stats

import sitewise as sw
from sitewise.inference.nested_laplace.engine import require_known
from sitewise.inference.packing import kernel_reads
from sitewise.models.resolve import prepare

FORMULA = "Surv(months, died) ~ ecog + age + (1 | hospital)"
SHAPE = "stage + age + (1 | hospital)"
SIX = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
"""Weights of a central difference whose error is of the order of the sixth power of the step."""


@pytest.fixture(scope="module")
def cohort(make_frame, read) -> sw.Cohort:
    return read(make_frame(50, seed=3))


def test_the_shape_is_read_as_formulas_are(cohort):
    spec = sw.ModelSpec.from_formula(FORMULA, shape=SHAPE)
    assert (spec.shape_terms, spec.shape_sites, spec.shape_formula) == (("stage", "age"), True, SHAPE)
    assert spec.variables == ("ecog", "age", "stage")
    assert sw.ModelSpec.from_formula("Surv(months, died) ~ 1", shape="ecog").variables == ("ecog",)
    resolved = spec.resolve(cohort).resolved
    assert resolved.shape_columns == ("stage[II]", "stage[III]", "age")
    assert resolved.means == resolved.reference
    age = cohort.covariates["age"].to_numpy()
    assert resolved.shape_reference == (0.0, 0.0, float(np.median(age)))
    assert [prior.values["sigma"] for prior in resolved.shape_coefficients] == [0.5, 0.5, pytest.approx(0.5 / age.std(ddof=1))]
    assert resolved.site_shape_sd == sw.Prior("HalfNormal", sigma=0.3)


def test_priors_of_the_shape_are_the_users(cohort):
    own, wide = sw.Prior("Laplace", mu=0, b=0.1), sw.Prior("Normal", mu=0, sigma=2)
    priors = sw.Priors(shape_terms={"stage[II]": wide, "stage": own}, site_shape_sd=sw.Prior("Exponential", lam=4))
    resolved = sw.ModelSpec.from_formula(FORMULA, shape=SHAPE, priors=priors).resolve(cohort).resolved
    assert resolved.shape_coefficients[:2] == (wide, own)
    assert resolved.site_shape_sd == sw.Prior("Exponential", lam=4)
    as_toml = {
        "shape_terms": {"stage[II]": wide.to_dict(), "stage": own.to_dict()},
        "site_shape_sd": {"dist": "Exponential", "lam": 4},
    }
    assert sw.Priors.from_dict(as_toml, metric="hazard-ratio") == priors


def test_a_spec_is_saved_and_read_again(cohort):
    priors = sw.Priors(shape_terms={"age": sw.Prior("Normal", mu=0, sigma=0.01)})
    spec = sw.ModelSpec.from_formula(FORMULA, shape=SHAPE, priors=priors)
    for each in (spec, spec.resolve(cohort)):
        assert sw.ModelSpec.from_dict(each.to_dict()) == each
    assert spec.resolve(cohort).without_resolution() == spec


def test_without_it_a_spec_is_written_as_before(cohort):
    """Nothing about shapes, so that models that were fitted before have the same hash."""
    spec = sw.ModelSpec.from_formula(FORMULA)
    for each in (spec, spec.resolve(cohort)):
        written = str(each.to_dict())
        assert not any(name in written for name in ("shape_terms", "shape_sites", "shape_columns", "site_shape_sd"))
        assert sw.ModelSpec.from_dict(each.to_dict()) == each
    model = spec.to_pymc(cohort)
    assert not [item.name for item in model.free_RVs if "shape_" in item.name]
    assert "shape_covariates" not in model.named_vars


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": "ecog", "family": sw.Exponential()}, "exponential family has no shape"),
        ({"shape": "ecog", "family": sw.Gompertz()}, "gompertz family has no shape"),
        ({"shape": "1"}, "has no terms"),
        ({"shape": ""}, "has no terms"),
        ({"shape": "x ~ ecog"}, "right side only"),
        ({"shape": "ecog + 0"}, "remove '0'"),
        ({"shape": "(1 + ecog | hospital)"}, "random slopes"),
        ({"shape": "(1 | ward)"}, r"add \(1 \| ward\)"),
        ({"shape": "(1 | hospital)", "sites": sw.FixedSites()}, "needs random site effects"),
        ({"shape": "(1 | hospital)", "sites": sw.NoSites()}, "needs random site effects"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_what_to_do(options, words):
    with pytest.raises(sw.SpecError, match=words):
        sw.ModelSpec.from_formula(FORMULA, **options)


def test_all_problems_of_its_priors_are_told_at_once(cohort):
    priors = sw.Priors(shape_terms={"ecok": sw.Prior("Normal", mu=0, sigma=1)}, site_shape_sd=sw.Prior("HalfNormal", sigma=1))
    with pytest.raises(sw.SpecError, match="2 problems") as caught:
        sw.ModelSpec.from_formula(FORMULA, shape="ecog", priors=priors).resolve(cohort)
    assert "Did you mean 'ecog'?" in str(caught.value)
    assert "the shape does not differ by site" in str(caught.value)
    bad = sw.Priors(site_shape_sd=sw.Prior("Normal", mu=0, sigma=1))
    negative = sw.ModelSpec.from_formula(FORMULA, shape="(1 | hospital)", priors=bad)
    with pytest.raises(sw.SpecError, match="reaches below zero"):
        negative.to_pymc(cohort)
    unknown = sw.ModelSpec.from_formula(FORMULA, shape="grade")
    with pytest.raises(sw.CohortError, match="'grade'"):
        unknown.resolve(cohort)


def test_only_the_graph_reads_it(cohort):
    for shape in ("ecog", "(1 | hospital)"):
        spec = sw.ModelSpec.from_formula(FORMULA, shape=shape).resolve(cohort)
        assert not kernel_reads(spec)
        with pytest.raises(sw.SpecError, match=r"integrates over one shape.*Use engine=Nuts\(\)"):
            require_known(spec)


def test_functions_that_learn_keep_what_they_learnt(cohort):
    """Half of the patients get the rows that they had among all."""
    spec = sw.ModelSpec.from_formula(FORMULA, shape="scale(age)").resolve(cohort)
    whole = prepare(spec, cohort).shape_covariates
    half = replace(cohort, **{name: getattr(cohort, name)[:25] for name in ("time", "event", "entry", "weights")})
    half = replace(half, site=cohort.site[:25], id=cohort.id[:25], covariates=cohort.covariates[:25])
    np.testing.assert_allclose(prepare(spec, half).shape_covariates, whole[:25], rtol=1e-12)


LAWS = {
    "weibull": lambda k, scale: stats.weibull_min(k, scale=scale),
    "gamma": lambda k, scale: stats.gamma(k, scale=scale),
}


def second_opinion(spec, cohort, point) -> float:
    """The log density in the parameters' own space, from scipy's distributions and the model as its documentation states it."""
    ecog = (cohort.covariates["ecog"] == ">=1").to_numpy(float)
    age = cohort.covariates["age"].to_numpy(float)
    stage = cohort.covariates["stage"].astype(str).to_numpy()
    site, middle = cohort.site_index, np.median(age)
    k, site_sd, shape_sd = (float(np.exp(point[f"{name}_log__"])) for name in ("shape", "site_sd", "site_shape_sd"))
    hazard = spec.metric == "hazard-ratio"
    beta = point["log_hazard_ratio" if hazard else "log_time_ratio"]
    alpha = point["log_shape_ratio"]
    own = k * np.exp(
        (stage == "II") * alpha[0]
        + (stage == "III") * alpha[1]
        + (age - middle) * alpha[2]
        + (shape_sd * point["site_log_shape_standardised"])[site]
    )
    eta = ecog * beta[0] + (age - middle) * beta[1] + (site_sd * point["site_effect_standardised"])[site]
    law = LAWS[spec.family.name]
    log_median = float(point["log_median_at_means"])
    scale = np.exp(log_median) / law(k, 1.0).median()
    people = law(own, scale * np.exp(-eta / own if hazard else eta))
    g = spec.guarantee_time
    lower, upper = cohort.lower - g, cohort.time - g
    within = np.log(np.where(cohort.interval, people.cdf(upper) - people.cdf(np.maximum(lower, 0)), 1.0))
    exact = np.where(cohort.event > 0, people.logpdf(upper), people.logsf(upper))
    each = np.where(cohort.interval, within, exact) - people.logsf(np.maximum(cohort.entry - g, 0))
    found = spec.resolve(cohort).resolved
    sds = [prior.values["sigma"] for prior in (*found.coefficients, *found.shape_coefficients)]
    prior = stats.norm.logpdf(np.concatenate([beta, alpha]), 0, sds).sum()
    prior += stats.lognorm.logpdf(k, 0.5) + stats.halfnorm.logpdf(site_sd, 0, 0.5) + stats.halfnorm.logpdf(shape_sd, 0, 0.3)
    prior += stats.norm.logpdf(log_median, found.baseline_prior.values["mu"], 1.5)
    prior += stats.norm.logpdf(np.concatenate([point["site_effect_standardised"], point["site_log_shape_standardised"]])).sum()
    return float(cohort.weights @ each + prior)


@pytest.mark.parametrize(
    ("family", "metric"),
    [
        (sw.Weibull(), "hazard-ratio"),
        (sw.Weibull(), "time-ratio"),
        (sw.Gamma(), "time-ratio"),
    ],
    ids=lambda item: getattr(item, "name", item),
)
def test_the_density_and_its_slopes_against_scipy(family, metric, make_frame, between_visits, interpreted):
    """Intervals, late entry, weights and a guarantee time together; slopes against six-point differences of scipy's values."""
    table = make_frame(20, seed=6, guarantee=1.0)
    table["start"] = np.where(table["start"] > 0, table["start"] + 1.0, 0.0)
    cohort = sw.Cohort.from_frame(
        between_visits(table, time="months", event="died", start=1.0),
        lower="lower",
        upper="upper",
        entry="start",
        weights="weight",
        site="hospital",
        covariates=["ecog", "age", "stage"],
    )
    spec = sw.ModelSpec(
        terms=("ecog", "age"), family=family, metric=metric, guarantee_time=0.5, shape_terms=("stage", "age"), shape_sites=True
    )
    model = spec.to_pymc(cohort)
    total, variables = model.logp(jacobian=False), model.value_vars
    gradient = [] if isinstance(family, sw.Gamma) else pytensor.grad(total, variables)  # that of its tail: tests/families
    evaluate = interpreted(model, [total, *gradient])
    rng = np.random.default_rng(4)
    start = {variable.name: np.asarray(model.initial_point()[variable.name]) for variable in variables}
    point = {name: value + rng.uniform(-0.2, 0.2, np.shape(value)) for name, value in start.items()}
    for name in ("log_shape_ratio", "log_hazard_ratio", "log_time_ratio"):
        if name in point:  # age is in years
            point[name] = point[name] * np.array([*[1.0] * (point[name].size - 1), 0.05])
    value, *slopes = evaluate(point)
    assert float(value) == pytest.approx(second_opinion(spec, cohort, point), rel=1e-10, abs=1e-8)
    for variable, slope in zip(variables, slopes, strict=False):
        for place in list(np.ndindex(np.shape(slope)))[: 1 if "site" in variable.name else None]:
            step = 1e-3 * (0.02 if variable.name.endswith("ratio") and place == (np.size(slope) - 1,) else 1.0)
            away = np.zeros(np.shape(slope))
            away[place] = step
            moved = [
                second_opinion(spec, cohort, {**point, variable.name: point[variable.name] + (number - 3) * away})
                for number in range(7)
                if number != 3
            ]
            total = float(np.delete(SIX, 3) @ moved) / step
            # Rounding of values near 100 over the step is some 1e-9.
            assert float(np.asarray(slope)[place]) == pytest.approx(total, rel=1e-8, abs=1e-8 * 1e-3 / step)


def test_the_order_of_terms_and_levels_moves_no_density(make_frame, read, interpreted):
    """The same parameters by name under another order of terms and with levels as numbers."""
    frame = make_frame(40, seed=8)
    numbers = frame.assign(ecog=(frame["ecog"] == ">=1").astype(int))
    values = []
    for table, shape in ((frame, "ecog + age"), (numbers, "age + ecog")):
        cohort = read(table)
        spec = sw.ModelSpec.from_formula(FORMULA, shape=shape)
        model = spec.to_pymc(cohort)
        labels = list(model.coords["shape_term"])
        own = {"age": 0.02}
        point = model.initial_point()
        point["log_shape_ratio"] = np.array([own.get(label, 0.3) for label in labels])
        values.append(float(interpreted(model, [model.logp()])(point)[0]))
    assert values[0] == pytest.approx(values[1], abs=1e-9)
