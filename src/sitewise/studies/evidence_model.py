"""What a paper suggests to fit: its covariates with the levels that it tells apart, its guarantee time, its risk groups.

The paper's rows decide how levels are grouped (ECOG 1 and 2 against 0), since about levels that no row tells apart a paper says
nothing, and which level is the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.cohort.synthetic import SYNTHETIC
from sitewise.cohort.warnings_found import YEARS_PER_UNIT
from sitewise.estimands import RiskGroups
from sitewise.evidence import Evidence
from sitewise.evidence.entries import Model, Survival, Term
from sitewise.evidence.entries_of_counts import Curve
from sitewise.models import ModelSpec, NoSites
from sitewise.names import ALL_PATIENTS
from sitewise.problems import Problems, SpecError, listed, nearest
from sitewise.simulate.calibration import Produced
from sitewise.simulate.calibration.natural import GUARANTEE_TIME, natural
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.covariates import labelled

TIME, EVENT, SITE, PATIENT = "time", "event", "site", "patient"
FITTED = ("fit", "soft")
MILESTONES_IN_YEARS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
SHORT_OF = 0.95
"""How near to a cohort's smallest time its guarantee time may come: a Weibull with a shape below 1 has no bounded likelihood
when the guarantee time reaches the smallest event time."""
Levels = dict[str, dict[str, tuple[str, ...]]]
"""For each categorical covariate the labels that are fitted, reference first, with the paper's levels in each."""


@dataclass(frozen=True)
class PaperModel:
    """What a paper suggests to fit.

    Parameters
    ----------
    covariates : tuple of str
        Covariates of the model.
    why : str
        Where they come from, in words.
    levels : dict
        For each categorical characteristic the labels that are fitted with the paper's levels in each.
    model : Model or None
        The paper's model whose covariates they are.
    """

    covariates: tuple[str, ...]
    why: str
    levels: Levels
    model: Model | None = None

    @classmethod
    def of(cls, problem: Problem, /, *, endpoint: str = "os") -> PaperModel:
        """Return the model that a paper's numbers suggest.

        Covariates are those of its largest adjusted model, else those of its unadjusted rows, else its favourable factors, else
        the characteristics by which it prints survival.
        """
        known = problem.structure.names
        chosen, covariates, why = _covariates(problem.evidence, known, endpoint)
        return cls(covariates, why, _levels(problem, chosen, endpoint), chosen)

    def spec(self, problem: Problem, /) -> ModelSpec:
        """Return the spec: a Weibull baseline, hazard ratios, random sites where the paper has more than one."""
        terms = tuple(name if name.isidentifier() else f"`{name}`" for name in self.covariates)
        if problem.sites < 2:
            return ModelSpec(terms=terms, sites=NoSites(), response=(TIME, EVENT))
        return ModelSpec(terms=terms, response=(TIME, EVENT), group=SITE)

    def groups(self, problem: Problem, /) -> RiskGroups:
        """Return risk groups: all patients, and the counts of favourable factors or the levels of the covariates."""
        everyone = (ALL_PATIENTS, "", lambda people: np.ones(len(people), dtype=bool))
        favourable = {
            item.name: [label for label, own in self.levels[item.name].items() if set(own) <= set(item.favourable)]
            for item in problem.structure.factors
            if item.favourable
        }
        if favourable:
            counted = RiskGroups.count_favourable(favourable)
            return RiskGroups((everyone, *counted.rules), counted.description)
        rules = [everyone]
        for name in self.covariates:
            for label in self.levels.get(name, {}):
                rules.append((f"{name} = {label}", name, _has(name, label)))
        return RiskGroups(tuple(rules))

    def terms(self, name: str, evidence: Evidence, endpoint: str) -> list[tuple[Model, Term]]:
        """Return the paper's rows of a covariate, those of :attr:`model` first, then adjusted ones."""
        models = sorted(evidence.model, key=lambda item: (item is not self.model, not item.adjusted))
        return [(item, term) for item in models if item.endpoint == endpoint for term in item.term if term.covariate == name]


def _has(name: str, label: str) -> Any:
    return lambda people: np.asarray(people[name].astype(str) == label, dtype=bool)


def _covariates(evidence: Evidence, known: tuple[str, ...], endpoint: str) -> tuple[Model | None, tuple[str, ...], str]:
    models = [item for item in evidence.model if item.endpoint == endpoint and any(term.status in FITTED for term in item.term)]
    adjusted = [item for item in models if item.adjusted]
    if adjusted:
        largest = max(adjusted, key=lambda item: len({term.covariate for term in item.term}))
        return largest, _named(largest.term, known), f"those of the paper's adjusted model '{largest.id}'"
    rows = [term for item in models for term in item.term if term.status in FITTED]
    if rows:
        return None, _named(rows, known), "those of the paper's unadjusted rows"
    favourable = tuple(item.name for item in evidence.categorical if item.favourable and item.name in known)
    if favourable:
        return None, favourable, "the paper's favourable factors"
    timed: list[Survival | Curve] = [*evidence.survival, *evidence.curve]
    printed = [item.group for item in timed if item.endpoint == endpoint and item.status in FITTED]
    named = tuple(dict.fromkeys(name for group in printed for name in group if name in known))
    if named:
        return None, named, "the characteristics by which the paper prints survival"
    return None, (), "none: the paper prints no hazard ratio and no survival by a characteristic"


