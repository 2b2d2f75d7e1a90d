"""What an audit returns: findings, and the numbers that the published ones imply."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""From what cannot be, over what must be decided, to what is only implied or open."""


@dataclass(frozen=True)
class Finding:
    """One thing that the published numbers say about each other."""

    severity: Severity
    """``error``: cannot be; ``warning``: contradicts or is odd, and must be decided; ``note``: is implied, or is open."""
    check: str
    """Which check found it."""
    sentence: str
    """What is found, and what to do."""
    place: str
    """Where in the paper the numbers stand."""
    about: tuple[str, ...] = ()
    """Names and ids of the entries concerned."""


@dataclass(frozen=True)
class Implied:
    """A number that the paper does not print, as far as the printed ones determine it."""

    quantity: str
    """What it is."""
    least: float | None = None
    """No smaller: a bound; None where nothing is proven."""
    most: float | None = None
    """No larger: a bound; None where nothing is proven."""
    guide: float | None = None
    """Value under the assumption that ``how`` names: a guide, not a bound."""
    how: str = ""
    """From what it follows."""
    place: str = ""
    """Where in the paper the numbers stand that it follows from."""
    about: tuple[str, ...] = ()
    """Names and ids of the entries concerned."""
    kind: Literal["number", "standard error"] = "number"
    """What it is: the standard errors are many, and each repeats an interval."""


@dataclass(frozen=True)
class Audit:
    """What the numbers of a published summary imply, and where they contradict each other."""

    summary: str
    """Id of the summary."""
    findings: tuple[Finding, ...] = ()
    """Errors first, then warnings, then notes."""
    implied: tuple[Implied, ...] = ()
    """Numbers that the paper does not print."""

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of a severity."""
        return tuple(item for item in self.findings if item.severity == severity)

    def table(self) -> pd.DataFrame:
        """Return a row a finding: severity, check, sentence, place, about (ids joined by ``; ``)."""
        return _frame(self.findings, Finding)

    def bounds(self) -> pd.DataFrame:
        """Return a row an implied number: quantity, least, most, guide, how, place, about; empty where nothing is known."""
        return _frame(self.implied, Implied)


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by severity, otherwise in the order given, each once."""
    tidy = dict.fromkeys(replace(item, place=places(item.place)) for item in findings)
    return tuple(sorted(tidy, key=lambda item: SEVERITIES.index(item.severity)))


def places(where: str) -> str:
    """Return places joined by ``; ``, each once."""
    parts = {part.strip().lower(): part.strip() for part in reversed(where.split(";"))}
    return "; ".join(dict.fromkeys(parts[part.strip().lower()] for part in where.split(";") if part.strip()))


def whole(low: float, high: float) -> str:
    """Return ``7`` or ``5 to 7``."""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def share(value: float) -> str:
    """Return a probability as a percentage in words that hold however small it is."""
    if value < 1e-4:
        return "less than 0.01 %"
    return f"{100 * value:.{max(0, 1 - math.floor(math.log10(100 * value)))}f} %" if value < 0.1 else f"{100 * value:.0f} %"


def _frame(items: Iterable[Finding] | Iterable[Implied], kind: type[Finding] | type[Implied]) -> pd.DataFrame:
    import pandas as pd

    rows = [{**asdict(item), "about": "; ".join(item.about)} for item in items]
    return pd.DataFrame(rows, columns=list(kind.__dataclass_fields__))
