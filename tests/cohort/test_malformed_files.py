"""What a user sees for a file that cannot be used, and which words of a file are missing values."""

import pytest

import sitewise as sw

HEAD = "The cohort has 1 problem:\n  1. "
FILES = {
    "absent": ("nobody.csv", None, "There is no file {path}."),
    "of another kind": ("patients.xlsx", "x", "patients.xlsx: give the patients as .csv or .parquet, not '.xlsx'."),
    "empty": ("patients.csv", "", "patients.csv cannot be read as CSV: No columns to parse from file"),
    "separated by semicolons": (
        "patients.csv",
        "time;event\n1;0\n2;1\n",
        "patients.csv has one column, 'time;event': separate the columns by commas.",
    ),
    "with more values than names": (
        "patients.csv",
        "time,event\n1,5,0\n2,8,1\n",
        "patients.csv: the rows have more values than the header has names. Name every column.",
    ),
    "with a column name that repeats": (
        "patients.csv",
        "time,event,age,age\n1,0,50,51\n2,1,60,61\n",
        HEAD + "column 'age' occurs more than once. Give each column a name of its own.",
    ),
    "with a header only": (
        "patients.csv",
        "time,event\n",
        HEAD + "the table has no rows. Give a table with a row for each patient.",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_message_on_a_file(name, tmp_path):
    file, content, expected = FILES[name]
    path = tmp_path / file
    if content is not None:
        path.write_text(content)
    with pytest.raises(sw.CohortError) as caught:
        sw.Cohort.from_csv(path, time="time", event="event")
    assert str(caught.value) == expected.format(path=path)


def test_a_file_in_another_encoding(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_bytes("time,event,site\n1,0,Köln\n2,1,Bonn\n".encode("latin-1"))
    with pytest.raises(sw.CohortError) as caught:
        sw.Cohort.from_csv(path, time="time", event="event")
    assert str(caught.value) == "patients.csv is not UTF-8 text. Save it as CSV in UTF-8."


def test_a_file_that_is_no_parquet(tmp_path):
    path = tmp_path / "patients.parquet"
    path.write_text("time,event\n1,0\n")
    with pytest.raises(sw.CohortError, match=r"^patients\.parquet cannot be read as PARQUET: "):
        sw.Cohort.from_parquet(path, time="time", event="event")


def test_there_is_no_packaged_cohort_of_another_name():
    from sitewise.cohort import packaged_path

    with pytest.raises(sw.CohortError) as caught:
        packaged_path("lugn")
    assert str(caught.value) == "There is no packaged cohort 'lugn'. Did you mean 'lung'? Packaged: 'lung'."


def test_words_of_a_csv_file_that_are_no_missing_values(tmp_path):
    """None is a level; empty cells, NA and NULL are missing, and a column of numbers with them stays one."""
    path = tmp_path / "patients.csv"
    ascites = ["None", "none", "Mild", "", "null", "n/a", "NULL", "NA", "N/A", "NaN", "nan", "#N/A", "<NA>", " "]
    age = ["50", "", "NULL", "55.5", "N/A", "60", "NaN", "61", "nan", "62", "#N/A", "<NA>", "70", "71"]
    rows = [f"{number + 1},{number % 2},{one},{other}" for number, (one, other) in enumerate(zip(ascites, age, strict=True))]
    path.write_text("\n".join(["time,event,ascites,age", *rows, ""]))
    cohort = sw.Cohort.from_csv(path, time="time", event="event")
    known = cohort.covariates["ascites"]
    assert known[:3].tolist() == ascites[:3]
    assert known[3:].isna().all()
    assert cohort.levels("age") == ()
    assert cohort.covariates["age"].isna().tolist() == [not value[:1].isdigit() for value in age]


def test_none_in_a_column_of_numbers_is_named(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("time,event\n1,0\nNone,1\n3,1\n")
    with pytest.raises(sw.CohortError) as caught:
        sw.Cohort.from_csv(path, time="time", event="event")
    assert "column 'time': 1 value is not a number: 'None' (row 2)." in str(caught.value)
