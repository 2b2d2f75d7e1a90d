"""Records: frozen dataclasses that are read from files, every problem of a file named at once.

A record derives from :class:`Record` and says its types; what the values must be it checks in ``__post_init__``, raising one
error with all its problems. :func:`read_record` turns parsed TOML or JSON into a record through pydantic and reports
every wrong type, unknown key and failed check of the whole tree by its place in the file.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import tomllib
import types
import typing
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sitewise.problems import Problem, Problems, SitewiseError, nearest

if typing.TYPE_CHECKING:
    from pydantic_core import ErrorDetails

CHOICES = "It can be"
SHORT = {str: "text", int: "a whole number", bool: "true or false"}
LABELS = ("id", "name", "covariate")
"""Keys by which an item of a list is called in messages, besides its number."""
WORDS = {
    "string_type": "must be text",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "dataclass_type": "must be a table",
    "finite_number": "must be a finite number",
}
"""What pydantic's kinds of error mean to the person who wrote the file."""


class Record:
    """Base of the frozen dataclasses that stand for tables of a file: strict types, no unknown keys.

    A string under a field is that field's description in the published schema.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
        "use_attribute_docstrings": True,
    }

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data, without what is empty or at its default."""
        return {
            item.name: plain(getattr(self, item.name))
            for item in dataclasses.fields(self)  # type: ignore[arg-type]
            if getattr(self, item.name) != _default(item)
        }


def record_hash(record: Record) -> str:
    """Return the SHA-256 of a record's content, defaults included: it stands for what was used."""
    return hashlib.sha256(json.dumps(plain(dataclasses.asdict(record)), sort_keys=True).encode()).hexdigest()  # type: ignore[call-overload]


def tidied(record: Record, error: type[SitewiseError], subject: str) -> Problems:
    """Give a record that was made in Python the types of its fields; return the numbers that are not finite as problems.

    Files are checked as they are read; this is for the constructor: lists become tuples, whole numbers decimal ones, and words
    that are no choice, texts in place of lists and other wrong types raise ``error`` at once, because no check could go on.
    """
    problems, wrong = Problems(), Problems()
    for name, hint in _hints(typing.cast(Hashable, type(record))).items():
        object.__setattr__(record, name, _tidied(getattr(record, name), hint, name, problems, wrong))
    wrong.raise_if_any(error, subject)
    return problems


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {item.name: hints[item.name] for item in dataclasses.fields(typing.cast(Any, kind))}


def _tidied(value: Any, hint: Any, where: str, problems: Problems, wrong: Problems) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        words = [item for item in inner if typing.get_origin(item) is typing.Literal]
        if any(value in typing.get_args(item) for item in words if isinstance(value, Hashable)):
            return value
        others = [item for item in inner if item is not types.NoneType and item not in words]
        lists = [item for item in others if (typing.get_origin(item) is tuple) == isinstance(value, list | tuple)]
        hint = next(iter(lists or others), words[0] if words else None)
        return _tidied(value, hint, where, problems, wrong)
    if origin is typing.Literal:
        if value not in inner:
            wrong.add(where, f"is {value!r}", f"{CHOICES} {' or '.join(map(repr, inner))}.")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            wrong.add(where, f"must be a list; it is {_shown(value)}")
            return value
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(each) != len(value):
            wrong.add(where, f"must have {len(each)} items; it has {len(value)}")
            return tuple(value)
        return tuple(_tidied(item, kind, where, problems, wrong) for item, kind in zip(value, each, strict=True))
    if origin is dict:
        return {key: _tidied(item, inner[1], f"{where} {key}", problems, wrong) for key, item in dict(value).items()}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float:
        if number and math.isfinite(value):
            return float(value)
        (problems if number else wrong).add(where, f"must be a finite number; it is {_shown(value)}")
    elif not isinstance(value, hint) or (hint is int and not number):
        wrong.add(where, f"must be {SHORT.get(hint, f'a {hint.__name__}')}; it is {_shown(value)}")
    return value


def json_schema(kind: type) -> dict[str, Any]:
    """Return a record's form as JSON Schema, with the strings under its fields as descriptions."""
    return typing.cast(dict[str, Any], _adapter(typing.cast(Hashable, kind)).json_schema())


