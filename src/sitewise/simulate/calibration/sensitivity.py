"""How much a calibration depends on what no paper prints: the same numbers under other assumptions, side by side.

Each variant changes one thing: the family of the baseline, the guarantee time, the dependence of characteristics, the spread of
sites, or the reading of a number that the paper leaves open. A variant that cannot be calibrated is a row with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args, get_type_hints

import numpy as np
import pandas as pd

from sitewise.evidence import Evidence
from sitewise.evidence.entries import FollowUp
from sitewise.families import BASELINES
from sitewise.problems import SitewiseError
from sitewise.simulate.calibration.assumptions import Assumptions
from sitewise.simulate.calibration.calibrate import Calibration, Report
from sitewise.simulate.calibration.derived import EVENTS
from sitewise.simulate.calibration.fan import partitions, survival_of_groups
from sitewise.simulate.calibration.moments import fit_moments
from sitewise.simulate.calibration.natural import natural
from sitewise.simulate.calibration.parameters import EFFECT
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.calibration.quality import Quality
from sitewise.simulate.calibration.rounds import sample_posterior
from sitewise.simulate.calibration.targets import Grouping
from sitewise.simulate.parts import Floats

AS_CALIBRATED = "as calibrated"
SITE_SDS = (0.0, 0.25, 0.6)
COHORTS, POOL, JUDGED, AVERAGED = 150, 5000, 1000, 60
"""Cohorts of which a moment is the mean, of the posterior, for the distances, and over which a group's survival is averaged."""
GRID = 400
STAGE = 9
FIXED = ("variant", "assumption", "refused", "converged", "distance", "distance_percentile", "events_mean", "events_sd")
COLUMNS = (*FIXED, "worst_target", "worst_z", "worst_contrast", "worst_contrast_z", "horizon", "note")
"""Columns that every table has; then ``median GROUP`` and ``survival GROUP`` of each group and ``log_hazard_ratio EFFECT``."""

NOTE_OF_SITES = "not identified: no paper's summary says anything about the spread between sites"


@dataclass(frozen=True)
class Variant:
    """One change of what is assumed.

    Parameters
    ----------
    name : str
        In a few words.
    assumption : str
        What is varied: ``family``, ``guarantee_time``, ``dependence``, ``site_sd``, ``reading`` or ``none``.
    evidence, assumptions
        What is calibrated.
    """

    name: str
    assumption: str
    evidence: Evidence
    assumptions: Assumptions

    @property
    def note(self) -> str:
        """What the paper cannot decide between it and the calibration, or nothing."""
        return NOTE_OF_SITES if self.assumption == "site_sd" else ""


def variants(problem: Problem, /) -> list[Variant]:
    """Return the variants of a calibration, without itself; those that would change nothing are left out."""
    evidence, assumptions = problem.evidence, problem.assumptions
    found = [
        Variant(f"{family} baseline", "family", evidence, replace(assumptions, family=family))
        for family in BASELINES
        if family != assumptions.family
    ]
    if problem.parameters.guarantee_limit > 0 or assumptions.guarantee_time not in (0.0, "estimated"):
        found.append(Variant("no guarantee time", "guarantee_time", evidence, replace(assumptions, guarantee_time=0.0)))
    if problem.structure.pairs:
        found.append(Variant("no dependence", "dependence", evidence, replace(assumptions, dependence=False)))
    found += [
        Variant(f"site sd {spread:g}", "site_sd", evidence, replace(assumptions, site_sd=spread))
        for spread in SITE_SDS
        if spread != assumptions.site_sd
    ]
    return found + list(_readings(evidence, assumptions))


def _readings(evidence: Evidence, assumptions: Assumptions) -> Iterator[Variant]:
    """Yield the other readings of follow-up whose definition the paper does not state."""
    known = [item for part in get_args(get_type_hints(FollowUp)["reading"]) for item in get_args(part)]
    for place, item in enumerate(evidence.follow_up):
        if item.definition != "unstated" or item.status not in ("fit", "soft"):
            continue
        for reading in known:
            if reading != (item.reading or "observed"):
                entries = (*evidence.follow_up[:place], replace(item, reading=reading), *evidence.follow_up[place + 1 :])
                yield Variant(f"follow-up read as {reading}", "reading", replace(evidence, follow_up=entries), assumptions)


def sensitivity(
    calibration: Calibration,
    /,
    *,
    endpoint: str = "os",
    pool: int = POOL,
    workers: int = 1,
    report: Report = lambda message: None,
) -> pd.DataFrame:
    """Return the calibration under other assumptions, a row each, itself first.

    Parameters
    ----------
    calibration : Calibration
        What the variants are of.
    endpoint : str
        Whose survival it was calibrated to.
    pool : int
        Cohorts simulated for the posterior of each variant.
    workers : int
        Threads; the result does not depend on them.
    report : callable
        Told of each variant.

    Returns
    -------
    DataFrame
        ``variant, assumption, refused`` (why there are no numbers), ``converged, distance`` (joint), ``distance_percentile``
        (share of the variant's own cohorts that lie nearer), ``events_mean, events_sd`` (of the paper's patients),
        ``worst_target, worst_z, worst_contrast, worst_contrast_z, horizon, note`` (that a spread between sites is not
        identified), then for each group ``median GROUP`` and
        ``survival GROUP`` (at the horizon) under the process, and ``log_hazard_ratio EFFECT``, both at the parameters that fit
        the moments.
    """
    base = calibration.problem
    rows = [_row(Variant(AS_CALIBRATED, "none", base.evidence, base.assumptions), calibration)]
    chosen = variants(base)
    for number, variant in enumerate(chosen, start=1):
        report(f"sensitivity {number} of {len(chosen)}: {variant.name}")
        try:
            found = _calibrated(variant, calibration, endpoint, pool, workers)
            rows.append(_row(variant, found))
        except SitewiseError as error:
            words = {"refused": str(error), "note": variant.note}
            rows.append({"variant": variant.name, "assumption": variant.assumption, **words})
    return pd.DataFrame(rows).pipe(lambda table: table[[*COLUMNS, *(name for name in table if name not in COLUMNS)]])


