"""What is decided, and on what: statements about an estimand with the probability that they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sitewise.problems import TrialError
from sitewise.records import Record, positive, tidied
from sitewise.trial.plan.arms import EXPERIMENTAL

ALL = "all"
"""Name of the group of everybody in the trial."""


@dataclass(frozen=True)
class Criterion(Record):
    """A statement about an estimand, and when its probability is enough.

    Success needs every success criterion of the look to hold (dual criteria are two of them); the trial stops for futility
    when one futility criterion does. With several experimental arms each has its own, see ``arms.success``.
    """

    name: str
    """Name in tables."""
    estimand: Literal["hazard_ratio", "survival", "rmst", "median"]
    """hazard_ratio: experimental against control, of patients of the same risk group and site, or against the benchmark cohort
    where there is one arm. The others are averages over the trial's case mix and a population of sites."""
    role: Literal["success", "futility"] = "success"
    """success: holds when the statement's probability is above ``probability``. futility: when it is below."""
    above: float | None = None
    """The statement is: estimand above this."""
    below: float | None = None
    """The statement is: estimand below this."""
    against: Literal["value", "control", "benchmark"] = "value"
    """What the estimand is of: value, the experimental arm's own; control, its difference from the control arm's;
    benchmark, its difference from the benchmark's. A hazard ratio is a comparison already and takes no such key."""
    at: float | None = None
    """Time of a survival, horizon of a restricted mean."""
    group: str = ALL
    """Risk group; all: everybody in the trial."""
    probability: float = 0.975
    """Threshold."""
    looks: tuple[str, ...] = ()
    """Looks at which it counts; absent: all (success) or all but the last (futility)."""
    predictive: bool = False
    """Whether the probability is the predictive one that every success criterion (of its arm) holds at the last look, given
    what is known. Of futility criteria only, which then need no statement of their own."""
    arm: str = EXPERIMENTAL
    """Experimental arm that it is about."""
    imputations: int = 0
    """Completed trials from which a predictive probability is the share that succeed, in every trial and at every look at which
    the criterion counts: remaining times are drawn given those that have passed. 0: by a formula for normal estimates."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, f"Criterion '{self.name}'")
        if (self.above is None) == (self.below is None) and not self.predictive:
            problems.add("", "give either above or below")
        if not 0 < self.probability < 1:
            problems.add("probability", f"must be inside (0, 1); it is {self.probability:g}")
        if self.estimand in ("survival", "rmst") and self.at is None and not self.predictive:
            problems.add("at", f"is missing: {self.estimand} needs a time")
        if self.estimand in ("hazard_ratio", "median") and self.at is not None:
            problems.add("at", f"has no meaning for {self.estimand}")
        if self.estimand == "hazard_ratio" and self.against != "value":
            problems.add("against", "has no meaning for a hazard ratio, which is a comparison already", "Remove it.")
        if self.estimand == "median" and self.against != "value":
            problems.add("against", "has no meaning for a median", "Compare survival or restricted means instead.")
        positive(problems, at=self.at)
        value = self.above if self.above is not None else self.below
        if value is not None and self.estimand in ("hazard_ratio", "median") and value <= 0:
            problems.add("above, below", f"must be positive for {self.estimand}; it is {value:g}")
        if value is not None and self.estimand == "survival":
            least = 0.0 if self.against == "value" else -1.0
            if not least < value < 1:
                problems.add("above, below", f"must be inside ({least:g}, 1) for survival; it is {value:g}")
        if value is not None and self.estimand == "rmst" and self.at is not None:
            least = 0.0 if self.against == "value" else -self.at
            if not least <= value < self.at:
                within = f"[{least:g}, {self.at:g})"
                problems.add("above, below", f"must be inside {within} for this restricted mean; it is {value:g}")
        if self.predictive and self.role != "futility":
            problems.add("predictive", "is of futility criteria only")
        if self.imputations < 0:
            problems.add("imputations", f"must be 0 or a number of completed trials; it is {self.imputations}")
        if self.imputations and not self.predictive:
            problems.add("imputations", "is of predictive criteria only", "Add predictive = true, or remove it.")
        problems.raise_if_any(TrialError, f"Criterion '{self.name}'")

    @property
    def bound(self) -> float:
        """The number that the estimand is compared with; not a number for a predictive criterion."""
        value = self.above if self.above is not None else self.below
        return float("nan") if value is None else value

    @property
    def wants_less(self) -> bool:
        """Whether the statement is that the estimand is below its bound."""
        return self.below is not None

    @property
    def sentence(self) -> str:
        """The statement in words."""
        of_arm = "" if self.arm == EXPERIMENTAL else f" in arm '{self.arm}'"
        if self.predictive:
            return f"success at the last look, predicted{of_arm}"
        what = {"hazard_ratio": "hazard ratio", "survival": "survival", "rmst": "restricted mean", "median": "median survival"}
        words = what[self.estimand] + (f" at {self.at:g}" if self.at is not None else "")
        words += {"value": "", "control": " minus that of control", "benchmark": " minus that of the benchmark"}[self.against]
        return (
            f"{words} {'below' if self.wants_less else 'above'} {self.bound:g}"
            + ("" if self.group == ALL else f" in '{self.group}'")
            + of_arm
        )
