"""`sitewise simulate`: tables that say that they are synthetic, the truth beside them, and slips."""

import json
import re
from importlib import resources

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import sitewise as sw

COLUMNS = ["cohort", "patient", "site", "time", "event", "ecog", "child_pugh", "primary", "interval", "synthetic"]
STATED = """
id = "stated"
title = "Two sites that are known"
patients = 20
[baseline]
median = 10
parameters = { shape = 1.2 }
[censoring]
administrative = 30
[sites]
labels = ["A", "B"]
shares = [0.5, 0.5]
log_hazard_ratios = [-0.3, 0.3]
"""


@pytest.fixture(scope="module")
def scenario():
    return sw.load_scenario("krog-20-04")


@pytest.fixture(scope="module")
def one(sitewise, tmp_path_factory):
    """One cohort by the shortest command, into a folder that is not there yet."""
    path = tmp_path_factory.mktemp("one") / "new" / "folder" / "x.csv"
    return sitewise("simulate", "krog-20-04", "--out", path), path


def test_one_cohort(one, scenario):
    run, path = one
    assert run.code == 0, run.err
    table = pd.read_csv(path)
    assert list(table.columns) == COLUMNS
    assert len(table) == 100
    assert table["synthetic"].all()
    assert (table["cohort"] == 0).all()
    expected = sw.simulate(scenario, 1)  # seed 1, unless asked
    np.testing.assert_allclose(table["time"], expected.time, rtol=1e-14)
    np.testing.assert_array_equal(table["event"], expected.event)
    assert table["site"].tolist() == expected.site.astype(str).tolist()


def test_the_screen_says_what_was_made(one):
    run, path = one
    assert run.out.startswith("Synthetic data, no real patients: ")
    assert "1 cohort of 100 patients at 5 sites" in run.out
    assert str(path) in run.out
    assert "x.truth.json" in run.out
    assert "Assumed: nobody dies or leaves before 1.95 months" in run.out
    assert re.search(r"Scenario [0-9a-f]{16}, seed 1\.", run.out)
    assert run.err == ""


def test_what_is_true_stands_beside_it(one, scenario):
    _, path = one
    truth = json.loads(path.with_name("x.truth.json").read_text(encoding="utf-8"))
    assert truth["synthetic"] is True
    assert (truth["seed"], truth["cohorts"], truth["sitewise"]) == (1, 1, sw.__version__)
    assert truth["scenario_hash"] == scenario.hash
    assert sw.Scenario.from_dict(truth["scenario"]) == scenario
    np.testing.assert_array_equal(truth["site_effects"], [sw.simulate(scenario, 1).site_effects])


def test_size_sites_number_and_seed(sitewise, tmp_path):
    path = tmp_path / "many.csv"
    run = sitewise("simulate", "krog-20-04", "--out", path, "--n", 30, "--sites", 3, "--cohorts", 4, "--seed", 9)
    assert run.code == 0, run.err
    table = pd.read_csv(path)
    assert table.groupby("cohort").size().tolist() == [30] * 4
    assert table["cohort"].unique().tolist() == [0, 1, 2, 3]
    assert table.groupby(["cohort", "site"]).size().unique().tolist() == [10]
    assert set(table["site"]) == {"site 1", "site 2", "site 3"}
    assert table.groupby("cohort")["patient"].apply(list).tolist() == [list(range(1, 31))] * 4
    assert "4 cohorts of 30 patients at 3 sites" in run.out
    truth = json.loads((tmp_path / "many.truth.json").read_text(encoding="utf-8"))
    assert np.shape(truth["site_effects"]) == (4, 3)
    assert (truth["seed"], truth["cohorts"], truth["scenario"]["patients"]) == (9, 4, 30)
    made = sw.simulate_many(sw.Scenario.from_dict(truth["scenario"]), 4, seed=9)
    np.testing.assert_allclose(table["time"].to_numpy().reshape(4, 30), made.time, rtol=1e-14)
    lowest, highest = made.event.sum(axis=1).min(), made.event.sum(axis=1).max()
    assert f"{lowest} to {highest} events each" in run.out


def test_the_seed_decides(sitewise, one, tmp_path):
    _, path = one
    for seed, same in ((1, True), (2, False)):
        sitewise("simulate", "krog-20-04", "--out", tmp_path / "again.csv", "--seed", seed)
        assert ((tmp_path / "again.csv").read_bytes() == path.read_bytes()) == same


def test_the_scenarios_own_number_of_sites_keeps_their_sizes(sitewise, one, tmp_path):
    sitewise("simulate", "krog-20-04", "--out", tmp_path / "five.csv", "--sites", 5)
    assert (tmp_path / "five.csv").read_bytes() == one[1].read_bytes()


def test_parquet(sitewise, one, tmp_path, scenario):
    path = tmp_path / "x.parquet"
    run = sitewise("simulate", "krog-20-04", "--out", path)
    assert run.code == 0, run.err
    table = pd.read_parquet(path)
    assert table["synthetic"].dtype == bool
    read = pd.read_csv(one[1])
    for name in COLUMNS:
        assert table[name].astype(str).tolist() == read[name].astype(str).tolist() or np.allclose(table[name], read[name])
    metadata = json.loads(pq.read_schema(path).metadata[b"sitewise"])
    assert metadata == {"synthetic": True, "sitewise": sw.__version__, "scenario_hash": scenario.hash, "seed": 1}
    assert (tmp_path / "x.truth.json").is_file()


