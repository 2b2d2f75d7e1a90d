"""Covariates as the models of incomplete ones see them: kind, codes or numbers, features of a regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.cohort.levels import natural_key
from sitewise.problems import Problems, listed, nearest

Floats = NDArray[np.float64]
Kind = Literal["normal", "log-normal", "binary", "ordinal", "categorical"]
OF_NUMBERS, OF_LEVELS = ("normal", "log-normal"), ("binary", "ordinal", "categorical")
SKEWED = 1.0
"""Skewness of the observed values from which a normal model is warned of."""


@dataclass(frozen=True, eq=False)
class Variable:
    """A covariate.

    Parameters
    ----------
    name : str
        Its column.
    kind : str
        ``normal`` or ``log-normal`` numbers; ``binary``, ``ordinal`` or ``categorical`` levels.
    levels : tuple of str
        Levels, the reference first; empty for numbers.
    values : ndarray, shape (n,)
        Numbers, or positions among the levels; at missing values 0.
    missing : ndarray of bool, shape (n,)
        Whose value is missing.
    centre, spread : float
        Mean and sd of the observed numbers (of their logs); 0 and 1 for levels.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...]
    values: Floats
    missing: NDArray[np.bool_]
    centre: float = 0.0
    spread: float = 1.0

    @property
    def incomplete(self) -> bool:
        """Whether a value is missing."""
        return bool(self.missing.any())

    def score(self, values: Floats) -> Floats:
        """Return numbers on the scale of their model: standardised, of a log-normal one the logs; positions as they are."""
        if self.levels:
            return values
        return (np.log(values) if self.kind == "log-normal" else values) / self.spread - self.centre / self.spread

    def unscore(self, score: Floats) -> Floats:
        """Return the numbers that have these scores."""
        moved = self.centre + self.spread * score
        return np.exp(moved) if self.kind == "log-normal" else moved

    def features(self, values: Floats) -> list[Floats]:
        """Return what a regression on this covariate takes: the score, or an indicator for each level but the first."""
        if self.levels:
            return [(values == place).astype(float) for place in range(1, len(self.levels))]
        return [self.score(values)]

    def column(self, values: Floats) -> pd.Categorical[str] | Floats:
        """Return values as a column of a patient table, shape (n,)."""
        if not self.levels:
            return values
        return pd.Categorical.from_codes(values.astype(np.int64), categories=pd.Index(self.levels))


def read_variables(cohort: Cohort, names: Sequence[str], kinds: Mapping[str, str], problems: Problems) -> tuple[Variable, ...]:
    """Return covariates in the order in which they are modelled: complete ones, then incomplete ones, the least missing first.

    Levels that all begin with a number (0, 1, >=2) are ordinal unless ``kinds`` says otherwise, two levels binary, other levels
    categorical, numbers normal.
    """
    for name in kinds:
        if name not in names:
            problems.add(f"kinds of '{name}'", "is no covariate of the model or of `also`", nearest(name, names))
    found = []
    for name in names:
        column = cohort.covariates[name]
        missing = column.isna().to_numpy()
        levels = cohort.levels(name)
        kind = kinds.get(name) or default_kind(levels)
        if kind not in (OF_LEVELS if levels else OF_NUMBERS) or (kind == "binary") != (len(levels) == 2):
            allowed = OF_NUMBERS if not levels else ("binary",) if len(levels) == 2 else OF_LEVELS[1:]
            problems.add(f"kinds of '{name}'", f"is '{kind}'", f"It can be {listed(allowed)}.")
            continue
        raw = column.cat.codes.to_numpy(dtype=float) if levels else column.to_numpy(dtype=float)
        observed = raw[~missing]
        if np.unique(observed).size < 2:
            problems.add(f"column '{name}'", "has fewer than two different values", "Remove it from the model.")
            continue
        if kind == "log-normal" and (observed <= 0).any():
            problems.add(f"kinds of '{name}'", "is 'log-normal', but there are values of zero or less", "Use 'normal'.")
            continue
        told = np.log(observed) if kind == "log-normal" else observed
        place = (0.0, 1.0) if levels else (float(told.mean()), float(told.std(ddof=1)))
        found.append(Variable(name, kind, levels, np.where(missing, 0.0, raw), missing, *place))  # type: ignore[arg-type]
    return tuple(sorted(found, key=lambda item: int(item.missing.sum())))


def default_kind(levels: Sequence[str]) -> Kind:
    """Return the kind of a covariate with these levels, or of numbers where there are none."""
    if not levels:
        return "normal"
    if len(levels) == 2:
        return "binary"
    return "ordinal" if all(natural_key(level)[0] == 0 for level in levels) else "categorical"


def filled(variable: Variable) -> Floats:
    """Return the values with evenly spaced quantiles of the observed ones instead of the missing, shape (n,).

    They keep mean, sd and median, so that priors which are located by the data are those of the observed values. Which patient
    has which quantile follows a low-discrepancy sequence (multiples of the golden ratio): nothing depends on a seed.
    """
    count = int(variable.missing.sum())
    if not count:
        return variable.values
    order = np.argsort(np.argsort((np.arange(1, count + 1) * (np.sqrt(5) - 1) / 2) % 1))
    values = variable.values.copy()
    levels = (order + 0.5) / count
    observed = variable.values[~variable.missing]
    values[variable.missing] = np.quantile(observed, levels, method="inverted_cdf" if variable.levels else "linear")
    return values


def with_values(cohort: Cohort, values: Mapping[str, tuple[Variable, Floats]], /) -> Cohort:
    """Return a cohort with other values of some covariates."""
    from dataclasses import replace

    columns = {name: pd.Series(variable.column(own)) for name, (variable, own) in values.items()}
    return replace(cohort, covariates=cohort.covariates.assign(**columns))
