"""One calibration problem: what is simulated, what it is compared with, and how a batch of cohorts becomes statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sitewise.evidence import Evidence
from sitewise.evidence.audit import problems_of
from sitewise.evidence.entries import Term
from sitewise.problems import EvidenceError, listed, render
from sitewise.simulate.calibration.assumptions import Assumptions
from sitewise.simulate.calibration.characteristics import Structure
from sitewise.simulate.calibration.generate import Cohorts, Generator, Randomness
from sitewise.simulate.calibration.parameters import Parameters, parameters_of
from sitewise.simulate.calibration.statistics import Statistics
from sitewise.simulate.calibration.structure import structure_of
from sitewise.simulate.calibration.targets import Target, targets_of
from sitewise.simulate.parts import Floats

SOFT_VARIANCE = 16.0
"""By which the variance of a soft target is multiplied: a quarter of the weight on the scale of sds."""
RIDGE = 0.05
"""Share of each variance that is added to the covariance: some statistics nearly repeat others."""
BESIDE = ("ambiguity", "comparison")
"""Entries that no number is simulated for: in a summary that was cut down in Python they may name entries that are gone."""
CHUNK = 250
"""Cohorts simulated at a time; each chunk has a random stream of its own, so that workers do not change results."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is calibrated.

    Parameters
    ----------
    evidence : Evidence
        The paper's numbers.
    assumptions : Assumptions
        What it does not say.
    structure, parameters, targets
        What follows from both.
    published : ndarray, shape (K,)
        The targets' values; other papers of the same form have others.
    """

    evidence: Evidence
    assumptions: Assumptions
    structure: Structure
    parameters: Parameters
    targets: tuple[Target, ...]
    published: Floats

    @classmethod
    def of(cls, evidence: Evidence, assumptions: Assumptions | None = None, /, *, endpoint: str = "os") -> Self:
        """Return the calibration problem of a paper.

        Raises
        ------
        EvidenceError
            When numbers are impossible, all of them at once; when the paper prints nothing about survival at this endpoint,
            or a number cannot be simulated.
        """
        problems = [item for item in problems_of(evidence) if not item.where.startswith(BESIDE)]
        if problems:
            raise EvidenceError(render(problems, evidence.id), problems)
        assumptions = assumptions or Assumptions()
        structure = structure_of(evidence, endpoint=endpoint, free=assumptions.free, dependence=assumptions.dependence)
        parameters = parameters_of(evidence, structure, assumptions, endpoint=endpoint)
        targets = targets_of(evidence, structure, endpoint=endpoint)
        kinds = {target.kind for target in targets if target.status in ("fit", "soft")}
        # Follow-up alone does not say who died; standard errors and limits that are not reached do, in times that it gives.
        of_deaths = kinds & {"log_standard_error", "beyond_last", "upper_beyond_last"}
        if not kinds & {"survival", "events", "at_risk"} and not ("follow_up_share" in kinds and of_deaths):
            raise EvidenceError(_says_nothing(evidence, endpoint, not_reached="beyond_last" in kinds))
        return cls(evidence, assumptions, structure, parameters, targets, np.array([target.value for target in targets]))

    def with_published(self, values: Floats) -> Problem:
        """Return the problem of another paper of the same form: the same targets with other values."""
        return replace(self, published=np.asarray(values, dtype=float))

    @property
    def sites(self) -> int:
        """Number of sites."""
        shares = self.assumptions.site_shares
        return self.assumptions.sites or (len(shares) if shares else self.evidence.source.sites)

    @cached_property
    def generator(self) -> Generator:
        """Makes cohorts of parameter rows."""
        return Generator(self.structure, self.parameters, self.assumptions, self.sites)

    @cached_property
    def statistics(self) -> Statistics:
        """Computes the targets' statistics."""
        return Statistics(self.evidence, self.structure, self.targets)

    @cached_property
    def fitted(self) -> NDArray[np.intp]:
        """Positions of the targets that are fitted as numbers."""
        chosen = [place for place, item in enumerate(self.targets) if item.status in ("fit", "soft") and not item.inequality]
        return np.array(chosen, dtype=np.intp)

    @cached_property
    def variance_factor(self) -> Floats:
        """Of each fitted target, shape (k,)."""
        return np.array([SOFT_VARIANCE if self.targets[place].status == "soft" else 1.0 for place in self.fitted])

    def term(self, target: Target) -> Term:
        """Return the row of a table of hazard ratios that a target belongs to."""
        if target.model is None or target.term is None:
            raise ValueError(f"{target.id} is of no model.")
        return self.evidence.model[target.model].term[target.term]

    @cached_property
    def contrasts(self) -> tuple[tuple[int, int], ...]:
        """Positions of an unadjusted log hazard ratio and of the adjusted one of the same row, a pair each."""
        ratios = [
            (place, self.evidence.model[item.model].adjusted, self.term(item))
            for place, item in enumerate(self.targets)
            if item.kind == "log_hazard_ratio" and item.model is not None
        ]
        return tuple(
            (place, other)
            for place, adjusted, term in ratios
            for other, other_adjusted, row in ratios
            if not adjusted
            and other_adjusted
            and (term.covariate, term.level, term.reference) == (row.covariate, row.level, row.reference)
        )

    @cached_property
    def basis(self) -> Floats:
        """Matrix (k, k) that turns the fitted statistics into those that are weighted: contrasts instead of unadjusted ratios.

        An unadjusted and the adjusted log hazard ratio have nearly the same sampling error; their difference, which tells how
        covariates depend, has little. What is added to variances for safety must be small beside that of the difference.
        """
        places = {place: number for number, place in enumerate(self.fitted.tolist())}
        matrix = np.eye(len(places))
        for unadjusted, adjusted in self.contrasts:
            if unadjusted in places and adjusted in places:
                matrix[places[unadjusted], places[adjusted]] = -1.0
        return matrix

    def weight(self, statistics: Floats, /, *, ridge: float = RIDGE) -> Floats:
        """Return the inverse covariance of one cohort's fitted statistics, shape (k, k), from cohorts' (R, k).

        Correlations are shrunk towards none as far as their sampling error asks for (Schaefer & Strimmer 2005, Stat Appl
        Genet Mol Biol 4:32): the inverse of a covariance of some fifty statistics from some hundred cohorts is otherwise far
        off. Variances grow by a ridge, since some statistics nearly repeat others, and by the factor of soft targets; a
        statistic that does not exist in a cohort counts as the mean.
        """
        filled = np.where(np.isfinite(statistics), statistics, np.nanmean(statistics, axis=0))
        covariance = shrunk_covariance(filled @ self.basis.T)
        covariance[np.diag_indices_from(covariance)] *= self.variance_factor + ridge
        covariance[np.diag_indices_from(covariance)] += 1e-10
        return np.asarray(self.basis.T @ np.linalg.inv(covariance) @ self.basis)

    def randomness(self, seed: int, cohorts: int, *, stage: int, first: int = 0) -> Randomness:
        """Return the random numbers of one chunk of a stage of the calculation."""
        stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stage, first))))
        return Randomness.draw(
            stream,
            cohorts,
            self.structure,
            sites=self.sites,
            targets=len(self.targets),
            concentration=self.assumptions.site_concentration,
        )

    def simulate(self, theta: Floats, random: Randomness) -> tuple[Cohorts, Floats]:
        """Return cohorts of parameter rows and their statistics."""
        cohorts = self.generator(theta, random)
        return cohorts, self.statistics(cohorts, random.rounding)


