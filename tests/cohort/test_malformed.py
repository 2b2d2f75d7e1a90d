"""What a user sees for a table that cannot be used: the whole message, word for word."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

HEAD = "The cohort has 1 problem:\n  1. "
HEAD_ROWS = "The cohort has 1 problem (rows are counted from 1, without the header):\n  1. "
READ = {"time": "time", "event": "event", "site": "site", "covariates": ["ecog", "age"]}
PS = {"covariates": ["ps", "age"]}


def table(**changed):
    """A sound table of six patients, with columns replaced or added."""
    columns = {
        "time": [5.0, 8.0, 12.0, 3.0, 20.0, 9.0],
        "event": [1, 0, 1, 1, 0, 1],
        "site": ["A", "A", "B", "B", "C", "C"],
        "ecog": [0, 1, 0, 1, 1, 0],
        "age": [61.5, 70, 55, 48, 66, 73],
        "id": [1, 2, 3, 4, 5, 6],
    }
    return pd.DataFrame({**columns, **changed})


def longer_table(**changed):
    """A sound table of fourteen patients."""
    columns = {
        "time": np.arange(1.0, 15.0),
        "event": [1, 0] * 7,
        "site": list("ABCDABCDABCDAB"),
        "ecog": [0, 1] * 7,
        "age": np.arange(50.0, 64.0),
    }
    return pd.DataFrame({**columns, **changed})


NAN = np.nan
DROP = "drop such rows with missing = 'drop'."
IMPUTE = " Or impute: docs/missing.md."
DECIMAL = "Write numbers only, with a point as the decimal mark."
CONSTANT = "so its effect cannot be estimated. Remove it from the model."
ONE_SITE = "column 'site': names 1 site ('A'); a site effect needs at least 2. Remove the site term, such as (1 | site), "
CASES = {
    "negative time": (
        table(time=[5, -8, 12, 3, 20, 9]),
        {},
        HEAD_ROWS + "column 'time': 1 time is negative (row 2). Correct this row.",
    ),
    "negative times": (
        table(time=[5, -8, 12, 3, -20, 9]),
        {},
        HEAD_ROWS + "column 'time': 2 times are negative (rows 2, 5). Correct these rows.",
    ),
    "more rows than are listed": (
        longer_table(time=-np.arange(1.0, 15.0)),
        {},
        HEAD_ROWS + "column 'time': 14 times are negative (rows 1, 2, 3, 4, 5, 6, 7, 8 and 6 more). Correct these rows.",
    ),
    "zero time": (
        table(time=[5, 0, 12, 3, 20, 9]),
        {},
        HEAD_ROWS + "column 'time': 1 time is zero; survival times must be positive (row 2). Correct this row, or set "
        "zero_times to a small positive time, such as half the unit in which times were recorded.",
    ),
    "time in words": (
        table(time=["5", "8", "twelve", "3", "20", "9"]),
        {},
        HEAD_ROWS + "column 'time': 1 value is not a number: 'twelve' (row 3). " + DECIMAL,
    ),
    "decimal commas": (
        table(time=["5,5", "8,0", "12", "3", "20", "9"]),
        {},
        HEAD_ROWS + "column 'time': 2 values are not numbers: '5,5', '8,0' (rows 1, 2). " + DECIMAL,
    ),
    "dates for times": (
        table(time=pd.date_range("2020-01-01", periods=6)),
        {},
        HEAD + "column 'time': holds dates, not numbers. Give numbers, such as the time since the start of follow-up.",
    ),
    "infinite time": (
        table(time=[5, np.inf, 12, 3, 20, 9]),
        {},
        HEAD_ROWS + "column 'time': 1 value is infinite (row 2). Correct this row.",
    ),
    "entry at or after time": (
        table(entry=[0, 8, 13, 1, 2, 3]),
        {"entry": "entry"},
        HEAD_ROWS + "column 'entry': 2 entry times are at or after the end of follow-up (rows 2, 3). Patients must enter "
        "before the end of their follow-up. Correct these rows.",
    ),
    "negative entry": (
        table(entry=[0, -1, 2, 1, 2, 3]),
        {"entry": "entry"},
        HEAD_ROWS + "column 'entry': 1 entry time is negative (row 2). Correct this row.",
    ),
    "missing time": (
        table(time=[5, NAN, 12, 3, 20, 9]),
        {},
        HEAD_ROWS + "column 'time': 1 value is missing (row 2). Complete it, or " + DROP,
    ),
    "missing event": (
        table(event=[1, NAN, 1, 1, 0, NAN]),
        {},
        HEAD_ROWS + "column 'event': 2 values are missing (rows 2, 6). Complete them, or " + DROP,
    ),
    "missing site": (
        table(site=["A", None, "B", "B", "C", "C"]),
        {},
        HEAD_ROWS + "column 'site': 1 value is missing (row 2). Complete it, or " + DROP,
    ),
    "blank site": (
        table(site=["A", "A", "", "B", "C", "  "]),
        {},
        HEAD_ROWS + "column 'site': 2 values are missing (rows 3, 6). Complete them, or " + DROP,
    ),
    "missing number": (
        table(age=[61, NAN, NAN, 48, 66, 73]),
        {},
        HEAD_ROWS + "column 'age': 2 values are missing (rows 2, 3). Complete them, or " + DROP + IMPUTE,
    ),
    "missing category": (
        table(ecog=["0", "1", "0", "1", None, "0"]),
        {},
        HEAD_ROWS + "column 'ecog': 1 value is missing (row 5). Complete it, or " + DROP + IMPUTE,
    ),
    "missing value of a recoded column": (
        table(ecog=[0, 1, 0, NAN, 1, 0]),
        {**PS, "recode": {"ps": sw.Recode("ecog", {"0": [0], ">=1": [1]})}},
        HEAD_ROWS + "column 'ecog': 1 value is missing (row 4). Complete it, or " + DROP + IMPUTE,
    ),
    "every row incomplete": (
        table(age=[NAN] * 6),
        {"missing": "drop"},
        HEAD + "every row has a missing value. Complete the table, or use fewer columns.",
    ),
    "unknown time column": (
        table(),
        {"time": "tiem"},
        HEAD + "column 'tiem': does not exist; it was named as time. Did you mean 'time'?",
    ),
    "unknown covariate": (
        table(),
        {"covariates": ["ecgo", "age"]},
        HEAD + "column 'ecgo': does not exist; it was named as covariate. Did you mean 'ecog'?",
    ),
    "unknown column like no other": (
        table(),
        {"site": "hospital"},
        HEAD + "column 'hospital': does not exist; it was named as site. Known: 'time', 'event', 'site', 'ecog', 'age', 'id'.",
    ),
    "event with three values": (
        table(event=[1, 0, 2, 1, 0, 1]),
        {},
        HEAD + "column 'event': has 3 values ('0', '1', '2'); an event column has two. Recode it to event and censored; "
        "competing events are not modelled.",
    ),
    "event with three values, one named": (
        table(event=[1, 0, 2, 1, 0, 1]),
        {"event_level": 2},
        HEAD + "column 'event': has 3 values ('0', '1', '2'); an event column has two. Recode it to event and censored; "
        "competing events are not modelled.",
    ),
    "event coded 1 and 2": (
        table(event=[1, 2, 1, 1, 2, 1]),
        {},
        HEAD + "column 'event': holds '1', '2', which does not say which value is the event. Set event_level = '1' or "
        "event_level = '2'.",
    ),
    "event in words": (
        table(event=["dead", "alive", "dead", "dead", "alive", "dead"]),
        {},
        HEAD + "column 'event': holds 'alive', 'dead', which does not say which value is the event. Set "
        "event_level = 'alive' or event_level = 'dead'.",
    ),
    "event level that does not occur": (
        table(event=["dead", "alive", "dead", "dead", "alive", "dead"]),
        {"event_level": "died"},
        HEAD + "column 'event': no row has the event level 'died'; the column holds 'alive', 'dead'. Set event_level to the "
        "value that marks the event.",
    ),
    "no events": (
        table(event=[0] * 6),
        {},
        HEAD + "column 'event': has no events among the rows used. Check event_level; without events nothing can be estimated.",
    ),
    "one site with a site effect": (
        table(site=["A"] * 6),
        {"min_sites": 2},
        HEAD + "column 'site': names 1 site ('A'); a site effect needs at least 2. Remove the site term, such as (1 | site), "
        "from the model.",
    ),
    "constant number": (
        table(age=[60] * 6),
        {},
        HEAD + "column 'age': is constant ('60' in every row used), " + CONSTANT,
    ),
    "constant category": (
        table(ecog=["1"] * 6),
        {},
        HEAD + "column 'ecog': is constant ('1' in every row used), " + CONSTANT,
    ),
    "duplicated patient": (
        table(id=[1, 2, 2, 4, 5, 6]),
        {"id": "id"},
        HEAD_ROWS + "column 'id': 1 patient label occurs more than once: '2' (rows 2, 3). Each row must be one patient; "
        "merge or relabel these rows.",
    ),
    "duplicated patients": (
        table(id=["p1", "p2", "p2", "p4", "p1", "p6"]),
        {"id": "id"},
        HEAD_ROWS + "column 'id': 2 patient labels occur more than once: 'p1', 'p2' (rows 1, 2, 3, 5). Each row must be one "
        "patient; merge or relabel these rows.",
    ),
    "weights that are not positive": (
        table(w=[1, 0, 1, -1, 1, 1]),
        {"weights": "w"},
        HEAD_ROWS + "column 'w': 2 weights are zero or negative (rows 2, 4). Weights must be positive; remove patients who "
        "should not count.",
    ),
    "level that is not listed": (
        table(ecog=[0, 1, 0, 1, 2, 0]),
        {"levels": {"ecog": [0, 1]}},
        HEAD_ROWS + "column 'ecog': value '2' is not among the levels '0', '1' (row 5). Add it to the levels, or correct "
        "this row.",
    ),
    "level listed twice": (
        table(),
        {"levels": {"ecog": [0, 1, 1]}},
        HEAD + "levels of 'ecog': a level is listed twice. List each level once.",
    ),
    "levels of a column that does not exist": (
        table(),
        {"levels": {"ecgo": [0, 1]}},
        HEAD + "levels of 'ecgo': there is no such column. Did you mean 'ecog'?",
    ),
    "reference level that does not occur": (
        table(),
        {"reference": {"ecog": 2}},
        HEAD + "column 'ecog': the reference level '2' does not occur; the levels are '0', '1'. Choose one of these.",
    ),
    "listed reference level that nobody has": (
        table(),
        {"levels": {"ecog": [0, 1, 2]}, "reference": {"ecog": 2}},
        HEAD + "column 'ecog': no row used has the reference level '2'. Choose one of '0', '1'.",
    ),
    "reference level lost with incomplete rows": (
        table(ecog=[0, 1, 2, 1, 2, 1], age=[NAN, 70, 55, 48, 66, 73]),
        {"reference": {"ecog": 0}, "missing": "drop"},
        HEAD + "column 'ecog': no row used has the reference level '0'. Choose one of '1', '2'.",
    ),
    "recode with a value of no level": (
        table(ecog=[0, 1, 0, 1, 3, 0]),
        {**PS, "recode": {"ps": sw.Recode("ecog", {"0": [0], ">=1": [1, 2]})}},
        HEAD_ROWS + "recode of 'ps': value '3' of column 'ecog' belongs to no level (row 5). Add it to a level, or correct "
        "this row.",
    ),
    "recode with a value of two levels": (
        table(),
        {**PS, "recode": {"ps": sw.Recode("ecog", {"0": [0, 1], ">=1": [1]})}},
        HEAD + "recode of 'ps': value '1' belongs to both '0' and '>=1'. List each value once.",
    ),
    "recode of an unknown column": (
        table(),
        {**PS, "recode": {"ps": sw.Recode("ecgo", {"0": [0], ">=1": [1]})}},
        HEAD + "recode of 'ps': column 'ecgo' does not exist. Did you mean 'ecog'?",
    ),
    "column names that repeat": (
        table().set_axis(["time", "event", "site", "ecog", "ecog", "id"], axis=1),
        {},
        HEAD + "column 'ecog' occurs more than once. Give each column a name of its own.",
    ),
    "empty table": (
        table().iloc[:0],
        {},
        HEAD + "the table has no rows. Give a table with a row for each patient.",
    ),
    "slips of the pen in a number": (
        longer_table(age=[*map(str, range(50, 62)), "6o", "l4"]),
        {},
        HEAD_ROWS + "column 'age': 2 values are not numbers: '6o', 'l4' (rows 13, 14). " + DECIMAL,
    ),
    "one column for two purposes": (
        table(),
        {"event": "time"},
        HEAD + "column 'time': is used as time and event. Name a column for each.",
    ),
    "one column for three purposes": (
        table(),
        {"event": "time", "site": "time"},
        HEAD + "column 'time': is used as time, event and site. Name a column for each.",
    ),
    "event as a covariate": (
        table(),
        {"covariates": ["age", "event"]},
        HEAD + "column 'event': is the event and cannot be a covariate too. Remove it from the model.",
    ),
    "misspelt option": (
        table(),
        {"missing": "dorp"},
        HEAD + "missing: is 'dorp'. It must be 'refuse', 'drop' or 'keep'.",
    ),
    "negative time in place of zero": (
        table(),
        {"zero_times": -0.5},
        HEAD + "zero_times: is -0.5. It must be 'refuse' or a small positive time.",
    ),
    "several problems": (
        table(
            time=[5, -8, 12, 3, 0, NAN],
            event=[1, 0, 1, 1, 0, 1],
            site=["A"] * 6,
            age=[61, NAN, NAN, 48, 66, 73],
            id=[1, 1, 2, 3, 4, 5],
        ),
        {"id": "id", "min_sites": 2, "covariates": ["ecgo", "age"]},
        "The cohort has 7 problems (rows are counted from 1, without the header):\n"
        "  1. column 'ecgo': does not exist; it was named as covariate. Did you mean 'ecog'?\n"
        "  2. column 'time': 1 value is missing (row 6). Complete it, or drop such rows with missing = 'drop'.\n"
        "  3. column 'age': 2 values are missing (rows 2, 3). Complete them, or drop such rows with missing = 'drop'. "
        "Or impute: docs/missing.md.\n"
        "  4. column 'time': 1 time is negative (row 2). Correct this row.\n"
        "  5. column 'time': 1 time is zero; survival times must be positive (row 5). Correct this row, or set zero_times "
        "to a small positive time, such as half the unit in which times were recorded.\n"
        "  6. column 'id': 1 patient label occurs more than once: '1' (rows 1, 2). Each row must be one patient; merge or "
        "relabel these rows.\n"
        "  7. column 'site': names 1 site ('A'); a site effect needs at least 2. Remove the site term, such as (1 | site), "
        "from the model.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_message(name):
    frame, options, expected = CASES[name]
    with pytest.raises(sw.CohortError) as caught:
        sw.Cohort.from_frame(frame, **{**READ, **options})
    assert str(caught.value) == expected


def test_the_sound_tables_are_accepted():
    assert len(sw.Cohort.from_frame(table(), **READ)) == 6
    assert len(sw.Cohort.from_frame(longer_table(), **READ)) == 14


def test_problems_are_data_too():
    with pytest.raises(sw.CohortError) as caught:
        sw.Cohort.from_frame(table(time=[5, -8, 12, 3, -20, 9], age=[60] * 6), **READ)
    assert [(problem.where, problem.rows) for problem in caught.value.problems] == [
        ("column 'time'", (2, 5)),
        ("column 'age'", ()),
    ]


def test_rows_are_those_of_the_table_that_was_read_even_after_rows_were_dropped():
    frame = table(time=[NAN, 8, 12, 3, 20, 9], age=[61, 70, 55, NAN, 66, NAN])
    cohort = sw.Cohort.from_frame(frame, **{**READ, "covariates": None}, missing="drop")
    assert cohort.rows == (2, 3, 4, 5, 6)
    with pytest.raises(sw.CohortError) as caught:
        cohort.require(["age"])
    assert str(caught.value) == (
        HEAD_ROWS + "column 'age': 2 values are missing (rows 4, 6). Complete them, or read the cohort with "
        "covariates=[..., 'age'] and missing='drop'. Or impute: docs/missing.md."
    )


def test_times_before_the_guarantee_time():
    frame = table(time=[NAN, 8, 2, 3, 20, 1])
    cohort = sw.Cohort.from_frame(frame, **READ, missing="drop")
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ age", guarantee_time=2)
    with pytest.raises(sw.CohortError) as caught:
        spec.resolve(cohort)
    assert str(caught.value) == (
        HEAD_ROWS + "column 'time': 2 times are at or before the guarantee time 2 (rows 3, 6). With a guarantee time nobody "
        "can leave before it; lower it or correct these rows."
    )


def test_an_unknown_level_of_a_risk_group():
    cohort = sw.Cohort.from_frame(table(), **READ)
    with pytest.raises(sw.SpecError) as caught:
        sw.RiskGroups.count_favourable(ecog="2").groups(cohort)
    assert str(caught.value) == (
        "The rule of the risk groups has 1 problem:\n  1. covariate 'ecog': has no level '2'. Levels: '0', '1'."
    )


def test_require_names_unknown_and_constant_covariates():
    cohort = sw.Cohort.from_frame(table(dose=[2.0] * 6), **{**READ, "covariates": None})
    with pytest.raises(sw.CohortError) as caught:
        cohort.require(["agee", "dose"])
    assert str(caught.value) == (
        "The cohort has 2 problems:\n"
        "  1. column 'agee': does not exist. Did you mean 'age'?\n"
        "  2. column 'dose': is constant ('2' in every row used), " + CONSTANT
    )
