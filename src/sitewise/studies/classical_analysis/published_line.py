"""A published number beside that of the table: both as a reader sees them, and whether they are equal when rounded alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sitewise.evidence.entries import Status

NOT_REACHED = "not reached"
SLACK = 1e-9
"""Of a comparison of decimals that binary numbers hold inexactly."""
PUBLISHED = ["entry", "endpoint", "number", "published", "ours", "ours_rounded", "equal_when_rounded", "relative_difference"]
PUBLISHED += ["status", "where", "remark"]


@dataclass(frozen=True)
class Line:
    """One published number and ours.

    Parameters
    ----------
    entry, endpoint : str
        Id of the evidence's entry, and its endpoint; the latter empty for counts.
    number : str
        Which number it is, in words.
    published : str
        As printed.
    ours : float
        Of the table; infinite for a time that is not reached, NaN when it cannot be computed.
    ours_rounded : str
        Rounded as the published number is.
    equal : bool or None
        Whether ours rounds to the published number; None when there is none of ours.
    status, where : str
        How calibration uses the number, and where it stands.
    remark : str
        Why there is none of ours, or what to mind.
    relative_difference : float
        Ours over the published number, less one; NaN where either is none, or the published one is 0.
    """

    entry: str
    endpoint: str
    number: str
    published: str
    ours: float
    ours_rounded: str
    equal: bool | None
    status: Status
    where: str
    remark: str = ""
    relative_difference: float = math.nan

    def row(self) -> dict[str, object]:
        """Return the row of the table of published numbers."""
        return {
            "entry": self.entry,
            "endpoint": self.endpoint,
            "number": self.number,
            "published": self.published,
            "ours": self.ours if math.isfinite(self.ours) else None,
            "ours_rounded": self.ours_rounded,
            "equal_when_rounded": self.equal,
            "relative_difference": self.relative_difference,
            "status": self.status,
            "where": self.where,
            "remark": self.remark,
        }


@dataclass(frozen=True)
class Place:
    """What all lines of an entry share."""

    entry: str
    endpoint: str
    status: Status
    where: str

    def number(
        self, name: str, published: float, ours: float, *, digits: int, half: float | None = None, remark: str = ""
    ) -> Line:
        """Return the line of a number printed to some decimals.

        ``half`` is how far it may be off where that is not half a unit of the last decimal.
        """
        printed = f"{published:.{digits}f}"
        if math.isnan(ours):
            return self.none(name, printed, remark or "cannot be computed of this table")
        equal = rounds_to(ours, published, digits=digits, half=half)
        shown = f"{ours:.{digits}f}" if math.isfinite(ours) else NOT_REACHED
        if equal and half is None:
            shown = printed  # at the edge of the rounding box the binary number may round to the other side
        off = ours / published - 1 if published and math.isfinite(ours) else math.nan
        return Line(self.entry, self.endpoint, name, printed, ours, shown, equal, self.status, self.where, remark, off)

    def time(self, name: str, published: float | str, ours: float, *, digits: int) -> Line:
        """Return the line of a time that may be "not reached"."""
        if isinstance(published, float | int):
            return self.number(name, float(published), ours, digits=digits)
        if math.isnan(ours):
            return self.none(name, NOT_REACHED, "cannot be computed of this table")
        shown = f"{ours:.{digits}f}" if math.isfinite(ours) else NOT_REACHED
        return Line(self.entry, self.endpoint, name, NOT_REACHED, ours, shown, not math.isfinite(ours), self.status, self.where)

    def p_value(self, name: str, p: float | None, below: float | None, ours: float, *, digits: int) -> Line | None:
        """Return the line of a p value or of its bound; None when neither is printed."""
        if p is not None:
            return self.number(name, p, ours, digits=digits)
        if below is None:
            return None
        if math.isnan(ours):
            return self.none(name, f"<{below:g}", "cannot be computed of this table")
        shown = f"<{below:g}" if ours < below else f"{ours:.3g}"
        return Line(self.entry, self.endpoint, name, f"<{below:g}", ours, shown, ours < below, self.status, self.where)

    def none(self, name: str, printed: str, remark: str) -> Line:
        """Return a line without a number of ours."""
        return Line(self.entry, self.endpoint, name, printed, math.nan, "", None, self.status, self.where, remark)


def rounds_to(ours: float, published: float, /, *, digits: int, half: float | None = None) -> bool:
    """Return whether a number rounds to the published one, which is printed to so many decimals."""
    width = 0.5 * 10.0**-digits if half is None else half
    return abs(ours - published) <= width + SLACK
