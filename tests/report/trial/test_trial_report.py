"""Everything that is written of an assessed trial, from two small assessments.

A randomised one with three looks, dual criteria, a predictive futility rule and four scenarios, to which borrowing, agreement
and a solution are added; and a single arm of a known truth with one look and a calibrated threshold. The title of the former is
an attack on the page.
"""

import html
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sitewise.report.plot_trial_borrowing import plot_borrowing
from sitewise.report.plot_trial_forecast import plot_forecast
from sitewise.report.plot_trial_size import plot_size
from sitewise.report.plot_trial_stops import plot_stops, plot_type_one
from sitewise.report.plot_trial_traces import plot_traces
from sitewise.report.plot_trial_truth import plot_truth
from sitewise.report.style import styled
from sitewise.report.trial_drift import swept
from sitewise.report.trial_first import alarm_of, answers_of
from sitewise.report.trial_page import trial_page
from sitewise.report.trial_tables import thresholds
from sitewise.report.trial_values import Value
from sitewise.report.trial_write import write_assessment
from sitewise.trial.analysis.agreement import COLUMNS as AGREEMENT
from sitewise.trial.assessment import assess
from sitewise.trial.operating import Outcome, operating_characteristics
from sitewise.trial.operating.size import Solution
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.sources import History, method_of

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "trial-files.md"
TRIALS = 60
TITLE = "Does <script>alert('x')</script> & more lengthen survival?"
HISTORY_SD = 0.125
"""1 / sd^2 = 64 events of a cohort."""
SECTIONS = (
    *("design", "priors", "operating", "type-one-error", "assurance", "size", "borrowing", "forecast", "traces", "agreement"),
    *("sensitivity", "precision", "simulation-plan", "reproduction"),
)
ALWAYS = ("forecast", "stopping", "decision_traces", "truth", "type_one_error")
RANDOMISED = {
    "id": "two-arms",
    "title": TITLE,
    "truth": {
        "cohort_arm": "experimental",
        "effect": {"hazard_ratio": 0.65, "sd": 0.2, "source": "A published trial"},
        "point": {
            "baseline": {"family": "weibull", "median": 12.0, "parameters": {"shape": 1.2}},
            "site_sd": 0.3,
            "group": [{"name": "good", "share": 0.6}, {"name": "poor", "share": 0.4, "log_hazard_ratio": 0.6}],
        },
    },
    "arms": {"kind": "randomised", "patients": 120},
    "accrual": {"sites": 6, "rate": 0.8, "open_every": 2.0, "rate_shape": 2.0},
    "follow_up": {"close": 60.0, "dropout": {"share": 0.1, "by": 24.0}},
    "look": [
        {"name": "interim", "when": {"events": 40}},
        {"name": "second", "when": {"any": [{"events": 60}, {"calendar": 40.0}]}},
        {"name": "final", "when": {"events": 85}},
    ],
    "criterion": [
        {"name": "benefit", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.985},
        {"name": "relevant", "estimand": "hazard_ratio", "below": 0.9, "probability": 0.6, "looks": ["final"]},
        {"name": "futile", "estimand": "hazard_ratio", "role": "futility", "predictive": True, "probability": 0.1},
    ],
    "analysis": {"method": "conjugate", "adjust": ["site"]},
    "scenario": [
        {"name": "no effect", "null": True, "hazard_ratio": 1.0},
        {"name": "no effect, sites alike", "null": True, "hazard_ratio": 1.0, "site_sd": 0.0},
        {"name": "slow accrual", "accrual_factor": 0.5},
    ],
    "simulation": {"trials": TRIALS, "seed": 3, "nuts_trials": 0},
    "costs": {"patient": 20, "site": 50, "time": 10},
    "justification": {"priors": "The prior is sceptical.", "thresholds": "Found by <b>simulation</b>."},
}
SINGLE = {
    "id": "one-arm",
    "title": "Is survival at a year above one half?",
    "truth": {
        "cohort_arm": "experimental",
        "effect": {"hazard_ratio": 1.0},
        "point": {"baseline": {"family": "weibull", "median": 18.0, "parameters": {"shape": 1.0}}},
    },
    "arms": {"kind": "single-arm", "patients": 60},
    "accrual": {"sites": 3, "rate": 2.0},
    "follow_up": {"close": 30.0},
    "look": [{"name": "final", "when": {"calendar": 28.0}}],
    "criterion": [{"name": "milestone", "estimand": "survival", "at": 12.0, "above": 0.5, "probability": 0.95}],
    "analysis": {"method": "conjugate", "adjust": []},
    "calibration": {"criterion": "milestone", "alpha": 0.1},
    "simulation": {"trials": TRIALS, "seed": 5, "nuts_trials": 0},
}

