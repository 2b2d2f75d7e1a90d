"""From draws of a trial's posterior to the estimands of criteria, and to the probabilities of their statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sitewise import names
from sitewise.problems import Problems, TrialError, nearest
from sitewise.trial.analysis.marginal import (
    marginal_cumulative_hazard,
    marginal_mean_within,
    marginal_median_index,
    marginal_survival,
)
from sitewise.trial.analysis.trial_model import ARM, RISK_GROUP, TrialModel
from sitewise.trial.plan.criteria import ALL, Criterion

Floats = NDArray[np.float64]
CONTROL, EXPERIMENTAL = 0, 1


@dataclass(frozen=True, eq=False)
class TrialDraws:
    """S draws of a trial's posterior, in the trial's own unit of time.

    Parameters
    ----------
    shape : ndarray, shape (S,)
        Weibull shape k.
    log_scale : ndarray, shape (S,)
        Of the first risk group of the control arm (of the one arm where there is no control) at an average site.
    treatment : ndarray, shape (S,)
        Log hazard ratio of the experimental arm; zero in a single-arm trial.
    groups : ndarray, shape (S, G)
        Log hazard ratios of the risk groups against the first.
    site_sd, slope_sd : ndarray, shape (S,)
        Spread of the sites' log hazards, and of the treatment's effect between them; zero where the model has none.
    """

    shape: Floats
    log_scale: Floats
    treatment: Floats
    groups: Floats
    site_sd: Floats
    slope_sd: Floats

    @classmethod
    def of(cls, variables: Mapping[str, Floats], model: TrialModel, /, *, groups: int, unit: float) -> Self:
        """Return the draws in variables of an engine, by name, shapes (S,) or (S, terms); ``unit`` is that of their times."""
        shape = variables[names.SHAPE]
        treatment, effects = np.zeros(shape.size), np.zeros((shape.size, groups))
        if model.spec.terms:
            coefficients = variables[names.LOG_HAZARD_RATIO]
            first = int(ARM in model.spec.terms)
            treatment = coefficients[:, 0] if first else treatment
            if RISK_GROUP in model.spec.terms:
                effects[:, 1:] = coefficients[:, first:]
        site_sd = variables.get(names.SITE_SD, np.zeros(shape.size))
        slope_sd = variables[names.SITE_SLOPE_SD][:, 0] if names.SITE_SLOPE_SD in variables else np.zeros(shape.size)
        return cls(shape, variables[names.LOG_SCALE] + np.log(unit), treatment, effects, site_sd, slope_sd)

    def index(self, log_time: float, arm: int) -> Floats:
        """Return the groups' log cumulative hazards at an average site, shape (S, G)."""
        reference = self.shape * (log_time - self.log_scale) + (self.treatment if arm == EXPERIMENTAL else 0.0)
        return np.asarray(reference[:, None] + self.groups)

    def spread(self, arm: int) -> Floats:
        """Return the sd of the sites' log hazards in an arm, shape (S,)."""
        return np.hypot(self.site_sd, self.slope_sd) if arm == EXPERIMENTAL else self.site_sd

    def average(self, criterion: Criterion, arm: int, share: Floats) -> Floats:
        """Return a criterion's estimand in one arm, shape (S,): survival, restricted mean, or log median.

        It is of the curve averaged over a case mix ``share`` (G,) and over a population of sites, draw by draw.
        """
        result = np.empty(self.shape.size)
        if criterion.estimand == "median":
            marginal_median_index(self.index(0.0, arm), share, self.spread(arm), result)
            return result / self.shape
        assert criterion.at is not None
        index = self.index(float(np.log(criterion.at)), arm)
        if criterion.estimand == "survival":
            marginal_survival(index, share, self.spread(arm), result)
            return result
        marginal_mean_within(index, self.shape, share, self.spread(arm), result)
        return criterion.at * result


@dataclass(frozen=True, eq=False)
class Patients:
    """A trial's patients at a look, as far as criteria are about them.

    Parameters
    ----------
    log_time : ndarray, shape (n,)
        Log of the time that they have been followed.
    group : ndarray of int, shape (n,)
        Position of their risk group.
    expected : ndarray, shape (n,), or None
        Benchmark's cumulative hazard at that time; needed for the hazard ratio of a single arm.
    """

    log_time: Floats
    group: NDArray[np.int64]
    expected: Floats | None = None


class Reference(Protocol):
    """What the analysis asks of a benchmark (:class:`sitewise.trial.truth.Benchmark`)."""

    @property
    def log_hazard_sd(self) -> float:
        """Sd of the benchmark's log hazard; zero where it is treated as known."""
        ...

    def cumulative_hazard(self, time: Floats, group: NDArray[np.int16], /) -> Floats:
        """Return -log S of patients of risk groups at times, arrays of one shape, averaged over sites and draws."""
        ...

    def draws(self, criterion: Criterion, /) -> Floats:
        """Return draws of the benchmark's own value of a criterion's estimand, shape (R,)."""
        ...


