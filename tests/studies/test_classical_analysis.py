"""The classical analysis against lifelines, statsmodels and scipy on the packaged lung cohort, and hand-worked tables."""

import itertools
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import sitewise as sw
from sitewise.cohort import packaged_path
from sitewise.studies.classical_analysis.plan import Contrast


def lung_cohort(**options):
    return sw.Cohort.from_csv(
        packaged_path("lung"),
        time="time_days",
        event="event",
        site="inst",
        id="id",
        time_unit="days",
        recode={"stage": sw.Recode("ph_ecog", {"0": [0], "1": [1], "2": [2], "3": [3]})},
        reference={"sex": 1},
        missing="drop",
        **options,
    )


@pytest.fixture(scope="module")
def cohort():
    """227 patients; stage misses one, weight loss several; one patient alone has stage 3."""
    return lung_cohort()


@pytest.fixture(scope="module", params=["efron", "breslow"])
def ties(request):
    return request.param


@pytest.fixture(scope="module")
def names():
    return ["stage", "age", "sex", "wt_loss"]


@pytest.fixture(scope="module")
def tables(cohort, names):
    return sw.classical_tables(cohort, sw.classical_plan(cohort, covariates=names, factors={"stage": ["0"]}, times=[180, 360]))


def cox_by_statsmodels(cohort, columns, ties):
    """Coefficients, standard errors and log likelihood of complete patients by another program."""
    from statsmodels.duration.hazard_regression import PHReg

    keep = columns.notna().all(axis=1).to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = PHReg(cohort.time[keep], columns[keep].to_numpy(float), status=cohort.event[keep], ties=ties).fit(gtol=1e-10)
    return np.asarray(fit.params), np.asarray(fit.bse), fit.llf


def columns_of(cohort):
    table = cohort.covariates
    stage = {f"stage {level}": (table["stage"] == level).where(table["stage"].notna()) for level in "123"}
    return pd.DataFrame(
        {**stage, "age": table["age"], "sex": (table["sex"] == "2").astype(float), "wt_loss": table["wt_loss"]}
    ).astype(float)


def test_cox_tables(cohort, names, ties):
    """Hazard ratios, Wald limits and p values, the entry test, and who enters, by statsmodels."""
    tables = sw.classical_tables(cohort, sw.classical_plan(cohort, covariates=names, ties=ties))
    columns = columns_of(cohort)
    entered = []
    for name in names:
        own = [column for column in columns if column.split()[0] == name]
        estimate, error, fitted = cox_by_statsmodels(cohort, columns[own], ties)
        rows = tables.cox[(tables.cox["model"] == "univariate") & (tables.cox["covariate"] == name)]
        check_rows(rows, estimate, error)
        keep = columns[own].notna().all(axis=1).to_numpy()
        null = log_likelihood_at_zero(cohort.time[keep], cohort.event[keep] > 0, ties)
        p = stats.chi2.sf(2 * (fitted - null), len(own))
        assert rows["entry_p"].to_numpy() == pytest.approx(p, rel=1e-5)
        assert set(rows["entered"]) == {p < 0.1}
        entered += own if p < 0.1 else []
    assert 1 < len(entered) < len(columns.columns)
    estimate, error, _ = cox_by_statsmodels(cohort, columns[entered], ties)
    check_rows(tables.cox[tables.cox["model"] == "multivariate"], estimate, error)


def check_rows(rows, estimate, error):
    assert np.log(rows["hazard_ratio"]).to_numpy() == pytest.approx(estimate, rel=1e-5, abs=1e-8)
    assert rows["standard_error"].to_numpy() == pytest.approx(error, rel=1e-5)
    z = stats.norm.ppf(0.975)
    assert rows["lower"].to_numpy() == pytest.approx(np.exp(estimate - z * error), rel=1e-5)
    assert rows["upper"].to_numpy() == pytest.approx(np.exp(estimate + z * error), rel=1e-5)
    assert rows["p"].to_numpy() == pytest.approx(2 * stats.norm.sf(abs(estimate / error)), rel=1e-4)


def log_likelihood_at_zero(time, event, ties):
    """Cox's log partial likelihood without covariates: minus the logs of the sizes of the risk sets."""
    total = 0.0
    for at in np.unique(time[event]):
        deaths, risk = int((event & (time == at)).sum()), int((time >= at).sum())
        total -= sum(math.log(risk - (number if ties == "efron" else 0)) for number in range(deaths))
    return total