SEVERAL = {
    **RANDOMISED,
    "id": "three-arms",
    "truth": {**RANDOMISED["truth"], "cohort_arm": "control"},
    "arms": {"kind": "randomised", "patients": 120, "further": [{"name": "B", "hazard_ratio": 0.8, "places": 2}]},
    "look": [{"name": "final", "when": {"events": 60}}],
    "criterion": [
        {"name": "A works", "estimand": "hazard_ratio", "below": 1.0},
        {"name": "B works", "estimand": "hazard_ratio", "below": 1.0, "arm": "B"},
    ],
    "analysis": {"method": "log-rank", "adjust": []},
    "calibration": {"criterion": ["A works", "B works"], "alpha": 0.1},
    "scenario": [
        {"name": "no effect", "null": True, "hazard_ratio": 1.0},
        {"name": "only B works", "hazard_ratio": 1.0, "hazard_ratios": {"B": 0.5}},
    ],
}
"""Two experimental arms whose criteria share a calibrated threshold."""
EARLY = {
    **RANDOMISED,
    "id": "early",
    "look": [RANDOMISED["look"][0], {"name": "final", "when": {"events": 60}}],
    "criterion": [
        {"name": "benefit", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.9, "looks": ["interim"]},
        {"name": "milestone", "estimand": "survival", "at": 24.0, "above": 0.2, "probability": 0.8, "looks": ["final"]},
    ],
    "simulation": {"trials": 20, "seed": 3, "nuts_trials": 0},
}
"""The hazard ratio counts at the interim look only."""
BLANK = {
    **RANDOMISED,
    "id": "blank",
    "follow_up": {"close": 60.0, "assess_every": 10.0},
    "look": [{"name": "final", "when": {"calendar": 9.0}}],
    "criterion": RANDOMISED["criterion"][:1],
    "simulation": {"trials": 20, "seed": 3, "nuts_trials": 0},
}
"""No patient has been assessed by the only look."""


def agreement_table():
    """Four comparisons, of which one disagrees; it is not clear of the threshold."""
    rows = [
        (0, 2, "benefit", 0.99, 0.991, 0.002, -0.001, -0.5, 0.2, -0.51, 0.2, True, True, True, True, "ok", 1.0),
        (1, 2, "benefit", 0.50, 0.511, 0.010, -0.011, 0.0, 0.2, 0.01, 0.2, False, False, True, True, "ok", 1.0),
        (2, 2, "benefit", 0.986, 0.984, 0.003, 0.002, -0.4, 0.2, -0.41, 0.2, True, False, False, False, "warn", 1.0),
        (3, 2, "benefit", 0.20, 0.206, 0.010, -0.006, 0.1, 0.2, 0.12, 0.2, False, False, True, True, "ok", 1.0),
    ]
    return pd.DataFrame(rows, columns=AGREEMENT)


def with_more(found):
    """Borrowing with a stated cohort, agreement and a solution, none of which a small run has."""
    content = found.design.to_dict()
    content["borrowing"] = {"arm": "experimental", "method": "robust-map", "draws": "cohort.nc"}
    design = TrialDesign.from_dict(content)
    cohorts = replace(found.cohorts, borrows=History(method_of(design.borrowing), HISTORY_SD))
    return replace(found, design=design, cohorts=cohorts, agreement=agreement_table(), flags=("A <i>flag</i>.",))


@pytest.fixture(scope="module")
def plain():
    return assess(TrialDesign.from_dict(RANDOMISED))


@pytest.fixture(scope="module")
def single():
    return assess(TrialDesign.from_dict(SINGLE), curve=False)


@pytest.fixture(scope="module")
def full(plain):
    return with_more(plain)


@pytest.fixture(scope="module")
def solution(plain):
    tried = pd.DataFrame({"value": [60, 150, 300], "success": [0.2, 0.41, 0.62], "mcse": [0.05, 0.06, 0.06]})
    return Solution("patients", 0.4, 150, 0.41, 0.06, 0.94, tried, plain.design)


