"""The hierarchical analysis of trials: closed forms, the framework's own fits and estimands, maximum likelihood, refusals."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw
from sitewise.inference import NestedLaplace
from sitewise.inference.nested_laplace.weighting import NoModeError
from sitewise.problems import TrialError
from sitewise.trial.analysis import hierarchical
from sitewise.trial.analysis.analysis import FAILED, NOT_ESTIMABLE, OK
from sitewise.trial.analysis.hierarchical import Hierarchical
from sitewise.trial.analysis.statements import Against, Patients, TrialDraws, holds, values
from sitewise.trial.conduct import Snapshot
from sitewise.trial.plan import Criterion
from sitewise.trial.plan.analysis import AnalysisPlan, MedianPrior, NormalPrior

GROUPS, SITES = ("good", "middle", "poor"), 8
HAZARD_RATIO = Criterion("hazard ratio", "hazard_ratio", below=1.0)
CRITERIA = (
    HAZARD_RATIO,
    Criterion("survival", "survival", above=0.5, at=12.0),
    Criterion("survival of the good", "survival", above=0.0, at=12.0, against="control", group="good"),
    Criterion("restricted mean", "rmst", above=0.5, at=24.0, against="control"),
    Criterion("median", "median", above=10.0),
)
FLAT = NormalPrior(0.0, 20.0)
EXPONENTIAL = AnalysisPlan(
    adjust=(), shape=NormalPrior(0.0, 1e-3), median_survival=MedianPrior(12.0, 20.0), treatment=FLAT, draws=4000
)
"""Under these priors rates have Gamma distributions of the events and the person-time."""
USUAL = AnalysisPlan()


def simulated(trials, patients=200, *, seed=1, single=False, shape=1.1, log_ratio=-0.35, site_sd=0.3, longest=30.0):
    """Trials at one look: Weibull times, uniform follow-up, equal shares of groups and sites."""
    rng = np.random.default_rng(seed)
    size = (trials, patients)
    arm = np.ones(size, int) if single else np.argsort(rng.random(size), axis=1) % 2
    group, site = rng.integers(0, len(GROUPS), size), rng.integers(0, SITES, size)
    effect = np.take_along_axis(rng.normal(0, site_sd, (trials, SITES)), site, 1)
    time = 12 * (rng.exponential(size=size) / np.exp(log_ratio * arm + 0.4 * (group - 1) + effect)) ** (1 / shape)
    watched = rng.uniform(longest / 15, longest, size)
    event = time <= watched
    return Snapshot(
        number=np.arange(trials),
        calendar=np.full(trials, longest),
        included=np.ones(size, dtype=bool),
        time=np.minimum(time, watched),
        event=event,
        ended=event,
        enrolled=longest - watched,
        arm=arm.astype(np.int8),
        site=site.astype(np.int16),
        group=group.astype(np.int16),
        sites=SITES,
        groups=GROUPS,
    )


def made(plan=USUAL, *, randomised=True, benchmark=None):
    return Hierarchical(plan, randomised=randomised, groups=GROUPS, sites=SITES, benchmark=benchmark)


def same(first, second):
    for name in ("probability", "estimate", "sd", "status"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in first.more:
        np.testing.assert_array_equal(first.more[name], second.more[name])


def mcse(probability, found):
    """Monte Carlo standard error of a probability from weighted draws."""
    return np.sqrt(probability * (1 - probability) / found.more["importance_ess"][0])


class Exponential:
    """A benchmark with one rate, known or not."""

    def __init__(self, rate, log_hazard_sd=0.0):
        self.rate, self.log_hazard_sd = rate, log_hazard_sd

    def cumulative_hazard(self, time, group):
        return self.rate * time

    def draws(self, criterion):
        rng = np.random.default_rng(4)
        return np.exp(-self.rate * np.exp(rng.normal(0, self.log_hazard_sd, 4000)) * criterion.at)


# Closed forms ------------------------------------------------------------------------------------------


def test_one_arm_with_an_exponential_time_has_gamma_distributed_rates():
    """Flat prior of the log rate, D events in person-time T: rate ~ Gamma(D, T)."""
    seen = simulated(1, 120, single=True, shape=1.0, site_sd=0.0)
    events, person_time = int(seen.event.sum()), float(seen.time.sum())
    rate = stats.gamma(events, scale=1 / person_time)
    middle = float(rate.median())
    criteria = (
        Criterion("survival", "survival", above=float(np.exp(-1.05 * middle * 12)), at=12.0),
        Criterion("restricted mean", "rmst", above=float(-np.expm1(-middle * 24) / middle) + 0.3, at=24.0),
        Criterion("median", "median", below=float(np.log(2) / (0.95 * middle))),
        Criterion("hazard ratio", "hazard_ratio", below=0.8),
        Criterion("survival against known", "survival", above=0.0, at=12.0, against="benchmark"),
    )
    benchmark = Exponential(1.1 * middle / 0.8)
    found = made(EXPONENTIAL, randomised=False, benchmark=benchmark).analyse(seen, criteria, seed=1, look=0)
    assert found.status[0] == OK
    draws = rate.rvs(400_000, random_state=1)
    means = -np.expm1(-draws * 24) / draws
    known = [
        rate.cdf(1.05 * middle),
        (means > criteria[1].bound).mean(),
        rate.sf(0.95 * middle),
        rate.cdf(0.8 * benchmark.rate),
        rate.cdf(benchmark.rate),
    ]
    for place, probability in enumerate(known):
        assert found.probability[0, place] == pytest.approx(probability, abs=3.3 * mcse(probability, found))
    # log Gamma(D): mean digamma(D), variance trigamma(D).
    from scipy.special import digamma, polygamma

    sd = float(np.sqrt(polygamma(1, events)))
    error = sd / np.sqrt(found.more["importance_ess"][0])
    assert found.estimate[0, 3] == pytest.approx(digamma(events) - np.log(person_time * benchmark.rate), abs=3.3 * error + 1e-4)
    assert found.sd[0, 3] == pytest.approx(sd, rel=3.3 / np.sqrt(2 * found.more["importance_ess"][0]))
    assert found.estimate[0, 2] == pytest.approx(
        np.log(np.log(2)) + np.log(person_time) - digamma(events), abs=3.3 * error + 1e-4
    )


def test_two_exponential_arms_have_a_ratio_with_an_f_distribution():
    """(rate_1 / rate_0) (T_1 / D_1) / (T_0 / D_0) ~ F(2 D_1, 2 D_0), two independent gammas."""
    seen = simulated(1, 150, shape=1.0, site_sd=0.0, log_ratio=-0.2)
    events = [int(seen.event[seen.arm == arm].sum()) for arm in (0, 1)]
    rates = [events[arm] / seen.time[seen.arm == arm].sum() for arm in (0, 1)]
    found = made(EXPONENTIAL).analyse(seen, [HAZARD_RATIO], seed=1, look=0)
    known = stats.f(2 * events[1], 2 * events[0]).cdf(rates[0] / rates[1])
    assert 0.6 < known < 0.99
    assert found.probability[0, 0] == pytest.approx(known, abs=3.3 * mcse(known, found))


@pytest.mark.parametrize("wants", ["above", "below"])
def test_an_uncertain_benchmark_is_integrated_over(wants):
    """Two independent normals: the difference is normal with the sum of the variances."""
    rng = np.random.default_rng(2)
    found, reference = rng.normal(0.6, 0.05, 4000), np.sort(rng.normal(0.5, 0.08, 4000))
    criterion = Criterion("survival", "survival", at=12.0, against="benchmark", **{wants: 0.05})
    held = holds(criterion, found, Against(draws=reference))
    beyond = stats.norm.cdf((0.1 - 0.05) / np.hypot(0.05, 0.08))
    assert held.mean() == pytest.approx(beyond if wants == "above" else 1 - beyond, abs=3.3 * 0.5 * np.sqrt(2 / 4000))
    # Pair by pair, as the definition has it.
    pairs = found[:300, None] - reference > 0.05 if wants == "above" else found[:300, None] - reference < 0.05
    np.testing.assert_allclose(held[:300], pairs.mean(axis=1), atol=1e-12)


def test_uncertainty_of_the_benchmark_moves_the_probability_towards_one_half():
    seen = simulated(1, 120, single=True, shape=1.0, site_sd=0.0)
    rate = float(seen.event.sum() / seen.time.sum()) * 1.3
    known = made(EXPONENTIAL, randomised=False, benchmark=Exponential(rate)).analyse(seen, [HAZARD_RATIO], seed=1, look=0)
    unsure = made(EXPONENTIAL, randomised=False, benchmark=Exponential(rate, 0.2)).analyse(seen, [HAZARD_RATIO], seed=1, look=0)
    assert unsure.estimate[0, 0] == known.estimate[0, 0]
    assert unsure.sd[0, 0] == pytest.approx(np.hypot(known.sd[0, 0], 0.2))
    # The posterior of the log hazard ratio is nearly normal: D is large. 0.01 is the error of that at D = 90.
    assert unsure.probability[0, 0] == pytest.approx(stats.norm.cdf(-unsure.estimate[0, 0] / unsure.sd[0, 0]), abs=0.01)
    assert 0.5 < unsure.probability[0, 0] < known.probability[0, 0]


def test_no_spread_and_vague_priors_give_the_weibull_maximum_likelihood():
    """lifelines: beta = -phi / (scale of log time), its sd by the delta method; the posterior is within a tenth of an sd."""
    plan = AnalysisPlan(
        site_sd=1e-3,
        treatment=FLAT,
        risk_groups=FLAT,
        shape=NormalPrior(0.0, 3.0),
        median_survival=MedianPrior(12.0, 20.0),
        draws=4000,
    )
    seen = simulated(1, 400)
    found = made(plan).analyse(seen, [HAZARD_RATIO], seed=1, look=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines import WeibullAFTFitter

        table = pd.DataFrame({"time": seen.time[0], "event": seen.event[0], "arm": seen.arm[0]})
        for place in (1, 2):
            table[f"group {place}"] = (seen.group[0] == place).astype(float)
        fitter = WeibullAFTFitter().fit(table, "time", "event")
    phi, log_shape = fitter.params_["lambda_", "arm"], fitter.params_["rho_", "Intercept"]
    places = [("lambda_", "arm"), ("rho_", "Intercept")]
    covariance = fitter.variance_matrix_.loc[places, places].to_numpy()
    slope = np.array([-np.exp(log_shape), -phi * np.exp(log_shape)])
    sd = float(np.sqrt(slope @ covariance @ slope))
    assert found.estimate[0, 0] == pytest.approx(-phi * np.exp(log_shape), abs=0.1 * sd)
    assert found.sd[0, 0] == pytest.approx(sd, rel=0.06)


# The framework's own fits ------------------------------------------------------------------------------


def cohort_of(seen, row=0):
    kept = seen.included[row]
    return sw.Cohort.from_frame(
        pd.DataFrame(
            {
                "time": seen.time[row, kept],
                "event": seen.event[row, kept].astype(int),
                "site": [f"site {number + 1}" for number in seen.site[row, kept]],
                "arm": [("control", "experimental")[code] for code in seen.arm[row, kept]],
                "risk": [f"{code} {GROUPS[code]}" for code in seen.group[row, kept]],
            }
        ),
        time="time",
        event="event",
        site="site",
        time_unit="months",
    )


def fitted(seen, *, slope=False, draws=4000):
    """The same model by formula, with the analysis plan's default priors."""
    random = "(1 + arm | site)" if slope else "(1 | site)"
    priors = sw.Priors(
        coefficients=sw.Prior("Normal", mu=0, sigma=1), site_slope_sd=sw.Prior("HalfNormal", sigma=0.5) if slope else None
    )
    spec = sw.ModelSpec.from_formula(f"Surv(time, event) ~ arm + risk + {random}", priors=priors)
    return sw.fit(spec, cohort_of(seen), engine=NestedLaplace(draws=draws), seed=5)


