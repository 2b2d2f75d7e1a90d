"""`sitewise fit`: slips of the user are told in words, with exit code 2, before anything is sampled or written."""

import pandas as pd
import pytest

PLAIN = "Surv(months, died) ~ ecog"

pytestmark = pytest.mark.usefixtures("no_sampling")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a sound table, a bad one, and a file that is no table."""
    folder = tmp_path_factory.mktemp("slips")
    frame = pd.DataFrame({"months": [5.0, 8, 12, 3, 20, 9], "died": [1, 0, 1, 1, 0, 1], "ecog": [0, 1, 0, 1, 1, 0]})
    frame.to_csv(folder / "patients.csv", index=False)
    frame.assign(months=frame["months"].where(frame.index != 4, -3), died=7).to_csv(folder / "bad.csv", index=False)
    (folder / "study.toml").write_text("")
    return folder


@pytest.fixture
def fit(sitewise, place):
    """A function that runs `sitewise fit` on a table of the folder, which must write nothing."""

    def run(*arguments, table="patients.csv"):
        ended = sitewise("fit", place / table, "--out", place / "none", *arguments)
        assert not (place / "none").exists()
        return ended

    return run


@pytest.fixture
def no_sampling(monkeypatch):
    """Fail a test that would start to sample."""

    def refuse(*arguments, **options):
        raise AssertionError("sampling started")

    monkeypatch.setattr("sitewise.inference.fit", refuse)


def assert_refused(run, message):
    """The run ended with code 2, this message on stderr, nothing on stdout and no traceback."""
    assert run.code == 2
    assert run.error == f"Error: {message}"
    assert run.out == ""


def test_no_model(fit):
    assert_refused(fit(), "Give a model: --model FORMULA, --config study.toml, or both.")


def test_a_study_without_a_formula(fit, tmp_path):
    (tmp_path / "study.toml").write_text("[sampler]\ndraws = 100\n")
    message = "There is no model: give --model, or formula in [model] of the study file."
    assert_refused(fit("--config", tmp_path / "study.toml"), message)


def test_no_such_table(fit, place):
    assert_refused(fit("--model", PLAIN, table="nobody.csv"), f"There is no file {place / 'nobody.csv'}.")


def test_no_such_study(fit, place):
    assert_refused(fit("--config", place / "no.toml"), f"There is no file {place / 'no.toml'}.")


def test_a_table_of_another_kind(fit):
    message = "study.toml: give the patients as .csv or .parquet, not '.toml'."
    assert_refused(fit("--model", PLAIN, table="study.toml"), message)


def test_a_bad_table(fit):
    message = (
        "The cohort has 2 problems (rows are counted from 1, without the header):\n"
        "  1. column 'died': holds '7', which does not say which value is the event. Set event_level = '7'.\n"
        "  2. column 'months': 1 time is negative (row 5). Correct this row."
    )
    assert_refused(fit("--model", PLAIN, table="bad.csv"), message)


def test_an_unknown_covariate(fit):
    message = "The cohort has 1 problem:\n  1. column 'ecgo': does not exist; it was named as covariate. Did you mean 'ecog'?"
    assert_refused(fit("--model", "Surv(months, died) ~ ecgo"), message)


def test_a_formula_that_is_none(fit):
    message = (
        "The left side 'months' must be Surv(...). Write it as Surv(time, event) ~ ecog + age + (1 | site), or "
        'Surv(entry, time, event) ~ ..., or Surv(lower, upper, type="interval") ~ ...'
    )
    assert_refused(fit("--model", "months ~ ecog"), message)


def test_both_ways_of_naming_times(fit, tmp_path):
    (tmp_path / "study.toml").write_text('[data]\nlower = "months"\nupper = "died"\n')
    run = fit("--config", tmp_path / "study.toml", "--model", "Surv(months, died) ~ ecog")
    message = (
        "The cohort has 1 problem:\n  1. columns: named are time = 'months', event = 'died', lower = 'months', upper = "
        "'died'. Name time and event, or lower and upper for times that are known to lie in an interval."
    )
    assert_refused(run, message)


def test_a_study_with_slips(fit, tmp_path):
    (tmp_path / "study.toml").write_text('[data]\ntiem = "months"\n')
    message = "study.toml has 1 problem:\n  1. [data] tiem: is not a known key. Did you mean 'time'?"
    assert_refused(fit("--config", tmp_path / "study.toml"), message)


def test_an_unknown_level_in_a_risk_group(fit, tmp_path):
    (tmp_path / "study.toml").write_text(f'[covariates]\nfavourable = {{ ecog = ["2"] }}\n[model]\nformula = "{PLAIN}"')
    run = fit("--config", tmp_path / "study.toml")
    assert run.code == 2
    assert "1. covariate 'ecog': has no level '2'. Levels: '0', '1'." in run.err


def test_an_engine_that_does_not_exist(fit, tmp_path):
    (tmp_path / "study.toml").write_text(f'[sampler]\nengine = "laplace"\n[model]\nformula = "{PLAIN}"')
    message = "There is no engine 'laplace'. Did you mean 'nested-laplace'?"
    assert_refused(fit("--config", tmp_path / "study.toml"), message)


def test_an_interval_in_percent(fit):
    message = "prob is 95; it must be between 0 and 1, such as 0.95."
    assert_refused(fit("--model", PLAIN, "--prob", 95), message)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fit"], "Missing option '--out'"),
        (["fit", "patients.csv", "--model", PLAIN], "Missing option '--out'"),
        (["fit", "patients.csv", "--modle", PLAIN], "No such option"),
        (["fit", "patients.csv", "--out", "o", "--draws", "2"], "Invalid value for '--draws'"),
        (["fit", "patients.csv", "--out", "o", "--chains", "0"], "Invalid value for '--chains'"),
        (["fit", "patients.csv", "--out", "o", "--engine", "gibbs"], "'gibbs' is not"),
        (["fti"], "No such command 'fti'"),
    ],
)
def test_usage(sitewise, arguments, expected):
    run = sitewise(*arguments)
    assert run.code == 2
    assert expected in " ".join(run.err.split())
