"""Log likelihoods of patients who were not fitted, under draws: at their known site, or together at a site not yet seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.families.base import EXTREME_VALUE
from sitewise.families.metric import log_cumulative_hazard, log_hazard
from sitewise.inference.densities import coefficient_name
from sitewise.models.model_data import ModelData, slope_rows
from sitewise.models.spec import ModelSpec
from sitewise.models.student_t import degrees_of_freedom, mixture_of_normals
from sitewise.problems import SpecError, listed
from sitewise.studies.site_integral import LARGEST, log_probability, log_site_integral, log_site_integral_with_intervals
from sitewise.studies.slope_integral import MOST_SLOPES, log_site_integral_with_slopes

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
LogHazard = Callable[[Floats], Floats]
"""Log cumulative hazards (S, n) at an average site, of log times (n,)."""
Variables = dict[str, Floats]
"""Draws by name, shapes (S,) or (S, terms or sites)."""


def log_likelihood_of_site(spec: ModelSpec, variables: Variables, patients: ModelData) -> Floats:
    """Return the log likelihood of one site's patients under each draw, its effect and slopes integrated out, shape (S,).

    Parameters
    ----------
    spec : ModelSpec
        Resolved.
    variables : mapping of str to ndarray, shape (S,), (S, terms) or (S, slopes)
        Draws; site effects and slopes among them are not used.
    patients : ModelData
        The site's patients; their ``site`` is not used.

    Raises
    ------
    SpecError
        As :func:`require_site_integral`.
    """
    require_site_integral(spec)
    scale = variables[names.LOG_SCALE_AT_MEANS][:, None]
    shape = tuple(variables[item.name][:, None] for item in spec.family.shape_parameters)
    predictor = np.zeros((scale.size, patients.log_time.size))
    if spec.resolved.columns:
        predictor += variables[coefficient_name(spec)] @ patients.covariates.T
    weight = np.ones(patients.log_time.size) if patients.weight is None else patients.weight
    interval = np.zeros(weight.size, dtype=bool) if patients.interval is None else (patients.interval > 0) & (weight > 0)
    exact = np.where(interval, 0.0, patients.event)

    def log_cumulative(log_time: Floats) -> Floats:
        return np.asarray(log_cumulative_hazard(spec.family, spec.metric, log_time, predictor, scale, shape))

    events = log_hazard(spec.family, spec.metric, patients.log_time, predictor, scale, shape) @ (weight * exact)
    count, site_sd = float(weight @ exact), hazard_site_sd(spec, variables) if spec.has_sites else None
    correlation = variables.get(names.SITE_CORRELATION)
    if site_sd is not None and spec.resolved.slope_columns:
        seen, rows, slope_sd = weight > 0, _slope_rows(spec, patients), hazard_slope_sd(spec, variables)
        if (rows[seen] != rows[seen][:1]).any():
            survived, moving = _log_hazards_survived(log_cumulative, patients, interval, weight), rows[seen].any(axis=0)
            return np.asarray(
                events
                + log_site_integral_with_slopes(
                    (weight * exact)[seen],
                    survived[:, seen],
                    rows[seen][:, moving],
                    _log_within(log_cumulative, patients, interval),
                    weight[interval],
                    rows[interval][:, moving],
                    site_sd=site_sd,
                    slope_sd=slope_sd[:, moving],
                    correlation=None if correlation is None else _of_slopes(correlation, moving),
                )
            )
        # One effect moves them all alike, b + s d.
        moves = np.column_stack([site_sd, slope_sd * rows[seen][:1].sum(axis=0)])
        if correlation is not None:
            moves = (moves[:, None, :] @ np.linalg.cholesky(correlation))[:, 0]
        site_sd = np.hypot.reduce(moves, axis=1)
    freedom = degrees_of_freedom(spec, variables)
    if not interval.any():
        total = _hazard(log_cumulative, patients, weight)
        if ((total > 0) & (total < LARGEST)).all():
            if site_sd is None:
                return np.asarray(events - total)
            integral = _over_normals(lambda sd: log_site_integral(count, total, site_sd=sd), site_sd, freedom)
            return np.asarray(events + integral)
    log_total = np.logaddexp.reduce(_log_hazards_survived(log_cumulative, patients, interval, weight), axis=1)
    within, weight = _log_within(log_cumulative, patients, interval), weight[interval]
    if site_sd is None:
        with np.errstate(over="ignore"):
            return np.asarray(events - np.exp(log_total) + log_probability(within) @ weight)
    integral = _over_normals(
        lambda sd: log_site_integral_with_intervals(count, log_total, within, weight, site_sd=sd), site_sd, freedom
    )
    return np.asarray(events + integral)


def _over_normals(log_integral: Callable[[Floats], Floats], site_sd: Floats, freedom: Floats | None) -> Floats:
    """Return the log integral over a normal effect of sd (S,), or over a Student-t one, which is a mixture of normals."""
    if freedom is None:
        return log_integral(site_sd)
    sds, shares = mixture_of_normals(freedom)
    with np.errstate(divide="ignore"):
        each = [log_integral(site_sd * sd) + np.log(share) for sd, share in zip(sds.T, shares.T, strict=True)]
    return np.asarray(np.logaddexp.reduce(each, axis=0))


def _hazard(log_cumulative: LogHazard, patients: ModelData, weight: Floats) -> Floats:
    """Return the weighted sum of the cumulative hazards since entry, shape (S,); no number where a draw is too far off."""
    with np.errstate(over="ignore", invalid="ignore"):
        hazard = np.exp(log_cumulative(patients.log_time))
        if patients.log_entry is not None:
            hazard = hazard - patients.entered_late * np.exp(log_cumulative(patients.log_entry))
        return np.asarray(np.maximum(hazard @ weight, 0.0))


def _log_hazards_survived(log_cumulative: LogHazard, patients: ModelData, interval: Rows, weight: Floats) -> Floats:
    """Return logs of the weighted cumulative hazards survived since entry, to the lower end of an interval, shape (S, n)."""
    value = log_cumulative(patients.log_time)
    if patients.log_lower is not None and patients.lower_known is not None:
        lower = np.where(patients.lower_known > 0, log_cumulative(patients.log_lower), -np.inf)
        value = np.where(interval, lower, value)
    with np.errstate(divide="ignore"):
        if patients.log_entry is not None and patients.entered_late is not None:
            late = patients.entered_late > 0
            gap = np.where(late, log_cumulative(patients.log_entry) - value, -np.inf)
            value = np.where(late, value + np.log(-np.expm1(np.minimum(gap, 0.0))), value)
        return np.asarray(value + np.log(weight))


def _log_within(log_cumulative: LogHazard, patients: ModelData, interval: Rows) -> Floats:
    """Return log of the growth of the cumulative hazard over each interval at an average site, shape (S, M)."""
    upper = log_cumulative(patients.log_time)[:, interval]
    if patients.log_lower is None or patients.lower_known is None:
        return upper
    # The difference of the logs loses no digits when the interval is short.
    gap = np.where(patients.lower_known[interval] > 0, log_cumulative(patients.log_lower)[:, interval] - upper, -np.inf)
    with np.errstate(divide="ignore"):
        return np.asarray(upper + np.log(-np.expm1(gap)))


def _of_slopes(correlation: Floats, slopes: Rows) -> Floats:
    """Return the correlation matrices (S, 1 + m, 1 + m) of a site's effect and m of its slopes."""
    places = np.flatnonzero(np.append(True, slopes))
    return correlation[:, places[:, None], places]


