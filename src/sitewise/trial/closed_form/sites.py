"""Hazard ratios and survival over sites that differ: gamma frailty, and a log-normal effect of a new site."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import not_negative, positive

NODES = np.linspace(-10.0, 10.0, 4001)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
LARGEST_SITE_SD = 20.0
"""Up to here the rule below is exact to rounding; hazards of sites do not differ by a factor of exp(20)."""


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

    By the trapezoidal rule at steps of .005 standard deviations. The integrand is analytic and bounded in a strip of half-width
    pi / (2 site_sd), so that the error falls as exp(-pi^2 / (step site_sd)) (Trefethen & Weideman 2014, SIAM Review 56:385);
    Gauss-Hermite quadrature, the usual choice, needs hundreds of nodes as soon as the sd is above 2.

    Parameters
    ----------
    cumulative_hazard : float
        H in a site with effect 0.
    site_sd : float
        Standard deviation of the sites' log hazard ratios.

    Raises
    ------
    TrialError
        When the sd is above 20.
    """
    hazard, sd = not_negative("cumulative_hazard", cumulative_hazard), not_negative("site_sd", site_sd)
    if sd > LARGEST_SITE_SD:
        raise TrialError(f"site_sd is {site_sd}. Give the sd of log hazard ratios, at most {LARGEST_SITE_SD:g}.")
    with np.errstate(under="ignore", over="ignore"):
        survival = np.exp(-hazard * np.exp(sd * NODES))
    mean = float(WEIGHTS @ survival)
    return SurvivalOverSites(mean, math.sqrt(float(WEIGHTS @ (survival - mean) ** 2)))
