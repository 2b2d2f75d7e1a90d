"""`truth.csv`: what is true beside the estimates, whatever model was fitted to the scenario's patients."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.report.tables import all_tables
from sitewise.report.truth_table import truth_table
from sitewise.report.write import short_table

COLUMNS = ["group", "sites", "estimand", "horizon", "true_value", "median", "lower", "upper", "inside"]
FULL = "Surv(time, event) ~ ecog + child_pugh + primary + interval + (1 | site)"
EFFECTS = {"ecog[>=1]": 0.57, "child_pugh[B]": 0.88, "primary[uncontrolled]": 0.32, "interval[synchronous]": 0.37}
ASKED = {"times": (6, 24), "rmst_horizon": 12}
SITE_EFFECTS = (-0.4, 0.1, 0.6)


@pytest.fixture(scope="module")
def groups():
    return sw.RiskGroups.count_favourable(ecog="0", child_pugh="A")


@pytest.fixture(scope="module")
def stated():
    """A synthetic cohort of a scenario with numeric covariates, three levels, exponential times and stated site effects."""
    return sw.simulate(
        sw.Scenario(
            "stated",
            "Stated site effects",
            90,
            sw.Baseline(20.0, "exponential"),
            sw.Sites(("north", "east", "south"), (0.5, 0.3, 0.2), log_hazard_ratios=SITE_EFFECTS),
            sw.Censoring(administrative=36.0),
            categorical=(sw.Categorical("stage", ("I", "II", "III"), (0.5, 0.3, 0.2), (0.0, 0.4, 0.9)),),
            numeric=(sw.Numeric("age", 0.03, 60.0, mean=62.0, sd=9.0),),
        ),
        5,
    )


def made(analysis):
    """The truth table and the other tables; estimates beside the truth are those of the other tables."""
    tables = all_tables(analysis)
    table = truth_table(analysis, tables)
    assert list(table.columns) == COLUMNS
    assert not table.duplicated(["group", "sites", "estimand", "horizon"]).any()
    inside = (table["lower"] <= table["true_value"]) & (table["true_value"] <= table["upper"])
    np.testing.assert_array_equal(table["inside"], inside)
    for row in table[table["sites"] != ""].itertuples():
        found = tables["estimands"]
        found = found[(found["group"] == row.group) & (found["sites"] == row.sites) & (found["estimand"] == row.estimand)]
        found = found[found["horizon"].isna() if np.isnan(row.horizon) else found["horizon"] == row.horizon].iloc[0]
        assert (row.median, row.lower, row.upper) == (found["median"], found["lower"], found["upper"])
    return table, tables


def single(table):
    """True values of single numbers by name."""
    return table[table["sites"] == ""].set_index("group")["true_value"].to_dict()


def assert_groups(table, analysis, treatments):
    """Every true value of groups is that of ``Truth``, asked for one by one."""
    truth = sw.Truth.of(analysis.fit.cohort)
    rows = table[table["sites"] != ""].set_index(["sites", "estimand", "horizon", "group"])["true_value"].sort_index()
    assert list(dict.fromkeys(table.loc[table["sites"] != "", "sites"])) == [item.label for item in treatments]
    for sites in treatments:
        options = {"groups": analysis.population, "sites": sites}
        medians = truth.median_survival(**options)
        curves = truth.survival(analysis.milestones, **options)
        areas = truth.rmst(**options, horizon=analysis.horizon)
        for group in medians.index:
            assert rows[sites.label, "median_survival", np.nan, group] == pytest.approx(medians[group], rel=1e-12)
            assert rows[sites.label, "rmst", analysis.horizon, group] == pytest.approx(areas[group], rel=1e-12)
            for time in analysis.milestones:
                expected = curves.loc[group, time]
                assert rows[sites.label, "survival", time, group] == pytest.approx(expected, rel=1e-12)
        assert len(rows.xs(sites.label, level="sites")) == len(medians) * (2 + len(analysis.milestones))


def test_the_packaged_scenario(krog, chosen, groups):
    analysis = chosen(krog, FULL, groups=groups, asked=ASKED, guarantee_time=1.95)
    table, tables = made(analysis)
    assert_groups(table, analysis, [sw.Observed(), sw.Average(), sw.Marginal()])
    assert single(table) == pytest.approx({**EFFECTS, "shape": 0.762, "site_sd_log_hazard_ratio": 0.25})
    kinds = table[table["sites"] == ""].set_index("group")["estimand"]
    assert kinds["ecog[>=1]"] == "log hazard ratio"
    assert kinds["shape"] == kinds["site_sd_log_hazard_ratio"] == "parameter"
    effects = tables["coefficients"].set_index(["term", "metric"])
    parameters = tables["parameters"].set_index("parameter")
    for row in table[table["sites"] == ""].itertuples():
        known = parameters.loc[row.group] if row.estimand == "parameter" else effects.loc[(row.group, "log_hazard_ratio")]
        assert (row.median, row.lower, row.upper) == tuple(known[["median", "lower", "upper"]])
    assert table.loc[table["sites"] == "", "horizon"].isna().all()


def test_true_survival_by_hand(krog, chosen):
    """The whole cohort at the average site: the mean of exp(-H) over patients, H from the scenario's numbers."""
    everyone = sw.RiskGroups.by_rule({"all": "ecog == ecog"})
    table, _ = made(chosen(krog, FULL, groups=everyone, asked=ASKED, guarantee_time=1.95))
    x = krog.covariates
    effect = 0.57 * (x["ecog"] == ">=1") + 0.88 * (x["child_pugh"] == "B") + 0.32 * (x["primary"] == "uncontrolled")
    effect = effect + 0.37 * (x["interval"] == "synchronous")
    for time in (6, 24):
        hazard = np.log(2) * ((time - 1.95) / 38.4) ** 0.762 * np.exp(effect)
        own_site = hazard * np.exp(krog.site_effects[krog.site_index])
        for sites, each in (("average", hazard), ("observed", own_site)):
            row = table[(table["sites"] == sites) & (table["horizon"] == time) & (table["estimand"] == "survival")]
            assert row["true_value"].item() == pytest.approx(np.exp(-each).mean(), rel=1e-12)


