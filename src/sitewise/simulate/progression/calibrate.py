"""`calibrate_progression`: from what a paper prints about progression to a process, beside a calibrated survival."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.evidence import evidence_hash
from sitewise.problems import EvidenceError, ScenarioError
from sitewise.simulate.calibration.calibrate import DRAWS, Calibration
from sitewise.simulate.calibration.parameters import Parameters
from sitewise.simulate.calibration.problem import CHUNK
from sitewise.simulate.calibration.products import Produced
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.arrays import ProgressionArrays
from sitewise.simulate.progression.checks import prepared
from sitewise.simulate.progression.counts import COUNTED
from sitewise.simulate.progression.kinds import NONE
from sitewise.simulate.progression.latent import LatentDeath
from sitewise.simulate.progression.matching import STEPS, matched, rows_of
from sitewise.simulate.progression.model import SHARE, ProgressionModel, readable
from sitewise.simulate.progression.pool import STAGE, Process, ProgressionPool
from sitewise.simulate.progression.posterior import ProgressionPosterior, sample_progression
from sitewise.simulate.progression.process import Chance, Recorded, recorded
from sitewise.simulate.progression.summary import parameter_table, target_table

POOL = 20_000
JUDGED = 2000
"""Cohorts of which the reproduced numbers are means."""
NOT_STATED = "not stated"
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class ProgressionCalibration:
    """Progression that goes with a calibrated survival; make it with :func:`calibrate_progression`.

    Parameters
    ----------
    calibration : Calibration
        Of survival.
    spec : ProgressionModel
        What is assumed.
    process : Process
        Simulates progression.
    prior : Parameters
        What was known of its parameters before.
    prior_pool : ProgressionPool
        Cohorts of the prior.
    posterior : ProgressionPosterior
        What the numbers say.
    seed : int
        Seed.
    """

    calibration: Calibration
    spec: ProgressionModel
    process: Process
    prior: Parameters
    prior_pool: ProgressionPool
    posterior: ProgressionPosterior
    seed: int

    @cached_property
    def draws(self) -> tuple[Floats, Floats]:
        """A thousand draws of equal weight: parameters (1000, 4) and counts about the paper's patients (1000, 4)."""
        return self.posterior.resampled(DRAWS, seed=self.seed)

    @cached_property
    def centre(self) -> Floats:
        """Posterior mean of the parameters, shape (4,): the plug-in process."""
        return np.asarray(self.posterior.weight @ self.posterior.phi)

    def parameters(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Return what the paper says about progression and about its own patients.

        Returns
        -------
        DataFrame
            ``parameter, of, mean, sd, median, lower, upper, prior_mean, prior_sd, contraction, prior_driven, identified``, as
            of :meth:`Calibration.parameters`. A parameter is not identified when it is fixed, or when no printed number
            depends on it: the share of the effects where no patients are compared.
        """
        phi, counts = self.draws
        after, before = readable(phi), readable(self.prior_pool.phi)
        compared = {SHARE: self.process.targets.effects_are_printed}
        process = {
            name: (after[name], before[name], bool(sd > 0) and compared.get(name, True))
            for name, sd in zip(after, self.prior.sd, strict=True)
        }
        cohort = {name: (counts[:, place], self.prior_pool.counts[:, place], True) for place, name in enumerate(COUNTED)}
        return parameter_table(process, cohort, self.process.targets.kinds, prob=prob)

    def targets(self) -> pd.DataFrame:
        """Return published against reproduced, a row a number.

        Returns
        -------
        DataFrame
            ``target, kind, status, where, printed, published, reproduced, sd, z, percentile, rounding``: of one cohort of the
            plug-in process, on the statistic's scale (a median: survival at the printed time). For a condition ``reproduced``
            is the share of cohorts that meet it, and there is no z.
        """
        return target_table(self.process.targets, self._judged)

    @cached_property
    def _judged(self) -> Floats:
        theta = np.broadcast_to(self.calibration.moments.theta, (CHUNK, len(self.calibration.problem.parameters)))
        phi = np.broadcast_to(self.centre, (CHUNK, len(self.centre)))
        chunks = range(JUDGED // CHUNK)
        parts = [self.process.statistics(theta, phi, self.seed, stage=STAGE + 5, number=number)[0] for number in chunks]
        return np.concatenate(parts)

    def left_out(self) -> pd.DataFrame:
        """Return printed numbers about progression that cannot be simulated or are set aside: ``target, reason``."""
        return self.process.targets.table_left_out()

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What no published number supports, as phrases."""
        schedule = self.process.schedule
        seen = "progression seen when it happens" if schedule is None else schedule.sentence()
        found = [
            seen,
            "a Weibull time to progression that goes with the time to death by a Gaussian copula",
            "effects on progression that are one share of those on death",
        ]
        if self.process.targets.kinds is not None:
            found.append("kinds of first failure that depend on nothing")
        return tuple(found)

    def add(self, produced: Produced, /, *, seed: int, steps: int = STEPS) -> Produced:
        """Return produced cohorts with progression; their survival, characteristics and sites are the same arrays.

        plug_in      progression of the plug-in process
        replicate    of a draw from the posterior for each cohort
        reconstruct  of such a draw, given that failures, their kinds and the progression-free numbers are the printed ones;
                     ``progression.misses()`` says where not

        Parameters
        ----------
        produced : Produced
            Cohorts of the same paper.
        seed : int
            Seed.
        steps : int
            Changes tried to meet the printed numbers.

        Raises
        ------
        ScenarioError
            When the cohorts are of another paper.
        """
        own = self.calibration.problem
        other = produced.problem
        if evidence_hash(other.evidence) != evidence_hash(own.evidence) or other.structure != own.structure:
            raise ScenarioError(
                f"The cohorts are of {other.evidence.id}, progression was calibrated to {own.evidence.id} or to other "
                "characteristics of it: add it to cohorts of the calibration that it was made from."
            )
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STAGE, 1 << 28)))
        count = len(produced)
        phi = np.broadcast_to(self.centre, (count, len(self.centre))).copy()
        if produced.product != "plug_in":
            phi = self.draws[0][stream.permutation(DRAWS)[:count] if count <= DRAWS else stream.integers(DRAWS, size=count)]
        outcomes = []
        for number, start in enumerate(range(0, count, CHUNK)):
            rows = np.arange(start, min(start + CHUNK, count))
            cohorts = rows_of(produced.cohorts, rows)
            if produced.product == "reconstruct":
                # A seed of its own for each chunk: the states of a matching are drawn together.
                made = matched(self.process, produced.theta[rows], phi[rows], cohorts, seed=seed + 7919 * number, steps=steps)
            else:
                death = LatentDeath.of(produced.problem, produced.theta[rows], cohorts)
                made = recorded(self.process.schedule, phi[rows], cohorts, death, Chance.draw(stream, *cohorts.time.shape))
            outcomes.append(made)
        outcome = Recorded(*(np.concatenate(parts) for parts in zip(*(_fields(item) for item in outcomes), strict=True)))
        codes, labels = self._labels(produced.product, outcome.failure, stream)
        targets = self.process.targets
        arrays = ProgressionArrays(
            outcome.failure_time.copy(),
            outcome.event,
            outcome.failure_time,
            outcome.failure,
            codes,
            labels,
            outcome.progression,
            phi,
            targets.targets,
            targets.published,
            targets(produced.cohorts, outcome),
            targets.misses(produced.cohorts, outcome),
        )
        return replace(produced, progression=arrays)

    def _labels(
        self, product: str, failure: NDArray[np.bool_], stream: np.random.Generator
    ) -> tuple[NDArray[np.int8], tuple[str, ...]]:
        kinds = self.process.targets.kinds
        if kinds is None:
            return failure.astype(np.int8), (NONE, NOT_STATED)
        if product == "reconstruct":
            return kinds.dealt(stream, failure), (NONE, *kinds.labels)
        shares = kinds.shares(stream, len(failure), certain=product == "plug_in")
        return kinds.drawn(stream, failure, shares), (NONE, *kinds.labels)


