"""Mean and variance of the log-rank statistic for two arms with any hazards, and the power and size that follow.

With R0(s) and R1(s) the expected patients at risk at time s since entry, seen from one calendar time,

    U = integral of R0 R1 / (R0 + R1) (h1 - h0),     V = integral of R0 R1 / (R0 + R1)^2 (R0 h0 + R1 h1),

and Z = U / sqrt(V) is the expected statistic (Lakatos 1988, Biometrics 44:229; Yung & Liu 2020, Biometrics 76:939, the
"asymptotic" mean with the variance of the test itself). Negative is a benefit of the experimental arm. Neither proportional
hazards nor a small effect nor equal arms are assumed, which Schoenfeld's formula needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import level, positive, probability
from sitewise.trial.closed_form.event_times import survival
from sitewise.trial.closed_form.expected_events import ages_of_change
from sitewise.trial.closed_form.quadrature import integral
from sitewise.trial.closed_form.two_arms import ArmCounts, TwoArms, events_of_arms


@dataclass(frozen=True)
class LogRankMoments:
    """The log-rank test that is expected at one calendar time.

    Parameters
    ----------
    events : ArmCounts
        Expected events of the arms.
    score : float
        Expected events of the experimental arm beyond those under equal hazards; negative is a benefit.
    variance : float
        Expected variance of the score as the test calculates it; about D r / (1 + r)^2 near a hazard ratio of 1.
    """

    events: ArmCounts
    score: float
    variance: float

    @property
    def z(self) -> float:
        """Expected standardised statistic; negative is a benefit."""
        return self.score / math.sqrt(self.variance)

    def power(self, *, alpha: float) -> float:
        """Return the power of the one-sided test for a benefit, Phi(-Z - z_alpha)."""
        return float(norm.cdf(-self.z - norm.isf(level(alpha))))


def log_rank_moments(design: TwoArms, *, at: float) -> LogRankMoments:
    """Return the expected log-rank score, variance and events at calendar time ``at``."""
    time = positive("at", at)
    end = min(time, design.longest_follow_up)
    breaks = (
        *ages_of_change(design.control, design.enrolment, time),
        *ages_of_change(design.experimental, design.enrolment, time),
    )

    def at_risk(age: float) -> tuple[float, float]:
        """Shares of the enrolled at risk, without the number who can have been watched so long."""
        control = design.control_share * survival(design.control, age)
        experimental = design.experimental_share * survival(design.experimental, age)
        return (
            control * math.exp(-design.control_dropout_hazard * age),
            experimental * math.exp(-design.experimental_dropout_hazard * age),
        )

    def score(age: float) -> float:
        control, experimental = at_risk(age)
        seen = design.enrolment.enrolled(time - age)
        if control + experimental == 0:
            return 0.0  # so late that nobody is left
        harmonic = control * (experimental / (control + experimental))
        return seen * harmonic * (design.experimental.hazard(age) - design.control.hazard(age))

    def variance(age: float) -> float:
        control, experimental = at_risk(age)
        seen = design.enrolment.enrolled(time - age)
        if control + experimental == 0:
            return 0.0
        share = experimental / (control + experimental)
        events = control * design.control.hazard(age) + experimental * design.experimental.hazard(age)
        return seen * share * (1 - share) * events

    return LogRankMoments(
        events_of_arms(design, at=time), integral(score, end, breaks=breaks), integral(variance, end, breaks=breaks)
    )


def log_rank_power(design: TwoArms, *, at: float, alpha: float) -> float:
    """Return the power of the one-sided log-rank test for a benefit at calendar time ``at``."""
    return log_rank_moments(design, at=at).power(alpha=alpha)


def log_rank_patients(design: TwoArms, *, at: float, alpha: float, power: float) -> float:
    """Return the patients, both arms together and not rounded, that give the power at calendar time ``at``.

    The pattern of enrolment over time is kept and its rate scaled; the number enrolled in ``design`` does not matter.

    Raises
    ------
    TrialError
        When the expected statistic shows no benefit, so that no number of patients has the power.
    """
    found = log_rank_moments(design, at=at)
    if found.z >= 0:
        raise TrialError(
            f"The expected log-rank statistic at {at:g} is {found.z:.4g}: no benefit, so that no number of patients shows one."
        )
    quantiles = float(norm.isf(level(alpha)) + norm.ppf(probability("power", power)))
    if quantiles <= 0:
        raise TrialError(f"A power of {power} is no more than alpha = {alpha}, which a test has without any effect.")
    return design.enrolment.patients * (quantiles / found.z) ** 2
