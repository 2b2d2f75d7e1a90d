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
from sitewise.models.priors import Priors
from sitewise.models.resolution import Resolution as Resolution
from sitewise.models.site_effects import FixedSites, NoSites, RandomSites, SiteEffect
from sitewise.models.spec_checks import check_spec
from sitewise.names import HAZARD_RATIO
from sitewise.problems import SpecError

if TYPE_CHECKING:
    import pymc

SPEC_VERSION = 1


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
    groupings : sequence of str
        Columns of further groupings, crossed with sites or nested in them, with random intercepts: ``("surgeon",)``.
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
    groupings: tuple[str, ...] = ()
    shape_terms: tuple[str, ...] = ()
    shape_sites: bool = False
    resolution: Resolution | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        object.__setattr__(self, "groupings", tuple(self.groupings))
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
                f"the formula {formula!r}, before other groups."
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
            groupings=parsed.groupings,
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
        groups = [*([site] if site else []), *(f"(1 | {name})" for name in self.groupings)]
        return f"{left} ~ {' + '.join([*self.terms, *groups]) or '1'}"

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
