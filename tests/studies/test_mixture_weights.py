"""Robust mixture priors: densities by scipy, posterior weights by closed form and by quadrature."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw
from sitewise.inference.densities import log_density
from sitewise.inference.packing import kernel_reads
from sitewise.models.resolve import prepare
from sitewise.studies.checking.priors import conflict

MIXTURE = sw.Prior("NormalMixture", w=[0.8, 0.2], mu=[0.6, 0.0], sigma=[0.15, 1.0])


def mixture_pdf(x):
    return 0.8 * stats.norm(0.6, 0.15).pdf(x) + 0.2 * stats.norm(0.0, 1.0).pdf(x)


def test_a_prior_with_lists_is_data():
    assert sw.Prior("NormalMixture", w=np.array([0.8, 0.2]), mu=(0.6, 0), sigma=[0.15, 1]) == MIXTURE
    assert str(MIXTURE) == "NormalMixture(mu=[0.6, 0], sigma=[0.15, 1], w=[0.8, 0.2])"
    assert MIXTURE.to_dict() == {"dist": "NormalMixture", "mu": [0.6, 0.0], "sigma": [0.15, 1.0], "w": [0.8, 0.2]}
    assert sw.Prior.from_dict(json.loads(json.dumps(MIXTURE.to_dict()))) == MIXTURE
    assert MIXTURE.shifted(0.5).values["mu"] == (1.1, 0.5)
    assert not MIXTURE.scalar
    for bad in ([], ["a"], "0.8"):
        with pytest.raises(sw.SpecError, match="must be numbers"):
            sw.Prior("NormalMixture", w=bad if bad != "0.8" else ["x"], mu=[0], sigma=[1])


def test_its_density_is_scipy_s():
    x = np.linspace(-3, 3, 30).reshape(5, 6)
    np.testing.assert_allclose(log_density(MIXTURE, x), np.log(mixture_pdf(x)), rtol=1e-10, atol=1e-10)


@pytest.fixture(scope="module")
def patients() -> sw.Cohort:
    """Forty patients whose effect is far from what the paper says."""
    rng = np.random.default_rng(2)
    treated = np.arange(40) % 2
    time = 10 * rng.standard_exponential(40) / np.exp(-0.5 * treated)
    frame = pd.DataFrame({"months": np.minimum(time, 30), "died": (time < 30).astype(int), "treated": treated})
    return sw.Cohort.from_frame(frame, time="months", event="died", covariates=["treated"])


def spec_of(prior: sw.Prior) -> sw.ModelSpec:
    baseline = sw.Prior("Normal", mu=2.0, sigma=1.0)
    priors = sw.Priors(coefficients=prior, log_median=baseline)
    return sw.ModelSpec(terms=("treated",), sites=sw.NoSites(), family=sw.Exponential(), priors=priors)


def marginal(cohort: sw.Cohort, density) -> tuple[float, float]:
    """Marginal likelihood over the coefficient's prior (times a constant), and the posterior mean, by the trapezoidal rule.

    Steps of .005 and .01 beside spreads of .15 and more: for smooth functions that vanish at the ends the error is nothing.
    """
    treated = cohort.covariates["treated"].cat.codes.to_numpy()
    events, time = np.bincount(treated, cohort.event), np.bincount(treated, cohort.time)
    beta, log_median = np.linspace(-2.5, 2.5, 1001)[:, None], np.linspace(0.5, 4.0, 351)[None, :]
    log_rate = np.log(np.log(2)) - log_median
    log_likelihood = events.sum() * log_rate + events[1] * beta - np.exp(log_rate) * (time[0] + time[1] * np.exp(beta))
    integrand = np.exp(log_likelihood + 140) * stats.norm.pdf(log_median, 2.0, 1.0) * density(beta)
    return float(integrand.sum()), float((beta * integrand).sum() / integrand.sum())


def test_a_fit_by_the_fast_engine_and_its_weights_by_quadrature(patients):
    """The fast engine takes the mixture by importance; the vague component gains what the marginal likelihoods say."""
    spec = spec_of(MIXTURE).resolve(patients)
    assert not kernel_reads(spec)
    fit = sw.fit(spec, patients, engine=sw.NestedLaplace(draws=4000), seed=3)
    assert fit.verdict.level == "ok"
    paper, _ = marginal(patients, lambda beta: 0.8 * stats.norm.pdf(beta, 0.6, 0.15))
    vague, _ = marginal(patients, lambda beta: 0.2 * stats.norm.pdf(beta, 0.0, 1.0))
    _, mean = marginal(patients, mixture_pdf)
    effect = sw.summarise(fit.posterior["log_hazard_ratio"]).iloc[0]
    assert abs(effect["mean"] - mean) < 4.5 * effect["mcse_mean"]
    found = sw.mixture_weights(fit)
    assert list(found["coefficient"]) == ["treated[1]", "treated[1]"]
    assert list(found["prior_weight"]) == [0.8, 0.2]
    assert found["posterior_weight"].sum() == pytest.approx(1.0)
    expected = vague / (paper + vague)
    assert abs(found["posterior_weight"][1] - expected) < 4.5 * found["mcse"][1]
    assert expected > 0.5  # they do disagree
    assert found["mcse"][1] < 0.02
    clash = conflict(spec, prepare(spec, patients), seed=1)
    assert clash["prior"].iloc[0] == str(MIXTURE)
    assert 0 < clash["p_value"].iloc[0] < 1


@pytest.mark.parametrize("seen", [0.6, 0.1, -0.2])
def test_posterior_weights_in_a_conjugate_case(seen, patients, hand_made):
    """Exact draws of a normal mean with a mixture prior: component k has weight w_k Normal(seen; mu_k, sigma_k^2 + error^2)."""
    error, size = 0.25, 4000
    weights = np.array([0.8, 0.2])
    means, sds = np.array([0.6, 0.0]), np.array([0.15, 1.0])
    exact = weights * stats.norm.pdf(seen, means, np.hypot(sds, error))
    exact /= exact.sum()
    rng = np.random.default_rng(5)
    component = rng.choice(2, size, p=exact)
    precision = 1 / sds**2 + 1 / error**2
    centre = (means / sds**2 + seen / error**2) / precision
    theta = centre[component] + rng.standard_normal(size) / np.sqrt(precision[component])
    fit = hand_made(spec_of(MIXTURE), patients, log_scale=np.zeros(size), coefficients=theta[:, None])
    found = sw.mixture_weights(fit)
    np.testing.assert_array_less(np.abs(found["posterior_weight"] - exact), 4.5 * found["mcse"] + 1e-12)
    np.testing.assert_allclose(found["mean"], means)
    np.testing.assert_allclose(found["sd"], sds)


def test_no_mixture_no_rows(patients, hand_made):
    plain = hand_made(
        spec_of(sw.Prior("Normal", mu=0, sigma=1)), patients, log_scale=np.zeros(10), coefficients=np.zeros((10, 1))
    )
    assert len(sw.mixture_weights(plain)) == 0


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (sw.Prior("NormalMixture", w=[0.8, 0.3], mu=[0, 0], sigma=[1, 2]), "weights that are not shares of one"),
        (sw.Prior("NormalMixture", w=[1.2, -0.2], mu=[0, 0], sigma=[1, 2]), "weights that are not shares of one"),
        (sw.Prior("NormalMixture", w=[0.5, 0.5], mu=[0, 0], sd=[1, 2]), "has no parameter 'sd'"),
        (sw.Prior("NormalMixture", w=[0.5, 0.5], mu=[0, 0, 0], sigma=[1, 2]), "is not one that PyMC accepts"),
        (sw.Prior("Normal", mu=[0, 1], sigma=1), "several numbers at once"),
    ],
)
def test_impossible_lists_are_refused(prior, message, patients):
    with pytest.raises(sw.SpecError, match=message):
        spec_of(prior).to_pymc(patients)


def test_published_priors_with_a_robust_part():
    krog, cohort = sw.load_evidence("krog-20-04"), sw.simulate(sw.load_scenario("krog-20-04"), seed=1)
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog + child_pugh + (1 | site)")
    found = sw.published_priors(krog, spec, cohort=cohort, discount=0.25, robust=0.2)
    prior = found.priors.terms["ecog[>=1]"]
    # Table 3: performance status 1.840 (1.028-3.295); a quarter of the precision is twice the sd.
    sd = (np.log(3.295) - np.log(1.028)) / (2 * stats.norm.ppf(0.975))
    expected = {"w": (0.8, 0.2), "mu": (np.log(1.840), 0.0), "sigma": (2 * sd, 1.0)}
    assert prior.dist == "NormalMixture"
    assert {name: pytest.approx(value) for name, value in expected.items()} == prior.values
    assert "NormalMixture" in found.table.loc[0, "prior"]
    fit = sw.fit(replace(spec, priors=found.priors), cohort, engine=sw.NestedLaplace(draws=1000), seed=1)
    weights = sw.check(fit, replicates=19, priors=False, refit=False).mixture
    assert list(weights["coefficient"]) == ["ecog[>=1]"] * 2 + ["child_pugh[B]"] * 2
    # The patients were simulated from the paper: they do not turn its component down.
    assert weights["posterior_weight"].iloc[0] > 0.8
    for options, message in (
        ({"robust": 1.0}, "robust is 1"),
        ({"robust": 0.2, "degrees_of_freedom": 7.0}, "Give one of them"),
    ):
        with pytest.raises(sw.SpecError, match=message):
            sw.published_priors(krog, spec, cohort=cohort, **options)


def test_a_numeric_column_has_a_vague_part_per_sd():
    krog = sw.load_evidence("krog-20-04")
    frame = pd.DataFrame({"time": np.arange(1.0, 9.0), "event": 1, "age": [50.0, 60, 70, 65, 55, 58, 63, 71]})
    cohort = sw.Cohort.from_frame(frame, time="time", event="event", time_unit="months")
    found = sw.published_priors(krog, sw.ModelSpec.from_formula("Surv(time, event) ~ age"), cohort=cohort, robust=0.5)
    assert found.priors.terms["age"].values["sigma"][1] == pytest.approx(1 / frame["age"].std(ddof=1))
