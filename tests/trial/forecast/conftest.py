"""Truths and interim data that the tests of forecasts share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sitewise.families import Exponential
from sitewise.trial.conduct import snapshot
from sitewise.trial.forecast import InterimData
from sitewise.trial.truth import Profile, TrueEffect, Truth

SE = 3.3


def truth_of(
    *,
    log_scale,
    family=None,
    shape=(),
    groups=("everybody",),
    log_hazard_ratio=(0.0,),
    shares=(1.0,),
    site_sd=0.0,
    effect=0.0,
    starts=(0.0,),
    weights=(1.0,),
    effect_site_sd=0.0,
    cured=0.0,
    cohort_arm="control",
    guarantee_time=0.0,
):
    rows = np.size(log_scale)
    return Truth(
        family=family or Exponential(),
        shape=tuple(np.broadcast_to(item, rows).astype(float) for item in shape),
        log_scale=np.atleast_1d(np.asarray(log_scale, dtype=float)),
        profiles=tuple(Profile(name, name.split("/")[0]) for name in groups),
        index=np.broadcast_to(np.asarray(log_hazard_ratio, dtype=float), (rows, len(groups))).copy(),
        shares=np.broadcast_to(np.asarray(shares, dtype=float), (rows, len(groups))).copy(),
        site_sd=np.broadcast_to(np.asarray(site_sd, dtype=float), rows).copy(),
        cohort_arm=cohort_arm,
        effect=TrueEffect(
            np.broadcast_to(np.asarray(effect, dtype=float), rows).copy(),
            np.array(starts),
            np.array(weights),
            cured,
            effect_site_sd,
        ),
        guarantee_time=guarantee_time,
    )


def sites_of(opened):
    return pd.DataFrame({"site": [f"s{number}" for number in range(len(opened))], "opened": opened})


def data_of(patients, opened, cut):
    return InterimData.from_tables(pd.DataFrame(patients), sites_of(opened), cut=cut)


def cut_of(trials, number, cut, *, truth, opened, with_arm=True):
    """Return the interim data of one simulated trial at a data cut."""
    one = trials.some(slice(number, number + 1))
    seen = snapshot(one, np.array([cut]), group_of_profile=truth.group_of_profile, groups=truth.groups)
    who = seen.included[0]
    table = {
        "site": [f"s{code}" for code in seen.site[0, who]],
        "enrolled": seen.enrolled[0, who],
        "time": seen.time[0, who],
        "event": seen.event[0, who].astype(int),
        "ended": seen.ended[0, who].astype(int),
        "risk_group": [truth.groups[code] for code in seen.group[0, who]],
    }
    if with_arm:
        table["arm"] = [("control", "experimental")[code] for code in seen.arm[0, who]]
    return data_of(table, opened, cut)


def near(values, expected, *, errors=SE):
    """Assert that the mean of draws is what it should be, within Monte Carlo standard errors."""
    values = np.asarray(values, dtype=float)
    error = values.std(ddof=1) / np.sqrt(values.size)
    assert abs(values.mean() - expected) < errors * error, (values.mean(), expected, error)


@pytest.fixture(scope="session")
def kit():
    return SimpleNamespace(truth_of=truth_of, sites_of=sites_of, data_of=data_of, cut_of=cut_of, near=near, SE=SE)
