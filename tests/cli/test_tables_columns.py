"""`sitewise tables`: what a column is taken for by its name and codes, and a second endpoint coded otherwise."""

import numpy as np
import pandas as pd
import pytest


def analysed(sitewise, folder, table, *arguments, study=None):
    """Run on a table, with the text of a study file where there is one; what ended, and where the files are."""
    table.to_csv(folder / "patients.csv", index=False)
    if study is not None:
        (folder / "study.toml").write_text(study)
        arguments = (*arguments, "--config", folder / "study.toml")
    return sitewise("tables", folder / "patients.csv", *arguments, "--out", folder / "out"), folder / "out"


def hospitals(**changed):
    """Twelve patients of two hospitals."""
    columns = {"time": np.arange(1.0, 13), "event": [1, 1, 0] * 4, "centre": list("AABB") * 3, "age": np.arange(50, 62)}
    return pd.DataFrame({**columns, **changed})


@pytest.mark.usefixtures("without_drawing")
def test_a_level_that_is_called_none(sitewise, tmp_path):
    run, out = analysed(sitewise, tmp_path, hospitals(ascites=["None", "Mild", "Severe"] * 4))
    assert run.code == 0, run.err
    one = pd.read_csv(out / "table_one.csv", keep_default_na=False)
    rows = one[(one["characteristic"] == "ascites") & (one["group"] == "all")]
    assert dict(zip(rows["level"], rows["n"], strict=True)) == {"Mild": 4, "None": 4, "Severe": 4}


@pytest.mark.usefixtures("without_drawing")
def test_first_failures_written_as_none_are_none(sitewise, tmp_path):
    run, out = analysed(sitewise, tmp_path, hospitals(first_failure=["None", "none", "distant"] * 4))
    assert run.code == 0, run.err
    failures = pd.read_csv(out / "failures.csv", keep_default_na=False).set_index(["pattern", "counted"])
    assert failures.loc[("failure", "all"), "n"] == 4


@pytest.mark.parametrize("arguments", [(), ("--evidence", "krog-20-04")])
def test_a_column_that_occurs_twice(sitewise, arguments, tmp_path):
    table = hospitals(ecog=[0, 1] * 6, again=[1, 0] * 6).rename(columns={"again": "ecog"})
    study = '[covariates]\nfavourable = { ecog = ["0"] }\n'
    run, _ = analysed(sitewise, tmp_path, table, *arguments, study=study)
    assert run.code == 2
    assert "column 'ecog' occurs more than once. Give each column a name of its own." in run.error


def test_two_columns_of_cohorts(sitewise, tmp_path):
    table = hospitals(cohort=[0, 1] * 6, again=[1, 0] * 6).rename(columns={"again": "cohort"})
    run, _ = analysed(sitewise, tmp_path, table, "--cohort", 0)
    assert run.code == 2
    assert "column 'cohort' occurs more than once." in run.error


@pytest.mark.parametrize(("name", "of"), [("site", "the sites"), ("risk group", "the risk groups"), ("all", "all patients")])
def test_covariates_with_names_that_the_tables_give(sitewise, name, of, tmp_path):
    table = hospitals(**{name: list("xyz") * 4})
    run, out = analysed(sitewise, tmp_path, table, study='[data]\nsite = "centre"\n')
    assert run.code == 2
    assert (
        f"column '{name}': is a covariate, and the tables call {of} '{name}'. Rename the column, or leave it out." in run.error
    )
    assert not out.exists()


@pytest.mark.usefixtures("without_drawing")
def test_a_column_called_site_that_is_no_covariate(sitewise, tmp_path):
    study = '[data]\nsite = "centre"\n[model]\nformula = "Surv(time, event) ~ age + (1 | centre)"\n'
    run, out = analysed(sitewise, tmp_path, hospitals(site=list("xyz") * 4), study=study)
    assert run.code == 0, run.err
    assert pd.read_csv(out / "log_rank.csv")["groups"].tolist() == ["A / B"]


