"""`EvidenceFit`: stacked draws of many cohorts' fits, with every cohort that was made and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.estimands import (
    Population,
    SiteTreatment,
)
from sitewise.evidence import Evidence
from sitewise.inference import Verdict
from sitewise.models import ModelSpec
from sitewise.problems import SitewiseError
from sitewise.simulate.calibration import Produced
from sitewise.studies.evidence_model import PaperModel

SITES = "sites"
ESTIMANDS = "estimands"
MEDIAN_BEYOND = "median_beyond_follow_up"
"""1 in draws whose median lies beyond the group's largest observed time, else 0."""


@dataclass(frozen=True, eq=False)
class Member:
    """One reconstructed cohort and what became of it.

    Parameters
    ----------
    place, draw : int
        Its number, and that of the posterior draw that it is of.
    guarantee_time, guarantee_time_wanted : float
        What it is fitted with, and what its process has.
    cohort : Cohort or None
        Its patients, at the sites that they were fitted at.
    verdict : Verdict or None
        On its fit.
    seed : int or None
        Of its fit.
    reason : str
        Why it is not in the stack; empty when it is.
    """

    place: int
    draw: int
    guarantee_time: float
    guarantee_time_wanted: float
    cohort: Cohort | None = None
    verdict: Verdict | None = None
    seed: int | None = None
    reason: str = ""

    @property
    def known(self) -> Cohort:
        """Its patients.

        Raises
        ------
        SitewiseError
            When they cannot be analysed.
        """
        if self.cohort is None:
            raise SitewiseError(f"Cohort {self.place} has no patients that can be analysed: {self.reason}")
        return self.cohort

    @property
    def stacked(self) -> bool:
        """Whether its draws are in the stack."""
        return not self.reason


@dataclass(frozen=True, eq=False)
class EvidenceFit:
    """What a paper says under a model; make it with :func:`sitewise.fit_evidence`.

    Parameters
    ----------
    produced : Produced
        The synthetic cohorts, at the sites that they were fitted at.
    spec : ModelSpec
        The model, resolved once on all cohorts together; its guarantee time is the mean of the cohorts'.
    suggested : PaperModel
        What the paper suggests to fit.
    members : tuple of Member
        Every cohort, fitted or not.
    tree : DataTree
        ``posterior`` (dims cohort, chain, draw, and term) and ``estimands`` (also sites, group, and time), of the cohorts in
        the stack.
    curves : DataArray
        Survival on a grid of times, dims cohort, chain, draw, sites, group, time; every k-th draw.
    last_time : DataFrame
        Largest observed time, a row a cohort of the stack and a column a group; empty where a group has no members.
    groups : Population
        Risk groups.
    times : tuple of float
        Milestones.
    horizon : float
        Of the restricted mean.
    sites : tuple of SiteTreatment
        At which sites.
    engine : str
        Of every fit.
    settings : dict
        The engine's settings.
    endpoint : str
        Whose survival.
    seed : int
        Seed.
    """

    produced: Produced
    spec: ModelSpec
    suggested: PaperModel
    members: tuple[Member, ...]
    tree: xr.DataTree
    curves: xr.DataArray
    last_time: pd.DataFrame
    groups: Population
    times: tuple[float, ...]
    horizon: float
    sites: tuple[SiteTreatment, ...]
    engine: str
    settings: Mapping[str, Any]
    endpoint: str
    seed: int

    @property
    def evidence(self) -> Evidence:
        """The paper's numbers."""
        return self.produced.problem.evidence

    @property
    def posterior(self) -> xr.Dataset:
        """Draws of the model's parameters."""
        return self.tree[names.POSTERIOR].to_dataset()

    @property
    def estimands(self) -> xr.Dataset:
        """Draws of medians, milestone survival and restricted means of the groups."""
        return self.tree[ESTIMANDS].to_dataset()

    @property
    def in_stack(self) -> tuple[Member, ...]:
        """The cohorts whose draws are in the stack."""
        return tuple(member for member in self.members if member.stacked)

    @cached_property
    def group_names(self) -> tuple[str, ...]:
        """Labels of the groups, in order."""
        return tuple(str(item) for item in self.curves[names.GROUP].to_numpy())

    @cached_property
    def follow_up(self) -> dict[str, float]:
        """The median over cohorts of each group's largest observed time: beyond it numbers are extrapolated."""
        return {str(label): float(value) for label, value in self.last_time.median().items()}

    def save(self, path: str | Path, /) -> Path:
        """Write the stacked draws as NetCDF; ``xarray.open_datatree(path, engine="h5netcdf")`` reads them."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.tree.to_netcdf(path, engine="h5netcdf")
        return path

    def __repr__(self) -> str:
        sizes = self.posterior.sizes
        return (
            f"<Evidence fit of {self.evidence.id}: {self.spec.formula}; {len(self.in_stack)} of {len(self.members)} synthetic "
            f"cohorts x {sizes[names.CHAIN]} chains x {sizes[names.DRAW]} draws>"
        )
