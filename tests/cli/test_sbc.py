"""`sitewise sbc`: files, exit codes, what is said."""

import json

import pandas as pd
import pytest

from sitewise.simulate.packaged import scenario_path

FILES = {
    *("tests.csv", "coverage.csv", "fits.csv", "estimates.parquet", "sbc.json", "report.html", "ecdf.png", "ecdf.svg"),
}
BY_SIZE = {f"coverage_by_size.{kind}" for kind in ("csv", "png", "svg")}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "study.toml"
    text = scenario_path("krog-20-04", ".study.toml").read_text(encoding="utf-8")
    path.write_text(
        text + '\n[sbc]\nscenario = "krog-20-04"\nreplicates = 60\ncoverage_patients = [60]\ncoverage_sites = [4]\n'
        "coverage_replicates = 20\n",
        encoding="utf-8",
    )
    return path


def test_files_and_words(sitewise, study, tmp_path) -> None:
    ended = sitewise("sbc", "--config", study, "--seed", 1, "--out", tmp_path)
    assert ended.code == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES | BY_SIZE
    assert "Calibration pass: PIT values of all 25 quantities are uniform over 60 replicates" in ended.said
    about = json.loads((tmp_path / "sbc.json").read_text())
    assert about["passed"] is True
    assert about["replicates"] == 60
    assert set(pd.read_csv(tmp_path / "tests.csv").columns) == {
        *("quantity", "replicates", "p", "p_folded", "p_holm", "mean", "sd_ratio"),
    }
    estimates = pd.read_parquet(tmp_path / "estimates.parquet")
    assert {"replicate", "quantity", "mean", "truth", "pit"} <= set(estimates.columns)
    assert estimates["replicate"].nunique() == 60
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Are these posteriors right when the truth is known?" in page
    assert "<script" not in page


def test_whose_patients(sitewise, study, tmp_path) -> None:
    text = study.read_text(encoding="utf-8").split("[sbc]")[0]
    lacking = tmp_path / "lacking.toml"
    lacking.write_text(text, encoding="utf-8")
    ended = sitewise("sbc", "--config", lacking, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "scenario in [sbc]" in ended.error
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text + "[sbc]\nreplicates = 5\nrepeats = 3\n", encoding="utf-8")
    ended = sitewise("sbc", "--config", wrong, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "[sbc] replicates: must be at least 20" in ended.error
    assert "[sbc] repeats: is not a known key" in ended.error


def test_around_the_posterior_of_a_table(sitewise, study, tmp_path) -> None:
    table = tmp_path / "cohort.csv"
    sitewise("simulate", "krog-20-04", "--out", table, "--seed", 3)
    only_model = tmp_path / "model.toml"
    only_model.write_text(study.read_text(encoding="utf-8").split("[sbc]")[0], encoding="utf-8")
    ended = sitewise("sbc", table, "--config", only_model, "--posterior", "--replicates", 40, "--out", tmp_path / "out")
    about = json.loads((tmp_path / "out" / "sbc.json").read_text())
    assert about["around"].startswith("posterior of")
    assert ended.code == (0 if about["passed"] else 1)
