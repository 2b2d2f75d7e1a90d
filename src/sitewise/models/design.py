"""The design matrix of a spec's terms, for the cohort it was resolved on and for any other people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.columns import is_number_column
from sitewise.cohort.levels import label, labels
from sitewise.models.transforms import MonotoneSteps, check_ranges, labels_of, stepped_columns
from sitewise.problems import Problems, SpecError, listed, nearest

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Design:
    """Turns people (rows of covariates) into design rows, with the levels and transforms of the training cohort.

    Parameters
    ----------
    terms : tuple of str
        Terms of the linear predictor.
    columns : tuple of str
        Names of the design columns as formulae spells them, such as ``ecog[>=1]``.
    term_of_column : tuple of str
        The term that each column belongs to.
    matrix : ndarray, shape (n, p)
        Design rows of the training cohort, not centred.
    """

    terms: tuple[str, ...]
    columns: tuple[str, ...]
    term_of_column: tuple[str, ...]
    matrix: Floats
    covariates: pd.DataFrame
    _formulae: Any

    def rows(self, people: pd.DataFrame) -> Floats:
        """Return the design rows of ``people``, shape (m, p).

        Raises
        ------
        SpecError
            Naming every missing column, missing value and unknown level.
        """
        if not self.terms:
            return np.empty((len(people), 0))
        checked = self._check(people)
        if has_calls(self.terms):
            # C(x) wants every level among the rows that it sees, so they are evaluated after the training cohort's.
            checked = pd.concat([_ordered(self.covariates), checked], ignore_index=True)
        matrix = self._formulae.common.evaluate_new_data(checked).design_matrix
        return np.asarray(matrix, dtype=float)[-len(people) :, 1:]  # without the intercept, which is the baseline's

    def _check(self, people: pd.DataFrame) -> pd.DataFrame:
        problems = Problems()
        table: dict[str, Any] = {}
        for name in self.covariates.columns:
            if name not in people.columns:
                problems.add(
                    f"column '{name}'",
                    "is needed for the prediction",
                    nearest(name, map(str, people.columns)),
                )
                continue
            values, trained = people[name].reset_index(drop=True), self.covariates[name]
            if values.isna().any():
                problems.add(f"column '{name}'", "has missing values", "Complete them.")
            elif isinstance(trained.dtype, pd.CategoricalDtype):
                text = labels(values)
                levels = list(trained.cat.categories)
                unknown = sorted(set(text) - set(levels))
                if unknown:
                    problems.add(
                        f"column '{name}'",
                        f"has unknown levels {listed(unknown)}",
                        f"Levels: {listed(levels)}.",
                    )
                else:
                    table[name] = pd.Categorical(text, categories=levels, ordered=True)
            elif not is_number_column(values):
                problems.add(f"column '{name}'", "must hold numbers, as in the cohort that was fitted")
            else:
                table[name] = values.to_numpy(dtype=float)
        checked = pd.DataFrame(table, index=range(len(people)))
        check_ranges(self._formulae.common.terms, self.covariates, checked, problems)
        problems.raise_if_any(SpecError, "The population")
        return checked

    def reference_patient(self) -> dict[str, Any]:
        """Return the reference patient: first level of categories, sample median of numbers (the lower one of a `mo(...)`)."""
        stepped = stepped_columns(self._formulae.common.terms) if self.terms else set()
        return {
            str(name): values.cat.categories[0]
            if isinstance(values.dtype, pd.CategoricalDtype)
            else float(np.quantile(values, 0.5, method="inverted_cdf" if name in stepped else "linear"))
            for name, values in self.covariates.items()
        }


def has_calls(terms: tuple[str, ...]) -> bool:
    """Return whether a term calls a function, such as ``scale(age)`` or ``C(sex)``, which may learn from the cohort."""
    return any("(" in term for term in terms)


def make_design(terms: tuple[str, ...], variables: tuple[str, ...], covariates: pd.DataFrame) -> Design:
    """Return the design of ``terms`` on a cohort's covariates.

    Raises
    ------
    SpecError
        When formulae cannot evaluate a term, or columns are collinear.
    """
    used = covariates[list(variables)]
    if not terms:
        return Design((), (), (), np.empty((len(covariates), 0)), used, None)
    from formulae import design_matrices

    try:
        known = {"mo": MonotoneSteps}
        made = design_matrices("1 + " + " + ".join(terms), _ordered(used), extra_namespace=known)
    except Exception as error:  # formulae raises several kinds
        raise SpecError(f"The terms {listed(terms)} cannot be evaluated: {error}") from error
    columns: list[str] = []
    owners: list[str] = []
    for name, term in made.common.terms.items():
        if name != "Intercept":
            labelled = labels_of(name, term)
            columns += labelled
            owners += [name] * len(labelled)
    matrix = np.asarray(made.common.design_matrix, dtype=float)[:, 1:]
    _check_rank(matrix, columns)
    return Design(tuple(terms), tuple(columns), tuple(owners), matrix, used, made)


def _ordered(covariates: pd.DataFrame) -> pd.DataFrame:
    """Return covariates whose categories are marked as ordered: formulae sorts the levels of unordered ones itself."""
    categories = {
        str(name): values.cat.as_ordered()
        for name, values in covariates.items()
        if isinstance(values.dtype, pd.CategoricalDtype)
    }
    return covariates.assign(**categories)


def _check_rank(matrix: Floats, columns: list[str]) -> None:
    """Refuse columns that are linear combinations of earlier ones (or constant)."""
    problems = Problems()
    if not np.isfinite(matrix).all():
        bad = [name for name, column in zip(columns, matrix.T, strict=True) if not np.isfinite(column).all()]
        problems.add(
            f"columns {listed(bad)}",
            "have values that are not finite",
            "Check the transforms in the formula.",
        )
        problems.raise_if_any(SpecError, "The design")
    centred = matrix - matrix.mean(axis=0)
    spread = centred.std(axis=0)
    scaled = centred / np.where(spread > 0, spread, 1.0)
    tolerance = 1e-8 * np.sqrt(len(matrix))
    # One decomposition says whether all is well; which columns are to blame takes one for each.
    if (np.abs(np.diag(np.linalg.qr(scaled, mode="r"))) > tolerance).all() and len(matrix) >= len(columns):
        return
    kept: list[int] = []
    for index, name in enumerate(columns):
        if np.linalg.matrix_rank(scaled[:, [*kept, index]], tol=tolerance) == len(kept) + 1:
            kept.append(index)
        elif spread[index] == 0:
            problems.add(f"term '{name}'", "is constant in this cohort", "Remove it.")
        else:
            problems.add(f"term '{name}'", "is a linear combination of the terms before it", "Remove it.")
    problems.raise_if_any(SpecError, "The design")


def profile_frame(profiles: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """Return named profiles (label -> covariate values) as a table with a row each."""
    return pd.DataFrame([dict(values) for values in profiles.values()], index=[label(name) for name in profiles])
