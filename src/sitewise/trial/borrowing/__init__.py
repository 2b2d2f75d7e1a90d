"""Borrowing a historical cohort for one arm of a trial: the posterior, what it is worth, and what it risks.

Everything is on the normal level: an arm's log hazard, estimated with a standard error, against a cohort's. ``methods``
describes the ways of borrowing, ``priors`` makes each of them a mixture of normals, ``mixture`` updates and compares mixtures
in thousands of trials at once, ``effective_sample_size`` counts the events they are worth, and ``design`` and ``drift`` say
what becomes of power and error when the cohort is not what the trial's arm is.
"""

from sitewise.trial.borrowing.design import BorrowingDesign, success_probability
from sitewise.trial.borrowing.drift import calibrated_threshold, drift_sweep, sweet_spot
from sitewise.trial.borrowing.effective_sample_size import borrowed_events, effective_sample_size
from sitewise.trial.borrowing.methods import (
    Borrowing,
    Commensurate,
    FixedPowerPrior,
    NoBorrowing,
    NormalisedPowerPrior,
    Pooled,
    RobustMap,
    SpikeAndSlab,
)
from sitewise.trial.borrowing.mixture import Mixture, difference, updated
from sitewise.trial.borrowing.priors import borrowed, prior_mixture, prior_variance

__all__ = [
    "Borrowing",
    "BorrowingDesign",
    "Commensurate",
    "FixedPowerPrior",
    "Mixture",
    "NoBorrowing",
    "NormalisedPowerPrior",
    "Pooled",
    "RobustMap",
    "SpikeAndSlab",
    "borrowed",
    "borrowed_events",
    "calibrated_threshold",
    "difference",
    "drift_sweep",
    "effective_sample_size",
    "prior_mixture",
    "prior_variance",
    "success_probability",
    "sweet_spot",
    "updated",
]
