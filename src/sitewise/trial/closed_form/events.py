"""Events and power of the log-rank test by Schoenfeld's formula.

The estimated log hazard ratio of a trial with D events is taken as normal with variance (1 + r)^2 / (r D), r patients of the
experimental arm for each control patient (Schoenfeld 1981, Biometrika 68:316; 1983, Biometrics 39:499). The formula is local:
far from a hazard ratio of 1 with unequal arms it is several events off (``log_rank_moments`` follows the two arms instead).
Nothing is rounded: a design with 330.378 events is for the reader to round, and to see that it was rounded.
"""

from __future__ import annotations

import math

from scipy.stats import norm

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import level, positive, probability


def variance_times_events(allocation: float = 1.0) -> float:
    """Return (1 + r)^2 / r, the variance of a log hazard ratio times the number of events; 4 for equal arms."""
    ratio = positive("allocation", allocation)
    return (1 + ratio) ** 2 / ratio


def schoenfeld_events(
    hazard_ratio: float, *, power: float, alpha: float, allocation: float = 1.0, null_hazard_ratio: float = 1.0
) -> float:
    """Return the events that a one-sided log-rank test needs, not rounded.

    Parameters
    ----------
    hazard_ratio : float
        True hazard ratio, experimental over control; below ``null_hazard_ratio``.
    power : float
        Probability of a significant result, above ``alpha``.
    alpha : float
        One-sided level.
    allocation : float
        Patients of the experimental arm for each control patient.
    null_hazard_ratio : float
        1 for superiority; the margin, above 1, for non-inferiority.

    Raises
    ------
    TrialError
        When the hazard ratio is no better than the one tested, so that no number of events has the power.
    """
    effect = math.log(positive("null_hazard_ratio", null_hazard_ratio) / positive("hazard_ratio", hazard_ratio))
    if effect <= 0:
        raise TrialError(
            f"The hazard ratio {hazard_ratio} is not below the tested {null_hazard_ratio}, so that no number of events shows a "
            "benefit. Give experimental over control."
        )
    quantiles = norm.isf(level(alpha)) + norm.ppf(probability("power", power))
    if quantiles <= 0:
        raise TrialError(f"A power of {power} is no more than alpha = {alpha}, which a test has without any effect.")
    return float(quantiles**2 * variance_times_events(allocation) / effect**2)


def schoenfeld_power(
    hazard_ratio: float, *, events: float, alpha: float, allocation: float = 1.0, null_hazard_ratio: float = 1.0
) -> float:
    """Return the power of a one-sided log-rank test with this number of events.

    Parameters are those of :func:`schoenfeld_events`; a harmful true hazard ratio is allowed and has a power below alpha.
    """
    effect = math.log(positive("null_hazard_ratio", null_hazard_ratio) / positive("hazard_ratio", hazard_ratio))
    standard_error = math.sqrt(variance_times_events(allocation) / positive("events", events))
    return float(norm.cdf(effect / standard_error - norm.isf(level(alpha))))


def critical_hazard_ratio(events: float, *, alpha: float, allocation: float = 1.0, null_hazard_ratio: float = 1.0) -> float:
    """Return the estimated hazard ratio at which a one-sided log-rank test just becomes significant.

    exp(log h0 - z sqrt((1 + r)^2 / (r D))); the estimate must be below it.
    """
    standard_error = math.sqrt(variance_times_events(allocation) / positive("events", events))
    return positive("null_hazard_ratio", null_hazard_ratio) * math.exp(-float(norm.isf(level(alpha))) * standard_error)
