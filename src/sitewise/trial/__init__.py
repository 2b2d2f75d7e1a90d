"""Designing a prospective trial: what is true, what is done, what is decided, and how often that goes well.

>>> from sitewise import trial
>>> design = trial.read_design("TRIAL.toml")
>>> found = trial.assess(design, workers=2)
>>> found.characteristics

Every name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sitewise.trial.assessment import Assessment as Assessment
    from sitewise.trial.assessment import assess as assess
    from sitewise.trial.assessment import evaluator as evaluator
    from sitewise.trial.campaign import TrialResults as TrialResults
    from sitewise.trial.campaign import World as World
    from sitewise.trial.campaign import run_campaign as run_campaign
    from sitewise.trial.campaign import worlds_of as worlds_of
    from sitewise.trial.conduct import Snapshot as Snapshot
    from sitewise.trial.conduct import Trials as Trials
    from sitewise.trial.conduct import look_times as look_times
    from sitewise.trial.conduct import simulate_trials as simulate_trials
    from sitewise.trial.conduct.snapshot import snapshot as snapshot
    from sitewise.trial.forecast import Forecast as Forecast
    from sitewise.trial.forecast import InterimData as InterimData
    from sitewise.trial.forecast import SiteRateEstimate as SiteRateEstimate
    from sitewise.trial.forecast import forecast_from as forecast_from
    from sitewise.trial.forecast import rates_from_sites as rates_from_sites
    from sitewise.trial.library import trial_path as trial_path
    from sitewise.trial.operating import Decisions as Decisions
    from sitewise.trial.operating import decide as decide
    from sitewise.trial.operating import operating_characteristics as operating_characteristics
    from sitewise.trial.operating.size import Solution as Solution
    from sitewise.trial.operating.size import smallest_size as smallest_size
    from sitewise.trial.plan import Accrual as Accrual
    from sitewise.trial.plan import Arms as Arms
    from sitewise.trial.plan import Criterion as Criterion
    from sitewise.trial.plan import Dropout as Dropout
    from sitewise.trial.plan import FollowUp as FollowUp
    from sitewise.trial.plan import Look as Look
    from sitewise.trial.plan import Trigger as Trigger
    from sitewise.trial.plan.analysis import AnalysisPlan as AnalysisPlan
    from sitewise.trial.plan.design import TrialDesign as TrialDesign
    from sitewise.trial.plan.design import read_design as read_design
    from sitewise.trial.plan.truth import Bias as Bias
    from sitewise.trial.plan.truth import Effect as Effect
    from sitewise.trial.plan.truth import PointTruth as PointTruth
    from sitewise.trial.plan.truth import Published as Published
    from sitewise.trial.sources import cohorts_of as cohorts_of
    from sitewise.trial.truth import Benchmark as Benchmark
    from sitewise.trial.truth import Truth as Truth

_HOME = {
    "sitewise.trial.assessment": ("Assessment", "assess", "evaluator"),
    "sitewise.trial.campaign": ("TrialResults", "World", "run_campaign", "worlds_of"),
    "sitewise.trial.conduct": ("Snapshot", "Trials", "look_times", "simulate_trials", "snapshot"),
    "sitewise.trial.forecast": ("Forecast", "InterimData", "SiteRateEstimate", "forecast_from", "rates_from_sites"),
    "sitewise.trial.library": ("trial_path",),
    "sitewise.trial.operating": ("Decisions", "decide", "operating_characteristics"),
    "sitewise.trial.operating.size": ("Solution", "smallest_size"),
    "sitewise.trial.plan": ("Accrual", "Arms", "Criterion", "Dropout", "FollowUp", "Look", "Trigger"),
    "sitewise.trial.plan.analysis": ("AnalysisPlan",),
    "sitewise.trial.plan.design": ("TrialDesign", "read_design"),
    "sitewise.trial.plan.truth": ("Bias", "Effect", "PointTruth", "Published"),
    "sitewise.trial.sources": ("cohorts_of",),
    "sitewise.trial.truth": ("Benchmark", "Truth"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_PACKAGES = ("borrowing", "closed_form", "forecast", "sequential")
"""Whole areas, as attributes."""

__all__ = [*_MODULE_OF, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"sitewise.trial.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sitewise.trial' has no attribute '{name}'")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
