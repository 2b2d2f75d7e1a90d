"""The entries of what a paper would print of a patient table: one method an entry, every number rounded as it is printed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sitewise.classical import Ordered, cox, follow_up, kaplan_meier_at, kaplan_meier_median, log_rank
from sitewise.cohort import Cohort
from sitewise.evidence.checks_shared import LONGEST_QUOTE
from sitewise.evidence.entries import Categorical, Comparison, Continuous, FollowUp, Model, Survival, Term
from sitewise.evidence.entries_of_counts import Events
from sitewise.problems import Problems

Z95 = float(ndtri(0.975))
Group = tuple[str, dict[str, Any], NDArray[np.bool_]]
"""What the ids of a group's entries end with, the fields that define it, and who is in it, shape (n,)."""
EVERYONE = ""


@dataclass(frozen=True)
class Printing:
    """How a paper prints its numbers.

    Parameters
    ----------
    hazard_ratio_digits : int
        Decimals of hazard ratios and their limits.
    time_digits : int
        Decimals of median survival and of follow-up.
    percent_digits : int
        Decimals of survival in per cent.
    p_digits : int
        Decimals of p values; smaller ones are printed as a bound.
    value_digits : mapping of str to int
        Decimals of numeric characteristics; none where not named.
    numeric : {"median-range", "median-quartiles", "mean-sd"}
        Summary of numeric characteristics.
    follow_up : {"observed", "reverse-kaplan-meier", "alive-only"}
        What the median follow-up is of; the range is of all patients.
    limits : bool
        Whether medians and milestones have 95 % limits.
    """

    hazard_ratio_digits: int = 2
    time_digits: int = 1
    percent_digits: int = 0
    p_digits: int = 3
    value_digits: Mapping[str, int] = field(default_factory=dict)
    numeric: Literal["median-range", "median-quartiles", "mean-sd"] = "median-range"
    follow_up: Literal["observed", "reverse-kaplan-meier", "alive-only"] = "observed"
    limits: bool = True


def groups_of(cohort: Cohort, favourable: Mapping[str, Sequence[str]]) -> list[Group]:
    """Return the groups by number of favourable factors that have patients, most favourable first."""
    count = np.zeros(len(cohort), dtype=int)
    for name, levels in favourable.items():
        count += cohort.covariates[name].isin(list(levels)).to_numpy()
    numbers = range(len(favourable), -1, -1) if favourable else ()
    return [(f"-favourable-{k}", {"count_favourable": k}, count == k) for k in numbers if (count == k).any()]


