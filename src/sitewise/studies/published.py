"""`published_summary`: what a paper would print of a patient table, as evidence.

The counterpart of calibration: a table whose truth is known becomes the few rounded numbers that a paper has, and what
calibration infers from them can be held against the patients. Rows are estimated as papers do it: Wald intervals of Cox
models with Efron's treatment of ties, Kaplan-Meier with log-log limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from sitewise.cohort import Cohort
from sitewise.cohort.checks import require_exact_times
from sitewise.evidence import Evidence, read_evidence
from sitewise.evidence.checks_of_models import MOST_DIGITS
from sitewise.evidence.entries import Source
from sitewise.evidence.schema import SCHEMA_VERSION
from sitewise.problems import EvidenceError, Problems, listed, nearest
from sitewise.studies.published_entries import EVERYONE, Entries, Group, Printing, groups_of

Part = Literal["characteristics", "univariate", "adjusted", "median", "milestones", "groups", "tests", "follow_up", "events"]
PARTS: tuple[Part, ...] = get_args(Part)
USUAL: tuple[Part, ...] = tuple(part for part in PARTS if part != "events")
NO_DOI = "10.0000/not-published"
"""Stands where a summary must name its paper and there is none."""


def published_summary(
    cohort: Cohort,
    /,
    *,
    id: str,
    favourable: Mapping[str, Sequence[str]] | None = None,
    milestones: Sequence[float] = (),
    adjusted: Sequence[str] | None = None,
    parts: Sequence[Part] = USUAL,
    printing: Printing | None = None,
    source: Source | None = None,
) -> Evidence:
    """Return what a paper would print of a patient table.

    Parameters
    ----------
    cohort : Cohort
        Patients; covariates are characteristics, and the first level of each categorical one is its reference.
    id : str
        Short name of the summary.
    favourable : mapping of str to sequence of str, optional
        Favourable levels of categorical covariates; patients are grouped by how many of these factors they have.
    milestones : sequence of float
        Times at which survival is printed, in the cohort's unit; for groups, where someone was followed that long.
    adjusted : sequence of str, optional
        Covariates of the adjusted model; default all.
    parts : sequence of str
        What is printed: ``characteristics`` (which hazard ratios need), ``univariate``, ``adjusted``, ``median``,
        ``milestones``, ``groups`` (median and milestones of each), ``tests`` (log-rank, of the groups), ``follow_up``,
        ``events``. Default: all but the numbers of events.
    printing : Printing, optional
        Decimals and forms.
    source : Source, optional
        The paper; its numbers of patients and sites are set to the cohort's. Default: one that says that there is none.

    Returns
    -------
    Evidence
        Checked as a summary that is read from a file.

    Raises
    ------
    EvidenceError
        Naming everything that cannot be printed: unknown names, a level without events, a median that rounds to zero,
        milestones that nobody was followed to.
    """
    require_exact_times(cohort, "a published summary")
    printing = printing or Printing()
    factors = {name: tuple(levels) for name, levels in (favourable or {}).items()}
    names = [str(name) for name in cohort.covariates.columns]
    together = names if adjusted is None else list(adjusted)
    problems = Problems()
    _check(cohort, factors, together, milestones, parts, printing, problems)
    problems.raise_if_any(EvidenceError, f"The summary {id}")
    entries, wanted = Entries(cohort, printing, problems), set(parts)
    models = [entries.model(f"univariate-{name}", [name]) for name in names] if "univariate" in wanted else []
    if "adjusted" in wanted and together:
        models.append(entries.model("adjusted", together))
    everyone: Group = (EVERYONE, {}, np.ones(len(cohort), dtype=bool))
    groups = groups_of(cohort, factors) if "groups" in wanted else []
    timed = [entries.median(group) for group in (everyone, *groups)] if "median" in wanted else []
    if "milestones" in wanted:
        found = [entries.milestone(group, time) for group in (everyone, *groups) for time in milestones]
        timed += [item for item in found if item is not None]
    compared = len(groups) > 1 and {"tests", "median"} <= wanted
    shown = names if "characteristics" in wanted else []
    followed = (entries.follow_up(),) if "follow_up" in wanted else ()
    problems.raise_if_any(EvidenceError, f"The summary {id}")
    summary = Evidence(
        schema_version=SCHEMA_VERSION,
        id=id,
        source=_source(cohort, source),
        categorical=tuple(entries.categorical(name, factors) for name in shown if cohort.levels(name)),
        continuous=tuple(entries.continuous(name) for name in shown if not cohort.levels(name)),
        model=tuple(model for model in models if model is not None),
        survival=tuple(timed),
        comparison=(entries.comparison(groups),) if compared else (),
        follow_up=tuple(item for item in followed if item is not None),
        events=tuple(entries.events(group) for group in (everyone, *groups)) if "events" in wanted else (),
    )
    # Read back as from a file: what must hold of printed numbers is written down in one place.
    return read_evidence(summary.to_dict(), subject=f"The summary {id}")


def _check(
    cohort: Cohort,
    favourable: Mapping[str, Sequence[str]],
    adjusted: Sequence[str],
    milestones: Sequence[float],
    parts: Sequence[str],
    printing: Printing,
    problems: Problems,
) -> None:
    names = list(cohort.covariates.columns)
    if cohort.weighted:
        problems.add("cohort", "has weights, which no printed count has")
    for name in names:
        if cohort.covariates[name].isna().any():
            rows = cohort.table_rows(cohort.covariates[name].isna().to_numpy())
            problems.add(f"column '{name}'", "has no value", "Drop these patients, or the column.", rows)
    for name in dict.fromkeys([*favourable, *adjusted, *printing.value_digits]):
        if name not in names:
            problems.add(name, "is no covariate of the cohort", nearest(name, names))
    for name, levels in favourable.items():
        known = cohort.levels(name) if name in names else ()
        wrong = [level for level in levels if level not in known]
        if name in names and wrong:
            problems.add(f"favourable {name}", f"{listed(wrong)} is no level", nearest(wrong[0], known))
    for time in milestones:
        if not 0 < time <= float(cohort.time.max()):
            problems.add("milestones", f"{time:g} is outside the follow-up, which ends at {float(cohort.time.max()):g}")
    for part in parts:
        if part not in PARTS:
            problems.add("parts", f"'{part}' is unknown", nearest(part, PARTS))
    if ({"univariate", "adjusted", "groups"} & set(parts)) and "characteristics" not in parts:
        problems.add("parts", "hazard ratios and groups need the characteristics", "Add 'characteristics'.")
    decimals = {name: getattr(printing, name) for name in ("hazard_ratio_digits", "time_digits", "percent_digits", "p_digits")}
    for name, digits in {**decimals, **printing.value_digits}.items():
        if not 0 <= digits <= MOST_DIGITS:
            problems.add(name, f"must be between 0 and {MOST_DIGITS} decimals; it is {digits}")


def _source(cohort: Cohort, source: Source | None) -> Source:
    patients, sites = len(cohort), max(len(cohort.site_labels), 1)
    if source is not None:
        return replace(source, patients=patients, sites=sites, time_unit=cohort.time_unit)
    return Source(
        title="Summary of a patient table",
        authors="none",
        journal="not published",
        year=0,
        doi=NO_DOI,
        licence="that of the table",
        population=cohort.source,
        treatment="not stated",
        patients=patients,
        sites=sites,
        where="the table",
        quote=(f"{patients} patients, {sites} sites",),
        time_unit=cohort.time_unit,
    )


__all__ = ["PARTS", "Part", "Printing", "published_summary"]