def _says_nothing(evidence: Evidence, endpoint: str, *, not_reached: bool) -> str:
    """Return why a paper cannot be calibrated at an endpoint, and what would help."""
    found = "only medians that are not reached" if not_reached else "no median, survival or number of events"
    printed = (*evidence.survival, *evidence.events, *evidence.curve)
    others = list(dict.fromkeys(own for item in printed if (own := str(getattr(item, "endpoint", endpoint))) != endpoint))
    advice = "Add how long patients were followed ([[follow_up]])" if not_reached else "Add a [[survival]] entry"
    advice += f", or name another endpoint: {listed(others)}." if others else "."
    return f"{evidence.id} prints {found} of endpoint '{endpoint}': nothing says how long patients live. {advice}"


def shrunk_covariance(values: Floats, /) -> Floats:
    """Return the covariance of columns (R, k) with correlations shrunk by the intensity of Schaefer & Strimmer (2005), eq. 10.

    The intensity is the sum of the sampling variances of the correlations over the sum of their squares, at most 1.
    """
    rows = len(values)
    sd = np.maximum(values.std(axis=0, ddof=1), 1e-12)
    standard = (values - values.mean(axis=0)) / sd
    correlation = standard.T @ standard / (rows - 1)
    # Var of the mean of products w_ij over rows, times (R / (R - 1))^2: R^2 / (R - 1)^3 (mean of squares - square of mean).
    mean = standard.T @ standard / rows
    variance = rows**2 / (rows - 1) ** 3 * ((standard**2).T @ (standard**2) / rows - mean**2)
    off = ~np.eye(len(correlation), dtype=bool)
    total = float(np.sum(correlation[off] ** 2))
    intensity = min(1.0, float(np.sum(variance[off])) / total) if total > 0 else 1.0
    correlation[off] *= 1 - intensity
    return np.asarray(correlation * np.outer(sd, sd))
