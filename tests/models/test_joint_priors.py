"""Joint priors of coefficients: their moments in closed form, their densities by scipy, their graph, and what they refuse.

Means of prior draws are held to closed forms within 4.5 standard errors (a false alarm of a new seed has probability 7e-6 a
number); distributions by Kolmogorov-Smirnov tests that fail below p = 1e-4.
"""

import json

import numpy as np
import pytest
from scipy import integrate, stats

import sitewise as sw
from sitewise.inference.densities import log_prior, pointwise_log_likelihood
from sitewise.inference.packing import kernel_reads
from sitewise.inference.prior import prior_draws
from sitewise.models.resolve import prepare
from sitewise.studies.prior_grid import with_priors

DRAWS = 1000
SMALLEST_P = 1e-4
FORMULA = "Surv(months, died) ~ ecog + age + stage + mo(grade)"
HORSESHOE = sw.RegularisedHorseshoe(expected_nonzero=0.6, slab_scale=0.8, slab_df=5)
MIXTURE = sw.Prior("NormalMixture", w=[0.7, 0.3], mu=[0.1, 0], sigma=[0.05, 1])
LAWS = {
    "monotone": sw.Priors(),
    "monotone total": sw.Priors(terms={"mo(grade)": sw.Prior("StudentT", nu=4, mu=0.3, sigma=0.5)}),
    "monotone, alike": sw.Priors(terms={"mo(grade)": sw.Monotone(concentration=3.0)}),
    "horseshoe": sw.Priors(coefficients=HORSESHOE),
    "R2-D2": sw.Priors(coefficients=sw.R2D2(mean=0.3, precision=5, concentration=0.7)),
    "exchangeable": sw.Priors(terms={"stage": sw.Exchangeable(sd=sw.Prior("Exponential", lam=2.0))}),
    "several": sw.Priors(
        coefficients=HORSESHOE,
        terms={"stage": sw.Exchangeable(), "age": MIXTURE},
    ),
    "mixtures": sw.Priors(
        coefficients=MIXTURE, log_median=sw.Prior("NormalMixture", w=[0.5, 0.5], mu=[2.0, 3.0], sigma=[0.3, 1.0])
    ),
}


@pytest.fixture(scope="module")
def cohort(make_frame) -> sw.Cohort:
    frame = make_frame(60).assign(grade=np.arange(60) % 4)
    return sw.Cohort.from_frame(frame, time="months", event="died", covariates=["ecog", "age", "stage", "grade"])


def resolved(cohort, priors=None, formula=FORMULA, **options) -> sw.ModelSpec:
    return sw.ModelSpec.from_formula(formula, priors=priors, **options).resolve(cohort)


def drawn(spec, cohort, draws=DRAWS, seed=4) -> dict[str, np.ndarray]:
    prior = prior_draws(spec, prepare(spec, cohort), draws=draws, seed=seed)
    return {name: prior[name].to_numpy()[0] for name in prior.data_vars}


def assert_mean(values, expected) -> None:
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    np.testing.assert_array_less(np.abs(values.mean(axis=0) - expected), 4.5 * error)


def test_a_monotone_effect_goes_one_way_and_has_the_moments_of_its_dirichlet(cohort):
    spec = resolved(cohort)
    found = drawn(spec, cohort)
    total, increments = found["monotone_total[mo(grade)]"], found["monotone_increment[mo(grade)]"]
    steps = found["log_hazard_ratio"][:, [spec.resolved.columns.index(f"mo(grade)[>={level}]") for level in (1, 2, 3)]]
    np.testing.assert_allclose(steps, total[:, None] * increments, rtol=1e-12)
    np.testing.assert_allclose(steps.sum(axis=1), total, rtol=1e-9)
    assert (np.sign(steps) == np.sign(total)[:, None]).all()
    assert stats.kstest(total, stats.norm(0, 1).cdf).pvalue > SMALLEST_P
    for increment in increments.T:  # Dirichlet(1, 1, 1) has margins Beta(1, 2)
        assert stats.kstest(increment, stats.beta(1, 2).cdf).pvalue > SMALLEST_P
    assert_mean(increments, 1 / 3)
    assert_mean(increments[:, 0] * increments[:, 1], 1 / 12)  # a^2 / (3 a (3 a + 1)) for a = 1
    assert_mean(steps**2, 1 / 6)  # E total^2 E increment^2 = 2 / (3 x 4)


