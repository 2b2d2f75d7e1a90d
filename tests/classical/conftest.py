"""Cohorts, real and simulated, and Cox's partial likelihood written out as in the books."""

from __future__ import annotations

import warnings

import numpy as np
import pytest


def simulated(rows=5, patients=80, columns=3, *, seed=1, rounded=True):
    """Return times, events and a design of continuous and binary columns; whole months give many ties."""
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(rows, patients, columns))
    design[..., ::2] = design[..., ::2] > 0.4
    hazard = np.exp(design @ np.linspace(0.8, -0.5, columns)) / 20
    time = rng.exponential(size=(rows, patients)) / hazard
    end = rng.uniform(5, 50, size=(rows, patients))
    event = time <= end
    time = np.minimum(time, end)
    return (np.ceil(time) if rounded else time), event, design


def real(name):
    """Return times, events and a design from a data set of lifelines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines import datasets
    if name == "rossi":
        frame = datasets.load_rossi()
        return frame.week.to_numpy(float), frame.arrest == 1, frame[["fin", "age", "race", "mar", "prio"]].to_numpy(float)
    if name == "lung":
        frame = datasets.load_lung().dropna(subset=["age", "sex", "ph.ecog"])
        return frame.time.to_numpy(float), frame.status == 1, frame[["age", "sex", "ph.ecog"]].to_numpy(float)
    if name == "gbsg2":
        frame = datasets.load_gbsg2()
        design = np.column_stack([frame.horTh == "yes", frame.age, frame.tsize, frame.pnodes, frame.progrec, frame.estrec])
        return frame.time.to_numpy(float), frame.cens == 1, design.astype(float)
    frame = datasets.load_leukemia()
    return frame.t.to_numpy(float), frame.status == 1, frame[["sex", "logWBC", "Rx"]].to_numpy(float)


def log_likelihood(beta, time, event, design, *, ties, entry=None):
    """Cox's log partial likelihood over explicit risk sets; beta may be complex."""
    entry = np.full(len(time), -np.inf) if entry is None else entry
    predictor = design @ beta
    total = 0.0
    for at in np.unique(time[event]):
        dying = (time == at) & event
        whole, own = np.exp(predictor[(time >= at) & (entry < at)]).sum(), np.exp(predictor[dying]).sum()
        deaths = dying.sum()
        for number in range(deaths):
            total -= np.log(whole - (number / deaths if ties == "efron" else 0.0) * own)
        total += predictor[dying].sum()
    return total


def score(beta, *data, **options):
    """Its gradient, exact to rounding: the imaginary part of a complex step."""
    steps = 1e-30j * np.eye(len(beta))
    return np.array([log_likelihood(beta + step, *data, **options).imag / 1e-30 for step in steps])


def information(beta, *data, **options):
    """Minus its Hessian: central differences of the gradient, extrapolated."""

    def differences(h):
        steps = h * np.eye(len(beta))
        found = [(score(beta - step, *data, **options) - score(beta + step, *data, **options)) / (2 * h) for step in steps]
        return np.array(found)

    return (4 * differences(5e-4) - differences(1e-3)) / 3


class Book:
    simulated = staticmethod(simulated)
    real = staticmethod(real)
    log_likelihood = staticmethod(log_likelihood)
    score = staticmethod(score)
    information = staticmethod(information)


@pytest.fixture(scope="session")
def book():
    return Book
