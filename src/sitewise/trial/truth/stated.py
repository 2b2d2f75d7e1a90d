"""Truths that are stated instead of estimated: numbers, or a scenario."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sitewise.families.base import EXTREME_VALUE
from sitewise.problems import TrialError
from sitewise.records import record_hash
from sitewise.simulate import Scenario
from sitewise.simulate.people import population
from sitewise.simulate.truth import Truth as ScenarioTruth
from sitewise.trial.plan.truth import Effect, PointTruth
from sitewise.trial.truth.changes import with_case_mix
from sitewise.trial.truth.from_posterior import risk_groups
from sitewise.trial.truth.truth import CohortArm, Profile, TrueEffect, Truth

Floats = NDArray[np.float64]
ROWS = 1000
"""Draws of an effect that is uncertain."""
NODES = 8
"""Kinds of people for each numeric covariate of a scenario."""


def _rows(effect: Effect, rows: int | None) -> int:
    """Return the number of rows: what is stated has no uncertainty but the effect's."""
    wanted = rows if rows is not None else (ROWS if effect.log_sd > 0 else 1)
    if wanted < 1:
        raise TrialError(f"rows is {wanted}; a truth has at least one.")
    return wanted


def truth_of_point(
    point: PointTruth,
    /,
    *,
    cohort_arm: CohortArm,
    effect: Effect,
    endpoint: str = "OS",
    time_unit: str = "months",
    case_mix: Mapping[str, float] | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> Truth:
    """Return the truth of stated numbers; see :meth:`Truth.point`."""
    count = _rows(effect, rows)
    baseline = point.baseline
    differ = point.site_sd > 0 or any(item.log_hazard_ratio for item in point.group)
    if differ and baseline.distribution.standard != EXTREME_VALUE:
        raise TrialError(
            f"The stated truth has log hazard ratios of groups or sites, and its baseline is {baseline.family}, whose "
            "hazards do not multiply here. Use a family of proportional hazards, such as weibull."
        )
    truth = Truth(
        family=baseline.distribution,
        shape=tuple(np.full(count, value) for value in baseline.shape),
        log_scale=np.full(count, baseline.log_scale),
        profiles=tuple(Profile(item.name, item.name) for item in point.group),
        index=np.tile([item.log_hazard_ratio for item in point.group], (count, 1)).astype(float),
        shares=np.tile([item.share for item in point.group], (count, 1)).astype(float),
        site_sd=np.full(count, point.site_sd),
        cohort_arm=cohort_arm,
        effect=TrueEffect.drawn(effect, count, rng=np.random.default_rng(seed)),
        endpoint=endpoint,
        time_unit=time_unit,
        guarantee_time=baseline.guarantee_time,
        source="stated numbers",
        source_hash=record_hash(point),
    )
    return with_case_mix(truth, case_mix) if case_mix else truth


def truth_of_scenario(
    scenario: Scenario,
    /,
    *,
    cohort_arm: CohortArm,
    effect: Effect,
    endpoint: str = "OS",
    site_sd: float | None = None,
    case_mix: Mapping[str, float] | None = None,
    nodes: int = NODES,
    rows: int | None = None,
    seed: int = 0,
) -> Truth:
    """Return the truth of a scenario; see :meth:`Truth.from_scenario`."""
    from sitewise.estimands import RiskGroups

    baseline = scenario.baseline
    if baseline.distribution.standard != EXTREME_VALUE:
        raise TrialError(
            f"Scenario '{scenario.id}' has a {baseline.family} baseline whose hazards are multiplied; a trial's truth has that "
            "of weibull, exponential and mixture-cure baselines only."
        )
    spread = scenario.sites.sd if site_sd is None else site_sd
    if spread is None:
        raise TrialError(
            f"Scenario '{scenario.id}' states the effects of its own sites, and a trial's sites are new ones. State their "
            "spread: site_sd=0.3."
        )
    if spread < 0:
        raise TrialError(f"site_sd is {spread:g}; a standard deviation is zero or positive.")
    count = _rows(effect, rows)
    people = population(scenario, nodes=nodes)
    favourable = {name: list(levels) for name, levels in scenario.favourable.items()}
    label, order = risk_groups(RiskGroups.count_favourable(favourable) if favourable else None, people)
    added = ScenarioTruth.of(scenario).log_hazard_ratio(people.covariates) if scenario.covariates else np.zeros(len(people))
    told = [
        ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items())
        for row in people.covariates.to_dict("records")
    ]
    sequence = np.argsort(order, kind="stable")
    truth = Truth(
        family=baseline.distribution,
        shape=tuple(np.full(count, value) for value in baseline.shape),
        log_scale=np.full(count, baseline.log_scale),
        profiles=tuple(Profile(told[place] or "any patient", label[place]) for place in sequence),
        index=np.tile(added[sequence], (count, 1)),
        shares=np.tile((people.weights / people.weights.sum())[sequence], (count, 1)),
        site_sd=np.full(count, float(spread)),
        cohort_arm=cohort_arm,
        effect=TrueEffect.drawn(effect, count, rng=np.random.default_rng(seed)),
        endpoint=endpoint,
        time_unit=scenario.time_unit,
        guarantee_time=baseline.guarantee_time,
        source=f"scenario {scenario.id}",
        source_hash=scenario.hash,
    )
    return with_case_mix(truth, case_mix) if case_mix else truth
