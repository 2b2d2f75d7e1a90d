"""What can be analysed but should worry."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw


def read(time=None, *, unit="months", event=None, site=None, ecog=None, age=None, **options):
    size = 20
    frame = pd.DataFrame(
        {
            "time": np.linspace(1, 40, size) if time is None else time,
            "event": [1, 0] * 10 if event is None else event,
            "site": list("ABCD") * 5 if site is None else site,
            "ecog": (["0"] * 10 + ["1"] * 10) if ecog is None else ecog,
            "age": np.linspace(40, 80, size) if age is None else age,
        }
    )
    given = {"time": "time", "event": "event", "site": "site", "covariates": ["ecog", "age"], "time_unit": unit}
    return sw.Cohort.from_frame(frame, **{**given, **options})


def test_nothing_to_worry_about():
    assert read().warnings == ()


def test_a_level_without_events():
    event = [0] * 10 + [1, 0] * 5
    assert read(event=event).warnings == ("ecog = '0' has 10 patients and no events: its effect rests on the prior.",)
    one = ["9", *["0"] * 9, *["1"] * 10]
    found = read(event=[0, 1] * 10, ecog=one).warnings
    assert found == ("ecog = '9' has 1 patient and no events: its effect rests on the prior.",)


def test_sites_of_a_single_patient():
    one = ["X", *"ABCD" * 4, *"ABC"]
    assert read(site=one).warnings == ("site 'X' has a single patient: its effect is mostly the prior's.",)
    two = ["X", "Y", *"ABCD" * 4, *"AB"]
    assert read(site=two).warnings == ("2 sites have a single patient each ('X', 'Y'): their effects are mostly the prior's.",)


def test_few_whole_numbers():
    assert read(age=[1, 2, 3, 4] * 5).warnings == (
        "age has 4 whole-number values and enters as one linear effect per unit, unless the formula has mo(age); name it in "
        "`reference` (or `levels`) to treat it as categories.",
    )
    half = [1] * 10 + [0] * 10
    assert read(age=[1, 2, 3, 4] * 5, reference={"age": 1}, event=half, ecog=["0", "1"] * 10).warnings == ()
    assert read(age=[1.5, 2, 3, 4] * 5).warnings == ()
    assert read(age=[*range(7)] * 2 + [*range(6)]).warnings == ()


DAYS = np.linspace(30, 1200, 20)


def test_days_in_a_column_of_months():
    assert read(DAYS).warnings == (
        "times have a median of 615 months (51 years): are they in days? Set time_unit to the unit of the column, or divide.",
    )
    assert read(DAYS / 30.4375).warnings == ()


def test_years_in_a_column_of_days():
    assert read(DAYS / 365.25, unit="days").warnings == (
        "the longest time is 3.285 days (under a week): are the times in months or years? Set time_unit to the unit of the "
        "column.",
    )


@pytest.mark.parametrize(
    ("unit", "per_day", "worries"),
    [
        ("days", 1.0, False),
        ("weeks", 1 / 7, False),
        ("months", 1 / 30.4375, False),
        ("years", 1 / 365.25, False),
        ("weeks", 1.0, False),  # a median of 12 years: possible
        ("years", 1.0, True),
        ("years", 1 / 30.4375, True),
        ("days", 1 / 365.25, True),
        ("cycles", 1e6, False),  # a unit of one's own is not judged
    ],
)
def test_times_in_each_unit(unit, per_day, worries):
    assert bool(read(DAYS * per_day, unit=unit).warnings) is worries


def test_warnings_are_about_the_rows_used():
    site = ["X", *"ABCD" * 4, *"ABC"]
    age = [np.nan, *np.linspace(40, 80, 19)]
    assert read(site=site, age=age, missing="drop").warnings == ()
