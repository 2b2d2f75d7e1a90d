"""What interim data say of a truth's rows: the likelihood of each patient, given the site's effect.

Of a patient the profile within the risk group, the group itself, or the arm may not be known; the likelihood is then the sum
over the kinds of patient that are possible, each with its share of those who may enter and of those allocated. Shares of groups
that are known are part of the likelihood: they tell rows of other case mixes apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sitewise.trial.conduct.simulate import enriched
from sitewise.trial.forecast.hazards import cumulative_hazard, log_hazard
from sitewise.trial.forecast.interim import UNKNOWN, InterimData
from sitewise.trial.plan.accrual import FollowUp
from sitewise.trial.plan.arms import Arms
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
CELLS = 2_000_000
"""Numbers of an array that are worked on at once."""
ON_TIME = 1e-9
"""Share of the time between assessments by which a time may miss one."""


@dataclass(frozen=True, eq=False)
class Kind:
    """Patients who may be of one profile in one arm.

    Parameters
    ----------
    profile, arm : int
        Profile, and 1 experimental or 0 control.
    patients : ndarray of int
        Who may be of it.
    share : ndarray
        Share of the arm among patients whose arm is not known, shape (len(patients),); 1 where it is.
    """

    profile: int
    arm: int
    patients: Codes
    share: Floats


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Interim data against a truth.

    Parameters
    ----------
    truth : Truth
        What may be true.
    data : InterimData
        What was seen.
    shares : ndarray, shape (R, K)
        Case mix of those who may enter.
    kinds : tuple of Kind
        Kinds of patient that somebody may be of.
    free : ndarray, shape (n,)
        Time since enrolment until which the patient surely had no event.
    exact : bool
        Whether events are found at once; else they lie between ``free`` and their time.
    row : ndarray of int, shape (D,)
        Row of the truth of each draw.
    effect_added : ndarray, shape (D, J)
        What each site adds to the log hazard ratio of the experimental treatment in each draw.
    """

    truth: Truth
    data: InterimData
    shares: Floats
    kinds: tuple[Kind, ...]
    free: Floats
    exact: bool
    row: Codes
    effect_added: Floats

    @classmethod
    def of(cls, truth: Truth, data: InterimData, *, arms: Arms, follow_up: FollowUp, row: Codes, effect_added: Floats) -> Self:
        """Return the likelihood of draws of the truth's rows and of the sites' treatment effects."""
        step = follow_up.assess_every
        free = data.time
        if step is not None:
            last = np.floor(data.time / step + ON_TIME)
            before = np.maximum(np.ceil(data.time / step - ON_TIME) - 1, 0)
            free = step * np.where(data.event, before, last)
        kinds = tuple(_kinds(truth, data, arms))
        return cls(truth, data, enriched(truth, arms), kinds, free, step is None, row, effect_added)

    def log_ratio(self, draws: Codes, arm: int) -> tuple[Floats, bool]:
        """Return the log of what multiplies hazards in an arm, shape (D, J), and whether it is not the cohort's arm."""
        log_ratio = self.truth.effect.log_hazard_ratio[self.row[draws], None] + self.effect_added[draws]
        affected = ("control", "experimental")[arm] != self.truth.cohort_arm
        return (log_ratio if arm == 1 else -log_ratio), affected

    def of_kind(self, kind: Kind, draws: Codes, site_added: Floats) -> Floats:
        """Return the log likelihood of a kind's patients, with the kind's share.

        Parameters
        ----------
        kind : Kind
            Whose.
        draws : ndarray of int, shape (B,)
            Draws.
        site_added : ndarray, shape (B, J, Q)
            Effects of the sites at which it is wanted.

        Returns
        -------
        ndarray, shape (B, len(kind.patients), Q)
        """
        row, who = self.row[draws], kind.patients
        site = self.data.site[who]
        log_ratio, affected = self.log_ratio(draws, kind.arm)
        about = {
            "added": site_added[:, site, :] + self.truth.index[row, kind.profile][:, None, None],
            "log_ratio": log_ratio[:, site, None],
        }
        time, free = self.data.time[None, who, None], self.free[None, who, None]
        event = self.data.event[None, who, None]
        cured = self.truth.effect.cured if kind.arm == 1 else 0.0
        hazard = cumulative_hazard(self.truth, row, free, affected=affected, **about)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.exact:
                happened = log_hazard(self.truth, row, time, affected=affected, **about) - hazard
            else:
                until = cumulative_hazard(self.truth, row, time, affected=affected, **about)
                # Where survival is zero already the difference is of two infinite numbers.
                within = np.where(until > hazard, until - hazard, 0.0)
                happened = np.log(-np.expm1(-within)) - hazard
            free_of_it = np.log(cured + (1 - cured) * np.exp(-hazard)) if cured else -hazard
            share = np.log(self.shares[row, kind.profile])[:, None, None] + np.log(kind.share)[None, :, None]
            return np.asarray(share + np.where(event, np.log1p(-cured) + happened, free_of_it))

    def of_sites(self, draws: Codes, site_added: Floats) -> Floats:
        """Return the log likelihood of each site's patients at site effects, shape (B, J, Q)."""
        nodes = site_added.shape[2]
        belongs = (self.data.site[:, None] == np.arange(len(self.data.sites))).astype(float)
        found = np.empty(site_added.shape)
        step = max(1, CELLS // max(1, len(self.data) * nodes))
        for begin in range(0, draws.size, step):
            some = slice(begin, begin + step)
            total = np.full((draws[some].size, len(self.data), nodes), -np.inf)
            for kind in self.kinds:
                own = self.of_kind(kind, draws[some], site_added[some])
                total[:, kind.patients, :] = np.logaddexp(total[:, kind.patients, :], own)
            # Impossible data are minus infinity; in a product with zeros that would be no number.
            least = np.maximum(total, -1e300 / max(1, len(self.data)))
            found[some] = np.einsum("bnq,nj->bjq", least, belongs, optimize=True)
        return np.where(found < -1e200, -np.inf, found)


def _kinds(truth: Truth, data: InterimData, arms: Arms) -> Iterator[Kind]:
    experimental = arms.allocation[0] / sum(arms.allocation) if arms.randomised else 1.0
    shares = {0: 1 - experimental, 1: experimental}
    group = np.array(data.group, dtype=object)
    for profile, item in enumerate(truth.profiles):
        if arms.enrich and item.group not in arms.enrich:
            continue
        of_group = (group == "") | (group == item.group)
        for arm, share in shares.items():
            possible = of_group & ((data.arm == arm) | (data.arm == UNKNOWN))
            who = np.flatnonzero(possible)
            if share > 0 and who.size:
                yield Kind(profile, arm, who, np.where(data.arm[who] == UNKNOWN, share, 1.0))
