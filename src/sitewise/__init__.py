"""Sitewise: Bayesian survival in small cohorts from several hospitals.

>>> import sitewise as sw
>>> cohort = sw.Cohort.from_csv("patients.csv", time="time", event="event", site="site", time_unit="months")
>>> spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog + child_pugh + (1 | site)", family=sw.Weibull())
>>> fit = sw.fit(spec, cohort, engine=sw.Nuts(), seed=1)
>>> groups = sw.RiskGroups.count_favourable(ecog="0", child_pugh="A")
>>> sw.summarise(sw.median_survival(fit, groups=groups, sites=sw.Marginal()))

Every name is loaded when it is first used, so that ``import sitewise`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

try:
    __version__ = version("sitewise")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

if TYPE_CHECKING:
    from sitewise import simulate as simulate
    from sitewise import trial as trial
    from sitewise.cli.study import Study as Study
    from sitewise.cli.study import read_study as read_study
    from sitewise.cohort import Cohort as Cohort
    from sitewise.cohort import KaplanMeier as KaplanMeier
    from sitewise.cohort import Recode as Recode
    from sitewise.cohort import kaplan_meier as kaplan_meier
    from sitewise.cohort import with_site_means as with_site_means
    from sitewise.estimands import *  # noqa: F403
    from sitewise.evidence import Evidence as Evidence
    from sitewise.evidence import load_evidence as load_evidence
    from sitewise.evidence import read_evidence as read_evidence
    from sitewise.evidence.audit import Audit as Audit
    from sitewise.evidence.audit import audit as audit
    from sitewise.families import Exponential as Exponential
    from sitewise.families import Gamma as Gamma
    from sitewise.families import GeneralisedGamma as GeneralisedGamma
    from sitewise.families import Gompertz as Gompertz
    from sitewise.families import LogLogistic as LogLogistic
    from sitewise.families import LogNormal as LogNormal
    from sitewise.families import MixtureCure as MixtureCure
    from sitewise.families import MSpline as MSpline
    from sitewise.families import PiecewiseExponential as PiecewiseExponential
    from sitewise.families import Weibull as Weibull
    from sitewise.inference import Auto as Auto
    from sitewise.inference import FitResult as FitResult
    from sitewise.inference import NestedLaplace as NestedLaplace
    from sitewise.inference import Nuts as Nuts
    from sitewise.inference import Verdict as Verdict
    from sitewise.inference import fit as fit
    from sitewise.inference import load as load
    from sitewise.inference.prior import sample_prior as sample_prior
    from sitewise.models import R2D2 as R2D2
    from sitewise.models import Exchangeable as Exchangeable
    from sitewise.models import FixedSites as FixedSites
    from sitewise.models import ModelSpec as ModelSpec
    from sitewise.models import Monotone as Monotone
    from sitewise.models import NoSites as NoSites
    from sitewise.models import Prior as Prior
    from sitewise.models import Priors as Priors
    from sitewise.models import RandomSites as RandomSites
    from sitewise.models import RegularisedHorseshoe as RegularisedHorseshoe
    from sitewise.report import Analysis as Analysis
    from sitewise.report import write_all as write_all
    from sitewise.report.classical_write import write_classical as write_classical
    from sitewise.report.evidence_fit_write import write_evidence_fit as write_evidence_fit
    from sitewise.simulate import Baseline as Baseline
    from sitewise.simulate import Categorical as Categorical
    from sitewise.simulate import Censoring as Censoring
    from sitewise.simulate import Correlation as Correlation
    from sitewise.simulate import Numeric as Numeric
    from sitewise.simulate import Scenario as Scenario
    from sitewise.simulate import SimulatedCohorts as SimulatedCohorts
    from sitewise.simulate import Sites as Sites
    from sitewise.simulate import SyntheticCohort as SyntheticCohort
    from sitewise.simulate import Truth as Truth
    from sitewise.simulate import load_scenario as load_scenario
    from sitewise.simulate import population as population
    from sitewise.simulate import simulate_many as simulate_many
    from sitewise.simulate.calibration import Assumptions as Assumptions
    from sitewise.simulate.calibration import Calibration as Calibration
    from sitewise.simulate.calibration import calibrate as calibrate
    from sitewise.simulate.progression import ProgressionModel as ProgressionModel
    from sitewise.simulate.progression import ScanSchedule as ScanSchedule
    from sitewise.simulate.progression import calibrate_progression as calibrate_progression
    from sitewise.studies import site_models as site_models
    from sitewise.studies.checking.check import check as check
    from sitewise.studies.checking.result import Checks as Checks
    from sitewise.studies.classical_analysis import ClassicalPlan as ClassicalPlan
    from sitewise.studies.classical_analysis import ClassicalTables as ClassicalTables
    from sitewise.studies.classical_analysis import Outcomes as Outcomes
    from sitewise.studies.classical_analysis import classical_plan as classical_plan
    from sitewise.studies.classical_analysis import classical_tables as classical_tables
    from sitewise.studies.evidence_fit import EvidenceFit as EvidenceFit
    from sitewise.studies.evidence_fits import fit_evidence as fit_evidence
    from sitewise.studies.evidence_fits import stack_fits as stack_fits
    from sitewise.studies.family_comparison import FamilyComparison as FamilyComparison
    from sitewise.studies.family_comparison import compare_families as compare_families
    from sitewise.studies.imputation import Imputations as Imputations
    from sitewise.studies.imputation import ImputedFit as ImputedFit
    from sitewise.studies.imputation import fit_imputed as fit_imputed
    from sitewise.studies.imputation import impute as impute
    from sitewise.studies.learning_curve import LearningCurve as LearningCurve
    from sitewise.studies.learning_curve import learning_curve as learning_curve
    from sitewise.studies.leave_one_out import LeaveOneOut as LeaveOneOut
    from sitewise.studies.leave_one_out import leave_one_out as leave_one_out
    from sitewise.studies.leave_one_site_out import LeaveOneSiteOut as LeaveOneSiteOut
    from sitewise.studies.leave_one_site_out import leave_one_site_out as leave_one_site_out
    from sitewise.studies.mixture_weights import mixture_weights as mixture_weights
    from sitewise.studies.prior_sensitivity import PriorSensitivity as PriorSensitivity
    from sitewise.studies.prior_sensitivity import prior_sensitivity as prior_sensitivity
    from sitewise.studies.published import published_summary as published_summary
    from sitewise.studies.published_priors import PublishedPriors as PublishedPriors
    from sitewise.studies.published_priors import published_priors as published_priors
    from sitewise.studies.replication import Replicates as Replicates
    from sitewise.studies.replication import Summaries as Summaries
    from sitewise.studies.replication import replicate as replicate
    from sitewise.studies.sbc import coverage as coverage
    from sitewise.studies.sbc import posterior_sbc as posterior_sbc
    from sitewise.studies.sbc import sbc as sbc
    from sitewise.studies.small_subgroups import SmallSubgroups as SmallSubgroups
    from sitewise.studies.small_subgroups import small_subgroups as small_subgroups
    from sitewise.studies.stacking import summarise_stack as summarise_stack

_HOME = {
    "sitewise.cohort": ("Cohort", "KaplanMeier", "Recode", "kaplan_meier", "with_site_means"),
    "sitewise.families": (
        "Exponential",
        "Gamma",
        "GeneralisedGamma",
        "Gompertz",
        "LogLogistic",
        "LogNormal",
        "MSpline",
        "MixtureCure",
        "PiecewiseExponential",
        "Weibull",
    ),
    "sitewise.problems": (
        "CohortError",
        "EvidenceError",
        "ScenarioError",
        "SitewiseError",
        "SpecError",
        "StudyError",
        "TrialError",
    ),
    "sitewise.models": (
        "R2D2",
        "Exchangeable",
        "FixedSites",
        "ModelSpec",
        "Monotone",
        "NoSites",
        "Prior",
        "Priors",
        "RandomSites",
        "RegularisedHorseshoe",
        "median_survival_prior",
        "site_sd_from_median_ratio",
    ),
    "sitewise.inference": ("Auto", "FitResult", "NestedLaplace", "Nuts", "Verdict", "fit", "load"),
    "sitewise.inference.prior": ("sample_prior",),
    "sitewise.evidence": ("Evidence", "load_evidence", "read_evidence"),
    "sitewise.evidence.audit": ("Audit", "audit"),
    "sitewise.estimands": (
        "Average",
        "BySite",
        "Marginal",
        "New",
        "Observed",
        "Profiles",
        "RiskGroups",
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
        "median_time_ratio",
        "median_survival",
        "new_site_log_hazard_ratios",
        "prob_above",
        "prob_other_side_at_new_site",
        "quantile",
        "rmst",
        "site_effects",
        "site_log_hazard_ratios",
        "site_ranks",
        "shape_ratios",
        "site_sd",
        "site_shapes",
        "site_slope_sd",
        "site_slopes",
        "summarise",
        "survival",
        "time_ratios",
    ),
    "sitewise.simulate": (
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
        "simulate_many",
    ),
    "sitewise.simulate.calibration": ("Assumptions", "Calibration", "calibrate"),
    "sitewise.report": ("Analysis", "write_all"),
    "sitewise.report.classical_write": ("write_classical",),
    "sitewise.report.evidence_fit_write": ("write_evidence_fit",),
    "sitewise.studies": ("site_models",),
    "sitewise.studies.checking.check": ("check",),
    "sitewise.studies.checking.result": ("Checks",),
    "sitewise.studies.classical_analysis": (
        "ClassicalPlan",
        "ClassicalTables",
        "Outcomes",
        "classical_plan",
        "classical_tables",
    ),
    "sitewise.studies.evidence_fit": ("EvidenceFit",),
    "sitewise.studies.evidence_fits": ("fit_evidence", "stack_fits"),
    "sitewise.studies.family_comparison": ("FamilyComparison", "compare_families"),
    "sitewise.studies.imputation": ("Imputations", "ImputedFit", "fit_imputed", "impute"),
    "sitewise.studies.learning_curve": ("LearningCurve", "learning_curve"),
    "sitewise.studies.leave_one_out": ("LeaveOneOut", "leave_one_out"),
    "sitewise.studies.leave_one_site_out": ("LeaveOneSiteOut", "leave_one_site_out"),
    "sitewise.studies.prior_sensitivity": ("PriorSensitivity", "prior_sensitivity"),
    "sitewise.studies.small_subgroups": ("SmallSubgroups", "small_subgroups"),
    "sitewise.studies.mixture_weights": ("mixture_weights",),
    "sitewise.studies.published_priors": ("PublishedPriors", "published_priors"),
    "sitewise.studies.published": ("published_summary",),
    "sitewise.studies.replication": ("Replicates", "Summaries", "replicate"),
    "sitewise.studies.sbc": ("coverage", "posterior_sbc", "sbc"),
    "sitewise.studies.stacking": ("summarise_stack",),
    "sitewise.simulate.progression": ("ProgressionModel", "ScanSchedule", "calibrate_progression"),
    "sitewise.cli.study": ("Study", "read_study"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", "simulate", "trial", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name in ("simulate", "trial"):  # packages; the first is also the function, see there
        return import_module(f"sitewise.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sitewise' has no attribute '{name}'")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
