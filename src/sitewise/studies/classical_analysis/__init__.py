"""The classical analysis of a cohort, as papers print it: counts, Kaplan-Meier, log-rank, Cox; beside a paper's numbers."""

from sitewise.studies.classical_analysis.outcomes import ENDPOINT_COLUMNS, Endpoint, Outcomes
from sitewise.studies.classical_analysis.plan import ClassicalPlan, Contrast, Covariate
from sitewise.studies.classical_analysis.planning import classical_plan
from sitewise.studies.classical_analysis.tables import ClassicalTables, classical_tables

__all__ = [
    "ENDPOINT_COLUMNS",
    "ClassicalPlan",
    "ClassicalTables",
    "Contrast",
    "Covariate",
    "Endpoint",
    "Outcomes",
    "classical_plan",
    "classical_tables",
]
