"""The entries of a published summary: one frozen record a kind of table, every number with where it stands.

A number belongs to a record that says ``where`` (a table, a figure or a section of the paper) and quotes the words that hold
it. What the numbers must be to each other is in :mod:`sitewise.evidence.checks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sitewise.records import Record

Status = Literal["fit", "soft", "held_out", "conflict"]
"""How calibration uses a number: it is fitted; fitted with a quarter of the weight; only predicted and compared; or, since it
contradicts others, left out and reported as a conflict."""
Group = dict[str, tuple[str, ...]]
"""Levels of covariates; a group is those who have one of the levels of every covariate named; empty: all patients."""


@dataclass(frozen=True)
class Source(Record):
    """The paper, and what it is about."""

    title: str
    """Title of the paper."""
    authors: str
    """Authors, as the paper is cited."""
    journal: str
    """Journal, volume and pages."""
    year: int
    """Year of publication."""
    doi: str
    """Digital object identifier, such as 10.3390/cancers14235848."""
    licence: str
    """Licence of the paper's text and tables."""
    population: str
    """Who the patients are, in a sentence."""
    treatment: str
    """What all patients received."""
    patients: int
    """Number of patients."""
    sites: int
    """Number of hospitals."""
    where: str
    """Where the numbers of patients and hospitals stand."""
    quote: tuple[str, ...]
    """The paper's own words that hold them."""
    design: Literal["retrospective", "prospective", "randomised"] = "retrospective"
    """Kind of study."""
    time_unit: str = "months"
    """Unit of all times below."""
    time_zero: str = ""
    """From when times count, in the paper's words."""
    period: str = ""
    """Years in which patients were treated."""
    url: str = ""
    """Where the paper can be read."""


@dataclass(frozen=True)
class Categorical(Record):
    """Counts of a characteristic with levels: a block of Table 1."""

    name: str
    """Short name, used by the other tables of the file."""
    label: str
    """Name in words."""
    levels: dict[str, int]
    """Count of each level, in the paper's order."""
    where: str
    """Where it stands."""
    quote: tuple[str, ...]
    """The paper's own words that hold the counts."""
    total: int | None = None
    """What the counts sum to, when it is not the number of patients."""
    counted: str = "patients"
    """What is counted."""
    favourable: tuple[str, ...] = ()
    """Levels that the paper calls favourable; their number defines its risk groups."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class Continuous(Record):
    """Summaries of a numeric characteristic; at least one of them."""

    name: str
    """Short name."""
    label: str
    """Name in words."""
    unit: str
    """Unit."""
    where: str
    """Where it stands."""
    quote: tuple[str, ...]
    """The paper's own words that hold the numbers."""
    median: float | None = None
    """Median."""
    mean: float | None = None
    """Mean."""
    sd: float | None = None
    """Standard deviation."""
    quartiles: tuple[float, float] | None = None
    """Lower and upper quartile."""
    range: tuple[float, float] | None = None
    """Least and largest value."""
    digits: int | None = None
    """Decimals to which the numbers are printed; default: the most that one of them has."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class Term(Record):
    """One row of a table of hazard ratios: ``level`` against ``reference``, or a unit of a numeric covariate."""

    covariate: str
    """Name of a characteristic of this file."""
    hazard_ratio: float
    """Hazard ratio of level against reference, or per unit."""
    lower: float
    """Lower limit of its interval."""
    upper: float
    """Upper limit of its interval."""
    quote: tuple[str, ...]
    """The paper's own words that hold the row."""
    level: tuple[str, ...] = ()
    """Levels that are compared; empty for a numeric covariate."""
    reference: tuple[str, ...] = ()
    """Levels that they are compared with; empty for a numeric covariate."""
    p: float | None = None
    """P value as printed."""
    p_below: float | None = None
    """Bound, where the paper prints an inequality such as < 0.001."""
    digits: int | None = None
    """Decimals to which hazard ratio and limits are printed; default: the most that a number of the model has."""
    p_digits: int | None = None
    """Decimals to which the p value is printed; default: as many as it has here."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class Model(Record):
    """A Cox model: its rows were estimated together."""

    id: str
    """Short name."""
    term: tuple[Term, ...]
    """Rows."""
    where: str
    """Where it stands."""
    endpoint: str = "os"
    """Endpoint: os, pfs or another that this file uses."""
    adjusted: bool = False
    """Whether the rows are adjusted for each other (multivariable)."""
    prob: float = 0.95
    """Probability of the intervals."""
    interval: Literal["wald", "profile", "unknown"] = "wald"
    """Kind of interval: the middle of a Wald interval is the log hazard ratio, and p follows from it."""


@dataclass(frozen=True)
class Survival(Record):
    """A number read off a Kaplan-Meier curve: a median, or survival at a time."""

    id: str
    """Short name."""
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
    median: float | Literal["not reached"] | None = None
    """Median, or "not reached"."""
    time: float | None = None
    """Time of ``survival``."""
    survival: float | None = None
    """Share event-free at ``time``."""
    lower: float | None = None
    """Lower limit of the interval."""
    upper: float | Literal["not reached"] | None = None
    """Upper limit of the interval."""
    prob: float = 0.95
    """Probability of the interval."""
    digits: int = 0
    """Decimals to which the number is printed; of the percentage, where the paper prints one."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class Comparison(Record):
    """A test between groups."""

    id: str
    """Short name."""
    where: str
    """Where it stands."""
    quote: tuple[str, ...]
    """The paper's own words that hold the number."""
    between: tuple[str, ...]
    """Ids of the survival entries whose groups are compared."""
    test: str = "log-rank"
    """Name of the test."""
    p: float | None = None
    """P value as printed."""
    p_below: float | None = None
    """Bound, where the paper prints an inequality."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class FollowUp(Record):
    """Length of follow-up."""

    where: str
    """Where it stands."""
    quote: tuple[str, ...]
    """The paper's own words that hold the numbers."""
    median: float
    """Median."""
    range: tuple[float, float] | None = None
    """Shortest and longest."""
    quartiles: tuple[float, float] | None = None
    """Lower and upper quartile, of what the median is of."""
    digits: int = 0
    """Decimals to which the numbers are printed."""
    definition: Literal["observed", "reverse-kaplan-meier", "alive-only", "unstated"] = "unstated"
    """What the paper says the median is of."""
    reading: Literal["observed", "reverse-kaplan-meier", "alive-only"] | None = None
    """What it is taken to be of, where the paper does not say."""
    status: Status = "fit"
    """How calibration uses it."""


@dataclass(frozen=True)
class Ambiguity(Record):
    """Something that the paper leaves open, or in which it contradicts itself."""

    id: str
    """Short name."""
    about: tuple[str, ...]
    """Ids or names of the entries concerned."""
    sentence: str
    """What is open."""
    readings: tuple[str, ...]
    """Possible readings; the first is the one used."""