def test_more_concentrated_increments_are_more_alike(cohort):
    increments = drawn(resolved(cohort, LAWS["monotone, alike"]), cohort)["monotone_increment[mo(grade)]"]
    assert stats.kstest(increments[:, 0], stats.beta(3, 6).cdf).pvalue > SMALLEST_P


def test_two_levels_are_the_plain_effect(cohort):
    plain, steps = (resolved(cohort, formula=f"Surv(months, died) ~ {term}") for term in ("ecog", "mo(ecog)"))
    assert steps.resolved.columns == ("mo(ecog)[>=1]",)
    assert steps.resolved.coefficients == plain.resolved.coefficients == (sw.Prior("Normal", mu=0, sigma=1),)
    np.testing.assert_array_equal(prepare(steps, cohort).covariates, prepare(plain, cohort).covariates)
    assert kernel_reads(steps)


def test_r_squared_has_its_beta_and_is_what_the_covariates_explain(cohort):
    """Given R^2, the prior mean of the predictor's variance over that of the extreme value is R^2 / (1 - R^2)."""
    law = sw.R2D2(mean=0.3, precision=5, concentration=0.7)
    spec = resolved(cohort, sw.Priors(coefficients=law), "Surv(months, died) ~ ecog + age + stage")
    found = drawn(spec, cohort)
    assert stats.kstest(found["r_squared"], stats.beta(1.5, 3.5).cdf).pvalue > SMALLEST_P
    assert stats.kstest(found["variance_share"][:, 0], stats.beta(0.7, 2.1).cdf).pvalue > SMALLEST_P
    predictor = found["log_hazard_ratio"] @ prepare(spec, cohort).covariates.T
    odds = found["r_squared"] / (1 - found["r_squared"])
    assert_mean(predictor.var(axis=1, ddof=1) / (np.pi**2 / 6) / odds, 1.0)


def test_the_variance_of_log_cumulative_hazard_is_that_of_r2d2():
    """log H0(T) + x'beta is the log of a standard exponential number: scipy's smallest extreme value."""
    from sitewise.models.shrinkage import EXTREME_VALUE_VARIANCE

    assert pytest.approx(stats.gumbel_l.var(), rel=1e-12) == EXTREME_VALUE_VARIANCE


def test_the_horseshoe_s_effective_number_of_nonzero_coefficients(cohort):
    """E(m | global scale) = sum a / (1 + a), a = global scale x sd of column x sqrt(events): Piironen & Vehtari 2017, 3.4."""
    law = sw.RegularisedHorseshoe(expected_nonzero=1.5, slab_scale=1e4, slab_df=50)  # a slab that cuts nothing
    spec = resolved(cohort, sw.Priors(coefficients=law), "Surv(months, died) ~ ecog + age + stage")
    (joint,) = spec.resolved.joint_priors
    events = float(cohort.event.sum())
    assert joint.events == events
    found = drawn(spec, cohort)
    sds = prepare(spec, cohort).covariates.std(axis=0, ddof=1)
    spreads = np.where(np.array(spec.resolved.columns) == "age", 1.0, sds)  # 0/1 columns are taken as they are
    a = found["global_scale"][:, None] * spreads * np.sqrt(events)
    assert_mean(found["effective_nonzero"] - (a / (1 + a)).sum(axis=1), 0.0)
    one = a[0, 0]
    kept = integrate.quad(lambda local: stats.halfcauchy.pdf(local) * (one * local) ** 2 / (1 + (one * local) ** 2), 0, np.inf)
    assert kept[0] == pytest.approx(one / (1 + one), rel=1e-7)
    # At the scale of the global scale's prior, with columns of variance one, the number is the expected one.
    a0 = law.global_scale(joint) * np.sqrt(events)
    assert 4 * a0 / (1 + a0) == pytest.approx(1.5, rel=1e-12)
    # Coefficients are per sd of numeric columns, and as they are of 0/1 columns.
    age = spec.resolved.columns.index("age")
    variance = (found["global_scale"][:, None] * found["local_scale"]) ** 2
    slab = found["slab_variance"][:, None]
    scaled = found["standardised_coefficient"] * np.sqrt(variance * slab / (slab + variance))
    np.testing.assert_allclose(found["log_hazard_ratio"][:, age] * sds[age], scaled[:, age], rtol=1e-10)
    np.testing.assert_allclose(found["log_hazard_ratio"][:, 0], scaled[:, 0], rtol=1e-10)


