"""`sitewise design`: worked trials, what-if, sizes, interruption, slips, exit codes, files."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import sitewise as sw
from sitewise.trial.library import PACKAGED

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "trial-files.md"
TABLES = {
    *("operating_characteristics", "type_one_error", "thresholds", "example_trials", "size_curve", "solution"),
    *("forecast_counts", "forecast_milestones", "forecast_sites"),
}
PICTURES = {"forecast", "stopping", "decision_traces", "truth", "type_one_error", "size_curve"}
FILES = {
    *(f"{name}.csv" for name in TABLES),
    *(f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")),
    *("trials.nc", "design.json", "report.html"),
}
TRIAL = """
id = "small"
title = "Is the new treatment better?"

[truth]
cohort_arm = "control"
[truth.effect]
hazard_ratio = 0.5
[truth.point]
baseline = { median = 10.0, family = "weibull", parameters = { shape = 1.1 } }
site_sd = 0.2

[arms]
kind = "randomised"
patients = 80

[accrual]
sites = 4
rate = 2.0

[follow_up]
close = 60.0

[[look]]
name = "interim"
when = { events = 30 }
[[look]]
name = "final"
when = { events = 60 }

[[criterion]]
name = "benefit"
estimand = "hazard_ratio"
below = 1.0

[analysis]
method = "log-rank"
adjust = []

