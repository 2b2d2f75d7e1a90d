"""What happened to the patients beside the cohort's own time and event: a second endpoint, first failures, toxicity.

The columns are those that Sitewise's synthetic tables have: ``pfs_time`` and ``pfs_event`` (progression-free survival),
``first_failure`` (the kind of the first failure, ``none`` without one), and any columns of toxicity with grades as values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.cohort.columns import read_event, read_number
from sitewise.cohort.levels import labels
from sitewise.problems import CohortError, Problems, listed, nearest, plural

OS, PFS = "os", "pfs"
LABELS = {OS: "Overall survival", PFS: "Progression-free survival"}
NO_FAILURE = "none"
SLACK = 1e-9
ENDPOINT_COLUMNS = ("pfs_time", "pfs_event", "failure_time", "failure", "first_failure")
"""Columns that are outcomes and never covariates."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Endpoint:
    """Times to an event.

    Parameters
    ----------
    name, label : str
        Short name as in published summaries (``os``, ``pfs``), and in words.
    time : ndarray, shape (n,)
        Times.
    event : ndarray of bool, shape (n,)
        Whether they are events.
    """

    name: str
    label: str
    time: Floats
    event: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Endpoints, first failures and toxicity of a cohort's patients, in the cohort's order; see :meth:`read`.

    Parameters
    ----------
    endpoints : tuple of Endpoint
        Overall survival (the cohort's time and event) first.
    first_failure : Series or None
        Kind of each patient's first failure, ``none`` without one.
    toxicities : mapping of str to Series
        By column the grade of each patient; missing where not recorded.
    warnings : tuple of str
        What should worry.
    """

    endpoints: tuple[Endpoint, ...]
    first_failure: pd.Series | None = None
    toxicities: Mapping[str, pd.Series] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, cohort: Cohort, /) -> Self:
        """Return the cohort's own time and event as overall survival, and nothing else."""
        return cls((_overall(cohort),))

    @classmethod
    def read(cls, cohort: Cohort, frame: pd.DataFrame, /, *, toxicities: Sequence[str] = ()) -> Self:
        """Read the further outcomes from the table that the cohort was read from.

        Parameters
        ----------
        cohort : Cohort
            The patients; ``cohort.rows`` says which rows of the table they are.
        frame : DataFrame
            The table.
        toxicities : sequence of str
            Columns with grades of toxicity.

        Raises
        ------
        CohortError
            Naming every problem with column, rows and remedy.
        """
        problems = Problems()
        warnings: list[str] = []
        own = frame.iloc[np.asarray(cohort.rows, dtype=int) - 1].reset_index(drop=True) if cohort.rows else frame
        endpoints = [_overall(cohort)]
        present = [name for name in ("pfs_time", "pfs_event") if name in own.columns]
        if len(present) == 1:
            missing = "pfs_event" if present == ["pfs_time"] else "pfs_time"
            problems.add(f"column '{missing}'", f"does not exist, but '{present[0]}' does", "Give both or neither.")
        elif present:
            endpoints.append(_progression_free(cohort, own, problems, warnings))
        failure = None
        if "first_failure" in own.columns:
            failure = labels(own["first_failure"]).map(_kind, na_action="ignore")
            _check_complete(failure, "first_failure", f"Write '{NO_FAILURE}' for patients without failure.", cohort, problems)
        found = {}
        for name in toxicities:
            if name in own.columns:
                found[name] = labels(own[name])
            else:
                problems.add(f"column '{name}'", "does not exist; it was named as toxicity", nearest(name, own.columns))
        problems.raise_if_any(CohortError, "The outcomes")
        return cls(tuple(endpoints), failure, found, tuple(warnings))

    def endpoint(self, name: str) -> Endpoint | None:
        """Return an endpoint by its name, or None."""
        return next((item for item in self.endpoints if item.name == name), None)


def _overall(cohort: Cohort) -> Endpoint:
    return Endpoint(OS, LABELS[OS], np.asarray(cohort.time), cohort.event > 0)


def _progression_free(cohort: Cohort, own: pd.DataFrame, problems: Problems, warnings: list[str]) -> Endpoint:
    before = len(problems.found)
    found = Problems()
    time = read_number(own, "pfs_time", found)
    event = read_event(own, "pfs_event", _event_level(cohort, own), found, remedy="Write 0 and 1 in pfs_event.")
    for item in found.found:  # their rows are counted among the patients kept, and are told as those of the table
        problems.add(item.where, item.what, item.remedy, cohort.table_rows(np.isin(np.arange(len(own)) + 1, item.rows)))
    for name, values in (("pfs_time", time), ("pfs_event", event)):
        if len(problems.found) == before:
            _check_complete(pd.Series(values), name, "Complete them.", cohort, problems)
    if len(problems.found) == before:
        late = np.maximum(cohort.entry, 0.0)
        bad = time <= late
        if bad.any():
            limit = "entry" if cohort.late_entry else "zero"
            problems.add(
                "column 'pfs_time'",
                f"{plural(bad.sum(), 'time is', 'times are')} not after {limit}",
                "Correct them.",
                cohort.table_rows(bad),
            )
        beyond = time > cohort.time + SLACK
        if beyond.any():
            problems.add(
                "column 'pfs_time'",
                f"{plural(beyond.sum(), 'time is', 'times are')} after the end of follow-up",
                "It is the first of progression, death and end of follow-up: at most the survival time.",
                cohort.table_rows(beyond),
            )
        unseen = (cohort.event > 0) & ~(event > 0)
        if unseen.any():
            warnings.append(
                f"{plural(unseen.sum(), 'patient', 'patients')} died without an event of progression-free survival, which "
                "deaths should be."
            )
    return Endpoint(PFS, LABELS[PFS], time, event > 0)


def _event_level(cohort: Cohort, own: pd.DataFrame) -> str | None:
    """Return the value that marks the cohort's events where ``pfs_event`` is coded like them; None: 1, or true."""
    if cohort.columns.event not in own.columns:
        return None
    text = labels(own[cohort.columns.event])
    marks = set(text[cohort.event > 0])
    if len(marks) != 1:
        return None
    mark: str = marks.pop()
    coded = set(labels(own["pfs_event"]).dropna())
    alike = coded <= set(text.dropna())
    # 0 and 1 may be the marks of another code: 1 is the event beside 0, and may be censored beside 2.
    taken = mark in coded and (alike or mark not in ("0", "1"))
    # Where nobody has the mark, a value that would be read as an event must not be: it says censored.
    return mark if taken or (alike and mark not in ("1", "true")) else None


def _kind(text: str) -> str | None:
    """Return a kind of first failure as the tables name it; None, or NONE, is no failure."""
    return NO_FAILURE if text.casefold() == NO_FAILURE else text or None


def _check_complete(values: pd.Series, name: str, remedy: str, cohort: Cohort, problems: Problems) -> None:
    missing = values.isna().to_numpy()
    if missing.any():
        problems.add(
            f"column '{name}'",
            f"{plural(missing.sum(), 'value is', 'values are')} missing",
            remedy,
            cohort.table_rows(missing),
        )


def kinds_of(first_failure: pd.Series, named: Sequence[str] = (), /) -> dict[str, tuple[str, ...]]:
    """Return, for each label of a first failure, the kinds that it consists of.

    ``distant and local`` is distant and local at once when both are kinds of their own: a label that occurs alone, or a kind
    that is ``named``.

    Raises
    ------
    CohortError
        When a label has nothing but blanks.
    """
    present = [str(label) for label in dict.fromkeys(first_failure) if label != NO_FAILURE]
    known = {*present, *named}
    found = {}
    for label in present:
        parts = [part.strip() for part in label.replace(" & ", " and ").replace("+", " and ").split(" and ")]
        found[label] = tuple(parts) if len(parts) > 1 and all(part in known for part in parts) else (label,)
    if any(not part for parts in found.values() for part in parts):
        raise CohortError(f"column 'first_failure': a kind of failure is empty among {listed(present)}. Name every kind.")
    return found
