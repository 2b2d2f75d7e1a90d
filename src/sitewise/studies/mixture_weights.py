"""Which component of a robust mixture prior the data chose: prior and posterior weights, with their Monte Carlo error.

A mixture of what a paper says and of a vague component gives way where one's own data disagree (Schmidli et al. 2014,
Biometrics 70:1023). Given theta, component k made it with probability w_k p_k(theta) / p(theta); the posterior mean of that is
the component's posterior weight w_k m_k / m, with m_k the marginal likelihood under it. So no component is sampled.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import log_softmax

from sitewise import names
from sitewise.estimands.summary import summarise
from sitewise.inference import FitResult
from sitewise.inference.densities import coefficient_name
from sitewise.models.priors import Prior

MIXTURE = "NormalMixture"
COLUMNS = ["coefficient", "component", "mean", "sd", "prior_weight", "posterior_weight", "mcse"]


def mixture_weights(fitted: FitResult, /) -> pd.DataFrame:
    """Return prior and posterior weights of the components of each coefficient whose prior is a mixture of normals.

    Parameters
    ----------
    fitted : FitResult
        A fit.

    Returns
    -------
    DataFrame
        A row a coefficient and component: ``coefficient, component`` (from 1, as the prior lists them), ``mean, sd`` of the
        component, ``prior_weight, posterior_weight`` and its Monte Carlo error ``mcse``. A paper's component that has lost its
        weight is at odds with the patients. No rows where no prior is a mixture.
    """
    spec = fitted.spec
    effects = fitted.posterior[coefficient_name(spec)] if spec.resolved.columns else None
    priors: list[tuple[str, Prior, xr.DataArray]] = []
    for column, prior in zip(spec.resolved.columns, spec.resolved.coefficients, strict=True):
        if isinstance(prior, Prior) and prior.dist == MIXTURE and effects is not None:
            priors.append((column, prior, effects.sel({names.TERM: column}, drop=True)))
    for joint in spec.resolved.joint_priors:
        priors += [(part.name, part.prior, fitted.posterior[part.name]) for part in joint.sampled if part.prior.dist == MIXTURE]
    tables = [_weights(name, prior, draws) for name, prior, draws in priors]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def _weights(name: str, prior: Prior, draws: xr.DataArray) -> pd.DataFrame:
    values = prior.values
    weight, mu, sigma = np.broadcast_arrays(values["w"], values["mu"], _sigma(values))
    theta = draws.to_numpy()[..., None]
    with np.errstate(divide="ignore"):  # a component may have no weight
        share = np.exp(log_softmax(np.log(weight) - np.log(sigma) - 0.5 * ((theta - mu) / sigma) ** 2, axis=-1))
    found = summarise(draws.expand_dims(component=weight.size, axis=-1).copy(data=share), diagnostics=("mcse_mean",))
    return pd.DataFrame(
        {
            "coefficient": name,
            "component": np.arange(1, weight.size + 1),
            "mean": mu,
            "sd": sigma,
            "prior_weight": weight,
            "posterior_weight": found["mean"].to_numpy(),
            "mcse": found["mcse_mean"].to_numpy(),
        }
    )


def _sigma(values: dict[str, object]) -> np.ndarray:
    """Return the sds of the components, which may be given as precisions."""
    return np.asarray(values["sigma"]) if "sigma" in values else 1 / np.sqrt(np.asarray(values["tau"]))
