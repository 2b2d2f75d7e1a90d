"""A site's likelihood with interval-censored patients against brute-force integration of the patients' own."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import sitewise as sw
from sitewise.families.metric import log_likelihood
from sitewise.models.model_data import OPTIONAL
from sitewise.models.resolve import prepare
from sitewise.studies.predictive import log_likelihood_of_site

METRICS = ["hazard-ratio", "time-ratio"]


@pytest.fixture(scope="module")
def frame(make_frame):
    frame = make_frame(60, seed=7)
    return frame[frame["start"] < frame["months"]]


@pytest.fixture(scope="module")
def site(frame, read):
    """A function that returns a spec, draws and the arrays of one site: exact, right-, interval- and left-censored."""

    def make(metric, *, sites=None, exact=True):
        cohort = read(frame, entry="start", weights="weight", covariates=["ecog", "age"])
        formula = "Surv(start, months, died) ~ ecog + age + (1 | hospital)"
        options = {} if sites is None else {"sites": sites}
        spec = sw.ModelSpec.from_formula(formula, metric=metric, **options).resolve(cohort)
        data = prepare(spec, cohort)
        patients = data.some(cohort.site_index == 1)
        interval = patients.event * ((np.arange(patients.event.size) % 3 > 0) if exact else 1.0)
        known = interval * (np.arange(interval.size) % 4 > 0)
        # Nobody is seen before entry: the lower end is then there, or between there and the upper end.
        start = np.where(patients.entered_late > 0, np.exp(patients.log_entry), 0.0)
        known = np.maximum(known, interval * patients.entered_late)
        share = np.linspace(0, 0.9, interval.size)
        lower = np.where(known > 0, np.maximum(start + share * (np.exp(patients.log_time) - start), 0.01), 1.0)
        patients = replace(patients, interval=interval, log_lower=np.log(lower), lower_known=known)
        rng = np.random.default_rng(3)
        name = "log_hazard_ratio" if metric == "hazard-ratio" else "log_time_ratio"
        draws = {
            "shape": rng.uniform(0.7, 1.6, 4),
            "log_scale_at_means": rng.normal(2.6, 0.3, 4),
            "site_sd": np.array([1e-3, 0.2, 0.7, 2.0]),
            name: rng.normal(0, [0.4, 0.02], (4, 2)),
        }
        return spec, draws, patients

    return make


def conditional(spec, draws, patients, draw, effect):
    """The sum of the patients' log likelihoods at one effect of their site."""
    coefficients = draws["log_hazard_ratio" if spec.metric == "hazard-ratio" else "log_time_ratio"][draw]
    each = log_likelihood(
        spec.family,
        spec.metric,
        log_time=patients.log_time,
        event=patients.event,
        **{name: getattr(patients, name) for name in OPTIONAL},
        linear_predictor=patients.covariates @ coefficients + effect,
        log_scale=draws["log_scale_at_means"][draw],
        shape=(draws["shape"][draw],),
    )
    return each.sum()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("exact", [True, False], ids=["exact events too", "no exact events"])
def test_likelihood_of_a_site_against_brute_force(metric, exact, site):
    spec, draws, patients = site(metric, exact=exact)
    kinds = patients.interval + 2 * patients.lower_known + 4 * patients.event
    assert {0.0, 5.0, 7.0} <= set(kinds)  # right-, left- and interval-censored
    assert (4.0 in kinds) == exact
    found = log_likelihood_of_site(spec, draws, patients)
    for draw in range(4):
        sd = draws["site_sd"][draw]
        points = sd * np.linspace(-9, 9, 37)
        top = max(conditional(spec, draws, patients, draw, point) for point in points)

        def likelihood(effect, draw=draw, sd=sd, top=top):
            return np.exp(conditional(spec, draws, patients, draw, effect) - top) * norm.pdf(effect, 0, sd)

        value = sum(quad(likelihood, *ends, epsrel=1e-10, epsabs=1e-13)[0] for ends in pairwise(points))
        assert found[draw] == pytest.approx(top + np.log(value), abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_without_site_effects_it_is_the_sum_of_the_patients(metric, site):
    spec, draws, patients = site(metric, sites=sw.NoSites())
    found = log_likelihood_of_site(spec, draws, patients)
    expected = [conditional(spec, draws, patients, draw, 0.0) for draw in range(4)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_no_interval_is_as_before(site):
    spec, draws, patients = site("hazard-ratio")
    nobody = np.zeros_like(patients.interval)
    exact = replace(patients, interval=None, log_lower=None, lower_known=None)
    expected = log_likelihood_of_site(spec, draws, exact)
    np.testing.assert_array_equal(log_likelihood_of_site(spec, draws, replace(patients, interval=nobody)), expected)
    # Intervals that hardly exist: the log density of the event and the log of their length.
    close = replace(
        patients, lower_known=patients.event, interval=patients.event, log_lower=patients.log_time - 1e-8 * patients.event
    )
    length = patients.weight @ (patients.event * (patients.log_time + np.log(1e-8)))
    np.testing.assert_allclose(log_likelihood_of_site(spec, draws, close), expected + length, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("hidden", [True, False], ids=["intervals", "exact"])
def test_draws_far_off(metric, hidden, site):
    """Hazards that over- or underflow: the site's effect makes up for them at a price, or the likelihood is nothing."""
    spec, draws, patients = site(metric)
    if not hidden:
        patients = replace(patients, interval=None, log_lower=None, lower_known=None)
    draws = {name: values.copy() for name, values in draws.items()}
    draws["shape"][:] = 1.2
    draws["log_scale_at_means"] = np.array([-800.0, 800.0, -1e5, 1e4])
    draws["site_sd"] = np.array([60.0, 60.0, 1.0, 5.0])
    found = log_likelihood_of_site(spec, draws, patients)
    with np.errstate(over="ignore"):
        for draw in range(2):
            centre = draws["log_scale_at_means"][draw] * (1.2 if metric == "hazard-ratio" else -1.0)
            points = np.linspace(centre - 150, centre + 150, 6001)
            each = np.array([conditional(spec, draws, patients, draw, point) for point in points])
            each += norm.logpdf(points, 0, 60)
            value = each.max() + np.log(np.exp(each - each.max()).sum() * 0.05)
            assert found[draw] == pytest.approx(value, abs=1e-7)
    assert (found[2:] < -1e5).all()
    assert np.isfinite(found).all()
    without, _, _ = site(metric, sites=sw.NoSites())
    nothing = log_likelihood_of_site(without, draws, patients)
    assert (nothing < -1000).all()
    assert not np.isnan(nothing).any()