@pytest.fixture(scope="module")
def sweep(full):
    return swept(full)


@pytest.fixture(scope="module")
def folder(full, solution, sweep, tmp_path_factory):
    place = tmp_path_factory.mktemp("trial") / "made" / "when missing"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sitewise.report.trial_write.swept", lambda found: sweep)  # computed once: it takes seconds
        written = write_assessment(full, place, solution=solution, source="TRIAL.toml")
    assert {path.name for path in place.iterdir()} == set(written)
    assert all(path == place / name for name, path in written.items())
    return place


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def single_page(single, tmp_path_factory):
    place = tmp_path_factory.mktemp("single")
    write_assessment(single, place)
    return place, (place / "report.html").read_text(encoding="utf-8")


def section(page, name):
    """The HTML of a section of the page."""
    return re.search(rf'<section class="part" id="{name}">.*?</section>', page, re.DOTALL)[0]


def rows_in(text):
    """The rows of all tables of some HTML, as lists of text."""
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", text, re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def numbers_in(cell):
    return [float(item) for item in re.findall(r"-?\d+\.\d+|-?\d+", cell)]


# Files and their contract -----------------------------------------------------------------------------------


def contract():
    """The columns that the document publishes of each file."""
    lines = DOCUMENT.read_text().split("| file | columns |")[1].splitlines()[2:]
    found = {}
    for line in lines:
        if not line.startswith("|"):
            return found
        name, columns = (cell.strip() for cell in line.strip("|").split(" | ", 1))
        outside = re.sub(r"\([^)]*\)", "", columns)
        found[name.strip("`")] = [item.strip() for part in re.findall(r"`([^`]*)`", outside) for item in part.split(",")]
    return found


CONTRACT = contract()


def test_every_table_that_is_written_is_published_and_the_other_way_round(folder):
    assert {path.name for path in folder.glob("*.csv")} == set(CONTRACT)


@pytest.mark.parametrize("name", CONTRACT)
def test_columns_are_those_published(name, folder):
    assert list(pd.read_csv(folder / name).columns) == CONTRACT[name]


def test_quantities_are_those_published(folder):
    table = DOCUMENT.read_text().split("## Quantities of")[1].split("## Other files")[0]
    lines = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    published = {name for line in lines for name in re.findall(r"`([^`]*)`", line) for name in name.split("`, `")}
    of_several_arms = {"success of arm", "patients of arm", "events of arm"}
    assert set(pd.read_csv(folder / "operating_characteristics.csv")["quantity"]) == published - of_several_arms
    assert of_several_arms <= published


def test_keys_of_the_json_file_are_those_published(folder):
    table = DOCUMENT.read_text().split("`design.json` holds")[1].split("`report.html` is")[0]
    published = {
        name.strip()
        for line in table.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].replace("`", "").split(",")
    }
    assert set(json.loads((folder / "design.json").read_text())) == published


