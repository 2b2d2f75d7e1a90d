"""Help: what it names, and that it and commands that sample nothing load none of the packages that take seconds."""

import subprocess
import sys

import pytest

import sitewise as sw

SLOW = ("pymc", "pytensor", "nutpie", "numba", "matplotlib", "arviz_stats", "arviz_base", "formulae", "jinja2")
LIGHT = (*SLOW, "pandas", "xarray", "scipy")
"""What help must not load either."""


def loaded_by(arguments):
    """The packages that a fresh Python has loaded after a command, and what the command printed."""
    program = "\n".join(
        [
            "import contextlib, io, sys",
            "from sitewise.cli import main",
            f"sys.argv = ['sitewise', *{[str(item) for item in arguments]!r}]",
            "with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):",
            "    main()",
            "print(*{name.split('.')[0] for name in sys.modules})",
            "print(shown.getvalue())",
        ]
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names, _, shown = run.stdout.partition("\n")
    return set(names.split()), shown


@pytest.mark.parametrize("command", ["", "fit", "demo", "simulate", "evidence", "audit", "calibrate", "tables"])
def test_help_is_quick(command):
    loaded, shown = loaded_by([*([command] if command else []), "--help"])
    assert "Usage" in shown
    assert not loaded & set(LIGHT)


def test_help_names_every_command():
    _, shown = loaded_by(["--help"])
    for command in ("fit", "demo", "simulate", "evidence", "audit", "calibrate", "tables"):
        assert f"│ {command} " in shown


def test_commands_that_sample_nothing_load_no_sampler(tmp_path):
    for arguments in (["evidence"], ["evidence", "krog-20-04"], ["simulate", "krog-20-04", "--out", tmp_path / "x.csv"]):
        loaded, shown = loaded_by(arguments)
        assert "krog" in shown.lower()
        assert not loaded & set(SLOW), arguments


def test_help_of_fit_names_every_flag(sitewise):
    run = sitewise("fit", "--help")
    assert run.code == 0
    for flag in ("--model", "--config", "--engine", "--draws", "--chains", "--seed", "--prob", "--out", "--allow-fail"):
        assert flag in run.out


def test_version(sitewise):
    run = sitewise("--version")
    assert (run.code, run.out) == (0, f"sitewise {sw.__version__}\n")


def test_no_command_is_help_and_exit_code_2(sitewise):
    run = sitewise()
    assert run.code == 2
    assert "Usage" in run.out + run.err
