"""From a spec and a cohort to numbers: data-located priors (once), and the arrays that a fit needs (every time)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.families import Family, ShapeParameter
from sitewise.models.coefficient_priors import coefficient_priors, unit
from sitewise.models.design import Design, has_calls, make_design
from sitewise.models.formula import response_columns
from sitewise.models.groupings import check_groupings, grouping_labels, grouping_positions
from sitewise.models.model_data import ModelData
from sitewise.models.priors import Prior, Priors
from sitewise.models.shape_regression import check_shape_priors, resolve_shape, shape_distances
from sitewise.models.site_checks import check_site_priors, correlation_prior, degrees_of_freedom_prior, grouping_prior
from sitewise.models.site_effects import FixedSites, RandomSites
from sitewise.models.spec import ModelSpec, Resolution
from sitewise.problems import CohortError, Problems, SpecError, listed, nearest, plural

Floats = NDArray[np.float64]
DEFAULT_BASELINE_SD = 1.5
DEFAULT_SLOPE_SD = 0.5


def resolve(spec: ModelSpec, cohort: Cohort) -> Resolution:
    """Return the numbers that ``spec`` takes from ``cohort``; see :meth:`ModelSpec.resolve`."""
    check(spec, cohort)
    design = make_design(spec.terms, spec.variables, cohort.covariates)
    _check_prior_names(spec, design, cohort)
    reference_patient = design.reference_patient()
    reference = design.rows(_as_row(reference_patient))[0] if spec.terms else np.empty(0)
    baseline, baseline_prior = _baseline(spec, cohort)
    priors = spec.priors
    every_term = (*spec.terms, *spec.shape_terms)
    slope_columns = tuple(place for place, term in enumerate(design.term_of_column) if term in spec.slopes)
    return Resolution(
        columns=design.columns,
        means=tuple(float(mean) for mean in (design.matrix.mean(axis=0) if spec.centred_at_means else reference)),
        reference=tuple(float(value) for value in reference),
        reference_patient=reference_patient,
        levels={name: levels for name in spec.variables if (levels := cohort.levels(name))},
        site_labels=cohort.site_labels if spec.has_sites else (),
        shape=tuple(_shape_prior(priors, item) for item in located_family(spec, cohort).shape_parameters),
        baseline=baseline,
        baseline_prior=baseline_prior,
        coefficients=coefficient_priors(spec, design, events=_events(cohort)),
        site_sd=(priors.site_sd or Prior("HalfNormal", sigma=0.5)) if isinstance(spec.sites, RandomSites) else None,
        site_effects=(priors.site_effects or Prior("ZeroSumNormal", sigma=1.0)) if isinstance(spec.sites, FixedSites) else None,
        training={name: list(cohort.covariates[name]) for name in spec.variables} if has_calls(every_term) else None,
        data_hash=cohort.data_hash,
        time_unit=cohort.time_unit,
        slope_columns=slope_columns,
        site_slope_sd=tuple(_slope_prior(spec, design.matrix[:, place]) for place in slope_columns),
        site_correlation=correlation_prior(spec),
        site_degrees_of_freedom=degrees_of_freedom_prior(spec),
        groupings=grouping_labels(spec, cohort),
        grouping_sd=grouping_prior(spec),
        **resolve_shape(spec, cohort.covariates, reference_patient),
    )


def located_family(spec: ModelSpec, cohort: Cohort) -> Family:
    """Return the spec's family with what it takes from the event times of a cohort; events in intervals count in the middle."""
    when = cohort.time if cohort.lower is None else np.where(cohort.interval, (cohort.lower + cohort.time) / 2, cohort.time)
    return spec.family.located(when[cohort.event > 0] - spec.guarantee_time)


