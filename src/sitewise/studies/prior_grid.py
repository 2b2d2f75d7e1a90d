"""Other priors for a resolved spec, all else held: what the cohort located (centring, the baseline's prior) does not move."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sitewise.models.joint_priors import JointPrior
from sitewise.models.priors import Prior
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError, listed

SIGMAS = (0.1, 0.25, 0.5, 1.0, 2.0)
AS_GIVEN = "as specified"
SCALES = {"Normal": "sigma", "StudentT": "sigma", "Cauchy": "beta", "Laplace": "b", "NormalMixture": "sigma"}
"""The parameter that widens a prior on the whole line."""
SPREADS = {"HalfNormal": "sigma", "HalfStudentT": "sigma", "HalfCauchy": "beta", "InverseGamma": "beta"}
INVERSE_SPREADS = {"Exponential": "lam", "Gamma": "beta"}
"""The parameter that widens a prior of a sd, or narrows it."""
NO_SPREAD = "The model has no random site effects, so no site spread to give a prior to. Add (1 | site)."


@dataclass(frozen=True)
class GridPoint:
    """A spec of the grid: its ``label``, the ``factor`` of its coefficients' priors, and whether it is the ``reference``."""

    label: str
    spec: ModelSpec
    factor: float
    reference: bool


def default_grid() -> dict[str, Prior]:
    """Return half-normal priors of the site sd from tight to vague, by label."""
    return {f"HalfNormal({sigma:g})": Prior("HalfNormal", sigma=sigma) for sigma in SIGMAS}


def prior_grid(
    spec: ModelSpec, /, *, site_sd: Mapping[str, Prior] | None = None, coefficient_factors: Sequence[float] = (1.0,)
) -> list[GridPoint]:
    """Return the specs of a grid of priors; the spec's own is put first where it is not among them.

    Parameters
    ----------
    spec : ModelSpec
        Resolved; its own priors are the reference.
    site_sd : mapping of str to Prior, optional
        Priors of the site sd; default :func:`default_grid` where sites are random.
    coefficient_factors : sequence of float
        Factors of the scales of the coefficients' priors; 1 comes first, whether or not it is named.

    Raises
    ------
    SpecError
        As :func:`with_priors`, and when a factor is not positive or the grid holds nothing but the reference.
    """
    own = spec.resolved.site_sd
    if site_sd is not None and own is None:
        raise SpecError(NO_SPREAD)
    factors = [float(factor) for factor in coefficient_factors]
    if not all(0 < factor < float("inf") for factor in factors):
        raise SpecError(f"Coefficient factors must be positive numbers; they are {listed(factors)}.")
    priors: dict[str, Prior | None] = {}
    if own is not None:
        priors = dict(default_grid() if site_sd is None else site_sd)
    same = [label for label, prior in priors.items() if prior == own]
    if not same:
        priors = {AS_GIVEN: None, **priors}
    reference = same[0] if same else AS_GIVEN
    made = []
    for factor in dict.fromkeys((1.0, *factors)):
        for label, prior in priors.items():
            name = label if factor == 1.0 else f"{label}, coefficients x {factor:g}"
            changed = with_priors(spec, site_sd=prior, coefficient_factor=factor)
            made.append(GridPoint(name, changed, factor, label == reference and factor == 1.0))
    if len(made) == 1:
        raise SpecError("The grid holds the spec's own priors only: give others as site_sd, or coefficient_factors.")
    return made


def with_priors(spec: ModelSpec, /, *, site_sd: Prior | None = None, coefficient_factor: float = 1.0) -> ModelSpec:
    """Return a resolved spec with another prior of the site sd, or wider or narrower ones of the coefficients.

    Parameters
    ----------
    spec : ModelSpec
        Resolved: what its cohort located stays where it is.
    site_sd : Prior, optional
        Of the sd of random site effects, in the spec's metric; default its own.
    coefficient_factor : float
        Multiplies the scale of every coefficient's prior.

    Raises
    ------
    SpecError
        When the spec has no random sites, or a coefficient has a prior without a scale to multiply.
    """
    resolution, priors = spec.resolved, spec.priors
    if site_sd is not None:
        if resolution.site_sd is None:
            raise SpecError(NO_SPREAD)
        resolution, priors = replace(resolution, site_sd=site_sd), replace(priors, site_sd=site_sd)
    if coefficient_factor != 1.0:
        widened = tuple(_widened(prior, coefficient_factor) for prior in resolution.coefficients)
        resolution = replace(resolution, coefficients=widened)
        priors = replace(priors, coefficients=None, terms=dict(zip(resolution.columns, widened, strict=True)))
    return replace(spec, resolution=resolution, priors=priors)


def _widened(prior: Prior | JointPrior, factor: float) -> Prior:
    scale = SCALES.get(prior.dist)
    if isinstance(prior, JointPrior) or scale is None or scale not in prior.values:
        raise SpecError(f"The scale of the prior {prior} is not known. Priors of {listed(SCALES)} can be widened.")
    own = prior.values[scale]
    return Prior(
        prior.dist, **{**prior.values, scale: [factor * one for one in own] if isinstance(own, tuple) else factor * own}
    )


def with_spread(spec: ModelSpec, factor: float) -> ModelSpec:
    """Return a resolved spec in which the sd of random sites is a priori ``factor`` times as large; slopes' sds too.

    Raises
    ------
    SpecError
        When the spec has no random sites, or the prior is not one whose scale is known.
    """
    resolution, priors = spec.resolved, spec.priors
    if resolution.site_sd is None:
        raise SpecError(NO_SPREAD)
    site_sd = _scaled(resolution.site_sd, factor)
    slopes = tuple(_scaled(prior, factor) for prior in resolution.site_slope_sd)
    resolution = replace(resolution, site_sd=site_sd, site_slope_sd=slopes)
    return replace(spec, resolution=resolution, priors=replace(priors, site_sd=site_sd))


def _scaled(prior: Prior, factor: float) -> Prior:
    """Return the prior of a positive quantity times ``factor``."""
    values = prior.values
    if prior.dist == "LogNormal" and "mu" in values:
        return Prior(prior.dist, **{**values, "mu": values["mu"] + math.log(factor)})
    if SPREADS.get(prior.dist, "") in values:
        name = SPREADS[prior.dist]
        return Prior(prior.dist, **{**values, name: values[name] * factor})
    if INVERSE_SPREADS.get(prior.dist, "") in values:
        name = INVERSE_SPREADS[prior.dist]
        return Prior(prior.dist, **{**values, name: values[name] / factor})
    known = listed([*SPREADS, *INVERSE_SPREADS, "LogNormal"])
    raise SpecError(f"The scale of the prior {prior} is not known. Priors of {known} can be made wider.")
