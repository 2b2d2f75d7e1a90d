"""Looks at the accumulating data: bounds and predictive probabilities, and calibrated thresholds.

``spending``, ``bounds``, ``crossing`` and ``design`` are group-sequential theory, by the integration of ``recursion``;
``normal``, ``posterior_bounds`` and ``predictive`` are Bayesian rules on the normal level; ``imputed`` completes trials for any
analysis; ``shapes`` and ``calibration`` choose thresholds and ``type_one_errors`` checks them.
"""

from sitewise.trial.sequential.bounds import (
    efficacy_bounds,
    obrien_fleming_bounds,
    pocock_bounds,
    wang_tsiatis_bounds,
)
from sitewise.trial.sequential.calibration import Calibration, calibrate
from sitewise.trial.sequential.crossing import Crossing, crossing_probabilities, drift_for_power, fixed_drift
from sitewise.trial.sequential.design import GroupSequential, group_sequential
from sitewise.trial.sequential.imputed import Completed, PredictiveShare, impute_remaining, predictive_share
from sitewise.trial.sequential.normal import NormalPrior, PosteriorRule, ZRule, log_hazard_ratio_information
from sitewise.trial.sequential.posterior_bounds import posterior_stopping, posterior_thresholds, posterior_z_bounds
from sitewise.trial.sequential.predictive import averaged_crossing, conditional_power, predictive_probability
from sitewise.trial.sequential.shapes import (
    ConstantThreshold,
    PowerThreshold,
    SpentThreshold,
    ThresholdShape,
    WangTsiatisThreshold,
)
from sitewise.trial.sequential.spending import (
    GammaSpending,
    OBrienFlemingSpending,
    PocockSpending,
    PowerSpending,
    Spending,
    StatedSpending,
)
from sitewise.trial.sequential.type_one_errors import TypeOneErrors, validate

__all__ = [
    "Calibration",
    "Completed",
    "ConstantThreshold",
    "Crossing",
    "GammaSpending",
    "GroupSequential",
    "NormalPrior",
    "OBrienFlemingSpending",
    "PocockSpending",
    "PosteriorRule",
    "PowerSpending",
    "PowerThreshold",
    "PredictiveShare",
    "Spending",
    "SpentThreshold",
    "StatedSpending",
    "ThresholdShape",
    "TypeOneErrors",
    "WangTsiatisThreshold",
    "ZRule",
    "averaged_crossing",
    "calibrate",
    "conditional_power",
    "crossing_probabilities",
    "drift_for_power",
    "efficacy_bounds",
    "fixed_drift",
    "group_sequential",
    "impute_remaining",
    "log_hazard_ratio_information",
    "obrien_fleming_bounds",
    "pocock_bounds",
    "posterior_stopping",
    "posterior_thresholds",
    "posterior_z_bounds",
    "predictive_probability",
    "predictive_share",
    "validate",
    "wang_tsiatis_bounds",
]
