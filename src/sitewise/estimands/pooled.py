"""Estimands of fits to completed cohorts: each draw averages over the patients as they are in its own cohort.

The pooled fit's chains are those fits. Its curves are theirs, one fit after another, so that every functional of a curve, and
everything made of it, is what it is for a single fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sitewise.cohort import Cohort
from sitewise.estimands.averages import MixtureAverages
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
    own = [part.averages for part in parts if isinstance(part.averages, MixtureAverages)]  # one shape: others are refused
    for each in own:
        blocks += [replace(block, rows=block.rows + start) for block in each.mixture.blocks]
        start += each.draws.size
    first = own[0].mixture
    mixture = Mixture(
        tuple(blocks),
        np.concatenate([each.mixture.lowest for each in own]),
        np.concatenate([each.mixture.highest for each in own]),
        over_sites=first.over_sites,
        standard=first.standard,
        tail=None if first.tail is None else np.concatenate([np.asarray(each.mixture.tail) for each in own]),
    )
    shift = np.concatenate([each.shift for each in own])
    draws = index_draws(fit)
    return replace(parts[0], draws=draws, averages=MixtureAverages(draws, mixture, shift))