def prepare(spec: ModelSpec, cohort: Cohort) -> ModelData:
    """Return the arrays of ``cohort`` under a resolved spec.

    Raises
    ------
    SpecError
        When the cohort's design, levels, unit or sites are not those that the spec was resolved on.
    """
    resolution = spec.resolved
    check(spec, cohort)
    if cohort.time_unit != resolution.time_unit:
        raise SpecError(
            f"The spec was resolved with times in {resolution.time_unit}, the cohort has {cohort.time_unit}. "
            "Use one unit, or resolve the spec anew."
        )
    design = resolved_design(spec, cohort)
    if design.columns != resolution.columns:
        raise SpecError(
            f"The cohort gives the design columns {listed(design.columns)}, the spec was resolved with "
            f"{listed(resolution.columns)}. Keep the same levels, or resolve the spec anew."
        )
    shape_covariates = None
    if spec.shape_terms:
        of_shape = resolved_design(spec, cohort, terms=spec.shape_terms)
        if of_shape.columns != resolution.shape_columns:
            raise SpecError(
                f"The cohort gives the shape's columns {listed(of_shape.columns)}, the spec was resolved with "
                f"{listed(resolution.shape_columns)}. Keep the same levels, or resolve the spec anew."
            )
        shape_covariates = shape_distances(spec, of_shape)
    beyond_entry = np.maximum(cohort.entry - spec.guarantee_time, 0.0)
    late = beyond_entry > 0
    interval: dict[str, Floats] = {}
    if cohort.lower is not None and cohort.interval.any():
        beyond_lower = np.where(cohort.interval, np.maximum(cohort.lower - spec.guarantee_time, 0.0), 0.0)
        interval = {
            "interval": cohort.interval.astype(float),
            "log_lower": np.log(np.where(beyond_lower > 0, beyond_lower, 1.0)),
            "lower_known": (beyond_lower > 0).astype(float),
        }
    return ModelData(
        log_time=np.log(cohort.time - spec.guarantee_time),
        event=np.array(cohort.event),
        log_entry=np.log(np.where(late, beyond_entry, 1.0)) if late.any() else None,
        entered_late=late.astype(float) if late.any() else None,
        weight=np.array(cohort.weights) if cohort.weighted else None,
        covariates=design.matrix - np.asarray(resolution.means),
        site=site_positions(spec, cohort),
        grouping=grouping_positions(spec, cohort),
        design=design,
        shape_covariates=shape_covariates,
        **interval,
    )


def resolved_design(spec: ModelSpec, cohort: Cohort, *, terms: tuple[str, ...] | None = None) -> Design:
    """Return the design of ``cohort`` under a resolved spec; transforms keep what they learnt when it was resolved.

    ``terms`` are the spec's by default, or those of its shape.
    """
    resolution, terms = spec.resolved, spec.terms if terms is None else terms
    if resolution.training is None:
        return make_design(terms, spec.variables, cohort.covariates)
    learnt = pd.DataFrame(
        {
            name: pd.Categorical(values, categories=list(resolution.levels[name])) if name in resolution.levels else values
            for name, values in resolution.training.items()
        }
    )
    design = make_design(terms, spec.variables, learnt)
    return replace(design, matrix=design.rows(cohort.covariates))


def check(spec: ModelSpec, cohort: Cohort) -> None:
    """Check that a cohort has what a spec needs.

    Raises
    ------
    CohortError
        With every problem found.
    """
    problems = Problems()
    named = cohort.columns
    if spec.response:
        for role, asked in response_columns(spec.response).items():
            given = named.named.get(role)
            if asked != given:
                problems.add(
                    "formula",
                    f"Surv(...) uses '{asked}' as {role}, the cohort was read with {role} = "
                    + (f"'{given}'" if given else "nothing"),
                    "Name the same column in both.",
                )
    if spec.has_sites:
        if cohort.site is None:
            problems.add(
                "formula",
                f"has the site term (1 | {spec.group or 'site'}), but the cohort was read without a site column",
                f"Read it with site='{spec.group or 'site'}', or remove the term.",
            )
        elif spec.group is not None and spec.group != named.site:
            problems.add(
                "formula",
                f"groups by '{spec.group}', but the cohort's site column is '{named.site}'",
                f"Write (1 | {named.site}).",
            )
        elif len(cohort.site_labels) < 2:
            problems.add(
                f"column '{named.site}'",
                f"has {len(cohort.site_labels)} site; a site effect needs at least 2",
                "Remove the site term from the model.",
            )
    check_groupings(spec, cohort, problems)
    early = cohort.time <= spec.guarantee_time
    if spec.guarantee_time > 0 and early.any():
        problems.add(
            f"column '{named.time}'",
            f"{plural(early.sum(), 'time is', 'times are')} at or before the guarantee time {spec.guarantee_time:g}",
            "With a guarantee time nobody can leave before it; lower it or correct these rows.",
            cohort.table_rows(early),
        )
    if not cohort.event.any():
        problems.add(f"column '{named.event or named.time}'", "has no events", "Without events nothing can be estimated.")
    for name in spec.variables:
        if name not in cohort.covariates.columns:
            problems.add(
                f"column '{name}'",
                "is in the formula but not in the cohort",
                nearest(name, cohort.covariates.columns),
            )
    try:
        cohort.require([name for name in spec.variables if name in cohort.covariates.columns])
    except CohortError as error:
        problems.found += error.problems
    problems.raise_if_any(CohortError, "The cohort")


