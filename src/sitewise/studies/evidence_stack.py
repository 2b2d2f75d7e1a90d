"""From the fits of cohorts to one stack: their draws beside one another, quantities that do not belong to all left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.estimands import (
    GroupCurves,
    Population,
    SiteTreatment,
    group_curves,
    log_hazard_ratios,
    log_time_ratios,
    median_hazard_ratio,
    site_sd,
)
from sitewise.evidence import evidence_hash
from sitewise.inference import FitResult
from sitewise.inference.result import installed_versions
from sitewise.models import ModelSpec, RandomSites
from sitewise.simulate.calibration import Produced
from sitewise.studies.evidence_fit import ESTIMANDS, MEDIAN_BEYOND, SITES, EvidenceFit, Member
from sitewise.studies.evidence_model import PaperModel
from sitewise.studies.stacking import COHORT

FORMAT, FORMAT_VERSION = "sitewise-evidence-fit", 1
CURVE_POINTS = 49
CURVE_DRAWS = 20_000
"""Most draws of all cohorts together that curves are kept of."""
Floats = NDArray[np.float64]


def stacked(
    produced: Produced,
    spec: ModelSpec,
    /,
    *,
    members: tuple[Member, ...],
    results: Sequence[FitResult | None],
    suggested: PaperModel,
    groups: Population,
    times: tuple[float, ...],
    horizon: float | None,
    sites: tuple[SiteTreatment, ...],
    endpoint: str,
    seed: int,
) -> EvidenceFit:
    """Return the stack of the fits that there are (None: a cohort that is left out)."""
    fitted = [item for item in results if item is not None]
    order = _labels(groups, [item.cohort for item in fitted])
    last_time = pd.DataFrame([{group.label: group.last_time for group in groups.groups(item.cohort)} for item in fitted])
    last_time = last_time.reindex(columns=order)
    shortest = float(last_time.median().min())
    reached = [time for time in times if time <= shortest]
    horizon = horizon if horizon is not None else (reached[-1] if reached else times[0])
    end = float(np.median([item.cohort.time.max() for item in fitted]))
    grid = np.unique(np.concatenate([np.linspace(0.0, end, CURVE_POINTS), times]))
    first = fitted[0].posterior.sizes
    step = max(1, -(-len(fitted) * first[names.CHAIN] * first[names.DRAW] // CURVE_DRAWS))
    posteriors, estimands, curves = [], [], []
    for result in fitted:
        posteriors.append(_parameters(result))
        found = [_estimands(group_curves(result, groups, sites=own), grid, times, horizon, step) for own in sites]
        estimands.append(_over_sites([item for item, _ in found], sites, order))
        curves.append(_over_sites([item for _, item in found], sites, order))
    numbers = [member.place for member in members if member.stacked]
    tree = xr.DataTree.from_dict(
        {names.POSTERIOR: _along_cohorts(posteriors, numbers), ESTIMANDS: _along_cohorts(estimands, numbers)}
    )
    tree.attrs.update(_attributes(produced, spec, members, seed))
    return EvidenceFit(
        produced=produced,
        spec=spec,
        suggested=suggested,
        members=members,
        tree=tree,
        curves=_along_cohorts(curves, numbers)[names.SURVIVAL],
        last_time=last_time.set_axis(numbers),
        groups=groups,
        times=times,
        horizon=float(horizon),
        sites=sites,
        engine=fitted[0].engine,
        settings=dict(fitted[0].settings),
        endpoint=endpoint,
        seed=seed,
    )


def _labels(groups: Population, cohorts: Sequence[Cohort]) -> list[str]:
    """Return the labels that some cohort has, in the order of the rules where there are rules: cohorts may lack a group."""
    found = dict.fromkeys(group.label for cohort in cohorts for group in groups.groups(cohort))
    rules: Any = getattr(groups, "rules", ())
    return [label for label, *_ in rules if label in found] or list(found)


def _parameters(result: FitResult) -> xr.Dataset:
    """Return the draws of what cohorts have in common: not the effects of their single sites, whose labels mean nothing."""
    posterior = result.posterior
    wanted = [item.name for item in result.spec.family.shape_parameters] + [names.LOG_SCALE, names.LOG_SCALE_AT_MEANS]
    found = {name: posterior[name] for name in wanted}
    if result.spec.resolved.columns:
        found[names.LOG_HAZARD_RATIO], found[names.LOG_TIME_RATIO] = log_hazard_ratios(result), log_time_ratios(result)
    if isinstance(result.spec.sites, RandomSites):
        found[names.SITE_SD] = posterior[names.SITE_SD]
        found[names.SITE_SD_LOG_HAZARD_RATIO] = site_sd(result)
        found[names.SITE_SD_LOG_TIME_RATIO] = site_sd(result, metric=names.TIME_RATIO)
        found[names.MEDIAN_HAZARD_RATIO] = median_hazard_ratio(result)
    return xr.Dataset({name: _plain(values) for name, values in found.items()})


def _plain(values: xr.DataArray) -> xr.DataArray:
    """Return draws with the coordinates of their dimensions only, so that cohorts can be put beside one another."""
    extra = [name for name in values.coords if name not in values.dims]
    return values.drop_vars(extra).drop_attrs()


def _estimands(
    curves: GroupCurves, grid: Floats, times: tuple[float, ...], horizon: float, step: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Return estimands of every draw, and curves on the grid (which has the milestones) of every ``step``-th."""
    last = {group.label: group.last_time for group in curves.groups}
    medians = curves.quantile(0.5)
    beyond = medians > xr.DataArray(list(last.values()), coords={names.GROUP: list(last)})
    survival = _plain(curves.survival(grid))
    found = {
        names.MEDIAN_SURVIVAL: _plain(medians),
        MEDIAN_BEYOND: _plain(beyond).astype(float),
        names.SURVIVAL: survival.sel({names.TIME: list(times)}),
        names.RMST: _plain(curves.rmst(horizon)),
    }
    kept = survival.isel({names.DRAW: slice(None, None, step)}).astype("float32")
    return xr.Dataset(found), kept.to_dataset(name=names.SURVIVAL)


def _over_sites(parts: list[xr.Dataset], sites: tuple[SiteTreatment, ...], order: list[str]) -> xr.Dataset:
    labels = pd.Index([treatment.label for treatment in sites], name=SITES)
    joined = xr.concat(parts, dim=labels, coords="minimal", compat="override", join="exact", data_vars="all")
    return joined.reindex({names.GROUP: order})


def _along_cohorts(parts: list[xr.Dataset], numbers: list[int]) -> xr.Dataset:
    index = pd.Index(numbers, name=COHORT)
    return xr.concat(parts, dim=index, coords="minimal", compat="override", join="exact", data_vars="all")


def _attributes(produced: Produced, spec: ModelSpec, members: tuple[Member, ...], seed: int) -> dict[str, Any]:
    versions = installed_versions()
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "evidence": produced.problem.evidence.id,
        "evidence_hash": evidence_hash(produced.problem.evidence),
        "product": produced.product,
        "synthetic": 1,
        "seed": seed,
        "cohorts": len(members),
        "cohorts_in_stack": sum(member.stacked for member in members),
        "spec": json.dumps(spec.to_dict(), sort_keys=True),
        "guarantee_times": json.dumps([member.guarantee_time for member in members]),
        "sitewise": versions["sitewise"],
        "versions": json.dumps(versions),
    }
