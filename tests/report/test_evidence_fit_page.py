"""What an evidence fit writes: tables against the raw draws and the paper's own numbers, the page, the pictures."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sitewise as sw
from sitewise.report.evidence_fit_published import group_of_entry
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.calibration.products import Produced
from sitewise.studies.evidence_fit import Member
from sitewise.studies.evidence_verdict import FEWEST, counts

DOCS = Path(__file__).parents[2] / "docs"
SUMMARY = "mean sd median lower upper"
FIRST = {
    "coefficients": f"term metric {SUMMARY} ratio ratio_lower ratio_upper prob_above_zero ess_bulk r_hat mcse_mean",
    "parameters": f"parameter {SUMMARY} ess_bulk r_hat mcse_mean",
    "survival": "group sites time mean median lower upper extrapolated",
    "estimands": "group sites estimand horizon mean median lower upper prob_not_reached extrapolated mcse_mean",
    "groups": "group n events sites_represented person_time km_median km_lower km_upper",
}
"""The contract's first columns of each table that `sitewise fit` writes."""
STACKED = ["within_sd", "between_sd", "share_between"]


@pytest.fixture(scope="module")
def fitted():
    """Cohorts of the paper's form, of the process at its prior's centre: no calibration is needed for what is tested here."""
    problem = Problem.of(sw.load_evidence("krog-20-04"))
    theta = np.tile(problem.parameters.mean, (2, 1))
    cohorts, statistics = problem.simulate(theta, problem.randomness(3, 2, stage=5))
    made = Produced("plug_in", problem, cohorts, theta, np.zeros(2, dtype=np.intp), 3, statistics)
    return sw.stack_fits(made, engine=sw.Nuts(draws=300, tune=300, chains=2), seed=1, times=[12, 24])


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    place = tmp_path_factory.mktemp("evidence-fit")
    written = sw.write_evidence_fit(fitted, place, prob=0.9)
    assert sorted(path.name for path in place.iterdir()) == sorted(written)
    return place


def table_of(folder, name):
    return pd.read_csv(folder / f"{name}.csv")


@pytest.mark.parametrize("name", FIRST)
def test_tables_begin_with_the_columns_of_the_contract(folder, name):
    table = table_of(folder, name)
    first = FIRST[name].split()
    assert table.columns[: len(first)].tolist() == first
    if name != "groups":
        assert set(STACKED) < set(table.columns)
    assert table.columns[-1] == "synthetic"
    assert table["synthetic"].all()


def test_coefficients_are_those_of_the_raw_draws(fitted, folder):
    table = table_of(folder, "coefficients").set_index(["metric", "term"])
    for metric in ("log_hazard_ratio", "log_time_ratio"):
        draws = fitted.posterior[metric]
        for term in draws["term"].to_numpy():
            own = draws.sel(term=term).to_numpy()
            row = table.loc[(metric, term)]
            assert row["mean"] == pytest.approx(own.mean(), rel=1e-8)
            assert row["sd"] == pytest.approx(own.std(), rel=1e-8)
            assert row["within_sd"] ** 2 + row["between_sd"] ** 2 == pytest.approx(own.var(), rel=1e-7)
            assert row[["lower", "upper"]].tolist() == pytest.approx(np.quantile(own, [0.05, 0.95]), rel=1e-8)
            assert row["ratio"] == pytest.approx(np.exp(np.median(own)), rel=1e-8)
            assert row["prob_above_zero"] == pytest.approx((own > 0).mean())


def test_estimands_are_those_of_the_raw_draws(fitted, folder):
    table = table_of(folder, "estimands")
    assert len(table) == 4 * 2 * (1 + 2 + 1)
    draws = fitted.estimands.sel(sites="marginal", group="2 of 2 favourable")
    own = table[(table["sites"] == "marginal") & (table["group"] == "2 of 2 favourable")].set_index(["estimand", "horizon"])
    values = draws["survival"].sel(time=24).to_numpy()
    assert own.loc[("survival", 24), "median"] == pytest.approx(np.median(values), rel=1e-8)
    assert own.loc[("survival", 24), "between_sd"] == pytest.approx(values.mean(axis=(1, 2)).std(), rel=1e-8)
    medians = draws["median_survival"].to_numpy()
    last = fitted.last_time["2 of 2 favourable"].to_numpy()
    row = own[own.index.get_level_values(0) == "median_survival"].iloc[0]
    assert row["prob_not_reached"] == pytest.approx((medians > last[:, None, None]).mean())
    assert (table["prob_not_reached"].notna() == (table["estimand"] == "median_survival")).all()


def test_survival_says_that_sites_are_not_identified(folder):
    for name in ("survival", "estimands"):
        table = table_of(folder, name)
        assert set(table["sites"]) == {"observed", "marginal"}
        assert table["note"].str.contains("sizes of sites and the spread between them: not identified by the paper").all()


def test_groups_and_cohorts_count_the_same_patients(fitted, folder):
    cohorts, groups = table_of(folder, "cohorts"), table_of(folder, "groups").set_index("group")
    for place, member in enumerate(fitted.members):
        people = member.known.covariates
        both = (people["ecog"] == "0") & (people["child_pugh"] == "A")
        assert cohorts["n 2 of 2 favourable"][place] == both.sum()
        assert cohorts["events 2 of 2 favourable"][place] == member.known.event[both.to_numpy()].sum()
        assert cohorts["deaths"][place] == member.known.event.sum()
        assert [int(size) for size in cohorts["site_sizes"][place].split()] == np.bincount(member.known.site_index).tolist()
    assert groups.loc["2 of 2 favourable", "n"] == pytest.approx(cohorts["n 2 of 2 favourable"].mean())
    misses = table_of(folder, "misses")
    assert cohorts["misses"].tolist() == [(misses["cohort"] == place).sum() for place in range(2)]


