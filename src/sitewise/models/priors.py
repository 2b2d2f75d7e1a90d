"""Priors as data: names of PyMC distributions and their parameters, and the contract's defaults.

A prior here is only described. The PyMC graph (:mod:`sitewise.models.graph`) turns it into a random variable and the
stored log prior evaluates the very same distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from scipy.special import ndtri

from sitewise.models.prior import Prior as Prior
from sitewise.models.prior_reading import read_prior
from sitewise.models.shrinkage import R2D2, RegularisedHorseshoe
from sitewise.models.site_effects import RandomSites, SiteEffect
from sitewise.models.student_t import log_ratio_between_sites
from sitewise.models.term_laws import Exchangeable, Monotone
from sitewise.names import HAZARD_RATIO
from sitewise.problems import SpecError

LOG_RATIO_BETWEEN_SITES = math.sqrt(2) * float(ndtri(0.75))
"""Median of |b_1 - b_2| for two site effects from Normal(0, 1): 0.954 (Larsen & Merlo 2005, Am J Epidemiol 161:81)."""


def median_survival_prior(*, median: float, quantile_975: float, guarantee_time: float = 0.0) -> Prior:
    """Return the prior of log median survival with this median and 97.5 % point, both in the cohort's time unit.

    Log-normal: log median survival ~ Normal(log median, log(quantile_975 / median) / 1.96). With a guarantee time g both
    are taken beyond g.
    """
    if not guarantee_time < median < quantile_975:
        raise SpecError(
            f"median_survival needs guarantee_time < median < quantile_975; got {guarantee_time:g}, {median:g}, "
            f"{quantile_975:g}."
        )
    centre = math.log(median - guarantee_time)
    spread = (math.log(quantile_975 - guarantee_time) - centre) / float(ndtri(0.975))
    return Prior("Normal", mu=centre, sigma=spread)


def site_sd_from_median_ratio(
    *, above: float, prob: float, dist: str = "HalfNormal", degrees_of_freedom: float | None = None
) -> Prior:
    """Return the prior of the site sd under which the median ratio between two sites exceeds ``above`` with ``prob``.

    The median hazard (or time) ratio is exp(0.954 sd), so the sd exceeds log(above) / 0.954 with that probability. For
    Student-t sites 0.954 is another number, by their degrees of freedom (:mod:`sitewise.models.student_t`).
    """
    if not (above > 1 and 0 < prob < 1):
        raise SpecError(f"A median ratio must be above 1 and its prob inside (0, 1); got {above:g}, {prob:g}.")
    log_ratio = LOG_RATIO_BETWEEN_SITES
    if degrees_of_freedom is not None:
        log_ratio = float(log_ratio_between_sites(np.array(degrees_of_freedom)))
    bound = math.log(above) / log_ratio
    if dist == "HalfNormal":
        return Prior(dist, sigma=bound / float(ndtri(1 - prob / 2)))
    if dist == "Exponential":
        return Prior(dist, lam=-math.log(prob) / bound)
    if dist == "HalfCauchy":
        return Prior(dist, beta=bound / math.tan(math.pi / 2 * (1 - prob)))
    raise SpecError(f"A median ratio sets HalfNormal, Exponential or HalfCauchy priors, not {dist}.")


@dataclass(frozen=True)
class Priors:
    """What the user says of priors; anything left out takes the contract's default when the spec is resolved.

    Parameters
    ----------
    shape : Prior, optional
        Of the shape; default LogNormal(0, 0.5).
    coefficients : Prior, RegularisedHorseshoe or R2D2, optional
        Of every coefficient *as its column is written*. Default: Normal(0, 1) per standard deviation of a numeric
        column, and as they are on 0/1 columns; the same scale has a horseshoe. Of those without a prior of their own.
    terms : mapping of str to Prior, Exchangeable or Monotone
        Of single terms (``"age"``) or coefficients (``"ecog[>=1]"``), as their columns are written. Of a monotone effect a
        prior is that of its total.
    log_median : Prior, optional
        Of log median survival (beyond the guarantee time) of the reference patient at an average site. Default
        Normal(log(ln 2 x person-time / events), 1.5).
    log_scale, log_scale_at_means : Prior, optional
        Instead of ``log_median``: of the log scale of the reference patient, or at the covariate means.
    site_sd : Prior, optional
        Of the sd of random site effects; default HalfNormal(0.5), in the spec's metric.
    site_slope_sd : Prior, optional
        Of the sd of random slopes as their columns are written; default HalfNormal(0.5) per standard deviation of a numeric
        column, and as it is on 0/1 columns.
    site_correlation : Prior, optional
        Of the correlation matrix of a site's effect and slopes, where they are correlated: an ``LKJCorr`` (Lewandowski,
        Kurowicka & Joe 2009); default eta 2, under which strong correlations are unlikely.
    site_degrees_of_freedom : Prior, optional
        Of the degrees of freedom above 2 of Student-t sites; default Gamma(2, 0.1), as proposed by Juarez & Steel 2010 for
        all of them.
    grouping_sd : Prior, optional
        Of the sd of each further grouping's effects; default HalfNormal(0.5), in the spec's metric.
    shape_terms : mapping of str to Prior
        Of what terms or columns of the log shape add to it, as the columns are written. Default: Normal(0, 0.5) per standard
        deviation of a numeric column, and as they are on 0/1 columns.
    site_shape_sd : Prior, optional
        Of the sd of the sites' log shapes; default HalfNormal(0.3).
    site_effects : Prior, optional
        Sd of fixed site effects (sum to zero): a ``ZeroSumNormal``; default sigma 1.
    """

    shape: Prior | None = None
    coefficients: Prior | RegularisedHorseshoe | R2D2 | None = None
    terms: Mapping[str, Prior | Exchangeable | Monotone] = field(default_factory=dict)
    log_median: Prior | None = None
    log_scale: Prior | None = None
    log_scale_at_means: Prior | None = None
    site_sd: Prior | None = None
    site_effects: Prior | None = None
    site_slope_sd: Prior | None = None
    site_correlation: Prior | None = None
    site_degrees_of_freedom: Prior | None = None
    grouping_sd: Prior | None = None
    shape_terms: Mapping[str, Prior] = field(default_factory=dict)
    site_shape_sd: Prior | None = None

    def __post_init__(self) -> None:
        baselines = [name for name in ("log_median", "log_scale", "log_scale_at_means") if getattr(self, name) is not None]
        if len(baselines) > 1:
            raise SpecError(f"Give one prior of the baseline, not {' and '.join(baselines)}.")
        object.__setattr__(self, "terms", dict(self.terms))
        object.__setattr__(self, "shape_terms", dict(self.shape_terms))
        misplaced = [self.coefficients] if isinstance(self.coefficients, Exchangeable | Monotone) else []
        misplaced += [law for law in self.terms.values() if isinstance(law, RegularisedHorseshoe | R2D2)]
        for law in misplaced:
            raise SpecError(f"{law} is a prior of {law.suits}: give it as such.")

    def without_sites(self) -> Priors:
        """Return the priors of all but the sites."""
        free = replace(self, site_sd=None, site_effects=None, site_slope_sd=None, site_shape_sd=None)
        return replace(free, site_correlation=None, site_degrees_of_freedom=None)

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], *, metric: str, guarantee_time: float = 0.0, sites: SiteEffect | None = None
    ) -> Self:
        """Return the priors written as the ``[priors]`` table of ``study.toml``, for sites of a distribution."""
        known = {item.name for item in fields(cls)} - {"terms", "site_sd"}
        made: dict[str, Any] = {"terms": {}}
        for key, value in data.items():
            where = f"priors.{key}"
            if not isinstance(value, Mapping):
                raise SpecError(f'{where} must be a table such as {{ dist = "Normal", mu = 0, sigma = 1 }}.')
            if key == "median_survival":
                _only(value, {"median", "quantile_975"}, where)
                made["log_median"] = median_survival_prior(**value, guarantee_time=guarantee_time)
            elif key == "shape_terms":
                made[key] = {name: Prior.from_dict(prior, f"{where}.{name}") for name, prior in value.items()}
            elif key == "site_sd":
                made["site_sd"] = _read_site_sd(value, metric, where, sites)
            elif key in known:
                made[key] = read_prior(value, where) if key == "coefficients" else Prior.from_dict(value, where)
            else:
                made["terms"][key] = read_prior(value, where)
        return cls(**made)


def log_ratio_per_sd(sites: SiteEffect) -> float | None:
    """Return the log of the median ratio between two random sites in units of their sd; None where it depends on the draw."""
    if not (isinstance(sites, RandomSites) and sites.is_student_t):
        return LOG_RATIO_BETWEEN_SITES
    if sites.degrees_of_freedom is None:
        return None
    return float(log_ratio_between_sites(np.array(sites.degrees_of_freedom)))


def _only(value: Mapping[str, Any], keys: set[str], where: str) -> None:
    if set(value) != keys:
        raise SpecError(f"{where} takes {' and '.join(sorted(keys))}; got {', '.join(map(str, value))}.")
    for key in keys:
        _number(value, key, where)


def _number(value: Mapping[str, Any], key: str, where: str) -> None:
    if isinstance(value[key], bool) or not isinstance(value[key], int | float):
        raise SpecError(f"{where}: {key} must be a number; it is {value[key]!r}.")


def _read_site_sd(value: Mapping[str, Any], metric: str, where: str, sites: SiteEffect | None) -> Prior:
    ratio = "median_hazard_ratio_above" if metric == HAZARD_RATIO else "median_time_ratio_above"
    other = "median_time_ratio_above" if metric == HAZARD_RATIO else "median_hazard_ratio_above"
    if other in value:
        raise SpecError(f"{where}: with metric '{metric}' the site spread is set by {ratio}, not {other}.")
    if ratio not in value:
        return Prior.from_dict(value, where)
    if not set(value) <= {ratio, "prob", "dist"} or "prob" not in value:
        raise SpecError(f"{where} takes {ratio}, prob and dist; got {', '.join(map(str, value))}.")
    for key in (ratio, "prob"):
        _number(value, key, where)
    freedom = None
    if isinstance(sites, RandomSites) and sites.is_student_t:
        freedom = sites.degrees_of_freedom
        if freedom is None:
            raise SpecError(
                f"{where}: {ratio} sets the sd of sites whose distribution is known. Where degrees of freedom have a prior, "
                'give the sd one itself, such as { dist = "HalfNormal", sigma = 0.5 }.'
            )
    dist = value.get("dist", "HalfNormal")
    return site_sd_from_median_ratio(above=value[ratio], prob=value["prob"], dist=dist, degrees_of_freedom=freedom)
