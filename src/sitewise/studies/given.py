"""What a study is given: a fit, or a spec with a cohort."""

from __future__ import annotations

from sitewise.cohort import Cohort
from sitewise.inference import Engine, FitResult, NestedLaplace, fit
from sitewise.inference.engine import Report
from sitewise.inference.nested_laplace.engine import require_known
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError


def spec_and_cohort(fitted: FitResult | ModelSpec, cohort: Cohort | None, /, *, engine: Engine) -> tuple[ModelSpec, Cohort]:
    """Return the resolved spec and the patients.

    Raises
    ------
    SpecError
        When neither a fit nor a spec with a cohort was given, or the engine does not know the model.
    """
    if isinstance(fitted, FitResult):
        if cohort is not None:
            raise SpecError("A fit has its own cohort: give the fit alone, or a spec and a cohort.")
        spec, cohort = fitted.spec, fitted.cohort
    else:
        if cohort is None:
            raise SpecError("A spec alone has no patients: give a fit, or a spec and a cohort.")
        spec = fitted.resolve(cohort)
    if isinstance(engine, NestedLaplace):
        require_known(spec)
    return spec, cohort


def full_fit(
    fitted: FitResult | ModelSpec, cohort: Cohort | None, /, *, engine: Engine, seed: int, report: Report
) -> FitResult:
    """Return the fit that was given, or that of a spec and a cohort; raises as :func:`spec_and_cohort` does."""
    spec, cohort = spec_and_cohort(fitted, cohort, engine=engine)
    if isinstance(fitted, FitResult):
        return fitted
    report("The fit of all patients")
    return fit(spec, cohort, engine=engine, seed=seed)
