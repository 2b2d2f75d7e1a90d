"""Hazard ratio, interval and p value of a row, printed to a few digits: what must be accepted, and what refused.

The rows are simulated from a normal estimate of the log hazard ratio, whose Wald interval and p value are exact, and rounded
as papers round them. What a row may say is worked out here by trying the corners of the box of values that print alike; the
package reasons about the box instead. Either way a sound row must never be refused, however wide or narrow its interval.
"""

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import sitewise as sw

QUOTE = ["as printed"]


def printed(value, digits):
    """Round a number as it is printed."""
    return float(f"{value:.{digits}f}")


def row(log_ratio, error, *, digits=3, p_digits=3, prob=0.95):
    """Return the row that a paper prints for an estimate and its standard error."""
    z = norm.ppf(0.5 + prob / 2)
    p = 2 * norm.sf(abs(log_ratio) / error)
    found = {
        "hazard_ratio": printed(np.exp(log_ratio), digits),
        "lower": printed(np.exp(log_ratio - z * error), digits),
        "upper": printed(np.exp(log_ratio + z * error), digits),
        "digits": digits,
        "p_digits": p_digits,
    }
    smallest = 10.0**-p_digits
    return {**found, **({"p_below": smallest} if p < smallest else {"p": printed(p, p_digits)})}


def printable(found):
    """Whether an interval survives its rounding: limits that print as 0 or alike cannot be read back."""
    return 0 < found["lower"] < found["upper"]


def problems(rows, **model):
    """Return the problems of a summary with these rows: levels of one characteristic against the first level."""
    levels = {str(number): 1 for number in range(len(rows) + 1)}
    terms = [
        {"covariate": "group", "level": [str(number)], "reference": ["0"], "quote": QUOTE, **item}
        for number, item in enumerate(rows, start=1)
    ]
    content = {
        "schema_version": 1,
        "id": "simulated",
        "source": {
            "title": "A simulated paper",
            "authors": "Nobody",
            "journal": "None",
            "year": 2026,
            "doi": "10.1234/none",
            "licence": "CC0",
            "population": "None",
            "treatment": "None",
            "patients": len(levels),
            "sites": 1,
            "where": "Here",
            "quote": QUOTE,
        },
        "categorical": [{"name": "group", "label": "Group", "levels": levels, "where": "Table 1", "quote": QUOTE}],
        "model": [{"id": "simulated", "where": "Table 2", "term": terms, **model}],
    }
    try:
        sw.read_evidence(content)
    except sw.EvidenceError as refused:
        return refused.problems
    return ()


def where_of(problem):
    """Return the place of a problem without the number of its row."""
    return re.sub(r"term \d+ ", "term ", problem.where)


def simulated(count, *, seed, **options):
    """Return rows of effects from none to overwhelming, with standard errors from those of a registry to those of a ward."""
    rng = np.random.default_rng(seed)
    errors = np.exp(rng.uniform(np.log(0.002), np.log(2.5), count))
    scale = rng.choice([0.0, 0.5, 1.0, 2.0, 4.0, 12.0], count)  # of the effect, in standard errors: p values of every size
    effects = np.clip(scale * errors * rng.standard_normal(count), -5, 5)
    rows = [row(effect, error, **options) for effect, error in zip(effects, errors, strict=True)]
    return [item for item in rows if printable(item)]


def boxes(rows, prob=0.95):
    """Return the least and largest p value of all numbers that print as each row, by trying every corner of the box."""
    half = np.array([0.5 * 10.0 ** -item["digits"] for item in rows])
    names = ("hazard_ratio", "lower", "upper")
    centre = [np.array([item[name] for item in rows]) for name in names]
    z = norm.ppf(0.5 + prob / 2)
    found = []
    for signs in product((-1, 1), repeat=3):
        ratio, low, high = (value + sign * half for value, sign in zip(centre, signs, strict=True))
        possible = (ratio > 0) & (low > 0) & (low < high)
        ratio, low, high = (np.where(possible, value, other) for value, other in ((ratio, 1), (low, 0.5), (high, 2)))
        p = 2 * norm.sf(np.abs(np.log(ratio)) * 2 * z / np.log(high / low))
        found.append(np.where(possible, p, np.nan))
    least, most = np.nanmin(found, axis=0), np.nanmax(found, axis=0)
    # two values within the box that are no corners: a ratio of exactly 1, and limits that are next to each other
    most = np.where(np.abs(centre[0] - 1) <= half, 1.0, most)
    least = np.where(centre[2] - centre[1] <= 2 * half * (1 + 1e-9), 0.0, least)
    return least, most


def without_p(item):
    return {key: value for key, value in item.items() if key not in ("p", "p_below")}