def everybody_in(arm):
    return sw.Standardised({"all": {"arm": arm}})


@pytest.mark.parametrize("slope", [False, True])
def test_estimands_of_the_same_draws_are_those_of_the_framework(slope):
    """Draw by draw, with the framework's curves averaged over a population of sites and over the patients."""
    seen = simulated(1)
    fit = fitted(seen, slope=slope, draws=300)
    model = made(replace(USUAL, treatment_by_site=slope)).model
    variables = {str(name): one.to_numpy()[0] for name, one in fit.posterior.data_vars.items()}
    draws = TrialDraws.of(variables, model, groups=3, unit=1.0)
    patients = Patients(np.log(seen.time[0]), seen.group[0].astype(np.int64))

    def ours(criterion):
        return values(criterion, draws, patients=patients, groups=GROUPS)

    marginal = sw.Marginal()
    curves = {
        arm: sw.survival(fit, groups=everybody_in(arm), sites=marginal, times=[12.0]).to_numpy().reshape(-1)
        for arm in ("experimental", "control")
    }
    np.testing.assert_allclose(ours(CRITERIA[1]), curves["experimental"], atol=1e-6)
    difference = Criterion("difference", "survival", above=0.0, at=12.0, against="control")
    np.testing.assert_allclose(ours(difference), curves["experimental"] - curves["control"], atol=1e-6)
    good = {
        arm: sw.survival(
            fit, groups=sw.Profiles({"good": {"arm": arm, "risk": "0 good"}}), sites=marginal, times=[12.0]
        ).to_numpy().reshape(-1)
        for arm in ("experimental", "control")
    }  # fmt: skip
    np.testing.assert_allclose(ours(CRITERIA[2]), good["experimental"] - good["control"], atol=1e-6)
    means = [
        sw.rmst(fit, groups=everybody_in(arm), sites=marginal, horizon=24.0).to_numpy().reshape(-1)
        for arm in ("experimental", "control")
    ]
    np.testing.assert_allclose(ours(CRITERIA[3]), means[0] - means[1], atol=24e-6)
    medians = sw.median_survival(fit, groups=everybody_in("experimental"), sites=marginal).to_numpy().reshape(-1)
    np.testing.assert_allclose(ours(CRITERIA[4]), np.log(medians), atol=1e-5)


