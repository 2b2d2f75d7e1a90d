"""`fit_imputed`: a fit of each completed cohort, pooled with equal weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sitewise import names
from sitewise.inference import FitResult, NestedLaplace, Verdict, fit
from sitewise.inference.engine import Report, silent
from sitewise.inference.result import installed_versions
from sitewise.inference.storage import IMPUTED_FORMAT
from sitewise.inference.verdict import THRESHOLDS, Check, check
from sitewise.problems import SpecError
from sitewise.studies.imputation.imputations import Imputations
from sitewise.studies.stacking import COHORT, summarise_stack

STAGE = 24
"""Branch of the seed."""
ENGINE = NestedLaplace(draws=400)
"""Of each completed cohort: small, since they pool."""
IMPUTED = "imputed"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ImputedFit(FitResult):
    """The pooled fit of completed cohorts; make it with :func:`sitewise.fit_imputed`.

    Estimands take it like any other fit: each draw averages over the patients as they are in its own completed cohort. What
    refits, predicts or checks takes one complete cohort and refuses it: :attr:`fits` has these.

    Parameters
    ----------
    tree : DataTree
        ``posterior`` (dims chain, draw, and term or site; a chain is a completed cohort) and ``imputed``, the values.
    cohort : Cohort
        The incomplete cohort.
    imputations : Imputations
        The completed cohorts.
    fits : tuple of FitResult
        The fit of each.
    """

    imputations: Imputations
    fits: tuple[FitResult, ...]

    @property
    def sentence(self) -> str:
        """What was missing and what was done about it, for the report."""
        return self.imputations.sentence

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should worry, from the data, the imputation and the computation."""
        return (*super().warnings, *self.imputations.warnings)

    @cached_property
    def missing_information(self) -> pd.DataFrame:
        """What each coefficient and parameter lost by missing values, a row each.

        ``parameter, mean, sd, within_sd, between_sd, missing_information, mcse_mean``: the posterior's variance is that within
        completed cohorts plus that between them, and the fraction of missing information is the second's share (Rubin 1987,
        Multiple Imputation for Nonresponse in Surveys, section 3.3). ``mcse_mean`` is the error that the finite number of
        imputations and draws leaves in the mean.
        """
        return stack_table(self)

    def __repr__(self) -> str:
        return f"<Pooled fit of {len(self.fits)} completed cohorts: {self.spec.formula}; verdict {self.verdict.level}>"


def fit_imputed(
    imputations: Imputations,
    /,
    *,
    engine: NestedLaplace | None = None,
    seed: int | None = None,
    report: Report = silent,
) -> ImputedFit:
    """Return the posterior given all that was observed: the fits of completed cohorts, pooled with equal weights.

    Completed cohorts are draws of the missing values given what was observed, and each fit is the posterior given one of them,
    so that the mixture is the posterior with the missing values integrated out.

    Parameters
    ----------
    imputations : Imputations
        Of :func:`sitewise.impute`; they know the model.
    engine : NestedLaplace, optional
        Of each fit; default 400 draws.
    seed : int, optional
        Default that of the imputations.
    report : callable
        Told of the progress.

    Returns
    -------
    ImputedFit
    """
    engine = engine if engine is not None else ENGINE
    if not isinstance(engine, NestedLaplace) or engine.fallback:
        raise SpecError("Completed cohorts are fitted by the fast engine alone: use engine=NestedLaplace(draws=...).")
    seed = imputations.seed if seed is None else seed
    fits = []
    for place in range(len(imputations)):
        report(f"Fitting completed cohort {place + 1} of {len(imputations)}")
        own = int(np.random.SeedSequence(seed, spawn_key=(STAGE, place)).generate_state(1)[0] >> 1)
        found = fit(imputations.spec, imputations[place], engine=engine, seed=own)
        fits.append(replace(found, tree=_first_draws(found.tree, engine.draws)))
    posterior = _stacked(fits)
    pooled = ImputedFit(
        tree=xr.DataTree.from_dict({names.POSTERIOR: posterior, IMPUTED: _imputed(imputations)}),
        spec=fits[0].spec,
        cohort=imputations.cohort,
        verdict=Verdict(()),
        engine=engine.name,
        seed=seed,
        seconds={"sample": sum(found.seconds["sample"] for found in fits)},
        settings={"imputations": len(imputations), "sweeps": int(imputations.chains.trace.shape[1]), "draws": engine.draws},
        versions=installed_versions(),
        imputations=imputations,
        fits=tuple(fits),
    )
    pooled = replace(pooled, verdict=_verdict(pooled))
    pooled.tree.attrs.update(_attributes(pooled))
    return pooled


