"""Martingale residuals: events seen minus events expected, patient by patient and up to any time.

A patient's residual up to time s is N(s) - H(min(s, t)) + H(min(s, entry)): whether the event was seen by then, minus the
cumulative hazard that the model gave them while they were watched (Therneau & Grambsch 2000, Modeling Survival Data, section
4.2). It averages zero at every time if the model is right, whatever the censoring, so long as that is independent. Of an event
that is only known to lie between two times stands the expected residual given that, which averages zero too (Farrington 2000,
Biometrics 56:473). All are averaged over the posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.families.metric import log_cumulative_hazard
from sitewise.inference.densities import predictor_of_draws
from sitewise.models.model_data import ModelData
from sitewise.models.shape_regression import shape_of_patients
from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]
LARGEST_ARRAY = 4_000_000
"""Elements of the largest temporary array."""
SMALL = 1e-10
"""Hazard of an interval below which its event counts as at its lower end."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws: variables by name, shapes (S,) or (S, terms or sites), and weights (S,) that sum to one."""

    variables: Mapping[str, Floats]
    weights: Floats

    def only(self, draw: int) -> Posterior:
        """Return one draw alone."""
        return Posterior({name: values[draw : draw + 1] for name, values in self.variables.items()}, np.ones(1))

    def thinned(self, draws: int, rng: np.random.Generator) -> Posterior:
        """Return at most so many draws, at random; with equal weights where some are left out."""
        size = self.weights.size
        if size <= draws:
            return self
        chosen = np.sort(rng.choice(size, draws, replace=False, p=None if self._equal else self.weights))
        return Posterior({name: values[chosen] for name, values in self.variables.items()}, np.full(draws, 1 / draws))

    @property
    def _equal(self) -> bool:
        return bool(np.ptp(self.weights) == 0)


def hazards(spec: ModelSpec, posterior: Posterior, data: ModelData) -> Callable[[Floats], Floats]:
    """Return a function that gives patients' cumulative hazards under each draw, (S, n, K), at logs of times (n or 1, K)."""
    predictor = predictor_of_draws(spec, posterior.variables, data)[..., None]
    scale = posterior.variables[names.LOG_SCALE_AT_MEANS][:, None, None]
    shape = tuple(each[..., None] for each in shape_of_patients(spec, posterior.variables, data))

    def at(log_time: Floats) -> Floats:
        return np.asarray(np.exp(log_cumulative_hazard(spec.family, spec.metric, log_time[None], predictor, scale, shape)))

    return at


def residuals(spec: ModelSpec, posterior: Posterior, data: ModelData, log_times: Floats) -> Floats:
    """Return each patient's residual up to each time, shape (n, K); weights of patients multiply them.

    Parameters
    ----------
    spec : ModelSpec
        Resolved.
    posterior : Posterior
        Draws.
    data : ModelData
        The patients' arrays.
    log_times : ndarray, shape (K,)
        Logs of times beyond the guarantee time; infinity for all that is known.
    """
    length = max(1, LARGEST_ARRAY // (posterior.weights.size * log_times.size))
    n = data.log_time.size
    if length < n:
        parts = [data.some(np.arange(start, min(start + length, n))) for start in range(0, n, length)]
        return np.concatenate([residuals(spec, posterior, part, log_times) for part in parts])
    hazard = hazards(spec, posterior, data)
    own = data.log_time[:, None]
    accumulated = hazard(np.minimum(own, log_times))
    entered: Floats | float = 0.0
    if data.log_entry is not None and data.entered_late is not None:
        entered = data.entered_late[:, None] * hazard(np.minimum(data.log_entry[:, None], log_times))
    # The event is seen in the time that ends with it.
    result = data.event[:, None] * (own <= log_times) - _mean(posterior, accumulated - entered)
    if data.interval is not None and data.log_lower is not None and data.lower_known is not None:
        hidden = data.interval > 0
        known = data.lower_known[hidden, None]
        lower = known * hazard(data.log_lower[:, None])[:, hidden]
        before = np.where(log_times < data.log_lower[hidden, None], known, 0.0)
        until = np.where(before > 0, known * hazard(np.minimum(data.log_lower[:, None], log_times))[:, hidden], lower)
        whole = hazard(own)[:, hidden] - lower
        result[hidden] = _mean(posterior, _within(accumulated[:, hidden], lower, until, whole, before))
        if data.entered_late is not None:
            result[hidden] += _mean(posterior, np.broadcast_to(entered, accumulated.shape)[:, hidden])
    return np.asarray(result if data.weight is None else data.weight[:, None] * result)


def _mean(posterior: Posterior, values: Floats) -> Floats:
    return np.asarray(np.tensordot(posterior.weights, values, axes=(0, 0)))


def _within(hazard: Floats, lower: Floats, until: Floats, whole: Floats, before: Floats) -> Floats:
    """Return the expected residual up to s of a patient whose event lies between two cumulative hazards, shape (S, m, K).

    With D the hazard of the interval and d that of its part up to s, the event is in that part with probability
    (1 - e^-d) / (1 - e^-D), and 1 - H at the event then averages d e^-d / (1 - e^-d) minus H(lower); else -H(s) counts.
    """
    part = np.minimum(np.maximum(hazard - lower, 0.0), whole)
    total = -np.expm1(-whole)
    share = np.where(total > SMALL, -np.expm1(-part) / np.where(total > SMALL, total, 1.0), 1.0)
    inside = np.where(part > SMALL, part * np.exp(-part) / np.where(part > SMALL, -np.expm1(-part), 1.0), 1.0)
    after = share * inside - (1 - share) * part - lower
    return np.where(before > 0, -until, after)


def probability_before(spec: ModelSpec, posterior: Posterior, data: ModelData, rng: np.random.Generator) -> Floats:
    """Return the predictive probability that each patient's event comes before their time, shape (n,).

    Given that they had none before they entered. These are uniform if the model is right, right-censored where the times are;
    of an event in an interval a point between its ends is drawn.
    """
    cumulative_hazard = hazards(spec, posterior, data)

    def hazard(log_time: Floats) -> Floats:
        return cumulative_hazard(log_time[:, None])[..., 0]

    entered: Floats | float = 0.0
    if data.log_entry is not None and data.entered_late is not None:
        entered = data.entered_late * hazard(data.log_entry)
    result = posterior.weights @ -np.expm1(-np.maximum(hazard(data.log_time) - entered, 0.0))
    if data.interval is not None and data.log_lower is not None and data.lower_known is not None:
        lower = data.lower_known * hazard(data.log_lower)
        before = posterior.weights @ -np.expm1(-np.maximum(lower - entered, 0.0))
        result = np.where(data.interval > 0, before + rng.random(result.size) * (result - before), result)
    return np.asarray(result)
