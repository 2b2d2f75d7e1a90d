"""`missing = "impute"`: files, report and screen of a pooled fit against the same numbers from Python; refusals."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.cli.tables import cohort_of
from sitewise.cohort import packaged_path
from sitewise.report.imputed import with_imputation
from sitewise.report.page import render_page
from sitewise.report.tables import all_tables
from sitewise.studies.imputation.pooled_fit import ENGINE

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "files.md"
STUDY = """\
[data]
time = "time_months"
event = "event"
missing = "impute"
[data.recode]
ecog = { column = "ph_ecog", levels = { "0" = [0], "1" = [1], ">=2" = [2, 3] } }
[covariates]
reference = { ecog = "0", sex = "1" }
favourable = { ecog = ["0"], sex = ["2"] }
kinds = { meal_cal = "log-normal" }
[model]
formula = "Surv(time_months, event) ~ age + sex + meal_cal"
[sampler]
imputations = 5
sweeps = 4
[report]
times = [6, 12]
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "study.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def run(sitewise, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    ended = sitewise("fit", packaged_path("lung"), "--config", config, "--no-report", "--out", folder)
    return ended, folder


@pytest.fixture(scope="module")
def fitted(config):
    """The same from Python."""
    study = sw.read_study(config)
    spec = study.spec()
    cohort = study.cohort(packaged_path("lung"), spec)
    options = {"imputations": 5, "sweeps": 4, "also": ["ecog"], "kinds": {"meal_cal": "log-normal"}}
    return sw.fit_imputed(sw.impute(spec, cohort, seed=1, **options))


def test_numbers_are_those_of_python(run, fitted):
    ended, folder = run
    assert ended.code == 0
    table = pd.read_csv(folder / "coefficients.csv").set_index(["metric", "term"])
    expected = sw.summarise(sw.log_hazard_ratios(fitted))
    for column in ("mean", "sd", "lower", "upper", "mcse_mean", "ess_bulk"):
        np.testing.assert_allclose(table.loc["log_hazard_ratio", column], expected[column], rtol=1e-8)
    assert table["r_hat"].isna().all()
    groups = sw.RiskGroups.count_favourable(ecog="0", sex="2")
    medians = sw.summarise(sw.median_survival(fitted, groups=groups, sites=sw.Average()))
    written = pd.read_csv(folder / "estimands.csv")
    own = written[written["estimand"] == "median_survival"].set_index("group")
    np.testing.assert_allclose(own["mean"], medians.loc[own.index, "mean"], rtol=1e-8)


def test_two_more_files_hold_the_published_columns(run, fitted):
    _, folder = run
    section = DOCUMENT.read_text(encoding="utf-8").split("## Files of an imputed fit")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    published = {file.strip(" `"): [name.strip(" `") for name in columns.split(",")] for file, columns, _ in rows}
    assert set(published) == {"missing.csv", "imputation.csv"}
    for name, columns in published.items():
        assert list(pd.read_csv(folder / name).columns) == columns
    missing = pd.read_csv(folder / "missing.csv")
    pd.testing.assert_frame_equal(missing, fitted.imputations.missing, check_dtype=False, rtol=1e-8)
    assert list(missing["missing"]) == [1, 47]  # counted in the packaged table
    cost = pd.read_csv(folder / "imputation.csv").set_index("quantity")
    assert cost.loc["meal_cal", "missing_information"] > cost.loc["age", "missing_information"]
    assert set(cost.index[cost["mean"].isna()]) == {"share of ecog = 1", "share of ecog = >=2", "mean of meal_cal"}
    assert not (folder / "site_models.csv").exists()


def test_screen_and_diagnostics_say_what_was_missing(run, fitted):
    ended, folder = run
    sentence = "48 patients lack a covariate, of 228 (ecog: 1, meal_cal: 47). 5 completed cohorts were drawn"
    assert sentence in ended.said
    content = json.loads((folder / "diagnostics.json").read_text())
    assert content["imputation"]["sentence"] == fitted.sentence
    assert content["imputation"]["models"][1]["model"] == "meal_cal ~ age + sex + ecog (log-normal)"
    assert {check["name"] for check in content["checks"]} >= {"imputation_mcse", "imputation_drift", "imputation_memory"}


def test_a_size_that_varies_is_noted(run, fitted):
    _, folder = run
    groups = pd.read_csv(folder / "groups.csv").set_index("group")
    population = sw.RiskGroups.count_favourable(ecog="0", sex="2")
    for label in groups.index:
        sizes = [
            int(group.rows.sum()) for own in fitted.fits for group in population.groups(own.cohort) if group.label == label
        ]
        assert groups.loc[label, "n"] == sizes[0]
        told = f"{min(sizes)} to {max(sizes)} patients in the completed cohorts"
        assert (told in str(groups.loc[label, "note"])) == (min(sizes) < max(sizes))


def test_the_report_has_a_section(fitted):
    analysis = sw.Analysis(fitted, times=(6.0,))
    page = render_page(analysis, with_imputation(analysis, all_tables(analysis)), None, {})
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert "Missing covariates" in text
    assert text.count("48 patients lack a covariate, of 228") == 2  # on the first screen, and in its section
    assert "47 of 228 (21 %)" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "nuts"], 'imputed through the fast engine, not "nuts"'),
        (["--chains", "2"], "--chains belongs to nuts"),
    ],
)
def test_other_engines_are_refused(sitewise, config, tmp_path, arguments, message):
    ended = sitewise("fit", packaged_path("lung"), "--config", config, *arguments, "--out", tmp_path / "out")
    assert ended.code != 0
    assert message in " ".join((ended.error + ended.said).split())
    assert not (tmp_path / "out").exists()


def test_calibration_is_refused_and_tables_use_who_has_a_value(sitewise, config, tmp_path):
    ended = sitewise("sbc", packaged_path("lung"), "--config", config, "--out", tmp_path / "sbc")
    assert ended.code != 0
    assert "which sitewise sbc cannot do" in " ".join((ended.error + ended.said).split())
    study, frame = sw.read_study(config), pd.read_csv(packaged_path("lung"))
    without = replace(study, data={name: value for name, value in study.data.items() if name != "missing"})
    one, other = (cohort_of(frame, asked, None, source="lung") for asked in (study, without))
    assert one.data_hash == other.data_hash
    assert one.covariates["meal_cal"].isna().sum() == 47


def test_the_kind_of_a_covariate_is_checked(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY.replace("log-normal", "lognormal"))
    with pytest.raises(sw.StudyError, match=r"\[covariates.kinds\] meal_cal: is 'lognormal'. Did you mean 'log-normal'\?"):
        sw.read_study(path)


def test_the_engine_of_each_fit_has_enough_draws(fitted):
    """400 draws, of which the contract asks that more than 200 count."""
    assert ENGINE.draws == 400
    assert fitted.verdict["importance_ess"].value > 200
