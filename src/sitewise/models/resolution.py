"""`Resolution`: the numbers that a spec takes from a cohort, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sitewise.models.joint_priors import JointPrior, Sampled
from sitewise.models.priors import Prior
from sitewise.models.site_effects import INTERCEPT


@dataclass(frozen=True)
class Resolution:
    """The numbers that a spec takes from the cohort it was resolved on, once.

    Parameters
    ----------
    columns : tuple of str
        Design columns.
    means, reference : tuple of float
        Covariate means, where computation is centred, and the design row of the reference patient.
    reference_patient : dict
        The reference patient in words: level or median of each covariate.
    levels : dict of str to tuple
        Levels of the categorical covariates, reference first.
    site_labels : tuple of str
        Sites, in natural order; empty without site effects.
    shape : tuple of Prior
        A prior per shape parameter of the family.
    baseline : str
        Which baseline quantity ``baseline_prior`` is about: ``log_median``, ``log_scale`` or ``log_scale_at_means``.
    baseline_prior : Prior
        Its prior.
    coefficients : tuple of Prior or JointPrior
        A prior per design column, on the coefficient as the column is written; the same object where several columns have a
        joint prior.
    site_sd, site_effects : Prior or None
        Prior of the sd of random, or of fixed, site effects.
    slope_columns : tuple of int
        Positions of the design columns with random slopes.
    site_slope_sd : tuple of Prior
        A prior per such column, of the sd of its slopes.
    site_correlation : Prior or None
        Prior of the correlation matrix of a site's effect and slopes; None where they are independent.
    site_degrees_of_freedom : Prior or None
        Prior of the degrees of freedom above 2 of Student-t sites; None where they are fixed.
    groupings : dict of str to tuple
        Labels of each further grouping, in natural order.
    grouping_sd : Prior or None
        Prior of the sd of each of them.
    training : dict of str to list, or None
        The covariates of the cohort, when a term calls a function such as ``scale`` that learns from them.
    shape_columns, shape_reference, shape_coefficients : tuple
        Design columns of the log shape, the reference patient's values in them, and a prior per column.
    site_shape_sd : Prior or None
        Prior of the sd of the sites' log shapes, where these differ.
    data_hash : str
        Of the cohort.
    time_unit : str
        Of the cohort.
    """

    columns: tuple[str, ...]
    means: tuple[float, ...]
    reference: tuple[float, ...]
    reference_patient: Mapping[str, Any]
    levels: Mapping[str, tuple[str, ...]]
    site_labels: tuple[str, ...]
    shape: tuple[Prior, ...]
    baseline: str
    baseline_prior: Prior
    coefficients: tuple[Prior | JointPrior, ...]
    site_sd: Prior | None
    site_effects: Prior | None
    training: Mapping[str, list[Any]] | None
    data_hash: str
    time_unit: str
    slope_columns: tuple[int, ...] = ()
    site_slope_sd: tuple[Prior, ...] = ()
    site_correlation: Prior | None = None
    site_degrees_of_freedom: Prior | None = None
    groupings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    grouping_sd: Prior | None = None
    shape_columns: tuple[str, ...] = ()
    shape_reference: tuple[float, ...] = ()
    shape_coefficients: tuple[Prior, ...] = ()
    site_shape_sd: Prior | None = None

    @property
    def joint_priors(self) -> tuple[JointPrior, ...]:
        """The joint priors of coefficients, each once."""
        return tuple(dict.fromkeys(prior for prior in self.coefficients if isinstance(prior, JointPrior)))

    @property
    def jointly_sampled(self) -> dict[str, Sampled]:
        """What joint priors sample, by name."""
        return {part.name: part for joint in self.joint_priors for part in joint.sampled}

    @property
    def slope_labels(self) -> tuple[str, ...]:
        """Names of the design columns with random slopes."""
        return tuple(self.columns[place] for place in self.slope_columns)

    @property
    def site_terms(self) -> tuple[str, ...]:
        """Names of a site's effect and of its slopes, the rows of their correlation matrix."""
        return (INTERCEPT, *self.slope_labels)
