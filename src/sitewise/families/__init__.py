"""Survival distributions: log hazard, log cumulative hazard and their inverse, each formula once."""

from sitewise.families.base import Family, ShapeParameter
from sitewise.families.generalised_gamma import Gamma, GeneralisedGamma
from sitewise.families.hazard_level import Gompertz
from sitewise.families.hazard_splines import MSpline, PiecewiseExponential
from sitewise.families.location_scale import LogLogistic, LogNormal
from sitewise.families.mixture_cure import MixtureCure
from sitewise.families.weibull import Exponential, Weibull

FAMILIES: dict[str, type[Family]] = {
    "weibull": Weibull,
    "exponential": Exponential,
    "gompertz": Gompertz,
    "log-normal": LogNormal,
    "log-logistic": LogLogistic,
    "gamma": Gamma,
    "generalised-gamma": GeneralisedGamma,
    "piecewise-exponential": PiecewiseExponential,
    "m-spline": MSpline,
    "mixture-cure": MixtureCure,
}
"""Families that can be fitted, by the name that ``study.toml`` and saved fits use."""
BASELINES: dict[str, type[Family]] = {
    name: FAMILIES[name] for name in ("weibull", "exponential", "log-normal", "log-logistic", "mixture-cure")
}
"""Families that a scenario's event times can have, by name; whatever they are, covariates multiply the hazard there."""

__all__ = [
    "BASELINES",
    "FAMILIES",
    "Exponential",
    "Family",
    "Gamma",
    "GeneralisedGamma",
    "Gompertz",
    "LogLogistic",
    "LogNormal",
    "MSpline",
    "MixtureCure",
    "PiecewiseExponential",
    "ShapeParameter",
    "Weibull",
]
