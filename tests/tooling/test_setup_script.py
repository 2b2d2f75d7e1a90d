"""scripts/setup.sh decides rightly on machines that lack something, and the repository fits any machine.

The script runs in a small copy of the repository with a PATH that holds nothing but the standard tools and
the fakes of each test. uv is a fake that writes down how it was called; Python, where a test has one, is the
real interpreter behind a wrapper. Nothing is downloaded or installed.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STANDARD = "awk cat chmod cksum cut date dirname env mkdir mv rm sed sh sleep sort tail"
PYTHON_NAMES = ("python3", "python", "python3.12", "python3.13", "python3.14")

# What a pyenv shim does in a directory whose .python-version names a version that is not installed.
BROKEN_SHIM = "echo 'pyenv: version `3.13 is not installed (set by .python-version)' >&2\nexit 127\n"

FAKE_UV = """
[ "$1" = --version ] && {{ echo 'uv {version}'; exit 0; }}
printf '%s\\n' "$*" >>'{log}'
env | sort >'{log}.env'
case "$1 $2" in
venv*)
    for last; do :; done
    mkdir -p "$last/bin"
    : >"$last/pyvenv.cfg"
    printf '#!/bin/sh\\nexec "{python}" "$@"\\n' >"$last/bin/python"
    chmod +x "$last/bin/python"
    ;;
