"""What the treatment of sites does to the answers: the same model with random sites, without sites, with fixed sites.

With few sites the data hardly inform the spread between them, so that random site effects lean on a prior. Beside the fit stand
the two extremes that need no such prior: sites do not differ at all, and sites have nothing to do with each other. Beside a
fit with random slopes stands also the same model with random intercepts only: effects of covariates do not differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from sitewise import names
from sitewise.estimands import (
    Average,
    Observed,
    Population,
    effect_metric,
    group_curves,
    log_hazard_ratios,
    log_time_ratios,
    summarise,
)
from sitewise.inference import Engine, FitResult, Nuts, fit
from sitewise.models import FixedSites, ModelSpec, NoSites, RandomSites
from sitewise.models.site_effects import SiteEffect

ALTERNATIVES: dict[str, SiteEffect] = {"random": RandomSites(), "none": NoSites(), "fixed": FixedSites()}
INTERCEPTS = "random intercepts"
"""The alternative of a fit with random slopes."""


def site_models(
    fitted: FitResult,
    /,
    *,
    groups: Population,
    times: Sequence[float],
    prob: float = 0.95,
    engine: Engine | None = None,
) -> pd.DataFrame:
    """Return estimates of groups and log hazard ratios under each treatment of sites.

    Parameters
    ----------
    fitted : FitResult
        A fit with site effects; it stands for its own treatment and is not repeated.
    groups : Population
        Groups whose survival is compared, each member at their own site where the model has sites.
    times : sequence of float
        Times of survival.
    prob : float
        Probability of intervals.
    engine : Engine, optional
        For the other treatments; default 4 chains of 500 + 500 draws.

    Returns
    -------
    DataFrame
        ``site_model`` (random, none, fixed; random intercepts after a fit with random slopes), ``group`` (a term for
        coefficients), ``estimand`` (``median_survival``, ``survival``, ``log_hazard_ratio`` or, of families without,
        ``log_time_ratio``, at an average site), ``horizon,
        mean, sd, median, lower, upper, verdict``.
    """
    engine = engine if engine is not None else Nuts(draws=500, tune=500)
    parts = []
    for name, sites in _alternatives(fitted.spec).items():
        own = type(sites) is type(fitted.spec.sites) and name != INTERCEPTS
        other = fitted if own else fit(_with_sites(fitted.spec, sites), fitted.cohort, engine=engine, seed=fitted.seed)
        parts.append(_estimates(other, groups, times, prob).assign(site_model=name, verdict=other.verdict.level))
    columns = ["site_model", "group", "estimand", "horizon", "mean", "sd", "median", "lower", "upper", "verdict"]
    return pd.concat(parts, ignore_index=True)[columns]


def _alternatives(spec: ModelSpec) -> dict[str, SiteEffect]:
    """Return the treatments of sites that are compared; a spec with random slopes is "random" itself."""
    if not (isinstance(spec.sites, RandomSites) and spec.slopes):
        return ALTERNATIVES
    intercepts = replace(spec.sites, slopes=(), correlated=False)
    first, *others = ALTERNATIVES.items()
    return dict([first, (INTERCEPTS, intercepts), *others])


def _with_sites(spec: ModelSpec, sites: SiteEffect) -> ModelSpec:
    """Return the unresolved spec with other site effects; priors of the site effects and slopes go with them."""
    priors = spec.priors.without_sites()
    if isinstance(sites, RandomSites):
        priors = replace(priors, site_sd=spec.priors.site_sd, site_shape_sd=spec.priors.site_shape_sd)
    else:  # shapes of sites stand beside random effects only
        spec = replace(spec, shape_sites=False)
    return replace(spec, sites=sites, priors=priors, resolution=None)


def _estimates(fitted: FitResult, groups: Population, times: Sequence[float], prob: float) -> pd.DataFrame:
    curves = group_curves(fitted, groups, sites=Observed() if fitted.spec.has_sites else Average())
    medians = summarise(curves.quantile(0.5), prob=prob, diagnostics=()).rename_axis("group").reset_index()
    parts = [medians.assign(estimand=names.MEDIAN_SURVIVAL, horizon=float("nan"))]
    at = curves.survival(list(times))
    for position, time in enumerate(times):
        values = at.isel({names.TIME: position}, drop=True)
        table = summarise(values, prob=prob, diagnostics=()).rename_axis("group").reset_index()
        parts.append(table.assign(estimand=names.SURVIVAL, horizon=float(time)))
    if fitted.spec.resolved.columns:
        hazards = effect_metric(fitted) == names.HAZARD_RATIO
        draws = log_hazard_ratios(fitted) if hazards else log_time_ratios(fitted)
        table = summarise(draws, prob=prob, diagnostics=()).rename_axis("group").reset_index()
        parts.append(table.assign(estimand=str(draws.name), horizon=float("nan")))
    return pd.concat(parts, ignore_index=True)