def test_the_slab_cuts_large_coefficients(cohort):
    """With a huge global scale coefficients are the slab's: Student t."""
    law = sw.RegularisedHorseshoe(expected_nonzero=3.9999999, slab_scale=0.8, slab_df=5)
    spec = resolved(cohort, sw.Priors(coefficients=law), "Surv(months, died) ~ ecog + age + stage")
    found = drawn(spec, cohort)
    assert stats.kstest(found["slab_variance"], stats.invgamma(2.5, scale=2.5 * 0.64).cdf).pvalue > SMALLEST_P
    assert stats.kstest(found["log_hazard_ratio"][:, 0], stats.t(5, scale=0.8).cdf).pvalue > SMALLEST_P


def test_exchangeable_levels_share_their_sd(cohort):
    spec = resolved(cohort, LAWS["exchangeable"])
    found = drawn(spec, cohort)
    stage = [place for place, name in enumerate(spec.resolved.columns) if name.startswith("stage")]
    effects = found["log_hazard_ratio"][:, stage]
    assert stats.kstest(found["exchangeable_sd[stage]"], stats.expon(scale=0.5).cdf).pvalue > SMALLEST_P
    assert_mean(effects**2, 0.5)  # E sd^2 = 2 / lam^2
    assert_mean((effects[:, 0] * effects[:, 1]) ** 2, 24 / 2.0**4)  # E sd^4 = 4! / lam^4


def mixture_log_pdf(x):
    return np.log(0.7 * stats.norm(0.1, 0.05).pdf(x) + 0.3 * stats.norm().pdf(x))


ORACLES = {
    "monotone_total[mo(grade)]": {
        "mixtures": mixture_log_pdf,
        "monotone total": lambda x: stats.t(4, 0.3, 0.5).logpdf(x),
        "": lambda x: stats.norm(0, 1).logpdf(x),
    },
    "monotone_increment[mo(grade)]": {
        "monotone, alike": lambda x: np.array([stats.dirichlet([3, 3, 3]).logpdf(row) for row in x]),
        "": lambda x: np.array([stats.dirichlet([1, 1, 1]).logpdf(row) for row in x]),
    },
    "local_scale": {"": lambda x: stats.halfcauchy().logpdf(x)},
    "slab_variance": {"": lambda x: stats.invgamma(2.5, scale=2.5 * 0.64).logpdf(x)},
    "standardised_coefficient": {"": lambda x: stats.norm().logpdf(x)},
    "standardised_coefficient[stage]": {"": lambda x: stats.norm().logpdf(x)},
    "r_squared": {"": lambda x: stats.beta(1.5, 3.5).logpdf(x)},
    "variance_share": {"": lambda x: np.array([stats.dirichlet([0.7] * 4).logpdf(row) for row in x])},
    "exchangeable_sd[stage]": {
        "exchangeable": lambda x: stats.expon(scale=0.5).logpdf(x),
        "": lambda x: stats.halfnorm(scale=1.0).logpdf(x),
    },
    "log_hazard_ratio[age]": {"several": mixture_log_pdf, "mixtures": mixture_log_pdf},
}


