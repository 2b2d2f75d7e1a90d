"""`sitewise calibrate`, and `sitewise simulate` of a paper's numbers: files, screen, refusals with every finding at once."""

import functools
import importlib
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

ROOT = Path(__file__).resolve().parents[2]
SPARSE = ROOT / "tests" / "evidence" / "papers" / "yao-2018.toml"
KROG = (resources.files("sitewise.evidence") / "library" / "krog-20-04.toml").read_text(encoding="utf-8")
DEATHS = '\n[[events]]\nid = "deaths"\nevents = 42\nwhere = "Section 3.2"\nquote = ["42 patients died"]\n'
RISING = '\n[[survival]]\nid = "os-36"\ntime = 36\nsurvival = 0.55\nwhere = "Section 3.2"\nquote = ["55 %"]\n'
FAST = ("--pool", 2000)


def promised(name):
    """The columns of a file in docs/calibration.md."""
    text = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
    cell = re.sub(r"\([^)]*\)", "", row.split("|")[2])
    return [part.strip() for inside in re.findall(r"`([^`]*)`", cell) for part in inside.split(",")]


@pytest.fixture(scope="module")
def sparse(sitewise, tmp_path_factory):
    """A paper with a median, four milestones and counts, all of the command's work."""
    folder = tmp_path_factory.mktemp("sparse") / "new"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sw.Calibration, "reconstruct", functools.partialmethod(sw.Calibration.reconstruct, steps=50_000))
        return sitewise("calibrate", SPARSE, *FAST, "--reconstruct", 1, "--out", folder), folder


def test_a_sparse_paper_calibrates_and_is_flagged(sparse):
    run, folder = sparse
    assert run.code == 0, run.err
    found = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    assert found["sparse"] is True
    assert "The paper says little" in run.out
    assert {"censoring_scale", "censoring_shape"} <= set(found["prior_driven"])
    table = pd.read_csv(folder / "parameters.csv").set_index("parameter")
    assert table.loc["events", "upper"] - table.loc["events", "lower"] > 33 / 4
    targets = pd.read_csv(folder / "targets.csv").set_index("target")
    assert targets.loc["os-6", "printed"] == "S(6) = 0.879"
    assert (targets["z"].abs() < 1.5).all()
    assert (folder / "report.html").read_text(encoding="utf-8").count("NOT IDENTIFIED") == 1


def test_every_file(sparse):
    _, folder = sparse
    names = {path.name for path in folder.iterdir()}
    pictures = {f"{name}.{kind}" for name in ("targets", "distance", "survival", "contraction") for kind in ("png", "svg")}
    tables = {"targets.csv", "contrasts.csv", "parameters.csv", "sensitivity.csv", "misses.csv", "reconstructed.csv"}
    others = {"scenario.toml", "posterior.nc", "diagnostics.json", "report.html", "reconstructed.json"}
    assert names == pictures | tables | others  # nothing joint is inferred of one characteristic without effect: no implied.png
    for name in ("targets.csv", "contrasts.csv", "parameters.csv", "misses.csv"):
        assert list(pd.read_csv(folder / name).columns) == promised(name)
    sensitivity = pd.read_csv(folder / "sensitivity.csv")
    assert list(sensitivity.columns) == [*promised("sensitivity.csv"), "median all patients", "survival all patients"]
    assert sensitivity["variant"].tolist()[0] == "as calibrated"
    assert {"log-normal baseline", "site sd 0.6"} <= set(sensitivity["variant"])
    assert sensitivity["refused"].isna().all()


def test_the_screen(sparse):
    run, folder = sparse
    assert run.out.startswith(f"sitewise calibrate {SPARSE}: Yao E et al.")
    assert re.search(r"^Events +\d+ \(\d+ to \d+\) of 33 patients", run.out, re.MULTILINE)
    assert "NOT IDENTIFIED: the sizes of the 1 site" in run.out
    assert "Verdict ok: The process reproduces 5 of 5 fitted numbers" in run.out
    assert str(folder / "report.html") in run.out
    assert "moments: step 1" in run.err  # progress
    assert "sensitivity 1 of" in run.err
    assert "…" not in run.out


def test_the_scenario_of_a_calibration_can_be_simulated(sparse, sitewise, tmp_path):
    _, folder = sparse
    run = sitewise("simulate", folder / "scenario.toml", "--cohorts", 40, "--out", tmp_path / "x.csv")
    assert run.code == 0, run.err
    table = pd.read_csv(tmp_path / "x.csv")
    assert table.groupby("cohort").size().tolist() == [33] * 40
    assert "not identified" in run.out
    # The paper prints S(6) = 0.879: of 40 x 33 patients, with a spread of sites of 0.34, some 0.03 is sampling error.
    assert np.mean((table["time"] > 6) | ~table["event"].astype(bool)) == pytest.approx(0.879, abs=0.12)


