"""Thousands of fits of one purpose: many cohorts under one spec, or one cohort under many specs.

``quantities`` says what is kept of a posterior, ``sources`` where cohorts come from, ``work`` what one process does with a
few of them, ``campaign`` how chunks are spread, kept on disk and resumed, ``replicate`` is the function that a user calls.
"""

from sitewise.studies.replication.quantities import Summaries
from sitewise.studies.replication.replicate import Replicates, replicate

__all__ = ["Replicates", "Summaries", "replicate"]
