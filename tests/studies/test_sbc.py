"""Simulation-based calibration passes what is right, finds what is wrong, and its parts are what they say."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw
from sitewise.inference import NestedLaplace
from sitewise.inference.densities import log_likelihood_of_draws
from sitewise.inference.nested_laplace.weighting import weighted_draws
from sitewise.problems import SpecError
from sitewise.studies.sbc import coverage, posterior_sbc, sbc
from sitewise.studies.sbc.follow_up import FollowUp
from sitewise.studies.sbc.source import simulated
from sitewise.studies.sbc.uniformity import covered, holm, p_value

FORMULA = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"
REPLICATES = 200
"""Enough to find the planted faults, whose full size is in benchmarks/sbc_faults.py."""


@pytest.fixture(scope="module")
def cohort():
    return sw.simulate_many(sw.load_scenario("krog-20-04"), 1, seed=2004).cohort(0)


@pytest.fixture(scope="module")
def spec(cohort):
    return sw.ModelSpec.from_formula(FORMULA, guarantee_time=1.95).resolve(cohort)


def test_the_engine_is_calibrated(spec, cohort) -> None:
    found = sbc(spec, cohort, replicates=REPLICATES, seed=1)
    assert found.passed, found.sentence
    assert found.sentence.startswith("pass: PIT values of all 19 quantities")
    share = found.coverage[found.coverage["prob"] == 0.9].set_index("quantity")["coverage"]
    # 4.5 standard errors of a share of 0.9 among 200.
    assert (np.abs(share - 0.9) < 4.5 * math.sqrt(0.09 / REPLICATES)).all()


def test_it_is_calibrated_around_a_data_set(spec, cohort) -> None:
    fit = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=4000))
    found = posterior_sbc(fit, replicates=400, seed=1)
    assert found.passed, found.sentence
    # Twice the data: intervals are those of twice the patients.
    assert found.replicates.fits["events"].min() > cohort.event.sum()


@dataclass(frozen=True)
class Narrow(NestedLaplace):
    """Half the Laplace variance, no weights."""

    def weighted(self, spec, data, *, seed):
        found = weighted_draws(spec, data, draws=self.draws, rng=np.random.default_rng(seed), spread=math.sqrt(0.5))
        return replace(found, weights=np.full(self.draws, 1 / self.draws))


@dataclass(frozen=True)
class Uncensored(NestedLaplace):
    """Patients without an event are left out of the likelihood."""

    def weighted(self, spec, data, *, seed):
        return super().weighted(spec, replace(data, weight=data.event), seed=seed)


def test_planted_faults_are_found(spec, cohort) -> None:
    wider = tuple(sw.Prior("Normal", mu=0.0, sigma=2 * prior.values["sigma"]) for prior in spec.resolved.coefficients)
    doubled = replace(spec, resolution=replace(spec.resolved, coefficients=wider))
    for name, found in {
        "variance": sbc(spec, cohort, replicates=REPLICATES, engine=Narrow(draws=500)),
        "censoring": sbc(spec, cohort, replicates=REPLICATES, engine=Uncensored(draws=500)),
        "prior": sbc(spec, cohort, replicates=5 * REPLICATES, analysis=doubled),
    }.items():
        assert (found.tests["p_holm"] < 0.05).any(), name
        assert not found.passed


def test_times_are_of_the_model(spec, cohort) -> None:
    """Cumulative hazards at event times, censored at those of follow-up, are exponential: H(T) is, by construction of T."""
    from sitewise.models.resolve import prepare

    data = prepare(spec, cohort)
    truth = {
        "shape": np.array([0.8]),
        "log_scale_at_means": np.array([3.0]),
        "log_hazard_ratio": np.array([[0.5, 1.0]]),
        "site_effect": np.array([[0.3, -0.2, 0.0, 0.1, -0.4]]),
    }
    late = replace(data, log_entry=np.full(100, math.log(2.0)), entered_late=np.ones(100))
    hazards = []
    for seed in range(100):
        made = simulated(spec, truth, late, FollowUp.of(cohort), np.random.default_rng(seed))
        assert (made.log_time >= late.log_entry).all()
        predictor = data.covariates @ truth["log_hazard_ratio"][0] + truth["site_effect"][0][data.site]
        before, after = (np.exp(0.8 * (log_time - 3.0) + predictor) for log_time in (late.log_entry, made.log_time))
        hazards.append((made.event.sum(), (after - before).sum()))
    events, hazard = np.array(hazards).T
    # The total hazard up to the end of observation is the compensator of the number of events: differences have mean zero.
    difference = events - hazard
    assert abs(difference.mean()) < 4.5 * difference.std() / 10


def test_log_likelihood_of_the_truth_is_that_of_the_densities(spec, cohort) -> None:
    from sitewise.inference.densities import pointwise_log_likelihood
    from sitewise.models.resolve import prepare

    data = prepare(spec, cohort)
    fit = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=100))
    flat = {str(name): values.to_numpy()[0] for name, values in fit.posterior.data_vars.items()}
    expected = pointwise_log_likelihood(spec, fit.posterior, data)["survival_time"].sum("patient").to_numpy()[0]
    np.testing.assert_allclose(log_likelihood_of_draws(spec, flat, data).sum(axis=1), expected, rtol=1e-12)


def test_follow_up_goes_beyond_events_and_keeps_censored_times(cohort) -> None:
    follow_up = FollowUp.of(cohort)
    drawn = np.array([follow_up.draw(np.random.default_rng(seed)) for seed in range(200)])
    censored = cohort.event == 0
    assert (drawn[:, censored] == cohort.time[censored]).all()
    assert (drawn >= cohort.time).all()
    # A patient who died first could have been followed like the cohort: by the reverse Kaplan-Meier curve, whose median is that
    # of their draws to within its steps.
    first = int(np.argmin(np.where(censored, np.inf, cohort.time)))
    curve = sw.kaplan_meier(cohort.time, censored)
    assert np.mean(drawn[:, first] <= curve.median()[0]) == pytest.approx(0.5, abs=4.5 * math.sqrt(0.25 / 200) + 0.03)


def test_holm_and_coverage() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])
    pit = pd.DataFrame({"quantity": "x", "pit": [0.01, 0.2, 0.5, 0.96, 0.999]})
    assert list(covered(pit)["coverage"]) == [0.2, 0.4, 0.4, 0.6]


def test_uniformity_keeps_its_level_and_has_power() -> None:
    rng = np.random.default_rng(5)
    level = np.mean([p_value(rng.random(300)) < 0.01 for _ in range(500)])
    assert level < 0.01 + 4.5 * math.sqrt(0.01 * 0.99 / 500)
    assert p_value(stats.beta(2, 2).rvs(300, random_state=1)) < 0.001


def test_coverage_of_a_scenario_by_size() -> None:
    scenario = sw.load_scenario("krog-20-04")
    terms = " + ".join(item.name for item in scenario.covariates)
    model = sw.ModelSpec.from_formula(
        f"Surv(time, event) ~ {terms} + (1 | site)", guarantee_time=scenario.baseline.guarantee_time
    )
    table = coverage(model, scenario, patients=(60, 240), sites=(5,), replicates=60)
    by_size = table.pivot(index="quantity", columns="patients", values="width")
    assert (by_size[240] < by_size[60]).all()
    wide = table.set_index(["quantity", "patients"])
    share = wide.loc[("log_hazard_ratio[ecog[>=1]]", 240), "coverage"]
    assert share > 0.95 - 4.5 * math.sqrt(0.95 * 0.05 / 60)
    assert wide.loc[("shape", 60), "truth"] == pytest.approx(scenario.baseline.parameters["shape"])
    with pytest.raises(SpecError, match="the scenario's covariates, all of them"):
        coverage(sw.ModelSpec.from_formula(FORMULA, guarantee_time=scenario.baseline.guarantee_time), scenario, replicates=20)
    with pytest.raises(SpecError, match="only of such a model"):
        coverage(sw.ModelSpec.from_formula(FORMULA), scenario, replicates=20)


def test_what_cannot_be_calibrated_is_said(spec, cohort) -> None:
    with pytest.raises(SpecError, match="not resolved"):
        sbc(sw.ModelSpec.from_formula(FORMULA), cohort)
    with pytest.raises(SpecError, match="at least 20"):
        sbc(spec, cohort, replicates=5)
    table = cohort.frame.assign(weight=2.0)
    weighted = sw.Cohort.from_frame(table, time="time", event="event", site="site", weights="weight", time_unit="months")
    own = sw.ModelSpec.from_formula(FORMULA).resolve(weighted)
    with pytest.raises(SpecError, match="no distribution of data"):
        sbc(own, weighted)


@pytest.mark.parametrize(
    ("formula", "options", "said"),
    [
        ("Surv(time, event) ~ ecog + (1 | site)", {"family": sw.Gompertz()}, "does not know this model"),
        ("Surv(time, event) ~ ecog + (1 | site)", {"shape": "ecog"}, "integrates over one shape"),
        ("Surv(time, event) ~ ecog + child_pugh + (1 + ecog + child_pugh | site)", {}, "at most three hyperparameters"),
    ],
    ids=["family", "shape", "slopes"],
)
def test_a_model_that_the_fast_engine_does_not_know_is_refused(cohort, formula, options, said) -> None:
    """Before anything is simulated: its weighted draws alone would be those of another model, and it would be told to pass."""
    own = sw.ModelSpec.from_formula(formula, **options).resolve(cohort)
    for call in (
        lambda: sbc(own, cohort, replicates=20, seed=1),
        lambda: coverage(own, sw.load_scenario("krog-20-04"), replicates=20, seed=1),
    ):
        with pytest.raises(SpecError, match=said):
            call()
