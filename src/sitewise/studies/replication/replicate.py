"""`replicate`: the same model on many cohorts, or many models on one, over cores, resumable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from sitewise.cohort import Cohort
from sitewise.inference import Engine, FitResult, NestedLaplace
from sitewise.inference.engine import Report, silent
from sitewise.inference.nested_laplace.engine import require_known
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError
from sitewise.simulate.cohorts import SimulatedCohorts
from sitewise.studies.replication import campaign
from sitewise.studies.replication.quantities import Summaries
from sitewise.studies.replication.sources import GivenCohorts, SimulatedArrays, Source
from sitewise.studies.replication.work import Job, seed_of

CHUNK = 25
ENGINE = NestedLaplace(draws=1000)


@dataclass(frozen=True, eq=False)
class Replicates:
    """What a campaign found.

    Parameters
    ----------
    estimates : DataFrame
        A row for each replicate and quantity: ``replicate, quantity, mean, sd, median, lower, upper`` and, where truths are
        known, ``truth`` and ``pit``.
    fits : DataFrame
        A row for each replicate: ``replicate, label, status`` (ok, refused, failed), ``message, events, verdict``, the
        verdict's numbers, ``retried, log_marginal_likelihood, seconds``.
    job : Job
        What was done, from which any replicate can be fitted again.
    """

    estimates: pd.DataFrame
    fits: pd.DataFrame
    job: Job

    def fit(self, number: int, /) -> FitResult:
        """Return one replicate's fit with its draws, computed anew from its seed.

        Raises
        ------
        SpecError
            When the replicate could not be analysed.
        """
        from sitewise.inference import fit

        item = self.job.source.items(number, number + 1)[0]
        if item.data is None:
            raise SpecError(f"Replicate {number} could not be analysed: its cohort {item.problem}.")
        cohort = self.job.source.cohort(number)
        return fit(item.spec, cohort, engine=self.job.engine, seed=seed_of(self.job.seed, number))

    def __repr__(self) -> str:
        counts = self.fits["status"].value_counts().to_dict()
        return f"<{len(self.fits)} replicates ({', '.join(f'{count} {name}' for name, count in counts.items())})>"


def replicate(
    specs: ModelSpec | Sequence[ModelSpec] | Mapping[str, ModelSpec],
    cohorts: Cohort | Sequence[Cohort] | SimulatedCohorts,
    /,
    *,
    engine: Engine = ENGINE,
    summaries: Summaries | None = None,
    seed: int = 1,
    workers: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    chunk: int = CHUNK,
    report: Report = silent,
) -> Replicates:
    """Fit many cohorts under one resolved spec, or one cohort under many specs.

    Parameters
    ----------
    specs : ModelSpec, or several
        One resolved spec for all cohorts; or several (a sequence, or a mapping from labels) for one cohort, each resolved on it
        if it is not yet.
    cohorts : Cohort, sequence of Cohort, or SimulatedCohorts
        One cohort for several specs, or several for one. Simulated cohorts stay arrays, which is faster.
    engine : Engine
        Default: the fast engine with 1000 draws. A ``NestedLaplace`` without fallback never samples: a fit whose verdict
        fails is a row that says so.
    summaries : Summaries, optional
        What is kept of each fit.
    seed : int
        Each replicate has a random stream of its own, by its number: results do not depend on workers or chunks.
    workers : int
        Threads, where no executor is given.
    executor : Executor, optional
        Any ``concurrent.futures.Executor``: processes, or another machine's.
    folder : str or Path, optional
        Where to keep finished chunks; a campaign that was interrupted goes on from them. Another campaign's folder is refused.
    chunk : int
        Replicates a piece of work.
    report : callable
        Told the progress.

    Returns
    -------
    Replicates

    Raises
    ------
    SpecError
        When specs and cohorts do not go together, or the spec for many cohorts is not resolved: its priors would move.
    """
    return run(
        source_of(specs, cohorts),
        engine=engine,
        summaries=summaries or Summaries(),
        seed=seed,
        workers=workers,
        executor=executor,
        folder=folder,
        chunk=chunk,
        report=report,
    )


def run(
    source: Source,
    *,
    engine: Engine,
    summaries: Summaries,
    seed: int,
    workers: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    chunk: int = CHUNK,
    report: Report = silent,
) -> Replicates:
    """Return the replicates of any source; see :func:`replicate`.

    Raises
    ------
    SpecError
        When the fast engine does not know a model: with weights alone, as replicates take them, it would fit another one.
    """
    if isinstance(engine, NestedLaplace):
        for spec in source.models:
            require_known(spec)
    if chunk < 1:
        raise SpecError(f"chunk is {chunk}; at least one replicate is needed.")
    job = Job(source, engine, summaries, seed, 0, len(source))
    about = f"{source.fingerprint()}\n{engine!r}\n{_named(summaries)}\n{seed}\n{len(source)}"
    fingerprint = hashlib.sha256(about.encode()).hexdigest()
    path = Path(folder) if folder is not None else None
    estimates, fits = campaign.run(
        job, chunk=chunk, workers=workers, executor=executor, folder=path, fingerprint=fingerprint, report=report
    )
    return Replicates(estimates, fits, job)


def _named(summaries: Summaries) -> str:
    """Return summaries as text that is the same in every process: estimands by their names only."""
    return f"{replace(summaries, estimands={})!r} {sorted(summaries.estimands)}"


def source_of(
    specs: ModelSpec | Sequence[ModelSpec] | Mapping[str, ModelSpec], cohorts: Cohort | Sequence[Cohort] | SimulatedCohorts
) -> Source:
    """Return the source of replicates that specs and cohorts describe."""
    if isinstance(specs, ModelSpec):
        if isinstance(cohorts, Cohort):
            raise SpecError("One spec and one cohort are one fit: use sw.fit.")
        specs.resolved  # noqa: B018 - says what to do when it is not resolved
        if isinstance(cohorts, SimulatedCohorts):
            return SimulatedArrays(specs, cohorts)
        cohorts = list(cohorts)
        if not cohorts:
            raise SpecError("There are no cohorts.")
        return GivenCohorts([specs] * len(cohorts), cohorts, [f"cohort {number}" for number in range(len(cohorts))])
    labelled = specs if isinstance(specs, Mapping) else {f"spec {number}": spec for number, spec in enumerate(specs)}
    if not isinstance(cohorts, Cohort):
        raise SpecError("Several specs take one cohort; for several cohorts give one resolved spec.")
    if not labelled:
        raise SpecError("There are no specs.")
    resolved = [spec.resolve(cohorts) for spec in labelled.values()]
    return GivenCohorts(resolved, [cohorts] * len(resolved), list(labelled))
