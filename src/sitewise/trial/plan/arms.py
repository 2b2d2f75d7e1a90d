"""Who is in the trial and how they are allocated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sitewise.problems import TrialError
from sitewise.records import Record, positive, tidied

CONTROL, EXPERIMENTAL = "control", "experimental"
"""Names of the control arm and of the first experimental arm."""


@dataclass(frozen=True)
class FurtherArm(Record):
    """An experimental arm besides the first, with the same control arm. Its effect has the first one's course in time."""

    name: str
    """Name, by which criteria and scenarios call it."""
    hazard_ratio: float
    """Hazard ratio against control, or with sd the median of its distribution."""
    places: int = 1
    """Its places in the allocation, beside those of the first arm and of control."""
    sd: float = 0.0
    """Standard deviation of the log hazard ratio, independent of the other arms' effects; 0: it is known."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, f"Arm '{self.name}'")
        if not self.name.strip():
            problems.add("name", "is empty")
        if self.name in (CONTROL, EXPERIMENTAL):
            problems.add("name", f"is '{self.name}', the name of another arm")
        if self.places < 1:
            problems.add("places", f"must be at least 1; it is {self.places}")
        if self.sd < 0:
            problems.add("sd", f"must be zero or positive; it is {self.sd:g}")
        positive(problems, hazard_ratio=self.hazard_ratio)
        problems.raise_if_any(TrialError, f"Arm '{self.name}'")


@dataclass(frozen=True)
class Arms(Record):
    """Patients and their allocation."""

    kind: Literal["single-arm", "randomised"]
    """single-arm: everybody has the experimental treatment. randomised: there is a control arm."""
    patients: int
    """Patients to be enrolled."""
    allocation: tuple[int, int] = (1, 1)
    """Experimental and control patients of a block: [2, 1] is two to one. Of randomised trials only."""
    blocks: int = 2
    """How many times the allocation makes a block of random order: blocks = 2 with [1, 1] are blocks of four."""
    stratify: tuple[Literal["site", "risk_group"], ...] = ("site", "risk_group")
    """Strata with blocks of their own; an empty list: one sequence of blocks for the whole trial."""
    enrich: tuple[str, ...] = ()
    """Risk groups that may enter; absent: all."""
    further: tuple[FurtherArm, ...] = ()
    """Experimental arms besides the first, which is called 'experimental'; all are compared with the one control arm. Of
    randomised trials only."""
    success: Literal["any", "all"] = "any"
    """With several experimental arms: any: the trial is a success when all success criteria of one arm hold at a look; all:
    when those of every arm do. It stops for futility when each arm has a futility criterion that holds."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The table of arms")
        if self.patients < 2:
            problems.add("patients", f"must be at least 2; it is {self.patients}")
        if min(self.allocation) < 1:
            problems.add("allocation", f"must be two positive whole numbers; it is {list(self.allocation)}")
        if self.blocks < 1:
            problems.add("blocks", f"must be at least 1; it is {self.blocks}")
        for name, values in {"stratify": self.stratify, "enrich": self.enrich}.items():
            if len(set(values)) < len(values):
                problems.add(name, "names something twice")
        names = [item.name for item in self.further]
        if len(set(names)) < len(names):
            problems.add("further", "names an arm twice")
        if self.further and not self.randomised:
            problems.add("further", "is of randomised trials; this one has no control arm to compare with")
        problems.raise_if_any(TrialError, "The table of arms")

    @property
    def randomised(self) -> bool:
        """Whether there is a control arm."""
        return self.kind == "randomised"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arms by their codes: 0 control, 1 experimental, then the further ones."""
        return (CONTROL, EXPERIMENTAL, *(item.name for item in self.further))

    @property
    def block(self) -> tuple[int, ...]:
        """Places of each arm in a block, by code; of randomised trials."""
        experimental, control = self.allocation
        return tuple(self.blocks * places for places in (control, experimental, *(item.places for item in self.further)))
