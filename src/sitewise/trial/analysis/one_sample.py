"""Arms against a benchmark cohort: the one-sample log-rank test, and the log hazard ratio that it estimates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import Floats
from sitewise.trial.analysis.answers import Answer, Comparator, members, standardised
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.criteria import ALL, Criterion

EXPERIMENTAL, CONTROL = 1, 0


@dataclass(frozen=True, eq=False)
class ArmCompared:
    """An arm of M trials against a benchmark.

    Parameters
    ----------
    observed, expected : ndarray, shape (M,)
        Events, and the benchmark's cumulative hazards summed over the patients: what would be expected, were they alike.
    benchmark_sd : float
        Standard deviation of the log of the benchmark's hazard; 0 if it is treated as known.
    """

    observed: Floats
    expected: Floats
    benchmark_sd: float

    @property
    def log_hazard_ratio(self) -> Floats:
        """log(O / E), the maximum-likelihood estimate where hazards are proportional; NaN without events."""
        out = np.full(self.observed.shape, np.nan)
        np.divide(self.observed, self.expected, out=out, where=(self.observed > 0) & (self.expected > 0))
        return np.log(out)

    @property
    def own_standard_error(self) -> Floats:
        """Its standard error by the arm's events alone, 1 / sqrt(O); NaN without events."""
        out = np.full(self.observed.shape, np.nan)
        np.power(self.observed, -0.5, out=out, where=(self.observed > 0) & (self.expected > 0))
        return out

    @property
    def standard_error(self) -> Floats:
        """Its standard error with that of the benchmark, sqrt(1 / O + sd^2); NaN without events."""
        return np.hypot(self.own_standard_error, self.benchmark_sd)

    @property
    def more(self) -> dict[str, Floats]:
        """Numbers by the names that results give them; the information is one over the squared standard error."""
        information = np.nan_to_num(self.standard_error**-2.0)
        return {"information": information, "observed": self.observed, "expected": self.expected}


def against_benchmark(
    seen: Snapshot, benchmark: Comparator | None, /, *, arm: int = EXPERIMENTAL, group: str = ALL
) -> ArmCompared:
    """Compare an arm with a benchmark by events observed and expected.

    As in the one-sample log-rank test (Breslow 1975, Int Stat Rev 43:45; Finkelstein et al. 2003, J Natl Cancer Inst 95:1434).

    Parameters
    ----------
    seen : Snapshot
        M trials.
    benchmark : Comparator
        What the arm is held against, each patient against the benchmark's own of the same risk group.
    arm : {1, 0}
        Experimental or control.
    group : str
        Risk group; by default everybody.

    Raises
    ------
    TrialError
        When there is no benchmark, or the trial has no such group.
    """
    if benchmark is None:
        raise TrialError(
            "The hazard ratio of a single arm needs a benchmark, and there is none. Give one, or ask for survival."
        )
    chosen = members(seen, group, arm=arm)
    hazard = benchmark.cumulative_hazard(np.where(chosen, seen.time, 0.0), seen.group)
    return ArmCompared(
        (seen.event & chosen).sum(axis=1).astype(np.float64),
        np.where(chosen, hazard, 0.0).sum(axis=1),
        0.0 if benchmark.known else float(benchmark.log_hazard_sd),
    )


def arm_log_hazards(seen: Snapshot, benchmark: Comparator | None, /, *, group: str = ALL) -> tuple[Floats, Floats]:
    """Return the log hazards of both arms against the benchmark's, and their standard errors.

    The benchmark's own uncertainty is left out: both arms share it, and where an arm borrows it is the history's.

    Parameters
    ----------
    seen : Snapshot
        M trials.
    benchmark : Comparator
        The cohort.
    group : str
        Risk group; by default everybody.

    Returns
    -------
    estimates, se : ndarray, shape (M, 2)
        log(O / E) and 1 / sqrt(O); the first column is control, the second experimental, as arms are coded. NaN without events.
    """
    arms = [against_benchmark(seen, benchmark, arm=arm, group=group) for arm in (CONTROL, EXPERIMENTAL)]
    return (
        np.stack([arm.log_hazard_ratio for arm in arms], axis=1),
        np.stack([arm.own_standard_error for arm in arms], axis=1),
    )


def one_sample_test(seen: Snapshot, criterion: Criterion, /, *, benchmark: Comparator | None) -> Answer:
    """Return one minus the one-sided p value of the one-sample log-rank test of a hazard ratio.

    At the bound h the events O have mean and variance h E. The test is (h E - O) / sqrt(h E + (h E sd)^2), where the second
    part is the benchmark's uncertainty, none if it is treated as known. Without events the test stands, but the estimate
    log(O / E) is NaN.
    """
    found = against_benchmark(seen, benchmark, group=criterion.group)
    mean = criterion.bound * found.expected
    z = standardised(mean - found.observed, np.sqrt(mean + (mean * found.benchmark_sd) ** 2))
    below = ndtr(z)
    return Answer(below if criterion.wants_less else 1 - below, found.log_hazard_ratio, found.standard_error, found.more)