def test_reconstructed_cohorts_say_what_they_are(sparse):
    _, folder = sparse
    table = pd.read_csv(folder / "reconstructed.csv")
    assert len(table) == 33
    assert table["synthetic"].all()
    assert set(table["product"]) == {"reconstruct"}
    hashes = set(table["evidence_hash"])
    assert hashes == {json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))["evidence_hash"][:16]}


def test_flags_win_over_the_file(sitewise, tmp_path):
    (tmp_path / "own.toml").write_text('family = "exponential"\nsite_sd = 0.1\n', encoding="utf-8")
    flags = ["--config", tmp_path / "own.toml", "--site-sd", 0.3, "--sites", 4, "--guarantee-time", 1.5, "--no-sensitivity"]
    run = sitewise("calibrate", SPARSE, *FAST, *flags, "--seed", 9, "--prob", 0.9, "--out", tmp_path / "x")
    assert run.code == 0, run.err
    found = json.loads((tmp_path / "x" / "diagnostics.json").read_text(encoding="utf-8"))
    assumed = found["assumptions"]
    assert (assumed["family"], assumed["site_sd"], assumed["sites"], assumed["guarantee_time"]) == ("exponential", 0.3, 4, 1.5)
    assert (found["seed"], found["prob"]) == (9, 0.9)
    assert not (tmp_path / "x" / "sensitivity.csv").exists()
    scenario = sw.load_scenario(tmp_path / "x" / "scenario.toml")
    assert (scenario.baseline.family, scenario.baseline.guarantee_time, scenario.sites.sd) == ("exponential", 1.5, 0.3)
    assert len(scenario.sites.labels) == 4


def test_a_conflict_is_shown_and_left_out(sitewise, tmp_path):
    text = SPARSE.read_text(encoding="utf-8").replace('id = "os-24"\n', 'id = "os-24"\nstatus = "conflict"\n')
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    run = sitewise("calibrate", tmp_path / "own.toml", *FAST, "--no-sensitivity", "--out", tmp_path / "x")
    assert run.code == 0, run.err
    assert "Conflict, left out: os-24 (S(24) = 0.455, Abstract, Results)." in run.said
    assert "4 of 4 fitted numbers" in run.said
    targets = pd.read_csv(tmp_path / "x" / "targets.csv").set_index("target")
    assert targets.loc["os-24", "status"] == "conflict"
    assert np.isfinite(targets.loc["os-24", "z"])
    assert "os-24" in (tmp_path / "x" / "report.html").read_text(encoding="utf-8")


# Refusals ------------------------------------------------------------------------------------------


def test_a_broken_file_is_refused_with_every_problem(sitewise, tmp_path):
    text = KROG.replace("male = 82", "male = 81", 1).replace("hazard_ratio = 1.84", "hazard_ratio = 0.1", 1)
    (tmp_path / "broken.toml").write_text(text, encoding="utf-8")
    run = sitewise("calibrate", tmp_path / "broken.toml", "--out", tmp_path / "x")
    assert run.code == 2
    assert "broken.toml has 2 problems" in run.error
    assert "sex" in run.error
    assert "0.1" in run.error
    assert not (tmp_path / "x").exists()


def test_a_broken_file_names_what_its_other_entries_contradict(sitewise, tmp_path):
    """A count that does not add up, in a file with 42 deaths where the intervals need 59: both at once."""
    (tmp_path / "both.toml").write_text(KROG.replace("male = 82", "male = 81", 1) + DEATHS, encoding="utf-8")
    run = sitewise("calibrate", tmp_path / "both.toml", "--out", tmp_path / "x")
    assert run.code == 2
    assert "both.toml has 2 problems" in run.error
    assert "add up to 99" in run.error
    assert "42" in run.error.split("2. ")[1]
    audited = sitewise("audit", tmp_path / "both.toml")
    assert audited.code == 2
    assert "In all 2 errors" in audited.out


