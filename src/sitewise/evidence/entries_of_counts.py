"""The entries of a published summary that count patients: events, cross tables, curves with numbers at risk, failures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sitewise.evidence.entries import Group, Status
from sitewise.records import Record


@dataclass(frozen=True)
class Events(Record):
    """How many patients of a group had the event of an endpoint by the end of follow-up."""

    id: str
    """Short name."""
    events: int
    """Patients with the event."""
    where: str
    """Where it stands."""
    quote: tuple[str, ...]
    """The paper's own words that hold the number."""
    endpoint: str = "os"
    """Endpoint."""
    group: Group = field(default_factory=dict)
    """Levels of characteristics that define the group; empty for all patients."""
    count_favourable: int | None = None
    """Number of favourable factors that defines the group, instead of levels."""
    patients: int | None = None
    """Size of the group, where it is printed."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class Joint(Record):
    """A cross table of two characteristics, such as a Table 1 by arm."""

    id: str
    """Short name."""
    between: tuple[str, str]
    """The characteristics of rows and columns."""
    counts: dict[str, dict[str, int]]
    """Count of patients by level of the first, then of the second."""
    where: str
    """Where it stands."""
    quote: tuple[str, ...]
    """The paper's own words that hold the numbers."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class Curve(Record):
    """Points read off a printed Kaplan-Meier curve, and the numbers at risk below it."""

    id: str
    """Short name."""
    where: str
    """Which figure."""
    quote: tuple[str, ...]
    """Words of its legend."""
    endpoint: str = "os"
    """Endpoint."""
    group: Group = field(default_factory=dict)
    """Levels of characteristics that define the group; empty for all patients."""
    count_favourable: int | None = None
    """Number of favourable factors that defines the group, instead of levels."""
    times: tuple[float, ...] = ()
    """Times of the points."""
    survival: tuple[float, ...] = ()
    """Share event-free at each time."""
    precision: float = 0.01
    """How far a point that was read off may be from the curve."""
    at_risk_times: tuple[float, ...] = ()
    """Times of the numbers at risk."""
    at_risk: tuple[int, ...] = ()
    """Patients under observation just before each time."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class Count(Record):
    """A count or percentage of the text: failures, salvage, toxicity, lesions."""

    id: str
    """Short name."""
    label: str
    """What is counted."""
    where: str
    """Where it stands."""
    quote: tuple[str, ...]
    """The paper's own words that hold the number."""
    count: int | None = None
    """Count."""
    percent: float | None = None
    """Percentage as printed."""
    of: str = "patients"
    """What the percentage is of: ``patients``, or the id of another count."""
    part_of: str = ""
    """Id of the count that this one is a part of."""
    counted: str = "patients"
    """What is counted."""
    parts: Literal["exhaustive", "some", "overlapping"] = "some"
    """Whether its own parts add up to it, are some of it, or overlap."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class Failures(Record):
    """The pattern of first failures: which counts of this file are kinds of one endpoint's failures."""

    id: str
    """Short name."""
    total: str
    """Id of the count of patients with a failure."""
    kinds: dict[str, str]
    """Id of the count of each kind of first failure, such as distant and local."""
    endpoint: str = "pfs"
    """Endpoint whose events are these failures or death, whichever is first."""
    status: Status = "fit"
    """How calibration uses it."""
