"""How much of an answer is the prior: contraction, power-scaling sensitivity, and priors that the data contradict."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.estimands import Average, Observed, Population, group_curves
from sitewise.inference import FitResult, NestedLaplace
from sitewise.inference.densities import coefficient_name
from sitewise.inference.nested_laplace.engine import require_known
from sitewise.inference.packing import column_scales, unpack_arrays
from sitewise.inference.prior import prior_draws
from sitewise.models.groupings import of_grouping
from sitewise.models.model_data import ModelData
from sitewise.models.priors import Prior
from sitewise.models.spec import ModelSpec
from sitewise.problems import SitewiseError
from sitewise.studies.prior_grid import with_priors

Floats = NDArray[np.float64]
WIDE = 10.0
"""Times by which the priors of coefficients are widened, to hear the data alone."""
ENGINE = NestedLaplace(draws=2000)
PRIOR_DRAWS = 4000
PREDICTIVE = 40_000
"""Draws of the prior predictive of an estimate."""
SENSITIVE = 0.05
"""Power-scaling sensitivity from which a posterior is said to follow the prior, or the data (Kallioinen et al. 2024)."""
SURVIVAL_OF = "survival: "


def prior_draws_of(fitted: FitResult, data: ModelData, *, seed: int) -> xr.Dataset:
    """Return draws of every parameter from the prior."""
    return prior_draws(fitted.spec, data, draws=PRIOR_DRAWS, seed=seed)


def contraction(fitted: FitResult, prior: xr.Dataset) -> pd.DataFrame:
    """Return prior and posterior means and sds of each parameter, and the contraction 1 - variance / prior variance.

    Returns
    -------
    DataFrame
        ``parameter, prior_mean, prior_sd, mean, sd, contraction``; by medians and interquartile ranges over 1.349, which a
        heavy tail does not move.
    """
    wanted = [item.name for item in fitted.spec.family.shape_parameters]
    wanted += [coefficient_name(fitted.spec)] if fitted.spec.resolved.columns else []
    spreads = (names.SITE_SD, names.SITE_SLOPE_SD, names.SITE_DEGREES_OF_FREEDOM, names.LOG_SHAPE_RATIO, names.SITE_SHAPE_SD)
    wanted += [name for name in spreads if name in fitted.posterior]
    wanted += [of_grouping(names.GROUPING_SD, name) for name in fitted.spec.groupings]
    rows = []
    for name in wanted:
        before, after = _by_quantity(prior[name]), _by_quantity(fitted.posterior[name])
        for label in after:
            (prior_mean, prior_sd), (mean, sd) = _middle(before[label]), _middle(after[label])
            rows.append((label, prior_mean, prior_sd, mean, sd, 1 - (sd / prior_sd) ** 2))
    return pd.DataFrame(rows, columns=["parameter", "prior_mean", "prior_sd", "mean", "sd", "contraction"])


def _by_quantity(values: xr.DataArray) -> dict[str, Floats]:
    others = [dim for dim in values.dims if dim not in (names.CHAIN, names.DRAW)]
    if not others:
        return {str(values.name): values.to_numpy().ravel()}
    labels = values[others[0]].to_numpy()
    return {f"{values.name}[{label}]": values.sel({others[0]: label}).to_numpy().ravel() for label in labels}


def _middle(values: Floats) -> tuple[float, float]:
    lower, middle, upper = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle), float((upper - lower) / 1.349)


def sensitivity(fitted: FitResult, groups: Population, time: float) -> pd.DataFrame:
    """Return power-scaling sensitivity of coefficients, shape, site sd and survival of groups at a time, by arviz-stats.

    The priors of parameters are scaled, and not the distribution of sites, which is part of the model.

    Returns
    -------
    DataFrame
        ``quantity, prior, likelihood, reading``: how far the posterior moves when the prior, or the likelihood, is raised to
        a power; in words what that tells.
    """
    from arviz_stats import psense

    spec = fitted.spec
    wanted = [item.name for item in spec.family.shape_parameters]
    wanted += [coefficient_name(spec)] if spec.resolved.columns else []
    wanted += [name for name in (names.SITE_SD, names.LOG_SHAPE_RATIO, names.SITE_SHAPE_SD) if name in fitted.posterior]
    curves = group_curves(fitted, groups, sites=Observed() if _own_sites(fitted, groups) else Average())
    survival = curves.survival([time]).isel({names.TIME: 0}, drop=True)
    posterior = fitted.posterior[wanted].assign(
        {f"{SURVIVAL_OF}{label}": survival.sel({names.GROUP: label}, drop=True) for label in survival[names.GROUP].to_numpy()}
    )
    posterior = posterior.drop_vars([name for name in posterior.coords if name not in posterior.dims])
    prior = fitted.tree[names.LOG_PRIOR].to_dataset()
    effects = [names.SITE_EFFECT, names.SITE_SLOPE, names.SITE_LOG_SHAPE]
    effects += [of_grouping(names.GROUPING_EFFECT, name) for name in spec.groupings]
    prior = prior.drop_vars([name for name in effects if name in prior])
    tree = xr.DataTree.from_dict(
        {
            names.POSTERIOR: posterior,
            names.LOG_PRIOR: prior,
            names.LOG_LIKELIHOOD: fitted.tree[names.LOG_LIKELIHOOD].to_dataset(),
        }
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore")
        found = {kind: psense(tree, group=kind) for kind in ("prior", "likelihood")}
    rows = []
    for name in posterior.data_vars:
        own = {kind: _by_label(values[name]) for kind, values in found.items()}
        rows += [(label, own["prior"][label], own["likelihood"][label]) for label in own["prior"]]
    table = pd.DataFrame(rows, columns=["quantity", "prior", "likelihood"])
    table["reading"] = [_reading(*each) for each in zip(table["prior"], table["likelihood"], strict=True)]
    return table


def _own_sites(fitted: FitResult, groups: Population) -> bool:
    return fitted.spec.has_sites and all(group.site is not None for group in groups.groups(fitted.cohort))


def _by_label(values: xr.DataArray) -> dict[str, float]:
    if not values.dims:
        return {str(values.name): float(values)}
    return {
        f"{values.name}[{label}]": float(values.sel({values.dims[0]: label})) for label in values[values.dims[0]].to_numpy()
    }


def _reading(prior: float, likelihood: float) -> str:
    if not prior > SENSITIVE:
        return "the data"
    return "prior and data both pull" if likelihood > SENSITIVE else "mostly the prior"


def conflict(spec: ModelSpec, data: ModelData, *, seed: int) -> pd.DataFrame:
    """Return for each coefficient how surprising, under its prior, the data's own estimate is.

    The data's own estimate has priors ten times as wide. Its distance to the prior is judged by the prior predictive of such
    estimates: the prior, with the estimate's error added (Box 1980, J R Stat Soc A 143:383; Evans & Moshonov 2006, Bayesian
    Analysis 1:893).

    Returns
    -------
    DataFrame
        ``coefficient, prior, estimate, error, p_value``; no rows where the engine or the priors do not allow it.
    """
    columns = ["coefficient", "prior", "estimate", "error", "p_value"]
    rng = np.random.default_rng(seed)
    try:
        require_known(spec)
        wide = with_priors(spec, coefficient_factor=WIDE)
        found = ENGINE.weighted(wide, data, seed=seed)
    except SitewiseError:
        return pd.DataFrame(columns=columns)
    if not spec.resolved.columns:
        return pd.DataFrame(columns=columns)
    draws = unpack_arrays(wide, column_scales(data), found.points)[coefficient_name(spec)]
    estimate = found.weights @ draws
    error = np.sqrt(found.weights @ (draws - estimate) ** 2)
    rows = []
    alone = [prior for prior in spec.resolved.coefficients if isinstance(prior, Prior)]  # the engine takes no others
    for place, (name, prior) in enumerate(zip(spec.resolved.columns, alone, strict=True)):
        predictive = _draws(prior, rng) + error[place] * rng.standard_normal(PREDICTIVE)
        below = (1 + np.sum(predictive <= estimate[place])) / (PREDICTIVE + 2)
        rows.append((name, str(prior), estimate[place], error[place], 2 * min(below, 1 - below)))
    return pd.DataFrame(rows, columns=columns)


def _draws(prior: Prior, rng: np.random.Generator) -> Floats:
    """Return draws of a prior on the whole line whose scale :func:`with_priors` knows."""
    values = prior.values
    standard: dict[str, Callable[[], Any]] = {
        "Normal": lambda: values["mu"] + values["sigma"] * rng.standard_normal(PREDICTIVE),
        "StudentT": lambda: values["mu"] + values["sigma"] * rng.standard_t(values["nu"], PREDICTIVE),
        "Cauchy": lambda: values["alpha"] + values["beta"] * rng.standard_cauchy(PREDICTIVE),
        "Laplace": lambda: rng.laplace(values["mu"], values["b"], PREDICTIVE),
        "NormalMixture": lambda: _mixture_draws(values, rng),
    }
    return np.asarray(standard[prior.dist]())


def _mixture_draws(values: dict[str, Any], rng: np.random.Generator) -> Floats:
    weights = np.asarray(values["w"])
    component = rng.choice(weights.size, PREDICTIVE, p=weights / weights.sum())
    mu, sigma = (np.broadcast_to(values[name], weights.shape)[component] for name in ("mu", "sigma"))
    return np.asarray(mu + sigma * rng.standard_normal(PREDICTIVE))
