"""`calibrate`: from a paper's numbers to a data-generating process with its uncertainty, and cohorts of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise.evidence import Evidence, evidence_hash
from sitewise.problems import ScenarioError
from sitewise.simulate.calibration.assumptions import Assumptions
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.moments import MomentFit, fit_moments
from sitewise.simulate.calibration.natural import NOT_IDENTIFIED, natural, scenario_of
from sitewise.simulate.calibration.posterior import Method, Posterior
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.calibration.products import Produced, Product
from sitewise.simulate.calibration.quality import Quality
from sitewise.simulate.calibration.reconstruct import STEPS, reconstruct_cohorts
from sitewise.simulate.calibration.rounds import sample_posterior
from sitewise.simulate.parts import Floats
from sitewise.simulate.scenario import Scenario

DRAWS = 1000
POOL = 24_000
PRIOR_DRIVEN = 0.3
"""A parameter whose sd shrank by less than this share is driven by its prior."""
REPLICATE, PLUG_IN, RETRY = 4, 5, 6
CLOSE_ENOUGH = 150.0
"""Squared tolerances left by annealing above which a reconstruction is begun again at another draw."""
TRIES = 3
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A data-generating process that reproduces a paper, with its uncertainty; make it with :func:`calibrate`.

    Parameters
    ----------
    problem : Problem
        The paper, the assumptions, the targets.
    moments : MomentFit
        Parameters that reproduce the numbers in the mean.
    posterior : Posterior
        Weighted draws.
    seed : int
        Seed.
    cohorts, pool : int, optional
        How many were simulated for a moment and for the posterior.
    """

    problem: Problem
    moments: MomentFit
    posterior: Posterior
    seed: int
    cohorts: int | None = None
    pool: int | None = None

    @property
    def settings(self) -> dict[str, int | str | None]:
        """What the draws' numbers refer to: seed, sizes, and the method that answered."""
        return {"seed": self.seed, "cohorts": self.cohorts, "pool": self.pool, "method": self.posterior.method}

    @cached_property
    def derived(self) -> Derived:
        """Names of the counts about the paper's own patients."""
        return Derived(self.problem.statistics, exact=self.problem.assumptions.margins == "exact")

    @cached_property
    def draws(self) -> tuple[Floats, Floats]:
        """A thousand draws of equal weight: parameters (1000, p) and counts (1000, d)."""
        return self.posterior.resampled(DRAWS, seed=self.seed)

    @cached_property
    def quality(self) -> Quality:
        """Published against reproduced."""
        return Quality.of(self.problem, self.moments, seed=self.seed)

    def parameters(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Return what the paper says about each parameter and about its own patients.

        Returns
        -------
        DataFrame
            ``parameter, of, mean, sd, median, lower, upper, prior_mean, prior_sd, contraction, prior_driven,
            identified``. ``of`` is ``process`` for parameters and ``cohort`` for counts of the paper's own patients.
            ``contraction`` is 1 - sd / prior sd; below 0.3 the number is prior-driven. What concerns sites is their prior:
            ``identified`` is False.
        """
        theta, counts = self.draws
        prior_theta, prior_counts, prior_sites = self._prior()
        rows = []
        tail = (1 - prob) / 2
        before, after = natural(self.problem, prior_theta), natural(self.problem, theta)
        pairs = [(name, "process", after[name], before[name]) for name in after]
        pairs += [(name, "cohort", counts[:, place], prior_counts[:, place]) for place, name in enumerate(self.derived.names)]
        for name, of, own, prior in pairs:
            spread, known = float(own.std(ddof=1)), float(np.nanstd(prior, ddof=1))
            contraction = 1 - spread / known if known > 0 else np.nan
            ends = np.quantile(own, [tail, 1 - tail])
            low = bool(contraction < PRIOR_DRIVEN) if np.isfinite(contraction) else False
            middle = (float(own.mean()), spread, float(np.median(own)), float(ends[0]), float(ends[1]))
            rows.append((name, of, *middle, float(np.nanmean(prior)), known, contraction, low, True))
        ends = np.quantile(prior_sites, [tail, 1 - tail])
        spread, mean = float(prior_sites.std()), float(prior_sites.mean())
        middle = (mean, spread, float(np.median(prior_sites)), float(ends[0]), float(ends[1]))
        rows.append(("site_sd", "process", *middle, mean, spread, 0.0, True, False))
        names = "parameter of mean sd median lower upper prior_mean prior_sd contraction prior_driven identified"
        return pd.DataFrame(rows, columns=names.split())

    def _prior(self) -> tuple[Floats, Floats, Floats]:
        """Draw from the prior: parameters, counts of a cohort of each, and spreads of sites."""
        prior = self.problem.parameters
        stream = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(7,)))
        theta = prior.mean + prior.sd * stream.standard_normal((DRAWS, len(prior)))
        random = self.problem.randomness(self.seed, DRAWS, stage=7)
        cohorts = self.problem.generator(theta, random)
        return theta, self.derived(cohorts), self.problem.generator.site_sds(random)

    def scenario(self) -> Scenario:
        """Return the calibrated process as a scenario: one fixed truth, for ``simulate`` and for unit tests.

        Sites have the stated shares or equal ones, and the stated spread or the median of its prior: not identified.
        """
        assumptions, source = self.problem.assumptions, self.problem.evidence.source
        shares = assumptions.site_shares or (1 / self.problem.sites,) * self.problem.sites
        site_sd = assumptions.site_sd if assumptions.site_sd is not None else 0.6745 * assumptions.site_sd_scale
        title = f"Patients like those of {source.authors.split(',')[0]} et al., {source.journal}, {source.year}"
        return scenario_of(
            self.problem,
            self.moments.theta,
            id=f"{self.problem.evidence.id}-calibrated",
            title=title,
            site_sd=float(site_sd),
            site_shares=np.asarray(shares),
        )

    def plug_in(self, cohorts: int, /, *, seed: int) -> Produced:
        """Return cohorts of the one process of :meth:`scenario`'s parameters: fixed truth, without its uncertainty."""
        _at_least_one(cohorts)
        theta = np.broadcast_to(self.moments.theta, (cohorts, len(self.problem.parameters))).copy()
        return self._produced("plug_in", theta, np.zeros(cohorts, dtype=np.intp), seed, PLUG_IN)

    def replicate(self, cohorts: int, /, *, seed: int) -> Produced:
        """Return new cohorts, each of a process drawn from the posterior: what another such study might look like."""
        draw = self._chosen(cohorts, seed)
        return self._produced("replicate", self.draws[0][draw], draw, seed, REPLICATE)

    def reconstruct(
        self,
        cohorts: int,
        /,
        *,
        seed: int,
        steps: int = STEPS,
        workers: int | None = None,
        report: Report = lambda message: None,
    ) -> Produced:
        """Return cohorts that could be the paper's own, with its counts, tables and curves; ``misses()`` says where not.

        Parameters
        ----------
        cohorts : int
            How many.
        seed : int
            Seed.
        steps : int
            Annealing moves tried for each.
        workers : int, optional
            Threads; default all cores. The result does not depend on them.
        report : callable
            Told of each cohort.
        """
        workers = workers or os.cpu_count() or 1
        draw = self._chosen(cohorts, seed)
        theta = self.draws[0][draw]
        made = reconstruct_cohorts(self.problem, theta, seed=seed, steps=steps, workers=workers, report=report)
        found, statistics, cost = made.cohorts, made.statistics, made.cost
        for attempt in range(1, TRIES):
            again = np.flatnonzero(cost > CLOSE_ENOUGH)
            if not again.size:
                break
            other = self._chosen(cohorts, seed + RETRY * 1_000_003 * attempt)[again]
            report(f"reconstruction: {again.size} cohorts begun again at other draws")
            retry = reconstruct_cohorts(
                self.problem, self.draws[0][other], seed=seed + 7919 * attempt, steps=steps, workers=workers, report=report
            )
            better = retry.cost < cost[again]
            places = again[better]
            found.replace(places, retry.cohorts, np.flatnonzero(better))
            statistics[places], cost[places], draw[places] = retry.statistics[better], retry.cost[better], other[better]
        theta = self.draws[0][draw]
        return Produced("reconstruct", self.problem, found, theta, draw, seed, statistics, calibration=self.settings)

    def _chosen(self, cohorts: int, seed: int) -> NDArray[np.intp]:
        _at_least_one(cohorts)
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(REPLICATE,)))
        return stream.permutation(DRAWS)[:cohorts] if cohorts <= DRAWS else stream.integers(DRAWS, size=cohorts)

    def _produced(self, product: Product, theta: Floats, draw: NDArray[np.intp], seed: int, stage: int) -> Produced:
        random = self.problem.randomness(seed, len(theta), stage=stage)
        cohorts, statistics = self.problem.simulate(theta, random)
        return Produced(product, self.problem, cohorts, theta, draw, seed, statistics, calibration=self.settings)

    def to_dataset(self) -> xr.Dataset:
        """Return the equal-weight draws as a dataset with dims ``chain, draw``, the prior's spread as attributes."""
        theta, counts = self.draws
        table = {**natural(self.problem, theta), **dict(zip(self.derived.names, counts.T, strict=True))}
        variables = {name.replace(" ", "_"): (("chain", "draw"), values[None, :]) for name, values in table.items()}
        attributes = {
            "evidence": self.problem.evidence.id,
            "evidence_hash": evidence_hash(self.problem.evidence),
            "seed": self.seed,
            "not_identified": NOT_IDENTIFIED,
            "effective_draws": self.posterior.effective,
            "acceptance": self.posterior.acceptance,
            "method": self.posterior.method,
            "moved": self.posterior.moved,
        }
        return xr.Dataset(variables, attrs=attributes)


