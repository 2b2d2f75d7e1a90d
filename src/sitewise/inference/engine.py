"""What an engine is: it turns a resolved spec and a cohort into draws and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import xarray as xr

from sitewise.inference.verdict import Verdict
from sitewise.models.model_data import ModelData
from sitewise.models.spec import ModelSpec

Report = Callable[[str], None]
"""Called with a line that says what is being done."""


def silent(message: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, eq=False)
class Draws:
    """What an engine returns.

    Parameters
    ----------
    posterior : Dataset
        Every random variable and deterministic of the model, dims chain, draw, and term or site.
    sample_stats : Dataset
        Sampler statistics, dims chain, draw.
    verdict : Verdict
        The verdict on them.
    spec : ModelSpec
        The spec that was sampled; a retry may have changed the centring of its sites, which changes no distribution.
    seconds : dict of str to float
        Time taken by ``compile`` and ``sample``.
    settings : dict
        Settings of the run that is returned.
    weighted : Dataset or None
        Of an engine that weights its draws: the draws before resampling, with ``log_weight``.
    engine : str
        Name of the engine that made them, where it is not the one asked; else empty.
    """

    posterior: xr.Dataset
    sample_stats: xr.Dataset
    verdict: Verdict
    spec: ModelSpec
    seconds: Mapping[str, float]
    settings: Mapping[str, Any] = field(default_factory=dict)
    weighted: xr.Dataset | None = None
    engine: str = ""


@runtime_checkable
class Engine(Protocol):
    """Turns (resolved spec, data) into draws."""

    name: ClassVar[str]

    def run(self, spec: ModelSpec, data: ModelData, *, seed: int, progress: bool, report: Report) -> Draws:
        """Return draws from the posterior of ``spec`` given ``data``."""
        ...
