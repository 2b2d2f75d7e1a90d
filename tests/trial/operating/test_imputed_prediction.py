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
        "truth": {"cohort_arm": "experimental", "effect": {"hazard_ratio": 1.0}, "point": {"baseline": {"median": 7.0, "family": "exponential"}}},
        "arms": {"kind": "single-arm", "patients": 60},
        "accrual": {"sites": 1, "rate": 3.0},
        "follow_up": {"close": NEVER, "dropout": {"share": 0.1, "by": 12.0}},
        "benchmark": {"draws": "krog-20-04"},
        "look": [{"name": "interim", "when": {"events": 12}}, {"name": "final", "when": {"events": 30}}],
        "criterion": [BETTER, HOPELESS | {"imputations": 400}],
        "analysis": EXPONENTIAL | FLAT,
    }
    return TrialDesign.from_dict(content | changes)


def two_arms(**changes: Any) -> TrialDesign:
    more = {"arms": {"kind": "randomised", "patients": 500}, "accrual": {"sites": 1, "rate": 25.0}, "benchmark": None}
    more["look"] = [{"name": "interim", "when": {"events": 200}}, {"name": "final", "when": {"events": 400}}]
    given = more | changes
    return design(**{name: value for name, value in given.items() if value is not None}, **{})


def exponential(rate: float, *, hazard_ratio: float = 1.0, arm: Any = "experimental", log_sd: float = 0.0) -> Truth:
    rows = 1 if log_sd == 0 else 401
    spread = log_sd * stats.norm.ppf((np.arange(rows) + 0.5) / rows)
    effect = TrueEffect.drawn(Effect(hazard_ratio=hazard_ratio), rows, rng=np.random.default_rng(0))
    ones = np.ones((rows, 1))
    return Truth(
        Exponential(), (), spread - np.log(rate), (Profile("a", "all"),), 0 * ones, ones, np.zeros(rows), arm, effect
    )


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
