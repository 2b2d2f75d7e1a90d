"""Sound tables in every shape that they come in."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

PLAIN = {
    "months": [5.0, 8.0, 12.0, 3.0, 20.0, 9.0],
    "died": [1, 0, 1, 1, 0, 1],
    "hospital": [1, 1, 2, 2, 10, 10],
    "ecog": [0, 1, 0, 1, 1, 0],
    "age": [61.5, 70.25, 55.0, 48.5, 66.0, 73.0],
}
EVENT = np.array([1.0, 0, 1, 1, 0, 1])
READ = {"time": "months", "event": "died", "site": "hospital", "covariates": ["ecog", "age"]}


def read(options=None, /, **changed):
    return sw.Cohort.from_frame(pd.DataFrame({**PLAIN, **changed}), **{**READ, **(options or {})})


def same(one, other):
    """Whether two cohorts hold the same patients."""
    pd.testing.assert_frame_equal(one.frame, other.frame)
    return one.data_hash == other.data_hash


EVENTS = {
    "int": ([1, 0, 1, 1, 0, 1], None),
    "float": ([1.0, 0.0, 1.0, 1.0, 0.0, 1.0], None),
    "bool": ([True, False, True, True, False, True], None),
    "bool with the level named": ([True, False, True, True, False, True], 1),
    "text of digits": (["1", "0", "1", "1", "0", "1"], None),
    "nullable int": (pd.array([1, 0, 1, 1, 0, 1], dtype="Int8"), None),
    "nullable bool": (pd.array([True, False, True, True, False, True], dtype="boolean"), None),
    "arrow bool": (pd.array([True, False, True, True, False, True], dtype="bool[pyarrow]"), None),
    "R's codes": ([2, 1, 2, 2, 1, 2], 2),
    "reversed codes": ([0, 1, 0, 0, 1, 0], 0),
    "words": (["dead", "alive", "dead", "dead", "alive", "dead"], "dead"),
    "words that sort the other way": (["died", "survived", "died", "died", "survived", "died"], "died"),
    "categories": (pd.Categorical(["dead", "alive", "dead", "dead", "alive", "dead"]), "dead"),
    "categories with one unused": (
        pd.Categorical(["dead", "alive", "dead", "dead", "alive", "dead"], categories=["lost", "dead", "alive"]),
        "dead",
    ),
    "a code given as text": ([2, 1, 2, 2, 1, 2], "2"),
    "bool as the level false": ([False, True, False, False, True, False], False),
}


@pytest.mark.parametrize("name", EVENTS)
def test_event(name):
    values, level = EVENTS[name]
    cohort = read({"event_level": level}, died=values)
    np.testing.assert_array_equal(cohort.event, EVENT)
    assert cohort.event.dtype == float


def test_everyone_had_the_event():
    np.testing.assert_array_equal(read(died=[1] * 6).event, np.ones(6))
    np.testing.assert_array_equal(read({"event_level": "dead"}, died=["dead"] * 6).event, np.ones(6))


ECOG = {
    "text": ["0", "1", "0", "1", "1", "0"],
    "float": [0.0, 1.0, 0.0, 1.0, 1.0, 0.0],
    "text with blanks": ["0", " 1", "0 ", "1", "1", "0"],
    "mixed": [0, "1", 0.0, 1, "1", "0"],
    "category": pd.Categorical([0, 1, 0, 1, 1, 0]),
    "category with one unused": pd.Categorical([0, 1, 0, 1, 1, 0], categories=[0, 1, 4]),
    "nullable": pd.array([0, 1, 0, 1, 1, 0], dtype="Int64"),
    "arrow int": pd.array([0, 1, 0, 1, 1, 0], dtype="int8[pyarrow]"),
    "arrow text": pd.array(["0", "1", "0", "1", "1", "0"], dtype="string[pyarrow]"),
}


@pytest.mark.parametrize("name", ECOG)
def test_ecog_of_any_type_is_the_same_cohort(name):
    assert same(read(), read(ecog=ECOG[name]))


SITES = {
    "text": ["1", "1", "2", "2", "10", "10"],
    "float": [1.0, 1.0, 2.0, 2.0, 10.0, 10.0],
    "category": pd.Categorical([1, 1, 2, 2, 10, 10]),
    "category in another order": pd.Categorical([1, 1, 2, 2, 10, 10], categories=[10, 3, 2, 1]),
    "category of text": pd.Categorical(["1", "1", "2", "2", "10", "10"]),
    "mixed": [1, "1", 2.0, "2", 10, " 10"],
    "nullable": pd.array([1, 1, 2, 2, 10, 10], dtype="UInt8"),
    "arrow": pd.array([1, 1, 2, 2, 10, 10], dtype="int64[pyarrow]"),
}


@pytest.mark.parametrize("name", SITES)
def test_site_labels_of_any_type_are_the_same_sites(name):
    cohort = read(hospital=SITES[name])
    assert cohort.site_labels == ("1", "2", "10")
    np.testing.assert_array_equal(cohort.site_index, [0, 0, 1, 1, 2, 2])
    assert same(read(), cohort)


def test_sites_that_became_decimal_because_one_is_missing():
    cohort = read({"missing": "drop"}, hospital=[1, np.nan, 2, 2, 10, 10])
    assert cohort.site_labels == ("1", "2", "10")


def test_without_a_site_column():
    cohort = read({"site": None})
    assert cohort.site is None
    assert cohort.site_labels == ()
    np.testing.assert_array_equal(cohort.site_index, np.zeros(6))
    assert cohort.counts_by_site().empty


NUMBERS = {
    "float32": np.array(PLAIN["age"], dtype="float32"),
    "text": ["61.5", "70.25", "55", "48.5", "66.0", "73"],
    "nullable": pd.array(PLAIN["age"], dtype="Float64"),
    "arrow": pd.array(PLAIN["age"], dtype="double[pyarrow]"),
}


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "text"])
def test_numbers_of_any_type_are_the_same_cohort(name):
    assert same(read(months=PLAIN["age"]), read(months=NUMBERS[name], age=NUMBERS[name]))


def test_times_written_as_text_are_read():
    np.testing.assert_array_equal(read(months=NUMBERS["text"]).time, PLAIN["age"])


def test_levels_are_in_natural_order_and_the_reference_comes_first():
    bands = ["65-74", "<65", ">=75", "<65", "65-74", ">=75"]
    assert read(ecog=bands).levels("ecog") == ("<65", "65-74", ">=75")
    assert read({"reference": {"ecog": "65-74"}}, ecog=bands).levels("ecog") == ("65-74", "<65", ">=75")
    assert read({"levels": {"ecog": [">=75", "65-74", "<65"]}}, ecog=bands).levels("ecog") == (">=75", "65-74", "<65")
    given = {"levels": {"ecog": [">=75", "65-74", "<65"]}, "reference": {"ecog": "65-74"}}
    assert read(given, ecog=bands).levels("ecog") == ("65-74", ">=75", "<65")


def test_categories_keep_their_own_order_and_lose_unused_levels():
    stage = pd.Categorical(["II", "I", "III", "I", "II", "III"], categories=["III", "IV", "II", "I"])
    assert read(ecog=stage).levels("ecog") == ("III", "II", "I")


def test_a_number_with_a_reference_or_levels_is_a_category():
    grade = [1, 2, 3, 1, 2, 3]
    assert read(ecog=grade).levels("ecog") == ()
    assert read({"reference": {"ecog": 2}}, ecog=grade).levels("ecog") == ("2", "1", "3")
    assert read({"levels": {"ecog": [3, 2, 1]}}, ecog=grade).levels("ecog") == ("3", "2", "1")


def test_a_number_with_two_values_is_a_category_and_a_note_says_so():
    assert read().levels("ecog") == ("0", "1")
    assert read().notes == ("ecog has two values and is read as categories; reference level '0'.",)
    assert read({"reference": {"ecog": 1}}).notes == ()


def test_levels_that_nobody_has_are_left_out_and_a_note_says_so():
    cohort = read({"levels": {"ecog": [2, 0, 1, 3]}})
    assert cohort.levels("ecog") == ("0", "1")
    assert cohort.notes == ("No row used has levels '2', '3' of ecog: left out.",)
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog").resolve(cohort)
    assert spec.resolved.columns == ("ecog[1]",)
    assert spec.resolved.reference_patient == {"ecog": "0"}
    dropped = read({"missing": "drop"}, ecog=["a", "b", "c", "b", "c", "b"], age=[np.nan, 70, 55, 48.5, 66, 73])
    assert dropped.levels("ecog") == ("b", "c")
    assert dropped.notes[-1] == "No row used has level 'a' of ecog: left out."


def test_booleans_are_categories():
    assert read(ecog=[False, True, False, True, True, False]).levels("ecog") == ("false", "true")


def test_recode():
    recode = {"ps": sw.Recode("ecog", {"0": [0], ">=1": [1, "2", 3.0]})}
    cohort = read({"covariates": ["ps"], "recode": recode}, ecog=[0, 1, 2, 3, 1, 0])
    assert cohort.levels("ps") == ("0", ">=1")
    assert list(cohort.covariates["ps"]) == ["0", ">=1", ">=1", ">=1", ">=1", "0"]
    other = read({"covariates": ["ps"], "recode": recode, "reference": {"ps": ">=1"}}, ecog=[0, 1, 2, 3, 1, 0])
    assert other.levels("ps") == (">=1", "0")


def test_a_recoded_covariate_may_take_the_name_of_its_column():
    recode = {"ecog": sw.Recode("ecog", {"good": [0, 1], "poor": [2, 3]})}
    cohort = read({"covariates": ["ecog"], "recode": recode}, ecog=[0, 1, 2, 3, 1, 0])
    assert list(cohort.covariates["ecog"]) == ["good", "good", "poor", "poor", "good", "good"]


def test_without_a_choice_every_other_column_is_a_covariate():
    cohort = read({"covariates": None, "id": "label"}, label=list("abcdef"), stage=list("xyxyxy"))
    assert list(cohort.covariates.columns) == ["ecog", "age", "stage"]
    assert list(cohort.id) == list("abcdef")


def test_patients_without_labels_are_numbered_by_their_row():
    cohort = read({"missing": "drop"}, age=[61, np.nan, 55, 48, 66, 73])
    assert list(cohort.id) == ["1", "3", "4", "5", "6"]


FRAME = pd.DataFrame(PLAIN)


def test_files_give_the_cohort_of_the_frame(tmp_path):
    FRAME.to_csv(tmp_path / "patients.csv", index=False)
    FRAME.to_parquet(tmp_path / "patients.parquet")
    from_csv = sw.Cohort.from_csv(tmp_path / "patients.csv", **READ)
    assert same(read(), from_csv)
    assert same(read(), sw.Cohort.from_parquet(tmp_path / "patients.parquet", **READ))
    assert from_csv.source == "patients of patients.csv"


def test_drop_removes_incomplete_rows_and_counts_them_by_column():
    cohort = read(
        {"missing": "drop"},
        months=[np.nan, 8, 12, 3, 20, 9],
        age=[np.nan, np.nan, 55, 48.5, 66, 73],
        hospital=["A", "A", "B", "B", None, "C"],
    )
    assert len(cohort) == 3
    assert (cohort.rows_read, cohort.rows_dropped, cohort.rows) == (6, 3, (3, 4, 6))
    np.testing.assert_array_equal(cohort.time, [12, 3, 9])
    assert cohort.notes[-1] == (
        "3 of 6 rows dropped for missing values (months: 1, hospital: 1, age: 2), as missing = 'drop' asked."
    )


def test_columns_that_are_not_used_may_be_incomplete():
    cohort = read(weight_loss=[np.nan] * 6)
    assert (len(cohort), cohort.rows_dropped) == (6, 0)


def test_dropping_for_a_recoded_covariate_names_the_column_that_was_read():
    recode = {"ps": sw.Recode("ecog", {"0": [0], ">=1": [1]})}
    cohort = read({"covariates": ["ps"], "recode": recode, "missing": "drop"}, ecog=[0, np.nan, 0, 1, 1, 0])
    assert cohort.notes == ("1 of 6 rows dropped for missing values (ecog: 1), as missing = 'drop' asked.",)


def test_zero_times_are_moved_and_counted():
    cohort = read({"zero_times": 0.5}, months=[5, 0, 12, 0, 20, 9])
    np.testing.assert_array_equal(cohort.time, [5, 0.5, 12, 0.5, 20, 9])
    assert cohort.notes[-1] == "2 times of zero were set to 0.5, as zero_times asked."
    assert read({"zero_times": 0.5}, months=[5, 0, 12, 3, 20, 9]).notes[-1].startswith("1 time of zero was set to 0.5")
    assert not any("zero" in note for note in read({"zero_times": 0.5}).notes)


def test_entry_and_weights():
    options = {"entry": "start", "weights": "w"}
    cohort = read(options, start=[0, 2, 0, 1, 4, 0], w=[1, 2, 0.5, 1, 1, 3])
    np.testing.assert_array_equal(cohort.entry, [0, 2, 0, 1, 4, 0])
    np.testing.assert_array_equal(cohort.weights, [1, 2, 0.5, 1, 1, 3])
    assert cohort.late_entry
    assert cohort.weighted
    # 1 x 5 + 2 x (8 - 2) + 0.5 x 12 + (3 - 1) + (20 - 4) + 3 x 9
    assert cohort.person_time == pytest.approx(68.0, rel=1e-14)
    assert not read().late_entry
    assert not read().weighted
    assert read().person_time == pytest.approx(57.0, rel=1e-14)


def test_the_unit_is_kept_and_is_part_of_the_identity():
    assert read({"time_unit": "years"}).time_unit == "years"
    assert read({"time_unit": "years"}).data_hash != read().data_hash


def test_the_table_given_is_not_changed():
    frame = pd.DataFrame({**PLAIN, "months": [5, 0, 12, 3, 20, np.nan], "hospital": ["A", " ", "B", "B", "C", "C"]})
    frame.index = [10, 10, 11, 12, 13, 14]
    before = frame.copy(deep=True)
    cohort = sw.Cohort.from_frame(frame, **READ, missing="drop", zero_times=0.25)
    assert len(cohort) == 4
    pd.testing.assert_frame_equal(frame, before)


def test_arrays_are_read_only_and_the_cohort_is_frozen():
    cohort = read({"zero_times": 0.5}, months=[5, 0, 12, 3, 20, 9])
    for name in ("time", "event", "entry", "weights"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(cohort, name)[0] = 7.0
    with pytest.raises(AttributeError):
        cohort.time = np.ones(6)


def test_the_cohort_does_not_follow_later_changes_of_the_table():
    frame = pd.DataFrame(PLAIN)
    cohort = sw.Cohort.from_frame(frame, **READ)
    before = cohort.data_hash
    frame.loc[:, "months"] = 1.0
    frame.loc[:, "age"] = 0.0
    np.testing.assert_array_equal(cohort.time, PLAIN["months"])
    np.testing.assert_array_equal(cohort.covariates["age"], PLAIN["age"])
    assert sw.Cohort.from_frame(pd.DataFrame(PLAIN), **READ).data_hash == before


CHANGES = {
    "a time": {"months": [5.0, 8.0, 12.0, 3.0, 20.0, 9.000001]},
    "an event": {"died": [1, 0, 1, 1, 1, 1]},
    "a site": {"hospital": [1, 1, 2, 2, 10, 2]},
    "a category": {"ecog": [0, 1, 0, 1, 1, 1]},
    "a number": {"age": [61.5, 70.25, 55.0, 48.5, 66.0, 73.5]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_hash_tells_any_change(name):
    assert read(**CHANGES[name]).data_hash != read().data_hash


def test_the_hash_tells_the_order_of_patients():
    turned = sw.Cohort.from_frame(pd.DataFrame(PLAIN).iloc[::-1], **READ)
    assert turned.data_hash != read().data_hash


def test_the_reference_level_is_no_part_of_the_patients():
    assert read({"reference": {"ecog": 1}}).data_hash == read().data_hash


def test_columns_that_are_not_used_do_not_change_the_hash():
    assert read(note=list("abcdef")).data_hash == read().data_hash


def test_a_subset_keeps_levels_sites_and_row_numbers():
    cohort = read()
    part = cohort.subset(cohort.site_index < 2)
    assert len(part) == 4
    assert part.site_labels == cohort.site_labels
    assert part.levels("ecog") == cohort.levels("ecog")
    assert part.rows == (1, 2, 3, 4)
    np.testing.assert_array_equal(part.covariates["age"], PLAIN["age"][:4])


def test_repr():
    assert repr(read()) == "<Cohort of 6 patients, 3 sites, 4 events, time in months>"
    assert repr(read({"site": None})) == "<Cohort of 6 patients, 4 events, time in months>"


def test_the_packaged_cohort(lung):
    assert (len(lung), int(lung.event.sum()), len(lung.site_labels)) == (226, 163, 18)
    assert lung.site_labels[:3] == ("1", "2", "3")
    assert lung.site_labels[-1] == "33"
    assert lung.levels("ecog") == ("0", ">=1")
    assert lung.levels("sex") == ("1", "2")
    assert (lung.covariates["ecog"] == "0").sum() == 63
    assert lung.notes == ("2 of 228 rows dropped for missing values (inst: 1, ph_ecog: 1), as missing = 'drop' asked.",)
