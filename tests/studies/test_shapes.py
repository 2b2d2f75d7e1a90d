"""Studies of models whose shape differs between patients: simulated times, and what goes with it or is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import sitewise as sw
from sitewise import names
from sitewise.models.resolve import prepare
from sitewise.studies.checking.residuals import Posterior, residuals
from sitewise.studies.drawn_cohorts import DrawnCohorts
from sitewise.studies.family_comparison import with_family
from sitewise.studies.predictive import require_site_integral
from sitewise.studies.replication.quantities import Summaries, quantities
from sitewise.studies.sbc.coverage import scenario_truth
from sitewise.studies.sbc.follow_up import FollowUp
from sitewise.studies.sbc.source import simulated
from sitewise.studies.site_models import _with_sites
from sitewise.studies.small_subgroups import without_effects

FORMULA, SHAPE = "Surv(months, died) ~ ecog + (1 | hospital)", "stage + (1 | hospital)"
ALPHA, KAPPA, EFFECTS = np.array([0.4, -0.3]), np.array([0.3, -0.2, 0.1, -0.4]), np.array([0.2, -0.5, 0.3, 0.1])


@pytest.fixture(scope="module")
def cohort(make_frame, read) -> sw.Cohort:
    return read(make_frame(400, seed=9))


@pytest.fixture(scope="module")
def spec(cohort) -> sw.ModelSpec:
    priors = sw.Priors(
        site_shape_sd=sw.Prior("HalfNormal", sigma=0.2), shape_terms={"stage": sw.Prior("Normal", mu=0, sigma=1)}
    )
    return sw.ModelSpec.from_formula(FORMULA, shape=SHAPE, priors=priors).resolve(cohort)


@pytest.fixture
def fit(hand_made, spec, cohort):
    """One draw, chosen."""
    ones = np.ones((1, 1))
    made = hand_made(
        spec,
        cohort,
        shape=[1.2],
        log_scale=[2.8],
        coefficients=[[0.4]],
        site_effect=EFFECTS[None],
        site_sd=[0.3],
    )
    sample = (names.CHAIN, names.DRAW)
    own = {
        names.LOG_SHAPE_RATIO: ((*sample, names.SHAPE_TERM), ALPHA[None, None]),
        names.SITE_LOG_SHAPE: ((*sample, names.SITE), KAPPA[None, None]),
        names.SITE_SHAPE_SD: (sample, 0.25 * ones),
    }
    extra = xr.Dataset(own, coords={names.SHAPE_TERM: list(spec.resolved.shape_columns)})
    return type(made)(made.posterior.merge(extra), spec, cohort, 1)


def hazards(cohort: sw.Cohort, times: np.ndarray, effects=EFFECTS, shapes=KAPPA) -> np.ndarray:
    """Cumulative hazards of the cohort's patients by scipy."""
    stage = cohort.covariates["stage"].astype(str).to_numpy()
    ecog = (cohort.covariates["ecog"] == ">=1").to_numpy(float)
    k = 1.2 * np.exp((stage == "II") * ALPHA[0] + (stage == "III") * ALPHA[1] + shapes[cohort.site_index])
    eta = 0.4 * ecog + effects[cohort.site_index]
    return -stats.weibull_min(k, scale=np.exp(2.8 - eta / k)).logsf(times)


def variables(fit) -> dict[str, np.ndarray]:
    return {str(name): values.to_numpy()[0] for name, values in fit.posterior.data_vars.items()}


def test_simulated_times_have_the_law_of_their_patients(fit, cohort):
    """H(T) is standard exponential: events less hazards have mean zero and the hazards as variance, whatever the censoring."""
    follow_up, data = FollowUp.of(cohort), prepare(fit.spec, cohort)
    rng, by_stage = np.random.default_rng(2), cohort.covariates["stage"].astype(str).to_numpy()
    excess, variance = np.zeros(3), np.zeros(3)
    for _ in range(20):
        made = simulated(fit.spec, variables(fit), data, follow_up, rng)
        hazard = hazards(cohort, np.exp(made.log_time))
        for place, stage in enumerate(("I", "II", "III")):
            own = by_stage == stage
            excess[place] += (made.event[own] - hazard[own]).sum()
            variance[place] += hazard[own].sum()
    assert np.abs(excess / np.sqrt(variance)).max() < 3.5