def test_a_scenario_of_ones_own(sitewise, one, tmp_path):
    """The packaged file under another name gives the same patients."""
    source = resources.files("sitewise.simulate") / "library" / "krog-20-04.toml"
    (tmp_path / "own.toml").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    run = sitewise("simulate", tmp_path / "own.toml", "--out", tmp_path / "own.csv")
    assert run.code == 0, run.err
    assert (tmp_path / "own.csv").read_bytes() == one[1].read_bytes()


@pytest.fixture
def stated(tmp_path):
    path = tmp_path / "stated.toml"
    path.write_text(STATED, encoding="utf-8")
    return path


def test_a_scenario_with_stated_sites(sitewise, stated, tmp_path):
    run = sitewise("simulate", stated, "--out", tmp_path / "x.csv", "--cohorts", 2)
    assert run.code == 0, run.err
    truth = json.loads((tmp_path / "x.truth.json").read_text(encoding="utf-8"))
    assert truth["site_effects"] == [[-0.3, 0.3]] * 2
    assert sitewise("simulate", stated, "--out", tmp_path / "y.csv", "--sites", 2).code == 0
    run = sitewise("simulate", stated, "--out", tmp_path / "z.csv", "--sites", 3)
    assert run.code == 2
    assert run.error == "Error: --sites needs a scenario whose sites are drawn (sd), not one with stated effects."
    assert not (tmp_path / "z.csv").exists()


def test_an_unknown_scenario(sitewise, tmp_path):
    run = sitewise("simulate", "krog-20-4", "--out", tmp_path / "x.csv")
    assert run.code == 2
    assert run.error.startswith("Error: There is no packaged scenario 'krog-20-4'. Did you mean 'krog-20-04'?")
    assert ".toml" in run.error
    assert list(tmp_path.iterdir()) == []


def test_no_such_file(sitewise, tmp_path):
    run = sitewise("simulate", tmp_path / "none.toml", "--out", tmp_path / "x.csv")
    assert (run.code, run.error) == (2, f"Error: There is no file {tmp_path / 'none.toml'}.")


def test_a_broken_scenario_shows_all_its_problems(sitewise, stated, tmp_path):
    text = STATED.replace("patients = 20", "patients = 0").replace("median = 10", 'median = "ten"')
    stated.write_text(text.replace("administrative", "administrativ"), encoding="utf-8")
    run = sitewise("simulate", stated, "--out", tmp_path / "x.csv")
    assert run.code == 2
    assert re.match(r"Error: .*stated.* has \d problems:", run.error.splitlines()[0])
    for place in ("baseline median", "administrativ"):
        assert place in run.error
    assert "Traceback" not in run.err
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("name", ["x.txt", "x", "x.csv.gz"])
def test_a_file_of_another_kind(name, sitewise, tmp_path):
    run = sitewise("simulate", "krog-20-04", "--out", tmp_path / name)
    assert (run.code, run.error) == (2, f"Error: --out {tmp_path / name} must end in .csv or .parquet.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["simulate"], "Missing argument"),
        (["simulate", "krog-20-04"], "Missing option '--out'"),
        (["simulate", "krog-20-04", "--out", "x.csv", "--n", "0"], "Invalid value for '--n'"),
        (["simulate", "krog-20-04", "--out", "x.csv", "--sites", "0"], "Invalid value for '--sites'"),
        (["simulate", "krog-20-04", "--out", "x.csv", "--cohorts", "0"], "Invalid value for '--cohorts'"),
        (["simulate", "krog-20-04", "--out", "x.csv", "--seed", "-1"], "Invalid value for '--seed'"),
        (["simulate", "krog-20-04", "--out", "x.csv", "--patients", "3"], "No such option"),
    ],
)
def test_usage(arguments, expected, sitewise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = sitewise(*arguments)
    assert run.code == 2
    assert expected in " ".join(run.err.split())
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_flag(sitewise):
    run = sitewise("simulate", "--help")
    assert run.code == 0
    for flag in ("--out", "--n", "--sites", "--cohorts", "--seed", "krog-20-04"):
        assert flag in run.said


@pytest.fixture(scope="module", params=["csv", "parquet"])
def fitted(request, sitewise, without_pictures, tmp_path_factory):
    """`sitewise fit` of a simulated file, by formula only."""
    place = tmp_path_factory.mktemp("fitted")
    path, folder = place / f"x.{request.param}", place / "results"
    sitewise("simulate", "krog-20-04", "--out", path)
    flags = ["--draws", 60, "--chains", 2, "--allow-fail", "--out", folder]
    return sitewise("fit", path, "--model", "Surv(time, event) ~ ecog", *flags), folder


def test_a_fit_of_the_file_knows_that_it_is_synthetic(fitted):
    run, folder = fitted
    assert run.code == 0, run.err
    assert run.out.splitlines()[0] == "Synthetic data: these patients were simulated, they are not real."
    assert json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))["data"]["synthetic"] is True
    assert pd.read_csv(folder / "estimands.csv")["synthetic"].all()
    assert "Synthetic data" in (folder / "report.html").read_text(encoding="utf-8")
    assert not (folder / "truth.csv").exists()  # a table does not know its scenario
    assert "true" not in run.out


def test_no_number_is_cut_on_the_screen(fitted):
    run, folder = fitted
    estimands = pd.read_csv(folder / "estimands.csv")
    assert estimands.loc[estimands["estimand"] == "survival", "horizon"].nunique() == 5
    assert "…" not in run.out