def _as_row(patient: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame([patient])


def site_positions(spec: ModelSpec, cohort: Cohort) -> NDArray[np.int64]:
    """Return the position of each patient's site among the spec's ``site_labels``, shape (n,); zeros without site effects.

    A cohort may lack some of the sites that the spec was resolved on, so these are not the cohort's own positions.
    """
    if not spec.has_sites:
        return np.zeros(len(cohort), dtype=np.int64)
    known = {name: position for position, name in enumerate(spec.resolved.site_labels)}
    unknown = [name for name in cohort.site_labels if name not in known]
    if unknown:
        raise SpecError(
            f"Sites {listed(unknown)} are not among those that the spec was resolved on ({listed(known)}). "
            "Resolve the spec anew on a cohort that has them."
        )
    positions = np.array([known[name] for name in cohort.site_labels], dtype=np.int64)
    return positions[cohort.site_index]


def _baseline(spec: ModelSpec, cohort: Cohort) -> tuple[str, Prior]:
    """Return the user's baseline prior, or log median ~ Normal(log(ln 2 x person-time / events), 1.5)."""
    for name in ("log_median", "log_scale", "log_scale_at_means"):
        prior = getattr(spec.priors, name)
        if prior is not None:
            return name, prior
    beyond = cohort.time_at_risk_to - np.maximum(cohort.entry, spec.guarantee_time)
    person_time = float(np.sum(cohort.weights * beyond))
    mean = math.log(math.log(2) * person_time / _events(cohort))
    return "log_median", Prior("Normal", mu=mean, sigma=DEFAULT_BASELINE_SD)


def _events(cohort: Cohort) -> float:
    return float(np.sum(cohort.weights * cohort.event))


def _shape_prior(priors: Priors, parameter: ShapeParameter) -> Prior:
    """Return the user's prior of a parameter of the family, by its name, or the family's own."""
    told = priors.shape if parameter.name == names.SHAPE else priors.terms.get(parameter.name)
    if told is not None and not isinstance(told, Prior):
        raise SpecError(f"prior '{parameter.name}' is {told}, but it is one number of the family: give one distribution.")
    return told if told is not None else Prior(parameter.default_prior[0], **parameter.default_prior[1])


def _slope_prior(spec: ModelSpec, values: Floats) -> Prior:
    """Return the prior of the sd of a column's slopes: the user's as the column is written, or HalfNormal(0.5) per sd."""
    if spec.priors.site_slope_sd is not None:
        return spec.priors.site_slope_sd
    return Prior("HalfNormal", sigma=DEFAULT_SLOPE_SD / unit(values))


def _check_prior_names(spec: ModelSpec, design: Design, cohort: Cohort) -> None:
    of_family = {item.name for item in spec.family.shape_parameters}
    known = {*design.columns, *design.term_of_column, *of_family}
    problems = Problems()
    for name in sorted(of_family & {*design.columns, *design.term_of_column}):
        problems.add(
            f"column '{name}'", f"has the name of a parameter of the {spec.family.name} family", "Give the column another name."
        )
    for name in spec.priors.terms:
        if name not in known:
            options = [*sorted(known), "coefficients", "site_sd", "site_slope_sd", "median_survival", "log_scale_at_means"]
            options += ["site_correlation", "site_degrees_of_freedom", "grouping_sd"]
            problems.add(f"prior '{name}'", "belongs to no term of the model", nearest(name, options))
    if spec.priors.shape is not None and names.SHAPE not in of_family:
        problems.add("prior 'shape'", f"the {spec.family.name} family has no shape", "Remove it.")
    check_site_priors(spec, problems)
    check_shape_priors(spec, cohort.covariates, problems)
    problems.raise_if_any(SpecError, "The spec")