@pytest.mark.parametrize("slope", [False, True])
def test_probabilities_and_moments_are_those_of_a_fit_by_formula(slope):
    """Other draws, of the same posterior from a table of patients: within 3.3 Monte Carlo standard errors of both."""
    seen = simulated(1, seed=3)
    plan = replace(USUAL, draws=4000, treatment_by_site=slope)
    found = made(plan).analyse(seen, CRITERIA, seed=1, look=0)
    fit = fitted(seen, slope=slope)
    assert found.more["verdict"][0] == 0
    size = 1 / np.sqrt(1 / found.more["importance_ess"][0] + 1 / fit.verdict["importance_ess"].value)
    # Resampling to equal weights adds to the error: up to twice the variance.
    error = np.sqrt(2) * 3.3 / size
    ratio = fit.posterior["log_hazard_ratio"].to_numpy()[0, :, 0]
    assert found.estimate[0, 0] == pytest.approx(ratio.mean(), abs=error * ratio.std())
    assert found.sd[0, 0] == pytest.approx(ratio.std(), rel=error)
    below = (ratio < 0).mean()
    assert found.probability[0, 0] == pytest.approx(below, abs=error * np.sqrt(below * (1 - below)))
    curve = sw.survival(fit, groups=everybody_in("experimental"), sites=sw.Marginal(), times=[12.0]).to_numpy().reshape(-1)
    assert found.estimate[0, 1] == pytest.approx(curve.mean(), abs=error * curve.std())
    above = (curve > 0.5).mean()
    assert found.probability[0, 1] == pytest.approx(above, abs=error * np.sqrt(above * (1 - above)))
    spread = fit.posterior["site_sd"].to_numpy()[0]
    assert found.more["site_sd_mean"][0] == pytest.approx(spread.mean(), abs=error * spread.std())


