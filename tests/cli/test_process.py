"""The program as a process of its own."""

import subprocess
import sys

import pytest

RUN = "import sys; from sitewise.cli.process import run; sys.argv = ['sitewise', *sys.argv[1:]]; "


def program(code: str, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", RUN + code, *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), ([], 2), (["fit", "missing.csv", "--out", "."], 2)])
def test_exit_codes_are_those_of_the_commands(words, code):
    assert program("run()", *words).returncode == code


def test_all_that_was_printed_arrives():
    done = program("run()", "--help")
    assert "Usage" in done.stdout
    assert "fit" in done.stdout


def test_what_was_registered_to_run_at_the_end_runs():
    done = program("import atexit; atexit.register(print, 'goodbye'); run()", "--version")
    assert done.stdout.splitlines()[-1] == "goodbye"


def test_a_thread_at_work_is_waited_for():
    work = "import threading, time; threading.Thread(target=lambda: (time.sleep(0.5), print('done'))).start(); run()"
    done = program(work, "--version")
    assert "done" in done.stdout.splitlines()  # before or after the version: a busy machine takes longer to say that
    assert done.returncode == 0


def test_an_error_that_nobody_expects_keeps_its_traceback():
    done = program("import sitewise.cli.process as p; p.main = lambda: 1 / 0; run()")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
