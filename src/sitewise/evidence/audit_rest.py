"""What else is wrong in a summary that cannot be read: the audit of the entries that reading has no problem with.

A person who corrects a file wants every finding at once. Entries with a problem are left out, then those that refer to one of
them, until the rest can be read. Leaving entries out only takes constraints away, so that what the rest contradicts is a
contradiction of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sitewise.evidence.audit import audit
from sitewise.evidence.audit_findings import Finding
from sitewise.evidence.reading import read_evidence, record_kinds
from sitewise.problems import EvidenceError, Problem


def errors_of_rest(content: Mapping[str, Any], problems: Sequence[Problem], /) -> tuple[Finding, ...]:
    """Return what the audit finds impossible among the entries of parsed TOML without a problem.

    Parameters
    ----------
    content : mapping
        The file.
    problems : sequence of Problem
        What reading found.

    Returns
    -------
    tuple of Finding
        Errors; empty where hardly anything can be read, such as a file without its source.
    """
    rest = _without(content, problems)
    while rest is not None:
        try:
            return audit(read_evidence(rest)).of("error")
        except EvidenceError as error:
            rest = _without(rest, error.problems)
    return ()


def _without(content: Mapping[str, Any], problems: Sequence[Problem]) -> dict[str, Any] | None:
    """Return the content without the entries that problems are about, or None where there is none to leave out."""
    found, dropped = dict(content), 0
    for kind in record_kinds():
        entries = content.get(kind, [])
        if not isinstance(entries, list):
            return None
        found[kind] = [
            entry
            for number, entry in enumerate(entries, start=1)
            if not any(_is_about(problem.where, kind, number, entry) for problem in problems)
        ]
        dropped += len(entries) - len(found[kind])
    return found if dropped else None


def _is_about(where: str, kind: str, number: int, entry: Any) -> bool:
    """Return whether a problem at a place is about an entry, which reading names by its label or else by its number."""
    label = str(entry.get("name") or entry.get("id") or "") if isinstance(entry, Mapping) else ""
    names = [f"{kind} {number}", f"{kind} ({label})"] if label else [f"{kind} {number}", kind]
    if any(where == name or where.startswith(f"{name} ") for name in names):
        return True
    kinds, _, rest = where.partition(" (")  # a name that is given twice: "categorical and model (ecog)"
    return bool(label) and rest == f"{label})" and kind in kinds.split(" and ")