def test_counts_of_the_rows(cohort, tables):
    rows = tables.cox[(tables.cox["model"] == "univariate") & (tables.cox["covariate"] == "stage")].set_index("level")
    for level in "123":
        members = (cohort.covariates["stage"] == level).to_numpy()
        assert rows.loc[level, ["n", "events"]].tolist() == [members.sum(), cohort.event[members].sum()]
    assert set(rows["reference"]) == {"0"}
    assert rows["reference_n"].tolist() == [63] * 3
    assert "fewer than 5 events" in rows.loc["3", "remark"]
    gap = tables.cox[tables.cox["covariate"] == "wt_loss"].iloc[0]
    missing = int(cohort.covariates["wt_loss"].isna().sum())
    assert gap["remark"] == f"{missing} patients with a missing value left out"
    assert (gap["n"], gap["model_patients"]) == (len(cohort) - missing,) * 2


def test_survival(cohort, tables):
    """Medians and milestones with log-log limits, by lifelines."""
    from lifelines import KaplanMeierFitter
    from lifelines.utils import median_survival_times

    rows = tables.survival.set_index(["partition", "group"])
    for place, members in {
        ("all", "all"): np.ones(len(cohort), dtype=bool),
        ("risk group", "1 of 1 favourable"): (cohort.covariates["stage"] == "0").to_numpy(),
        ("sex", "2"): (cohort.covariates["sex"] == "2").to_numpy(),
        ("site", "12"): (cohort.site == "12").to_numpy(),
    }.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = KaplanMeierFitter().fit(cohort.time[members], cohort.event[members])
            limits = median_survival_times(fitted.confidence_interval_survival_function_)
        row = rows.loc[place]
        assert (row["n"], row["events"]) == (members.sum(), cohort.event[members].sum())
        assert row["median"] == fitted.median_survival_time_
        assert [row["lower"], row["upper"]] == limits.to_numpy().ravel().tolist()
        for time in (180, 360):
            assert row[f"survival_{time}"] == pytest.approx(fitted.predict(time), abs=1e-12)
            at = fitted.confidence_interval_survival_function_.loc[:time].iloc[-1].to_numpy()
            assert [row[f"survival_lower_{time}"], row[f"survival_upper_{time}"]] == pytest.approx(at, abs=1e-9)
            assert row[f"at_risk_{time}"] == (cohort.time[members] >= time).sum()


def test_log_rank(cohort, tables):
    from lifelines.statistics import multivariate_logrank_test

    rows = tables.log_rank.set_index("partition")
    groups = {"stage": cohort.covariates["stage"], "sex": cohort.covariates["sex"], "site": cohort.site}
    groups["risk group"] = (cohort.covariates["stage"] == "0").where(cohort.covariates["stage"].notna())
    for name, labels in groups.items():
        known = labels.notna().to_numpy()
        test = multivariate_logrank_test(cohort.time[known], labels[known].astype(str), cohort.event[known])
        assert rows.loc[name, "chi2"] == pytest.approx(test.test_statistic, rel=1e-8)
        assert rows.loc[name, "p"] == pytest.approx(test.p_value, rel=1e-6)
        assert rows.loc[name, "degrees_of_freedom"] == labels[known].nunique() - 1


def test_follow_up(cohort, tables):
    from lifelines import KaplanMeierFitter

    rows = tables.follow_up.set_index("definition")
    assert rows.loc["observed", "median"] == np.median(cohort.time)
    assert rows.loc["alive-only", "median"] == np.median(cohort.time[cohort.event == 0])
    # All patients are at risk of leaving until they die or leave; times at which both happen need no convention here.
    reverse = KaplanMeierFitter().fit(cohort.time, 1 - cohort.event).median_survival_time_
    assert rows.loc["reverse-kaplan-meier", "median"] == reverse
    assert (rows["shortest"].iloc[0], rows["longest"].iloc[0]) == (cohort.time.min(), cohort.time.max())


