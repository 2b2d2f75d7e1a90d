"""Numbers of an assessed design as readers want them: looked up by name, rounded, with the Monte Carlo standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from sitewise.report.page_parts import number, rows_of
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
        digits = 3 if self.mcse >= 0.001 else 4
        return f"{number(self.value, digits)} ({number(self.mcse, digits if self.mcse >= 0.01 else digits + 1)})"

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

    found: dict[tuple[str, str, str], Value]

    @classmethod
    def of(cls, found: Assessment, /) -> Self:
        """Return those of an assessment."""
        return cls(
            {
                (str(row.scenario), str(row.quantity), str(row.of)): Value(float(row.value), float(row.mcse), int(row.trials))
                for row in rows_of(found.characteristics)
            }
        )

    def __call__(self, scenario: str, quantity: str, of: str = "") -> Value:
        """Return a value, not a number where the table has none."""
        return self.found.get((scenario, quantity, of), NOTHING)


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


def synthetic(found: Assessment, /) -> bool:
    """Whether the patients behind the truth are no real ones: simulated, or made to have the tables of a paper."""
    return any("synthetic" in note.lower() for note in found.cohorts.truth.notes)


def whole(value: float) -> str:
    """Return a number without decimals, thousands apart."""
    return f"{value:,.0f}".replace(",", " ") if math.isfinite(value) else "–"