def _at_least_one(cohorts: int) -> None:
    if cohorts < 1:
        raise ScenarioError(f"cohorts must be at least 1; it is {cohorts}.")


def calibrate(
    evidence: Evidence,
    assumptions: Assumptions | None = None,
    /,
    *,
    endpoint: str = "os",
    seed: int = 1,
    cohorts: int = 300,
    pool: int = POOL,
    method: Method = "auto",
    workers: int | None = None,
    report: Report = lambda message: None,
) -> Calibration:
    """Return a data-generating process that reproduces a paper's numbers, with its posterior.

    Parameters
    ----------
    evidence : Evidence
        The paper's numbers; each entry's ``status`` says how it is used.
    assumptions : Assumptions, optional
        What the paper does not say: baseline family, guarantee time, dependence, sites.
    endpoint : str
        Whose survival.
    seed : int
        Seed; results do not depend on the number of workers.
    cohorts : int
        Cohorts of which a simulated moment is the mean.
    pool : int
        Cohorts simulated for the posterior.
    method : str
        How it is approximated: ``auto``, ``curved``, ``linear`` or ``abc``; see :mod:`sitewise.simulate.calibration.rounds`.
    workers : int, optional
        Threads; default all cores.
    report : callable
        Told of the progress.

    Raises
    ------
    EvidenceError
        When the paper says nothing about survival, or its numbers do not go together under the model.
    """
    workers = workers or os.cpu_count() or 1
    problem = Problem.of(evidence, assumptions, endpoint=endpoint)
    moments = fit_moments(problem, seed=seed, cohorts=cohorts, workers=workers, report=report)
    derived = Derived(problem.statistics, exact=problem.assumptions.margins == "exact")
    posterior = sample_posterior(problem, derived, moments, seed=seed, size=pool, method=method, workers=workers, report=report)
    return Calibration(problem, moments, posterior, seed, cohorts, pool)
