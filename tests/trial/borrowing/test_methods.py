"""Ways of borrowing: what cannot be is refused, by name."""

from __future__ import annotations

import pytest

from sitewise.problems import TrialError
from sitewise.trial.borrowing import (
    BorrowingDesign,
    Commensurate,
    FixedPowerPrior,
    NoBorrowing,
    NormalisedPowerPrior,
    RobustMap,
    SpikeAndSlab,
)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (FixedPowerPrior, {"power": 1.2}, "power: must be 0 to 1; it is 1.2"),
        (NormalisedPowerPrior, {"alpha": 0}, "alpha: must be positive"),
        (Commensurate, {"scale": -1}, "scale: must be positive"),
        (NoBorrowing, {"sd": 0}, "sd: must be positive"),
        (RobustMap, {"weight": -0.1, "vague_sd": 1}, "weight: must be 0 to 1"),
        (RobustMap, {"weight": 0.1, "vague_sd": 1, "between_sd": -1}, "between_sd: must be zero or positive"),
        (
            SpikeAndSlab,
            {"spike_probability": 0.5, "spike_precision": 200, "slab_precision": (2, 1)},
            "slab_precision: must be two positive numbers",
        ),
        (
            SpikeAndSlab,
            {"spike_probability": 0.5, "spike_precision": 1, "slab_precision": (1, 2)},
            "spike_precision: must not be below the slab's largest",
        ),
    ],
)
def test_slips_are_named(kind, fields, words):
    with pytest.raises(TrialError) as caught:
        kind(**fields)
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
