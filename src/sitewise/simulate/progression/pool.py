"""Cohorts with progression by the thousand: pairs of parameters and what a paper would have printed of each cohort.

Each proposal of progression's parameters is paired with a draw of the survival's posterior, which makes one cohort of n
patients with its survival: so the uncertainty about survival is carried.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sitewise.simulate.calibration.problem import CHUNK, Problem
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.counts import counted
from sitewise.simulate.progression.latent import LatentDeath
from sitewise.simulate.progression.process import Chance, recorded
from sitewise.simulate.progression.schedule import ScanSchedule
from sitewise.simulate.progression.targets import ProgressionTargets

STAGE = 40
"""Of the random streams: apart from those of the survival's calibration."""
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Process:
    """Simulates the progression of cohorts.

    Parameters
    ----------
    problem : Problem
        Of the survival.
    schedule : ScanSchedule or None
        Visits, in the paper's unit of time.
    targets : ProgressionTargets
        What is compared.
    """

    problem: Problem
    schedule: ScanSchedule | None
    targets: ProgressionTargets

    def statistics(self, theta: Floats, phi: Floats, seed: int, /, *, stage: int, number: int = 0) -> tuple[Floats, Floats]:
        """Return statistics and counts of a cohort for each pair of rows: survival's theta, progression's phi."""
        random = self.problem.randomness(seed, len(theta), stage=stage, first=number)
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stage, number, 1)))
        cohorts = self.problem.generator(theta, random)
        chance = Chance.draw(stream, *cohorts.time.shape)
        outcome = recorded(self.schedule, phi, cohorts, LatentDeath.of(self.problem, theta, cohorts), chance)
        rounding = stream.uniform(-1.0, 1.0, (len(theta), len(self.targets.targets)))
        return self.targets(cohorts, outcome, rounding), counted(cohorts, outcome)


@dataclass(frozen=True, eq=False)
class ProgressionPool:
    """Simulated pairs.

    Parameters
    ----------
    phi, statistics, counts : ndarray, shapes (N, 4), (N, K), (N, 4)
        Parameters, statistics and counts of a cohort each.
    centre, covariance : ndarray
        Of the normal distribution that proposed the parameters.
    """

    phi: Floats
    statistics: Floats
    counts: Floats
    centre: Floats
    covariance: Floats


def draw_pool(
    process: Process,
    survival: Floats,
    centre: Floats,
    covariance: Floats,
    /,
    *,
    seed: int,
    size: int,
    round_: int,
    workers: int = 1,
    report: Report = lambda message: None,
) -> ProgressionPool:
    """Return a pool; the same for any number of workers.

    Parameters
    ----------
    process : Process
        What is simulated.
    survival : ndarray, shape (D, p)
        Posterior draws of the survival's parameters; each cohort takes one of them.
    centre, covariance : ndarray, shapes (4,), (4, 4)
        Of the proposals; a parameter of variance 0 is fixed.
    seed, size, round_, workers, report
        Seed, cohorts, number of the round, threads, and who is told.
    """
    factor = _factor(covariance)
    stage = STAGE + round_

    def chunk(number: int) -> tuple[Floats, Floats, Floats]:
        count = min(CHUNK, size - number * CHUNK)
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stage, number, 0)))
        phi = centre + stream.standard_normal((count, len(centre))) @ factor.T
        theta = survival[stream.integers(len(survival), size=count)]
        return phi, *process.statistics(theta, phi, seed, stage=stage, number=number)

    parts = []
    with ThreadPoolExecutor(workers) as threads:
        for part in threads.map(chunk, range(-(-size // CHUNK))):
            parts.append(part)
            if len(parts) % 16 == 0:
                report(f"progression: {min(len(parts) * CHUNK, size)} of {size} cohorts of round {round_ + 1}")
    phi, statistics, counts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return ProgressionPool(phi, statistics, counts, centre, covariance)


def _factor(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
