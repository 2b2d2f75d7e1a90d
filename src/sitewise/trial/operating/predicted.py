"""Predictive probabilities from completed trials: the share in which the last look's criteria hold at their thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.campaign.imputed import IMPUTED, final_criteria, imputed_looks
from sitewise.trial.campaign.results import TrialResults
from sitewise.trial.sequential.imputed import predictive_share

Floats = NDArray[np.float64]


def fill_imputed(predicted: Floats, results: TrialResults, thresholds: Floats, /) -> None:
    """Put the shares of successful completed trials in the place of other predictive probabilities, shape (S, R, L, C).

    A completed trial that its final analysis could not answer is no success; not a number where there is none that could.

    Parameters
    ----------
    predicted : ndarray, shape (S, R, L, C)
        Predictive probabilities; those of criteria with imputations are filled at the looks at which they were imputed, and
        are not numbers elsewhere.
    results : TrialResults
        What every look showed.
    thresholds : ndarray, shape (L, C)
        Of each look and criterion, calibrated ones too.
    """
    design = results.design
    asking = [place for place, item in enumerate(design.criterion) if item.imputations]
    if not asking:
        return
    predicted[..., asking] = np.nan
    if IMPUTED not in results.data:
        return
    needed = thresholds[-1, list(final_criteria(design))]
    final = results.data[IMPUTED].to_numpy()
    for number, look in enumerate(imputed_looks(design)):
        own = final[:, :, number]
        known = ~np.isnan(own).any(axis=-1)
        holds = (own.astype(np.float64) > needed).all(axis=-1)
        answers = np.moveaxis(np.where(known, holds.astype(float), np.nan), -1, 0)
        for place in asking:
            sets = design.criterion[place].imputations
            share = predictive_share(answers[:sets])
            predicted[..., look, place] = np.where(share.failed == sets, np.nan, share.probability)
