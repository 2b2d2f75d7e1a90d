"""What a paper's own patients imply under a hierarchical model: fits of many reconstructed cohorts, stacked.

A paper does not print patients, and many cohorts have its tables. Each is fitted; their draws, stacked with equal weight, carry
both what one cohort leaves open and what the tables leave open about the cohort. One cohort alone would hide the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sitewise.estimands import Average, Marginal, Observed, Population, SiteTreatment
from sitewise.evidence import Evidence
from sitewise.inference import FitResult, Nuts, fit
from sitewise.inference.engine import Engine
from sitewise.models import FixedSites, ModelSpec
from sitewise.problems import SitewiseError, SpecError
from sitewise.simulate.calibration import Assumptions, Calibration, Produced, calibrate
from sitewise.simulate.calibration.calibrate import POOL
from sitewise.simulate.calibration.reconstruct import STEPS
from sitewise.studies.evidence_fit import EvidenceFit, Member
from sitewise.studies.evidence_model import (
    PaperModel,
    check_spec,
    cohort_of,
    default_times,
    guarantee_times,
    usable_guarantee_time,
)
from sitewise.studies.evidence_pool import pooled
from sitewise.studies.evidence_stack import stacked

STAGE = 11
ENGINE = Nuts(draws=500, tune=500, chains=2)
"""Of each cohort: small, since cohorts pool."""
Report = Callable[[str], None]


def fit_evidence(
    paper: Evidence | Calibration,
    spec: ModelSpec | None = None,
    /,
    *,
    cohorts: int = 50,
    engine: Engine | None = None,
    seed: int = 1,
    groups: Population | None = None,
    times: Sequence[float] = (),
    horizon: float | None = None,
    sites: Sequence[SiteTreatment] = (),
    assumptions: Assumptions | None = None,
    endpoint: str = "os",
    calibrated_guarantee_time: bool | None = None,
    pool: int = POOL,
    steps: int = STEPS,
    workers: int | None = None,
    report: Report = lambda message: None,
) -> EvidenceFit:
    """Return what a paper says under a model: fits of reconstructed cohorts, stacked with equal weight.

    Parameters
    ----------
    paper : Evidence or Calibration
        A paper's numbers, which are calibrated first, or their calibration.
    spec : ModelSpec, optional
        The model, over the paper's characteristics. Default: a Weibull baseline, the covariates of the paper's largest adjusted
        model (else of its unadjusted rows, else its favourable factors, else those by which it prints survival), random sites,
        and for each cohort the guarantee time of the process that it is of. A spec that is given keeps its own guarantee time.
    cohorts : int
        Cohorts that are reconstructed.
    engine : Engine, optional
        Of each fit; default 2 chains of 500 + 500 draws.
    seed : int
        Seed of everything; results do not depend on the number of workers.
    groups : Population, optional
        Risk groups; default all patients and the counts of the paper's favourable factors (else the levels of the covariates).
    times : sequence of float
        Milestones; default half a year, 1, 2, 3, 5, 10 years within follow-up.
    horizon : float, optional
        Of the restricted mean; default the last milestone that every group was followed to.
    sites : sequence of SiteTreatment
        Default ``Observed()`` and ``Marginal()``.
    assumptions : Assumptions, optional
        Of the calibration of an Evidence.
    endpoint : str
        Whose survival.
    calibrated_guarantee_time : bool, optional
        Whether each cohort is fitted with the guarantee time of its own process, kept below 95 % of the cohort's smallest
        time; default where no spec is given.
    pool, steps : int
        Cohorts simulated for calibration's posterior, and moves tried for each reconstruction.
    workers : int, optional
        Threads of calibration and reconstruction.
    report : callable
        Told of the progress.

    Returns
    -------
    EvidenceFit

    Raises
    ------
    EvidenceError
        When the paper says nothing about survival.
    SpecError
        Before the long work, when the synthetic cohorts will not have a column of the model; after it, when none can be fitted.
    """
    if cohorts < 1:
        raise SpecError(f"cohorts must be at least 1; it is {cohorts}.")
    if isinstance(paper, Calibration):
        if assumptions is not None:
            raise SpecError("assumptions belong to a calibration; the one that is given has its own.")
        calibration = paper
    else:
        if spec is not None:
            from sitewise.simulate.calibration.problem import Problem

            check_spec(spec, Problem.of(paper, assumptions, endpoint=endpoint))
        report(f"Calibrating to the numbers of {paper.id}")
        calibration = calibrate(paper, assumptions, endpoint=endpoint, seed=seed, pool=pool, workers=workers, report=report)
    if spec is not None:
        check_spec(spec, calibration.problem)
    produced = calibration.reconstruct(cohorts, seed=seed, steps=steps, workers=workers, report=report)
    return stack_fits(
        produced,
        spec,
        engine=engine,
        seed=seed,
        groups=groups,
        times=times,
        horizon=horizon,
        sites=sites,
        endpoint=endpoint,
        calibrated_guarantee_time=calibrated_guarantee_time,
        report=report,
    )


def stack_fits(
    produced: Produced,
    spec: ModelSpec | None = None,
    /,
    *,
    engine: Engine | None = None,
    seed: int = 1,
    groups: Population | None = None,
    times: Sequence[float] = (),
    horizon: float | None = None,
    sites: Sequence[SiteTreatment] = (),
    endpoint: str = "os",
    calibrated_guarantee_time: bool | None = None,
    report: Report = lambda message: None,
) -> EvidenceFit:
    """Return stacked fits of synthetic cohorts of a paper; see :func:`fit_evidence` for what they have in common.

    Parameters
    ----------
    produced : Produced
        Cohorts of a calibration.
    spec, engine, seed, groups, times, horizon, sites, endpoint, calibrated_guarantee_time, report
        As in :func:`fit_evidence`.
    """
    problem = produced.problem
    suggested = PaperModel.of(problem, endpoint=endpoint)
    own_guarantee = spec is None if calibrated_guarantee_time is None else calibrated_guarantee_time
    spec = spec if spec is not None else suggested.spec(problem)
    check_spec(spec, problem)
    engine = engine if engine is not None else ENGINE
    streams = [np.random.SeedSequence(seed, spawn_key=(STAGE, place)) for place in range(len(produced))]
    members = [_member(produced, place, suggested, spec, own_guarantee) for place in range(len(produced))]
    _some([item for item in members if item.cohort is not None], members)
    spec = pooled(spec, [item for item in members if item.cohort is not None])
    results: list[FitResult | None] = []
    for place, (member, stream) in enumerate(zip(members, streams, strict=True)):
        result = None
        if member.cohort is not None:
            report(f"Fitting cohort {place + 1} of {len(members)}")
            sample = int(stream.generate_state(1)[0] >> 1)
            own = replace(spec, guarantee_time=member.guarantee_time)
            try:
                result = fit(own, member.known, engine=engine, seed=sample)
                member = replace(member, verdict=result.verdict, seed=sample)
            except SitewiseError as error:
                member, result = replace(member, reason=str(error)), None
        if result is not None and result.verdict.level == "fail":
            member, result = replace(member, reason=result.verdict.sentence), None
        members[place] = member
        results.append(result)
    fitted = [item for item in results if item is not None]
    _some(fitted, members)
    last = float(np.median([result.cohort.time.max() for result in fitted]))
    settings = {
        "groups": groups if groups is not None else suggested.groups(problem),
        "times": tuple(sorted(float(time) for time in times)) or default_times(last, problem.evidence.source.time_unit),
        "sites": tuple(sites) or _treatments(spec),
    }
    report("Survival of the groups in every cohort")
    return stacked(
        produced,
        spec,
        members=tuple(members),
        results=results,
        suggested=suggested,
        endpoint=endpoint,
        seed=seed,
        horizon=horizon,
        **settings,  # type: ignore[arg-type]
    )


def _some(found: Sequence[object], members: Sequence[Member]) -> None:
    if not found:
        reasons = "; ".join(dict.fromkeys(member.reason for member in members))
        raise SpecError(f"None of {len(members)} cohorts could be fitted: {reasons}")


def _member(produced: Produced, place: int, suggested: PaperModel, spec: ModelSpec, own_guarantee: bool) -> Member:
    """Return one cohort before it is fitted, with the reason when it cannot be."""
    times = produced.cohorts.time[place]
    wanted = float(guarantee_times(produced)[place]) if own_guarantee else spec.guarantee_time
    used = usable_guarantee_time(wanted, times) if own_guarantee else wanted
    member = Member(place, int(produced.draw[place]), used, wanted)
    if used > 0 and float(times.min()) <= used:
        return replace(member, reason=f"a time is at or before the guarantee time {used:g} of the model")
    try:
        return replace(member, cohort=cohort_of(produced, place, suggested.levels))
    except SitewiseError as error:
        return replace(member, reason=str(error))


def _treatments(spec: ModelSpec) -> tuple[SiteTreatment, ...]:
    if not spec.has_sites:
        return (Average(),)
    return (Observed(), Average()) if isinstance(spec.sites, FixedSites) else (Observed(), Marginal())
