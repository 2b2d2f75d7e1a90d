"""One calibration problem: what is simulated, what it is compared with, and how a batch of cohorts becomes statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sitewise.evidence import Evidence
from sitewise.problems import EvidenceError
from sitewise.simulate.calibration.assumptions import Assumptions
from sitewise.simulate.calibration.generate import Cohorts, Generator, Randomness
from sitewise.simulate.calibration.parameters import Parameters, parameters_of
from sitewise.simulate.calibration.statistics import Statistics
from sitewise.simulate.calibration.structure import Structure, structure_of
from sitewise.simulate.calibration.targets import Target, targets_of
from sitewise.simulate.parts import Floats

SOFT_VARIANCE = 16.0
"""By which the variance of a soft target is multiplied: a quarter of the weight on the scale of sds."""
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
            When the paper prints nothing about survival at this endpoint, or a number cannot be simulated.
        """
        assumptions = assumptions or Assumptions()
        structure = structure_of(evidence, endpoint=endpoint, free=assumptions.free, dependence=assumptions.dependence)
        parameters = parameters_of(evidence, structure, assumptions, endpoint=endpoint)
        targets = targets_of(evidence, structure, endpoint=endpoint)
        timed = {"survival", "events", "follow_up_share", "at_risk"}
        if not any(target.kind in timed and target.status in ("fit", "soft") for target in targets):
            raise EvidenceError(
                f"{evidence.id} prints no median, survival, number of events or follow-up of endpoint '{endpoint}': nothing says "
                "how long patients live. Add a [[survival]] entry, or name another endpoint."
            )
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
