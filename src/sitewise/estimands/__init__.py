"""Posterior draws of what people ask for: survival, medians, restricted means, contrasts, effects, sites."""

from sitewise.estimands.contrasts import contrast, prob_above
from sitewise.estimands.curves import GroupCurves, group_curves
from sitewise.estimands.effects import (
    effect_metric,
    hazard_ratios,
    log_hazard_ratios,
    log_time_ratios,
    median_hazard_ratio,
    median_ratio,
    median_time_ratio,
    new_site_log_hazard_ratios,
    prob_other_side_at_new_site,
    site_effects,
    site_log_hazard_ratios,
    site_ranks,
    site_sd,
    site_slope_sd,
    site_slopes,
    time_ratios,
)
from sitewise.estimands.expected import expected_events
from sitewise.estimands.functionals import (
    cumulative_hazard,
    hazard,
    marginal_hazard_ratio,
    median_survival,
    quantile,
    rmst,
    survival,
)
from sitewise.estimands.populations import BySite, Group, Population, Profiles, RiskGroups, Standardised
from sitewise.estimands.shape_effects import hazard_ratio_over_time, shape_ratios, site_shapes
from sitewise.estimands.sites import Average, Marginal, New, Observed, SiteTreatment
from sitewise.estimands.summary import summarise

__all__ = [
    "Average",
    "BySite",
    "Group",
    "GroupCurves",
    "Marginal",
    "New",
    "Observed",
    "Population",
    "Profiles",
    "RiskGroups",
    "SiteTreatment",
    "Standardised",
    "contrast",
    "cumulative_hazard",
    "effect_metric",
    "expected_events",
    "group_curves",
    "hazard",
    "hazard_ratio_over_time",
    "hazard_ratios",
    "log_hazard_ratios",
    "log_time_ratios",
    "marginal_hazard_ratio",
    "median_hazard_ratio",
    "median_ratio",
    "median_survival",
    "median_time_ratio",
    "new_site_log_hazard_ratios",
    "prob_above",
    "prob_other_side_at_new_site",
    "quantile",
    "rmst",
    "shape_ratios",
    "site_effects",
    "site_log_hazard_ratios",
    "site_ranks",
    "site_sd",
    "site_shapes",
    "site_slope_sd",
    "site_slopes",
    "summarise",
    "survival",
    "time_ratios",
]
