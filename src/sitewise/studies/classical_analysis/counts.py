"""Counts of characteristics and of toxicity by group, with tests that compare the groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sitewise.cohort import Cohort
from sitewise.cohort.levels import labels, natural_order
from sitewise.names import ALL_PATIENTS
from sitewise.problems import plural
from sitewise.studies.classical_analysis.outcomes import Outcomes
from sitewise.studies.classical_analysis.partitions import Mask, Partition, compared
from sitewise.studies.classical_analysis.plan import ClassicalPlan

MISSING = "missing"
LEAST_EXPECTED = 5.0
RESAMPLES = 9_999
"""Tables with the same margins that a Monte Carlo p value is of: its standard error is at most 0.005."""
COUNTS = ["characteristic", "label", "level", "group", "n", "percent"]
SUMMARIES = ["median", "lower_quartile", "upper_quartile", "minimum", "maximum", "mean", "sd"]
TESTS = ["table", "characteristic", "compared_by", "patients", "test", "statistic", "degrees_of_freedom", "p"]
TESTS += ["least_expected", "cells_below_5", "cells", "exact_p", "exact_p_error", "exact_method", "remark"]


def table_one(cohort: Cohort, plan: ClassicalPlan) -> pd.DataFrame:
    """Return the characteristics: counts of levels, summaries of numbers, of all patients and of each group compared.

    Returns
    -------
    DataFrame
        ``characteristic, label, level, group, n, percent, median, lower_quartile, upper_quartile, minimum, maximum, mean,
        sd``. A number has one row a group, with an empty level. Percentages are of the group's patients whose value is
        recorded; those with a missing value have rows of level ``missing``.
    """
    groups = _groups(cohort, compared(cohort, plan))
    rows: list[dict[str, Any]] = []
    for item in plan.covariates:
        values = cohort.covariates[item.name]
        levels = cohort.levels(item.name)
        base = {"characteristic": item.name, "label": f"{item.label}, {item.unit}" if item.unit else item.label}
        text = labels(values)
        for level in levels:
            for group, members in groups:
                of = int((text[members].notna()).sum())
                rows.append({**base, "level": level, "group": group, **_share(int((text[members] == level).sum()), of)})
        if not levels:
            rows += [{**base, "level": "", "group": group, **_summary(values[members])} for group, members in groups]
        if values.isna().any():
            for group, members in groups:
                rows.append({**base, "level": MISSING, "group": group, "n": int(values[members].isna().sum())})
    return pd.DataFrame(rows, columns=[*COUNTS, *SUMMARIES])


def toxicity_table(cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> pd.DataFrame:
    """Return toxicity by grade: ``toxicity, grade, group, n, percent``, of all patients and of each group compared."""
    groups = _groups(cohort, compared(cohort, plan))
    rows = []
    for name, grades in outcomes.toxicities.items():
        for grade in natural_order(grades.dropna()):
            for group, members in groups:
                of = int(grades[members].notna().sum())
                share = _share(int((grades[members] == grade).sum()), of)
                rows.append({"toxicity": name, "grade": grade, "group": group, **share})
        for group, members in groups if grades.isna().any() else ():
            rows.append({"toxicity": name, "grade": MISSING, "group": group, "n": int(grades[members].isna().sum())})
    return pd.DataFrame(rows, columns=["toxicity", "grade", "group", "n", "percent"])


def tests(cohort: Cohort, outcomes: Outcomes, plan: ClassicalPlan) -> pd.DataFrame:
    """Return the tests that compare characteristics and toxicity between groups.

    Levels are compared by Pearson's chi-square test without continuity correction; where an expected count is below 5 it is an
    approximation to be doubted, and an exact p value stands beside: Fisher's for two levels and two groups, else the share of
    9,999 random tables with the same margins whose statistic is as large, with its Monte Carlo error. Numbers are compared by
    the Kruskal-Wallis test.
    """
    partition = compared(cohort, plan)
    if partition is None or len(partition.groups) < 2:
        return pd.DataFrame(columns=TESTS)
    rows = []
    for item in plan.covariates:
        if item.name == plan.compared_by:
            continue
        values = cohort.covariates[item.name]
        base = {"table": "table one", "characteristic": item.name, "compared_by": partition.name}
        test = (
            _test_of_levels(labels(values), partition, plan.seed)
            if cohort.levels(item.name)
            else _test_of_numbers(values, partition)
        )
        rows.append({**base, **test})
    for name, grades in outcomes.toxicities.items():
        base = {"table": "toxicity", "characteristic": name, "compared_by": partition.name}
        rows.append({**base, **_test_of_levels(grades, partition, plan.seed)})
    return pd.DataFrame(rows, columns=TESTS)


def _groups(cohort: Cohort, partition: Partition | None) -> list[tuple[str, Mask]]:
    whole = [(ALL_PATIENTS, np.ones(len(cohort), dtype=bool))]
    return whole if partition is None else [*whole, *partition.groups]


def _share(count: int, of: int) -> dict[str, float]:
    return {"n": count, "percent": 100 * count / of if of else float("nan")}


def _summary(values: pd.Series) -> dict[str, float]:
    known = values.dropna().to_numpy(dtype=float)
    if not known.size:
        return {"n": 0}
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    sd = float(known.std(ddof=1)) if known.size > 1 else float("nan")
    numbers = (middle, low, high, known.min(), known.max(), known.mean(), sd)
    return {"n": known.size, **{name: float(value) for name, value in zip(SUMMARIES, numbers, strict=True)}}


def _test_of_levels(text: pd.Series, partition: Partition, seed: int) -> dict[str, Any]:
    from scipy.stats import MonteCarloMethod, chi2_contingency, fisher_exact
    from scipy.stats.contingency import crosstab

    known = text.notna().to_numpy() & (partition.codes >= 0)
    left_out = int((~known).sum())
    remarks = [f"{plural(left_out, 'patient', 'patients')} without a value or group left out"] if left_out else []
    result: dict[str, Any] = {"test": "chi-square", "patients": int(known.sum())}
    if not known.any():
        return {**result, "remark": "nobody has both a value and a group"}
    table = np.asarray(crosstab(text[known].to_numpy(dtype=str), partition.codes[known]).count)
    if min(table.shape) < 2:
        return {**result, "remark": "; ".join([*remarks, "one level or one group only: nothing to compare"])}
    found = chi2_contingency(table, correction=False)
    expected = found.expected_freq
    result |= {
        "statistic": float(found.statistic),
        "degrees_of_freedom": int(found.dof),
        "p": float(found.pvalue),
        "least_expected": float(expected.min()),
        "cells_below_5": int((expected < LEAST_EXPECTED).sum()),
        "cells": int(expected.size),
    }
    if result["cells_below_5"]:
        remarks.append(f"{result['cells_below_5']} of {expected.size} expected counts below 5: doubt the chi-square p value")
        if table.shape == (2, 2):
            result |= {"exact_p": float(fisher_exact(table)[1]), "exact_p_error": 0.0, "exact_method": "Fisher"}
        else:
            method = MonteCarloMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(seed))
            p = float(chi2_contingency(table, correction=False, method=method).pvalue)
            error = float(np.sqrt(p * (1 - p) / RESAMPLES))
            result |= {"exact_p": p, "exact_p_error": error, "exact_method": f"Monte Carlo, {RESAMPLES} tables"}
    return {**result, "remark": "; ".join(remarks)}


def _test_of_numbers(values: pd.Series, partition: Partition) -> dict[str, Any]:
    from scipy.stats import kruskal

    known = values.notna().to_numpy()
    samples = [values[members & known].to_numpy(dtype=float) for _, members in partition.groups]
    samples = [sample for sample in samples if sample.size]
    patients = int(sum(sample.size for sample in samples))
    left_out = len(values) - patients
    remarks = [f"{plural(left_out, 'patient', 'patients')} without a value or group left out"] if left_out else []
    result: dict[str, Any] = {"test": "Kruskal-Wallis", "patients": patients}
    if len(samples) < 2 or np.ptp(np.concatenate(samples)) == 0:
        return {**result, "remark": "; ".join([*remarks, "one value or one group only: nothing to compare"])}
    found = kruskal(*samples)
    result |= {"statistic": float(found.statistic), "degrees_of_freedom": len(samples) - 1, "p": float(found.pvalue)}
    return {**result, "remark": "; ".join(remarks)}
