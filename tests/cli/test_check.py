"""`sitewise check`: files, their columns, words, what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "checks.md"
PICTURES = ("curves", "sites", "hazard", "log_log", "residuals", "prediction", "priors", "subgroups", "left_out_sites")


@pytest.fixture(scope="module")
def fit_folder(sitewise, tmp_path_factory):
    """A synthetic cohort's fit without report."""
    folder = tmp_path_factory.mktemp("fit")
    table = folder / "patients.csv"
    sitewise("simulate", "krog-20-04", "--out", table, "--seed", 3)
    model = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"
    ended = sitewise("fit", table, "--model", model, "--engine", "nested-laplace", "--no-report", "--out", folder / "out")
    assert ended.code == 0
    return folder / "out"


@pytest.fixture(scope="module")
def checked(sitewise, fit_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("checks")
    (out / "check_prediction.csv").write_text("of another run")
    ended = sitewise("check", fit_folder, "--out", out, "--replicates", 40, "--time", 12, "--time", 24, "--seed", 2)
    return ended, out


def documented() -> dict[str, list[str]]:
    """Columns by file, as the page says."""
    if not DOCUMENT.exists():
        pytest.skip("no page here")
    found = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = re.match(r"\| (`check[^|]*) \| (.*) \|$", line)
        if cells and "with `--families`" not in line:
            told = cells[2].removeprefix("unless `--no-subgroups`: ").split(": ")[0]
            for name in re.findall(r"`(check[^`]*csv)`", cells[1]):
                own = told.replace("`site` or `group`", "`site`" if name == "check_sites.csv" else "`group`")
                found[name] = [column for part in re.findall(r"`([^`]*)`", own) for column in part.split(", ")]
    return found


def test_files_are_those_of_the_page(checked):
    ended, out = checked
    assert ended.code == 0
    tables = documented()
    pictures = {f"check_{name}.{kind}" for name in PICTURES for kind in ("png", "svg")}
    assert {path.name for path in out.iterdir()} == {*tables, *pictures, "checks.html", "checks.json"}
    for name, columns in tables.items():
        written = pd.read_csv(out / name)
        assert list(written.columns) == [*columns, "synthetic"], name
        assert written["synthetic"].all()


def test_words_and_settings(checked, fit_folder):
    ended, out = checked
    for name in ("hazard over time", "effects over time", "predicted risk", "sites", "prior"):
        assert f"{name}: " in ended.said
    assert "Synthetic patients." in ended.said
    assert "smallest of 5 groups: " in ended.said
    assert "left out: Of 5 sites, each predicted by the others, site " in ended.said
    assert "--config STUDY.toml" in ended.said
    about = json.loads((out / "checks.json").read_text())
    assert about["replicates"] == 40
    assert about["refitted"] is True
    assert about["seed"] == 2
    assert about["data_hash"] == json.loads((fit_folder / "diagnostics.json").read_text())["data_hash"]
    page = (out / "checks.html").read_text(encoding="utf-8")
    assert "Is the model right?" in page
    assert "Synthetic data: these patients were simulated, they are not real." in page
    assert "<script" not in page
    assert set(pd.read_csv(out / "check_prediction.csv")["time"].dropna()) == {12, 24}


def test_what_is_no_fit_is_refused(sitewise, tmp_path):
    ended = sitewise("check", tmp_path)
    assert ended.code == 2
    assert "There is no posterior.nc in" in ended.error
    (tmp_path / "posterior.nc").write_text("nothing")
    ended = sitewise("check", tmp_path)
    assert ended.code == 2
    assert "not a NetCDF file" in ended.error


def test_a_time_beyond_follow_up_is_refused(sitewise, fit_folder, tmp_path):
    ended = sitewise("check", fit_folder, "--time", 9999, "--out", tmp_path)
    assert ended.code == 2
    assert "within follow-up" in ended.error
