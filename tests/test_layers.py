"""The build of the package: layers, size of modules, spelling of names."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sitewise

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(sitewise.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 300


def test_the_package_is_found():
    assert len(MODULES) > 40


def test_imports_point_down_only():
    """The contracts are in pyproject.toml."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run([sys.executable, "-c", program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    kept = re.search(r"Contracts: (\d+) kept, 0 broken", run.stdout)
    assert kept, run.stdout
    assert int(kept[1]) >= 3


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_short_and_say_what_they_are_for(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES, "split it"
    assert ast.get_docstring(ast.parse(text)), "no docstring"


def test_only_named_modules_import_pymc():
    importing = re.compile(r"^\s*(?:import|from) (?:pymc|pytensor|nutpie)\b", re.MULTILINE)
    found = {path.relative_to(PACKAGE).parts[0] for path in MODULES if importing.search(path.read_text(encoding="utf-8"))}
    assert found == {"models", "inference"}


def test_nothing_is_pickled():
    importing = re.compile(r"^\s*(?:import|from) (?:pickle|cloudpickle|joblib|dill)\b", re.MULTILINE)
    assert not [path for path in MODULES if importing.search(path.read_text(encoding="utf-8"))]


def test_the_layers_of_the_contract_name_every_part_of_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = set(re.findall(r"sitewise\.(\w+)", text))
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert parts - {"__init__", "__main__"} <= named