def test_residuals_are_events_less_hazards(fit, cohort):
    posterior = Posterior(variables(fit), np.ones(1))
    found = residuals(fit.spec, posterior, prepare(fit.spec, cohort), np.array([np.log(8.0), np.inf]))
    for column, until in enumerate((8.0, np.inf)):
        expected = cohort.event * (cohort.time <= until) - hazards(cohort, np.minimum(cohort.time, until))
        np.testing.assert_allclose(found[:, column], expected, atol=1e-10)


def test_drawn_cohorts_take_new_sites_with_their_own_shapes(fit):
    drawn = DrawnCohorts(fit, fit.spec, patients=300, replicates=40, seed=3, site_count=6)
    truths = [drawn.cohort(number).truth.posterior for number in range(3)]
    assert all(truth[names.SITE_LOG_SHAPE].sizes == {"chain": 1, "draw": 1, "site": 6} for truth in truths)
    first = drawn.cohort(0)
    truth = first.truth.posterior
    effects, shapes = (truth[name].to_numpy()[0, 0] for name in (names.SITE_EFFECT, names.SITE_LOG_SHAPE))
    excess = first.event.sum() - hazards(first, first.time, effects, shapes).sum()
    assert abs(excess) / np.sqrt(first.event.sum()) < 3.5
    every = np.concatenate([drawn._made(number)[0][names.SITE_LOG_SHAPE].ravel() for number in range(40)])
    assert stats.kstest(every / 0.25, stats.norm.cdf).pvalue > 1e-4


def test_kept_quantities_name_every_parameter(fit):
    found, values = quantities(fit.spec, variables(fit), Summaries(times=(6.0,)))
    kept = dict(zip(found, values[0], strict=True))
    assert kept["log_shape_ratio[stage[III]]"] == ALPHA[1]
    assert kept["site_log_shape[2]"] == KAPPA[1]
    reference = stats.weibull_min(1.2, scale=np.exp(2.8)).sf(6.0)
    assert kept["survival(6), reference patient, average site"] == pytest.approx(reference, rel=1e-12)


def test_what_takes_parts_of_a_model_away_takes_the_shape_with_it(spec, cohort):
    flat = without_effects(spec).resolve(cohort)
    assert not flat.shape_differs
    for sites in (sw.NoSites(), sw.FixedSites()):
        other = _with_sites(spec, sites)
        assert (other.shape_terms, other.shape_sites) == (("stage",), False)
        assert other.resolve(cohort).resolved.site_shape_sd is None
    same = _with_sites(spec, sw.RandomSites())
    assert same.resolve(cohort).resolved == spec.resolved
    gamma, note = with_family(spec, sw.Gamma())
    assert (gamma.shape_formula, note) == (SHAPE, "")
    exponential, note = with_family(spec, sw.Exponential())
    assert not exponential.resolve(cohort).shape_differs
    assert note == "exponential: has no shape, so that none differs between patients."


def test_a_site_s_likelihood_and_a_scenario_are_refused(spec, cohort):
    with pytest.raises(sw.SpecError, match="here their shapes differ"):
        require_site_integral(spec)
    with pytest.raises(sw.SpecError, match="all patients have one shape"):
        scenario_truth(spec, sw.load_scenario("krog-20-04"))
    with pytest.raises(sw.SpecError, match=r"Use engine=Nuts\(\)"):
        sw.replicate({"one": spec, "other": replace(spec, shape_terms=spec.shape_terms)}, cohort)
