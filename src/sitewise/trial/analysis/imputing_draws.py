"""Draws of what the remaining times of a trial's patients depend on: the Weibull model's posterior at a look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.inference.nested_laplace.engine import NestedLaplace, non_centred
from sitewise.inference.nested_laplace.weighting import NoModeError
from sitewise.inference.packing import column_scales, unpack_arrays
from sitewise.trial.analysis.statements import TrialDraws
from sitewise.trial.analysis.trial_model import TrialModel
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.analysis import AnalysisPlan

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ImputingDraws:
    """S equally weighted draws of a trial's posterior, with its own sites.

    Parameters
    ----------
    shape, log_scale : ndarray, shape (S,)
        Of the Weibull distribution, in the trial's unit of time: the log cumulative hazard of the first risk group of control
        at an average site is shape (log t - log_scale).
    treatment : ndarray, shape (S, J)
        Log hazard ratio of the experimental arm at each site.
    groups : ndarray, shape (S, G)
        Log hazard ratios of the risk groups against the first.
    site : ndarray, shape (S, J)
        Sites' own log hazards.
    """

    shape: Floats
    log_scale: Floats
    treatment: Floats
    groups: Floats
    site: Floats

    @classmethod
    def of(
        cls, model: TrialModel, seen: Snapshot, row: int, /, *, draws: int, sets: int, stream: np.random.SeedSequence
    ) -> Self | None:
        """Fit one trial at a look by the nested-Laplace engine; none where there are no events or the fit fails.

        Weighted draws become equally weighted ones by systematic resampling, in random order.

        Parameters
        ----------
        model : TrialModel
            What is fitted.
        seen : Snapshot
            Trials at a look.
        row : int
            Which of them.
        draws : int
            Weighted draws of the engine.
        sets : int
            Draws that are wanted, S.
        stream : SeedSequence
            Random numbers.
        """
        included = seen.included[row]
        if not (seen.event[row] & included).any() or not (seen.time[row][included] > 0).all():
            return None
        fit, resampling = stream.spawn(2)
        data, unit = model.arrays(seen, row)
        try:
            found = NestedLaplace(draws=draws).weighted(model.spec, data, seed=fit)
        except NoModeError:
            return None
        if found.verdict.level == "fail":
            return None
        rng = np.random.default_rng(resampling)
        places = np.searchsorted(np.cumsum(found.weights), (np.arange(sets) + rng.random()) / sets)
        chosen = rng.permutation(np.minimum(places, found.weights.size - 1))
        variables = unpack_arrays(non_centred(model.spec), column_scales(data), found.points[chosen])
        own = TrialDraws.of(variables, model, groups=len(seen.groups), unit=unit)
        none = np.zeros((sets, seen.sites))
        slope = variables[names.SITE_SLOPE][..., 0] if names.SITE_SLOPE in variables else none
        return cls(own.shape, own.log_scale, own.treatment[:, None] + slope, own.groups, variables.get(names.SITE_EFFECT, none))

    def log_hazard_ratio(self, *, site: NDArray[np.int16], group: NDArray[np.int16], arm: NDArray[np.int8]) -> Floats:
        """Return what sets patients apart from the first risk group of control at an average site, all of shape (S, n)."""
        treated = np.take_along_axis(self.treatment, site.astype(np.int64), axis=1)
        return np.asarray(
            np.take_along_axis(self.groups, group.astype(np.int64), axis=1)
            + np.take_along_axis(self.site, site.astype(np.int64), axis=1)
            + np.where(arm == 1, treated, 0.0)
        )


def imputing_model(
    plan: AnalysisPlan, /, *, randomised: bool, groups: tuple[str, ...], sites: int, time_unit: str
) -> TrialModel:
    """Return the model that remaining times are drawn from: the hierarchical one of a plan, whatever its method.

    A single site has no spread and no effect of its own.
    """
    adjust = tuple(item for item in plan.adjust if item != "site" or sites > 1)
    own = replace(plan, method="hierarchical", adjust=adjust)
    return TrialModel.of(own, randomised=randomised, groups=groups, sites=sites, time_unit=time_unit)
