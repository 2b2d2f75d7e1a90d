"""The averaged survival curve of people under a scenario, and the rule that averages over sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from sitewise.simulate.parts import Floats
from sitewise.simulate.scenario import Scenario


def normal_rule(sd: float) -> tuple[Floats, Floats]:
    """Return nodes and weights that average a smooth function of a Normal(0, sd) variable.

    The trapezoidal rule with step h in standard units errs by exp(-2 pi^2 / h^2) for the density, and by exp(-pi^2 / (sd h))
    for exp(-H exp(b)), which is bounded in the strip |Im b| < pi / 2: both below 1e-12 here.
    """
    step = min(0.5, 0.35 / max(sd, 1e-12))
    count = int(np.ceil(8.5 / step))
    nodes = step * np.arange(-count, count + 1)
    weights = np.exp(-0.5 * nodes**2)
    return np.asarray(sd * nodes), np.asarray(weights / weights.sum())


@dataclass(frozen=True, eq=False)
class TrueCurve:
    """The averaged survival curve of people with given log hazard ratios and weights."""

    scenario: Scenario
    multiplier: Floats
    weights: Floats

    def moved(self, by: float) -> TrueCurve:
        """Return the curve with all log hazards moved."""
        return TrueCurve(self.scenario, self.multiplier + by, self.weights)

    def survival(self, time: float) -> float:
        """Return the share alive at a time."""
        baseline = self.scenario.baseline
        since = time - baseline.guarantee_time
        if since <= 0:
            return 1.0
        log_hazard = baseline.distribution.log_cumulative_hazard(np.log(since), baseline.log_scale, baseline.shape)
        return float(self.weights @ np.exp(-np.exp(log_hazard + self.multiplier)))

    def median(self) -> float:
        """Return the time at which the averaged curve is one half; members' own medians bracket it."""
        baseline = self.scenario.baseline
        ends = np.log(np.log(2)) - np.array([self.multiplier.max(), self.multiplier.min()])
        low, high = baseline.distribution.log_time(ends, baseline.log_scale, baseline.shape)
        start = baseline.guarantee_time
        if high - low < 1e-12:
            return float(start + np.exp(low))
        root = brentq(lambda log_time: self.survival(start + np.exp(log_time)) - 0.5, low - 1e-6, high + 1e-6, xtol=1e-13)
        return float(start + np.exp(root))

    def rmst(self, horizon: float) -> float:
        """Return the area under the curve up to a horizon."""
        baseline = self.scenario.baseline
        since = horizon - baseline.guarantee_time
        if since <= 0:
            return float(horizon)
        areas = baseline.distribution.restricted_mean(since, self.multiplier, baseline.log_scale, baseline.shape)
        return float(baseline.guarantee_time + self.weights @ areas)
