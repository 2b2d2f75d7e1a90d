"""Survival distributions: log hazard, log cumulative hazard and their inverse, each formula once."""

from sitewise.families.base import Family, ShapeParameter
from sitewise.families.location_scale import LogLogistic, LogNormal
from sitewise.families.other_baselines import CuredWeibull
from sitewise.families.weibull import Exponential, Weibull

FAMILIES: dict[str, type[Family]] = {
    "weibull": Weibull,
    "exponential": Exponential,
    "log-normal": LogNormal,
    "log-logistic": LogLogistic,
}
"""Families that can be fitted, by the name that ``study.toml`` and saved fits use."""
BASELINES: dict[str, type[Family]] = {
    **FAMILIES,
    "mixture-cure": CuredWeibull,
}
"""Families that a scenario's event times can have, by name."""

__all__ = [
    "BASELINES",
    "FAMILIES",
    "CuredWeibull",
    "Exponential",
    "Family",
    "LogLogistic",
    "LogNormal",
    "ShapeParameter",
    "Weibull",
]
