"""Priors as data: names of PyMC distributions and their parameters, and the contract's defaults.

A prior here is only described. The PyMC graph (:mod:`sitewise.models.graph`) turns it into a random variable and the
stored log prior evaluates the very same distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from scipy.special import ndtri

from sitewise.names import HAZARD_RATIO
from sitewise.problems import SpecError

LOG_RATIO_BETWEEN_SITES = math.sqrt(2) * float(ndtri(0.75))
"""Median of |b_1 - b_2| for two site effects from Normal(0, 1): 0.954 (Larsen & Merlo 2005, Am J Epidemiol 161:81)."""


@dataclass(frozen=True)
class Prior:
    """A distribution by its PyMC name, such as ``Prior("Normal", mu=0, sigma=1)``.

    Parameters
    ----------
    dist : str
        Name of a PyMC distribution.
    **parameters : float
        Its parameters, by PyMC's names.
    """

    dist: str
    parameters: tuple[tuple[str, float], ...]

    def __init__(self, dist: str, /, **parameters: float):
        object.__setattr__(self, "dist", dist)
        try:
            pairs = tuple(sorted((key, float(value)) for key, value in parameters.items()))
        except (TypeError, ValueError) as error:
            raise SpecError(f"Parameters of the prior {dist} must be numbers: {parameters}.") from error
        object.__setattr__(self, "parameters", pairs)

    @property
    def values(self) -> dict[str, float]:
        """The parameters as a dict."""
        return dict(self.parameters)

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={value:.4g}" for key, value in self.parameters)
        return f"{self.dist}({inside})"

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"dist": ..., parameters}``, the form of ``study.toml``."""
        return {"dist": self.dist, **self.values}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "prior") -> Self:
        """Return the prior written as ``{"dist": ..., parameters}``."""
        if not isinstance(data.get("dist"), str):
            raise SpecError(f'{where}: name a PyMC distribution as dist = "..."; got {dict(data)}.')
        return cls(data["dist"], **{key: value for key, value in data.items() if key != "dist"})

    def shifted(self, shift: float) -> Prior:
        """Return the prior of this quantity plus ``shift`` (distributions located by ``mu``)."""
        values = self.values
        if "mu" not in values:
            raise SpecError(
                f"The prior {self} of a baseline must be located by mu (Normal, StudentT, Laplace, ...), so that it can be "
                "moved between the reference patient and the covariate means."
            )
        return Prior(self.dist, **{**values, "mu": values["mu"] + shift})


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


def site_sd_from_median_ratio(*, above: float, prob: float, dist: str = "HalfNormal") -> Prior:
    """Return the prior of the site sd under which the median ratio between two sites exceeds ``above`` with ``prob``.

    The median hazard (or time) ratio is exp(0.954 sd), so the sd exceeds log(above) / 0.954 with that probability.
    """
    if not (above > 1 and 0 < prob < 1):
        raise SpecError(f"A median ratio must be above 1 and its prob inside (0, 1); got {above:g}, {prob:g}.")
    bound = math.log(above) / LOG_RATIO_BETWEEN_SITES
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
    coefficients : Prior, optional
        Of every coefficient *as its column is written*. Default: Normal(0, 1) per standard deviation of a numeric
        column, and as they are on 0/1 columns.
    terms : mapping of str to Prior
        Of single terms (``"age"``) or coefficients (``"ecog[>=1]"``), as their columns are written.
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
    shape_terms : mapping of str to Prior
        Of what terms or columns of the log shape add to it, as the columns are written. Default: Normal(0, 0.5) per standard
        deviation of a numeric column, and as they are on 0/1 columns.
    site_shape_sd : Prior, optional
        Of the sd of the sites' log shapes; default HalfNormal(0.3).
    site_effects : Prior, optional
        Sd of fixed site effects (sum to zero): a ``ZeroSumNormal``; default sigma 1.
    """

    shape: Prior | None = None
    coefficients: Prior | None = None
    terms: Mapping[str, Prior] = field(default_factory=dict)
    log_median: Prior | None = None
    log_scale: Prior | None = None
    log_scale_at_means: Prior | None = None
    site_sd: Prior | None = None
    site_effects: Prior | None = None
    site_slope_sd: Prior | None = None
    shape_terms: Mapping[str, Prior] = field(default_factory=dict)
    site_shape_sd: Prior | None = None

    def __post_init__(self) -> None:
        baselines = [name for name in ("log_median", "log_scale", "log_scale_at_means") if getattr(self, name) is not None]
        if len(baselines) > 1:
            raise SpecError(f"Give one prior of the baseline, not {' and '.join(baselines)}.")
        object.__setattr__(self, "terms", dict(self.terms))
        object.__setattr__(self, "shape_terms", dict(self.shape_terms))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, metric: str, guarantee_time: float = 0.0) -> Self:
        """Return the priors written as the ``[priors]`` table of ``study.toml``."""
        known = {"shape", "coefficients", "log_scale", "log_scale_at_means", "log_median", "site_effects", "site_slope_sd"}
        known |= {"site_shape_sd"}
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
                made["site_sd"] = _read_site_sd(value, metric, where)
            elif key in known:
                made[key] = Prior.from_dict(value, where)
            else:
                made["terms"][key] = Prior.from_dict(value, where)
        return cls(**made)


def _only(value: Mapping[str, Any], keys: set[str], where: str) -> None:
    if set(value) != keys:
        raise SpecError(f"{where} takes {' and '.join(sorted(keys))}; got {', '.join(map(str, value))}.")
    for key in keys:
        _number(value, key, where)


def _number(value: Mapping[str, Any], key: str, where: str) -> None:
    if isinstance(value[key], bool) or not isinstance(value[key], int | float):
        raise SpecError(f"{where}: {key} must be a number; it is {value[key]!r}.")


def _read_site_sd(value: Mapping[str, Any], metric: str, where: str) -> Prior:
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
    return site_sd_from_median_ratio(above=value[ratio], prob=value["prob"], dist=value.get("dist", "HalfNormal"))
