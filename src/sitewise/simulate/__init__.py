"""Synthetic cohorts with known truth: scenarios, simulation, and what is true of them.

The package is also the function: ``sitewise.simulate(scenario, seed)`` returns a cohort whether or not this package has been
imported by its name.
"""

import sys
from types import ModuleType

from sitewise.simulate.cohorts import SimulatedCohorts, SyntheticCohort, simulate, simulate_many
from sitewise.simulate.packaged import load_scenario
from sitewise.simulate.parts import Baseline, Categorical, Censoring, Correlation, Numeric, Sites
from sitewise.simulate.people import population
from sitewise.simulate.scenario import Scenario
from sitewise.simulate.truth import Truth

__all__ = [
    "Baseline",
    "Categorical",
    "Censoring",
    "Correlation",
    "Numeric",
    "Scenario",
    "SimulatedCohorts",
    "Sites",
    "SyntheticCohort",
    "Truth",
    "load_scenario",
    "population",
    "simulate",
    "simulate_many",
]


class _CallableModule(ModuleType):
    """Python binds a subpackage to its name in the parent; the name is the function's as well."""

    def __call__(self, scenario: Scenario, seed: int) -> SyntheticCohort:
        return simulate(scenario, seed)


sys.modules[__name__].__class__ = _CallableModule
