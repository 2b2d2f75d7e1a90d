"""A posterior as flat arrays on the scale of the index, whatever the metric of the spec.

The index is what covariates and sites add to: the log cumulative hazard, or for log-normal and log-logistic times the
standardised log time (:attr:`sitewise.families.Family.standard`). A log time ratio phi adds -k phi to it, draw by draw, and
site effects and slopes likewise; of a Weibull that is the log hazard ratio. The estimands are then written once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.families import Family
from sitewise.families.base import EXTREME_VALUE
from sitewise.models import student_t
from sitewise.models.fitted import Fitted
from sitewise.models.groupings import of_grouping

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class IndexDraws:
    """Posterior draws, chains after one another.

    Parameters
    ----------
    family : Family
        Baseline.
    shape : tuple of ndarray, shape (s,)
        Shape parameters.
    log_scale : ndarray, shape (s,)
        At the covariate means and an average site.
    coefficients : ndarray, shape (s, p)
        Log hazard ratios, or more generally what a unit of each column adds to the index; likewise below.
    site_effect : ndarray, shape (s, J)
        Log hazard ratios of the sites against an average site, of the reference patient; J is 0 without site effects.
    site_sd : ndarray, shape (s,), or None
        Sd of the sites' log hazard ratios; None unless the sites are random.
    site_slope : ndarray, shape (s, J, K)
        What each site adds to the log hazard ratios of the columns with random slopes; K is 0 without slopes.
    site_slope_sd : ndarray, shape (s, K)
        Sds of the sites' slopes.
    chains, draws : int
        s = chains x draws.
    site_correlation : ndarray, shape (s, 1 + K, 1 + K), or None
        Correlation matrices of a site's effect and slopes; None where these are independent.
    degrees_of_freedom : ndarray, shape (s,), or None
        Of the Student-t distribution of sites; None where it is normal.
    grouping_effects : tuple of ndarray, shape (s, L)
        Effects of the levels of each further grouping.
    importance_ess : float or None
        Of draws resampled from weighted ones: the effective sample size of the weights.
    imputations : int or None
        Of a pooled fit: how many completed cohorts, a chain each.
    """

    family: Family
    shape: tuple[Floats, ...]
    log_scale: Floats
    coefficients: Floats
    site_effect: Floats
    site_sd: Floats | None
    site_slope: Floats
    site_slope_sd: Floats
    chains: int
    draws: int
    site_correlation: Floats | None = None
    degrees_of_freedom: Floats | None = None
    grouping_effects: tuple[Floats, ...] = ()
    importance_ess: float | None = None
    imputations: int | None = None

    @property
    def attributes(self) -> dict[str, float]:
        """What every array of draws made from these says of them."""
        found = {names.IMPORTANCE_ESS: self.importance_ess, names.IMPUTATIONS: self.imputations}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def size(self) -> int:
        """Number of draws over all chains."""
        return self.chains * self.draws

    def new_site(self, seed: int) -> tuple[Floats, Floats]:
        """Return the effect, (s,), and the slopes, (s, K), of one new site a draw; of random sites only."""
        assert self.site_sd is not None
        rng = np.random.default_rng(seed)
        if self.degrees_of_freedom is not None:
            effect = student_t.unit_scale(self.degrees_of_freedom) * rng.standard_t(self.degrees_of_freedom)
            return self.site_sd * effect, self.site_slope_sd
        standard = np.column_stack([rng.standard_normal(self.size), rng.standard_normal(self.site_slope_sd.shape)])
        if self.site_correlation is not None:
            standard = (np.linalg.cholesky(self.site_correlation) @ standard[..., None])[..., 0]
        return self.site_sd * standard[:, 0], self.site_slope_sd * standard[:, 1:]

    @property
    def has_slopes(self) -> bool:
        """Whether effects of covariates differ between sites."""
        return self.site_slope_sd.size > 0

    @property
    def hazards_add(self) -> bool:
        """Whether the index is the log cumulative hazard, so that there are hazard ratios."""
        return self.family.standard == EXTREME_VALUE

    def columns(self, rows: slice | NDArray[np.int64] = slice(None)) -> tuple[Floats, tuple[Floats, ...]]:
        """Return log scale, (b, 1), and shape parameters, each (b, 1), of some draws: as the family's methods take them."""
        return self.log_scale[rows, None], tuple(item[rows, None] for item in self.shape)


def index_draws(fit: Fitted) -> IndexDraws:
    """Return a fit's posterior on the scale of the index."""
    posterior, spec = fit.posterior, fit.spec
    chains, draws = posterior.sizes[names.CHAIN], posterior.sizes[names.DRAW]

    def flat(name: str, *dims: str) -> Floats:
        values = posterior[name].transpose(names.CHAIN, names.DRAW, *dims).to_numpy()
        return values.reshape(chains * draws, *values.shape[2:])

    shape = tuple(flat(item.name) for item in spec.family.shape_parameters)
    columns = tuple(item[:, None] for item in shape)
    coefficients, site_effect = np.zeros((chains * draws, 0)), np.zeros((chains * draws, 0))
    time_ratio = spec.metric == names.TIME_RATIO
    if spec.resolved.columns:
        coefficients = flat(names.LOG_TIME_RATIO if time_ratio else names.LOG_HAZARD_RATIO, names.TERM)
        coefficients = spec.family.log_index_ratio(coefficients, columns) if time_ratio else coefficients
    if spec.has_sites:
        site_effect = flat(names.SITE_EFFECT, names.SITE)
        site_effect = spec.family.log_index_ratio(site_effect, columns) if time_ratio else site_effect
    site_sd = None
    if spec.resolved.site_sd is not None:
        site_sd = flat(names.SITE_SD)
        site_sd = np.abs(spec.family.log_index_ratio(site_sd, shape)) if time_ratio else site_sd
    site_slope, site_slope_sd = np.zeros((*site_effect.shape, 0)), np.zeros((chains * draws, 0))
    if spec.resolved.slope_columns:
        site_slope, site_slope_sd = flat(names.SITE_SLOPE, names.SITE, names.SLOPE), flat(names.SITE_SLOPE_SD, names.SLOPE)
        if time_ratio:
            site_slope = spec.family.log_index_ratio(site_slope, tuple(item[:, None, None] for item in shape))
            site_slope_sd = np.abs(spec.family.log_index_ratio(site_slope_sd, columns))
    correlation = None
    if spec.resolved.site_correlation is not None:  # of log time ratios it is that of log hazard ratios: all change sign
        correlation = flat(names.SITE_CORRELATION, names.SITE_TERM, names.OTHER_SITE_TERM)
    estimated = (names.SITE_SD, names.SITE_DEGREES_OF_FREEDOM)
    freedom = student_t.degrees_of_freedom(spec, {name: flat(name) for name in estimated if name in posterior})
    grouping_effects = tuple(
        flat(of_grouping(names.GROUPING_EFFECT, name), of_grouping(names.LEVEL, name)) for name in spec.groupings
    )
    if time_ratio:
        grouping_effects = tuple(spec.family.log_index_ratio(each, columns) for each in grouping_effects)
    return IndexDraws(
        spec.family,
        shape,
        flat(names.LOG_SCALE_AT_MEANS),
        coefficients,
        site_effect,
        site_sd,
        site_slope,
        site_slope_sd,
        chains,
        draws,
        correlation,
        freedom,
        grouping_effects,
        posterior[names.LOG_SCALE_AT_MEANS].attrs.get(names.IMPORTANCE_ESS),
        posterior[names.LOG_SCALE_AT_MEANS].attrs.get(names.IMPUTATIONS),
    )
