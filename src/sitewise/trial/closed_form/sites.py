"""Hazard ratios and survival over sites that differ: gamma frailty, and a log-normal effect of a new site."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import not_negative, positive

NODES = 200
FEWER_NODES = 160
WORST_DIFFERENCE = 1e-9


def frailty_survival(cumulative_hazard: float, *, frailty_variance: float) -> float:
    """Return the mean survival when hazards are multiplied by gamma frailties of mean 1.

    (1 + theta H)^(-1 / theta), and exp(-H) without variance (Vaupel, Manton & Stallard 1979, Demography 16:439).
    """
    hazard, variance = not_negative("cumulative_hazard", cumulative_hazard), not_negative("frailty_variance", frailty_variance)
    return math.exp(-hazard if variance == 0 else -math.log1p(variance * hazard) / variance)


def frailty_hazard_ratio(hazard_ratio: float, *, cumulative_hazard: float, frailty_variance: float) -> float:
    """Return the marginal hazard ratio at a time when every frailty has the same conditional one.

    h (1 + theta H) / (1 + theta h H), with H the control arm's cumulative hazard at a frailty of 1: it moves towards 1 as time
    passes (Hougaard 2000, Analysis of Multivariate Survival Data, chapter 2).

    Parameters
    ----------
    hazard_ratio : float
        Within a site.
    cumulative_hazard : float
        Of the control arm in a site of frailty 1, up to the time.
    frailty_variance : float
        Of the gamma frailty; its mean is 1.
    """
    ratio, hazard = positive("hazard_ratio", hazard_ratio), not_negative("cumulative_hazard", cumulative_hazard)
    spread = not_negative("frailty_variance", frailty_variance) * hazard
    return ratio * (1 + spread) / (1 + ratio * spread)


@dataclass(frozen=True)
class SurvivalOverSites:
    """Mean and standard deviation over new sites of the survival at one time."""

    mean: float
    sd: float


def new_site_survival(cumulative_hazard: float, *, site_sd: float) -> SurvivalOverSites:
    """Return mean and sd over new sites of exp(-H exp(b)) with b normal of mean 0 and sd ``site_sd``.

    By Gauss-Hermite quadrature with 200 nodes, compared with 160.

    Parameters
    ----------
    cumulative_hazard : float
        H in a site with effect 0.
    site_sd : float
        Standard deviation of the sites' log hazard ratios.

    Raises
    ------
    TrialError
        When the two quadratures differ by more than 1e-9, as they do for very large site effects.
    """
    hazard, sd = not_negative("cumulative_hazard", cumulative_hazard), not_negative("site_sd", site_sd)
    found = _moments(hazard, sd, NODES)
    doubt = np.abs(np.subtract(found, _moments(hazard, sd, FEWER_NODES))).max()
    if doubt > WORST_DIFFERENCE:
        raise TrialError(
            f"Survival over sites with an sd of {site_sd} is known to {doubt:.1g} only, which is not enough. "
            "Such sites have nothing in common; look at the sd."
        )
    return SurvivalOverSites(float(found[0]), math.sqrt(found[1]))


def _moments(hazard: float, sd: float, nodes: int) -> tuple[float, float]:
    """Return mean and variance; the variance as a mean of squares, so that it cannot come out negative."""
    effects, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    survival = np.exp(-hazard * np.exp(sd * effects))
    mean = float(weights @ survival)
    return mean, float(weights @ (survival - mean) ** 2)