def _fields(outcome: Recorded) -> tuple[NDArray[np.generic], ...]:
    return outcome.progression, outcome.failure_time, outcome.failure, outcome.event


def calibrate_progression(
    calibration: Calibration,
    /,
    *,
    spec: ProgressionModel | None = None,
    seed: int = 1,
    pool: int = POOL,
    workers: int | None = None,
    report: Report = lambda message: None,
) -> ProgressionCalibration:
    """Return progression and failures that reproduce a paper, given a survival that does.

    Parameters
    ----------
    calibration : Calibration
        Of overall survival; its draws carry the uncertainty about it.
    spec : ProgressionModel, optional
        Visits, priors, how the paper is read.
    seed : int
        Seed; results do not depend on the number of workers.
    pool : int
        Cohorts simulated.
    workers : int, optional
        Threads; default all cores.
    report : callable
        Told of the progress.

    Raises
    ------
    EvidenceError
        When the paper prints nothing about progression or failures that can be fitted, its numbers do not go together, or its
        unit of time cannot be turned into that of the scan schedule.
    """
    spec = spec or ProgressionModel()
    problem = calibration.problem
    targets, schedule = prepared(problem.evidence, problem.structure, spec)
    if targets.nothing_to_fit:
        raise EvidenceError(
            f"Progression of {problem.evidence.id}: {targets.nothing_to_fit}. Add a [[survival]], [[curve]], [[events]] or "
            f"[[model]] of endpoint '{spec.endpoint}' or [[failures]], with status fit or soft, or name another endpoint in "
            "the model."
        )
    process, prior = Process(problem, schedule, targets), spec.parameters(problem.evidence)
    first, posterior = sample_progression(
        process, prior, calibration.draws[0], seed=seed, size=pool, workers=workers or os.cpu_count() or 1, report=report
    )
    return ProgressionCalibration(calibration, spec, process, prior, first, posterior, seed)
