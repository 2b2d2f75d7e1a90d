"""Saving and loading fits as NetCDF (h5netcdf), never pickle.

The DataTree is written as it is. The cohort goes into ``constant_data``, so that a loaded fit can rebuild its design and
answer for new people; spec, verdict and the rest go into the root's attributes as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sitewise import names
from sitewise.cohort import Cohort, Columns
from sitewise.inference.result import FitResult
from sitewise.inference.verdict import Verdict
from sitewise.models.spec import ModelSpec
from sitewise.problems import SitewiseError

FORMAT = "sitewise-fit"
IMPUTED_FORMAT = "sitewise-imputed-fit"
FORMAT_VERSION = 1
COVARIATE_PREFIX = "covariate_"


def cohort_to_dataset(cohort: Cohort) -> xr.Dataset:
    """Return a cohort as a Dataset with dim ``patient``, whole enough to be rebuilt."""
    rows = (names.PATIENT,)
    variables: dict[str, Any] = {
        "entry": (rows, np.array(cohort.entry)),
        "weight": (rows, np.array(cohort.weights)),
        "patient_label": (rows, cohort.id.to_numpy(dtype=object).astype(str)),
    }
    if cohort.lower is not None:
        variables["lower"] = (rows, np.array(cohort.lower))
    if cohort.site is not None:
        variables["site_label"] = (rows, np.asarray(cohort.site, dtype=object).astype(str))
    levels = {}
    for position, (name, values) in enumerate(cohort.covariates.items()):
        key = f"{COVARIATE_PREFIX}{position}"
        if isinstance(values.dtype, pd.CategoricalDtype):
            levels[str(name)] = list(values.cat.categories)
            variables[key] = (rows, values.cat.codes.to_numpy(dtype=np.int64))
        else:
            variables[key] = (rows, values.to_numpy(dtype=float))
    described = {
        "columns": vars(cohort.columns),
        "covariates": [str(name) for name in cohort.covariates.columns],
        "levels": levels,
        "time_unit": cohort.time_unit,
        "warnings": list(cohort.warnings),
        "notes": list(cohort.notes),
        "source": cohort.source,
        "rows_read": cohort.rows_read,
        "rows_dropped": cohort.rows_dropped,
        "synthetic": cohort.synthetic,
        "site_labels": list(cohort.site_labels),
    }
    return xr.Dataset(variables, attrs={"cohort": json.dumps(described)})


def cohort_from_datasets(constant: xr.Dataset, observed: xr.Dataset) -> Cohort:
    """Return the cohort that :func:`cohort_to_dataset` wrote."""
    described = json.loads(constant.attrs["cohort"])
    columns = Columns(**described["columns"])
    table: dict[str, Any] = {}
    for position, name in enumerate(described["covariates"]):
        values = constant[f"{COVARIATE_PREFIX}{position}"].to_numpy()
        if name in described["levels"]:
            table[name] = pd.Categorical.from_codes(values, categories=described["levels"][name])
        else:
            table[name] = values
    site = None
    if "site_label" in constant:
        text = pd.Series(constant["site_label"].to_numpy().astype(str), dtype=object)
        site = pd.Series(pd.Categorical(text, categories=described["site_labels"]), name=columns.site)
    time = observed["time"].to_numpy().copy()
    return Cohort(
        time=time,
        event=observed["event"].to_numpy().copy(),
        entry=constant["entry"].to_numpy().copy(),
        weights=constant["weight"].to_numpy().copy(),
        site=site,
        id=pd.Series(constant["patient_label"].to_numpy().astype(str), dtype=object, name=columns.id or "patient"),
        covariates=pd.DataFrame(table, index=range(time.size)),
        columns=columns,
        time_unit=described["time_unit"],
        warnings=tuple(described["warnings"]),
        notes=tuple(described["notes"]),
        source=described["source"],
        rows_read=described["rows_read"],
        rows_dropped=described["rows_dropped"],
        synthetic=described["synthetic"],
        lower=constant["lower"].to_numpy().copy() if "lower" in constant else None,
    )


def root_attributes(fit: FitResult) -> dict[str, Any]:
    """Return what the DataTree's root says: versions, seed, hashes, resolved spec, verdict."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "engine": fit.engine,
        "seed": fit.seed,
        "data_hash": fit.cohort.data_hash,
        "synthetic": int(fit.cohort.synthetic),
        "spec": json.dumps(fit.spec.to_dict(), sort_keys=True),
        "verdict": json.dumps(fit.verdict.to_dict()),
        "versions": json.dumps(dict(fit.versions)),
        "settings": json.dumps(dict(fit.settings)),
        "seconds": json.dumps(dict(fit.seconds)),
    }


def save(fit: FitResult, path: str | Path) -> Path:
    """Write a fit to ``path``; the folder is made when it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fit.tree.to_netcdf(path, engine="h5netcdf")
    return path


def load(path: str | Path) -> FitResult:
    """Read a fit that :meth:`FitResult.save` wrote.

    Raises
    ------
    SitewiseError
        When there is no such file or it is no saved fit.
    """
    path = Path(path)
    if not path.is_file():
        raise SitewiseError(f"There is no file {path}.")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    except (OSError, ValueError) as error:
        raise SitewiseError(f"{path.name} is not a NetCDF file that can be read: {error}") from error
    attributes = tree.attrs
    if attributes.get("format") == IMPUTED_FORMAT:
        raise SitewiseError(
            f"{path.name} is the pooled fit of {json.loads(attributes['settings'])['imputations']} completed cohorts, of which "
            "only the draws are stored. Make it again with sw.impute and sw.fit_imputed; xarray.open_datatree reads the draws."
        )
    if attributes.get("format") != FORMAT or int(attributes.get("format_version", 0)) != FORMAT_VERSION:
        raise SitewiseError(f"{path.name} is not a fit saved by this version of Sitewise.")
    cohort = cohort_from_datasets(tree[names.CONSTANT_DATA].to_dataset(), tree[names.OBSERVED_DATA].to_dataset())
    if cohort.data_hash != attributes["data_hash"]:
        raise SitewiseError(f"{path.name}: the patients stored are not those that were fitted (the data hash differs).")
    return FitResult(
        tree=tree,
        spec=ModelSpec.from_dict(json.loads(attributes["spec"])),
        cohort=cohort,
        verdict=Verdict.from_dict(json.loads(attributes["verdict"])),
        engine=str(attributes["engine"]),
        seed=int(attributes["seed"]),
        seconds=json.loads(attributes["seconds"]),
        settings=json.loads(attributes["settings"]),
        versions=json.loads(attributes["versions"]),
    )
