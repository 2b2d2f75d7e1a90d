"""`sitewise demo lung` as a user runs it: a process of its own, its streams, its files."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

COMMAND = Path(sys.executable).with_name("sitewise")
PROGRESS = re.compile(r"^\[ *\d+\.\d s\] .+ \.\.\.$")
PICTURES = ("survival", "effects", "sites", "site_spread", "chains")
TABLES = ("coefficients", "parameters", "sites", "survival", "estimands", "contrasts", "groups")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The finished process, run in an empty folder and writing where it writes by default."""
    folder = tmp_path_factory.mktemp("demo")
    unset = {"PYTHONWARNINGS", "PYTHONDEVMODE"}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"COLUMNS": "80"}
    arguments = ["demo", "lung", "--draws", "150", "--chains", "2", "--allow-fail"]
    run = subprocess.run(
        [COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return run, folder / "out" / "demo-lung"


def test_it_ends_well(demo):
    run, _ = demo
    assert run.returncode == 0, run.stderr


def test_every_file_is_written(demo):
    _, folder = demo
    expected = {f"{name}.csv" for name in TABLES} | {f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == {*expected, "diagnostics.json", "posterior.nc"}
    assert all(path.stat().st_size > 100 for path in folder.iterdir())


def test_stderr_holds_progress_and_no_warnings(demo):
    run, _ = demo
    other = [line for line in run.stderr.splitlines() if not PROGRESS.match(line)]
    assert other == []


def screen_table(out):
    """The lines of the table on the screen: from its header to the line that explains it."""
    lines = out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Group"))
    last = next(number for number, line in enumerate(lines) if line.startswith("Posterior median"))
    start = first
    while lines[start - 1].strip():
        start -= 1
    return lines[start:last]


def test_the_table_fits_a_terminal_of_80_columns(demo):
    table = screen_table(demo[0].stdout)
    assert all(len(line) <= 80 for line in table)
    text = " ".join(" ".join(table).split())
    # No column was cut and no word of a label was broken.
    assert "…" not in text
    assert text.count("favourable") == 2
    for column in ("Group", "n", "events", "S(6)", "S(12)", "S(24)"):
        assert column in text.split()
    assert re.search(r"^1 of 1", "\n".join(table), re.MULTILINE)
    assert re.search(r"^0 of 1", "\n".join(table), re.MULTILINE)


def test_the_table_shows_the_numbers_of_the_files(demo):
    run, folder = demo
    text = " ".join(screen_table(run.stdout))
    groups = pd.read_csv(folder / "groups.csv").set_index("group")
    assert groups["n"].to_dict() == {"1 of 1 favourable": 63, "0 of 1 favourable": 163}
    estimands = pd.read_csv(folder / "estimands.csv")
    for group in groups.index:
        own = estimands[(estimands["group"] == group) & (estimands["sites"] == "observed")]
        median = own[own["estimand"] == "median_survival"].iloc[0]
        assert f"{median['median']:.1f}" in text
        assert f"{median['lower']:.1f}-{median['upper']:.1f}" in text
        for _, row in own[own["estimand"] == "survival"].iterrows():
            assert f"{row['median']:.2f}" in text
            assert f"{row['lower']:.2f}-{row['upper']:.2f}" in text
        assert f"{groups.loc[group, 'km_median']:.1f}" in text


def test_the_screen_says_what_the_data_are(demo):
    out = demo[0].stdout
    assert "228 real patients with advanced lung cancer (North Central Cancer Treatment Group" in out
    assert "226 patients, 163 events" in out
    assert "Note: 2 of 228 rows dropped for missing values (inst: 1, ph_ecog: 1), as missing = 'drop' asked." in out
    assert "not for decisions on single patients" in out


def test_names_in_brackets_reach_the_screen(demo):
    """Whatever check is worst, the parameter it names is printed whole, index and all."""
    run, folder = demo
    found = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    assert found["sentence"] in run.stdout


def test_the_study_of_the_demo_is_the_one_reported(demo):
    _, folder = demo
    found = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    assert (found["data"]["patients"], found["data"]["events"], found["data"]["synthetic"]) == (226, 163, False)
    assert found["spec"]["formula"] == "Surv(time_months, event) ~ ecog + age + sex + (1 | inst)"
    assert (found["engine_settings"]["draws"], found["engine_settings"]["chains"]) == (150, 2)
