"""The dimensions of a posterior's variables beside chain and draw, and their labels."""

from __future__ import annotations

from sitewise import names
from sitewise.models.groupings import grouping_of, of_grouping
from sitewise.models.spec import ModelSpec

DIMENSIONS: dict[str, tuple[str, ...]] = {
    names.LOG_HAZARD_RATIO: (names.TERM,),
    names.LOG_TIME_RATIO: (names.TERM,),
    names.SITE_EFFECT: (names.SITE,),
    names.SITE_EFFECT_STANDARDISED: (names.SITE,),
    names.SITE_SLOPE_SD: (names.SLOPE,),
    names.SITE_SLOPE: (names.SITE, names.SLOPE),
    names.SITE_SLOPE_STANDARDISED: (names.SITE, names.SLOPE),
    names.SITE_CORRELATION: (names.SITE_TERM, names.OTHER_SITE_TERM),
    names.LOG_SHAPE_RATIO: (names.SHAPE_TERM,),
    names.SITE_LOG_SHAPE: (names.SITE,),
    names.SITE_LOG_SHAPE_STANDARDISED: (names.SITE,),
}
"""The dimensions of the variables that are not one number a draw."""


def dimensions_of(spec: ModelSpec, name: str) -> tuple[str, ...]:
    """Return the dimensions of a variable of a resolved spec."""
    grouping = grouping_of(name)
    if grouping is not None:
        return (of_grouping(names.LEVEL, grouping),)
    part = spec.resolved.jointly_sampled.get(name)
    return (part.dim,) if part is not None and part.dim else DIMENSIONS.get(name, ())


def labels_of(spec: ModelSpec) -> dict[str, list[str]]:
    """Return the labels of the dimensions that the variables of a resolved spec have."""
    resolution = spec.resolved
    found: dict[str, list[str]] = {}
    if resolution.columns:
        found[names.TERM] = list(resolution.columns)
    if spec.has_sites:
        found[names.SITE] = list(resolution.site_labels)
    if resolution.slope_columns:
        found[names.SLOPE] = list(resolution.slope_labels)
    if resolution.shape_columns:
        found[names.SHAPE_TERM] = list(resolution.shape_columns)
    if resolution.site_correlation is not None:
        found |= {dim: list(resolution.site_terms) for dim in (names.SITE_TERM, names.OTHER_SITE_TERM)}
    found |= {of_grouping(names.LEVEL, name): list(labels) for name, labels in resolution.groupings.items()}
    return found | {part.dim: list(part.labels) for part in resolution.jointly_sampled.values() if part.dim}
