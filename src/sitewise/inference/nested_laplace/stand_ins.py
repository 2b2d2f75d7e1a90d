"""Priors that the compiled functions do not know: others propose in their place, and the weights put them back.

A draw's weight is multiplied by the density of the prior over that of its stand-in, evaluated by PyMC, so that the posterior is
that of the prior exactly. Stand-ins have heavy tails and reach everywhere, so that this ratio is bounded for the usual priors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.inference.densities import ONE_AT_A_TIME, coefficient_name, log_density
from sitewise.inference.packing import column_scales, unpack_arrays
from sitewise.inference.prior_codes import POSITIVE, REAL, UnknownPriorError, encode
from sitewise.models.baseline import median_minus_scale
from sitewise.models.joint_priors import JointPrior
from sitewise.models.model_data import ModelData
from sitewise.models.priors import Prior
from sitewise.models.site_effects import RandomSites
from sitewise.models.spec import ModelSpec

Floats = NDArray[np.float64]
DRAWS = 4000
"""Of a prior, from which its middle and its spread are taken."""
DEGREES = 3.0
UPPER_OF_T = 1.638
"""90 % point of a Student t with three degrees of freedom, and so the 80 % point of its half."""
QUARTILE_OF_T = 0.765
"""75 % point of the same."""
WIDER = 1.3
"""The log-normal that stands in for the prior of a shape is wider than the prior by this."""


@dataclass(frozen=True)
class Replaced:
    """A prior that something stands in for: of a variable, or of one column of it."""

    variable: str
    place: int | None
    prior: Prior
    stand_in: Prior

    def correction(self, values: Floats) -> Floats:
        """Return the log of the prior's density over its stand-in's, shape (S,), at draws of the variable."""
        own = np.ascontiguousarray(values if self.place is None else values[:, self.place])
        return np.asarray(log_density(self.prior, own) - log_density(self.stand_in, own))


def with_stand_ins(spec: ModelSpec) -> tuple[ModelSpec, tuple[Replaced, ...]]:
    """Return a resolved spec that the compiled functions read, and what was replaced in it."""
    resolution = spec.resolved
    replaced: list[Replaced] = []

    def known(prior: Prior | JointPrior, variable: str, place: int | None, kind: str) -> Prior:
        if isinstance(prior, JointPrior):
            raise UnknownPriorError(f"nothing stands in for the joint prior {prior}")
        if encode(prior, REAL if kind == "real" else POSITIVE) is not None:
            return prior
        replaced.append(Replaced(variable, place, prior, stand_in(prior, kind)))
        return replaced[-1].stand_in

    effect, slope_sd = coefficient_name(spec), names.SITE_SLOPE_SD
    shapes = zip(spec.family.shape_parameters, resolution.shape, strict=True)
    changed = replace(
        resolution,
        shape=tuple(known(prior, item.name, None, "log") for item, prior in shapes),
        coefficients=tuple(known(prior, effect, place, "real") for place, prior in enumerate(resolution.coefficients)),
        baseline_prior=known(resolution.baseline_prior, resolution.baseline, None, "real"),
        site_sd=None if resolution.site_sd is None else known(resolution.site_sd, names.SITE_SD, None, "positive"),
        site_slope_sd=tuple(known(prior, slope_sd, place, "positive") for place, prior in enumerate(resolution.site_slope_sd)),
    )
    return replace(spec, resolution=changed), tuple(replaced)


def corrections(spec: ModelSpec, data: ModelData, replaced: tuple[Replaced, ...], points: Floats) -> Floats:
    """Return what is added to the log weights of points (S, free) for the priors that were replaced, shape (S,)."""
    own = replace(spec, sites=replace(spec.sites, centred=False)) if isinstance(spec.sites, RandomSites) else spec
    variables = unpack_arrays(own, column_scales(data), points)
    if spec.resolved.baseline == "log_median":
        shape = tuple(variables[item.name] for item in spec.family.shape_parameters)
        variables["log_median"] = variables[names.LOG_SCALE] + median_minus_scale(spec, shape)
    total = np.zeros(len(points))
    for item in replaced:
        total += item.correction(variables[item.variable])
    return total


@lru_cache(maxsize=256)
def stand_in(prior: Prior, kind: str) -> Prior:
    """Return a prior of the kernel with about the middle and the spread of another; ``kind`` is real, positive or log."""
    import pymc as pm
    from pytensor.compile.mode import Mode

    from sitewise.models.prior_check import distribution, parameters

    with ONE_AT_A_TIME:
        variable = distribution(prior).dist(**parameters(prior))
        drawn = pm.draw(variable, draws=DRAWS, random_seed=0, mode=Mode(linker="py", optimizer=None))
    if prior.dist == "NormalMixture":  # its quartiles may be those of a narrow component, and the data prefer another
        return Prior("StudentT", nu=DEGREES, mu=drawn.mean(), sigma=drawn.std())
    low, lower, middle, upper, high = np.quantile(drawn, [0.16, 0.25, 0.5, 0.75, 0.84])
    if kind == "real":
        return Prior("StudentT", nu=DEGREES, mu=middle, sigma=(upper - lower) / (2 * QUARTILE_OF_T))
    if kind == "log":
        return Prior("LogNormal", mu=np.log(middle), sigma=WIDER * (np.log(high) - np.log(low)) / 2)
    return Prior("HalfStudentT", nu=DEGREES, sigma=float(np.quantile(drawn, 0.8)) / UPPER_OF_T)