def test_pictures_are_written_in_both_forms(folder):
    for name in (*ALWAYS, "size_curve", "drift_sweep"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (folder / f"{name}.svg").read_bytes()
    assert len(list(folder.glob("*.png"))) == len(ALWAYS) + 2


def test_files_of_an_earlier_run_go_and_the_same_input_gives_the_same_bytes(single, single_page, tmp_path):
    stale = ["agreement.csv", "drift_sweep.csv", "drift_sweep.png", "drift_sweep.svg", "solution.csv", "size_curve.svg"]
    for name in stale:
        (tmp_path / name).write_text("old")
    second = write_assessment(single, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(second)
    assert set(second).isdisjoint(stale)
    first, _ = single_page
    assert {path.name for path in first.iterdir()} == set(second)
    assert [name for name, path in second.items() if path.read_bytes() != (first / name).read_bytes()] == []


def test_the_design_can_be_read_back(folder, full):
    content = json.loads((folder / "design.json").read_text())
    assert TrialDesign.from_dict(content["design"]) == full.design
    assert content["design_hash"] == full.design.hash
    assert (content["seed"], content["trials"], content["source"]) == (3, TRIALS, "TRIAL.toml")
    assert content["nominal_type_one_error"] == pytest.approx(0.015, abs=1e-12)
    assert content["solution"]["value"] == 150
    assert {"python", "sitewise", "numpy"} <= set(content["versions"])
    assert set(content["seconds"]) >= {"truth", "trials", "forecast"}


def test_every_trial_is_kept_with_how_it_ended(folder, full):
    table = pd.read_csv(folder / "operating_characteristics.csv")
    with xr.open_dataset(folder / "trials.nc", engine="h5netcdf") as data:
        assert data.sizes["replicate"] == TRIALS
        assert data.attrs["design_hash"] == full.results.design.hash
        assert data.attrs["seed"] == 3
        assert "sitewise" in json.loads(data.attrs["versions"])
        success = (data["outcome"] == 1).mean("replicate")
        for name in data["scenario"].to_numpy():
            own = table[(table["scenario"] == name) & (table["quantity"] == "success")]["value"].item()
            assert float(success.sel(scenario=name)) == pytest.approx(own, abs=1e-9)


# Numbers on the page ----------------------------------------------------------------------------------------


def test_success_of_every_scenario_is_that_of_the_table(folder, page):
    table = pd.read_csv(folder / "operating_characteristics.csv", keep_default_na=False).set_index(
        ["scenario", "quantity", "of"]
    )
    rows = {row[0].removesuffix(" (null)"): row for row in rows_in(section(page, "operating")) if len(row) == 8}
    assert set(rows) == {"planned", "no effect", "no effect, sites alike", "slow accrual"}
    for name, row in rows.items():
        for cell, quantity in zip(row[1:4], ("success", "futility", "no decision"), strict=True):
            value, mcse = (float(table.loc[(name, quantity, ""), column]) for column in ("value", "mcse"))
            shown = numbers_in(cell)
            assert shown[0] == pytest.approx(value, abs=5.1e-4)
            if 0 < value < 1:
                assert shown[1] == pytest.approx(mcse, abs=5.1e-4)
            else:
                assert shown[1:] == [TRIALS]
        assert [float(cell) for cell in row[4:]] == [TRIALS, TRIALS, 0, 0]


def test_means_and_looks_are_those_of_the_table(folder, page):
    table = pd.read_csv(folder / "operating_characteristics.csv", keep_default_na=False).set_index(
        ["scenario", "quantity", "of"]
    )
    rows = {row[0]: row for row in rows_in(section(page, "operating"))}
    of_look = rows["planned: second"]
    for cell, quantity in zip(of_look[1:4], ("success at look", "futility at look", "look held"), strict=True):
        assert numbers_in(cell)[0] == pytest.approx(float(table.loc[("planned", quantity, "second"), "value"]), abs=5.1e-4)
    of_group = rows["slow accrual: poor"]
    assert numbers_in(of_group[1])[0] == pytest.approx(
        float(table.loc[("slow accrual", "patients of group", "poor"), "value"]), abs=0.051
    )
    cost = float(table.loc[("planned", "cost", "thousand euros"), "value"])
    by_scenario = [row for row in rows_in(section(page, "operating")) if row[0] == "planned" and len(row) == 5]
    assert numbers_in(by_scenario[0][4])[0] == pytest.approx(cost, abs=0.051)


def test_type_one_errors_are_those_of_the_table_with_the_nominal_level(folder, page):
    table = pd.read_csv(folder / "type_one_error.csv").set_index("scenario")
    rows = rows_in(section(page, "type-one-error"))
    assert len(rows) == 2
    for row in rows:
        own = table.loc[row[0].removesuffix(" (all)")]
        assert numbers_in(row[1])[0] == pytest.approx(own["type_one_error"], abs=5.1e-4)
        assert numbers_in(row[2]) == pytest.approx([own["lower"], own["upper"]], abs=5.1e-4)
        assert float(row[3]) == pytest.approx(0.015)
    assert (table["with_futility"] <= table["type_one_error"] + 1e-12).all()


def test_the_first_screen_answers(folder, page, full):
    first = html.unescape(page.split("<nav")[0])
    table = pd.read_csv(folder / "operating_characteristics.csv", keep_default_na=False).set_index(
        ["scenario", "quantity", "of"]
    )
    assert f"{table.loc[('planned', 'success', ''), 'value']:.3f} (" in first
    worst = pd.read_csv(folder / "type_one_error.csv")["type_one_error"].max()
    assert re.search(rf"<h2>Type I error</h2>\s*<p>{worst:.3f} \(", first)
    assert "A randomised trial (1:1, stratified by site and risk group) of 120 patients at 6 sites, with 3 looks" in first
    assert "It describes the experimental arm; the control arm follows" in first
    assert "not for decisions on single patients" in first
    assert "A <i>flag</i>." in first
    assert "150 patients give a probability of success of 0.410" in first
    assert "synthetic" not in first


def test_paired_differences_of_scenarios(folder, page):
    with xr.open_dataset(folder / "trials.nc", engine="h5netcdf") as data:
        success = (data["outcome"] == 1).astype(float)
        apart = (success.sel(scenario="slow accrual") - success.sel(scenario="planned")).to_numpy()
    row = next(row for row in rows_in(section(page, "sensitivity")) if row[0] == "slow accrual")
    assert row[1] == "0.5 times the accrual"
    assert numbers_in(row[3]) == pytest.approx([apart.mean(), apart.std(ddof=1) / math.sqrt(TRIALS)], abs=5.1e-4)


def test_thresholds_sizes_agreement_and_precision(page):
    stated = {(row[0], row[2]): row[3] for row in rows_in(section(page, "design")) if len(row) == 5}
    assert stated[("benefit", "interim")] == "above 0.985"
    assert stated[("futile", "second")] == "below 0.1"
    assert ("relevant", "interim") not in stated
    assert ["150 patients", "0.410 (0.060)"] in rows_in(section(page, "size"))
    agreed = rows_in(section(page, "agreement"))[0]
    assert agreed[:4] == ["benefit", "4", "3 (75 %)", "3 of 3"]
    assert numbers_in(agreed[4]) == pytest.approx([0.005, 0.011])  # mean and largest of .001 .011 .002 .006
    precision = {row[0]: float(row[1]) for row in rows_in(section(page, "precision"))}
    assert precision["0.5"] == pytest.approx(math.sqrt(0.25 / TRIALS), abs=5e-5)
    # .015 (1 - .015) / .001^2
    assert "takes 14775 trials" in section(page, "precision") or "takes 14776 trials" in section(page, "precision")


def test_traces_and_forecast_are_those_of_the_tables(folder, page):
    table = pd.read_csv(folder / "example_trials.csv")
    rows = rows_in(section(page, "traces"))
    assert len(rows) == len(table)
    for row, own in zip(rows, table.itertuples(), strict=True):
        assert row[0] == f"trial {own.replicate}, {own.look}"
        assert [float(cell) for cell in row[2:4]] == [own.patients, own.events]
        assert float(row[6]) == pytest.approx(own.probability, abs=5.1e-4)
        assert row[8] == own.decision
    dates = pd.read_csv(folder / "forecast_milestones.csv").set_index("milestone")
    shown = {row[0]: row for row in rows_in(section(page, "forecast"))}
    assert numbers_in(shown["interim"][2]) == pytest.approx(
        dates.loc["interim", ["median", "lower", "upper"]].tolist(), abs=0.051
    )


# Borrowing --------------------------------------------------------------------------------------------------


def test_the_sweep_has_what_is_known_exactly(folder, full):
    """Without borrowing the type I error is one minus the threshold; pooled, the cohort's 1 / sd^2 events are borrowed."""
    table = pd.read_csv(folder / "drift_sweep.csv")
    none = table[(table["method"] == "none") & (table["quantity"] == "type_i_error")]
    assert none["value"].to_numpy() == pytest.approx(0.015, abs=1e-9)
    assert not none["in_sweet_spot"].any()
    pooled = table[(table["method"] == "pooled") & (table["quantity"] == "borrowed_events_elir")]
    assert pooled["value"].to_numpy() == pytest.approx(HISTORY_SD**-2, rel=1e-6)
    assert set(table["method"]) == {"none", "pooled", "power-prior", "normalised-power-prior", "commensurate", "robust-map"}


def test_in_the_sweet_spot_type_one_error_holds_and_power_is_won(folder):
    table = pd.read_csv(folder / "drift_sweep.csv")
    wide = table[table["quantity"].isin(["type_i_error", "power"])].pivot(
        index=["method", "drift", "in_sweet_spot"], columns="quantity", values="value"
    )
    alone = wide.xs("none")["power"].iloc[0]
    inside = wide[wide.index.get_level_values("in_sweet_spot")]
    assert len(inside) > 5
    assert (inside["type_i_error"] <= 0.015 + 1e-9).all()
    assert (inside["power"] > alone).all()
    outside = wide.drop(index="none", level="method")
    outside = outside[~outside.index.get_level_values("in_sweet_spot")]
    assert ((outside["type_i_error"] > 0.015) | (outside["power"] <= alone + 1e-9)).all()


def test_a_design_that_does_not_borrow_has_no_sweep(plain, single):
    assert swept(plain) is None
    assert swept(single) is None


def test_a_success_that_no_hazard_ratio_decides_at_the_end_is_written_without_a_sweep(tmp_path):
    found = with_more(assess(TrialDesign.from_dict(EARLY), curve=False))
    assert swept(found) is None
    (tmp_path / "drift_sweep.csv").write_text("old")
    written = write_assessment(found, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(written)
    assert {"report.html", "trials.nc", "thresholds.csv"} <= set(written)
    assert not [name for name in written if name.startswith("drift_sweep")]
    assert json.loads((tmp_path / "design.json").read_text())["sweet_spots"] is None


def test_an_arm_without_events_at_the_last_look_has_no_sweep(full):
    data = full.results.data.copy(deep=True)
    data["events_of_arm"].loc[{"arm": "control"}] = 0
    assert swept(replace(full, results=replace(full.results, data=data))) is None


def test_the_sweep_is_about_the_first_hazard_ratio_that_counts_at_the_last_look(full, monkeypatch):
    """The design's first one is taken away there, or has a calibrated threshold that no probability is above."""
    monkeypatch.setattr("sitewise.report.trial_drift.STEPS", 5)
    for gone in (np.nan, 1.0):
        values = full.thresholds.values.copy()
        values[-1, 0] = gone
        changed = swept(replace(full, thresholds=replace(full.thresholds, values=values)))
        assert (changed.bound, changed.numbers.threshold) == (0.9, 0.6)
        values[-1, 1] = gone
        assert swept(replace(full, thresholds=replace(full.thresholds, values=values))) is None


# Several arms -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several():
    return assess(TrialDesign.from_dict(SEVERAL), curve=False)


def test_thresholds_of_a_list_of_criteria_are_calibrated_ones(several, single):
    table = thresholds(several)
    assert list(table["criterion"]) == ["A works", "B works"]
    for row in table.itertuples():
        assert row.lower <= row.threshold <= row.upper
        assert row.origin == "found by simulation: the smallest with type I error 0.1 in 1 null"
    listed = replace(single, design=single.design.changed({"calibration.criterion": ["milestone"]}))
    pd.testing.assert_frame_equal(thresholds(listed), thresholds(single))


def test_a_page_of_several_arms_tells_of_all_of_them(several):
    page = html.unescape(trial_page(several, {}))
    first = page.split("<nav")[0]
    assert "A randomised trial with 2 experimental arms and one control arm (1:1:2 to experimental, control and 'B'" in first
    assert "Success is that of any experimental arm." in first
    assert "It describes the control arm; the arms experimental and 'B' follow from the treatments' effects." in first
    treatment = next(row for row in rows_in(section(page, "priors")) if row[0] == "treatment")
    assert treatment[1].startswith("Arm 'experimental': hazard ratio with median 0.65")
    assert "Arm 'B': hazard ratio 0.8, taken as known." in treatment[1]
    other = next(row for row in rows_in(section(page, "sensitivity")) if row[0] == "only B works")
    assert other[1] == "no effect, but hazard ratio 0.5 in arm 'B'"
    assert "An arm succeeds at a look when every success criterion of it" in section(page, "design")
    assert "the trial when any arm does; a trial that does not stops for futility when each arm" in section(page, "design")


# The page as a document -------------------------------------------------------------------------------------


def test_users_text_is_text(page):
    assert "<script" not in page
    assert html.escape(TITLE, quote=True).replace("&#x27;", "&#39;") in page
    assert "Found by &lt;b&gt;simulation&lt;/b&gt;." in page
    assert "A &lt;i&gt;flag&lt;/i&gt;." in page


def test_every_section_is_there_and_linked(page):
    assert tuple(re.findall(r'<section class="part" id="([^"]*)">', page)) == SECTIONS
    assert tuple(re.findall(r'<a href="#([^"]*)">', page)) == SECTIONS


def test_the_page_needs_nothing_else(page):
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", page)
    assert not re.findall(r"url\(|@import|https?://", page)
    images = re.findall(r'<img src="data:image/svg\+xml;base64,[^"]+" alt="([^"]+)"', page)
    assert len(images) == len(ALWAYS) + 2


def test_design_and_analysis_priors_stand_side_by_side(page):
    rows = {row[0]: row for row in rows_in(section(page, "priors"))}
    # exp(log .65 +- 1.96 * .2), and exp(+- 1.96) of the analysis's normal(0, 1)
    assert "median 0.65 and 95 % of its distribution in 0.44 to 0.96" in rows["treatment"][1]
    assert "hazard ratio 0.14 to 7.10 with probability 0.95" in rows["treatment"][2]
    assert rows["priors"][1] == "The prior is sceptical."
    assert "robust mixture prior" in rows["cohorts"][2]


def test_no_raw_floats_on_the_page(page):
    text = re.sub(r"<style>.*?</style>|<img[^>]*>", "", page, flags=re.DOTALL).replace(section(page, "reproduction"), "")
    assert len(rows_in(text)) > 60
    assert re.findall(r"\d\.\d{5,}", text) == []


def test_a_calibrated_single_arm(single, single_page):
    place, page = single_page
    errors = pd.read_csv(place / "type_one_error.csv")
    assert list(errors["set"]) == ["calibration", "validation"]
    assert (errors["nominal"] == 0.1).all()
    assert errors["with_futility"].isna().tolist() == [False, True]
    thresholds = pd.read_csv(place / "thresholds.csv")
    assert thresholds["threshold"].item() == pytest.approx(single.thresholds.values[-1, 0], rel=1e-9)
    assert thresholds["lower"].item() <= thresholds["threshold"].item() <= thresholds["upper"].item()
    assert "found by simulation: the smallest with type I error 0.1 in 1 null" in page
    assert "power at a known truth" in page
    assert "A single-arm trial of 60 patients at 3 sites, with one analysis at 28 months" in page
    assert "Other sizes were not simulated." in page
    assert not (place / "size_curve.csv").exists()
    assert 'id="borrowing"' not in page
    worst = errors["type_one_error"][1]
    assert re.search(rf"<h2>Type I error</h2>\s*<p>{worst:.3f} \(", page), "the first screen shows the validation"


def test_synthetic_patients_are_announced(single, tmp_path):
    truth = replace(single.cohorts.truth, notes=("The patients are synthetic.",))
    changed = replace(single, cohorts=replace(single.cohorts, truth=truth))
    write_assessment(changed, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r'<p class="banner alarm">The patients behind what is taken as true are synthetic', page)
    assert "Synthetic patients" in (tmp_path / "truth.svg").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "design.json").read_text())["truth"]["synthetic"] is True


# Pictures ---------------------------------------------------------------------------------------------------


def empty_axes(figure):
    visible = [axes for axes in figure.axes if axes.get_visible()]
    return [axes for axes in visible if not (axes.lines or axes.patches or axes.collections or axes.containers)]


def outside(figure):
    """Texts that stick out of the figure."""
    figure.draw_without_rendering()
    renderer, frame = figure.canvas.get_renderer(), figure.bbox
    texts = [*figure.texts, *(text for axes in figure.axes if axes.get_visible() for text in [*axes.texts, axes.title])]
    texts += [text for axes in figure.axes if axes.get_visible() for text in [axes.xaxis.label, axes.yaxis.label]]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text.get_text() and text.get_visible()]
    return [
        name
        for name, box in boxes
        if box.x0 < frame.x0 - 1 or box.x1 > frame.x1 + 1 or box.y0 < frame.y0 - 1 or box.y1 > frame.y1 + 1
    ]