@dataclass(frozen=True, eq=False)
class Against:
    """What a criterion's estimand is held against besides its bound, with an uncertainty of its own.

    Parameters
    ----------
    draws : ndarray, shape (R,), or None
        Sorted draws of the benchmark's own estimand.
    log_hazard_sd : float
        Sd of the benchmark's log hazard, for the hazard ratio of a single arm.
    """

    draws: Floats | None = None
    log_hazard_sd: float = 0.0

    @property
    def moments(self) -> tuple[float, float]:
        """What is taken from the estimand's mean, and the sd that is added to its own."""
        if self.draws is not None:
            return float(self.draws.mean()), float(self.draws.std())
        return 0.0, self.log_hazard_sd


NOTHING = Against()


def values(criterion: Criterion, draws: TrialDraws, /, *, patients: Patients, groups: tuple[str, ...]) -> Floats:
    """Return a criterion's estimand in each draw, without the benchmark's part, shape (S,).

    The hazard ratio of a randomised trial is the model's coefficient. That of a single arm is on the scale of the one-sample
    log-rank test (Breslow 1975, Int Stat Rev 43:45): the patients' cumulative hazards at the times to which they have been
    followed, summed, over the sum of the benchmark's. Under proportional hazards it is the hazard ratio, and it asks for no
    time that nobody has reached. The posterior's cumulative hazard -log S is of each patient's risk group and averaged over
    sites, as the benchmark's is. Not a number where the benchmark expects no event, as in a risk group without patients.
    """
    chosen = np.full(patients.group.size, True)
    if criterion.group != ALL:
        chosen = patients.group == groups.index(criterion.group)
    if criterion.estimand == "hazard_ratio":
        if patients.expected is None:
            return draws.treatment
        expected = float(patients.expected[chosen].sum())
        if not expected > 0:
            return np.full(draws.shape.size, np.nan)
        summed = np.empty(draws.shape.size)
        marginal_cumulative_hazard(
            patients.log_time[chosen],
            patients.group[chosen],
            draws.index(0.0, EXPERIMENTAL),
            draws.shape,
            draws.spread(EXPERIMENTAL),
            summed,
        )
        return np.asarray(np.log(summed) - np.log(expected))
    if criterion.group == ALL:
        share = np.bincount(patients.group, minlength=len(groups)) / patients.group.size
    else:
        share = np.zeros(len(groups))
        share[groups.index(criterion.group)] = 1.0
    found = draws.average(criterion, EXPERIMENTAL, share)
    return found - draws.average(criterion, CONTROL, share) if criterion.against == "control" else found


def holds(criterion: Criterion, found: Floats, against: Against, /) -> Floats:
    """Return the probability of a criterion's statement given each draw of its estimand, shape (S,).

    It is 0 or 1, or where the estimand is held against an uncertain benchmark the share of the benchmark's draws, which are
    independent of the trial's, under which the statement holds.
    """
    bound = criterion.bound
    if criterion.estimand in ("hazard_ratio", "median"):
        bound = float(np.log(bound))
    beyond = bound - found if criterion.wants_less else found - bound
    if against.draws is not None:  # estimand - benchmark below, or above, the bound
        draws = against.draws
        if criterion.wants_less:
            held = 1 - np.searchsorted(draws, -beyond, side="right") / draws.size
        else:
            held = np.searchsorted(draws, beyond, side="left") / draws.size
    elif against.log_hazard_sd > 0:
        held = ndtr(beyond / against.log_hazard_sd)
    else:
        held = (beyond > 0).astype(float)
    return np.where(np.isnan(found), np.nan, held)


def moments(found: Floats, weights: Floats, against: Against, /) -> tuple[float, float]:
    """Return posterior mean and sd of the estimand, the benchmark's part taken away and its variance added."""
    offset, added = against.moments
    mean = float(weights @ found)
    return mean - offset, float(np.hypot(np.sqrt(weights @ (found - mean) ** 2), added))


def check_criteria(
    criteria: Sequence[Criterion], /, *, randomised: bool, groups: tuple[str, ...], adjusted: bool, benchmark: bool
) -> None:
    """Check that the model has what criteria are about.

    Raises
    ------
    TrialError
        With every criterion that it cannot answer.
    """
    problems = Problems()
    for item in criteria:
        if item.predictive:
            continue
        where = f"criterion '{item.name}'"
        if item.group != ALL and item.group not in groups:
            problems.add(where, f"is about the risk group '{item.group}', which the trial has not", nearest(item.group, groups))
        elif item.group != ALL and len(groups) > 1 and not adjusted:
            problems.add(
                where,
                f"is about the risk group '{item.group}', and the analysis does not tell risk groups apart",
                "Add 'risk_group' to adjust.",
            )
        ratio = item.estimand == "hazard_ratio"
        if ratio and randomised and item.group != ALL and len(groups) > 1:
            problems.add(
                where,
                f"asks for the hazard ratio in '{item.group}', and the model has one hazard ratio for all risk groups",
                "Leave group out, or ask for survival or a restricted mean of the group.",
            )
        if item.against == "control" and not randomised:
            problems.add(where, "compares with control, and the trial has one arm", "Use against = 'benchmark' or 'value'.")
        if (item.against == "benchmark" or (ratio and not randomised)) and not benchmark:
            problems.add(where, "compares with the benchmark, and the analysis has none", "Give a benchmark.")
    problems.raise_if_any(TrialError, "The analysis")
