"""Who comes when, and who is lost: sites that open one after another, their rates, dropout, the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import Problems, TrialError, plural
from sitewise.records import Record, positive, tidied

Floats = NDArray[np.float64]
MOST = int(np.iinfo(np.int16).max)
"""Most sites, and most kinds of patients: their numbers are kept in two bytes."""


@dataclass(frozen=True)
class Accrual(Record):
    """How patients come to the sites.

    Site j opens at its time; from then on patients come as a Poisson process whose rate grows linearly over ``ramp`` to the
    site's own rate. That rate is stated, or with ``rate_shape`` a Gamma variable of that shape and the stated mean
    (Anisimov & Fedorov 2007, Stat Med 26:4958), drawn anew in every trial.
    """

    sites: int
    """Number of sites."""
    rate: float | tuple[float, ...]
    """Patients a site and unit of time when it is fully running: one number, or one a site."""
    rate_shape: float | None = None
    """Shape of the Gamma distribution of a site's rate; absent: rates are as stated."""
    opening: tuple[float, ...] = ()
    """Time at which each site opens; absent: see open_every."""
    open_every: float = 0.0
    """Time between the openings of sites; 0: all open at the start."""
    ramp: float = 0.0
    """Time from a site's opening until it is fully running."""
    cap: int | None = None
    """Most patients of one site."""
    longest: float | None = None
    """Time after which nobody is enrolled any more, whatever the number; absent: until the trial has its patients or closes."""
    pattern: Literal["poisson", "uniform"] = "poisson"
    """poisson: as above. uniform: all patients, at times that are uniform from the start until all would have come at the
    stated rates (what closed formulas assume); sites take shares by their rates."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The accrual")
        rates = self.rate if isinstance(self.rate, tuple) else (self.rate,)
        if not 1 <= self.sites <= MOST:
            problems.add("sites", f"must be 1 to {MOST}; it is {self.sites}")
        if any(not rate > 0 for rate in rates):
            problems.add("rate", f"must be positive; it is {', '.join(f'{rate:g}' for rate in rates)}")
        if isinstance(self.rate, tuple) and len(self.rate) != self.sites:
            problems.add("rate", f"must be one number or {plural(self.sites, 'number', 'numbers')}, one a site")
        if self.opening and len(self.opening) != self.sites:
            problems.add("opening", f"must be {plural(self.sites, 'time', 'times')}, one a site; there are {len(self.opening)}")
        if self.opening and self.open_every:
            problems.add("open_every", "is given beside opening", "Give one of them.")
        if any(time < 0 for time in (*self.opening, self.open_every, self.ramp)):
            problems.add("opening, open_every, ramp", "must be zero or positive")
        if self.opening and min(self.opening) > 0:
            problems.add("opening", "has no site that opens at time 0", "Times count from the opening of the first site.")
        if self.cap is not None and self.cap < 1:
            problems.add("cap", f"must be at least 1; it is {self.cap}")
        positive(problems, rate_shape=self.rate_shape, longest=self.longest)
        self._check_uniform(problems)
        problems.raise_if_any(TrialError, "The accrual")

    def _check_uniform(self, problems: Problems) -> None:
        others = {"rate_shape": self.rate_shape, "opening": self.opening, "open_every": self.open_every, "ramp": self.ramp}
        others |= {"cap": self.cap, "longest": self.longest}
        for name, value in others.items() if self.pattern == "uniform" else ():
            if value:
                problems.add(name, "has no meaning with pattern = 'uniform'", "Remove it, or use pattern = 'poisson'.")

    @property
    def rates(self) -> Floats:
        """Mean rate of each site when it is fully running, shape (J,)."""
        return np.broadcast_to(np.asarray(self.rate, dtype=float), (self.sites,)).copy()

    @property
    def openings(self) -> Floats:
        """Time at which each site opens, shape (J,)."""
        return np.array(self.opening or [number * self.open_every for number in range(self.sites)], dtype=np.float64)


@dataclass(frozen=True)
class Dropout(Record):
    """Loss to follow-up, independent of the event: a Weibull time from enrolment, exponential where shape is 1."""

    share: float
    """Share of patients lost by the time ``by``, if nobody had the event."""
    by: float
    """Time since enrolment."""
    shape: float = 1.0
    """Shape of the Weibull distribution."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The dropout")
        if not 0 < self.share < 1:
            problems.add("share", f"must be inside (0, 1); it is {self.share:g}", "Without dropout leave the table out.")
        positive(problems, by=self.by, shape=self.shape)
        problems.raise_if_any(TrialError, "The dropout")

    @property
    def scale(self) -> float:
        """Scale of the Weibull distribution: S(t) = exp(-(t / scale)^shape)."""
        return float(self.by / (-np.log1p(-self.share)) ** (1 / self.shape))


@dataclass(frozen=True)
class FollowUp(Record):
    """How long patients are followed."""

    close: float
    """Calendar time at which the trial ends whatever has happened: a look whose events have not come is then held."""
    longest: float | None = None
    """Longest follow-up of a patient since enrolment; absent: until the end."""
    dropout: Dropout | None = None
    """Loss to follow-up; absent: none."""
    assess_every: float | None = None
    """Time between assessments since enrolment, where events are found at the next one only (progression); absent: at once."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The follow-up")
        positive(problems, close=self.close, longest=self.longest, assess_every=self.assess_every)
        self._check_assessments(problems)
        problems.raise_if_any(TrialError, "The follow-up")

    def _check_assessments(self, problems: Problems) -> None:
        """Note a first assessment that nobody is followed until: no event could ever be found."""
        every = self.assess_every
        if every is None:
            return
        if self.longest is not None and every > self.longest:
            what = f"is {every:g}, and patients are followed for {self.longest:g} at most: no event would ever be found"
            problems.add("assess_every", what, "Assess more often, or follow patients for longer.")
        elif every >= self.close:
            what = f"is {every:g}, and the trial closes at {self.close:g}: no event would ever be found"
            problems.add("assess_every", what, "Assess more often, or close later.")
