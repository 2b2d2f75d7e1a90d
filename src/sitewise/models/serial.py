"""A spec as plain data and back, for the saved fit and for hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sitewise.models.family_options import family_by_name
from sitewise.models.joint_priors import JointPrior, Law
from sitewise.models.prior_reading import read_prior
from sitewise.models.priors import Prior, Priors
from sitewise.models.site_effects import SITE_EFFECTS
from sitewise.models.spec import SPEC_VERSION, ModelSpec, Resolution
from sitewise.problems import SpecError

OF_SHAPES = ("shape_terms", "shape_columns", "shape_reference", "shape_coefficients", "site_shape_sd")
"""Names in priors and resolution that are about a shape which differs between patients."""
SINGLE_PRIORS = (
    *("baseline_prior", "site_sd", "site_effects", "site_correlation", "site_degrees_of_freedom", "grouping_sd"),
    "site_shape_sd",
)


def spec_to_dict(spec: ModelSpec) -> dict[str, Any]:
    """Return a spec as JSON-ready data."""
    kinds = {kind: name for name, kind in SITE_EFFECTS.items()}
    resolution = None
    if spec.resolution is not None:
        resolution = {field.name: _plain(getattr(spec.resolution, field.name)) for field in fields(spec.resolution)}
    priors = {field.name: _plain(getattr(spec.priors, field.name)) for field in fields(spec.priors)}
    if not spec.shape_differs:  # what is off leaves no trace, so that models keep their hashes
        priors = {name: value for name, value in priors.items() if name not in OF_SHAPES or value}
        resolution = resolution and {name: value for name, value in resolution.items() if name not in OF_SHAPES}
    return {
        "version": SPEC_VERSION,
        "formula": spec.formula,
        "terms": list(spec.terms),
        "family": spec.family.name,
        "family_options": dict(spec.family.options),
        "metric": spec.metric,
        "guarantee_time": spec.guarantee_time,
        "response": list(spec.response),
        "group": spec.group,
        "groupings": list(spec.groupings),
        "sites": {"kind": kinds[type(spec.sites)], **asdict(spec.sites)},
        "priors": priors,
        "resolution": resolution,
        **({"shape_terms": list(spec.shape_terms), "shape_sites": spec.shape_sites} if spec.shape_differs else {}),
    }


def spec_from_dict(data: Mapping[str, Any]) -> ModelSpec:
    """Return the spec that :func:`spec_to_dict` wrote."""
    if data.get("version") != SPEC_VERSION:
        raise SpecError(f"The spec has version {data.get('version')}; this Sitewise reads version {SPEC_VERSION}.")
    site_options = dict(data["sites"])
    priors: dict[str, Any] = {
        name: {key: _prior(item) for key, item in value.items()} if name in ("terms", "shape_terms") else _prior(value)
        for name, value in data["priors"].items()
    }
    resolution = None
    if data["resolution"] is not None:
        stored = dict(data["resolution"])
        for name in ("shape", "coefficients", "site_slope_sd", "shape_coefficients"):
            stored[name] = tuple(_prior(item) for item in stored.get(name, ()))
        for name in SINGLE_PRIORS:
            stored[name] = _prior(stored.get(name))
        for name in ("columns", "means", "reference", "site_labels", "slope_columns", "shape_columns", "shape_reference"):
            stored[name] = tuple(stored.get(name, ()))
        for name in ("levels", "groupings"):
            stored[name] = {key: tuple(value) for key, value in stored.get(name, {}).items()}
        resolution = Resolution(**stored)
    return ModelSpec(
        terms=tuple(data["terms"]),
        sites=SITE_EFFECTS[site_options.pop("kind")](**site_options),
        family=family_by_name(data["family"], data.get("family_options")),
        metric=data["metric"],
        guarantee_time=data["guarantee_time"],
        priors=Priors(**priors),
        response=tuple(data["response"]),
        group=data["group"],
        groupings=tuple(data.get("groupings", ())),
        shape_terms=tuple(data.get("shape_terms", ())),
        shape_sites=bool(data.get("shape_sites", False)),
        resolution=resolution,
    )


def _prior(value: Any) -> Any:
    return read_prior(value) if isinstance(value, Mapping) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Prior | JointPrior | Law):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
