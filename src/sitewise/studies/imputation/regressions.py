"""Regressions of an incomplete covariate on others, for many chains at once: a draw of the parameters, log densities.

Numbers have a normal linear regression. Levels have logits: binary and categorical ones a multinomial logit, ordinal ones
adjacent-category logits with common slopes (Agresti 2010, Analysis of Ordinal Categorical Data, section 4.1), which is the
multinomial logit whose slopes are proportional to the level's place. Arrays lead with the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sitewise.studies.imputation.variables import Variable

Floats = NDArray[np.float64]
Streams = Sequence[np.random.Generator]
COEFFICIENT_SD, SITE_SD = 2.5, 0.5
"""Sds of the normal priors of intercept and slopes, and of effects of sites, on standardised numbers and on logits."""
VARIANCE_SHAPE, VARIANCE_SCALE = 1.0, 0.5
"""Inverse gamma prior of the residual variance of standardised numbers: median 0.72."""
DEGREES = 8.0
"""Of the t distribution that proposes coefficients of logits."""
STEPS, CLOSE = 60, 1e-10


@dataclass(frozen=True, eq=False)
class Parameters:
    """Parameters of one regression in every chain: coefficients, shape (M, P), and of numbers the residual variance, (M,)."""

    coefficients: Floats
    variance: Floats


@dataclass(frozen=True, eq=False)
class Regression:
    """The model of one covariate given others and, where asked, the site.

    Parameters
    ----------
    target : Variable
        Whose values it is of.
    given : tuple of Variable
        Complete covariates, and the incomplete ones before it.
    sites : int
        Number of sites with an effect; 0 for none.
    """

    target: Variable
    given: tuple[Variable, ...]
    sites: int = 0

    @property
    def words(self) -> str:
        """The model in a line."""
        names = {"normal": "normal", "log-normal": "log-normal", "binary": "logit", "ordinal": "adjacent-category logits"}
        predictors = [item.name for item in self.given] + (["site"] if self.sites else [])
        return f"{self.target.name} ~ {' + '.join(predictors) or '1'} ({names.get(self.target.kind, 'multinomial logit')})"

    def rows(self, values: Sequence[Floats], site: NDArray[np.int64]) -> Floats:
        """Return rows of predictors, (M, R, q), for values of ``given``, each (M, R) or (R,), and sites, (R,)."""
        parts = [item for variable, own in zip(self.given, values, strict=True) for item in variable.features(own)]
        parts += [(site == place).astype(float) for place in range(self.sites)]
        shape = np.broadcast_shapes(*(part.shape for part in parts), (1, site.size))
        return np.stack([np.ones(shape), *(np.broadcast_to(part, shape) for part in parts)], axis=-1)

    def prior_sd(self, predictors: int) -> Floats:
        """Return the prior sds of the coefficients, (P,)."""
        own = np.full(predictors, COEFFICIENT_SD)
        own[predictors - self.sites :] = SITE_SD
        if self.target.kind == "ordinal":
            return np.concatenate([np.full(len(self.target.levels) - 1, COEFFICIENT_SD), own[1:]])
        return np.tile(own, max(1, len(self.target.levels) - 1))

    def draw(self, rows: Floats, values: Floats, before: Parameters | None, streams: Streams) -> Parameters:
        """Return a draw of the parameters given everybody's rows (M, n, q) and values (M, n), in a step that keeps the target.

        Of numbers: coefficients given the variance, then the variance given them (Gibbs). Of levels: an independence Metropolis
        step whose proposal is a t distribution at the mode (Tierney 1994, Ann Statist 22:1701); ``before`` None accepts.
        """
        return (
            self._draw_levels(rows, values, before, streams)
            if self.target.levels
            else self._draw_numbers(rows, self.target.score(values), before, streams)
        )

    def _draw_numbers(self, rows: Floats, score: Floats, before: Parameters | None, streams: Streams) -> Parameters:
        variance = before.variance if before is not None else np.ones(len(streams))
        rows = np.broadcast_to(rows, (len(streams), *rows.shape[1:]))
        turned = rows.swapaxes(-1, -2)
        precision = turned @ rows / variance[:, None, None] + np.diag(self.prior_sd(rows.shape[-1]) ** -2.0)
        noise = np.stack([stream.standard_normal(rows.shape[-1]) for stream in streams])
        mean = np.linalg.solve(precision, turned @ score[..., None] / variance[:, None, None])[..., 0]
        # With precision L L', L'^-1 noise has variance L'^-1 L^-1.
        coefficients = mean + _solve(np.linalg.cholesky(precision).swapaxes(-1, -2), noise)
        residual = score - (rows @ coefficients[..., None])[..., 0]
        scale = VARIANCE_SCALE + 0.5 * (residual**2).sum(axis=-1)
        gamma = np.array([stream.standard_gamma(VARIANCE_SHAPE + 0.5 * score.shape[1]) for stream in streams])
        return Parameters(coefficients, scale / gamma)

    def _draw_levels(self, rows: Floats, values: Floats, before: Parameters | None, streams: Streams) -> Parameters:
        chains, precision = len(streams), self.prior_sd(rows.shape[-1]) ** -2.0
        terms = self._terms(np.broadcast_to(rows, (chains, *rows.shape[1:])))
        chosen = values[..., None] == np.arange(1, len(self.target.levels))
        start = np.zeros((chains, precision.size)) if before is None else before.coefficients
        mode, root = _mode(terms, chosen, precision, start)
        noise = np.stack([stream.standard_normal(precision.size) for stream in streams])
        chi2 = np.array([stream.chisquare(DEGREES) for stream in streams])
        chance = np.array([stream.random() for stream in streams])
        proposed = mode + _solve(root.swapaxes(-1, -2), noise * np.sqrt(DEGREES / chi2)[:, None])
        if before is None:
            return Parameters(proposed, np.ones(chains))

        def log_ratio(point: Floats) -> Floats:
            away = (root.swapaxes(-1, -2) @ (point - mode)[..., None])[..., 0]
            log_proposal = -0.5 * (DEGREES + precision.size) * np.log1p((away**2).sum(axis=-1) / DEGREES)
            return _log_posterior(terms, chosen, precision, point) - log_proposal

        with np.errstate(over="ignore"):
            taken = chance < np.exp(log_ratio(proposed) - log_ratio(before.coefficients))
        return Parameters(np.where(taken[:, None], proposed, before.coefficients), before.variance)

    def log_probabilities(self, rows: Floats, parameters: Parameters) -> Floats:
        """Return the log probability of each level for rows (M, R, q), shape (M, R, K)."""
        return _log_softmax(self._logits(rows, parameters.coefficients))

    def log_density(self, rows: Floats, values: Floats, parameters: Parameters) -> Floats:
        """Return the log density of values (M, R), of numbers up to a constant, for rows (M, R, q), shape (M, R)."""
        if self.target.levels:
            found = self.log_probabilities(rows, parameters)
            return np.take_along_axis(found, values[..., None].astype(np.int64), axis=-1)[..., 0]
        away = self.target.score(values) - (rows @ parameters.coefficients[..., None])[..., 0]
        return -0.5 * away**2 / parameters.variance[:, None]

    def fresh(self, rows: Floats, parameters: Parameters, count: int, streams: Streams) -> Floats:
        """Return ``count`` draws of numbers for each of rows (M, R, q), shape (M, R, count)."""
        noise = np.stack([stream.standard_normal((rows.shape[1], count)) for stream in streams])
        mean = rows @ parameters.coefficients[..., None]
        return self.target.unscore(mean + np.sqrt(parameters.variance)[:, None, None] * noise)

    def _logits(self, rows: Floats, coefficients: Floats) -> Floats:
        """Return the logits of all levels but the first, (M, R, K - 1), without building their terms."""
        others = len(self.target.levels) - 1
        if self.target.kind == "ordinal":
            slope = rows[..., 1:] @ coefficients[:, others:, None]
            return coefficients[:, None, :others] + slope * self._places
        return rows @ coefficients.reshape(len(coefficients), others, -1).swapaxes(-1, -2)

    @property
    def _places(self) -> Floats:
        """The places of all levels but the first on a scale from 0 to 1: slopes are from the first to the last level."""
        return np.arange(1, len(self.target.levels)) / (len(self.target.levels) - 1)

    def _terms(self, rows: Floats) -> Floats:
        """Return what the coefficients are multiplied by to give each level's logit but the first's, (M, R, K - 1, P)."""
        others, q = len(self.target.levels) - 1, rows.shape[-1]
        if self.target.kind == "ordinal":
            intercepts = np.broadcast_to(np.eye(others), (*rows.shape[:2], others, others))
            return np.concatenate([intercepts, rows[..., None, 1:] * self._places[:, None]], axis=-1)
        terms = np.zeros((*rows.shape[:2], others, others * q))
        for place in range(others):
            terms[..., place, place * q : (place + 1) * q] = rows
        return terms


def _solve(upper: Floats, right: Floats) -> Floats:
    return np.asarray(np.linalg.solve(upper, right[..., None])[..., 0])


def _log_softmax(logits: Floats) -> Floats:
    """Return log probabilities of all levels, the first of which has logit 0."""
    whole = np.concatenate([np.zeros((*logits.shape[:-1], 1)), logits], axis=-1)
    whole = whole - whole.max(axis=-1, keepdims=True)
    return np.asarray(whole - np.log(np.exp(whole).sum(axis=-1, keepdims=True)))


def _log_posterior(terms: Floats, chosen: NDArray[np.bool_], precision: Floats, point: Floats) -> Floats:
    logits = (terms @ point[:, None, :, None])[..., 0]
    found = _log_softmax(logits)
    own = found[..., 0] * ~chosen.any(axis=-1) + (found[..., 1:] * chosen).sum(axis=-1)
    return np.asarray(own.sum(axis=-1) - 0.5 * (precision * point**2).sum(axis=-1))


def _derivatives(terms: Floats, chosen: NDArray[np.bool_], precision: Floats, point: Floats) -> tuple[Floats, Floats]:
    """Return gradient, (M, P), and negative Hessian, (M, P, P), of the log posterior."""
    chains, n, others, size = terms.shape
    flat = terms.reshape(chains, n * others, size)
    logits: Floats = (terms @ point[:, None, :, None])[..., 0]
    share = np.exp(_log_softmax(logits)[..., 1:])
    gradient = (flat.swapaxes(-1, -2) @ (chosen.astype(float) - share).reshape(chains, -1, 1))[..., 0] - precision * point
    weighted = flat * share.reshape(chains, -1, 1)
    mean = weighted.reshape(terms.shape).sum(axis=2)
    curvature = flat.swapaxes(-1, -2) @ weighted - mean.swapaxes(-1, -2) @ mean + np.diag(precision)
    return gradient, curvature


def _mode(terms: Floats, chosen: NDArray[np.bool_], precision: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Return the mode of the coefficients, (M, P), and the Cholesky root of the precision there, by Newton's method.

    The log posterior is strictly concave (logits with a normal prior), so there is one mode wherever the search starts. Steps
    that lead downhill are halved.
    """
    point = start
    for _ in range(STEPS):
        gradient, curvature = _derivatives(terms, chosen, precision, point)
        step = _solve(curvature, gradient)
        if float(np.abs(step).max()) < CLOSE:
            break
        height = _log_posterior(terms, chosen, precision, point)
        for _ in range(STEPS):
            worse = _log_posterior(terms, chosen, precision, point + step) < height - 1e-9 * np.abs(height)
            if not worse.any():
                break
            step = np.where(worse[:, None], 0.5 * step, step)
        point = point + step
    return point, np.asarray(np.linalg.cholesky(_derivatives(terms, chosen, precision, point)[1]))