@dataclass(frozen=True)
class Entries:
    """Makes the entries of a cohort's summary.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    printing : Printing
        Decimals and forms.
    problems : Problems
        Receives what cannot be printed.
    """

    cohort: Cohort
    printing: Printing
    problems: Problems

    @property
    def ordered(self) -> Ordered:
        """The patients in the order of their times, as one cohort."""
        entry = self.cohort.entry if self.cohort.late_entry else None
        return Ordered.of(self.cohort.time, self.cohort.event, entry)

    def categorical(self, name: str, favourable: Mapping[str, tuple[str, ...]]) -> Categorical:
        """Return a block of Table 1: the patients at each level."""
        counts = self.cohort.covariates[name].value_counts()
        levels = {level: int(counts[level]) for level in self.cohort.levels(name)}
        quote = (" ".join(f"{level} {count}" for level, count in list(levels.items())[:8]),)
        return Categorical(name, name, levels, "Table 1", quote, favourable=favourable.get(name, ()))

    def continuous(self, name: str) -> Continuous:
        """Return the summary of a numeric characteristic."""
        values = self.cohort.covariates[name].to_numpy(dtype=float)
        digits = self.printing.value_digits.get(name, 0)
        shown = partial(rounded, digits=digits)
        whole: dict[str, Any] = {"median": shown(np.median(values))}
        if self.printing.numeric == "mean-sd":
            whole = {"mean": shown(values.mean()), "sd": shown(values.std(ddof=1))}
        elif self.printing.numeric == "median-quartiles":
            whole["quartiles"] = tuple(shown(end) for end in np.quantile(values, [0.25, 0.75]))
        else:
            whole["range"] = (shown(values.min()), shown(values.max()))
        quote = (", ".join(f"{key} {value}" for key, value in whole.items()),)
        return Continuous(name, name, "as in the table", "Table 1", quote, digits=digits, **whole)

    def model(self, id: str, covariates: Sequence[str]) -> Model | None:
        """Return a Cox model, or None (noted) where the likelihood has no maximum."""
        rows = [row for name in covariates for row in self._rows(name)]
        if not rows:
            self.problems.add(f"model {id}", "has nothing to compare: all patients are at one level")
            return None
        fit = cox(self.ordered, np.column_stack([column for _, _, column in rows])[None])
        if not fit.converged[0]:
            remedy = "Put levels without events together, and leave out what repeats another covariate."
            self.problems.add(f"model {id}", "has no estimates", remedy)
            return None
        estimates = zip(rows, fit.log_hazard_ratio[0], fit.standard_error[0], strict=True)
        terms = tuple(self._term(name, levels, beta, se) for (name, levels, _), beta, se in estimates)
        return Model(id, terms, "Table 2", adjusted=len(covariates) > 1)

    def _rows(self, name: str) -> Iterator[tuple[str, tuple[str, ...], NDArray[np.float64]]]:
        """Yield name, level and reference (none of a numeric covariate), and column of each row of a covariate."""
        values = self.cohort.covariates[name]
        if not self.cohort.levels(name):
            yield name, (), values.to_numpy(dtype=np.float64)
        present = [level for level in self.cohort.levels(name) if (values == level).any()]
        for level in present[1:]:
            yield name, (level, present[0]), (values == level).to_numpy().astype(np.float64)

    def _term(self, name: str, levels: tuple[str, ...], beta: float, se: float) -> Term:
        digits = self.printing.hazard_ratio_digits
        ratio, low, high = (rounded(math.exp(beta + z * se), digits=digits) for z in (0.0, -Z95, Z95))
        if ratio <= 0:
            self.problems.add(name, f"a hazard ratio of {math.exp(beta):.2g} rounds to zero", "Print more decimals.")
        p: dict[str, Any] = p_value(math.erfc(abs(beta / se) / math.sqrt(2)), self.printing.p_digits)
        row = f"{name} {' against '.join(levels)} {ratio:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
        quote = (" ".join(row.split()[:LONGEST_QUOTE]),)
        return Term(name, ratio, low, high, quote, levels[:1], levels[1:], digits=digits, **p)

    def median(self, group: Group) -> Survival:
        """Return the Kaplan-Meier median of a group with its limits."""
        suffix, which, members = group
        found = kaplan_meier_median(self.ordered, include=members[None])
        shown = partial(rounded, digits=self.printing.time_digits)
        values: dict[str, Any] = {}
        for name, time in (("median", found.median[0]), ("lower", found.lower[0]), ("upper", found.upper[0])):
            if np.isfinite(time) and (name == "median" or self.printing.limits):
                values[name] = shown(time)
            elif name == "median" or (name == "upper" and self.printing.limits):
                values[name] = "not reached"
        if isinstance(values["median"], float) and values["median"] <= 0:
            self.problems.add(f"median{suffix}", f"{found.median[0]:.3g} rounds to zero", "Print more decimals.")
        quote = (", ".join(f"{name} {value}" for name, value in values.items()),)
        return Survival(f"median{suffix}", "Text", quote, digits=self.printing.time_digits, **which, **values)

    def milestone(self, group: Group, time: float) -> Survival | None:
        """Return survival of a group at a time, or None where nobody was followed that long."""
        suffix, which, members = group
        if not (self.cohort.time[members] >= time).any():
            return None
        curve = kaplan_meier_at(self.ordered, [time], include=members[None])
        digits = self.printing.percent_digits
        shown = partial(rounded, digits=digits + 2)
        share = float(curve.survival[0, 0])
        values: dict[str, Any] = {}
        if self.printing.limits and 0 < share < 1:
            lower, upper = curve.limits(0.95)
            values = {"lower": shown(lower[0, 0]), "upper": shown(upper[0, 0])}
        quote = (f"survival at {time:g}: {100 * share:.{digits}f} %",)
        where, time = "Text", float(time)
        return Survival(
            f"survival-{time:g}{suffix}", where, quote, time=time, survival=shown(share), digits=digits, **which, **values
        )

    def comparison(self, groups: Sequence[Group]) -> Comparison:
        """Return the log-rank test between groups."""
        code = np.zeros(len(self.cohort), dtype=np.int64)
        for number, (_, _, members) in enumerate(groups):
            code[members] = number
        test = log_rank(self.ordered, code, groups=len(groups))
        p: dict[str, Any] = p_value(float(test.p[0]), self.printing.p_digits)
        ids = tuple(f"median{suffix}" for suffix, _, _ in groups)
        return Comparison("groups", "Text", (" ".join(f"{name} {value}" for name, value in p.items()),), ids, **p)

    def follow_up(self) -> FollowUp | None:
        """Return follow-up, or None (noted) where its median is not reached."""
        definition, digits = self.printing.follow_up, self.printing.time_digits
        found = follow_up(self.ordered, definition=definition)
        median, shortest, longest = (float(value[0]) for value in (found.median, found.shortest, found.longest))
        if not math.isfinite(median):
            self.problems.add("follow_up", f"{definition} has no median", "Print another definition.")
            return None
        shown = partial(rounded, digits=digits)
        quote = (f"median follow-up {median:.{digits}f} (range {shortest:.{digits}f}-{longest:.{digits}f})",)
        ends = (shown(shortest), shown(longest))
        return FollowUp("Text", quote, shown(median), ends, digits=digits, definition=definition)

    def events(self, group: Group) -> Events:
        """Return the number of events of a group."""
        suffix, which, members = group
        count, size = int(self.cohort.event[members].sum()), int(members.sum())
        return Events(f"events{suffix}", count, "Text", (f"{count} of {size} patients",), patients=size, **which)


def rounded(value: float, *, digits: int) -> float:
    """Return a number as it is printed; a negative zero is none."""
    return round(float(value), digits) + 0.0


def p_value(p: float, digits: int) -> dict[str, float]:
    """Return a p value as printed, or its bound."""
    return {"p_below": 10.0**-digits} if p < 10.0**-digits else {"p": rounded(p, digits=digits)}