# Reproducibility ---------------------------------------------------------------------------------------


def test_results_do_not_depend_on_which_trials_are_analysed_together():
    seen, analysis = simulated(5, 80), made()
    together = analysis.analyse(seen, CRITERIA, seed=9, look=1)
    for row in (3, 0, 4):
        same(analysis.analyse(seen.some(np.array([row])), CRITERIA, seed=9, look=1), select(together, row))
    other = analysis.analyse(seen.some(slice(0, 1)), CRITERIA, seed=9, look=2)
    assert other.probability[0, 0] != together.probability[0, 0]
    assert analysis.analyse(seen.some(slice(0, 1)), CRITERIA, seed=8, look=1).probability[0, 0] != together.probability[0, 0]


def test_an_analysis_that_went_to_another_process_says_the_same():
    seen, analysis = simulated(1, 60), made()
    sent = pickle.loads(pickle.dumps(analysis))
    same(analysis.analyse(seen, CRITERIA, seed=3, look=0), sent.analyse(seen, CRITERIA, seed=3, look=0))


def select(found, row):
    rows = slice(row, row + 1)
    return replace(
        found,
        probability=found.probability[rows],
        estimate=found.estimate[rows],
        sd=found.sd[rows],
        status=found.status[rows],
        more={name: own[rows] for name, own in found.more.items()},
    )