def test_impossible_numbers_are_refused_with_every_finding(sitewise, tmp_path):
    """42 deaths where the intervals need 59, and a curve that rises."""
    (tmp_path / "own.toml").write_text(KROG + DEATHS + RISING, encoding="utf-8")
    run = sitewise("calibrate", tmp_path / "own.toml", "--out", tmp_path / "x")
    assert run.code == 2
    expected = sw.audit(sw.load_evidence(tmp_path / "own.toml")).of("error")
    assert len(expected) == 2
    assert f"krog-20-04 has {len(expected)} problems" in run.error
    for item in expected:
        assert item.sentence.rstrip(".") in run.error
    assert "Traceback" not in run.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--guarantee-time", "soon"], "--guarantee-time soon must be a time"),
        (["--guarantee-time", "-1"], "guarantee_time: must be zero or positive"),
        (["--prob", "1.5"], "prob is 1.5"),
        (["--family", "gamma"], "Invalid value for '--family'"),
        (["--endpoint", "dfs"], "of endpoint 'dfs'"),
        (["--pool", "10"], "Invalid value for '--pool'"),
    ],
)
def test_usage(flags, expected, sitewise, tmp_path):
    run = sitewise("calibrate", SPARSE, *flags, "--out", tmp_path / "x")
    assert run.code == 2
    assert expected in " ".join(run.err.split())
    assert not (tmp_path / "x").exists()


def test_an_unknown_key_of_the_assumptions(sitewise, tmp_path):
    (tmp_path / "own.toml").write_text('famly = "weibull"\nsites = "two"\n', encoding="utf-8")
    run = sitewise("calibrate", SPARSE, "--config", tmp_path / "own.toml", "--out", tmp_path / "x")
    assert run.code == 2
    assert "own.toml has 2 problems" in run.error
    assert "Did you mean 'family'?" in run.error


# Cohorts of a paper --------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """A small pool and short annealing for ``simulate``, which has no flags for them."""
    # The package's function has the module's name: the module itself is what Python has loaded.
    monkeypatch.setattr(importlib.import_module("sitewise.simulate.calibration.calibrate"), "POOL", 2000)
    monkeypatch.setattr(sw.Calibration, "reconstruct", functools.partialmethod(sw.Calibration.reconstruct, steps=50_000))


@pytest.mark.parametrize(("flags", "product"), [([], "replicate"), (["--product", "plug_in"], "plug_in")])
def test_simulate_takes_a_papers_numbers(flags, product, sitewise, quick, tmp_path):
    run = sitewise("simulate", SPARSE, "--cohorts", 3, "--sites", 2, "--seed", 4, "--out", tmp_path / "x.csv", *flags)
    assert run.code == 0, run.err
    table = pd.read_csv(tmp_path / "x.csv")
    assert table.groupby("cohort").size().tolist() == [33] * 3
    assert set(table["site"]) == {"site 1", "site 2"}
    assert set(table["product"]) == {product}
    assert set(table["seed"]) == {4}
    assert table["synthetic"].all()
    assert (table["draw"].nunique() > 1) == (product == "replicate")
    beside = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert (beside["product"], beside["seed"], beside["assumptions"]["sites"]) == (product, 4, 2)
    assert run.out.startswith(f"Synthetic data, no real patients: 3 cohorts ({product}) of 33 patients at 2 sites")
    assert "not identified" in run.said


def test_reconstructed_cohorts_tell_what_they_miss(sitewise, quick, tmp_path):
    run = sitewise("simulate", SPARSE, "--product", "reconstruct", "--out", tmp_path / "x.parquet")
    assert run.code == 0, run.err
    assert pd.read_parquet(tmp_path / "x.parquet")["product"].unique().tolist() == ["reconstruct"]
    assert re.search(r"\d+ printed numbers? (is|are) missed", run.said)


def test_what_does_not_go_together(sitewise, tmp_path):
    run = sitewise("simulate", SPARSE, "--n", 50, "--out", tmp_path / "x.csv")
    assert (run.code, "--n goes with a scenario" in run.error) == (2, True)
    run = sitewise("simulate", "no-such", "--product", "replicate", "--out", tmp_path / "x.csv")
    assert run.code == 2
    assert "There is no packaged summary 'no-such'" in run.error
    run = sitewise("simulate", SPARSE, "--out", tmp_path / "x.txt")
    assert "must end in .csv or .parquet" in run.error
    assert list(tmp_path.iterdir()) == []


def test_help_is_quick_and_names_every_flag(sitewise):
    run = sitewise("calibrate", "--help")
    flags = "--out --config --family --guarantee-time --sites --site-sd --endpoint --seed --pool --sensitivity --reconstruct"
    for flag in flags.split():
        assert flag in run.said
    program = (
        "import sys; from sitewise.cli import main; sys.argv = ['sitewise', 'calibrate', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert not {'numba', 'pandas', 'scipy', 'matplotlib', 'xarray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
