"""What anything downstream needs of a fit, so that estimands and engines do not see each other."""

from __future__ import annotations

from typing import Protocol

import xarray as xr

from sitewise.cohort import Cohort
from sitewise.models.spec import ModelSpec


class Fitted(Protocol):
    """A posterior with its resolved spec and cohort."""

    @property
    def posterior(self) -> xr.Dataset:
        """Draws, dims chain, draw, and term or site."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """The resolved spec."""
        ...

    @property
    def cohort(self) -> Cohort:
        """The patients."""
        ...

    @property
    def seed(self) -> int:
        """The fit's seed."""
        ...


def completed_fits(fit: Fitted) -> tuple[Fitted, ...]:
    """Return the fits of completed cohorts that a pooled fit consists of, a chain each; empty for any other fit."""
    return tuple(getattr(fit, "fits", ()))
