"""What a classical analysis asks of a cohort: a description that computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sitewise.evidence import Evidence
from sitewise.names import ALL_PATIENTS

Ties = Literal["efron", "breslow"]
SITE = "site"
"""Name of the partition into sites."""
RISK_GROUP = "risk group"
"""Name of the partition by the number of factors."""
RESERVED = {SITE: "the sites", RISK_GROUP: "the risk groups", ALL_PATIENTS: "all patients"}
"""What the tables call by names that no covariate can have."""


@dataclass(frozen=True)
class Contrast:
    """A row of a Cox table: levels against reference levels, or a unit of a numeric covariate.

    Parameters
    ----------
    level, reference : tuple of str
        Levels on each side; both empty for a numeric covariate.
    """

    level: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, str]:
        """Level and reference as the tables write them, such as ``1|2`` and ``0``; empty for a numeric covariate."""
        return "|".join(self.level), "|".join(self.reference)


@dataclass(frozen=True)
class Covariate:
    """A characteristic and how the Cox models compare its levels.

    Parameters
    ----------
    name : str
        Column of the cohort.
    label : str
        Name in words.
    contrasts : tuple of Contrast
        Rows of the Cox tables, all against the same reference; empty when it is only counted.
    numeric : bool
        Whether it is a number.
    unit : str
        Unit of a number.
    """

    name: str
    label: str
    contrasts: tuple[Contrast, ...] = ()
    numeric: bool = False
    unit: str = ""

    @property
    def classes(self) -> tuple[tuple[str, ...], ...]:
        """The sets of levels that the rows compare, the reference first; empty for a number or without rows."""
        if self.numeric or not self.contrasts:
            return ()
        return (self.contrasts[0].reference, *(contrast.level for contrast in self.contrasts))


@dataclass(frozen=True)
class ClassicalPlan:
    """What is counted, compared and modelled; make one with :func:`classical_plan`.

    Parameters
    ----------
    covariates : tuple of Covariate
        Characteristics of Table 1, those with contrasts also of the Cox tables.
    factors : mapping of str to tuple of str
        By covariate the levels that are counted; their number defines the risk groups. Empty: no risk groups.
    counted : {"favourable", "unfavourable"}
        What the factors are.
    times : tuple of float
        Times at which survival is reported.
    compared_by : str
        What Table 1 and toxicity are compared by: ``"site"``, ``"risk group"`` or a covariate; empty: nothing.
    entry_p : float
        A covariate enters the multivariate model when its univariate likelihood-ratio p value is below this.
    ties : {"efron", "breslow"}
        How the Cox models treat tied event times.
    prob : float
        Probability of intervals.
    evidence : Evidence, optional
        The paper whose numbers stand beside.
    cox_endpoints : tuple of str, optional
        Endpoints that have Cox tables; default all that the cohort has.
    seed : int
        Of the Monte Carlo tests of sparse tables.
    notes : tuple of str
        What was decided while planning, such as columns that were left out.
    """

    covariates: tuple[Covariate, ...]
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counted: Literal["favourable", "unfavourable"] = "favourable"
    times: tuple[float, ...] = ()
    compared_by: str = ""
    entry_p: float = 0.1
    ties: Ties = "efron"
    prob: float = 0.95
    evidence: Evidence | None = None
    cox_endpoints: tuple[str, ...] | None = None
    seed: int = 1
    notes: tuple[str, ...] = ()

    def covariate(self, name: str) -> Covariate:
        """Return a covariate by its name."""
        return next(item for item in self.covariates if item.name == name)

    @property
    def modelled(self) -> tuple[Covariate, ...]:
        """Covariates with rows in the Cox tables."""
        return tuple(item for item in self.covariates if item.contrasts)
