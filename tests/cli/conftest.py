"""The command line in this process, as in a terminal of 80 columns."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass

import pytest

import sitewise as sw
from sitewise.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What stands on stdout, line breaks and frames of a terminal left out."""
        return " ".join(self.out.translate({ord(mark): " " for mark in "│╭╮╰╯─"}).split())

    @property
    def error(self) -> str:
        """What stands on stderr beside the lines that tell the progress."""
        return "\n".join(line for line in self.err.splitlines() if not line.startswith("[ "))


@pytest.fixture(scope="session")
def sitewise():
    """A function that runs ``sitewise`` with arguments."""

    def run(*arguments: object) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", ["sitewise", *map(str, arguments)])
            patch.setenv("COLUMNS", "80")
            code = 0
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ended(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="module")
def without_pictures():
    """Draw no pictures, which take seconds."""
    import sitewise.report.write

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sitewise.report.write, "write_plots", lambda analysis, folder: [])
        yield


@pytest.fixture
def without_drawing(monkeypatch):
    """Draw no pictures of `sitewise tables`, which take most of the time; tests/report looks at them."""
    import sitewise.report.classical_write

    monkeypatch.setattr(sitewise.report.classical_write, "draw_all", lambda tables, folder, beside: [])


@pytest.fixture
def write(tmp_path):
    """A function that writes the text of a study file and reads it."""

    def read(text):
        path = tmp_path / "study.toml"
        path.write_text(text, encoding="utf-8")
        return sw.read_study(path)

    return read
