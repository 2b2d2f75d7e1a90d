"""`missing = "impute"` in a study: what is asked of it, and the pooled fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sitewise.cli.study import Study
from sitewise.problems import StudyError

if TYPE_CHECKING:
    from sitewise.cli.run import Flags
    from sitewise.cohort import Cohort
    from sitewise.models import ModelSpec
    from sitewise.studies.imputation import ImputedFit

IMPUTE = "impute"
IMPUTATIONS, SWEEPS = 50, 20


def is_imputed(study: Study) -> bool:
    """Return whether a study imputes missing covariates."""
    return study.data.get("missing") == IMPUTE


def refuse_imputation(study: Study, command: str) -> None:
    """Refuse a study that imputes, for a command that takes complete cohorts.

    Raises
    ------
    StudyError
        With what to do instead.
    """
    if is_imputed(study):
        raise StudyError(
            f'[data] missing is "impute", which {command} cannot do: it takes complete patients. Use missing = "drop" here; '
            "sitewise fit imputes."
        )


def fit_imputed_study(
    study: Study,
    spec: ModelSpec,
    cohort: Cohort,
    *,
    flags: Flags,
    seed: int,
    report: Callable[[str], None],
) -> ImputedFit:
    """Return the pooled fit of a study's patients; every covariate of the cohort is completed, those of the groups too.

    Raises
    ------
    StudyError
        When another engine than the fast one is asked for.
    """
    from sitewise.inference import NestedLaplace
    from sitewise.studies.imputation import fit_imputed, impute
    from sitewise.studies.imputation.pooled_fit import ENGINE

    if flags.chains is not None:
        raise StudyError("--chains belongs to nuts: the fast engine's draws are independent.")
    asked = flags.engine or study.sampler.get("engine", NestedLaplace.name)
    if asked != NestedLaplace.name:
        raise StudyError(
            f'Missing covariates are imputed through the fast engine, not "{asked}": use engine = "nested-laplace", or '
            'missing = "drop".'
        )
    imputations = impute(
        spec,
        cohort,
        imputations=study.sampler.get("imputations", IMPUTATIONS),
        sweeps=study.sampler.get("sweeps", SWEEPS),
        also=[str(name) for name in cohort.covariates.columns if name not in spec.variables],
        kinds=study.covariates.get("kinds"),
        seed=seed,
        report=report,
    )
    chosen = ENGINE if flags.draws is None else NestedLaplace(draws=flags.draws)
    return fit_imputed(imputations, engine=chosen, report=report)
