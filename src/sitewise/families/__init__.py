"""Survival distributions: log hazard, log cumulative hazard and their inverse, each formula once."""

from sitewise.families.base import Family, ShapeParameter
from sitewise.families.weibull import Exponential, Weibull

FAMILIES: dict[str, type[Family]] = {"weibull": Weibull, "exponential": Exponential}
"""Families by the name that ``study.toml`` and saved fits use."""

__all__ = ["FAMILIES", "Exponential", "Family", "ShapeParameter", "Weibull"]