PLOTS = {
    "forecast": plot_forecast,
    "stops": plot_stops,
    "type one": plot_type_one,
    "traces": plot_traces,
    "truth": plot_truth,
}


@pytest.mark.parametrize("which", ["full", "single"])
@pytest.mark.parametrize("name", PLOTS)
def test_no_picture_has_empty_axes_or_text_that_is_cut(name, which, request):
    with styled():
        figure = PLOTS[name](request.getfixturevalue(which))
        assert empty_axes(figure) == []
        assert outside(figure) == []


def test_the_curve_shows_ceiling_plan_and_solution(full, solution):
    with styled():
        figure = plot_size(full, solution)
        texts = [text.get_text().strip() for text in figure.axes[0].texts]
        assert empty_axes(figure) == []
        assert outside(figure) == []
    ceiling = full.curve["ceiling"].iloc[0]
    assert f"ceiling {ceiling:.3f}: no number of patients has more" in texts
    assert {"planned: 120", "wanted: 0.4", "150"} <= set(texts)


def test_bars_of_a_scenario_add_up_to_all_trials(full):
    with styled():
        axes = plot_stops(full).axes[0]
    ends = {}
    for bar in axes.patches:
        place = round(bar.get_y(), 6)
        ends[place] = max(ends.get(place, 0.0), bar.get_x() + bar.get_width())
    assert len(ends) == len(full.results.worlds)
    assert list(ends.values()) == pytest.approx([1.0] * len(ends), abs=1e-9)