@pytest.mark.parametrize("name", LAWS)
def test_stored_densities_are_scipy_s(name, cohort):
    spec = resolved(cohort, LAWS[name])
    prior = prior_draws(spec, prepare(spec, cohort), draws=20, seed=2)
    found = log_prior(spec, prior)
    sampled = {part.name for joint in spec.resolved.joint_priors for part in joint.sampled}
    assert sampled <= set(found.data_vars)
    assert "log_hazard_ratio" not in found
    compared = 0
    for variable, by_case in ORACLES.items():
        oracle = by_case.get(name, by_case.get(""))
        if variable in found and oracle is not None:
            # PyMC's constants are in single precision for some distributions (2e-9); scipy wants shares that sum to one.
            np.testing.assert_allclose(
                found[variable].to_numpy()[0], oracle(prior[variable].to_numpy()[0]), rtol=1e-8, atol=1e-8
            )
            compared += 1
    assert compared >= 2
    if "global_scale" in found:
        size = {"horseshoe": 4, "several": 1}[name]
        scale = 0.6 / (size - 0.6) / np.sqrt(cohort.event.sum())
        expected = stats.halfcauchy(scale=scale).logpdf(prior["global_scale"].to_numpy())
        np.testing.assert_allclose(found["global_scale"], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("name", "metric"), [*((name, "hazard-ratio") for name in LAWS), ("several", "time-ratio")])
def test_the_graph_is_the_stored_log_prior_and_log_likelihood(name, metric, cohort):
    """At draws of the prior, the graph's density without Jacobians is the sum of what is stored with a fit."""
    from pytensor.compile.mode import Mode

    spec = resolved(cohort, LAWS[name], metric=metric)
    data = prepare(spec, cohort)
    prior = prior_draws(spec, data, draws=2, seed=6)
    stored = log_prior(spec, prior)
    expected = sum(stored[variable].isel(chain=0).sum(set(stored[variable].dims) - {"chain", "draw"}) for variable in stored)
    expected = expected + pointwise_log_likelihood(spec, prior, data)["survival_time"].isel(chain=0).sum("patient")
    model = spec.to_pymc(cohort)
    interpreter = Mode(linker="py", optimizer=None)
    function = model.compile_fn(model.logp(jacobian=False), mode=interpreter, point_fn=True)
    for place in range(2):
        point = {}
        for variable in model.free_RVs:
            value, transform = prior[variable.name].to_numpy()[0, place], model.rvs_to_transforms[variable]
            if transform is not None:
                value = np.asarray(transform.forward(value, *variable.owner.inputs).eval(mode=interpreter))
            point[model.rvs_to_values[variable].name] = value
        # PyMC takes log 2 of a half-Cauchy in single precision: 1.9e-9 each.
        assert float(function(point)) == pytest.approx(float(expected[place]), rel=1e-9, abs=1e-7)


@pytest.mark.parametrize("name", LAWS)
def test_a_spec_survives_as_json(name, cohort):
    spec = resolved(cohort, LAWS[name])
    again = sw.ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert again.resolved.joint_priors == spec.resolved.joint_priors


@pytest.mark.parametrize("name", LAWS)
def test_labels_of_levels_do_not_matter(name, cohort, make_frame):
    """Grades as text or as whole numbers, stages declared or in natural order: the same prior, the same design."""
    frame = make_frame(60).assign(grade=(np.arange(60) % 4).astype(str))
    columns = {"time": "months", "event": "died", "covariates": ["ecog", "age", "stage", "grade"]}
    other = sw.Cohort.from_frame(frame, **columns, levels={"stage": ["I", "II", "III"]})
    one, two = resolved(cohort, LAWS[name]), resolved(other, LAWS[name])
    assert one.resolved.coefficients == two.resolved.coefficients
    np.testing.assert_array_equal(prepare(one, cohort).covariates, prepare(two, other).covariates)


