"""`Evidence`: the published summary of a cohort, as one record."""

from __future__ import annotations

from dataclasses import dataclass

from sitewise.evidence.entries import Ambiguity, Categorical, Comparison, Continuous, FollowUp, Model, Source, Survival
from sitewise.evidence.entries_of_counts import Count, Curve, Events, Failures, Joint
from sitewise.records import Record

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Evidence(Record):
    """The published summary of a cohort."""

    schema_version: int
    """1."""
    id: str
    """Short name of the summary."""
    source: Source
    """The paper."""
    categorical: tuple[Categorical, ...] = ()
    """Characteristics with levels."""
    continuous: tuple[Continuous, ...] = ()
    """Numeric characteristics."""
    model: tuple[Model, ...] = ()
    """Tables of hazard ratios."""
    survival: tuple[Survival, ...] = ()
    """Medians and milestone survival."""
    comparison: tuple[Comparison, ...] = ()
    """Tests between groups."""
    follow_up: tuple[FollowUp, ...] = ()
    """Follow-up."""
    events: tuple[Events, ...] = ()
    """Numbers of events."""
    joint: tuple[Joint, ...] = ()
    """Cross tables of two characteristics."""
    curve: tuple[Curve, ...] = ()
    """Digitised Kaplan-Meier curves and numbers at risk."""
    count: tuple[Count, ...] = ()
    """Counts of the text."""
    failures: tuple[Failures, ...] = ()
    """Patterns of first failure."""
    ambiguity: tuple[Ambiguity, ...] = ()
    """What the paper leaves open."""

    @property
    def characteristics(self) -> dict[str, Categorical | Continuous]:
        """Characteristics by name."""
        named: tuple[Categorical | Continuous, ...] = (*self.categorical, *self.continuous)
        return {item.name: item for item in named}
