"""Method of simulated moments: parameters under which the expected statistics of a cohort are the published numbers.

Gauss-Newton on (s - m)' W (s - m) + (theta - prior mean)' P (theta - prior mean), where m(theta) is the mean of the statistics
over cohorts simulated with common random numbers, W the inverse of their covariance for ONE cohort (the paper is one) and P
the prior precision (McFadden 1989, Econometrica 57:995; with the prior, the mode of a Gaussian synthetic likelihood, Wood
2010, Nature 466:1102). The curvature at the end gives the Laplace covariance (J' W J + P)^-1.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sitewise.problems import EvidenceError
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats

STAGE = 0
RIDGE = 0.05
"""Share of each variance that is added to the covariance: some statistics nearly repeat others."""
STEP = 0.25
"""Of a finite difference, in current posterior sds: small beside the curvature, large beside jumps of single patients."""
LARGEST_STEP = 2.0
"""Of an iteration, in prior sds of each parameter."""
CLOSE = 0.03
"""Root mean square of the last step in posterior sds at which the iteration stops."""
LEAST_VALID = 0.2
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class MomentFit:
    """Parameters that reproduce the published numbers in the mean.

    Parameters
    ----------
    theta : ndarray, shape (p,)
        Parameters.
    covariance : ndarray, shape (p, p)
        Laplace covariance.
    mean : ndarray, shape (K,)
        Expected statistics there, of all targets.
    sampling : ndarray, shape (K, K)
        Covariance of the statistics of one cohort.
    jacobian : ndarray, shape (K, p)
        Derivatives of the expected statistics of all targets.
    distance : float
        (s - m)' W (s - m) over the fitted targets.
    iterations : int
        Gauss-Newton steps taken.
    converged : bool
        Whether the last step was small.
    """

    theta: Floats
    covariance: Floats
    mean: Floats
    sampling: Floats
    jacobian: Floats
    distance: float
    iterations: int
    converged: bool


def fit_moments(
    problem: Problem,
    /,
    *,
    seed: int,
    cohorts: int = 300,
    iterations: int = 12,
    start: Floats | None = None,
    workers: int = 1,
    report: Report = lambda message: None,
) -> MomentFit:
    """Return parameters whose simulated moments are the published numbers.

    Parameters
    ----------
    problem : Problem
        What is calibrated.
    seed : int
        Of the common random numbers.
    cohorts : int
        Cohorts of which a moment is the mean.
    iterations : int
        At most.
    start : ndarray, shape (p,), optional
        Where to begin; default the prior mean.
    workers : int
        Threads; the result does not depend on them.
    report : callable
        Told of each step.

    Raises
    ------
    EvidenceError
        When hardly any simulated cohort has the statistics that the paper prints.
    """
    prior = problem.parameters
    random = problem.randomness(seed, cohorts, stage=STAGE)
    fitted = problem.fitted
    published = problem.published[fitted]
    precision = np.diag(1 / prior.sd**2)

    def moments(theta: Floats) -> tuple[Floats, Floats]:
        _, found = problem.simulate(theta, random)
        return found, np.nanmean(found, axis=0)

    def derivative(column: int) -> Floats:
        moved = theta.copy()
        moved[column] += STEP * scale[column]
        return np.asarray((moments(moved)[1] - mean) / (STEP * scale[column]))

    theta = (prior.mean if start is None else start).copy()
    found, mean = moments(theta)
    _refuse_undefined(problem, found)
    scale = prior.sd * 0.5
    weight, covariance = _weight(found[:, fitted], problem), np.diag(prior.sd**2)
    taken, converged = 0, False
    jacobian = np.zeros((len(problem.targets), len(prior)))
    for taken in range(1, iterations + 1):
        with ThreadPoolExecutor(workers) as threads:
            jacobian = np.stack(list(threads.map(derivative, range(len(prior)))), axis=1)
        own = jacobian[fitted]
        covariance = np.linalg.inv(own.T @ weight @ own + precision)
        gradient = own.T @ weight @ (published - mean[fitted]) - precision @ (theta - prior.mean)
        step = covariance @ gradient
        step *= min(1.0, LARGEST_STEP / float(np.max(np.abs(step) / prior.sd)))
        before = _objective(published - mean[fitted], weight, theta - prior.mean, precision)
        for _ in range(6):
            found, mean = moments(theta + step)
            if _objective(published - mean[fitted], weight, theta + step - prior.mean, precision) <= before + 1e-9:
                break
            step *= 0.5
        theta = theta + step
        scale = np.sqrt(np.diag(covariance))
        size = float(np.sqrt(np.mean((step / scale) ** 2)))
        weight = _weight(found[:, fitted], problem)
        report(f"moments: step {taken}, {size:.2f} posterior sds")
        if size < CLOSE:
            converged = True
            break
    difference = published - mean[fitted]
    complete = found[np.isfinite(found).all(axis=1)]
    every = (
        complete if len(complete) > len(found) * LEAST_VALID else np.where(np.isfinite(found), found, np.nanmean(found, axis=0))
    )
    return MomentFit(
        theta=theta,
        covariance=0.5 * (covariance + covariance.T),
        mean=mean,
        sampling=np.atleast_2d(np.cov(every, rowvar=False)),
        jacobian=jacobian,
        distance=float(difference @ weight @ difference),
        iterations=taken,
        converged=converged,
    )


def _objective(difference: Floats, weight: Floats, away: Floats, precision: Floats) -> float:
    return float(difference @ weight @ difference + away @ precision @ away)


def _weight(found: Floats, problem: Problem) -> Floats:
    """Return the inverse covariance of one cohort's fitted statistics, with a ridge and less weight for soft targets."""
    filled = np.where(np.isfinite(found), found, np.nanmean(found, axis=0))
    covariance = np.atleast_2d(np.cov(filled, rowvar=False))
    variance = np.diag(covariance) * (problem.variance_factor - 1 + RIDGE) + 1e-10
    return np.linalg.inv(covariance + np.diag(variance))


def _refuse_undefined(problem: Problem, found: Floats) -> None:
    valid = np.isfinite(found[:, problem.fitted]).mean(axis=0)
    if valid.min() < LEAST_VALID:
        worst = problem.targets[problem.fitted[int(np.argmin(valid))]]
        raise EvidenceError(
            f"{worst.id} ({worst.where}): the statistic exists in only {100 * valid.min():.0f} % of simulated cohorts, so that it "
            'cannot be fitted. Check the entry, or set its status to "held_out".'
        )
