"""Every file of a fit against the published table of columns (docs/files.md), and its contents against the draws.

One fit of the packaged cohort with real draws. A milestone of 33.4 months lies beyond the follow-up of the group with ECOG 0
(33.2 months) and within that of the other (33.6).
"""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "files.md"
GOOD, POOR = "1 of 1 favourable", "0 of 1 favourable"
TREATMENTS = ("observed", "average", "marginal", "new")
MILESTONES = (6.0, 12.0, 24.0, 33.4)
# CSVs hold ten digits.
TEN_DIGITS = {"rtol": 1e-8, "atol": 1e-9}


def rows_of_first_table(text):
    """The cells of the first Markdown table, without its header."""
    lines = text[text.index("| file | columns |") :].splitlines()
    for line in lines[2:]:
        if not line.startswith("|"):
            return
        file_cell, columns_cell = (cell.strip() for cell in line.strip().strip("|").split(" | ", 1))
        yield file_cell, columns_cell


def names_in(cell):
    """The names in backticks, those in parentheses left out."""
    outside = re.sub(r"\([^)]*\)", "", cell)
    return [name.strip() for part in re.findall(r"`([^`]*)`", outside) for name in part.split(",")]


def values_of(cell, column):
    """The names in the parentheses that follow a column."""
    inside = re.search(rf"\b{column}` \(([^)]*)\)", cell)
    return re.findall(r"`([^`]*)`", inside[1])


CONTRACT = {
    name.strip("` "): columns for files, columns in rows_of_first_table(DOCUMENT.read_text()) for name in files.split(",")
}
CSVS = [name for name in CONTRACT if name.endswith(".csv")]


@pytest.fixture(scope="module")
def analysis(lung_fit):
    return sw.Analysis(
        lung_fit,
        sw.RiskGroups.count_favourable(ecog="0"),
        times=(24, 6, 33.4, 12),
        rmst_horizon=24,
        margins={"survival": 0.1, "rmst": 2.0},
    )


@pytest.fixture(scope="module")
def folder(analysis, tmp_path_factory):
    place = tmp_path_factory.mktemp("report") / "made" / "when missing"
    written = sw.write_all(analysis, place)
    assert set(written) == {path.name for path in place.iterdir()}
    return place


@pytest.fixture(scope="module")
def tables(folder):
    return {name: pd.read_csv(folder / name) for name in CSVS}


@pytest.fixture(scope="module")
def posterior(lung_fit):
    """Draws of every scalar as flat arrays."""
    flat = lung_fit.posterior.stack(sample=("chain", "draw"))
    return {name: values.transpose("sample", ...).to_numpy() for name, values in flat.data_vars.items()}


# The contract ---------------------------------------------------------------------------------------------


def test_the_published_table_is_read_whole():
    assert [
        *("coefficients.csv", "parameters.csv", "sites.csv", "survival.csv", "estimands.csv", "contrasts.csv", "groups.csv"),
    ] == CSVS
    assert {"diagnostics.json", "posterior.nc", "report.html"} <= set(CONTRACT)
    assert names_in(CONTRACT["coefficients.csv"])[:4] == ["term", "metric", "mean", "sd"]
    assert names_in(CONTRACT["contrasts.csv"])[-4:] == ["prob_above_null", "margin", "prob_above_margin", "mcse_mean"]


@pytest.mark.parametrize("name", CSVS)
def test_first_columns(name, tables):
    expected = names_in(CONTRACT[name])
    assert list(tables[name].columns[: len(expected)]) == expected


@pytest.mark.parametrize("name", CSVS)
def test_further_columns_are_published_too(name, tables):
    further = set(tables[name].columns) - set(names_in(CONTRACT[name]))
    second = DOCUMENT.read_text().split("Columns that follow those above:")[1]
    published = {
        column.strip()
        for line in second.splitlines()
        if line.startswith("|") and f"`{name}`" in line
        for column in line.split("|")[2].strip("` \n").split(",")
    }
    assert further == published


@pytest.mark.parametrize("name", CSVS)
def test_files_hold_rows_without_repetition(name, tables):
    keys = ["term", "metric", "parameter", "site", "group", "reference_group", "sites", "estimand", "scale"]
    keys += ["horizon", "time"]
    table = tables[name]
    assert len(table) > 0
    assert not table.duplicated([key for key in keys if key in table.columns]).any()


