"""`sitewise audit`: what the numbers of a published summary imply, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from sitewise.problems import plural

if TYPE_CHECKING:
    from sitewise.evidence.audit import Audit, Finding
    from sitewise.evidence.audit_findings import Severity

HEADS: dict[Severity, tuple[str, str, str]] = {
    "error": ("error", "errors", "cannot be"),
    "warning": ("warning", "warnings", "a contradiction, or odd: to be decided"),
    "note": ("note", "notes", "what it implies, or leaves open"),
}
WRONG, REFUSED = 1, 2
"""Exit codes: something that cannot be was found; the file was refused."""


def run_audit(which: str, out: Path | None) -> int:
    """Print an audit, write it where asked to, and return the exit code."""
    from sitewise.evidence import evidence_path, load_evidence
    from sitewise.evidence.audit import audit, refused
    from sitewise.evidence.audit_rest import errors_of_rest
    from sitewise.problems import EvidenceError
    from sitewise.records import read_toml

    if out is not None and out.suffix.lower() != ".csv":
        raise EvidenceError(f"--out {out} must end in .csv.")
    console = Console(highlight=False, markup=False, emoji=False)
    path, code = evidence_path(which), 0
    try:
        evidence = load_evidence(which)
        found = audit(evidence)
        code = WRONG if found.of("error") else 0
        console.print(f"{evidence.id}: {evidence.source.title}", soft_wrap=True)
        console.print(f"doi {evidence.source.doi}; {evidence.source.patients} patients.", soft_wrap=True)
    except EvidenceError as error:
        if not error.problems:
            raise
        rest = errors_of_rest(read_toml(path, EvidenceError), error.problems)
        found, code = refused(path.stem, error), REFUSED
        found = replace(found, findings=(*found.findings, *rest))
        console.print(
            f"{path.name} is refused. Of its other entries errors are named, too; the other checks run once it can be read.",
            soft_wrap=True,
        )
    _show(console, found)
    if out is not None:
        _write(console, found, out)
    return code


def _show(console: Console, found: Audit) -> None:
    for severity, (one, many, meaning) in HEADS.items():
        items = found.of(severity)
        if items:
            _print(console, f"{plural(len(items), one, many)}: {meaning}", *_findings(items))
    rows = [
        (item.quantity, _number(item.least), _number(item.most), _number(item.guide), item.how)
        for item in found.implied
        if item.kind == "number"
    ]
    if rows:
        title = "Not published, but implied (least and most: bounds; about: a guide, if what it is from holds)"
        _print(console, title, ("number", "least", "most", "about", "from"), rows)
    counts = [(len(found.of("error")), "error"), (len(found.of("warning")), "warning"), (len(found.of("note")), "note")]
    console.print(f"\nIn all {', '.join(plural(count, name, name + 's') for count, name in counts)}.", soft_wrap=True)


def _findings(items: Sequence[Finding]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    return ("check", "finding", "where"), [(item.check, item.sentence, item.place) for item in items]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value != int(value) else f"{int(value)}"


def _print(console: Console, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 1 if "finding" in head else 0, 0),
        title=title,
        title_justify="left",
        title_style="bold",
    )
    widest = max(20, console.width // 4)
    for position, name in enumerate(head):  # numbers and names of checks are never broken
        values = [row[position] for row in rows]
        number = name in ("least", "most", "about")
        longest = max(len(word) for value in [*values, name] for word in value.split() or [""])
        table.add_column(
            name,
            overflow="fold",
            no_wrap=number,
            justify="right" if number else "left",
            min_width=longest if number or name == "check" else None,
            max_width=None if name in ("finding", "from") else max(widest, longest) if name == "number" else widest,
        )
    for row in rows:
        table.add_row(*row)
    console.print()
    console.print(table)


def _write(console: Console, found: Audit, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    found.table().to_csv(out, index=False)
    console.print(f"Written: {out} (a row a finding).", soft_wrap=True)
    if found.implied:
        beside = out.with_suffix(".implied.csv")
        found.bounds().to_csv(beside, index=False)
        console.print(f"Written: {beside} (the implied numbers, with the standard errors).", soft_wrap=True)
