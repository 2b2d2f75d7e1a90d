"""The hierarchical Weibull model of a trial, and a trial's arrays at a look, without a table of patients for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.models.design import Design
from sitewise.models.model_data import ModelData
from sitewise.models.prior import Prior
from sitewise.models.resolution import Resolution
from sitewise.models.site_effects import NoSites, RandomSites
from sitewise.models.spec import ModelSpec
from sitewise.names import LOG_MEDIAN
from sitewise.problems import Problems, TrialError
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.analysis import AnalysisPlan, NormalPrior

Floats = NDArray[np.float64]
ARM, RISK_GROUP = "arm", "risk_group"
BASELINE_SD = 1.5
"""Sd of the log of median survival where its prior is located at the data."""
LOG_2 = float(np.log(2))


@dataclass(frozen=True, eq=False)
class TrialModel:
    """One resolved spec for all trials and looks of a design.

    Times are measured in the prior median of the reference patient's survival: then the prior of the log median is
    Normal(0, sd) whatever that median is, and one spec serves trials whose prior is located at their own data. A change of
    unit changes neither hazard ratios nor shape nor spread.

    Parameters
    ----------
    spec : ModelSpec
        Resolved; its terms are the arm (randomised trials) and the risk groups (where adjusted for, and more than one).
    rows : ndarray, shape (2 G, p)
        Centred design rows, by arm (0 control, 1 experimental) times G plus the position of the group.
    median : float or None
        Prior median of the reference patient's survival; None where it is located at the data.
    """

    spec: ModelSpec
    rows: Floats
    median: float | None

    @classmethod
    def of(cls, plan: AnalysisPlan, /, *, randomised: bool, groups: tuple[str, ...], sites: int, time_unit: str) -> Self:
        """Return the model of an analysis plan.

        Parameters
        ----------
        plan : AnalysisPlan
            Of the hierarchical method.
        randomised : bool
            Whether there is a control arm; else the model has no column of the arm.
        groups : tuple of str
            All risk groups, G of them, the reference first.
        sites : int
            Number of sites, those that open late among them.
        time_unit : str
            Of the trial's times.

        Raises
        ------
        TrialError
            When the plan asks for what these trials do not have.
        """
        _check(plan, randomised=randomised, groups=groups, sites=sites)
        grouped = RISK_GROUP in plan.adjust and len(groups) > 1
        columns, means, priors = [], [], []
        arm, group = np.repeat([0.0, 1.0], len(groups)), np.tile(np.arange(len(groups)), 2)
        content = []
        if randomised:
            columns.append(ARM)
            means.append(0.5)
            priors.append(_normal(plan.treatment))
            content.append(arm)
        for place, label in enumerate(groups[1:] if grouped else (), start=1):
            columns.append(f"{RISK_GROUP}[{label}]")
            means.append(1 / len(groups))
            priors.append(_normal(plan.risk_groups))
            content.append((group == place).astype(float))
        stated = plan.median_survival
        random = "site" in plan.adjust
        slope = random and plan.treatment_by_site
        resolution = Resolution(
            columns=tuple(columns),
            means=tuple(means),
            reference=(0.0,) * len(columns),
            reference_patient=({ARM: 0} if randomised else {}) | ({RISK_GROUP: groups[0]} if grouped else {}),
            levels={RISK_GROUP: groups} if grouped else {},
            site_labels=tuple(f"site {number + 1}" for number in range(sites)) if random else (),
            shape=(Prior("LogNormal", mu=plan.shape.mean, sigma=plan.shape.sd),),
            baseline=LOG_MEDIAN,
            baseline_prior=Prior("Normal", mu=0.0, sigma=BASELINE_SD if stated is None else stated.log_sd),
            coefficients=tuple(priors),
            site_sd=Prior("HalfNormal", sigma=plan.site_sd) if random else None,
            site_effects=None,
            training=None,
            data_hash="",
            time_unit=f"prior medians ({time_unit})",
            slope_columns=(0,) if slope else (),
            site_slope_sd=(Prior("HalfNormal", sigma=plan.site_sd),) if slope else (),
        )
        spec = ModelSpec(
            terms=((ARM,) if randomised else ()) + ((RISK_GROUP,) if grouped else ()),
            sites=RandomSites(slopes=(ARM,) if slope else ()) if random else NoSites(),
            resolution=resolution,
        )
        rows = np.stack(content, axis=1) - np.array(means) if content else np.empty((arm.size, 0))
        return cls(spec, rows, None if stated is None else stated.median)

    def arrays(self, seen: Snapshot, row: int, /) -> tuple[ModelData, float]:
        """Return the arrays of one trial, and the unit of their times in the trial's own; the trial has an event.

        Where no median is stated the unit is ln 2 times person-time over events, at which the prior is then located.
        """
        kept = np.flatnonzero(seen.included[row])
        time, event = seen.time[row, kept], seen.event[row, kept].astype(float)
        unit = self.median if self.median is not None else LOG_2 * float(time.sum() / event.sum())
        kind = seen.arm[row, kept].astype(np.int64) * (len(self.rows) // 2) + seen.group[row, kept]
        site = seen.site[row, kept].astype(np.int64) if self.spec.has_sites else np.zeros(kept.size, dtype=np.int64)
        data = ModelData(
            log_time=np.log(time / unit),
            event=event,
            log_entry=None,
            entered_late=None,
            weight=None,
            covariates=self.rows[kind],
            site=site,
            design=NO_DESIGN,
        )
        return data, unit


NO_DESIGN = Design((), (), (), np.empty((0, 0)), pd.DataFrame(), None)
"""Engines read arrays; nobody asks these trials for the design of other people."""


def _normal(prior: NormalPrior) -> Prior:
    return Prior("Normal", mu=prior.mean, sigma=prior.sd)


def _check(plan: AnalysisPlan, *, randomised: bool, groups: tuple[str, ...], sites: int) -> None:
    problems = Problems()
    if plan.method != "hierarchical":
        problems.add("method", f"is '{plan.method}'", "This is the hierarchical method.")
    if not groups:
        problems.add("groups", "are none", "Without risk groups name one for everybody.")
    if len(set(groups)) < len(groups):
        problems.add("groups", "name a group twice")
    if "site" in plan.adjust and sites < 2:
        problems.add(
            "adjust", f"has 'site', and there is {sites}; the spread of sites needs at least 2", "Remove 'site' from adjust."
        )
    if plan.treatment_by_site and not randomised:
        problems.add("treatment_by_site", "needs a control arm", "Leave it out of a single-arm trial.")
    problems.raise_if_any(TrialError, "The hierarchical analysis")
