"""Reading a published summary, every problem of the file at once, and the packaged library."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from sitewise.evidence.checks import check_parts, check_version
from sitewise.evidence.entries import Source
from sitewise.evidence.schema import Evidence
from sitewise.problems import EvidenceError, Problems, nearest
from sitewise.records import Record, read_into, read_toml, record_hash

PACKAGED = ("krog-20-04",)
"""Ids of the packaged summaries."""


def load_evidence(which: str | Path, /) -> Evidence:
    """Return a published summary: a packaged one by its id, or that of a TOML file.

    Raises
    ------
    EvidenceError
        When there is no such id or file, or naming everything that is wrong in the file.
    """
    path = evidence_path(which)
    return read_evidence(read_toml(path, EvidenceError), subject=path.name)


def evidence_path(which: str | Path, /) -> Path:
    """Return the path of a summary's file."""
    if isinstance(which, Path) or which.endswith(".toml"):
        return Path(which)
    if which not in PACKAGED:
        raise EvidenceError(
            f"There is no packaged summary '{which}'. {nearest(which, PACKAGED)} Any other is read from a .toml file."
        )
    return Path(str(resources.files("sitewise.evidence") / "library" / f"{which}.toml"))


def read_evidence(content: Mapping[str, Any], /, *, subject: str = "The summary") -> Evidence:
    """Return the summary of parsed TOML.

    Entries are read one by one, so that a broken one hides no problem of another, and what could be read is checked together.

    Raises
    ------
    EvidenceError
        Naming every problem by its place.
    """
    if not isinstance(content, Mapping):
        raise EvidenceError(f"{subject} must be a table; it is {content!r}.")
    problems = Problems()
    kinds = record_kinds()
    known = ("schema_version", "id", "source", *kinds)
    check_version(content.get("schema_version"), problems)
    if not isinstance(content.get("id"), str):
        problems.add("id", "must be text" if "id" in content else "is missing")
    for key in content:
        if key not in known:
            problems.add(key, "is not a known key", nearest(key, known))
    source = None
    if isinstance(content.get("source"), list):
        problems.add("source", "is a list of tables, written [[source]]", "There is one paper: write [source].")
    elif "source" in content:
        source = read_into(Source, content["source"], problems, where="source")
    else:
        problems.add("source", "is missing", "Say which paper the numbers are from.")
    parts: dict[str, Any] = {"source": source}
    declared: dict[str, list[str]] = {}
    unread: list[Any] = []
    for name, kind in kinds.items():
        entries = _tables(content, name, problems)
        parts[name] = []
        declared[name] = [label for label in map(_label, entries) if label]
        for number, entry in enumerate(entries, start=1):
            where = f"{name} ({_label(entry)})" if _label(entry) else f"{name} {number}"
            record = read_into(kind, entry, problems, where=where)
            if record is None:
                unread.append(entry)
            else:
                parts[name].append(record)
    doubled = {label for labels in declared.values() for label in labels if labels.count(label) > 1}
    check_parts(
        parts,
        declared,
        problems,
        patients=_patients(content.get("source")),
        factors=sum(bool(_key(entry, "favourable")) for entry in _tables(content, "categorical", Problems())),
        uncertain={_key(entry, "part_of") for entry in unread}
        | {item.part_of for item in parts["count"] if item.id in doubled}
        | doubled,
    )
    problems.raise_if_any(EvidenceError, subject)
    lists = {name: tuple(parts[name]) for name in kinds}
    return Evidence(schema_version=content["schema_version"], id=content["id"], source=parts["source"], **lists)


def record_kinds() -> dict[str, type[Record]]:
    """Return the records that a summary has lists of, by the name of the list."""
    found: dict[str, type[Record]] = {}
    for name, kind in typing.get_type_hints(Evidence).items():
        if typing.get_origin(kind) is tuple:
            found[name] = next(item for item in typing.get_args(kind) if item not in (Ellipsis, types.NoneType))
    return found


def evidence_hash(evidence: Evidence) -> str:
    """Return the SHA-256 of a summary's content: its identity in every output."""
    return record_hash(evidence)


def _tables(content: Mapping[str, Any], name: str, problems: Problems) -> list[Any]:
    found = content[name] if name in content else []  # noqa: SIM401  (its type is known to be anything)
    if isinstance(found, list):
        return found
    problems.add(name, f"must be a list of tables, written [[{name}]]")
    return []


def _patients(source: Any) -> int | None:
    """Return the number of patients, also of a source that is broken elsewhere."""
    found = source.get("patients") if isinstance(source, Mapping) else None
    return found if isinstance(found, int) and found > 0 else None


def _label(entry: Any) -> str:
    return _key(entry, "name") or _key(entry, "id")


def _key(entry: Any, key: str) -> str:
    """Return what an entry that may be anything holds under a key, as text; empty when it has no such key."""
    return str(entry.get(key, "")) if isinstance(entry, Mapping) else ""
