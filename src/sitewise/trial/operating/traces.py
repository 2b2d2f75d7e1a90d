"""Example trials, look by look: what a monitoring committee would have seen, and what was decided."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sitewise.trial.campaign.block import NOT_HELD
from sitewise.trial.campaign.results import TrialResults
from sitewise.trial.operating.decisions import Decisions, Outcome

COLUMNS = (
    "scenario",
    "replicate",
    "look",
    "calendar",
    "patients",
    "events",
    "criterion",
    "estimate",
    "sd",
    "probability",
    "threshold",
    "decision",
)
WORDS = {
    Outcome.SUCCESS: "success",
    Outcome.FUTILITY: "futility",
    Outcome.NONE: "no decision",
    Outcome.FAILED: "analysis failed",
}


def example_trials(results: TrialResults, decisions: Decisions, /, *, most: int = 6, scenario: int = 0) -> pd.DataFrame:
    """Return the looks of some trials, one for each way of ending (look and outcome), the most frequent ways first.

    Parameters
    ----------
    results : TrialResults
        A campaign.
    decisions : Decisions
        Where and how its trials ended.
    most : int
        Number of trials.
    scenario : int
        Position of the scenario; default the first, the planned one.

    Returns
    -------
    DataFrame
        A row for each trial, look that it had, and criterion: ``scenario, replicate, look, calendar, patients, events,
        criterion, estimate, sd, probability, threshold, decision``; ``decision`` is "goes on" before a trial's last row.
    """
    design, data = results.design, results.data.isel(scenario=scenario)
    stop, outcome = decisions.stop[scenario], decisions.outcome[scenario]
    ways, first, count = np.unique(np.column_stack([stop, outcome]), axis=0, return_index=True, return_counts=True)
    order = np.argsort(-count, kind="stable")[:most]
    rows = []
    for way in order:
        replicate = int(first[way])
        last, ended = (int(value) for value in ways[way])
        for number, look in enumerate(design.look[: last + 1]):
            if int(data["status"][replicate, number]) == NOT_HELD:
                continue
            for place, criterion in enumerate(design.criterion):
                threshold = decisions.thresholds[number, place]
                if np.isnan(threshold):
                    continue
                shown = decisions.predicted[scenario] if criterion.predictive else data["probability"].to_numpy()
                rows.append(
                    {
                        "scenario": results.worlds[scenario].name,
                        "replicate": replicate,
                        "look": look.name,
                        "calendar": float(data["calendar"][replicate, number]),
                        "patients": int(data["patients"][replicate, number]),
                        "events": int(data["events"][replicate, number]),
                        "criterion": criterion.name,
                        "estimate": float(data["estimate"][replicate, number, place]),
                        "sd": float(data["sd"][replicate, number, place]),
                        "probability": float(shown[replicate, number, place]),
                        "threshold": float(threshold),
                        "decision": WORDS[Outcome(ended)] if number == last else "goes on",
                    }
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))
