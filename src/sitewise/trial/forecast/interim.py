"""`InterimData`: what is known of a running trial at a data cut, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.problems import Problems, TrialError, listed, nearest
from sitewise.trial.plan.accrual import Accrual

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]
UNKNOWN = -1
"""Code of an arm that the table does not say."""
ARMS = ("control", "experimental")
NEEDED = ("site", "enrolled", "time", "event", "ended")
ROUNDING = 1e-9
"""By how much, relative to the data cut, sums of times may exceed it."""


@dataclass(frozen=True, eq=False)
class InterimData:
    """Patients and sites of a running trial at a data cut; made by :meth:`from_tables`.

    Calendar times count from the trial's start, as the design's do, in the unit of the truth.

    Parameters
    ----------
    sites : tuple of str
        Names of all sites of the trial, also of those that have enrolled nobody or have not opened.
    opened : ndarray, shape (J,)
        Calendar time at which each site opened, or is planned to open when that is after the cut.
    cut : float
        Calendar time of the data cut.
    site : ndarray of int, shape (n,)
        Site of each patient; patients stand in the order in which they came.
    enrolled : ndarray, shape (n,)
        Calendar time of enrolment.
    time : ndarray, shape (n,)
        Time since enrolment of the event or of the last that is known.
    event : ndarray of bool, shape (n,)
        Whether the time is an event.
    ended : ndarray of bool, shape (n,)
        Whether nothing more will be learnt of the patient: event, lost, or own follow-up over.
    group : tuple of str, length n
        Risk group; empty where it is not known.
    arm : ndarray of int, shape (n,)
        1 experimental, 0 control, -1 not known: data that are blinded.
    """

    sites: tuple[str, ...]
    opened: Floats
    cut: float
    site: Codes
    enrolled: Floats
    time: Floats
    event: Flags
    ended: Flags
    group: tuple[str, ...]
    arm: Codes

    def __len__(self) -> int:
        return int(self.site.size)

    @property
    def enrolled_of_site(self) -> Codes:
        """Patients of each site, shape (J,)."""
        return np.bincount(self.site, minlength=len(self.sites))

    @classmethod
    def from_tables(cls, patients: pd.DataFrame, sites: pd.DataFrame, /, *, cut: float) -> Self:
        """Return interim data of two tables.

        Parameters
        ----------
        patients : DataFrame
            One row a patient, with columns ``site``, ``enrolled`` (calendar time), ``time`` (since enrolment), ``event`` (0, 1)
            and ``ended`` (0, 1; of a patient with the event either will do). Optional: ``risk_group`` and ``arm``
            ("experimental", "control"), whose cells may be empty. Other columns are not looked at.
        sites : DataFrame
            One row a site, with columns ``site`` and ``opened`` (calendar time); sites that have enrolled nobody and sites that
            are still to open, with the planned time, are part of it.
        cut : float
            Calendar time of the data cut.

        Raises
        ------
        TrialError
            Naming every problem with its column and rows.
        """
        problems = Problems()
        if not (np.isfinite(cut) and cut > 0):
            problems.add("cut", f"must be a positive calendar time; it is {cut:g}")
        _columns(patients, NEEDED, "patients", problems)
        _columns(sites, ("site", "opened"), "sites", problems)
        problems.raise_if_any(TrialError, "The interim data")
        names, opened = _sites(sites, problems)
        enrolled, time = (_numbers(patients, name, problems) for name in ("enrolled", "time"))
        event, ended = (_flags(patients, name, problems) for name in ("event", "ended"))
        site = _coded(patients, "site", names, problems, needed=True)
        arm = _coded(patients, "arm", ARMS, problems)
        empty = pd.Series("", index=patients.index)
        group = patients.get("risk_group", empty)
        _check_times(enrolled, time, event, site, opened, cut, names, problems)
        problems.raise_if_any(TrialError, "The interim data")
        order = np.argsort(enrolled, kind="stable")
        labels = np.where(group.isna(), "", group.astype(str))[order]
        return cls(
            sites=names,
            opened=opened,
            cut=float(cut),
            site=site[order],
            enrolled=enrolled[order],
            time=time[order],
            event=event[order],
            ended=(ended | event)[order],
            group=tuple(str(item) for item in labels),
            arm=arm[order],
        )

    def check_against(self, *, accrual: Accrual, patients: int, groups: tuple[str, ...], longest: float | None) -> None:
        """Refuse data that do not go with a design and a truth.

        Raises
        ------
        TrialError
            When sites are not as many as in the design, a site or the trial has more patients than it may, an event comes after
            the longest follow-up, or a risk group is unknown.
        """
        problems = Problems()
        if len(self.sites) != accrual.sites:
            problems.add(
                "sites",
                f"the table has {len(self.sites)} and the accrual {accrual.sites}",
                "List every site, with its planned opening where it is still to open, in the order of the accrual's rates.",
            )
        if len(self) > patients:
            problems.add("patients", f"the table has {len(self)} and the trial {patients}", "Raise arms.patients.")
        if accrual.cap is not None and (self.enrolled_of_site > accrual.cap).any():
            over = [name for name, count in zip(self.sites, self.enrolled_of_site, strict=True) if count > accrual.cap]
            problems.add("site", f"{listed(over)} enrolled more than the cap of {accrual.cap}", "Raise accrual.cap.")
        if accrual.longest is not None and (self.enrolled > accrual.longest).any():
            problems.add("enrolled", f"somebody came after accrual.longest, {accrual.longest:g}", "Raise accrual.longest.")
        if longest is not None and (self.event & (self.time > longest * (1 + ROUNDING))).any():
            problems.add("time", f"an event comes after the longest follow-up of a patient, {longest:g}")
        for name in dict.fromkeys(name for name in self.group if name and name not in groups):
            problems.add("risk_group", f"'{name}' is no group of patients who may enter", nearest(name, groups))
        problems.raise_if_any(TrialError, "The interim data")


def _columns(table: pd.DataFrame, needed: tuple[str, ...], where: str, problems: Problems) -> None:
    for name in (name for name in needed if name not in table):
        problems.add(where, f"the table has no column '{name}'", nearest(name, [str(item) for item in table.columns]))


def _rows(wrong: Flags) -> list[int]:
    return [int(row) + 1 for row in np.flatnonzero(wrong)]


def _sites(table: pd.DataFrame, problems: Problems) -> tuple[tuple[str, ...], Floats]:
    names = tuple(table["site"].astype(str))
    if not names:
        problems.add("sites", "the table has no row")
    if table["site"].isna().any():
        problems.add("sites site", "is empty", rows=_rows(table["site"].isna().to_numpy()))
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        problems.add("sites site", f"{listed(twice)} stands in more than one row")
    opened = _numbers(table, "opened", problems, where="sites opened")
    if (opened < 0).any():
        problems.add("sites opened", "is before the start of the trial, time 0", rows=_rows(opened < 0))
    return names, opened


def _numbers(table: pd.DataFrame, name: str, problems: Problems, *, where: str = "") -> Floats:
    found = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(found)
    if wrong.any():
        problems.add(where or name, "is empty or no number", "Give times as numbers.", rows=_rows(wrong))
    return found


def _flags(table: pd.DataFrame, name: str, problems: Problems) -> Flags:
    found = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~np.isin(found, (0.0, 1.0))
    if wrong.any():
        problems.add(name, "must be 0 or 1", rows=_rows(wrong))
    return np.asarray(found == 1)


def _coded(table: pd.DataFrame, name: str, known: tuple[str, ...], problems: Problems, *, needed: bool = False) -> Codes:
    if name not in table:
        return np.full(len(table), UNKNOWN)
    empty = table[name].isna().to_numpy() | (table[name].astype(str) == "").to_numpy()
    labels = table[name].astype(str).to_numpy()
    for label in dict.fromkeys(labels[~empty]):
        if label not in known:
            problems.add(name, f"'{label}' is not known", nearest(label, known), rows=_rows((labels == label) & ~empty))
    if needed and empty.any():
        problems.add(name, "is empty", rows=_rows(empty))
    return np.array([known.index(item) if item in known else UNKNOWN for item in labels], dtype=np.int64)


def _check_times(
    enrolled: Floats,
    time: Floats,
    event: Flags,
    site: Codes,
    opened: Floats,
    cut: float,
    names: tuple[str, ...],
    problems: Problems,
) -> None:
    with np.errstate(invalid="ignore"):
        late = cut * (1 + ROUNDING)
        at_site = opened[np.clip(site, 0, None)] if opened.size else np.zeros(site.size)
        wrong = {
            ("enrolled", "is before the start of the trial, time 0"): enrolled < 0,
            ("enrolled", f"is after the data cut at {cut:g}"): enrolled > cut,
            ("enrolled", "is before the patient's site opened"): (site != UNKNOWN) & (enrolled >= 0) & (enrolled < at_site),
            ("time", "is negative"): time < 0,
            ("time", "is an event at the moment of enrolment"): event & (time == 0),
            ("time", f"goes beyond the data cut at {cut:g}"): (enrolled <= cut) & (time > 0) & (enrolled + time > late),
        }
    for (name, what), rows in wrong.items():
        if rows.any():
            problems.add(name, what, rows=_rows(rows))
