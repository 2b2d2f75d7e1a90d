"""`sitewise demo lung` and `sitewise demo` as a user runs them: a process of its own, its streams, its files."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import sitewise as sw

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "files.md"
COMMAND = Path(sys.executable).with_name("sitewise")
PROGRESS = re.compile(r"^\[ *\d+\.\d s\] .+ \.\.\.$")
PICTURES = ("survival", "survival_by_site", "effects", "sites", "site_spread", "chains")
TABLES = ("coefficients", "parameters", "sites", "survival", "estimands", "contrasts", "groups")


def run_in(folder, *arguments):
    """The finished process, run in a folder and writing where it writes by default."""
    unset = {"PYTHONWARNINGS", "PYTHONDEVMODE"}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"COLUMNS": "80"}
    flags = ["--draws", "150", "--chains", "2", "--allow-fail"]
    command = [COMMAND, "demo", *arguments, *flags]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo of real patients in an empty folder."""
    folder = tmp_path_factory.mktemp("demo")
    return run_in(folder, "lung"), folder / "out" / "demo-lung"


@pytest.fixture(scope="module")
def krog(tmp_path_factory):
    """The demo without a name: synthetic patients of the packaged scenario."""
    folder = tmp_path_factory.mktemp("krog")
    return run_in(folder), folder / "out" / "demo-krog-20-04"


@pytest.fixture(params=["lung", "krog-20-04"])
def each(request, demo, krog):
    return demo if request.param == "lung" else krog


def test_it_ends_well(each):
    run, _ = each
    assert run.returncode == 0, run.stderr


