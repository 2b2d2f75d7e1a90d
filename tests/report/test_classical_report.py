"""Files, pictures and page of a classical analysis, against the published table of columns and the tables themselves."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.report.classical_forest import plot_cox
from sitewise.report.classical_page import render_classical
from sitewise.report.classical_plots import plot_covariates, plot_endpoints, plot_risk_groups
from sitewise.report.classical_words import notes_of, p_text, ratio_text, words
from sitewise.report.classical_write import described
from sitewise.studies.classical_analysis.hidden import beside_the_model

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "tables.md"
CONTRACT = {
    match[1]: [name.strip() for name in match[2].split(",")]
    for match in re.finditer(r"^\| `(\w+\.csv)` \| `([^`]*)` \|$", DOCUMENT.read_text(), re.MULTILINE)
}


def patients():
    """A synthetic cohort with every kind of outcome, some of it by hand."""
    cohort = sw.simulate(sw.load_scenario("krog-20-04"), 2)
    frame = cohort.frame.assign(ecog=cohort.frame["ecog"].astype(str).replace({">=1": "1"}))
    rng = np.random.default_rng(3)
    wait = rng.exponential(6.0, len(frame))
    failed = wait < frame["time"]
    frame["pfs_time"] = np.minimum(wait, frame["time"])
    frame["pfs_event"] = (failed | (frame["event"] == 1)).astype(int)
    frame["first_failure"] = np.where(failed, rng.choice(["distant", "local", "distant and local"], len(frame)), "none")
    frame["pneumonitis"] = rng.choice([0, 1], len(frame), p=[0.9, 0.1])
    return frame


@pytest.fixture(scope="module")
def tables():
    frame, evidence = patients(), sw.load_evidence("krog-20-04")
    names = [name for name in evidence.characteristics if name in frame.columns]
    levels = {item.name: list(item.levels) for item in evidence.categorical if item.name in names}
    read = frame[["patient", "site", "time", "event", *names, "synthetic"]]
    cohort = sw.Cohort.from_frame(read, time="time", event="event", site="site", id="patient", covariates=names, levels=levels)
    outcomes = sw.Outcomes.read(cohort, frame, toxicities=["pneumonitis"])
    return sw.classical_tables(cohort, sw.classical_plan(cohort, evidence=evidence), outcomes=outcomes)


@pytest.fixture(scope="module")
def beside(tables):
    return beside_the_model(tables, engine=sw.Nuts(draws=100, tune=300, chains=2))


@pytest.fixture(scope="module")
def folder(tables, beside, tmp_path_factory):
    place = tmp_path_factory.mktemp("classical") / "made when missing"
    written = sw.write_classical(tables, place, beside=beside)
    assert set(written) == {path.name for path in place.iterdir()}
    return place


@pytest.fixture(scope="module")
def page(folder, parse):
    return parse((folder / "report.html").read_text())


def test_every_file_has_the_published_columns(folder, tables):
    written = {path.name for path in folder.glob("*.csv")}
    assert written == set(CONTRACT)
    for name, columns in CONTRACT.items():
        table = pd.read_csv(folder / name)
        assert list(table.columns[: len(columns)]) == columns, name
        assert table.columns[-1] == "synthetic"
        assert table["synthetic"].all()
        if name == "survival.csv":
            milestones = [f"{part}_{time:g}" for time in tables.plan.times for part in ("survival", "survival_lower")]
            assert set(milestones) <= set(table.columns)
            assert list(table.columns[-3:-1]) == ["last_time", "remark"]
        else:
            assert list(table.columns[len(columns) :]) == ["synthetic"]


def test_pictures_that_the_document_names(folder):
    text = DOCUMENT.read_text().split("Pictures, each as")[1].split("Diamonds")[0]
    named = set(re.findall(r"`([a-z_]+)` ", text)) | {"model_survival"}
    assert {path.stem for path in folder.glob("*.svg")} == named
    assert {path.stem for path in folder.glob("*.png")} == named
    for path in folder.glob("*.svg"):
        assert "Synthetic patients" in path.read_text(), path.name


def test_what_an_earlier_run_made_is_removed(tables, folder, tmp_path):
    (tmp_path / "model_effects.csv").write_text("old")
    (tmp_path / "toxicity.csv").write_text("old")
    bare = sw.classical_tables(tables.cohort, sw.classical_plan(tables.cohort, covariates=["ecog"]))
    written = sw.write_classical(bare, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(written)
    assert not {"model_effects.csv", "toxicity.csv", "published.csv"} & set(written)


def test_analysis_json(folder, tables):
    content = json.loads((folder / "analysis.json").read_text())
    assert content["data_hash"] == tables.cohort.data_hash
    assert content["evidence"] == "krog-20-04"
    assert content["data"]["events"] == {item.name: int(item.event.sum()) for item in tables.outcomes.endpoints}
    assert content["covariates"]["ecog"] == [["1|2", "0"]]
    assert content["model"]["formula"].endswith("(1 | site_of_patient)")
    assert (content["ties"], content["entry_p"]) == ("efron", 0.1)


def test_the_page_is_whole_and_loads_nothing(page, folder):
    assert page.errors == []
    source = (folder / "report.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", source)
    assert "<script" not in source
    assert list(page.sections) == [
        *("survival", "cox", "hides", "published", "table-one", "failures", "toxicity", "follow-up"),
    ]


def test_the_cox_table_of_the_page(page, tables):
    head, *rows = page.tables("cox")[0]
    assert head == ["Overall survival", "univariate (95 %)", "p", "multivariate (95 %)", "p"]
    cox = tables.cox.set_index(["model", "covariate"])
    own = next(row for row in rows if row[0].startswith("ECOG performance status: 1 or 2 against 0"))
    for place, model in ((1, "univariate"), (3, "multivariate")):
        if (model, "ecog") in cox.index:
            row = cox.loc[(model, "ecog")]
            assert own[place] == f"{row['hazard_ratio']:.3f} ({row['lower']:.3f}–{row['upper']:.3f})"
    published = page.tables("cox")[1]
    first = next(row for row in published if row[0].startswith("ECOG") and row[1] == "univariate")
    assert first[4] == "2.375 (1.375–4.103)"
    off = 100 * (cox.loc[("univariate", "ecog"), "hazard_ratio"] / 2.375 - 1)
    assert first[6] == f"{off:+.1f} %"


def test_table_one_of_the_page(page, tables):
    head, *rows = page.tables("table-one")[0]
    assert head == ["Characteristic", "all", *tables.cohort.site_labels, "published", "p, by site"]
    row = next(row for row in rows if row[0] == "Child-Pugh class: B")
    members = (tables.cohort.covariates["child_pugh"] == "B").to_numpy()
    by_site = [int((members & (tables.cohort.site == label)).sum()) for label in tables.cohort.site_labels]
    assert [int(cell.split()[0]) for cell in row[1:7]] == [int(members.sum()), *by_site]
    assert row[7] == "17"


def test_failures_and_toxicity_of_the_page(page, tables):
    rows = {row[0]: row[1:] for row in page.tables("failures")[0]}
    table = tables.failures.set_index(["pattern", "counted"])["n"]
    assert rows["any failure"][0] == str(table["failure", "all"])
    assert rows["distant"][0] == str(table["distant", "with"])
    assert rows["distant only"][0] == str(table["distant", "only"])
    assert rows["any failure"][3] == "84"
    assert rows["local"][3] == "16 %"
    toxic = {row[0]: row[1] for row in page.tables("toxicity")[0]}
    assert toxic["pneumonitis: 1"].startswith(str(int((tables.outcomes.toxicities["pneumonitis"] == "1").sum())))


def test_what_is_hidden_is_said(page, tables):
    said = " ".join(page.said("What this analysis hides"))
    sizes = tables.cohort.counts_by_site()["n"]
    assert f"5 sites of {sizes.min()} to {sizes.max()} patients are analysed as if they were one" in said
    cox = tables.cox[(tables.cox["model"] == "multivariate")].iloc[0]
    each = int(tables.cohort.event.sum()) / cox["model_columns"]
    assert f"{each:.1f} per variable" in said
    assert ("Below ten" in said) == (each < 10)


def test_synthetic_sites_are_not_identified_by_a_paper(page, folder, tables):
    """Said once on the page and in the notes of analysis.json; of real sites, and of a single one, nothing is said."""
    assert page.root.text.count("are not identified by the paper") == 1
    assert sum("not identified" in note for note in json.loads((folder / "analysis.json").read_text())["notes"]) == 1
    read = patients()[["site", "time", "event", "ecog", "synthetic"]]
    for frame in (read.drop(columns="synthetic"), read.assign(site="a"), read.drop(columns="site")):
        site = "site" if "site" in frame.columns else None
        cohort = sw.Cohort.from_frame(frame, time="time", event="event", site=site, covariates=["ecog"])
        own = sw.classical_tables(cohort, sw.classical_plan(cohort))
        assert not any("not identified" in note for note in (*notes_of(own), *described(own)["notes"]))


def test_the_model_beside(page, beside):
    effects = page.tables("hides")[0][1:]
    assert len(effects) == len(beside.effects)
    first = beside.effects.iloc[0]
    assert effects[0][4] == f"{first['hazard_ratio']:.2f} ({first['lower']:.2f}–{first['upper']:.2f})"
    groups = [row[0] for row in page.tables("hides")[1][1:]]
    assert groups == beside.medians["group"].tolist()


def test_without_a_model_the_page_says_how_to_have_one(tables, parse):
    page = parse(render_classical(tables, {}))
    assert "--fit" in page.sections["hides"].text
    assert page.tables("hides") == []


def steps(axes):
    """The curves of some axes by their label: times and heights."""
    found = {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in axes.lines}
    return {label: values for label, values in found.items() if not label.startswith("_")}


def test_curves_of_the_pictures(tables):
    """The drawn steps are lifelines' curve of the same patients."""
    from lifelines import KaplanMeierFitter

    axes = plot_endpoints(tables).axes[0]
    curves = steps(axes)
    assert len(curves) == 2
    for item in tables.outcomes.endpoints:
        x, y = next(values for label, values in curves.items() if label.startswith(item.label))
        fitted = KaplanMeierFitter().fit(item.time, item.event)
        events = np.unique(item.time[item.event])
        assert x[1:-1].tolist() == events.tolist()
        assert y[1:-1] == pytest.approx(fitted.predict(events).to_numpy(), abs=1e-12)
    diamonds = sorted(float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D")
    assert diamonds == [4, 16]


def test_risk_groups_and_covariates(tables):
    axes = plot_risk_groups(tables).axes[0]
    groups = tables.survival[(tables.survival["partition"] == "risk group") & (tables.survival["endpoint"] == "os")]
    expected = [f"{row.group}  (n = {row.n}, {row.events} events)" for row in groups.itertuples()]
    assert list(steps(axes)) == expected
    assert sorted(float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D") == [6, 13, 46]
    univariate = tables.cox[(tables.cox["model"] == "univariate") & (tables.cox["level"] != "")]
    shown = list(dict.fromkeys(univariate[univariate["entered"]]["covariate"]))
    assert len(plot_covariates(tables).axes) == len(shown)


def test_forest(tables):
    axes = plot_cox(tables).axes[0]
    own = tables.cox[tables.cox["endpoint"] == "os"]
    assert len(axes.get_yticks()) == len(own)
    drawn = sorted(float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in ("o", "D"))
    published = own["published_hazard_ratio"].dropna().astype(float)
    assert drawn == pytest.approx(sorted([*own["hazard_ratio"], *published]), rel=1e-12)


@pytest.mark.parametrize(("value", "text"), [(0.0401, "0.040"), (0.0009, "<0.001"), (0.9996, ">0.999"), (float("nan"), "–")])
def test_p_values_in_words(value, text):
    assert p_text(value) == text


def test_words():
    assert words("1|2|3") == "1, 2 or 3"
    assert words("bread and butter") == "bread and butter"
    assert ratio_text(2.375, 1.375, 4.103, digits=3) == "2.375 (1.375–4.103)"
    assert ratio_text(float("nan"), 1, 2) == "–"