def test_values_that_the_contract_lists(tables):
    assert set(tables["coefficients.csv"]["metric"]) == set(values_of(CONTRACT["coefficients.csv"], "metric"))
    assert list(tables["parameters.csv"]["parameter"]) == values_of(CONTRACT["parameters.csv"], "parameter")
    assert set(tables["estimands.csv"]["estimand"]) == set(values_of(CONTRACT["estimands.csv"], "estimand"))
    assert set(tables["contrasts.csv"]["scale"]) == set(values_of(CONTRACT["contrasts.csv"], "scale"))
    listed = set(values_of(CONTRACT["survival.csv"], "sites"))
    assert set(tables["survival.csv"]["sites"].str.replace(r"observed:.*", "observed:LABEL", regex=True)) == listed


@pytest.mark.parametrize("name", [name for name in CSVS if name not in ("groups.csv", "sites.csv")])
def test_limits_enclose_the_median(name, tables):
    table = tables[name]
    assert (table["lower"] <= table["median"]).all()
    assert (table["median"] <= table["upper"]).all()
    numbers = table[["mean", "median", "lower", "upper"]]
    assert np.isfinite(numbers.to_numpy()).all()


# Coefficients and parameters ------------------------------------------------------------------------------


def test_coefficients_are_those_of_the_draws(tables, posterior):
    table = tables["coefficients.csv"].set_index(["term", "metric"])
    beta, shape = posterior["log_hazard_ratio"], posterior["shape"]
    draws = {"log_hazard_ratio": beta, "log_time_ratio": -beta / shape[:, None]}  # phi = -beta / k, draw by draw
    assert list(dict.fromkeys(term for term, _ in table.index)) == ["ecog[>=1]", "age", "sex[2]"]
    for metric, values in draws.items():
        rows = table.xs(metric, level="metric")
        np.testing.assert_allclose(rows["mean"], values.mean(axis=0), **TEN_DIGITS)
        np.testing.assert_allclose(rows["sd"], values.std(axis=0, ddof=1), **TEN_DIGITS)
        np.testing.assert_allclose(rows["median"], np.median(values, axis=0), **TEN_DIGITS)
        limits = np.quantile(values, [0.025, 0.975], axis=0)
        np.testing.assert_allclose(rows[["lower", "upper"]].to_numpy().T, limits, **TEN_DIGITS)
        np.testing.assert_allclose(rows["prob_above_zero"], (values > 0).mean(axis=0), **TEN_DIGITS)


def test_ratios_are_exponentials(tables):
    table = tables["coefficients.csv"]
    for ratio, logged in (("ratio", "median"), ("ratio_lower", "lower"), ("ratio_upper", "upper")):
        np.testing.assert_allclose(table[ratio], np.exp(table[logged]), **TEN_DIGITS)


def test_the_two_metrics_mirror_each_other(tables):
    table = tables["coefficients.csv"]
    hazard = table[table["metric"] == "log_hazard_ratio"].set_index("term")
    time = table[table["metric"] == "log_time_ratio"].set_index("term")
    np.testing.assert_allclose(hazard["prob_above_zero"] + time["prob_above_zero"], 1.0, atol=1e-9)
    assert (np.sign(hazard["median"]) == -np.sign(time["median"])).all()
    # ECOG above 0 is worse: a higher hazard and a shorter time.
    assert hazard.loc["ecog[>=1]", "ratio"] > 1 > time.loc["ecog[>=1]", "ratio"]


def test_parameters_are_those_of_the_draws(tables, posterior):
    table = tables["parameters.csv"].set_index("parameter")
    for name in ("shape", "log_scale", "log_scale_at_means", "site_sd"):
        assert table.loc[name, "mean"] == pytest.approx(posterior[name].mean(), rel=1e-8)
        assert table.loc[name, "upper"] == pytest.approx(np.quantile(posterior[name], 0.975), rel=1e-8)
    assert table.loc["site_sd_log_hazard_ratio", "median"] == pytest.approx(table.loc["site_sd", "median"], rel=1e-9)
    in_time = np.median(posterior["site_sd"] / posterior["shape"])
    assert table.loc["site_sd_log_time_ratio", "median"] == pytest.approx(in_time, rel=1e-8)
    # exp(sqrt(2) x 0.6745 sd): the median ratio of two sites' hazards
    ratio = np.median(np.exp(np.sqrt(2) * 0.6744897501960817 * posterior["site_sd"]))
    assert table.loc["median_hazard_ratio", "median"] == pytest.approx(ratio, rel=1e-8)