def test_patients_who_are_not_included_count_for_nothing():
    seen, analysis = simulated(1, 100), made()
    included = np.ones((1, 100), dtype=bool)
    included[:, 60:] = False
    fewer = replace(seen, included=included, event=seen.event & included)
    cut = {
        name: getattr(seen, name)[:, :60] for name in ("included", "time", "event", "ended", "enrolled", "arm", "site", "group")
    }
    same(analysis.analyse(fewer, CRITERIA, seed=2, look=0), analysis.analyse(replace(seen, **cut), CRITERIA, seed=2, look=0))


@pytest.mark.parametrize("stated", [False, True])
def test_the_unit_of_time_does_not_matter(stated):
    plans = [replace(USUAL, median_survival=MedianPrior(12.0 * unit) if stated else None) for unit in (1.0, 30.0)]
    seen = simulated(2, 80)
    in_days = replace(seen, time=30 * seen.time)
    days = [
        replace(item, at=item.at and 30 * item.at, above=item.above * 30 if item.estimand in ("rmst", "median") else item.above)
        for item in CRITERIA
    ]
    months = made(plans[0]).analyse(seen, CRITERIA, seed=2, look=0)
    found = made(plans[1]).analyse(in_days, days, seed=2, look=0)
    np.testing.assert_allclose(found.probability, months.probability, atol=1e-9)
    np.testing.assert_allclose(found.estimate[:, 3], 30 * months.estimate[:, 3], rtol=1e-7)
    np.testing.assert_allclose(found.estimate[:, 4], np.log(30) + months.estimate[:, 4], rtol=1e-7)


def test_a_stated_median_with_little_doubt_is_the_median():
    plan = AnalysisPlan(adjust=(), median_survival=MedianPrior(7.0, 1e-3))
    found = made(plan, randomised=False).analyse(simulated(1, 60, single=True), [CRITERIA[4]], seed=2, look=0)
    assert found.estimate[0, 0] == pytest.approx(np.log(7), abs=5e-3)  # 60 patients against a prior of sd 0.001
    assert found.sd[0, 0] == pytest.approx(1e-3, rel=0.2)


@pytest.mark.parametrize("slope", [False, True])
def test_priors_are_those_that_the_framework_resolves(slope):
    """The baseline's is about the same patient and located at the same time, in another unit."""
    seen = simulated(1, 80)
    theirs = fitted(seen, slope=slope, draws=100).spec.resolved
    model = made(replace(USUAL, treatment_by_site=slope)).model
    ours, (_, unit) = model.spec.resolved, model.arrays(seen, 0)
    assert ours.baseline == theirs.baseline
    assert ours.baseline_prior.shifted(np.log(unit)).values == pytest.approx(theirs.baseline_prior.values, rel=1e-12)
    for name in ("coefficients", "shape", "site_sd", "site_slope_sd", "slope_columns", "site_labels", "reference"):
        assert getattr(ours, name) == getattr(theirs, name)


# What goes wrong ---------------------------------------------------------------------------------------


def test_trials_that_cannot_be_analysed_have_a_status_and_no_numbers(monkeypatch):
    seen = simulated(4, 60)
    event, time = seen.event.copy(), seen.time.copy()
    event[1], time[2, 7] = False, 0.0
    found = made().analyse(replace(seen, event=event, time=time), CRITERIA, seed=1, look=0)
    assert found.status.tolist() == [OK, NOT_ESTIMABLE, FAILED, OK]
    assert np.isnan(found.probability[1:3]).all()
    assert np.isfinite(found.probability[[0, 3]]).all()

    def no_mode(*_, **__):
        raise NoModeError("no mode")

    monkeypatch.setattr(hierarchical.NestedLaplace, "weighted", no_mode)
    failed = made().analyse(seen, CRITERIA, seed=1, look=0)
    assert (failed.status == FAILED).all()
    assert np.isnan(failed.probability).all()