def test_the_papers_numbers_stand_beside(folder):
    """Read off the paper: Table 3 and section 3.2."""
    table = table_of(folder, "published")
    adjusted = table[table["adjusted"]].set_index("of")["published"].to_dict()
    assert adjusted == {
        "ecog[1|2]": 1.84,
        "child_pugh[B]": 2.277,
        "primary[uncontrolled]": 1.437,
        "interval[metachronous]": 0.761,
    }
    medians = table[table["quantity"] == "median_survival"].set_index("of")["published"].to_dict()
    assert medians == {"all": 16, "2 of 2 favourable": 46, "1 of 2 favourable": 13, "0 of 2 favourable": 6}
    two_years = table[table["quantity"] == "survival"].iloc[0]
    assert (two_years["of"], two_years["published"], two_years["horizon"]) == ("all", 0.4, 24)
    assert (table["inside"] == ((table["lower"] <= table["published"]) & (table["published"] <= table["upper"]))).all()


def test_entries_about_groups_that_the_fit_does_not_have_are_left_out(fitted):
    lung = next(item for item in fitted.evidence.survival if item.id == "os-median-lung")
    assert group_of_entry(lung, fitted) is None


def test_the_cohorts_written_are_those_fitted(fitted, folder):
    table = pd.read_parquet(folder / "cohorts.parquet")
    assert table["synthetic"].all()
    for member in fitted.members:
        own = table[table["cohort"] == member.place]
        assert own["site"].astype(str).tolist() == member.known.site.astype(str).tolist()
        np.testing.assert_array_equal(own["time"], member.known.time)
    with xr.open_datatree(folder / "posterior.nc", engine="h5netcdf") as tree:
        assert tree["posterior/log_hazard_ratio"].sizes == {"cohort": 2, "chain": 2, "draw": 300, "term": 4}


def test_diagnostics_say_what_reproduces_the_run(fitted, folder):
    content = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    assert content["cohorts"]["asked"] == content["cohorts"]["in_stack"] == 2
    assert content["seeds"] == [member.seed for member in fitted.members]
    assert content["prob"] == 0.9
    assert content["synthetic"] is True
    assert "not identified" in content["not_identified"]
    assert content["engine_settings"]["draws"] == 300
    assert {"evidence_hash", "versions", "assumptions", "guarantee_times", "spec"} < set(content)


def test_every_file_is_described(folder):
    text = (DOCS / "fit-evidence.md").read_text(encoding="utf-8")
    for path in folder.iterdir():
        assert path.name in text or f"`{path.stem}`" in text, path.name
        if path.suffix == ".csv":
            for column in pd.read_csv(path, nrows=0).columns:
                name = re.sub(r"^(n|events) .*", r"\1 GROUP", column)
                assert re.search(rf"\b{re.escape(name)}\b", text), f"{path.name}: {column}"


class Page(HTMLParser):
    """Addresses, elements and text of a page."""

    def __init__(self, source):
        super().__init__()
        self.addresses, self.tags, self.words = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_loads_and_runs_nothing(page):
    assert page.addresses
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert "script" not in page.tags
    style = " ".join(page.words)
    assert "@import" not in style
    assert "url(" not in style
    assert page.tags.count("img") == 4


def test_the_first_screen_says_what_the_data_are(fitted, page):
    sizes = [fitted.groups.groups(member.known) for member in fitted.members]
    mean = [np.mean([found[place].rows.sum() for found in sizes]) for place in (1, 2, 3)]
    title = "What KROG 20-04 implies, with group sizes of about " + " / ".join(f"{value:.0f}" for value in mean)
    assert f"{title}, and how unsure that is" in page.text
    for words in (
        "Not the paper's patients: 2 synthetic cohorts",
        "not identified by the paper",
        "not for decisions on single patients",
        "one reconstructed cohort, analysed as if it were the paper's, would hide it",
        "Nobody dies or leaves before a guarantee time",
        f"mean {fitted.spec.guarantee_time:.2f}",
        "The paper: median 46 months",
    ):
        assert words in page.text, words


def test_a_number_of_the_paper_outside_the_interval_is_a_doubt(folder, page):
    table = table_of(folder, "published")
    for row in table[~table["inside"] & (table["quantity"] == "median_survival")].itertuples():
        assert f"Median of {row.of}: the paper prints {row.published:g} months" in page.text
    for row in table[table["inside"] & (table["quantity"] == "median_survival")].itertuples():
        assert f"Median of {row.of}: the paper prints" not in page.text


def test_levels_of_the_verdict_follow_from_the_cohorts():
    def member(place, reason=""):
        return Member(place, place, 0.0, 0.0, reason=reason)

    found = counts([member(0), member(1, "no events"), member(2)])
    assert found == {"asked": 3, "in_stack": 2, "ok": 0, "warn": 0, "fail": 0, "not_fitted": 3}
    assert FEWEST == 0.9
