"""The distinct people of a group: their log hazards under draws, and how much these differ between sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Members:
    """The distinct people of a group.

    Parameters
    ----------
    rows : ndarray, shape (m, p)
        Design rows, centred at the covariate means.
    site : ndarray of int, shape (m,), or None
        Each one's site; None when the site effect is not part of the members' log hazards.
    weights : ndarray, shape (m,) or (s, m)
        Shares of the group, summing to 1; by draw under the Bayesian bootstrap.
    distances : ndarray, shape (m, K), optional
        Distances from the reference patient in the columns with random slopes.
    """

    rows: Floats
    site: Rows | None
    weights: Floats
    distances: Floats | None = None

    def log_hazards(self, coefficients: Floats, site_effect: Floats, site_slope: Floats | None = None) -> Floats:
        """Return log hazards against the covariate means, (b, m).

        For coefficients (b, p), site effects (b, J) and, if there are any, slopes (b, J, K).
        """
        own = coefficients @ self.rows.T
        if self.site is None:
            return own
        own = own + site_effect[:, self.site]
        if site_slope is not None and self.distances is not None:
            for place, distance in enumerate(self.distances.T):
                own += site_slope[:, self.site, place] * distance
        return own

    def sds_over_sites(self, site_sd: Floats, site_slope_sd: Floats, correlation: Floats | None = None) -> Floats:
        """Return the sds of the log hazards over sites, (b, m), for sds of site effects (b,) and of slopes (b, K).

        With the correlation matrices R = L L' of a site's effect and slopes, (b, 1 + K, 1 + K), the variance is
        v' R v = |L' v|^2, v the sd of the effect and those of the slopes times the distances.
        """
        assert self.distances is not None
        if correlation is None:
            return np.sqrt(site_sd[:, None] ** 2 + site_slope_sd**2 @ self.distances.T**2)
        own = np.empty((site_sd.size, *self.distances.shape[:1], 1 + site_slope_sd.shape[1]))
        own[..., 0], own[..., 1:] = site_sd[:, None], site_slope_sd[:, None, :] * self.distances
        return np.asarray(np.linalg.norm(own @ np.linalg.cholesky(correlation), axis=-1))
