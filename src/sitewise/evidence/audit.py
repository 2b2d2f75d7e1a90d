"""What the numbers of a published summary imply, and where they contradict each other.

Reading a summary refuses what is flatly impossible in one entry. An audit goes on where that ends: it takes every printed
number as all numbers that round to it, and asks what they can be together: how many deaths the intervals of hazard ratios
need, which group sizes the counts of Table 1 allow, what a median follow-up can be a median of. Nothing in it is about a
particular paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sitewise.evidence.audit_counts import check_counts_of_text, check_endpoint_counts
from sitewise.evidence.audit_curves import check_curves, limits
from sitewise.evidence.audit_direction import check_direction
from sitewise.evidence.audit_events import check_events_of
from sitewise.evidence.audit_findings import Audit, Finding, Implied, ranked
from sitewise.evidence.audit_follow_up import check_follow_up
from sitewise.evidence.audit_groups import check_groups
from sitewise.evidence.audit_guides import check_guides
from sitewise.evidence.audit_numeric import check_numeric
from sitewise.evidence.audit_open import check_open
from sitewise.evidence.audit_rows import check_rows, wald_rows
from sitewise.evidence.checks import check_parts, check_version
from sitewise.evidence.reading import record_kinds
from sitewise.evidence.schema import Evidence
from sitewise.problems import EvidenceError, Problem, Problems

__all__ = ["Audit", "Finding", "Implied", "audit", "problems_of", "refused"]


def audit(evidence: Evidence, /) -> Audit:
    """Return what the numbers of a published summary imply, and where they contradict each other.

    Parameters
    ----------
    evidence : Evidence
        The summary, as ``load_evidence`` returns it or made in Python.

    Returns
    -------
    Audit
        ``findings``, errors first; ``implied``, the numbers that the published ones determine; both also as tables.
        For a summary made in Python that reading would refuse: what is wrong with it, and nothing else.
    """
    found = problems_of(evidence)
    if found:
        return Audit(evidence.id, tuple(_as_finding(problem) for problem in found))
    items = list(_checks(evidence))
    return Audit(
        evidence.id,
        ranked(item for item in items if isinstance(item, Finding)),
        tuple(dict.fromkeys(item for item in items if isinstance(item, Implied))),
    )


def refused(summary: str, error: EvidenceError) -> Audit:
    """Return the problems for which a file was refused as an audit; each is something that cannot be."""
    return Audit(summary, tuple(_as_finding(problem) for problem in error.problems))


def _checks(evidence: Evidence) -> Iterator[Finding | Implied]:
    rows, curves = wald_rows(evidence), limits(evidence)
    yield from check_events_of(evidence, rows)
    yield from check_guides(evidence, rows)
    yield from check_groups(evidence)
    yield from check_follow_up(evidence, rows, curves)
    yield from check_curves(evidence, curves)
    yield from check_direction(evidence, rows, curves)
    yield from check_counts_of_text(evidence)
    yield from check_endpoint_counts(evidence)
    yield from check_numeric(evidence, rows)
    yield from check_rows(evidence, rows)
    yield from check_open(evidence)


def problems_of(evidence: Evidence, /) -> list[Problem]:
    """Return what reading would refuse: a summary made in Python has not been read."""
    parts: dict[str, Any] = {"source": evidence.source, **{name: getattr(evidence, name) for name in record_kinds()}}
    declared = {name: [str(getattr(item, "name", getattr(item, "id", ""))) for item in parts[name]] for name in record_kinds()}
    problems = Problems()
    check_version(evidence.schema_version, problems)
    check_parts(
        parts,
        {name: [label for label in labels if label] for name, labels in declared.items()},
        problems,
        patients=evidence.source.patients,
        factors=sum(bool(item.favourable) for item in evidence.categorical),
        uncertain=(),
    )
    return problems.found


def _as_finding(problem: Problem) -> Finding:
    return Finding("error", "refused", str(problem), "")
