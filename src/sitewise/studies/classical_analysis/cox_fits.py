"""One Cox model as a classical table prints it: a row a contrast, and a plain remark where there is no estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc, ndtr, ndtri

from sitewise.classical import Ordered, cox
from sitewise.cohort import Cohort
from sitewise.problems import plural
from sitewise.studies.classical_analysis.outcomes import Endpoint, Floats
from sitewise.studies.classical_analysis.partitions import Mask, has_level
from sitewise.studies.classical_analysis.plan import ClassicalPlan, Contrast, Covariate

FEW = 5
"""Events on a side of a comparison below which the normal approximation of a Wald interval is not to be trusted."""
SEPARATED = "the partial likelihood has no maximum: the covariates separate the events, or repeat each other"
Row = dict[str, Any]


@dataclass(frozen=True)
class CoxModel:
    """A fitted model.

    Parameters
    ----------
    rows : tuple of dict
        A row a contrast: covariate, level, reference, counts, hazard ratio, limits, p, remark.
    p : float
        Of the likelihood-ratio test of the model against none, or of the score test where the likelihood has no maximum; NaN
        when nothing can be compared.
    patients, events : int
        In the model.
    columns : int
        Coefficients that were estimated; 0 without an estimate.
    """

    rows: tuple[Row, ...]
    p: float
    patients: int
    events: int
    columns: int


@dataclass(frozen=True, eq=False)
class _Part:
    """A covariate's share of a model: rows, columns with the row each belongs to (None: it only adjusts), who drops out."""

    rows: list[Row]
    columns: list[tuple[int | None, Floats]]
    silent: Mask
    freedom: int


def members(cohort: Cohort, covariates: Sequence[Covariate]) -> tuple[Mask, str]:
    """Return who is in a model, shape (n,), and who is not: those with a missing value, or a level that no row names."""
    named = np.ones(len(cohort), dtype=bool)
    missing = np.zeros(len(cohort), dtype=bool)
    for item in covariates:
        missing |= cohort.covariates[item.name].isna().to_numpy()
        if not item.numeric:
            named &= has_level(cohort, item.name, [level for levels in item.classes for level in levels])
    others = ~named & ~missing
    remarks = []
    if missing.any():
        remarks.append(f"{plural(missing.sum(), 'patient', 'patients')} with a missing value left out")
    if others.any():
        remarks.append(f"{plural(others.sum(), 'patient', 'patients')} with levels that no row compares left out")
    return named & ~missing, "; ".join(remarks)


def fit_model(
    cohort: Cohort, ordered: Ordered, /, *, endpoint: Endpoint, covariates: Sequence[Covariate], plan: ClassicalPlan
) -> CoxModel:
    """Fit covariates together and return the rows of their contrasts.

    A level without events has no finite hazard ratio. As its estimate tends to zero its patients drop out of every risk set:
    the other rows are estimated without them, and the likelihood-ratio test compares that limit with no covariates at all.
    """
    chosen, left_out = members(cohort, covariates)
    event = endpoint.event
    parts = [_part(cohort, item, chosen, event) for item in covariates]
    silent = np.any([part.silent for part in parts], axis=0)
    rows: list[Row] = []
    columns: list[Floats] = []
    target: list[int | None] = []
    for part in parts:
        target += [None if row is None else len(rows) + row for row, _ in part.columns]
        columns += [column for _, column in part.columns]
        rows += part.rows
    for row in rows:
        row["remark"] = "; ".join(text for text in (row["remark"], left_out) if text)
    heard, freedom = chosen & ~silent, sum(part.freedom for part in parts)
    counts = (int(chosen.sum()), int(event[chosen].sum()))
    null = _log_likelihood(ordered, chosen, plan)
    if not columns:
        p = _likelihood_ratio(_log_likelihood(ordered, heard, plan), null, freedom) if silent.any() else math.nan
        return CoxModel(tuple(rows), p, *counts, 0)
    fits = cox(ordered, np.stack(columns, axis=-1), ties=plan.ties, include=heard[None])
    if not fits.converged[0]:
        for number in target:
            if number is not None:
                rows[number]["remark"] = "; ".join(text for text in (SEPARATED, rows[number]["remark"]) if text)
        chi2 = float(fits.score_chi2[0])
        return CoxModel(tuple(rows), float(chdtrc(len(columns), chi2)) if math.isfinite(chi2) else math.nan, *counts, 0)
    for column, number in enumerate(target):
        if number is not None:
            estimate, error = float(fits.log_hazard_ratio[0, column]), float(fits.standard_error[0, column])
            rows[number] |= wald(estimate, error, plan.prob)
    return CoxModel(tuple(rows), _likelihood_ratio(float(fits.log_likelihood[0]), null, freedom), *counts, len(columns))