[simulation]
trials = 60
seed = 4
nuts_trials = 0
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("trial") / "TRIAL.toml"
    path.write_text(TRIAL, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(sitewise, file, tmp_path_factory):
    """A run with all that the command offers: how it ended, its folder, and the folder of kept trials."""
    out, kept = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("kept")
    what_if = ("--set", "arms.patients=90", "--set", "look.final.when.events=70", "--trials", 150, "--seed", 9)
    size = ("--solve", "0.7", "--vary", "events", "--most", 90)
    return sitewise("design", file, "--out", out, "--keep", kept, "--workers", 2, *what_if, *size), out, kept


def test_files_and_words(run):
    ended, out, _ = run
    assert ended.code == 0, ended.err
    assert {path.name for path in out.iterdir()} == FILES
    assert "sitewise design: small: Is the new treatment better?" in ended.said
    for name in ("planned", "null (null)", "success", "futility", "patients", "events", "duration"):
        assert name in ended.said
    assert "For groups of patients, not for decisions on single patients." in ended.said
    assert "report.html" in ended.said
    solution = pd.read_csv(out / "solution.csv")
    assert re.search(r"\d+ events give a probability of success of 0\.\d+", ended.said)
    assert solution["value"].max() == 90
    assert len(solution) > 3


def test_the_flags_changed_the_design_and_nothing_else(run, file):
    about = json.loads((run[1] / "design.json").read_text(encoding="utf-8"))
    expected = sw.trial.read_design(file).changed(
        {"arms.patients": 90, "look.final.when.events": 70, "simulation.trials": 150, "simulation.seed": 9}
    )
    assert sw.trial.TrialDesign.from_dict(about["design"]) == expected
    assert about["design_hash"] == expected.hash
    assert (about["source"], about["seed"], about["trials"]) == ("TRIAL.toml", 9, 150)
    assert about["solution"]["vary"] == "events"


def test_the_table_on_the_screen_is_that_in_the_file(run):
    ended, out, _ = run
    table = pd.read_csv(out / "operating_characteristics.csv", keep_default_na=False)
    for name, shown in (("planned", "planned"), ("null", "null (null)")):
        own = table[table["scenario"] == name].drop_duplicates("quantity").set_index("quantity")
        cells = [f"{float(own['value'][word]):.3f} ({float(own['mcse'][word]):.3f})" for word in ("success", "futility")]
        cells += [f"{float(own['value'][word]):.1f}" for word in ("patients", "events", "duration")]
        assert f"{shown} {' '.join(cells)}" in ended.said


def test_every_table_has_the_columns_that_are_published(run):
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in TABLES:
        line = re.search(rf"^\| `{name}\.csv` \| (.*) \|$", text, re.MULTILINE)[1]
        published = re.findall(r"`([^`]*)`", re.sub(r"\([^)]*\)", "", line))
        columns = [item for part in published for item in part.split(", ")]
        assert list(pd.read_csv(run[1] / f"{name}.csv").columns) == columns, name


def test_an_interrupted_run_goes_on(sitewise, run, file, tmp_path):
    _, out, kept = run
    blocks = sorted((kept / "trials").glob("*.npz"))
    assert len(blocks) == 2  # one of each scenario
    blocks[0].unlink()
    what_if = ("--set", "arms.patients=90", "--set", "look.final.when.events=70", "--trials", 150, "--seed", 9)
    again = sitewise("design", file, "--out", tmp_path, "--keep", kept, "--workers", 1, *what_if)
    assert again.code == 0
    assert "1 of 2 blocks are on disk already" in again.err
    for name in TABLES - {"solution"}:
        assert (tmp_path / f"{name}.csv").read_bytes() == (out / f"{name}.csv").read_bytes(), name
    assert not (tmp_path / "solution.csv").exists()
    other = sitewise("design", file, "--out", tmp_path, "--keep", kept)
    assert other.code == 2
    assert "holds the trials of another campaign" in other.error


def test_a_worked_trial_by_its_name(sitewise, tmp_path):
    """With few trials, and the fast analysis instead of its own."""
    small = ("--trials", 40, "--set", "simulation.nuts_trials=0", "--set", "analysis.method=conjugate")
    ended = sitewise("design", "krog-confirmation", "--out", tmp_path, *small)
    assert ended.code == 0, ended.err
    assert "krog-confirmation" in ended.said
    assert "Note: The patients are synthetic" in ended.said
    assert json.loads((tmp_path / "design.json").read_text(encoding="utf-8"))["source"] == "krog-confirmation.toml"


@pytest.mark.parametrize("name", PACKAGED)
def test_every_worked_trial_can_be_searched_for_a_size_by_default(name):
    """The largest size that is tried by default is one that the trial can have."""
    from sitewise.cli.design import Asked, _most, design_path
    from sitewise.trial.operating.size import check_search

    design = sw.trial.read_design(design_path(name))
    asked = Asked(None, None, None, (), 0.8, "patients", None, None)
    most = _most(design, asked)
    assert most > 2 * design.arms.patients
    check_search(design, vary="patients", target=0.8, most=most)


SLIPS = {
    "a worked trial": (("krog-single-arms",), ["no file krog-single-arms", "Did you mean 'krog-single-arm'?"]),
    "a file": (("none.toml",), ["There is no file none.toml"]),
    "a place": (("--set", "arms.patient=90"), ["arms patient: is not a known key. Did you mean 'patients'?"]),
    "a look": (("--set", "look.finale.when.events=90"), ["there is no 'finale'. Did you mean 'final'?"]),
    "a value": (("--set", "arms.patients=many"), ["arms patients"]),
    "no value": (("--set", "arms.patients"), ["is not PLACE=VALUE"]),
    "too many events": (("--set", "look.final.when.events=900"), ["waits for 900 events of 80 patients"]),
    "a percentage": (("--solve", "80"), ["must be inside (0, 1)"]),
    "a size": (("--solve", "0.8", "--vary", "events", "--most", "500"), ["waits for 500 events of 80 patients"]),
    "nothing to solve": (("--most", "200"), ["--most is of the search for a size: give --solve"]),
    "few trials": (("--trials", "3"), ["--trials"]),
    "a word": (("--vary", "months", "--solve", "0.8"), ["--vary"]),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_are_told_and_nothing_is_written(sitewise, file, tmp_path, slip):
    given, words = SLIPS[slip]
    arguments = (file, *given) if given[0].startswith("-") else given
    ended = sitewise("design", *arguments, "--out", tmp_path / "out")
    assert ended.code == 2
    said = " ".join(ended.error.translate({ord(mark): " " for mark in "│╭╮╰╯─"}).split())
    for word in words:
        assert word in said
    assert not (tmp_path / "out").exists()


def test_all_problems_of_a_file_are_told_at_once(sitewise, tmp_path):
    path = tmp_path / "BROKEN.toml"
    text = TRIAL.replace("patients = 80", "patients = 1").replace("rate = 2.0", "rate = -1.0")
    path.write_text(
        text.replace('estimand = "hazard_ratio"', 'estimand = "hazard"').replace("site_sd", "sitesd"), encoding="utf-8"
    )
    ended = sitewise("design", path, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "BROKEN.toml has 4 problems" in ended.error
    for words in ("arms patients: must be at least 2", "accrual rate: must be positive", "criterion", "sitesd"):
        assert words in ended.error
    assert "Traceback" not in ended.err
    path.write_text("[arms", encoding="utf-8")
    ended = sitewise("design", path, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "BROKEN.toml is not valid TOML" in ended.error


def test_a_target_that_no_size_has_is_said_to_be_unattainable(sitewise, file, tmp_path):
    uncertain = ("--set", "truth.effect.sd=0.6", "--set", "truth.effect.hazard_ratio=0.8")
    ended = sitewise("design", file, "--out", tmp_path, *uncertain, "--solve", "0.95", "--most", 100)
    assert ended.code == 0
    assert "A probability of success of 0.95 is unattainable: the ceiling is 0.6" in ended.said
    about = json.loads((tmp_path / "design.json").read_text(encoding="utf-8"))["solution"]
    assert about["value"] is None


def test_a_search_that_fails_loses_nothing_that_was_simulated(sitewise, file, tmp_path, monkeypatch):
    def failing(*arguments, **options):
        raise sw.TrialError("made to fail")

    monkeypatch.setattr("sitewise.trial.operating.size.smallest_size", failing)
    ended = sitewise("design", file, "--out", tmp_path / "out", "--trials", 40, "--solve", "0.5", "--most", 100)
    assert ended.code == 2
    assert "made to fail" in ended.error
    assert (tmp_path / "out" / "operating_characteristics.csv").is_file()
