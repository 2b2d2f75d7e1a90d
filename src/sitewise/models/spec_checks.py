"""Whether the parts of a spec go together; asked whenever one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sitewise import names
from sitewise.models.site_checks import check_site_structure
from sitewise.models.site_effects import RandomSites
from sitewise.models.transforms import is_monotone
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
    check_site_structure(spec)
    if spec.shape_differs and names.SHAPE not in {item.name for item in spec.family.shape_parameters}:
        raise SpecError(f"The {spec.family.name} family has no shape that could differ. Use Weibull(), or leave shape out.")
    monotone = [term for term in spec.shape_terms if is_monotone(term)]
    if monotone:
        raise SpecError(f"{listed(monotone)}: monotone effects are of the formula, not of the shape. Use the column itself.")
    if spec.shape_sites and not isinstance(spec.sites, RandomSites):
        raise SpecError("A shape that differs by site needs random site effects beside it: add (1 | site) to the formula.")
    if not (0 <= spec.guarantee_time < float("inf")):
        raise SpecError(f"guarantee_time is {spec.guarantee_time}; it must be zero or a positive time.")
