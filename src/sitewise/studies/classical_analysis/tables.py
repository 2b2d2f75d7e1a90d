"""The classical analysis of a cohort: every table of it, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from sitewise.cohort import Cohort
from sitewise.problems import listed
from sitewise.studies.classical_analysis.by_group import follow_up_table, log_rank_table, survival_table
from sitewise.studies.classical_analysis.counts import table_one, tests, toxicity_table
from sitewise.studies.classical_analysis.cox_table import cox_table
from sitewise.studies.classical_analysis.failures import failures_table
from sitewise.studies.classical_analysis.outcomes import Outcomes
from sitewise.studies.classical_analysis.plan import ClassicalPlan
from sitewise.studies.classical_analysis.planning import classical_plan
from sitewise.studies.classical_analysis.published_counts import count_lines, not_compared
from sitewise.studies.classical_analysis.published_cox import beside, cox_lines
from sitewise.studies.classical_analysis.published_curves import curve_lines
from sitewise.studies.classical_analysis.published_line import PUBLISHED


@dataclass(frozen=True, eq=False)
class ClassicalTables:
    """The tables of a classical analysis; made by :func:`classical_tables`.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    outcomes : Outcomes
        Their endpoints, first failures and toxicity.
    plan : ClassicalPlan
        What was asked.
    table_one, tests, survival, log_rank, follow_up, cox : DataFrame
        Characteristics, the tests that compare them, Kaplan-Meier by group, log-rank tests, follow-up, Cox models.
    failures, toxicity, published : DataFrame or None
        Patterns of first failure, toxicity by grade, every published number beside ours; None without data or without a paper.
    notes : tuple of str
        What was decided, left out or should worry.
    """

    cohort: Cohort
    outcomes: Outcomes
    plan: ClassicalPlan
    table_one: pd.DataFrame
    tests: pd.DataFrame
    survival: pd.DataFrame
    log_rank: pd.DataFrame
    follow_up: pd.DataFrame
    cox: pd.DataFrame
    failures: pd.DataFrame | None = None
    toxicity: pd.DataFrame | None = None
    published: pd.DataFrame | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)

    def all(self) -> Mapping[str, pd.DataFrame]:
        """Return the tables that there are, by the name of their file."""
        named = {
            "table_one": self.table_one,
            "tests": self.tests,
            "survival": self.survival,
            "log_rank": self.log_rank,
            "follow_up": self.follow_up,
            "cox": self.cox,
            "failures": self.failures,
            "toxicity": self.toxicity,
            "published": self.published,
        }
        return {name: table for name, table in named.items() if table is not None}


def classical_tables(
    cohort: Cohort, plan: ClassicalPlan | None = None, /, *, outcomes: Outcomes | None = None
) -> ClassicalTables:
    """Return the classical analysis of a cohort, as papers of retrospective cohorts have it.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    plan : ClassicalPlan, optional
        What to count, compare and model; default :func:`classical_plan` the cohort.
    outcomes : Outcomes, optional
        Further endpoints, first failures and toxicity; default the cohort's own time and event only.

    Returns
    -------
    ClassicalTables

    Notes
    -----
    Cox models by partial likelihood with Wald limits; Kaplan-Meier with log-log limits; log-rank tests with the hypergeometric
    variance; chi-square tests without continuity correction. None of these knows of sites: that is what the analysis hides.
    """
    plan = plan if plan is not None else classical_plan(cohort)
    outcomes = outcomes if outcomes is not None else Outcomes.of(cohort)
    cox = cox_table(cohort, outcomes, plan)
    failures = failures_table(cohort, outcomes, plan)
    notes = [*plan.notes, *outcomes.warnings]
    published = None
    if plan.evidence is not None:
        lines = [*count_lines(cohort, outcomes, failures, plan), *cox_lines(cox, plan), *curve_lines(cohort, outcomes, plan)]
        published = pd.DataFrame([line.row() for line in lines], columns=PUBLISHED)
        left = not_compared(plan)
        if left:
            notes.append(f"{len(left)} counts of {plan.evidence.id} have no column to be held against: {listed(left, 4)}.")
    return ClassicalTables(
        cohort,
        outcomes,
        plan,
        table_one(cohort, plan),
        tests(cohort, outcomes, plan),
        survival_table(cohort, outcomes, plan),
        log_rank_table(cohort, outcomes, plan),
        follow_up_table(cohort, outcomes, plan),
        beside(cox, plan),
        failures,
        toxicity_table(cohort, outcomes, plan) if outcomes.toxicities else None,
        published,
        tuple(dict.fromkeys(notes)),
    )
