"""What a paper would print of the lung cohort: every number against lifelines, statsmodels or pandas, rounded as printed."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import median_survival_times

import sitewise as sw
from sitewise.evidence import read_evidence
from sitewise.evidence.audit import audit
from sitewise.problems import EvidenceError
from sitewise.simulate.calibration.problem import Problem
from sitewise.studies.published import PARTS, Printing, published_summary

FAVOURABLE = {"ecog": ["0"], "sex": ["2"]}
MILESTONES = (12.0, 24.0)
EXACT = 1e-6
"""Room for the convergence of the other program's fit, on numbers of order one."""


@pytest.fixture(scope="module")
def cohort():
    """The packaged lung cohort, ECOG 0 / 1 / 2 and more, sex, age in years."""
    from sitewise.cohort import packaged_path

    return sw.Cohort.from_csv(
        packaged_path("lung"),
        time="time_months",
        event="event",
        site="inst",
        id="id",
        covariates=["ecog", "age", "sex"],
        recode={"ecog": sw.Recode("ph_ecog", {"0": [0], "1": [1], "2-3": [2, 3]})},
        reference={"sex": 1},
        missing="drop",
    )


@pytest.fixture(scope="module")
def printed(cohort):
    return published_summary(
        cohort,
        id="lung-table",
        favourable=FAVOURABLE,
        milestones=MILESTONES,
        parts=PARTS,
        printing=Printing(hazard_ratio_digits=3, percent_digits=1),
    )


@pytest.fixture(scope="module")
def table(cohort):
    """The cohort with 0/1 columns, for the other programs."""
    frame = pd.get_dummies(cohort.covariates, drop_first=True, dtype=float)
    return frame.assign(time=cohort.time, event=cohort.event)


@pytest.fixture(scope="module")
def counts(cohort):
    """Number of favourable factors of each patient."""
    found = (cohort.covariates["ecog"] == "0").astype(int) + (cohort.covariates["sex"] == "2").astype(int)
    return found.to_numpy()


def within(found, exact, digits):
    """Printed to so many decimals: half a unit of the last one."""
    return abs(found - exact) <= 0.5 * 10.0**-digits + EXACT


def columns_of(model):
    return [f"{term.covariate}_{term.level[0]}" if term.level else term.covariate for term in model.term]


def entry(items, id):
    return next(item for item in items if item.id == id)


def chosen(item, counts):
    return np.ones(len(counts), bool) if item.count_favourable is None else counts == item.count_favourable


def test_counts_and_summaries_are_those_of_pandas(cohort, printed):
    for item in printed.categorical:
        assert item.levels == cohort.covariates[item.name].astype(str).value_counts().to_dict()
        assert list(item.levels) == list(cohort.levels(item.name))
        assert item.favourable == tuple(FAVOURABLE[item.name])
    (age,) = printed.continuous
    values = cohort.covariates["age"]
    assert (age.median, age.range) == (values.median().round(), (values.min(), values.max()))
    assert (printed.source.patients, printed.source.sites) == (len(cohort), cohort.site.nunique())


@pytest.mark.parametrize(
    ("numeric", "expected"),
    [
        ("median-quartiles", lambda values: {"median": values.median(), "quartiles": values.quantile([0.25, 0.75]).tolist()}),
        ("mean-sd", lambda values: {"mean": values.mean(), "sd": values.std()}),
    ],
)
def test_other_summaries_of_a_numeric_characteristic(cohort, numeric, expected):
    summary = published_summary(cohort, id="lung-table", printing=Printing(numeric=numeric, value_digits={"age": 2}))
    (age,) = summary.continuous
    for name, value in expected(cohort.covariates["age"]).items():
        np.testing.assert_allclose(getattr(age, name), value, atol=0.005 + EXACT)
    assert age.range is None


def test_hazard_ratios_are_those_of_lifelines(printed, table):
    assert [model.id for model in printed.model] == ["univariate-ecog", "univariate-age", "univariate-sex", "adjusted"]
    for model in printed.model:
        names = columns_of(model)
        fitted = CoxPHFitter().fit(table[[*names, "time", "event"]], "time", "event")
        limits = np.exp(fitted.confidence_intervals_)
        for name, term in zip(names, model.term, strict=True):
            assert within(term.hazard_ratio, fitted.hazard_ratios_[name], 3)
            assert within(term.lower, limits.loc[name].iloc[0], 3)
            assert within(term.upper, limits.loc[name].iloc[1], 3)
            p = fitted.summary.loc[name, "p"]
            assert (p < 0.001 and term.p_below == 0.001) if term.p is None else within(term.p, p, 3)
            assert term.reference == (() if name == "age" else ({"ecog": "0", "sex": "1"}[term.covariate],))


def test_the_adjusted_model_is_that_of_statsmodels(printed, table):
    model = printed.model[-1]
    names = columns_of(model)
    fitted = sm.PHReg(table["time"], table[names], status=table["event"], ties="efron").fit()
    assert model.adjusted
    for term, estimate, limits in zip(model.term, fitted.params, fitted.conf_int(), strict=True):
        assert within(term.hazard_ratio, np.exp(estimate), 3)
        assert within(term.lower, np.exp(limits[0]), 3)
        assert within(term.upper, np.exp(limits[1]), 3)


