"""Averaged survival curves of groups and what follows from them: hazards, quantiles, restricted means.

Every function returns a DataArray that keeps ``chain`` and ``draw``: averages over members (and over sites, where the
treatment says so) are taken inside each draw, and medians, quantiles and restricted means are functionals of the averaged
curve of that draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from sitewise import names
from sitewise.estimands.averages import Averages, mixture_averages
from sitewise.estimands.draws import IndexDraws, index_draws
from sitewise.estimands.group_members import design_rows, distinct_members, own_sites, weights_of
from sitewise.estimands.pooled import pooled_curves
from sitewise.estimands.populations import Group, Population
from sitewise.estimands.shape_averages import shape_averages
from sitewise.estimands.sites import Average, Marginal, New, Observed, SiteTreatment
from sitewise.models.fitted import Fitted, completed_fits
from sitewise.models.resolve import resolved_design
from sitewise.problems import SpecError, listed, nearest

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GroupCurves:
    """The averaged curves of some groups under one site treatment, ready for any functional.

    Parameters
    ----------
    groups : list of Group
        Whom.
    sites : SiteTreatment
        At which sites.
    draws : IndexDraws
        The posterior.
    averages : Averages
        The groups' averages over members and sites.
    guarantee_time : float
        Survival is 1 before it.
    time_unit : str
        Unit of times.
    """

    groups: list[Group]
    sites: SiteTreatment
    draws: IndexDraws
    averages: Averages
    guarantee_time: float
    time_unit: str

    def survival(self, times: ArrayLike) -> xr.DataArray:
        """Return S(t), dims (chain, draw, group, time)."""
        return self._wrap(self._survival(_times(times)), names.SURVIVAL, times=_times(times))

    def cumulative_hazard(self, times: ArrayLike) -> xr.DataArray:
        """Return -log S(t) of the averaged curve, dims (chain, draw, group, time)."""
        with np.errstate(divide="ignore"):
            values = -np.log(self._survival(_times(times)))
        return self._wrap(np.maximum(values, 0.0), "cumulative_hazard", times=_times(times))

    def hazard(self, times: ArrayLike) -> xr.DataArray:
        """Return the hazard of the averaged curve, -d log S / dt, dims (chain, draw, group, time).

        That is the survival-weighted mean of the members' hazards, not their plain mean.
        """
        moments = _times(times)
        begun = moments > self.guarantee_time
        # Before the guarantee time the hazard is zero; any later time keeps the formulas finite there.
        later = np.where(begun, moments, self.guarantee_time + 1.0)
        values = np.where(begun, self.averages.hazard(self._log_time(later)[None]), 0.0)
        return self._wrap(values, "hazard", times=moments)

    def quantile(self, level: float) -> xr.DataArray:
        """Return the time by which a share ``level`` has had the event, dims (chain, draw, group)."""
        if not 0 < level < 1:
            raise SpecError(f"A quantile level must be inside (0, 1); got {level}.")
        with np.errstate(over="ignore"):
            times = np.exp(self.averages.log_time_at(1 - level))
        name = names.MEDIAN_SURVIVAL if level == 0.5 else "quantile"
        return self._wrap(self.guarantee_time + times, name, level=level)

    def rmst(self, horizon: float) -> xr.DataArray:
        """Return the restricted mean survival time, the area under S up to ``horizon``, dims (chain, draw, group)."""
        if not (0 < horizon < float("inf")):
            raise SpecError(f"An RMST needs a positive finite horizon; got {horizon}.")
        beyond = horizon - self.guarantee_time
        if beyond <= 0:
            values = np.full((self.draws.size, len(self.groups)), float(horizon))
        else:
            values = self.guarantee_time + np.clip(self.averages.restricted_mean(beyond), 0.0, beyond)
        return self._wrap(values, names.RMST, horizon=horizon)

    def _survival(self, times: Floats) -> Floats:
        values = self.averages.survival(self._log_time(times)[None])
        return np.where((times > self.guarantee_time)[None, None, :], values, 1.0)

    def _log_time(self, times: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(times - self.guarantee_time, 0.0))

    def _wrap(
        self,
        values: Floats,
        name: str,
        *,
        times: Floats | None = None,
        horizon: float | None = None,
        level: float | None = None,
    ) -> xr.DataArray:
        last = np.array([group.last_time for group in self.groups])
        coords: dict[str, Any] = {
            names.CHAIN: np.arange(self.draws.chains),
            names.DRAW: np.arange(self.draws.draws),
            names.GROUP: [group.label for group in self.groups],
            "last_time": (names.GROUP, last),
            "partition": (names.GROUP, [group.partition for group in self.groups]),
        }
        dims: tuple[str, ...] = (names.CHAIN, names.DRAW, names.GROUP)
        if times is not None:
            dims = (*dims, names.TIME)
            coords[names.TIME] = times
            coords["extrapolated"] = ((names.GROUP, names.TIME), times[None, :] > last[:, None])
        elif horizon is not None:
            coords["extrapolated"] = (names.GROUP, horizon > last)
        attributes: dict[str, Any] = {"sites": self.sites.label, "time_unit": self.time_unit, **self.draws.attributes}
        attributes |= {} if horizon is None else {"horizon": horizon}
        attributes |= {} if level is None else {"level": level}
        shaped = values.reshape(self.draws.chains, self.draws.draws, *values.shape[1:])
        return xr.DataArray(shaped, dims=dims, coords=coords, name=name, attrs=attributes)


def group_curves(fit: Fitted, groups: Population, *, sites: SiteTreatment, bootstrap_seed: int | None = None) -> GroupCurves:
    """Return the averaged curves of ``groups`` under a site treatment.

    Parameters
    ----------
    fit : Fitted
        A fit.
    groups : Population
        :class:`RiskGroups`, :class:`Profiles` or :class:`Standardised`.
    sites : SiteTreatment
        :class:`Observed`, :class:`Average`, :class:`Marginal` or :class:`New`.
    bootstrap_seed : int, optional
        Members are taken as fixed by default; with a seed their weights are drawn anew in every draw from a flat
        Dirichlet (Bayesian bootstrap), so that the interval is for the population that they come from.

    Raises
    ------
    SpecError
        When the treatment needs what the model does not have.
    """
    if completed_fits(fit):
        each = [group_curves(own, groups, sites=sites, bootstrap_seed=bootstrap_seed) for own in completed_fits(fit)]
        return pooled_curves(fit, each)
    made = groups.groups(fit.cohort)
    draws = index_draws(fit)
    _check_treatment(sites, draws, fit, made)
    design = resolved_design(fit.spec, fit.cohort)
    site = _shared_site(sites, draws, fit)
    parts = [
        (design_rows(group, design), own_sites(group, fit, sites), weights_of(group, fit, draws, bootstrap_seed))
        for group in made
    ]
    averages: Averages
    if fit.spec.shape_differs:
        averages = shape_averages(fit, draws, made, parts, sites=sites, site=site)
    else:
        members = [distinct_members(*part, fit, draws) for part in parts]
        averages = mixture_averages(members, draws, site, over_sites=isinstance(sites, Marginal))
    return GroupCurves(
        made,
        sites,
        draws,
        averages,
        fit.spec.guarantee_time,
        fit.cohort.time_unit,
    )


def _shared_site(sites: SiteTreatment, draws: IndexDraws, fit: Fitted) -> tuple[Floats, Floats | None]:
    """Return the effect, (s,), of the site at which all are, and its slopes, (s, K); None where it has none."""
    if isinstance(sites, Observed) and sites.site is not None:
        place = fit.spec.resolved.site_labels.index(str(sites.site))
        return draws.site_effect[:, place], draws.site_slope[:, place] if draws.has_slopes else None
    if isinstance(sites, New) and draws.site_sd is not None:
        effect, slopes = draws.new_site(fit.seed if sites.seed is None else sites.seed)
        return effect, slopes if draws.has_slopes else None
    return np.zeros(draws.size), None


def _check_treatment(sites: SiteTreatment, draws: IndexDraws, fit: Fitted, groups: Sequence[Group]) -> None:
    if isinstance(sites, Average):
        return
    labels = fit.spec.resolved.site_labels
    if isinstance(sites, Observed):
        if sites.site is not None and sites.site not in labels:
            raise SpecError(f"There is no site '{sites.site}'. {nearest(str(sites.site), labels)} Sites: {listed(labels)}.")
        homeless = [group.label for group in groups if group.site is None]
        if sites.site is None and labels and homeless:
            raise SpecError(
                f"Groups {listed(homeless)} are hypothetical people without a site of their own; name one "
                "(Observed(site)), or use Average(), Marginal() or New()."
            )
        return
    if fit.spec.has_sites and draws.site_sd is None:
        raise SpecError(
            "Fixed site effects have no distribution of sites to average over or draw from; use Observed() or Average(), or "
            "fit random sites."
        )


def _times(times: ArrayLike) -> Floats:
    values = np.atleast_1d(np.asarray(times, dtype=float))
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise SpecError("Times must be a list of finite numbers that are zero or positive.")
    return values
