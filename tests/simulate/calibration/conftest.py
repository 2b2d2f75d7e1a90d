"""Papers made by hand, the paper that a known data set would have printed, and oracles by statsmodels and lifelines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sitewise.evidence import read_evidence
from sitewise.simulate.calibration import Assumptions, Produced, calibrate
from sitewise.simulate.calibration.problem import Problem

WITH_ID = ("model", "survival", "events", "joint", "curve")


def evidence(*, patients=80, sites=3, **tables):
    """Return a summary of lists of tables; places, quotes, labels and ids that do not matter are filled in."""
    source = dict.fromkeys(("title", "authors", "journal", "licence", "population", "treatment", "where"), "x")
    content: dict[str, Any] = {
        "schema_version": 1,
        "id": "made",
        "source": {**source, "year": 2020, "doi": "10.1000/made", "patients": patients, "sites": sites, "quote": ["x"]},
    }
    for kind, entries in tables.items():
        content[kind] = []
        for number, entry in enumerate(entries):
            own = {"where": "x", **({} if kind == "model" else {"quote": ["x"]}), **entry}
            own |= {"label": own.get("name", "x")} if kind in ("categorical", "continuous") else {}
            own |= {"unit": "x"} if kind == "continuous" else {}
            own |= {"id": entry.get("id", f"{kind} {number}")} if kind in WITH_ID else {}
            if kind == "model":
                own["term"] = [{"quote": ["x"], **term} for term in own["term"]]
            content[kind].append(own)
    return read_evidence(content)


def term(covariate, level=(), reference=(), *, ratio=1.5, error=0.3, digits=2, **more):
    """Return a row of a table of hazard ratios as it would be printed: limits of a Wald interval, rounded."""
    limits = {"lower": ratio * np.exp(-1.96 * error), "upper": ratio * np.exp(1.96 * error)}
    found = {name: round(float(value), digits) for name, value in {"hazard_ratio": ratio, **limits}.items()}
    return {"covariate": covariate, "level": list(level), "reference": list(reference), "digits": digits, **found, **more}


def row(problem, **values):
    """Return a parameter row: the prior means but for some, named by their beginning (underscores for spaces)."""
    theta = problem.parameters.mean.copy()
    for name, value in values.items():
        (place,) = [
            place
            for place, own in enumerate(problem.parameters.names)
            if own.replace(" ", "_").replace("[", "_").startswith(name)
        ]
        theta[place] = value
    return theta


def simulated(problem, theta, cohorts, *, seed=1, stage=20):
    """Return cohorts of one parameter row, as arrays and as a product whose tables can be read."""
    theta = np.broadcast_to(theta, (cohorts, len(problem.parameters))).copy()
    found, statistics = problem.simulate(theta, problem.randomness(seed, cohorts, stage=stage))
    return Produced("plug_in", problem, found, theta, np.zeros(cohorts, dtype=np.intp), seed, statistics)


def cox(table, columns, *, ties="efron"):
    """Return log hazard ratios and standard errors of a table by statsmodels, for columns {name: values}."""
    from statsmodels.duration.hazard_regression import PHReg

    design = np.column_stack([np.asarray(values, dtype=float) for values in columns.values()])
    fit = PHReg(table["time"].to_numpy(float), design, status=table["event"].to_numpy(float), ties=ties).fit(disp=0)
    return fit.params, np.sqrt(np.diag(fit.cov_params()))


def curve(time, event, *, prob=0.95):
    """Return lifelines' Kaplan-Meier fit."""
    from lifelines import KaplanMeierFitter

    return KaplanMeierFitter(alpha=1 - prob).fit(np.asarray(time, dtype=float), np.asarray(event, dtype=float))


def has_median(fit, median, half):
    """Return whether a lifelines curve falls to a half inside a rounding box, its edges included.

    lifelines' own median asks S <= .5 in floating point, which a curve of exactly a half may just not be.
    """
    return float(fit.predict(median - half)) > 0.5 + 1e-9 and float(fit.predict(median + half)) <= 0.5 + 1e-9


@pytest.fixture(scope="session")
def make():
    """Functions that make papers, cohorts and oracles."""
    return SimpleNamespace(
        evidence=evidence,
        term=term,
        row=row,
        simulated=simulated,
        cox=cox,
        curve=curve,
        has_median=has_median,
        problem=Problem.of,
    )


@pytest.fixture(scope="session")
def known():
    """A data set that is not the calibration's: 90 patients, two dependent factors, a uniform end of follow-up."""
    rng = np.random.default_rng(20)
    n = 90
    ecog = rng.random(n) < 0.45
    stage = rng.random(n) < np.where(ecog, 0.65, 0.3)
    hazard = np.exp(0.7 * ecog + 0.5 * stage) * np.log(2) / 24
    death, end = rng.exponential(1 / hazard), rng.uniform(6, 70, n)
    return pd.DataFrame(
        {
            "time": np.minimum(death, end) + 0.5,
            "event": (death <= end).astype(int),
            "ecog": np.where(ecog, "1", "0"),
            "stage": np.where(stage, "II", "I"),
        }
    )


@pytest.fixture(scope="session")
def printed(known):
    """What a paper would print of the known data set; deaths, the cross table and group sizes stay hidden."""
    poor, late = known["ecog"] == "1", known["stage"] == "II"
    columns = {"ecog": (poor, "1", "0"), "stage": (late, "II", "I")}

    def rows(names):
        found = cox(known, {name: columns[name][0] for name in names})
        return [
            term(name, [columns[name][1]], [columns[name][2]], ratio=np.exp(beta), error=error, digits=2)
            for name, beta, error in zip(names, *found, strict=True)
        ]

    count = (~poor).astype(int) + (~late).astype(int)
    whole = curve(known["time"], known["event"])
    medians = [
        {"id": f"median {number}", "count_favourable": number, "median": round(float(own))}
        for number in (2, 1, 0)
        if np.isfinite(own := curve(known["time"][count == number], known["event"][count == number]).median_survival_time_)
    ]
    follow = {"median": round(float(known["time"].median()), 1), "digits": 1, "definition": "observed"}
    follow["range"] = [round(float(known["time"].min()), 1), round(float(known["time"].max()), 1)]
    return evidence(
        patients=len(known),
        categorical=[
            {"name": "ecog", "levels": {"0": int((~poor).sum()), "1": int(poor.sum())}, "favourable": ["0"]},
            {"name": "stage", "levels": {"I": int((~late).sum()), "II": int(late.sum())}, "favourable": ["I"]},
        ],
        model=[
            {"id": "unadjusted ecog", "term": rows(["ecog"])},
            {"id": "unadjusted stage", "term": rows(["stage"])},
            {"id": "adjusted", "adjusted": True, "term": rows(["ecog", "stage"])},
        ],
        survival=[
            {"id": "median", "median": round(float(whole.median_survival_time_))},
            {"id": "year 2", "time": 24, "survival": round(float(whole.predict(24)), 2)},
            *medians,
        ],
        follow_up=[follow],
    )


@pytest.fixture(scope="session")
def calibrated(printed):
    """A calibration to the printed paper, shared by whoever needs one."""
    return calibrate(printed, Assumptions(), seed=1, cohorts=200, pool=8000, workers=1)
