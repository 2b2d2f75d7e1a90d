"""Numbers of an assessed design as readers want them: looked up by name, rounded, with the Monte Carlo standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import pandas as pd

from sitewise.report.page_parts import number
from sitewise.trial.assessment import Assessment


@dataclass(frozen=True)
class Value:
    """An estimate from simulated trials.

    Parameters
    ----------
    value, mcse : float
        Mean over trials and its Monte Carlo standard error.
    trials : int
        Trials behind it.
    """

    value: float
    mcse: float
    trials: int

    @property
    def probability(self) -> str:
        """A share with its standard error; what happened in no trial or in all has none that could be estimated."""
        if not math.isfinite(self.value):
            return "–"
        if self.value in (0.0, 1.0):
            return f"{self.value:.3f} ({'none' if self.value == 0 else 'all'} of {self.trials})"
        return f"{number(self.value, 3)} ({number(self.mcse, 3)})"

    def mean(self, digits: int = 1) -> str:
        """Return a mean with its standard error, which gets one decimal more."""
        if not math.isfinite(self.value):
            return "–"
        error = f" ({number(self.mcse, digits + 1)})" if math.isfinite(self.mcse) else ""
        return f"{number(self.value, digits)}{error}"


NOTHING = Value(math.nan, math.nan, 0)


@dataclass(frozen=True, eq=False)
class Values:
    """The table of operating characteristics, by scenario, quantity, and what it is of."""

    table: pd.DataFrame

    @classmethod
    def of(cls, found: Assessment, /) -> Self:
        """Return those of an assessment."""
        keys = ["scenario", "quantity", "of"]
        return cls(found.characteristics.set_index(keys).sort_index())

    def __call__(self, scenario: str, quantity: str, of: str = "") -> Value:
        """Return a value, not a number where the table has none."""
        key = (scenario, quantity, of)
        if key not in self.table.index:
            return NOTHING
        row = self.table.loc[key]
        return Value(float(row["value"]), float(row["mcse"]), int(row["trials"]))

    def any(self, quantity: str) -> bool:
        """Whether the table has the quantity at all."""
        return bool((self.table.index.get_level_values("quantity") == quantity).any())

    def named(self, scenario: str, quantity: str) -> list[str]:
        """Return what a quantity is of, in the table's order."""
        rows = self.table.loc[[scenario]]
        return [str(of) for _, own, of in rows.index if own == quantity]


def nominal(found: Assessment, /) -> float:
    """Return the type I error that is aimed at: the calibration's, or one minus the threshold of the first success criterion.

    The latter is what a flat prior and one look would have.
    """
    design = found.design
    if design.calibration is not None:
        return design.calibration.alpha
    return 1 - next(item.probability for item in design.criterion if item.role == "success")


def planned(found: Assessment, /) -> str:
    """Return the name of the first scenario, the planned one."""
    return found.results.worlds[0].name


def nulls(found: Assessment, /) -> list[str]:
    """Return the names of the null scenarios."""
    return [world.name for world in found.results.worlds if world.null]


def synthetic(found: Assessment, /) -> bool:
    """Whether the patients behind the truth are no real ones: simulated, or made to have the tables of a paper."""
    return any("synthetic" in note.lower() for note in found.cohorts.truth.notes)


def whole(value: float) -> str:
    """Return a number without decimals, thousands apart."""
    return f"{value:,.0f}".replace(",", " ") if math.isfinite(value) else "–"
