"""Counts of the paper's own patients given its numbers and parameters, read off a pool: deaths, group sizes, joint counts.

How many patients have two characteristics at once is told by what parameters and numbers say together: the difference of an
unadjusted and an adjusted hazard ratio, say, over the effect that makes it. So counts are curves in both with their products,
fitted near the published numbers; what the curves leave has a variance of its own at each cohort's numbers (a regression of
location and of scale, as Blum & Francois 2010, Stat Comput 20:63, adjust simulated parameters).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sitewise.simulate.calibration.conditions import LEAST_DEGREES
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.linearised import linear_posterior
from sitewise.simulate.calibration.pool import Pool, away_from_published, nearness, usable
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats

COHORTS_PER_PRODUCT = 5
"""Cohorts that each product of a parameter and a number asks for; with fewer there are none."""
PRODUCTS_PENALTY = 30.0
"""How many cohorts' weight says beforehand that a product does nothing."""
RIDGE = 1e-6
SCORING_STEPS = 6
FAR = 9.0
"""Squared standard residual beyond which it counts as that: a few cohorts would rule the variances."""
STREAM = 31
"""Of random numbers, apart from those of the pools."""


@dataclass(frozen=True, eq=False)
class LocalFit:
    """Curves of responses in x and z, about z = 0.

    Parameters
    ----------
    coefficients : ndarray, shape (1 + 2 p, q)
        Of 1, x and its squares, where z is 0.
    standard : ndarray, shape (n, q)
        Residuals in units of their sds.
    scale : ndarray, shape (q,)
        Their sd where z is 0.
    weight : ndarray, shape (n,)
        How much each row counts; they sum to 1.
    """

    coefficients: Floats
    standard: Floats
    scale: Floats
    weight: Floats

    @classmethod
    def fitted(cls, x: Floats, z: Floats, responses: Floats, /) -> LocalFit:
        """Return the fit to rows x (N, p), z (N, k) and responses (N, q)."""
        weight = nearness(z)
        x, z, responses, weight = (rows[weight > 0] for rows in (x, z, responses, weight))
        rows = float(weight.sum() ** 2 / np.sum(weight**2))
        design = np.column_stack([np.ones(len(x)), x, x**2, z, z**2])
        penalty = np.zeros(design.shape[1])
        products = x.shape[1] * z.shape[1]
        if rows >= COHORTS_PER_PRODUCT * (products + design.shape[1]):
            design = np.column_stack([design, (x[:, :, None] * z[:, None, :]).reshape(len(x), -1)])
            penalty = np.concatenate([penalty, np.full(products, PRODUCTS_PENALTY)])
        gram, coefficients = _weighted_least_squares(design, responses, weight, penalty)
        # Residuals are smaller than what they stand for, by as many coefficients as the penalty lets move.
        moving = float(np.trace(np.linalg.solve(gram + np.diag(penalty), gram)))
        left = (responses - design @ coefficients) * np.sqrt(rows / max(rows - moving, LEAST_DEGREES))
        log_variance = _log_variance(left, z, weight)
        standard = left * np.exp(-0.5 * (np.column_stack([np.ones(len(z)), z]) @ log_variance))
        return cls(coefficients[: 1 + 2 * x.shape[1]], standard, np.exp(0.5 * log_variance[0]), weight / weight.sum())

    def draw(self, x: Floats, stream: np.random.Generator, /) -> Floats:
        """Return a draw of the responses (n, q) at each row x (n, p) where z is 0; responses of a row keep their dependence."""
        rows = stream.choice(len(self.weight), size=len(x), p=self.weight)
        return np.asarray(np.column_stack([np.ones(len(x)), x, x**2]) @ self.coefficients + self.scale * self.standard[rows])


def counts_at(problem: Problem, derived: Derived, pool: Pool, theta: Floats, /, *, seed: int) -> Floats:
    """Return draws of the cohort's counts (draws, d), one at each parameter row (draws, p), given the published numbers."""
    stream, kept = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM,))), usable(problem, pool)
    mean, sd = linear_posterior(problem, pool)[0], problem.parameters.sd
    z = away_from_published(problem, pool.statistics[kept][:, problem.fitted])
    fit = LocalFit.fitted((pool.theta[kept] - mean) / sd, z, derived.free(pool.derived[kept]))
    return derived.counts(fit.draw((theta - mean) / sd, stream))


def _log_variance(left: Floats, z: Floats, weight: Floats) -> Floats:
    """Return coefficients (1 + k, q) of the log variance of residuals (n, q) in z (n, k), by Fisher scoring."""
    design = np.column_stack([np.ones(len(z)), z])
    squares = np.maximum(left**2, 1e-20)
    found = np.zeros((design.shape[1], left.shape[1]))
    found[0] = np.log(np.average(squares, axis=0, weights=weight))
    if weight.sum() < LEAST_DEGREES * design.shape[1]:
        return found
    for _ in range(SCORING_STEPS):
        score = np.minimum(squares * np.exp(-design @ found), FAR) - 1
        found = found + _weighted_least_squares(design, score, weight, np.zeros(design.shape[1]))[1]
    return found


def _weighted_least_squares(design: Floats, responses: Floats, weight: Floats, penalty: Floats) -> tuple[Floats, Floats]:
    """Return the weighted Gram matrix with hardly any ridge, and penalised coefficients."""
    weighted = design * weight[:, None]
    gram = weighted.T @ design
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram)
    return gram, np.linalg.solve(gram + np.diag(penalty), weighted.T @ responses)
