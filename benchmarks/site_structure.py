"""Are correlated sites, Student-t sites and further groupings sampled right? ``make verify`` runs it.

NUTS against an oracle that samples nothing of the model's: hyperparameters are drawn from their priors by NumPy, each draw is
weighted by its likelihood with all effects integrated out by Gauss rules (over one site's effect, its effect and slope, or its
effect and those of the wards nested in it), and means and sds of what both report are compared, in Monte Carlo errors of both.
Patients are summed up by site, ward and ECOG: of exponential times events and person-time are all there is.

Then simulation-based calibration of each model by NUTS: truths from the prior, whose places in the posteriors are uniform.
Writes ``benchmarks/results/site_structure.{csv,md}``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats
from provenance import provenance
from scipy import stats

import sitewise as sw

RESULTS = Path(__file__).parent / "results"
SITES, PATIENTS = 5, 60
NODES = 32
CLEAR = 4.0
"""Monte Carlo errors from which a difference is a fault: by chance one of 15,000 differences is that large."""
PRIORS = {
    "log_median": sw.Prior("Normal", mu=2.3, sigma=0.5),
    "coefficients": sw.Prior("Normal", mu=0.0, sigma=0.5),
    "site_sd": sw.Prior("HalfNormal", sigma=0.5),
}
NORMAL, SHARES = np.polynomial.hermite_e.hermegauss(NODES)
SHARES = SHARES / SHARES.sum()
Integral = Callable[[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Takes hyperparameters (S,), log hazards by ECOG (S, 2), events and person-time of a site (ward, ecog); returns the site's
likelihood with its effects integrated out, and the integral of the likelihood times the site's effect, both (S,)."""


