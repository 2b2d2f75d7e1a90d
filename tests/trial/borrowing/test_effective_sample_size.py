"""Events that priors and posteriors are worth, against RBesT's printed numbers and Neuenschwander et al. 2020's property."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from sitewise.problems import TrialError
from sitewise.trial.borrowing import (
    Commensurate,
    Mixture,
    NoBorrowing,
    NormalisedPowerPrior,
    Pooled,
    RobustMap,
    borrowed,
    borrowed_events,
    effective_sample_size,
    prior_mixture,
    updated,
)

CROHN_MAP = (
    [0.50104846, 0.41871594, 0.08023561],
    [-51.42408665, -47.25917128, -55.07086416],
    [19.04525409, 7.85193726, 44.57325],
)
"""RBesT, "RBesT for a Normal Endpoint"."""


def elir_by_quad(weights, means, sds):
    """Mean of minus the second derivative of the log density, term by term."""

    def integrand(x):
        z = (x - np.array(means)) / sds
        parts = np.array(weights) * norm.pdf(x, means, sds)
        density, first, second = parts.sum(), np.sum(-parts * z / sds), np.sum(parts * (z * z - 1) / np.square(sds))
        return -(second / density - (first / density) ** 2) * density

    reach = 9 * max(sds)
    edges = np.linspace(min(means) - reach, max(means) + reach, 60)
    return sum(quad(integrand, *edge, epsrel=1e-9, epsabs=1e-13)[0] for edge in pairwise(edges))


@pytest.mark.parametrize(("sigma", "elir"), [(10, 10.82796), (20, 43.31185)])
def test_rbest_normal_mixture(sigma, elir):
    """RBesT, page of ess: mixture (.5, 0, 2), (.5, 3, 4): elir 10.82796 at sigma 10, 43.31185 at 20; moment 8.163265 at 10."""
    mixture = Mixture.of([0.5, 0.5], [0, 3], sds=[2, 4])
    found = effective_sample_size(mixture, unit_information=sigma**-2)
    assert found[0] == pytest.approx(elir, abs=5.1e-6)
    moment = effective_sample_size(mixture, definition="moment", unit_information=sigma**-2)
    assert moment[0] == pytest.approx(8.163265 * (sigma / 10) ** 2, abs=2.1e-6)


def test_rbest_crohn():
    """RBesT's vignette: elir 39, moment 21 patients (sigma 88); with a fifth of a vague part elir 28."""
    printed, means, sds = CROHN_MAP
    weights = np.array(printed) / sum(printed)
    prior = Mixture.of(weights, means, sds=sds)
    robust = Mixture.of([*(0.8 * weights), 0.2], [*means, -50.0], sds=[*sds, 88.0])
    unit = 88.0**-2
    assert round(effective_sample_size(prior, unit_information=unit)[0]) == 39
    assert round(effective_sample_size(prior, definition="moment", unit_information=unit)[0]) == 21
    assert round(effective_sample_size(robust, unit_information=unit)[0]) == 28


@pytest.mark.parametrize(
    ("weights", "means", "sds"),
    [
        ([0.5, 0.5], [0, 3], [2, 4]),
        ([0.8, 0.2], [0, 0], [0.1, 1.0]),
        ([0.3, 0.3, 0.4], [-1, 0.2, 1], [0.3, 0.05, 0.6]),
        ([0.5, 0.5], [-4, 4], [0.5, 0.5]),
    ],
)
def test_elir_by_second_derivatives(weights, means, sds):
    found = effective_sample_size(Mixture.of(weights, means, sds=sds))[0]
    assert found == pytest.approx(elir_by_quad(weights, means, sds), rel=1e-7)


def test_both_definitions_of_one_normal_are_its_precision():
    """A cohort of 80 events is worth 80; so is a mixture of equal parts."""
    prior = prior_mixture(Pooled(), historical_mean=0.3, historical_sd=80**-0.5)
    same = Mixture.of([0.4, 0.6], [0.3, 0.3], sds=[80**-0.5] * 2)
    for mixture in (prior, same):
        for definition in ("moment", "elir"):
            assert effective_sample_size(mixture, definition=definition)[0] == pytest.approx(80, rel=1e-10)
    flat = prior_mixture(NoBorrowing(), historical_mean=0, historical_sd=1)
    assert effective_sample_size(flat)[0] == effective_sample_size(flat, definition="moment")[0] == 0


