"""The posterior when statistics are curves in the parameters: a normal likelihood of learned summaries, read off a pool.

To first order the statistics speak of the parameters through as many of their linear combinations as there are parameters, at
most: the learned summaries (Fearnhead & Prangle 2012, J R Stat Soc B 74:419). Over a pool of simulated cohorts their mean is
a quadratic function of the parameters, and the logarithm of their covariance matrix a linear one (Chiu, Leonard & Tsui 1996,
J Am Stat Assoc 91:198): a synthetic likelihood (Wood 2010, Nature 466:1102) whose noise depends on the truth. Strong effects
make hazard ratios of a small cohort noisier. A likelihood with one covariance for all is too narrow for papers that report
strong effects, and too wide for others, since what bends over the pool counts as noise there.

The formulas follow chance in the cohorts that they were fitted to; how much is seen from halves of the pool, each held against
the formulas of the other, and counts as noise. They are believed where cohorts were simulated, and nowhere else: the density is
zero beyond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sitewise.simulate.calibration.elliptical_slice import elliptical_slice
from sitewise.simulate.calibration.linearised import conditioned_posterior, log_chance
from sitewise.simulate.calibration.pool import Pool, complete
from sitewise.simulate.calibration.problem import Problem, shrunk_covariance
from sitewise.simulate.parts import Floats

COHORTS_PER_COEFFICIENT = 10
"""Complete cohorts that each coefficient of a quadratic function asks for."""
SPEAKS = 1e-4
"""Share of the posterior's precision below which a summary says nothing."""
SCORING_STEPS = 4
TERMS = 12
"""Terms of the exponential series: half of STEEP is then right to half a per cent."""
FAR = 5.0
"""Sds of the squared length of a residual beyond which it counts as that long only: a few cohorts would rule the covariance."""
WITHIN = 0.999
"""Share of the pool within the region where the formulas are believed."""
STEEP = 6.0
"""Change of the logarithm of a variance within that region beyond which the formulas are not believed at all."""
ROWS = 2000
STREAM = 32
"""Of random numbers, apart from those of the pools."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Mean and covariance of learned summaries as functions of the parameters, in units of the linear model's posterior.

    Parameters
    ----------
    directions : ndarray, shape (K, r)
        Summaries are ``standard @ directions``, of statistics less the published ones (K), in units of their average noise.
    mean : ndarray, shape (1 + p + p (p + 1) / 2, r)
        Coefficients of the summaries' mean.
    log_covariance : ndarray, shape (1 + p, r, r)
        Coefficients of the matrix logarithm of their covariance.
    middle, precision, radius
        The region: the pool's mean and inverse covariance in x, and the largest squared distance.
    cohorts : int
        Number of cohorts that the curves were fitted to.
    """

    directions: Floats
    mean: Floats
    log_covariance: Floats
    middle: Floats
    precision: Floats
    radius: float
    cohorts: int

    @classmethod
    def fitted(cls, standard: Floats, x: Floats, /) -> Curves:
        """Return the curves of statistics (N, K), which are in units of their sds, at parameters (N, p)."""
        directions = _learned(standard, x)
        summaries, design = standard @ directions, _quadratic(x)
        mean = np.linalg.lstsq(design, summaries, rcond=None)[0]
        left = (summaries - design @ mean) * np.sqrt(len(design) / (len(design) - design.shape[1]))
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(left, rowvar=False)))
        whitening = (vectors / np.sqrt(values)) @ vectors.T
        logarithm = log_covariance(left @ whitening, x)
        middle, precision = x.mean(axis=0), np.linalg.inv(np.atleast_2d(np.cov(x, rowvar=False)))
        radius = float(np.quantile(_squared_distance(x, middle, precision), WITHIN))
        return cls(directions @ whitening, mean @ whitening, logarithm, middle, precision, radius, len(x))

    def unit_residuals(self, x: Floats, standard: Floats, /) -> tuple[Floats, Floats]:
        """Return the summaries of statistics (n, K) less their mean at x (n, p), in unit covariance, and log determinants (n,).

        The mean is estimated: its sampling error is noise, too.
        """
        logarithm = np.tensordot(_linear(x), self.log_covariance, 1)
        residual = exponential_times(-0.5 * logarithm, standard @ self.directions - _quadratic(x) @ self.mean)
        inflation = 1 + leverage(self.distance(x), x.shape[1], self.cohorts)
        log_determinant = np.einsum("nii->n", logarithm) + residual.shape[1] * np.log(inflation)
        return residual / np.sqrt(inflation)[:, None], np.asarray(log_determinant)

    def distance(self, x: Floats, /) -> Floats:
        """Return squared distances of rows x (n, p) from the middle of the region, shape (n,)."""
        return _squared_distance(x, self.middle, self.precision)

    def steep(self, x: Floats, /) -> bool:
        """Return whether the covariance changes too much over rows x (n, p) to be believed."""
        changes = np.tensordot(_linear(x), self.log_covariance, 1)
        if not np.isfinite(changes).all():
            return True
        return bool(np.quantile(np.abs(np.linalg.eigvalsh(changes)).max(axis=1), WITHIN) > STEEP)


