"""Sections about the simulation itself: its plan, its precision, and what makes it again."""

from __future__ import annotations

import math

from sitewise.inference.result import installed_versions
from sitewise.problems import plural
from sitewise.report.page_parts import Section, Table, enumerated, number
from sitewise.report.trial_values import nominal
from sitewise.report.trial_words import METHODS
from sitewise.trial.assessment import FORECAST_TRIALS, VALIDATION, Assessment

SHARES = (0.01, 0.025, 0.05, 0.5, 0.8, 0.9)


def precision_section(found: Assessment, /) -> Section:
    """Return the Monte Carlo standard errors that the number of trials gives."""
    trials = int(found.results.data.sizes["replicate"])
    level = nominal(found)
    shares = sorted({*SHARES, round(level, 6)})
    rows = [[f"{share:g}", number(math.sqrt(share * (1 - share) / trials), 4)] for share in shares]
    needed = math.ceil(level * (1 - level) / 0.001**2)
    sentences = [
        f"{trials} trials of each scenario: a probability p is known to sqrt(p (1 - p) / {trials}).",
        f"A standard error of 0.001 of a type I error of {level:.3g} takes {needed} trials"
        + (", which there are." if trials >= needed else f"; there are {trials}."),
    ]
    return Section("precision", "Precision", sentences, [Table(["Probability", "Monte Carlo standard error"], rows)])


def plan_section(found: Assessment, /) -> Section:
    """Return the plan of the simulation: aims, data, estimands, methods, performance."""
    design, truth = found.design, found.cohorts.truth
    worlds = found.results.worlds
    nulls = sum(world.null for world in worlds)
    criteria = [item.sentence for item in design.criterion if not item.predictive]
    rows = [
        [
            "Aims",
            "How often the trial succeeds when the treatment works as believed and when it does not, what it takes, and how "
            "wrong its estimates are where it stops.",
        ],
        [
            "Data-generating mechanisms",
            f"{plural(len(worlds), 'scenario', 'scenarios')}, {nulls} of them null. Each trial takes one row of {truth.rows} "
            "of the truth, draws its new sites' effects from that row's spread and its patients from that row's case mix; "
            "enrolment, event, dropout and allocation follow the design. Latent times are fixed once, whatever the looks.",
        ],
        ["Estimands", f"{enumerated(list(dict.fromkeys(criteria))).capitalize()}; each against the truth of its own trial."],
        ["Methods", f"{METHODS[design.analysis.method]} (analysis '{found.results.analysis}').".capitalize()],
        [
            "Performance measures",
            "Success (power, assurance, type I error), futility, stopping by look, expected patients, events, duration and "
            "cost, bias and coverage where trials end; with Monte Carlo standard errors and numbers of trials.",
        ],
        [
            "Size",
            f"{design.simulation.trials} trials of each scenario, {FORECAST_TRIALS} of the forecast, "
            f"{design.simulation.nuts_trials} analysed by NUTS too.",
        ],
    ]
    return Section("simulation-plan", "Plan of the simulation", [], [Table(["Part", "what was planned"], rows)])


def reproduction_section(found: Assessment, source: str, /) -> Section:
    """Return seeds, versions, hashes and the time spent."""
    design, truth = found.design, found.cohorts.truth
    rows = [
        *([["file", source]] if source else []),
        ["design", f"{design.id}: {design.title}"],
        ["seed", str(design.simulation.seed)],
    ]
    if (found.thresholds.errors["set"] == "validation").any():
        rows.append(["seed of the validation", str(design.simulation.seed + VALIDATION)])
    rows += [["hash of the design", design.hash], ["hash of the truth's cohort", truth.source_hash or "none"]]
    for name, cohort in {"benchmark": found.cohorts.benchmark, "history": found.cohorts.history}.items():
        if cohort is not None:
            rows.append([f"hash of the {name}'s cohort", cohort.cohort.source_hash or "none"])
    rows += [[name, version] for name, version in installed_versions().items()]
    spent = [[name, f"{seconds:.1f}"] for name, seconds in (found.seconds | {"together": sum(found.seconds.values())}).items()]
    told = "design.json holds the whole design; trials.nc every trial at every look, before any threshold."
    return Section(
        "reproduction",
        "Seeds, versions, hashes, time",
        [told],
        [
            Table(["What", "value"], rows),
            Table(["Step", "seconds"], spent),
        ],
    )