def _slope_rows(spec: ModelSpec, patients: ModelData) -> Floats:
    """Return the distances of the columns with random slopes from the reference patient, shape (n, m)."""
    require_site_integral(spec)
    return slope_rows(spec, patients)


def require_site_integral(spec: ModelSpec) -> None:
    """Check that a site's effect and slopes can be integrated out.

    Raises
    ------
    SpecError
        With random slopes of more than three columns, further groupings, shapes that differ, or under a family without hazard
        ratios.
    """
    require_one_shape(spec)
    if spec.family.standard != EXTREME_VALUE:
        raise SpecError(
            "The likelihood of a site that was not fitted is integrated over an effect that multiplies hazards, as with "
            f"weibull and exponential times. Under the {spec.family.name} family leave out patients instead: "
            "arviz_stats.loo(fit.tree)."
        )
    if spec.groupings:
        raise SpecError(
            f"The model groups patients by {listed(spec.groupings)} too, whose effects a site that was not fitted may share "
            "with others. Leave out patients instead of sites (leave_one_out), or fit without further groupings."
        )
    labels = spec.resolved.slope_labels
    if len(labels) > MOST_SLOPES:
        raise SpecError(
            f"{len(labels)} columns have random slopes ({listed(labels)}); the likelihood of a site that was not fitted is "
            f"integrated over at most {MOST_SLOPES}. Give fewer terms random slopes, or leave out patients instead of sites "
            "(leave_one_out)."
        )


def require_one_shape(spec: ModelSpec) -> None:
    """Check that a site's effect moves all its patients' hazards alike, which it does where they have one shape.

    Raises
    ------
    SpecError
        Where the shape differs between patients.
    """
    if spec.shape_differs:
        raise SpecError(
            "The likelihood of a site that was not fitted is integrated over an effect that multiplies its patients' hazards "
            f"alike, and here their shapes differ (shape = {spec.shape_formula!r}). Leave out patients instead: "
            "leave_one_out(fit, engine=Nuts()), or arviz_stats.loo(fit.tree)."
        )


def on_hazard_scale(spec: ModelSpec, variables: Variables, values: Floats) -> Floats:
    """Return draws (..., S) of a coefficient or site effect of the spec's metric as log hazard ratios."""
    if spec.metric == names.HAZARD_RATIO:
        return values
    shape = tuple(variables[item.name] for item in spec.family.shape_parameters)
    return np.asarray(spec.family.log_index_ratio(values, shape))


def hazard_site_sd(spec: ModelSpec, variables: Variables) -> Floats:
    """Return the sd of the sites' log hazard ratios, shape (S,), whatever the metric."""
    return np.abs(on_hazard_scale(spec, variables, variables[names.SITE_SD]))


def hazard_slope_sd(spec: ModelSpec, variables: Variables) -> Floats:
    """Return the sds over sites of the slopes of log hazard ratios, shape (S, slopes), whatever the metric."""
    return np.abs(on_hazard_scale(spec, variables, variables[names.SITE_SLOPE_SD].T)).T
