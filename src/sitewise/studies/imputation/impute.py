"""`impute`: completed cohorts from the joint posterior of a survival model and of its incomplete covariates."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sitewise.cohort import Cohort
from sitewise.inference.engine import Report, silent
from sitewise.inference.nested_laplace.engine import require_known
from sitewise.models import ModelSpec
from sitewise.problems import CohortError, Problems, SpecError, nearest
from sitewise.studies.imputation.imputations import Imputations
from sitewise.studies.imputation.regressions import Regression
from sitewise.studies.imputation.sweeps import Chains, Sampler, run_chains
from sitewise.studies.imputation.variables import Variable, filled, read_variables, with_values

STAGE = 23
"""Branch of the seed."""
FEWEST_SWEEPS, FEWEST_IMPUTATIONS = 4, 2


def impute(
    spec: ModelSpec,
    cohort: Cohort,
    /,
    *,
    imputations: int = 50,
    sweeps: int = 20,
    also: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    sites: bool | None = None,
    seed: int = 1,
    workers: int | None = None,
    report: Report = silent,
) -> Imputations:
    """Return completed cohorts, drawn from the joint posterior of the survival model and the incomplete covariates.

    Each comes from a chain of its own, which alternates between parameters and missing values
    (:mod:`sitewise.studies.imputation.sweeps`). Values are assumed to be missing at random: given the time, the event, the site
    and the other covariates, whether a value is missing does not depend on what it is.

    Parameters
    ----------
    spec : ModelSpec
        The survival model; one that the fast engine knows.
    cohort : Cohort
        Patients, read with ``missing="keep"``. Without missing values every completed cohort is the cohort itself.
    imputations : int
        Chains, and completed cohorts. The Monte Carlo error of a posterior mean is sqrt(fraction of missing information /
        imputations) posterior sds.
    sweeps : int
        Of each chain.
    also : sequence of str
        Covariates that the survival model does not use: they help to predict the missing values, and are completed themselves
        (for risk groups).
    kinds : mapping of str to str, optional
        Model of an incomplete covariate: ``normal`` or ``log-normal`` for numbers, ``ordinal`` or ``categorical`` for three and
        more levels (default ordinal when every level begins with a number).
    sites : bool, optional
        Whether covariates differ between sites; default as the survival model has it.
    seed : int
        Seed of everything; results do not depend on the number of workers.
    workers : int, optional
        Threads; default one a core. Priors that only PyMC evaluates take one.
    report : callable
        Told of the progress.

    Returns
    -------
    Imputations

    Raises
    ------
    CohortError, SpecError
        Before the work, with everything that is wrong.
    """
    problems = Problems()
    wanted = list(dict.fromkeys([*spec.variables, *also]))
    known = [name for name in wanted if name in cohort.covariates.columns]
    for name in wanted:
        if name not in known:
            problems.add(f"column '{name}'", "is not in the cohort", nearest(name, map(str, cohort.covariates.columns)))
    variables = read_variables(cohort, known, kinds or {}, problems)
    _check_numbers(imputations, sweeps, problems)
    incomplete = [item for item in variables if item.incomplete]
    if cohort.weighted and incomplete:
        problems.add(
            f"column '{cohort.columns.weights}'",
            "weights patients whose covariates are missing",
            "A patient who counts twice would have one missing value, not two: read the cohort without weights, or with "
            "missing='drop'.",
        )
    problems.raise_if_any(CohortError, "The imputation")
    complete = with_values(cohort, {item.name: (item, filled(item)) for item in incomplete})
    resolved = _resolved(spec, complete, cohort)
    require_known(resolved)
    sites = spec.has_sites if sites is None else sites
    if sites and cohort.site is None:
        raise SpecError("sites=True needs a cohort with a site column; read it with site='...'.")
    regressions = regressions_of(variables, len(cohort.site_labels) if sites else 0)
    chains = Chains({}, np.empty((imputations, sweeps, 0)), (), float("inf"))
    if incomplete:
        streams = [
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STAGE, place))) for place in range(imputations)
        ]
        report("Loading the fast engine (the first time on a machine, compiling it: a minute)")
        sampler = Sampler(
            resolved,
            complete,
            variables=variables,
            regressions=regressions,
            streams=streams,
            workers=_threads(resolved, workers),
        )
        chains = run_chains(sampler, sweeps, report)
    return Imputations(
        spec=resolved, cohort=cohort, variables=variables, regressions=regressions, chains=chains, seed=seed, count=imputations
    )


def regressions_of(variables: Sequence[Variable], sites: int) -> tuple[Regression, ...]:
    """Return the model of each incomplete covariate, given the complete ones and the incomplete ones before it."""
    return tuple(Regression(item, tuple(variables[:place]), sites) for place, item in enumerate(variables) if item.incomplete)


def _check_numbers(imputations: int, sweeps: int, problems: Problems) -> None:
    for name, value, least in (("imputations", imputations, FEWEST_IMPUTATIONS), ("sweeps", sweeps, FEWEST_SWEEPS)):
        if value < least:
            problems.add(name, f"is {value}", f"It must be at least {least}.")


def _threads(spec: ModelSpec, workers: int | None) -> int:
    """Return the number of threads: one where priors are evaluated by PyMC, whose functions are not made for several."""
    from sitewise.inference.nested_laplace.stand_ins import with_stand_ins

    _, replaced = with_stand_ins(spec)
    return 1 if replaced else workers if workers is not None else os.cpu_count() or 1


def _resolved(spec: ModelSpec, complete: Cohort, cohort: Cohort) -> ModelSpec:
    """Return the spec resolved on the observed values (the cohort completed by their quantiles), once for all imputations."""
    if spec.resolution is not None:
        return spec
    found = spec.resolve(complete)
    return replace(found, resolution=replace(found.resolved, data_hash=cohort.data_hash))
