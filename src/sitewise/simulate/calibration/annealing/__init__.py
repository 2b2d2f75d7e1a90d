"""Simulated annealing of a cohort towards published statistics: what it costs, how it moves."""

from sitewise.simulate.calibration.annealing.moves import anneal

__all__ = ["anneal"]
