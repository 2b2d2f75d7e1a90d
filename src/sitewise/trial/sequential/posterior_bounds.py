"""Stopping by a posterior probability, seen as a group-sequential trial: its bounds of z and its type I error.

With a normal estimate and a normal prior, "stop when the posterior probability is above a threshold" is "stop when z is above a
bound", look by look (Zhou & Ji 2024, New England Journal of Statistics in Data Science 2:136).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from sitewise.problems import TrialError
from sitewise.trial.sequential.crossing import Crossing, checked_information, crossing_probabilities
from sitewise.trial.sequential.normal import Benefit, NormalPrior, PosteriorRule, positive_information, sign_of

Floats = NDArray[np.float64]


def posterior_z_bounds(
    information: ArrayLike,
    /,
    *,
    threshold: ArrayLike,
    prior: NormalPrior | None,
    margin: float = 0.0,
    benefit: Benefit = "less",
) -> Floats:
    """Return the bounds of z that equal thresholds of the posterior probability of a benefit beyond the margin.

    Parameters
    ----------
    information : array-like, shape (K,)
        Inverse of the squared standard error of the effect at each look.
    threshold : array-like, shape (K,) or ()
        Posterior probability above which the trial stops, at each look.
    prior : NormalPrior or None
        Analysis prior; None is flat.
    margin : float
        Effect that has to be beaten.
    benefit : {"less", "greater"}
        Side of the margin that is a benefit.

    Returns
    -------
    ndarray, shape (K,)
        Bounds of z, which is the distance of the estimate from the margin over its standard error, benefit positive.
    """
    looks = positive_information(information)
    thresholds = np.broadcast_to(np.asarray(threshold, dtype=float), looks.shape)
    bounds = [
        PosteriorRule(float(each), prior, margin).z_bound(at, benefit=benefit)
        for each, at in zip(thresholds.ravel(), looks.ravel(), strict=True)
    ]
    return np.asarray(bounds, dtype=float).reshape(looks.shape)


def posterior_thresholds(
    bounds: ArrayLike,
    /,
    *,
    information: ArrayLike,
    prior: NormalPrior | None,
    margin: float = 0.0,
    benefit: Benefit = "less",
) -> Floats:
    """Return the thresholds of the posterior probability that equal bounds of z, (K,): the way back.

    The same gives the posterior probability at any observed z.
    """
    looks = positive_information(information)
    z = np.asarray(bounds, dtype=float)
    if prior is None:
        return np.asarray(ndtr(np.broadcast_to(z, np.broadcast_shapes(z.shape, looks.shape))))
    weight = prior.sd**-2
    ahead = sign_of(benefit) * (prior.mean - margin)
    return np.asarray(ndtr((ahead * weight + z * np.sqrt(looks)) / np.sqrt(weight + looks)))


def posterior_stopping(
    information: ArrayLike,
    /,
    *,
    threshold: ArrayLike,
    prior: NormalPrior | None,
    effect: ArrayLike,
    margin: float = 0.0,
    benefit: Benefit = "less",
    futility: ArrayLike | None = None,
) -> Crossing:
    """Return how often a trial that stops by posterior probability succeeds at each look, under given true effects.

    With ``effect`` equal to the margin the power of the result is the type I error of the whole trial.

    Parameters
    ----------
    information, threshold, prior, margin, benefit
        As for :func:`posterior_z_bounds`.
    effect : array-like, shape (...)
        True effects.
    futility : array-like, shape (K,) or (), optional
        Posterior probabilities of a benefit below which the trial stops without success; each below its threshold.
    """
    looks = checked_information(information)
    upper = posterior_z_bounds(looks, threshold=threshold, prior=prior, margin=margin, benefit=benefit)
    lower = None
    if futility is not None:
        if np.any(np.asarray(futility) >= np.asarray(threshold)):
            raise TrialError("A futility threshold must lie below the threshold of success of its look.")
        lower = posterior_z_bounds(looks, threshold=futility, prior=prior, margin=margin, benefit=benefit)
    drift = sign_of(benefit) * (np.asarray(effect, dtype=float) - margin)
    return crossing_probabilities(looks, upper, drift=drift, futility=lower)