def test_table_one_and_its_tests(cohort, names):
    """By sex: 2 x 4 levels with sparse cells, and numbers."""
    plan = sw.classical_plan(cohort, covariates=names, compared_by="sex")
    tables = sw.classical_tables(cohort, plan)
    table, sex = tables.table_one, cohort.covariates["sex"]
    stage = pd.crosstab(cohort.covariates["stage"], sex)
    own = table[table["characteristic"] == "stage"]
    for level, group in itertools.product(stage.index, stage.columns):
        row = own[(own["level"] == level) & (own["group"] == group)].iloc[0]
        assert row["n"] == stage.loc[level, group]
        assert row["percent"] == pytest.approx(100 * stage.loc[level, group] / stage[group].sum(), rel=1e-12)
    age = table[(table["characteristic"] == "age") & (table["group"] == "all")].iloc[0]
    values = cohort.covariates["age"]
    assert [age["median"], age["mean"], age["sd"], age["minimum"]] == pytest.approx(
        [values.median(), values.mean(), values.std(), values.min()], rel=1e-12
    )
    tests = tables.tests.set_index("characteristic")
    expected = stats.chi2_contingency(stage.to_numpy(), correction=False)
    row = tests.loc["stage"]
    found = row[["statistic", "degrees_of_freedom", "p"]].tolist()
    assert found == pytest.approx([expected.statistic, expected.dof, expected.pvalue], rel=1e-12)
    assert row["cells_below_5"] == (expected.expected_freq < 5).sum() > 0
    # The Monte Carlo p value against the exact one over all tables with these margins (Freeman & Halton on the chi-square).
    assert abs(row["exact_p"] - exact_p(stage.to_numpy())) < 5 * row["exact_p_error"]
    samples = [values[sex == level] for level in ("1", "2")]
    assert tests.loc["age", "p"] == pytest.approx(stats.kruskal(*samples).pvalue, rel=1e-12)
    assert "sex" not in tests.index


def exact_p(table):
    """The probability, given both margins, of a chi-square at least as large, over all 2 x k tables."""
    rows, columns = table.sum(axis=1), table.sum(axis=0)

    def chi2(first):
        observed = np.column_stack([first, rows - first])
        expected = np.outer(rows, columns) / rows.sum()
        return ((observed - expected) ** 2 / expected).sum()

    found = chi2(table[:, 0])
    below = above = 0.0
    for first in itertools.product(*(range(size + 1) for size in rows[1:])):
        head = columns[0] - sum(first)
        if 0 <= head <= rows[0]:
            cells = np.array([head, *first])
            weight = math.prod(math.comb(int(n), int(k)) for n, k in zip(rows, cells, strict=True)) / math.comb(
                rows.sum(), columns[0]
            )
            below += weight
            above += weight * (chi2(cells) >= found * (1 - 1e-12))
    return above / below


def small(**columns):
    return pd.DataFrame({"time": [2.0, 3, 5, 7, 8, 11, 12, 14], "event": [1, 1, 0, 1, 1, 0, 1, 1], **columns})


def read(frame, **options):
    return sw.Cohort.from_frame(frame, time="time", event="event", **options)


def test_fisher_for_two_by_two():
    frame = small(group=list("aaaabbbb"), mark=list("xxxyyyyy"))
    tables = sw.classical_tables(cohort := read(frame), sw.classical_plan(cohort, compared_by="group"))
    row = tables.tests.set_index("characteristic").loc["mark"]
    # 3, 1 against 0, 4: the two extreme tables of five have 4 / C(8, 3) = 4/56 each.
    assert row["exact_p"] == pytest.approx(8 / 56, rel=1e-12)
    assert row["p"] == pytest.approx(stats.chi2.sf(8 * (3 * 4 - 0) ** 2 / (4 * 4 * 3 * 5), 1), rel=1e-12)
    assert row["cells_below_5"] == 4
    assert row["exact_method"] == "Fisher"


def test_a_level_without_events_drops_out():
    """The other levels are estimated as without its patients, and the entry test is the limit of the likelihood."""
    frame = small(stage=list("abcabcab"))
    frame.loc[frame["stage"] == "c", "event"] = 0
    cohort = read(frame)
    cox = sw.classical_tables(cohort, sw.classical_plan(cohort)).cox.set_index("level")
    assert math.isnan(cox.loc["c", "hazard_ratio"])
    assert cox.loc["c", "remark"].startswith("no events among 2 patients: the hazard ratio tends to 0")
    others = read(frame[frame["stage"] != "c"])
    alone = sw.classical_tables(others, sw.classical_plan(others)).cox.set_index("level")
    assert cox.loc["b", "hazard_ratio"] == pytest.approx(alone.loc["b", "hazard_ratio"], rel=1e-9)
    # The limit: a log hazard ratio of -30 makes the two as good as absent.
    best = optimize.minimize_scalar(lambda b: -limit_likelihood(frame, b, -30.0), bounds=(-3, 3), options={"xatol": 1e-8})
    fitted = -best.fun
    p = stats.chi2.sf(2 * (fitted - limit_likelihood(frame, 0.0, 0.0)), 2)
    assert cox.loc["b", "entry_p"] == pytest.approx(p, rel=1e-5)