@pytest.mark.parametrize("name", ["coefficients.csv", "parameters.csv"])
def test_diagnostics_of_each_number(name, tables):
    table = tables[name]
    assert table["ess_bulk"].between(100, 20_000).all()
    assert table["r_hat"].between(0.99, 1.05).all()
    assert (table["mcse_mean"] > 0).all()
    assert (table["mcse_mean"] < 0.1 * table["sd"]).all()


# Sites ----------------------------------------------------------------------------------------------------


def test_sites_count_the_cohort(tables, lung):
    table = tables["sites.csv"]
    counts = lung.counts_by_site()
    assert [str(site) for site in table["site"]] == list(lung.site_labels)
    for name in ("n", "events"):
        np.testing.assert_array_equal(table[name], counts[name])
    np.testing.assert_allclose(table["person_time"], counts["person_time"], **TEN_DIGITS)


def test_sites_are_those_of_the_draws(tables, posterior):
    table = tables["sites.csv"]
    effect = posterior["site_effect"]
    np.testing.assert_allclose(table["log_hazard_ratio_mean"], effect.mean(axis=0), **TEN_DIGITS)
    np.testing.assert_allclose(table["lower"], np.quantile(effect, 0.025, axis=0), **TEN_DIGITS)
    np.testing.assert_allclose(table["upper"], np.quantile(effect, 0.975, axis=0), **TEN_DIGITS)
    ranks = effect.argsort(axis=1).argsort(axis=1) + 1  # 1 = lowest hazard
    np.testing.assert_allclose(table["rank_mean"], ranks.mean(axis=0), **TEN_DIGITS)
    assert table["rank_mean"].sum() == pytest.approx(18 * 19 / 2, rel=1e-9)


# Groups ---------------------------------------------------------------------------------------------------


def test_groups_by_hand(tables, lung):
    table = tables["groups.csv"].set_index("group")
    assert list(table.index) == [GOOD, POOR]
    for group, level in ((GOOD, "0"), (POOR, ">=1")):
        rows = (lung.covariates["ecog"] == level).to_numpy()
        row = table.loc[group]
        assert (row["n"], row["events"]) == (rows.sum(), lung.event[rows].sum())
        assert row["sites_represented"] == len(set(lung.site_index[rows]))
        assert row["person_time"] == pytest.approx(lung.time[rows].sum(), rel=1e-9)
        assert row["last_time"] == pytest.approx(lung.time[rows].max(), rel=1e-9)
        expected = lung.kaplan_meier(rows).median()
        np.testing.assert_allclose(row[["km_median", "km_lower", "km_upper"]].astype(float), expected, rtol=1e-9)
    assert table["n"].sum() == len(lung)
    assert not table["data_poor"].any()


# Survival, estimands, contrasts ---------------------------------------------------------------------------


def test_curves_fall_from_one(tables):
    table = tables["survival.csv"]
    for _, curve in table.groupby(["group", "sites"]):
        assert curve["time"].is_monotonic_increasing
        assert curve["time"].iloc[0] == 0
        for column in ("mean", "median", "lower", "upper"):
            assert curve[column].iloc[0] == 1
            assert (np.diff(curve[column]) < 0).all()
            assert curve[column].between(0, 1).all()


def test_curves_of_every_treatment_and_site(tables, lung):
    table = tables["survival.csv"]
    by_group = {tuple(pair) for pair in table[["group", "sites"]].drop_duplicates().to_numpy()}
    expected = {(group, sites) for group in (GOOD, POOR) for sites in TREATMENTS}
    assert by_group == expected | {("all", f"observed:{site}") for site in lung.site_labels}


def last_time_of(group, lung):
    level = {GOOD: "0", POOR: ">=1"}[group]
    return lung.time[(lung.covariates["ecog"] == level).to_numpy()].max()


