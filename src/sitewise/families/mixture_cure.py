"""A share of patients never has the event; the others have it as another family says.

S(t) = pi + (1 - pi) S0(t) with a share pi cured among reference patients (Boag 1949, J R Stat Soc B 11:15). Covariates and
sites multiply the hazard of this whole curve: a patient's survival is S(t) to the power of their hazard ratio, and the share
cured among such patients pi to that power. So a log hazard ratio means what it means under every family, groups with other
prognosis have other plateaus, and one number an effect is enough for small cohorts. Nothing but the reference patient's curve
is a mixture with this S0, so that scale, shape and pi are about the reference patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sitewise.families.base import Array, Family, ShapeParameter
from sitewise.families.by_quadrature import ByQuadrature
from sitewise.families.weibull import Weibull
from sitewise.problems import SpecError

CURED = "cured"
EARLY = -40.0
"""Log cumulative hazard of the uncured below which that of all is its product with 1 - pi, to rounding."""


@dataclass(frozen=True)
class MixtureCure(ByQuadrature):
    """A mixture of people who are cured and people whose event times are of another family.

    Parameters
    ----------
    uncured : Family
        Of those who are not cured, among reference patients.
    """

    uncured: Family = field(default_factory=Weibull)
    name: ClassVar[str] = "mixture-cure"
    index_closed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.uncured.name == self.name:
            raise SpecError("mixture-cure: those who are not cured need a family without cure.")

    @property
    def scale_family(self) -> bool:  # type: ignore[override]
        """As that of those who are not cured."""
        return self.uncured.scale_family

    @property
    def shape_parameters(self) -> tuple[ShapeParameter, ...]:  # type: ignore[override]
        """Those of the uncured, and the share of reference patients who are cured."""
        return (*self.uncured.shape_parameters, ShapeParameter(CURED, ("Beta", {"alpha": 1.0, "beta": 4.0}), "share"))

    @property
    def options(self) -> Mapping[str, Any]:
        """The family of the uncured, by name and options."""
        return {"uncured": {"name": self.uncured.name, **self.uncured.options}}

    def located(self, event_times: NDArray[np.float64]) -> Self:
        """Return the family with what its uncured take from a cohort."""
        return replace(self, uncured=self.uncured.located(event_times))

    def unlocated(self) -> Self:
        """Return the family without what its uncured took from a cohort."""
        return replace(self, uncured=self.uncured.unlocated())

    def log_cumulative_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return log(-log(pi + (1 - pi) S0(t)))."""
        log_own = self.uncured.log_cumulative_hazard(log_time, log_scale, shape[:-1], xp)
        early = log_own < EARLY
        own = xp.exp(xp.where(early, EARLY, log_own))
        return xp.where(early, log_own + xp.log1p(-shape[-1]), xp.log(-xp.log1p((1 - shape[-1]) * xp.expm1(-own))))

    def log_hazard(self, log_time: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return the log of (1 - pi) f0(t) / S(t) with the density f0 of the uncured."""
        own = xp.exp(self.uncured.log_cumulative_hazard(log_time, log_scale, shape[:-1], xp))
        log_density = self.uncured.log_hazard(log_time, log_scale, shape[:-1], xp) - own
        return xp.log1p(-shape[-1]) + log_density - xp.log1p((1 - shape[-1]) * xp.expm1(-own))

    def log_time(self, log_cumulative_hazard: Array, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return the log time at which S0 = (exp(-H) - pi) / (1 - pi); infinite for the cured."""
        reached = -np.expm1(-np.exp(log_cumulative_hazard)) / (1 - shape[-1])  # share of the uncured with the event
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self.uncured.log_time(np.log(-np.log1p(-np.minimum(reached, 1.0))), log_scale, shape[:-1])
        return np.where(reached < 1.0, found, np.inf)

    def log_median(self, log_scale: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return the log median of the uncured."""
        return self.uncured.log_median(log_scale, shape[:-1], xp)

    def log_scale_at(self, log_median: Array, shape: tuple[Array, ...], xp: Any = np) -> Array:
        """Return the log scale that gives a log median of the uncured."""
        return self.uncured.log_scale_at(log_median, shape[:-1], xp)

    def scale_lowered(self, added: Array, shape: tuple[Array, ...]) -> Array:
        """Refuse: no other scale multiplies the hazard of a mixture."""
        raise SpecError("mixture-cure: a multiplied hazard has no scale of its own; compute from the reference patient.")

    def time_nodes(self, horizon: Array, shape: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return log times and weights, as for the uncured."""
        return self.uncured.time_nodes(horizon, shape[:-1])
