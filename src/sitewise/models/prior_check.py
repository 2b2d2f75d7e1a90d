"""Whether the priors of a spec are ones that PyMC can sample: known parameters, valid values, the right support.

PyMC drops unknown keywords in silence, so that ``Normal(mu=0, sd=0.1)`` would be fitted with sigma 1.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pymc as pm
from pytensor.compile.mode import Mode

from sitewise.models.priors import Prior
from sitewise.models.spec import ModelSpec
from sitewise.problems import Problems, SpecError, listed, nearest

DRAWS = 200
REAL, SHARE = "real", "share"
WEIGHTS_ADD_UP = 1e-6


def distribution(prior: Prior, where: str = "prior") -> Any:
    """Return the PyMC class that a prior names.

    Raises
    ------
    SpecError
        When PyMC has no distribution of that name.
    """
    kind = getattr(pm, prior.dist, None)
    if not _is_distribution(kind):
        known = [name for name in dir(pm) if _is_distribution(getattr(pm, name))]
        raise SpecError(f"{where}: PyMC has no distribution '{prior.dist}'. {nearest(prior.dist, known)}")
    return kind


def _is_distribution(kind: Any) -> bool:
    """Return whether PyMC samples it; the mixture of normals makes another distribution and is none by its class."""
    return isinstance(kind, type) and (issubclass(kind, pm.Distribution) or kind is pm.NormalMixture)


def parameters(prior: Prior) -> dict[str, Any]:
    """Return a prior's parameters as double-precision arrays.

    PyTensor takes a Python float such as 0.5 as single precision, since that holds it exactly, and then rounds its logarithm
    or log-gamma to single precision too.
    """
    return {name: np.asarray(value, dtype=np.float64) for name, value in prior.values.items()}


def variable(name: str, prior: Prior, **options: Any) -> Any:
    """Return a random variable of the current model with this prior."""
    try:
        return distribution(prior, name)(name, **parameters(prior), **options)
    except (TypeError, ValueError) as error:
        raise SpecError(f"The prior of {name}, {prior}, is not one that PyMC accepts: {error}") from error


def check_priors(spec: ModelSpec) -> None:
    """Check every prior of a resolved spec.

    Raises
    ------
    SpecError
        Naming every prior that PyMC does not have, that has unknown or impossible parameters, or the wrong support.
    """
    resolution, problems = spec.resolved, Problems()
    shape = list(zip(spec.family.shape_parameters, resolution.shape, strict=True))
    positive = {item.name: prior for item, prior in shape if item.support != REAL}
    shares = {item.name for item, _ in shape if item.support == SHARE}
    if resolution.site_sd is not None:
        positive["site_sd"] = resolution.site_sd
    for label, prior in zip(resolution.slope_labels, resolution.site_slope_sd, strict=True):
        positive[f"site_slope_sd[{label}]"] = prior
    if resolution.site_shape_sd is not None:
        positive["site_shape_sd"] = resolution.site_shape_sd
    if resolution.site_degrees_of_freedom is not None:
        positive["site_degrees_of_freedom"] = resolution.site_degrees_of_freedom
    if resolution.grouping_sd is not None:
        positive["grouping_sd"] = resolution.grouping_sd
    real = {item.name: prior for item, prior in shape if item.support == REAL}
    real[resolution.baseline] = resolution.baseline_prior
    for column, own in zip(resolution.columns, resolution.coefficients, strict=True):
        if isinstance(own, Prior) and own not in real.values():  # one report for a prior that several columns share
            real[column] = own
    for column, prior in zip(resolution.shape_columns, resolution.shape_coefficients, strict=True):
        if prior not in real.values():
            real[f"shape_terms.{column}"] = prior
    for joint in resolution.joint_priors:
        for item in joint.sampled:
            if not item.dim:  # what a user can choose
                (positive if item.positive else real)[item.name] = item.prior
    for name, prior in positive.items():
        _check(name, prior, problems, positive=True, share=name in shares)
    for name, prior in real.items():
        _check(name, prior, problems, positive=False)
    problems.raise_if_any(SpecError, "The spec")


def _check(name: str, prior: Prior, problems: Problems, *, positive: bool, share: bool = False) -> None:
    where = f"prior '{name}'"
    kind = distribution(prior, where)
    accepted = [key for key in inspect.signature(kind.dist).parameters if key not in ("args", "kwargs")]
    unknown = [key for key in prior.values if key not in accepted]
    if unknown:
        problems.add(where, f"{prior.dist} has no parameter {listed(unknown)}", nearest(unknown[0], accepted))
        return
    if not (issubclass(kind, pm.Continuous) or kind is pm.NormalMixture):
        problems.add(where, f"{prior.dist} is not a distribution of one real number", "Use a continuous one, such as Normal.")
        return
    weights = prior.values.get("w", ())
    if kind is pm.NormalMixture and not (np.min(weights, initial=0.0) >= 0 and abs(np.sum(weights) - 1) < WEIGHTS_ADD_UP):
        problems.add(where, f"{prior} has weights that are not shares of one", "Make w sum to one.")
        return
    try:
        variable = kind.dist(**parameters(prior))
        # Interpreted: two hundred draws of one distribution are not worth a compilation.
        if variable.ndim:
            several = "is a distribution of several numbers at once"
            problems.add(where, f"{prior} {several}", "Give one number where it takes one; only NormalMixture takes lists.")
            return
        drawn = pm.draw(variable, draws=DRAWS, random_seed=0, mode=Mode(linker="py", optimizer=None))
    except (TypeError, ValueError, ArithmeticError) as error:
        problems.add(where, f"{prior} is not one that PyMC accepts: {error}")
        return
    if drawn.max() == drawn.min():
        problems.add(where, f"{prior} has no spread", "A prior needs one; a fixed value is not a prior.")
    elif np.isnan(drawn).any() or (positive and (drawn < 0).any()):
        problems.add(
            where, f"{prior} reaches below zero", "Use a distribution of positive numbers, such as HalfNormal or LogNormal."
        )
    elif share and (drawn > 1).any():
        problems.add(where, f"{prior} reaches above one", "Use a distribution of shares, such as Beta.")
