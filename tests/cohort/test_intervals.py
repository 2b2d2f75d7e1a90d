"""Events that lie in an interval: reading, what is refused, and what a cohort says of them."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

ENDS = {"lower": "clear", "upper": "seen"}


def table(**changes) -> pd.DataFrame:
    """A patient of each kind: exact, right-censored, interval-censored, left-censored, left-censored and entered late."""
    base = {
        "clear": [5.0, 7.0, 3.0, 0.0, np.nan, 4.0],
        "seen": [5.0, np.nan, 6.0, 4.0, 9.0, np.inf],
        "start": [1.0, 0.0, 2.0, 0.0, 3.0, 0.0],
        "centre": list("aabbaa"),
    }
    return pd.DataFrame({**base, **changes})


def read(frame: pd.DataFrame, **options) -> sw.Cohort:
    return sw.Cohort.from_frame(frame, **{**ENDS, "site": "centre", **options})


def test_each_kind_is_read_for_what_it_is():
    cohort = read(table(), entry="start")
    np.testing.assert_array_equal(cohort.time, [5, 7, 6, 4, 9, 4])
    np.testing.assert_array_equal(cohort.event, [1, 0, 1, 1, 1, 0])
    np.testing.assert_array_equal(cohort.interval, [False, False, True, True, True, False])
    np.testing.assert_array_equal(cohort.lower, [5, 7, 3, 0, 3, 4])  # the fifth was free of the event when they entered
    assert cohort.person_time == pytest.approx(4 + 7 + (4.5 - 2) + 2 + (6 - 3) + 4)
    assert cohort.counts_by_site()["person_time"].sum() == pytest.approx(cohort.person_time)


def test_text_may_say_infinite():
    cohort = read(table(seen=["5", "Inf", "6", "4", "9", ""]))
    np.testing.assert_array_equal(cohort.event, [1, 0, 1, 1, 1, 0])


def test_exact_times_make_the_cohort_that_time_and_event_make():
    frame = table()[lambda rows: (rows["clear"] == rows["seen"]) | (rows["seen"].fillna(np.inf) == np.inf)]
    cohort = read(frame)
    assert cohort.lower is None
    assert not cohort.interval.any()
    plain = frame.assign(time=frame["clear"], event=np.isfinite(frame["seen"]).astype(int))
    other = sw.Cohort.from_frame(plain, time="time", event="event", site="centre", covariates=[])
    np.testing.assert_array_equal(cohort.time, other.time)
    np.testing.assert_array_equal(cohort.event, other.event)


def test_the_validated_table_reads_as_the_same_cohort():
    cohort = read(table(), entry="start")
    again = read(cohort.frame, entry="start", id="patient")
    assert again.data_hash == cohort.data_hash
    np.testing.assert_array_equal(again.lower, cohort.lower)
    moved = read(table(clear=[5.0, 7.0, 2.5, 0.0, np.nan, 4.0]), entry="start")
    assert moved.data_hash != cohort.data_hash


def test_a_subset_keeps_its_intervals():
    cohort = read(table(), entry="start")
    part = cohort.subset(np.array([True, False, True, False, False, False]))
    np.testing.assert_array_equal(part.lower, [5, 3])


WRONG = {
    "reversed": ({"clear": [5, 7, 8, 0, 0, 4.0]}, r"'clear' and 'seen': 1 lower end is after the upper end \(row 3\)"),
    "negative": ({"clear": [5, 7, -3, 0, 0, 4.0]}, r"'clear': 1 lower end is negative \(row 3\)"),
    "nothing known": ({"clear": [5, 7, 3, 0, np.nan, 4.0], "seen": [5, np.nan, 6, 4, np.nan, 9]}, r"'seen'.*missing.*row 5"),
    "zero": ({"clear": [5, 7, 3, 0, 0, 0.0], "seen": [5, np.nan, 6, 4, 9, np.nan]}, r"'seen': 1 time is zero"),
    "before entry": ({"clear": [5, 7, 1, 0, 0, 4.0]}, r"'clear': 1 lower end is before the entry time .*\(row 3\)|row 3"),
    "text": ({"clear": [5, 7, "x", 0, 0, 4.0]}, r"'clear': 1 value is not a number: 'x'"),
    "no events": ({"clear": [5, 7, 3, 1, 9, 4.0], "seen": [np.nan] * 6}, r"'seen'.*has no events"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_refused_with_its_rows(changes, message):
    with pytest.raises(sw.CohortError, match=message):
        read(table(**changes), entry="start")


NAMED = {
    "neither": {"lower": None, "upper": None},
    "both": {"time": "clear", "event": "seen"},
    "half": {"upper": None},
    "event level": {"event_level": 1},
}


@pytest.mark.parametrize("options", NAMED.values(), ids=NAMED.keys())
def test_times_are_named_in_one_way(options):
    with pytest.raises(sw.CohortError, match=r"Name time and event, or lower and upper|event_level"):
        read(table(), **options)


def test_a_row_without_times_can_be_dropped():
    seen = [5, np.nan, 6, 4, np.nan, 9]
    cohort = read(table(seen=seen), missing="drop", covariates=[])
    assert len(cohort) == 5
    assert cohort.rows == (1, 2, 3, 4, 6)


def test_the_formula_names_the_ends(between_visits, make_frame):
    hidden = between_visits(make_frame(40), time="months", event="died")
    options = {"lower": "lower", "upper": "upper", "site": "hospital", "covariates": ["age"]}
    cohort = sw.Cohort.from_frame(hidden, **options)
    spec = sw.ModelSpec.from_formula("Surv(lower, upper, type='interval') ~ age + (1 | hospital)")
    assert spec.formula == 'Surv(lower, upper, type="interval") ~ age + (1 | hospital)'
    assert spec.resolve(cohort).resolved.columns == ("age",)
    assert sw.ModelSpec.from_dict(spec.to_dict()) == spec
    other = sw.ModelSpec.from_formula("Surv(lower, upper) ~ age")
    with pytest.raises(sw.CohortError, match=r"uses 'lower' as time, the cohort was read with time = nothing"):
        other.resolve(cohort)
    late = sw.ModelSpec.from_formula('Surv(start, lower, upper, type="interval") ~ age')
    with pytest.raises(sw.CohortError, match="uses 'start' as entry"):
        late.resolve(cohort)
    with pytest.raises(sw.SpecError, match='"left"; it can be "interval" or "right"'):
        sw.ModelSpec.from_formula('Surv(lower, upper, type="left") ~ age')


def test_the_classical_analysis_says_that_it_cannot(between_visits, make_frame):
    hidden = between_visits(make_frame(40), time="months", event="died")
    cohort = sw.Cohort.from_frame(hidden, lower="lower", upper="upper", site="hospital", covariates=["age"])
    from sitewise.studies.classical_analysis import classical_plan

    with pytest.raises(sw.CohortError, match=r"lie in an interval, which the classical analysis cannot take \(rows"):
        classical_plan(cohort)
