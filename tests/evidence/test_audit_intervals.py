"""Intervals hold every value that a function takes, and a printed number all that round to it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitewise.evidence.audit_intervals import Interval, printed

numbers = st.floats(-1e3, 1e3)
positive = st.floats(1e-3, 1e3)


@st.composite
def held(draw, values=numbers):
    """An interval and a number in it."""
    ends = sorted([draw(values), draw(values)])
    return Interval(*ends), min(max(ends[0], draw(values)), ends[1])


@given(held(), held())
def test_every_value_is_held(first, second):
    (a, x), (b, y) = first, second
    for interval, value in (
        (a + b, x + y),
        (a - b, x - y),
        (a * b, x * y),
        (a.square(), x * x),
        (a.scaled(-2.0), -2 * x),
    ):
        assert interval.lower - 1e-6 <= value <= interval.upper + 1e-6


@given(held(positive))
def test_functions_of_positive_numbers(pair):
    interval, value = pair
    assert interval.log().holds(math.log(value))
    assert interval.root().holds(math.sqrt(value))
    assert interval.inverse().lower <= 1 / value <= interval.inverse().upper
    assert interval.log().exp().lower <= value * (1 + 1e-9)


@given(st.floats(-1e3, 1e3), st.integers(0, 5))
def test_a_number_is_in_the_box_of_its_print(value, digits):
    assert printed(round(value, digits), digits).holds(value)


def test_by_hand():
    assert printed(16, 0) == Interval(15.5, 16.5)
    assert printed(0.4, 2).lower == pytest.approx(0.395)
    assert Interval(-1, 2).square() == Interval(0, 4)
    assert Interval(0, 2).inverse() == Interval(0.5, math.inf)
    assert Interval(0, 1).log() == Interval(-math.inf, 0)
    assert Interval(1, 2).below(Interval(3, 4))
    assert not Interval(1, 3).below(Interval(3, 4))
    assert Interval(1, 3).meets(Interval(3, 4))
    assert not Interval(1, 2).meets(Interval(3, 4))


def test_what_is_no_interval():
    with pytest.raises(ValueError, match="from the smaller"):
        Interval(2, 1)
    with pytest.raises(ValueError, match="positive"):
        Interval(-1, 1).inverse()
