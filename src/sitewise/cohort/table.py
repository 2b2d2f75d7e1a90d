"""`Cohort`: a patient table, validated once and immutable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort.columns import Columns, Recode, named_columns
from sitewise.cohort.files import read_table
from sitewise.cohort.kaplan_meier import KaplanMeier
from sitewise.cohort.text import csv_text

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Patients with a follow-up time each, validated when made; see :meth:`from_frame`.

    Parameters
    ----------
    time, event, entry, weights : ndarray, shape (n,)
        Follow-up time and entry in ``time_unit``, event indicator (1 = event), weight; read-only arrays.
    site : pandas.Series or None
        Categorical site labels in natural order.
    id : pandas.Series
        Patient labels; ``"1", "2", ...`` when the table has none.
    covariates : pandas.DataFrame, shape (n, p)
        Numeric columns, and categorical columns whose first category is the reference level.
    columns : Columns
        Names of the special columns.
    time_unit : str
        ``"days"``, ``"weeks"``, ``"months"``, ``"years"`` or any other name.
    warnings : tuple of str
        What can be analysed but should worry.
    notes : tuple of str
        What was done on reading: rows dropped, times shifted, columns read as categories.
    source : str
        What the data are, in words, for the first screen of the report.
    rows_read, rows_dropped : int
        Rows of the table, and how many of them an explicit option removed.
    synthetic : bool
        Whether the patients were simulated; true of a table whose column ``synthetic`` is true in every row.
    rows : tuple of int
        Row numbers, from 1, that the patients had in the table that was read, for messages; empty when not known.
    lower : ndarray, shape (n,), or None
        Last time without the event; equal to ``time`` but where an event lies in an interval, of which ``time`` is the upper
        end. None when every event time is exact.
    """

    time: Floats
    event: Floats
    entry: Floats
    weights: Floats
    site: pd.Series | None
    id: pd.Series
    covariates: pd.DataFrame
    columns: Columns
    time_unit: str = "months"
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = "patient table"
    rows_read: int = 0
    rows_dropped: int = 0
    synthetic: bool = False
    rows: tuple[int, ...] = ()
    lower: Floats | None = None

    def __post_init__(self) -> None:
        for array in (self.time, self.event, self.entry, self.weights, self.lower):
            if array is not None:
                array.setflags(write=False)

    # Making -------------------------------------------------------------------------------------------
    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        /,
        *,
        time: str | None = None,
        event: str | None = None,
        lower: str | None = None,
        upper: str | None = None,
        site: str | None = None,
        entry: str | None = None,
        weights: str | None = None,
        id: str | None = None,
        event_level: object | None = None,
        time_unit: str = "months",
        covariates: Sequence[str] | None = None,
        recode: Mapping[str, Recode] | None = None,
        levels: Mapping[str, Sequence[object]] | None = None,
        reference: Mapping[str, object] | None = None,
        missing: Literal["refuse", "drop", "keep"] = "refuse",
        zero_times: float | Literal["refuse"] = "refuse",
        min_sites: int = 1,
        source: str = "patient table",
    ) -> Cohort:
        """Read and validate a patient table.

        Parameters
        ----------
        frame : pandas.DataFrame
            One row a patient.
        time, event : str
            Columns of the follow-up time and of the event. Events are 0/1, booleans, or labels with ``event_level``.
        lower, upper : str
            Instead of ``time`` and ``event``: columns of the last time without the event and of the first time with it. Equal
            for an exact time, ``upper`` missing or infinite for right censoring, ``lower`` missing or 0 for left censoring.
        site, entry, weights, id : str, optional
            Columns of the site label, of the time of delayed entry, of the weight and of the patient label.
        event_level : object, optional
            Which value of the event column is the event; any other single value is "censored".
        time_unit : str
            Unit of ``time`` and ``entry``.
        covariates : sequence of str, optional
            Columns (or recoded names) to keep and check. Default: every other column, checked when a model uses it.
        recode : mapping of str to Recode, optional
            New covariates made from columns.
        levels, reference : mapping, optional
            Level order and reference level of categorical covariates. A numeric column named in either becomes
            categorical; so does a column with exactly two whole-number values (0/1, 1/2), which is noted.
        missing : {"refuse", "drop", "keep"}
            Whether rows with a missing value in a used column are an error, are dropped and counted, or (covariates only) are
            kept for :func:`sitewise.impute`.
        zero_times : "refuse" or float
            What to do with times that are exactly zero: an error, or the (small, positive) time to put instead.
        min_sites : int
            Fewest sites that the planned model can use (2 for site effects).
        source : str
            What the data are, in words.

        Returns
        -------
        Cohort

        Raises
        ------
        CohortError
            Naming every problem with its column, row numbers and remedy.
        """
        from sitewise.cohort.reading import read_cohort

        return read_cohort(
            frame,
            columns=named_columns(time, event, lower, upper, site=site, entry=entry, weights=weights, id=id),
            event_level=event_level,
            time_unit=time_unit,
            covariates=covariates,
            recode=recode or {},
            levels=levels or {},
            reference=reference or {},
            missing=missing,
            zero_times=zero_times,
            min_sites=min_sites,
            source=source,
        )

    @classmethod
    def from_csv(cls, path: str | Path, /, **options: object) -> Cohort:
        """Read a CSV file; ``options`` are those of :meth:`from_frame`."""
        return cls._from_path(path, options)

    @classmethod
    def from_parquet(cls, path: str | Path, /, **options: object) -> Cohort:
        """Read a Parquet file; ``options`` are those of :meth:`from_frame`."""
        return cls._from_path(path, options)

    @classmethod
    def _from_path(cls, path: str | Path, options: dict[str, object]) -> Cohort:
        options.setdefault("source", f"patients of {Path(path).name}")
        return cls.from_frame(read_table(path), **options)  # type: ignore[arg-type]

    # Looking ------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return int(self.time.size)

    def __repr__(self) -> str:
        sites = f", {len(self.site_labels)} sites" if self.site is not None else ""
        return f"<Cohort of {len(self)} patients{sites}, {int(self.event.sum())} events, time in {self.time_unit}>"

    @cached_property
    def site_labels(self) -> tuple[str, ...]:
        """Site labels in natural order; empty without a site column."""
        return () if self.site is None else tuple(self.site.cat.categories)

    @cached_property
    def site_index(self) -> NDArray[np.int64]:
        """Position of each patient's site in :attr:`site_labels`, shape (n,); zeros without a site column."""
        if self.site is None:
            return np.zeros(len(self), dtype=np.int64)
        return np.asarray(self.site.cat.codes, dtype=np.int64)

    @property
    def late_entry(self) -> bool:
        """Whether anyone entered after time zero."""
        return bool((self.entry > 0).any())

    @property
    def weighted(self) -> bool:
        """Whether any weight differs from 1."""
        return bool((self.weights != 1).any())

    @property
    def person_time(self) -> float:
        """Total weighted time at risk, in ``time_unit``."""
        return float(np.sum(self.weights * (self.time_at_risk_to - self.entry)))

    @cached_property
    def interval(self) -> NDArray[np.bool_]:
        """Whether each patient's event is only known to lie after ``lower`` and by ``time``, shape (n,)."""
        return np.zeros(len(self), dtype=bool) if self.lower is None else self.lower < self.time

    @cached_property
    def time_at_risk_to(self) -> Floats:
        """Time until which each patient is counted at risk: the middle of the interval where an event lies in one."""
        return self.time if self.lower is None else 0.5 * (self.lower + self.time)

    def levels(self, covariate: str) -> tuple[str, ...]:
        """Return the levels of a categorical covariate, the reference first; empty for a numeric one."""
        dtype = self.covariates[covariate].dtype
        return tuple(dtype.categories) if isinstance(dtype, pd.CategoricalDtype) else ()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The validated table; with interval censoring ``upper`` is missing for patients who are right-censored."""
        from sitewise.cohort.describe import validated_table

        return validated_table(self)

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of the validated table as CSV text with 12 digits: the data's identity in every output."""
        return hashlib.sha256((self.time_unit + "\n" + csv_text(self.frame)).encode()).hexdigest()

    def require(self, names: Sequence[str]) -> None:
        """Check that covariates exist, vary and are complete.

        Raises
        ------
        CohortError
            Naming every unknown, constant or incomplete covariate.
        """
        from sitewise.cohort.checks import require

        require(self.covariates, names, self.table_rows)

    def table_rows(self, mask: NDArray[np.bool_]) -> list[int]:
        """Return the row numbers, from 1, that the patients at which ``mask`` is true had in the table that was read."""
        return [self.rows[row] if self.rows else int(row) + 1 for row in np.flatnonzero(mask)]

    def subset(self, rows: NDArray[np.bool_]) -> Cohort:
        """Return the patients at which ``rows`` is true, with all levels and site labels kept."""
        return replace(
            self,
            time=self.time[rows].copy(),
            event=self.event[rows].copy(),
            entry=self.entry[rows].copy(),
            weights=self.weights[rows].copy(),
            lower=None if self.lower is None else self.lower[rows].copy(),
            site=None if self.site is None else self.site[rows].reset_index(drop=True),
            id=self.id[rows].reset_index(drop=True),
            covariates=self.covariates[rows].reset_index(drop=True),
            rows=tuple(np.asarray(self.rows)[rows].tolist()) if self.rows else (),
        )

    # Describing ---------------------------------------------------------------------------------------
    def kaplan_meier(self, rows: NDArray[np.bool_] | None = None, *, prob: float = 0.95) -> KaplanMeier:
        """Return the Kaplan-Meier curve of the patients at which ``rows`` is true (default: all).

        With interval censoring it is Turnbull's estimate, without limits.
        """
        from sitewise.cohort.describe import curve_of

        return curve_of(self, rows, prob=prob)

    def follow_up(self, *, prob: float = 0.95) -> dict[str, float]:
        """Return median follow-up by reverse Kaplan-Meier with limits, median observed time, and the maximum.

        The reverse estimate treats censoring as the event (Schemper & Smith 1996, Control Clin Trials 17:343).
        """
        from sitewise.cohort.describe import follow_up

        return follow_up(self, prob=prob)

    def counts_by_site(self) -> pd.DataFrame:
        """Return ``site, n, events, person_time``, a row a site in natural order."""
        from sitewise.cohort.describe import counts_by_site

        return counts_by_site(self)
