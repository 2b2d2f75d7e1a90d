"""`ModelSpec`: family, predictors, site effects and priors, as frozen data that only describe.

The interpreters are :mod:`sitewise.models.resolve` (data-located defaults become numbers) and
:mod:`sitewise.models.graph` (the PyMC model).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from sitewise.cohort import Cohort
from sitewise.families import Family, Weibull
from sitewise.models.formula import parse_formula, parse_shape, variables_of
from sitewise.models.priors import Prior, Priors
from sitewise.models.site_effects import FixedSites, NoSites, RandomSites, SiteEffect
from sitewise.models.spec_checks import check_spec
from sitewise.names import HAZARD_RATIO
from sitewise.problems import SpecError

if TYPE_CHECKING:
    import pymc

SPEC_VERSION = 1


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
    coefficients : tuple of Prior
        A prior per design column, on the coefficient as the column is written.
    site_sd, site_effects : Prior or None
        Prior of the sd of random, or of fixed, site effects.
    slope_columns : tuple of int
        Positions of the design columns with random slopes.
    site_slope_sd : tuple of Prior
        A prior per such column, of the sd of its slopes.
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
    coefficients: tuple[Prior, ...]
    site_sd: Prior | None
    site_effects: Prior | None
    training: Mapping[str, list[Any]] | None
    data_hash: str
    time_unit: str
    slope_columns: tuple[int, ...] = ()
    site_slope_sd: tuple[Prior, ...] = ()
    shape_columns: tuple[str, ...] = ()
    shape_reference: tuple[float, ...] = ()
    shape_coefficients: tuple[Prior, ...] = ()
    site_shape_sd: Prior | None = None

    @property
    def slope_labels(self) -> tuple[str, ...]:
        """Names of the design columns with random slopes."""
        return tuple(self.columns[place] for place in self.slope_columns)


@dataclass(frozen=True)
class ModelSpec:
    """A survival model: family, terms, site effects, metric and priors.

    Parameters
    ----------
    terms : sequence of str
        Terms of the linear predictor in formulae's grammar, such as ``("ecog", "scale(age)")``.
    sites : RandomSites, FixedSites or NoSites
        How sites enter.
    family : Family
        Baseline distribution.
    metric : {"hazard-ratio", "time-ratio"}
        What coefficients and site effects are: log hazard ratios or log time ratios; their priors live in it.
    guarantee_time : float
        Time g before which nobody can leave; the model is of t - g.
    priors : Priors
        What the user says of priors.
    response : tuple of str, optional
        Arguments of ``Surv``: (time, event) or (entry, time, event), or the ends of an interval and ``type="interval"``;
        their columns are checked against the cohort's.
    group : str, optional
        Column named in ``(1 | group)``; checked against the cohort's site column.
    shape_terms : sequence of str
        Terms of the log of the family's shape (:mod:`sitewise.models.shape_regression`); none by default.
    shape_sites : bool
        Whether the log shape differs by site too.
    resolution : Resolution, optional
        Set by :meth:`resolve`.
    """

    terms: tuple[str, ...] = ()
    sites: SiteEffect = field(default_factory=RandomSites)
    family: Family = field(default_factory=Weibull)
    metric: str = HAZARD_RATIO
    guarantee_time: float = 0.0
    priors: Priors = field(default_factory=Priors)
    response: tuple[str, ...] = ()
    group: str | None = None
    shape_terms: tuple[str, ...] = ()
    shape_sites: bool = False
    resolution: Resolution | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        object.__setattr__(self, "shape_terms", tuple(self.shape_terms))
        check_spec(self)

    @classmethod
    def from_formula(
        cls,
        formula: str,
        /,
        *,
        family: Family | None = None,
        metric: str = HAZARD_RATIO,
        guarantee_time: float = 0.0,
        priors: Priors | None = None,
        sites: SiteEffect | None = None,
        shape: str | None = None,
    ) -> Self:
        """Return the spec of a formula such as ``Surv(time, event) ~ ecog + child_pugh + (1 | site)``.

        Parameters
        ----------
        formula : str
            ``Surv(time, event)``, ``Surv(entry, time, event)`` or ``Surv(lower, upper, type="interval")`` on the left;
            ``(1 | site)`` for random site effects.
        family, metric, guarantee_time, priors
            As in :class:`ModelSpec`.
        sites : SiteEffect, optional
            Overrides how sites enter, for example ``RandomSites(centred=True)`` or ``FixedSites()``.
        shape : str, optional
            Right side of a formula for the log of the family's shape, such as ``"ecog + (1 | site)"``.

        Raises
        ------
        SpecError
            When the formula cannot be read.
        """
        parsed = parse_formula(formula)
        shape_terms, shape_group = parse_shape(shape) if shape is not None else ((), None)
        if shape_group is not None and shape_group != parsed.group and (parsed.group or sites is None):
            raise SpecError(
                f"The shape {shape!r} differs by '{shape_group}', which needs random effects of it: add (1 | {shape_group}) to "
                f"the formula {formula!r}."
            )
        if sites is None:
            sites = RandomSites(slopes=parsed.slopes) if parsed.group else NoSites()
        elif parsed.slopes and isinstance(sites, RandomSites):
            sites = replace(sites, slopes=sites.slopes or parsed.slopes)
        elif parsed.slopes:
            raise SpecError(f"{formula!r} has random slopes, which only random sites have. Use sites=RandomSites().")
        return cls(
            terms=parsed.terms,
            sites=sites,
            family=family if family is not None else Weibull(),
            metric=metric,
            guarantee_time=guarantee_time,
            priors=priors if priors is not None else Priors(),
            response=parsed.response,
            group=parsed.group if parsed.group else shape_group,
            shape_terms=shape_terms,
            shape_sites=shape_group is not None,
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns that the terms use, those of the shape among them."""
        return tuple(dict.fromkeys(variables_of(self.terms) + variables_of(self.shape_terms)))

    @property
    def shape_differs(self) -> bool:
        """Whether the family's shape differs between patients."""
        return bool(self.shape_terms) or self.shape_sites

    @property
    def centred_at_means(self) -> bool:
        """Whether computation is centred at the covariate means; else at the reference patient, whom parameters are about."""
        return self.family.index_closed and not self.shape_differs

    @property
    def slopes(self) -> tuple[str, ...]:
        """Terms with random slopes."""
        return self.sites.slopes if isinstance(self.sites, RandomSites) else ()

    @property
    def has_sites(self) -> bool:
        """Whether sites enter the model."""
        return not isinstance(self.sites, NoSites)

    @property
    def resolved(self) -> Resolution:
        """The resolution.

        Raises
        ------
        SpecError
            When the spec has not been resolved on a cohort.
        """
        if self.resolution is None:
            raise SpecError("This spec is not resolved: call spec.resolve(cohort) first, so that its priors are numbers.")
        return self.resolution

    @property
    def formula(self) -> str:
        """The model in one line."""
        left = f"Surv({', '.join(self.response or ('time', 'event'))})"
        random = f"({' + '.join(['1', *self.slopes])} | {self.group or 'site'})"
        site = {RandomSites: random, FixedSites: "fixed sites"}.get(type(self.sites))
        return f"{left} ~ {' + '.join([*self.terms, *([site] if site else [])]) or '1'}"

    @property
    def shape_formula(self) -> str:
        """The right side for the log of the shape; empty where that does not differ."""
        return " + ".join([*self.shape_terms, *([f"(1 | {self.group or 'site'})"] if self.shape_sites else [])])

    def resolve(self, cohort: Cohort) -> ModelSpec:
        """Return the spec with data-located defaults turned into numbers; a resolved spec is returned unchanged.

        Raises
        ------
        CohortError, SpecError
            When the cohort cannot be modelled in this way, with every reason.
        """
        from sitewise.models.resolve import located_family, resolve

        if self.resolution is not None:
            return self
        resolution = resolve(self, cohort)
        return replace(self, family=located_family(self, cohort), resolution=resolution)

    def to_pymc(self, cohort: Cohort) -> pymc.Model:
        """Return the PyMC model of this spec (resolved on ``cohort`` if it is not yet) for ``cohort``."""
        from sitewise.models.graph import build
        from sitewise.models.resolve import prepare

        spec = self.resolve(cohort)
        return build(spec, prepare(spec, cohort))

    def without_resolution(self) -> ModelSpec:
        """Return the spec as the user wrote it."""
        return replace(self, family=self.family.unlocated(), resolution=None)

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain data (JSON); the inverse of :meth:`from_dict`."""
        from sitewise.models.serial import spec_to_dict

        return spec_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelSpec:
        """Return the spec written by :meth:`to_dict`."""
        from sitewise.models.serial import spec_from_dict

        return spec_from_dict(data)
