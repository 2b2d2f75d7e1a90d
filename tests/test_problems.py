"""Problems are gathered, then raised once as one readable message."""

import pytest

from sitewise.problems import (
    CohortError,
    Problem,
    Problems,
    SitewiseError,
    SpecError,
    StudyError,
    describe_rows,
    listed,
    nearest,
    plural,
    render,
)


def test_a_problem_is_where_what_rows_remedy():
    assert str(Problem("column 'x'", "is odd")) == "column 'x': is odd."
    assert str(Problem("", "nothing here", "Try again.")) == "nothing here. Try again."
    assert str(Problem("column 'x'", "is odd", "Mend it.", (3, 7))) == "column 'x': is odd (rows 3, 7). Mend it."


def test_rows():
    assert describe_rows([3]) == "row 3"
    assert describe_rows([1, 2]) == "rows 1, 2"
    assert describe_rows(range(1, 9)) == "rows 1, 2, 3, 4, 5, 6, 7, 8"
    assert describe_rows(range(1, 10)) == "rows 1, 2, 3, 4, 5, 6, 7, 8 and 1 more"
    assert describe_rows(range(1, 101)) == "rows 1, 2, 3, 4, 5, 6, 7, 8 and 92 more"


def test_one_problem():
    assert render([Problem("a", "is wrong")], "The table") == "The table has 1 problem:\n  1. a: is wrong."


def test_several_problems_are_numbered_and_say_how_rows_are_counted():
    found = [Problem("a", "is wrong"), Problem("b", "is worse", "Stop.", (2,))]
    assert render(found, "The table") == (
        "The table has 2 problems (rows are counted from 1, without the header):\n"
        "  1. a: is wrong.\n"
        "  2. b: is worse (row 2). Stop."
    )


def test_nothing_is_raised_without_problems():
    Problems().raise_if_any(CohortError, "The table")


def test_all_are_raised_at_once():
    problems = Problems()
    problems.add("a", "is wrong", rows=[4])
    problems.add("b", "is wrong", "Mend it.")
    assert problems.about("a")
    assert not problems.about("c")
    with pytest.raises(SpecError) as caught:
        problems.raise_if_any(SpecError, "The spec")
    assert str(caught.value) == render(problems.found, "The spec")
    assert caught.value.problems == (Problem("a", "is wrong", "", (4,)), Problem("b", "is wrong", "Mend it."))


@pytest.mark.parametrize("kind", [CohortError, SpecError, StudyError])
def test_every_error_is_a_value_error_of_sitewise(kind):
    assert issubclass(kind, SitewiseError)
    assert issubclass(kind, ValueError)
    assert kind("text").problems == ()


def test_listed():
    assert listed(["a", 1]) == "'a', '1'"
    assert listed([]) == ""
    assert listed("abcd", limit=2) == "'a', 'b' and 2 more"


def test_nearest():
    assert nearest("ecgo", ["age", "ecog"]) == "Did you mean 'ecog'?"
    assert nearest("weight", ["age", "ecog"]) == "Known: 'age', 'ecog'."
    assert nearest("weight", []) == ""


@pytest.mark.parametrize(("count", "expected"), [(0, "0 rows are"), (1, "1 row is"), (2, "2 rows are")])
def test_plural(count, expected):
    assert plural(count, "row is", "rows are") == expected
