"""Labels and their natural order."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sitewise.cohort.levels import label, labels, natural_key, natural_order

ORDERED = [
    ["1", "2", "10", "33"],
    ["0", ">=1"],
    ["<65", "65-74", ">=75"],
    ["<1", "1-2", "2-5", ">5"],
    ["<=10", "11-20", ">20"],
    ["≤10", "11-20", "≥21"],
    ["<5", "5", ">5"],
    ["5", ">=5"],
    ["≤5", "5", "≥5"],
    ["-5", "0", "5"],
    ["0.5", "1", "1.5"],
    ["site 2", "site 10", "site 10b"],
    ["A1", "A2", "A10", "B1"],
    ["I", "II", "III"],
    ["7", "Berlin", "Köln"],
    ["a", "B", "c"],
    ["<10³/µL", "10³", "10³/µL"],  # no number to float, though a digit to str.isdigit
    ["site 1²", "site 2", "site 10²"],
    ["①", "②"],
    ["٢", "١٠"],  # 2 and 10, which float reads
]


@pytest.mark.parametrize("expected", ORDERED)
def test_natural_order(expected):
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(expected)
        assert natural_order(map(str, shuffled)) == tuple(expected)


def test_natural_order_is_of_distinct_labels():
    assert natural_order(["b", "a", "b", "10", "2", "10"]) == ("2", "10", "a", "b")
    assert natural_order([]) == ()


@pytest.mark.parametrize("value", [1, 1.0, np.int8(1), np.float32(1), "1", " 1 ", np.uint64(1)])
def test_one_in_any_type_has_one_label(value):
    assert label(value) == "1"


def test_labels_of_other_values():
    assert [label(value) for value in (True, np.False_, 1.5, "  ECOG 0 ", -3.0, 10**17)] == [
        *("true", "false", "1.5", "ECOG 0", "-3"),
        "100000000000000000",
    ]


def test_missing_values_stay_missing():
    for values in (
        pd.Series([1, None, 2]),
        pd.Series(["a", None, "b"]),
        pd.Series(["a", pd.NA, "b"], dtype="string"),
        pd.Series([1, pd.NA, 2], dtype="Int64"),
        pd.Series([1, None, 2], dtype="int64[pyarrow]"),
        pd.Series(pd.Categorical(["a", None, "b"])),
    ):
        found = labels(values)
        assert list(found.isna()) == [False, True, False]
        assert all(isinstance(item, str) for item in found.dropna())


# The same examples in every run, however slow the machine.
steady = settings(derandomize=True, deadline=None)

# Text as it occurs in tables: digits, bounds, points and letters in any arrangement.
text = st.text(alphabet="0129<>=≤≥.-+ abÄ", max_size=6)


@steady
@given(st.lists(text, max_size=8))
@example(["1", "1.0", "01", "<1", "<=1"])
@example(["-1", "+1", "- 1", "1-"])
def test_order_is_total(items):
    """Any two keys compare, one way round or as equal."""
    keys = [natural_key(item) for item in items]
    for one in keys:
        for other in keys:
            assert (one < other) + (other < one) + (one == other) == 1


@steady
@given(text, text, text)
def test_order_is_transitive(one, two, three):
    low, mid, high = sorted([natural_key(one), natural_key(two), natural_key(three)])
    assert low <= mid <= high
    assert low <= high


@steady
@given(st.lists(text, max_size=8), st.randoms(use_true_random=False))
def test_order_does_not_depend_on_the_order_given(items, random):
    shuffled = list(items)
    random.shuffle(shuffled)
    assert natural_order(shuffled) == natural_order(items)


@steady
@given(st.lists(text, max_size=8))
def test_sorting_again_changes_nothing(items):
    once = natural_order(items)
    assert natural_order(once) == once
    assert set(once) == set(items)


@steady
@given(st.lists(st.integers(0, 10**6), min_size=1, unique=True))
def test_whole_numbers_sort_as_numbers(numbers):
    assert natural_order(map(str, numbers)) == tuple(map(str, sorted(numbers)))
