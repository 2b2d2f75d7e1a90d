"""Probability that a trial will succeed at its end, given what a look shows, on the normal level.

The future estimate is normal given the effect, and the effect is normal given the look, so that the predictive probability is a
normal tail (Spiegelhalter, Abrams & Myles 2004, Bayesian Approaches to Clinical Trials, section 6.6). The prior that predicts
need not be the one of the final analysis: that one belongs to the rule.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from sitewise.problems import Problems, TrialError
from sitewise.trial.sequential.crossing import checked_bounds, crossing_probabilities
from sitewise.trial.sequential.normal import Benefit, NormalPrior, PosteriorRule, ZRule, positive_information, sign_of

Floats = NDArray[np.float64]
POINTS, WEIGHTS = np.polynomial.legendre.leggauss(12)
REACH, MOST_PANELS = 9.0, 4000
"""Standard deviations of the prior that are integrated over, and the panels, two standard errors wide, that this may take."""


def predictive_probability(
    estimate: ArrayLike,
    information: ArrayLike,
    /,
    *,
    final_information: ArrayLike,
    rule: PosteriorRule | ZRule,
    prior: NormalPrior | None,
    benefit: Benefit = "less",
) -> Floats:
    """Return the predictive probability that the final analysis succeeds.

    Parameters
    ----------
    estimate : array-like, shape (...)
        Effect as estimated at the look, without the prior; NaN where the analysis failed.
    information : array-like, shape (...)
        Inverse of its squared standard error; 0 before the first event, when the estimate is not used.
    final_information : array-like, shape (...)
        Information at the end. Where it is that of the look, the answer is 0 or 1.
    rule : PosteriorRule or ZRule
        What counts as success at the end.
    prior : NormalPrior or None
        What predicts, with the data of the look; None is flat. It may differ from the prior of the rule.
    benefit : {"less", "greater"}
        Side of the margin that is a benefit.

    Returns
    -------
    ndarray, shape (...)
        Probabilities; NaN where the estimate or an information is.

    Raises
    ------
    TrialError
        When the final information is less than that of the look, or neither prior nor data say anything.
    """
    ahead, now, end, bound = _progress(estimate, information, final_information, rule, benefit)
    weight = 0.0 if prior is None else prior.sd**-2
    if prior is None and np.any(now == 0):
        raise TrialError("Nothing predicts the trial: there is no prior, and no information at the look. Give a prior.")
    centre = 0.0 if prior is None else sign_of(benefit) * (prior.mean - rule.margin)
    mean = (weight * centre + ahead) / (weight + now)
    left = end - now
    sd = np.sqrt(left + left**2 / (weight + now))
    return _tail(ahead + mean * left - bound * np.sqrt(end), sd)


def conditional_power(
    estimate: ArrayLike,
    information: ArrayLike,
    /,
    *,
    final_information: ArrayLike,
    rule: PosteriorRule | ZRule,
    effect: ArrayLike,
    benefit: Benefit = "less",
) -> Floats:
    """Return the probability that the final analysis succeeds if the effect is as given.

    Jennison & Turnbull 2000, Group Sequential Methods, section 10.2.

    Parameters
    ----------
    estimate, information, final_information, rule, benefit
        As for :func:`predictive_probability`.
    effect : array-like, shape (...)
        True effect from now on: the design's, none, or the estimate of the look (the current trend).
    """
    ahead, now, end, bound = _progress(estimate, information, final_information, rule, benefit)
    left = end - now
    benefit_left = sign_of(benefit) * (np.asarray(effect, dtype=float) - rule.margin) * left
    return _tail(ahead + benefit_left - bound * np.sqrt(end), np.sqrt(left))


def _progress(
    estimate: ArrayLike, information: ArrayLike, final: ArrayLike, rule: PosteriorRule | ZRule, benefit: Benefit
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the score so far (benefit times information), information now and at the end, and the final bound of z."""
    values, now, end = np.broadcast_arrays(
        np.asarray(estimate, dtype=float), np.asarray(information, dtype=float), positive_information(final)
    )
    problems = Problems()
    if np.any(now < 0) or np.any(np.isinf(now)):
        problems.add("information", "must be finite and not negative")
    if np.any(end < now):
        problems.add("final_information", "is less than that of the look", "The trial has already gone beyond its end.")
    if np.any(np.isinf(values) & (now > 0)):
        problems.add("estimate", "is infinite", "An arm without events has no estimate: give NaN.")
    problems.raise_if_any(TrialError, "The prediction")
    ahead = np.where(now == 0, 0.0, sign_of(benefit) * (values - rule.margin) * now)
    return np.asarray(ahead), now, end, rule.z_bound(end, benefit=benefit)


def _tail(distance: Floats, sd: Floats) -> Floats:
    """Return Phi(distance / sd); where nothing is left to come, whether the bound is passed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        probability = ndtr(distance / sd)
    settled = np.where(np.isnan(distance), np.nan, (distance > 0).astype(float))
    return np.asarray(np.where(sd == 0, settled, probability))


def averaged_crossing(
    information: ArrayLike,
    efficacy: ArrayLike,
    /,
    *,
    prior: NormalPrior,
    futility: ArrayLike | None = None,
    margin: float = 0.0,
    benefit: Benefit = "less",
) -> tuple[Floats, Floats]:
    """Return the prior predictive probabilities to cross each bound first: the assurance of a group-sequential trial.

    The crossing probabilities under each effect (:func:`crossing_probabilities`) are averaged over the prior by quadrature.
    Given that no bound was crossed by look k, the probability of success is ``efficacy[k + 1:].sum()`` over one less all that
    is crossed up to k: what not stopping at a blinded look teaches (Rufibach, Jordan & Abt 2016, Journal of Biopharmaceutical
    Statistics 26:191).

    Parameters
    ----------
    information, efficacy, futility : array-like, shape (K,)
        Information and bounds of z at each look.
    prior : NormalPrior
        Of the true effect.
    margin, benefit
        As for :func:`predictive_probability`; z is against the margin, benefit positive.

    Returns
    -------
    tuple of ndarray, shape (K,)
        Probabilities of success and of futility at each look.
    """
    looks, upper, lower = checked_bounds(information, efficacy, futility)
    centre = sign_of(benefit) * (prior.mean - margin)
    # Crossing probabilities change over a standard error of the last look, the prior over its own standard deviation.
    panels = int(np.ceil(REACH * max(1.0, prior.sd * float(np.sqrt(looks[-1])))))
    if panels > MOST_PANELS:
        raise TrialError(f"The prior is too wide to average over: its sd is {prior.sd:g}. Give one that is a belief.")
    half = REACH / panels
    standard = (-REACH + half * (2 * np.arange(panels) + 1)[:, None] + half * POINTS).ravel()
    weight = np.tile(half * WEIGHTS, panels) * np.exp(-0.5 * standard**2) / np.sqrt(2 * np.pi)
    found = crossing_probabilities(looks, upper, drift=centre + prior.sd * standard, futility=lower)
    return np.asarray(weight @ found.efficacy), np.asarray(weight @ found.futility)
