"""`sitewise tables`: a paper beside, several cohorts, the study file, the screen, and what is refused."""

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
