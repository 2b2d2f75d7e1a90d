"""The integral over a site's effect against adaptive quadrature, and a site's likelihood against textbook formulas."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import wrightomega
from scipy.stats import norm, weibull_min

import sitewise as sw
from sitewise.models.resolve import prepare
from sitewise.studies.predictive import log_likelihood_of_site
from sitewise.studies.site_integral import log_site_integral


def by_quadrature(events, hazard, sd):
    """The log integral by scipy's adaptive rule, in pieces around the mode."""
    y = wrightomega(np.log(hazard) + 2 * np.log(sd) + events * sd**2).real if hazard > 0 else 0.0
    mode = events * sd - y / sd

    def log_integrand(z):
        return events * sd * z - hazard * np.exp(sd * z) - 0.5 * z * z

    top = log_integrand(mode)
    edges = [mode - 40, mode - 9, mode - 3, mode - 1, mode - 0.2, mode, mode + 0.2, mode + 1, mode + 3, mode + 9]
    total = sum(
        quad(lambda z: np.exp(log_integrand(z) - top), low, high, epsabs=1e-13, epsrel=1e-12, limit=400)[0]
        for low, high in pairwise(edges)
    )
    return top + np.log(total / np.sqrt(2 * np.pi))


@pytest.mark.parametrize("events", [0.0, 0.7, 3.0, 45.0])
@pytest.mark.parametrize("sd", [1e-4, 0.05, 0.5, 2.0, 6.0])
def test_integral_against_adaptive_quadrature(events, sd):
    hazards = np.array([1e-8, 0.1, 2.0, 40.0, 3000.0])
    found = log_site_integral(events, hazards, site_sd=np.full(5, sd))
    expected = [by_quadrature(events, hazard, sd) for hazard in hazards]
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_integral_in_closed_form_where_nobody_was_at_risk():
    """Without hazard it is the moment generating function of the normal; without spread, the integrand at zero."""
    sd = np.array([0.0, 0.3, 1.5])
    np.testing.assert_allclose(log_site_integral(2.0, np.zeros(3), site_sd=sd), 0.5 * (2 * sd) ** 2, atol=1e-9)
    np.testing.assert_allclose(log_site_integral(2.0, np.full(1, 3.0), site_sd=np.zeros(1)), -3.0, atol=1e-9)
    assert np.isfinite(log_site_integral(1.0, np.array([np.inf]), site_sd=np.array([0.5]))).all()


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
@pytest.mark.parametrize("hard", [False, True], ids=["plain", "weights, late entry, guarantee time"])
def test_likelihood_of_a_site_against_textbook_formulas(metric, hard, make_frame, read):
    options = {"entry": "start", "weights": "weight"} if hard else {}
    guarantee = 1.5 if hard else 0.0
    frame = make_frame(30, seed=5, guarantee=guarantee)
    if hard:
        frame["start"] += np.where(frame["start"] > 0, 0.5, 0.0)  # some enter before the guarantee time, some after
        frame = frame[frame["start"] < frame["months"]]
    cohort = read(frame, **options)
    surv = "Surv(start, months, died)" if hard else "Surv(months, died)"
    formula = f"{surv} ~ ecog + age + (1 | hospital)"
    spec = sw.ModelSpec.from_formula(formula, metric=metric, guarantee_time=guarantee).resolve(cohort)
    rng = np.random.default_rng(3)
    coefficients, shape = rng.normal(0, [0.4, 0.02], (3, 2)), rng.uniform(0.7, 1.6, 3)
    scale, sd = rng.normal(2.6, 0.2, 3), rng.uniform(0.1, 1.2, 3)
    name = "log_hazard_ratio" if metric == "hazard-ratio" else "log_time_ratio"
    variables = {"shape": shape, "log_scale_at_means": scale, "site_sd": sd, name: coefficients}

    at_site = cohort.site_index == 1
    own = cohort.subset(at_site)
    assert own.event.sum() > 1
    everyone = prepare(spec, cohort)
    patients = replace(
        everyone,
        **{
            key: None if (values := getattr(everyone, key)) is None else values[at_site]
            for key in ("log_time", "event", "log_entry", "entered_late", "weight", "covariates", "site")
        },
    )
    found = log_likelihood_of_site(spec, variables, patients)

    rows = np.column_stack([own.covariates["ecog"] == ">=1", own.covariates["age"]]).astype(float)
    centred = rows - np.asarray(spec.resolved.means)
    time, entry = own.time - guarantee, np.maximum(own.entry - guarantee, 0.0)
    for draw in range(3):
        k = shape[draw]

        def likelihood(b, k=k, draw=draw):
            predictor = centred @ coefficients[draw] + b
            longer = predictor if metric == "time-ratio" else -predictor / k
            law = weibull_min(k, scale=np.exp(scale[draw] + longer))
            each = np.where(own.event == 1, law.logpdf(time), law.logsf(time)) - law.logsf(entry)
            return np.exp(own.weights @ each + norm.logpdf(b, 0, sd[draw]) + 60)

        reach = 9 * sd[draw]
        points = np.linspace(-reach, reach, 13)
        value = sum(quad(likelihood, *ends, epsrel=1e-11)[0] for ends in pairwise(points))
        assert found[draw] == pytest.approx(np.log(value) - 60, abs=1e-6)