@dataclass(frozen=True, eq=False)
class CurvedModel:
    """Curves where they are believed, with the noise that they have shown for cohorts they were not fitted to.

    Parameters
    ----------
    centre, factor : ndarray, shape (p,) and (p, p)
        Parameters are ``centre + factor @ x``.
    curves : Curves
        Mean and covariance of the summaries.
    noise : float
        Variance of unit residuals of cohorts that the curves have not seen; see :func:`noise_of_unseen`.
    """

    centre: Floats
    factor: Floats
    curves: Curves
    noise: float

    def log_likelihood(self, x: Floats, /) -> Floats:
        """Return the log likelihood of the published numbers at rows x (n, p), shape (n,); -inf outside of the region."""
        inside = self.curves.distance(x) < self.curves.radius
        rows, found = x[inside], np.full(len(x), -np.inf)
        published = np.zeros((len(rows), len(self.curves.directions)))
        residual, log_determinant = self.curves.unit_residuals(rows, published)
        value = -0.5 * log_determinant - 0.5 * np.sum(residual**2, axis=1) / self.noise
        found[inside] = np.where(np.isfinite(value), value, -np.inf)
        return found


def carries_curves(problem: Problem, cohorts: float, /) -> bool:
    """Return whether so many complete cohorts carry quadratic functions of the problem's parameters."""
    size = len(problem.parameters)
    return cohorts >= COHORTS_PER_COEFFICIENT * (1 + size + size * (size + 1) // 2)


def curved_model(problem: Problem, pool: Pool, /) -> CurvedModel | None:
    """Return the curves that a pool shows, or None where it is too small for them or they bend too much to be believed."""
    kept = complete(problem, pool)
    if not carries_curves(problem, float(kept.sum())):
        return None
    centre, covariance = conditioned_posterior(problem, pool)
    factor = np.linalg.cholesky(covariance)
    x = np.linalg.solve(factor, (pool.theta[kept] - centre).T).T
    standard = _standard(problem, pool.statistics[kept][:, problem.fitted], x)
    curves = Curves.fitted(standard, x)
    if curves.steep(x[:ROWS]):
        return None
    noise = noise_of_unseen(standard, x)
    return CurvedModel(centre, factor, curves, noise) if np.isfinite(noise) else None


def noise_of_unseen(standard: Floats, x: Floats, /) -> float:
    """Return the variance of unit residuals that curves fitted to all of a pool's cohorts have for cohorts of their kind.

    Curves were fitted to the cohorts: directions, means and covariances follow what is chance in them, and a likelihood that
    takes its noise from what is left is too sure, by 2 % of an sd for twenty parameters and ten thousand cohorts. Each
    half of the cohorts is held against the curves of the other half. What is missing is in inverse proportion to the number
    of cohorts, so that with all of them it is half of that. Cohorts are weighted to be those of parameters that are standard
    normal, as the linear model's posterior in x is: far from it curves are less sure, which is not what is asked.
    """
    odd = np.arange(len(x)) % 2 == 1
    found = []
    for own in (odd, ~odd):
        curves = Curves.fitted(standard[own], x[own])
        unseen = ~own
        unseen[~own] = curves.distance(x[~own]) < curves.radius
        log_weight = 0.5 * (curves.distance(x[unseen]) - np.sum(x[unseen] ** 2, axis=1))
        squares = np.mean(curves.unit_residuals(x[unseen], standard[unseen])[0] ** 2, axis=1)
        found.append(np.average(squares, weights=np.exp(log_weight - log_weight.max())))
    return float(np.maximum(1.0, 1 + 0.5 * (np.mean(found) - 1)))  # NaN stays NaN


def curved_draws(problem: Problem, pool: Pool, model: CurvedModel, /, *, seed: int) -> Floats | None:
    """Return draws of the parameters given the published numbers, shape (kept, chains, p); see the module.

    Returns None where the linear model's mean is not in the region: the pool is in the wrong place.
    """
    prior, log_use = problem.parameters, log_chance(problem, pool)

    def log_density(x: Floats) -> Floats:
        theta = model.centre + x @ model.factor.T
        log_prior = -0.5 * np.sum(((theta - prior.mean) / prior.sd) ** 2, axis=1)
        return np.asarray(log_prior + model.log_likelihood(x) + log_use(theta))

    if not np.isfinite(log_density(np.zeros((1, len(prior))))[0]):
        return None
    draws = elliptical_slice(log_density, len(prior), np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM,))))
    return np.asarray(model.centre + draws @ model.factor.T)


