"""Whether the parts of a spec go together; asked whenever one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sitewise import names
from sitewise.families.base import EXTREME_VALUE
from sitewise.models.site_effects import RandomSites
from sitewise.names import HAZARD_RATIO, TIME_RATIO
from sitewise.problems import SpecError, listed, nearest

if TYPE_CHECKING:
    from sitewise.models.spec import ModelSpec


def check_spec(spec: ModelSpec) -> None:
    """Check that family, metric, sites and shape of a spec go together.

    Raises
    ------
    SpecError
        When they do not, with what to use instead.
    """
    if spec.metric not in (HAZARD_RATIO, TIME_RATIO):
        raise SpecError(f"metric is '{spec.metric}'. {nearest(spec.metric, (HAZARD_RATIO, TIME_RATIO))}")
    if spec.metric not in spec.family.metrics:
        raise SpecError(
            f"The {spec.family.name} family has no '{spec.metric}' metric. Use metric='{min(spec.family.metrics)}'."
        )
    lacking = [term for term in spec.slopes if term not in spec.terms]
    if lacking:
        raise SpecError(
            f"{listed(lacking)} {'has' if len(lacking) == 1 else 'have'} a random slope but no effect at an average site. "
            f"Add {'it' if len(lacking) == 1 else 'them'} to the terms."
        )
    if spec.slopes and spec.family.standard != EXTREME_VALUE:
        raise SpecError(
            f"Random slopes are fitted where covariates multiply the hazard, not with {spec.family.name} times: "
            "write (1 | site)."
        )
    if spec.shape_differs and names.SHAPE not in {item.name for item in spec.family.shape_parameters}:
        raise SpecError(f"The {spec.family.name} family has no shape that could differ. Use Weibull(), or leave shape out.")
    if spec.shape_sites and not isinstance(spec.sites, RandomSites):
        raise SpecError("A shape that differs by site needs random site effects beside it: add (1 | site) to the formula.")
    if not (0 <= spec.guarantee_time < float("inf")):
        raise SpecError(f"guarantee_time is {spec.guarantee_time}; it must be zero or a positive time.")
