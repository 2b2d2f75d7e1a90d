"""Cohorts simulated from truths: patients, sites and follow-up of one cohort, times from parameters drawn anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.families.metric import log_cumulative_hazard
from sitewise.inference.densities import log_likelihood_of_draws, predictor_of_draws
from sitewise.models.model_data import ModelData
from sitewise.models.shape_regression import shape_of_patients
from sitewise.models.spec import ModelSpec
from sitewise.names import TIME_RATIO
from sitewise.problems import SpecError
from sitewise.studies.replication.quantities import LOG_LIKELIHOOD
from sitewise.studies.replication.sources import Item
from sitewise.studies.replication.work import branch
from sitewise.studies.sbc.follow_up import FollowUp

Floats = NDArray[np.float64]
SIMULATE = 2
"""Branch of a replicate's seed for its times."""


@dataclass(frozen=True, eq=False)
class TruthSource:
    """Replicates whose parameters are known.

    Parameters
    ----------
    spec : ModelSpec
        Resolved: the model that makes the times.
    analysis : ModelSpec
        Resolved: the model that is fitted; the same one, unless a fault is planted.
    data : ModelData
        Covariates, sites, entries and weights of the patients.
    follow_up : FollowUp
        How long they are watched.
    truths : mapping of str to ndarray, shape (R,) or (R, terms or sites)
        Parameters of each replicate, by the names of the posterior.
    seed : int
        Of the times.
    known : ModelData or None
        Patients whose times are given, and fitted together with the simulated ones (posterior SBC).
    fingerprint_of : str
        What tells the truths from others.
    """

    spec: ModelSpec
    analysis: ModelSpec
    data: ModelData
    follow_up: FollowUp
    truths: Mapping[str, Floats]
    seed: int
    known: ModelData | None
    fingerprint_of: str

    def __len__(self) -> int:
        return int(self.truths[names.LOG_SCALE_AT_MEANS].shape[0])

    def items(self, start: int, stop: int) -> list[Item]:
        """Return the replicates ``start`` to ``stop``, each with its truth."""
        return [self._item(number) for number in range(start, stop)]

    def _item(self, number: int) -> Item:
        truth = {name: values[number : number + 1] for name, values in self.truths.items()}
        rng = np.random.default_rng(branch(self.seed, number, SIMULATE))
        data = simulated(self.spec, truth, self.data, self.follow_up, rng)
        if self.known is not None:
            data = self.known + data
        truth[LOG_LIKELIHOOD] = log_likelihood_of_draws(self.spec, truth, data).sum(axis=-1)
        return Item(number, self.analysis, data, truth=truth, label=f"truth {number}")

    def cohort(self, number: int) -> Cohort:
        """Refuse: these cohorts are arrays."""
        raise SpecError("Cohorts of simulation-based calibration are arrays; estimands of groups are not defined for them.")

    @property
    def models(self) -> Sequence[ModelSpec]:
        """The model that is fitted."""
        return [self.analysis]

    def fingerprint(self) -> str:
        """Return what tells the truths, and the models, from others."""
        return f"{self.fingerprint_of} {self.spec.to_dict()} {self.analysis.to_dict()} {self.seed}"


def simulated(
    spec: ModelSpec, truth: Mapping[str, Floats], data: ModelData, follow_up: FollowUp, rng: np.random.Generator
) -> ModelData:
    """Return a cohort's arrays with times of the model: H(T) - H(entry) is standard exponential, and follow-up ends it.

    Everything is done on the log scale, since truths from a wide prior have times that no float holds.
    """
    scale = truth[names.LOG_SCALE_AT_MEANS][0]
    shape = tuple(each[0] for each in shape_of_patients(spec, truth, data))
    predictor = predictor_of_draws(spec, truth, data)[0]
    log_hazard = np.log(rng.standard_exponential(predictor.size))
    if data.log_entry is not None and data.entered_late is not None:
        before = log_cumulative_hazard(spec.family, spec.metric, data.log_entry, predictor, scale, shape)
        log_hazard = np.where(data.entered_late > 0, np.logaddexp(log_hazard, before), log_hazard)
    if spec.metric == TIME_RATIO:
        log_time = spec.family.log_time(log_hazard, scale, shape) + predictor
    else:
        log_time = spec.family.log_time(log_hazard - predictor, scale, shape)
    end = follow_up.draw(rng)
    log_end = np.log(end - spec.guarantee_time)
    made = replace(data, log_time=np.minimum(log_time, log_end), event=(log_time <= log_end).astype(float))
    return between_visits(made, spec.guarantee_time, follow_up, end) if follow_up.gap.any() else made


def between_visits(data: ModelData, guarantee_time: float, follow_up: FollowUp, end: Floats) -> ModelData:
    """Return the arrays with events of examined patients between two visits, of which the end of follow-up is the last."""
    hidden = (data.event > 0) & (follow_up.gap > 0)
    time = guarantee_time + np.exp(data.log_time)
    before = follow_up.last_visit(time) - guarantee_time
    upper = np.minimum(before + follow_up.gap, end - guarantee_time)
    if data.log_entry is not None and data.entered_late is not None:
        before = np.maximum(before, np.where(data.entered_late > 0, np.exp(data.log_entry), 0.0))
    known = hidden & (before > 0)
    return replace(
        data,
        log_time=np.where(hidden, np.log(np.where(hidden, upper, 1.0)), data.log_time),
        interval=hidden.astype(float),
        log_lower=np.log(np.where(known, before, 1.0)),
        lower_known=known.astype(float),
    )