def _named(terms: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(term.covariate for term in terms if term.covariate in known))


def _levels(problem: Problem, chosen: Model | None, endpoint: str) -> Levels:
    found: Levels = {}
    for factor in problem.structure.factors:
        rows = [term for term in chosen.term if term.covariate == factor.name] if chosen is not None else []
        parts = _parts_of_rows(rows, factor.levels)
        if parts is None:  # rows of several models, or none: what calibration tells apart
            numbers = range(max(factor.classes) + 1)
            parts = [[level for level, own in zip(factor.levels, factor.classes, strict=True) if own == at] for at in numbers]
        if len(parts) == 1:  # nothing is told apart: the levels as they are counted
            parts = [[level] for level in factor.levels]
        if factor.favourable:  # a group that is half favourable could not be counted
            good = set(factor.favourable)
            parts = [
                half for part in parts for half in ([x for x in part if x in good], [x for x in part if x not in good]) if half
            ]
            reference = rows[0].reference if rows else ()
            parts.sort(key=lambda part: not set(part) & set(reference or factor.levels[:1]))
        found[factor.name] = {"|".join(part): tuple(part) for part in parts}
    return found


def _parts_of_rows(rows: list[Term], levels: tuple[str, ...]) -> list[list[str]] | None:
    """Return the levels as one model's rows group them, reference first; None where rows do not share a reference."""
    references = {term.reference for term in rows}
    named = [level for term in rows for level in (*term.level,)]
    if len(references) != 1 or len(set(named)) < len(named) or set(named) & set(rows[0].reference):
        return None
    parts = [[level for level in levels if level in term.level] for term in rows]
    rest = [level for level in levels if level not in named]
    return [part for part in (rest, *parts) if part]


def guarantee_times(produced: Produced, /) -> NDArray[np.float64]:
    """Return the guarantee time of the process that each cohort is of, shape (R,); zeros where there is none."""
    return np.asarray(natural(produced.problem, produced.theta)[GUARANTEE_TIME], dtype=float)


def usable_guarantee_time(wanted: float, times: NDArray[np.float64], /) -> float:
    """Return the guarantee time that a cohort is fitted with: the one wanted, or 95 % of the smallest time where less."""
    return float(min(wanted, SHORT_OF * float(times.min())))


def cohort_of(produced: Produced, position: int, levels: Levels, /, *, site: NDArray[np.int64] | None = None) -> Cohort:
    """Return a synthetic cohort with levels grouped, and with other sites where given.

    Raises
    ------
    CohortError
        When it cannot be analysed, such as one without events.
    """
    table = produced.table(position)
    names = [name for name in produced.problem.structure.names if len(levels.get(name, (1, 2))) > 1]
    for name, groups in levels.items():
        label = {level: own for own, members in groups.items() for level in members}
        table[name] = pd.Categorical([label[str(value)] for value in table[name]], categories=list(groups))
    if site is not None:
        table[SITE] = labelled(site, list(table[SITE].cat.categories))
    return Cohort.from_frame(
        table[[PATIENT, SITE, TIME, EVENT, *names, SYNTHETIC]],
        time=TIME,
        event=EVENT,
        site=SITE,
        id=PATIENT,
        covariates=names,
        time_unit=produced.problem.evidence.source.time_unit,
        levels={name: list(groups) for name, groups in levels.items() if name in names},
        source=f"one synthetic cohort of {produced.problem.evidence.id} ({produced.product}, number {position}): not patients",
    )


def check_spec(spec: ModelSpec, problem: Problem, /) -> None:
    """Check that the cohorts of a paper will have the columns that a spec uses: before the long work.

    Raises
    ------
    SpecError
        Naming every column that they will not have.
    """
    known, problems = problem.structure.names, Problems()
    for name in spec.variables:
        if name not in known:
            printed = name in problem.evidence.characteristics
            problems.add(
                f"column '{name}'",
                "is in the formula but no fitted number of the paper is about it" if printed else "is unknown to the paper",
                f"Simulated columns: {listed(known)}." if printed or not known else nearest(name, known),
            )
    if spec.response and spec.response != (TIME, EVENT):
        problems.add("Surv", f"uses {listed(spec.response)}", "The columns of synthetic cohorts are time and event.")
    if spec.has_sites and problem.sites < 2:
        problems.add("formula", "has a site effect, and the paper has one site", "Remove it, or assume more sites.")
    if spec.group not in (None, SITE):
        problems.add("formula", f"groups by '{spec.group}'", "The site column of synthetic cohorts is site.")
    problems.raise_if_any(SpecError, "The model")


def default_times(last: float, unit: str, /) -> tuple[float, ...]:
    """Return usual milestones up to ``last``: half a year to ten years, or quarters of it in an unknown unit."""
    years = YEARS_PER_UNIT.get(unit)
    usual = [float(f"{time / years:.4g}") for time in MILESTONES_IN_YEARS] if years else []
    return tuple(time for time in usual if time <= last) or tuple(float(f"{last * share:.3g}") for share in (0.25, 0.5, 0.75))
