"""`Forecast`: patients, events and dates of one trial as it may go, as draws and as tables with prediction intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise.names import SITE, TIME
from sitewise.problems import TrialError, nearest
from sitewise.trial.conduct.held import Held
from sitewise.trial.conduct.trials import Trials
from sitewise.trial.forecast.summaries import check_prob, share, summarised

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
ALL_SITES = "all"
"""What stands in a table for the whole trial."""
POINTS = 61
"""Times of a curve that nobody has named."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """M ways in which a trial may go, equally likely.

    All is about the trial if it goes on until it closes: no rule stops it, and patients and events come after its final look as
    before it. A date that does not come before the close is infinite. Intervals are equal-tailed prediction intervals, of one
    future trial; columns ending in ``_mcse`` are Monte Carlo standard errors of the column before.

    Parameters
    ----------
    trials : Trials
        The ways, M of them; what had been observed at a data cut is the same in each.
    held : Held
        Their looks.
    looks : tuple of str
        Names of the looks; the last is final.
    sites : tuple of str
        Names of the sites.
    close : float
        Calendar time at which the trial ends whatever has happened.
    times : ndarray, shape (T,)
        Calendar times of the curves.
    prob : float
        Probability of the intervals.
    time_unit : str
        Unit of all times.
    cut : float, optional
        Calendar time of the data cut; none before the start.
    effective_sample_size : float, optional
        Of the truth's rows after weighting by interim data; none where nothing was weighted.
    site_rates : DataFrame, optional
        Columns ``site, enrolled, exposure, mean, lower, upper``: each site's rate when fully running after the data cut.
    notes : tuple of str
        What must be known to read it, in sentences.
    """

    trials: Trials
    held: Held
    looks: tuple[str, ...]
    sites: tuple[str, ...]
    close: float
    times: Floats
    prob: float
    time_unit: str
    cut: float | None = None
    effective_sample_size: float | None = None
    site_rates: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_prob(self.prob)

    def __len__(self) -> int:
        return len(self.trials)

    def patients_at(self, time: float, /, *, site: str | None = None) -> Counts:
        """Return the draws of patients enrolled by a calendar time, shape (M,), of all sites or one.

        Raises
        ------
        TrialError
            When the time is outside the trial, or there is no such site.
        """
        return self._count(self.trials.enrolled, time, site)

    def events_at(self, time: float, /, *, site: str | None = None) -> Counts:
        """Return the draws of events by a calendar time, shape (M,), of all sites or one.

        Raises
        ------
        TrialError
            When the time is outside the trial, or there is no such site.
        """
        return self._count(self.trials.event_calendar, time, site)

    def event_date(self, events: int | Sequence[int], /, *, site: str | None = None, prob: float | None = None) -> pd.DataFrame:
        """Return when numbers of events are reached.

        Parameters
        ----------
        events : int or sequence of int
            Numbers of events.
        site : str, optional
            Events of this site only; default the whole trial.
        prob : float, optional
            Probability of the interval; default the forecast's own.

        Returns
        -------
        DataFrame
            One row a number: ``events``, the ``probability`` that it is reached before the close, and quantiles of the calendar
            date, infinite where the trial closes first.

        Raises
        ------
        TrialError
            When a number is below 1 or above the number of patients, or there is no such site.
        """
        numbers = np.atleast_1d(np.asarray(events, dtype=np.int64))
        most = self.trials.enrolled.shape[1]
        if (numbers < 1).any() or (numbers > most).any():
            raise TrialError(f"events must lie between 1 and {most}, the number of patients; they are {numbers.tolist()}.")
        calendar = self.trials.event_calendar
        if site is not None:
            calendar = np.where(self.trials.site == self._position(site), calendar, np.inf)
        dates = self._before_close(np.sort(calendar, axis=1)[:, numbers - 1])
        return self._dates(dates, {"events": numbers}, self.prob if prob is None else prob)

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Cumulative patients and events: a row for each ``quantity`` (patients, events), ``site`` ("all" first), ``time``."""
        tables = []
        for quantity, calendar in {"patients": self.trials.enrolled, "events": self.trials.event_calendar}.items():
            for position, name in enumerate((None, *range(len(self.sites)))):
                draws = self._curves(calendar, name)
                site = ALL_SITES if position == 0 else self.sites[position - 1]
                columns = {"quantity": quantity, SITE: site, TIME: self.times}
                tables.append(pd.DataFrame(columns | summarised(draws, prob=self.prob)))
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def paths(self) -> xr.Dataset:
        """Draws of cumulative ``patients`` and ``events`` of the whole trial, dims ``trial, time``."""
        calendars = {"patients": self.trials.enrolled, "events": self.trials.event_calendar}
        content = {name: (("trial", TIME), self._curves(calendar, None)) for name, calendar in calendars.items()}
        coords = {"trial": self.trials.number, TIME: (TIME, self.times, {"unit": self.time_unit})}
        return xr.Dataset(content, coords=coords)

    @cached_property
    def milestones(self) -> pd.DataFrame:
        """Dates: full accrual, what each look waits for, and completion (the final look, or the close if that comes first).

        ``probability`` is that of coming before the close; ``held`` that an interim look is held at all, which it is not when
        it would come with or after a later one.
        """
        full = self.trials.enrolled[:, -1:]
        looks = np.where(self.held.reached, self.held.calendar, np.inf)
        dates = self._before_close(np.concatenate([full, looks, self.held.calendar[:, -1:]], axis=1))
        kinds = ["accrual", *["look"] * len(self.looks), "completion"]
        names = ["full accrual", *self.looks, "completion"]
        table = self._dates(dates, {"milestone": names, "kind": kinds}, self.prob)
        held, error = share(self.held.held)
        table["held"] = [np.nan, *held, np.nan]
        table["held_mcse"] = [np.nan, *error, np.nan]
        return table

    @cached_property
    def site_totals(self) -> pd.DataFrame:
        """Patients of each site by the close, with the probability that a site has none."""
        counted = [self._count(self.trials.enrolled, self.close, site) for site in self.sites]
        totals = np.stack([*counted, self._count(self.trials.enrolled, self.close, None)], axis=1)
        table = pd.DataFrame({SITE: [*self.sites, ALL_SITES], **summarised(totals, prob=self.prob)})
        table["none"], table["none_mcse"] = share(totals == 0)
        return table

    def _dates(self, dates: Floats, first: dict[str, object], prob: float) -> pd.DataFrame:
        check_prob(prob)
        probability, error = share(np.isfinite(dates))
        columns = {"probability": probability, "probability_mcse": error} | summarised(dates, prob=prob)
        return pd.DataFrame(first | columns)

    def _before_close(self, dates: Floats) -> Floats:
        return np.where(dates <= self.close, dates, np.inf)

    def _position(self, site: str) -> int:
        if site not in self.sites:
            raise TrialError(f"There is no site '{site}'. {nearest(site, self.sites)}")
        return self.sites.index(site)

    def _count(self, calendar: Floats, time: float, site: str | None) -> Counts:
        if not 0 <= time <= self.close:
            raise TrialError(f"time is {time:g}; the trial lasts from 0 until it closes at {self.close:g}.")
        happened = calendar <= time
        if site is not None:
            happened &= self.trials.site == self._position(site)
        return happened.sum(axis=1)

    def _curves(self, calendar: Floats, site: int | None) -> Counts:
        """Return cumulative counts at the forecast's times, shape (M, T)."""
        number, places = len(self.trials), self.times.size + 1
        place = np.searchsorted(self.times, calendar)
        if site is not None:
            place = np.where(self.trials.site == site, place, self.times.size)
        flat = (place + places * np.arange(number)[:, None]).ravel()
        return np.bincount(flat, minlength=number * places).reshape(number, places)[:, :-1].cumsum(axis=1)


def curve_times(times: Floats | Sequence[float] | None, *, close: float, cut: float | None = None) -> Floats:
    """Return the calendar times of curves: as given, or evenly until the close, with the data cut.

    Raises
    ------
    TrialError
        When times are not ascending, or outside the trial.
    """
    if times is None:
        return np.unique([*np.linspace(0.0, close, POINTS), *([] if cut is None else [cut])])
    given = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if given.ndim > 1 or given.size == 0 or not np.isfinite(given).all() or (np.diff(given) <= 0).any():
        raise TrialError("times must be one or more ascending numbers.")
    if given[0] < 0 or given[-1] > close:
        raise TrialError(
            f"times must lie between 0 and {close:g}, when the trial closes; they go from {given[0]:g} to {given[-1]:g}."
        )
    return given
