"""Designs with several experimental arms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sitewise.trial.plan.design import TrialDesign


@pytest.fixture(scope="session")
def make_design() -> Callable[..., TrialDesign]:
    """A function that makes a design of two experimental arms, A ("experimental") and B, and control, with changes by place."""

    def make(changes: dict[str, Any] | None = None, /, **tables: Any) -> TrialDesign:
        content: dict[str, Any] = {
            "id": "three-arms",
            "title": "Two treatments, one control.",
            "truth": {
                "cohort_arm": "control",
                "effect": {"hazard_ratio": 0.6},
                "point": {"baseline": {"median": 10.0, "family": "exponential"}},
            },
            "arms": {
                "kind": "randomised",
                "patients": 300,
                "further": [{"name": "B", "hazard_ratio": 0.8}],
                "stratify": [],
                "blocks": 1,
            },
            "accrual": {"sites": 2, "rate": 50.0},
            "follow_up": {"close": 500.0},
            "look": [{"name": "final", "when": {"calendar": 499.0}}],
            "criterion": [
                {"name": "A works", "estimand": "hazard_ratio", "below": 1.0},
                {"name": "B works", "estimand": "hazard_ratio", "below": 1.0, "arm": "B"},
            ],
            "analysis": {"method": "log-rank", "adjust": []},
            "simulation": {"nuts_trials": 0},
            **tables,
        }
        return TrialDesign.from_dict(content).changed(changes or {})

    return make
