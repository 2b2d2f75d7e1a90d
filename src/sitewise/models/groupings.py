"""Further groupings of patients beside the site, such as surgeons: their labels, positions and names of variables.

Each has random intercepts with an sd of its own: crossed with sites where its labels occur at several, nested where each
occurs at one. Nothing has to say which.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.cohort.levels import labels, natural_order
from sitewise.models.spec import ModelSpec
from sitewise.problems import Problems, SpecError, listed, nearest


def of_grouping(name: str, grouping: str) -> str:
    """Return the name of a variable, or dimension, of one grouping: ``grouping_sd[surgeon]``."""
    return f"{name}[{grouping}]"


def grouping_of(name: str) -> str | None:
    """Return the grouping that a variable with effects of its levels is about; None of other variables."""
    for kind in (names.GROUPING_EFFECT, names.GROUPING_EFFECT_STANDARDISED):
        if name.startswith(f"{kind}["):
            return name.removeprefix(kind)[1:-1]
    return None


def grouping_labels(spec: ModelSpec, cohort: Cohort) -> Mapping[str, tuple[str, ...]]:
    """Return the labels of each grouping in natural order."""
    return {name: natural_order(labels(cohort.covariates[name])) for name in spec.groupings}


def grouping_positions(spec: ModelSpec, cohort: Cohort) -> NDArray[np.int64] | None:
    """Return the position of each patient's label among those of the resolved spec, shape (n, groupings); None without any.

    Raises
    ------
    SpecError
        Naming labels that the spec was not resolved with.
    """
    if not spec.groupings:
        return None
    positions = np.empty((len(cohort), len(spec.groupings)), dtype=np.int64)
    for place, (name, known) in enumerate(spec.resolved.groupings.items()):
        codes = {label: number for number, label in enumerate(known)}
        own = labels(cohort.covariates[name])
        unknown = natural_order(set(own) - set(codes))
        if unknown:
            raise SpecError(
                f"{name} {listed(unknown)} are not among those that the spec was resolved on ({listed(known)}). "
                "Resolve the spec anew on a cohort that has them."
            )
        positions[:, place] = own.map(codes)
    return positions


def check_groupings(spec: ModelSpec, cohort: Cohort, problems: Problems) -> None:
    """Add what is wrong with the columns that patients are grouped by."""
    for name in spec.groupings:
        where = f"column '{name}'"
        if name == cohort.columns.site:
            problems.add(
                "formula",
                f"groups by '{name}' after another column, but it is the cohort's site column",
                f"Write (1 | {name}) first: the site's term comes before those of further groupings.",
            )
        elif name not in cohort.covariates.columns:
            remedy = nearest(name, cohort.covariates.columns) or "Read it with the cohort, as a covariate."
            problems.add(where, "groups patients in the formula, but is not in the cohort", remedy)
        elif (missing := cohort.covariates[name].isna().to_numpy()).any():
            problems.add(where, "has missing values, and groups patients", "Complete them.", cohort.table_rows(missing))
        else:
            count = labels(cohort.covariates[name]).nunique()
            if count < 2:
                problems.add(where, "has one label; a grouping needs at least 2", f"Remove (1 | {name}).")
            elif count == len(cohort):
                problems.add(where, "has another label for each patient, so that it groups nobody", f"Remove (1 | {name}).")
