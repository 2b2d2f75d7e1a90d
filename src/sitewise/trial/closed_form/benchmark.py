"""What becomes of the level of a test against a benchmark that was itself estimated.

With exponential times and d0 historical and d1 new events, the log rate ratio has variance 1 / d0 + 1 / d1. A test that takes
the benchmark as known uses 1 / d1, so that its statistic has a variance of 1 + d1 / d0 under the null hypothesis (the delta
method for rates; Korn & Freidlin 2006, Statistics in Medicine 25:2922, on trials with historical controls).
"""

from __future__ import annotations

import math

from scipy.stats import norm

from sitewise.trial.closed_form.checks import level, positive


def level_of_estimated_benchmark(events: float, historical_events: float, *, alpha: float) -> float:
    """Return the true level of a one-sided test that takes an estimated benchmark as known.

    Parameters
    ----------
    events : float
        Events of the new trial.
    historical_events : float
        Events from which the benchmark was estimated.
    alpha : float
        One-sided level that is claimed.
    """
    return float(norm.sf(norm.isf(level(alpha)) / _spread(events, historical_events)))


def honest_alpha(events: float, historical_events: float, *, alpha: float) -> float:
    """Return the nominal level at which a test that takes the benchmark as known really has level ``alpha``."""
    return float(norm.sf(norm.isf(level(alpha)) * _spread(events, historical_events)))


def honest_critical_hazard_ratio(events: float, historical_events: float, *, alpha: float) -> float:
    """Return the estimated hazard ratio, new over benchmark, below which a claim at ``alpha`` is honest.

    exp(-z_alpha sqrt(1 / d0 + 1 / d1)).
    """
    variance = 1 / positive("events", events) + 1 / positive("historical_events", historical_events)
    return math.exp(-float(norm.isf(level(alpha))) * math.sqrt(variance))


def _spread(events: float, historical_events: float) -> float:
    return math.sqrt(1 + positive("events", events) / positive("historical_events", historical_events))