def stack_table(pooled: ImputedFit, /) -> pd.DataFrame:
    """Return the table of :attr:`ImputedFit.missing_information`."""
    posterior = pooled.posterior
    wanted = [item.name for item in pooled.spec.family.shape_parameters] + [names.LOG_SCALE_AT_MEANS, names.SITE_SD]
    parts = []
    for name in (names.LOG_HAZARD_RATIO, names.LOG_TIME_RATIO, *wanted):
        if name in posterior:
            # A completed cohort has one chain: the pooled fit's chains are the stack's cohorts.
            draws = posterior[name].rename({names.CHAIN: COHORT}).expand_dims(names.CHAIN)
            table = summarise_stack(draws)
            labels = [str(item) for item in table.index] if names.TERM in draws.dims else [name]
            parts.append(table.assign(parameter=labels).reset_index(drop=True))
    found = pd.concat(parts, ignore_index=True).rename(columns={"share_between": "missing_information"})
    return found[["parameter", "mean", "sd", "within_sd", "between_sd", "missing_information", "mcse_mean"]]


def _first_draws(tree: xr.DataTree, draws: int) -> xr.DataTree:
    """Return a fit's tree with as many draws as asked: a retry has more, equally weighted and in random order."""
    if tree[names.POSTERIOR].sizes[names.DRAW] == draws:
        return tree
    groups = {name: group.to_dataset() for name, group in tree.children.items()}
    cut = {
        name: data.isel({names.DRAW: slice(draws)}) if names.DRAW in data.dims and name != names.WEIGHTED_POSTERIOR else data
        for name, data in groups.items()
    }
    made = xr.DataTree.from_dict(cut)
    made.attrs.update(tree.attrs)
    return made


def _stacked(fits: Sequence[FitResult]) -> xr.Dataset:
    """Return the draws of all fits, a chain each."""
    parts = [found.posterior.assign_coords({names.CHAIN: [place]}) for place, found in enumerate(fits)]
    joined = xr.concat(parts, dim=names.CHAIN, join="exact", data_vars="all", coords="minimal", compat="override")
    for variable in joined.data_vars.values():
        variable.attrs = {names.IMPUTATIONS: len(fits)}
    return joined


def _imputed(imputations: Imputations) -> xr.Dataset:
    """Return the imputed values, a variable a covariate: numbers, or positions among the levels, dims chain, and patient."""
    content = {}
    for regression in imputations.regressions:
        target = regression.target
        values = imputations.chains.values[target.name][:, target.missing]
        labels = imputations.cohort.id[target.missing].to_numpy(dtype=object).astype(str)
        dim = f"patient without {target.name}"
        array = xr.DataArray(values, dims=(names.CHAIN, dim), coords={dim: labels})
        content[target.name] = array.assign_attrs(levels=json.dumps(list(target.levels)))
    return xr.Dataset(content)


def _verdict(pooled: ImputedFit) -> Verdict:
    """Return the worst of the fits' checks, the error of the finite number of imputations, and whether chains settled.

    That error stands beside every number, so it warns and never fails. Errors of single fits are in it.
    """
    worst = []
    for name in [item.name for item in pooled.fits[0].verdict.checks if item.name != "mcse"]:
        found = [own.verdict[name] for own in pooled.fits]
        rank = ("ok", "warn", "fail")
        place = max(range(len(found)), key=lambda number: (rank.index(found[number].level), _badness(found[number])))
        worst.append(replace(found[place], where=f"completed cohort {place + 1}"))
    table = pooled.missing_information
    ratio = (table["mcse_mean"] / table["sd"]).to_numpy()
    place = int(np.nanargmax(ratio))
    error = check("imputation_mcse", float(ratio[place]), str(table["parameter"][place]))
    notes = []
    if error.level != "ok":
        enough = int(np.ceil(len(pooled.fits) * (error.value / error.ok) ** 2))
        notes.append(f"About {enough} imputations would bring the error below {error.ok:g} sd.")
    retried = sum(own.verdict.retried for own in pooled.fits)
    if retried:
        notes.append(f"{retried} of {len(pooled.fits)} completed cohorts were fitted again with more draws.")
    return Verdict((*worst, error, *pooled.imputations.verdict.checks), notes=tuple(notes))


def _badness(found: Check) -> float:
    return -found.value if THRESHOLDS[found.name].larger_is_better else found.value


def _attributes(pooled: ImputedFit) -> dict[str, Any]:
    from sitewise.inference.storage import root_attributes

    return {**root_attributes(pooled), "format": IMPUTED_FORMAT}
