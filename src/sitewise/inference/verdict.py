"""The verdict on a fit: one table of thresholds, the numbers against it, and a sentence for each check.

Sources: rank-normalised split R-hat, bulk and tail ESS - Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021, Bayesian
Analysis 16:667; E-BFMI - Betancourt 2016, arXiv 1604.00695; Pareto k against min(1 - 1/log10 S, 0.7) - Vehtari, Simpson,
Gelman, Yao & Gabry 2024, JMLR 25(72).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from typing import Any, Literal

import numpy as np
import xarray as xr

from sitewise import names

Level = Literal["ok", "warn", "fail"]
TAIL_PROB = (0.05, 0.95)


@dataclass(frozen=True)
class Threshold:
    """Where a check turns from ok to warn and from warn to fail.

    Parameters
    ----------
    ok, warn : float
        Bounds; a value strictly better than ``ok`` is ok, strictly better than ``warn`` a warning, else a failure.
    larger_is_better : bool
        On which side better lies.
    inclusive : bool
        Whether a value equal to ``ok`` is still ok (the count of divergences).
    title, remedy : str
        What is checked, and what to do when it fails.
    """

    ok: float
    warn: float
    larger_is_better: bool
    title: str
    remedy: str
    inclusive: bool = False

    def level(self, value: float) -> Level:
        """Return the level of a value; not a number fails."""
        if not math.isfinite(value):
            return "fail"
        if self.inclusive and value == self.ok:
            return "ok"
        sign = 1.0 if self.larger_is_better else -1.0
        if sign * value > sign * self.ok:
            return "ok"
        return "warn" if sign * value > sign * self.warn else "fail"


THRESHOLDS: dict[str, Threshold] = {
    "r_hat": Threshold(
        1.01,
        1.05,
        False,
        "R-hat, worst",
        "Chains disagree: run more draws, or simplify the model or its priors.",
    ),
    "ess_bulk": Threshold(400, 100, True, "bulk ESS, worst", "Too few effective draws for means: increase the draws."),
    "ess_tail": Threshold(
        400, 100, True, "tail ESS, worst", "Too few effective draws for interval limits: increase the draws."
    ),
    "divergences": Threshold(
        0.0,
        0.005,
        False,
        "divergences after warm-up, share",
        "The sampler could not follow the posterior: raise target_accept, use the other centring of the sites, or a "
        "tighter prior of the site spread.",
        inclusive=True,
    ),
    "e_bfmi": Threshold(0.3, 0.2, True, "E-BFMI, worst chain", "Energies mix slowly: reparametrise, or run a longer warm-up."),
    "mcse": Threshold(
        0.05,
        0.1,
        False,
        "MCSE of a mean / posterior sd, worst",
        "Reported means are noisy: increase the draws.",
    ),
    "importance_ess": Threshold(200, 100, True, "importance ESS", "Too few draws count: draw more, or use engine=Nuts()."),
    "pareto_k": Threshold(
        0.7,
        0.7,
        False,
        "Pareto k of the importance weights",
        "A few draws carry the answer: draw more, or use engine=Nuts().",
    ),
    "edge_mass": Threshold(
        1e-5,
        1e-3,
        False,
        "mass on the edge of the hyperparameter grid",
        "Widen the grid, or use engine=Nuts().",
    ),
    "imputation_mcse": Threshold(
        0.05,
        math.inf,
        False,
        "error of a mean by the number of imputations / posterior sd, worst",
        "Reported means are noisy: ask for more imputations.",
    ),
    "imputation_drift": Threshold(
        0.01,
        0.001,
        True,
        "drift of the imputation chains, adjusted p value",
        "Imputed values still change with the sweeps: run more sweeps.",
    ),
    "imputation_memory": Threshold(
        0.3,
        0.5,
        False,
        "memory of the imputation chains, lower limit of the correlation over half the sweeps",
        "Imputed values change slowly: run more sweeps.",
    ),
}
"""The contract's thresholds: the only place where they stand. (Pareto k's depend on the number of draws too.)"""


def pareto_k_bound(draws: int) -> float:
    """Return the largest good Pareto k for this many draws: min(1 - 1 / log10 S, 0.7)."""
    return min(1 - 1 / math.log10(draws), 0.7)


@dataclass(frozen=True)
class Check:
    """One check: its value, the bounds it was held against, and its level."""

    name: str
    value: float
    level: Level
    ok: float
    warn: float
    where: str = ""

    @property
    def sentence(self) -> str:
        """What was found and, unless ok, what to do."""
        threshold = THRESHOLDS[self.name]
        at = f" ({self.where})" if self.where and self.level != "ok" else ""
        text = f"{threshold.title}: {self.value:.4g}{at}"
        return text if self.level == "ok" else f"{text}, {self.level}. {threshold.remedy}"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a fit: the worst level of its checks.

    Parameters
    ----------
    checks : tuple of Check
        Every number behind it.
    retried : bool
        Whether a failing first run was replaced by a second one.
    notes : tuple of str
        What else happened, such as the settings of the retry.
    """

    checks: tuple[Check, ...]
    retried: bool = False
    notes: tuple[str, ...] = ()

    @property
    def level(self) -> Level:
        """``ok``, ``warn`` or ``fail``."""
        levels = [check.level for check in self.checks]
        return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        if self.level == "ok":
            return "ok: every check of the computation passed."
        return f"{self.level}: " + " ".join(check.sentence for check in self.checks if check.level != "ok")

    def __str__(self) -> str:
        lines = [
            self.sentence,
            *(f"  {check.level:<4} {check.sentence}" for check in self.checks),
            *self.notes,
        ]
        return "\n".join(lines)

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data."""
        return {
            "level": self.level,
            "sentence": self.sentence,
            "retried": self.retried,
            "notes": list(self.notes),
            "checks": [{**asdict(check), "sentence": check.sentence} for check in self.checks],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Verdict:
        """Return the verdict that :meth:`to_dict` wrote."""
        fields = ("name", "value", "level", "ok", "warn", "where")
        checks = tuple(Check(**{key: item[key] for key in fields}) for item in data["checks"])
        return cls(checks, data["retried"], tuple(data["notes"]))


def check(name: str, value: float, where: str = "") -> Check:
    """Hold a value against the thresholds."""
    threshold = THRESHOLDS[name]
    return Check(name, float(value), threshold.level(float(value)), threshold.ok, threshold.warn, where)


@cache
def _pareto_k_threshold(draws: int) -> Threshold:
    bound = pareto_k_bound(draws)
    return replace(THRESHOLDS["pareto_k"], ok=bound, warn=bound)


def judge_importance(importance_ess: float, pareto_k: float, edge_mass: float, draws: int, mcse: float) -> Verdict:
    """Return the verdict on weighted draws: importance ESS, Pareto k, mass on the edge of the grid, worst MCSE over sd."""
    threshold = _pareto_k_threshold(draws)
    return Verdict(
        (
            check("importance_ess", importance_ess),
            Check("pareto_k", pareto_k, threshold.level(pareto_k), threshold.ok, threshold.warn),
            check("edge_mass", edge_mass),
            check("mcse", mcse),
        )
    )


def flatten(posterior: xr.Dataset) -> tuple[np.ndarray, list[str]]:
    """Return all scalars of a posterior as an array (quantity, chain, draw) and their names."""
    arrays, labels = [], []
    for name, values in posterior.data_vars.items():
        ordered = values.transpose(names.CHAIN, names.DRAW, ...)
        flat = ordered.to_numpy().reshape(ordered.sizes[names.CHAIN], ordered.sizes[names.DRAW], -1)
        dims = ordered.dims[2:]
        own = [str(name)]
        if dims:
            own = [
                f"{name}[{', '.join(map(str, each))}]" for each in product(*(ordered.coords[dim].to_numpy() for dim in dims))
            ]
        if name == names.SITE_CORRELATION:  # symmetric, with ones on its diagonal
            places = np.flatnonzero(np.tri(ordered.shape[-1], k=-1, dtype=bool))
            flat, own = flat[..., places], [own[place] for place in places]
        arrays.append(np.moveaxis(flat, -1, 0))
        labels += own
    return np.concatenate(arrays), labels


def diagnose(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Return R-hat, bulk, tail and mean ESS of draws, shape (quantity, chain, draw), by arviz-stats."""
    from arviz_stats.base import array_stats

    return {
        "r_hat": np.asarray(array_stats.rhat(draws)),
        "ess_bulk": np.asarray(array_stats.ess(draws, method="bulk")),
        "ess_tail": np.asarray(array_stats.ess(draws, method="tail", prob=TAIL_PROB)),
        "ess_mean": np.asarray(array_stats.ess(draws, method="mean")),
    }


def judge_nuts(posterior: xr.Dataset, sample_stats: xr.Dataset) -> Verdict:
    """Return the verdict on a NUTS run from its draws and sampler statistics."""
    from arviz_stats.base import array_stats

    draws, labels = flatten(posterior)
    found = diagnose(draws)
    energy = sample_stats["energy"].transpose(names.CHAIN, names.DRAW).to_numpy()

    def worst(values: np.ndarray, *, largest: bool) -> tuple[float, str]:
        if np.isnan(values).any():
            return float("nan"), labels[int(np.flatnonzero(np.isnan(values))[0])]
        position = int(np.argmax(values) if largest else np.argmin(values))
        return float(values[position]), labels[position]

    bfmi = np.asarray(array_stats.bfmi(energy))
    return Verdict(
        (
            check("r_hat", *worst(found["r_hat"], largest=True)),
            check("ess_bulk", *worst(found["ess_bulk"], largest=False)),
            check("ess_tail", *worst(found["ess_tail"], largest=False)),
            check("divergences", float(sample_stats["diverging"].mean())),
            check("e_bfmi", float(bfmi.min()), f"chain {int(bfmi.argmin())}"),
            check("mcse", *worst(1 / np.sqrt(found["ess_mean"]), largest=True)),
        )
    )
