"""Whom an estimand is about: risk groups, profiles, standardised populations.

Each description turns into :class:`Group` objects: the members' covariates, weights and sites. An estimand of a group
averages over its members inside each draw.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.cohort.levels import label, labels
from sitewise.names import ALL_PATIENTS
from sitewise.problems import Problems, SpecError, listed, nearest

Rule = Callable[[pd.DataFrame], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Group:
    """People whose averaged curve is wanted.

    Parameters
    ----------
    label : str
        Name in tables.
    people : DataFrame
        Covariates, a row a member.
    weights : ndarray, shape (m,)
        Weights of the average.
    site : ndarray of int, shape (m,), or None
        Each member's own site; None when the members belong to no site.
    last_time : float
        Largest observed time, beyond which estimates are extrapolated.
    rows : ndarray of bool, shape (n,), or None
        Which patients of the cohort the members are; None for hypothetical people.
    partition : str
        Groups of one partition exclude each other and are contrasted.
    """

    label: str
    people: pd.DataFrame
    weights: NDArray[np.float64]
    site: NDArray[np.int64] | None
    last_time: float
    rows: NDArray[np.bool_] | None = None
    partition: str = ""


class Population(Protocol):
    """Anything that names groups of people, given the cohort that was fitted."""

    def groups(self, cohort: Cohort) -> list[Group]:
        """Return the groups."""
        ...


@dataclass(frozen=True)
class RiskGroups:
    """Groups of the cohort's own patients.

    Make one with :meth:`count_favourable`, :meth:`count_unfavourable`, :meth:`by_level`, :meth:`by_rule` or
    :meth:`default`.

    Parameters
    ----------
    rules : tuple of (label, partition, rule)
        A rule takes the covariates and returns which rows belong to the group.
    description : str
        What is counted, in words, for titles.
    """

    rules: tuple[tuple[str, str, Rule], ...]
    description: str = ""

    @classmethod
    def count_favourable(cls, _levels: Mapping[str, object] | None = None, /, **levels: object) -> RiskGroups:
        """Return groups by the number of favourable factors, most first.

        Parameters
        ----------
        **levels : object
            For each covariate its favourable level or levels, such as ``ecog="0", child_pugh=["A"]``.
        """
        return cls._count({**(_levels or {}), **levels}, "favourable")

    @classmethod
    def count_unfavourable(cls, _levels: Mapping[str, object] | None = None, /, **levels: object) -> RiskGroups:
        """Return groups by the number of unfavourable factors, most first; see :meth:`count_favourable`."""
        return cls._count({**(_levels or {}), **levels}, "unfavourable")

    @classmethod
    def _count(cls, levels: Mapping[str, object], word: str) -> RiskGroups:
        if not levels:
            raise SpecError(f"Name at least one covariate with its {word} levels.")
        wanted = {name: _as_labels(value) for name, value in levels.items()}
        total = len(wanted)

        def rule(count: int) -> Rule:
            def belongs(people: pd.DataFrame) -> NDArray[np.bool_]:
                met = [_is_among(people, name, chosen) for name, chosen in wanted.items()]
                return np.asarray(np.sum(met, axis=0) == count)

            return belongs

        return cls(
            tuple((f"{count} of {total} {word}", word, rule(count)) for count in range(total, -1, -1)),
            description=", ".join(f"{name} {' or '.join(chosen)}" for name, chosen in wanted.items()),
        )

    @classmethod
    def by_level(cls, covariate: str, /, cohort: Cohort) -> RiskGroups:
        """Return a group for each level of a categorical covariate."""
        return cls(tuple(_level_rules(covariate, cohort)))

    @classmethod
    def by_rule(cls, rules: Mapping[str, str | Rule], /) -> RiskGroups:
        """Return groups by rules over covariates.

        Parameters
        ----------
        rules : mapping of str to str or callable
            For each label a pandas query such as ``"age > 70 and ecog == '0'"``, or a function of the covariates that
            returns which rows belong.
        """

        def query(text: str) -> Rule:
            def belongs(people: pd.DataFrame) -> NDArray[np.bool_]:
                for name in people.columns[people.isna().any()]:
                    if re.search(rf"\b{re.escape(str(name))}\b", text):  # a comparison with a missing value is false
                        raise SpecError(f"The rule {text!r} uses '{name}', which some patients lack. Impute: docs/missing.md.")
                return np.asarray(people.eval(text), dtype=bool)

            return belongs

        made = {name: query(rule) if isinstance(rule, str) else rule for name, rule in rules.items()}
        return cls(tuple((label(name), "", rule) for name, rule in made.items()))

    @classmethod
    def default(cls, cohort: Cohort, covariates: Sequence[str] | None = None) -> RiskGroups:
        """Return ``all`` and each level of each categorical covariate (of those named, or of all)."""
        chosen = cohort.covariates.columns if covariates is None else covariates
        rules = [(ALL_PATIENTS, "", lambda people: np.ones(len(people), dtype=bool))]
        for name in chosen:
            rules += _level_rules(str(name), cohort)
        return cls(tuple(rules))

    def groups(self, cohort: Cohort) -> list[Group]:
        """Return the groups that have members.

        Raises
        ------
        SpecError
            When a rule names an unknown covariate or level.
        """
        made = []
        for name, partition, rule in self.rules:
            try:
                rows = np.asarray(rule(cohort.covariates), dtype=bool)
            except SpecError:
                raise
            except Exception as error:
                raise SpecError(f"The rule of group '{name}' cannot be evaluated: {error}") from error
            if rows.any():
                made.append(_of_patients(name, cohort, rows, partition))
        if not made:
            raise SpecError("No patient belongs to any of the groups asked for.")
        return made


@dataclass(frozen=True)
class BySite:
    """The patients of each site, a group a site in natural order."""

    def groups(self, cohort: Cohort) -> list[Group]:
        """Return the groups; sites without patients are left out."""
        found = ((label, cohort.site_index == position) for position, label in enumerate(cohort.site_labels))
        return [_of_patients(label, cohort, rows, "site") for label, rows in found if rows.any()]


@dataclass(frozen=True)
class Profiles:
    """Single hypothetical people.

    Parameters
    ----------
    profiles : mapping of str to mapping
        For each label the values of all covariates in the model.
    """

    profiles: Mapping[str, Mapping[str, object]]

    def groups(self, cohort: Cohort) -> list[Group]:
        """Return a group of one for each profile."""
        return [
            Group(
                label(name),
                pd.DataFrame([dict(values)]),
                np.ones(1),
                None,
                float(cohort.time.max()),
                partition="profile",
            )
            for name, values in self.profiles.items()
        ]


@dataclass(frozen=True)
class Standardised:
    """Everyone of a population, with some covariates set (g-formula standardisation).

    Parameters
    ----------
    settings : mapping of str to mapping
        For each label the covariate values that everyone gets, such as ``{"ECOG 0": {"ecog": "0"}}``.
    over : DataFrame, optional
        The population; default the cohort's patients.
    """

    settings: Mapping[str, Mapping[str, object]]
    over: pd.DataFrame | None = field(default=None, compare=False)

    def groups(self, cohort: Cohort) -> list[Group]:
        """Return a group of the whole population for each setting."""
        made = []
        for name, values in self.settings.items():
            people = (cohort.covariates if self.over is None else self.over).copy().reset_index(drop=True)
            for column, value in values.items():
                if column not in people.columns:
                    raise SpecError(f"Setting '{name}': no covariate '{column}'. {nearest(column, people.columns)}")
                people[column] = pd.Series([value] * len(people), index=people.index)
            own = self.over is None
            made.append(
                Group(
                    label(name),
                    people,
                    np.array(cohort.weights) if own else np.ones(len(people)),
                    cohort.site_index if own and cohort.site is not None else None,
                    float(cohort.time.max()),
                    partition="standardised",
                )
            )
        return made


def _of_patients(name: str, cohort: Cohort, rows: NDArray[np.bool_], partition: str) -> Group:
    return Group(
        name,
        cohort.covariates[rows].reset_index(drop=True),
        np.array(cohort.weights[rows]),
        cohort.site_index[rows] if cohort.site is not None else None,
        float(cohort.time[rows].max()),
        rows,
        partition,
    )


def _level_rules(covariate: str, cohort: Cohort) -> list[tuple[str, str, Rule]]:
    if covariate not in cohort.covariates.columns:
        raise SpecError(f"There is no covariate '{covariate}'. {nearest(covariate, cohort.covariates.columns)}")

    def rule(level: str) -> Rule:
        return lambda people: _is_among(people, covariate, [level])

    return [(f"{covariate} = {level}", covariate, rule(level)) for level in cohort.levels(covariate)]


def _as_labels(value: object) -> list[str]:
    many = value if isinstance(value, list | tuple | set | frozenset) else [value]
    return [label(item) for item in many]


def _is_among(people: pd.DataFrame, name: str, wanted: Sequence[str]) -> NDArray[np.bool_]:
    """Return which rows have one of the wanted levels; unknown covariates and levels are errors."""
    if name not in people.columns:
        raise SpecError(f"There is no covariate '{name}'. {nearest(name, map(str, people.columns))}")
    values = people[name]
    text = labels(values)
    known = list(values.cat.categories) if isinstance(values.dtype, pd.CategoricalDtype) else sorted(set(text.dropna()))
    problems = Problems()
    if values.isna().any():
        problems.add(
            f"covariate '{name}'",
            f"is missing for {int(values.isna().sum())} patients",
            "Complete it first, or impute: docs/missing.md.",
        )
    for level in wanted:
        if level not in known:
            problems.add(f"covariate '{name}'", f"has no level '{level}'", f"Levels: {listed(known)}.")
    problems.raise_if_any(SpecError, "The rule of the risk groups")
    return np.asarray(text.isin(wanted), dtype=bool)
