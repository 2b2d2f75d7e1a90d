"""Saving joint draws as NetCDF (h5netcdf), never pickle, and reading them back: bit by bit the same.

A file holds what a cohort says and nothing of a trial: neither the effect nor the arm whose treatment the cohort's patients
had. Who reads it says both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sitewise.inference.result import installed_versions
from sitewise.models.family_options import family_by_name
from sitewise.problems import TrialError, nearest
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth.changes import with_case_mix
from sitewise.trial.truth.truth import CohortArm, Profile, TrueEffect, Truth

FORMAT, FORMAT_VERSION = "sitewise-truth", 1
PACKAGED = ("krog-20-04",)
"""Ids of the packaged draws."""
SUFFIX = ".nc"


def save_truth(truth: Truth, path: str | Path, /) -> Path:
    """Write the cohort's part of a truth as NetCDF; see :meth:`Truth.save`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mixes, mix = np.unique(truth.shares, axis=0, return_inverse=True)
    variables: dict[str, Any] = {
        "log_scale": ("row", truth.log_scale),
        "site_sd": ("row", truth.site_sd),
        "index": (("profile", "row"), np.ascontiguousarray(truth.index.T)),
        "mix": ("row", mix.ravel().astype(np.int32)),
        "shares": (("mix_number", "profile"), mixes),
    }
    variables |= {f"shape_{place}": ("row", values) for place, values in enumerate(truth.shape)}
    told = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "family": json.dumps({"name": truth.family.name, "options": dict(truth.family.options)}),
        "profiles": json.dumps([[item.label, item.group] for item in truth.profiles]),
        "endpoint": truth.endpoint,
        "time_unit": truth.time_unit,
        "guarantee_time": truth.guarantee_time,
        "follow_up": truth.follow_up,
        "source": truth.source,
        "source_hash": truth.source_hash,
        "notes": json.dumps(list(truth.notes)),
        "versions": json.dumps(installed_versions()),
    }
    encoding = {
        name: {"zlib": True, "complevel": 9, "shuffle": True} for name, (_, values) in variables.items() if values.size > 1
    }
    xr.Dataset(variables, attrs=told).to_netcdf(path, engine="h5netcdf", encoding=encoding)
    return path


def load_truth(
    which: str | Path,
    /,
    *,
    cohort_arm: CohortArm,
    effect: Effect,
    case_mix: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Truth:
    """Read what :func:`save_truth` wrote; see :meth:`Truth.load`."""
    path = draws_path(which)
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            content = opened.load()
    except (OSError, ValueError) as error:
        raise TrialError(f"{path.name} is not a NetCDF file that can be read: {error}") from error
    told = content.attrs
    if told.get("format") != FORMAT or int(told.get("format_version", 0)) != FORMAT_VERSION:
        raise TrialError(
            f"{path.name} holds no joint draws that Truth.save of this version wrote. A fit is read with fit = ... instead of "
            "draws = ..."
        )
    family = json.loads(told["family"])
    made = family_by_name(family["name"], family["options"])
    rows = content.sizes["row"]
    truth = Truth(
        family=made,
        shape=tuple(content[f"shape_{place}"].to_numpy() for place in range(len(made.shape_parameters))),
        log_scale=content["log_scale"].to_numpy(),
        profiles=tuple(Profile(*item) for item in json.loads(told["profiles"])),
        index=np.ascontiguousarray(content["index"].to_numpy().T),
        shares=content["shares"].to_numpy()[content["mix"].to_numpy()],
        site_sd=content["site_sd"].to_numpy(),
        cohort_arm=cohort_arm,
        effect=TrueEffect.drawn(effect, rows, rng=np.random.default_rng(seed)),
        endpoint=str(told["endpoint"]),
        time_unit=str(told["time_unit"]),
        guarantee_time=float(told["guarantee_time"]),
        follow_up=float(told["follow_up"]),
        source=str(told["source"]),
        source_hash=str(told["source_hash"]),
        notes=tuple(json.loads(told["notes"])),
    )
    return with_case_mix(truth, case_mix) if case_mix else truth


def draws_path(which: str | Path, /) -> Path:
    """Return the path of joint draws: packaged ones by their id, or a file.

    Raises
    ------
    TrialError
        When there are none.
    """
    path = Path(which)
    if path.is_file():
        return path
    if isinstance(which, str) and not which.endswith(SUFFIX):
        if which in PACKAGED:
            return Path(str(resources.files("sitewise.trial") / "library" / f"{which}{SUFFIX}"))
        raise TrialError(
            f"There are no packaged draws '{which}'. {nearest(which, PACKAGED)} Any other are read from a .nc file."
        )
    raise TrialError(f"{path} is a folder, not a file." if path.is_dir() else f"There is no file {path}.")