def log_covariance(residuals: Floats, x: Floats, /) -> Floats:
    """Return coefficients (1 + p, r, r) of the matrix logarithm of a covariance in x (N, p), from residuals (N, r) around zero.

    By scoring from no dependence: at each step residuals are brought to unit covariance by the present formula, and the outer
    products that are left are regressed on x.
    """
    design, size = _linear(x), residuals.shape[1]
    inverse = np.linalg.inv(design.T @ design)
    found = np.zeros((design.shape[1], size, size))
    limit = size + FAR * np.sqrt(2 * size)
    for _ in range(SCORING_STEPS):
        score = -design.sum(axis=0)[:, None, None] * np.eye(size)
        for first in range(0, len(x), ROWS):
            own = design[first : first + ROWS]
            unit = exponential_times(-0.5 * np.tensordot(own, found, 1), residuals[first : first + ROWS])
            length = np.sum(unit**2, axis=1, keepdims=True)
            unit *= np.sqrt(np.minimum(1.0, limit / np.maximum(length, 1e-12)))
            score += (own.T @ (unit[:, :, None] * unit[:, None, :]).reshape(len(own), -1)).reshape(score.shape)
        found = found + np.tensordot(inverse, score, 1)
    return np.asarray(found)


def leverage(distance: Floats, size: int, cohorts: int, /) -> Floats:
    """Return the variance of a fitted quadratic function, in units of the noise, at squared distances from the pool's mean.

    For normally distributed rows, in distances by their covariance: in Hermite polynomials of whitened coordinates the
    regressors are orthonormal, and the sum of their squares is
    1 + d + (d^2 - sum z^4) / 2 + sum (z^2 - 1)^2 / 2 = 1 + d^2 / 2 + p / 2.
    """
    return np.asarray((1 + 0.5 * distance**2 + 0.5 * size) / cohorts)


def exponential_times(matrices: Floats, vectors: Floats, /) -> Floats:
    """Return exp(A) v for symmetric matrices (n, r, r) of moderate size and vectors (n, r), by the exponential series."""
    term, total = vectors, vectors.copy()
    for order in range(1, TERMS + 1):
        term = np.matmul(matrices, term[..., None])[..., 0] / order
        total += term
    return np.asarray(total)


def _standard(problem: Problem, statistics: Floats, x: Floats) -> Floats:
    """Return statistics (N, K) less the published ones, in the problem's basis and in units of their sds.

    Where a target's weight is less, noise of the missing variance is added: the likelihood is that of a vaguer number.
    """
    standard = (statistics - problem.published[problem.fitted]) @ problem.basis.T
    standard = standard / standard.std(axis=0)
    factor = problem.variance_factor
    if (factor > 1).any():
        design = _linear(x)
        left = standard - design @ np.linalg.lstsq(design, standard, rcond=None)[0]
        noise = np.random.default_rng(np.random.SeedSequence(len(x))).standard_normal(left.shape)
        standard = standard + noise * left.std(axis=0) * np.sqrt(factor - 1)
    return np.asarray(standard)


def _learned(standard: Floats, x: Floats) -> Floats:
    """Return directions (K, r) of statistics that tell of x under a linear model, with unit noise, most telling first."""
    design = _linear(x)
    slope = np.linalg.lstsq(design, standard, rcond=None)[0]
    values, vectors = np.linalg.eigh(shrunk_covariance(standard - design @ slope))
    whitening = vectors / np.sqrt(np.maximum(values, 1e-10))
    directions, telling, _ = np.linalg.svd(whitening.T @ slope[1:].T, full_matrices=False)
    return np.asarray(whitening @ directions[:, telling**2 > SPEAKS])


def _squared_distance(x: Floats, middle: Floats, precision: Floats) -> Floats:
    away = x - middle
    return np.asarray(np.einsum("np,pq,nq->n", away, precision, away))


def _linear(x: Floats) -> Floats:
    return np.column_stack([np.ones(len(x)), x])


def _quadratic(x: Floats) -> Floats:
    first, second = np.triu_indices(x.shape[1])
    return np.column_stack([np.ones(len(x)), x, x[:, first] * x[:, second]])