'pip sync') [ ! -e '{log}.break' ] || exit 2 ;;
esac
"""


class Machine:
    """A copy of the repository, and a PATH to furnish."""

    def __init__(self, base: Path) -> None:
        self.repo = base / "a repository"  # a space in the path is part of every test
        self.bin = base / "bin"
        self.home = base / "home"
        self.uv_log = base / "uv.log"
        for directory in (self.repo / "scripts", self.bin, self.home, base / "tools"):
            directory.mkdir(parents=True)
        for name in ("pyproject.toml", "requirements.lock", ".python-version", "scripts/setup.sh"):
            shutil.copy(ROOT / name, self.repo / name)
        for tool in STANDARD.split():
            found = shutil.which(tool, path="/usr/bin:/bin")
            assert found is not None, f"{tool} is not on this machine"
            (base / "tools" / tool).symlink_to(found)
        self.path = [self.bin, base / "tools"]

    def command(self, directory: Path, name: str, body: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / name
        file.write_text("#!/bin/sh\n" + body)
        file.chmod(0o755)

    def broken_shims(self, directory: Path) -> None:
        for name in PYTHON_NAMES:
            self.command(directory, name, BROKEN_SHIM)

    def real_python(self, directory: Path) -> None:
        self.command(directory, "python3", f'exec "{sys.executable}" "$@"\n')

    def fake_uv(self, version: str = "0.99.1") -> None:
        body = FAKE_UV.format(version=version, log=self.uv_log, python=sys.executable)
        self.command(self.bin, "uv", body)

    def setup(self, **env: str | None) -> subprocess.CompletedProcess[str]:
        settings: dict[str, str | None] = {
            "PATH": os.pathsep.join(map(str, self.path)),
            "HOME": str(self.home),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SITEWISE_SETUP_OFFLINE": "1",
            "SITEWISE_SETUP_PATH_ONLY": "1",
        }
        settings |= env
        return subprocess.run(
            ["/bin/sh", str(self.repo / "scripts/setup.sh")],
            env={name: value for name, value in settings.items() if value is not None},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def uv_calls(self) -> list[str]:
        """Return the calls of uv since the last time this was asked."""
        if not self.uv_log.exists():
            return []
        calls = self.uv_log.read_text().splitlines()
        self.uv_log.unlink()
        return calls

    def uv_environment(self) -> dict[str, str]:
        lines = Path(f"{self.uv_log}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """Return a machine on which the setup has been done once."""
    machine.fake_uv()
    machine.real_python(machine.bin)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    machine.uv_calls()
    return machine


def one_message(result: subprocess.CompletedProcess[str]) -> str:
    """Return the message of a failed setup, after checking that it is the only one and says what to do."""
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("setup: ") == 1
    assert "What to do: " in result.stderr
    return " ".join(result.stderr.split())


# --- a machine that lacks something ---------------------------------------------------------------


def test_without_any_python_one_plain_message_says_what_to_do(machine: Machine):
    machine.broken_shims(machine.bin)
    message = one_message(machine.setup())
    assert "no Python that Sitewise can use" in message
    assert "no Python that runs" in message
    assert "pyenv: version" not in message
    assert not (machine.repo / ".venv").exists()


def test_a_python_that_is_too_old_is_named_in_the_message(machine: Machine):
    machine.fake_uv()
    machine.command(machine.bin, "python3", "echo 9 fit 3.9.2 /opt/old/python3.9\n")
    message = one_message(machine.setup())
    assert "3.9.2 /opt/old/python3.9" in message
    assert machine.uv_calls() == []


@pytest.mark.parametrize("answer", ["13 unfit 3.13.1 /opt/threads/python3.13", "15 fit 3.15.0 /opt/new/python3.15"])
def test_a_python_without_wheels_is_not_used(machine: Machine, answer: str):
    machine.fake_uv()
    machine.command(machine.bin, "python3", f"echo {answer}\n")
    assert "no Python that Sitewise can use" in one_message(machine.setup())


def test_without_uv_and_without_network_the_message_names_uv(machine: Machine):
    machine.real_python(machine.bin)
    message = one_message(machine.setup())
    assert "no uv" in message
    assert "SITEWISE_SETUP_OFFLINE" in message


@pytest.mark.parametrize("version", ["0.4.30", "0.7.99 (abc 2025-01-01)", "unknown"])
def test_a_uv_that_is_too_old_is_not_used(machine: Machine, version: str):
    machine.real_python(machine.bin)
    machine.fake_uv(version)
    assert "no uv (0.8 or later)" in one_message(machine.setup())
    assert machine.uv_calls() == []


def test_a_python_asked_for_by_name_is_not_replaced_by_another(machine: Machine):
    machine.fake_uv()
    machine.real_python(machine.bin)
    message = one_message(machine.setup(SITEWISE_PYTHON="/nowhere/python3"))
    assert "SITEWISE_PYTHON=/nowhere/python3" in message


# --- finding the right Python ---------------------------------------------------------------------


def python_of_venv(calls: list[str]) -> str:
    (call,) = [call for call in calls if call.startswith("venv ")]
    found = re.search(r"--python (.*) \.venv$", call)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("where", ["elsewhere on PATH", "versions beside the shims"])
def test_shims_that_fail_are_passed_over_in_silence(machine: Machine, tmp_path: Path, where: str):
    machine.fake_uv()
    shims = tmp_path / "pyenv" / "shims"
    machine.broken_shims(shims)
    machine.path.insert(0, shims)
    if where == "elsewhere on PATH":
        machine.real_python(machine.bin)
    else:
        machine.real_python(tmp_path / "pyenv" / "versions" / "3.12.4" / "bin")
    result = machine.setup()
    assert result.returncode == 0, result.stderr
    assert "is not installed" not in result.stderr
    # uv is given the interpreter itself, not the wrapper (a shim would depend on the directory), nor the venv
    # in which these tests run.
    python = Path(python_of_venv(machine.uv_calls()))
    assert python.resolve() == Path(sys.executable).resolve()
    assert not python.is_relative_to(tmp_path)
    assert sys.prefix == sys.base_prefix or not python.is_relative_to(sys.prefix)


@pytest.mark.parametrize(
    ("minors", "best"),
    [((12, 14, 13), 13), ((12, 14), 14), ((11, 12), 12)],
    ids=["all", "12 and 14", "11 and 12"],
)
def test_the_preferred_version_is_taken(machine: Machine, minors: tuple[int, ...], best: int):
    machine.fake_uv()
    for number, minor in enumerate(minors):
        directory = machine.bin.parent / f"bin{number}"
        machine.path.insert(number, directory)
        machine.command(directory, "python3", f"echo {minor} fit 3.{minor}.0 '/opt/my python/3.{minor}'\n")
    machine.setup()
    assert python_of_venv(machine.uv_calls()) == f"/opt/my python/3.{best}"


def test_the_sign_of_life_ends_with_its_command_however_short_that_is(tmp_path: Path):
    # A signal sent before the subshell of the heartbeat has reset the script's traps used to be lost, about once
    # in a thousand commands, and the setup then waited for ever.
    script = (ROOT / "scripts/setup.sh").read_text()
    function = re.search(r"^with_heartbeat\(\) \{\n.*?^\}\n", script, re.DOTALL | re.MULTILINE)
    assert function is not None
    short = tmp_path / "short.sh"
    loop = "i=0\nwhile [ $i -lt 1500 ]; do with_heartbeat true; i=$((i + 1)); done\necho done\n"
    short.write_text("set -eu\ntrap : EXIT\ntrap 'exit 143' TERM\n" + function.group() + loop)
    result = subprocess.run(["/bin/sh", str(short)], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "done\n"


# --- what it does, and when it does nothing -------------------------------------------------------


def test_the_packages_come_with_hashes_and_bytecode_and_the_project_last(machine: Machine):
    machine.fake_uv()
    machine.real_python(machine.bin)
    result = machine.setup()
    assert result.returncode == 0, result.stderr
    made, synced, installed = machine.uv_calls()
    assert made.startswith("venv ")
    assert synced.startswith("pip sync ")
    assert {"--require-hashes", "--compile-bytecode", "requirements.lock"} <= set(synced.split())
    assert installed.startswith("pip install ")
    assert {"--no-deps", "--editable", "."} <= set(installed.split())
    assert "PYTHONDONTWRITEBYTECODE" not in machine.uv_environment()


def test_a_second_run_does_nothing_and_says_nothing(ready: Machine):
    again = ready.setup()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert ready.uv_calls() == []


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml", "scripts/setup.sh"])
def test_a_change_is_brought_into_the_environment_that_is_there(ready: Machine, name: str):
    with (ready.repo / name).open("a") as file:
        file.write("# changed\n")
    assert ready.setup().returncode == 0
    assert [call.split(" --")[0] for call in ready.uv_calls()] == ["pip sync", "pip install"]


def test_after_an_interruption_the_environment_is_made_anew(ready: Machine):
    (ready.repo / "requirements.lock").open("a").write("# changed\n")
    broken = Path(f"{ready.uv_log}.break")
    broken.touch()
    assert "could not be installed" in ready.setup().stderr
    ready.uv_calls()
    broken.unlink()
    assert ready.setup().returncode == 0
    assert [call.split(" --")[0] for call in ready.uv_calls()] == ["venv", "pip sync", "pip install"]


def test_a_lock_left_by_a_killed_setup_does_not_block(ready: Machine):
    ended = subprocess.Popen(["/bin/sh", "-c", ":"])
    ended.wait()
    lock = ready.repo / ".tools/setup-lock"
    lock.mkdir()
    (lock / "pid").write_text(f"{ended.pid}\n")
    (ready.repo / "pyproject.toml").open("a").write("# changed\n")
    assert ready.setup().returncode == 0
    assert not lock.exists()


def test_after_a_move_of_the_repository_the_environment_is_made_anew(ready: Machine):
    ready.repo = ready.repo.rename(ready.repo.with_name("another place"))
    assert ready.setup().returncode == 0
    assert any(call.startswith("venv ") for call in ready.uv_calls())


def test_an_environment_whose_python_is_gone_is_made_anew(ready: Machine):
    ready.command(ready.repo / ".venv/bin", "python", "exit 127\n")
    assert ready.setup().returncode == 0
    assert any(call.startswith("venv ") for call in ready.uv_calls())


@pytest.mark.parametrize("home", [None, "/nowhere"], ids=["unset", "missing"])
def test_without_a_home_the_cache_is_in_the_repository(machine: Machine, home: str | None):
    machine.fake_uv()
    machine.real_python(machine.bin)
    assert machine.setup(HOME=home).returncode == 0
    assert machine.uv_environment()["UV_CACHE_DIR"] == str(machine.repo.resolve() / ".tools/uv-cache")


def test_with_a_home_the_cache_is_where_uv_keeps_it(ready: Machine):
    assert "UV_CACHE_DIR" not in ready.uv_environment()


# --- the files of the repository ------------------------------------------------------------------


def repository_files() -> Iterator[Path]:
    """Yield the files of the repository, but for those that .gitignore names."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    ignored = [".git", *(line.strip("/") for line in lines)]
    for directory, subdirectories, files in os.walk(ROOT):
        for names in (subdirectories, files):
            names[:] = [name for name in names if not any(fnmatch(name, rule) for rule in ignored)]
        yield from (Path(directory, name) for name in files)


