"""Cohorts of many kinds with the model that each is fitted with: sizes, sites, covariates, censoring and priors drawn at random.

``fast_accuracy.py`` compares engines on them. What is drawn depends on the cohort's number only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from cohorts import covariate_table, survival_times

import sitewise as sw

FEWEST_EVENTS = 3
PLAIN = 40
"""Cohorts from this number on may have intervals, random slopes and priors without a compiled formula too."""
OUTCOME = {"time": "time", "event": "event", "site": "site"}
KROG_FORMULA = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"


@dataclass(frozen=True)
class VariedCohort:
    """A cohort and its spec, resolved, with what makes them special in words."""

    cohort: sw.Cohort
    spec: sw.ModelSpec
    special: tuple[str, ...]


def varied_cohort(number: int, seed: int, most_patients: int = 1000) -> VariedCohort:
    """Return a cohort of 30 to ``most_patients`` patients in 3 to 60 sites, with 1 to 8 covariates and 20 to 95 % events."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    patients = round(np.exp(rng.uniform(np.log(30), np.log(most_patients))))
    sites = round(np.exp(rng.uniform(np.log(3), np.log(min(60, patients // 3)))))
    table, predictor = _covariates(patients, int(rng.integers(1, 9)), rng)
    covariates = list(table)
    table["site"] = _uneven_sites(patients, sites, rng)
    # Drawn whether used or not, so that a change of one choice leaves the other cohorts as they are.
    late, weighted, guarantee, centred, exponential, ratio = rng.random(6) < (0.25, 0.25, 0.25, 0.25, 0.15, 0.5)
    shape = 1.0 if exponential else float(rng.lognormal(0.0, 0.35))
    predictor = predictor + (rng.uniform(0.0, 0.8) * rng.standard_normal(sites))[pd.factorize(table["site"], sort=True)[0]]
    table = _outcomes(table, -shape * predictor if ratio else predictor, shape, rng, late=bool(late))
    special = []
    options = {**OUTCOME, "covariates": covariates}
    guarantee_time = 0.0
    if late:
        options["entry"] = "entry"
        special.append("delayed entry")
    else:
        table = table.drop(columns="entry")
    if guarantee:
        guarantee_time = 3.0
        table["time"] += guarantee_time
        if late:
            table.loc[table["entry"] > 0, "entry"] += guarantee_time
        special.append("guarantee time")
    if weighted:
        options["weights"] = "weight"
        table["weight"] = rng.uniform(0.3, 2.0, patients)
        special.append("weights")
    if centred:
        special.append("centred sites")
    if exponential:
        special.append("exponential")
    if ratio:
        special.append("time ratios")
    priors, named = _priors(rng)
    arguments = ["time", "event"]
    slopes: tuple[str, ...] = ()
    if number >= PLAIN:
        hidden, sloping, odd = rng.random(3) < (0.6, 0.6, 0.3)
        if hidden:
            table = _between_visits(table, guarantee_time, rng)
            options = {name: own for name, own in options.items() if name not in ("time", "event")}
            options |= {"lower": "lower", "upper": "upper"}
            arguments = ["lower", "upper"]
            special.append("intervals")
        # A slope costs a hyperparameter a column, so of a covariate of one column.
        single = [name for name in covariates if table[name].nunique() != 3]
        if sloping and single:
            slopes = (single[0],)
            special.append("slopes")
        if odd:
            priors = replace(priors, site_sd=sw.Prior("Uniform", lower=0.0, upper=1.5))
            named = (*(item for item in named if "site sd" not in item), "Uniform site sd")
    cohort = sw.Cohort.from_frame(table, **options)
    inside = [*(["entry"] if late else []), *arguments, *(['type="interval"'] if "lower" in options else [])]
    spec = sw.ModelSpec.from_formula(
        f"Surv({', '.join(inside)}) ~ {' + '.join(covariates)} + ({' + '.join(['1', *slopes])} | site)",
        family=sw.Exponential() if exponential else sw.Weibull(),
        metric="time-ratio" if ratio else "hazard-ratio",
        guarantee_time=guarantee_time,
        priors=priors,
        sites=sw.RandomSites(centred=bool(centred)),
    )
    return VariedCohort(cohort, spec.resolve(cohort), (*special, *named))


def _between_visits(table: pd.DataFrame, guarantee_time: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return the table with most events hidden between two visits, as far apart as a drawn share of a typical time."""
    every = float(rng.uniform(0.1, 0.6) * table["time"].median())
    first = guarantee_time + rng.uniform(0.2, 1.0, len(table)) * every
    before = first + every * np.floor((table["time"] - first) / every)
    start = np.maximum(table.get("entry", 0.0), guarantee_time)
    hidden = (table["event"] == 1) & (rng.random(len(table)) < 0.8)
    lower = np.where(hidden, np.where(before > start, before, table.get("entry", 0.0)), table["time"])
    upper = np.where(hidden, before + every, np.where(table["event"] == 1, table["time"], np.nan))
    return table.assign(lower=lower, upper=upper).drop(columns=["time", "event"])


def krog_size_cohort(number: int, seed: int, **truth: float) -> VariedCohort:
    """Return 100 patients in 5 sites with ECOG and Child-Pugh class from a truth drawn at random, where not given."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, 1)))
    drawn = {
        "shape": float(rng.lognormal(0.0, 0.35)),
        "scale": float(np.exp(rng.uniform(np.log(6.0), np.log(80.0)))),
        "ecog": float(rng.normal(0.4, 0.5)),
        "child_pugh": float(rng.normal(0.6, 0.6)),
        "site_sd": float(rng.uniform(0.0, 0.8)),
    }
    covariates = covariate_table(100, rng)
    while True:  # a rule about data only: events in too few patients for any analysis
        table = survival_times(covariates, rng, **{**drawn, **truth})
        if table["event"].sum() >= FEWEST_EVENTS:
            break
    cohort = sw.Cohort.from_frame(table, **OUTCOME, covariates=["ecog", "child_pugh"])
    return VariedCohort(cohort, sw.ModelSpec.from_formula(KROG_FORMULA).resolve(cohort), ())


def _uneven_sites(patients: int, sites: int, rng: np.random.Generator) -> np.ndarray:
    """Return site labels: every site has a patient, the rest fall by shares drawn uniformly."""
    rest = rng.multinomial(patients - sites, rng.dirichlet(np.ones(sites)))
    return rng.permutation(np.repeat([f"site {number + 1:02d}" for number in range(sites)], rest + 1))


def _covariates(patients: int, count: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Return covariates of three kinds, all of whose levels occur, and their effect on the predictor."""
    columns, predictor = {}, np.zeros(patients)
    for number in range(count):
        kind = ("binary", "three", "numeric")[rng.integers(3)]
        if kind == "numeric":
            standard = rng.standard_normal(patients)
            centre, spread = ((0.0, 1.0), (60.0, 10.0))[rng.integers(2)]
            columns[f"x{number + 1}"] = centre + spread * standard
            predictor += rng.normal(0.0, 0.3) * standard
            continue
        levels = 2 if kind == "binary" else 3
        shares = rng.dirichlet(np.full(levels, 3.0))
        level = np.concatenate([np.arange(levels), rng.choice(levels, patients - levels, p=shares)])
        level = rng.permutation(level)
        columns[f"x{number + 1}"] = np.array(["a", "b", "c"])[level]
        predictor += np.concatenate([[0.0], rng.normal(0.0, 0.6, levels - 1)])[level]
    return pd.DataFrame(columns), predictor


def _outcomes(
    table: pd.DataFrame, log_hazard_ratio: np.ndarray, shape: float, rng: np.random.Generator, *, late: bool
) -> pd.DataFrame:
    """Return the table with Weibull times around a median of a year, censored so that a drawn share, 20 to 95 %, has events."""
    patients = len(table)
    scale = 17.0 * np.exp(-log_hazard_ratio / shape)
    entry = np.where(rng.random(patients) < 0.5, rng.uniform(0.0, 8.0, patients), 0.0) if late else np.zeros(patients)
    hazard = (entry / scale) ** shape + rng.standard_exponential(patients)
    after_entry = scale * hazard ** (1 / shape) - entry
    follow_up = rng.uniform(0.2, 1.0, patients)
    share = max(rng.uniform(0.20, 0.95), FEWEST_EVENTS / patients)
    follow_up *= np.quantile(after_entry / follow_up, share)
    time = entry + np.minimum(after_entry, follow_up)
    return table.assign(time=time, event=(after_entry <= follow_up).astype(int), entry=entry)


def _priors(rng: np.random.Generator) -> tuple[sw.Priors, tuple[str, ...]]:
    """Return the default priors, or others for the coefficients, the site sd, or both."""
    coefficients = {
        "StudentT coefficients": sw.Prior("StudentT", nu=3, mu=0, sigma=0.7),
        "Laplace coefficients": sw.Prior("Laplace", mu=0, b=0.5),
    }
    site_sd = {
        "HalfCauchy site sd": sw.Prior("HalfCauchy", beta=0.4),
        "InverseGamma site sd": sw.Prior("InverseGamma", alpha=3, beta=1),
    }
    named = [
        *rng.choice([*coefficients, ""], 1, p=(0.2, 0.2, 0.6)),
        *rng.choice([*site_sd, ""], 1, p=(0.2, 0.2, 0.6)),
    ]
    return sw.Priors(coefficients=coefficients.get(named[0]), site_sd=site_sd.get(named[1])), tuple(str(x) for x in named if x)
