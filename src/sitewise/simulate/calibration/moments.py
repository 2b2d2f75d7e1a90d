"""Method of simulated moments: parameters under which the expected statistics of a cohort are the published numbers.

Gauss-Newton on (s - m)' W (s - m) + (theta - prior mean)' P (theta - prior mean), where m(theta) is the mean of the statistics
over cohorts simulated with common random numbers, W the inverse of their covariance for ONE cohort (the paper is one) and P
the prior precision (McFadden 1989, Econometrica 57:995; with the prior, the mode of a Gaussian synthetic likelihood, Wood
2010, Nature 466:1102). The curvature at the end gives the Laplace covariance (J' W J + P)^-1.

Derivatives cost a set of cohorts for each parameter. At the start they are a linear model's, corrected after each step by what
the step did (Broyden 1965, Math Comp 19:577), and taken anew where a step does not do what they promised, and at the end. A
step that does not improve is damped (Levenberg 1944, Q Appl Math 2:164).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sitewise.problems import EvidenceError
from sitewise.simulate.calibration.linearised import linear_start
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats

STAGE = 0
STEP = 0.25
"""Of a finite difference, in current posterior sds: small beside the curvature, large beside jumps of single patients."""
LARGEST_STEP = 2.0
"""Of an iteration, in prior sds of each parameter."""
CLOSE = 0.1
"""Root mean square of the last step in posterior sds at which the iteration stops."""
LEAST_KEPT_PROMISE = 0.5
"""Share of the promised improvement below which derivatives are taken anew."""
MOST_DAMPING = 40.0
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


@dataclass(frozen=True, eq=False)
class _Point:
    """Statistics at a parameter row: of all cohorts, and their mean."""

    theta: Floats
    found: Floats
    mean: Floats


@dataclass(frozen=True, eq=False)
class _Moments:
    """The moments of a problem under common random numbers, and the distance from the published ones."""

    problem: Problem
    seed: int
    cohorts: int
    workers: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "random", self.problem.randomness(self.seed, self.cohorts, stage=STAGE))

    def at(self, theta: Floats) -> _Point:
        """Return the statistics at a parameter row."""
        _, found = self.problem.simulate(theta, self.random)  # type: ignore[attr-defined]
        return _Point(theta, found, np.nanmean(found, axis=0))

    def jacobian(self, point: _Point, scale: Floats) -> Floats:
        """Return derivatives of the means, shape (K, p), by differences of ``STEP`` times a scale for each parameter."""

        def derivative(column: int) -> Floats:
            moved = point.theta.copy()
            moved[column] += STEP * scale[column]
            return np.asarray((self.at(moved).mean - point.mean) / (STEP * scale[column]))

        with ThreadPoolExecutor(self.workers) as threads:
            return np.stack(list(threads.map(derivative, range(len(scale)))), axis=1)

    def away(self, point: _Point) -> Floats:
        """Return published minus expected, of the fitted targets."""
        return np.asarray(self.problem.published[self.problem.fitted] - point.mean[self.problem.fitted])

    def objective(self, point: _Point, weight: Floats, precision: Floats) -> float:
        """Return the distance from the published numbers and from the prior."""
        difference, back = self.away(point), point.theta - self.problem.parameters.mean
        return float(difference @ weight @ difference + back @ precision @ back)


def fit_moments(
    problem: Problem,
    /,
    *,
    seed: int,
    cohorts: int = 300,
    iterations: int = 25,
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
        Where to begin; default what a linear model over the prior finds.
    workers : int
        Threads; the result does not depend on them.
    report : callable
        Told of each step.

    Raises
    ------
    EvidenceError
        When hardly any simulated cohort has the statistics that the paper prints.
    """
    prior, fitted = problem.parameters, problem.fitted
    precision = np.diag(1 / prior.sd**2)
    moments = _Moments(problem, seed, cohorts, workers)
    scale, converged, taken, damping = 0.5 * prior.sd, False, 0, 0.0
    begin, jacobian = (start, None) if start is not None else linear_start(problem, seed=seed, workers=workers)
    point, fresh = moments.at(begin.copy()), jacobian is None
    report("moments: start found")
    _refuse_undefined(problem, point.found)
    jacobian = moments.jacobian(point, scale) if jacobian is None else jacobian
    weight = problem.weight(point.found[:, fitted])
    for taken in range(1, iterations + 1):
        own = jacobian[fitted]
        information = own.T @ weight @ own + precision
        scale = np.sqrt(np.diag(np.linalg.inv(information)))
        gradient = own.T @ weight @ moments.away(point) - precision @ (point.theta - prior.mean)
        step = np.linalg.solve(information + damping * np.diag(np.diag(information)), gradient)
        step *= min(1.0, LARGEST_STEP / float(np.max(np.abs(step) / prior.sd)))
        size = float(np.sqrt(np.mean((step / scale) ** 2)))
        report(f"moments: step {taken}, {size:.2f} posterior sds")
        if size < CLOSE and damping == 0:
            converged = True
            break
        before, promised = moments.objective(point, weight, precision), float(gradient @ step)
        moved = moments.at(point.theta + step)
        kept = (before - moments.objective(moved, weight, precision)) / max(promised, 1e-12)
        if kept < 0:
            if fresh:  # the step is to blame: a shorter one, nearer to the steepest descent
                damping = max(4 * damping, 0.5)
            else:  # the derivatives are
                jacobian, fresh = moments.jacobian(point, scale), True
            if damping > MOST_DAMPING:  # no step is an improvement with these random numbers
                converged = size < CLOSE
                break
            continue
        along = step / scale**2
        jacobian = jacobian + np.outer(moved.mean - point.mean - jacobian @ step, along) / float(along @ step)
        point, fresh, damping = moved, False, 0.0 if damping < 1 else damping / 4
        weight = problem.weight(point.found[:, fitted])
        if kept < LEAST_KEPT_PROMISE and size > 2 * CLOSE:
            jacobian, fresh = moments.jacobian(point, scale), True
    if not fresh:
        jacobian = moments.jacobian(point, scale)
    own = jacobian[fitted]
    covariance = np.linalg.inv(own.T @ weight @ own + precision)
    difference = moments.away(point)
    return MomentFit(
        theta=point.theta,
        covariance=0.5 * (covariance + covariance.T),
        mean=point.mean,
        sampling=np.atleast_2d(np.cov(_completed(point.found), rowvar=False)),
        jacobian=jacobian,
        distance=float(difference @ weight @ difference),
        iterations=taken,
        converged=converged,
    )


def _completed(found: Floats) -> Floats:
    """Return cohorts that have all statistics; where there are few, all, with what is missing at its mean."""
    complete = found[np.isfinite(found).all(axis=1)]
    if len(complete) > len(found) * LEAST_VALID:
        return complete
    return np.where(np.isfinite(found), found, np.nanmean(found, axis=0))


def _refuse_undefined(problem: Problem, found: Floats) -> None:
    valid = np.isfinite(found[:, problem.fitted]).mean(axis=0)
    if valid.min() < LEAST_VALID:
        worst = problem.targets[problem.fitted[int(np.argmin(valid))]]
        raise EvidenceError(
            f"{worst.id} ({worst.where}): the statistic exists in only {100 * valid.min():.0f} % of simulated cohorts, so that "
            'it cannot be fitted. Check the entry, or set its status to "held_out".'
        )
