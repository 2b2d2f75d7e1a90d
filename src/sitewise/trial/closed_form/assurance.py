"""Assurance: the probability of a significant result when the effect is uncertain.

With a log hazard ratio of prior N(m, s^2) and an estimate of variance v, the estimate is N(m, v + s^2) before the trial, and it
is significant below -z sqrt(v) (O'Hagan, Stevens & Campbell 2005, Pharmaceutical Statistics 4:187; Spiegelhalter, Freedman &
Blackburn 1986, Controlled Clinical Trials 7:8; Rufibach, Jordan & Abt 2016, Journal of Biopharmaceutical Statistics 26:191).
More events remove v but not s^2: assurance has a ceiling, the prior probability of any benefit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.stats import norm

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import finite, level, not_negative, positive, probability
from sitewise.trial.closed_form.events import variance_times_events


@dataclass(frozen=True)
class NormalPrior:
    """Normal prior of an effect.

    Parameters
    ----------
    mean : float
        Of the log hazard ratio, experimental over control; negative is a benefit.
    sd : float
        0 or more; 0 is a point.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        finite("mean", self.mean)
        not_negative("sd", self.sd)

    def updated(self, estimate: float, *, standard_error: float) -> NormalPrior:
        """Return the posterior after an independent normal estimate, weighted by precision."""
        finite("estimate", estimate)
        error = positive("standard_error", standard_error)
        weight = self.sd**2 / (self.sd**2 + error**2)
        return NormalPrior(self.mean + weight * (estimate - self.mean), error * math.sqrt(weight))


@dataclass(frozen=True)
class EventsForAssurance:
    """Events that give a target assurance, or the reason why none do.

    Parameters
    ----------
    target : float
        Assurance asked for.
    ceiling : float
        Assurance that no number of events reaches.
    events : float
        Events, not rounded; NaN when the target is not below the ceiling.
    """

    target: float
    ceiling: float
    events: float

    @property
    def attainable(self) -> bool:
        """Whether some number of events gives the target."""
        return not math.isnan(self.events)

    def __str__(self) -> str:
        if self.attainable:
            return f"{self.events:.1f} events give an assurance of {self.target:g} (ceiling {self.ceiling:.4f})."
        return (
            f"An assurance of {self.target:g} is unattainable at any size: the ceiling is {self.ceiling:.4f}, the prior "
            "probability of a benefit (or the level of the test where that is higher). A more certain prior raises it, "
            "more patients do not."
        )


def log_hazard_ratio_assurance(prior: NormalPrior, *, events: float, alpha: float, allocation: float = 1.0) -> float:
    """Return the assurance of a one-sided log-rank or Cox test of a log hazard ratio.

    Parameters
    ----------
    prior : NormalPrior
        Of the log hazard ratio; with an sd of 0 the result is the power.
    events : float
        Events of both arms at the analysis.
    alpha : float
        One-sided level.
    allocation : float
        Patients of the experimental arm for each control patient.
    """
    standard_error = math.sqrt(variance_times_events(allocation) / positive("events", events))
    return float(norm.cdf(_threshold(prior, standard_error, float(norm.isf(level(alpha))))))


def assurance_ceiling(prior: NormalPrior, *, alpha: float) -> float:
    """Return the supremum of the assurance over all numbers of events.

    Phi(-m / s), the prior probability of a benefit, or ``alpha`` (the limit of no events at all) where that is more.
    """
    if prior.sd == 0:
        return 1.0 if prior.mean < 0 else level(alpha)
    return max(float(norm.cdf(-prior.mean / prior.sd)), level(alpha))


def events_for_assurance(prior: NormalPrior, *, target: float, alpha: float, allocation: float = 1.0) -> EventsForAssurance:
    """Return the events that give a target assurance, and whether any do.

    Parameters
    ----------
    prior : NormalPrior
        Of the log hazard ratio.
    target : float
        Assurance, above ``alpha``.
    alpha, allocation : float
        As for :func:`log_hazard_ratio_assurance`.

    Raises
    ------
    TrialError
        When the target is no more than ``alpha``.
    """
    wanted, quantile = probability("target", target), float(norm.isf(level(alpha)))
    if wanted <= alpha:
        raise TrialError(f"An assurance of {target} is no more than alpha = {alpha}, which a test has without any effect.")
    ceiling = assurance_ceiling(prior, alpha=alpha)
    if wanted >= ceiling:
        return EventsForAssurance(wanted, ceiling, math.nan)
    limit = float(norm.ppf(wanted))

    def above(standard_error: float) -> float:
        return _threshold(prior, standard_error, quantile) - limit

    # Above the level the assurance falls in the standard error, from the ceiling on: there is one crossing.
    high = 1.0
    while above(high) > 0:
        high *= 2
    low = high / 2
    while above(low) < 0:
        low /= 2
    error = brentq(above, low, high, xtol=1e-300, rtol=1e-13) if above(low) > 0 else low
    return EventsForAssurance(wanted, ceiling, float(variance_times_events(allocation) / error**2))


def normal_assurance(
    sample_size: float, difference: float, *, variance: float, alpha: float, analysis_size: float, design_size: float
) -> float:
    """Return the assurance that a posterior shows a mean above its bar, all normal with known variance.

    The analysis prior is worth ``analysis_size`` and the design prior ``design_size`` observations, both centred at
    ``difference`` above the bar; success is a posterior probability above 1 - alpha. With n observations it is
    Phi(sqrt(n n_d / (n + n_d)) ((n + n_a) difference / (n sigma) - z sqrt(n + n_a) / n)) (O'Hagan & Stevens 2001,
    Medical Decision Making 21:219).

    Parameters
    ----------
    sample_size : float
        Observations n.
    difference : float
        Prior mean less the bar.
    variance : float
        Of one observation.
    alpha : float
        One less the posterior probability that is asked for.
    analysis_size, design_size : float
        Observations that the two priors are worth: near 0 a flat analysis prior, very large a certain design prior.
    """
    size, design = positive("sample_size", sample_size), positive("design_size", design_size)
    total = size + not_negative("analysis_size", analysis_size)
    sd = math.sqrt(positive("variance", variance))
    gap = total * finite("difference", difference) / (size * sd) - float(norm.isf(level(alpha))) * math.sqrt(total) / size
    return float(norm.cdf(math.sqrt(size / (1 + size / design)) * gap))


def _threshold(prior: NormalPrior, standard_error: float, quantile: float) -> float:
    """Return where the critical value lies in the predictive distribution of the estimate, in standard deviations."""
    return (-quantile * standard_error - prior.mean) / math.hypot(standard_error, prior.sd)
