"""Survival of groups under a calibrated process: what is known of the process, and what one cohort of this size would show.

A group's curve under the process averages over its members and over a population of sites inside each draw; the Kaplan-Meier
curve of the same draw's cohort, at the few sites of the paper, carries the sampling error of n patients as well. Published
numbers belong to the second kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sitewise.classical import Ordered, kaplan_meier_at
from sitewise.families import BASELINES
from sitewise.simulate.calibration.calibrate import Calibration
from sitewise.simulate.calibration.generate import Cohorts, Randomness
from sitewise.simulate.calibration.parameters import guarantee_times
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.calibration.targets import Grouping, Target
from sitewise.simulate.parts import Floats

STAGE = 8
COHORTS = 400
GRID = 90
SITE_NODES = 9
"""Of Gauss-Hermite quadrature over the effects of sites: error below 2e-4 up to a spread of 1."""
ALL = "all patients"
CURVES = ("survival", "survival_lower", "survival_upper", "beyond_last", "log_width")
"""Kinds of target that are read off a survival curve."""


@dataclass(frozen=True)
class Partition:
    """Groups that are looked at together.

    Parameters
    ----------
    title : str
        What divides them.
    groups : dict of str to grouping
        By label.
    """

    title: str
    groups: dict[str, Grouping]


@dataclass(frozen=True, eq=False)
class GroupFan:
    """Survival of one group in R cohorts at T times.

    Parameters
    ----------
    label : str
        The group.
    process : ndarray, shape (R, T)
        Mean survival of its members under each cohort's parameters; NaN for a cohort without members.
    cohort : ndarray, shape (R, T)
        Kaplan-Meier curve of each cohort; NaN beyond the last observed time of its members.
    published : tuple of Target
        Numbers of the paper that are read off this curve.
    """

    label: str
    process: Floats
    cohort: Floats
    published: tuple[Target, ...]


def partitions(problem: Problem, /) -> list[Partition]:
    """Return the groups whose survival is shown: everyone, by number of favourable factors, and the paper's own divisions.

    With one favourable factor its number divides patients only where the paper prints something of these groups.
    """
    favourable = [item for item in problem.structure.factors if item.favourable]
    found = [Partition(ALL.capitalize(), {ALL: None})]
    counted = any(item.kind in CURVES and isinstance(item.group, int) for item in problem.targets)
    if len(favourable) > 1 or counted:
        counts = range(len(favourable), -1, -1)
        title = f"By number of favourable factors ({', '.join(item.name for item in favourable)})"
        found.append(Partition(title, {f"{count} of {len(favourable)} favourable": count for count in counts}))
    divided: dict[tuple[str, ...], dict[str, Grouping]] = {}
    for target in problem.targets:
        if target.kind in CURVES and isinstance(target.group, dict):
            label = ", ".join(f"{name} {'|'.join(levels)}" for name, levels in target.group.items())
            divided.setdefault(tuple(target.group), {})[label] = target.group
    found += [Partition(f"By {' and '.join(names)}", groups) for names, groups in divided.items()]
    return found


def survival_of_groups(
    problem: Problem, theta: Floats, cohorts: Cohorts, random: Randomness, groups: Sequence[Grouping], times: Floats
) -> list[Floats]:
    """Return mean survival of each group's members under parameter rows, each of shape (R, T), marginal over sites."""
    values = problem.parameters.named(np.broadcast_to(theta, (len(random), len(problem.parameters))))
    generator = problem.generator
    log_hazard = generator.linear_predictor(values, cohorts.factors, cohorts.measures)
    family = BASELINES[problem.assumptions.family]()
    shape = tuple(item[:, None] for item in generator.shapes(values))
    log_median = generator.log_medians(values)[:, None]
    log_scale = log_median - family.log_time(np.log(np.log(2.0)), 0.0, shape)
    since = times[None, :] - guarantee_times(values, problem.parameters, problem.assumptions)[:, None]
    with np.errstate(divide="ignore"):
        baseline = family.log_cumulative_hazard(np.log(np.maximum(since, 1e-300)), log_scale, shape)
    baseline = np.where(since > 0, baseline, -np.inf)
    members = [_weights(problem, cohorts, group) for group in groups]
    found = [np.empty(since.shape) for _ in groups]
    spread = generator.site_sds(random)[:, None]
    nodes, shares = np.polynomial.hermite_e.hermegauss(SITE_NODES if spread.any() else 1)
    for column in range(len(times)):
        survival = np.zeros(log_hazard.shape)
        for node, share in zip(nodes, shares / shares.sum(), strict=True):
            survival += share * np.exp(-np.exp(baseline[:, column, None] + log_hazard + node * spread))
        for own, weight in zip(found, members, strict=True):
            own[:, column] = (survival * weight).sum(axis=1)
    return found


def _weights(problem: Problem, cohorts: Cohorts, group: Grouping) -> Floats:
    """Return weights that average over a group's members, shape (R, n); NaN for a cohort without members."""
    chosen = problem.statistics.members(cohorts, group)
    member = np.ones(cohorts.time.shape) if chosen is None else chosen.astype(float)
    with np.errstate(invalid="ignore"):
        return np.asarray(member / member.sum(axis=1, keepdims=True))


def fans(
    calibration: Calibration, partition: Partition, /, *, cohorts: int = COHORTS, seed: int | None = None
) -> tuple[Floats, list[GroupFan]]:
    """Return times, shape (T,), and the survival of a partition's groups in cohorts drawn from the posterior.

    Parameters
    ----------
    calibration : Calibration
        What is calibrated.
    partition : Partition
        Of :func:`partitions`.
    cohorts : int
        How many.
    seed : int, optional
        Default: the calibration's.
    """
    problem = calibration.problem
    random = problem.randomness(calibration.seed if seed is None else seed, cohorts, stage=STAGE)
    theta = calibration.draws[0][np.arange(cohorts) % len(calibration.draws[0])]
    made = problem.generator(theta, random)
    times = np.linspace(0.0, _last_time(problem, made), GRID)
    process = survival_of_groups(problem, theta, made, random, list(partition.groups.values()), times)
    ordered = Ordered.of(made.time, made.event)
    found = []
    for (label, group), own in zip(partition.groups.items(), process, strict=True):
        members = problem.statistics.members(made, group)
        curve = kaplan_meier_at(ordered, times, include=members).survival.copy()
        last = np.where(members if members is not None else True, made.time, -np.inf).max(axis=1)
        curve[(times > last[:, None]) & (curve > 0)] = np.nan
        published = tuple(item for item in problem.targets if item.kind in CURVES and item.group == group)
        found.append(GroupFan(label, own, curve, published))
    return times, found


def _last_time(problem: Problem, cohorts: Cohorts) -> float:
    """Return a time by which hardly anyone is under observation, and no earlier than any published one."""
    named = [item.time for item in problem.targets if item.kind in CURVES and item.time is not None]
    return max(float(np.quantile(cohorts.time, 0.985)), 1.06 * max(named, default=0.0))