@pytest.mark.parametrize(
    "method",
    [RobustMap(0.8, 1.0, 0.05), Commensurate(0.3), NormalisedPowerPrior(3.0, 2.0)],
    ids=lambda method: type(method).__name__,
)
def test_elir_is_predictively_consistent_and_the_moment_definition_is_not(method):
    """The mean of the posterior's over trials to come is the prior's plus the trial's own (Neuenschwander et al. 2020)."""
    events = 40
    se = events**-0.5
    prior = prior_mixture(method, historical_mean=0.0, historical_sd=0.15, se=se)
    # The trial to come is drawn from the prior predictive distribution, which has the tails of the prior's widest parts.
    sds = np.hypot(prior.sds[0], se)
    reach = 9 * sds[prior.weights[0] > 1e-12].max()
    estimate = np.linspace(-reach, reach, int(reach / sds.min() * 24))
    chance = (prior.weights[0] * norm.pdf(estimate[:, None], prior.means[0], sds)).sum(axis=1) * (estimate[1] - estimate[0])
    assert chance.sum() == pytest.approx(1, abs=1e-9)
    posterior = updated(prior, estimate=estimate, se=se)
    gained = {name: chance @ borrowed_events(posterior, se=se, definition=name) for name in ("moment", "elir")}
    assert gained["elir"] == pytest.approx(effective_sample_size(prior)[0], rel=1e-6)
    assert abs(gained["moment"] / effective_sample_size(prior, definition="moment")[0] - 1) > 0.02


def test_the_moment_definition_is_the_smaller():
    """Information times variance is at least 1 (Cramer-Rao for a location)."""
    rng = np.random.default_rng(4)
    mixture = Mixture(rng.dirichlet(np.ones(4), 50), rng.normal(0, 0.3, (50, 4)), rng.uniform(0.1, 1, (50, 4)))
    assert np.all(effective_sample_size(mixture) > effective_sample_size(mixture, definition="moment"))


def test_events_borrowed():
    estimates = np.array([0.0, 0.3, 3.0])
    pooled = borrowed(Pooled(), estimate=estimates, se=0.2, historical_sd=0.1)
    none = borrowed(NoBorrowing(), estimate=estimates, se=0.2, historical_sd=0.1)
    robust = borrowed(RobustMap(0.8, 1.0), estimate=estimates, se=0.2, historical_sd=0.1)
    for definition in ("moment", "elir"):
        np.testing.assert_allclose(borrowed_events(pooled, se=0.2, definition=definition), 100, rtol=1e-10)
        np.testing.assert_allclose(borrowed_events(none, se=0.2, definition=definition), 0, atol=1e-10)
        found = borrowed_events(robust, se=0.2, definition=definition)
        assert found[0] > found[1] > 0
        # In full conflict the vague part alone is left, worth one event.
        assert found[2] == pytest.approx(1, rel=1e-6)


def test_events_borrowed_of_a_matching_cohort_in_closed_form():
    """Both parts keep their mean 0, so that the variance is the weighted sum of theirs."""
    weight = np.array([0.8, 0.2]) * np.array([0.2**2 + 0.1**2, 0.2**2 + 1.0]) ** -0.5
    variances = 1 / (0.2**-2 + np.array([0.1, 1.0]) ** -2)
    robust = borrowed(RobustMap(0.8, 1.0), estimate=0.0, se=0.2, historical_sd=0.1)
    expected = weight.sum() / (weight @ variances) - 25
    assert borrowed_events(robust, se=0.2, definition="moment")[0] == pytest.approx(expected, rel=1e-12)


def test_trials_without_an_estimate_are_nan():
    posterior = borrowed(Commensurate(0.3), estimate=[0.1, np.nan], se=0.2, historical_sd=0.1)
    for definition in ("moment", "elir"):
        np.testing.assert_array_equal(np.isnan(borrowed_events(posterior, se=0.2, definition=definition)), [False, True])


def test_impossible_questions_are_refused():
    mixture = Mixture.of([0.5, 0.5], [0, 0], sds=[1e-6, 1.0])
    with pytest.raises(TrialError, match="too many to integrate"):
        effective_sample_size(mixture)
    with pytest.raises(TrialError, match="'moment' or 'elir'"):
        effective_sample_size(mixture, definition="morita")
    with pytest.raises(TrialError, match="unit_information"):
        effective_sample_size(mixture, unit_information=0.0)