def patients(seed: int) -> pd.DataFrame:
    """Return patients of five hospitals with two wards each; the last hospital is far from the others."""
    rng = np.random.default_rng(seed)
    site = np.arange(PATIENTS) % SITES
    ward = (np.arange(PATIENTS) // SITES) % 2
    ecog = rng.integers(0, 2, PATIENTS)
    effect = np.array([-0.3, 0.0, 0.1, 0.2, 1.5])[site] + np.array([0.1, -0.2, 0.5, 0.0, 0.6])[site] * ecog + 0.3 * ward
    hidden = 15 * rng.standard_exponential(PATIENTS) / np.exp(effect)
    censored = rng.uniform(8, 40, PATIENTS)
    return pd.DataFrame(
        {
            "time": np.minimum(hidden, censored),
            "event": (hidden <= censored).astype(int),
            "site": site + 1,
            "ward": [f"{place + 1} {'ab'[which]}" for place, which in zip(site, ward, strict=True)],
            "ecog": np.where(ecog == 1, ">=1", "0"),
        }
    )


def likelihood(eta: np.ndarray, events: np.ndarray, time_: np.ndarray) -> np.ndarray:
    """Return exp(sum D eta - T exp(eta)) over the last axis, ECOG."""
    return np.exp((events * eta - time_ * np.exp(eta)).sum(axis=-1))


def of_student_t(freedom_fixed: float | None) -> Integral:
    """Return the integral over a Student-t effect: Gauss-Legendre in its distribution function."""
    u, weights = np.polynomial.legendre.leggauss(4 * NODES)
    u, weights = 0.5 * (u + 1), 0.5 * weights

    def integral(hyper, log_hazard, events, time_):
        nu = np.full(log_hazard.shape[0], freedom_fixed) if freedom_fixed else hyper["site_degrees_of_freedom"]
        b = (hyper["site_sd"] * np.sqrt((nu - 2) / nu))[:, None] * stats.t.ppf(u, nu[:, None])
        each = likelihood(log_hazard[:, None, :] + b[..., None], events.sum(axis=0), time_.sum(axis=0))
        return each @ weights, (each * b) @ weights

    return integral


def of_correlated(hyper, log_hazard, events, time_):
    """Integrate over effect and slope: Gauss-Hermite in both, the slope given the effect."""
    rho = hyper["rho"]
    b = hyper["site_sd"][:, None] * NORMAL
    z = rho[:, None, None] * NORMAL[:, None] + np.sqrt(1 - rho**2)[:, None, None] * NORMAL
    moved = np.stack(
        [np.broadcast_to(b[..., None], z.shape), b[..., None] + hyper["site_slope_sd"][:, None, None] * z], axis=-1
    )
    each = likelihood(log_hazard[:, None, None, :] + moved, events.sum(axis=0), time_.sum(axis=0)) @ SHARES
    return each @ SHARES, (each * b) @ SHARES


def of_nested(hyper, log_hazard, events, time_):
    """Integrate over the site's effect, and inside over each ward's own."""
    b = hyper["site_sd"][:, None] * NORMAL
    ward = hyper["grouping_sd"][:, None] * NORMAL
    each = np.ones_like(b)
    for one, other in zip(events, time_, strict=True):
        eta = log_hazard[:, None, None, :] + (b[..., None] + ward[:, None, :])[..., None]
        each = each * (likelihood(eta, one, other) @ SHARES)
    return each @ SHARES, (each * b) @ SHARES


@dataclass(frozen=True)
class Case:
    """A model, its oracle's integral over one site, and how to draw its further hyperparameters."""

    name: str
    options: dict
    integral: Integral
    hyper: Callable[[np.random.Generator, int], dict[str, np.ndarray]]
    reported: dict[str, Callable]


def half_normal(rng, size):
    return np.abs(0.5 * rng.standard_normal(size))


CASES = [
    Case(
        "Student-t sites, 4 degrees of freedom",
        {"sites": sw.RandomSites(distribution="student-t")},
        of_student_t(4.0),
        lambda rng, size: {},
        {},
    ),
    Case(
        "Student-t sites, degrees of freedom estimated",
        {"sites": sw.RandomSites(distribution="student-t", degrees_of_freedom=None)},
        of_student_t(None),
        lambda rng, size: {"site_degrees_of_freedom": 2 + rng.gamma(2, 10, size)},
        {"site_degrees_of_freedom": lambda posterior: posterior["site_degrees_of_freedom"]},
    ),
    Case(
        "correlated intercepts and slopes",
        {"sites": sw.RandomSites(slopes=("ecog",), correlated=True)},
        of_correlated,
        lambda rng, size: {"site_slope_sd": half_normal(rng, size), "rho": 2 * rng.beta(2, 2, size) - 1},
        {
            "site_slope_sd": lambda posterior: posterior["site_slope_sd"].isel(slope=0),
            "rho": lambda posterior: posterior["site_correlation"].isel(site_term=0, other_site_term=1),
        },
    ),
    Case(
        "wards nested in sites",
        {"groupings": ("ward",)},
        of_nested,
        lambda rng, size: {"grouping_sd": half_normal(rng, size)},
        {"grouping_sd": lambda posterior: posterior["grouping_sd[ward]"]},
    ),
]


def oracle(case: Case, table: pd.DataFrame, draws: int, seed: int) -> dict[str, tuple[float, float, float, float]]:
    """Return mean, sd and their Monte Carlo errors of each quantity, by weighted draws from the prior."""
    rng = np.random.default_rng(seed)
    grouped = table.groupby(["site", "ward", "ecog"]).agg(events=("event", "sum"), time=("time", "sum"))
    blocks: dict[str, list[np.ndarray]] = {}
    weights = []
    for _ in range(draws // 1000):
        hyper = {
            "log_median": 2.3 + 0.5 * rng.standard_normal(1000),
            "log_hazard_ratio": 0.5 * rng.standard_normal(1000),
            "site_sd": half_normal(rng, 1000),
        } | case.hyper(rng, 1000)
        log_hazard = np.log(np.log(2)) - hyper["log_median"][:, None] + hyper["log_hazard_ratio"][:, None] * [0.0, 1.0]
        value, last = np.zeros(1000), np.zeros(1000)
        for site in range(1, SITES + 1):
            wards = [f"{site} {which}" for which in "ab"]
            cells = [
                [grouped.loc[(site, ward)].reindex(["0", ">=1"]).fillna(0.0)[key] for ward in wards]
                for key in ("events", "time")
            ]
            likely, moment = case.integral(hyper, log_hazard, *(np.array(cell, dtype=float) for cell in cells))
            value += np.log(likely)
            last = moment / likely
        weights.append(value)
        for name, values in {**hyper, "effect of the last site": last}.items():
            blocks.setdefault(name, []).append(values)
    share = np.concatenate(weights)
    share = np.exp(share - share.max())
    share /= share.sum()
    found = {}
    for name, parts in blocks.items():
        values = np.concatenate(parts)
        mean = float(share @ values)
        variance = float(share @ (values - mean) ** 2)
        sd = np.sqrt(variance)
        mean_error = np.sqrt((share**2) @ (values - mean) ** 2)
        sd_error = np.sqrt((share**2) @ ((values - mean) ** 2 - variance) ** 2) / (2 * sd)
        found[name] = (mean, float(sd), float(mean_error), float(sd_error))
    return found


def compare(case: Case, cohort: sw.Cohort, table: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Return a row a quantity: mean and sd of both, and the differences in Monte Carlo errors."""
    spec = sw.ModelSpec(terms=("ecog",), family=sw.Exponential(), priors=sw.Priors(**PRIORS), **case.options)
    fit = sw.fit(spec, cohort, engine=sw.Nuts(draws=4000, tune=1500, chains=4, target_accept=0.99), seed=seed)
    posterior = fit.posterior
    own = {
        "log_median": posterior["log_scale"] + np.log(np.log(2)),
        "log_hazard_ratio": posterior["log_hazard_ratio"].isel(term=0),
        "site_sd": posterior["site_sd"],
        "effect of the last site": posterior["site_effect"].isel(site=-1),
    } | {name: read(posterior) for name, read in case.reported.items()}
    rows = []
    known = oracle(case, table, draws, seed + 1)
    for name, values in own.items():
        array = values.transpose("chain", "draw").to_numpy()
        mean, sd = float(array.mean()), float(array.std(ddof=1))
        errors = [float(array_stats.mcse(array, method=kind)) for kind in ("mean", "sd")]
        other = known[name]
        row = {"model": case.name, "quantity": name, "mean": mean, "oracle_mean": other[0]}
        row["mean_errors"] = (mean - other[0]) / np.hypot(errors[0], other[2])
        # Of the effect the oracle has the mean within each draw only: its sd is less than the posterior's.
        if name != "effect of the last site":
            row |= {"sd": sd, "oracle_sd": other[1], "sd_errors": (sd - other[1]) / np.hypot(errors[1], other[3])}
        rows.append({**row, "verdict": fit.verdict.level})
    return pd.DataFrame(rows)


def calibrate(case: Case, cohort: sw.Cohort, replicates: int, seed: int) -> dict[str, object]:
    """Return what simulation-based calibration by NUTS says of a model."""
    spec = sw.ModelSpec(terms=("ecog",), family=sw.Exponential(), priors=sw.Priors(**PRIORS), **case.options).resolve(cohort)
    engine = sw.Nuts(draws=500, tune=700, chains=2, cores=1, target_accept=0.95, retry=False)
    found = sw.sbc(spec, cohort, engine=engine, replicates=replicates, seed=seed)
    return {"model": case.name, "fits": len(found.replicates.fits), "quantities": len(found.tests), "sentence": found.sentence}


def write(table: pd.DataFrame, calibration: pd.DataFrame, seconds: float, command: str) -> None:
    """Write the results with what reproduces them."""
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "site_structure.csv", index=False, float_format="%.4f")
    lines = [
        "# Correlated sites, Student-t sites and further groupings: NUTS against quadrature",
        "",
        f"{provenance(command)} {seconds:.0f} s.",
        "",
        f"{PATIENTS} patients of {SITES} hospitals, one far from the others. The oracle weights draws of the priors by their likelihood with "
        f"all effects integrated out; differences are in Monte Carlo errors of both, of which {CLEAR:g} would be a fault.",
        "",
        "| model | quantity | mean | oracle | errors | sd | oracle | errors |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        spread = [f"{row.sd:.3f}", f"{row.oracle_sd:.3f}", f"{row.sd_errors:+.1f}"] if np.isfinite(row.sd) else ["", "", ""]
        cells = [row.model, row.quantity, f"{row.mean:.3f}", f"{row.oracle_mean:.3f}", f"{row.mean_errors:+.1f}", *spread]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Simulation-based calibration by NUTS, truths from the prior:",
        "",
        "| model | cohorts | finding |",
        "|---|---|---|",
    ]
    lines += [f"| {row.model} | {row.fits} | {row.sentence} |" for row in calibration.itertuples()]
    (RESULTS / "site_structure.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Run the study; exit with 1 when a difference is clear or a model is not calibrated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=100_000, help="prior draws of the oracle")
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    started = time.perf_counter()
    table = patients(options.seed)
    cohort = sw.Cohort.from_frame(table, time="time", event="event", site="site", covariates=["ecog", "ward"])
    rows = []
    for place, case in enumerate(CASES):
        rows.append(compare(case, cohort, table, options.draws, options.seed + 10 * place))
        print(rows[-1].to_string(), flush=True)
    compared = pd.concat(rows, ignore_index=True)
    calibration = []
    for place, case in enumerate(CASES if options.replicates else []):
        calibration.append(calibrate(case, cohort, options.replicates, options.seed + 10 * place))
        print(calibration[-1], flush=True)
    calibrated = pd.DataFrame(calibration, columns=["model", "fits", "quantities", "sentence"])
    if not options.no_write:
        write(
            compared, calibrated, time.perf_counter() - started, "python benchmarks/site_structure.py " + " ".join(sys.argv[1:])
        )
    clear = (compared[["mean_errors", "sd_errors"]].abs() > CLEAR).to_numpy().any()
    return int(clear or calibrated["sentence"].str.startswith("fail").any())


if __name__ == "__main__":
    sys.exit(main())