def test_medians_and_milestones_are_those_of_lifelines(cohort, printed, counts):
    for item in printed.survival:
        rows = chosen(item, counts)
        curve = KaplanMeierFitter().fit(cohort.time[rows], cohort.event[rows])
        if item.time is None:
            limits = median_survival_times(curve.confidence_interval_).iloc[0]
            expected = (curve.median_survival_time_, limits.iloc[0], limits.iloc[1])
            for found, exact in zip((item.median, item.lower, item.upper), expected, strict=True):
                assert found == "not reached" if np.isinf(exact) else within(found, exact, 1)
        else:
            limits = curve.confidence_interval_[curve.confidence_interval_.index <= item.time].iloc[-1]
            exact = (float(curve.predict(item.time)), limits.iloc[0], limits.iloc[1])
            assert all(
                within(found, value, 3) for found, value in zip((item.survival, item.lower, item.upper), exact, strict=True)
            )
    assert len(printed.survival) == 4 * 3  # all patients and three groups: a median, two milestones


def test_tests_and_events_of_groups(cohort, printed, counts):
    expected = multivariate_logrank_test(cohort.time, counts, cohort.event).p_value
    (test,) = printed.comparison
    assert test.p_below == 0.001 if expected < 0.001 else within(test.p, expected, 3)
    sizes = pd.Series(counts).value_counts()
    deaths = pd.Series(cohort.event).groupby(counts).sum()
    assert entry(printed.events, "events").events == cohort.event.sum()
    for k in range(3):
        item = entry(printed.events, f"events-favourable-{k}")
        assert (item.patients, item.events) == (sizes[k], deaths[k])


@pytest.mark.parametrize("definition", ["observed", "alive-only", "reverse-kaplan-meier"])
def test_follow_up_by_its_definition(cohort, definition):
    summary = published_summary(cohort, id="lung-table", printing=Printing(follow_up=definition, time_digits=2))
    (found,) = summary.follow_up
    exact = {
        "observed": np.median(cohort.time),
        "alive-only": np.median(cohort.time[cohort.event == 0]),
        "reverse-kaplan-meier": KaplanMeierFitter().fit(cohort.time, 1 - cohort.event).median_survival_time_,
    }
    assert within(found.median, exact[definition], 2)
    assert within(found.range[0], cohort.time.min(), 2)
    assert within(found.range[1], cohort.time.max(), 2)
    assert found.definition == definition


def test_no_audit_finds_an_error_and_calibration_takes_it(printed):
    assert [finding.sentence for finding in audit(printed).findings if finding.severity == "error"] == []
    assert read_evidence(printed.to_dict()) == printed
    problem = Problem.of(printed)
    assert {"log_hazard_ratio", "log_standard_error", "survival", "follow_up_share", "events"} <= {
        target.kind for target in problem.targets
    }


def test_only_the_parts_asked_for(cohort):
    usual = published_summary(cohort, id="lung-table", favourable=FAVOURABLE, adjusted=["ecog", "age"])
    assert usual.events == ()
    assert [term.covariate for term in usual.model[-1].term] == ["ecog", "ecog", "age"]
    sparse = published_summary(
        cohort, id="lung-table", parts=["characteristics", "median", "follow_up"], printing=Printing(limits=False)
    )
    assert sparse.model == sparse.comparison == ()
    (median,) = sparse.survival
    assert (median.id, median.lower, median.upper) == ("median", None, None)
    bare = published_summary(cohort, id="lung-table", parts=["median"])
    assert bare.categorical == bare.continuous == ()


def test_a_group_without_follow_up_to_a_milestone_has_none_there(cohort, counts):
    longest = float(cohort.time.max())
    summary = published_summary(cohort, id="lung-table", favourable=FAVOURABLE, milestones=[longest])
    there = [item.count_favourable for item in summary.survival if item.time == longest]
    assert there == [None, *(k for k in (2, 1, 0) if cohort.time[counts == k].max() >= longest)]
    assert len(there) == 2


def test_the_reference_is_the_first_level_that_someone_has(cohort):
    table = pd.DataFrame({"time": cohort.time, "event": cohort.event, "stage": cohort.covariates["ecog"].astype(str)})
    other = sw.Cohort.from_frame(table, time="time", event="event", levels={"stage": ["0", "1", "2-3"]})
    without = other.subset((table["stage"] != "0").to_numpy())
    (model,) = published_summary(without, id="t", parts=["characteristics", "univariate"]).model
    assert [(term.level, term.reference) for term in model.term] == [(("2-3",), ("1",))]


def test_everything_wrong_is_said_at_once(cohort):
    with pytest.raises(EvidenceError) as caught:
        published_summary(
            cohort,
            id="lung-table",
            favourable={"ecog": ["00"], "stage": ["I"]},
            milestones=[999.0],
            adjusted=["agee"],
            parts=["univariate", "medians"],  # type: ignore[list-item]
            printing=Printing(time_digits=-1),
        )
    text = str(caught.value)
    for part in ("'00' is no level", "stage", "999", "agee", "'medians' is unknown", "need the characteristics", "time_digits"):
        assert part in text
    assert len(caught.value.problems) == 7


def test_a_level_without_events_is_refused(cohort):
    event = np.where(cohort.covariates["sex"] == "2", 0, cohort.event)
    table = pd.DataFrame({"time": cohort.time, "event": event, "sex": cohort.covariates["sex"].astype(str)})
    other = sw.Cohort.from_frame(table, time="time", event="event", levels={"sex": ["1", "2"]})
    with pytest.raises(EvidenceError, match=r"univariate-sex.*no estimates.*[\s\S]*Put levels without events together"):
        published_summary(other, id="t")


def test_what_would_print_as_zero_is_refused(cohort):
    table = pd.DataFrame({"time": cohort.time / 1000, "event": cohort.event, "sex": cohort.covariates["sex"].astype(str)})
    other = sw.Cohort.from_frame(table, time="time", event="event", levels={"sex": ["1", "2"]}, time_unit="millennia")
    with pytest.raises(EvidenceError, match="rounds to zero"):
        published_summary(other, id="t", printing=Printing(time_digits=1))