def test_curves_beyond_follow_up_are_flagged(tables, lung):
    table = tables["survival.csv"]
    flagged = table[table["sites"].isin(TREATMENTS)].groupby("group")["extrapolated"].sum()
    for group in (GOOD, POOR):
        rows = table[(table["group"] == group) & (table["sites"] == "average")]
        beyond = rows["time"].to_numpy() > last_time_of(group, lung) + 1e-8
        np.testing.assert_array_equal(rows["extrapolated"], beyond)
    assert flagged[GOOD] > 0
    assert flagged[POOR] == 0


def test_curves_hold_the_milestones_of_the_estimands(tables):
    curves = tables["survival.csv"].set_index(["group", "sites", "time"])
    table = tables["estimands.csv"]
    milestones = table[table["estimand"] == "survival"]
    assert sorted(milestones["horizon"].unique()) == list(MILESTONES)
    for row in milestones.itertuples():
        curve = curves.loc[(row.group, row.sites, row.horizon)]
        assert (row.mean, row.median, row.lower, row.upper) == pytest.approx(
            (curve["mean"], curve["median"], curve["lower"], curve["upper"]), rel=1e-8
        )
        assert row.extrapolated == curve["extrapolated"]


def test_every_estimand_of_every_group_and_treatment(tables):
    table = tables["estimands.csv"]
    assert len(table) == 2 * len(TREATMENTS) * (1 + len(MILESTONES) + 1)
    assert table.loc[table["estimand"] == "rmst", "horizon"].unique() == [24]
    assert table.loc[table["estimand"] == "median_survival", "horizon"].isna().all()
    assert table.loc[table["estimand"] == "rmst", ["lower", "upper"]].to_numpy().max() < 24
    assert table.loc[table["estimand"] == "survival", ["lower", "upper"]].to_numpy().max() < 1


def test_extrapolated_estimands(tables):
    table = tables["estimands.csv"]
    at_the_end = (table["estimand"] == "survival") & (table["horizon"] == 33.4)
    late = table[at_the_end].set_index(["group", "sites"])["extrapolated"]
    assert late.xs(GOOD, level="group").all()
    assert not late.xs(POOR, level="group").any()
    assert not table.loc[table["horizon"] == 24, "extrapolated"].any()


def test_prob_not_reached_is_the_share_of_draws_beyond_follow_up(tables, analysis, lung):
    table = tables["estimands.csv"]
    medians = table[table["estimand"] == "median_survival"].set_index(["group", "sites"])
    for sites, curves in analysis.curves.items():
        draws = curves.quantile(0.5)
        for group in (GOOD, POOR):
            share = float((draws.sel(group=group) > last_time_of(group, lung)).mean())
            assert medians.loc[(group, sites), "prob_not_reached"] == pytest.approx(share, abs=1e-9)
    assert (medians["extrapolated"] == (medians["prob_not_reached"] > 0.5)).all()
    assert table.loc[table["estimand"] != "median_survival", "prob_not_reached"].isna().all()


def test_sites_spread_a_new_site_more_than_the_average_one(tables):
    table = tables["estimands.csv"].set_index(["group", "sites", "estimand", "horizon"])["sd"]
    for group in (GOOD, POOR):
        assert table[(group, "new", "survival", 12)] > table[(group, "average", "survival", 12)]


def test_monte_carlo_errors(tables):
    for name in ("estimands.csv", "contrasts.csv"):
        table = tables[name]
        assert (table["mcse_mean"] > 0).all()
        assert (table["mcse_mean"] < 0.1 * table["sd"]).all()


def test_contrasts_compare_the_pair_once(tables):
    table = tables["contrasts.csv"]
    assert set(zip(table["group"], table["reference_group"], strict=True)) == {(GOOD, POOR)}
    assert len(table) == len(TREATMENTS) * (1 + len(MILESTONES) + 1) * 2


