"""What the last look of a trial would show, were its remaining times those of the model: completed at an interim look.

For each of many posterior draws at the look, patients who are still followed get the rest of their times given the time that
has passed, those still to come enter, the last look comes by its own trigger, and its analysis is done. The share of completed
trials in which all success criteria of the last look hold is the predictive probability of success (Dmitrienko & Wang 2006,
Statistics in Medicine 25:2178). The final probabilities are kept, not the share, so that thresholds can be applied later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sitewise.families import Weibull
from sitewise.trial.analysis.analysis import Analysis
from sitewise.trial.analysis.conjugate import Conjugate
from sitewise.trial.analysis.imputing_draws import ImputingDraws, imputing_model
from sitewise.trial.analysis.trial_model import TrialModel
from sitewise.trial.campaign.still_to_come import entries_to_come, kinds_to_come
from sitewise.trial.conduct.held import look_times
from sitewise.trial.conduct.snapshot import Snapshot, snapshot
from sitewise.trial.conduct.trials import Trials
from sitewise.trial.plan.accrual import FollowUp
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.sequential.imputed import impute_remaining

Floats = NDArray[np.float64]
IMPUTED = "imputed"
"""Name of the final probabilities of completed trials in a block and in results."""
BRANCH = 105
"""Branch of a trial's seed for its completions: no other analysis has it."""
AT_ONCE = 500_000
"""Patients of completed trials that are made and analysed together: memory is bounded, and results do not depend on it."""


