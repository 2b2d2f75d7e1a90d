"""Truths made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sitewise.families import Exponential, Family
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth import Profile, TrueEffect, Truth


@pytest.fixture(scope="session")
def make_truth() -> Callable[..., Truth]:
    """A function that makes a truth of ``rows`` equal rows: an exponential with hazard .1 unless said otherwise."""

    def make(
        family: Family | None = None,
        *,
        shape: tuple[float, ...] = (),
        log_scale: float = float(np.log(10.0)),
        groups: dict[str, tuple[float, float]] | None = None,
        site_sd: float = 0.0,
        arm: str = "control",
        effect: Effect | None = None,
        rows: int = 1,
        **more: Any,
    ) -> Truth:
        groups = groups or {"everybody": (1.0, 0.0)}
        shares, index = np.array(list(groups.values())).T
        return Truth(
            family or Exponential(),
            tuple(np.full(rows, value) for value in shape),
            np.full(rows, log_scale),
            tuple(Profile(name, name) for name in groups),
            np.tile(index, (rows, 1)),
            np.tile(shares, (rows, 1)),
            np.full(rows, site_sd),
            arm,
            TrueEffect.drawn(effect or Effect(hazard_ratio=1.0), rows, rng=np.random.default_rng(0)),
            **more,
        )

    return make
