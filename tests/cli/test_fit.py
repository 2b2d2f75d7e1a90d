"""`sitewise fit`: what is written, what is said, how it ends.

All runs use one table and two models, each compiled once in this process; a run then costs seconds.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PLAIN = "Surv(months, died) ~ ecog"
SITES = "Surv(months, died) ~ ecog + stage + grade + (1 | hospital)"
STUDY = f"""
[data]
time = "months"
event = "died"
site = "hospital"
time_unit = "months"
[covariates]
favourable = {{ ecog = ["0"], stage = ["I", "II"] }}
[model]
formula = "{SITES}"
[sampler]
draws = 60
tune = 300
chains = 2
seed = 5
[report]
times = [200, 400]
rmst_horizon = 365
prob = 0.9
margins = {{ survival = 0.1, rmst = 30 }}
"""
TABLES = ["coefficients", "parameters", "sites", "survival", "estimands", "contrasts", "groups"]
PICTURES = [f"{name}.{kind}" for name in ("survival", "effects", "chains") for kind in ("png", "svg")]
SITE_PICTURES = [f"{name}.{kind}" for name in ("survival_by_site", "sites", "site_spread") for kind in ("png", "svg")]
ALWAYS = {*(f"{name}.csv" for name in TABLES), *PICTURES, "diagnostics.json", "posterior.nc", "report.html"}


@dataclass(frozen=True)
class Run:
    """How a command ended, what it said, and where it wrote."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def diagnostics(self):
        return json.loads((self.folder / "diagnostics.json").read_text(encoding="utf-8"))

    def table(self, name):
        return pd.read_csv(self.folder / f"{name}.csv")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a patient table (CSV and Parquet) and a study.

    Times are days and are called months, hospital Z has one patient, nobody of stage IV died, grade has three whole-number
    values: each is worth a warning.
    """
    rng = np.random.default_rng(11)
    size = 80
    stage = np.array(["I", "II", "III"])[rng.integers(0, 3, size)]
    stage[:4] = "IV"
    died = (rng.uniform(size=size) < 0.75).astype(int)
    died[:4] = 0
    hospital = np.array(["A", "B", "C", "D"])[rng.integers(0, 4, size)]
    hospital[-1] = "Z"
    frame = pd.DataFrame(
        {
            "months": np.round(rng.weibull(1.3, size) * 420 + 1),
            "died": died,
            "hospital": hospital,
            "ecog": rng.integers(0, 2, size),
            "stage": stage,
            "grade": rng.integers(1, 4, size),
        }
    )
    folder = tmp_path_factory.mktemp("fit")
    frame.to_csv(folder / "patients.csv", index=False)
    frame.to_parquet(folder / "patients.parquet")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def fit(sitewise, place):
    """A function that runs `sitewise fit` on the table into a folder of its own."""

    def run(folder, *arguments, table="patients.csv", pictures=False):
        with pytest.MonkeyPatch.context() as patch:
            if not pictures:
                patch.setattr("sitewise.report.write.write_plots", lambda analysis, folder: [])
            ended = sitewise("fit", place / table, "--out", place / folder, *arguments)
        return Run(ended.code, ended.out, ended.err, place / folder)

    return run


@pytest.fixture(scope="module")
def by_model(fit):
    """A run with a formula only, and few draws."""
    return fit("by-model", "--model", PLAIN, "--draws", 100, "--chains", 2, "--allow-fail", pictures=True)


@pytest.fixture(scope="module")
def by_study(fit, place):
    """A run with a study only."""
    return fit("by-study", "--config", place / "study.toml", "--allow-fail", pictures=True)


@pytest.fixture(scope="module")
def failing(fit):
    """A run with too few draws to be trusted."""
    return fit("failing", "--model", PLAIN, "--draws", 10, "--chains", 2)


# By formula -----------------------------------------------------------------------------------------------


def test_a_formula_is_enough(by_model):
    assert by_model.code == 0, by_model.err
    assert {path.name for path in by_model.folder.iterdir()} == ALWAYS


def test_flags_reach_the_sampler(by_model):
    found = by_model.diagnostics
    assert (found["engine"], found["seed"], found["prob"]) == ("nuts", 1, 0.95)
    assert (found["engine_settings"]["draws"], found["engine_settings"]["chains"]) == (100, 2)
    assert found["data"]["source"] == "patients of patients.csv"


def test_the_screen_says_what_was_done(by_model):
    assert "Surv(months, died) ~ ecog, weibull, hazard-ratio" in " ".join(by_model.out.split())
    assert "80 patients" in by_model.out
    assert "Posterior median and 95 % interval, average site, in months." in by_model.out
    assert "not for decisions on single patients" in by_model.out
    assert f"{len(ALWAYS)} files in {by_model.folder}" in by_model.out


def test_progress_is_told_on_stderr(by_model):
    for stage in ("Reading the patients", "Loading the sampler", "Sampling 2 chains", "Writing tables", "Drawing pictures"):
        assert stage in by_model.err
    assert "Traceback" not in by_model.err


# By study -------------------------------------------------------------------------------------------------


def test_a_study_is_enough(by_study):
    assert by_study.code == 0, by_study.err
    assert {path.name for path in by_study.folder.iterdir()} == {*ALWAYS, *SITE_PICTURES, "site_models.csv"}


def test_the_study_reaches_sampler_and_report(by_study):
    found = by_study.diagnostics
    assert (found["seed"], found["prob"]) == (5, 0.9)
    settings = found["engine_settings"]
    assert (settings["draws"], settings["chains"], settings["tune"]) == (60, 2, 300)
    estimands = by_study.table("estimands")
    assert sorted(estimands.loc[estimands["estimand"] == "survival", "horizon"].unique()) == [200, 400]
    assert estimands.loc[estimands["estimand"] == "rmst", "horizon"].unique() == [365]
    assert list(estimands["group"].unique()) == ["2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable"]
    contrasts = by_study.table("contrasts")
    differences = contrasts[contrasts["scale"] == "difference"]
    assert differences.loc[differences["estimand"] == "survival", "margin"].unique() == [0.1]
    assert differences.loc[differences["estimand"] == "rmst", "margin"].unique() == [30]
    assert differences.loc[differences["estimand"] == "median_survival", "margin"].isna().all()


WORRIES = [
    "times have a median of ",
    "stage = 'IV' has 4 patients and no events: its effect rests on the prior.",
    "site 'Z' has a single patient: its effect is mostly the prior's.",
    "grade has 3 whole-number values and enters as one linear effect per unit, unless the formula has mo(grade);",
]


@pytest.mark.parametrize("worry", WORRIES)
def test_warnings_reach_the_file_and_the_screen(by_study, worry):
    assert [text for text in by_study.diagnostics["warnings"] if text.startswith(worry)]
    assert f"Warning: {worry}" in by_study.out


def test_notes_reach_the_file_and_the_screen(by_model):
    note = "ecog has two values and is read as categories; reference level '0'."
    assert by_model.diagnostics["data"]["notes"] == [note]
    assert f"Note: {note}" in by_model.out


def test_parquet_gives_the_numbers_of_csv(fit, by_study, place):
    other = fit("parquet", "--config", place / "study.toml", "--allow-fail", table="patients.parquet")
    assert other.code == 0, other.err
    assert other.diagnostics["data_hash"] == by_study.diagnostics["data_hash"]
    for name in TABLES:
        pd.testing.assert_frame_equal(other.table(name), by_study.table(name))


def test_flags_win_over_the_study(fit, place):
    flags = ["--model", PLAIN, "--draws", 50, "--chains", 3, "--seed", 9, "--prob", 0.8, "--engine", "nuts"]
    run = fit("both", "--config", place / "study.toml", *flags, "--allow-fail")
    assert run.code == 0, run.err
    found = run.diagnostics
    assert (found["seed"], found["prob"]) == (9, 0.8)
    settings = found["engine_settings"]
    assert (settings["draws"], settings["chains"], settings["tune"]) == (50, 3, 300)
    assert list(run.table("coefficients")["term"].unique()) == ["ecog[1]"]
    assert run.table("sites").empty
    # The study's risk groups and milestones stay.
    assert list(run.table("groups")["group"]) == ["2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable"]
    assert sorted(run.table("estimands")["horizon"].dropna().unique()) == [200, 365, 400]


# The verdict ----------------------------------------------------------------------------------------------


def test_a_failing_verdict_is_exit_code_1(failing):
    assert failing.code == 1
    assert failing.diagnostics["verdict"] == "fail"
    assert "The verdict is fail: do not use these numbers. (Exit code 1; --allow-fail gives 0.)" in failing.out


def test_a_failing_run_was_tried_twice_and_says_so(failing):
    assert failing.diagnostics["retried"] is True
    assert failing.diagnostics["notes"][0].startswith("The first run failed")
    assert "sampling once more" in failing.err


def test_a_failing_run_still_writes_every_file(failing):
    assert {path.name for path in failing.folder.iterdir()} == ALWAYS - set(PICTURES)


def test_the_failure_is_among_the_warnings_of_the_file(failing):
    assert [text for text in failing.diagnostics["warnings"] if text.startswith("Computation fail: ")]


def test_allow_fail_is_exit_code_0(fit, failing):
    run = fit("allowed", "--model", PLAIN, "--draws", 10, "--chains", 2, "--allow-fail")
    assert run.code == 0
    assert run.diagnostics["verdict"] == "fail"
    assert "Verdict fail: " in run.out
    # The same seed gives the same draws.
    pd.testing.assert_frame_equal(run.table("parameters"), failing.table("parameters"))
