"""Checks of cohorts that are hard to fit: numbers everywhere, or a refusal in words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

FORMULA = "Surv(time, event) ~ ecog + (1 | site)"


def patients(size: int, seed: int, sites: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    site = np.concatenate([np.arange(min(sites, size)), rng.integers(0, sites, max(size - sites, 0))])
    return pd.DataFrame(
        {
            "time": rng.exponential(10, size) + 0.1,
            "event": (rng.random(size) < 0.7).astype(int),
            "site": [f"site {number}" for number in site],
            "ecog": (np.arange(size) % 2).astype(str),
        }
    )


HARD: dict[str, Callable[[], pd.DataFrame]] = {
    "five patients": lambda: patients(5, 1).assign(event=[1, 1, 0, 1, 0]),
    "nobody censored": lambda: patients(60, 2).assign(event=1),
    "one event": lambda: patients(60, 3).assign(event=np.eye(60, dtype=int)[7]),
    "heavy ties": lambda: (table := patients(80, 4)).assign(time=np.ceil(table["time"] / 6) * 6),
    "a site without events": lambda: (table := patients(80, 5)).assign(event=table["event"] * (table["site"] != "site 2")),
    "separated": lambda: (table := patients(80, 6)).assign(event=table["event"] * (table["ecog"] == "0")),
    "thirty sites of two": lambda: patients(60, 8, 30),
    "huge times": lambda: (table := patients(50, 9)).assign(time=table["time"] * 1e9),
}


@pytest.mark.parametrize("make", HARD.values(), ids=HARD.keys())
def test_numbers_everywhere(make):
    cohort = sw.Cohort.from_frame(make(), time="time", event="event", site="site", time_unit="days")
    fit = sw.fit(sw.ModelSpec.from_formula(FORMULA), cohort, engine=sw.NestedLaplace(draws=800), seed=1)
    found = sw.check(fit, replicates=60, priors=False)
    assert found.table["p_value"].between(0, 1, inclusive="right").all()
    for name in ("over_time", "by_site", "by_risk", "drift", "conflict"):
        assert np.isfinite(getattr(found, name).select_dtypes("number").to_numpy()).all(), name


def test_nobody_censored_can_be_calibrated_and_drawn_anew():
    cohort = sw.Cohort.from_frame(HARD["nobody censored"](), time="time", event="event", site="site", time_unit="days")
    spec = sw.ModelSpec.from_formula(FORMULA).resolve(cohort)
    assert len(sw.sbc(spec, cohort, replicates=20, engine=sw.NestedLaplace(draws=300)).replicates.fits) == 20
