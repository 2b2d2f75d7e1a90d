"""What the sites and further groupings of a spec must be: their terms, and their priors with the defaults."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sitewise.families.base import EXTREME_VALUE
from sitewise.models.priors import Prior
from sitewise.models.site_effects import FixedSites, RandomSites
from sitewise.problems import Problems, SpecError, listed

if TYPE_CHECKING:
    from sitewise.models.spec import ModelSpec


def check_site_structure(spec: ModelSpec) -> None:
    """Check that slopes belong to terms, and that no column has an effect twice.

    Raises
    ------
    SpecError
        With what to write instead.
    """
    lacking = [term for term in spec.slopes if term not in spec.terms]
    if lacking:
        raise SpecError(
            f"{listed(lacking)} {'has' if len(lacking) == 1 else 'have'} a random slope but no effect at an average site. "
            f"Add {'it' if len(lacking) == 1 else 'them'} to the terms."
        )
    if spec.slopes and spec.family.standard != EXTREME_VALUE:
        raise SpecError(
            f"Random slopes are fitted where covariates multiply the hazard, not with {spec.family.name} times: "
            "write (1 | site)."
        )
    if isinstance(spec.sites, RandomSites) and spec.sites.correlated and not spec.slopes:
        raise SpecError("Correlated site effects need random slopes: write (1 + term | site), or correlated=False.")
    twice = [name for name in spec.groupings if spec.groupings.count(name) > 1 or name in (spec.group, *spec.terms)]
    if twice:
        raise SpecError(f"{listed(dict.fromkeys(twice))} has an effect twice: use it once, as a grouping or as a term.")


def correlation_prior(spec: ModelSpec) -> Prior | None:
    """Return the prior of the correlations of a site's effect and slopes, LKJ(2) by default; None where there are none."""
    correlated = isinstance(spec.sites, RandomSites) and spec.sites.correlated
    return (spec.priors.site_correlation or Prior("LKJCorr", eta=2.0)) if correlated else None


def degrees_of_freedom_prior(spec: ModelSpec) -> Prior | None:
    """Return the prior of the degrees of freedom above 2, Gamma(2, 0.1) by default; None where they are not estimated."""
    estimated = isinstance(spec.sites, RandomSites) and spec.sites.is_student_t and spec.sites.degrees_of_freedom is None
    return (spec.priors.site_degrees_of_freedom or Prior("Gamma", alpha=2.0, beta=0.1)) if estimated else None


def grouping_prior(spec: ModelSpec) -> Prior | None:
    """Return the prior of the sds of further groupings, HalfNormal(0.5) by default; None where there are none."""
    return (spec.priors.grouping_sd or Prior("HalfNormal", sigma=0.5)) if spec.groupings else None


def check_site_priors(spec: ModelSpec, problems: Problems) -> None:
    """Add the priors that a user gave of sites or groupings which the model does not have."""
    if spec.priors.site_sd is not None and not isinstance(spec.sites, RandomSites):
        problems.add("prior 'site_sd'", "the model has no random site effects", "Add (1 | site), or remove the prior.")
    if spec.priors.site_slope_sd is not None and not spec.slopes:
        problems.add("prior 'site_slope_sd'", "the model has no random slopes", "Write (1 + term | site), or remove the prior.")
    correlation = spec.priors.site_correlation
    if correlation is not None and correlation_prior(spec) is None:
        problems.add("prior 'site_correlation'", "the model has no correlated slopes", "Use RandomSites(correlated=True).")
    if correlation is not None and not (
        correlation.dist == "LKJCorr" and set(correlation.values) == {"eta"} and 0 < correlation.values["eta"] < math.inf
    ):
        problems.add("prior 'site_correlation'", f"is {correlation}", "Use LKJCorr with a positive eta, such as 2.")
    if spec.priors.site_degrees_of_freedom is not None and degrees_of_freedom_prior(spec) is None:
        problems.add(
            "prior 'site_degrees_of_freedom'",
            "the model has no degrees of freedom to estimate",
            "Use RandomSites(distribution='student-t', degrees_of_freedom=None).",
        )
    if spec.priors.grouping_sd is not None and not spec.groupings:
        problems.add("prior 'grouping_sd'", "the model has no further groupings", "Add (1 | column), or remove the prior.")
    fixed = spec.priors.site_effects
    if fixed is not None and (fixed.dist != "ZeroSumNormal" or set(fixed.values) != {"sigma"}):
        problems.add("prior 'site_effects'", f"is {fixed}", "Fixed site effects sum to zero: use ZeroSumNormal with a sigma.")
    if spec.priors.site_effects is not None and not isinstance(spec.sites, FixedSites):
        problems.add("prior 'site_effects'", "the model has no fixed site effects", "Remove it.")
