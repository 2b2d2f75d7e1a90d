"""How well a calibrated process reproduces a paper: target by target, in contrasts, jointly, and left out.

All of it is about ONE cohort of n patients: a z is a distance in sampling standard deviations of that cohort's statistic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sitewise.simulate.calibration.moments import MomentFit
from sitewise.simulate.calibration.problem import RIDGE, Problem
from sitewise.simulate.calibration.targets import Target, label_of
from sitewise.simulate.parts import Floats

STAGE = 3
COHORTS = 2000
Entry = tuple[str, str]
"""A table of the evidence and an entry in it; of models which of them, and what of their rows."""


@dataclass(frozen=True, eq=False)
class Quality:
    """Published against reproduced.

    Parameters
    ----------
    problem : Problem
        The paper.
    moments : MomentFit
        The process judged.
    statistics : ndarray, shape (R, K)
        Of cohorts simulated from it.
    """

    problem: Problem
    moments: MomentFit
    statistics: Floats

    @classmethod
    def of(cls, problem: Problem, moments: MomentFit, /, *, seed: int, cohorts: int = COHORTS) -> Quality:
        """Simulate cohorts of the calibrated process, apart from those that it was fitted with."""
        parts = []
        for number, start in enumerate(range(0, cohorts, 500)):
            random = problem.randomness(seed, min(500, cohorts - start), stage=STAGE, first=number)
            parts.append(problem.simulate(moments.theta, random)[1])
        return cls(problem, moments, np.concatenate(parts))

    def targets(self) -> pd.DataFrame:
        """Return a row a target.

        Returns
        -------
        DataFrame
            ``target, kind, status, where, printed, published, reproduced, sd, z, percentile, left_out_z, rounding``:
            ``reproduced`` and ``sd`` are of one cohort of the calibrated process, on the scale of ``kind``; ``percentile`` is
            the share of its cohorts below the published number; ``left_out_z`` compares the number with its prediction from
            all other entries of the paper, parameter uncertainty included. For a condition ``reproduced`` is the share of
            cohorts that meet it, and there is no z.
        """
        rows = []
        alone = self.left_out()
        for place, target in enumerate(self.problem.targets):
            own = self.statistics[:, place]
            own = own[np.isfinite(own)]
            published = float(self.problem.published[place])
            if target.inequality:
                mean, sd, z, percentile = float((own > target.value).mean()), np.nan, np.nan, np.nan
            else:
                mean, sd = float(own.mean()), float(own.std(ddof=1))
                z = (published - mean) / sd if sd > 0 else np.nan
                percentile = float((own < published).mean() + 0.5 * (own == published).mean())
            row = (target.id, target.kind, target.status, target.where, target.printed, published, mean, sd, z, percentile)
            rows.append((*row, alone.get(place, np.nan), target.rounding))
        names = "target kind status where printed published reproduced sd z percentile left_out_z rounding"
        return pd.DataFrame(rows, columns=names.split())

    def contrasts(self) -> pd.DataFrame:
        """Return unadjusted minus adjusted log hazard ratios: small sampling error, and they carry how covariates depend.

        Returns
        -------
        DataFrame
            ``contrast, published, reproduced, sd, z``.
        """
        rows = []
        for place, other in self.problem.contrasts:
            own = self.statistics[:, place] - self.statistics[:, other]
            own = own[np.isfinite(own)]
            published = float(self.problem.published[place] - self.problem.published[other])
            mean, sd = float(own.mean()), float(own.std(ddof=1))
            item = self.problem.targets[place]
            rows.append((label_of(self.problem.term(item)), published, mean, sd, (published - mean) / sd))
        return pd.DataFrame(rows, columns=["contrast", "published", "reproduced", "sd", "z"])

    def distances(self) -> tuple[float, Floats]:
        """Return the joint distance of the published numbers from the process's mean, and those of its own cohorts.

        Squared Mahalanobis distances over the fitted targets. The cohorts, not a chi-squared table, say what is usual: the
        statistics are not quite normal.
        """
        fitted = self.problem.fitted
        found = self.statistics[:, fitted]
        found = found[np.isfinite(found).all(axis=1)]
        mean, weight = found.mean(axis=0), self.problem.weight(found)
        away, own = self.problem.published[fitted] - mean, found - mean
        return float(away @ weight @ away), np.einsum("ij,jk,ik->i", own, weight, own)

    def groups(self) -> dict[Entry, list[int]]:
        """Return the places of the targets that are left out together: all numbers of one entry of the paper.

        A median with its limits, the points of a curve with its numbers at risk, a follow-up, the cells of a cross table: one
        of them left out alone would be told by the rest of its own entry. The hazard ratios of all unadjusted rows are one
        group, so are those of all adjusted ones, and their standard errors: rows of one cohort tell of each other.
        """
        found: dict[Entry, list[int]] = {}
        for place, target in enumerate(self.problem.targets):
            if not target.inequality:
                found.setdefault(self._entry(target), []).append(place)
        return found

    def _entry(self, target: Target) -> Entry:
        """Return the table of the evidence, and the entry in it, that a target is a number of."""
        if target.model is not None:
            adjusted = self.problem.evidence.model[target.model].adjusted
            return "adjusted" if adjusted else "unadjusted", target.kind
        if target.kind in ("follow_up_share", "log_shortest", "log_longest"):
            return "follow_up", target.id.partition(":")[0]
        if target.kind == "events":
            return "events", target.id
        evidence = self.problem.evidence
        tables: dict[str, tuple[Any, ...]] = {"survival": evidence.survival, "curve": evidence.curve}
        if target.kind == "joint":
            tables = {"joint": evidence.joint}
        named = [(table, item.id) for table, items in tables.items() for item in items if _begins(target.id, table, item.id)]
        # Ids may hold commas and colons of their own: the longest that the target's begins with is its entry's.
        return max(named, key=lambda entry: len(entry[1]))

    def left_out(self) -> dict[int, float]:
        """Return each target's z against its prediction from all other entries of the paper; see :meth:`groups`.

        At the calibrated process parameters and statistics are taken as jointly normal: statistics have covariance J V J' + C
        with the prior V of the parameters, C the sampling covariance and J the derivatives; conditioning a group on all
        others includes the uncertainty of the parameters and the correlation of the statistics.
        """
        prior, moments = self.problem.parameters, self.moments
        centre = moments.mean + moments.jacobian @ (prior.mean - moments.theta)
        factor = np.ones(len(self.problem.targets))
        factor[self.problem.fitted] = self.problem.variance_factor
        sampling = moments.sampling + np.diag(np.diag(moments.sampling) * (factor - 1 + RIDGE) + 1e-10)
        whole = (moments.jacobian * prior.sd**2) @ moments.jacobian.T + sampling
        usable = np.isfinite(whole).all(axis=1)
        fitted = set(self.problem.fitted.tolist())
        found: dict[int, float] = {}
        for places in self.groups().values():
            given = [place for place in fitted if place not in places and usable[place]]
            asked = [place for place in places if usable[place]]
            if not given or not asked:
                continue
            gain = np.linalg.solve(whole[np.ix_(given, given)], whole[np.ix_(given, asked)])
            predicted = centre[asked] + (self.problem.published[given] - centre[given]) @ gain
            variance = np.diag(whole)[asked] - np.sum(gain * whole[np.ix_(given, asked)], axis=0)
            for place, value, spread in zip(asked, predicted, np.maximum(variance, 1e-12), strict=True):
                found[place] = float((self.problem.published[place] - value) / np.sqrt(spread))
        return found


def _begins(name: str, table: str, entry: str) -> bool:
    """Return whether a target's id is that of an entry or goes on from it, as :mod:`targets` joins them."""
    return f"{name}, ".startswith(f"{entry}, ") if table == "survival" else name.startswith(f"{entry}: ")