def plain(value: Any) -> Any:
    """Return a value as data that TOML and JSON have."""
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def read_toml(path: str | Path, error: type[SitewiseError], /) -> dict[str, Any]:
    """Return the content of a TOML file; a missing or unreadable file is an error of the given kind."""
    path = Path(path)
    if not path.is_file():
        raise error(f"{path} is a folder, not a file." if path.is_dir() else f"There is no file {path}.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise error(f"{path.name} is not valid TOML: {problem}") from problem


def read_record[R](kind: type[R], content: Mapping[str, Any], error: type[SitewiseError], *, subject: str) -> R:
    """Return the record of parsed TOML or JSON.

    Parameters
    ----------
    kind : type
        A dataclass that derives from :class:`Record`.
    content : mapping
        Parsed.
    error : type
        What is raised.
    subject : str
        What has the problems, for the headline of the message.

    Raises
    ------
    SitewiseError
        Of type ``error``, naming every problem by its place.
    """
    problems = Problems()
    record = read_into(kind, content, problems, where="")
    problems.raise_if_any(error, subject)
    return typing.cast(R, record)


def read_into[R](kind: type[R], content: Any, problems: Problems, /, *, where: str) -> R | None:
    """Return the record of parsed data, or None after noting its problems; ``where`` is its place in the file."""
    from pydantic import ValidationError

    try:
        # As JSON, whose lists are tuples even where types are strict. TOML's dates have no place in any record.
        text = json.dumps(content, default=lambda value: [f"{value} (a date or time)"])
        return typing.cast(R, _adapter(typing.cast(Hashable, kind)).validate_json(text))
    except ValidationError as failed:
        found = [problem for details in failed.errors() for problem in _described(details, kind, content)]
        choices = {problem.where for problem in found if problem.remedy.startswith(CHOICES)}
        others = {problem.where for problem in found if not problem.remedy.startswith(CHOICES)}
        for problem in found:
            remedy = problem.remedy
            if problem.where in choices and problem.where in others:
                # A value that is neither a number nor one of the words allowed fails twice: once is enough.
                if not remedy.startswith(CHOICES):
                    continue
                remedy = remedy.replace(CHOICES, f"{CHOICES} a number or")
            problems.add(" ".join(part for part in (where, problem.where) if part), problem.what, remedy)
        return None


@functools.cache
def _adapter(kind: Hashable) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(typing.cast(Any, kind))


def _described(details: ErrorDetails, kind: type, content: Any) -> list[Problem]:
    location, value = details["loc"], details["input"]
    raised = details.get("ctx", {}).get("error")
    where = _place(location, content)
    if isinstance(raised, SitewiseError):
        return [
            Problem(" ".join(part for part in (where, item.where) if part), item.what, item.remedy) for item in raised.problems
        ]
    if details["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        parent = _kind_at(kind, location[:-1])
        known = [item.name for item in dataclasses.fields(parent)] if dataclasses.is_dataclass(parent) else []
        return [Problem(where, "is not a known key", nearest(str(location[-1]), known))]
    if details["type"] in ("missing", "missing_argument"):
        if isinstance(location[-1], int):
            return [Problem(_place(location[:-1], content), "has too few items")]
        return [Problem(where, "is missing")]
    if details["type"] == "too_long":
        return [Problem(where, f"must have {details['ctx']['max_length']} items; it has {details['ctx']['actual_length']}")]
    if details["type"] == "literal_error":
        choices = details.get("ctx", {}).get("expected", "")
        return [Problem(where, f"is {_shown(value)}", f"{CHOICES} {choices}.")]
    words = WORDS.get(details["type"], details["msg"].removeprefix("Value error, "))
    return [Problem(where, f"{words}; it is {_shown(value)}" if details["type"] in WORDS else words)]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _place(location: Sequence[int | str], content: Any) -> str:
    """Return where an error stands, items of lists by number and by name if they have one: ``term 2 (child_pugh) upper``."""
    words: list[str] = []
    current = content
    for part in location:
        known = isinstance(current, Mapping) and part in current
        if isinstance(part, int) and isinstance(current, Sequence):
            current = current[part] if part < len(current) else None
            named = next((current[key] for key in LABELS if key in current), None) if isinstance(current, Mapping) else None
            words.append(f"{part + 1}" + (f" ({named})" if isinstance(named, str) else ""))
        elif known or not words or isinstance(current, Mapping):
            current = current[part] if known else None
            words.append(str(part))
        # anything else is pydantic's name for a branch of a union
    return " ".join(words)


def _kind_at(kind: Any, location: Sequence[int | str]) -> Any:
    """Return the type that stands at a place of a record's tree."""
    for part in location:
        if dataclasses.is_dataclass(kind):
            kind = typing.get_type_hints(kind).get(str(part), Any)
        else:
            arguments = [item for item in typing.get_args(kind) if item not in (Ellipsis, types.NoneType)]
            kind = arguments[-1] if arguments else Any
        if typing.get_origin(kind) in (types.UnionType, typing.Union):
            records = [item for item in typing.get_args(kind) if dataclasses.is_dataclass(item)]
            kind = records[0] if records else Any
    return kind


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default is not dataclasses.MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else dataclasses.MISSING


def positive(problems: Problems, **values: float | None) -> None:
    """Note every value that is given and is not positive; that it is finite is checked elsewhere."""
    for name, value in values.items():
        if value is not None and value <= 0:
            problems.add(name, f"must be positive; it is {value:g}")
