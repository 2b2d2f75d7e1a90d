"""Predictive probabilities from completed trials: exact ones, those of normal estimates, and how often they come true."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sitewise.families import Exponential, Weibull
from sitewise.problems import TrialError
from sitewise.trial.analysis import Conjugate
from sitewise.trial.campaign import World, imputed, run_campaign
from sitewise.trial.campaign.imputed import Imputer
from sitewise.trial.campaign.still_to_come import entries_to_come, kinds_to_come, planned_arrivals, time_of_planned
from sitewise.trial.conduct import Snapshot, look_times, simulate_trials, snapshot
from sitewise.trial.operating import decide, thresholds_of
from sitewise.trial.operating.decisions import predictive_probability
from sitewise.trial.plan import Accrual, Arms, Criterion, Dropout, FollowUp
from sitewise.trial.plan.analysis import NormalPrior
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth import Benchmark, Profile, TrueEffect, Truth

HOPELESS = {"name": "hopeless", "role": "futility", "estimand": "hazard_ratio", "predictive": True, "probability": 0.1}
BETTER = {"name": "better", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.9}
NEVER = 1e6
"""Calendar time that no trial lasts for: the last look has its events."""
EXPONENTIAL = {"method": "conjugate", "adjust": [], "shape": {"mean": 0.0, "sd": 1e-3}, "treatment": {"mean": 0.0, "sd": 10.0}}
FLAT = {"median_survival": {"median": 7.0, "log_sd": 10.0}, "draws": 1000}


def design(**changes: Any) -> TrialDesign:
    """A single arm of 60 patients, some of them still to come at the interim look, with dropout; looks by events."""
    content = {
        "id": "imputed",
        "title": "Imputed.",
        "truth": {
            "cohort_arm": "experimental",
            "effect": {"hazard_ratio": 1.0},
            "point": {"baseline": {"median": 7.0, "family": "exponential"}},
        },
        "arms": {"kind": "single-arm", "patients": 60},
        "accrual": {"sites": 1, "rate": 3.0},
        "follow_up": {"close": NEVER, "dropout": {"share": 0.1, "by": 12.0}},
        "benchmark": {"draws": "krog-20-04"},
        "look": [{"name": "interim", "when": {"events": 12}}, {"name": "final", "when": {"events": 30}}],
        "criterion": [BETTER, HOPELESS | {"imputations": 400}],
        "analysis": EXPONENTIAL | FLAT,
    }
    return TrialDesign.from_dict({name: value for name, value in (content | changes).items() if value != {}})


def two_arms(**changes: Any) -> TrialDesign:
    """800 patients within some 20 months, all of whom have come by the interim look at 300 of 600 events."""
    events = {"interim": 300, "final": 600}
    return design(
        arms={"kind": "randomised", "patients": 800},
        accrual={"sites": 1, "rate": 40.0},
        truth={
            "cohort_arm": "control",
            "effect": {"hazard_ratio": 0.8},
            "point": {"baseline": {"median": 12.0, "family": "exponential"}},
        },
        benchmark={},
        look=[{"name": name, "when": {"events": number}} for name, number in events.items()],
        **changes,
    )


def exponential(rate: float, *, hazard_ratio: float = 1.0, arm: Any = "experimental", log_sd: float = 0.0) -> Truth:
    rows = 1 if log_sd == 0 else 401
    spread = log_sd * stats.norm.ppf((np.arange(rows) + 0.5) / rows)
    effect = TrueEffect.drawn(Effect(hazard_ratio=hazard_ratio), rows, rng=np.random.default_rng(0))
    ones = np.ones((rows, 1))
    return Truth(Exponential(), (), spread - np.log(rate), (Profile("a", "all"),), 0 * ones, ones, np.zeros(rows), arm, effect)


def at_interim(plan: TrialDesign, truth: Truth, *, trials: int, seed: int = 3) -> Snapshot:
    made = simulate_trials(
        truth, arms=plan.arms, accrual=plan.accrual, follow_up=plan.follow_up, trials=trials, first=0, seed=seed
    )
    looks = look_times(made, plan.look, close=plan.follow_up.close)
    assert looks.held[:, 0].all()
    return snapshot(made, looks.calendar[:, 0], group_of_profile=truth.group_of_profile, groups=truth.groups)


def imputer(plan: TrialDesign, analysis: Conjugate, *, groups: tuple[str, ...] = ("all",)) -> Imputer:
    found = Imputer.of(plan, analysis, groups=groups)
    assert found is not None
    return found


@pytest.mark.parametrize("benchmark_sd", [0.0, 0.3])
def test_a_single_arm_of_exponential_times_has_its_exact_predictive_probability(benchmark_sd):
    """With a flat prior of the log rate, time on test so far T and d events, the rate is Gamma(d) / T; the time on test until
    D - d more events is Gamma(D - d) / rate whoever is at risk, comes or is lost: T' / T is beta-prime (D - d, d).

    Success at the end is Phi((log E - log D) / s) > p with E = rate of the benchmark times (T + T') and s^2 = 1 / D + sd^2.
    The share of S sets has a variance of at most PP (1 - PP) (1 / S + 1 / draws): the draws of the engine are resampled.
    """
    plan, rate, events, final = design(), 0.1, 12, 30
    benchmark = Benchmark(exponential(rate, log_sd=benchmark_sd))
    assert benchmark.log_hazard_sd == pytest.approx(benchmark_sd, rel=0.01)
    seen = at_interim(plan, exponential(0.08), trials=40)
    assert (seen.patients < 60).any()
    assert (seen.ended & ~seen.event).any()
    made = imputer(plan, Conjugate(adjust=(), benchmark=benchmark, randomised=False))
    share = (made.probabilities(seen, seed=1, look=0)[..., 0] > 0.9).mean(axis=1)
    so_far = seen.time.sum(axis=1)
    needed = final / rate * np.exp(stats.norm.ppf(0.9) * np.hypot(final**-0.5, benchmark.log_hazard_sd))
    exact = stats.betaprime(final - events, events).sf((needed - so_far) / so_far)
    assert exact.min() < 0.1
    assert exact.max() > (0.9 if benchmark_sd == 0 else 0.3)
    variance = exact * (1 - exact) * (1 / made.sets + 1 / plan.analysis.draws)
    assert abs((share - exact).sum()) < 3.3 * np.sqrt(variance.sum())
    # Of 40 trials, each has its own error: the largest is judged at the level 1e-3 of all.
    assert np.abs((share - exact) / np.sqrt(variance)).max() < stats.norm.isf(0.5e-3 / 40)


def test_two_arms_with_many_events_have_the_predictive_probability_of_normal_estimates():
    """Exponential times, flat priors, half of 600 events: the normal closed form, of the log rates' own estimate.

    The model's log hazard ratio is log(d1 / T1) - log(d0 / T0), and the analysis's Peto's, which leaves the times of events
    out: with l the difference, the estimate at the end is on average moved by (1 - f) l, and a probability by no more than
    phi(0) sqrt(1 - f) l / s, to first order in l. What is left is of second order in 1 / events: 0.01.
    """
    plan = two_arms()
    seen = at_interim(plan, exponential(np.log(2) / 12, hazard_ratio=0.8, arm="control"), trials=60)
    analysis = Conjugate(adjust=(), treatment=NormalPrior(0.0, 10.0), estimate="log-rank")
    made = imputer(plan, analysis)
    share = (made.probabilities(seen, seed=1, look=0)[..., 0] > 0.9).mean(axis=1)
    now = analysis.analyse(seen, plan.criterion)
    estimate, sd = now.estimate[:, 0], now.sd[:, 0]
    normal = predictive_probability(estimate, sd, plan.criterion[0], np.array(0.5), 0.9)
    assert normal.min() < 0.3
    assert normal.max() > 0.95
    rates = [np.log((seen.event & own).sum(axis=1) / (seen.time * own).sum(axis=1)) for own in (seen.arm == 0, seen.arm == 1)]
    moved = np.abs(rates[1] - rates[0] - estimate)
    first_order = stats.norm.pdf(0) * np.sqrt(0.5) * moved / sd
    error = np.sqrt(normal * (1 - normal) * (1 / made.sets + 1 / plan.analysis.draws))
    assert np.median(first_order) < 0.05
    assert (np.abs(share - normal) < stats.norm.isf(0.5e-3 / 60) * error + first_order + 0.01).all()
    assert abs((share - normal).mean()) < 3.3 * np.sqrt((error**2).sum()) / 60 + first_order.mean() + 0.01


def uncertain_world(rows: int) -> Truth:
    """Rows of the priors that the analyses of ``full`` have: Weibull times, two risk groups, four sites, two arms."""
    rng = np.random.default_rng(7)
    shape = np.exp(0.3 * rng.standard_normal(rows))
    median = 10.0 * np.exp(0.3 * rng.standard_normal(rows))
    return Truth(
        Weibull(),
        (shape,),
        np.log(median) - np.log(np.log(2)) / shape,
        (Profile("a", "good"), Profile("b", "poor")),
        np.column_stack([np.zeros(rows), 0.5 * rng.standard_normal(rows)]),
        np.full((rows, 2), 0.5),
        np.abs(0.4 * rng.standard_normal(rows)),
        "control",
        TrueEffect.drawn(Effect(hazard_ratio=0.8, sd=0.4), rows, rng=rng),
    )


def full(**changes: Any) -> TrialDesign:
    return design(
        **{
            "arms": {"kind": "randomised", "patients": 80, "stratify": ["site"]},
            "accrual": {"sites": 4, "rate": 1.0},
            "follow_up": {"close": 48.0, "dropout": {"share": 0.1, "by": 12.0, "shape": 1.5}},
            "truth": {
                "cohort_arm": "control",
                "effect": {"hazard_ratio": 0.8},
                "point": {"baseline": {"median": 10.0, "family": "exponential"}},
            },
            "benchmark": {},
            "look": [{"name": "interim", "when": {"calendar": 16.0}}, {"name": "final", "when": {"calendar": 30.0}}],
            "criterion": [BETTER, HOPELESS | {"imputations": 100}],
            "analysis": {
                "method": "conjugate",
                "treatment": {"mean": float(np.log(0.8)), "sd": 0.4},
                "risk_groups": {"mean": 0.0, "sd": 0.5},
                "site_sd": 0.4,
                "shape": {"mean": 0.0, "sd": 0.3},
                "median_survival": {"median": 10.0, "log_sd": 0.3},
                "draws": 300,
            },
        }
        | changes
    )


CONJUGATE = Conjugate(treatment=NormalPrior(float(np.log(0.8)), 0.4), estimate="log-rank")


@pytest.fixture(scope="module")
def campaign() -> Any:
    rows = 512
    world = World("planned", uncertain_world(rows), true_values=np.ones((rows, 2)))
    return run_campaign(full(), [world], analysis=CONJUGATE, trials=rows, seed=2)


def test_predicted_successes_come_true_as_often_as_predicted(campaign):
    """Trials from the analysis's own prior: of those with predictive probability p a share p succeeds at the end.

    The number in a class is a sum of Bernoulli numbers, which varies less than the binomial number with their mean. The band
    is widened by the share's own Monte Carlo error at the edges of a class: with 100 sets a standard error of at most 0.05 is
    5 percent of a class's trials at most, and on average far less: 0.02.
    """
    predicted = decide(campaign).predicted[0, :, 0, 1]
    succeeds = campaign.data["probability"].to_numpy()[0, :, 1, 0] > 0.9
    assert np.isfinite(predicted).all()
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 0.85), (0.85, 1.001), (0.0, 1.001)):
        own = (predicted >= low) & (predicted < high)
        count, mean = int(own.sum()), float(predicted[own].mean())
        assert count > 30
        least, most = stats.binom.ppf([0.0005, 0.9995], count, [max(mean - 0.02, 0.0), min(mean + 0.02, 1.0)])
        assert least <= succeeds[own].sum() <= most, f"{low} to {high}: {succeeds[own].mean():.3f}, predicted {mean:.3f}"


def test_completed_trials_are_kept_by_trial_look_and_criterion(campaign):
    kept = campaign.data["imputed"]
    assert kept.dims == ("scenario", "replicate", "imputed_look", "imputation", "final_criterion")
    assert kept.sizes["imputation"] == 100
    assert kept.coords["imputed_look"].to_numpy().tolist() == ["interim"]
    assert kept.coords["final_criterion"].to_numpy().tolist() == ["better"]


def test_thresholds_that_are_changed_change_predictions_without_new_completions(campaign):
    final = campaign.data["imputed"].to_numpy()[0, :, 0, :, 0].astype(float)
    for threshold in (0.8, 0.99):
        found = decide(campaign, thresholds=thresholds_of(campaign.design, {"better": threshold}))
        np.testing.assert_array_equal(found.predicted[0, :, 0, 1], (final > threshold).mean(axis=1))
        stops = found.stop[0] == 0
        early = campaign.data["probability"].to_numpy()[0, :, 0, 0] > threshold
        np.testing.assert_array_equal(stops, early | ((final > threshold).mean(axis=1) < 0.1))
        assert np.isnan(found.predicted[0, :, 1]).all()


def test_criteria_with_fewer_imputations_take_the_first_of_them():
    plan = full(
        criterion=[
            BETTER,
            HOPELESS | {"imputations": 20},
            HOPELESS | {"name": "other", "imputations": 60},
            HOPELESS | {"name": "normal"},
        ]
    )
    world = World("planned", uncertain_world(8), true_values=np.ones((8, 4)))
    found = run_campaign(plan, [world], analysis=CONJUGATE, trials=20, seed=2)
    final = found.data["imputed"].to_numpy()[0, :, 0, :, 0] > 0.9
    predicted = decide(found).predicted[0, :, 0]
    np.testing.assert_array_equal(predicted[:, 1], final[:, :20].mean(axis=1))
    np.testing.assert_array_equal(predicted[:, 2], final.mean(axis=1))
    alone = run_campaign(
        full(criterion=[BETTER, HOPELESS]),
        [replace(world, true_values=np.ones((8, 2)))],
        analysis=CONJUGATE,
        trials=20,
        seed=2,
    )
    assert "imputed" not in alone.data
    np.testing.assert_array_equal(predicted[:, 3], decide(alone).predicted[0, :, 0, 1])


@pytest.mark.parametrize("method", ["conjugate", "log-rank", "cox", "hierarchical"])
def test_completions_do_not_depend_on_which_trials_are_done_together(monkeypatch, method):
    from sitewise.trial.analysis import analysis_of

    plan = full()
    plan = replace(plan, analysis=replace(plan.analysis, method=method))
    truth = uncertain_world(16)
    seen = at_interim(plan, truth, trials=12)
    analysis = analysis_of(plan.analysis, randomised=True, groups=truth.groups, sites=4)
    made = Imputer.of(plan, analysis, groups=truth.groups)
    assert made is not None
    together = made.probabilities(seen, seed=5, look=0)
    assert 0 < np.nanmean(together) < 1
    rows = np.array([7, 2])
    np.testing.assert_array_equal(made.probabilities(seen.some(rows), seed=5, look=0), together[rows])
    monkeypatch.setattr(imputed, "AT_ONCE", 3 * made.sets * seen.time.shape[1])
    np.testing.assert_array_equal(made.probabilities(seen, seed=5, look=0), together)
    assert (made.probabilities(seen, seed=6, look=0) != together).any()
    assert (made.probabilities(seen, seed=5, look=1) != together).any()


def test_campaigns_with_completions_do_not_depend_on_workers():
    world = World("planned", uncertain_world(8), true_values=np.ones((8, 2)))
    plan = full(criterion=[BETTER, HOPELESS | {"imputations": 5}])
    one, two = (run_campaign(plan, [world], analysis=CONJUGATE, trials=270, seed=2, workers=workers) for workers in (1, 2))
    assert one.data.identical(two.data)


def test_nothing_that_a_look_does_not_know_has_an_influence():
    """Of patients still to come, and of the rest of everybody's time, there is nothing in what is used but their number."""
    plan, truth = full(), uncertain_world(16)
    seen = at_interim(plan, truth, trials=10)
    assert not seen.entered.all()
    later = ~seen.entered
    rng = np.random.default_rng(0)
    others = {
        name: np.where(later, rng.integers(2, size=later.shape), getattr(seen, name)) for name in ("arm", "site", "group")
    }
    changed = replace(
        seen,
        enrolled=np.where(later, seen.enrolled + 5.0, seen.enrolled),
        **{name: value.astype(getattr(seen, name).dtype) for name, value in others.items()},
    )
    made = imputer(plan, CONJUGATE, groups=truth.groups)
    np.testing.assert_array_equal(made.probabilities(changed, seed=5, look=0), made.probabilities(seen, seed=5, look=0))


def test_looks_that_are_not_held_and_trials_without_events_have_no_prediction():
    plan = full(
        look=[
            {"name": "early", "when": {"calendar": 0.5}},
            {"name": "interim", "when": {"events": 30}},
            {"name": "final", "when": {"calendar": 14.0}},
        ]
    )
    world = World("planned", uncertain_world(16), true_values=np.ones((16, 2)))
    found = run_campaign(plan, [world], analysis=CONJUGATE, trials=60, seed=2)
    events, status = (found.data[name].to_numpy()[0] for name in ("events", "status"))
    predicted = decide(found).predicted[0, ..., 1]
    assert (events[:, 0] == 0).any()
    held = status[:, :2] != -1
    assert 0 < held[:, 1].sum() < 60
    np.testing.assert_array_equal(np.isnan(predicted[:, :2]), ~held | (events[:, :2] == 0))
    stopped = decide(found)
    assert not ((stopped.outcome[0] == 2) & (stopped.stop[0] == 0) & (events[:, 0] == 0)).any()


ACCRUAL = Accrual(sites=3, rate=(1.0, 0.5, 2.0), opening=(0.0, 2.0, 5.0), ramp=4.0)


@pytest.mark.parametrize("accrual", [ACCRUAL, Accrual(sites=3, rate=0.7, open_every=1.5), Accrual(sites=2, rate=0.7, ramp=3.0)])
def test_planned_arrivals_are_the_integral_of_the_planned_intensity(accrual):
    grid = np.linspace(0.0, 20.0, 200_001)
    since = grid[:, None] - accrual.openings
    grown = np.clip(since / accrual.ramp, 0, 1) if accrual.ramp else (since >= 0).astype(float)
    intensity = (grown * accrual.rates).sum(axis=1)
    integral = np.concatenate([[0.0], np.cumsum((intensity[1:] + intensity[:-1]) / 2) * (grid[1] - grid[0])])
    np.testing.assert_allclose(planned_arrivals(accrual, grid), integral, atol=2e-4)
    times = np.concatenate([[1e-3, 2.0, 5.0, 6.0, 9.0], np.random.default_rng(0).uniform(0.01, 50.0, 200)])
    np.testing.assert_allclose(time_of_planned(accrual, planned_arrivals(accrual, times)), times, rtol=1e-9)


@pytest.mark.parametrize("place", [0, 9])
def test_waiting_for_patients_to_come_is_beta_prime(place):
    """A Gamma(n) / A level: the planned number until the k-th has come is A times a beta-prime (k, n) number."""
    now, enrolled = 6.0, 8
    entries = entries_to_come(ACCRUAL, now=now, enrolled=enrolled, patients=10, sets=4000, rng=np.random.default_rng(0))
    assert (np.diff(entries, axis=1) >= 0).all()
    assert entries.min() > now
    so_far = float(planned_arrivals(ACCRUAL, np.array(now)))
    waited = planned_arrivals(ACCRUAL, entries[:, place]) / so_far - 1
    assert stats.kstest(waited, stats.betaprime(place + 1, enrolled).cdf).pvalue > 1e-3


def test_nobody_comes_after_accrual_has_ended():
    accrual = replace(ACCRUAL, longest=8.0)
    entries = entries_to_come(accrual, now=6.0, enrolled=8, patients=10, sets=500, rng=np.random.default_rng(0))
    assert (np.isinf(entries) | (entries <= 8.0)).all()
    assert 0.1 < np.isinf(entries).mean() < 0.9


def test_patients_to_come_are_like_those_seen_and_allocated_in_whole_blocks():
    arms = Arms("randomised", patients=120, allocation=(2, 1), blocks=2, stratify=("site", "risk_group"))
    site, group = np.array([0, 0, 2, 2, 2], np.int16), np.array([0, 1, 0, 0, 0], np.int16)
    rng = np.random.default_rng(0)
    found = kinds_to_come(site, group, arms=arms, sites=3, groups=2, size=(300, 60), rng=rng)
    kinds = found[0] * 2 + found[1]
    for kind, share in ((0, 0.2), (1, 0.2), (4, 0.6)):
        count = (kinds == kind).sum()
        assert abs(count - 18_000 * share) < 3.3 * np.sqrt(18_000 * share * (1 - share))
    for own, arm in zip(kinds, found[2], strict=True):
        for kind in (0, 1, 4):
            whole = arm[own == kind][: 6 * ((own == kind).sum() // 6)]
            assert (whole.reshape(-1, 6).sum(axis=1) == 4).all()


def test_remaining_time_until_dropout_is_weibull_given_what_has_passed():
    follow_up = FollowUp(close=90.0, dropout=Dropout(share=0.3, by=12.0, shape=1.7), longest=30.0)
    assert follow_up.dropout is not None
    elapsed = np.array([0.0, 5.0, 20.0])
    found = imputed._leaving(elapsed, follow_up, sets=4000, rng=np.random.default_rng(0))
    assert (found >= elapsed).all()
    assert found.max() == 30.0
    law = stats.weibull_min(1.7, scale=12.0 / (-np.log(0.7)) ** (1 / 1.7))
    for place, passed in enumerate(elapsed):
        stays = law.sf(30.0) / law.sf(passed)
        assert abs((found[:, place] == 30.0).mean() - stays) < 3.3 * np.sqrt(stays * (1 - stays) / 4000)
        left = found[found[:, place] < 30.0, place]
        uniform = (law.cdf(left) - law.cdf(passed)) / (law.cdf(30.0) - law.cdf(passed))
        assert stats.kstest(uniform, "uniform").pvalue > 1e-3


def test_events_are_found_at_assessments_that_are_still_to_come():
    follow_up = FollowUp(close=90.0, assess_every=3.0, longest=24.0)
    elapsed, time = np.array([0.0, 3.0, 7.0, 7.0, 23.0]), np.array([0.4, 3.1, 7.2, 13.6, 23.9])
    np.testing.assert_allclose(imputed._found_at(time, elapsed, follow_up), [3.0, 6.0, 9.0, 15.0, 24.0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"imputations": -1}, "must be 0 or a number of completed trials; it is -1"),
        ({"imputations": 50, "predictive": False, "below": 1.0}, "is of predictive criteria only"),
    ],
)
def test_imputations_that_mean_nothing_are_refused(change, said):
    with pytest.raises(TrialError, match=said):
        Criterion(**(HOPELESS | change))
