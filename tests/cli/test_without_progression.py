"""Progression beside survival on the command line: what stops it is refused before anything is simulated, or it is left out."""

import pytest

import sitewise as sw
from sitewise.cli import calibrate as command
from sitewise.cli import simulate
from sitewise.cli.calibrate import Asked, progression_left_out, progression_of
from sitewise.problems import EvidenceError
from sitewise.simulate.calibration import Assumptions

PAPER = """
schema_version = 1
id = "own"
[source]
title = "A trial"
authors = "Doe J"
journal = "Journal 1:1"
year = 2020
doi = "10.1000/1"
licence = "none"
design = "retrospective"
population = "Patients"
treatment = "Radiotherapy"
patients = 60
sites = 2
time_unit = "months"
where = "Text"
quote = ["60 patients"]
[[survival]]
id = "os-median"
median = 12
where = "Text"
quote = ["12 months"]
"""
ARMS = '[[categorical]]\nname = "arm"\nlabel = "Arm"\nlevels = { a = 30, b = 30 }\nwhere = "Text"\nquote = ["30 and 30"]\n'


def pfs(name, median, more=""):
    return f'[[survival]]\nid = "{name}"\nendpoint = "pfs"\nmedian = {median}\nwhere = "Text"\nquote = ["words"]\n{more}\n'


def count(name, patients):
    return f'[[count]]\nid = "{name}"\nlabel = "{name}"\ncount = {patients}\nwhere = "Text"\nquote = ["words"]\n'


KINDS = (
    count("failure", 30) + count("local", 40) + '[[failures]]\nid = "first"\ntotal = "failure"\nkinds = { local = "local" }\n'
)
NOT_REACHED = PAPER + pfs("pfs-median", '"not reached"')
BY_ARM = PAPER + ARMS + pfs("pfs-a", 6, 'group = { arm = ["a"] }') + pfs("pfs-b", 4, 'group = { arm = ["b"] }')
MONTH = PAPER.replace('"months"', '"month"') + pfs("pfs-median", 6)


@pytest.fixture
def paper(tmp_path):
    """A function that writes a paper's numbers."""

    def write(text):
        path = tmp_path / "own.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


class BegunError(Exception):
    """The calibration of survival has begun."""


@pytest.fixture
def unsimulated(monkeypatch):
    """Nothing is simulated: the calibration of survival raises."""

    def begin(*arguments):
        raise BegunError

    monkeypatch.setattr(command, "calibrated", begin)


STOPPED = {
    "groups that are not simulated": (BY_ARM, 'Name it in the assumptions (free = ["arm"])'),
    "unit of time": (MONTH, "source time_unit: is 'month'"),
    "kinds above their total": (PAPER + KINDS, "than the 30 with a failure (local: 40)"),
}


@pytest.mark.parametrize("what", STOPPED)
@pytest.mark.parametrize("words", [("calibrate",), ("simulate", "--product", "plug_in")], ids=["calibrate", "simulate"])
def test_what_stops_it_is_refused_before_survival_is_calibrated(words, what, sitewise, paper, unsimulated, tmp_path):
    text, expected = STOPPED[what]
    out = tmp_path / ("x.csv" if words[0] == "simulate" else "x")
    run = sitewise(words[0], paper(text), *words[1:], "--out", out)
    assert run.code == 2
    assert run.error.startswith("Error: Progression of own has 1 problem:")
    assert expected in run.error
    assert run.error.endswith("Correct this, or calibrate survival alone with --no-progression.")
    assert not out.exists()
    with pytest.raises(BegunError):
        sitewise(words[0], paper(text), *words[1:], "--out", out, "--no-progression")


def test_every_problem_is_refused_at_once(sitewise, paper, unsimulated, tmp_path):
    run = sitewise("calibrate", paper(BY_ARM.replace('"months"', '"month"')), "--out", tmp_path / "x")
    assert "has 2 problems" in run.error
    assert "  1. arm: " in run.error
    assert "  2. source time_unit: " in run.error


def test_what_stops_survival_is_refused_first(sitewise, paper, unsimulated, tmp_path):
    text = MONTH.replace('id = "os-median"', 'id = "os-median"\nendpoint = "dfs"')
    run = sitewise("calibrate", paper(text), "--out", tmp_path / "x")
    assert (run.code, "of endpoint 'os'" in run.error) == (2, True)


def test_named_characteristics_are_simulated(paper):
    evidence = sw.load_evidence(paper(BY_ARM))
    assert progression_left_out(evidence, Assumptions(free=("arm",)), Asked()) == ""


def test_what_cannot_be_fitted_is_left_out_with_the_reason(paper):
    evidence = sw.load_evidence(paper(NOT_REACHED))
    why = progression_left_out(evidence, Assumptions(), Asked())
    assert why.endswith("only pfs-median (median not reached)")
    assert "no entry" in progression_left_out(sw.load_evidence(paper(PAPER)), Assumptions(), Asked())
    assert "endpoint os only" in progression_left_out(evidence, Assumptions(), Asked(endpoint="pfs"))
    assert progression_left_out(evidence, Assumptions(), Asked(progression=False)).startswith("--no-progression was given")


def test_what_only_simulation_shows_does_not_lose_survival(monkeypatch):
    def refuse(*arguments, **others):
        raise EvidenceError("Of 8000 simulated cohorts 3 have all statistics. Check these entries.")

    monkeypatch.setattr("sitewise.simulate.progression.calibrate_progression", refuse)
    found, why = progression_of(None, "", Asked(), lambda message: None)
    assert (found, why) == (None, "Of 8000 simulated cohorts 3 have all statistics. Check these entries")


def test_a_paper_whose_progression_is_not_reached_is_calibrated(sitewise, paper, tmp_path):
    run = sitewise("calibrate", paper(NOT_REACHED), "--pool", 1500, "--no-sensitivity", "--out", tmp_path / "x")
    assert run.code == 0, run.err
    assert "Progression left out: the paper prints nothing that says when patients progress, only pfs-median" in run.said
    assert not (tmp_path / "x" / "progression.csv").exists()


def test_help_names_the_flag(sitewise):
    for name in ("calibrate", "simulate"):
        assert "--no-progression" in sitewise(name, "--help").said


def test_flags_reach_the_commands(sitewise, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(command, "run_calibrate", lambda which, config, out, asked: seen.append(asked.progression) or 0)
    monkeypatch.setattr(simulate, "run_products", lambda *arguments, **others: seen.append(others["progression"]))
    for flags in ([], ["--no-progression"]):
        sitewise("calibrate", "krog-20-04", *flags, "--out", tmp_path)
        sitewise("simulate", "krog-20-04", "--product", "plug_in", *flags, "--out", tmp_path / "x.csv")
    assert seen == [True, True, False, False]