def test_the_bends_of_a_spline_can_be_exchangeable(cohort):
    """Per sd of each column of the basis."""
    term = "bs(age, df=4)"
    spec = resolved(cohort, sw.Priors(terms={term: sw.Exchangeable()}), f"Surv(months, died) ~ {term}")
    (joint,) = spec.resolved.joint_priors
    assert joint.columns == spec.resolved.columns
    np.testing.assert_allclose(joint.units, prepare(spec, cohort).covariates.std(axis=0, ddof=1), rtol=1e-12)
    found = drawn(spec, cohort, draws=50)
    sd = found["exchangeable_sd[bs(age, df=4)]"][:, None]
    expected = sd * found["standardised_coefficient[bs(age, df=4)]"] / np.array(joint.units)
    np.testing.assert_allclose(found["log_hazard_ratio"], expected, rtol=1e-12)


def test_terms_with_a_prior_of_their_own_stay_outside(cohort):
    found = resolved(cohort, LAWS["several"]).resolved
    assert [joint.dist for joint in found.joint_priors] == ["RegularisedHorseshoe", "Exchangeable", "Monotone"]
    assert [joint.columns for joint in found.joint_priors] == [
        ("ecog[>=1]",),
        ("stage[II]", "stage[III]"),
        ("mo(grade)[>=1]", "mo(grade)[>=2]", "mo(grade)[>=3]"),
    ]
    assert found.coefficients[found.columns.index("age")].dist == "NormalMixture"


BAD = {
    "horseshoe of all": (
        sw.Priors(coefficients=sw.RegularisedHorseshoe(expected_nonzero=4)),
        "expects 4 coefficients to matter, of 4",
    ),
    "one step": (sw.Priors(terms={"mo(grade)[>=1]": sw.Prior("Normal", mu=0, sigma=1)}), r"Give one prior of 'mo\(grade\)'"),
    "one level": (
        sw.Priors(terms={"stage": sw.Exchangeable(), "stage[II]": sw.Prior("Normal", mu=0, sigma=1)}),
        "Give one prior of 'stage'",
    ),
    "a law of one column": (sw.Priors(terms={"stage[II]": sw.Exchangeable()}), "not of one coefficient"),
    "exchangeable alone": (sw.Priors(terms={"age": sw.Exchangeable()}), "the term has one coefficient"),
    "exchangeable steps": (sw.Priors(terms={"mo(grade)": sw.Exchangeable()}), r"Use Monotone\(total"),
    "monotone without steps": (sw.Priors(terms={"stage": sw.Monotone()}), r"Write mo\(stage\) in the formula"),
    "a sd below zero": (
        sw.Priors(terms={"stage": sw.Exchangeable(sd=sw.Prior("Normal", mu=0, sigma=1))}),
        "reaches below zero",
    ),
    "an impossible total": (sw.Priors(terms={"mo(grade)": sw.Prior("Normal", mu=0, sd=1)}), "has no parameter 'sd'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_suit_is_refused_by_name(name, cohort):
    priors, message = BAD[name]
    with pytest.raises(sw.SpecError, match=message):
        sw.ModelSpec.from_formula(FORMULA, priors=priors).to_pymc(cohort)


def test_r2d2_needs_hazard_ratios_and_several_coefficients(cohort):
    priors = sw.Priors(coefficients=sw.R2D2())
    with pytest.raises(sw.SpecError, match=r"Use metric='hazard-ratio', or RegularisedHorseshoe"):
        resolved(cohort, priors, metric="time-ratio")
    with pytest.raises(sw.SpecError, match="there are 1 without a prior of their own"):
        resolved(cohort, priors, "Surv(months, died) ~ age + mo(grade)")


def test_a_monotone_effect_has_no_slopes(make_frame):
    frame = make_frame(60).assign(grade=np.arange(60) % 4)
    patients = sw.Cohort.from_frame(frame, time="months", event="died", site="hospital", covariates=["grade"])
    with pytest.raises(sw.SpecError, match="would not go one way at each site"):
        resolved(patients, formula="Surv(months, died) ~ mo(grade) + (1 + mo(grade) | hospital)")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sw.RegularisedHorseshoe(expected_nonzero=0), "must be positive numbers"),
        (lambda: sw.RegularisedHorseshoe(expected_nonzero=1, slab_df=float("nan")), "must be positive numbers"),
        (lambda: sw.R2D2(mean=1.0), r"a mean inside \(0, 1\)"),
        (lambda: sw.Monotone(concentration=-1), "concentration of a Monotone effect"),
        (lambda: sw.Priors(coefficients=sw.Exchangeable()), "is a prior of a term with several coefficients"),
        (lambda: sw.Priors(terms={"age": sw.R2D2()}), "is a prior of coefficients"),
    ],
)
def test_impossible_laws_are_refused_at_once(make, message):
    with pytest.raises(sw.SpecError, match=message):
        make()