def test_every_file_is_written(demo):
    _, folder = demo
    expected = {f"{name}.csv" for name in TABLES} | {f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == {
        *expected,
        *("diagnostics.json", "posterior.nc", "report.html", "site_models.csv"),
    }
    assert all(path.stat().st_size > 100 for path in folder.iterdir())


def test_stderr_holds_progress_and_no_warnings(each):
    run, _ = each
    other = [line for line in run.stderr.splitlines() if not PROGRESS.match(line)]
    assert other == []


def screen_table(out):
    """The lines of the table on the screen: from its header to the line that explains it."""
    lines = out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Group"))
    last = next(number for number, line in enumerate(lines) if line.startswith("Posterior median"))
    start = first
    while lines[start - 1].strip():
        start -= 1
    return lines[start:last]


def test_the_table_fits_a_terminal_of_80_columns(demo):
    table = screen_table(demo[0].stdout)
    assert all(len(line) <= 80 for line in table)
    text = " ".join(" ".join(table).split())
    # No column was cut and no word of a label was broken.
    assert "…" not in text
    assert text.count("favourable") == 2
    for column in ("Group", "n", "events", "S(6)", "S(12)", "S(24)"):
        assert column in text.split()
    assert re.search(r"^1 of 1", "\n".join(table), re.MULTILINE)
    assert re.search(r"^0 of 1", "\n".join(table), re.MULTILINE)


def test_the_table_shows_the_numbers_of_the_files(demo):
    run, folder = demo
    text = " ".join(screen_table(run.stdout))
    groups = pd.read_csv(folder / "groups.csv").set_index("group")
    assert groups["n"].to_dict() == {"1 of 1 favourable": 63, "0 of 1 favourable": 163}
    estimands = pd.read_csv(folder / "estimands.csv")
    for group in groups.index:
        own = estimands[(estimands["group"] == group) & (estimands["sites"] == "observed")]
        median = own[own["estimand"] == "median_survival"].iloc[0]
        assert f"{median['median']:.1f}" in text
        assert f"{median['lower']:.1f}-{median['upper']:.1f}" in text
        for _, row in own[own["estimand"] == "survival"].iterrows():
            assert f"{row['median']:.2f}" in text
            assert f"{row['lower']:.2f}-{row['upper']:.2f}" in text
        assert f"{groups.loc[group, 'km_median']:.1f}" in text


def test_the_screen_says_what_the_data_are(demo):
    out = demo[0].stdout
    assert "228 real patients with advanced lung cancer (North Central Cancer Treatment Group" in out
    assert "226 patients, 163 events" in out
    assert "Note: 2 of 228 rows dropped for missing values (inst: 1, ph_ecog: 1), as missing = 'drop' asked." in out
    assert "not for decisions on single patients" in out


def test_names_in_brackets_reach_the_screen(each):
    """Whatever check is worst, the parameter it names is printed whole, index and all."""
    run, folder = each
    found = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    assert found["sentence"] in run.stdout


def test_the_study_of_the_demo_is_the_one_reported(demo):
    _, folder = demo
    found = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    assert (found["data"]["patients"], found["data"]["events"], found["data"]["synthetic"]) == (226, 163, False)
    assert found["spec"]["formula"] == "Surv(time_months, event) ~ ecog + age + sex + (1 | inst)"
    assert (found["engine_settings"]["draws"], found["engine_settings"]["chains"]) == (150, 2)


# Synthetic patients -------------------------------------------------------------------------------------------

GROUPS = ("2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable")


def test_every_file_of_the_synthetic_demo_is_written(krog):
    _, folder = krog
    expected = {f"{name}.csv" for name in (*TABLES, "truth", "site_models", "cohort")}
    expected |= {f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == {*expected, "diagnostics.json", "posterior.nc", "report.html"}


def test_the_screen_counts_the_files(demo):
    run, folder = demo
    assert f"{len(list(folder.iterdir()))} files in out/demo-lung" in run.stdout


def test_the_screen_counts_the_files_of_the_synthetic_demo(krog):
    run, folder = krog
    assert f"{len(list(folder.iterdir()))} files in out/demo-krog-20-04" in run.stdout


def test_files_of_some_cases_hold_the_published_columns(krog):
    """The second table of docs/files.md; every file also says in a last column that the patients are synthetic."""
    _, folder = krog
    section = DOCUMENT.read_text(encoding="utf-8").split("## Files that are written in some cases")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    published = {file.strip(" `"): columns.strip() for file, columns, _ in rows}
    assert set(published) == {
        "site_models.csv",
        "site_slopes.csv",
        "truth.csv",
        "cohort.csv",
    }  # slopes: tests/report/test_slopes.py
    for name in ("site_models.csv", "truth.csv"):
        columns = [column.strip() for column in published[name].strip("`").split(",")]
        assert list(pd.read_csv(folder / name).columns) == [*columns, "synthetic"]
    simulated = sw.simulate_many(sw.load_scenario("krog-20-04"), 1, seed=2004).frame()
    assert list(pd.read_csv(folder / "cohort.csv").columns) == [name for name in simulated.columns if name != "cohort"]
    for path in folder.glob("*.csv"):
        table = pd.read_csv(path)
        assert table.columns[-1] == "synthetic", path.name
        assert table["synthetic"].all(), path.name


def test_every_picture_is_published(each):
    _, folder = each
    text = DOCUMENT.read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)`", text.split("each as `.png` and `.svg`:")[1].split("\n\n")[0])
    without_slopes = set(named) - {"site_slopes"}
    assert without_slopes == {path.stem for path in folder.glob("*.svg")} == {path.stem for path in folder.glob("*.png")}


def test_the_cohort_is_that_of_the_scenario(krog):
    _, folder = krog
    cohort = sw.simulate(sw.load_scenario("krog-20-04"), 2004)
    columns = {"time": "time", "event": "event", "site": "site", "id": "patient"}
    levels = {name: cohort.levels(name) for name in ("ecog", "child_pugh", "primary", "interval")}
    read = sw.Cohort.from_csv(folder / "cohort.csv", **columns, levels=levels)
    assert read.data_hash == cohort.data_hash
    found = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    assert (found["seed"], found["data_hash"], found["data"]["synthetic"]) == (2004, cohort.data_hash, True)
    assert found["spec"]["guarantee_time"] == 1.95


def test_the_screen_says_first_that_it_is_synthetic(krog):
    run, _ = krog
    first, second, *_ = run.stdout.splitlines()
    assert first.startswith("Synthetic data: one simulated cohort, not the paper's patients.")
    assert second.startswith(
        "sitewise demo krog-20-04: Surv(time, event) ~ ecog + child_pugh + primary + interval + (1 | site)"
    )
    assert "not real patients; 100 patients, 60 events" in run.stdout
    assert "not for decisions on single patients" in run.stdout
    assert str(Path("out", "demo-krog-20-04", "report.html")) in run.stdout


def test_the_table_of_the_synthetic_demo_fits_a_terminal_of_80_columns(krog):
    table = screen_table(krog[0].stdout)
    assert all(len(line) <= 80 for line in table)
    assert "…" not in "".join(table)


def test_the_truth_stands_in_the_table(krog):
    run, folder = krog
    lines = screen_table(run.stdout)
    truth = pd.read_csv(folder / "truth.csv")
    truth = truth[truth["sites"] == "observed"].set_index(["group", "estimand"])
    known = sw.Truth.of(sw.simulate(sw.load_scenario("krog-20-04"), 2004))
    groups = sw.RiskGroups.count_favourable(ecog="0", child_pugh="A")
    medians = known.median_survival(groups=groups, sites=sw.Observed())
    shown = [re.findall(r"true (\d+\.\d+)", line) for line in lines if "true" in line]
    assert len(shown) == len(GROUPS)
    for group, values in zip(GROUPS, shown, strict=True):
        assert truth.loc[(group, "median_survival"), "true_value"].item() == pytest.approx(medians[group], rel=1e-9)
        survival = truth.loc[(group, "survival")].sort_values("horizon")["true_value"]
        assert values == [f"{medians[group]:.1f}", *(f"{value:.2f}" for value in survival)]


def test_the_page_of_each_demo_asks_its_question(demo, krog):
    for (_, folder), question, banner in (
        (demo, "Advanced lung cancer: how long do patients survive, by ECOG 0 against 1 or more?", False),
        (
            krog,
            "Oligometastatic liver cancer after radiotherapy: how long do patients survive, by ECOG 0 and Child-Pugh A?",
            True,
        ),
    ):
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert f"<h1>{question}</h1>" in page
        assert ('<p class="banner">Synthetic data' in page) == banner
        assert page.count("data:image/") == 6


@pytest.mark.usefixtures("without_pictures")
def test_the_seed_is_that_of_patients_and_sampler(sitewise, tmp_path):
    flags = ["--draws", 40, "--chains", 2, "--allow-fail", "--out", tmp_path]
    run = sitewise("demo", "--seed", 5, *flags)
    assert run.code == 0, run.err
    cohort = sw.simulate(sw.load_scenario("krog-20-04"), 5)
    found = json.loads((tmp_path / "diagnostics.json").read_text(encoding="utf-8"))
    assert (found["seed"], found["data_hash"]) == (5, cohort.data_hash)
    assert "seed 5, cohort 0" in run.out


@pytest.mark.parametrize("name", ["krog", "krog-20-4", "none"])
def test_an_unknown_demo(name, sitewise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = sitewise("demo", name)
    assert run.code == 2
    assert run.error.startswith(f"Error: There is no demo '{name}'.")
    assert "'krog-20-04'" in run.error
    assert "'lung'" in run.error
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_demos(sitewise):
    run = sitewise("demo", "--help")
    assert run.code == 0
    assert "krog-20-04" in run.said
    assert "lung" in run.said
