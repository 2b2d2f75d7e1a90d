"""Patterns of first failure: how many failed, at which kinds of place first, and who died without a recorded failure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sitewise.cohort import Cohort
from sitewise.cohort.levels import natural_order
from sitewise.studies.classical_analysis.outcomes import NO_FAILURE, Outcomes, kinds_of
from sitewise.studies.classical_analysis.plan import ClassicalPlan

FAILURES = ["pattern", "counted", "n", "percent_of_failures", "percent_of_patients", "remark"]


def failures_table(cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> pd.DataFrame | None:
    """Return the patterns of first failure, or None when they are not recorded.

    Returns
    -------
    DataFrame
        ``pattern`` (``failure``, a kind, ``none``, ``death without recorded failure``), ``counted`` (``all``: patients with
        any failure; ``with``: first failures that include the kind, alone or with another; ``only``: exactly this pattern,
        listed when some first failures are of several kinds at once), ``n, percent_of_failures, percent_of_patients, remark``.
    """
    labels = outcomes.first_failure
    if labels is None:
        return None
    named = tuple(kind for item in plan.evidence.failures for kind in item.kinds) if plan.evidence is not None else ()
    kinds = kinds_of(labels, named)
    failed = (labels != NO_FAILURE).to_numpy()
    total, size = int(failed.sum()), len(cohort)

    def row(pattern: str, counted: str, n: int, *, of_failures: bool = True, remark: str = "") -> dict[str, Any]:
        share = 100 * n / total if of_failures and total else float("nan")
        return {
            "pattern": pattern,
            "counted": counted,
            "n": n,
            "percent_of_failures": share,
            "percent_of_patients": 100 * n / size,
            "remark": remark,
        }

    parts = list(dict.fromkeys([*named, *natural_order(part for own in kinds.values() for part in own)]))
    several = [label for label, own in kinds.items() if len(own) > 1]
    both = int(labels.isin(several).sum())
    remark = f"{both} with several kinds at once are counted at each" if both else ""
    rows = [row("failure", "all", total, remark="" if total else "nobody has a recorded failure")]
    for kind in parts:
        holding = [label for label, own in kinds.items() if kind in own]
        rows.append(row(kind, "with", int(labels.isin(holding).sum()), remark=remark if set(several) & set(holding) else ""))
    for label in natural_order(kinds) if several else ():
        rows.append(row(label, "only", int((labels == label).sum())))
    rows.append(row(NO_FAILURE, "only", size - total, of_failures=False))
    dead = np.asarray(cohort.event > 0)
    rows.append(row("death without recorded failure", "only", int((dead & ~failed).sum()), of_failures=False))
    return pd.DataFrame(rows, columns=FAILURES)
