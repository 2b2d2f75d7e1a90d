"""How many events a prior or a posterior is worth.

The log hazard has an information of 1 an event, so both definitions count events (of the arm, not of both arms).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sitewise.problems import TrialError
from sitewise.trial.borrowing.mixture import Floats, Mixture

Definition = Literal["moment", "elir"]
COUNTED = 1e-13
"""Components of less weight are left out of the range of the integral."""
REACH = 8.5
"""Standard deviations of a component beyond which it has no mass."""
FINENESS = 2.5
"""Points of the integral within one standard deviation of the narrowest component."""
MOST_POINTS = 200_000
AT_ONCE = 2_000_000
"""Numbers held at a time."""


def effective_sample_size(mixture: Mixture, /, *, definition: Definition = "elir", unit_information: float = 1.0) -> Floats:
    """Return how many events a distribution of a log hazard is worth.

    Parameters
    ----------
    mixture : Mixture
        M priors or posteriors.
    definition : {"elir", "moment"}
        ``moment`` is the information of a normal distribution with the same variance, 1 / variance. ``elir`` is the expected
        local information ratio, the mean of -(log p)'' over the information of one event (Neuenschwander, Weber, Schmidli
        & O'Hagan 2020, Biometrics 76:578). For one normal they agree; for mixtures ``moment`` is the smaller. Only ``elir`` is
        predictively consistent: its mean over trials to come is the prior's plus the trials' own.
    unit_information : float
        Information of one unit: 1 for an event about a log hazard, 1/4 for an event of a balanced trial about a
        log hazard ratio.

    Returns
    -------
    ndarray, shape (M,)
        0 for a flat distribution.
    """
    if not unit_information > 0:
        raise TrialError(f"unit_information must be positive; it is {unit_information:g}.")
    if definition == "moment":
        return np.asarray(1 / mixture.variance() / unit_information)
    if definition == "elir":
        return location_information(mixture) / unit_information
    raise TrialError(f"definition is {definition!r}. It can be 'moment' or 'elir'.")


def borrowed_events(posterior: Mixture, /, *, se: ArrayLike, definition: Definition = "elir") -> Floats:
    """Return how many events a posterior is worth beyond the trial's own, 1 / se^2.

    Negative where the posterior is wider than the trial alone would make it, which conflict with the cohort can do.

    Parameters
    ----------
    posterior : Mixture
        M posteriors.
    se : array-like, number or shape (M,)
        Standard errors of the trials' estimates.
    definition : {"elir", "moment"}
        See :func:`effective_sample_size`.
    """
    return np.asarray(effective_sample_size(posterior, definition=definition) - np.asarray(se, dtype=float) ** -2.0)


def location_information(mixture: Mixture, /) -> Floats:
    """Return the mean of -(log p)'' over p itself, shape (M,).

    It equals the integral of p'^2 / p, because p'' integrates to 0. The integrand is smooth and dies out at both ends, so that
    the trapezoidal rule converges geometrically once it resolves the narrowest component.
    """
    if mixture.weights.shape[1] == 1:
        return np.asarray(mixture.sds[:, 0] ** -2.0)
    information = np.full(len(mixture), np.nan)
    # Trials without an estimate stay NaN.
    known = np.flatnonzero(~np.isnan(mixture.weights * mixture.means * mixture.sds).any(axis=1))
    part = mixture.at(known)
    counted = part.weights > COUNTED
    low = np.where(counted, part.means - REACH * part.sds, np.inf).min(axis=1)
    high = np.where(counted, part.means + REACH * part.sds, -np.inf).max(axis=1)
    narrowest = np.where(counted, part.sds, np.inf).min(axis=1)
    needed = np.ceil(FINENESS * (high - low) / narrowest).astype(np.int64) + 2
    if np.any(needed > MOST_POINTS):
        spans = float(((high - low) / narrowest).max())
        raise TrialError(f"A mixture spans {spans:.3g} standard deviations of its narrowest component: too many to integrate.")
    # Alike trials together, so that one wide mixture does not refine all.
    order = np.argsort(needed)
    first = 0
    while first < len(order):
        points = int(needed[order[first]] * 1.25)
        alike = int(np.searchsorted(needed[order], points, "right")) - first
        rows = order[first : first + max(1, min(alike, AT_ONCE // (points * part.weights.shape[1])))]
        information[known[rows]] = _information(part.at(rows), low=low[rows], high=high[rows], points=points)
        first += len(rows)
    return information


def _information(mixture: Mixture, *, low: Floats, high: Floats, points: int) -> Floats:
    weights, means, sds = (part[:, None, :] for part in (mixture.weights, mixture.means, mixture.sds))
    grid = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, points)
    z = (grid[:, :, None] - means) / sds
    part = weights / sds * np.exp(-0.5 * z * z)
    density, slope = part.sum(axis=2), (part * z / sds).sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        # An underflow of the density is a place without mass.
        terms = np.where(density == 0, 0.0, slope * slope / density)
    step = (high - low) / (points - 1)
    return np.asarray(terms.sum(axis=1) * step / np.sqrt(2 * np.pi))
