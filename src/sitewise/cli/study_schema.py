"""The keys of `study.toml`, the types and values that they take, and the checks of a table against them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from sitewise.families import FAMILIES
from sitewise.models.site_effects import DISTRIBUTIONS
from sitewise.names import HAZARD_RATIO, MEDIAN_SURVIVAL, RMST, SURVIVAL, TIME_RATIO
from sitewise.problems import Problems, nearest

NUMBER = (int, float)
ANY = (str, int, float, bool)
FEWEST_REPLICATES = 20
FEWEST_DRAWS = 100

SCHEMA: dict[str, dict[str, tuple[type, ...]]] = {
    "data": {
        "time": (str,),
        "event": (str,),
        "event_level": ANY,
        "lower": (str,),
        "upper": (str,),
        "site": (str,),
        "id": (str,),
        "entry": (str,),
        "weights": (str,),
        "time_unit": (str,),
        "missing": (str,),
        "zero_times": (str, int, float),
        "source": (str,),
        "recode": (dict,),
        "site_means": (list,),
    },
    "covariates": {
        "reference": (dict,),
        "levels": (dict,),
        "favourable": (dict,),
        "unfavourable": (dict,),
        "kinds": (dict,),
    },
    "model": {
        "formula": (str,),
        "family": (str,),
        "family_options": (dict,),
        "metric": (str,),
        "guarantee_time": NUMBER,
        "sites": (str,),
        "shape": (str,),
        "correlated_slopes": (bool,),
        "site_distribution": (str,),
        "degrees_of_freedom": (str, int, float),
    },
    "sampler": {
        "engine": (str,),
        "draws": (int,),
        "tune": (int,),
        "chains": (int,),
        "target_accept": NUMBER,
        "imputations": (int,),
        "sweeps": (int,),
        "seed": (int,),
    },
    "report": {"times": (list,), "rmst_horizon": NUMBER, "prob": NUMBER, "margins": (dict,), "question": (str,)},
    "sbc": {
        "scenario": (str,),
        "replicates": (int,),
        "draws": (int,),
        "alpha": NUMBER,
        "coverage_patients": (list,),
        "coverage_sites": (list,),
        "coverage_replicates": (int,),
    },
}
"""Keys of each table and the types they take; ``[priors]`` has its own rules (names of terms are keys there)."""

CHOICES = {
    ("data", "missing"): ("refuse", "drop", "impute"),
    ("model", "family"): tuple(FAMILIES),
    ("model", "metric"): (HAZARD_RATIO, TIME_RATIO),
    ("model", "sites"): ("random", "random-centred", "fixed", "none"),
    ("model", "site_distribution"): DISTRIBUTIONS,
}
KINDS = ("normal", "log-normal", "binary", "ordinal", "categorical")
"""Models of incomplete covariates."""
SITE_OPTIONS = {
    "correlated_slopes": "correlated",
    "site_distribution": "distribution",
    "degrees_of_freedom": "degrees_of_freedom",
}
"""Keys of ``[model]`` that are fields of ``RandomSites``."""
TABLES = (*SCHEMA, "priors")
"""Every table of a study."""

RANGES: dict[tuple[str, str], tuple[Callable[[Any], bool], str]] = {
    ("data", "zero_times"): (lambda value: value == "refuse" or _is_positive(value), "'refuse' or a small positive time"),
    ("model", "guarantee_time"): (lambda value: 0 <= value < math.inf, "zero or a positive time"),
    ("model", "degrees_of_freedom"): (
        lambda value: value == "prior" or (_is_positive(value) and value > 2),
        "a number above 2, or 'prior'",
    ),
    ("data", "site_means"): (
        lambda value: bool(value) and all(isinstance(each, str) for each in value),
        "a list of names of covariates",
    ),
    ("sampler", "draws"): (lambda value: value >= 4, "at least 4"),
    ("sampler", "tune"): (lambda value: value >= 0, "zero or more"),
    ("sampler", "chains"): (lambda value: value >= 1, "at least 1"),
    ("sampler", "imputations"): (lambda value: value >= 2, "at least 2"),
    ("sampler", "sweeps"): (lambda value: value >= 4, "at least 4"),
    ("sampler", "target_accept"): (lambda value: 0 < value < 1, "between 0 and 1"),
    ("sampler", "seed"): (lambda value: value >= 0, "zero or more"),
    ("report", "times"): (lambda value: bool(value) and all(map(_is_positive, value)), "a list of positive numbers"),
    ("report", "rmst_horizon"): (lambda value: _is_positive(value), "a positive time"),
    ("sbc", "replicates"): (lambda value: value >= FEWEST_REPLICATES, f"at least {FEWEST_REPLICATES}"),
    ("sbc", "draws"): (lambda value: value >= FEWEST_DRAWS, f"at least {FEWEST_DRAWS}"),
    ("sbc", "alpha"): (lambda value: 0 < value < 1, "between 0 and 1, such as 0.05"),
    ("sbc", "coverage_patients"): (lambda value: _are_counts(value, 5), "a list of whole numbers, 5 or more"),
    ("sbc", "coverage_sites"): (lambda value: _are_counts(value, 2), "a list of whole numbers, 2 or more"),
    ("sbc", "coverage_replicates"): (lambda value: value >= FEWEST_REPLICATES, f"at least {FEWEST_REPLICATES}"),
    ("report", "prob"): (lambda value: 0 < value < 1, "between 0 and 1, such as 0.95"),
}
"""What a value of the right type must be, and the words for it."""


def check_table(name: str, table: Mapping[str, Any], problems: Problems) -> None:
    """Add the problems of one table of a study."""
    if name == "priors":
        _check_priors(table, problems)
        return
    known = SCHEMA[name]
    for key, value in table.items():
        where = f"[{name}] {key}"
        if key not in known:
            problems.add(where, "is not a known key", nearest(key, known))
        elif not _has_type(value, known[key]):
            problems.add(where, f"must be {_type_words(known[key])}; it is {value!r}")
        elif (name, key) in CHOICES and value not in CHOICES[(name, key)]:
            problems.add(where, f"is '{value}'", nearest(value, CHOICES[(name, key)]))
        elif (name, key) in RANGES and not RANGES[(name, key)][0](value):
            problems.add(where, f"must be {RANGES[(name, key)][1]}; it is {value!r}")
        elif (name, key) in INNER:
            INNER[(name, key)](value, problems)
    if name == "covariates" and "favourable" in table and "unfavourable" in table:
        problems.add("[covariates]", "favourable and unfavourable both define the risk groups", "Give one of them.")


def _has_type(value: Any, types: tuple[type, ...]) -> bool:
    """Return whether a value has one of the types; true and false are no numbers."""
    return isinstance(value, types) and not (isinstance(value, bool) and bool not in types)


def _type_words(types: tuple[type, ...]) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table", list: "a list"}
    chosen = [kind for kind in types if not (kind is int and float in types)]
    return " or ".join(names[kind] for kind in chosen)


def _is_positive(value: Any) -> bool:
    return _has_type(value, NUMBER) and 0 < value < math.inf


def _are_counts(values: list[Any], least: int) -> bool:
    return bool(values) and all(_has_type(value, (int,)) and value >= least for value in values)


def _check_margins(margins: Mapping[str, Any], problems: Problems) -> None:
    for name, value in margins.items():
        where = f"[report.margins] {name}"
        if name not in (SURVIVAL, MEDIAN_SURVIVAL, RMST):
            problems.add(where, "is no estimand", nearest(name, (SURVIVAL, MEDIAN_SURVIVAL, RMST)))
        elif not _has_type(value, NUMBER):
            problems.add(where, f"must be a number; it is {value!r}")


def _check_recode(recode: Mapping[str, Any], problems: Problems) -> None:
    for covariate, item in recode.items():
        where = f"[data.recode] {covariate}"
        if not isinstance(item, Mapping) or set(item) != {"column", "levels"} or not isinstance(item["column"], str):
            problems.add(where, 'must be { column = "...", levels = { "0" = [0], ... } }')
        elif not (isinstance(item["levels"], Mapping) and item["levels"] and all(map(_is_list, item["levels"].values()))):
            problems.add(where, "levels must name a list of values for each level")


def _check_levels(levels: Mapping[str, Any], problems: Problems) -> None:
    for covariate, order in levels.items():
        if not _is_list(order):
            problems.add(f"[covariates.levels] {covariate}", f"must be a list of levels in order; it is {order!r}")


def _check_reference(reference: Mapping[str, Any], problems: Problems) -> None:
    for covariate, level in reference.items():
        if not isinstance(level, ANY):
            problems.add(f"[covariates.reference] {covariate}", f"must be one level; it is {level!r}")


def _check_kinds(kinds: Mapping[str, Any], problems: Problems) -> None:
    for covariate, kind in kinds.items():
        if kind not in KINDS:
            problems.add(f"[covariates.kinds] {covariate}", f"is {kind!r}", nearest(str(kind), KINDS))


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _check_priors(priors: Mapping[str, Any], problems: Problems, within: str = "") -> None:
    """Every prior is a table of parameters beside the name of a distribution; what they mean is checked with the model."""
    for name, prior in priors.items():
        where = f"[priors] {within}{name}"
        if not isinstance(prior, Mapping):
            problems.add(where, f"must be a table; it is {prior!r}", 'Such as { dist = "Normal", mu = 0, sigma = 1 }.')
            continue
        if name == "shape_terms":  # a prior a term
            _check_priors(prior, problems, within="shape_terms.")
            continue
        for key, value in prior.items():
            _check_parameter(f"{where} {key}", key, value, problems)


def _check_parameter(where: str, key: str, value: Any, problems: Problems) -> None:
    """Add the problems of a parameter: a number, a list of numbers (of mixtures), or a prior of its own (of joint priors)."""
    if isinstance(value, Mapping):
        for inner, number in value.items():
            _check_parameter(f"{where} {inner}", inner, number, problems)
    elif isinstance(value, list):
        if not (value and all(_has_type(one, NUMBER) for one in value)):
            problems.add(where, f"must be a number, or a list of numbers; it is {value!r}")
    elif not _has_type(value, types := (str,) if key == "dist" else NUMBER):
        problems.add(where, f"must be {_type_words(types)}; it is {value!r}")


INNER: dict[tuple[str, str], Callable[[Mapping[str, Any], Problems], None]] = {
    ("data", "recode"): _check_recode,
    ("covariates", "levels"): _check_levels,
    ("covariates", "reference"): _check_reference,
    ("covariates", "kinds"): _check_kinds,
    ("report", "margins"): _check_margins,
}
"""The checks of the tables inside the tables."""