def _calibrated(variant: Variant, base: Calibration, endpoint: str, pool: int, workers: int) -> Calibration:
    """Calibrate a variant with less effort, beginning where the calibration ended."""
    problem = Problem.of(variant.evidence, variant.assumptions, endpoint=endpoint)
    known = dict(zip(base.problem.parameters.names, base.moments.theta, strict=True))
    own = problem.parameters
    start = np.array([known.get(name, mean) for name, mean in zip(own.names, own.mean, strict=True)])
    moments = fit_moments(problem, seed=base.seed, cohorts=COHORTS, start=start, workers=workers)
    made = Calibration(problem, moments, base.posterior, base.seed)
    posterior = sample_posterior(problem, made.derived, moments, seed=base.seed, size=pool, workers=workers)
    return replace(made, posterior=posterior)


def _row(variant: Variant, found: Calibration) -> dict[str, object]:
    quality = Quality.of(found.problem, found.moments, seed=found.seed, cohorts=JUDGED)
    distance, own = quality.distances()
    targets, contrasts = quality.targets(), quality.contrasts()
    events = found.draws[1][:, found.derived.names.index(EVENTS)]
    worst, worst_z = _worst(targets[targets["status"].isin(("fit", "soft"))], "target")
    worst_contrast, worst_contrast_z = _worst(contrasts, "contrast")
    horizon = milestone(found.problem)
    return {
        "variant": variant.name,
        "assumption": variant.assumption,
        "refused": "",
        "converged": found.moments.converged,
        "distance": distance,
        "distance_percentile": float((own < distance).mean()),
        "events_mean": float(events.mean()),
        "events_sd": float(events.std(ddof=1)),
        "worst_target": worst,
        "worst_z": worst_z,
        "worst_contrast": worst_contrast,
        "worst_contrast_z": worst_contrast_z,
        "horizon": horizon,
        "note": variant.note,
        **_of_process(found.problem, found.moments.theta, found.seed, horizon),
    }


def _worst(table: pd.DataFrame, name: str) -> tuple[str, float]:
    """Return the row with the largest absolute z."""
    away = np.abs(table["z"].to_numpy(dtype=float))
    if not np.isfinite(away).any():
        return "", np.nan
    row = table.iloc[int(np.nanargmax(away))]
    return str(row[name]), float(row["z"])


def milestone(problem: Problem, /) -> float:
    """Return a time at which survival is compared: the last milestone printed for all patients, else near the median."""
    times = [item.time for item in problem.targets if item.kind == "survival" and item.group is None and not item.rounds_time]
    known = [time for time in times if time is not None]
    return float(max(known)) if known else float(np.exp(problem.parameters.mean[0]))


def of_process(
    problem: Problem, theta: Floats, /, groups: Sequence[Grouping], horizon: float, *, seed: int
) -> list[tuple[float, float]]:
    """Return each group's median survival (infinite where not reached) and survival at the horizon, of one parameter row."""
    random = problem.randomness(seed, AVERAGED, stage=STAGE)
    cohorts = problem.generator(theta, random)
    longest = 40 * max(horizon, float(np.exp(problem.parameters.mean[0])))
    grid = np.geomspace(longest / 4e4, longest, GRID)
    found = []
    for curves in survival_of_groups(problem, theta, cohorts, random, groups, np.concatenate([[horizon], grid])):
        mean = np.nanmean(curves, axis=0)
        # Interpolated in the falling curve; np.interp wants rising abscissae.
        median = float(np.interp(-0.5, -mean[1:], grid, left=0.0, right=np.inf)) if mean[-1] < 0.5 else np.inf
        found.append((median, float(mean[0])))
    return found


def _of_process(problem: Problem, theta: Floats, seed: int, horizon: float) -> dict[str, float]:
    """Return medians and survival of everyone and of the groups by favourable factors, and the effects."""
    every = {label: group for item in partitions(problem) for label, group in item.groups.items()}
    groups = {label: group for label, group in every.items() if not isinstance(group, dict)}
    made = of_process(problem, theta, list(groups.values()), horizon, seed=seed)
    found = {}
    for label, (median, survival) in zip(groups, made, strict=True):
        found[f"median {label}"], found[f"survival {label}"] = median, survival
    return found | {name: float(own[0]) for name, own in natural(problem, theta).items() if name.startswith(EFFECT)}