def test_another_reference_level(krog, chosen, groups):
    """The log hazard ratios turn round with the reference."""
    order = {"ecog": [">=1", "0"], "interval": ["synchronous", "metachronous"]}
    turned = krog.covariates.assign(**{name: krog.covariates[name].cat.reorder_categories(new) for name, new in order.items()})
    table, _ = made(chosen(replace(krog, covariates=turned), FULL, groups=groups, asked=ASKED))
    found = single(table)
    assert (found["ecog[0]"], found["interval[metachronous]"]) == pytest.approx((-0.57, -0.37))
    assert (found["child_pugh[B]"], found["primary[uncontrolled]"]) == pytest.approx((0.88, 0.32))
    assert "ecog[>=1]" not in found


def test_another_reference_among_three_levels(stated, chosen):
    stage = stated.covariates["stage"].cat.reorder_categories(["II", "I", "III"])
    turned = replace(stated, covariates=stated.covariates.assign(stage=stage))
    table, _ = made(chosen(turned, "Surv(time, event) ~ stage + age", asked=ASKED))
    assert single(table) == pytest.approx({"stage[I]": -0.4, "stage[III]": 0.5, "age": 0.03})


def test_a_model_that_lacks_covariates(krog, chosen, groups):
    table, _ = made(chosen(krog, "Surv(time, event) ~ ecog + (1 | site)", groups=groups, asked=ASKED))
    assert not single(table)  # without the others a coefficient is another quantity, and so is the shape
    table, _ = made(chosen(krog, "Surv(time, event) ~ 1 + (1 | site)", groups=groups, asked=ASKED))
    assert not single(table)


def test_a_term_that_the_scenario_does_not_know(stated, chosen):
    table, _ = made(chosen(stated, "Surv(time, event) ~ np.log(age) + stage", asked=ASKED))
    assert set(single(table)) == {"stage[II]", "stage[III]"}