def limit_likelihood(frame, b, c):
    predictor = frame["stage"].map({"a": 0.0, "b": b, "c": c}).to_numpy()
    dead = np.flatnonzero(frame["event"])
    return sum(predictor[i] - np.log(np.exp(predictor[frame["time"] >= frame["time"][i]]).sum()) for i in dead)


@pytest.mark.parametrize(
    ("column", "remark"),
    [
        (list("aaaaaaaa"), "nothing to compare"),
        (list("aabaabaa"), "no events among 2 patients: the hazard ratio tends to 0"),
        (list("bbabbabb"), "no events among 2 patients with the reference level: the hazard ratio has no bound"),
        ([8.0, 7, 3, 6, 5, 2, 4, 3.5], "the partial likelihood has no maximum"),
    ],
)
def test_no_estimate_has_a_reason(column, remark):
    cohort = read(small(mark=column, age=[50.0, 61, 58, 70, 44, 66, 59, 73]))
    tables = sw.classical_tables(cohort, sw.classical_plan(cohort, entry_p=0.999))
    rows = tables.cox[tables.cox["covariate"] == "mark"]
    assert set(rows["model"]) <= {"univariate"}
    for row in rows.itertuples():
        assert math.isnan(row.hazard_ratio)
        assert remark in row.remark
        assert not row.entered
    if not len(rows):  # a level that all patients have is compared with none
        assert remark == "nothing to compare"
        test = tables.log_rank[tables.log_rank["partition"] == "mark"].iloc[0]
        assert test["remark"] == "one group only: nothing to compare"
    assert set(tables.cox[tables.cox["model"] == "multivariate"]["covariate"]) == {"age"}


def test_constant_number():
    cohort = read(small(dose=[6.5] * 8, age=[50.0, 61, 58, 70, 44, 66, 59, 73]))
    row = sw.classical_tables(cohort, sw.classical_plan(cohort)).cox.set_index("covariate").loc["dose"]
    assert row["remark"] == "constant among the patients of the model: nothing to compare"
    assert math.isnan(row["hazard_ratio"])
    assert math.isnan(row["entry_p"])


def test_every_empty_number_has_a_reason(tables, cohort):
    cox = tables.cox
    assert (cox.loc[cox["hazard_ratio"].isna(), "remark"] != "").all()
    survival = tables.survival
    empty = survival[["median", "lower", "upper", "survival_180", "survival_lower_180"]].isna().any(axis=1)
    assert (survival.loc[empty, "remark"] != "").all()
    assert empty.any()
    assert (tables.log_rank.loc[tables.log_rank["p"].isna(), "remark"] != "").all()


def test_no_limits_where_the_curve_is_one():
    """Nobody died before 2: survival is 1, and that is no certainty."""
    cohort = read(small(mark=list("abababab")))
    row = sw.classical_tables(cohort, sw.classical_plan(cohort, times=[1, 20])).survival.iloc[0]
    assert row["survival_1"] == 1
    assert math.isnan(row["survival_lower_1"])
    assert row["survival_20"] == 0
    assert row["remark"].endswith("no limits of survival 0 or 1 at 1, 20")


def test_delayed_entry():
    frame = small(mark=list("abababab"), start=[0.0, 1, 2, 3, 4, 5, 6, 7])
    cohort = read(frame, entry="start")
    tables = sw.classical_tables(cohort, sw.classical_plan(cohort, covariates=["mark"], times=[7.5]))
    # At risk just before 7.5: those of time 8, 11, 12, 14, who entered at 4, 5, 6, 7.
    assert tables.survival.iloc[0]["at_risk_7.5"] == 4
    # Deaths at 2 (at risk: 2 entered), 3 (entered before 3: rows 1, 2), 7 (rows 3-6).
    assert tables.survival.iloc[0]["survival_7.5"] == pytest.approx(1 / 2 * 1 / 2 * 3 / 4, rel=1e-12)


# Outcomes ---------------------------------------------------------------------------------------------------


def outcomes_frame():
    failure = ["distant", "none", "local", "distant and local", "none", "distant", "distant", "none"]
    return small(
        mark=list("aabbaabb"),
        pfs_time=[1.0, 3, 4, 6, 8, 9, 2, 14],
        pfs_event=[1, 1, 1, 1, 1, 1, 1, 1],
        first_failure=failure,
        grade=[0, 1, 1, 0, None, 2, 0, 0],
    )


