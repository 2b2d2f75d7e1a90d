"""Prior draws against the stated distributions (scipy), and survival times under the prior.

Kolmogorov-Smirnov tests at seeds that are fixed; a p-value below 1e-4 fails, so that a false alarm of a new seed has
probability 1e-4, while a wrong scale of 15 % is seen with 2,000 draws (distance .05, p about 1e-4.5).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.inference.densities import log_density
from sitewise.inference.prior import density_grid

DRAWS = 2000
SMALLEST_P = 1e-4
FORMULA = "Surv(months, died) ~ ecog + age + (1 | hospital)"


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(40, guarantee=0.5))


def assert_distributed(values, law):
    assert stats.kstest(np.ravel(values), law.cdf).pvalue > SMALLEST_P


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metric": "time-ratio"},
        {"sites": sw.RandomSites(centred=True), "guarantee_time": 0.4},
        {"family": sw.Exponential(), "metric": "time-ratio", "guarantee_time": 0.4},
    ],
    ids=str,
)
def test_prior_draws_have_the_stated_distributions(options, cohort):
    spec = sw.ModelSpec.from_formula(FORMULA, **options).resolve(cohort)
    tree = sw.sample_prior(spec, cohort, draws=DRAWS, seed=12)
    drawn = tree["prior"]
    found = spec.resolved
    shape = drawn["shape"] if "shape" in drawn else 1.0  # noqa: SIM401 (a DataTree has no such get)
    if "shape" in drawn:
        assert_distributed(drawn["shape"], stats.lognorm(0.5))
    effects = drawn["log_time_ratio" if spec.metric == "time-ratio" else "log_hazard_ratio"]
    assert effects.dims == ("chain", "draw", "term")
    for column, prior in zip(found.columns, found.coefficients, strict=True):
        assert_distributed(effects.sel(term=column), stats.norm(0, prior.values["sigma"]))
    assert_distributed(drawn["site_sd"], stats.halfnorm(scale=0.5))
    standardised = drawn["site_effect"] / drawn["site_sd"]
    assert_distributed(standardised, stats.norm())
    # The median of the *reference patient* has the stated prior, whatever the coefficients.
    log_median = drawn["log_scale"] + np.log(np.log(2)) / shape
    assert_distributed(log_median, stats.norm(found.baseline_prior.values["mu"], 1.5))
    age = effects.sel(term="age").to_numpy().ravel()
    assert abs(np.corrcoef(log_median.to_numpy().ravel(), age)[0, 1]) < 4.5 / np.sqrt(DRAWS)
    assert_distributed_times(spec, cohort, tree)


def assert_distributed_times(spec, cohort, tree):
    """H(T - g) of each simulated time is standard exponential, patient by patient, by a formula of its own."""
    drawn, times = tree["prior"], tree["prior_predictive"]["survival_time"]
    assert times.dims == ("chain", "draw", "patient")
    assert times.shape == (1, DRAWS, len(cohort))
    assert (times > spec.guarantee_time).all()
    ecog = (cohort.covariates["ecog"] == ">=1").to_numpy(dtype=float)
    age = cohort.covariates["age"].to_numpy()
    matrix = np.column_stack([ecog - ecog.mean(), age - age.mean()])
    effects = drawn["log_time_ratio" if spec.metric == "time-ratio" else "log_hazard_ratio"].to_numpy()[0]
    predictor = effects @ matrix.T + drawn["site_effect"].to_numpy()[0][:, cohort.site_index]
    shape = drawn["shape"].to_numpy()[0][:, None] if "shape" in drawn else 1.0
    scale = np.exp(drawn["log_scale_at_means"].to_numpy()[0])[:, None]
    beyond = times.to_numpy()[0] - spec.guarantee_time
    if spec.metric == "time-ratio":
        hazard = (beyond / (scale * np.exp(predictor))) ** shape
    else:
        hazard = (beyond / scale) ** shape * np.exp(predictor)
    assert_distributed(hazard[:, 0], stats.expon())
    # Across all patients and draws: 80,000 independent exponentials, half of them below ln 2 within 4.5 sds.
    assert abs((hazard < np.log(2)).mean() - 0.5) < 4.5 * 0.5 / np.sqrt(hazard.size)


def test_the_reference_patient_s_median_halves_their_survival(make_frame, read):
    """Without covariates everyone is the reference patient: in every prior draw half die before its median."""
    cohort = read(make_frame(40), site=None)
    spec = sw.ModelSpec.from_formula(
        "Surv(months, died) ~ 1", priors=sw.Priors(log_median=sw.median_survival_prior(median=12, quantile_975=60))
    )
    tree = sw.sample_prior(spec, cohort, draws=DRAWS, seed=3)
    median = np.exp(tree["prior"]["log_median_at_means"])
    below = (tree["prior_predictive"]["survival_time"] < median).to_numpy()
    assert abs(below.mean() - 0.5) < 4.5 * 0.5 / np.sqrt(below.size)
    # Log median has sd .82; with 2,000 draws the standard error of its median is 1.25 x .82 / sqrt(2000) = .023 and that of
    # its 97.5 % point sqrt(.025 x .975 / 2000) / (.0584 / .82) = .049; 4.5 of them are .10 and .22.
    middle, upper = np.log(np.quantile(median, [0.5, 0.975]))
    assert middle == pytest.approx(np.log(12), abs=0.10)
    assert upper == pytest.approx(np.log(60), abs=0.22)


def test_fixed_sites_sum_to_zero_under_the_prior(cohort):
    spec = sw.ModelSpec.from_formula(FORMULA, sites=sw.FixedSites())
    drawn = sw.sample_prior(spec, cohort, draws=500, seed=2)["prior"]
    np.testing.assert_allclose(drawn["site_effect"].sum("site"), 0.0, atol=1e-10)
    # Each of J effects that sum to zero has variance sigma^2 (J - 1) / J.
    assert_distributed(drawn["site_effect"].isel(site=0), stats.norm(0, np.sqrt(3 / 4)))
    assert "site_sd" not in drawn


def test_seeds(cohort):
    spec = sw.ModelSpec.from_formula(FORMULA)
    one, two, three = (sw.sample_prior(spec, cohort, draws=20, seed=seed) for seed in (1, 1, 2))
    for group, name in (("prior", "shape"), ("prior_predictive", "survival_time")):
        assert one[group][name].equals(two[group][name])
        assert not one[group][name].equals(three[group][name])


def test_the_number_of_draws(cohort):
    spec = sw.ModelSpec.from_formula(FORMULA)
    for draws in (1, 2):
        tree = sw.sample_prior(spec, cohort, draws=draws)
        assert dict(tree["prior"].sizes) == {"chain": 1, "draw": draws, "term": 2, "site": 4}
    with pytest.raises(sw.SpecError, match="draws is 0; at least one is needed"):
        sw.sample_prior(spec, cohort, draws=0)


def test_density_grid_is_the_prior_s_density():
    grid = np.linspace(0.01, 2, 50)
    np.testing.assert_allclose(
        density_grid(sw.Prior("HalfNormal", sigma=0.5), grid), stats.halfnorm(scale=0.5).pdf(grid), rtol=1e-10
    )


def test_densities_without_a_formula_are_the_same_from_several_threads():
    """PyTensor's functions keep their storage between calls: from two threads at once they gave others' densities, or none."""
    weights, mu, sigma = (0.7, 0.3), (-0.2, 0.5), (0.2, 1.0)
    priors = [sw.Prior("NormalMixture", w=list(weights), mu=list(mu), sigma=list(sigma)), sw.Prior("Logistic", mu=0.3, s=0.8)]
    exact = [
        lambda x: np.log(sum(w * stats.norm.pdf(x, m, s) for w, m, s in zip(weights, mu, sigma, strict=True))),
        lambda x: stats.logistic.logpdf(x, 0.3, 0.8),
    ]
    inputs = [np.linspace(-3, 3, 50 + place % 7) for place in range(300)]
    for prior, expected in zip(priors, exact, strict=True):
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda values, own=prior: log_density(own, values), inputs))
        for values, each in zip(inputs, found, strict=True):
            np.testing.assert_allclose(each, expected(values), rtol=1e-9)
