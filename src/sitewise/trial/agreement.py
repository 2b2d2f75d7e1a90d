"""The analysis of a design beside NUTS, on a few of its trials: part of every assessment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.inference.engine import Report, silent
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import Analysis
from sitewise.trial.campaign.comparisons import comparisons
from sitewise.trial.campaign.worlds import World
from sitewise.trial.conduct.held import look_times
from sitewise.trial.conduct.simulate import simulate_trials
from sitewise.trial.conduct.snapshot import snapshot
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.truth.benchmark import Benchmark

Floats = NDArray[np.float64]
ALMOST_ONE = float(np.nextafter(1.0, 0.0))
REFUSED = "refused"
"""Attribute of an empty table: why NUTS could not be held beside."""


def agreement_of(
    design: TrialDesign,
    world: World,
    analysis: Analysis,
    /,
    *,
    thresholds: Floats,
    benchmark: Benchmark | None = None,
    report: Report = silent,
) -> pd.DataFrame:
    """Return the design's analysis beside NUTS on the first trials of a world, at every look.

    NUTS samples the hierarchical model of the design's ``[analysis]`` table, whatever the method. So for the nested-Laplace
    engine the table shows its error, for classical and conjugate methods (and for borrowing) what they leave out or add.

    Parameters
    ----------
    design : TrialDesign
        The design.
    world : World
        Whose trials.
    analysis : Analysis
        The design's.
    thresholds : ndarray, shape (L, C)
        Of each look and criterion, calibrated ones too: decisions are those of the design.
    benchmark : Benchmark, optional
        Of a single arm.
    report : callable
        Told the progress.

    Returns
    -------
    DataFrame
        Of :func:`sitewise.trial.analysis.agreement.agreement`, with the looks' names; empty, with the reason in
        ``attrs["refused"]``, where the hierarchical model has no place for a criterion.
    """
    from sitewise.trial.analysis.agreement import agreement
    from sitewise.trial.analysis.hierarchical import Hierarchical

    groups = world.truth.groups
    trials = simulate_trials(
        world.truth,
        arms=design.arms,
        accrual=design.accrual,
        follow_up=design.follow_up,
        trials=design.simulation.nuts_trials,
        seed=design.simulation.seed,
        accrual_factor=world.accrual_factor,
    )
    looks = look_times(trials, design.look, close=design.follow_up.close)
    parts = []
    try:
        model = analysis
        if not isinstance(model, Hierarchical):
            model = Hierarchical(
                replace(design.analysis, method="hierarchical"),
                randomised=design.arms.randomised,
                groups=groups,
                sites=design.accrual.sites,
                time_unit=design.time_unit,
                benchmark=benchmark,
            )
        for place, look in enumerate(design.look):
            rows = np.flatnonzero(looks.held[:, place])
            if rows.size == 0:
                continue
            report(f"NUTS on {rows.size} trials at look '{look.name}'")
            seen = snapshot(
                trials.some(rows), looks.calendar[rows, place], group_of_profile=world.truth.group_of_profile, groups=groups
            )
            asked = [
                item if np.isnan(threshold) else replace(item, probability=min(float(threshold), ALMOST_ONE))
                for item, threshold in zip(design.criterion, thresholds[place], strict=True)
            ]
            for own, pair, number in comparisons(design, seen, look=place):
                found = agreement(
                    pair,
                    [asked[criterion] for criterion in own],
                    analysis=analysis,
                    seed=design.simulation.seed,
                    look=number,
                    trials=rows.size,
                    model=model,
                )
                parts.append(found.assign(look=look.name))
    except TrialError as error:
        empty = pd.DataFrame()
        empty.attrs[REFUSED] = str(error)
        return empty
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
