"""Numbers that were set aside as conflicts, beside what the calibrated process expects of them: reported, never averaged in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sitewise.evidence import Evidence
from sitewise.simulate.calibration.calibrate import Calibration
from sitewise.simulate.calibration.problem import Problem

CONFLICT = "conflict"
COHORTS = 1000
STAGE = 11
LISTS = ("survival", "curve", "events", "follow_up", "joint")


def conflicting(calibration: Calibration, /, *, endpoint: str = "os") -> pd.DataFrame:
    """Return a row a number with status ``conflict``: columns as ``Quality.targets``, without ``left_out_z``.

    The number took no part in the calibration; ``z`` is its distance from cohorts of the calibrated process. Characteristics
    that only such a number refers to have no effect and depend on nothing.
    """
    base = calibration.problem
    evidence = _held_out(base.evidence)
    columns = [item for item in calibration.quality.targets().columns if item != "left_out_z"]
    if evidence == base.evidence:
        return pd.DataFrame(columns=columns)
    problem = Problem.of(evidence, base.assumptions, endpoint=endpoint)
    known = dict(zip(base.parameters.names, calibration.moments.theta, strict=True))
    own = problem.parameters
    theta = np.array([known.get(name, mean) for name, mean in zip(own.names, own.mean, strict=True)])
    statistics = problem.simulate(theta, problem.randomness(calibration.seed, COHORTS, stage=STAGE))[1]
    before = {item.id for item in base.targets}
    rows = []
    for place, target in enumerate(problem.targets):
        if target.id in before:
            continue
        found = statistics[:, place]
        found = found[np.isfinite(found)]
        published = float(problem.published[place])
        mean, sd, z, percentile = _compared(found, published, target.inequality)
        row = (
            target.id,
            target.kind,
            CONFLICT,
            target.where,
            target.printed,
            published,
            mean,
            sd,
            z,
            percentile,
            target.rounding,
        )
        rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def _compared(found: np.ndarray, published: float, inequality: bool) -> tuple[float, float, float, float]:
    if inequality or len(found) < 2:
        return float((found > published).mean()) if len(found) else np.nan, np.nan, np.nan, np.nan
    mean, sd = float(found.mean()), float(found.std(ddof=1))
    percentile = float((found < published).mean() + 0.5 * (found == published).mean())
    return mean, sd, (published - mean) / sd if sd > 0 else np.nan, percentile


def _held_out(evidence: Evidence) -> Evidence:
    """Return the evidence with conflicts as numbers that are only predicted."""
    changed: dict[str, Any] = {name: tuple(_one(item) for item in getattr(evidence, name)) for name in LISTS}
    changed["model"] = tuple(replace(model, term=tuple(_one(term) for term in model.term)) for model in evidence.model)
    return replace(evidence, **changed)


def _one(item: Any) -> Any:
    return replace(item, status="held_out") if item.status == CONFLICT else item
