"""Estimands of fits to completed cohorts: each draw averages over the patients as they are in its own cohort.

The pooled fit's chains are those fits. Its curves are theirs, one fit after another, so that every functional of a curve, and
everything made of it, is what it is for a single fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sitewise.cohort import Cohort
from sitewise.estimands.draws import index_draws
from sitewise.estimands.mixture import Block, Mixture
from sitewise.estimands.populations import Group, Population
from sitewise.models.fitted import Fitted
from sitewise.problems import SpecError, listed

if TYPE_CHECKING:
    from sitewise.estimands.curves import GroupCurves


@dataclass(frozen=True, eq=False)
class OfCompleted:
    """Groups of patients of whom some lack a covariate: who belongs to which is as in one completed cohort.

    For what is told of members (counts, raw curves); estimates are of all completed cohorts.

    Parameters
    ----------
    population : Population
        The groups.
    incomplete, completed : Cohort
        The cohort with missing values, and one whose groups stand for it.
    """

    population: Population
    incomplete: Cohort
    completed: Cohort

    @property
    def description(self) -> str:
        """What is counted, in words; see :class:`RiskGroups`."""
        return str(getattr(self.population, "description", ""))

    def groups(self, cohort: Cohort) -> list[Group]:
        """Return the groups; of the incomplete cohort, those of the completed one."""
        return self.population.groups(self.completed if cohort is self.incomplete else cohort)


def pooled_curves(fit: Fitted, parts: list[GroupCurves]) -> GroupCurves:
    """Return the curves of a pooled fit from those of the fits that it pools.

    Raises
    ------
    SpecError
        When a group has no members in some completed cohorts.
    """
    labels = [[group.label for group in part.groups] for part in parts]
    every = list(dict.fromkeys(label for own in labels for label in own))
    lacking = [label for label in every if any(label not in own for own in labels)]
    if lacking:
        raise SpecError(
            f"Groups {listed(lacking)} have no members in some of the {len(parts)} completed cohorts: merge them with others."
        )
    blocks: list[Block] = []
    start = 0
    for part in parts:
        blocks += [replace(block, rows=block.rows + start) for block in part.mixture.blocks]
        start += part.draws.size
    first = parts[0]
    mixture = Mixture(
        tuple(blocks),
        np.concatenate([part.mixture.lowest for part in parts]),
        np.concatenate([part.mixture.highest for part in parts]),
        over_sites=first.mixture.over_sites,
        standard=first.mixture.standard,
    )
    shift = np.concatenate([part.shift for part in parts])
    return replace(first, draws=index_draws(fit), mixture=mixture, shift=shift)
