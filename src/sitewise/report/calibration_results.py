"""What a calibration report is about: the calibration with everything computed from it, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.evidence.audit import Audit
from sitewise.simulate.calibration import Calibration, Produced
from sitewise.simulate.calibration.conflicts import CONFLICT, conflicting
from sitewise.simulate.calibration.derived import EVENTS
from sitewise.simulate.calibration.fan import GroupFan, Partition, fans, partitions
from sitewise.simulate.calibration.sensitivity import milestone
from sitewise.simulate.progression import ProgressionCalibration

NOTE_OF_PRIOR = "prior-driven: the paper hardly changes what was assumed beforehand"
NOTE_OF_SITES = "not identified: the prior's or the user's"
PEOPLE, DEATHS = "patients with ", "events with "


@dataclass(frozen=True, eq=False)
class CalibrationResults:
    """A calibration to be reported.

    Parameters
    ----------
    calibration : Calibration
        Of :func:`sitewise.calibrate`.
    audit : Audit
        Of the same evidence.
    endpoint : str
        Whose survival.
    prob : float
        Probability of intervals.
    sensitivity : DataFrame, optional
        Of :func:`sitewise.simulate.calibration.sensitivity.sensitivity`.
    reconstructed : Produced, optional
        Cohorts that could be the paper's own.
    progression : ProgressionCalibration, optional
        Of the same calibration, where the paper says something about progression.
    without_progression : str
        Why there is none.
    """

    calibration: Calibration
    audit: Audit
    endpoint: str = "os"
    prob: float = 0.95
    sensitivity: pd.DataFrame | None = None
    reconstructed: Produced | None = None
    progression: ProgressionCalibration | None = None
    without_progression: str = ""

    @cached_property
    def left_out_of_progression(self) -> list[tuple[str, str]]:
        """Printed numbers about progression that it is not calibrated to, with the reason."""
        if self.progression is None:
            return []
        return [(str(row.target), str(row.reason)) for row in self.progression.left_out().itertuples()]

    @cached_property
    def targets(self) -> pd.DataFrame:
        """Published against reproduced; numbers that are set aside as conflicts come last."""
        own = self.calibration.quality.targets()
        aside = conflicting(self.calibration, endpoint=self.endpoint)
        return pd.concat([own, aside], ignore_index=True) if len(aside) else own

    @cached_property
    def conflicts(self) -> pd.DataFrame:
        """Those set aside."""
        return self.targets[self.targets["status"] == CONFLICT]

    @cached_property
    def fitted(self) -> pd.DataFrame:
        """Targets that were fitted as numbers with full weight."""
        chosen = (self.targets["status"] == "fit") & np.isfinite(self.targets["z"].to_numpy(dtype=float))
        return self.targets[chosen]

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """Unadjusted minus adjusted log hazard ratios."""
        return self.calibration.quality.contrasts()

    @cached_property
    def distances(self) -> tuple[float, NDArray[np.float64]]:
        """The paper's joint distance and those of the process's own cohorts."""
        return self.calibration.quality.distances()

    @property
    def distance_percentile(self) -> float:
        """Share of the process's own cohorts that lie nearer to its mean than the paper does."""
        distance, own = self.distances
        return float((own < distance).mean())

    @cached_property
    def parameters(self) -> pd.DataFrame:
        """Parameters and counts with prior and contraction; ``note`` says what is prior-driven or not identified."""
        found = self.calibration.parameters(prob=self.prob)
        driven = np.where(found["prior_driven"], NOTE_OF_PRIOR, "")
        found = found.assign(note=np.where(found["identified"], driven, NOTE_OF_SITES))
        sites, assumptions = self.calibration.problem.sites, self.calibration.problem.assumptions
        # A share of a symmetric Dirichlet distribution has mean m = 1 / J and variance m (1 - m) / (J a + 1).
        mean, total = 1 / sites, sites * assumptions.site_concentration
        sd = 0.0 if assumptions.site_shares else float(np.sqrt(mean * (1 - mean) / (total + 1)))
        row = {"parameter": "site_share", "of": "process", "mean": mean, "sd": sd, "prior_mean": mean, "prior_sd": sd}
        row |= {"contraction": 0.0, "prior_driven": True, "identified": False, "note": NOTE_OF_SITES}
        return pd.concat([found, pd.DataFrame([row])], ignore_index=True)

    @cached_property
    def partitions(self) -> list[Partition]:
        """Groups that are looked at together."""
        return partitions(self.calibration.problem)

    @cached_property
    def fans(self) -> list[tuple[Partition, NDArray[np.float64], list[GroupFan]]]:
        """Survival of each partition's groups, with times."""
        return [(item, *fans(self.calibration, item)) for item in self.partitions]

    @cached_property
    def horizon(self) -> float:
        """Time at which survival is told."""
        return milestone(self.calibration.problem)

    @property
    def unit(self) -> str:
        """Unit of times."""
        return self.calibration.problem.evidence.source.time_unit

    @property
    def patients(self) -> int:
        """Patients of the paper."""
        return self.calibration.problem.structure.patients

    def parameter(self, name: str) -> pd.Series | None:
        """Return the row of a parameter or count, None where there is none."""
        found = self.parameters[self.parameters["parameter"] == name]
        return found.iloc[0] if len(found) else None

    def count_span(self, name: str) -> str:
        """Return a count of the paper's patients with its interval, in whole patients that are none below 0 or above all."""
        row = self.parameter(name)
        if row is None:
            return "–"
        shown = [f"{min(max(float(row[key]), 0.0), self.patients):.0f}" for key in ("mean", "lower", "upper")]
        return f"{shown[0]} ({shown[1]} to {shown[2]})"

    @property
    def events(self) -> str:
        """Deaths, or other events, of the paper's patients with interval."""
        return self.count_span(EVENTS)

    def of_group(self, fan: GroupFan, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return median survival (infinite beyond the last time) and survival at the horizon of each draw, without NaN."""
        curves = fan.process[np.isfinite(fan.process).all(axis=1)]
        at = np.array([np.interp(self.horizon, times, curve) for curve in curves])
        medians = [float(np.interp(-0.5, -curve, times)) if curve[-1] < 0.5 else np.inf for curve in curves]
        return np.array(medians), at
