"""From a cohort, and a paper where there is one, to the plan of its classical analysis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sitewise.cohort import Cohort
from sitewise.cohort.checks import require_exact_times
from sitewise.cohort.warnings_found import YEARS_PER_UNIT, few_valued_numbers
from sitewise.evidence import Evidence
from sitewise.evidence.entries import Categorical
from sitewise.problems import Problems, StudyError, listed, nearest
from sitewise.studies.classical_analysis.plan import (
    RESERVED,
    RISK_GROUP,
    SITE,
    ClassicalPlan,
    Contrast,
    Covariate,
    Ties,
)

MILESTONES_IN_YEARS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
MOST_LEVELS = 12
"""Categories with more levels are names or notes, and no table by their levels says anything."""


def classical_plan(
    cohort: Cohort,
    /,
    *,
    evidence: Evidence | None = None,
    covariates: Sequence[str] | None = None,
    factors: Mapping[str, Sequence[str]] | None = None,
    counted: Literal["favourable", "unfavourable"] = "favourable",
    times: Sequence[float] = (),
    compared_by: str | None = None,
    entry_p: float = 0.1,
    ties: Ties = "efron",
    prob: float = 0.95,
    seed: int = 1,
) -> ClassicalPlan:
    """Return the plan of a classical analysis.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    evidence : Evidence, optional
        A paper: its characteristics that the cohort has are analysed, with its groups of levels, reference levels, favourable
        levels and times, and its numbers stand beside. Without one each level is compared with the first.
    covariates : sequence of str, optional
        Characteristics; default all that the cohort has, with a paper all of the paper's.
    factors : mapping of str to sequence of str, optional
        By covariate the levels that are counted for the risk groups; default the paper's favourable ones.
    counted, times, entry_p, ties, prob, seed
        See :class:`ClassicalPlan`; times default to half a year, 1, 2, 3, 5 and 10 years within follow-up.
    compared_by : str, optional
        See :class:`ClassicalPlan`; default the sites, else the risk groups, else nothing.

    Returns
    -------
    ClassicalPlan

    Raises
    ------
    StudyError
        Naming every wrong option, and each covariate whose name the tables give to something else: ``site``, ``risk group``
        and ``all``.
    """
    require_exact_times(cohort, "the classical analysis")
    problems, notes = Problems(), []
    for name, value in (("entry_p", entry_p), ("prob", prob)):
        if not 0 < value < 1:
            problems.add(name, f"is {value:g}; it must be between 0 and 1")
    if ties not in ("efron", "breslow"):
        problems.add("ties", f"is '{ties}'", "It can be 'efron' or 'breslow'.")
    if cohort.weighted:
        problems.add("", "the classical tables count patients and take no weights", "Remove the weights from the study.")
    known = [str(name) for name in cohort.covariates.columns]
    chosen, left_out = _chosen(cohort, evidence, covariates, known, problems)
    notes += left_out
    for name in chosen:
        if name in RESERVED:
            what = f"is a covariate, and the tables call {RESERVED[name]} '{name}'"
            problems.add(f"column '{name}'", what, "Rename the column, or leave it out.")
    planned = tuple(_covariate(cohort, name, evidence, notes) for name in chosen)
    notes += few_valued_numbers(cohort.covariates[[item.name for item in planned if item.numeric]])
    given = factors if factors is not None else _favourable(evidence, known)
    counts = {name: tuple(str(level) for level in levels) for name, levels in given.items()}
    _check_factors(cohort, counts, problems)
    by = _compared_by(cohort, compared_by, bool(counts), known, problems)
    problems.raise_if_any(StudyError, "The classical analysis")
    return ClassicalPlan(
        planned,
        counts,
        counted,
        _times(cohort, times, evidence),
        by,
        entry_p,
        ties,
        prob,
        evidence,
        _cox_endpoints(evidence),
        seed,
        tuple(notes),
    )


def _chosen(
    cohort: Cohort, evidence: Evidence | None, covariates: Sequence[str] | None, known: Sequence[str], problems: Problems
) -> tuple[list[str], list[str]]:
    """Return the covariates of the analysis, and what was left out."""
    if covariates is not None:
        for name in covariates:
            if name not in known:
                problems.add(f"column '{name}'", "does not exist; it was named as covariate", nearest(name, known))
        return [name for name in dict.fromkeys(covariates) if name in known], []
    notes = []
    if evidence is not None:
        inorder = (*(item.name for item in evidence.continuous), *(item.name for item in evidence.categorical))
        chosen = [name for name in inorder if name in known]
        absent = [name for name in evidence.characteristics if name not in known]
        if not chosen:
            notes.append(f"No column is a characteristic of {evidence.id}: only survival of all patients is held against it.")
        if absent:
            notes.append(f"Characteristics of {evidence.id} that the table does not have: {listed(absent)}.")
        more = [name for name in known if name not in evidence.characteristics]
        if more:
            notes.append(f"Columns that are no characteristic of {evidence.id}, left out: {listed(more)}.")
        return chosen, notes
    chosen = []
    for name in known:
        levels = cohort.levels(name)
        if len(levels) > MOST_LEVELS:
            notes.append(f"{name} has {len(levels)} levels, more than {MOST_LEVELS}: left out.")
        else:
            chosen.append(name)
    return chosen, notes


def _covariate(cohort: Cohort, name: str, evidence: Evidence | None, notes: list[str]) -> Covariate:
    levels = cohort.levels(name)
    item = evidence.characteristics.get(name) if evidence is not None else None
    label = item.label if item is not None else name
    unit = getattr(item, "unit", "")
    if evidence is None or item is None:
        return Covariate(name, label, _against_first(levels), not levels, unit)
    terms = [term for model in evidence.model for term in model.term if term.covariate == name]
    if not terms:  # a paper without Cox models leaves the comparisons to the table
        return Covariate(name, label, () if evidence.model else _against_first(levels), not levels, unit)
    if not levels:
        if isinstance(item, Categorical):
            notes.append(f"{name} is a number in the table and a category in {evidence.id}: not compared with its rows.")
        return Covariate(name, label, (Contrast(),), True, unit)
    rows = list(dict.fromkeys(Contrast(term.level, term.reference) for term in terms))
    reference = rows[0].reference
    mine = tuple(row for row in rows if row.reference == reference and row.level)
    seen: set[str] = set(reference)
    kept = []
    for row in mine:
        if not seen & set(row.level):
            kept.append(row)
            seen |= set(row.level)
    unknown = [level for level in levels if isinstance(item, Categorical) and level not in item.levels]
    sides = (reference, *(row.level for row in kept))
    if unknown and not all(set(side) & set(levels) for side in sides):
        notes.append(f"{name} has levels that {evidence.id} does not know, {listed(unknown)}: compared with the first level.")
        return Covariate(name, label, _against_first(levels), False, unit)
    if len(kept) < len(rows):
        notes.append(f"{evidence.id} compares {name} in several ways; the first reference, '{'|'.join(reference)}', is used.")
    return Covariate(name, label, tuple(kept), False, unit)


def _against_first(levels: Sequence[str]) -> tuple[Contrast, ...]:
    """Return every level against the first; a numeric covariate's single row when there are no levels."""
    return tuple(Contrast((level,), (levels[0],)) for level in levels[1:]) if levels else (Contrast(),)


