"""`Scenario`: one complete known truth, as data: who the patients are, at which sites, how long they live and are followed.

The reference patient has every categorical covariate at its first level and every numeric one at its ``reference``; a
linear predictor of log hazard ratios multiplies the baseline hazard of the reference patient at an average site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from sitewise.problems import ScenarioError
from sitewise.records import Record, read_record, record_hash, tidied
from sitewise.simulate.parts import Baseline, Categorical, Censoring, Correlation, Floats, Numeric, Sites
from sitewise.simulate.scenario_checks import scenario_problems


@dataclass(frozen=True)
class Scenario(Record):
    """One complete known truth."""

    id: str
    """Short name."""
    title: str
    """A sentence that says what is simulated."""
    patients: int
    """Patients of a cohort."""
    baseline: Baseline
    """When the event happens to the reference patient at an average site."""
    sites: Sites
    """Sites: sizes and effects."""
    censoring: Censoring
    """End of follow-up."""
    margins: Literal["exact", "sampled"] = "exact"
    """Whether every cohort has the stated shares exactly (to the nearest patient) or patients are drawn one by one."""
    categorical: tuple[Categorical, ...] = ()
    """Covariates with levels."""
    numeric: tuple[Numeric, ...] = ()
    """Numeric covariates."""
    correlations: tuple[Correlation, ...] = ()
    """Latent correlations of pairs; pairs that are not named are uncorrelated."""
    favourable: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Favourable levels of covariates; their number defines the risk groups."""
    time_unit: str = "months"
    """Unit of all times."""
    evidence: str = ""
    """Id of the published summary that the numbers come from."""
    assumptions: tuple[str, ...] = ()
    """What no published number supports, as phrases."""

    def __post_init__(self) -> None:
        tidied(self, ScenarioError, f"Scenario '{self.id}'")
        scenario_problems(self).raise_if_any(ScenarioError, f"Scenario '{self.id}'")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], /, *, subject: str = "The scenario") -> Self:
        """Return the scenario of parsed TOML or JSON.

        Raises
        ------
        ScenarioError
            Naming every problem by its place.
        """
        return read_record(cls, content, ScenarioError, subject=subject)

    @property
    def covariates(self) -> tuple[Categorical | Numeric, ...]:
        """All covariates, numeric ones first: the order of the latent variables."""
        return (*self.numeric, *self.categorical)

    @property
    def all_assumptions(self) -> tuple[str, ...]:
        """What no published number supports, of the sites and of the rest."""
        return (*((self.sites.assumed,) if self.sites.assumed else ()), *self.assumptions)

    @property
    def latent_correlation(self) -> Floats:
        """Correlation matrix of the latent normal variables in the order of :attr:`covariates`, shape (p, p)."""
        names = [item.name for item in self.covariates]
        matrix = np.eye(len(names))
        for item in self.correlations:
            row, column = (names.index(name) for name in item.between)
            matrix[row, column] = matrix[column, row] = item.latent
        return matrix

    def log_hazard_ratios(self, reference: Mapping[str, str], /) -> dict[str, float]:
        """Return the log hazard ratio of every level against a reference level, and of one unit of a number.

        Parameters
        ----------
        reference : mapping of str to str
            Reference level of each categorical covariate.

        Returns
        -------
        dict of str to float
            By the names that formulae gives to design columns: ``ecog[>=1]``, ``age``.
        """
        found = {item.name: item.log_hazard_ratio for item in self.numeric}
        for item in self.categorical:
            base = item.log_hazard_ratios[item.levels.index(reference[item.name])]
            found |= {
                f"{item.name}[{level}]": value - base for level, value in zip(item.levels, item.log_hazard_ratios, strict=True)
            }
        return found

    @property
    def hash(self) -> str:
        """SHA-256 of the scenario's content: its identity in every output."""
        return record_hash(self)
