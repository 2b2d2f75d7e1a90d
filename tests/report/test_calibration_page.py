"""The report of a calibration: files against the published table of columns, numbers against the paper, page and pictures.

One calibration of the packaged paper with small pools, in which one printed number is set aside as a conflict.
"""

import json
import math
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from lifelines import KaplanMeierFitter
from PIL import Image
from scipy.stats import norm

import sitewise as sw
from sitewise.report import calibration_curves, calibration_implied
from sitewise.report.calibration_curves import plot_fans
from sitewise.report.calibration_forest import plot_distance, plot_targets
from sitewise.report.calibration_implied import cross_tables, plot_contraction, plot_implied
from sitewise.report.calibration_page import render_calibration
from sitewise.report.calibration_results import CalibrationResults
from sitewise.report.calibration_toml import scenario_toml
from sitewise.report.calibration_verdict import calibration_verdict
from sitewise.report.calibration_write import PICTURES, write_calibration
from sitewise.report.style import styled
from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.problem import Problem

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "calibration.md"
# CSVs hold ten digits; a difference of two numbers near 5 in units of sds near 0.06 keeps seven.
TEN_DIGITS = {"rtol": 1e-7, "atol": 1e-7}


def columns_of(name):
    """The columns that the documentation promises of a file, values in parentheses left out."""
    row = next(line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` |"))
    cell = re.sub(r"\([^)]*\)", "", row.split("|")[2])
    return [part.strip() for inside in re.findall(r"`([^`]*)`", cell) for part in inside.split(",")]


@pytest.fixture(scope="module")
def evidence():
    paper = sw.load_evidence("krog-20-04")
    return replace(
        paper, survival=tuple(replace(item, status="conflict") if item.id == "os-24" else item for item in paper.survival)
    )


@pytest.fixture(scope="module")
def results(evidence):
    calibration = sw.calibrate(evidence, seed=1, cohorts=100, pool=4000)
    variants = pd.DataFrame(
        [
            {"variant": "as calibrated", "refused": "", "distance": 11.0, "distance_percentile": 0.02, "events_mean": 62.0}
            | {"events_sd": 2.0, "worst_target": "os-median", "worst_z": 0.5, "worst_contrast": "", "worst_contrast_z": np.nan}
            | {"median all patients": 17.0, "survival all patients": 0.42, "log_hazard_ratio ecog[1|2]": 0.6},
            {"variant": "<b>impossible</b>", "refused": "The numbers do not go together."},
        ]
    )
    return CalibrationResults(calibration, sw.audit(evidence), sensitivity=variants)


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    place = tmp_path_factory.mktemp("calibration") / "made"
    place.mkdir()
    for stale in ("misses.csv", "reconstructed.csv", "implied.png"):
        (place / stale).write_text("of an earlier run", encoding="utf-8")
    written = write_calibration(results, place)
    assert {path.name for path in place.iterdir()} == set(written)
    return place


@pytest.fixture(scope="module")
def targets(folder):
    return pd.read_csv(folder / "targets.csv")


@pytest.mark.parametrize("name", ["targets.csv", "contrasts.csv", "parameters.csv", "sensitivity.csv"])
def test_columns_are_the_documented_ones(name, folder):
    found = list(pd.read_csv(folder / name).columns)
    promised = columns_of(name)
    assert len(promised) > 4
    if name == "sensitivity.csv":  # the table here is made by hand; the whole one is in tests/cli/test_calibrate.py
        assert set(found[:10]) <= {*promised, "median all patients"}
    else:
        assert found == promised


def test_published_columns_are_the_printed_numbers(targets):
    """Log hazard ratios and standard errors of every row, from the words that the paper prints."""
    rows = targets[targets["kind"].isin(["log_hazard_ratio", "log_standard_error"])]
    assert len(rows) == 28
    for row in rows.itertuples():
        ratio, low, high = (float(item) for item in re.findall(r"[\d.]+", row.printed))
        if row.kind == "log_hazard_ratio":
            assert abs(row.published - math.log(ratio)) <= 0.0005 / ratio + 1e-9
        else:
            assert abs(row.published - math.log(math.log(high / low) / (2 * norm.ppf(0.975)))) < 0.02
    medians = targets[targets["printed"].str.startswith("median ") & (targets["kind"] == "survival")]
    assert (medians["published"] == 0.5).all()


def test_z_is_the_distance_in_sds(targets):
    known = targets[targets["kind"] != "beyond_last"]
    np.testing.assert_allclose(known["z"], (known["published"] - known["reproduced"]) / known["sd"], **TEN_DIGITS)
    assert targets.loc[targets["kind"] == "beyond_last", "z"].isna().all()


def test_contrasts_are_differences_of_targets(targets, folder):
    contrasts = pd.read_csv(folder / "contrasts.csv").set_index("contrast")
    published = targets[targets["kind"] == "log_hazard_ratio"].set_index("target")["published"]
    for name in ("ecog[1|2]", "child_pugh[B]", "primary[uncontrolled]", "interval[metachronous]"):
        one = published[f"univariate-{name.split('[')[0]}: {name}, log hazard ratio"]
        other = published[f"multivariate: {name}, log hazard ratio"]
        assert contrasts.loc[name, "published"] == pytest.approx(one - other, rel=1e-8)
    np.testing.assert_allclose(
        contrasts["z"], (contrasts["published"] - contrasts["reproduced"]) / contrasts["sd"], **TEN_DIGITS
    )


def test_a_conflict_is_predicted_and_not_fitted(targets, results):
    """Its prediction is survival at 24 months in cohorts of the process, by lifelines."""
    (row,) = targets[targets["status"] == "conflict"].itertuples()
    assert (row.target, row.printed, row.published) == ("os-24", "S(24) = 0.4", 0.4)
    assert "os-24" not in [item.id for item in results.calibration.problem.targets]
    made = results.calibration.plug_in(150, seed=99).cohorts
    survival = [
        float(KaplanMeierFitter().fit(time, event).predict(24.0)) for time, event in zip(made.time, made.event, strict=True)
    ]
    error = np.std(survival, ddof=1) * math.sqrt(1 / len(survival) + 1 / 1000)
    assert abs(np.mean(survival) - row.reproduced) < 4 * error
    assert np.std(survival, ddof=1) == pytest.approx(row.sd, rel=0.3)


def test_parameters_say_what_is_not_identified(folder):
    table = pd.read_csv(folder / "parameters.csv").set_index("parameter")
    assert not table.loc[["site_sd", "site_share"], "identified"].any()
    assert table.drop(index=["site_sd", "site_share"])["identified"].all()
    assert table.loc[["site_sd", "site_share"], "note"].str.startswith("not identified").all()
    # HalfNormal(0.5): mean 0.5 sqrt(2 / pi); the mean of 1000 draws has an error of 0.01.
    assert table.loc["site_sd", "mean"] == pytest.approx(0.5 * math.sqrt(2 / math.pi), abs=0.04)
    # Dirichlet(5, 5, 5, 5, 5): variance of a share (1/5)(4/5) / 26.
    assert table.loc["site_share", "sd"] == pytest.approx(math.sqrt(0.2 * 0.8 / 26))
    known = table[table["prior_sd"] > 0]
    np.testing.assert_allclose(known["contraction"], 1 - known["sd"] / known["prior_sd"], **TEN_DIGITS)
    assert ((known["contraction"] < 0.3) == known["prior_driven"]).all()


def test_the_posterior_is_the_table(folder, results):
    tree = xr.open_datatree(folder / "posterior.nc", engine="h5netcdf")
    table = pd.read_csv(folder / "parameters.csv").set_index("parameter")
    for name in ("shape", "log_hazard_ratio child_pugh[B]", "events", "patients with 2 of 2 favourable"):
        draws = tree["posterior"][name.replace(" ", "_")]
        assert draws.dims == ("chain", "draw")
        assert float(draws.mean()) == pytest.approx(table.loc[name, "mean"], rel=1e-6)
    assert "not identified" in tree["posterior"].attrs["not_identified"]
    tree.close()


def test_diagnostics(folder, results, targets):
    found = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    documented = re.findall(
        r"^\| (`[^|]*) \|", DOCUMENT.read_text(encoding="utf-8").split("## diagnostics.json")[1], re.MULTILINE
    )
    keys = [name for cell in documented for name in re.findall(r"`([^`]*)`", cell)]
    assert list(found) == keys[: len(found)]
    assert found["conflicts"] == ["os-24"]
    distance, own = results.calibration.quality.distances()
    assert found["distance"]["published"] == pytest.approx(distance)
    assert found["distance"]["percentile"] == pytest.approx(np.mean(own < distance))
    far = targets[(targets["status"] == "fit") & (targets["z"].abs() > 1.5)]
    contrasts = results.contrasts[results.contrasts["z"].abs() > 1.5]
    assert len(found["beyond"]) == len(far) + len(contrasts)
    assert found["assumptions"]["family"] == "weibull"
    assert found["assumptions"]["site_sd"] is None
    assert f"{int((targets['status'] == 'fit').sum()) - len(far)} of " in found["sentence"]


def test_the_verdict_follows_the_numbers(results):
    verdict = calibration_verdict(results)
    assert not verdict.sparse
    moved = results.targets.copy()
    moved.loc[0, "z"] = 3.5

    class Worse(CalibrationResults):
        targets = moved

    worse = calibration_verdict(Worse(results.calibration, results.audit))
    assert worse.level == "fail"
    assert worse.beyond[0] == f"{moved.loc[0, 'target']} (z 3.5)"
    assert "Moments" in worse.sentence
    assert len(worse.beyond) == len(verdict.beyond) + 1


# The page ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(folder, parse):
    return parse((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_is_sound_and_loads_nothing(page):
    assert page.errors == []
    assert not page.root.all("script")
    assert "default-src 'none'" in page.source
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page.source)
    assert "<b>impossible</b>" not in page.source  # labels are escaped
    images = page.root.all("img")
    assert len(images) == 5
    assert all(image.attributes["src"].startswith("data:image/svg+xml;base64,") for image in images)
    assert all(len(image.attributes["alt"]) > 20 for image in images)


def test_the_first_screen_answers_and_doubts(page, results):
    assert "Nothing here is a patient" in page.root.one("header").text
    fitted = results.fitted
    within = int((fitted["z"].abs() <= 1.5).sum())
    verdict = page.root.one("p", "verdict").text
    assert f"reproduces {within} of {len(fitted)} numbers" in verdict
    assert "contrasts" in verdict
    heads = [answer.one("h2").text for answer in page.answers]
    assert [re.match(r"All patients|\d of 2 favourable", head)[0] for head in heads] == [
        "All patients",
        "2 of 2 favourable",
        "1 of 2 favourable",
        "0 of 2 favourable",
    ]
    events = results.parameter("events")
    assert f"{events['mean']:.0f} ({events['lower']:.0f} to {events['upper']:.0f}) events" in heads[0]
    assert "the paper prints 16" in page.answers[0].text
    assert "the paper prints 46" in page.answers[1].text
    assumed = page.said("Assumed, and not identified")
    assert assumed[0].startswith("NOT IDENTIFIED: the sizes of the 5 sites")
    doubts = " ".join(page.said("What to doubt"))
    for words in (
        "Largest miss of a fitted number",
        "Largest miss of a contrast",
        "Set aside as conflicts",
        "os-24",
        "os-median-lung",
    ):
        assert words in doubts


def test_sections_hold_every_number(page, results):
    assert list(page.sections) == [
        "targets",
        "survival",
        "implied",
        "parameters",
        "sensitivity",
        "contradictions",
        "numbers",
        "methods",
    ]
    aside = page.tables("contradictions")[0]
    assert aside[1][0] == "os-24"
    assert aside[1][2] == "S(24) = 0.4"
    findings = page.tables("contradictions")[1]
    assert len(findings) - 1 == len(results.audit.findings)
    numbers = page.tables("numbers")
    assert len(numbers[0]) - 1 == len(results.targets)
    assert sum(len(table) - 1 for table in numbers[2:]) == len(results.parameters)
    assert page.tables("sensitivity")[-1][1] == ["<b>impossible</b>", "The numbers do not go together."]
    assert "spread between sites is not identified" in page.sections["sensitivity"].text
    assert "not identified" in page.sections["methods"].text


# Pictures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_show_something(name, folder):
    with Image.open(folder / f"{name}.png") as image:
        assert min(image.size) > 250
        assert len(image.convert("L").getcolors(1 << 16)) > 10
    assert (folder / f"{name}.svg").read_text(encoding="utf-8").count("<text") > 5


def words_of(draw, results):
    """The words of a picture, none of which may overlap another or leave it."""
    with styled():
        figure = draw(results)
        renderer = figure.canvas.get_renderer()
        boxes = []

        def record(gc, x, y, words, prop, angle, ismath=False, mtext=None):
            width, height, below = renderer.get_text_width_height_descent(words, prop, False)
            if words.strip() and not angle:
                boxes.append((words, x, x + width, y + below - height, y + below))  # y counts downwards

        renderer.draw_text = record
        figure.draw(renderer)
    assert len(boxes) > 5
    for place, (words, left, right, top, bottom) in enumerate(boxes):
        assert -1 <= left < right <= figure.bbox.width + 1, words
        assert -1 <= top < bottom <= figure.bbox.height + 1, words
        for others, *other in boxes[place + 1 :]:
            across, down = min(right, other[1]) - max(left, other[0]), min(bottom, other[3]) - max(top, other[2])
            assert across < 2 or down < 2, (words, others)
    return [words for words, *_ in boxes]


@pytest.mark.parametrize("draw", [plot_targets, plot_distance, plot_fans, plot_implied, plot_contraction])
def test_no_words_overlap_or_leave_the_picture(draw, results):
    said = words_of(draw, results)
    assert not any("Not shown" in words for words in said)


@pytest.mark.parametrize(("draw", "most"), [(plot_fans, 3), (plot_fans, 2), (plot_implied, 2), (plot_implied, 1)])
def test_what_is_not_shown_is_said(draw, most, results, folder, monkeypatch, parse):
    """With less room than there are groups or cross tables, picture and page say how many are missing and where they are."""
    if draw is plot_fans:
        monkeypatch.setattr(calibration_curves, "MOST_PANELS", most)
        every, file = [fan.label for *_, fans in results.fans for fan in fans], "targets.csv"
        what = "groups; what is printed of them stands"
    else:
        monkeypatch.setattr(calibration_implied, "MOST_TABLES", most)
        every, file = list(cross_tables(results)), "parameters.csv"
        what = "cross tables; their counts stand"
    assert len(every) > 3
    sentence = f"Not shown: {len(every) - most} of {len(every)} {what} in {file}."
    assert words_of(draw, results).count(sentence) == 1
    page = parse(render_calibration(results, calibration_verdict(results), {"implied": folder / "implied.svg"}))
    assert sentence in page.sections["survival" if draw is plot_fans else "implied"].text
    assert page.root.text.count("Not shown") == 1


# The scenario --------------------------------------------------------------------------------------


def test_the_scenario_comes_back(folder, results):
    assert sw.load_scenario(folder / "scenario.toml") == results.calibration.scenario()
    assert (folder / "scenario.toml").read_text(encoding="utf-8").startswith("# Calibrated to krog-20-04")


def test_any_text_survives_a_toml_file(results):
    scenario = results.calibration.scenario()
    odd = 'Größe "5 cm" \\ $x$ # no comment\tand\x7f 東京'
    factor = replace(scenario.categorical[1], name="a.b c", levels=("0 = none", 'say "x"', "]"))
    strange = replace(
        scenario,
        title=odd,
        categorical=(factor,),
        correlations=(),
        favourable={"a.b c": ("0 = none",)},
        margins="sampled",
    )
    text = scenario_toml(strange, comment="two\nlines")
    assert text.startswith("# two\n# lines\n")
    assert sw.Scenario.from_dict(tomllib.loads(text)) == strange


def test_the_scenario_is_the_plug_in_process(results):
    """With stated sites both simulate one process: mean statistics of their cohorts agree within Monte Carlo error."""
    assumptions = sw.Assumptions(site_sd=0.25, site_shares=(0.35, 0.2, 0.2, 0.15, 0.1))
    base = results.calibration
    problem = Problem.of(base.problem.evidence, assumptions)
    assert problem.parameters.names == base.problem.parameters.names
    calibration = replace(base, problem=problem)
    size = 700
    scenario = calibration.scenario()
    made = sw.simulate_many(sw.Scenario.from_dict(tomllib.loads(scenario_toml(scenario))), size, seed=11)
    factors = {item.name: made.covariates[item.name] for item in scenario.categorical}
    measures = {item.name: made.covariates[item.name] for item in scenario.numeric}
    own = problem.statistics(Cohorts(made.time, made.event, factors, measures, made.site))
    other = problem.statistics(calibration.plug_in(size, seed=12).cohorts)
    for place, target in enumerate(problem.targets):
        one, two = own[:, place], other[:, place]
        one, two = one[np.isfinite(one)], two[np.isfinite(two)]
        error = math.sqrt(one.var(ddof=1) / len(one) + two.var(ddof=1) / len(two))
        # 38 comparisons: by chance alone one beyond 4.5 in 4,000 runs.
        assert abs(one.mean() - two.mean()) < 4.5 * error + 1e-9, target.id