# Written in pieces so that this file does not find itself.
HOSTS = "|".join(host.replace(" ", r"\.") for host in ("pypi org", "pythonhosted org", "anaconda org"))
PATH_START = r"(?<![\w.~$})*/-])"  # where an absolute path begins: not in the middle of another, nor of a URL
NOT_PORTABLE = {
    "a home directory": re.compile(PATH_START + r"/(?:home/\w[\w.-]*|Users/\w[\w.-]*|root)/"),
    "a package registry": re.compile(rf"(?<![\w-])(?:{HOSTS})\b|--(?:extra-)?index-url[ =]+\w", re.I),
    "this checkout": re.compile(PATH_START + re.escape(str(ROOT)) + r"(?![\w-])"),
}


def portability_problems(text: str) -> list[str]:
    found = {what: rule.search(text) for what, rule in NOT_PORTABLE.items()}
    return [f"{what} ({match.group()})" for what, match in found.items() if match]


@pytest.mark.parametrize(
    "text",
    [
        f"see {ROOT}/README.md",
        "sys.path.insert(0, '/home" + "/jane/sitewise/src')",
        '"/Users' + '/jane/x.csv"',
        "--find-links /roo" + "t/wheels",
        "https://files.python" + "hosted.org/packages/x",
        "--index-url" + " https://mirror.example/simple",
    ],
)
def test_the_search_finds_what_it_looks_for(text: str):
    assert portability_problems(text)