@pytest.mark.usefixtures("without_drawing")
def test_of_site_means_the_covariates_are_analysed(sitewise, tmp_path):
    table = hospitals(ecog=[0, 1, 1, 0, 1, 0] * 2)
    study = (
        '[data]\nsite = "centre"\nsite_means = ["age", "ecog"]\nmissing = "drop"\n'
        '[model]\nformula = "Surv(time, event) ~ age + age_site_mean + ecog_site_share + (1 | centre)"\n'
    )
    run, out = analysed(sitewise, tmp_path, table, study=study)
    assert run.code == 0, run.err
    assert list(dict.fromkeys(pd.read_csv(out / "table_one.csv")["characteristic"])) == ["age", "ecog"]


def test_two_codes_of_a_second_endpoint_that_say_nothing(sitewise, tmp_path):
    """The study's event level is of another code, so it is not named as the remedy."""
    table = hospitals(event=["dead", "dead", "alive"] * 4, pfs_time=np.arange(1.0, 13) / 2, pfs_event=[1, 2, 1] * 4)
    run, _ = analysed(sitewise, tmp_path, table, study='[data]\nevent_level = "dead"\n')
    assert run.code == 2
    assert (
        "column 'pfs_event': holds '1', '2', which does not say which value is the event. Write 0 and 1 in pfs_event."
        in run.error
    )
    assert "Set event_level" not in run.error


@pytest.mark.usefixtures("without_drawing")
@pytest.mark.parametrize(
    ("event", "level", "pfs", "events"),
    [
        ([2, 2, 1], "2", [2, 2, 1], 8),
        ([2, 2, 1], "2", [2, 2, 2], 12),
        ([1, 1, 2], "1", [1, 1, 2], 8),
        ([1, 1, 0], "", [1, 1, 0], 8),
        ([1, 1, 0], "1", [0, 0, 0], 0),
        ([2, 2, 1], "2", [1, 1, 0], 8),
        ([0, 0, 1], "0", [0, 0, 1], 8),
        (["dead", "dead", "dead"], '"dead"', ["dead", "alive", "dead"], 8),
        (["True", "True", "False"], "", ["True", "True", "False"], 8),
        (["True", "True", "False"], "", ["False", "False", "False"], 0),
        (["dead", "dead", "alive"], '"dead"', [1, 1, 0], 8),
    ],
)
def test_a_second_endpoint_coded_like_the_first(sitewise, event, level, pfs, events, tmp_path):
    table = hospitals(event=event * 4, pfs_time=np.arange(1.0, 13) / 2, pfs_event=pfs * 4)
    run, out = analysed(sitewise, tmp_path, table, study=f"[data]\nevent_level = {level}\n" if level else "")
    assert run.code == 0, run.err
    survival = pd.read_csv(out / "survival.csv").set_index(["endpoint", "partition"])
    assert survival.loc[("os", "all"), "events"] == (12 if len(set(event)) == 1 else 8)
    assert survival.loc[("pfs", "all"), "events"] == events


@pytest.mark.parametrize(
    ("event", "level", "pfs"),
    [
        ([2, 2, 1], 2, [1, 1, 1]),  # the code of censoring, which is an event in another code
        ([1, 1, 0], 1, [1, 2, 1]),  # 1 is the event beside 0; beside 2 it may be either
    ],
)
def test_a_second_endpoint_in_doubt(sitewise, event, level, pfs, tmp_path):
    table = hospitals(event=event * 4, pfs_time=np.arange(1.0, 13) / 2, pfs_event=pfs * 4)
    run, _ = analysed(sitewise, tmp_path, table, study=f"[data]\nevent_level = {level}\n")
    assert run.code == 2
    assert "Write 0 and 1 in pfs_event." in run.error


def test_rows_of_a_second_endpoint_after_rows_were_dropped(sitewise, tmp_path):
    pfs = np.where(np.arange(12) == 4, "late", "0.5")
    table = hospitals(age=[None, 51, None, *range(53, 62)], pfs_time=pfs, pfs_event=1)
    study = '[data]\nmissing = "drop"\n[model]\nformula = "Surv(time, event) ~ age"\n'
    run, _ = analysed(sitewise, tmp_path, table, study=study)
    assert run.code == 2
    assert "column 'pfs_time': 1 value is not a number: 'late' (row 5)." in run.error
