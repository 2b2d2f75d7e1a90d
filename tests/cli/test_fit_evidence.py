"""`sitewise fit --evidence`: what is refused, what is written, how it ends. One small paper, calibrated and fitted quickly."""

import json
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

import sitewise as sw
import sitewise.studies.evidence_fits as evidence_fits
from sitewise.evidence import evidence_path

YAO = Path(__file__).parents[1] / "evidence" / "papers" / "yao-2018.toml"


@pytest.fixture(scope="module")
def quick():
    """Calibration and reconstruction with few cohorts and moves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_fits, "fit_evidence", partial(evidence_fits.fit_evidence, pool=800, steps=10_000, workers=1))
        yield


@pytest.fixture(scope="module")
def run(quick, sitewise, tmp_path_factory):
    folder = tmp_path_factory.mktemp("yao") / "out"
    ended = sitewise("fit", "--evidence", YAO, "--cohorts", 2, "--draws", 300, "--seed", 3, "--prob", 0.8, "--out", folder)
    return ended, folder


def test_a_paper_is_fitted(run):
    ended, folder = run
    assert ended.code == 0, ended.err
    assert "Not the paper's patients: 2 synthetic cohorts" in ended.said
    assert "2 of 2 cohorts are in the stack" in ended.said
    assert "80 % interval" in ended.said
    assert "Fitting cohort 2 of 2" in ended.err
    content = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    assert (content["prob"], content["seed"], content["engine_settings"]["draws"]) == (0.8, 3, 300)
    assert content["engine_settings"]["chains"] == 2
    estimands = pd.read_csv(folder / "estimands.csv")
    assert estimands["group"].unique().tolist() == ["all"]
    shown = estimands[estimands["estimand"] == "median_survival"].iloc[0]
    assert f"{shown['median']:.1f}" in ended.said
    assert pd.read_csv(folder / "coefficients.csv").empty
    assert pd.read_csv(folder / "cohorts.csv")["patients"].tolist() == [33, 33]


def test_the_same_seed_writes_the_same_numbers(run, sitewise, tmp_path):
    _, folder = run
    ended = sitewise("fit", "--evidence", YAO, "--cohorts", 2, "--draws", 300, "--seed", 3, "--prob", 0.8, "--out", tmp_path)
    assert ended.code == 0
    for name in ("estimands", "parameters", "cohorts", "misses"):
        assert (tmp_path / f"{name}.csv").read_bytes() == (folder / f"{name}.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COHORT: is missing"),
        (["patients.csv", "--evidence", YAO], "given beside the table patients.csv"),
        (["--evidence", YAO, "--config", "study.toml"], "--config: describes a patient table"),
        (["patients.csv", "--cohorts", 3, "--model", "Surv(time, event) ~ 1"], "--cohorts: belongs to --evidence"),
        (["--evidence", YAO, "--prob", 1.5], "between 0 and 1"),
        (["--evidence", "krog-20-05"], "krog-20-04"),
        (["--evidence", "krog-20-04", "--model", "Surv(time, event) ~ eocg"], "Did you mean 'ecog'?"),
        (["--evidence", YAO, "--model", "Surv(time, event) ~ 1 + (1 | site)"], "the paper has one site"),
    ],
)
def test_what_does_not_go_together_is_refused(sitewise, tmp_path, arguments, said):
    folder = tmp_path / "out"
    ended = sitewise("fit", *arguments, "--out", folder)
    assert ended.code == 2
    assert said in ended.error
    assert not folder.exists()


def test_impossible_numbers_are_refused_with_every_finding(sitewise, tmp_path):
    """Two medians of the same patients: neither is fitted, nor what lies between them."""
    again = """
[[survival]]
id = "os-again"
where = "Abstract"
quote = ["median survival 40 months"]
median = 40.0
"""
    (tmp_path / "own.toml").write_text(evidence_path("krog-20-04").read_text(encoding="utf-8") + again, encoding="utf-8")
    ended = sitewise("fit", "--evidence", tmp_path / "own.toml", "--out", tmp_path / "out")
    assert ended.code == 2
    errors = sw.audit(sw.load_evidence(tmp_path / "own.toml")).of("error")
    assert errors
    for item in errors:
        assert item.sentence.rstrip(".") in ended.error
    assert not (tmp_path / "out").exists()


def test_every_contradiction_of_the_flags_is_named_at_once(sitewise, tmp_path):
    ended = sitewise("fit", "p.csv", "--evidence", YAO, "--config", "s.toml", "--out", tmp_path / "out")
    assert "2 problems" in ended.error


def test_too_few_cohorts_end_with_exit_code_1(sitewise, quick, tmp_path, monkeypatch):
    """Every second cohort is made to fail before its fit."""
    real = evidence_fits.cohort_of

    def failing(produced, position, levels, **options):
        if position % 2:
            raise evidence_fits.SpecError("made to fail")
        return real(produced, position, levels, **options)

    monkeypatch.setattr(evidence_fits, "cohort_of", failing)
    arguments = ("fit", "--evidence", YAO, "--cohorts", 2, "--draws", 300, "--out", tmp_path)
    ended = sitewise(*arguments)
    assert ended.code == 1
    assert "1 of 2 cohorts are in the stack" in ended.said
    assert "The verdict is fail" in ended.said
    table = pd.read_csv(tmp_path / "cohorts.csv")
    assert table["in_stack"].tolist() == [True, False]
    assert table["reason"][1] == "made to fail"
    assert "do not use these numbers" in (tmp_path / "report.html").read_text(encoding="utf-8")