def test_no_file_depends_on_one_machine():
    problems: list[str] = []
    for file in repository_files():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # images and binary tables
        problems += [f"{file.relative_to(ROOT)}: {problem}" for problem in portability_problems(text)]
    assert problems == []


def locked() -> dict[str, str]:
    """Return for each requirement of the lock, by name, all that the lock says of it."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", text), flags=re.M)
    return {block.split("==")[0].split("[")[0]: block for block in blocks if block.strip()}


def test_the_lock_pins_each_package_by_version_and_hash():
    requirements = locked()
    assert len(requirements) > 50
    for name, block in requirements.items():
        assert re.match(r"[a-z0-9-]+==[\w.+!]+ (?:; .*)?\\\n", block), f"{name} is not pinned"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), f"{name} has no hash"


def test_the_lock_holds_no_url():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text


def test_the_lock_holds_every_dependency_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"].get("optional-dependencies", {}).values():
        wanted += extra
    names = {re.split(r"[^\w.-]", item, maxsplit=1)[0].lower().replace("_", "-") for item in wanted}
    assert names <= set(locked())


@pytest.mark.parametrize("name", ["scripts/setup.sh", "scripts/test-wheel.sh"])
def test_the_scripts_are_valid_sh(name: str):
    subprocess.run(["/bin/sh", "-n", str(ROOT / name)], check=True)


def test_make_help_lists_every_target():
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on this machine")
    command = [make, "-C", str(ROOT), "help"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    assert declared is not None
    shown = {line.split()[0] for line in listed.splitlines() if line.startswith("  ")}
    assert shown == set(declared.group(1).split())
