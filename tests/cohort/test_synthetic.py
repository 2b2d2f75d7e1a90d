"""A table that says of itself that its patients were simulated: recognised, kept, and said wherever the data go."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

READ = {"time": "months", "event": "died", "covariates": ["ecog"]}
TRUE = {
    "booleans": True,
    "whole numbers": 1,
    "numbers": 1.0,
    "Python's words": "True",
    "words": "true",
    "yes": "yes",
    "YES": "YES",
}


@pytest.fixture(scope="module")
def frame(make_frame):
    return make_frame(40, seed=3)


@pytest.mark.parametrize("kind", TRUE)
def test_true_everywhere(kind, frame):
    cohort = sw.Cohort.from_frame(frame.assign(synthetic=TRUE[kind]), **READ)
    assert cohort.synthetic
    assert not [text for text in (*cohort.warnings, *cohort.notes) if "synthetic" in text]


@pytest.mark.parametrize("value", [False, 0, "False", "no", "", "perhaps", 2, np.nan])
def test_true_nowhere(value, frame):
    cohort = sw.Cohort.from_frame(frame.assign(synthetic=value), **READ)
    assert not cohort.synthetic
    assert not [text for text in cohort.warnings if "synthetic" in text]


def test_without_the_column(frame):
    assert not sw.Cohort.from_frame(frame, **READ).synthetic


def test_mixed_patients_are_worth_a_warning(frame):
    mixed = frame.assign(synthetic=np.arange(40) < 13)
    cohort = sw.Cohort.from_frame(mixed, **READ)
    assert not cohort.synthetic
    assert [text for text in cohort.warnings if text.startswith("13 of 40 rows say that they are synthetic")]


def test_a_missing_value_is_not_true(frame):
    mixed = frame.assign(synthetic=pd.Series([True] * 39 + [None], dtype=object))
    cohort = sw.Cohort.from_frame(mixed, **READ)
    assert not cohort.synthetic
    assert [text for text in cohort.warnings if text.startswith("39 of 40 rows")]


def test_a_covariate_of_that_name_says_nothing(frame):
    """Of the material of a graft, say."""
    mixed = frame.assign(synthetic=np.where(np.arange(40) % 3 == 0, "yes", "no"))
    cohort = sw.Cohort.from_frame(mixed, time="months", event="died", covariates=["ecog", "synthetic"])
    assert not cohort.synthetic
    assert cohort.warnings == sw.Cohort.from_frame(frame, **READ).warnings
    assert cohort.levels("synthetic") == ("no", "yes")
    recoded = sw.Cohort.from_frame(
        frame.assign(kind=np.arange(40) % 2),
        **{**READ, "covariates": ["synthetic"]},
        recode={"synthetic": sw.Recode("kind", {"a": [0], "b": [1]})},
    )
    assert not recoded.synthetic
    assert recoded.levels("synthetic") == ("a", "b")


@pytest.mark.parametrize("role", ["site", "id", "event"])
def test_a_special_column_of_that_name_says_nothing(role, frame):
    values = {"site": 1, "id": np.arange(40), "event": 1}[role]
    cohort = sw.Cohort.from_frame(frame.assign(synthetic=values), **{**READ, role: "synthetic"})
    assert not cohort.synthetic


def test_it_is_no_covariate_of_a_whole_table(frame):
    """Without a list of covariates every other column is one; this one is not."""
    cohort = sw.Cohort.from_frame(frame[["months", "died", "ecog"]].assign(synthetic=True), time="months", event="died")
    assert list(cohort.covariates.columns) == ["ecog"]
    assert cohort.synthetic


def test_the_table_says_so_in_every_row_and_can_be_read_back(frame):
    cohort = sw.Cohort.from_frame(frame.assign(synthetic=1), **READ)
    assert list(cohort.frame.columns)[-1] == "synthetic"
    assert cohort.frame["synthetic"].dtype == bool
    assert cohort.frame["synthetic"].all()
    again = sw.Cohort.from_frame(cohort.frame, time="months", event="died", id="patient")
    assert again.synthetic
    assert again.data_hash == cohort.data_hash
    real = sw.Cohort.from_frame(frame, **READ)
    assert "synthetic" not in real.frame.columns
    assert real.data_hash != cohort.data_hash


def test_a_part_of_it_is_synthetic_too(frame):
    cohort = sw.Cohort.from_frame(frame.assign(synthetic=True), **READ)
    assert cohort.subset(np.arange(40) < 10).synthetic


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files(kind, frame, tmp_path):
    path = tmp_path / f"patients.{kind}"
    marked = frame.assign(synthetic=True)
    marked.to_csv(path, index=False) if kind == "csv" else marked.to_parquet(path)
    read = sw.Cohort.from_csv if kind == "csv" else sw.Cohort.from_parquet
    assert read(path, **READ).synthetic


def test_simulated_tables_are_recognised(tmp_path):
    scenario = sw.load_scenario("krog-20-04")
    made = sw.simulate_many(scenario, 2, seed=3)
    made.frame().to_csv(tmp_path / "two.csv", index=False)
    columns = {"time": "time", "event": "event", "site": "site", "covariates": ["ecog", "child_pugh"]}
    assert sw.Cohort.from_csv(tmp_path / "two.csv", **columns).synthetic
    cohort = sw.simulate(scenario, 3)
    assert cohort.synthetic
    assert cohort.frame["synthetic"].all()


# A fit and its files ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(small_spec, small_cohort):
    return sw.fit(small_spec, small_cohort, engine=sw.Nuts(draws=60, tune=100, chains=2, cores=2, retry=False), seed=4)


@pytest.fixture(scope="module", params=[True, False], ids=["synthetic", "real"])
def run(request, fitted, tmp_path_factory):
    """The same fit of patients that are synthetic, or not, with all its files."""
    folder = tmp_path_factory.mktemp("files")
    fit = replace(fitted, cohort=replace(fitted.cohort, synthetic=request.param))
    groups = sw.RiskGroups.by_level("ecog", fit.cohort)
    return request.param, folder, sw.write_all(sw.Analysis(fit, groups, times=(6, 12)), folder)


def test_every_csv_has_a_column_that_is_true(run):
    synthetic, _, written = run
    tables = {name: pd.read_csv(path) for name, path in written.items() if name.endswith(".csv")}
    assert len(tables) == 7
    for name, table in tables.items():
        assert ("synthetic" in table.columns) == synthetic, name
        if synthetic:
            assert table.columns[-1] == "synthetic", name
            assert table["synthetic"].all(), name


def test_every_picture_says_so(run):
    synthetic, _, written = run
    pictures = [path for name, path in written.items() if name.endswith(".svg")]
    assert len(pictures) == 3
    for path in pictures:
        texts = ["".join(item.itertext()).strip() for item in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]
        assert ("Synthetic patients" in texts) == synthetic, path.name


def test_a_png_says_so_in_its_corner(run):
    """Pixels of the mark's orange in the lower left corner, and none elsewhere in that colour for patients."""
    from PIL import Image

    synthetic, folder, _ = run
    pixels = np.asarray(Image.open(folder / "chains.png").convert("RGB")).astype(int)
    corner = pixels[int(0.93 * len(pixels)) :, : pixels.shape[1] // 4]
    orange = (np.abs(corner - [0xB5, 0x47, 0x00]).sum(axis=2) < 40).sum()
    assert (orange > 20) == synthetic, orange


def test_diagnostics_and_page_say_so(run):
    synthetic, folder, _ = run
    found = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    assert found["data"]["synthetic"] is synthetic
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert ("Synthetic data: these patients were simulated, they are not real." in page) == synthetic
    assert ("ynthetic" in page) == synthetic


def test_a_loaded_fit_keeps_it(small_spec, make_frame, tmp_path):
    frame = make_frame(60, seed=2)[["months", "died", "ecog"]].assign(synthetic=True)
    cohort = sw.Cohort.from_frame(frame, time="months", event="died")
    fit = sw.fit(small_spec, cohort, engine=sw.Nuts(draws=20, tune=50, chains=2, cores=2, retry=False), seed=4)
    fit.save(tmp_path / "fit.nc")
    loaded = sw.load(tmp_path / "fit.nc").cohort
    assert loaded.synthetic
    assert loaded.data_hash == cohort.data_hash
    assert loaded.frame["synthetic"].all()


def test_a_synthetic_cohort_stays_synthetic_when_its_fit_is_loaded(small_spec, tmp_path):
    """What is true of it is not stored; that it is synthetic is."""
    cohort = sw.simulate(sw.load_scenario("krog-20-04"), 1)
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog", family=sw.Exponential())
    fit = sw.fit(spec, cohort, engine=sw.Nuts(draws=20, tune=50, chains=2, cores=2, retry=False), seed=4)
    fit.save(tmp_path / "fit.nc")
    loaded = sw.load(tmp_path / "fit.nc").cohort
    assert loaded.synthetic
    assert not isinstance(loaded, sw.SyntheticCohort)
    assert loaded.data_hash == cohort.data_hash
