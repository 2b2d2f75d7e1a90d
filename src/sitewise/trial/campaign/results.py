"""`TrialResults`: what every trial showed at every look, as one labelled dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from sitewise.trial.analysis.analysis import FAILED, NOT_ESTIMABLE, OK
from sitewise.trial.campaign.block import NOT_HELD, Arrays
from sitewise.trial.campaign.imputed import IMPUTED, final_criteria, imputed_looks
from sitewise.trial.campaign.worlds import World
from sitewise.trial.plan.design import TrialDesign

SCENARIO, REPLICATE, LOOK, CRITERION, GROUP, ARM = "scenario", "replicate", "look", "criterion", "risk_group", "arm"
IMPUTED_LOOK, IMPUTATION, FINAL_CRITERION = "imputed_look", "imputation", "final_criterion"
DIMS: dict[str, tuple[str, ...]] = {
    "row": (),
    "true_value": (CRITERION,),
    "calendar": (LOOK,),
    "reached": (LOOK,),
    "status": (LOOK,),
    "probability": (LOOK, CRITERION),
    "estimate": (LOOK, CRITERION),
    "sd": (LOOK, CRITERION),
    "patients": (LOOK,),
    "events": (LOOK,),
    "patients_of_arm": (LOOK, ARM),
    "events_of_arm": (LOOK, ARM),
}


@dataclass(frozen=True, eq=False)
class TrialResults:
    """What was found of all trials, before any threshold.

    Parameters
    ----------
    design : TrialDesign
        What was done.
    worlds : tuple of World
        What was true.
    data : Dataset
        Dims ``scenario, replicate, look, criterion, risk_group, arm``: ``probability, estimate, sd`` of each criterion,
        ``status`` and ``calendar`` of each look (status -1: not held), ``patients, events`` there and by group and arm,
        ``reached``, and what was true: ``row``, ``true_value``. Where a predictive criterion has imputations, ``imputed`` of
        dims ``imputed_look, imputation, final_criterion``: the probabilities of the last look's success criteria in trials
        completed at interim looks.
    analysis : str
        Name of the analysis.
    """

    design: TrialDesign
    worlds: tuple[World, ...]
    data: xr.Dataset
    analysis: str

    def save(self, path: str | Path, /) -> Path:
        """Write the dataset as NetCDF."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = {str(name): {"zlib": True, "complevel": 4} for name in self.data.data_vars}
        self.data.to_netcdf(path, engine="h5netcdf", encoding=packed)
        return path

    def world(self, name: str, /) -> World:
        """Return a world by its name."""
        return next(world for world in self.worlds if world.name == name)


def results_of(
    design: TrialDesign, worlds: Sequence[World], blocks: Sequence[Sequence[Arrays]], *, analysis: str, seed: int
) -> TrialResults:
    """Return the dataset of finished blocks, world by world."""
    content = {
        name: ((SCENARIO, REPLICATE, *dims), np.stack([np.concatenate([block[name] for block in own]) for own in blocks]))
        for name, dims in DIMS.items()
    }
    of_group = np.stack([np.concatenate([block["of_group"] for block in own]) for own in blocks])
    for place, name in enumerate(("patients_of_group", "events_of_group")):
        content[name] = ((SCENARIO, REPLICATE, LOOK, GROUP), of_group[..., place, :])
    more: dict[str, list[str]] = {}
    if IMPUTED in blocks[0][0]:
        joined = np.stack([np.concatenate([block[IMPUTED] for block in own]) for own in blocks])
        content[IMPUTED] = ((SCENARIO, REPLICATE, IMPUTED_LOOK, IMPUTATION, FINAL_CRITERION), joined)
        more[IMPUTED_LOOK] = [design.look[place].name for place in imputed_looks(design)]
        more[FINAL_CRITERION] = [design.criterion[place].name for place in final_criteria(design)]
    coords = more | {
        SCENARIO: [world.name for world in worlds],
        "null": (SCENARIO, [world.null for world in worlds]),
        REPLICATE: np.arange(content["row"][1].shape[1]),
        LOOK: [look.name for look in design.look],
        CRITERION: [item.name for item in design.criterion],
        GROUP: list(worlds[0].truth.groups),
        ARM: list(design.arms.names),
    }
    data = xr.Dataset(content, coords=coords)
    data["status"].attrs["meaning"] = f"{OK} analysed, {NOT_ESTIMABLE} not estimable, {FAILED} failed, {NOT_HELD} not held"
    data["calendar"].attrs["unit"] = design.time_unit
    data.attrs |= {"design": design.id, "design_hash": design.hash, "analysis": analysis, "seed": seed}
    return TrialResults(design, tuple(worlds), data, analysis)
