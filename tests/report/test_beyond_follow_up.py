"""Numbers beyond a group's follow-up are marked wherever they stand.

Patients with ECOG 0 were followed to 8 months, the others to 23; draws that nobody had to sample.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

MODEL = "Surv(months, died) ~ ecog + (1 | hospital)"
SHORT, LONG = "1 of 1 favourable", "0 of 1 favourable"
MILESTONES = (6, 12, 18)
NOTE = "* Beyond a group's follow-up."
SITES = pd.DataFrame(
    [
        ("none", SHORT, "median_survival", np.nan, 7.9, False),
        ("none", LONG, "median_survival", np.nan, 20.0, False),
        ("none", SHORT, "survival", 12.0, 0.5, True),
        ("none", LONG, "survival", 12.0, 0.5, False),
        ("fixed", SHORT, "median_survival", np.nan, 8.1, True),
        ("fixed", SHORT, "survival", 6.0, 0.5, False),
        ("fixed", "ecog[>=1]", "log_hazard_ratio", np.nan, 99.0, False),
    ],
    columns=["site_model", "group", "estimand", "horizon", "median", "expected"],
).assign(mean=0.5, sd=0.1, lower=0.4, upper=0.6, verdict="ok")


@pytest.fixture(scope="module")
def make(make_frame, read, chosen):
    """A function that makes the analysis with these milestones."""
    frame = make_frame(80, seed=4)
    short = frame["ecog"] == "0"
    frame.loc[short, "died"] = np.where(frame["months"] > 8, 0, frame["died"])[short]
    frame.loc[short, "months"] = frame.loc[short, "months"].clip(upper=8.0)

    def analysis(times: tuple[float, ...]) -> sw.Analysis:
        return chosen(read(frame), MODEL, groups=sw.RiskGroups.count_favourable(ecog="0"), asked={"times": times})

    return analysis


@pytest.fixture(scope="module")
def page(make, render):
    return render(make(MILESTONES))[0]


def sentences(page) -> dict[str, str]:
    return {group: answer.all("p")[0].text for group, answer in zip((SHORT, LONG), page.answers, strict=True)}


def test_the_sentence_is_about_a_time_to_which_the_group_was_followed(page):
    said = sentences(page)
    assert "survive 6 months." in said[SHORT]
    assert "survive 12 months." in said[LONG]


def test_where_there_is_no_such_time_the_sentence_says_so(make, render):
    said = sentences(render(make((9, 12, 18)))[0])
    assert "survive 9 months (beyond follow-up)." in said[SHORT]
    assert "survive 12 months." in said[LONG]


def test_a_comparison_over_a_longer_time_says_so(page, make, render):
    (far,) = [item for item in page.said("How sure") if "outlive" in item]
    assert "of the first 18 months (" in far
    assert "on average (beyond follow-up), probability " in far
    (near,) = [item for item in render(make((6,)))[0].said("How sure") if "outlive" in item]
    assert "on average, probability " in near


def test_cells_of_the_tables_are_marked(page):
    by_time = page.tables("groups")[1][1:]
    assert {(row[0], row[1]) for row in by_time if row[3].endswith("*")} == {(SHORT, "12 months"), (SHORT, "18 months")}
    for group, _, _, survival, area in page.tables("populations")[0][1:]:
        assert survival.endswith("*") == (group == SHORT)  # at 12 months
        assert area.endswith("*") == (group == SHORT)  # 18 months
    marked = {row[1]: row[2].endswith("*") for row in page.tables("contrasts")[0][1:]}
    assert marked.pop("difference of S(6)") is False
    marked.pop("ratio of medians")  # may be either
    assert marked == {"difference of S(12)": True, "difference of S(18)": True, "difference of RMST(18)": True}


@pytest.mark.parametrize("section", ["groups", "populations", "contrasts"])
def test_the_mark_is_explained_where_it_stands(section, page, make, render):
    assert NOTE in [item.text for item in page.sections[section].all("p", "note")]
    within = render(make((4, 5, 6)))[0]
    text = within.sections[section].text
    assert ("*" in text) == (NOTE in text)
    if section != "contrasts":  # where a median may lie beyond
        assert "*" not in text


def test_contrasts_hold_what_is_extrapolated(make, render):
    """A pair is where either group is, by its median or by the time."""
    _, tables = render(make(MILESTONES))
    contrasts, estimands = tables["contrasts"], tables["estimands"]
    assert contrasts.columns[-1] == "extrapolated"
    assert contrasts["extrapolated"].dtype == bool
    for row in contrasts.itertuples():
        same = estimands[(estimands["sites"] == row.sites) & (estimands["estimand"] == row.estimand)]
        if row.estimand != "median_survival":
            same = same[same["horizon"] == row.horizon]
            assert row.extrapolated == (row.horizon > 8)
        assert row.extrapolated == same["extrapolated"].any()


def test_other_treatments_of_sites_hold_what_is_extrapolated(make, tmp_path):
    analysis = replace(make(MILESTONES), site_models=SITES.drop(columns="expected"))
    sw.write_all(analysis, tmp_path, page=False)
    written = pd.read_csv(tmp_path / "site_models.csv")
    assert written.columns[-1] == "extrapolated"
    assert list(written["extrapolated"]) == list(SITES["expected"])
