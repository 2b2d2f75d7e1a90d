"""The short table of the terminal, and the choices that an analysis makes by itself."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sitewise as sw
from sitewise.inference import Verdict
from sitewise.report.tables import all_tables
from sitewise.report.write import format_median, short_table

ESTIMANDS = """\
group,sites,estimand,horizon,mean,median,lower,upper,prob_not_reached,extrapolated,mcse_mean
good,observed,median_survival,,41,40.04,22.21,80.9,0.7,True,0.1
good,observed,survival,6,0.9,0.91,0.85,0.95,,False,0.001
good,observed,survival,40,0.5,0.5,0.3,0.7,,True,0.001
poor,observed,median_survival,,9.3,9.26,7.96,36.1,0.01,False,0.1
poor,observed,survival,6,0.6,0.61,0.5,0.704,,False,0.001
poor,observed,survival,40,0.01,0.005,0.001,0.02,,True,0.001
poor,average,survival,6,0.1,0.1,0.1,0.1,,False,0.001
"""
GROUPS = """\
group,n,events,sites_represented,person_time,km_median,km_lower,km_upper,last_time
good,20,4,3,400,,21.2,,36
poor,30,25,3,300,8.87,7.1,,35
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "estimands.csv").write_text(ESTIMANDS)
    (tmp_path / "groups.csv").write_text(GROUPS)
    return tmp_path


def test_short_table(folder):
    assert short_table(folder, "observed") == [
        ["Group", "n", "events", "KM median", "Median survival", "S(6)", "S(40)"],
        ["good", "20", "4", "not reached", "not reached\n22.2-not reached", "0.91\n0.85-0.95", "0.50*\n0.30-0.70"],
        ["poor", "30", "25", "8.9", "9.3\n8.0-not reached", "0.61\n0.50-0.70", "0.01*\n0.00-0.02"],
    ]


@pytest.mark.parametrize(
    ("median", "lower", "upper", "share", "expected"),
    [
        (10.0, 5.0, 20.0, 0.0, "10.0\n5.0-20.0"),
        (10.0, 5.0, 31.0, 0.1, "10.0\n5.0-not reached"),
        (31.0, 20.0, 90.0, 0.51, "not reached\n20.0-not reached"),
        (50.0, 35.0, 90.0, 1.0, "not reached\nnot reached-not reached"),
        (29.9, 20.0, 30.0, 0.5, "29.9\n20.0-30.0"),
        (np.inf, 20.0, np.inf, 0.9, "not reached\n20.0-not reached"),
    ],
)
def test_not_reached(median, lower, upper, share, expected):
    row = pd.Series({"median": median, "lower": lower, "upper": upper, "prob_not_reached": share})
    assert format_median(row, 30.0) == expected


def analysis_of(hand_made, unit, longest, **options):
    """An analysis of patients followed for up to ``longest`` in ``unit``, nobody of whom had the event late."""
    time = np.linspace(longest / 20, longest, 20)
    frame = pd.DataFrame({"t": time, "e": [1] * 4 + [0] * 16, "g": ["a", "b"] * 10})
    cohort = sw.Cohort.from_frame(frame, time="t", event="e", covariates=["g"], time_unit=unit)
    spec = sw.ModelSpec.from_formula("Surv(t, e) ~ g")
    rng = np.random.default_rng(1)
    made = hand_made(
        spec,
        cohort,
        log_scale=np.log(4 * longest) + rng.normal(0, 0.2, (2, 50)),
        shape=rng.normal(1.2, 0.05, (2, 50)),
        coefficients=rng.normal(0, 0.1, (2, 50, 1)),
    )
    tree = xr.DataTree.from_dict({"posterior": made.posterior})
    fit = sw.FitResult(tree=tree, spec=made.spec, cohort=cohort, verdict=Verdict(()), engine="by hand", seed=1)
    return sw.Analysis(fit, **options)


@pytest.mark.parametrize(
    ("unit", "longest", "expected"),
    [
        ("months", 40.0, (6, 12, 24, 36)),
        ("years", 3.0, (0.5, 1, 2, 3)),
        ("days", 800.0, (182.6, 365.2, 730.5)),
        ("weeks", 60.0, (26.09, 52.18)),
        ("months", 4.0, (1.0, 2.0, 3.0)),  # none of the usual milestones: quarters of follow-up
        ("cycles", 40.0, (10, 20, 30)),  # a unit of one's own
    ],
)
def test_default_milestones_lie_within_follow_up(hand_made, unit, longest, expected):
    analysis = analysis_of(hand_made, unit, longest)
    assert analysis.milestones == pytest.approx(expected, rel=1e-3)
    assert analysis.horizon == analysis.milestones[-1]


def test_milestones_and_horizon_that_are_given(hand_made):
    analysis = analysis_of(hand_made, "months", 40.0, times=(30, 10), rmst_horizon=20)
    assert analysis.milestones == (10, 30)
    assert analysis.horizon == 20
    assert {10.0, 30.0} <= set(analysis.curve_times)


def test_a_cohort_with_few_events_says_so_everywhere(hand_made):
    """Median far beyond follow-up, Kaplan-Meier median not reached, four events."""
    analysis = analysis_of(hand_made, "months", 40.0)
    tables = all_tables(analysis)
    groups = tables["groups"].set_index("group")
    assert list(groups.index) == ["all", "g = a", "g = b"]
    assert groups[["km_median", "km_upper"]].isna().all(axis=None)
    assert groups["data_poor"].all()
    assert groups.loc["all", "note"] == (
        "fewer than 10 events: the estimate leans on the model and the prior; Kaplan-Meier median not reached"
    )
    medians = tables["estimands"].query("estimand == 'median_survival'")
    assert (medians["prob_not_reached"] > 0.5).all()
    assert medians["extrapolated"].all()
    assert (medians["median"] > 40).all()  # the number is kept


def test_the_probability_reaches_every_interval(hand_made):
    narrow = all_tables(analysis_of(hand_made, "months", 40.0, prob=0.5))
    wide = all_tables(analysis_of(hand_made, "months", 40.0, prob=0.99))
    for name in ("coefficients", "parameters", "survival", "estimands", "contrasts"):
        inner, outer = (table[name]["upper"] - table[name]["lower"] for table in (narrow, wide))
        assert (inner <= outer).all()
        assert inner.sum() < outer.sum()
    # 4 events: the Kaplan-Meier limits of the first tenth are known.
    assert (narrow["groups"]["km_median"].isna() == wide["groups"]["km_median"].isna()).all()


def test_contrasts_leave_out_the_group_of_all(hand_made):
    contrasts = all_tables(analysis_of(hand_made, "months", 40.0))["contrasts"]
    assert set(zip(contrasts["group"], contrasts["reference_group"], strict=True)) == {("g = a", "g = b")}


def test_a_group_may_be_called_na(lung_fit, tmp_path):
    groups = sw.RiskGroups.by_rule({"NA": "age > 65", "other": "age <= 65"})
    sw.write_all(sw.Analysis(lung_fit, groups), tmp_path)
    assert [row[0] for row in short_table(tmp_path, "observed")] == ["Group", "NA", "other"]