def test_stated_sites_and_numeric_covariates(stated, chosen):
    """No distribution of sites: neither the average over sites nor the spread between them is true or false."""
    analysis = chosen(stated, "Surv(time, event) ~ stage + age + (1 | site)", asked=ASKED, family=sw.Exponential())
    table, _ = made(analysis)
    assert_groups(table, analysis, [sw.Observed(), sw.Average()])
    assert single(table) == pytest.approx({"stage[II]": 0.4, "stage[III]": 0.9, "age": 0.03})
    # Everyone at their own site, by hand: S(t) = mean of exp(-ln 2 t / 20 exp(effects)).
    row = table[(table["group"] == "all") & (table["sites"] == "observed") & (table["horizon"] == 24)].iloc[0]
    x = stated.covariates
    effect = x["stage"].map({"I": 0.0, "II": 0.4, "III": 0.9}).astype(float) + 0.03 * (x["age"] - 60)
    own = effect + np.array(SITE_EFFECTS)[[("north", "east", "south").index(site) for site in stated.site]]
    assert row["true_value"] == pytest.approx(np.exp(-np.log(2) * 24 / 20 * np.exp(own)).mean(), rel=1e-12)


def test_time_ratios(krog, chosen, groups):
    """Coefficients and the spread are compared on the log hazard scale, whatever metric was sampled."""
    analysis = chosen(krog, FULL, groups=groups, asked=ASKED, metric="time-ratio", guarantee_time=1.95)
    table, _ = made(analysis)
    assert single(table) == pytest.approx({**EFFECTS, "shape": 0.762, "site_sd_log_hazard_ratio": 0.25})
    shape = analysis.fit.posterior["shape"]
    for name in ("ecog[>=1]", "interval[synchronous]"):
        draws = -analysis.fit.posterior["log_time_ratio"].sel(term=name) * shape  # beta = -k phi in each draw
        row = table[table["group"] == name].iloc[0]
        assert row["median"] == pytest.approx(float(draws.median()), rel=1e-9)
    row = table[table["group"] == "site_sd_log_hazard_ratio"].iloc[0]
    assert row["median"] == pytest.approx(float((analysis.fit.posterior["site_sd"] * shape).median()), rel=1e-9)
    assert_groups(table, analysis, [sw.Observed(), sw.Average(), sw.Marginal()])


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"guarantee_time": 1.95}, True),
        ({"guarantee_time": 0.0}, False),
        ({"guarantee_time": 1.95, "family": sw.Exponential()}, False),
    ],
)
def test_the_shape_is_compared_when_it_means_the_same(options, shape, krog, chosen, groups):
    table, _ = made(chosen(krog, FULL, groups=groups, asked=ASKED, **options))
    assert ("shape" in single(table)) == shape


@pytest.mark.parametrize(
    ("formula", "options", "treatments"),
    [
        (FULL, {"sites": sw.FixedSites()}, [sw.Observed(), sw.Average()]),
        ("Surv(time, event) ~ ecog", {}, [sw.Average()]),
    ],
)
def test_without_random_sites_no_spread_is_compared(formula, options, treatments, krog, chosen, groups):
    analysis = chosen(krog, formula, groups=groups, asked=ASKED, **options)
    table, _ = made(analysis)
    assert "site_sd_log_hazard_ratio" not in single(table)
    if analysis.fit.spec.has_sites:
        assert_groups(table, analysis, treatments)
    else:  # the model's "average" is of these patients where they are: that is what is true of them
        own = sw.Truth.of(krog).median_survival(groups=groups, sites=sw.Observed())
        rows = table[table["estimand"] == "median_survival"].set_index("group")
        assert set(rows["sites"]) == {"average"}
        assert rows["true_value"].to_dict() == pytest.approx(own.to_dict())


def test_hypothetical_people(krog, chosen):
    """All covariates of the scenario are known: they have a truth. Some are not: nothing can be said of them."""
    whole = {"ecog": "0", "child_pugh": "A", "primary": "controlled", "interval": "metachronous"}
    analysis = chosen(krog, FULL, groups=sw.Profiles({"best": whole}), asked=ASKED, guarantee_time=1.95)
    table, _ = made(analysis)
    assert_groups(table, analysis, [sw.Average(), sw.Marginal()])
    row = table[(table["sites"] == "average") & (table["estimand"] == "median_survival")].iloc[0]
    assert row["true_value"] == pytest.approx(1.95 + 38.4, rel=1e-9)  # the reference patient's median
    analysis = chosen(krog, "Surv(time, event) ~ ecog + (1 | site)", groups=sw.Profiles({"a": {"ecog": "0"}}), asked=ASKED)
    table, _ = made(analysis)
    assert table.empty