@dataclass(frozen=True, eq=False)
class Imputer:
    """Completes the trials of a design at its interim looks.

    Parameters
    ----------
    design : TrialDesign
        The design.
    looks : tuple of int
        Positions of the looks at which a predictive criterion with imputations counts.
    criteria : tuple of int
        Positions of the success criteria of the last look.
    sets : int
        Completed trials of each trial and look: the largest number that a criterion asks for.
    model : TrialModel
        What remaining times are drawn from: the Weibull model of the design's analysis, whatever its method.
    analysis : Analysis
        What completed trials are analysed by. It is the design's own; for the hierarchical one, which would take hours, the
        conjugate analysis with the same adjustment and prior of the treatment (a flat one in a single arm, whose model has no
        such coefficient). Its statements about survival, restricted means and medians are by Kaplan-Meier, which says less
        than the model does: success of a hierarchical analysis is then predicted less surely than it could be.
    """

    design: TrialDesign
    looks: tuple[int, ...]
    criteria: tuple[int, ...]
    sets: int
    model: TrialModel
    analysis: Analysis

    @classmethod
    def of(cls, design: TrialDesign, analysis: Analysis, /, *, groups: tuple[str, ...]) -> Self | None:
        """Return what completes the trials of a design; none where no criterion asks for it.

        Parameters
        ----------
        design : TrialDesign
            The design.
        analysis : Analysis
            Its analysis.
        groups : tuple of str
            Risk groups of its trials.
        """
        looks, criteria = imputed_looks(design), final_criteria(design)
        if not looks or not criteria:
            return None
        plan, randomised = design.analysis, design.arms.randomised
        model = imputing_model(
            plan, randomised=randomised, groups=groups, sites=design.accrual.sites, time_unit=design.time_unit
        )
        if analysis.name == "hierarchical":
            analysis = Conjugate(
                adjust=plan.adjust,
                treatment=plan.treatment if randomised else None,
                benchmark=getattr(analysis, "benchmark", None),
                randomised=randomised,
                estimate=plan.estimate,
            )
        return cls(design, looks, criteria, max(item.imputations for item in design.criterion), model, analysis)

    def probabilities(self, seen: Snapshot, /, *, seed: int, look: int) -> NDArray[np.float32]:
        """Return the probabilities of the final criteria in completed trials, shape (M, sets, final criteria).

        They are not numbers where the trial has no events yet or its model could not be fitted, and in completed trials that
        the final analysis could not answer. Of patients who have not entered only the number is used.

        Parameters
        ----------
        seen : Snapshot
            M trials at a look.
        seed : int
            Of the campaign: random numbers depend on it, the trial's number and the look only.
        look : int
            Position of the look.
        """
        shape = (len(seen), self.sets, len(self.criteria))
        found = np.full(shape, np.nan, np.float32)
        each = max(1, AT_ONCE // (self.sets * seen.time.shape[1]))
        for first in range(0, len(seen), each):
            rows, parts = [], []
            for row in range(first, min(first + each, len(seen))):
                stream = np.random.SeedSequence(seed, spawn_key=(int(seen.number[row]), look, BRANCH))
                part = self._completed(seen, row, stream)
                if part is not None:
                    rows.append(row)
                    parts.append(part)
            if rows:
                final = self._final(seen, _joined(parts))
                found[rows] = final.reshape(len(rows), *shape[1:])
        return found

    def _final(self, seen: Snapshot, trials: Trials) -> Floats:
        design = self.design
        held = look_times(trials, design.look[-1:], close=design.follow_up.close)
        own = np.arange(len(seen.groups))
        shown = snapshot(trials, held.calendar[:, 0], group_of_profile=own, groups=seen.groups)
        criteria = [design.criterion[place] for place in self.criteria]
        return self.analysis.analyse(shown, criteria, seed=0, look=len(design.look) - 1).probability

    def _completed(self, seen: Snapshot, row: int, stream: np.random.SeedSequence) -> Trials | None:
        """Return completed trials of one trial, whose profiles are the risk groups; none where it could not be fitted."""
        design, sets = self.design, self.sets
        fit, rest = stream.spawn(2)
        draws = ImputingDraws.of(self.model, seen, row, draws=design.analysis.draws, sets=sets, stream=fit)
        if draws is None:
            return None
        rng = np.random.default_rng(rest)
        count, patients = int(seen.entered[row].sum()), seen.time.shape[1]
        later = entries_to_come(
            design.accrual,
            now=float(seen.calendar[row]),
            enrolled=count,
            patients=patients - count,
            sets=sets,
            rng=rng,
        )
        own_site, own_group, own_arm = seen.site[row, :count], seen.group[row, :count], seen.arm[row, :count]
        size = (sets, patients - count)
        kinds = kinds_to_come(
            own_site, own_group, arms=design.arms, sites=seen.sites, groups=len(seen.groups), size=size, rng=rng
        )
        site, group, arm = _beside(own_site, kinds[0]), _beside(own_group, kinds[1]), _beside(own_arm, kinds[2])
        ended = np.zeros(patients, bool)
        ended[:count] = seen.ended[row, :count]
        event = np.where(ended, seen.event[row], False)
        elapsed = np.where(np.arange(patients) < count, seen.time[row], 0.0)
        time = np.where(event, elapsed, np.inf) + np.zeros((sets, 1))
        leaves = np.where(event, np.inf, elapsed) + np.zeros((sets, 1))
        going = np.flatnonzero(~ended)
        predictor = draws.log_hazard_ratio(site=site[:, going], group=group[:, going], arm=arm[:, going])
        drawn = impute_remaining(
            elapsed[going],
            event=np.zeros(going.size, bool),
            followed=np.ones(going.size, bool),
            family=Weibull(),
            log_scale=draws.log_scale,
            shape=(draws.shape,),
            linear_predictor=predictor,
            rng=rng,
        ).time
        time[:, going] = _found_at(drawn, elapsed[going], design.follow_up)
        leaves[:, going] = _leaving(elapsed[going], design.follow_up, sets=sets, rng=rng)
        return Trials(
            number=np.full(sets, seen.number[row]),
            row=np.zeros(sets, np.int64),
            enrolled=_beside(seen.enrolled[row, :count], later),
            time=time,
            leaves=leaves,
            arm=arm,
            site=site,
            profile=group,
            site_effect=np.zeros((sets, seen.sites)),
        )


def imputed_looks(design: TrialDesign, /) -> tuple[int, ...]:
    """Return the positions of interim looks at which a predictive criterion with imputations counts."""
    asking = [item for item in design.criterion if item.imputations]
    interim = design.look[:-1]
    return tuple(
        place for place, look in enumerate(interim) if any(not item.looks or look.name in item.looks for item in asking)
    )


def final_criteria(design: TrialDesign, /) -> tuple[int, ...]:
    """Return the positions of the success criteria that count at the last look."""
    last = design.look[-1].name
    return tuple(
        place
        for place, item in enumerate(design.criterion)
        if item.role == "success" and (not item.looks or last in item.looks)
    )


def _found_at(time: Floats, elapsed: Floats, follow_up: FollowUp) -> Floats:
    """Return when events are found: at the assessment nearest to a time, of those that are still to come.

    The model is fitted to the times at which events were found, so its times are such already: the next assessment after them
    would be half an interval too late.
    """
    every, longest = follow_up.assess_every, follow_up.longest
    if every is None:
        return time
    # The last assessment of somebody at risk is behind; rounding must not take it for one that is still to come.
    next_one = np.floor(elapsed / every * (1 + 1e-12)) + 1
    found = every * np.maximum(np.rint(time / every), next_one)
    return found if longest is None else np.where(np.isclose(found, longest, rtol=1e-12, atol=0.0), longest, found)


def _leaving(elapsed: Floats, follow_up: FollowUp, /, *, sets: int, rng: np.random.Generator) -> Floats:
    """Draw times from entry until patients drop out, as planned, given that they have not so far; or their follow-up ends."""
    leaves = np.full((sets, elapsed.size), np.inf if follow_up.longest is None else follow_up.longest)
    if follow_up.dropout is None:
        return leaves
    shape, scale = follow_up.dropout.shape, follow_up.dropout.scale
    hazard = (elapsed / scale) ** shape + rng.standard_exponential(leaves.shape)
    return np.asarray(np.minimum(leaves, np.maximum(scale * hazard ** (1 / shape), elapsed)))


def _beside[T: np.generic](known: NDArray[T], drawn: NDArray[T]) -> NDArray[T]:
    """Return what is known of patients so far in every set, and beside it what was drawn of those to come."""
    return np.concatenate([np.broadcast_to(known, (len(drawn), known.size)), drawn], axis=1)


def _joined(parts: list[Trials]) -> Trials:
    fields = ("number", "row", "enrolled", "time", "leaves", "arm", "site", "profile", "site_effect")
    return replace(parts[0], **{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})
