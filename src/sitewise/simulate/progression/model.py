"""What is assumed about progression: visits, the Weibull of its time, how it goes with death and characteristics, kinds.

The latent time to progression of a patient with log hazard ratio eta (of death, against the mean patient) has

    S(p) = exp(-ln 2 (p / median)^shape exp(share eta)),

a Weibull, and its normal score has correlation ``rho`` with that of the latent time to death: a Gaussian copula (Nelsen 2006,
An Introduction to Copulas, section 2.3.1), so that Kendall's tau given the characteristics is 2 / pi arcsin(rho). The
share turns the log hazard ratios of death into those of progression: the effects on survival stay what they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from sitewise.evidence import Evidence
from sitewise.problems import ScenarioError
from sitewise.records import Record, positive, tidied
from sitewise.simulate.calibration.parameters import Parameters, anchor
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.kinds import Overlap
from sitewise.simulate.progression.schedule import ScanSchedule

LOG_MEDIAN, LOG_SHAPE, ATANH_RHO, SHARE = "log_median_to_progression", "log_shape", "atanh_correlation", "share_of_effects"
READABLE = {
    LOG_MEDIAN: "median_to_progression",
    LOG_SHAPE: "progression_shape",
    ATANH_RHO: "correlation_with_death",
    SHARE: SHARE,
}
NAMES = (LOG_MEDIAN, LOG_SHAPE, ATANH_RHO, SHARE)
SOONER = 0.5
"""Where nothing is printed about the time to progression, its prior median is this share of the median survival."""


@dataclass(frozen=True)
class ProgressionModel(Record):
    """Progression beside a calibrated survival; the priors are (mean, sd) of normal distributions, sd 0 fixes a value."""

    schedule: ScanSchedule | None = field(default_factory=ScanSchedule)
    """Scan visits; None: progression is seen when it happens."""
    endpoint: str = "pfs"
    """Endpoint of the evidence whose event is the first of failure and death."""
    log_median_sd: float = 0.75
    """Prior sd of the log median time to progression, whose mean is that of the printed median."""
    log_shape: tuple[float, float] = (0.0, 0.5)
    """Prior of the log Weibull shape."""
    atanh_correlation: tuple[float, float] = (0.5, 0.5)
    """Prior of atanh of the correlation with death: 95 % of it lies between correlations of -0.45 and 0.90."""
    share_of_effects: tuple[float, float] = (0.75, 0.5)
    """Prior of the share of the log hazard ratios of death that progression has."""
    overlap: Overlap = "both"
    """How kinds of failure that sum to more than the failures are read: both at once, or a miscount."""

    def __post_init__(self) -> None:
        problems = tidied(self, ScenarioError, "The progression model")
        positive(problems, log_median_sd=self.log_median_sd)
        for name in ("log_shape", "atanh_correlation", "share_of_effects"):
            sd = getattr(self, name)[1]
            if sd < 0:
                problems.add(name, f"must have a standard deviation of 0 or more; it is {sd:g}")
        problems.raise_if_any(ScenarioError, "The progression model")

    def parameters(self, evidence: Evidence, /) -> Parameters:
        """Return the parameters with their priors for a paper."""
        printed = self.endpoint in (
            *(item.endpoint for item in evidence.survival),
            *(item.endpoint for item in evidence.curve),
        )
        middle = anchor(evidence, self.endpoint) if printed else SOONER * anchor(evidence, "os")
        priors = ((math.log(middle), self.log_median_sd), self.log_shape, self.atanh_correlation, self.share_of_effects)
        mean, sd = zip(*priors, strict=True)
        return Parameters(NAMES, np.array(mean), np.array(sd))


def readable(phi: Floats, /) -> dict[str, Floats]:
    """Return parameter rows, shape (R, 4), in readers' units: median time, shape, correlation, share."""
    values = {name: phi[..., place] for place, name in enumerate(NAMES)}
    return {
        READABLE[LOG_MEDIAN]: np.exp(values[LOG_MEDIAN]),
        READABLE[LOG_SHAPE]: np.exp(values[LOG_SHAPE]),
        READABLE[ATANH_RHO]: np.tanh(values[ATANH_RHO]),
        READABLE[SHARE]: values[SHARE],
    }
