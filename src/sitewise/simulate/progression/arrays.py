"""Progression of produced cohorts as arrays: the columns that a table of patients gets, and what misses the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.simulate.calibration.targets import Target
from sitewise.simulate.covariates import labelled
from sitewise.simulate.parts import Floats
from sitewise.simulate.progression.model import readable

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ProgressionArrays:
    """Progression of R cohorts of n patients.

    Parameters
    ----------
    pfs_time, pfs_event : ndarray, shape (R, n)
        First of recorded failure, death and end of follow-up; whether it is one of the former two.
    failure_time, failure : ndarray, shape (R, n)
        First recorded failure, or death or end of follow-up without one; whether it is a failure.
    first_failure : ndarray of int8, shape (R, n)
        Position of the kind in ``labels``, whose first is "none".
    labels : tuple of str
        Kinds of first failure.
    progression : ndarray, shape (R, n)
        Latent times to progression, which nobody would observe: the truth for tests; not in tables.
    phi : ndarray, shape (R, 4)
        Parameters of each cohort.
    targets : tuple of Target
        What the paper prints about progression.
    published, statistics, off : ndarray, shapes (K,), (R, K), (R, K)
        Its values, those of the cohorts, and by how much these miss what is printed.
    """

    pfs_time: Floats
    pfs_event: Mask
    failure_time: Floats
    failure: Mask
    first_failure: NDArray[np.int8]
    labels: tuple[str, ...]
    progression: Floats
    phi: Floats
    targets: tuple[Target, ...]
    published: Floats
    statistics: Floats
    off: Floats

    def __len__(self) -> int:
        return len(self.phi)

    def columns(self, position: int, /) -> dict[str, Any]:
        """Return the columns of one cohort's table."""
        return {
            "pfs_time": self.pfs_time[position],
            "pfs_event": self.pfs_event[position].astype(np.int8),
            "failure_time": self.failure_time[position],
            "failure": self.failure[position].astype(np.int8),
            "first_failure": labelled(self.first_failure[position], self.labels),
        }

    def parameters(self) -> pd.DataFrame:
        """Return the parameters of each cohort: ``cohort``, then those of progression in readers' units."""
        return pd.DataFrame({"cohort": np.arange(len(self)), **readable(self.phi)})

    def misses(self) -> pd.DataFrame:
        """Return every fitted number about progression that a cohort does not reproduce to the decimals printed.

        Returns
        -------
        DataFrame
            ``cohort, target, printed, published, found, off``; ``off`` is what is missing beyond the rounding box, on the
            statistic's scale.
        """
        rows = []
        for place, target in enumerate(self.targets):
            if target.status in ("fit", "soft"):
                for row in np.flatnonzero(self.off[:, place] > 0):
                    found, off = float(self.statistics[row, place]), float(self.off[row, place])
                    rows.append((int(row), target.id, target.printed, float(self.published[place]), found, off))
        return pd.DataFrame(rows, columns=["cohort", "target", "printed", "published", "found", "off"])
