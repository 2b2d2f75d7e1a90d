"""What the parts of a scenario must be to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sitewise.problems import Problems, listed, nearest

if TYPE_CHECKING:
    from sitewise.simulate.scenario import Scenario

LEAST_EIGENVALUE = 1e-8
RESERVED = ("cohort", "patient", "site", "time", "event", "synthetic")
"""Columns of a simulated table that no covariate may be called."""


def scenario_problems(scenario: Scenario) -> Problems:
    """Return what is wrong between the parts of a scenario."""
    problems = Problems()
    if scenario.patients < 1:
        problems.add("patients", f"must be at least 1; it is {scenario.patients}")
    for field in ("id", "title", "time_unit"):
        if not getattr(scenario, field).strip():
            problems.add(field, "is empty")
    names = [item.name for item in scenario.covariates]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            problems.add("covariates", f"'{name}' is given {names.count(name)} times")
        if not name or name in RESERVED:
            problems.add("covariates", f"no covariate may be called '{name}'", f"Taken: {listed(RESERVED)}.")
    for name in dict.fromkeys(name for item in scenario.correlations for name in item.between):
        if name not in names:
            problems.add("correlations", f"'{name}' is no covariate", nearest(name, dict.fromkeys(names)))
    pairs = [tuple(sorted(item.between)) for item in scenario.correlations]
    for pair in dict.fromkeys(pairs):
        if pairs.count(pair) > 1:
            problems.add("correlations", f"{listed(pair)} are given {pairs.count(pair)} times")
    if not problems.found and names:
        least = float(np.linalg.eigvalsh(scenario.latent_correlation)[0])
        if least < LEAST_EIGENVALUE:
            problems.add(
                "correlations",
                f"no joint distribution has all of them (least eigenvalue {least:.3g})",
                "Make some of them weaker.",
            )
    levels = {item.name: item.levels for item in scenario.categorical}
    for name, chosen in scenario.favourable.items():
        if name not in levels and name in names:
            problems.add("favourable", f"'{name}' is numeric", "Favourable levels are of categorical covariates.")
            continue
        if name not in levels:
            problems.add("favourable", f"'{name}' is no covariate", nearest(name, levels))
            continue
        for level in chosen:
            if level not in levels[name]:
                problems.add("favourable", f"{name} has no level '{level}'", f"Levels: {listed(levels[name])}.")
    last = scenario.censoring.administrative
    if last is not None and last <= scenario.baseline.guarantee_time:
        problems.add("censoring", "administrative must be after guarantee_time", "Nobody could have an event.")
    return problems
