"""Trials of two arms are what they were before there could be more: numbers frozen at the commit before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sitewise.trial.analysis.dispatch import analysis_of
from sitewise.trial.campaign import run_campaign, worlds_of
from sitewise.trial.operating import decide, operating_characteristics
from sitewise.trial.operating.calibrated import thresholds_for
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.sources import cohorts_of

FROZEN = Path(__file__).parent / "two_arms.json"
CASES: dict[str, dict[str, Any]] = {
    "control, cox": {"truth.cohort_arm": "control", "analysis.method": "cox"},
    "experimental, conjugate": {"truth.cohort_arm": "experimental", "truth.effect.delay": 2.0, "truth.effect.site_sd": 0.2},
}


def design(changes: dict[str, Any]) -> TrialDesign:
    content = {
        "id": "two-arms",
        "title": "Two arms.",
        "truth": {
            "cohort_arm": "control",
            "effect": {"hazard_ratio": 0.6, "sd": 0.2},
            "point": {
                "baseline": {"median": 10.0, "parameters": {"shape": 1.2}},
                "site_sd": 0.3,
                "group": [{"name": "good", "share": 0.6}, {"name": "poor", "share": 0.4, "log_hazard_ratio": 0.5}],
            },
        },
        "arms": {"kind": "randomised", "patients": 60, "allocation": [2, 1]},
        "accrual": {"sites": 3, "rate": 1.0, "rate_shape": 2.0},
        "follow_up": {"close": 40.0, "dropout": {"share": 0.1, "by": 12.0}},
        "look": [{"name": "first", "when": {"events": 20}}, {"name": "final", "when": {"events": 45}}],
        "criterion": [
            {"name": "benefit", "estimand": "hazard_ratio", "below": 1.0},
            {"name": "large", "estimand": "hazard_ratio", "below": 0.9, "probability": 0.8},
            {"name": "hopeless", "estimand": "hazard_ratio", "predictive": True, "role": "futility", "probability": 0.05},
        ],
        "analysis": {"method": "conjugate", "adjust": ["risk_group"]},
        "calibration": {"criterion": "benefit", "alpha": 0.05},
        "simulation": {"trials": 60, "seed": 7},
    }
    return TrialDesign.from_dict(content).changed(changes)


def numbers(changes: dict[str, Any]) -> dict[str, Any]:
    """What a campaign of 60 trials comes to, as plain lists."""
    plan = design(changes)
    cohorts = cohorts_of(plan)
    analysis = analysis_of(plan.analysis, randomised=True, groups=cohorts.truth.groups, sites=plan.accrual.sites)
    results = run_campaign(plan, worlds_of(plan, cohorts.truth), analysis=analysis, trials=60, seed=7)
    thresholds = thresholds_for(results)
    decisions = decide(results, thresholds=thresholds.values)
    data, table = results.data, operating_characteristics(results, decisions=decisions)
    return {
        "probability": data["probability"].to_numpy()[:, :10].ravel().tolist(),
        "estimate": data["estimate"].to_numpy()[:, :10].ravel().tolist(),
        "calendar": data["calendar"].to_numpy()[:, :10].ravel().tolist(),
        "events_of_arm": data["events_of_arm"].to_numpy()[:, :10].ravel().tolist(),
        "thresholds": thresholds.values.ravel().tolist(),
        "type_one_error": thresholds.errors["type_one_error"].tolist(),
        "stop": decisions.stop.ravel().tolist(),
        "outcome": decisions.outcome.ravel().tolist(),
        "quantity": table["quantity"].tolist(),
        "value": table["value"].tolist(),
    }


@pytest.mark.parametrize("case", list(CASES))
def test_two_arms_are_as_they_were(case: str) -> None:
    frozen, found = json.loads(FROZEN.read_text(encoding="utf-8"))[case], numbers(CASES[case])
    assert found["quantity"] == frozen.pop("quantity")
    for name, values in frozen.items():
        # To twelve digits: another machine may round a logarithm otherwise.
        np.testing.assert_allclose(found[name], values, rtol=1e-12, atol=1e-14, err_msg=name)
