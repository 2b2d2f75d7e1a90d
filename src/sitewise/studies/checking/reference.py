"""What size of discrepancies is usual: cohorts simulated from the fit, fitted in turn, and looked at in the same way.

A posterior has seen the data that it is held against, so that discrepancies are smaller than chance alone would make them. The
usual posterior predictive p-value ignores that and is too large; here each simulated cohort is fitted like the real one
(Hjort, Dahl & Steinbakk 2006, J Am Stat Assoc 101:1157), which the fast engine makes cheap. Where that engine does not know
the model, each draw is held against a cohort of its own instead, as usual, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.inference import NestedLaplace
from sitewise.inference.engine import Report
from sitewise.inference.nested_laplace.engine import non_centred
from sitewise.inference.packing import column_scales, unpack_arrays
from sitewise.models.model_data import ModelData
from sitewise.models.spec import ModelSpec
from sitewise.problems import SitewiseError
from sitewise.studies.checking.discrepancies import Discrepancies, Layout, discrepancies
from sitewise.studies.checking.residuals import Posterior, probability_before
from sitewise.studies.replication.work import branch
from sitewise.studies.sbc.follow_up import FollowUp
from sitewise.studies.sbc.source import simulated

Floats = NDArray[np.float64]
TRUTH, REFIT = 0, 1
"""Branches of a replicate's seed."""
ENGINE = NestedLaplace(draws=400)
FEW_DRAWS = 200
"""Draws over which the residuals of a cohort are averaged."""


@dataclass(frozen=True, eq=False)
class Replicate:
    """A simulated cohort.

    Parameters
    ----------
    data : ModelData
        Its arrays.
    found : Discrepancies
        Under its own posterior, or under the draw that made it.
    shares : ndarray, shape (n,)
        Predictive probabilities of an event before each patient's time, under the same.
    own : Discrepancies or None
        Those of the real cohort under the draw that made this one, where simulated cohorts are not fitted.
    """

    data: ModelData
    found: Discrepancies
    shares: Floats
    own: Discrepancies | None = None


@dataclass(frozen=True, eq=False)
class Reference:
    """Simulated cohorts of one fit.

    Parameters
    ----------
    spec : ModelSpec
        Resolved.
    data : ModelData
        The real cohort's arrays.
    posterior : Posterior
        The fit's draws, one of which makes each cohort.
    follow_up : FollowUp
        How long the patients are watched.
    layout : Layout
        What is looked at.
    refit : bool
        Whether simulated cohorts are fitted.
    seed : int
        Of everything; a cohort depends on it and its own number only.
    """

    spec: ModelSpec
    data: ModelData
    posterior: Posterior
    follow_up: FollowUp
    layout: Layout
    refit: bool
    seed: int

    def replicate(self, number: int) -> Replicate | None:
        """Return a simulated cohort; None where it has no events or the engine finds no mode."""
        rng = np.random.default_rng(branch(self.seed, number, TRUTH))
        truth = self.posterior.only(int(rng.choice(self.posterior.weights.size, p=self.posterior.weights)))
        data = simulated(self.spec, truth.variables, self.data, self.follow_up, rng)
        if not data.event.any():
            return None
        if not self.refit:
            own = discrepancies(self.spec, truth, self.data, self.layout)
            return self._looked_at(truth, data, rng, own)
        try:
            found = ENGINE.weighted(self.spec, data, seed=branch(self.seed, number, REFIT))
        except SitewiseError:
            return None
        variables = unpack_arrays(non_centred(self.spec), column_scales(data), found.points)
        posterior = Posterior(variables, found.weights).thinned(FEW_DRAWS, rng)
        return self._looked_at(posterior, data, rng)

    def _looked_at(
        self, posterior: Posterior, data: ModelData, rng: np.random.Generator, own: Discrepancies | None = None
    ) -> Replicate:
        shares = probability_before(self.spec, posterior, data, rng)
        return Replicate(data, discrepancies(self.spec, posterior, data, self.layout), shares, own)

    def replicates(self, count: int, workers: int, report: Report) -> Sequence[Replicate]:
        """Return ``count`` simulated cohorts, fewer where some have no answer; the same for any number of workers."""
        with ThreadPoolExecutor(workers) as threads:
            found = []
            for number, each in enumerate(threads.map(self.replicate, range(count)), start=1):
                if each is not None:
                    found.append(each)
                if number % 50 == 0:
                    report(f"Simulated cohorts: {number} of {count}")
        return found


def judged(own: Discrepancies, replicates: Sequence[Replicate]) -> dict[str, tuple[float, float]]:
    """Return the statistic and the p-value of each check of the model's form: hazard, effects over time, sites, risk.

    Each is larger the further the patients are from what the model expects; the p-value is the share of cohorts that are as
    far, the real one counted among the simulated ones, as in what is usual: of cohorts that are all alike, each is then as
    likely as any other to be the furthest.
    """
    found = [each.found for each in replicates]
    alike = [*found, own]
    bend_middle, bend_precision = _middle_and_precision(np.array([each.components for each in alike]))
    drifts = np.array([each.drift for each in alike])
    drift_middle, drift_spread = drifts.mean(axis=0), drifts.std(axis=0)
    drift_spread = np.where(drift_spread > 0, drift_spread, 1.0)

    def numbers(each: Discrepancies) -> dict[str, float]:
        away = each.components - bend_middle
        values = {"hazard over time": float(away @ bend_precision @ away)}
        if each.drift.size:
            values["effects over time"] = float(np.max(np.abs((each.drift - drift_middle) / drift_spread)))
            values["predicted risk"] = each.risk
        if each.by_site.size > 1:
            values["sites"] = each.sites
        return values

    real = numbers(own)
    simulated_values = [numbers(each) for each in found]
    pairs = [real if each.own is None else numbers(each.own) for each in replicates]
    result = {}
    for name, value in real.items():
        as_far = sum(made[name] >= seen[name] for made, seen in zip(simulated_values, pairs, strict=True))
        result[name] = (value, (1 + as_far) / (1 + len(replicates)))
    return result


def _middle_and_precision(values: Floats) -> tuple[Floats, Floats]:
    """Return mean and inverse covariance of rows (R, k), by the pseudoinverse: with few periods components depend on others."""
    return values.mean(axis=0), np.linalg.pinv(np.atleast_2d(np.cov(values.T)))