def _favourable(evidence: Evidence | None, known: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return a paper's favourable levels, when the cohort has all of the characteristics concerned."""
    if evidence is None:
        return {}
    found = {item.name: item.favourable for item in evidence.categorical if item.favourable}
    return found if set(found) <= set(known) else {}


def _check_factors(cohort: Cohort, factors: Mapping[str, Sequence[Any]], problems: Problems) -> None:
    for name, levels in factors.items():
        where = f"factor '{name}'"
        if name not in cohort.covariates.columns:
            problems.add(where, "is no covariate of the cohort", nearest(name, map(str, cohort.covariates.columns)))
        elif not cohort.levels(name):
            problems.add(where, "is a number and has no levels", "Recode it into levels in the study file.")
        elif unknown := [level for level in levels if level not in cohort.levels(name)]:
            problems.add(where, f"has no level {listed(unknown)}", f"Levels: {listed(cohort.levels(name))}.")


def _compared_by(cohort: Cohort, asked: str | None, has_groups: bool, known: Sequence[str], problems: Problems) -> str:
    if asked is None:
        return SITE if len(cohort.site_labels) > 1 else RISK_GROUP if has_groups else ""
    possible = [*([SITE] if cohort.site is not None else []), *([RISK_GROUP] if has_groups else [])]
    possible += [name for name in known if cohort.levels(name) and name not in RESERVED]
    if asked and asked not in possible:
        problems.add(f"compared by '{asked}'", "is nothing that has groups", nearest(asked, possible))
    return asked


def _times(cohort: Cohort, times: Sequence[float], evidence: Evidence | None) -> tuple[float, ...]:
    """Return the milestones: those asked for, or the usual ones within follow-up and the paper's."""
    if times:
        return tuple(sorted({float(time) for time in times}))
    last = float(cohort.time.max())
    years = YEARS_PER_UNIT.get(cohort.time_unit)
    usual = [float(f"{item / years:.4g}") for item in MILESTONES_IN_YEARS] if years else [last / 4, last / 2, 3 * last / 4]
    found = {float(f"{time:.3g}") for time in usual if time <= last}
    if evidence is not None:
        found |= {item.time for item in evidence.survival if item.time is not None}
    return tuple(sorted(found))


def _cox_endpoints(evidence: Evidence | None) -> tuple[str, ...] | None:
    if evidence is None or not evidence.model:
        return None
    return tuple(dict.fromkeys(model.endpoint for model in evidence.model))
