"""How well the fitted patients are told apart, and how near predicted survival is to what was seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise import names
from sitewise.classical.compiled import compiled
from sitewise.cohort import Cohort
from sitewise.cohort.kaplan_meier import kaplan_meier
from sitewise.inference.densities import predictor_of_draws
from sitewise.models.model_data import ModelData
from sitewise.models.spec import ModelSpec
from sitewise.studies.checking.residuals import Posterior, hazards

Floats = NDArray[np.float64]
MOST_COMPARED = 3000
"""Patients up to whom all pairs are compared; of more, so many at random."""
TINY = 1e-12


@compiled
def concordance_of(time, event, risk):  # type: ignore[no-untyped-def]
    """Return Harrell's concordance (1982, JAMA 247:2543): of pairs whose order is known, the share with the higher risk first.

    Equal risks count half. A patient whose time is censored at another's event time outlived it. Not a number without pairs.
    """
    concordant, pairs = 0.0, 0.0
    for i in range(time.size):
        if event[i] <= 0.0:
            continue
        for j in range(time.size):
            later = time[j] > time[i] or (time[j] == time[i] and event[j] <= 0.0)
            if j != i and later:
                pairs += 1.0
                if risk[i] > risk[j]:
                    concordant += 1.0
                elif risk[i] == risk[j]:
                    concordant += 0.5
    return concordant / pairs if pairs > 0.0 else np.nan


def brier_weights(cohort: Cohort, time: float) -> tuple[Floats, Floats]:
    """Return weights of patients with an event by ``time`` and of those known to be alive then, each (n,).

    Inverse probability of censoring: 1 / G(t-) and 1 / G(time) with the reverse Kaplan-Meier curve G (Graf, Schmoor, Sauerbrei
    & Schumacher 1999, Stat Med 18:2529). Patients censored before ``time`` weigh nothing.
    """
    censoring = kaplan_meier(cohort.time, cohort.event == 0, weights=cohort.weights)
    steps = np.concatenate([[1.0], censoring.survival])
    just_before = steps[np.searchsorted(censoring.time, np.minimum(cohort.time, time), side="left")]
    then = steps[np.searchsorted(censoring.time, time, side="right")]
    died = (cohort.time <= time) & (cohort.event > 0)
    alive = cohort.time > time
    return died / np.maximum(just_before, TINY), alive / max(float(then), TINY)


def brier(survival: Floats, cohort: Cohort, time: float) -> Floats:
    """Return the Brier score of survival probabilities (..., n) at a time: the weighted mean square of what was wrong."""
    died, alive = brier_weights(cohort, time)
    share = cohort.weights / cohort.weights.sum()
    return np.asarray((survival**2 * died + (1 - survival) ** 2 * alive) @ share)


def told_apart(
    spec: ModelSpec,
    posterior: Posterior,
    data: ModelData,
    cohort: Cohort,
    times: Sequence[float],
    *,
    prob: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return concordance, Brier scores and calibration in the large with posterior limits; patients at their own sites.

    All are apparent: of the patients that were fitted. Calibration compares mean predicted survival with Kaplan-Meier.

    Returns
    -------
    DataFrame
        ``measure`` (``concordance``; ``brier``, ``brier_without_covariates``, ``predicted_survival`` and ``seen_survival`` at
        each time), ``time, median, lower, upper``.
    """
    predictor = predictor_of_draws(spec, posterior.variables, data)
    log_times = np.log(np.maximum(np.array(times) - spec.guarantee_time, TINY))
    cumulative_hazard = hazards(spec, posterior, data)
    size = data.log_time.size
    some = np.arange(size) if size <= MOST_COMPARED else np.sort(rng.choice(size, MOST_COMPARED, replace=False))
    risk = np.ascontiguousarray((-predictor if spec.metric == names.TIME_RATIO else predictor)[:, some])
    own_time, own_event = cohort.time[some], cohort.event[some].astype(float)
    rows = [("concordance", np.nan, np.array([concordance_of(own_time, own_event, each) for each in risk]))]
    curve = kaplan_meier(cohort.time, cohort.event, weights=cohort.weights, prob=prob)
    share = cohort.weights / cohort.weights.sum()
    told = []
    for place, time in enumerate(times):
        survival = np.exp(-cumulative_hazard(log_times[None, [place]]))[..., 0]
        rows.append(("brier", time, brier(survival, cohort, time)))
        rows.append(("predicted_survival", time, survival @ share))
        seen = float(curve.at([time])[0])
        told.append(("brier_without_covariates", time, float(brier(np.full(size, seen), cohort, time)), np.nan, np.nan))
        lower, upper = (float(each[0]) for each in curve.limits_at([time]))
        told.append(("seen_survival", time, seen, lower, upper))
    levels = [0.5, 0.5 - prob / 2, 0.5 + prob / 2]
    table = [(name, time, *np.nanquantile(values, levels)) for name, time, values in rows]
    columns = ["measure", "time", "median", "lower", "upper"]
    return pd.DataFrame([*table, *told], columns=columns).sort_values(
        ["time", "measure"], na_position="first", ignore_index=True
    )
