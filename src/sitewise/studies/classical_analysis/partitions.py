"""Groups of a cohort's patients that exclude each other: by site, by the levels of a covariate, by the number of factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.cohort.levels import labels
from sitewise.names import ALL_PATIENTS
from sitewise.problems import plural
from sitewise.studies.classical_analysis.plan import RISK_GROUP, SITE, ClassicalPlan, Covariate

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Partition:
    """Groups that exclude each other.

    Parameters
    ----------
    name, label : str
        Short name (``all``, ``site``, ``risk group`` or a covariate), and in words.
    groups : tuple of (str, ndarray of bool)
        Name of each group and who belongs to it, shape (n,); groups without patients are left out.
    remark : str
        Who belongs to no group, and why; empty when all do.
    """

    name: str
    label: str
    groups: tuple[tuple[str, Mask], ...]
    remark: str = ""

    @property
    def codes(self) -> NDArray[np.int64]:
        """Number of each patient's group, shape (n,); -1 for those who belong to none."""
        found = np.full(self.groups[0][1].size, -1, dtype=np.int64)
        for number, (_, members) in enumerate(self.groups):
            found[members] = number
        return found


def everyone(cohort: Cohort) -> Partition:
    """Return all patients as one group."""
    return Partition(ALL_PATIENTS, "All patients", ((ALL_PATIENTS, np.ones(len(cohort), dtype=bool)),))


def by_site(cohort: Cohort) -> Partition:
    """Return the sites."""
    return _made(SITE, "Site", [(name, cohort.site_index == place) for place, name in enumerate(cohort.site_labels)], "")


def by_covariate(cohort: Cohort, covariate: Covariate) -> Partition:
    """Return the sets of levels that the Cox rows compare, or each level where there are no rows."""
    text = labels(cohort.covariates[covariate.name])
    classes = covariate.classes or tuple((level,) for level in cohort.levels(covariate.name))
    found = [("|".join(levels), has_level(cohort, covariate.name, levels)) for levels in classes]
    missing = int(text.isna().sum())
    others = int((~np.any([members for _, members in found], axis=0)).sum()) - missing
    remarks = [f"{plural(missing, 'patient', 'patients')} with a missing value left out"] if missing else []
    if others:
        remarks.append(f"{plural(others, 'patient', 'patients')} with other levels left out")
    return _made(covariate.name, covariate.label, found, "; ".join(remarks))


def by_factors(cohort: Cohort, plan: ClassicalPlan) -> Partition:
    """Return the risk groups: patients by their number of factors, most first."""
    known = np.ones(len(cohort), dtype=bool)
    count = np.zeros(len(cohort), dtype=np.int64)
    for name, levels in plan.factors.items():
        count += has_level(cohort, name, levels)
        known &= cohort.covariates[name].notna().to_numpy()
    total = len(plan.factors)
    found = [(group_label(number, plan), known & (count == number)) for number in range(total, -1, -1)]
    missing = int((~known).sum())
    remark = f"{plural(missing, 'patient', 'patients')} with a missing factor left out" if missing else ""
    return _made(RISK_GROUP, f"Number of {plan.counted} factors", found, remark)


def group_label(number: int, plan: ClassicalPlan) -> str:
    """Return the name of the group with so many factors, as in the reports of fits: ``2 of 2 favourable``."""
    return f"{number} of {len(plan.factors)} {plan.counted}"


def has_level(cohort: Cohort, name: str, levels: Sequence[str]) -> Mask:
    """Return who has one of the levels of a covariate, shape (n,); who has none recorded does not."""
    return labels(cohort.covariates[name]).isin(list(levels)).to_numpy(dtype=bool)


def partitions(cohort: Cohort, plan: ClassicalPlan) -> list[Partition]:
    """Return all groupings whose survival is compared: risk groups, covariates with levels, sites."""
    found = [by_factors(cohort, plan)] if plan.factors else []
    found += [by_covariate(cohort, item) for item in plan.covariates if cohort.levels(item.name)]
    if len(cohort.site_labels) > 1:
        found.append(by_site(cohort))
    return [item for item in found if item.groups]


def compared(cohort: Cohort, plan: ClassicalPlan) -> Partition | None:
    """Return the groups that Table 1 and toxicity are compared by, or None."""
    if plan.compared_by == SITE:
        return by_site(cohort)
    if plan.compared_by == RISK_GROUP:
        return by_factors(cohort, plan)
    if not plan.compared_by:
        return None
    known = [item for item in plan.covariates if item.name == plan.compared_by]
    return by_covariate(cohort, known[0] if known else Covariate(plan.compared_by, plan.compared_by))


def _made(name: str, label: str, groups: Sequence[tuple[str, Mask]], remark: str) -> Partition:
    return Partition(name, label, tuple((text, members) for text, members in groups if members.any()), remark)
