"""Ways of borrowing as they are read from files."""

from __future__ import annotations

import pytest

from sitewise.problems import TrialError
from sitewise.trial.borrowing import (
    METHODS,
    BorrowingDesign,
    Commensurate,
    FixedPowerPrior,
    NoBorrowing,
    NormalisedPowerPrior,
    RobustMap,
    SpikeAndSlab,
    read_borrowing,
)


def test_every_method_is_read():
    tables = [
        ({"method": "none"}, NoBorrowing()),
        ({"method": "none", "sd": 2}, NoBorrowing(sd=2.0)),
        ({"method": "fixed power prior", "power": 0.3}, FixedPowerPrior(0.3)),
        ({"method": "normalised power prior"}, NormalisedPowerPrior(1.0, 1.0)),
        ({"method": "commensurate", "scale": 0.3}, Commensurate(0.3)),
        (
            {"method": "spike and slab", "spike_probability": 0.5, "spike_precision": 200, "slab_precision": [1, 2]},
            SpikeAndSlab(0.5, 200.0, (1.0, 2.0)),
        ),
        ({"method": "robust MAP", "weight": 0.8, "vague_sd": 1}, RobustMap(0.8, 1.0)),
    ]
    for table, expected in tables:
        assert read_borrowing(table) == expected
    assert {type(expected) for _, expected in tables} | {METHODS["pooled"]} == set(METHODS.values())
    assert read_borrowing({"method": "pooled"}) == METHODS["pooled"]()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "method: is missing"),
        ({"method": "robust map"}, "Did you mean 'robust MAP'"),
        ({"method": "commensurate"}, "scale: is missing"),
        ({"method": "pooled", "power": 0.5}, "power: is not a known key"),
        ({"method": "fixed power prior", "power": 1.2}, "power: must be 0 to 1; it is 1.2"),
        ({"method": "normalised power prior", "alpha": 0}, "alpha: must be positive"),
        ({"method": "commensurate", "scale": -1}, "scale: must be positive"),
        ({"method": "none", "sd": 0}, "sd: must be positive"),
        ({"method": "robust MAP", "weight": -0.1, "vague_sd": 1}, "weight: must be 0 to 1"),
        ({"method": "robust MAP", "weight": 0.1, "vague_sd": 1, "between_sd": -1}, "between_sd: must be zero or positive"),
        (
            {"method": "spike and slab", "spike_probability": 0.5, "spike_precision": 200, "slab_precision": [2, 1]},
            "slab_precision: must be two positive numbers",
        ),
        (
            {"method": "spike and slab", "spike_probability": 0.5, "spike_precision": 1, "slab_precision": [1, 2]},
            "spike_precision: must not be below the slab's largest",
        ),
    ],
)
def test_slips_are_named(table, words):
    with pytest.raises(TrialError) as caught:
        read_borrowing(table)
    assert words in str(caught.value)


def test_every_problem_of_a_table_is_named_at_once():
    with pytest.raises(TrialError) as caught:
        RobustMap(1.5, -1.0, -0.1)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"borrowed_arm": "historical"}, "'experimental' or 'control'"),
        ({"borrowed_events": 0.0}, "borrowed_events: must be positive"),
        ({"historical_events": -1.0}, "historical_events: must be positive"),
        ({"threshold": 1.0}, "threshold: must be inside"),
        ({"other_events": float("nan")}, "finite"),
    ],
)
def test_impossible_designs_are_refused(changed, words):
    good = {"borrowed_arm": "control", "borrowed_events": 40.0, "other_events": 60.0, "historical_events": 90.0}
    with pytest.raises(TrialError) as caught:
        BorrowingDesign(**{**good, **changed})
    assert words in str(caught.value)


def test_events_by_allocation():
    control = BorrowingDesign.allocated("control", events=120, allocation=2, historical_events=50)
    assert (control.borrowed_events, control.other_events) == (40, 80)
    experimental = BorrowingDesign.allocated("experimental", events=120, allocation=2, historical_events=50)
    assert (experimental.borrowed_events, experimental.other_events) == (80, 40)
    with pytest.raises(TrialError, match="allocation: must be positive"):
        BorrowingDesign.allocated("control", events=120, allocation=0, historical_events=50)
