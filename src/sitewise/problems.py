"""Problems in what a user gave, gathered first and raised once.

A validator appends to a :class:`Problems` list and calls :meth:`Problems.raise_if_any` at the end, so that
one run shows everything that is wrong: which column, which rows, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import SupportsInt

ROWS_SHOWN = 8


class SitewiseError(ValueError):
    """An input that cannot be used; the message is meant for the person who gave it."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()):
        super().__init__(message)
        self.problems = tuple(problems)


class CohortError(SitewiseError):
    """A patient table that cannot be analysed as asked."""


class SpecError(SitewiseError):
    """A model specification that cannot be built."""


class StudyError(SitewiseError):
    """A ``study.toml`` with unknown keys or wrong types."""


class ScenarioError(SitewiseError):
    """A scenario that cannot be simulated."""


class EvidenceError(SitewiseError):
    """A published summary that is malformed or contradicts itself."""


class TrialError(SitewiseError):
    """A trial design that cannot be simulated, or a number of a design that is impossible."""


class SitewiseWarning(UserWarning):
    """Something that can be fitted but should worry; it also reaches the report."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what, and the remedy.

    Parameters
    ----------
    where : str
        The column (or key) concerned, or an empty string when it is the table as a whole.
    what : str
        The sentence that says what is wrong.
    remedy : str
        The sentence that says what to do.
    rows : tuple of int
        Row numbers, counted from 1 without the header.
    """

    where: str
    what: str
    remedy: str = ""
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.rows:
            text += f" ({describe_rows(self.rows)})"
        text += "."
        if self.remedy:
            text += f" {self.remedy}"
        return text


@dataclass
class Problems:
    """A list of problems that is raised as one error."""

    found: list[Problem] = field(default_factory=list)

    def add(self, where: str, what: str, remedy: str = "", rows: Iterable[int] = ()) -> None:
        """Note a problem; ``rows`` are numbers counted from 1."""
        self.found.append(Problem(where, what, remedy, tuple(int(row) for row in rows)))

    def about(self, where: str) -> bool:
        """Return whether a problem with this ``where`` has been noted."""
        return any(problem.where == where for problem in self.found)

    def raise_if_any(self, error: type[SitewiseError], subject: str) -> None:
        """Raise ``error`` naming every problem, or return when there is none."""
        if self.found:
            raise error(render(self.found, subject), self.found)


def render(problems: Sequence[Problem], subject: str) -> str:
    """Return the message for ``problems``: a headline, then a numbered line each."""
    count = len(problems)
    head = f"{subject} has {count} problem{'s' if count > 1 else ''}"
    if any(problem.rows for problem in problems):
        head += " (rows are counted from 1, without the header)"
    lines = [f"  {number}. {problem}" for number, problem in enumerate(problems, start=1)]
    return "\n".join([head + ":", *lines])


def describe_rows(rows: Sequence[int]) -> str:
    """Return ``row 3``, ``rows 3, 17`` or ``rows 1, 2, ... and 40 more``."""
    shown = ", ".join(str(row) for row in rows[:ROWS_SHOWN])
    more = len(rows) - ROWS_SHOWN
    return f"row{'s' if len(rows) > 1 else ''} {shown}" + (f" and {more} more" if more > 0 else "")


def plural(count: SupportsInt, one: str, many: str) -> str:
    """Return ``1 value is`` or ``3 values are``: a count with the words that fit it."""
    return f"{count} {one if int(count) == 1 else many}"


def listed(values: Iterable[object], limit: int = 10) -> str:
    """Return quoted values joined by commas, cut after ``limit``."""
    items = [f"'{value}'" for value in values]
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest known name, or lists what is known."""
    known = [str(item) for item in known]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {listed(known)}." if known else ""