def test_a_fit_whose_verdict_fails_twice_has_failed(monkeypatch):
    own = hierarchical.NestedLaplace.weighted

    def failing(self, spec, data, *, seed):
        found = own(self, spec, data, seed=seed)
        checks = tuple(replace(one, level="fail") for one in found.verdict.checks)
        return replace(found, verdict=replace(found.verdict, checks=checks))

    monkeypatch.setattr(hierarchical.NestedLaplace, "weighted", failing)
    found = made().analyse(simulated(1, 60), CRITERIA, seed=1, look=0)
    assert found.status[0] == FAILED
    assert np.isnan(found.probability).all()
    assert found.more["verdict"][0] == 2
    assert found.more["importance_ess"][0] > 0


def test_predictive_criteria_are_left_to_others():
    criteria = [HAZARD_RATIO, Criterion("later", "hazard_ratio", role="futility", predictive=True, probability=0.1)]
    found = made().analyse(simulated(1, 60), criteria, seed=1, look=0)
    assert np.isnan(found.probability[0]).tolist() == [False, True]


def test_a_single_arm_without_patients_of_a_group_has_no_hazard_ratio_there_but_a_survival():
    seen = simulated(1, 60, single=True)
    seen = replace(seen, group=np.minimum(seen.group, 1).astype(np.int16))
    criteria = [replace(HAZARD_RATIO, group="poor"), Criterion("poor", "survival", above=0.3, at=12.0, group="poor")]
    found = made(randomised=False, benchmark=Exponential(0.05)).analyse(seen, criteria, seed=1, look=0)
    assert found.status[0] == OK
    assert np.isnan(found.probability[0]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("plan", "changes", "message"),
    [
        (replace(USUAL, treatment_by_site=True), {"randomised": False}, "needs a control arm"),
        (USUAL, {"sites": 1}, "needs at least 2"),
        (USUAL, {"groups": ()}, "groups: are none"),
        (USUAL, {"groups": ("a", "a")}, "name a group twice"),
        (AnalysisPlan(method="cox"), {}, "This is the hierarchical method"),
    ],
)
def test_plans_that_do_not_fit_the_trials_are_refused(plan, changes, message):
    given = {"randomised": True, "groups": GROUPS, "sites": SITES} | changes
    with pytest.raises(TrialError, match=message):
        Hierarchical(plan, **given)


@pytest.mark.parametrize(
    ("criterion", "made_with", "message"),
    [
        (replace(HAZARD_RATIO, group="god"), {}, "Did you mean 'good'"),
        (replace(HAZARD_RATIO, group="good"), {}, "one hazard ratio for all risk groups"),
        (replace(CRITERIA[1], group="good"), {"plan": AnalysisPlan(adjust=("site",))}, "Add 'risk_group' to adjust"),
        (CRITERIA[3], {"randomised": False}, "the trial has one arm"),
        (HAZARD_RATIO, {"randomised": False}, "Give a benchmark"),
        (replace(CRITERIA[1], against="benchmark"), {}, "Give a benchmark"),
    ],
)
def test_criteria_that_the_model_cannot_answer_are_refused(criterion, made_with, message):
    with pytest.raises(TrialError, match=message):
        made(**made_with).analyse(simulated(1, 40), [criterion], seed=1, look=0)


def test_a_benchmark_without_numbers_is_refused():
    benchmark = Exponential(0.05)
    benchmark.draws = lambda criterion: np.array([0.4, np.nan])
    with pytest.raises(TrialError, match="no finite numbers"):
        made(randomised=False, benchmark=benchmark).analyse(
            simulated(1, 40, single=True), [replace(CRITERIA[1], against="benchmark")], seed=1, look=0
        )


def test_trials_of_other_sites_or_groups_are_refused():
    seen = simulated(1, 40)
    for other in (replace(seen, sites=9), replace(seen, groups=("good", "poor", "middle"))):
        with pytest.raises(TrialError, match="was made for"):
            made().analyse(other, [HAZARD_RATIO], seed=1, look=0)
