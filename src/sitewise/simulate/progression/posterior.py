"""Posterior of the progression's parameters by approximate Bayesian computation with regression adjustment.

Parameters are regressed on the statistics, the nearest proposals in the fitted values kept, and moved to the published numbers
by local-linear regression (Beaumont, Zhang & Balding 2002, Genetics 162:2025; Fearnhead & Prangle 2012, J R Stat Soc B
74:419). A first round proposes from the prior, a second around what the first found, with importance weights that turn the
proposal into the prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sitewise.problems import EvidenceError
from sitewise.simulate.calibration.parameters import Parameters
from sitewise.simulate.calibration.statistics import inequalities_met
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.counts import FAILURES, unbounded, whole
from sitewise.simulate.progression.pool import STAGE, Process, ProgressionPool, Report, draw_pool
from sitewise.simulate.progression.targets import ProgressionTargets

FIRST_SHARE = 0.4
"""Of the cohorts that are simulated in the first round."""
KEPT = (0.1, 0.2)
"""Share of proposals that are kept in each round."""
WIDTH = 4.0
"""By which the covariance of the first round is multiplied for the proposals of the second."""
WIDEST = 1.3
"""Of the second proposals, in prior sds of each parameter."""
LEAST_KEPT = 200


@dataclass(frozen=True, eq=False)
class ProgressionPosterior:
    """Weighted draws.

    Parameters
    ----------
    phi, counts : ndarray, shapes (N, 4), (N, 4)
        Adjusted parameters, and whole numbers of patients.
    weight : ndarray, shape (N,)
        Sum to 1.
    acceptance, effective : float
        Share of proposals kept; effective number of draws.
    """

    phi: Floats
    counts: Floats
    weight: Floats
    acceptance: float
    effective: float

    def resampled(self, count: int, /, *, seed: int) -> tuple[Floats, Floats]:
        """Return draws of equal weight by systematic resampling: parameters and counts."""
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STAGE, 1 << 30)))
        places = np.searchsorted(np.cumsum(self.weight), (np.arange(count) + stream.random()) / count)
        places = stream.permutation(np.minimum(places, len(self.weight) - 1))
        return self.phi[places], self.counts[places]


def posterior_of(
    targets: ProgressionTargets,
    prior: Parameters,
    pool: ProgressionPool,
    /,
    *,
    kept: float,
) -> ProgressionPosterior:
    """Return the posterior that a pool gives for published numbers.

    Parameters
    ----------
    targets, prior, pool
        What is printed, what was known before, what was simulated.
    kept : float
        Share of proposals that are kept.

    Raises
    ------
    EvidenceError
        When hardly any cohort has the statistics that the paper prints.
    """
    fitted = targets.fitted
    values, patients = targets.published[fitted], targets.structure.patients
    valid = np.isfinite(pool.statistics[:, fitted]).all(axis=1) & inequalities_met(pool.statistics, targets.targets)
    if valid.sum() < LEAST_KEPT:
        raise EvidenceError(
            f"Of {len(valid)} simulated cohorts {int(valid.sum())} have all statistics about progression that "
            f'{targets.evidence.id} prints. Check these entries, set the status of one to "held_out", or simulate more (pool).'
        )
    phi, statistics = pool.phi[valid], pool.statistics[valid][:, fitted]
    noise = np.random.default_rng(np.random.SeedSequence(len(phi))).standard_normal(statistics.shape)
    statistics = statistics + noise * statistics.std(axis=0) * np.sqrt(targets.variance_factor - 1)
    scale = statistics.std(axis=0)
    centred = (statistics - values) / np.where(scale > 0, scale, 1.0)
    summary = centred @ _regress(centred, phi, np.ones(len(phi)))[1:]
    left = np.atleast_2d(np.cov(phi - summary, rowvar=False))
    distance = np.sqrt(np.einsum("ij,ij->i", summary @ np.linalg.pinv(left, rcond=1e-10), summary))
    count = min(max(LEAST_KEPT, int(kept * len(distance))), len(distance) - 1)
    radius = np.partition(distance, count)[count]
    chosen = distance < radius
    kernel = 1 - (distance[chosen] / radius) ** 2
    response = np.column_stack([phi, unbounded(pool.counts[valid], patients)])[chosen]
    adjusted = response - centred[chosen] @ _regress(centred[chosen], response, kernel)[1:]
    own = adjusted[:, : phi.shape[1]]
    own[:, prior.sd == 0] = prior.mean[prior.sd == 0]
    weight = kernel * _prior_over_proposal(prior, pool, own)
    weight = weight / weight.sum()
    printed = [item.value for item in targets.targets if item.definition == FAILURES and item.status == "fit"]
    counts = whole(adjusted[:, phi.shape[1] :], patients, failures=printed[0] if printed else None)
    return ProgressionPosterior(own, counts, weight, float(chosen.mean()), float(1 / np.sum(weight**2)))


def _prior_over_proposal(prior: Parameters, pool: ProgressionPool, phi: Floats) -> Floats:
    free = prior.sd > 0
    away = np.linalg.solve(np.linalg.cholesky(pool.covariance[np.ix_(free, free)]), (phi - pool.centre)[:, free].T)
    log_weight = 0.5 * np.sum(away**2, axis=0) - 0.5 * np.sum(((phi - prior.mean)[:, free] / prior.sd[free]) ** 2, axis=1)
    limit = np.quantile(log_weight, 0.995)
    return np.asarray(np.exp(np.minimum(log_weight, limit) - limit))


def _regress(predictors: Floats, responses: Floats, weight: Floats) -> Floats:
    """Return weighted least-squares coefficients with intercept, shape (1 + K, p)."""
    design = np.column_stack([np.ones(len(predictors)), predictors])
    root = np.sqrt(weight)[:, None]
    return np.asarray(np.linalg.lstsq(design * root, responses * root, rcond=1e-10)[0])


def sample_progression(
    process: Process,
    prior: Parameters,
    survival: Floats,
    /,
    *,
    seed: int,
    size: int,
    workers: int = 1,
    report: Report = lambda message: None,
) -> tuple[ProgressionPool, ProgressionPosterior]:
    """Return the pool of the first round, drawn from the prior, and the posterior of the second.

    Parameters
    ----------
    process, prior
        What is simulated, and what was known before.
    survival : ndarray, shape (D, p)
        Posterior draws of the survival's parameters.
    seed, size, workers, report
        Seed, cohorts of both rounds, threads, and who is told.
    """
    count = max(int(FIRST_SHARE * size), LEAST_KEPT)
    first = draw_pool(
        process, survival, prior.mean, np.diag(prior.sd**2), seed=seed, size=count, round_=0, workers=workers, report=report
    )
    rough = posterior_of(process.targets, prior, first, kept=KEPT[0])
    centre = rough.weight @ rough.phi
    away = rough.phi - centre
    covariance = WIDTH * (away * rough.weight[:, None]).T @ away
    spread = np.sqrt(np.diag(covariance))
    # What the numbers leave open need not be proposed far beyond the prior; what is fixed stays.
    shrink = np.where(spread > 0, np.minimum(1.0, WIDEST * prior.sd / np.where(spread > 0, spread, 1.0)), 0.0)
    covariance = covariance * np.outer(shrink, shrink)
    pool = draw_pool(
        process,
        survival,
        centre,
        covariance,
        seed=seed,
        size=max(size - count, LEAST_KEPT),
        round_=1,
        workers=workers,
        report=report,
    )
    return first, posterior_of(process.targets, prior, pool, kept=KEPT[1])
