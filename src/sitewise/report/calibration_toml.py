"""A scenario as the text of a TOML file: Python reads TOML and does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sitewise.simulate.scenario import Scenario

BARE = re.compile(r"[A-Za-z0-9_-]+")


def scenario_toml(scenario: Scenario, /, *, comment: str = "") -> str:
    """Return the file that ``sitewise simulate FILE.toml`` reads back as the same scenario.

    Parameters
    ----------
    scenario : Scenario
        What is written; what is at its default is left out.
    comment : str
        Lines for the head of the file.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*lines, *_table(scenario.to_dict(), "")]) + "\n"


def _table(content: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield the lines of a table: plain values first, then tables and lists of tables."""
    nested = {key: item for key, item in content.items() if not name and (isinstance(item, Mapping) or _tables(item))}
    for key, item in content.items():
        if key not in nested:
            yield f"{_key(key)} = {_value(item)}"
    for key, item in nested.items():
        for part in item if isinstance(item, list) else [item]:
            yield ""
            yield f"[[{_key(key)}]]" if isinstance(item, list) else f"[{_key(key)}]"
            yield from _table(part, key)


def _tables(item: Any) -> bool:
    return isinstance(item, list) and bool(item) and all(isinstance(part, Mapping) for part in item)


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    """Return a basic string; JSON escapes what TOML forbids, but for the delete character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(item: Any) -> str:
    if isinstance(item, Mapping):
        inside = ", ".join(f"{_key(str(key))} = {_value(part)}" for key, part in item.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(item, list):
        return f"[{', '.join(_value(part) for part in item)}]"
    if isinstance(item, bool):
        return "true" if item else "false"
    return _text(item) if isinstance(item, str) else repr(item)
