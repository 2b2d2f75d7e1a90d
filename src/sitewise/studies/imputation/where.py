"""What is missing where, and whether missingness goes with how long patients live."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from sitewise.classical import Ordered, log_rank
from sitewise.cohort import Cohort

COLUMNS = ["column", "sites", "n", "missing", "share", "missing_with_event", "p_event", "p_survival"]
EVERYWHERE = "all"


def missing_table(cohort: Cohort, names: Sequence[str], /) -> pd.DataFrame:
    """Return what is missing of some covariates, over all patients and by site.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    names : sequence of str
        Covariates.

    Returns
    -------
    DataFrame
        ``column, sites`` (``all``, or a site's label), ``n, missing, share, missing_with_event`` (how many of these had the
        event) and, over all patients, p values of missing against not missing: ``p_event`` of Fisher's exact test of event or
        not, ``p_survival`` of the log-rank test (empty with events in intervals).
    """
    rows = []
    for name in names:
        missing = cohort.covariates[name].isna().to_numpy()
        if not missing.any():
            continue
        everybody = np.ones(len(cohort), dtype=bool)
        tests = {"p_event": _by_event(cohort, missing), "p_survival": _by_survival(cohort, missing)}
        rows.append({**_counts(cohort, name, EVERYWHERE, missing, everybody), **tests})
        for place, label in enumerate(cohort.site_labels):
            rows.append(_counts(cohort, name, label, missing, cohort.site_index == place))
    return pd.DataFrame(rows, columns=COLUMNS)


def _counts(cohort: Cohort, name: str, sites: str, missing: NDArray[np.bool_], among: NDArray[np.bool_]) -> dict[str, object]:
    lacking = missing & among
    return {
        "column": name,
        "sites": sites,
        "n": int(among.sum()),
        "missing": int(lacking.sum()),
        "share": float(lacking.sum() / among.sum()),
        "missing_with_event": int(cohort.event[lacking].sum()),
    }


def _by_event(cohort: Cohort, missing: NDArray[np.bool_]) -> float:
    died = cohort.event > 0
    table = [[int((row & column).sum()) for column in (died, ~died)] for row in (missing, ~missing)]
    return float(stats.fisher_exact(table).pvalue)


def _by_survival(cohort: Cohort, missing: NDArray[np.bool_]) -> float:
    if cohort.lower is not None:
        return float("nan")
    entry = cohort.entry[None] if cohort.late_entry else None
    ordered = Ordered.of(cohort.time[None], cohort.event[None], entry)
    return float(log_rank(ordered, missing.astype(np.int64), groups=2).p[0])
