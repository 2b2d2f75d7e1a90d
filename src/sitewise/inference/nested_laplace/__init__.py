"""Nested Laplace approximation, corrected by importance weights.

``cells`` and ``priors`` turn a spec and a cohort into plain arrays, ``conditional`` is the Laplace approximation at one value
of the hyperparameters, ``searching`` finds their mode and ``grid`` puts them on an adaptive grid, ``drawing`` draws and
weights, ``weighting`` judges, ``engine`` is the engine that a user names.
"""

from sitewise.inference.nested_laplace.engine import Auto, NestedLaplace

__all__ = ["Auto", "NestedLaplace"]