def test_outcomes_by_hand():
    frame = outcomes_frame()
    cohort = read(frame[["time", "event", "mark"]])
    outcomes = sw.Outcomes.read(cohort, frame, toxicities=["grade"])
    tables = sw.classical_tables(cohort, sw.classical_plan(cohort, compared_by="mark"), outcomes=outcomes)
    failures = tables.failures.set_index(["pattern", "counted"])
    assert failures.loc[("failure", "all"), ["n", "percent_of_patients"]].tolist() == [5, 62.5]
    assert failures.loc[("distant", "with"), ["n", "percent_of_failures"]].tolist() == [4, 80.0]
    assert failures.loc[("local", "with"), "n"] == 2
    assert failures.loc[("distant", "only"), "n"] == 3
    assert failures.loc[("distant and local", "only"), "n"] == 1
    # Without failure: rows 2, 5, 8, all of whom died.
    assert failures.loc[("none", "only"), "n"] == 3
    assert failures.loc[("death without recorded failure", "only"), "n"] == 3
    toxicity = tables.toxicity.set_index(["grade", "group"])
    assert toxicity.loc[("0", "all"), "n"] == 4
    assert toxicity.loc[("1", "a"), ["n", "percent"]].tolist() == [1, pytest.approx(100 / 3)]
    assert toxicity.loc[("missing", "all"), "n"] == 1
    assert set(tables.survival["endpoint"]) == {"os", "pfs"}
    assert tables.survival[tables.survival["endpoint"] == "pfs"].iloc[0]["median"] == 4
    assert set(tables.cox["endpoint"]) == {"os", "pfs"}


def test_outcomes_follow_the_rows_that_were_kept():
    frame = outcomes_frame()
    frame["mark"] = frame["mark"].astype(object)
    frame.loc[0, "mark"] = None
    cohort = read(frame[["time", "event", "mark"]], covariates=["mark"], missing="drop")
    outcomes = sw.Outcomes.read(cohort, frame)
    assert outcomes.endpoint("pfs").time.tolist() == [3, 4, 6, 8, 9, 2, 14]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pfs_event": None}, "column 'pfs_event': does not exist, but 'pfs_time' does. Give both or neither."),
        ({"pfs_time": [1.0, 3, 4, 9, 8, 12, 2, 14]}, "2 times are after the end of follow-up (rows 4, 6)"),
        ({"pfs_time": [0.0, 3, 4, 6, 8, 9, 2, 14]}, "1 time is not after zero (row 1)"),
        ({"pfs_time": [None, 3, 4, 6, 8, 9, 2, 14]}, "column 'pfs_time': 1 value is missing (row 1)"),
        ({"first_failure": [None, *["none"] * 7]}, "Write 'none' for patients without failure."),
        ({"grade": None}, "column 'grade': does not exist; it was named as toxicity"),
    ],
)
def test_bad_outcomes(change, message):
    frame = outcomes_frame()
    for name, values in change.items():
        frame = frame.drop(columns=name) if values is None else frame.assign(**{name: values})
    cohort = read(frame[["time", "event", "mark"]])
    with pytest.raises(sw.CohortError) as caught:
        sw.Outcomes.read(cohort, frame, toxicities=["grade"])
    assert message in str(caught.value)


def test_deaths_that_are_no_event_of_progression_are_warned_of():
    frame = outcomes_frame().assign(pfs_event=[0, 1, 1, 1, 1, 1, 1, 1])
    outcomes = sw.Outcomes.read(read(frame[["time", "event", "mark"]]), frame)
    assert outcomes.warnings[0].startswith("1 patient died without an event of progression-free survival")


# Plans ------------------------------------------------------------------------------------------------------


def test_wrong_options_are_all_named(cohort):
    with pytest.raises(sw.StudyError) as caught:
        sw.classical_plan(cohort, covariates=["agee"], entry_p=2, ties="exact", factors={"age": ["1"]}, compared_by="sx")
    for words in ("'agee'", "Did you mean 'age'", "entry_p: is 2", "ties: is 'exact'", "is a number and has no levels", "'sx'"):
        assert words in str(caught.value)


def test_default_plan(cohort):
    plan = sw.classical_plan(cohort)
    assert plan.compared_by == "site"
    assert plan.covariate("stage").contrasts == tuple(Contrast((level,), ("0",)) for level in "123")
    assert plan.covariate("age").numeric
    assert plan.times == (183.0, 365.0, 730.0)
    assert any(note.startswith("ph_ecog has 4 whole-number values") for note in plan.notes)
