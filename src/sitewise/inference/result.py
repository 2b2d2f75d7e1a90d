"""`FitResult`: a posterior with all that is needed to judge, use and reproduce it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import xarray as xr

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.inference.verdict import Verdict
from sitewise.models.spec import ModelSpec

VERSIONED = (
    "sitewise",
    "pymc",
    "nutpie",
    "pytensor",
    "arviz-stats",
    "numba",
    "numpy",
    "pandas",
    "scipy",
    "xarray",
)


@dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted model.

    Parameters
    ----------
    tree : DataTree
        Groups ``posterior`` (dims chain, draw, and term or site), ``sample_stats``, ``log_likelihood`` (patient),
        ``log_prior``, ``observed_data``, ``constant_data``; every ArviZ function works on it.
    spec : ModelSpec
        Resolved.
    cohort : Cohort
        The patients.
    verdict : Verdict
        Of the computation.
    engine : str
        Name of the engine that produced the draws.
    seed : int
        Its seed.
    seconds : dict of str to float
        Time taken, by stage.
    settings : dict
        The engine's settings.
    versions : dict of str to str
        Versions of the packages involved.
    """

    tree: xr.DataTree
    spec: ModelSpec
    cohort: Cohort
    verdict: Verdict
    engine: str
    seed: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def posterior(self) -> xr.Dataset:
        """The posterior draws."""
        return self.tree[names.POSTERIOR].to_dataset()

    @property
    def spec_hash(self) -> str:
        """SHA-256 of the resolved spec."""
        text = json.dumps(self.spec.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should worry, from the data and from the computation."""
        computed = () if self.verdict.level == "ok" else (f"Computation {self.verdict.sentence}",)
        return (*self.cohort.warnings, *computed)

    def save(self, path: str | Path) -> Path:
        """Write the fit as NetCDF; :func:`sitewise.load` reads it back whole."""
        from sitewise.inference.storage import save

        return save(self, path)

    def __repr__(self) -> str:
        sizes = self.posterior.sizes
        return (
            f"<Fit of {self.spec.formula} ({self.spec.family.name}, {self.spec.metric}) on {len(self.cohort)} patients; "
            f"{sizes[names.CHAIN]} chains x {sizes[names.DRAW]} draws by {self.engine}; verdict {self.verdict.level}>"
        )


def installed_versions() -> dict[str, str]:
    """Return Python's version and those of the packages that a fit rests on, as installed."""
    return dict(_installed())


@cache
def _installed() -> dict[str, str]:
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