def test_the_sweep_is_drawn_with_its_sweet_spot(sweep):
    with styled():
        figure = plot_borrowing(sweep)
        assert empty_axes(figure) == []
        assert outside(figure) == []
    assert len(figure.axes) == 3
    assert "sweet spot of the planned method" in [text.get_text() for text in figure.legends[0].get_texts()]
    low, high = sweep.sweet_spots["robust-map"][0]
    assert -1 <= low < 0 < high <= 1


def test_failed_analyses_are_counted_shown_and_announced(plain):
    """Six of sixty planned trials whose deciding analysis failed: a tenth, and more than the page passes over in silence."""
    outcome = plain.decisions.outcome.copy()
    outcome[0, :6] = Outcome.FAILED
    decisions = replace(plain.decisions, outcome=outcome)
    table = operating_characteristics(plain.results, decisions=decisions)
    failed = replace(plain, decisions=decisions, characteristics=table)
    assert alarm_of(failed) == "The analysis failed in 6 of 60 planned trials: they count as no success."
    assert alarm_of(plain) == ""
    with styled():
        bars = [bar for bar in plot_stops(failed).axes[0].patches if bar.get_facecolor()[:3] == (0, 0, 0)]
    assert sorted(bar.get_width() for bar in bars)[-1] == pytest.approx(0.1, abs=1e-9)
    assert sum(bar.get_width() for bar in bars) == pytest.approx(0.1, abs=1e-9)
    page = trial_page(failed, {})
    row = next(row for row in rows_in(section(page, "operating")) if row[0] == "planned")
    assert row[4:7] == ["60", "54", "6"]


