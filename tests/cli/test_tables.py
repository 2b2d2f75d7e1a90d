"""`sitewise tables`: which columns are what, the study file, several cohorts, a paper, and what is refused."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.cohort import packaged_path


@pytest.fixture(scope="module")
def frame():
    """Two synthetic cohorts with the columns of produced tables; ECOG as the paper has it."""
    parts = []
    for number in range(2):
        part = sw.simulate(sw.load_scenario("krog-20-04"), number + 1).frame
        part.insert(0, "cohort", number)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["ecog"] = table["ecog"].astype(str).replace({">=1": "1"})
    table["pfs_time"], table["pfs_event"] = table["time"] / 2, 1
    table["first_failure"] = np.where(table.index % 3 == 0, "none", "distant")
    table["grade"] = table.index % 4
    return table.assign(product="plug_in", evidence="krog-20-04", evidence_hash="a1", seed=1, draw=0)


@pytest.fixture
def without_drawing(monkeypatch):
    """Draw no pictures, which take most of the time; tests/report looks at them."""
    import sitewise.report.classical_write

    monkeypatch.setattr(sitewise.report.classical_write, "draw_all", lambda tables, folder, beside: [])


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    place = tmp_path_factory.mktemp("tables") / "cohorts.csv"
    frame.to_csv(place, index=False)
    return place


@pytest.fixture(scope="module")
def ran(sitewise, path, tmp_path_factory):
    out = tmp_path_factory.mktemp("tables") / "out"
    return sitewise("tables", path, "--cohort", 1, "--evidence", "krog-20-04", "--toxicity", "grade", "--out", out), out


def test_a_paper_beside(ran, frame):
    run, out = ran
    assert run.code == 0, run.err
    assert run.out.startswith("Synthetic data: these patients are not real.")
    own = frame[frame["cohort"] == 1]
    deaths, size = int(own["event"].sum()), len(own)
    assert f"cohort 1: {size} patients at 5 sites, {deaths} events of overall survival and {size} events of" in run.said
    assert "published numbers that this table can be held against are equal when rounded alike" in run.said
    assert f"{len(list(out.iterdir()))} files in" in run.said
    survival = pd.read_csv(out / "survival.csv").set_index(["endpoint", "partition", "group"])
    assert survival.loc[("os", "all", "all"), ["n", "events"]].tolist() == [size, deaths]
    assert pd.read_csv(out / "failures.csv").set_index("pattern").loc["distant", "n"] == (own["first_failure"] != "none").sum()
    toxic = pd.read_csv(out / "toxicity.csv")
    assert toxic[(toxic["group"] == "all") & (toxic["grade"] == 3)]["n"].item() == (own["grade"] == 3).sum()
    cox = pd.read_csv(out / "cox.csv")
    assert set(cox["endpoint"]) == {"os"}  # the paper has no model of another
    assert set(cox["covariate"]) == {"ecog", "child_pugh", "primary", "interval"}
    assert (out / "report.html").is_file()


def test_nothing_is_cut_in_a_narrow_terminal(ran):
    run, _ = ran
    table = run.out.split("univariate (95 %)")[1].split("Note:")[0]
    assert "…" not in table
    assert max(len(line.rstrip()) for line in table.splitlines()) <= 80


@pytest.mark.usefixtures("without_drawing")
def test_outcomes_and_provenance_are_no_covariates(sitewise, path, frame, tmp_path):
    run = sitewise("tables", path, "--cohort", 0, "--out", tmp_path)
    assert run.code == 0, run.err
    one = set(pd.read_csv(tmp_path / "table_one.csv")["characteristic"])
    assert one == {"ecog", "child_pugh", "primary", "interval", "grade"}
    content = json.loads((tmp_path / "analysis.json").read_text())
    assert content["evidence"] is None
    assert content["compared_by"] == "site"
    assert set(pd.read_csv(tmp_path / "cox.csv")["endpoint"]) == {"os", "pfs"}
    assert "grade has 4 whole-number values" in run.said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "cohorts.csv holds 2 cohorts (column 'cohort': '0', '1'). Name one with --cohort, such as --cohort 0"),
        (["--cohort", "7"], "--cohort 7: cohorts.csv has no such cohort."),
        (["--cohort", "0", "--evidence", "krog-20-4"], "There is no packaged summary 'krog-20-4'."),
        (
            ["--cohort", "0", "--toxicity", "grad"],
            "column 'grad': does not exist; it was named as toxicity. Did you mean 'grade'?",
        ),
        (["--cohort", "0", "--entry-p", "1.5"], "entry_p: is 1.5; it must be between 0 and 1"),
        (["--cohort", "0", "--by", "ecg"], "compared by 'ecg': is nothing that has groups. Did you mean 'ecog'?"),
    ],
)
def test_what_is_refused(sitewise, path, arguments, message, tmp_path):
    run = sitewise("tables", path, *arguments, "--out", tmp_path / "out")
    assert run.code == 2
    assert message in run.error
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_drawing")
def test_a_cohort_of_a_file_that_holds_one(sitewise, tmp_path):
    table = pd.DataFrame({"time": [1.0, 2, 3], "event": [1, 0, 1], "mark": ["a", "b", "a"]})
    table.to_csv(tmp_path / "one.csv", index=False)
    run = sitewise("tables", tmp_path / "one.csv", "--cohort", 1, "--out", tmp_path / "out")
    assert run.code == 2
    assert "--cohort 1: one.csv has no column 'cohort', it holds one cohort." in run.error
    assert sitewise("tables", tmp_path / "one.csv", "--out", tmp_path / "out").code == 0


def test_times_and_events_alone(sitewise, tmp_path):
    """No site, no covariate: survival of all patients, pictures and page included."""
    pd.DataFrame({"time": [1.0, 2, 3, 4], "event": [1, 0, 1, 1]}).to_csv(tmp_path / "bare.csv", index=False)
    run = sitewise("tables", tmp_path / "bare.csv", "--out", tmp_path / "out")
    assert run.code == 0, run.err
    assert pd.read_csv(tmp_path / "out" / "survival.csv")["median"].tolist() == [3]
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {"endpoints"}
    for name in ("cox", "table_one", "tests", "log_rank"):
        assert pd.read_csv(tmp_path / "out" / f"{name}.csv").empty


@pytest.mark.usefixtures("without_drawing")
def test_a_study_file(sitewise, tmp_path):
    """The packaged study of the lung cohort: recoded ECOG, reference levels, risk groups, milestones."""
    run = sitewise("tables", packaged_path("lung"), "--config", packaged_path("lung", ".toml"), "--out", tmp_path)
    assert run.code == 0, run.err
    cox = pd.read_csv(tmp_path / "cox.csv", dtype={"level": str, "reference": str})
    rows = cox[cox["model"] == "univariate"].set_index("covariate")
    assert rows.loc["ecog", ["level", "reference"]].tolist() == [">=1", "0"]
    assert rows.loc["sex", ["level", "reference"]].tolist() == ["2", "1"]
    assert list(rows.index) == ["ecog", "age", "sex"]
    survival = pd.read_csv(tmp_path / "survival.csv")
    assert "survival_24" in survival.columns
    assert survival[survival["partition"] == "risk group"]["group"].tolist() == ["1 of 1 favourable", "0 of 1 favourable"]
    assert "2 of 228 rows dropped for missing values" in run.said
    assert (rows["model_patients"] == 226).all()
    assert "Advanced lung cancer: how long do patients survive" in (tmp_path / "report.html").read_text()


@pytest.mark.usefixtures("without_drawing")
def test_without_missing_in_the_study_each_table_uses_whoever_has_a_value(sitewise, tmp_path):
    (tmp_path / "study.toml").write_text(
        '[data]\ntime = "time_months"\nevent = "event"\nid = "id"\n'
        '[data.recode]\necog = { column = "ph_ecog", levels = { "0" = [0], ">=1" = [1, 2, 3] } }\n'
        '[covariates]\nunfavourable = { ecog = [">=1"] }\nreference = { sex = "2" }\n'
    )
    run = sitewise(
        "tables", packaged_path("lung"), "--config", tmp_path / "study.toml", "--by", "sex", "--out", tmp_path / "out"
    )
    assert run.code == 0, run.err
    cox = pd.read_csv(tmp_path / "out" / "cox.csv").set_index(["model", "covariate"])
    assert cox.loc[("univariate", "ecog"), "model_patients"] == 227
    assert cox.loc[("univariate", "sex"), "model_patients"] == 228
    assert cox.loc[("univariate", "ecog"), "remark"] == "1 patient with a missing value left out"
    survival = pd.read_csv(tmp_path / "out" / "survival.csv")
    assert survival[survival["partition"] == "risk group"]["group"].tolist() == ["1 of 1 unfavourable", "0 of 1 unfavourable"]
    assert set(pd.read_csv(tmp_path / "out" / "tests.csv")["compared_by"]) == {"sex"}


def test_weights_are_refused(sitewise, tmp_path):
    table = pd.DataFrame({"time": [1.0, 2, 3], "event": [1, 0, 1], "w": [1.0, 2, 1]})
    table.to_csv(tmp_path / "w.csv", index=False)
    (tmp_path / "study.toml").write_text('[data]\nweights = "w"\n')
    run = sitewise("tables", tmp_path / "w.csv", "--config", tmp_path / "study.toml", "--out", tmp_path / "out")
    assert run.code == 2
    assert "the classical tables count patients and take no weights" in run.error


@pytest.mark.usefixtures("without_drawing")
def test_ties(sitewise, path, tmp_path):
    """With times in whole months the two treatments of ties differ."""
    table = pd.read_csv(path)
    table["time"] = np.ceil(table["time"])
    table.drop(columns=["pfs_time", "pfs_event"]).to_csv(tmp_path / "whole.csv", index=False)
    found = {}
    for ties in ("efron", "breslow"):
        run = sitewise("tables", tmp_path / "whole.csv", "--cohort", 0, "--ties", ties, "--out", tmp_path / ties)
        assert run.code == 0, run.err
        found[ties] = pd.read_csv(tmp_path / ties / "cox.csv")["hazard_ratio"].iloc[0]
        assert json.loads((tmp_path / ties / "analysis.json").read_text())["ties"] == ties
    assert abs(np.log(found["efron"])) > abs(np.log(found["breslow"]))  # Breslow's estimates are nearer to 1


@pytest.mark.usefixtures("without_drawing")
def test_the_model_beside(sitewise, path, tmp_path, monkeypatch):
    """A fit with a verdict that is fail shows in the exit code."""
    import sitewise.studies.classical_analysis.hidden as hidden
    from sitewise.inference import Nuts

    monkeypatch.setattr(hidden, "Nuts", lambda: Nuts(draws=20, tune=60, chains=2))
    run = sitewise("tables", path, "--cohort", 0, "--evidence", "krog-20-04", "--fit", "--out", tmp_path)
    effects = pd.read_csv(tmp_path / "model_effects.csv")
    assert {"ecog", "child_pugh"} <= set(effects["covariate"])
    verdict = json.loads((tmp_path / "analysis.json").read_text())["model"]["verdict"]
    assert verdict == "fail"  # twenty draws
    assert run.code == 1
    assert "do not use its numbers" in run.said
    assert "failed its checks" in (tmp_path / "report.html").read_text()


def test_help_is_quick_and_tables_load_no_sampler(path, tmp_path):
    program = "\n".join(
        [
            "import contextlib, io, sys",
            "from sitewise.cli import main",
            "sys.argv = ['sitewise', 'tables', *sys.argv[1:]]",
            "with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):",
            "    main()",
            "print(*{name.split('.')[0] for name in sys.modules})",
            "print(shown.getvalue())",
        ]
    )

    def loaded(*arguments):
        command = [sys.executable, "-c", program, *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        modules, _, shown = run.stdout.partition("\n")
        return set(modules.split()), shown

    modules, shown = loaded("--help")
    assert "--evidence" in shown
    assert not modules & {"pandas", "scipy", "numba", "matplotlib"}
    modules, _ = loaded(path, "--cohort", 0, "--out", tmp_path)
    assert (tmp_path / "report.html").is_file()
    assert not modules & {"pymc", "pytensor", "nutpie", "arviz_stats", "formulae"}


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
