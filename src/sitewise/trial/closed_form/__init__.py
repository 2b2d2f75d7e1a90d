"""Published formulas of survival trial design that need no simulation; each function names its source.

One-sided ``alpha`` everywhere, hazards and times in one unit, benefit is a hazard ratio below 1, and nothing is rounded.
"""

from sitewise.trial.closed_form.accrual import (
    AccrualMoments,
    SiteRates,
    accrual_moments,
    accrual_probability,
    poisson_accrual_probability,
)
from sitewise.trial.closed_form.assurance import (
    EventsForAssurance,
    NormalPrior,
    assurance_ceiling,
    events_for_assurance,
    log_hazard_ratio_assurance,
    normal_assurance,
)
from sitewise.trial.closed_form.benchmark import honest_alpha, honest_critical_hazard_ratio, level_of_estimated_benchmark
from sitewise.trial.closed_form.enrolment import Enrolment
from sitewise.trial.closed_form.event_times import EventTimes, PiecewiseExponential, WeibullTimes, survival
from sitewise.trial.closed_form.events import critical_hazard_ratio, schoenfeld_events, schoenfeld_power
from sitewise.trial.closed_form.expected_events import (
    expected_dropouts,
    expected_events,
    exponential_expected_events,
    time_of_events,
)
from sitewise.trial.closed_form.log_rank_moments import LogRankMoments, log_rank_moments, log_rank_patients, log_rank_power
from sitewise.trial.closed_form.sample_size import (
    SampleSize,
    hazard_ratio_of_medians,
    hazard_ratio_of_survival,
    lachin_foulkes_size,
    schoenfeld_size,
)
from sitewise.trial.closed_form.single_arm import (
    OneSampleMoments,
    OneSampleSize,
    one_sample_log_rank_patients,
    one_sample_log_rank_size,
    one_sample_moments,
    single_arm_events,
    single_arm_power,
)
from sitewise.trial.closed_form.sites import SurvivalOverSites, frailty_hazard_ratio, frailty_survival, new_site_survival
from sitewise.trial.closed_form.two_arms import (
    ArmCounts,
    TwoArms,
    dropouts_of_arms,
    events_of_arms,
    time_of_events_of_arms,
)

__all__ = [
    "AccrualMoments",
    "ArmCounts",
    "Enrolment",
    "EventTimes",
    "EventsForAssurance",
    "LogRankMoments",
    "NormalPrior",
    "OneSampleMoments",
    "OneSampleSize",
    "PiecewiseExponential",
    "SampleSize",
    "SiteRates",
    "SurvivalOverSites",
    "TwoArms",
    "WeibullTimes",
    "accrual_moments",
    "accrual_probability",
    "assurance_ceiling",
    "critical_hazard_ratio",
    "dropouts_of_arms",
    "events_for_assurance",
    "events_of_arms",
    "expected_dropouts",
    "expected_events",
    "exponential_expected_events",
    "frailty_hazard_ratio",
    "frailty_survival",
    "hazard_ratio_of_medians",
    "hazard_ratio_of_survival",
    "honest_alpha",
    "honest_critical_hazard_ratio",
    "lachin_foulkes_size",
    "level_of_estimated_benchmark",
    "log_hazard_ratio_assurance",
    "log_rank_moments",
    "log_rank_patients",
    "log_rank_power",
    "new_site_survival",
    "normal_assurance",
    "one_sample_log_rank_patients",
    "one_sample_log_rank_size",
    "one_sample_moments",
    "poisson_accrual_probability",
    "schoenfeld_events",
    "schoenfeld_power",
    "schoenfeld_size",
    "single_arm_events",
    "single_arm_power",
    "survival",
    "time_of_events",
    "time_of_events_of_arms",
]
