"""Cohorts, posteriors made by hand and helpers that several test files share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sitewise as sw
from sitewise.cohort import packaged_path


@dataclass(frozen=True, eq=False)
class HandMadeFit:
    """A posterior whose draws were chosen, not sampled: all that the estimands need of a fit."""

    posterior: xr.Dataset
    spec: sw.ModelSpec
    cohort: sw.Cohort
    seed: int = 1


@pytest.fixture(scope="session")
def lung() -> sw.Cohort:
    """The packaged lung cohort in months: ECOG 0 / >=1, age, sex, institution; 226 complete patients."""
    return sw.Cohort.from_csv(
        packaged_path("lung"),
        time="time_months",
        event="event",
        site="inst",
        id="id",
        covariates=["ecog", "age", "sex"],
        recode={"ecog": sw.Recode("ph_ecog", {"0": [0], ">=1": [1, 2, 3]})},
        reference={"sex": 1},
        missing="drop",
    )


@pytest.fixture(scope="session")
def make_frame():
    """A function that simulates a patient table: Weibull times, two hospitals or more, mixed covariates."""

    def make(n: int = 60, *, seed: int = 1, hospitals: int = 4, guarantee: float = 0.0) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        stage = rng.integers(0, 3, n)
        ecog = rng.integers(0, 2, n)
        age = rng.normal(62, 9, n)
        hospital = np.concatenate([np.arange(hospitals), rng.integers(0, hospitals, n - hospitals)])
        effect = 0.5 * stage / 2 + 0.4 * ecog + 0.02 * (age - 62) + 0.3 * np.sin(hospital)
        time = 14 * (rng.standard_exponential(n) / np.exp(effect)) ** (1 / 1.3)
        censored = rng.uniform(5, 40, n)
        observed = np.minimum(time, censored) + 0.05
        return pd.DataFrame(
            {
                "patient": [f"p{row}" for row in range(n)],
                "hospital": hospital + 1,
                "months": guarantee + observed,
                "died": (time <= censored).astype(int),
                "start": np.where(rng.uniform(size=n) < 0.5, 0.0, observed * rng.uniform(0.1, 0.7, n)),
                "weight": rng.uniform(0.5, 3.0, n),
                "stage": np.array(["I", "II", "III"])[stage],
                "ecog": np.array(["0", ">=1"])[ecog],
                "age": age,
            }
        )

    return make


@pytest.fixture(scope="session")
def read():
    """A function that reads a table of ``make_frame``; options go to ``Cohort.from_frame``."""

    def read_frame(frame: pd.DataFrame, **options: Any) -> sw.Cohort:
        columns = {"time": "months", "event": "died", "site": "hospital", "covariates": ["ecog", "age", "stage"]}
        return sw.Cohort.from_frame(frame, **{**columns, **options})

    return read_frame


@pytest.fixture(scope="session")
def between_visits():
    """A function that hides most events of a table between two visits: columns ``lower`` and ``upper``, all kinds mixed."""

    def hide(frame: pd.DataFrame, *, time: str, event: str, start: float = 0.0, every: float = 3.0) -> pd.DataFrame:
        exact, died = frame[time].to_numpy(), frame[event].to_numpy() > 0
        before = start + every * np.floor((exact - start) / every)
        hidden = died & (np.arange(len(frame)) % 4 != 0)
        lower = np.where(hidden, np.maximum(before, frame.get("start", 0.0)), exact)
        upper = np.where(hidden, before + every, np.where(died, exact, np.nan))
        return frame.assign(lower=lower, upper=upper).drop(columns=[time, event])

    return hide


@pytest.fixture(scope="session")
def hand_made():
    """A function that makes a fit from draws given as arrays of shape (draw, ...) or (chain, draw, ...).

    ``shape`` (None for the exponential), ``log_scale`` (at the covariate means) and the rest are in the spec's metric; the
    spec is resolved on the cohort.
    """

    def make(
        spec: sw.ModelSpec,
        cohort: sw.Cohort,
        *,
        log_scale: Any,
        shape: Any = None,
        coefficients: Any = None,
        site_effect: Any = None,
        site_sd: Any = None,
        seed: int = 1,
    ) -> HandMadeFit:
        spec = spec.resolve(cohort)
        found = spec.resolved
        log_scale = np.asarray(log_scale, dtype=float)
        one_chain = log_scale.ndim == 1

        def chains(values: Any) -> np.ndarray:
            values = np.asarray(values, dtype=float)
            return values[None] if one_chain else values

        sample = ("chain", "draw")
        variables: dict[str, Any] = {"log_scale_at_means": (sample, chains(log_scale))}
        exponent = np.ones_like(chains(log_scale))
        if shape is not None:
            exponent = chains(shape)
            variables["shape"] = (sample, exponent)
        moved = np.zeros_like(exponent)
        if coefficients is not None:
            effect = chains(coefficients)
            name = "log_hazard_ratio" if spec.metric == "hazard-ratio" else "log_time_ratio"
            variables[name] = ((*sample, "term"), effect)
            distance = effect @ (np.array(found.means) - np.array(found.reference))
            moved = distance / exponent if spec.metric == "hazard-ratio" else -distance
        variables["log_scale"] = (sample, chains(log_scale) + moved)
        if site_effect is not None:
            variables["site_effect"] = ((*sample, "site"), chains(site_effect))
        if site_sd is not None:
            variables["site_sd"] = (sample, chains(site_sd))
        coords: dict[str, Any] = {"chain": np.arange(exponent.shape[0]), "draw": np.arange(exponent.shape[1])}
        if coefficients is not None:
            coords["term"] = list(found.columns)
        if site_effect is not None:
            coords["site"] = list(found.site_labels)
        return HandMadeFit(xr.Dataset(variables, coords=coords), spec, cohort, seed)

    return make


@pytest.fixture(scope="session")
def interpreted():
    """A function that compiles a PyTensor graph of a model for PyTensor's interpreter: exact and without a C compiler."""
    from pytensor.compile.mode import Mode

    def compile_outputs(model: Any, outputs: Any) -> Any:
        return model.compile_fn(
            outputs, inputs=model.value_vars, mode=Mode(linker="py", optimizer=None), on_unused_input="ignore"
        )

    return compile_outputs


@pytest.fixture(scope="session")
def lung_spec() -> sw.ModelSpec:
    return sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + age + sex + (1 | inst)")


@pytest.fixture(scope="session")
def lung_fit(lung, lung_spec):
    """The main model on the lung cohort; one compilation and 4 x 1000 draws, shared by whoever needs real draws."""
    return sw.fit(lung_spec, lung, engine=sw.Nuts(cores=2), seed=1)


@pytest.fixture(scope="session")
def small_spec() -> sw.ModelSpec:
    """A model that compiles fast: exponential, one covariate, no sites."""
    return sw.ModelSpec.from_formula("Surv(months, died) ~ ecog", family=sw.Exponential())


@pytest.fixture(scope="session")
def small_cohort(make_frame, read) -> sw.Cohort:
    return read(make_frame(60, seed=2), site=None)
