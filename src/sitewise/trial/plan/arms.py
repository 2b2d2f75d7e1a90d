"""Who is in the trial and how they are allocated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sitewise.problems import TrialError
from sitewise.records import Record, tidied


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
        problems.raise_if_any(TrialError, "The table of arms")

    @property
    def randomised(self) -> bool:
        """Whether there is a control arm."""
        return self.kind == "randomised"