def wald(estimate: float, error: float, prob: float) -> Row:
    """Return the hazard ratio, its Wald limits exp(b -+ z s) and the p value 2 Phi(-abs(b) / s) of a log hazard ratio."""
    half = float(ndtri(0.5 + prob / 2)) * error
    return {
        "hazard_ratio": math.exp(estimate),
        "lower": math.exp(estimate - half),
        "upper": math.exp(estimate + half),
        "p": 2 * float(ndtr(-abs(estimate) / error)),
        "standard_error": error,
    }


def _log_likelihood(ordered: Ordered, chosen: Mask, plan: ClassicalPlan) -> float:
    """Return the log partial likelihood without covariates."""
    nothing = np.zeros((chosen.size, 1))
    return float(cox(ordered, nothing, ties=plan.ties, include=chosen[None]).log_likelihood_null[0])


def _likelihood_ratio(fitted: float, null: float, freedom: int) -> float:
    return float(chdtrc(freedom, max(2 * (fitted - null), 0.0))) if freedom else math.nan


def _part(cohort: Cohort, item: Covariate, chosen: Mask, event: Mask) -> _Part:
    nobody = np.zeros(len(cohort), dtype=bool)
    if item.numeric:
        values = cohort.covariates[item.name].to_numpy(dtype=float)
        row = _row(item, Contrast(), chosen, event)
        if not chosen.any() or np.ptp(values[chosen]) == 0:
            row["remark"] = "constant among the patients of the model: nothing to compare"
            return _Part([row], [], nobody, 0)
        return _Part([row], [(0, np.where(chosen, values, 0.0))], nobody, 1)
    reference = chosen & has_level(cohort, item.name, item.classes[0])
    levels = [chosen & has_level(cohort, item.name, contrast.level) for contrast in item.contrasts]
    rows = [_row(item, contrast, level, event, reference) for contrast, level in zip(item.contrasts, levels, strict=True)]
    for row in rows:
        row["remark"] = _why_not(row)
    possible = [number for number, row in enumerate(rows) if not row["remark"]]
    for number in possible:
        if min(rows[number]["events"], rows[number]["reference_events"]) < FEW:
            rows[number]["remark"] = f"fewer than {FEW} events on a side: doubt the interval"
    columns: list[tuple[int | None, Floats]] = [(number, levels[number].astype(float)) for number in possible]
    if not event[reference].any():
        # Nothing can be held against the reference, but the other levels still differ among themselves.
        heard = [level for level in levels if event[level].any()]
        columns = [(None, level.astype(float)) for level in heard[1:]]
    sides = [reference, *levels]
    silent = np.any([side & (not event[side].any()) for side in sides], axis=0)
    return _Part(rows, columns, silent, max(sum(bool(side.any()) for side in sides) - 1, 0))


def _row(item: Covariate, contrast: Contrast, level: Mask, event: Mask, reference: Mask | None = None) -> Row:
    names = contrast.names
    row: Row = {"covariate": item.name, "level": names[0], "reference": names[1]}
    row |= {"n": int(level.sum()), "events": int(event[level].sum())}
    if reference is not None:
        row |= {"reference_n": int(reference.sum()), "reference_events": int(event[reference].sum())}
    return {**row, "remark": ""}


def _why_not(row: Row) -> str:
    """Return why a contrast has no estimate; empty when it may have one."""
    if not row["n"]:
        return "nobody in the model has this level"
    if not row["reference_n"]:
        return "nobody in the model has the reference level"
    if not row["events"] and not row["reference_events"]:
        return "no events on either side: no hazard ratio"
    if not row["events"]:
        return f"no events among {plural(row['n'], 'patient', 'patients')}: the hazard ratio tends to 0"
    if not row["reference_events"]:
        size = plural(row["reference_n"], "patient", "patients")
        return f"no events among {size} with the reference level: the hazard ratio has no bound"
    return ""
