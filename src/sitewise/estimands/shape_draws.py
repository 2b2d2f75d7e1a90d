"""Posterior draws of shapes that differ between patients, and the index of people with another shape.

See :mod:`sitewise.models.shape_regression` for the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sitewise import names
from sitewise.estimands.draws import IndexDraws
from sitewise.models.fitted import Fitted

Floats = NDArray[np.float64]
NEW_SITE = 1
"""Branch of the seed of new sites for their shapes."""


@dataclass(frozen=True, eq=False)
class ShapeDraws:
    """What is added to the log shape of the reference patient at an average site.

    Parameters
    ----------
    coefficients : ndarray, shape (s, q)
        Log ratios of shapes, by column of the shape; q is 0 without terms.
    site : ndarray, shape (s, J)
        Log shapes of the sites; J is 0 where they do not differ.
    site_sd : ndarray, shape (s,), or None
        Their sd over sites; None where they do not differ.
    stretched : bool
        Whether covariates and sites stretch time (the time-ratio metric): what they add to the index then is a multiple of the
        shape.
    """

    coefficients: Floats
    site: Floats
    site_sd: Floats | None
    stretched: bool

    def new_site(self, seed: int) -> Floats:
        """Return the log shape of one new site a draw, (s,); zeros where sites do not differ."""
        size = self.coefficients.shape[0]
        if self.site_sd is None:
            return np.zeros(size)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(NEW_SITE,)))
        return self.site_sd * rng.standard_normal(size)


def shape_draws(fit: Fitted) -> ShapeDraws:
    """Return a fit's draws of what patients and sites add to the log shape."""
    posterior, spec = fit.posterior, fit.spec
    size = posterior.sizes[names.CHAIN] * posterior.sizes[names.DRAW]

    def flat(name: str, *dims: str) -> Floats:
        values = posterior[name].transpose(names.CHAIN, names.DRAW, *dims).to_numpy()
        return values.reshape(size, *values.shape[2:])

    differ = spec.resolved.site_shape_sd is not None
    return ShapeDraws(
        flat(names.LOG_SHAPE_RATIO, names.SHAPE_TERM) if spec.resolved.shape_columns else np.zeros((size, 0)),
        flat(names.SITE_LOG_SHAPE, names.SITE) if differ else np.zeros((size, 0)),
        flat(names.SITE_SHAPE_SD) if differ else None,
        spec.metric == names.TIME_RATIO,
    )


def index_factor(draws: IndexDraws, log_ratio: Floats, *, stretched: bool) -> Floats:
    """Return by what a change of the index is multiplied for people whose log shape is higher by ``log_ratio``, (s, ...).

    One where covariates add to the log cumulative hazard; where they stretch time, the ratio of how fast the index grows with
    log time.
    """
    if not stretched:
        return np.ones_like(log_ratio)
    more = (1,) * (log_ratio.ndim - 1)
    old = tuple(item.reshape(-1, *more) for item in draws.shape)
    new = (old[0] * np.exp(log_ratio), *old[1:])
    one = np.ones_like(log_ratio)
    return np.asarray(draws.family.log_index_ratio(one, new) / draws.family.log_index_ratio(one, old))


def with_log_shape(draws: IndexDraws, log_ratio: Floats, factor: Floats) -> IndexDraws:
    """Return the draws of people whose log shape is higher by ``log_ratio``, (s,), with their :func:`index_factor`, (s,)."""
    return replace(
        draws,
        shape=(draws.shape[0] * np.exp(log_ratio), *draws.shape[1:]),
        coefficients=draws.coefficients * factor[:, None],
        site_effect=draws.site_effect * factor[:, None],
        site_sd=None if draws.site_sd is None else draws.site_sd * factor,
        site_slope=draws.site_slope * factor[:, None, None],
        site_slope_sd=draws.site_slope_sd * factor[:, None],
        grouping_effects=tuple(each * factor[:, None] for each in draws.grouping_effects),
    )


def some_draws(draws: IndexDraws, rows: NDArray[np.int64]) -> IndexDraws:
    """Return some of the draws, as one chain."""
    return replace(
        draws,
        shape=tuple(item[rows] for item in draws.shape),
        log_scale=draws.log_scale[rows],
        coefficients=draws.coefficients[rows],
        site_effect=draws.site_effect[rows],
        site_sd=None if draws.site_sd is None else draws.site_sd[rows],
        site_slope=draws.site_slope[rows],
        site_slope_sd=draws.site_slope_sd[rows],
        site_correlation=None if draws.site_correlation is None else draws.site_correlation[rows],
        degrees_of_freedom=None if draws.degrees_of_freedom is None else draws.degrees_of_freedom[rows],
        grouping_effects=tuple(each[rows] for each in draws.grouping_effects),
        chains=1,
        draws=rows.size,
    )
