"""Every dimension, variable and DataTree group name, once.

Nothing here computes. A name that two modules share is spelled here, so that a file written by one part
of the package is read by another without a second spelling.
"""

from __future__ import annotations

from typing import Final

# Dimensions -------------------------------------------------------------------------------------------
CHAIN: Final = "chain"
DRAW: Final = "draw"
TERM: Final = "term"
SITE: Final = "site"
SLOPE: Final = "slope"
SHAPE_TERM: Final = "shape_term"
STEP: Final = "step"
SHRUNK: Final = "shrunk_term"
EXCHANGEABLE: Final = "exchangeable_term"
SITE_TERM: Final = "site_term"
OTHER_SITE_TERM: Final = "other_site_term"
PATIENT: Final = "patient"
GROUP: Final = "group"
TIME: Final = "time"
GROUPING: Final = "grouping"
LEVEL: Final = "level"

# Posterior variables ----------------------------------------------------------------------------------
SHAPE: Final = "shape"
LOG_SHAPE_RATIO: Final = "log_shape_ratio"
SITE_LOG_SHAPE: Final = "site_log_shape"
SITE_LOG_SHAPE_STANDARDISED: Final = "site_log_shape_standardised"
SITE_SHAPE_SD: Final = "site_shape_sd"
LOG_SCALE: Final = "log_scale"
LOG_SCALE_AT_MEANS: Final = "log_scale_at_means"
LOG_MEDIAN: Final = "log_median"
LOG_MEDIAN_AT_MEANS: Final = "log_median_at_means"
LOG_HAZARD_RATIO: Final = "log_hazard_ratio"
LOG_TIME_RATIO: Final = "log_time_ratio"
SITE_EFFECT: Final = "site_effect"
SITE_EFFECT_STANDARDISED: Final = "site_effect_standardised"
SITE_SD: Final = "site_sd"
SITE_SD_LOG_HAZARD_RATIO: Final = "site_sd_log_hazard_ratio"
SITE_SD_LOG_TIME_RATIO: Final = "site_sd_log_time_ratio"
SITE_SLOPE: Final = "site_slope"
SITE_SLOPE_STANDARDISED: Final = "site_slope_standardised"
SITE_SLOPE_SD: Final = "site_slope_sd"
SITE_CORRELATION: Final = "site_correlation"
SITE_CORRELATION_CHOLESKY: Final = "site_correlation_cholesky"
SITE_DEGREES_OF_FREEDOM: Final = "site_degrees_of_freedom"
SITE_DEGREES_OF_FREEDOM_ABOVE_2: Final = "site_degrees_of_freedom_above_2"
GROUPING_SD: Final = "grouping_sd"
GROUPING_EFFECT: Final = "grouping_effect"
GROUPING_EFFECT_STANDARDISED: Final = "grouping_effect_standardised"
MEDIAN_HAZARD_RATIO: Final = "median_hazard_ratio"
MEDIAN_TIME_RATIO: Final = "median_time_ratio"
MONOTONE_TOTAL: Final = "monotone_total"
MONOTONE_INCREMENT: Final = "monotone_increment"
GLOBAL_SCALE: Final = "global_scale"
LOCAL_SCALE: Final = "local_scale"
SLAB_VARIANCE: Final = "slab_variance"
STANDARDISED_COEFFICIENT: Final = "standardised_coefficient"
EFFECTIVE_NONZERO: Final = "effective_nonzero"
R_SQUARED: Final = "r_squared"
VARIANCE_SHARE: Final = "variance_share"
EXCHANGEABLE_SD: Final = "exchangeable_sd"
SURVIVAL_TIME: Final = "survival_time"

# Weighted draws ---------------------------------------------------------------------------------------
LOG_WEIGHT: Final = "log_weight"
IMPORTANCE_ESS: Final = "importance_ess"

# Imputation --------------------------------------------------------------------------------------------
IMPUTATIONS: Final = "imputations"

# Metrics ----------------------------------------------------------------------------------------------
HAZARD_RATIO: Final = "hazard-ratio"
TIME_RATIO: Final = "time-ratio"

# Estimands --------------------------------------------------------------------------------------------
SURVIVAL: Final = "survival"
MEDIAN_SURVIVAL: Final = "median_survival"
RMST: Final = "rmst"

# DataTree groups --------------------------------------------------------------------------------------
POSTERIOR: Final = "posterior"
PRIOR: Final = "prior"
PRIOR_PREDICTIVE: Final = "prior_predictive"
SAMPLE_STATS: Final = "sample_stats"
WEIGHTED_POSTERIOR: Final = "weighted_posterior"
LOG_LIKELIHOOD: Final = "log_likelihood"
LOG_PRIOR: Final = "log_prior"
OBSERVED_DATA: Final = "observed_data"
CONSTANT_DATA: Final = "constant_data"

# Site treatments --------------------------------------------------------------------------------------
OBSERVED: Final = "observed"
AVERAGE: Final = "average"
MARGINAL: Final = "marginal"
NEW: Final = "new"

ALL_PATIENTS: Final = "all"