@pytest.mark.parametrize("prob", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("p_digits", [2, 3, 4])
@pytest.mark.parametrize("digits", [2, 3])
def test_rounded_rows_are_never_refused(digits, p_digits, prob):
    rows = simulated(1000, seed=10 * digits + p_digits, digits=digits, p_digits=p_digits, prob=prob)
    assert len(rows) > 700
    assert sum("p" in item for item in rows) > 200
    assert problems(rows, prob=prob) == ()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    log_ratio=st.floats(-5, 5),
    error=st.floats(1e-4, 4),
    digits=st.integers(1, 5),
    p_digits=st.integers(1, 5),
    prob=st.floats(0.5, 0.999),
)
def test_no_row_of_any_precision_is_refused(log_ratio, error, digits, p_digits, prob):
    item = row(log_ratio, error, digits=digits, p_digits=p_digits, prob=prob)
    if printable(item):
        assert problems([item], prob=prob) == ()


SIMULATED = [item for item in simulated(2000, seed=3) if item["lower"] > 0.0005 + 1e-9]
LEAST, MOST = boxes(SIMULATED)


def test_a_p_value_that_prints_as_zero_is_accepted():
    """SPSS prints .000 where others print < 0.001."""
    rows = [{**without_p(item), "p": 0.0} for item, most in zip(SIMULATED, MOST, strict=True) if most < 0.0005]
    assert len(rows) > 200
    assert problems(rows) == ()


@pytest.mark.parametrize("bound", [0.0001, 0.001, 0.01, 0.05])
def test_bounds_of_p_values(bound):
    """Any bound is accepted unless the interval gives more, by more than the rounding of p itself."""
    within = [{**without_p(item), "p_below": bound} for item, least in zip(SIMULATED, LEAST, strict=True) if least < bound]
    assert len(within) > 200
    assert problems(within) == ()
    beyond = [
        {**without_p(item), "p_below": bound}
        for item, least in zip(SIMULATED, LEAST, strict=True)
        if least > bound + 0.0005 + 1e-6
    ]
    assert len(beyond) > 200
    refused = problems(beyond)
    assert len(refused) == len(beyond)
    assert {where_of(problem) for problem in refused} == {"model (simulated) term (group) p_below"}


@pytest.mark.parametrize("direction", [-1, 1])
def test_p_values_are_refused_just_outside_the_box_and_accepted_just_inside(direction):
    inside, outside = [], []
    for item, least, most in zip(SIMULATED, LEAST, MOST, strict=True):
        end = (most + 0.0005 if direction > 0 else least - 0.0005) * 1000
        if abs(end - np.round(end)) < 1e-3:
            continue  # on the edge, where the last bit of the arithmetic decides
        within, beyond = (round(step / 1000, 3) for step in (np.floor(end), np.floor(end) + 1)[::direction])
        if 0 <= within <= 1:
            inside.append({**without_p(item), "p": within})
        if 0 <= beyond <= 1:
            outside.append({**without_p(item), "p": beyond})
    assert len(inside) > 500
    assert problems(inside) == ()
    assert len(outside) > 500
    refused = problems(outside)
    assert len(refused) == len(outside)
    assert {where_of(problem) for problem in refused} == {"model (simulated) term (group) p"}
    assert all("does not belong to its interval, which gives p = " in problem.what for problem in refused)


@pytest.mark.parametrize("direction", [-1, 1])
def test_ratios_are_refused_just_outside_the_middle_and_accepted_just_inside(direction):
    inside, outside = [], []
    for item in SIMULATED:
        middle = np.sqrt((item["lower"] + direction * 0.0005) * (item["upper"] + direction * 0.0005))
        end = (middle + direction * 0.0005) * 1000
        if abs(end - np.round(end)) < 1e-3:
            continue
        within, beyond = (round(step / 1000, 3) for step in (np.floor(end), np.floor(end) + 1)[::direction])
        rest = without_p(item)  # which another ratio would contradict
        if item["lower"] <= within <= item["upper"]:
            inside.append({**rest, "hazard_ratio": within})
        if item["lower"] <= beyond <= item["upper"]:
            outside.append({**rest, "hazard_ratio": beyond})
    assert len(inside) > 1000
    assert problems(inside) == ()
    assert len(outside) > 1000
    refused = problems(outside)
    assert len(refused) == len(outside)
    assert {where_of(problem) for problem in refused} == {"model (simulated) term (group) hazard_ratio"}
    assert all("is not in the middle of its interval" in problem.what for problem in refused)
    # other kinds of interval need not be symmetric
    assert problems(outside, interval="profile") == ()
    assert problems(outside, interval="unknown") == ()


def test_the_probability_of_the_interval_is_taken_into_account():
    rows = [
        item for item in simulated(400, seed=8, prob=0.9) if item.get("p", 0) > 0.05 and abs(item["hazard_ratio"] - 1) > 0.2
    ]
    assert len(rows) > 20
    assert problems(rows, prob=0.9) == ()
    assert {where_of(problem) for problem in problems(rows, prob=0.95)} == {"model (simulated) term (group) p"}
