"""Correlated effects of a site: the density of their correlation matrix and of its slopes given its effect, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

Floats = NDArray[np.float64]


def lkj_log_density(eta: float, correlation: Floats) -> Floats:
    """Return the LKJ log density of correlation matrices (..., d, d) with respect to their d (d - 1) / 2 correlations.

    Proportional to det(R)^(eta - 1); the constant is (16) of Lewandowski, Kurowicka & Joe 2009, J Multivar Anal 100:1989.
    """
    size = correlation.shape[-1]
    left = size - np.arange(1, size)
    power = eta + (left - 1) / 2
    constant = np.log(2.0) * ((2 * (eta - 1) + left) * left).sum() + (left * betaln(power, power)).sum()
    return np.asarray((eta - 1) * np.linalg.slogdet(correlation)[1] - constant)


def slopes_log_density(standardised: Floats, slopes: Floats, slope_sd: Floats, correlation: Floats) -> Floats:
    """Return the log densities of slopes (..., J, K), each given the site's effect and the slopes before it.

    Their sum is the log density of a site's slopes given its effect.

    Parameters
    ----------
    standardised : ndarray, shape (..., J)
        Site effects in units of their sd.
    slopes : ndarray, shape (..., J, K)
        Slopes.
    slope_sd : ndarray, shape (..., K)
        Their sds.
    correlation : ndarray, shape (..., 1 + K, 1 + K)
        Correlation matrix of effect and slopes.
    """
    factor = np.linalg.cholesky(correlation)
    scaled = np.concatenate([standardised[..., None], slopes / slope_sd[..., None, :]], axis=-1)
    normal = np.linalg.solve(factor[..., None, :, :], scaled[..., None])[..., 1:, 0]
    spread = slope_sd * np.diagonal(factor, axis1=-2, axis2=-1)[..., 1:]
    return np.asarray(-0.5 * normal**2 - np.log(spread)[..., None, :] - 0.5 * np.log(2 * np.pi))