def test_nothing_is_known_of_patients(make_frame, read, chosen, krog):
    analysis = chosen(read(make_frame(60)), "Surv(months, died) ~ ecog", asked=ASKED)
    assert truth_table(analysis, all_tables(analysis)) is None
    again = sw.Cohort.from_frame(krog.frame, time="time", event="event", site="site", id="patient", covariates=["ecog"])
    analysis = chosen(again, "Surv(time, event) ~ ecog", asked=ASKED)
    assert again.synthetic
    assert truth_table(analysis, all_tables(analysis)) is None


def test_a_truth_on_the_limit_is_inside(krog, chosen, groups):
    """Draws without spread, at the truth."""
    whole = sw.Profiles({"best": {"ecog": "0", "child_pugh": "A", "primary": "controlled", "interval": "metachronous"}})
    same = np.tile([0.57, 0.88, 0.32, 0.37], (2, 40, 1))
    analysis = chosen(krog, FULL.replace(" + (1 | site)", ""), groups=whole, asked=ASKED, values={"coefficients": same})
    table, _ = made(analysis)
    found = table[table["estimand"] == "log hazard ratio"].set_index("group")
    assert (found["lower"] == found["upper"]).all()
    near = np.isclose(found["lower"], found["true_value"], rtol=1e-14)
    assert near.all()


@pytest.fixture(scope="module")
def no_pictures():
    import sitewise.report.write

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sitewise.report.write, "write_plots", lambda analysis, folder: [])
        yield


@pytest.mark.usefixtures("no_pictures")
class TestFiles:
    def test_the_file_holds_the_table(self, krog, chosen, groups, tmp_path):
        analysis = chosen(krog, FULL, groups=groups, asked=ASKED, guarantee_time=1.95)
        written = sw.write_all(analysis, tmp_path)
        assert written["truth.csv"] == tmp_path / "truth.csv"
        table, _ = made(analysis)
        found = pd.read_csv(tmp_path / "truth.csv", keep_default_na=False, na_values={"horizon": [""]})
        assert list(found.columns) == [*COLUMNS, "synthetic"]
        pd.testing.assert_frame_equal(found[COLUMNS], table, check_dtype=False, rtol=1e-8)

    def test_the_terminal_shows_the_truth(self, krog, chosen, groups, tmp_path):
        analysis = chosen(krog, FULL, groups=groups, asked=ASKED, guarantee_time=1.95)
        sw.write_all(analysis, tmp_path)
        truth = sw.Truth.of(krog)
        medians = truth.median_survival(groups=groups, sites=sw.Observed())
        curves = truth.survival([6, 24], groups=groups, sites=sw.Observed())
        for row in short_table(tmp_path, "observed")[1:]:
            assert row[4].splitlines()[-1] == f"true {medians[row[0]]:.1f}"
            assert [cell.splitlines()[-1] for cell in row[5:]] == [f"true {curves.loc[row[0], time]:.2f}" for time in (6, 24)]

    def test_patients_have_no_such_file(self, make_frame, read, chosen, tmp_path):
        written = sw.write_all(chosen(read(make_frame(60)), "Surv(months, died) ~ ecog", asked=ASKED), tmp_path)
        assert "truth.csv" not in written
        assert not (tmp_path / "truth.csv").exists()

    def test_the_truth_of_an_earlier_run_is_not_shown_beside_patients(self, krog, chosen, make_frame, read, tmp_path):
        """The folder of a demo, used again for patients whose groups have the same names."""
        groups = sw.RiskGroups.count_favourable(ecog="0")
        sw.write_all(chosen(krog, "Surv(time, event) ~ ecog", groups=groups, asked=ASKED), tmp_path)
        sw.write_all(chosen(read(make_frame(60)), "Surv(months, died) ~ ecog", groups=groups, asked=ASKED), tmp_path)
        assert "true" not in str(short_table(tmp_path, "average"))
