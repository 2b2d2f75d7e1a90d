"""What a design with several experimental arms must be: criteria of every arm, and nothing that only two arms have."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from sitewise.problems import Problems, listed, nearest
from sitewise.trial.plan.arms import EXPERIMENTAL

if TYPE_CHECKING:
    from sitewise.trial.plan.design import TrialDesign


def check_arms(design: TrialDesign, problems: Problems) -> None:
    """Note what a design says of arms that it has not, and what does not go with several experimental arms."""
    experimental = design.arms.names[1:]
    for item in design.criterion:
        if item.arm not in experimental:
            problems.add(f"criterion '{item.name}'", f"names arm '{item.arm}'", nearest(item.arm, experimental))
    for scenario in design.scenario:
        where = f"scenario '{scenario.name}'"
        for name in scenario.hazard_ratios:
            if name not in experimental:
                problems.add(where, f"names arm '{name}' in hazard_ratios", nearest(name, experimental))
        if scenario.at_bound and scenario.hazard_ratios:
            problems.add(where, "has hazard_ratios beside at_bound, with which all arms are alike", "Give one of them.")
        if any(item.name == scenario.at_bound and item.arm != EXPERIMENTAL for item in design.criterion):
            problems.add(
                where,
                f"names criterion '{scenario.at_bound}', which is not about the first experimental arm",
                "Name one of the first, to which the others are then alike; or give hazard_ratios.",
            )
    if design.arms.further:
        _check_several(design, experimental, problems)


def _check_several(design: TrialDesign, experimental: tuple[str, ...], problems: Problems) -> None:
    lacking = [name for name in experimental if not any(i.role == "success" and i.arm == name for i in design.criterion)]
    if lacking:
        problems.add("criterion", f"says of no success of arm {listed(lacking)}", "Give every experimental arm its criteria.")
    if design.truth.effect.cured:
        problems.add(
            "truth effect cured", "is of the first experimental arm only, and there are further ones", "Leave one of them out."
        )
    for item in design.criterion:
        if item.imputations:
            problems.add(
                f"criterion '{item.name}'",
                "completes trials by imputation, which is for one experimental arm, and there are further ones",
                "Leave imputations out: the formula for normal estimates is then used.",
            )
    if design.borrowing is not None and design.borrowing.arm == EXPERIMENTAL:
        problems.add(
            "borrowing arm",
            "is 'experimental', and there are several such arms, whose treatments the cohort's patients cannot all have had",
            "Borrow for the control arm.",
        )
    plan = design.calibration
    if plan is not None and plan.method == "spending" and design.arms.success == "any":
        problems.add(
            "calibration method",
            "is 'spending', whose bounds hold alpha for one comparison, and with several arms any may succeed",
            "Use method = 'simulated'.",
        )


def check_calibration(design: TrialDesign, problems: Problems) -> None:
    """Note calibrated criteria that are none of success, or that cannot share a threshold."""
    if design.calibration is None:
        return
    own = [item for item in design.criterion if item.role == "success"]
    names = [item.name for item in own]
    plan, trials = design.calibration, design.simulation.trials
    if plan.method == "simulated" and int(plan.alpha * trials + 1e-9) < 1:
        problems.add(
            "simulation trials",
            f"is {trials}; they cannot show a type I error of {plan.alpha:g}",
            f"Simulate {math.ceil(1 / plan.alpha)} or more.",
        )
    for unknown in (name for name in design.calibration.names if name not in names):
        problems.add("calibration criterion", f"is '{unknown}'", f"Success criteria: {listed(names)}.")
    every = [look.name for look in design.look]
    if len({frozenset(item.looks or every) for item in own if item.name in design.calibration.names}) > 1:
        problems.add(
            "calibration criterion", "names criteria that count at different looks", "They share one threshold a look."
        )
    _check_calibrated_looks(design, design.calibration.names, problems)


def _check_calibrated_looks(design: TrialDesign, names: Collection[str], problems: Problems) -> None:
    """Note a threshold that is to hold a type I error and has no say at some look at which its arm can succeed."""
    own = [item for item in design.criterion if item.role == "success"]
    asked = {item.name: item.looks or tuple(look.name for look in design.look) for item in own}
    for item in own:
        found = [other.name for other in own if other.name in names and other.arm == item.arm]
        free = [look for look in asked[item.name] if found and not any(look in asked[name] for name in found)]
        if free:
            problems.add(
                "calibration criterion",
                f"{listed(found)} does not count at {listed(free)}, where '{item.name}' alone makes a success",
                f"Let {listed(found)} count there too, or '{item.name}' not.",
            )