def test_contrasts_are_those_of_the_draws(tables, analysis):
    table = tables["contrasts.csv"].set_index(["sites", "estimand", "scale"])
    for sites, curves in analysis.curves.items():
        draws = curves.rmst(24)
        good, poor = draws.sel(group=GOOD, drop=True), draws.sel(group=POOR, drop=True)
        for scale, compared, null in (("difference", good - poor, 0.0), ("ratio", good / poor, 1.0)):
            row = table.loc[(sites, "rmst", scale)].squeeze()
            assert row["mean"] == pytest.approx(float(compared.mean()), rel=1e-8)
            assert row["median"] == pytest.approx(float(compared.median()), rel=1e-8)
            assert row["prob_above_null"] == pytest.approx(float((compared > null).mean()), abs=1e-9)
        row = table.loc[(sites, "rmst", "difference")].squeeze()
        assert row["prob_above_margin"] == pytest.approx(float((good - poor > 2).mean()), abs=1e-9)


def test_margins(tables):
    table = tables["contrasts.csv"]
    differences, ratios = table[table["scale"] == "difference"], table[table["scale"] == "ratio"]
    margins = differences.groupby("estimand")["margin"].unique()
    assert list(margins["survival"]) == [0.1]
    assert list(margins["rmst"]) == [2]
    assert np.isnan(margins["median_survival"]).all()
    assert ratios["margin"].isna().all()
    assert ratios["prob_above_margin"].isna().all()
    asked = differences[differences["margin"].notna()]
    assert (asked["prob_above_margin"] <= asked["prob_above_null"]).all()
    for name in ("prob_above_null", "prob_above_margin"):
        assert table[name].dropna().between(0, 1).all()


# diagnostics.json, posterior.nc ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diagnostics(folder):
    return json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))


def test_diagnostics_name_what_reproduces_the_run(diagnostics, lung_fit, lung):
    assert (diagnostics["schema_version"], diagnostics["prob"], diagnostics["seed"]) == (1, 0.95, 1)
    assert diagnostics["engine"] == "nuts"
    assert diagnostics["data_hash"] == lung.data_hash
    assert diagnostics["spec_hash"] == lung_fit.spec_hash
    assert {"python", "sitewise", "pymc", "nutpie", "numpy"} <= set(diagnostics["versions"])
    assert sw.ModelSpec.from_dict(diagnostics["spec"]) == lung_fit.spec


def test_diagnostics_hold_every_number_behind_the_verdict(diagnostics, lung_fit):
    assert diagnostics["verdict"] == lung_fit.verdict.level
    assert diagnostics["sentence"] == lung_fit.verdict.sentence
    names = [check["name"] for check in diagnostics["checks"]]
    assert names == ["r_hat", "ess_bulk", "ess_tail", "divergences", "e_bfmi", "mcse"]
    for check, expected in zip(diagnostics["checks"], lung_fit.verdict.checks, strict=True):
        assert check["value"] == expected.value
        assert check["level"] in ("ok", "warn", "fail")


def test_diagnostics_describe_the_data(diagnostics, lung):
    data = diagnostics["data"]
    assert (data["patients"], data["events"], data["rows_read"], data["rows_dropped"]) == (226, 163, 228, 2)
    assert data["notes"] == list(lung.notes)
    assert data["follow_up"] == lung.follow_up()
    assert diagnostics["warnings"] == list(lung.warnings)


def test_diagnostics_hold_every_key_that_is_published(diagnostics):
    section = DOCUMENT.read_text().split("## diagnostics.json")[1]
    published = {
        name.strip()
        for line in section.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].replace("`", "").split(",")
    }
    assert set(diagnostics) == published - {"weighted_draws"}  # of the fast engine only


def test_the_posterior_can_be_loaded(folder, lung_fit):
    loaded = sw.load(folder / "posterior.nc")
    assert loaded.spec == lung_fit.spec
    assert loaded.posterior.equals(lung_fit.posterior)
    assert loaded.cohort.data_hash == lung_fit.cohort.data_hash


def test_a_second_run_replaces_the_tables_by_the_same(analysis, folder, monkeypatch):
    import sitewise.report.write

    monkeypatch.setattr(sitewise.report.write, "write_plots", lambda analysis, folder: [])
    before = {name: (folder / name).read_bytes() for name in CSVS}
    (folder / "groups.csv").write_text("spoiled")
    sw.write_all(analysis, folder)
    assert {name: (folder / name).read_bytes() for name in CSVS} == before