def test_trials_of_which_the_data_say_nothing_are_announced():
    found = assess(TrialDesign.from_dict(BLANK), curve=False)
    alarm = alarm_of(found)
    assert alarm.startswith("The data of the deciding look say nothing in 20 of 20 planned trials")
    assert alarm.endswith("they count as no success.")
    assert dict(answers_of(found, None))["Before believing this"] == "See the warning at the top."
    assert f'<p class="banner alarm">{alarm}</p>' in trial_page(found, {})


def test_only_what_counts_at_the_look_is_missed(plain):
    """Of sixty planned trials six lack the probability of a criterion: of one that counts there, or of another."""
    last = plain.results.data.sizes["look"] - 1
    made = plain.decisions
    stop, outcome = made.stop.copy(), made.outcome.copy()
    stop[0, :6], outcome[0, :6] = last, Outcome.NONE

    def missing(place, look, ends):
        data = plain.results.data.copy(deep=True)
        data["probability"][0, :6, look, place] = np.nan
        at, how = stop.copy(), outcome.copy()
        at[0, :6], how[0, :6] = look, ends
        return replace(plain, results=replace(plain.results, data=data), decisions=replace(made, stop=at, outcome=how))

    assert "say nothing in 6 of 60 planned trials" in alarm_of(missing(1, last, Outcome.NONE))
    # 'relevant' counts at the last look only: a trial that ends before does not need it, and has its success.
    assert alarm_of(missing(1, 0, Outcome.SUCCESS)) == ""
    assert alarm_of(missing(2, last, Outcome.NONE)) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Value(0.81234, 0.01234, 1000), "0.812 (0.012)"),
        (Value(0.0253, 0.0049, 1000), "0.025 (0.0049)"),
        (Value(0.02534, 0.0005, 100000), "0.0253 (0.00050)"),
        (Value(0.0, 0.0, 60), "0.000 (none of 60)"),
        (Value(1.0, 0.0, 60), "1.000 (all of 60)"),
        (Value(np.nan, np.nan, 0), "–"),
    ],
)
def test_probabilities_are_rounded_for_readers(value, shown):
    assert value.probability == shown
