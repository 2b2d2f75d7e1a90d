"""`Imputations`: the completed cohorts, what was missing where, the models of covariates, and whether the chains settled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from scipy import stats

from sitewise.cohort import Cohort
from sitewise.inference.verdict import Verdict
from sitewise.models import ModelSpec
from sitewise.problems import listed, plural
from sitewise.studies.imputation.convergence import convergence_checks, convergence_table
from sitewise.studies.imputation.regressions import Regression
from sitewise.studies.imputation.sweeps import Chains
from sitewise.studies.imputation.variables import OF_NUMBERS, SKEWED, Variable, with_values
from sitewise.studies.imputation.where import missing_table

RARE = 0.01
"""P value, times the number of incomplete covariates, below which missingness is said to go with survival."""


@dataclass(frozen=True, eq=False)
class Imputations:
    """Completed cohorts of one incomplete cohort; make them with :func:`sitewise.impute`.

    Parameters
    ----------
    spec : ModelSpec
        The survival model, resolved once on the observed values.
    cohort : Cohort
        The incomplete cohort.
    variables : tuple of Variable
        Covariates, in the order in which they are modelled.
    regressions : tuple of Regression
        The models of the incomplete ones.
    chains : Chains
        What the chains came to.
    seed : int
        Seed.
    count : int
        Number of completed cohorts.
    """

    spec: ModelSpec
    cohort: Cohort
    variables: tuple[Variable, ...]
    regressions: tuple[Regression, ...]
    chains: Chains
    seed: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> Cohort:
        if not 0 <= place < self.count:
            raise IndexError(place)
        columns = {item.target.name: (item.target, self.chains.values[item.target.name][place]) for item in self.regressions}
        return with_values(self.cohort, columns)

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Columns of the incomplete covariates, the least missing first."""
        return tuple(item.target.name for item in self.regressions)

    @cached_property
    def missing(self) -> pd.DataFrame:
        """What is missing where; columns as :func:`sitewise.studies.imputation.where.missing_table` has them."""
        return missing_table(self.cohort, self.incomplete)

    @cached_property
    def models(self) -> pd.DataFrame:
        """``column, kind, missing, model`` of each incomplete covariate, in order."""
        rows = [(item.target.name, item.target.kind, int(item.target.missing.sum()), item.words) for item in self.regressions]
        return pd.DataFrame(rows, columns=["column", "kind", "missing", "model"])

    @cached_property
    def convergence(self) -> pd.DataFrame:
        """Drift and memory of coefficients and of imputed means; see :mod:`sitewise.studies.imputation.convergence`."""
        return convergence_table(self.chains.trace, self.chains.quantities)

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the chains settled."""
        return Verdict(convergence_checks(self.convergence))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should worry about what is missing and how it is modelled."""
        everywhere = self.missing[self.missing["sites"] == "all"] if self.incomplete else self.missing
        found = []
        tests = everywhere[["p_event", "p_survival"]].min(axis=1).to_numpy(dtype=float)
        for name, least in zip(everywhere["column"], tests, strict=True):
            if least * len(everywhere) < RARE:
                found.append(
                    f"{name} is missing more often in patients who live longer, or shorter (p = {least:.2g}): complete "
                    "cases alone may give biased answers."
                )
        for variable in self.variables:
            if variable.incomplete and variable.kind in OF_NUMBERS:
                skewness = float(stats.skew(variable.score(variable.values[~variable.missing])))
                if abs(skewness) > SKEWED:
                    positive = bool((variable.values[~variable.missing] > 0).all()) and variable.kind == "normal"
                    advice = "a log-normal one may do better (kinds)" if positive else "look at its distribution"
                    found.append(
                        f"{variable.name} is skewed ({skewness:.1f}), and imputed by a {variable.kind} model: {advice}."
                    )
        return tuple(found)

    @property
    def sentence(self) -> str:
        """What was missing and what was done about it, for the report."""
        if not self.incomplete:
            return "No covariate has missing values."
        rows = pd.concat([self.cohort.covariates[name].isna() for name in self.incomplete], axis=1).any(axis=1)
        parts = ", ".join(f"{item.target.name}: {int(item.target.missing.sum())}" for item in self.regressions)
        return (
            f"{plural(rows.sum(), 'patient lacks', 'patients lack')} a covariate, of {len(self.cohort)} ({parts}). "
            f"{self.count} completed cohorts were drawn from the joint posterior of survival and covariates and fitted, and "
            "the fits pooled with equal weights. This assumes that, given time, event, site and the other covariates, whether "
            "a value is missing does not depend on what it is."
        )

    def __repr__(self) -> str:
        return f"<{self.count} imputations of {self.cohort!r}: {listed(self.incomplete) or 'nothing missing'}>"