@pytest.mark.parametrize("name", ["monotone", "horseshoe", "R2-D2", "exchangeable"])
def test_only_the_graph_takes_them(name, cohort):
    spec = resolved(cohort, LAWS[name])
    assert not kernel_reads(spec)
    with pytest.raises(sw.SpecError, match=r"joint .*Use engine=Nuts\(\)"):
        sw.fit(spec, cohort, engine=sw.NestedLaplace())
    with pytest.raises(sw.SpecError, match=r"The scale of the prior .* is not known"):
        with_priors(spec, coefficient_factor=2.0)


def test_the_study_file(cohort):
    from sitewise.cli.study import Study

    table = {
        "coefficients": {"dist": "RegularisedHorseshoe", "expected_nonzero": 0.6, "slab_scale": 0.8, "slab_df": 5},
        "stage": {"dist": "Exchangeable", "sd": {"dist": "HalfNormal", "sigma": 1.0}},
        "age": {"dist": "NormalMixture", "w": [0.7, 0.3], "mu": [0.1, 0], "sigma": [0.05, 1]},
    }
    assert sw.Priors.from_dict(table, metric="hazard-ratio") == LAWS["several"]
    assert Study(model={"formula": FORMULA}, priors=table).spec().priors == LAWS["several"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"coefficients": {"dist": "RegularisedHorseshoe"}}, "say how many coefficients you expect to matter"),
        ({"coefficients": {"dist": "R2D2", "men": 0.3}}, "R2D2 has no parameter 'men'. Did you mean 'mean'"),
        ({"stage": {"dist": "Exchangeable", "sd": 1.0}}, r'sd must be a table such as \{ dist = "HalfNormal"'),
    ],
)
def test_slips_of_the_study_file(table, message):
    with pytest.raises(sw.SpecError, match=message):
        sw.Priors.from_dict(table, metric="hazard-ratio")


def test_priors_in_words(cohort):
    assert str(LAWS["exchangeable"].terms["stage"]) == "Exchangeable(sd=Exponential(lam=2))"
    (joint,) = resolved(cohort, formula="Surv(months, died) ~ mo(grade)").resolved.joint_priors
    assert str(joint) == (
        "Monotone(total=Normal(mu=0, sigma=1), concentration=1), jointly of 'mo(grade)[>=1]', 'mo(grade)[>=2]', "
        "'mo(grade)[>=3]'"
    )


def test_draws_are_the_graph_s_coefficients(cohort):
    """The NumPy map of sampled variables to coefficients is the graph's."""
    spec = resolved(cohort, LAWS["several"])
    found = drawn(spec, cohort, draws=5)
    for joint in spec.resolved.joint_priors:
        places = [spec.resolved.columns.index(column) for column in joint.columns]
        np.testing.assert_allclose(joint.coefficients(found), found["log_hazard_ratio"][:, places], rtol=1e-12)
    times = sw.sample_prior(spec, cohort, draws=2)["prior_predictive"]["survival_time"]
    assert times.shape == (1, 2, len(cohort))
    assert (times > 0).all()
