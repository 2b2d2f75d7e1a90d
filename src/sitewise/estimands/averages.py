"""What is averaged of a group: survival, hazard, quantiles and restricted means of its averaged curve, in each draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sitewise.estimands.areas import restricted_means
from sitewise.estimands.draws import IndexDraws
from sitewise.estimands.members import Members
from sitewise.estimands.mixture import Mixture, make_mixture

Floats = NDArray[np.float64]


class Averages(Protocol):
    """Averaged curves of G groups under s draws; times are logs of times beyond the guarantee time."""

    def survival(self, log_time: Floats) -> Floats:
        """Return S at log times, (1 or s, T), as (s, G, T)."""
        ...

    def density(self, log_time: Floats) -> Floats:
        """Return -dS / dt at finite log times, (1 or s, T), as (s, G, T)."""
        ...

    def hazard(self, log_time: Floats) -> Floats:
        """Return -d log S / dt at finite log times, (1 or s, T), as (s, G, T)."""
        ...

    def log_time_at(self, level: float) -> Floats:
        """Return the log time at which S = ``level``, (s, G); infinite where it is never reached."""
        ...

    def restricted_mean(self, beyond: float) -> Floats:
        """Return the mean of min(T, beyond), (s, G)."""
        ...


@dataclass(frozen=True, eq=False)
class MixtureAverages:
    """Averages over a mixture of the index, of which time is a function that all share.

    Parameters
    ----------
    draws : IndexDraws
        The posterior.
    mixture : Mixture
        Masses of the groups over the index.
    shift : ndarray, shape (s,)
        Added to every index of a draw (a site that all share).
    """

    draws: IndexDraws
    mixture: Mixture
    shift: Floats

    def survival(self, log_time: Floats) -> Floats:
        """Return S; see :class:`Averages`."""
        return self.mixture.survival(self._index(log_time))

    def density(self, log_time: Floats) -> Floats:
        """Return -dS / dt; see :class:`Averages`."""
        return self.mixture.density(self._index(log_time)) * self._rate(log_time)

    def hazard(self, log_time: Floats) -> Floats:
        """Return -d log S / dt; see :class:`Averages`."""
        index = self._index(log_time)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.mixture.density(index) / self.mixture.survival(index)
        return ratio * self._rate(log_time)

    def log_time_at(self, level: float) -> Floats:
        """Return the log time at which S = ``level``; see :class:`Averages`."""
        with np.errstate(over="ignore"):
            index = self.mixture.index_at(level) - self.shift[:, None]
            return np.asarray(self.draws.family.log_time_at(index, *self.draws.columns()))

    def restricted_mean(self, beyond: float) -> Floats:
        """Return the mean of min(T, beyond); see :class:`Averages`."""
        return restricted_means(self.mixture, self.draws, self.shift, beyond)

    def _rate(self, log_time: Floats) -> Floats:
        return np.asarray(self.draws.family.index_rate(log_time, *self.draws.columns()))[:, None, :]

    def _index(self, log_time: Floats) -> Floats:
        index = self.draws.family.index(log_time, *self.draws.columns())
        return np.asarray(index + self.shift[:, None])


def mixture_averages(
    members: list[Members], draws: IndexDraws, site: tuple[Floats, Floats | None], *, over_sites: bool
) -> MixtureAverages:
    """Return the averages of groups of members.

    Parameters
    ----------
    members : list of Members
        The groups.
    draws : IndexDraws
        The posterior.
    site : tuple of ndarray, shapes (s,) and (s, K), or None
        Effect and slopes of the site at which all are; zeros and None where there is none.
    over_sites : bool
        Whether to average over the distribution of sites.
    """
    shift, site_slope = site
    site_effect = draws.site_effect
    if site_slope is not None:  # all are at one site, whose effect is the shift: its slopes are what is left
        site_effect, site_slope = np.zeros((draws.size, 1)), site_slope[:, None]
        members = [replace(each, site=np.zeros(each.rows.shape[0], dtype=np.int64)) for each in members]
    elif draws.has_slopes:
        site_slope = draws.site_slope
    mixture = make_mixture(
        members,
        draws.coefficients,
        site_effect,
        draws.site_sd if over_sites else None,
        site_slope=site_slope,
        site_slope_sd=draws.site_slope_sd if draws.has_slopes else None,
        site_correlation=draws.site_correlation,
        degrees_of_freedom=draws.degrees_of_freedom,
    )
    mixture = replace(mixture, standard=draws.family.standard, tail=draws.family.tail(draws.shape))
    return MixtureAverages(draws, mixture, shift)
